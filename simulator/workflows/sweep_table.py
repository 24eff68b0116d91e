"""What is known of the runs of a sweep: their records, and the table and picture that are made of them."""

import csv
import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from simulator.errors import ConfigError, did_you_mean
from simulator.io.atomic import replaced
from simulator.resources import MESH_PREFIX
from simulator.workflows.folder import LOCK

STATUS, TABLE, FIGURE, PARQUET = "status.json", "sweep.csv", "sweep.png", "sweep.parquet"
#: of a run that has not ended
WAITING, RUNNING = "pending", "running"
#: of a run that ended with an error instead of a result
FAILED = "failed"
#: pictures by their extensions
STILLS = (".png", ".pdf", ".svg")
#: quantities that `sweep.png` shows, as far as the runs have them
SHOWN = ("capacity [mAh/g AM]", "utilisation [%]")
WALL = "wall time [s]"
#: stands in the settings of a run if no parameter is overridden
NO_OVERRIDES = "cell.overrides"
KILLED = "Its process ended without a word: killed, or out of memory."
STOPPED = "Stopped at once; the last checkpoint is kept."
_SAFE = re.compile(r"[^A-Za-z0-9.+-]+")
_LONG = 32  # characters of a value in the name of a folder


@dataclass
class Record:
    """How one run of a sweep stands: the content of its `status.json`."""

    name: str  # of its folder
    values: dict[str, Any]  # swept setting -> value
    status: str = WAITING  # pending, running, failed, or the status of the result
    reason: str = ""  # of a run that did not finish
    settings: dict[str, Any] = field(default_factory=dict)  # every setting that changes the result
    summary: dict[str, float] = field(default_factory=dict)  # the closing table of the run, name with unit -> value
    wall_s: float = 0.0  # in all its parts, if it was interrupted [s]
    started: str = ""  # local time, ISO 8601
    ended: str = ""
    launch: str = ""  # which call of the program it was last part of
    host: str = ""
    pid: int = 0
    asked: bool = False  # a signal asked for its end; not stored

    @property
    def over(self) -> bool:
        """Whether it ended, well or not: an interrupted run goes on."""
        return self.status not in (WAITING, RUNNING, "interrupted")


def value_text(value: Any) -> str:
    """A swept value as text; the same for `1e-3` and `0.001`, for `1` and `1.0`."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value_text(part)}" for key, part in value.items()) + "}"
    return "[" + ", ".join(map(value_text, value)) + "]"


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Setting -> the end of its dotted name, as long as needed to tell them apart."""
    names = list(keys)
    short = {}
    for key in names:
        parts = key.split(".")
        ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        short[key] = next(e for e in ends if sum(k == e or k.endswith(f".{e}") for k in names) == 1 or e == key)
    return short


def run_name(values: Mapping[str, Any]) -> str:
    """Folder of a run, by its swept settings: `kappa-0.05_rtol-0.001`. Safe in every shell, one for each run."""
    parts = []
    for key, short in short_names(values).items():
        text = value_text(values[key])
        if key == "geometry.path":
            text = Path(text.removeprefix(MESH_PREFIX)).name
        safe = _SAFE.sub("-", text).strip("-") if not isinstance(values[key], int | float) else text
        if safe != text or len(safe) > _LONG or key == "geometry.path":
            safe = f"{safe[:_LONG].rstrip('-')}-{digest(value_text(values[key]), 4)}".lstrip("-")
        parts.append(f"{short}-{safe}")
    name = "_".join(parts)
    return name if len(name) <= 150 else f"{name[:140]}-{digest(name, 8)}"


def digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")


def read_record(place: Path) -> Record | None:
    """How the run in the folder `place` stands; None if nothing is known of it."""
    known = {f.name for f in dataclasses.fields(Record)} - {"asked"}
    found = {key: value for key, value in read_json(place / STATUS).items() if key in known}
    if not {"values", "status"} <= found.keys():
        return None
    found["summary"] = {k: math.nan if v is None else v for k, v in found.get("summary", {}).items()}
    return Record(**{**found, "name": place.name})


def write_record(folder: Path, record: Record) -> None:
    """Store `record` in the folder of its run, which is made if need be."""
    place = folder / record.name
    place.mkdir(exist_ok=True)
    values = dataclasses.asdict(record)
    del values["asked"]
    values["summary"] = {k: v if math.isfinite(v) else None for k, v in record.summary.items()}
    write_json(place / STATUS, values)


