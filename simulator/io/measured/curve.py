"""A measured curve in SI units: checked rows, windows, fewer rows, current per area, capacity or mass."""

import dataclasses
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.units import parse_quantity

#: Units a curve is kept in; the others are converted on reading.
CURRENT_UNITS = ("A", "A/m2", "C", "mA/g")
#: Voltages [V] of one cell, half cells included.
_PLAUSIBLE = (-1.0, 10.0)
_EVENLY = ("time", "charge")
_FEWEST = 3
#: Changes of the current beyond this share of the largest are jumps, and so many rows on either side are neighbours.
_STILL, _BESIDE = 0.05, 2


def row_number(row: int) -> str:
    """What messages call a row that is in no file."""
    return f"row {row + 1}"


def check_finite(source: str, columns: Mapping[str, np.ndarray], place: Callable[[int], str] = row_number) -> None:
    """ConfigError unless all `columns`, (rows,), are finite; `place`: what messages call a row."""
    for name, values in columns.items():
        holes = np.flatnonzero(~np.isfinite(values))
        if holes.size:
            raise ConfigError(
                f"{source}, {place(int(holes[0]))}: the {name} is empty or not finite. Delete the row or fill it in."
            )


def check_rows(source: str, columns: Mapping[str, np.ndarray], place: Callable[[int], str] = row_number) -> None:
    """ConfigError unless all columns are finite, the time rises, and the voltage [V] is one of a cell.

    `columns`: 'time' [s], 'voltage' [V] and others, (rows,); `place`: what messages call a row.
    """
    check_finite(source, columns, place)
    time, voltage = columns["time"], columns["voltage"]
    if time.size < _FEWEST:
        raise ConfigError(
            f"{source} has {time.size} row{'s' * (time.size != 1)} (from begin to end); at least {_FEWEST} are needed."
        )
    late = np.flatnonzero(np.diff(time) <= 0)
    if late.size:
        k = int(late[0])
        raise ConfigError(
            f"{source}, {place(k + 1)}: the time does not rise: {time[k + 1]:g} s comes after {time[k]:g} s. A file "
            "with several tests has to be split; a time that begins anew with each step is the wrong column (columns=)."
        )
    odd = np.flatnonzero((voltage < _PLAUSIBLE[0]) | (voltage > _PLAUSIBLE[1]))
    if odd.size:
        k = int(odd[0])
        cure = (
            "Is it in mV? Pass units={'voltage': 'mV'} or correct the heading"
            if abs(voltage[k]) > 100
            else ("One cell is meant, no stack. Correct or delete the row, or leave it out with begin= and end=")
        )
        raise ConfigError(
            f"{source}, {place(k)}: a voltage of {voltage[k]:g} V lies outside [{_PLAUSIBLE[0]:g}, {_PLAUSIBLE[1]:g}] "
            f"V. {cure}."
        )


