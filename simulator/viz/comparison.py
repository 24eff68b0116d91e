"""Several runs in one figure: voltage against specific capacity, and where the voltage went."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.errors import ConfigError
from simulator.viz.curves import half_cycles
from simulator.viz.fields import Run
from simulator.viz.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, STYLE, save
from simulator.viz.losses import cause_style, causes, mean_losses, newest_half_cycles

_COLOURS = (BLUE, RED, GREEN, BLACK, ORANGE, PINK, SKY)
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (8, 3)))
_LETTERS = 118  # of a legend entry that fit the width of the figure


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of run `number`; 56 runs differ in one of them, the first seven in both."""
    return {"color": _COLOURS[number % len(_COLOURS)], "ls": _DASHES[number % len(_DASHES)]}


def plot_comparison(
    runs: Sequence[Run],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str],
    details: Sequence[str] | None = None,
) -> Path:
    """Voltage of the last charge and discharge of every run against specific capacity, and their mean losses.

    `names`: short, one for each run; `details`: what tells them apart, for the legend. The mean losses
    (weighted by charge over the whole run) are drawn if every run stored them. Runs without rows are named in
    the legend, with no line.

    **Errors:** ConfigError for fewer than two runs, no rows at all, or an unknown extension.
    """
    if len(runs) < 2 or len(names) != len(runs):
        raise ConfigError(f"A comparison needs at least two runs and a name for each, got {len(runs)}.")
    filled = [run.timeseries["test_time_second"].size > 0 for run in runs]
    if not any(filled):
        raise ConfigError("None of the runs holds time-series rows, so there is nothing to compare.")
    labels = {half_cycles(run)[2] for run, full in zip(runs, filled, strict=True) if full}
    if len(labels) > 1:
        raise ConfigError(
            "The runs cannot share an axis: some have a specific capacity, others only a time (no am.density, "
            "or no current). Compare them separately."
        )
    stacked = all(causes(run) for run in runs) and all(filled)
    details = details or [""] * len(runs)
    with mpl.rc_context({**STYLE, "hatch.linewidth": 0.4}):
        wide = _LETTERS if stacked else _LETTERS // 2
        entries = [
            "\n    ".join(textwrap.wrap(": ".join(filter(None, (name, detail))), wide))
            for name, detail in zip(names, details, strict=True)
        ]
        height = 3.2 + 0.15 * sum(entry.count("\n") + 1 for entry in entries)
        figure = Figure(figsize=(7.4 if stacked else 4.6, height), layout="constrained")
        panels = figure.subplots(1, 2 if stacked else 1, width_ratios=(1.25, 1.0) if stacked else None, squeeze=False)
        ax = panels[0, 0]
        for number, (run, full) in enumerate(zip(runs, filled, strict=True)):
            if full:
                x, parts, _ = newest_half_cycles(run)
                for half in parts:
                    ax.plot(x[half.rows], run.timeseries["voltage_volt"][half.rows], **line_style(number))
        ax.set(xlabel=labels.pop(), ylabel="Cell voltage [V]")
        ax.spines[["top", "right"]].set_visible(False)
        if stacked:
            _draw_losses(panels[0, 1], runs, names)
        handles = [Line2D([], [], **line_style(number), label=entry) for number, entry in enumerate(entries)]
        figure.legend(handles=handles, loc="outside lower left", handlelength=3.4, alignment="left")
        return save(figure, path)


def _draw_losses(ax: Axes, runs: Sequence[Run], names: Sequence[str]) -> None:
    """One bar for each run, the first on top; costs to the right of zero, gains to the left."""
    means = [mean_losses(run) for run in runs]
    totals = np.array([sum(1e3 * v for v in mean.values()) for mean in means])
    columns = list(dict.fromkeys(name for mean in means for name in mean))
    place = np.arange(len(runs))
    right, left = np.zeros(len(runs)), np.zeros(len(runs))
    known = totals[np.isfinite(totals)]
    least = 0.005 * np.abs(known).max() if known.size else 0.0
    for column in columns:
        width = np.nan_to_num(1e3 * np.array([mean.get(column, np.nan) for mean in means]))
        if np.abs(width).max() < least:
            continue
        text, colour, hatch = cause_style(column)
        style: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "0.25", "lw": 0, "height": 0.7}
        ax.barh(place, np.maximum(width, 0.0), left=right, label=text, **style)
        ax.barh(place, np.minimum(width, 0.0), left=left, **style)
        right, left = right + np.maximum(width, 0.0), left + np.minimum(width, 0.0)
    for y, total in enumerate(totals):
        if np.isfinite(total):
            ax.text(float(right[y]), float(y), f" {total:.3g} mV", va="center", fontsize=6.5)
    ax.set_yticks(place, names)
    for number, tick in enumerate(ax.get_yticklabels()):
        tick.set_color(line_style(number)["color"])
    ax.invert_yaxis()
    ax.set_xlim(1.08 * float(left.min()), max(1.25 * float(right.max()), 1e-6))
    ax.set_xlabel("Mean voltage loss [mV]")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=6)
