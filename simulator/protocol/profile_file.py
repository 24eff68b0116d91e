"""Current profiles from CSV with the headings of the Battery Data Format: 'Test Time / s', 'Current / A'.

Format: https://github.com/battery-data-alliance/battery-data-format
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.protocol.headings import Heading, current_unit, read_heading
from simulator.units import known_unit

_TIMES = ("test time", "time")
_CURRENTS = ("current", "current density", "specific current", "c-rate")
_NEEDED = (
    "It needs a heading with units over each column: 'Test Time / s' (or min, h), and one of 'Current / A', "
    "'Current / A m-2', 'Current density / mA cm-2', 'Current / C', 'Current / mA g-1'. Positive current charges."
)


def read_profile(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Times [s], currents, and the unit of the currents (one of `CURRENT_UNITS`) of the CSV file `path`.

    A relative path starts at the working directory. Columns that are neither a time nor a current are not read.

    **Errors:** ConfigError for a missing, empty or unreadable file, headings without a known unit, no time or current
    column or two of them, and cells that are not finite numbers. Whether the times rise is left to the step.
    """
    shown, path = path, path.expanduser()
    if not path.is_file():
        raise ConfigError(
            f"The profile {str(shown)!r} does not exist (working directory {Path.cwd()}). Correct its name in the "
            "'Drive' step; a relative one starts at the working directory."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, line) for number, line in enumerate(csv.reader(file), start=1) if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"The profile {shown} cannot be read ({error}). Save it as UTF-8 CSV with commas.") from error
    if len(lines) < 2:
        raise ConfigError(f"The profile {shown} is empty: it has {len(lines)} lines. {_NEEDED}")
    headings = [heading.strip() for heading in lines[0][1]]
    if len(headings) == 1:
        raise ConfigError(f"The profile {shown} has one column only, {headings[0]!r}. Write commas between. {_NEEDED}")
    time_at, seconds = _time_column(shown, headings)
    current_at, unit, to_unit = _current_column(shown, headings)
    time, current = [], []
    for number, line in lines[1:]:
        if len(line) != len(headings):
            raise ConfigError(
                f"The profile {shown}, line {number}: {len(line)} cells under {len(headings)} headings. Separate them "
                "with commas, with a point for decimals."
            )
        time.append(seconds(_number(shown, number, headings[time_at], line[time_at])))
        current.append(_number(shown, number, headings[current_at], line[current_at]))
    return np.array(time), to_unit(np.array(current)), unit


def _number(path: Path, line: int, heading: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ConfigError(
            f"The profile {path}, line {line}: {text!r} under {heading!r} is no finite number. Correct or "
            "delete the row."
        )
    return value


def _only(
    path: Path, headings: Sequence[str], names: Sequence[str], known: Callable[[str], object], what: str
) -> tuple[int, Heading]:
    """Where the only column of `names` is, and its heading."""
    readings = [read_heading(heading, names, known) for heading in headings]
    found = [(k, reading) for k, reading in enumerate(readings) if reading is not None]
    if not found:
        raise ConfigError(f"The profile {path} has no column for the {what}; its headings are {headings}. {_NEEDED}")
    if len(found) > 1:
        twice = ", ".join(repr(headings[k]) for k, _ in found)
        raise ConfigError(f"The profile {path} has several columns for the {what}: {twice}. Keep one of them.")
    return found[0]


def _time_column(path: Path, headings: Sequence[str]):
    """Which column holds the time, and how its numbers become seconds."""
    at, heading = _only(path, headings, _TIMES, lambda unit: known_unit(unit, "s"), "time")
    unit = known_unit(heading.unit, "s")
    if unit is None:
        raise ConfigError(f"The profile {path}: {headings[at]!r} has no known unit of time. {_NEEDED}")
    return at, unit.to_si


def _current_column(path: Path, headings: Sequence[str]):
    """Which column holds the current, its unit, and how its numbers get there."""
    at, heading = _only(path, headings, _CURRENTS, current_unit, "current")
    found = current_unit(heading.unit)
    if found is None:
        raise ConfigError(f"The profile {path}: {headings[at]!r} has no known unit of current. {_NEEDED}")
    return at, found[0], found[1].to_si
