"""From a file of a cycler to a `MeasuredCurve`: columns, units, rows written twice, sign of the current."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.io.measured.columns import Column, choose_columns, seconds
from simulator.io.measured.curve import MeasuredCurve, check_finite, check_rows, window
from simulator.io.measured.formats import read_table
from simulator.io.measured.sign import check_sign, signs_of_states
from simulator.io.measured.table import RawTable

SIGNS = ("charge", "discharge", "from_state")
#: A change of the current, against the largest, that is a new step of the cycler.
_NEW_STEP = 0.01


def read_curve(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    current_sign: str | None = None,
    begin: float | str | None = None,
    end: float | str | None = None,
) -> MeasuredCurve:
    """Read a measured curve: text with headings (CSV), EC-Lab .mpt, Neware .nda and .ndax (with the extra `cycler`).

    **Arguments:**
    - `columns`: 'time', 'voltage', 'current', 'temperature', 'step' or 'state' -> heading, where it is not clear;
    - `units`: 'time', 'voltage', 'current' or 'temperature' -> unit, where the heading has none;
    - `current_sign`: None compares the sign of the current with the voltage; 'charge' or 'discharge': what a positive
      current in the file does, without a check; 'from_state': magnitudes of the file, signs from the column with the
      state of the cycler;
    - `begin`, `end`: rows outside are not read; numbers in s, or such as '2 h', in the time of the file.

    Of rows with the same time, as cyclers write them at the change of a step, the first one is kept: it ends the step
    before, and the current of the next row holds from that time on. `notes` of the curve says how many were dropped.

    **Errors:** ConfigError: unknown or unreadable file, columns, units or cells that are not clear, times that do not
    rise, implausible voltages, less than 3 rows, and a sign of the current that contradicts the voltage.
    """
    path = Path(path).expanduser()
    if current_sign is not None and current_sign not in SIGNS:
        raise ConfigError(
            f"current_sign = {current_sign!r} must be None, 'charge', 'discharge' or 'from_state'."
            + did_you_mean(str(current_sign), SIGNS)
        )
    table = read_table(path, [str(heading).strip() for heading in (columns or {}).values()])
    from_state = current_sign == "from_state"
    chosen = choose_columns(table, columns, units, needed=("state",) if from_state else ())
    notes: list[str] = []

    time = seconds(table, chosen["time"])
    _check_order(table, time)
    rows = window(table.source, time, begin, end)
    values = {name: _values(table, chosen[name])[rows] for name in ("voltage", "current")}
    check_finite(table.source, values, lambda row: f"line {table.lines[rows[row]]}")
    step = _step(table, chosen.get("step"), rows, notes)
    kept = _without_repeats(table, time[rows], values, step, rows, notes)
    rows = rows[kept]
    lines = table.lines[rows]
    final = {"time": time[rows], **{name: column[kept] for name, column in values.items()}}
    check_rows(table.source, final, lambda row: f"line {lines[row]}")
    if from_state:
        states = [str(table.columns[chosen["state"].at][k]) for k in rows]
        signs = signs_of_states(table.source, states, final["current"], lines)
        final["current"] = signs * np.abs(final["current"])
    elif current_sign == "discharge":
        final["current"] = -final["current"] + 0.0  # no negative zeros
    elif current_sign is None:
        note = check_sign(table.source, final["time"], final["voltage"], final["current"])
        notes += [] if note is None else [note]
    return MeasuredCurve(
        **final,
        current_unit=chosen["current"].si,
        temperature=_temperature(table, chosen.get("temperature"), rows, "temperature" in (columns or {}), notes),
        step=None if step is None else step[kept],
        source=str(path),
        notes=tuple(notes),
    )


def _values(table: RawTable, column: Column) -> np.ndarray:
    return column.unit.to_si(table.numbers(column.at))


def _check_order(table: RawTable, time: np.ndarray) -> None:
    """ConfigError for an empty table, and a time that is missing or goes back."""
    if time.size == 0:
        raise ConfigError(f"{table.source} has headings and no rows.")
    check_finite(table.source, {"time": time}, lambda row: f"line {table.lines[row]}")
    back = np.flatnonzero(np.diff(time) < 0)
    if back.size:
        k = int(back[0])
        raise ConfigError(
            f"{table.source}, line {table.lines[k + 1]}: the time goes back, from {time[k]:g} s to {time[k + 1]:g} s. "
            "Split a file with several tests; choose another column (columns={'time': HEADING}) if this one begins "
            "anew with each step."
        )


def _step(table: RawTable, column: Column | None, rows: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """Numbers of the steps of `rows`; texts are numbered. None without such a column."""
    if column is None:
        return None
    cells = table.columns[column.at]
    try:
        numbers = table.numbers(column.at)[rows]
        if np.all(np.isfinite(numbers)):
            return numbers.astype(int)
    except ConfigError:
        pass
    texts = np.asarray([str(cells[k]) for k in rows])
    changes = np.append(0, np.cumsum(texts[1:] != texts[:-1]))
    notes.append(f"Steps were numbered by the texts under {table.headings[column.at]!r}.")
    return changes


def _without_repeats(
    table: RawTable,
    time: np.ndarray,
    values: Mapping[str, np.ndarray],
    step: np.ndarray | None,
    rows: np.ndarray,
    notes: list[str],
) -> np.ndarray:
    """Which rows to keep: of those with one time the first. ConfigError if nothing explains why they have one."""
    again = np.flatnonzero(np.diff(time) == 0) + 1
    if again.size == 0:
        return np.arange(time.size)
    size = np.max(np.abs(values["current"]))
    same = np.logical_and.reduce([values[name][again] == values[name][again - 1] for name in values])
    if step is not None:
        changed = step[again] != step[again - 1]
    else:
        changed = np.abs(values["current"][again] - values["current"][again - 1]) > _NEW_STEP * size
    wrong = np.flatnonzero(~(changed | same))
    if wrong.size:
        k = int(again[wrong[0]])
        raise ConfigError(
            f"{table.source}, line {table.lines[rows[k]]}: the time {time[k]:g} s repeats though no new step begins "
            "there. Export the time with more digits, or delete rows so that each time is there once."
        )
    notes.append(f"{again.size} rows that repeat the time of the row before, as at the change of a step, were dropped.")
    return np.delete(np.arange(time.size), again)


def _temperature(
    table: RawTable, column: Column | None, rows: np.ndarray, asked: bool, notes: list[str]
) -> np.ndarray | None:
    """Temperatures [K] of `rows`; None, with a note, if they were not asked for and are not all there."""
    if column is None:
        return None
    heading = table.headings[column.at]
    try:
        kelvin = _values(table, column)[rows]
        bad = np.flatnonzero(~((kelvin > 0) & (kelvin < 2000)))
        if bad.size:
            raise ConfigError(
                f"{table.source}, line {table.lines[rows[bad[0]]]}: the temperature under {heading!r} is missing or "
                "not in (0, 2000) K. Fill it in, or choose another column."
            )
    except ConfigError as error:
        if asked:
            raise
        notes.append(f"The temperature under {heading!r} was left out: {error}")
        return None
    return kelvin
