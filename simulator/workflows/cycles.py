"""What each cycle gave: capacities, efficiencies, mean voltages, resistances."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from simulator.errors import ConfigError
from simulator.protocol.half_cycles import HalfCycle, find_half_cycles, flowing
from simulator.workflows.analysis import Curve, PulseResistance, pulse_resistance


class CycleOutput(NamedTuple):
    """A column of the time series that the table follows over the cycles.

    `how`: which value of the cycle is shown, a word of `_HOW`; `factor` from the SI of the column to `unit`; `side`:
    left out where no electrolyte has been oxidised on the active material. A column that the run lacks is left out.
    """

    column: str
    unit: str
    heading: str
    how: str
    factor: float = 1.0
    side: bool = False


#: Further columns of the table, in its order.
CYCLE_OUTPUTS = [
    CycleOutput("sto_mean", "-", "mean stoichiometry at the end", "last"),
    CycleOutput("sto_std", "-", "largest spread of stoichiometry", "max"),
    CycleOutput("c_e_min", "mol/m3", "lowest salt concentration", "min"),
    CycleOutput("interface_resistance_ohm_m2", "ohm cm2", "interface resistance at the end of charge", "charged", 1e4),
    CycleOutput("decomposed_coulomb", "C", "charge decomposed in the cycle", "gained", side=True),
    CycleOutput("decomposed_coulomb", "C", "charge decomposed since the start", "last", side=True),
    CycleOutput("film_thickness_mean", "nm", "mean film thickness at the end", "last", 1e9, side=True),
    CycleOutput("film_thickness_max", "nm", "largest film thickness at the end", "last", 1e9, side=True),
    CycleOutput("contact_remaining", "%", "contact remaining at the end", "last", 100.0, side=True),
]


def _charged(values: np.ndarray, direction: np.ndarray) -> float:
    charging = np.flatnonzero(direction > 0)
    return float(values[charging[-1]]) if charging.size else math.nan


#: word of `CycleOutput.how` -> the value of one cycle, of its rows and the signs of their currents (0: rest)
_HOW: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "last": lambda values, _: float(values[-1]),
    "max": lambda values, _: float(np.max(values)),
    "min": lambda values, _: float(np.min(values)),
    "mean": lambda values, _: float(np.mean(values)),
    "gained": lambda values, _: float(values[-1] - values[0]),
    "charged": _charged,
}
_WORDS = {1: "charge", -1: "discharge"}


class CycledRun(Curve, Protocol):
    """A `Solution` or a `RunResult`."""

    @property
    def am_mass(self) -> float: ...  # [kg], isolated parts included
    @property
    def capacity(self) -> np.ndarray: ...  # charge passed since the start [C], positive on charge


class _Half(NamedTuple):
    """What the charges or the discharges of one cycle did: numbers, NaN without any; or arrays over the cycles."""

    charge: Any  # [C]
    energy: Any  # [J]
    end_voltage: Any  # [V], the last under current
    rested_voltage: Any  # [V] at the end of the rest that follows, NaN without
    resistance: Any  # [ohm m2], 10 s after the first change of current


class _Rows(NamedTuple):
    """What each row adds, (rows,): whether current flows, charge [C] and energy [J] put in since the row before."""

    moving: np.ndarray
    charge: np.ndarray
    energy: np.ndarray


def cycle_table(run: CycledRun) -> dict[str, np.ndarray]:
    r"""One row for each cycle: heading with unit -> (cycles,), NaN where a cycle has no such value.

    A cycle is a charge and a discharge (in the order of the run) with their rests: rows of one `cycle_count` if the
    run has that column, else from one return of the current to its first direction to the next. Every value is that of
    the whole cycle; a cycle that the end of the run cuts short counts as far as it went.

    - capacity $Q = \int |I| dt$ over charge or discharge,
    - mean voltage $\int V |I| dt / Q$, the voltage linear in charge between rows,
    - coulombic efficiency: discharged over charged; energy efficiency: the same of $\int V |I| dt$,
    - end voltages: the last under current, and at the end of the rest after it,
    - resistance 10 s after the current of the charge or discharge begins (`pulse_resistance`),
    - retention: capacity of the discharge over that of the first cycle with charge and discharge.

    Then the columns of `CYCLE_OUTPUTS`, at the end of the cycle or over it.

    **Errors:** ConfigError if the run holds no row or no current ever flows.
    """
    series = run.timeseries
    time, current = series["test_time_second"], series["current_ampere"]
    halves = find_half_cycles(current, series.get("cycle_count"))
    if not any(half.direction for half in halves):
        raise ConfigError("No current flows in this run, so it has no cycles. The table needs a charge or a discharge.")
    # a cycle without any current is the end of those that a run has jumped over
    numbers = sorted({half.cycle for half in halves if half.direction})
    of_cycle = [[half for half in halves if half.cycle == number] for number in numbers]
    pulses = pulse_resistance(run)
    rows = _Rows(flowing(current) != 0, np.diff(run.capacity, prepend=0.0), _energies(run))
    found = {
        sign: [_half([h for h in cycle if h.direction == sign], series, rows, pulses) for cycle in of_cycle]
        for sign in _WORDS
    }
    values = {sign: _Half(*(np.array(column) for column in zip(*found[sign], strict=True))) for sign in _WORDS}
    put, taken = values[1], values[-1]
    table = {"cycle [-]": np.array(numbers, dtype=float)}
    for sign, word in _WORDS.items():
        table[f"{word} capacity [mAh/g AM]"] = values[sign].charge / 3.6 / (1e3 * run.am_mass)
    for sign, word in _WORDS.items():
        table[f"{word} capacity [Ah]"] = values[sign].charge / 3600.0
    with np.errstate(divide="ignore", invalid="ignore"):  # a run that ends as a charge begins
        for sign, word in _WORDS.items():
            table[f"mean {word} voltage [V]"] = values[sign].energy / values[sign].charge
        table["coulombic efficiency [%]"] = 100.0 * taken.charge / put.charge
        table["energy efficiency [%]"] = 100.0 * taken.energy / put.energy
        full = np.flatnonzero(np.isfinite(taken.charge / put.charge))
        table["capacity retention [%]"] = 100.0 * taken.charge / (taken.charge[full[0]] if full.size else math.nan)
    for sign, word in _WORDS.items():
        table[f"voltage at the end of {word} [V]"] = values[sign].end_voltage
        table[f"voltage after the rest after {word} [V]"] = values[sign].rested_voltage
        table[f"resistance 10 s into {word} [ohm cm2]"] = 1e4 * values[sign].resistance
    # the first row of a cycle has the time at which the one before ended, save in curves of other programs
    begin = [max(cycle[0].rows.start - 1, 0) for cycle in of_cycle]
    end = [cycle[-1].rows.stop - 1 for cycle in of_cycle]
    table["duration [h]"] = (time[end] - time[begin]) / 3600.0
    direction = flowing(current)
    spans = [slice(cycle[0].rows.start, cycle[-1].rows.stop) for cycle in of_cycle]
    oxidised = bool(np.any(series.get("decomposed_coulomb", 0.0)))
    for output in CYCLE_OUTPUTS:
        if output.column in series and (oxidised or not output.side):
            followed = [_HOW[output.how](series[output.column][span], direction[span]) for span in spans]
            table[f"{output.heading} [{output.unit}]"] = output.factor * np.array(followed)
    return table


def mean_voltages(run: CycledRun) -> dict[str, float]:
    """Mean voltage [V] of all charges ("charge") and of all discharges ("discharge"), weighted by charge."""
    charge, energy = np.diff(run.capacity, prepend=0.0), _energies(run)
    sign = flowing(run.timeseries["current_ampere"])
    passed = {word: np.abs(charge[sign == way]).sum() for way, word in _WORDS.items()}
    spent = {word: np.abs(energy[sign == way]).sum() for way, word in _WORDS.items()}
    return {word: float(spent[word] / passed[word]) for word in passed if passed[word] > 0}


def has_cycles(run: CycledRun) -> bool:
    """Whether the run holds more than one charge or discharge."""
    series = run.timeseries
    halves = find_half_cycles(series["current_ampere"], series.get("cycle_count"))
    return sum(half.direction != 0 for half in halves) > 1


def _energies(run: CycledRun) -> np.ndarray:
    """Energy [J] put in between the row before and each row, (rows,); positive on charge."""
    series = run.timeseries
    volts, step = series["voltage_volt"], series["step_count"]
    before = np.concatenate([volts[:1], volts[:-1]])
    # a row right after a change of current carries no charge; where there is none, its own voltage has to stand
    before = np.where(np.diff(step, prepend=step[:1]) != 0, volts, before)
    return 0.5 * (before + volts) * np.diff(run.capacity, prepend=0.0)


def _half(
    halves: Sequence[HalfCycle], series: Mapping[str, np.ndarray], rows: _Rows, pulses: Sequence[PulseResistance]
) -> _Half:
    """The charges (or discharges) of one cycle taken together."""
    if not halves:
        return _Half(math.nan, math.nan, math.nan, math.nan, math.nan)
    direction = halves[0].direction
    mine = np.concatenate([np.arange(half.rows.start, half.rows.stop) for half in halves])
    first, last = mine[0], mine[-1]
    end = mine[rows.moving[mine]][-1]
    time, volts = series["test_time_second"], series["voltage_volt"]
    begun = [p for p in pulses if time[first] <= p.time <= time[last] and np.sign(p.current_after) == direction]
    return _Half(
        charge=float(direction * rows.charge[mine].sum()),
        energy=float(direction * rows.energy[mine].sum()),
        end_voltage=float(volts[end]),
        rested_voltage=float(volts[last]) if last > end else math.nan,
        resistance=begun[0].resistance if begun else math.nan,
    )
