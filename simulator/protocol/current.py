"""Constant current, 'Charge at C/10 until 4.2 V', and rest, 'Rest for 1 h'."""

from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.protocol.interface import Basis, Course, CutOff, SingleStep
from simulator.protocol.phrases import clauses, duration, misunderstood, rate, voltage
from simulator.protocol.values import (
    check_duration,
    check_unit,
    check_voltage,
    duration_text,
    ends_text,
    is_finite,
    of_cell,
    voltage_text,
)


@dataclass(frozen=True)
class CurrentStep(SingleStep):
    """Constant current until a duration has passed or a voltage is reached, whichever comes first.

    `value`: signed rate in `unit` (one of `CURRENT_UNITS`), positive charges; `duration` [s]; `voltage_limit`
    [V], of the cell, or against lithium if `voltage_reference` is "Li". At least one of the two limits is
    needed.
    """

    value: float
    unit: str
    duration: float | None = None
    voltage_limit: float | None = None
    voltage_reference: str | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if not is_finite(self.value) or self.value == 0:
            raise ConfigError(
                f"A current step needs a rate that is finite and not zero, got {self.value!r} {self.unit}. "
                "Use a rest step for no current."
            )
        check_duration(self.duration)
        if self.duration is None and self.voltage_limit is None:
            raise ConfigError(
                f"A current step of {self.value:g} {self.unit} never ends. Give a duration, a voltage_limit, or both."
            )
        check_voltage("voltage_limit", self.voltage_limit, self.voltage_reference)

    @property
    def direction(self) -> int:
        """+1 charge, -1 discharge."""
        return 1 if self.value > 0 else -1

    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] that ends the step, or None: a limit against Li less `anode_potential` [V]."""
        if self.voltage_limit is None:
            return None
        return of_cell(self.voltage_limit, self.voltage_reference, anode_potential)

    def course(self, basis: Basis, voltage: float) -> Course:
        """The current, until the duration or the cut-off."""
        limit = self.cutoff(basis.anode_potential)
        cutoffs = () if limit is None else (CutOff("voltage", limit, above=self.direction > 0),)
        return Course.constant("current", basis.amperes(self.value, self.unit), self.duration, cutoffs, self.direction)

    def describe(self) -> str:
        """For example 'Charge at 0.1 C until 4.2 V'."""
        limit = self.voltage_limit
        until = None if limit is None else voltage_text(limit, self.voltage_reference)
        head = f"{'Charge' if self.value > 0 else 'Discharge'} at {abs(self.value):.12g} {self.unit}"
        return head + ends_text(self.duration, until)


@dataclass(frozen=True)
class RestStep(SingleStep):
    """No current for `duration` [s]; concentrations keep relaxing."""

    duration: float

    def __post_init__(self) -> None:
        if self.duration is None:
            raise ConfigError("A rest step needs a duration in seconds.")
        check_duration(self.duration)

    def course(self, basis: Basis, voltage: float) -> Course:
        """0 A for the duration."""
        return Course.constant("current", 0.0, self.duration)

    def describe(self) -> str:
        """For example 'Rest for 1 h'."""
        return f"Rest for {duration_text(self.duration)}"


def _parse_current(text: str, after: str, sign: float) -> CurrentStep:
    """'[Charge|Discharge] at RATE [for DURATION] [or] [until VOLTAGE]'."""
    parts = clauses(text, after, ("at", "for", "until"))
    if "at" not in parts:
        raise misunderstood(text, after or text, "the rate is missing; write 'at C/10'.")
    value, unit = rate(text, parts["at"])
    if "for" not in parts and "until" not in parts:
        raise misunderstood(text, after, "the end is missing; add 'for 1 h', 'until 4.2 V' or both.")
    seconds = duration(text, parts["for"]) if "for" in parts else None
    limit, reference = voltage(text, parts["until"]) if "until" in parts else (None, None)
    return CurrentStep(sign * value, unit, seconds, limit, reference)


def parse_charge(text: str, after: str) -> CurrentStep:
    """'Charge at RATE [for DURATION] [or until VOLTAGE]'."""
    return _parse_current(text, after, 1.0)


def parse_discharge(text: str, after: str) -> CurrentStep:
    """'Discharge at RATE [for DURATION] [or until VOLTAGE]'."""
    return _parse_current(text, after, -1.0)


def parse_rest(text: str, after: str) -> RestStep:
    """'Rest for DURATION'."""
    parts = clauses(text, after, ("for",))
    if "for" not in parts:
        raise misunderstood(text, text, "the duration is missing; write 'Rest for 1 hour'.")
    return RestStep(duration(text, parts["for"]))
