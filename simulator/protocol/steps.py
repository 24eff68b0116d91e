"""Steps of a protocol. Positive current charges the cell: lithium leaves the oxide.

A new kind of step is one new file (a frozen dataclass derived from `Step` and a phrase parser) and one line
in the registry of `simulator.protocol.parse`.
"""

import abc
import math
import numbers
from dataclasses import dataclass
from typing import ClassVar

from simulator.errors import ConfigError, did_you_mean

CURRENT_UNITS = ("C", "A", "A/m2", "mA/cm2", "mA/g")


class Step(abc.ABC):
    """Interface of all steps: what the time loop needs to know. Immutable, compared by value."""

    @property
    @abc.abstractmethod
    def direction(self) -> int:
        """+1 charge, -1 discharge, 0 rest."""

    @property
    @abc.abstractmethod
    def time_limit(self) -> float | None:
        """Longest duration [s], or None."""

    @abc.abstractmethod
    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] that ends the step, or None. `anode_potential` [V vs Li]: counter electrode."""

    @abc.abstractmethod
    def current(self, *, one_c: float, area: float, am_mass: float) -> float:
        """Applied current [A], positive on charge.

        `one_c`: the 1C current [A]; `area`: cross-section of the electrode [m^2]; `am_mass`: mass of active
        material [kg], isolated parts included.
        """

    @abc.abstractmethod
    def describe(self) -> str:
        """The step as text that `parse_protocol` reads back."""


@dataclass(frozen=True)
class CurrentStep(Step):
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

    REFERENCES: ClassVar[tuple[str | None, ...]] = (None, "Li")

    def __post_init__(self) -> None:
        if self.unit not in CURRENT_UNITS:
            raise ConfigError(
                f"Unit {self.unit!r} of a current is not known." + did_you_mean(str(self.unit), CURRENT_UNITS)
            )
        if not _is_finite(self.value) or self.value == 0:
            raise ConfigError(
                f"A current step needs a rate that is finite and not zero, got {self.value!r} {self.unit}. "
                "Use a rest step for no current."
            )
        _check_duration(self.duration)
        if self.duration is None and self.voltage_limit is None:
            raise ConfigError(
                f"A current step of {self.value:g} {self.unit} never ends. Give a duration, a voltage_limit, or both."
            )
        if self.voltage_limit is not None and not _is_finite(self.voltage_limit):
            raise ConfigError(f"voltage_limit = {self.voltage_limit!r} must be a finite number of volts, or None.")
        if self.voltage_reference not in self.REFERENCES:
            raise ConfigError(
                f"voltage_reference = {self.voltage_reference!r} must be None (voltage of the cell) or 'Li'."
            )

    @property
    def direction(self) -> int:
        """+1 charge, -1 discharge."""
        return 1 if self.value > 0 else -1

    @property
    def time_limit(self) -> float | None:
        """Longest duration [s], or None."""
        return self.duration

    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] that ends the step, or None: a limit against Li less `anode_potential` [V]."""
        if self.voltage_limit is None or self.voltage_reference is None:
            return self.voltage_limit
        return self.voltage_limit - anode_potential

    def current(self, *, one_c: float, area: float, am_mass: float) -> float:
        """Applied current [A] from 1C [A], area [m^2] and active mass [kg]; positive on charge."""
        # 1 mA/cm2 = 10 A/m2; 1 mA/g = 1 A/kg.
        factor = {"C": one_c, "A": 1.0, "A/m2": area, "mA/cm2": 10.0 * area, "mA/g": am_mass}[self.unit]
        return self.value * factor

    def describe(self) -> str:
        """For example 'Charge at 0.1 C until 4.2 V'."""
        text = f"{'Charge' if self.value > 0 else 'Discharge'} at {abs(self.value):.12g} {self.unit}"
        if self.duration is not None:
            text += f" for {_duration_text(self.duration)}"
        if self.voltage_limit is not None:
            text += " or" if self.duration is not None else ""
            text += f" until {self.voltage_limit:.12g} V"
            text += f" vs {self.voltage_reference}" if self.voltage_reference else ""
        return text


@dataclass(frozen=True)
class RestStep(Step):
    """No current for `duration` [s]; concentrations keep relaxing."""

    duration: float

    def __post_init__(self) -> None:
        if self.duration is None:
            raise ConfigError("A rest step needs a duration in seconds.")
        _check_duration(self.duration)

    @property
    def direction(self) -> int:
        """0: no current."""
        return 0

    @property
    def time_limit(self) -> float:
        """Duration [s]."""
        return self.duration

    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """A rest ends by time only."""
        return None

    def current(self, *, one_c: float, area: float, am_mass: float) -> float:
        """0 A."""
        return 0.0

    def describe(self) -> str:
        """For example 'Rest for 1 h'."""
        return f"Rest for {_duration_text(self.duration)}"


def _is_finite(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_duration(duration: float | None) -> None:
    if duration is not None and not (_is_finite(duration) and duration > 0):
        raise ConfigError(f"A duration must be finite and above 0 s, got {duration!r} s. Leave the step out instead.")


def _duration_text(seconds: float) -> str:
    """The largest unit that gives a short exact number."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size and (4 * seconds / size).is_integer():
            return f"{seconds / size:g} {unit}"
    return f"{seconds:.12g} s"
