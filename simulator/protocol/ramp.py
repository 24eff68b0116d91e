"""Linear voltage ramp: 'Ramp to 4.3 V at 0.1 mV/s', 'Ramp from 3.0 V to 4.3 V at 0.1 mV/s or until 2C'."""

import math
from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.protocol.interface import Basis, Course, CutOff, SingleStep
from simulator.protocol.phrases import clauses, current_limit, misunderstood, sweep_rate, voltage
from simulator.protocol.values import (
    check_current_limit,
    check_voltage,
    is_finite,
    of_cell,
    voltage_text,
)

#: A ramp is followed in steps of at most this [V]: peaks of its current are some ten times as wide.
RESOLVED = 0.01


@dataclass(frozen=True)
class RampStep(SingleStep):
    """Voltage that goes to `voltage` [V] at `rate` [V/s] > 0, up or down.

    `start` [V]: None begins at the present voltage. `current_limit`: magnitude in `current_unit` (one of
    `CURRENT_UNITS`) above which the step ends earlier. Voltages are those of the cell, or against lithium if
    `voltage_reference` is "Li".
    """

    voltage: float
    rate: float
    start: float | None = None
    current_limit: float | None = None
    current_unit: str = "C"
    voltage_reference: str | None = None

    def __post_init__(self) -> None:
        if self.voltage is None:
            raise ConfigError("A ramp needs the voltage at its end, in volts.")
        check_voltage("voltage", self.voltage, self.voltage_reference)
        check_voltage("start", self.start, self.voltage_reference)
        if not is_finite(self.rate) or self.rate <= 0:
            raise ConfigError(
                f"A ramp needs a rate in V/s that is finite and above zero, got {self.rate!r} V/s. Its two voltages "
                "say whether it goes up or down; a hold keeps a voltage."
            )
        if self.start == self.voltage:
            raise ConfigError(
                f"A ramp from {self.voltage:g} V to the same voltage does nothing. Change one of the two, or use a "
                "hold."
            )
        check_current_limit(self.current_limit, self.current_unit)

    @property
    def direction(self) -> int:
        """+1 up, -1 down, 0 if that depends on the voltage at its start."""
        return 0 if self.start is None else int(math.copysign(1, self.voltage - self.start))

    def voltages(self, anode_potential: float = 0.0) -> dict[str, float]:
        """Start and end [V] of the cell."""
        volts = {"start": self.start, "end": self.voltage}
        return {
            f"{name} of the ramp": of_cell(v, self.voltage_reference, anode_potential)
            for name, v in volts.items()
            if v is not None
        }

    def leaves(self, anode_potential: float = 0.0) -> float | None:
        """The end [V] of the cell; None with a limit of the current, which may end the ramp anywhere before."""
        return None if self.current_limit is not None else self._end(anode_potential)

    def _end(self, anode_potential: float) -> float:
        return of_cell(self.voltage, self.voltage_reference, anode_potential)

    def course(self, basis: Basis, voltage: float) -> Course:
        """The voltage as a function of time, from its start or the present one."""
        end = self._end(basis.anode_potential)
        start = voltage if self.start is None else of_cell(self.start, self.voltage_reference, basis.anode_potential)
        seconds = abs(end - start) / self.rate
        cutoffs: tuple[CutOff, ...] = ()
        if self.current_limit is not None:
            cutoffs = (CutOff("current", basis.amperes(self.current_limit, self.current_unit), above=True),)

        def imposed(piece: int, t: float) -> float:
            return end if t >= seconds else start + (end - start) * (t / seconds)

        direction = 0 if end == start else int(math.copysign(1, end - start))
        return Course("voltage", (seconds,), imposed, cutoffs, direction, dt_max=RESOLVED / self.rate)

    def describe(self) -> str:
        """For example 'Ramp from 3 V to 4.3 V at 0.1 mV/s'."""
        text = "Ramp"
        if self.start is not None:
            text += f" from {voltage_text(self.start, self.voltage_reference)}"
        text += f" to {voltage_text(self.voltage, self.voltage_reference)} at {1e3 * self.rate:.12g} mV/s"
        if self.current_limit is not None:
            text += f" or until {self.current_limit:.12g} {self.current_unit}"
        return text


def parse_ramp(text: str, after: str) -> RampStep:
    """'Ramp [from VOLTAGE] to VOLTAGE at SWEEP RATE [or until RATE]'."""
    parts = clauses(text, after, ("from", "to", "at", "until"))
    if "to" not in parts:
        raise misunderstood(
            text, after or text, "the voltage at its end is missing; write 'Ramp to 4.3 V at 0.1 mV/s'."
        )
    if "at" not in parts:
        raise misunderstood(text, after, "the rate is missing; add 'at 0.1 mV/s'.")
    end, reference = voltage(text, parts["to"])
    start, other = voltage(text, parts["from"]) if "from" in parts else (None, reference)
    if other != reference:
        raise misunderstood(text, after, "give both voltages 'vs Li', or none of them.")
    limit, unit = current_limit(text, parts["until"]) if "until" in parts else (None, "C")
    return RampStep(end, sweep_rate(text, parts["at"]), start, limit, unit, reference)
