"""Intermittent titration: 'GITT at C/10 for 30 min, rest 30 min, until 4.2 V', 'GITT discharge at ...'.

Weppner, Huggins, J. Electrochem. Soc. 124 (1977) 1569, doi:10.1149/1.2133112.
"""

import re
from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.protocol.current import CurrentStep, RestStep
from simulator.protocol.interface import SingleStep, Step
from simulator.protocol.phrases import clauses, duration, misunderstood, rate, voltage
from simulator.protocol.values import duration_text, voltage_text


@dataclass(frozen=True)
class GittStep(Step):
    """Pulses of constant current with a rest after each, until a pulse meets the cut-off; its rest is the last part.

    `value`: signed rate in `unit` (one of `CURRENT_UNITS`), positive charges; `pulse`, `rest` [s]; `voltage_limit` [V],
    of the cell, or against lithium if `voltage_reference` is "Li".
    """

    value: float
    unit: str
    pulse: float
    rest: float
    voltage_limit: float
    voltage_reference: str | None = None

    def __post_init__(self) -> None:
        for name in ("pulse", "rest", "voltage_limit"):
            if getattr(self, name) is None:
                raise ConfigError(f"GITT needs its {name}: pulse and rest in seconds, voltage_limit in volts.")
        _ = self._pulse, self._rest  # checks

    @property
    def _pulse(self) -> CurrentStep:
        return CurrentStep(self.value, self.unit, self.pulse, self.voltage_limit, self.voltage_reference)

    @property
    def _rest(self) -> RestStep:
        return RestStep(self.rest)

    @property
    def direction(self) -> int:
        """+1 charge, -1 discharge."""
        return self._pulse.direction

    def part(self, number: int, stopped: bool) -> SingleStep | None:
        """A pulse, a rest, a pulse, ...; no more pulse after one that met the cut-off."""
        if number % 2 == 1:
            return self._rest
        return None if stopped else self._pulse

    def cutoff(self, anode_potential: float = 0.0) -> float | None:
        """Cell voltage [V] at which a pulse ends the step."""
        return self._pulse.cutoff(anode_potential)

    def describe(self) -> str:
        """For example 'GITT at 0.1 C for 30 min, rest 30 min, until 4.2 V'."""
        return (
            f"GITT {'at' if self.value > 0 else 'discharge at'} {abs(self.value):.12g} {self.unit} "
            f"for {duration_text(self.pulse)}, rest {duration_text(self.rest)}, "
            f"until {voltage_text(self.voltage_limit, self.voltage_reference)}"
        )


def parse_gitt(text: str, after: str) -> GittStep:
    """'GITT [charge|discharge] at RATE for DURATION, rest DURATION, until VOLTAGE'."""
    after = re.sub(r"\brest\s+for\b", "rest", after, flags=re.IGNORECASE)
    first, _, behind = after.partition(" ")
    signs = {"charge": 1.0, "discharge": -1.0}
    sign = signs.get(first.lower())
    parts = clauses(text, after if sign is None else behind, ("at", "for", "rest", "until"))
    missing = {
        "at": "the rate is missing; add 'at C/10'.",
        "for": "the duration of a pulse is missing; add 'for 30 min'.",
        "rest": "the rest after each pulse is missing; add 'rest 30 min'.",
        "until": "the cut-off is missing; add 'until 4.2 V'.",
    }
    for key, why in missing.items():
        if key not in parts:
            raise misunderstood(text, after or text, why)
    value, unit = rate(text, parts["at"])
    limit, reference = voltage(text, parts["until"])
    pulse, rest = duration(text, parts["for"]), duration(text, parts["rest"])
    return GittStep((sign or 1.0) * value, unit, pulse, rest, limit, reference)