def read_records(folder: Path) -> list[Record]:
    """All runs of a sweep, sorted by their values; one whose process is gone is told as failed."""
    found = [record for path in folder.glob(f"*/{STATUS}") if (record := read_record(path.parent))]
    for record in found:
        if record.status == RUNNING and not alive(record):
            record.status, record.reason = FAILED, KILLED
    axes = swept(found)
    return sorted(found, key=lambda record: [_order(value_of(record, key)) for key in axes])


def alive(record: Record) -> bool:
    """Whether the process of a running run may still exist. On another machine that is not known, and taken for so."""
    return record.host != socket.gethostname() or exists(record.pid)


def exists(pid: int) -> bool:
    """Whether a process of this machine is there, and not only still listed."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except (OSError, IndexError):  # not ours to ask, or a system without /proc
        return True
    return state not in "ZX"  # dead, and not yet noticed by its parent


def value_of(record: Record, key: str) -> Any:
    """Value of a setting in a run, swept in it or not; None if it has none."""
    return record.values.get(key, record.settings.get(key))


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return 0, float(value), ""
    text = value_text(value)
    number = re.match(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", text)
    return 1, float(number[0]) if number else math.inf, text


def swept(records: Iterable[Record]) -> list[str]:
    """The settings that are swept in any of the runs."""
    return list(dict.fromkeys(key for record in records for key in record.values))


def mixed(records: Sequence[Record]) -> list[str]:
    """Settings that are not swept and differ between runs all the same, as after `output.overwrite=true`.

    Those that a swept choice of a group brings along differ by right, unless they do for one and the same choice.
    """
    known = [record for record in records if record.settings]
    axes = swept(records)
    found = []
    for key in sorted({key for record in known for key in record.settings} - {*axes, NO_OVERRIDES}):
        by = [axis for axis in axes if key.startswith(f"{axis}.")]
        if any(axis in record.settings for axis in by for record in known):
            continue  # a swept mapping, and its parts where it was not swept
        seen: dict[str, set[str]] = {}
        for record in known:
            choice = value_text([value_of(record, axis) for axis in by])
            seen.setdefault(choice, set()).add(value_text(record.settings.get(key)))
        if any(len(texts) > 1 for texts in seen.values()):
            found.append(key)
    return found


def rows(records: Sequence[Record]) -> tuple[list[str], list[dict[str, Any]]]:
    """Swept settings, and a row for each run.

    Columns: run, swept settings, others that differ (`mixed`), status, reason, scalars, wall time, folder.
    """
    axes = swept(records)
    others = mixed(records)
    scalars = list(dict.fromkeys(name for record in records for name in record.summary))
    found = []
    for record in records:
        row: dict[str, Any] = {"run": record.name, **{key: value_of(record, key) for key in axes}}
        row |= {key: record.settings.get(key) for key in others}
        row |= {"status": record.status, "reason": record.reason}
        row |= {name: record.summary.get(name, math.nan) for name in scalars}
        found.append(row | {WALL: record.wall_s or math.nan, "folder": record.name})
    return axes, found


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the table of a sweep; waits for other processes. Without locks on the file system: go without."""
    import fcntl

    with (folder / LOCK).open("a") as stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def update(folder: Path, draw: bool = True) -> list[Record]:
    """Make table and picture anew from the folders of the runs, each file in one step. Returns all records."""
    with _exclusive(folder):
        records = read_records(folder)
        axes, found = rows(records)
        with replaced(folder / TABLE) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(found[0] if found else ["run"])
            writer.writerows([_cell(value) for value in row.values()] for row in found)
        if (folder / PARQUET).exists():
            write_parquet(folder, found)
        quantities = [name for name in SHOWN if any(math.isfinite(row.get(name, math.nan)) for row in found)]
        if draw and quantities:
            with suppress(ConfigError):  # a full disk; the table counts
                _draw(folder / FIGURE, found, axes, quantities)
    return records


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return "" if value is None else value_text(value)


