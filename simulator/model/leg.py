"""The part of a protocol that the run loop works on: what is imposed when, what ends it, which cycle it belongs to."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from simulator.model.build import Cell
from simulator.model.events import Event, Reading, step_events
from simulator.model.residual import Drive
from simulator.protocol import Course, SingleStep

#: Every change of current is followed by a state exactly this late [s]: the usual time of a pulse resistance.
PULSE = 10.0
#: Points on a curve, at least, while the current passes the theoretical capacity.
POINTS_PER_CAPACITY = 40


@dataclass(frozen=True)
class Leg:
    """One part of a step on a cell. Times `t` [s] count from its begin; `piece`: which of its course's."""

    step: SingleStep
    course: Course
    events: list[Event]
    cell: Cell

    @classmethod
    def of(cls, step: SingleStep, cell: Cell, voltage: float) -> "Leg":
        """`step` begun at `voltage` [V] of the cell."""
        course = step.course(cell.basis, voltage)
        return cls(step, course, step_events(course, cell), cell)

    @property
    def duration(self) -> float:
        """Longest time [s] that it takes; inf without a limit."""
        return self.course.ends[-1]

    def drive(self, piece: int, t: float) -> Drive:
        """What is imposed at the collector."""
        value = self.course.imposed(piece, t)
        return Drive.of_current(value) if self.course.control == "current" else Drive.of_voltage(value)

    def jumps(self, piece: int) -> bool:
        """Whether what is imposed jumps at the end of `piece`."""
        t = self.course.ends[piece]
        return self.course.imposed(piece, t) != self.course.imposed(piece + 1, t)

    def scale(self, present: float, *drives: Drive) -> float:
        """Scale [A] of the residual of a time step: the largest current that is imposed, or the `present` one [A].

        Never less than C/100: at rest, and where a held current fades.
        """
        imposed = [float(drive.current) for drive in drives] if self.course.control == "current" else [present]
        return max(*map(abs, imposed), self.cell.one_c / 100.0)

    def dt_max(self, scale: float, given: float | None) -> float:
        """Longest time step [s]: `given`, or so that curves are smooth to the eye."""
        passes = self.cell.theoretical_capacity / scale
        return min(passes / POINTS_PER_CAPACITY if given is None else given, self.course.dt_max)

    def target(self, piece: int, t: float) -> float:
        """The next time [s] after `t` that must be met exactly."""
        steady = self.course.control == "current" and len(self.course.ends) == 1
        pulse = PULSE if steady and t < PULSE * (1 - 1e-12) else math.inf
        return min(self.course.ends[piece], pulse)

    def exceeded(self, reading: Reading) -> Event | None:
        """The first of its events that lies behind: cut-offs at all, bounds by more than their tolerance."""

        def behind(event: Event) -> bool:
            return event.excess(reading) > (0.0 if event.status is None else event.tolerance)

        return next((event for event in self.events if behind(event)), None)


class Cycle(NamedTuple):
    """Which cycle it is, `number` 1 at first. A new one begins when the direction (+1 charge, -1 discharge) returns to
    that of the `first` step with one (0: none yet) after the opposite one; `last`: the direction now."""

    number: int = 1
    first: int = 0
    last: int = 0

    def enter(self, direction: int) -> "Cycle":
        """At the begin of a step; rests and holds (0) belong to what was before."""
        if direction == 0:
            return self
        again = direction == self.first and self.last == -self.first
        return Cycle(self.number + again, self.first or direction, direction)
