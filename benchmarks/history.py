"""The history of measurements, one line of JSON each, and the comparison of two of its states."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.record import BUSY, number, table
from simulator.errors import ConfigError

Line = Mapping[str, Any]

OWN = "voxelyte"
#: What must agree for two times to be comparable: the machine, and the case.
MACHINE = ("device", "processor", "cores", "platform", "threads")
CASE = ("benchmark", "solver", "structure", "size", "tolerance", "dt_s")
SHORTEST_PREFIX = 4
LIMIT = 1.15


class Comparison(NamedTuple):
    """One case in two states; `ratios` new / old of the wall time and of the bytes per voxel, None if not known."""

    case: str
    old: Line
    new: Line
    ratios: tuple[float | None, float | None]

    def worse(self, limit: float) -> bool:
        """Whether one of the two grew by more than the limit."""
        return any(ratio is not None and ratio > limit for ratio in self.ratios)


def read(path: Path) -> list[dict[str, Any]]:
    """All lines of the history; none if the file does not exist."""
    if not path.exists():
        return []
    lines = []
    for count, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text) if text.strip() else {}
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path.name}, line {count} is not JSON ({error}). Remove it.") from error
        lines.append(line)  # empty ones, too, so that line numbers are those of the file
    return lines


def state(line: Line) -> str:
    """The commit of a line in short, with `+` if the code had been changed since."""
    commit = line.get("git_commit")
    return f"{commit[:8]}{'+' if line.get('git_modified') else ''}" if commit else "no commit"


def select(lines: Sequence[Line], choice: str) -> list[Line]:
    """Own lines that `choice` means: a commit (its first digits, `+` behind them for changed code) or `line:N`.

    **Errors:** `ConfigError` if there are none, or if the digits fit several commits.
    """
    if choice.startswith("line:"):
        digits = choice.removeprefix("line:")
        if not digits.isdecimal() or not 1 <= int(digits) <= len(lines):
            raise ConfigError(f"{choice}: the history has the lines 1 to {len(lines)}. Write, for example, line:1.")
        line = lines[int(digits) - 1]
        if line.get("solver") != OWN:
            raise ConfigError(f"{choice} is of {line.get('solver', 'nothing')}; only {OWN} is compared with itself.")
        return [line]
    prefix, modified = choice.removesuffix("+"), choice.endswith("+")
    if len(prefix) < SHORTEST_PREFIX:
        raise ConfigError(f"{choice}: give at least {SHORTEST_PREFIX} digits of the commit, or line:N.")
    own = [line for line in lines if line.get("solver") == OWN and line.get("git_commit", "").startswith(prefix)]
    if len({line["git_commit"] for line in own}) > 1:
        raise ConfigError(f"{choice} fits several commits. Give more digits.")
    found = [line for line in own if bool(line.get("git_modified")) == modified]
    if own and not found:
        other = prefix if modified else f"{prefix}+"
        changed = "unchanged" if modified else "changed"
        raise ConfigError(f"{choice}: the history has this commit with {changed} code only. Write {other}.")
    if not found:
        known = ", ".join(dict.fromkeys(state(line) for line in lines if line.get("solver") == OWN))
        raise ConfigError(f"The history has no line of {choice}. Known: {known or 'none, measure first'}.")
    return found


def case_name(line: Line) -> str:
    """Benchmark, structure, size and tolerance in one text."""
    parts = [str(line["benchmark"]), str(line.get("structure", "")), f"{line['size']}^3"]
    parts += [str(line.get("tolerance", "")), f"dt {line['dt_s']:g} s" if "dt_s" in line else ""]
    return " ".join(part for part in parts if part)


def _ratio(old: Line, new: Line, key: str) -> float | None:
    before, after = old.get(key), new.get(key)
    return after / before if before and after is not None else None


def compare(old: Sequence[Line], new: Sequence[Line]) -> list[Comparison]:
    """The cases that both have on the same machine, from the latest line of each.

    **Errors:** `ConfigError` if there is none.
    """

    def latest(lines: Sequence[Line]) -> dict[tuple[Any, ...], Line]:
        return {tuple(line.get(name) for name in MACHINE + CASE): line for line in lines}

    before, after = latest(old), latest(new)
    found = [
        Comparison(
            case_name(after[key]),
            before[key],
            after[key],
            (_ratio(before[key], after[key], "wall_s"), _ratio(before[key], after[key], "bytes_per_voxel")),
        )
        for key in before
        if key in after
    ]
    if not found:
        raise ConfigError(
            "The two have no case in common on one machine (same device, processor, cores and threads). "
            "Measure the same structures and sizes at both commits on one machine."
        )
    return found


def comparison_table(found: Sequence[Comparison], limit: float) -> str:
    """One row per case; the last column marks what is beyond the limit, and times taken on a busy machine."""
    header = ("case", "wall s old", "new", "ratio", "B/voxel old", "new", "ratio", "")
    rows = []
    for item in found:
        wall, memory = item.ratios
        cells = [number(item.old.get("wall_s")), number(item.new.get("wall_s")), number(wall)]
        cells += [number(item.old.get("bytes_per_voxel")), number(item.new.get("bytes_per_voxel")), number(memory)]
        marks = [f"> {limit:g}"] if item.worse(limit) else []
        if any((line.get("busy_cores") or 0.0) > BUSY for line in (item.old, item.new)):
            marks.append("busy machine")
        rows.append((item.case, *cells, ", ".join(marks)))
    return table(header, rows)
