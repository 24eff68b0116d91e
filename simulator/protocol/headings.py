"""Headings of tables of measurements: the quantity and the unit in 'Current / mA cm-2', 'I[mA]', 'current_mA'."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from simulator.units import Unit, known_unit


class Heading(NamedTuple):
    """`name` in lower case, words apart by one space; `unit` as written, '' for none."""

    name: str
    unit: str


_BRACKETS = re.compile(r"(.*?)[\[({]\s*([^\])}]*?)\s*[\])}](.*)")


def _name(text: str) -> str:
    """'~Test_Time' -> 'test time', '<I>' -> 'i': cyclers mark columns with such signs."""
    return " ".join(re.sub(r"[~<>_]", " ", text).lower().split())


def readings(heading: str) -> Iterator[Heading]:
    """Every way to read `heading`. The unit stands in brackets, behind a slash, or as the last words."""
    heading = heading.strip()
    brackets = _BRACKETS.fullmatch(heading)
    if brackets is not None:
        yield Heading(_name(brackets[1] + " " + brackets[3]), brackets[2])
    if "/" in heading:
        name, _, unit = heading.partition("/")
        yield Heading(_name(name), unit.strip())
    words = re.split(r"[_\s]+", heading)
    for k in range(1, len(words)):
        # 'current_mA_cm2', 'current_mA_per_cm2'
        units = [word for word in words[k:] if word.lower() != "per"]
        yield from (Heading(_name("_".join(words[:k])), joint.join(units)) for joint in (" ", "/"))
    yield Heading(_name(heading), "")
    # a heading that is the name of a unit: 'Volts', 'Amps'
    yield Heading(_name(heading), heading.lower())


def read_heading(heading: str, names: Sequence[str] | re.Pattern, known: Callable[[str], object]) -> Heading | None:
    """`heading` read as one of `names`: with a unit that is `known` (something that is not None), if that is possible.

    `names`: in lower case, or a pattern that fits them. None: it is none of them.
    """

    def named(reading: Heading) -> bool:
        return names.fullmatch(reading.name) is not None if isinstance(names, re.Pattern) else reading.name in names

    found = [reading for reading in readings(heading) if named(reading)]
    understood = (reading for reading in found if reading.unit and known(reading.unit) is not None)
    return next(understood, found[0] if found else None)


def current_unit(text: str) -> tuple[str, Unit] | None:
    """(one of `CURRENT_UNITS`, how to convert to it) of a written unit: A, per area or mass, C. None: unknown."""
    if text.strip() == "C":
        return "C", Unit()
    for si in ("A", "A/m2", "mA/g"):
        unit = known_unit(text, si)
        if unit is not None:
            return si, unit
    return None
