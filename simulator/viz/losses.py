"""Where the voltage goes: open-circuit and cell voltage, and the losses between them, by cause."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.errors import ConfigError
from simulator.protocol.half_cycles import HalfCycle
from simulator.viz.curves import DIRECTIONS, half_cycles
from simulator.viz.fields import Run
from simulator.viz.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, STYLE, YELLOW, save

OCV = "ocv_volt"
#: column -> (name, colour, hatch): stacked in this order, from the counter electrode to the particles.
#: Neighbours differ in lightness, and every second one is hatched, so that they stay apart in grey print.
CAUSES: dict[str, tuple[str, str, str]] = {
    "loss_counter_electrode_volt": ("counter electrode", BLUE, ""),
    "loss_separator_volt": ("ions in the separator", SKY, "////"),
    "loss_ionic_volt": ("ions in the electrode", GREEN, ""),
    "loss_salt_volt": ("salt concentration", YELLOW, "\\\\\\\\"),
    "loss_charge_transfer_volt": ("charge transfer", RED, ""),
    "loss_contact_volt": ("films and contacts", PINK, "...."),
    "loss_solid_diffusion_volt": ("diffusion in the particles", ORANGE, ""),
    "loss_electronic_volt": ("electrons", "#999999", "xxxx"),
}
_FADED = 0.005  # causes below this share of the largest total are not drawn, but named


def causes(run: Run) -> list[str]:
    """Loss columns that the run stored, in drawing order; unknown ones (`loss_*_volt`) at the end."""
    stored = [name for name in run.timeseries if name.startswith("loss_") and name.endswith("_volt")]
    return [name for name in CAUSES if name in stored] + sorted(name for name in stored if name not in CAUSES)


def cause_style(column: str) -> tuple[str, str, str]:
    """(name, colour, hatch) of a loss column."""
    return CAUSES.get(column, (column.removeprefix("loss_").removesuffix("_volt").replace("_", " "), BLACK, "||||"))


def mean_losses(run: Run, rows: slice | None = None) -> dict[str, float]:
    r"""Column -> mean loss [V] over the rows, weighted by the charge that passed: $\int L|I|dt / \int|I|dt$.

    Positive where energy is lost, on charge and on discharge. NaN if no charge passed.
    """
    series = run.timeseries
    part = slice(None) if rows is None else slice(max(rows.start - 1, 0), rows.stop)
    time, current = series["test_time_second"][part], series["current_ampere"][part]
    # a row holds the end of its time step: its values stand for that step
    charge = np.abs(current[1:]) * np.diff(time)
    means = {}
    for name in causes(run):
        loss = series[name][part][1:] * np.sign(current[1:])
        known = np.isfinite(loss)
        weight = charge[known].sum()
        means[name] = float((loss[known] * charge[known]).sum() / weight) if weight > 0.0 else float("nan")
    return means


def newest_half_cycles(run: Run) -> tuple[np.ndarray, list[HalfCycle], str]:
    """The last charge and the last discharge, in the order they ran, as `half_cycles` gives all; what has no direction
    (jumps over cycles) only if there is nothing else."""
    x, parts, label = half_cycles(run)
    parts = [half for half in parts if half.direction] or parts
    last = {half.direction: number for number, half in enumerate(parts)}
    return x, [half for number, half in enumerate(parts) if number == last[half.direction]], label


def plot_losses(run: Run, path: str | os.PathLike[str]) -> Path:
    """Cell voltage and open-circuit voltage, and below them what lies between: losses by cause, stacked [mV].

    One column for the last charge and one for the last discharge. Losses are counted positive where they cost
    energy: voltage = OCV + total on charge, OCV - total on discharge. The legend holds the mean of each cause,
    weighted by charge; causes far below the others are only named there.

    **Errors:** ConfigError if the run stored no losses, or for an unknown extension.
    """
    names = causes(run)
    if OCV not in run.timeseries or not names:
        raise ConfigError("The run stored no voltage losses (columns ocv_volt, loss_*_volt). Repeat it to get them.")
    if run.timeseries["test_time_second"].size == 0:
        raise ConfigError("The run holds no time-series rows, so there are no losses to draw.")
    x, parts, label = newest_half_cycles(run)
    with mpl.rc_context({**STYLE, "hatch.linewidth": 0.4}):
        figure = Figure(figsize=(2.5 + 2.8 * len(parts), 4.8), layout="constrained")
        axes = figure.subplots(2, len(parts), sharex="col", sharey="row", squeeze=False)
        drawn: dict[str, Any] = {}
        for column, (rows, sign, _) in enumerate(parts):
            _draw_voltages(axes[0, column], run, x, rows, sign)
            drawn |= _draw_stack(axes[1, column], run, x, rows, sign)
            axes[1, column].set_xlabel(label)
        ends = np.array([[ax.dataLim.y0, ax.dataLim.y1] for ax in axes[1]])
        axes[1, 0].set_ylim(1.05 * min(ends[:, 0].min(), 0.0), 1.05 * max(ends[:, 1].max(), 1e-6))
        _legend(figure, run, parts, drawn)
        axes[0, 0].set_ylabel("Voltage [V]")
        axes[1, 0].set_ylabel("Voltage loss [mV]")
        for ax in axes.ravel():
            ax.spines[["top", "right"]].set_visible(False)
        if run.status != "finished":
            figure.suptitle(f"run status: {run.status}", fontsize=8, x=0.02, ha="left")
        return save(figure, path)


def _draw_voltages(ax: Axes, run: Run, x: np.ndarray, rows: slice, sign: int) -> None:
    voltage, ocv = run.timeseries["voltage_volt"][rows], run.timeseries[OCV][rows]
    ax.plot(x[rows], voltage, color=RED if sign < 0 else BLUE, label="cell voltage")
    ax.plot(x[rows], ocv, color="0.2", ls="--", lw=1.0, label="open circuit (mean stoichiometry)")
    ax.fill_between(x[rows], voltage, ocv, color="0.85", lw=0)
    ax.set_title(DIRECTIONS[sign] or "")
    ax.legend()


def _draw_stack(ax: Axes, run: Run, x: np.ndarray, rows: slice, sign: int) -> dict[str, Any]:
    """Stacked areas: causes that cost upwards from zero, causes that give back downwards.

    Returns column -> patch of what is drawn.
    """
    series = run.timeseries
    flow = np.sign(series["current_ampere"][rows]) if sign else np.ones(x[rows].size)
    losses = {name: 1e3 * series[name][rows] * flow for name in causes(run)}
    known = np.all([np.isfinite(loss) for loss in losses.values()], axis=0) & (flow != 0)
    if not known.any():
        ax.text(0.5, 0.5, "no current flows", transform=ax.transAxes, ha="center")
        return {}
    at, losses = x[rows][known], {name: loss[known] for name, loss in losses.items()}
    total = np.sum(list(losses.values()), axis=0)
    least = _FADED * np.abs(total).max()
    up, down = np.zeros(at.size), np.zeros(at.size)
    drawn: dict[str, Any] = {}
    for name, loss in losses.items():
        if np.abs(loss).max() < least:
            continue
        _, colour, hatch = cause_style(name)
        style: dict[str, Any] = {"facecolor": colour, "hatch": hatch, "edgecolor": "0.25", "lw": 0}
        over, under = up + np.maximum(loss, 0.0), down + np.minimum(loss, 0.0)
        drawn[name] = ax.fill_between(at, up, over, **style)
        ax.fill_between(at, down, under, **style)
        up, down = over, under
    ax.plot(at, total, color="k", lw=1.2)
    ax.axhline(0.0, color="0.4", lw=0.5)
    return drawn


def _legend(figure: Figure, run: Run, parts: Sequence[HalfCycle], drawn: Mapping[str, Any]) -> None:
    """The causes in the order of the stack, each with its mean in every half-cycle that is drawn."""
    means = [mean_losses(run, rows) for rows, _, _ in parts]
    numbers = {name: " | ".join(_millivolts(1e3 * mean[name]) for mean in means) for name in causes(run)}
    total = " | ".join(_millivolts(1e3 * sum(mean.values())) for mean in means)
    handles: list[Any] = [Line2D([], [], color="k", lw=1.2)]
    texts = [f"total: {total}"]
    for name in [name for name in causes(run) if name in drawn][::-1]:
        handles.append(drawn[name])
        texts.append(f"{cause_style(name)[0]}: {numbers[name]}")
    for name in [name for name in causes(run) if name not in drawn]:
        handles.append(Line2D([], [], lw=0))
        texts.append(f"{cause_style(name)[0]}: {numbers[name]}, not drawn")
    which = " | ".join(filter(None, (DIRECTIONS[sign] for _, sign, _ in parts)))
    title = f"Mean loss [mV]\n{which}".strip()
    figure.legend(handles, texts, title=title, loc="outside right lower", alignment="left", fontsize=6.5)


def _millivolts(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
