"""A measured curve, and how a cell is to follow it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.io.measured import MeasuredCurve
from simulator.io.measured.sign import check_sign
from simulator.model import Cell, build_cell
from simulator.protocol import ProfileStep
from simulator.protocol.measured import profile_from_current

#: [K] by which the temperature of a curve may differ from that of the cell without a warning.
WARMER = 2.0


@dataclass(frozen=True)
class Experiment:
    """One measured curve and what is compared with it: the voltage at some of its rows, while the cell is driven by
    the measured current.

    **Arguments:** `curve`: its current per area, capacity or mass (`MeasuredCurve.scaled`); `label`: None takes the
    name of the file; `rows`: how many voltages are compared, each where straight lines between the others are farthest
    off, or `evenly` in "time" or "charge"; `sigma` [V]: standard deviation of the noise, None: estimated;
    `weight`: how many independent measurements each row counts for; `values`: parameters that hold for this curve
    alone, by dotted name; `tolerance`: of the current, as a share of the largest.
    """

    curve: MeasuredCurve
    label: str | None = None
    rows: int = 40
    evenly: str | None = None
    sigma: float | None = None
    weight: float = 1.0
    values: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-3

    @property
    def name(self) -> str:
        """The label, or the name of the file without its endings."""
        return self.label or Path(self.curve.source).name.split(".")[0] or "curve"


@dataclass(frozen=True)
class Followed:
    """An experiment ready to be simulated: `cell` and `steps`, and what is `measured` [V] at `times` [s], (rows,)."""

    name: str
    cell: Cell
    steps: tuple[ProfileStep, ...]
    times: np.ndarray
    measured: np.ndarray
    experiment: Experiment


def follow(experiment: Experiment, cell: Cell, start: Mapping[str, float]) -> Followed:
    """`start`: values at which the fit of this curve begins, by dotted name.

    **Errors:** ConfigError where the curve lies outside of what the cell can do.
    """
    curve, name = experiment.curve, experiment.name
    if curve.current_unit == "A":
        raise ConfigError(
            f"The current of {name} is that of a whole cell, in A, and the simulated piece is small. Say what it "
            "belongs to: curve.scaled(area=...) [m2], scaled(capacity=...) [Ah] or scaled(mass=...) [kg]."
        )
    if experiment.values:
        cell = build_cell(cell.electrode, cell.parameters, experiment.values)
    step = profile_from_current(curve.time, curve.current, curve.current_unit, experiment.tolerance, step=curve.step)
    _check_voltages(name, curve, cell)
    _check_charge(name, step, cell, start)
    _warn_of_temperature(name, curve, cell)
    _warn_of_sign(name, curve)
    chosen = curve
    if experiment.rows < len(curve):
        chosen = curve.resampled(experiment.rows, evenly=experiment.evenly)
    # Before the current is switched on the cell is in a state of its own; the model begins right after that.
    later = chosen.time > curve.time[0]
    times = chosen.time[later] - curve.time[0]
    return Followed(name, cell, (step,), times, chosen.voltage[later], experiment)


def _check_voltages(name: str, curve: MeasuredCurve, cell: Cell) -> None:
    low, high = cell.value("voltage_limits")
    outside = np.flatnonzero((curve.voltage < low) | (curve.voltage > high))
    if outside.size:
        k = int(outside[0])
        raise ConfigError(
            f"{name}: {curve.voltage[k]:.4g} V at {curve.time[k]:g} s lies outside the safety limits [{low:g}, "
            f"{high:g}] V of the cell. Widen voltage_limits, or leave such rows out with begin and end."
        )


def _check_charge(name: str, step: ProfileStep, cell: Cell, start: Mapping[str, float]) -> None:
    """That the active material can give and take the charge of the curve, from the stoichiometry at the start."""
    at_start = build_cell(cell.electrode, cell.parameters, start)
    low, high = at_start.value("am.sto_window")
    whole, first = at_start.theoretical_capacity / (high - low), float(np.asarray(at_start.value("sto_init")))
    time, amperes = np.asarray(step.time), np.array([cell.basis.amperes(v, step.unit) for v in step.value])
    sto = first - np.append(0.0, np.cumsum(0.5 * (amperes[1:] + amperes[:-1]) * np.diff(time))) / whole
    outside = np.flatnonzero((sto <= 0.0) | (sto >= 1.0))
    if outside.size:
        k = int(outside[0])
        raise ConfigError(
            f"{name}: by {time[k] - time[0]:g} s its charge has taken the active material from sto {first:.3f} to "
            f"{sto[k]:.3f}, outside (0, 1). Check the area, capacity or mass that the current was scaled with, "
            "its sign, sto_init, and whether the electrode holds as much active material as the measured one."
        )


def _warn_of_temperature(name: str, curve: MeasuredCurve, cell: Cell) -> None:
    if curve.temperature is None:
        return
    mean, own = float(np.mean(curve.temperature)), float(cell.value("temperature"))
    if abs(mean - own) > WARMER:
        warnings.warn(
            f"{name} was measured at {mean - 273.15:.1f} degC, the cell is at {own - 273.15:.1f} degC. Build it with "
            "another temperature, or give values={'temperature': ...} for this curve.",
            UserWarning,
            stacklevel=2,
        )


def _warn_of_sign(name: str, curve: MeasuredCurve) -> None:
    """A curve that was read has been checked, or somebody said so; one made of arrays has not."""

    def fits(sign: float) -> bool:
        try:
            check_sign(name, curve.time, curve.voltage, sign * curve.current)
        except ConfigError:
            return False
        return True

    if not fits(1.0) and fits(-1.0):
        warnings.warn(
            f"{name}: the voltage falls where the current is positive and rises where it is negative. Positive current "
            "charges the cell: turn the sign if the curve has the other one.",
            UserWarning,
            stacklevel=2,
        )


def check_labels(experiments: Sequence[Experiment]) -> None:
    """**Errors:** ConfigError unless there is an experiment, and each has a name of its own."""
    if isinstance(experiments, Experiment) or not all(isinstance(e, Experiment) for e in experiments):
        raise ConfigError(f"experiments must be a list of Experiment, got {experiments!r:.80}.")
    names = [experiment.name for experiment in experiments]
    if not names:
        raise ConfigError("There is nothing to fit to: experiments is empty. Give at least one Experiment.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{len(names)} curves, but {repeated[0]!r} is the name of several. Give each a label.")
