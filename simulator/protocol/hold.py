"""Constant voltage: 'Hold at 4.2 V until C/20', 'Hold at 4.6 V vs Li for 2 h or until 10 uA/cm2'."""

from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.protocol.interface import Basis, Course, CutOff, SingleStep
from simulator.protocol.phrases import clauses, current_limit, duration, misunderstood, voltage
from simulator.protocol.values import (
    check_current_limit,
    check_duration,
    check_voltage,
    ends_text,
    of_cell,
    voltage_text,
)


@dataclass(frozen=True)
class HoldStep(SingleStep):
    """Constant `voltage` [V] until a duration has passed or the current has fallen, whichever comes first.

    `duration` [s]; `current_limit`: magnitude in `current_unit` (one of `CURRENT_UNITS`) below which the step ends; at
    least one of the two is needed. The voltage is that of the cell, or against lithium if `voltage_reference` is "Li".
    """

    voltage: float
    duration: float | None = None
    current_limit: float | None = None
    current_unit: str = "C"
    voltage_reference: str | None = None

    def __post_init__(self) -> None:
        if self.voltage is None:
            raise ConfigError("A hold needs a voltage in volts.")
        check_voltage("voltage", self.voltage, self.voltage_reference)
        check_duration(self.duration)
        check_current_limit(self.current_limit, self.current_unit)
        if self.duration is None and self.current_limit is None:
            raise ConfigError(f"A hold at {self.voltage:g} V never ends. Give a duration, a current_limit, or both.")

    def voltages(self, anode_potential: float = 0.0) -> dict[str, float]:
        """The held voltage [V] of the cell."""
        return {"held voltage": of_cell(self.voltage, self.voltage_reference, anode_potential)}

    def leaves(self, anode_potential: float = 0.0) -> float:
        """The held voltage [V] of the cell."""
        return of_cell(self.voltage, self.voltage_reference, anode_potential)

    def course(self, basis: Basis, voltage: float) -> Course:
        """The voltage, until the duration has passed or the current lies below its limit."""
        cutoffs: tuple[CutOff, ...] = ()
        if self.current_limit is not None:
            limit = basis.amperes(self.current_limit, self.current_unit)
            cutoffs = (CutOff("current", limit, above=False),)
        return Course.constant("voltage", self.leaves(basis.anode_potential), self.duration, cutoffs)

    def describe(self) -> str:
        """For example 'Hold at 4.2 V until 0.05 C'."""
        until = None if self.current_limit is None else f"{self.current_limit:.12g} {self.current_unit}"
        return f"Hold at {voltage_text(self.voltage, self.voltage_reference)}" + ends_text(self.duration, until)


def parse_hold(text: str, after: str) -> HoldStep:
    """'Hold at VOLTAGE [for DURATION] [or until RATE]'."""
    parts = clauses(text, after, ("at", "for", "until"))
    if "at" not in parts:
        raise misunderstood(text, after or text, "the voltage is missing; write 'Hold at 4.2 V until C/20'.")
    volts, reference = voltage(text, parts["at"])
    if "for" not in parts and "until" not in parts:
        raise misunderstood(text, after, "the end is missing; add 'until C/20', 'for 2 h' or both.")
    seconds = duration(text, parts["for"]) if "for" in parts else None
    limit, unit = current_limit(text, parts["until"]) if "until" in parts else (None, "C")
    return HoldStep(volts, seconds, limit, unit, reference)
