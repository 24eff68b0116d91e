"""What ends a protocol step or a run: cut-offs, safety bounds, the ends of the salt's range."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from simulator.model.build import Cell
from simulator.model.observe import Extremes
from simulator.protocol import Step

#: The salt counts as depleted where c_e falls below this share of its initial value: every validity range ends
#: before, and the diffusion potential diverges there.
DEPLETED = 1e-3
#: When no step can be taken any more although the salt is this low somewhere, the salt is what stopped the run.
NEARLY_DEPLETED = 0.05
VOLTAGE_TOLERANCE = 1e-5  # [V] accuracy of a located voltage limit


class Reading(NamedTuple):
    """What events look at: `voltage` [V], external `current` [A] and the extremes of the fields."""

    voltage: float
    current: float
    extremes: Extremes


@dataclass(frozen=True)
class Event:
    """A bound: `excess(reading)` > 0 beyond it, located to `tolerance`.

    `status` None: the protocol step ends; else the run ends with that status and `message`.
    """

    excess: Callable[[Reading], float]
    tolerance: float
    status: str | None
    message: str


def step_events(step: Step, cell: Cell) -> list[Event]:
    """The events that watch over `step`, its own cut-off first."""
    low, high = cell.value("voltage_limits")
    events = []
    cutoff = step.cutoff(float(cell.value("anode.potential")))
    if cutoff is not None:
        sign = step.direction
        events.append(Event(lambda r: sign * (r.voltage - cutoff), VOLTAGE_TOLERANCE, None, f"Cut-off {cutoff:g} V."))
    above, below = f"Voltage above {high:g} V.", f"Voltage below {low:g} V."
    events.append(Event(lambda r: r.voltage - high, VOLTAGE_TOLERANCE, "voltage_limit", above))
    events.append(Event(lambda r: low - r.voltage, VOLTAGE_TOLERANCE, "voltage_limit", below))
    if cell.model.binary:
        floor = DEPLETED * float(cell.value("electrolyte.c_e_init"))
        cap = float(cell.value("electrolyte.c_e_max"))
        depleted = f"The salt fell below {floor:.3g} mol/m3 somewhere."
        saturated = f"The salt passed its solubility, {cap:.4g} mol/m3, somewhere."
        events.append(Event(lambda r: floor - r.extremes.c_e_min, 0.1 * floor, "salt_depleted", depleted))
        events.append(Event(lambda r: r.extremes.c_e_max - cap, 0.1 * floor, "salt_saturated", saturated))
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
