"""Curves as CSV in the Battery Data Format (BDF) of the LF Energy Battery Data Alliance.

Headings are the format's labels, exactly; its machine names are used in memory. Positive current charges
the cell. Capacities are counters: they accumulate over the whole test and never decrease.
Format: https://github.com/battery-data-alliance/battery-data-format
"""

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.io.atomic import replaced
from simulator.io.table import cell_text
from simulator.protocol.half_cycles import find_half_cycles

EXTENSION = ".bdf.csv"

#: Heading -> machine name, in the order of the file.
COLUMNS = {
    "Test Time / s": "test_time_second",
    "Voltage / V": "voltage_volt",
    "Current / A": "current_ampere",
    "Step Count / 1": "step_count",
    "Cycle Count / 1": "cycle_count",
    "Ambient Temperature / degC": "ambient_temperature_celsius",
    "Charging Capacity / Ah": "charging_capacity_ah",
    "Discharging Capacity / Ah": "discharging_capacity_ah",
}
#: Further BDF headings understood on reading.
_ALSO_READ = {
    "Unix Time / s": "unix_time_second",
    "Step Index / 1": "step_index",
}
_REQUIRED = tuple(COLUMNS)[:3]
_COUNTS = ("step_count", "cycle_count")


def accumulate_capacity(
    time: np.ndarray,
    current: np.ndarray,
    step_count: np.ndarray | None = None,
    charge: np.ndarray | None = None,
    throughput: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Charging and discharging capacity [Ah] up to each row, both >= 0 and never decreasing.

    $Q_\\pm = \\int \\max(\\pm I, 0)\\,dt$ by the trapezoidal rule within a protocol step. Where `step_count`
    changes, the row's own current holds over the interval before it: rows are ends of time steps, and the
    current jumps at the start of a protocol step. `charge`, passed since the start, is exact where the current varies:
    its rises and falls are summed instead. `throughput` in either direction tells of more where cycles were jumped
    over: half of that goes in and half of it out.

    **Arguments:** `time` [s], `current` [A] (positive charges), `step_count`, `charge`, `throughput` [C], all (rows,).
    """
    if time.size == 0:
        return np.zeros(0), np.zeros(0)
    if charge is not None:
        passed = np.diff(charge, prepend=0.0)
        jumped = np.zeros(1) if throughput is None else np.diff(throughput, prepend=0.0) - np.abs(passed)
        both = 0.5 * np.maximum(jumped, 0.0)
        goes_in, goes_out = np.maximum(passed, 0.0) + both, np.maximum(-passed, 0.0) + both
        return np.cumsum(goes_in) / 3600.0, np.cumsum(goes_out) / 3600.0
    dt = np.diff(time)
    before, after = current[:-1], current[1:]
    if step_count is not None:
        before = np.where(step_count[1:] != step_count[:-1], after, before)
    total = []
    for sign in (1.0, -1.0):
        a, b = np.maximum(sign * before, 0.0), np.maximum(sign * after, 0.0)
        # 3600 As = 1 Ah
        total.append(np.concatenate([[0.0], np.cumsum(0.5 * (a + b) * dt)]) / 3600.0)
    return total[0], total[1]


def write_bdf_csv(
    path: str | os.PathLike[str],
    timeseries: Mapping[str, np.ndarray],
    *,
    ambient_temperature: float | None = None,
) -> Path:
    """Write `timeseries` (machine names -> (rows,), SI) as BDF CSV and return the path.

    `test_time_second`, `voltage_volt`, `current_ampere` are needed. Capacities come from
    `charging_capacity_ah` and `discharging_capacity_ah` if both are there, else from the charge that the solver
    counted (`charge_coulomb`, `throughput_coulomb`), else from the current (`accumulate_capacity`). Cycles come from
    `cycle_count`, else from the direction of the current (`find_half_cycles`). The temperature comes from
    `ambient_temperature` [K], else from the column `ambient_temperature_celsius`. What is not known is an empty cell;
    other columns are not written.

    **Errors:** ConfigError for a wrong extension, a missing column, or columns of different lengths.
    """
    path = Path(path)
    if not path.name.endswith(EXTENSION):
        raise ConfigError(f"A BDF curve must end with '{EXTENSION}', got '{path.name}'. Rename it.")
    missing = [COLUMNS[h] for h in _REQUIRED if COLUMNS[h] not in timeseries]
    if missing:
        raise ConfigError(f"A BDF curve needs the columns {missing}; the time series has {sorted(timeseries)}.")
    table = {m: np.asarray(timeseries[m], dtype=float) for m in COLUMNS.values() if m in timeseries}
    rows = table["test_time_second"].shape
    for name, values in table.items():
        if values.ndim != 1 or values.shape != rows:
            raise ConfigError(
                f"Columns of a curve must be 1D and equally long: '{name}' has {values.shape}, not {rows}."
            )
    if ambient_temperature is not None:
        if not 0.0 < ambient_temperature < 2000.0:
            raise ConfigError(f"ambient_temperature must lie in (0, 2000) K, got {ambient_temperature}.")
        table["ambient_temperature_celsius"] = np.full(rows, ambient_temperature - 273.15)
    if not {"charging_capacity_ah", "discharging_capacity_ah"} <= table.keys():
        table["charging_capacity_ah"], table["discharging_capacity_ah"] = accumulate_capacity(
            *(table["test_time_second"], table["current_ampere"], table.get("step_count")),
            charge=timeseries.get("charge_coulomb"),
            throughput=timeseries.get("throughput_coulomb"),
        )
    if "cycle_count" not in table:
        table["cycle_count"] = np.full(rows, math.nan)
        for half in find_half_cycles(table["current_ampere"]):
            table["cycle_count"][half.rows] = half.cycle
    columns = [table.get(name, np.full(rows, math.nan)) for name in COLUMNS.values()]
    counts = [name in _COUNTS for name in COLUMNS.values()]
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in zip(*(column.tolist() for column in columns), strict=True):
            writer.writerow([_cell(value, count) for value, count in zip(row, counts, strict=True)])
    return path


def _cell(value: float, count: bool) -> str:
    return str(int(value)) if count and not math.isnan(value) and value == int(value) else cell_text(value)


def read_bdf_csv(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a BDF CSV: machine name -> (rows,) float64; empty cells are NaN.

    Columns with a heading unknown to us keep the heading as their name and are left out if they are not
    numbers. Temperatures stay in degC, capacities in Ah, as their names say.

    **Errors:** ConfigError for a missing file, missing required headings, or a cell that is not a number.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"Curve file '{path}' does not exist.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except UnicodeDecodeError as error:
        raise ConfigError(f"Curve file '{path}' is not UTF-8 text ({error}). Save it as UTF-8 CSV.") from error
    headings = [heading.strip() for heading in lines[0]] if lines else []
    for heading in _REQUIRED:
        if heading not in headings:
            raise ConfigError(
                f"Curve file '{path}' has no column '{heading}' (BDF headings, comma-separated)."
                + (did_you_mean(heading, headings) if headings else " The file is empty.")
            )
    if len(set(headings)) != len(headings):
        raise ConfigError(f"Curve file '{path}' repeats a heading: {headings}.")
    known = {**COLUMNS, **_ALSO_READ}
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(headings):
            raise ConfigError(f"Curve file '{path}', row {number}: {len(line)} cells, expected {len(headings)}.")
    table: dict[str, np.ndarray] = {}
    for column, heading in enumerate(headings):
        texts = [line[column].strip() for line in lines[1:]]
        try:
            values = np.array([float(text) if text else math.nan for text in texts], dtype=float)
        except ValueError as error:
            if heading not in known:
                continue
            raise ConfigError(f"Curve file '{path}', column '{heading}': {error}. Use plain numbers.") from error
        table[known.get(heading, heading)] = values
    for heading in _REQUIRED:
        holes = np.flatnonzero(~np.isfinite(table[known[heading]]))
        if holes.size:
            raise ConfigError(f"Curve file '{path}', column '{heading}': row {holes[0] + 2} holds no finite number.")
    return table
