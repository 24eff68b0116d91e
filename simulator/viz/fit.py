"""A fit: measured and simulated voltages, their differences, and how the fit got there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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


def _label(curve: FittedCurve) -> str:
    rms = float(np.sqrt(np.mean((curve.measured - curve.predicted) ** 2)))
    return f"{curve.name}: {1e3 * rms:.3g} mV rms"
