"""What the numbers of a protocol do to what is imposed and to what ends its parts.

These are formulas of a few numbers, linear in most of them. Their derivatives come from differences of fourth order
with large steps, which are exact to some 1e-12 and ask nothing of how a step is written.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from simulator.errors import ConfigError, did_you_mean
from simulator.model.tape import Part
from simulator.protocol import Basis, Course, Step

#: Relative step of the differences, and the absolute one of what is zero.
_STEP, _SMALLEST = 1e-3, 1e-6
#: How closely two steps, one a tenth of the other, must agree, and how often it is tried.
_AGREE, _TRIES = 1e-9, 6

#: (position in the list of steps, name of the field) -> its value.
Numbers = Mapping[tuple[int, str], float]


def numbers(step: Step) -> dict[str, float]:
    """The numbers of a step that a derivative can be taken for: its fields that are finite floats."""
    found = {}
    for field in dataclasses.fields(step):  # type: ignore[arg-type]
        value = getattr(step, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[field.name] = float(value)
    return found


def protocol_key(name: str, steps: Sequence[Step]) -> tuple[int, str]:
    """The position and the field that 'protocol.2.value' means: steps count from 1.

    **Errors:** ConfigError if there is no such step, or no such number in it.
    """
    parts = name.split(".")
    if len(parts) != 3 or not parts[1].isdigit() or not 1 <= int(parts[1]) <= len(steps):
        raise ConfigError(
            f"Unknown number of the protocol {name!r}. Write 'protocol.N.FIELD' with N from 1 to {len(steps)}, for "
            f"example 'protocol.1.{next(iter(numbers(steps[0])), 'value')}'."
        )
    position = int(parts[1]) - 1
    known = numbers(steps[position])
    if parts[2] not in known:
        raise ConfigError(
            f"Step {position + 1} ({steps[position].describe()}) has no number {parts[2]!r}."
            + did_you_mean(parts[2], known)
        )
    return position, parts[2]


class Timetable:
    """The courses of the parts of a run, as functions of the numbers of the protocol."""

    def __init__(self, steps: Sequence[Step], basis: Basis) -> None:
        self.steps, self.basis = list(steps), basis
        self._kept: dict[Part, tuple[Course, bool]] = {}  # a profile has thousands of pieces: made once

    def course(self, part: Part, changes: Mapping[str, float] | None = None, voltage: float | None = None) -> Course:
        """The course of `part`, with `changes` of the numbers of its step, begun at another `voltage` [V]."""
        if not changes and voltage is None:
            return self._as_it_is(part)[0]
        step = self.steps[part.position]
        if changes:
            step = dataclasses.replace(step, **changes)  # type: ignore[type-var]
        single = step.part(part.number, part.stopped)
        assert single is not None
        return single.course(self.basis, part.voltage if voltage is None else voltage)

    def _as_it_is(self, part: Part) -> tuple[Course, bool]:
        """The course of `part`, and whether it depends on the voltage at its begin."""
        if part not in self._kept:
            here, there = (self.course(part, voltage=part.voltage + shift) for shift in (0.0, 1e-3))
            same = here.ends == there.ends and here.imposed(0, 0.0) == there.imposed(0, 0.0)
            self._kept[part] = here, not same
        return self._kept[part]

    def slopes(self, part: Part, read: Callable[[Course], float]) -> tuple[dict[str, float], float]:
        """Derivatives of what `read` finds in the course of `part`: with respect to the numbers of its step, and to the
        voltage [V] at which it begins."""
        by_number = {
            name: slope(lambda x, name=name: read(self.course(part, {name: x})), value)  # type: ignore[misc]
            for name, value in numbers(self.steps[part.position]).items()
        }
        if not self._as_it_is(part)[1]:
            return by_number, 0.0
        return by_number, slope(lambda v: read(self.course(part, voltage=v)), part.voltage)


def slope(function: Callable[[float], float], x: float) -> float:
    """Derivative at `x` of a function that is smooth near it.

    Near may be as near as a ramp is to its end, so the step shrinks until two steps agree.
    """
    h = _STEP * abs(x) or _SMALLEST
    last = _difference(function, x, h)
    for _ in range(_TRIES):
        h *= 0.1
        finer = _difference(function, x, h)
        rounding = 1e-14 * max(abs(function(x)), abs(function(x + h))) / h
        if abs(finer - last) <= _AGREE * abs(last) + rounding:
            return last
        last = finer
    return last


def _difference(function: Callable[[float], float], x: float, h: float) -> float:
    near, far = function(x + h) - function(x - h), function(x + 2.0 * h) - function(x - 2.0 * h)
    return (8.0 * near - far) / (12.0 * h)
