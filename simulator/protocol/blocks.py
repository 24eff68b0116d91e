"""Order of a protocol: lists within lists, several steps in a text, repeated blocks."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from simulator.errors import ConfigError
from simulator.protocol.interface import Step
from simulator.protocol.phrases import EXAMPLES, misunderstood

T = TypeVar("T")

#: A protocol with more steps than this is a mistake: its time steps would take years.
MOST_STEPS = 100_000
_REPEAT = re.compile(r"\s*repeat\b\s*(?P<head>[^:]*?)\s*(?:$|:\s*(?P<rest>.*))", re.IGNORECASE | re.DOTALL)
_COUNT = re.compile(r"([+-]?[\d.]+)\s*(?:times?|x)", re.IGNORECASE)
_END = re.compile(r"\s*end\s+repeat\s*\.?\s*", re.IGNORECASE)


def flatten(protocol: object) -> Iterator[str | Step]:
    """Texts of single steps and step objects of a protocol, in order; texts are cut at line breaks and semicolons."""
    count = 0

    def walk(item: object) -> Iterator[str | Step]:
        nonlocal count
        if isinstance(item, Step):
            count += 1
            yield item
        elif isinstance(item, str):
            for line in re.split(r"[;\n]", item):
                if line.strip():
                    count += 1
                    yield line
        elif isinstance(item, Sequence):
            for inner in item:
                yield from walk(inner)
        else:
            raise ConfigError(
                f"Step {count + 1} of the protocol is {item!r}; give a text such as {EXAMPLES[0]!r} or a step object."
            )

    yield from walk(protocol)


def unroll(items: Iterator[str | T], read: Callable[[str], T]) -> list[T]:
    """All steps in order, the texts `read`, the blocks between 'Repeat N times' and 'End repeat' written out.

    **Errors:** ConfigError for a count that is no whole number above zero, a block without steps or without end, an end
    without a beginning, and more than `MOST_STEPS` steps.
    """
    outer: list[tuple[str, int, list[T]]] = []  # text, count and what stands in front, of the open blocks
    here: list[T] = []
    for item in items:
        while isinstance(item, str) and (match := _REPEAT.fullmatch(item)):
            outer.append((item.strip(), _count(item, match["head"]), here))
            here, item = [], match["rest"] or ""
        if not isinstance(item, str):
            here.append(item)
        elif _END.fullmatch(item):
            if not outer:
                raise ConfigError(
                    "The protocol has an 'End repeat' without a 'Repeat' before it. Remove it, or begin the block with "
                    "'Repeat 3 times'."
                )
            text, count, before = outer.pop()
            if not here:
                raise ConfigError(f"The block {text!r} has no steps. Write them before its 'End repeat'.")
            if len(before) + count * len(here) > MOST_STEPS:
                raise ConfigError(
                    f"The block {text!r} makes a protocol of more than {MOST_STEPS} steps. Repeat it less often."
                )
            here = before + count * here
        elif item.strip():
            here.append(read(item))
    if outer:
        raise ConfigError(f"The block {outer[-1][0]!r} has no end. Write 'End repeat' behind its last step.")
    return here


def _count(text: str, head: str) -> int:
    match = _COUNT.fullmatch(head)
    if match is None:
        raise misunderstood(text, head or text, "a block begins with 'Repeat 3 times' and ends with 'End repeat'.")
    if not re.fullmatch(r"\+?\d+", match[1]) or int(match[1]) < 1:
        raise misunderstood(text, head, "the number of repetitions is a whole number from 1 on.")
    return int(match[1])
