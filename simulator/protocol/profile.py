"""A current that follows a table: 'Drive profile.csv', 'Drive profile.csv hold'."""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.protocol.interface import Basis, Course, SingleStep
from simulator.protocol.phrases import misunderstood
from simulator.protocol.profile_file import read_profile
from simulator.protocol.values import check_unit

INTERPOLATIONS = ("linear", "hold", "jumps")


@dataclass(frozen=True)
class ProfileStep(SingleStep):
    """A current given at points in time; positive charges. Voltage limits of the cell end the run.

    `time` [s] rises; the profile begins with its first row. `value` in `unit` (one of `CURRENT_UNITS`).
    `interpolation`: "linear", straight lines between the rows; "hold", each row holds until the next, where the current
    jumps (the last row is the end); "jumps", straight lines, and a time given twice is a jump from the first of its two
    values to the second. `path`: the file that it came from.
    """

    time: tuple[float, ...] = field(repr=False)
    value: tuple[float, ...] = field(repr=False)
    unit: str = "A"
    interpolation: str = "linear"
    path: str | None = field(default=None, repr=False, compare=False)
    #: of time and value, so that the repr stands for them
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if self.interpolation not in INTERPOLATIONS:
            hint = did_you_mean(str(self.interpolation), INTERPOLATIONS)
            raise ConfigError(f"interpolation = {self.interpolation!r} must be 'linear', 'hold' or 'jumps'.{hint}")
        name = "The profile" if self.path is None else f"The profile {self.path}"
        columns = {column: _numbers(name, column, getattr(self, column)) for column in ("time", "value")}
        time, value = columns["time"], columns["value"]
        if time.size != value.size:
            raise ConfigError(f"{name} has {time.size} times and {value.size} currents. Give one for each.")
        if time.size < 2:
            raise ConfigError(f"{name} has {time.size} row{'s' * (time.size != 1)}; it needs at least two.")
        self._check_order(name, time)
        for column, values in columns.items():
            object.__setattr__(self, column, tuple(map(float, values)))
        object.__setattr__(self, "digest", hashlib.sha256(time.tobytes() + value.tobytes()).hexdigest())

    def _check_order(self, name: str, time: np.ndarray) -> None:
        rise = np.diff(time)
        wrong = rise <= 0
        if self.interpolation == "jumps":
            # a jump lies between two stretches: its time is there twice, and neither at the begin nor at the end
            beside = np.pad(wrong, 1, constant_values=True)
            wrong = (rise < 0) | ((rise == 0) & (beside[:-2] | beside[2:]))
        late = np.flatnonzero(wrong)
        if late.size:
            k = int(late[0])
            if time[k] != time[k + 1]:
                what, cure = f"does not rise: {time[k]:g} s comes before it", "give each time once"
            elif self.interpolation == "jumps":
                what, cure = "repeats", "give a time twice at most, and the first and the last one once"
            else:
                what, cure = "repeats", "give each time once"
            raise ConfigError(
                f"{name}: the time in row {k + 2}, {time[k + 1]:g} s, {what}. Sort the rows, and {cure}; for jumps of "
                "the current use 'hold', or 'jumps' with the time of a jump given twice."
            )

    @classmethod
    def from_csv(cls, path: str | Path, interpolation: str = "linear") -> "ProfileStep":
        """Read a profile: columns as in `read_profile`. **Errors:** ConfigError."""
        time, value, unit = read_profile(Path(path))
        return cls(tuple(time), tuple(value), unit, interpolation, str(path))

    @property
    def direction(self) -> int:
        """Of the charge that the profile moves as a whole."""
        time, value = np.asarray(self.time), np.asarray(self.value)
        means = value[:-1] if self.interpolation == "hold" else 0.5 * (value[:-1] + value[1:])
        parts = means * np.diff(time)
        moved = math.fsum(parts)
        # rounding of a profile that returns to where it began
        return 0 if abs(moved) <= 1e-12 * math.fsum(np.abs(parts)) else int(math.copysign(1, moved))

    def course(self, basis: Basis, voltage: float) -> Course:
        """The current [A] as a function of time; a piece for each interval of the table."""
        rows = [k for k in range(len(self.time) - 1) if self.time[k] < self.time[k + 1]]  # a jump takes no time
        begins = tuple(self.time[k] - self.time[0] for k in rows)
        ends = (*begins[1:], self.time[-1] - self.time[0])
        first = [basis.amperes(self.value[k], self.unit) for k in rows]
        last = [basis.amperes(self.value[k + 1], self.unit) for k in rows]
        steady = self.interpolation == "hold"

        def imposed(piece: int, t: float) -> float:
            if steady:
                return first[piece]
            if t >= ends[piece]:  # exactly: neighbours that meet must not seem to jump
                return last[piece]
            share = (t - begins[piece]) / (ends[piece] - begins[piece])
            return first[piece] + (last[piece] - first[piece]) * max(share, 0.0)

        return Course("current", ends, imposed, direction=self.direction)

    def describe(self) -> str:
        """For example 'Drive profile.csv hold'. A profile that is in no file has no text that can be read back."""
        if self.path is None:
            return f"Drive {len(self.time)} points over {self.time[-1] - self.time[0]:g} s"
        return f'Drive "{self.path}" {self.interpolation}'


def _numbers(name: str, column: str, values: Sequence[float]) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {column} must be numbers ({error}).") from error
    if numbers.ndim != 1:
        raise ConfigError(f"{name}: {column} must be one column of numbers, got the shape {numbers.shape}.")
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ConfigError(f"{name}: {column} in row {bad[0] + 1} is {numbers[bad[0]]}; every value must be finite.")
    return numbers


_WORDS = re.compile(r"""(?P<quote>["']?)(?P<path>.+?)(?P=quote)(?:,?\s+(?P<how>linear|hold|jumps))?""", re.IGNORECASE)


def parse_drive(text: str, after: str) -> ProfileStep:
    """'Drive FILE [linear|hold|jumps]'."""
    match = _WORDS.fullmatch(after)
    if match is None:
        raise misunderstood(text, after or text, "the file is missing; write 'Drive profile.csv'.")
    return ProfileStep.from_csv(match["path"], (match["how"] or "linear").lower())


def replace_file(after: str, replace: Callable[[str], str]) -> str:
    """What follows 'Drive', with the name of the file replaced."""
    match = _WORDS.fullmatch(after)
    return (
        after if match is None else after[: match.start("path")] + replace(match["path"]) + after[match.end("path") :]
    )
