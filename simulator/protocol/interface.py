"""What every step of a protocol tells the run loop. Positive current charges the cell: lithium leaves the oxide.

A protocol is a list of steps. A step has one or more parts, done one after the other; each part has a `Course`: what is
imposed as a function of time, and what ends it.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

CURRENT_UNITS = ("C", "A", "A/m2", "mA/cm2", "mA/g")


class Basis(NamedTuple):
    """What a step must know of the cell: 1C current [A], cross-section [m2], mass of active material [kg] (isolated
    parts included), potential of the counter electrode [V vs Li/Li+]."""

    one_c: float
    area: float
    am_mass: float
    anode_potential: float = 0.0

    def amperes(self, value: float, unit: str) -> float:
        """Current [A] of `value` in one of `CURRENT_UNITS`."""
        # 1 mA/cm2 = 10 A/m2; 1 mA/g = 1 A/kg.
        factors = {"C": self.one_c, "A": 1.0, "A/m2": self.area, "mA/cm2": 10.0 * self.area, "mA/g": self.am_mass}
        return value * factors[unit]


class CutOff(NamedTuple):
    """Ends a part: its voltage [V], or the magnitude of its current [A], comes to lie beyond `limit`."""

    quantity: Literal["voltage", "current"]
    limit: float
    above: bool


@dataclass(frozen=True)
class Course:
    """A part of a step on a given cell, from a given voltage on.

    `control`: whether current [A] or voltage [V] is imposed. `imposed(piece, t)`: its value `t` [s] after the part
    began. It is smooth within each piece, and may jump or bend between two of them. `ends`: times [s] at which the
    pieces end, rising, met exactly; the last ends the part and may be inf. `direction`: +1 charge, -1 discharge, 0
    neither (rest, hold). `dt_max` [s]: longest time step that follows it.
    """

    control: Literal["current", "voltage"]
    ends: tuple[float, ...]
    imposed: Callable[[int, float], float]
    cutoffs: tuple[CutOff, ...] = ()
    direction: int = 0
    dt_max: float = math.inf

    @classmethod
    def constant(
        cls,
        control: Literal["current", "voltage"],
        value: float,
        duration: float | None,
        cutoffs: tuple[CutOff, ...] = (),
        direction: int = 0,
    ) -> "Course":
        """`value` [A or V] for `duration` [s], or until a cut-off."""
        return cls(control, (math.inf if duration is None else duration,), lambda piece, t: value, cutoffs, direction)


class Step(abc.ABC):
    """Interface of all steps. Immutable, compared by value; the repr shows everything that changes numbers."""

    @property
    def direction(self) -> int:
        """+1 charge, -1 discharge, 0 neither, or not known before the run."""
        return 0

    @abc.abstractmethod
    def part(self, number: int, stopped: bool) -> "SingleStep | None":
        """Part 0, 1, 2, ... of the step; None: it is over. `stopped`: whether a part before ended at a cut-off."""

    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] that ends the step, or None. `anode_potential` [V vs Li]: counter electrode."""
        return None

    def voltages(self, anode_potential: float = 0.0) -> dict[str, float]:
        """Cell voltages [V] that the step goes to, by name. They must lie inside the safety limits of the cell."""
        limit = self.cutoff(anode_potential)
        return {} if limit is None else {"cut-off": limit}

    def leaves(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] at which the step ends, as far as that is known."""
        return self.cutoff(anode_potential)

    @abc.abstractmethod
    def describe(self) -> str:
        """The step as text that `parse_protocol` reads back."""


class SingleStep(Step):
    """A step of one part: itself."""

    def part(self, number: int, stopped: bool) -> "SingleStep | None":
        """The step itself, once."""
        return self if number == 0 else None

    @abc.abstractmethod
    def course(self, basis: Basis, voltage: float) -> Course:
        """What is imposed on the cell `basis`, now at `voltage` [V], and what ends it."""
