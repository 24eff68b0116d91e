"""What ends a protocol step or a run: cut-offs, safety bounds, the ends of the salt's range."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from simulator.model.build import Cell
from simulator.model.observe import Extremes
from simulator.model.timestep import State
from simulator.protocol import Course, CutOff

T = TypeVar("T")

#: The salt counts as depleted where c_e falls below this share of its initial value. Where a dead end runs dry the rest
#: of the electrode goes on, and the voltage falls by no more than some ln c: a cut-off ends a discharge long before.
DEPLETED = 1e-15
#: Concentrations at which a run ends are located to this share of the initial one.
SALT_TOLERANCE = 1e-4
#: When no step can be taken any more although the salt is this low somewhere, the salt is what stopped the run.
NEARLY_DEPLETED = 1e-3
#: Failed time steps that the search for an event puts up with.
MOST_FAILURES = 4
VOLTAGE_TOLERANCE = 1e-5  # [V] accuracy of a located voltage limit
CURRENT_TOLERANCE = 1e-4  # the same of a current limit, as a share of it


class Reading(NamedTuple):
    """What events look at: `voltage` [V], external `current` [A] and the extremes of the fields."""

    voltage: float
    current: float
    extremes: Extremes


@dataclass(frozen=True)
class Event:
    """A bound: `excess(reading)` > 0 beyond it, located to `tolerance`, both in `unit`.

    `status` None: the protocol step ends; else the run ends with that status and `message`. `cutoff`: the same as a
    limit of voltage or current, None if it is one of the salt.
    """

    excess: Callable[[Reading], float]
    tolerance: float
    unit: str
    status: str | None
    message: str
    cutoff: CutOff | None = None


#: quantity of a cut-off -> (how it is read, tolerance of a limit, unit)
_QUANTITIES: dict[str, tuple[Callable[[Reading], float], Callable[[float], float], str]] = {
    "voltage": (lambda r: r.voltage, lambda limit: VOLTAGE_TOLERANCE, "V"),
    "current": (lambda r: abs(r.current), lambda limit: CURRENT_TOLERANCE * limit, "A"),
}


def _cutoff(cutoff: CutOff) -> Event:
    """The end of a step at a cut-off."""
    read, tolerance, unit = _QUANTITIES[cutoff.quantity]
    sign, limit = (1.0 if cutoff.above else -1.0), cutoff.limit
    return Event(
        lambda r: sign * (read(r) - limit), tolerance(limit), unit, None, f"Cut-off {limit:.6g} {unit}.", cutoff
    )


def step_events(course: Course, cell: Cell) -> list[Event]:
    """The events that watch over a part of the protocol, its own cut-offs first."""
    low, high = cell.value("voltage_limits")
    events = [_cutoff(cutoff) for cutoff in course.cutoffs]
    if course.control == "current":  # an imposed voltage was checked before the run
        for limit, above, text in ((high, True, "above"), (low, False, "below")):
            same = _cutoff(CutOff("voltage", limit, above))
            message = f"Voltage {text} {limit:g} V."
            events.append(dataclasses.replace(same, status="voltage_limit", message=message))
    if cell.model.binary:
        c_init = float(cell.value("electrolyte.c_e_init"))
        floor, near = DEPLETED * c_init, SALT_TOLERANCE * c_init
        cap = float(cell.value("electrolyte.c_e_max"))
        depleted = f"The salt fell below {floor:.3g} mol/m3 somewhere."
        saturated = f"The salt passed its solubility, {cap:.4g} mol/m3, somewhere."
        events.append(Event(lambda r: floor - r.extremes.c_e_min, near, "mol/m3", "salt_depleted", depleted))
        events.append(Event(lambda r: r.extremes.c_e_max - cap, near, "mol/m3", "salt_saturated", saturated))
    return events


def first_crossed(events: Sequence[Event], before: Reading, after: Reading) -> Event | None:
    """The event crossed between two states that linear interpolation puts first, or None."""
    first, when = None, math.inf
    for event in events:
        end = event.excess(after)
        if end > 0:
            start = event.excess(before)
            fraction = -start / (end - start) if start < 0 else 0.0
            if fraction < when:
                first, when = event, fraction
    return first


def time_to_first(events: Sequence[Event], now: Reading, state: State) -> float:
    """Time [s] to the first event at the present rates of voltage and current: aim there instead of far across it."""
    if state.reach == 0.0:
        return math.inf
    soonest = math.inf
    # events are linear in both, so that one second tells the rate
    later = now._replace(voltage=now.voltage + state.voltage_rate, current=now.current + state.current_rate)
    for event in events:
        excess = event.excess(now)
        rate = event.excess(later) - excess
        if excess < 0 < rate:
            soonest = min(soonest, -excess / rate)
    return soonest


def locate(
    attempt: Callable[[float], tuple[float, T] | None], start: float, end: tuple[float, float, T], tolerance: float
) -> tuple[float, float, T]:
    """The time step (Illinois method) that ends on an event: (length, excess there, what came with it).

    **Arguments:** `attempt(length)`: the excess at the end of a step of that length and what is to come with it, None
    if that step failed; `start` < 0: the excess at length 0; `end`: length, excess > 0 and the rest of the known step;
    `tolerance` of the excess.

    Returns the best one found: its excess is positive or within the tolerance. Where an attempt fails the next is made
    closer to the step that is known to succeed, a few times.
    """
    size, f_high, _ = best = end
    low, f_low, high, side, failed = 0.0, start, size, 0, 0
    closer: float | None = None
    for _ in range(25):
        if f_low >= 0 or abs(f_high) <= tolerance or high - low < 1e-12 * max(size, 1e-3):
            break
        length = high - f_high * (high - low) / (f_high - f_low) if closer is None else closer
        if not low < length < high:
            length = 0.5 * (low + high)
        found, closer = attempt(length), None
        if found is None:
            failed += 1
            if failed > MOST_FAILURES:
                break
            closer = 0.5 * (length + high)
            continue
        value = found[0]
        if value > 0 or abs(value) <= tolerance:
            best = (length, *found)
        if value > 0:
            high, f_high = length, value
            f_low = 0.5 * f_low if side == 1 else f_low
            side = 1
        else:
            low, f_low = length, value
            f_high = 0.5 * f_high if side == -1 else f_high
            side = -1
        if abs(value) <= tolerance:
            break
    return best
