"""A fit: measured and simulated voltages, their differences, and how the fit got there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from simulator.viz.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, STYLE, save

_COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
#: Curves and parameters that have a colour and a line of the legend.
_MOST = 12


class FittedCurve(NamedTuple):
    """`measured` and `predicted` voltages [V] at `time` [s], (rows,); `whole_time`, `whole_voltage`: all that was
    measured."""

    name: str
    time: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    whole_time: np.ndarray
    whole_voltage: np.ndarray


def plot_fit(path: str | os.PathLike[str], curves: Sequence[FittedCurve], way: Mapping[str, np.ndarray]) -> Path:
    """Four panels: voltages, differences, and for each evaluation the deviation (`way["rms"]` [V]) and the parameters
    (the rest of `way`) relative to their start.

    **Errors:** ConfigError for an unknown extension.
    """
    longest = max(float(curve.time[-1]) for curve in curves)
    unit, factor = ("h", 3600.0) if longest >= 3600.0 else ("s", 1.0)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 5.0), layout="constrained")
        (voltage, parameters), (difference, deviation) = figure.subplots(2, 2, width_ratios=(3, 2), sharex="col")
        for curve, colour in zip(curves, _COLOURS * len(curves), strict=False):
            voltage.plot(curve.whole_time / factor, curve.whole_voltage, color=colour, lw=2.4, alpha=0.3)
            voltage.plot(curve.time / factor, curve.predicted, color=colour, lw=0.9, marker="o", ms=2.0)
            difference.plot(
                curve.time / factor,
                1e3 * (curve.measured - curve.predicted),
                color=colour,
                lw=0.8,
                marker="o",
                ms=2.0,
                label=_label(curve),
            )
        voltage.set_ylabel("Cell voltage [V]")
        voltage.set_title("measured (wide) and simulated")
        difference.axhline(0.0, color=BLACK, lw=0.6)
        difference.set(xlabel=f"Time [{unit}]", ylabel="Measured - simulated [mV]")
        if len(curves) <= _MOST:
            difference.legend(loc="best")
        evaluations = np.arange(1, way["rms"].size + 1)
        deviation.semilogy(evaluations, 1e3 * way["rms"], color=BLACK, marker="o", ms=2.5, lw=0.9)
        narrow = np.nanmax(way["rms"]) < 300.0 * np.nanmin(way["rms"])
        deviation.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
        deviation.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        deviation.yaxis.set_minor_formatter(NullFormatter())
        deviation.set(xlabel="Evaluation", ylabel="Root mean square [mV]")
        deviation.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        names = [name for name in way if name != "rms"]
        logarithmic = all(np.all(way[name] / way[name][0] > 0) for name in names if way[name][0] != 0)
        for name, colour in zip(names, _COLOURS * len(names), strict=False):
            start = way[name][0]
            relative = way[name] / start if start else 1.0 + way[name]
            parameters.plot(evaluations, relative, color=colour, marker="o", ms=2.5, lw=0.9, label=name)
        parameters.set_ylabel("Parameter / start")
        if logarithmic:
            parameters.set_yscale("log")
        if len(names) <= _MOST:
            parameters.legend(loc="best", fontsize=6)
        figure.align_ylabels()
        return save(figure, path)


class ProfileCurve(NamedTuple):
    """`excess` (p,): chi2 above its minimum at `values` of a parameter, NaN where runs stop; `threshold`: at the ends
    of the interval `lower` to `upper`, each of them an end only if `closed` says so; `logarithmic`: how it was fitted;
    `best`: the fitted value."""

    name: str
    values: np.ndarray
    excess: np.ndarray
    threshold: float
    lower: float
    upper: float
    closed: tuple[bool, bool]
    best: float
    logarithmic: bool


#: Panels of a row.
_ROW = 3


def plot_profiles(path: str | os.PathLike[str], profiles: Sequence[ProfileCurve]) -> Path:
    """A panel for each parameter: chi2 above its minimum, the threshold, and the interval, shaded; an arrow where an
    end is open.

    **Errors:** ConfigError for an unknown extension.
    """
    columns = min(len(profiles), _ROW)
    rows = -(-len(profiles) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(0.4 + 2.4 * columns, 0.2 + 2.1 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, profile in zip(panels, profiles, strict=False):
            _draw_profile(panel, profile)
        for panel in panels[len(profiles) :]:
            panel.set_visible(False)
        for panel in panels[: len(profiles) : columns]:
            panel.set_ylabel(r"$\chi^2 - \chi^2_\mathrm{min}$")
        return save(figure, path)


def _draw_profile(panel: Axes, profile: ProfileCurve) -> None:
    known = np.isfinite(profile.excess)
    top = 1.5 * profile.threshold
    panel.axvspan(profile.lower, profile.upper, color=SKY, alpha=0.3, lw=0)
    panel.axhline(profile.threshold, color=RED, lw=0.8, ls="--")
    panel.text(0.985, profile.threshold, "95 %", transform=panel.get_yaxis_transform(), ha="right", va="bottom", size=6)
    panel.plot(*_smooth(profile), color=BLUE, lw=1.0)
    panel.plot(profile.values[known], profile.excess[known], color=BLUE, marker="o", ms=3.0, ls="")
    panel.plot([profile.best], [0.0], color=BLACK, marker="|", ms=9.0, ls="", clip_on=False)
    stopped = profile.values[~known]
    panel.plot(stopped, np.full(stopped.size, 0.97 * top), color=RED, marker="x", ms=4.0, ls="")
    for closed, end, arrow in zip(profile.closed, (profile.lower, profile.upper), ("<", ">"), strict=True):
        if not closed:
            panel.plot([end], [0.5 * top], color=BLACK, marker=arrow, ms=5.0, ls="", clip_on=False)
    low, high = float(profile.values.min()), float(profile.values.max())
    if profile.logarithmic and high > 5.0 * low:
        panel.set_xscale("log")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(nbins=4))
    panel.set(xlabel=profile.name, ylim=(-0.05 * top, top))
    panel.set_title(
        f"{'' if profile.closed[0] else '< '}{profile.lower:.4g} to "
        f"{'' if profile.closed[1] else '> '}{profile.upper:.4g}"
    )


def _smooth(profile: ProfileCurve) -> tuple[np.ndarray, np.ndarray]:
    """Straight lines between the signed roots of the points, in the fitted scale: parabolas where chi2 is one."""
    known = np.isfinite(profile.excess)
    values, excess = profile.values[known], profile.excess[known]
    x = np.log(values) if profile.logarithmic else values
    roots = np.sign(values - profile.best) * np.sqrt(np.maximum(excess, 0.0))
    fine = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], 200)]))
    return np.exp(fine) if profile.logarithmic else fine, np.interp(fine, x, roots) ** 2


def _label(curve: FittedCurve) -> str:
    rms = float(np.sqrt(np.mean((curve.measured - curve.predicted) ** 2)))
    return f"{curve.name}: {1e3 * rms:.3g} mV rms"