@dataclass(frozen=True, eq=False)
class MeasuredCurve:
    """A measured curve, row by row. A row is the state at its time; positive current charges the cell.

    `time` [s], rising; `voltage` [V]; `current` in `current_unit`: "A", "A/m2", "C" or "mA/g"; `temperature` [K] or
    None; `step`: a number that changes where the cycler went on to its next step, or None; all (rows,). `source`: where
    it is from. `notes`: what was changed or left out on reading, as sentences. Arrays are read-only.

    **Errors:** ConfigError for columns of different lengths, less than 3 rows, and rows that `check_rows` refuses.
    """

    time: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    current_unit: str = "A"
    temperature: np.ndarray | None = None
    step: np.ndarray | None = None
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.current_unit not in CURRENT_UNITS:
            raise ConfigError(
                f"current_unit = {self.current_unit!r} is none of a measured curve."
                + did_you_mean(str(self.current_unit), CURRENT_UNITS)
            )
        kinds: dict[str, type] = {"time": float, "voltage": float, "current": float, "temperature": float, "step": int}
        columns = {}
        for name, kind in kinds.items():
            if getattr(self, name) is not None:
                values: np.ndarray = np.array(getattr(self, name), dtype=kind)  # a copy
                values.flags.writeable = False
                object.__setattr__(self, name, values)
                columns[name] = values
        shapes = {name: values.shape for name, values in columns.items()}
        if len(set(shapes.values())) > 1 or self.time.ndim != 1:
            raise ConfigError(f"The columns of a curve must be 1D and equally long, got the shapes {shapes}.")
        check_rows(f"The measured curve {self.source}".rstrip(), columns)

    def __len__(self) -> int:
        return self.time.size

    def __repr__(self) -> str:
        low, high = self.voltage.min(), self.voltage.max()
        name = f" of {Path(self.source).name}" if self.source else ""
        return (
            f"<curve{name}: {len(self)} rows, {self.time[0]:g} to {self.time[-1]:g} s, {low:.4g} to {high:.4g} V, "
            f"{self.current.min():.4g} to {self.current.max():.4g} {self.current_unit}>"
        )

    @property
    def weights(self) -> np.ndarray:
        """Seconds that each row stands for, (rows,): half of both intervals beside it.

        A mean over time is `sum(weights * x) / sum(weights)`. Their sum is the length of the curve whatever the rows,
        so stretches with many rows, or few after `resampled`, count by their time and not by their rows.
        """
        intervals = np.diff(self.time)
        return 0.5 * (np.append(intervals, 0.0) + np.append(0.0, intervals))

    def _rows(self, rows: np.ndarray) -> "MeasuredCurve":
        names = ("time", "voltage", "current", "temperature", "step")
        columns = {name: values[rows] for name in names if (values := getattr(self, name)) is not None}
        return dataclasses.replace(self, **columns)

    def between(self, begin: float | str | None = None, end: float | str | None = None) -> "MeasuredCurve":
        """Rows from `begin` to `end`, both included and in the time of the file: numbers in s, or such as '2 h'.

        **Errors:** ConfigError if less than 3 rows are left.
        """
        return self._rows(window(f"The measured curve {self.source}".rstrip(), self.time, begin, end))

    def resampled(
        self, rows: int | None = None, *, tolerance: float | None = None, evenly: str | None = None
    ) -> "MeasuredCurve":
        """Some of the rows, unchanged; the first and the last always.

        With `tolerance` [V]: about as few rows as keep the straight lines between them within it of every voltage left
        out; with `rows` alone: so many rows, each where the mean of its neighbours is farthest off those lines (not the
        row itself: chosen for their own deviation, rows would be those with the largest noise); with `evenly`, "time"
        or "charge": those nearest to so many points at equal distances (two points may share a row).

        The rows are for comparing voltages, each with its `weights`. Take the current that drives a simulation
        (`profile_from_current`) from the curve with all rows: charge between rows that were left out would be lost.

        **Errors:** ConfigError without `rows` and `tolerance`, for `tolerance` together with `evenly`, values out of
        range, and a tolerance that needs more than `rows` rows.
        """
        if rows is None and tolerance is None:
            raise ConfigError("resampled needs a number of rows, or a tolerance in V.")
        if rows is not None and not (isinstance(rows, int | np.integer) and rows >= _FEWEST):
            raise ConfigError(f"resampled: rows = {rows!r} must be a whole number >= {_FEWEST}.")
        if tolerance is not None and not tolerance > 0:
            raise ConfigError(f"resampled: tolerance = {tolerance!r} must lie above 0 V.")
        if evenly is not None and (evenly not in _EVENLY or tolerance is not None):
            raise ConfigError(
                f"resampled: evenly = {evenly!r} must be 'time' or 'charge', with rows and without a tolerance."
            )
        if evenly is not None:
            assert rows is not None
            return self._rows(self._even_rows(rows, evenly))
        voltage = self._without_itself() if tolerance is None else self.voltage
        chosen, off = _best_rows(self.time, voltage, tolerance or 0.0, len(self) if rows is None else rows)
        if tolerance is not None and off > tolerance:
            raise ConfigError(
                f"resampled: {rows} rows keep the voltage within {off:.3g} V, not {tolerance:g} V. Allow more rows or "
                "a larger tolerance."
            )
        return self._rows(chosen)

    def _without_itself(self) -> np.ndarray:
        """The voltage of each row as its neighbours have it, up to two on either side, as straight lines in time; where
        the current jumps or the cycler went on, those of the row's own side alone. (rows,)"""
        size = np.abs(self.current).max()
        jumps = np.abs(np.diff(self.current)) > _STILL * size if size > 0 else np.zeros(len(self) - 1, bool)
        if self.step is not None:
            jumps |= np.diff(self.step) != 0
        part = np.append(0, np.cumsum(jumps))
        found = self.voltage.copy()
        for k in range(len(self)):
            near = [
                i for i in range(max(k - _BESIDE, 0), min(k + _BESIDE + 1, len(self))) if i != k and part[i] == part[k]
            ]
            if len(near) >= 2:
                t, v = self.time[near] - self.time[k], self.voltage[near]
                slope = np.dot(t - t.mean(), v - v.mean()) / np.dot(t - t.mean(), t - t.mean())
                found[k] = v.mean() - slope * t.mean()
        return found

    def _even_rows(self, rows: int, evenly: str) -> np.ndarray:
        x = self.time
        if evenly == "charge":
            size = np.abs(self.current)
            x = np.append(0.0, np.cumsum(0.5 * (size[1:] + size[:-1]) * np.diff(self.time)))
            if x[-1] == 0:
                raise ConfigError("resampled: no charge passes in this curve; use evenly='time'.")
        points = np.linspace(x[0], x[-1], rows)
        after = np.clip(np.searchsorted(x, points), 1, x.size - 1)
        nearest = np.where(points - x[after - 1] <= x[after] - points, after - 1, after)
        chosen = np.unique([0, *nearest[1:-1], x.size - 1])
        # all points on one row: too few for a curve
        return chosen if chosen.size >= _FEWEST else np.array([0, x.size // 2, x.size - 1])

    def scaled(
        self, *, area: float | None = None, capacity: float | None = None, mass: float | None = None
    ) -> "MeasuredCurve":
        """The current of a real cell in a unit that also fits the small simulated one. Exactly one is given:
        `area` [m2] of the electrode (to A/m2), `capacity` [Ah] that is passed at 1C in one hour (to C), or `mass` [kg]
        of active material (to mA/g).

        **Errors:** ConfigError for none or several of them, values that are not above zero, and a current that is not
        in A.
        """
        given = {
            name: value
            for name, value in {"area": area, "capacity": capacity, "mass": mass}.items()
            if value is not None
        }
        if self.current_unit != "A":
            raise ConfigError(
                f"The current is in {self.current_unit} already and does not depend on the size of the cell. Leave "
                f"{', '.join(given) or 'scaled'} out."
            )
        if len(given) != 1:
            raise ConfigError(
                "The current is in A and the simulated cell is small: give exactly one of area [m2], capacity [Ah] or "
                f"mass of active material [kg], got {', '.join(given) or 'none'}."
            )
        ((name, value),) = given.items()
        if not (np.isfinite(value) and value > 0):
            raise ConfigError(f"{name} = {value!r} must be finite and above zero.")
        # 1 A/kg is 1 mA/g
        unit = {"area": "A/m2", "capacity": "C", "mass": "mA/g"}[name]
        return dataclasses.replace(self, current=self.current / value, current_unit=unit)


def window(source: str, time: np.ndarray, begin: float | str | None, end: float | str | None) -> np.ndarray:
    """Numbers of the rows from `begin` to `end` (None: the first, the last). **Errors:** ConfigError."""
    first = -np.inf if begin is None else parse_quantity(begin, "time", "begin")
    last = np.inf if end is None else parse_quantity(end, "time", "end")
    rows = np.flatnonzero((time >= first) & (time <= last))
    if rows.size < _FEWEST:
        raise ConfigError(
            f"{source} has {rows.size} rows from begin = {begin!r} to end = {end!r}; its time goes from {time.min():g} "
            f"to {time.max():g} s. At least {_FEWEST} rows are needed."
        )
    return rows


def _best_rows(x: np.ndarray, y: np.ndarray, tolerance: float, most: int) -> tuple[np.ndarray, float]:
    """Rows whose straight lines stay within `tolerance` of `y`, at most `most`, and what they reach.

    Each new row is the one farthest from the present lines (vertically): Ramer, doi:10.1016/S0146-664X(72)80017-0.
    """

    def farthest(a: int, b: int) -> tuple[float, int, int, int]:
        if b - a < 2:
            return 0.0, a, a, b
        inner = slice(a + 1, b)
        off = np.abs(y[inner] - (y[a] + (y[b] - y[a]) * ((x[inner] - x[a]) / (x[b] - x[a]))))
        k = int(np.argmax(off))
        return -float(off[k]), a + 1 + k, a, b

    chosen = [0, x.size - 1]
    heap = [farthest(0, x.size - 1)]
    while -heap[0][0] > tolerance and len(chosen) < most or len(chosen) < _FEWEST:
        _, k, a, b = heapq.heappop(heap)
        # a curve that is one straight line still has three rows
        k = k if k != a else (a + b) // 2
        chosen.append(k)
        heapq.heappush(heap, farthest(a, k))
        heapq.heappush(heap, farthest(k, b))
    return np.sort(chosen), -heap[0][0]
