"""Capacities, efficiencies, mean voltages and resistances against the number of the cycle."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from simulator.errors import ConfigError
from simulator.viz.figures import BLACK, BLUE, GREEN, RED, STYLE, save

#: axis label -> (column of the table, name, colour, marker) of each line
_PANELS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    r"Capacity [mAh g$^{-1}$ active material]": (
        ("charge capacity [mAh/g AM]", "charge", BLUE, "o"),
        ("discharge capacity [mAh/g AM]", "discharge", RED, "s"),
    ),
    "Efficiency [%]": (
        ("coulombic efficiency [%]", "coulombic", BLACK, "o"),
        ("energy efficiency [%]", "energy", GREEN, "s"),
    ),
    "Mean voltage [V]": (
        ("mean charge voltage [V]", "charge", BLUE, "o"),
        ("mean discharge voltage [V]", "discharge", RED, "s"),
    ),
    r"Resistance after 10 s [$\Omega$ cm$^2$]": (
        ("resistance 10 s into charge [ohm cm2]", "start of charge", BLUE, "o"),
        ("resistance 10 s into discharge [ohm cm2]", "start of discharge", RED, "s"),
    ),
}
_MANY = 40  # cycles from which on lines need no markers


def plot_cycles(table: Mapping[str, np.ndarray], path: str | os.PathLike[str], *, status: str = "finished") -> Path:
    """Four panels over the cycles of a `cycle_table`; `status` is told if the run did not finish.

    **Errors:** ConfigError for a table without cycles, or an unknown extension.
    """
    cycles = table["cycle [-]"]
    if cycles.size == 0:
        raise ConfigError("The table holds no cycles, so there is nothing to draw.")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 4.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        for ax, (label, lines) in zip(axes.ravel(), _PANELS.items(), strict=True):
            # the line below is the wider one, so that two that agree are both seen
            for (column, name, colour, marker), wide in zip(lines, (2.2, 1.0), strict=True):
                points: dict[str, Any] = {} if cycles.size > _MANY else {"marker": marker, "ms": 2.5 + 1.2 * wide}
                ax.plot(cycles, table[column], color=colour, lw=wide, label=name, **points)
            _finish(ax, label, bool(np.isfinite([table[column] for column, *_ in lines]).any()))
        for ax in axes[1]:
            ax.set_xlabel("Cycle")
            ax.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))
            ax.set_xlim(cycles[0] - 0.5, cycles[-1] + 0.5)
        figure.align_ylabels()
        if status != "finished":
            figure.suptitle(f"run status: {status}", fontsize=8, x=0.02, ha="left")
        return save(figure, path)


def _finish(ax: Axes, label: str, known: bool) -> None:
    ax.set_ylabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.ticklabel_format(axis="y", useOffset=False)
    low, high = ax.get_ylim()
    least = 0.01 * max(abs(low), abs(high))  # a line that hardly changes shall look so
    if high - low < least:
        ax.set_ylim(0.5 * (low + high - least), 0.5 * (low + high + least))
    if known:
        ax.legend()
    else:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "not in this run", transform=ax.transAxes, ha="center", color="0.4")
