"""The valence of nickel in one particle: its projection with the regions of a line, and the profile along it."""

import os
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from simulator.viz.figures import BLUE, STYLE, duration, save

_MAP = "viridis"


class Profile(Protocol):
    """What is drawn; `simulator.nickel_profile` returns it."""

    @property
    def particle(self) -> int: ...
    @property
    def time(self) -> float: ...  # [s]
    @property
    def position(self) -> np.ndarray: ...  # (regions,) [m]
    @property
    def fraction(self) -> np.ndarray: ...  # (regions,)
    @property
    def region_length(self) -> float: ...  # [m]
    @property
    def region_width(self) -> float: ...  # [m]
    @property
    def image(self) -> np.ndarray: ...  # (along, across) Ni4+ fraction
    @property
    def extent(self) -> tuple[float, float, float, float]: ...  # [m]


def plot_nickel_profile(found: Profile, path: str | os.PathLike[str]) -> Path:
    """Left: Ni4+ fraction of the projected particle, the line to the right. Right: Ni4+/Ni3+ of each region.

    **Errors:** ConfigError for an unknown extension.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        seen, profile = figure.subplots(1, 2)
        low, high = np.nanmin(found.image), np.nanmax(found.image)
        if high - low < 0.02:  # an even particle shall look even
            low, high = 0.5 * (low + high) - 0.01, 0.5 * (low + high) + 0.01
        box = tuple(1e6 * v for v in found.extent)
        shown = seen.imshow(found.image.T, origin="lower", extent=box, cmap=_MAP, vmin=low, vmax=high)
        figure.colorbar(shown, ax=seen, label=r"Ni$^{4+}$ fraction", shrink=0.85)
        half, step = 0.5 * found.region_width, found.region_length
        for number, centre in enumerate(found.position, start=1):
            corner = (1e6 * (centre - 0.5 * step), -1e6 * half)
            rim: Any = {"path_effects": [withStroke(linewidth=2.0, foreground="k")]}  # white is seen on every colour
            seen.add_patch(Rectangle(corner, 1e6 * step, 2e6 * half, fill=False, ec="w", lw=1.0, **rim))
            seen.text(1e6 * centre, 0.0, str(number), color="w", ha="center", va="center", **rim)
        seen.set(xlabel="Along the line [µm]", ylabel="Across [µm]")
        seen.set_title(f"particle {found.particle}, t = {duration(found.time)}")
        profile.errorbar(1e6 * found.position, found.fraction, xerr=0.5e6 * step, fmt="o", ms=4, color=BLUE, lw=1.2)
        profile.set(xlabel="Along the line [µm]", ylabel=r"Ni$^{4+}$ fraction $f$", xlim=(0.0, None))
        low, high = profile.get_ylim()
        if high - low < 0.02:
            profile.set_ylim(0.5 * (low + high) - 0.01, 0.5 * (low + high) + 0.01)
        ratio = profile.twinx()
        low, high = profile.get_ylim()
        ratio.set_ylim(low, high)
        at = [t for t in profile.get_yticks() if low <= t <= high and t < 1.0]
        ratio.set_yticks(at, [f"{t / (1.0 - t):.3g}" for t in at])
        ratio.set_ylabel(r"Ni$^{4+}$/Ni$^{3+}$ $= f/(1-f)$")
        for ax in (profile, ratio):
            ax.spines["top"].set_visible(False)
        return save(figure, path)
