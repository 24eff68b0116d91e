"""From protocol texts to steps."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from simulator.errors import ConfigError
from simulator.protocol.blocks import flatten, unroll
from simulator.protocol.current import parse_charge, parse_discharge, parse_rest
from simulator.protocol.gitt import parse_gitt
from simulator.protocol.hold import parse_hold
from simulator.protocol.interface import Step
from simulator.protocol.phrases import EXAMPLES, misunderstood
from simulator.protocol.profile import parse_drive, replace_file
from simulator.protocol.ramp import parse_ramp

#: First word of a step -> parser(whole text, text behind the first word). A new kind of step adds its line here.
PARSERS: dict[str, Callable[[str, str], Step]] = {
    "Charge": parse_charge,
    "Discharge": parse_discharge,
    "Rest": parse_rest,
    "Hold": parse_hold,
    "Ramp": parse_ramp,
    "Sweep": parse_ramp,
    "GITT": parse_gitt,
    "Drive": parse_drive,
}
#: First word of the steps that name a file -> function(text behind it, replacement of a name) -> new text.
_FILES: dict[str, Callable[[str, Callable[[str], str]], str]] = {"Drive": replace_file}

#: A protocol as `parse_protocol` takes it: a text, a step, or lists of them within lists.
Protocol = str | Step | Sequence[Any]


def _first_word(clean: str) -> str:
    match = re.match(r"[A-Za-z]+", clean)
    return match[0] if match else clean.split(" ")[0]


def parse_step(text: str) -> Step:
    """One step from its text. ConfigError with the part that is not understood, and examples."""
    clean = " ".join(text.split()).rstrip(".")
    word = _first_word(clean)
    parsers = {name.lower(): parser for name, parser in PARSERS.items()}
    if word.lower() not in parsers:
        known = ", ".join(repr(name) for name in PARSERS)
        raise misunderstood(text, word or text, f"a step begins with {known}, a block of them with 'Repeat'.")
    return parsers[word.lower()](clean, clean[len(word) :].strip())


def parse_protocol(protocol: Protocol) -> tuple[Step, ...]:
    """Steps of a protocol, repeated blocks written out.

    **Arguments:** `protocol`: a text (steps separated by line breaks or semicolons), a step object, or a
    sequence of texts, step objects and such sequences. `["Charge at C/10 until 4.2 V", "Rest for 1 h"] * 3` and
    "Repeat 3 times: Charge at C/10 until 4.2 V; Rest for 1 h; End repeat" repeat.

    **Raises:** ConfigError for an empty protocol or a step that cannot be read.
    """
    if not isinstance(protocol, str | Step | Sequence):
        raise ConfigError(
            f"A protocol is a text, a step or a list of them, got {type(protocol).__name__}. Example: {EXAMPLES[0]!r}."
        )
    steps = unroll(flatten(protocol), parse_step)
    if not steps:
        raise ConfigError(f"The protocol has no step. Give at least one, for example {EXAMPLES[0]!r}.")
    return tuple(steps)


def step_texts(protocol: Sequence[str]) -> list[str]:
    """The texts of the steps of `parse_protocol`, none of them read: files that they name may be missing."""
    return unroll((text for text in flatten(protocol) if isinstance(text, str)), str.strip)


def replace_files(text: str, replace: Callable[[str], str]) -> str:
    """A protocol text with the names of the files that its steps read replaced by `replace(name)`."""
    words = "|".join(_FILES)
    pattern = rf"^(\s*(?:repeat\b[^:]*:\s*)*({words})\s+)(.*?)(\s*)$"

    def changed(line: str) -> str:
        match = re.match(pattern, line, re.IGNORECASE | re.DOTALL)
        if match is None:
            return line
        change = {name.lower(): function for name, function in _FILES.items()}[match[2].lower()]
        return match[1] + change(match[3], replace) + match[4]

    return "".join(changed(part) for part in re.split(r"([;\n])", text))
