"""Text with one heading over each column, separated by tabs, semicolons or commas; lines before the headings skipped.

Numbers have decimal points, or decimal commas where commas do not separate the columns.
"""

import csv
from collections.abc import Collection
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.io.measured.columns import recognised
from simulator.io.measured.table import RawTable

_DELIMITERS = ("\t", ";", ",")
#: Lines among which the headings are sought; cyclers write up to a hundred lines about the test before them.
_BEFORE = 500


def recognises(path: Path, head: bytes) -> bool:
    """Any text."""
    return b"\0" not in head or head[:2] in (b"\xff\xfe", b"\xfe\xff")


def decoded(path: Path) -> str:
    """The text of a file: UTF-8, UTF-16 with its mark, else Latin-1 (where degree and micro signs differ)."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read(path: Path, asked: Collection[str]) -> RawTable:
    """The table under the first line that looks most like headings. **Errors:** ConfigError for an empty file and for
    rows of another length."""
    lines = decoded(path).splitlines()
    source = f"The measured curve {path}"
    if not any(line.strip() for line in lines):
        raise ConfigError(f"{source} is empty.")
    start, delimiter = _headings(lines, asked)
    return table(source, lines, start, delimiter)


def _headings(lines: list[str], asked: Collection[str]) -> tuple[int, str]:
    """Where the headings are, and what separates them."""
    # the first line is what a message shows if nothing is recognised
    best, place = 0, (0, max(_DELIMITERS, key=lines[0].count))
    for candidate in _DELIMITERS:
        for number, line in enumerate(lines[:_BEFORE]):
            if candidate not in line or not any(map(str.isalpha, line)):
                continue
            score = recognised(split(line, candidate), asked)
            if score > best:
                best, place = score, (number, candidate)
    return place


def split(line: str, delimiter: str) -> list[str]:
    """Cells of a line without spaces around them. Empty ones at the end are only separators."""
    if '"' in line:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
    else:
        cells = line.split(delimiter)
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def table(source: str, lines: list[str], start: int, delimiter: str) -> RawTable:
    """The table whose headings are in `lines[start]`; lines without any cell are skipped. **Errors:** ConfigError."""
    headings = split(lines[start], delimiter)
    width = len(headings)
    if len(set(headings)) != width:
        twice = next(heading for heading in headings if headings.count(heading) > 1)
        raise ConfigError(f"{source} has two columns {twice!r}. Rename or delete one of them.")
    rows, numbers = [], []
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        cells = split(line, delimiter)
        if not cells:
            continue
        if len(cells) > width:
            raise ConfigError(
                f"{source}, line {number}: {len(cells)} cells under {width} headings. Correct or delete the row; "
                "decimals need a point where commas separate the columns."
            )
        rows.append(cells + [""] * (width - len(cells)))
        numbers.append(number)
    columns = tuple(zip(*rows, strict=True)) if rows else ((),) * width
    return RawTable(source, tuple(headings), columns, np.array(numbers, dtype=int), comma=delimiter != ",")
