"""Numbers read off finished runs, by which trends are judged."""

import math
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.geometry import Electrode, label_particles
from simulator.geometry.phases import AM
from simulator.io import RunResult
from simulator.workflows.cycles import cycle_table
from simulator.workflows.folder import RESUMABLE
from simulator.workflows.gitt import Titration, gitt
from simulator.workflows.nickel import LINES, nickel_profile
from simulator.workflows.study.plan import CellStopped

#: regions along a line through a particle, as measured
REGIONS = 4
_SAME_VOLTAGE = 5e-3  # [V] between a wanted voltage and that of the nearest saved moment


class Spread(NamedTuple):
    """Delithiation within the largest particle: range of regions on a line, and of its voxels (5 to 95 %) [-]."""

    regions: float
    voxels: float


class Growth(NamedTuple):
    """Resistance at the start, and its growth to the end, from there and from its lowest value [ohm m2]."""

    start: float
    whole: float
    late: float


class Hump(NamedTuple):
    """Early part of a charge: fall of the voltage behind its early maximum [V], that maximum [V] (NaN without one), and
    how much larger V - OCV is at its early maximum than at 30 % of the charge [V]."""

    fall: float
    voltage: float
    excess: float


def first_charge(run: RunResult) -> slice:
    """Rows of the first charge. **Errors:** ConfigError if the run does not begin with one of two rows or more."""
    charging = run.timeseries["current_ampere"] > 0
    if charging.size < 2 or not charging[:2].all():
        raise ConfigError(f"{run.path} does not begin with a charge.")
    end = int(np.argmin(charging)) if not charging.all() else charging.size
    return slice(0, end)


def specific(run: RunResult) -> np.ndarray:
    """Charge since the start [mAh/g AM], (rows,)."""
    return run.capacity / 3.6 / (1e3 * run.am_mass)


def discharge_capacity(run: RunResult) -> float:
    """Of the first complete cycle [mAh/g AM].

    **Errors:** ConfigError if no discharge follows the charge, CellStopped if the cell did not come to its end.
    """
    _, capacities = discharge_capacities(run)
    if not capacities.size:
        raise _too_few(run, "no complete cycle")
    return float(capacities[0])


def _too_few(run: RunResult, text: str) -> ConfigError:
    """What is said of a run with too few cycles: the cell stopped, or the run was not carried on."""
    if run.status in ("finished", *RESUMABLE):
        return ConfigError(f"{text}: {run.path.parent.name} has {discharge_capacities(run)[0].size}")
    passed = specific(run)
    turned = int(np.argmax(passed))
    found = f"{passed[turned]:.1f} mAh/g of charge and {passed[turned] - passed[-1]:.1f} of discharge"
    return CellStopped(f"{run.path.parent.name} ended as {run.status} after {found}")


def discharge_capacities(run: RunResult) -> tuple[np.ndarray, np.ndarray]:
    """Number, from 1, and discharge capacity [mAh/g AM] of every complete cycle that was computed, both (cycles,).

    Cycles that were jumped have no entry; the one in which a run was cut short is left out.
    """
    table = cycle_table(run)
    number, capacity = table["cycle [-]"], table["discharge capacity [mAh/g AM]"]
    whole = np.isfinite(capacity)
    if run.status != "finished":
        whole[-1] = False
    return number[whole] - number[0] + 1.0, capacity[whole]


def retention(run: RunResult) -> tuple[np.ndarray, np.ndarray]:
    """Number of every computed complete cycle, and its discharge capacity over that of the first [-], both (cycles,).

    **Errors:** ConfigError with fewer than two cycles, CellStopped if the cell could not do them.
    """
    number, capacity = discharge_capacities(run)
    if number.size < 2:
        raise _too_few(run, "needs two complete cycles")
    return number, capacity / capacity[0]


def cycles_to(run: RunResult, kept: float) -> float | None:
    """Cycle at which the retention falls to `kept` [-], linear between computed cycles; None if it has not yet."""
    number, left = retention(run)
    below = np.flatnonzero(left <= kept)
    if not below.size:
        return None
    k = int(below[0])
    return float(np.interp(-kept, -left[k - 1 : k + 1], number[k - 1 : k + 1])) if k else float(number[0])


