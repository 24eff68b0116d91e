"""Which columns of a table of measurements are time, voltage and current, and in which units."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.io.measured.table import RawTable
from simulator.protocol.headings import current_unit, read_heading, readings
from simulator.units import Unit, accepted_units, known_unit


def _unit_of(si: str) -> Callable[[str], tuple[str, Unit] | None]:
    def find(text: str) -> tuple[str, Unit] | None:
        unit = known_unit(text, si)
        return None if unit is None else (si, unit)

    return find


class Quantity(NamedTuple):
    """`names`: patterns of names of columns, the best first; where columns fit one of them, the others do not count.
    Patterns from number `strict` on count only with a unit. `unit(text)`: the unit it is kept in and how to get there;
    None: texts and counts. `accepted`, `example`: for messages."""

    names: tuple[re.Pattern, ...]
    unit: Callable[[str], tuple[str, Unit] | None] | None
    accepted: str = ""
    example: str = ""
    needed: bool = True
    strict: int = 9


def _patterns(*texts: str) -> tuple[re.Pattern, ...]:
    return tuple(re.compile(text) for text in texts)


#: Names as `readings` leaves them. A name that is a unit ('Volts') is one of Maccor.
QUANTITIES = {
    # Neware's and Arbin's 'Time' beside 'Total Time' or 'Test Time' counts from the begin of each step
    "time": Quantity(
        # 'T' may as well be a temperature
        _patterns("(test|total) ?time", "(elapsed )?time", "t"),
        _unit_of("s"),
        accepted_units("s"),
        "'Test Time / s'",
        strict=2,
    ),
    "voltage": Quantity(
        _patterns(
            "voltage|volts|u|v",
            # a voltage that is neither set nor modelled nor of something else
            "(?!.*(control|open.?circuit|ocv|ocp|aux|delta|limit|average|over|cut.?off|reference|lower|upper))"
            "(e|ecell|ewe(-ece)?|.*voltage.*|.*potential.*)",
        ),
        _unit_of("V"),
        accepted_units("V"),
        "'Voltage / V'",
        strict=1,
    ),
    "current": Quantity(
        _patterns("(cell )?current|i|amps|current density|specific current|c-?rate"),
        current_unit,
        "A, mA, uA, A m-2, mA cm-2, mA g-1, C",
        "'Current / mA'",
    ),
    "temperature": Quantity(
        _patterns(
            "(cell )?temp(erature)?|temperature t1",
            "surface temp(erature)?( t?1)?|aux ?1? temp(erature)?( ?1)?",
            "(ambient|chamber) temp(erature)?",
        ),
        _unit_of("K"),
        accepted_units("K"),
        "'Temperature / degC'",
        needed=False,
    ),
    "step": Quantity(_patterns("step count", "step ?(index|id|number|no\\.?)|step|ns"), None, needed=False),
    "state": Quantity(_patterns("state|md|status|step type|step name|step mode"), None, needed=False),
}


def recognised(headings: Sequence[str], asked: Collection[str] = ()) -> int:
    """How many of `headings` look like those of measurements, or are among the `asked` ones."""
    needed = [quantity for quantity in QUANTITIES.values() if quantity.needed]
    found = sum(any(_fits(heading, quantity) is not None for heading in headings) for quantity in needed)
    return found + sum(name in headings for name in asked)


def _fits(heading: str, quantity: Quantity) -> int | None:
    """Which of the patterns of `quantity` the heading fits; None: none."""
    known: Callable[[str], object] = quantity.unit or (lambda text: text if text in ("1", "-", "#") else None)
    for rank, pattern in enumerate(quantity.names):
        reading = read_heading(heading, pattern, known)
        if reading is not None and (rank < quantity.strict or known(reading.unit) is not None):
            return rank
    return None


class Column(NamedTuple):
    """Column number `at` of the table; its numbers become `si` with `unit`."""

    at: int
    si: str = ""
    unit: Unit = Unit()


def choose_columns(
    table: RawTable, columns: Mapping[str, str] | None, units: Mapping[str, str] | None, needed: Collection[str] = ()
) -> dict[str, Column]:
    """The column of each quantity that the table has.

    **Arguments:** `columns`: quantity -> heading, where it must not be guessed; `units`: quantity -> unit, where the
    heading has none; `needed`: quantities that must be there beside time, voltage and current.

    **Errors:** ConfigError, for a missing column, several that may be meant, and missing, unknown or contrary units.
    """
    columns, units = dict(columns or {}), dict(units or {})
    with_units = [name for name, quantity in QUANTITIES.items() if quantity.unit is not None]
    for argument, given, known in (("columns", columns, list(QUANTITIES)), ("units", units, with_units)):
        for name in given:
            if name not in known:
                raise ConfigError(f"{argument}= has no quantity {name!r}." + did_you_mean(str(name), known))
    found = {}
    for name, quantity in QUANTITIES.items():
        at = _column(table, name, quantity, columns.get(name), quantity.needed or name in needed)
        if at is None:
            continue
        if quantity.unit is None:
            found[name] = Column(at)
        elif quantity.needed or name in columns or name in units or _written_unit(table.headings[at], quantity):
            found[name] = Column(at, *_unit(table, at, name, quantity, units.get(name)))
    return found


def _column(table: RawTable, name: str, quantity: Quantity, asked: str | None, needed: bool) -> int | None:
    if asked is not None:
        places = [k for k, heading in enumerate(table.headings) if heading == asked.strip()]
        if not places:
            raise ConfigError(
                f"{table.source} has no column {asked!r} for the {name} (columns=)."
                + did_you_mean(asked, table.headings)
            )
    else:
        ranks = {k: rank for k, h in enumerate(table.headings) if (rank := _fits(h, quantity)) is not None}
        places = [k for k, rank in ranks.items() if rank == min(ranks.values())]
    if not places:
        if not needed:
            return None
        control = [heading for heading in table.headings if heading.startswith("control/")]
        raise ConfigError(
            f"{table.source} has no column for the {name}; its headings are {list(table.headings)}. Name it with "
            f"columns={{{name!r}: HEADING}}, or give it a heading such as {quantity.example or repr(name)}."
            + (f" {control[0]!r} is what was asked for, not what was measured." if control else "")
        )
    if len(places) > 1:
        if not needed:
            return places[0]
        several = [table.headings[k] for k in places]
        raise ConfigError(
            f"{table.source} has several columns that may be the {name}: {several}. Choose one with "
            f"columns={{{name!r}: {several[0]!r}}}."
        )
    return places[0]


def _written_unit(heading: str, quantity: Quantity) -> str | None:
    """The known unit in a heading, or None."""
    assert quantity.unit is not None
    for pattern in quantity.names:
        reading = read_heading(heading, pattern, quantity.unit)
        if reading is not None and quantity.unit(reading.unit) is not None:
            return reading.unit
    # of a column that was named by the caller the name says nothing
    return next((r.unit for r in readings(heading) if r.unit and quantity.unit(r.unit) is not None), None)


def _unit(table: RawTable, at: int, name: str, quantity: Quantity, given: str | None) -> tuple[str, Unit]:
    assert quantity.unit is not None
    heading = table.headings[at]
    written = _written_unit(heading, quantity)
    said = written if given is None else given
    if said is None:
        if name == "time" and is_clock(table.columns[at]):
            return "s", Unit()
        raise ConfigError(
            f"{table.source}: the column {heading!r} ({name}) has no known unit. Pass units={{{name!r}: "
            f"{quantity.accepted.split(', ')[0]!r}}} (or {', '.join(quantity.accepted.split(', ')[1:])}), or write the "
            f"unit into the heading: {quantity.example}."
        )
    result = quantity.unit(said)
    if result is None:
        raise ConfigError(f"units={{{name!r}: {given!r}}} is no unit of {name}. Accepted: {quantity.accepted}.")
    if given is not None and written is not None and quantity.unit(written) != result:
        raise ConfigError(
            f"{table.source}: the heading {heading!r} says {written}, but units={{{name!r}: {given!r}}}. Leave "
            "units= out, or correct the heading."
        )
    return result


#: '1:02:03.5', '26:00:00', and with days before it '1d 02:03:04', '1-02:03:04'.
_CLOCK = re.compile(r"(?:(\d+)\s*[d\-]\s*)?(\d+):([0-5]?\d):([0-5]?\d(?:[.,]\d*)?)", re.IGNORECASE)


def is_clock(cells: Sequence[str] | np.ndarray) -> bool:
    """Whether times are texts such as 1:02:03."""
    return not isinstance(cells, np.ndarray) and any(":" in cell for cell in cells[:1])


def seconds(table: RawTable, column: Column) -> np.ndarray:
    """Times [s], (rows,); NaN where a cell is empty. **Errors:** ConfigError for a cell that is no time."""
    cells = table.columns[column.at]
    if not is_clock(cells):
        return column.unit.to_si(table.numbers(column.at))
    times = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        match = _CLOCK.fullmatch(cell.strip())
        if match is None:
            raise ConfigError(
                f"{table.source}, line {table.lines[row]}: {cell!r} under {table.headings[column.at]!r} is no time as "
                "h:mm:ss. Give seconds since the begin of the test; dates are not read."
            )
        days, hours, minutes, rest = match.groups()
        times[row] = 86400 * int(days or 0) + 3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", "."))
    return times
