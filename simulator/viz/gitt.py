"""A titration: the curve with its rests, the quasi-open-circuit voltage, and the diffusivity of every pulse."""

import os
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.viz.figures import BLUE, RED, STYLE, save

#: sign of the current -> (name, colour, marker)
_WAYS = {1: ("charge", BLUE, "o"), -1: ("discharge", RED, "s")}


class Pulses(Protocol):
    """What is drawn of each pulse; `simulator.gitt` returns it. Arrays (pulses,), SI."""

    @property
    def time(self) -> np.ndarray: ...
    @property
    def duration(self) -> np.ndarray: ...
    @property
    def current(self) -> np.ndarray: ...
    @property
    def sto(self) -> np.ndarray: ...
    @property
    def sto_rest(self) -> np.ndarray: ...
    @property
    def voltage_rest(self) -> np.ndarray: ...
    @property
    def D1(self) -> np.ndarray: ...
    @property
    def diffusivity(self) -> np.ndarray: ...
    @property
    def radius(self) -> float: ...


def plot_gitt(found: Pulses, time: np.ndarray, voltage: np.ndarray, path: str | os.PathLike[str]) -> Path:
    """Four panels of a titration: voltage [V] against time [s] of the whole run, and what `found` holds of its pulses.

    **Errors:** ConfigError for an unknown extension.
    """
    unit, factor = ("h", 3600.0) if time[-1] >= 3600.0 else ("s", 1.0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 4.8), layout="constrained")
        (curve, rest), (ratio, diffusivity) = figure.subplots(2, 2)
        curve.plot(time / factor, voltage, color="0.35", lw=0.9)
        for begin, length, current in zip(found.time, found.duration, found.current, strict=True):
            _, colour, _ = _WAYS[int(np.sign(current))]
            curve.axvspan(begin / factor, (begin + length) / factor, color=colour, alpha=0.15, lw=0)
        curve.set(xlabel=f"Time [{unit}]", ylabel="Cell voltage [V]", title="pulses shaded")
        _draw(rest, found, found.sto_rest, found.voltage_rest)
        rest.set(xlabel="Mean stoichiometry after the rest", ylabel="Voltage after the rest [V]")
        _draw(ratio, found, found.voltage_rest, found.D1)
        ratio.set(xlabel="Voltage after the rest [V]", ylabel=r"$D_1 = (\Delta E_s/\Delta E_\tau)^2$")
        _draw(diffusivity, found, found.sto, found.diffusivity)
        title = f"R = {1e6 * found.radius:.3g} µm" if np.isfinite(found.radius) else "no particle radius is known"
        diffusivity.set(xlabel="Mean stoichiometry", ylabel=r"$D$ [m$^2$ s$^{-1}$]", title=title)
        for ax, values in ((ratio, found.D1), (diffusivity, found.diffusivity)):
            known = values[np.isfinite(values) & (values > 0.0)]
            if known.size and known.max() > 5.0 * known.min():
                ax.set_yscale("log")
        rest.legend()
        for ax in (curve, rest, ratio, diffusivity):
            ax.spines[["top", "right"]].set_visible(False)
        figure.align_ylabels()
        return save(figure, path)


def _draw(ax: Axes, found: Pulses, x: np.ndarray, y: np.ndarray) -> None:
    for sign, (name, colour, marker) in _WAYS.items():
        chosen = np.sign(found.current) == sign
        style: dict[str, Any] = {"color": colour, "marker": marker, "ms": 3.5, "lw": 0.9, "label": name}
        if chosen.any():
            ax.plot(x[chosen], y[chosen], **style)