def moment_at(run: RunResult, volts: float) -> float:
    """Time [s] at which the first charge reaches `volts`.

    **Errors:** ConfigError if it does not, or no fields were saved there.
    """
    rows = first_charge(run)
    time, voltage = run.timeseries["test_time_second"][rows], run.timeseries["voltage_volt"][rows]
    there = np.flatnonzero(voltage >= volts - 1e-3)
    if not there.size:
        raise ConfigError(f"the charge of {run.path.parent.name} ends below {volts:g} V")
    moment = float(time[there[0]])
    saved = float(run.field_times[run.step_index(moment)])
    if abs(float(np.interp(saved, time, voltage)) - volts) > _SAME_VOLTAGE:
        raise ConfigError(f"no fields were saved near {volts:g} V in {run.path.parent.name}")
    return moment


def delithiation_spread(run: RunResult, t: float) -> Spread:
    """How uneven the largest particle is at time `t` [s].

    As measured in transmission: `REGIONS` equal regions on a line through its centre; of the three axes the one on
    which they differ most. And voxel by voxel, which projects nothing.
    """
    electrode = label_particles(Electrode(run.phase, run.voxel_size))
    profiles = [
        nickel_profile(run, t=t, direction=name, regions=REGIONS, electrode=electrode).delithiation for name in LINES
    ]
    ranges = [float(np.nanmax(profile) - np.nanmin(profile)) for profile in profiles]
    assert electrode.particle is not None
    label = np.bincount(electrode.particle[electrode.phase == AM]).argmax()
    inside = (electrode.particle == label) & (electrode.phase == AM)
    low, high = np.percentile(run.field("sto", t=t)[inside], (5.0, 95.0))
    return Spread(max(ranges), float(high - low))


def resistance_growth(run: RunResult) -> Growth:
    """Of the interface resistance over the first charge. **Errors:** ConfigError for a file without that column."""
    rows = first_charge(run)
    if "interface_resistance_ohm_m2" not in run.timeseries:
        raise ConfigError(f"{run.path} holds no interface resistance: it was made by an earlier version.")
    found = run.timeseries["interface_resistance_ohm_m2"][rows]
    return Growth(float(found[0]), float(found[-1] - found[0]), float(found[-1] - found.min()))


def hump(run: RunResult) -> Hump:
    """What stands out in the first quarter of the first charge."""
    rows = first_charge(run)
    series, charge = run.timeseries, run.capacity[rows]
    volts = series["voltage_volt"][rows]
    early = charge <= 0.25 * charge[-1]
    peak = np.maximum.accumulate(volts[early])
    fall = float(np.max(peak - volts[early]))
    where = float(peak[np.argmax(peak - volts[early])]) if fall > 0.0 else math.nan
    over = volts - series["ocv_volt"][rows]
    excess = float(np.max(over[early]) - np.interp(0.3 * charge[-1], charge, over))
    return Hump(fall, where, excess)


def diffusion_change(run: RunResult) -> float:
    """Relative change of D1 = (dE_s/dE_tau)^2 from the charge of the first cycle to that of the second [-].

    Means over the voltages after the rest that both cycles reach. **Errors:** ConfigError without pulses in both.
    """
    found = gitt(run)
    first, second = (_pulses_of(run, found, number) for number in (0, 1))
    low, high = max(first[0].min(), second[0].min()), min(first[0].max(), second[0].max())
    at = first[0][(first[0] >= low) & (first[0] <= high)]
    if at.size < 3:
        raise ConfigError(f"{run.path.parent.name} has too few pulses at the same voltages in both cycles")
    means = [float(np.mean(np.interp(at, *pulses))) for pulses in (first, second)]
    return means[1] / means[0] - 1.0


def _pulses_of(run: RunResult, found: Titration, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Voltage after the rest, rising, and D1 of the charge pulses of cycle `number`, counted from 0."""
    series = run.timeseries
    at = np.searchsorted(series["test_time_second"], found.time, side="right") - 1
    cycle = series["cycle_count"][at]
    numbers = np.unique(cycle)
    chosen = (found.current > 0) & np.isfinite(found.D1)
    chosen &= cycle == numbers[number] if number < numbers.size else False
    if np.count_nonzero(chosen) < 3:
        raise _too_few(run, f"fewer than three charge pulses in cycle {number + 1}")
    order = np.argsort(found.voltage_rest[chosen], kind="stable")
    return found.voltage_rest[chosen][order], found.D1[chosen][order]
