"""Voltage and state of charge against specific capacity; the half-cycles that all curves are drawn by."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from simulator.errors import ConfigError
from simulator.protocol.half_cycles import HalfCycle, find_half_cycles
from simulator.viz.fields import Run, parameter, soc_field, to_soc
from simulator.viz.figures import BLUE, RED, STYLE, save

#: What the sign of the current is called.
DIRECTIONS = {1: "charge", -1: "discharge", 0: None}
#: Colours of the cycles by their number; the palest yellows would be lost on white.
CYCLE_MAP = ListedColormap(mpl.colormaps["viridis"](np.linspace(0.0, 0.9, 256)))
_FEW = 2  # cycles that are told apart by shades of the colours of charge and discharge


def plot_voltage(run: Run, path: str | os.PathLike[str]) -> Path:
    """Voltage, and below it mean SOC with its spread, against specific capacity [mAh/g AM].

    Each charge and each discharge starts at zero. More than two cycles are coloured by their number. Against time if
    the mass of active material is not known or no current ever flows. Bands of the last charge and discharge: minimum
    to maximum and 10 to 90 % of the active-material voxels, as far as the run stored them (columns `sto_min`,
    `sto_max`, `sto_p10`, `sto_p90`, or else from the saved fields).

    **Errors:** ConfigError without time-series rows, or for an unknown extension.
    """
    series = run.timeseries
    times = series["test_time_second"]
    if times.size == 0:
        raise ConfigError("The run holds no time-series rows, so there is no curve to draw.")
    x, parts, label = half_cycles(run)
    bands = _soc_statistics(run) if parameter(run, "am.sto_window") is not None else {}
    by_cycle = len({half.cycle for half in parts}) > _FEW
    shades = ScalarMappable(Normalize(parts[0].cycle, parts[-1].cycle), CYCLE_MAP)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.1 if by_cycle else 3.5, 4.4 if bands else 2.8), layout="constrained")
        axes = figure.subplots(2 if bands else 1, 1, sharex=True, squeeze=False)[:, 0]
        drawn: set[str] = set()
        last = {half.direction: number for number, half in enumerate(parts)}
        for number, half in enumerate(parts):
            newest = number == last[half.direction]
            if by_cycle:
                style: dict[str, Any] = {"color": shades.to_rgba(np.array([half.cycle]))[0], "lw": 0.8}
            else:
                strength = 1.0 if newest else 0.3 + 0.4 * number / len(parts)
                style = {"color": _shade(RED if half.direction < 0 else BLUE, strength)}
            name = DIRECTIONS[half.direction]
            axes[0].plot(x[half.rows], series["voltage_volt"][half.rows], label=name if newest else None, **style)
            if bands:
                drawn |= _draw_soc(axes[1], bands, x, half.rows, style, newest)
        axes[0].set_ylabel("Cell voltage [V]")
        if by_cycle:
            bar = figure.colorbar(shades, ax=axes[0], location="top", aspect=30, pad=0.02)
            bar.set_label("Cycle (charges rise, discharges fall)")
            bar.locator = MaxNLocator(nbins=6, integer=True)
        elif any(half.direction for half in parts):
            axes[0].legend(title=f"{len(parts)} half-cycles, last ones dark" if len(parts) > 2 else None)
        if run.status != "finished":
            axes[0].set_title(f"run status: {run.status}")
        if bands:
            axes[1].set_ylabel("State of charge of the particles")
            _soc_legend(axes[1], drawn)
        axes[-1].set_xlabel(label)
        for ax in axes:
            ax.spines[["top", "right"]].set_visible(False)
        figure.align_ylabels()
        return save(figure, path)


def half_cycles(run: Run) -> tuple[np.ndarray, list[HalfCycle], str]:
    """x of every row, the half-cycles (one, without direction, if there is no capacity), and the axis label."""
    series = run.timeseries
    times, current = series["test_time_second"], series["current_ampere"]
    parts = find_half_cycles(current, series.get("cycle_count"))
    if not np.isfinite(run.am_mass) or not any(half.direction for half in parts):
        unit, factor = ("h", 3600.0) if times[-1] >= 3600.0 else ("s", 1.0)
        return times / factor, [HalfCycle(slice(0, times.size), 0, 1)], f"Time [{unit}]"
    capacity = run.capacity / 3.6 / (1e3 * run.am_mass)  # C -> mAh, kg -> g
    x = np.empty_like(capacity)
    for half in parts:
        # the charge counted so far belongs to the row before: rows are ends of time steps
        x[half.rows] = np.abs(capacity[half.rows] - capacity[max(half.rows.start - 1, 0)])
    return x, parts, r"Specific capacity [mAh g$^{-1}$ active material]"


def _soc_statistics(run: Run) -> dict[str, np.ndarray]:
    """SOC at every time-series row: mean, low, high, p10, p90, each as far as it is known."""
    series, times = run.timeseries, run.timeseries["test_time_second"]
    # SOC falls with stoichiometry: the lowest SOC belongs to the highest stoichiometry
    columns = {"mean": "sto_mean", "low": "sto_max", "high": "sto_min", "p10": "sto_p90", "p90": "sto_p10"}
    found = {name: to_soc(run, series[column]) for name, column in columns.items() if column in series}
    if len(found) == len(columns) or "sto" not in run.field_specs or run.field_times.size == 0:
        return found if "mean" in found else {}
    # a smooth band needs no more points than this, and each costs reading one field
    steps = np.unique(np.linspace(0, run.field_times.size - 1, 25).astype(int))
    values = [soc[np.isfinite(soc)] for soc in (soc_field(run, int(i)) for i in steps)]
    if not all(v.size for v in values):
        return found if "mean" in found else {}
    statistics = {
        "mean": [v.mean() for v in values],
        "low": [v.min() for v in values],
        "high": [v.max() for v in values],
        "p10": [np.percentile(v, 10.0) for v in values],
        "p90": [np.percentile(v, 90.0) for v in values],
    }
    # outside the saved times nothing is known: no line there
    at_rows = {
        name: np.interp(times, run.field_times[steps], points, left=np.nan, right=np.nan)
        for name, points in statistics.items()
    }
    return {**at_rows, **found}


def _draw_soc(
    ax: Axes,
    soc: Mapping[str, np.ndarray],
    x: np.ndarray,
    rows: slice,
    style: Mapping[str, Any],
    newest: bool,
) -> set[str]:
    """Mean SOC of one half-cycle, and its spread if it is the newest of its direction.

    Returns the names of what is drawn.
    """
    drawn = {"mean"}
    for low, high, alpha in (("low", "high", 0.16), ("p10", "p90", 0.34)):
        # bands from the saved fields may not reach to this half-cycle
        if newest and low in soc and high in soc and np.isfinite(soc[low][rows]).any():
            ax.fill_between(x[rows], soc[low][rows], soc[high][rows], color=style["color"], alpha=alpha, lw=0)
            drawn.add(low)
    ax.plot(x[rows], soc["mean"][rows], **style)
    return drawn


def _soc_legend(ax: Axes, drawn: set[str]) -> None:
    """In grey, as it holds for charge and discharge alike."""
    handles: list[Artist] = [Line2D([], [], color="0.3", label="mean")]
    if "p10" in drawn:
        handles.append(Patch(color="0.3", alpha=0.45, lw=0, label="10 to 90 %"))
    if "low" in drawn:
        handles.append(Patch(color="0.3", alpha=0.16, lw=0, label="min to max"))
    ax.legend(handles=handles)


def _shade(colour: str, strength: float) -> tuple[float, float, float]:
    r, g, b = (1.0 - strength * (1.0 - v) for v in to_rgb(colour))
    return r, g, b
