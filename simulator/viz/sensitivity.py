"""Where more contact would pay: sensitivities on the particles, over the depth, and ranked by place."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from simulator.geometry.phases import AM
from simulator.viz.fields import EXCLUDED_GREY, Shown, signed_colours
from simulator.viz.figures import BLUE, RED, STYLE, draw_plane, grey_legend, lengths_um, mark_sides, save, ticks
from simulator.viz.offscreen import can_render
from simulator.viz.scene import Scene, set_title

_COULOMB = 3.6e3  # [C] of 1 Ah
_PIXELS = 1200  # of the longer side of a rendering, which is a third of the page wide
_PREFIXES = {"m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
#: output -> (what its 3D picture is called, what its lines are called, colour)
_OUTPUTS = {
    "capacity": ("Capacity for more contact", "capacity", BLUE),
    "decomposed": ("Decomposed charge for more contact", "decomposed charge", RED),
}
_BLANK = "no live interface"


class Output(Protocol):
    """An output and how it changes."""

    @property
    def by_area(self) -> np.ndarray: ...  # (f,) [C m-2]
    @property
    def total_elasticity(self) -> float: ...


class Profile(Protocol):
    """By layers."""

    @property
    def depth(self) -> np.ndarray: ...  # [m]
    @property
    def by_area(self) -> np.ndarray: ...  # [C m-2]


class Ranking(Protocol):
    """By faces."""

    @property
    def contact(self) -> np.ndarray: ...
    @property
    def gain(self) -> np.ndarray: ...


class Map(Protocol):
    """What is drawn; `simulator.sensitivity_map` returns it."""

    @property
    def step(self) -> int: ...
    @property
    def phase(self) -> np.ndarray: ...
    @property
    def voxel_size(self) -> tuple[float, float, float]: ...
    @property
    def outputs(self) -> Mapping[str, Output]: ...
    def voxel_field(self, output: str) -> np.ndarray: ...
    def profile(self, output: str) -> Profile: ...
    def ranking(self, output: str) -> Ranking: ...
    def half_share(self, output: str) -> float: ...
    def falling_share(self, output: str) -> float: ...


def plot_sensitivity_map(found: Map, path: str | os.PathLike[str]) -> Path:
    """Sensitivities by contact area on the particles, a quarter cut away; their mean over the depth; and what 1 % more
    contact brings where its effect is largest.

    Where both signs occur, orange raises the output and violet lowers it. Without a usable OpenGL slices stand in for
    the 3D pictures, and a warning says how to get it.

    **Errors:** ConfigError for an unknown extension.
    """
    names = [name for name in _OUTPUTS if name in found.outputs]
    able, reason = can_render()
    if not able:
        warnings.warn(f"Drawing slices instead of the 3D picture. {reason}", stacklevel=2)
    with mpl.rc_context(STYLE):
        shown = [_shown(found, name) for name in names]
        # inches; with one output the two panels of lines stand beside its picture
        two = len(names) == 2
        width, panel, bar, left = 9.6, (3.05 if two else 3.8), 1.2, 0.75
        scenes = [Scene(found, s, pixels=_PIXELS) for s in shown] if able else []
        lz, _, lx = lengths_um(found)
        tall = panel * (scenes[0].aspect if able else min(lx / (1.2 * lz), 1.4))
        base = (0.55 + 1.9 + (0.55 if able else 0.85)) if two else 0.75  # slices have labels below
        height = max(base + tall + 0.55, 4.4)
        figure = Figure(figsize=(width, height))

        def place(x: float, y: float, w: float, h: float) -> Axes:
            return figure.add_axes((x / width, y / height, w / width, h / height))

        for k, (name, picture) in enumerate(zip(names, shown, strict=True)):
            x = left + k * (left + panel + bar - 0.2)
            ax = place(x, base, panel, tall)
            if able:
                with scenes[k] as scene:
                    scene.draw(ax, picture)
            else:
                _slice(ax, found, picture)
            low, high, extend = picture.limits
            length = min(2.4, 0.8 * tall)
            scale = place(x + panel + 0.15, base + 0.5 * (tall - length), 0.12, length)
            mappable = ScalarMappable(Normalize(low, high), picture.cmap)
            figure.colorbar(mappable, cax=scale, extend=extend).set_label(picture.label)
            ax.text(0.0, 1.03, _OUTPUTS[name][0], transform=ax.transAxes, fontweight="bold")
        if two:
            below = (place(left, 0.55, 3.6, 1.9), place(left + 4.7, 0.55, 3.9, 1.9))
        else:
            beside = left + panel + bar + 0.35
            room = 0.5 * (height - 0.55 - 0.7 - 0.6)
            below = (place(beside, 0.55 + room + 0.7, 3.0, room), place(beside, 0.55, 3.0, room))
        _draw_profiles(below[0], found, names)
        _draw_ranking(below[1], found, names)
        handles = grey_legend({_BLANK: EXCLUDED_GREY})
        handles = handles[-1:] if able else handles
        figure.legend(handles=handles, loc="upper right", ncols=len(handles), borderaxespad=0.5)
        set_title(figure, f"Step {found.step} of the protocol: what more contact would change")
        return save(figure, path)


def _shown(found: Map, name: str) -> Shown:
    values, unit = in_unit(found.voxel_field(name))
    limits, cmap = signed_colours(values, 1e-3)
    what = {"capacity": "Capacity", "decomposed": "Decomposed charge"}[name]
    label = f"{what} per contact area added\n[{unit} cm$^{{-2}}$]"
    where = found.phase == AM
    return Shown(label, cmap, values, where, (None, 1e-3), limits, EXCLUDED_GREY, _BLANK)


def in_unit(values: np.ndarray) -> tuple[np.ndarray, str]:
    """`values` [C m-2] in the prefix of Ah cm-2 that suits them, and the unit of the charge."""
    amount = values / _COULOMB * 1e-4  # [Ah cm-2]
    finite = np.abs(amount[np.isfinite(amount)])
    size = float(np.percentile(finite, 99.0)) if finite.size else 0.0
    prefix = next((p for p, factor in _PREFIXES.items() if size >= factor), "f" if size else "m")
    return amount / _PREFIXES[prefix], f"{prefix}Ah"


def _slice(ax: Axes, found: Map, shown: Shown) -> None:
    lz, ly, lx = lengths_um(found)
    ny = found.phase.shape[1]
    draw_plane(ax, found, shown, (slice(None), ny // 2), (lz, lx))
    mark_sides(ax, lz, lx)
    ax.set(xlabel="thickness z [µm]", ylabel="x [µm]", xticks=ticks(lz), yticks=ticks(lx))


def _draw_profiles(ax: Axes, found: Map, names: Sequence[str]) -> None:
    """Mean of each layer, an axis for each output."""
    axes = [ax, *(ax.twinx() for _ in names[1:])]
    reach = []
    for panel, name in zip(axes, names, strict=True):
        profile = found.profile(name)
        values, unit = in_unit(profile.by_area)
        _, text, colour = _OUTPUTS[name]
        panel.plot(1e6 * profile.depth, values, color=colour, marker="o" if values.size < 20 else None, ms=2.5)
        panel.set_ylabel(f"{text.capitalize()} [{unit} cm$^{{-2}}$]", color=colour)
        panel.tick_params(axis="y", labelcolor=colour)
        panel.spines["top"].set_visible(False)
        finite = values[np.isfinite(values)]
        reach.append((min(float(finite.min()), 0.0), max(float(finite.max()), 0.0)))
    # one zero line for all: the same share of each axis lies below it
    below = max(-low / (high - low) if high > low else 0.0 for low, high in reach)
    below = min(below, 0.9) + 0.04
    for panel, (low, high) in zip(axes, reach, strict=True):
        top = max(high, -low * (1.0 - below) / below if below > 0.0 else 0.0) or 1.0
        panel.set_ylim(-1.05 * top * below / (1.0 - below), 1.05 * top)
    ax.axhline(0.0, color="0.4", lw=0.6)
    ax.set(xlabel="Depth z [µm]: separator on the left, collector on the right")
    ax.set_xlim(0.0, lengths_um(found)[0])
    ax.set_title("Mean of each layer, per contact area added", loc="left")
    if len(names) == 1:
        ax.spines["right"].set_visible(False)


def _draw_ranking(ax: Axes, found: Map, names: Sequence[str]) -> None:
    """Cumulated rise from the faces with the largest effect on, as a share of the most that it reaches."""
    for name in names:
        ranking = found.ranking(name)
        most = float(ranking.gain.max())
        _, text, colour = _OUTPUTS[name]
        half = found.half_share(name)
        if not most > 0.0:
            ax.plot([], [], color=colour, label=f"{text}: rises nowhere")
            continue
        turn = "; " if len(names) > 1 else "\n"  # a single one has the narrower panel
        label = f"{text}: half on {100.0 * half:.3g} %{turn}{most:+.2g} % at most"
        falls = found.falling_share(name)
        if falls > 0.0:
            label += f", {float(ranking.gain[-1]):+.2g} % everywhere"
        ax.plot(100.0 * ranking.contact, ranking.gain / most, color=colour, label=label)
        ax.plot([100.0 * half], [0.5], "o", color=colour, ms=4)
    line: dict[str, Any] = {"color": "0.6", "lw": 0.6, "ls": (0, (4, 3)), "zorder": 0}
    ax.axhline(0.5, **line)
    ax.set(xlabel="Share of the contact area, by falling effect [%]", ylabel="Rise / largest rise")
    ax.set_xlim(0.0, 100.0)
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), 1.05)
    ax.set_title("1 % more contact where it raises most", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", fontsize=6.5)
