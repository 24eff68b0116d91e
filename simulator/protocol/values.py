"""Checks and texts of the quantities that several kinds of steps hold: durations, currents, voltages."""

import math
import numbers

from simulator.errors import ConfigError, did_you_mean
from simulator.protocol.interface import CURRENT_UNITS

REFERENCES: tuple[str | None, ...] = (None, "Li")


def is_finite(value: object) -> bool:
    """Whether `value` is a finite real number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_duration(duration: float | None) -> None:
    """ConfigError unless `duration` [s] is None or finite and above zero."""
    if duration is not None and not (is_finite(duration) and duration > 0):
        raise ConfigError(f"A duration must be finite and above 0 s, got {duration!r} s. Leave the step out instead.")


def check_unit(unit: str) -> None:
    """ConfigError for a unit of current that does not exist."""
    if unit not in CURRENT_UNITS:
        raise ConfigError(f"Unit {unit!r} of a current is not known." + did_you_mean(str(unit), CURRENT_UNITS))


def check_current_limit(limit: float | None, unit: str) -> None:
    """ConfigError unless `limit` is None, or finite and above zero in a known `unit`."""
    check_unit(unit)
    if limit is not None and not (is_finite(limit) and limit > 0):
        raise ConfigError(f"current_limit = {limit!r} {unit} must be finite and above zero: it is a magnitude.")


def check_voltage(name: str, voltage: float | None, reference: str | None) -> None:
    """ConfigError unless `voltage` is None or finite, and its `reference` None or 'Li'."""
    if voltage is not None and not is_finite(voltage):
        raise ConfigError(f"{name} = {voltage!r} must be a finite number of volts.")
    if reference not in REFERENCES:
        raise ConfigError(f"voltage_reference = {reference!r} must be None (voltage of the cell) or 'Li'.")


def of_cell(voltage: float, reference: str | None, anode_potential: float) -> float:
    """Voltage of the cell [V]: one against Li less the potential of the counter electrode."""
    return voltage if reference is None else voltage - anode_potential


def duration_text(seconds: float) -> str:
    """The largest unit that gives a short exact number."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size and (4 * seconds / size).is_integer():
            return f"{seconds / size:g} {unit}"
    return f"{seconds:.12g} s"


def voltage_text(voltage: float, reference: str | None) -> str:
    """'4.2 V' or '4.6 V vs Li'."""
    return f"{voltage:.12g} V" + (f" vs {reference}" if reference else "")


def ends_text(duration: float | None, until: str | None) -> str:
    """' for 2 h or until 4.2 V'; at least one of the two."""
    words = [] if duration is None else [f"for {duration_text(duration)}"]
    words += [] if until is None else [f"until {until}"]
    return " " + " or ".join(words)
