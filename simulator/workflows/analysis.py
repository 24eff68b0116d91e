"""Numbers that are read off a finished curve."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np


class Curve(Protocol):
    """A `Solution` or a `RunResult`."""

    @property
    def timeseries(self) -> Mapping[str, np.ndarray]: ...
    @property
    def area(self) -> float: ...  # cross-section [m2]


class PulseResistance(NamedTuple):
    """One change of current: protocol step, time of the change [s], currents [A], area resistance [ohm m2]."""

    step: int
    time: float
    current_before: float
    current_after: float
    resistance: float


def jumped_rows(series: Mapping[str, np.ndarray]) -> np.ndarray:
    """The rows (rows,) of a run that stand for cycles jumped over: without current, and the first that shows anything
    of the time and the steps before it."""
    time, number = series["test_time_second"], series["step_count"]
    missing = np.diff(number, prepend=number[:1]) > 1  # a cycle has two steps or more
    return missing & (np.diff(time, prepend=time[:1]) > 0) & (series["current_ampere"] == 0)


def pulse_resistance(run: Curve, after: float = 10.0) -> list[PulseResistance]:
    r"""Resistance of every change of current, `after` [s] it: $R = A\,[V(t+\Delta t)-V(t^-)]/[I(t^+)-I(t^-)]$.

    **Arguments:** a solution or a result. Runs hold a state exactly 10 s after each change of current; for another
    `after` ask for it with `times`. The first step is measured against open circuit (NaN in files without `ocv_volt`).

    **Returns:** one entry per protocol step that changes the current, keeps it and lasts that long, in ohm m2 of
    cross-section. Constant voltage and profiles, whose current goes on to change, have none; nor has the first step
    behind cycles that were jumped over.
    """
    series = run.timeseries
    time, volts, current = (series[n] for n in ("test_time_second", "voltage_volt", "current_ampere"))
    number, ocv = series["step_count"], series.get("ocv_volt", np.full(time.size, np.nan))
    found = []
    jumped = jumped_rows(series)
    for k in np.flatnonzero(np.diff(number, prepend=-1.0) != 0):
        if k and jumped[k - 1]:
            continue
        # before the first row: open circuit, no current
        v0, i0 = (volts[k - 1], current[k - 1]) if k else (ocv[0], 0.0)
        late = np.flatnonzero((number == number[k]) & (np.abs(time - time[k] - after) <= 1e-6 * after))
        steady = late.size > 0 and abs(current[late[0]] - current[k]) <= 1e-9 * abs(current[k])
        if not steady or current[k] == i0:
            continue
        ohms = run.area * (volts[late[0]] - v0) / (current[k] - i0)
        found.append(PulseResistance(int(number[k]), float(time[k]), float(i0), float(current[k]), float(ohms)))
    return found