def write_parquet(folder: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """The table as `sweep.parquet`, numbers as numbers. **Errors:** ConfigError without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("sweep.parquet needs pyarrow: pip install 'voxelyte[table]'.") from error
    columns: dict[str, list[Any]] = {}
    for name in found[0] if found else ():
        values = [None if isinstance(v, float) and not math.isfinite(v) else v for v in (row[name] for row in found)]
        plain = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)
        columns[name] = [None if v is None else float(v) if plain else value_text(v) for v in values]
    with replaced(folder / PARQUET) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns), temporary)


def _draw(path: Path, found: Sequence[Mapping[str, Any]], axes: Sequence[str], quantities: Sequence[str]) -> None:
    from simulator.viz.sweep import plot_sweep  # matplotlib takes a second

    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        os.replace(plot_sweep(found, temporary, axes=axes, quantities=quantities), path)
    finally:
        temporary.unlink(missing_ok=True)


def plot(folder: Path, output: Path, quantity: str | None = None, x: str | None = None, y: str | None = None) -> Path:
    """Draw any scalar of the table against any of the swept settings.

    **Errors:** ConfigError, with the nearest names, for a scalar or setting that the sweep has not; for an output that
    cannot be written.
    """
    if output.suffix.lower() not in STILLS:
        raise ConfigError(f"--output {output}: the extension must be one of {', '.join(STILLS)}.")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"--output {output}: the folder does not exist. Create it first.")
    records = read_records(folder)
    axes, found = rows(records)
    settings = {*axes, *mixed(records)}
    scalars = [name for name, value in found[0].items() if isinstance(value, float) and name not in settings]
    known = [name for name in scalars if any(math.isfinite(row[name]) for row in found)]
    if not known:
        raise ConfigError(f"No run of {folder} has a result to draw.")
    chosen = (
        [_nearest(quantity, known, "--plot")] if quantity else [name for name in SHOWN if name in known] or known[:1]
    )
    order = [_nearest(name, axes, flag) for name, flag in ((x, "--x"), (y, "--y")) if name]
    if len(set(order)) < len(order):
        raise ConfigError(f"--x and --y are both {order[0]}. The sweep has {', '.join(axes)}.")
    if y and not x:
        order = [next((key for key in axes if key not in order), order[0]), *order]
    order = list(dict.fromkeys([*order, *axes]))
    _draw(output, found, order, chosen)
    return output


def _nearest(name: str, known: Sequence[str], flag: str) -> str:
    """The one of `known` that `name` means: itself, without regard to case, or the only one that begins with it, or
    else contains it."""
    lower = name.lower()
    for fits in (
        lambda k: k == name,
        lambda k: k.lower() == lower,
        lambda k: k.lower().startswith(lower),
        lambda k: lower in k.lower(),
    ):
        found = [key for key in known if fits(key)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"{flag} {name!r} may mean {', '.join(map(repr, found))}. Write one of them.")
    hint = did_you_mean(name, known)  # without a near name it lists them all
    every = "" if all(key in hint for key in known) else f" All: {', '.join(known)}."
    raise ConfigError(f"{flag}: the sweep has no {name!r}.{hint}{every}")


def table(records: Sequence[Record], title: str) -> Table:
    """The sweep for a terminal: what was swept, how each run ended, and its main numbers."""
    axes, found = rows(records)
    axes = [*axes, *mixed(records)]
    scalars = [
        name for name in (*SHOWN, "final voltage [V]", WALL) if any(math.isfinite(r.get(name, math.nan)) for r in found)
    ]
    shown = Table(title=Text(title, style="bold"), title_justify="left")
    for short in short_names(axes).values():
        shown.add_column(Text(short), overflow="fold")
    shown.add_column("status", no_wrap=True)
    for name in scalars:
        shown.add_column(Text(name), justify="right")
    for record, row in zip(records, found, strict=True):
        cells = [_cell(row[key]) for key in axes] + [record.status]
        cells += ["-" if not math.isfinite(row[name]) else f"{row[name]:.4g}" for name in scalars]
        shown.add_row(*map(Text, cells))
    return shown


def reasons(records: Iterable[Record]) -> list[str]:
    """Why runs did not finish, one line for each reason, with the runs that it stopped."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record.reason:
            found.setdefault(f"{record.status}: {record.reason}", []).append(record.name)
    return [f"{', '.join(names)}: {why}" for why, names in found.items()]


def counts(records: Iterable[Record]) -> str:
    """`5 finished, 1 failed`."""
    states = sorted(record.status for record in records)
    return ", ".join(f"{sum(1 for _ in group)} {state}" for state, group in itertools.groupby(states))
