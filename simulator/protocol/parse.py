"""From protocol texts to steps, and the checks of a whole protocol."""

import re
from collections.abc import Callable, Sequence

from simulator.errors import ConfigError
from simulator.protocol.phrases import EXAMPLES, clauses, duration, misunderstood, rate, voltage
from simulator.protocol.steps import CurrentStep, RestStep, Step


def _parse_current(text: str, after: str, sign: float) -> Step:
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


def _parse_charge(text: str, after: str) -> Step:
    return _parse_current(text, after, 1.0)


def _parse_discharge(text: str, after: str) -> Step:
    return _parse_current(text, after, -1.0)


def _parse_rest(text: str, after: str) -> Step:
    """'Rest for DURATION'."""
    parts = clauses(text, after, ("for",))
    if "for" not in parts:
        raise misunderstood(text, text, "the duration is missing; write 'Rest for 1 hour'.")
    return RestStep(duration(text, parts["for"]))


#: First word of a step -> parser(whole text, text behind the first word). A new kind of step adds its line
#: here.
PARSERS: dict[str, Callable[[str, str], Step]] = {
    "charge": _parse_charge,
    "discharge": _parse_discharge,
    "rest": _parse_rest,
}


def parse_step(text: str) -> Step:
    """One step from its text. ConfigError with the part that is not understood, and examples."""
    clean = " ".join(text.split()).rstrip(".")
    match = re.match(r"[A-Za-z]+", clean)
    word = match[0] if match else clean.split(" ")[0]
    if word.lower() not in PARSERS:
        known = ", ".join(repr(name.capitalize()) for name in PARSERS)
        why = f"a step begins with {known}."
        if word.lower() == "hold":
            why = f"constant voltage is not available; {why}"
        raise misunderstood(text, word or text, why)
    return PARSERS[word.lower()](clean, clean[len(word) :].strip())


def parse_protocol(protocol: str | Step | Sequence[str | Step]) -> tuple[Step, ...]:
    """Steps of a protocol.

    **Arguments:** `protocol`: a text (steps separated by line breaks or semicolons), a step object, or a
    sequence of texts and step objects in any mixture. `["Charge at C/10 until 4.2 V", "Rest for 1 h"] * 3`
    repeats.

    **Raises:** ConfigError for an empty protocol or a step that cannot be read.
    """
    if isinstance(protocol, str | Step):
        items: Sequence[str | Step] = [protocol]
    elif isinstance(protocol, Sequence):
        items = protocol
    else:
        raise ConfigError(
            f"A protocol is a text, a step or a list of them, got {type(protocol).__name__}. Example: {EXAMPLES[0]!r}."
        )
    steps: list[Step] = []
    for item in items:
        if isinstance(item, Step):
            steps.append(item)
        elif isinstance(item, str):
            steps.extend(parse_step(line) for line in re.split(r"[;\n]", item) if line.strip())
        else:
            raise ConfigError(
                f"Step {len(steps) + 1} of the protocol is {item!r}; give a text such as "
                f"{EXAMPLES[0]!r} or a step object."
            )
    if not steps:
        raise ConfigError(f"The protocol has no step. Give at least one, for example {EXAMPLES[0]!r}.")
    return tuple(steps)


def validate_protocol(
    steps: Sequence[Step], *, voltage_window: tuple[float, float], anode_potential: float = 0.0
) -> None:
    """Check the cut-offs of a protocol against the cell.

    **Arguments:** `voltage_window`: safety bounds (lo, hi) [V] of the cell; `anode_potential` [V vs Li/Li+]
    turns cut-offs against lithium into voltages of the cell.

    **Raises:** ConfigError if a cut-off lies outside the bounds, or if a charge and the discharge next to it
    (rests between them aside) have cut-offs in the wrong order, so that the second would end at once.
    """
    low, high = voltage_window
    previous: tuple[Step, float] | None = None
    for number, step in enumerate(steps, start=1):
        limit = step.cutoff(anode_potential)
        if limit is not None and not low <= limit <= high:
            raise ConfigError(
                f"Step {number}, {step.describe()!r}: the cut-off is {limit:g} V of the cell, outside the "
                f"safety limits [{low:g}, {high:g}] V. Change the cut-off or widen voltage_limits."
            )
        if step.direction == 0:
            continue
        if previous is not None and limit is not None and step.direction == -previous[0].direction:
            other = previous[1]
            charge, discharge = (limit, other) if step.direction > 0 else (other, limit)
            if charge <= discharge:
                raise ConfigError(
                    f"Step {number}, {step.describe()!r}: the charge cut-off {charge:g} V must lie above "
                    f"the discharge cut-off {discharge:g} V of the step next to it "
                    f"({previous[0].describe()!r}), or the step ends at once. "
                    " Exchange or correct the two voltages."
                )
        previous = None if limit is None else (step, limit)
