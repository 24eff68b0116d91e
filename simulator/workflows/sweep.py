"""Many runs in one folder: what each of them is, whether it is done, and how it is carried out.

A sweep is known by its files alone: every run has a folder of its own with `status.json`, and table and picture are
made anew from those whenever a run ends, in whatever process or on whatever machine. So nothing is lost if the program
that started the runs is gone.
"""

import dataclasses
import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from simulator.errors import ConfigError, GeometryError
from simulator.resources import image_path
from simulator.workflows.folder import LOCK, RESULT, RESUMABLE, locked, make_folder
from simulator.workflows.sweep_table import (
    FAILED,
    KILLED,
    NO_OVERRIDES,
    RUNNING,
    STATUS,
    STOPPED,
    Record,
    alive,
    digest,
    read_json,
    read_record,
    run_name,
    short_names,
    update,
    value_text,
    write_json,
    write_record,
)

if TYPE_CHECKING:
    from simulator.config import RunConfig

SWEEP, LOG = "sweep.json", "run.log"
#: in the folder of a run: held while a process is at it
TURN = ".turn"
#: how the reason begins if a run could not be repeated and keeps its earlier result
KEPT = "Not repeated: "
#: extensions of files that parameters are read from
_TABLES = (".csv", ".json")
#: settings that change no number of a result
_IRRELEVANT = ("output.dir", "output.overwrite", "output.pictures", "output.checkpoint", "resume", "solver.max_steps")


def flat_settings(config: "RunConfig") -> dict[str, Any]:
    """Dotted name -> value of every setting that changes the result."""

    def flat(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in tree.items():
            if isinstance(value, Mapping) and value:
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    found = {key.replace("cell.overrides.", "cell.", 1): v for key, v in flat(dataclasses.asdict(config), "")}
    # through JSON, so that it compares equal to what is read back
    return json.loads(json.dumps({k: v for k, v in found.items() if k not in _IRRELEVANT}, default=str))


def _inside(key: str, axes: Iterable[str]) -> bool:
    """Whether the setting `key` belongs to a swept group, which may bring another value of it with every choice."""
    return any(key.startswith(f"{axis}.") for axis in axes)


def _fixed(settings: Mapping[str, Any], axes: Sequence[str], given: Iterable[str]) -> dict[str, Any]:
    """`settings` without those that are swept, and those that a swept choice of a group brings along.

    `given`: settings that were set by themselves, so that they hold for every choice.
    """
    kept = [key for key in given if _inside(key, axes)]
    return {
        key: value
        for key, value in settings.items()
        if key not in axes and (not _inside(key, axes) or key in kept or _inside(key, kept))
    }


def _differing(
    before: Mapping[str, Any], now: Mapping[str, Any], axes_before: Sequence[str] = (), axes_now: Sequence[str] = ()
) -> list[str]:
    """The first three settings that differ, as `key: old there, new here`. A setting that is swept may differ."""
    texts = []
    for key in sorted((before.keys() | now.keys()) - {*axes_before, *axes_now, NO_OVERRIDES}):
        one_sided = key not in before or key not in now
        if one_sided and _inside(key, axes_before) != _inside(key, axes_now):
            continue  # part of a choice that was swept in one of them: each run tells its own
        if before.get(key) != now.get(key):
            there, here = (value_text(v[key]) if key in v else "default" for v in (before, now))
            texts.append(f"{key}: {there} there, {here} here")
    return texts[:3]


def sweep_folder(config: "RunConfig", axes: Sequence[str], given: Iterable[str] = ()) -> Path:
    """`output.dir`, or `outputs/sweep-<swept settings>-<hash of all others>`: more values of one axis go there too.

    `given`: settings that were set by themselves; they count even if they belong to a swept group.
    """
    if config.output.dir is not None:
        return Path(config.output.dir).expanduser()
    fixed = json.dumps(_fixed(flat_settings(config), axes, given), sort_keys=True)
    names = "-".join(sorted(short_names(axes).values()))[:60]
    return Path("outputs") / f"sweep-{names}-{digest(fixed, 8)}"


def open_sweep(
    folder: Path,
    config: "RunConfig",
    axes: Sequence[str],
    given: Iterable[str] = (),
    runs: Sequence[tuple[Mapping[str, Any], "RunConfig"]] = (),
) -> None:
    """Make the folder of a sweep, or check that it is that of this sweep.

    **Arguments:** `given`: as in `sweep_folder`; `runs`: swept values and configuration of every run to be done.

    **Errors:** ConfigError, with nothing written, if it holds something else, a sweep with other fixed settings, or the
    result of one of the runs with other settings.
    """
    note = folder / SWEEP
    fixed = _fixed(flat_settings(config), axes, given)
    if not note.exists():
        others = sorted(p.name for p in folder.iterdir() if p.name != LOCK) if folder.is_dir() else []
        if others:
            raise ConfigError(
                f"output.dir={folder} holds other files ({', '.join(others[:3])}) and no sweep. Choose an empty or new "
                "folder."
            )
    elif not config.output.overwrite:
        before = read_json(note)
        differ = _differing(before.get("fixed", {}), fixed, before.get("axes", []), axes)
        if differ:
            raise ConfigError(
                f"output.dir={folder} holds a sweep with other settings ({'; '.join(differ)}). Choose another folder, "
                "or set output.overwrite=true to repeat its runs."
            )
        _refuse_other_results(folder, runs)
    make_folder(folder)
    write_json(note, {"axes": list(axes), "fixed": fixed})


def _refuse_other_results(folder: Path, runs: Sequence[tuple[Mapping[str, Any], "RunConfig"]]) -> None:
    """Raise ConfigError if one of `runs` has a result with other settings: it would only be refused one by one."""
    for values, config in runs:
        place = folder / run_name(values)
        record = read_record(place)
        if record is None or not record.settings or not (place / RESULT).exists():
            continue
        differ = _differing(record.settings, flat_settings(config))
        if differ:
            raise ConfigError(
                f"{place} holds this run with other settings ({'; '.join(differ)}). Choose another output.dir, or set "
                "output.overwrite=true to repeat the runs."
            )


def is_done(record: Record | None, config: "RunConfig", place: Path) -> bool:
    """Whether a run is over with these settings and all files are older than it: then it need not even be opened."""
    if record is None or not record.over or record.status == FAILED or config.output.overwrite:
        return False
    if record.settings != flat_settings(config) or not (place / RESULT).is_file():
        return False
    try:
        started = datetime.fromisoformat(record.started).timestamp()
        return all(file.stat().st_mtime < started for file in _inputs(config))
    except (OSError, ValueError):
        return False


def _inputs(config: "RunConfig") -> Iterator[Path]:
    """The files that a run reads: image and particles, or all slices in a folder, and the tables of its parameters."""
    for name in (config.geometry.path, config.geometry.particles):
        if name is not None:
            image = image_path(name)
            yield image
            yield from image.iterdir() if image.is_dir() else ()
    for value in (config.cell.parameter_set, *config.cell.overrides.values()):
        parts = value.values() if isinstance(value, Mapping) else (value,)
        yield from (Path(part).expanduser() for part in parts if isinstance(part, str) and Path(part).suffix in _TABLES)


def prepare(folder: Path, runs: Sequence[tuple[Mapping[str, Any], "RunConfig"]], launch: str) -> list[bool]:
    """Note the runs that wait for their turn in `folder`, and refresh table and picture. Returns which are done."""
    done = []
    for values, config in runs:
        name = run_name(values)
        record = read_record(folder / name)
        done.append(is_done(record, config, folder / name))
        if done[-1] and record is not None and KEPT in record.reason:  # the reason is gone
            write_record(folder, dataclasses.replace(record, reason=record.reason.partition(KEPT)[0].strip()))
        if not done[-1] and (record is None or record.status == FAILED):
            write_record(folder, Record(name, dict(values), settings=flat_settings(config), launch=launch))
    update(folder)
    return done


def check(config: "RunConfig") -> None:
    """What a run would refuse and needs no image for: its parameters, its protocol, a file that is not there.

    **Errors:** ConfigError.
    """
    from simulator.materials import load_parameter_set, merge_parameters
    from simulator.protocol import parse_protocol

    path = config.geometry.path
    if path is not None and not image_path(path).exists():
        raise ConfigError(f"No image {path}: check geometry.path.")
    parse_protocol(config.protocol.steps)
    merge_parameters(load_parameter_set(config.cell.parameter_set), config.cell.overrides)


def perform(
    config: "RunConfig",
    folder: Path,
    values: Mapping[str, Any],
    launch: str = "",
    runner: Callable[..., Any] | None = None,
) -> Record:
    """One run of the sweep in `folder`, whatever becomes of it; its record is stored, table and picture are refreshed.

    A run that is over is not repeated unless it failed or a file that it reads has changed; one that was interrupted
    goes on; one that another process is at is left alone.

    **Arguments:** `values`: the swept settings; `launch`: a run that has ended in the same launch is left alone, failed
    or not; `runner`: called as `simulator.workflows.run.run` (default), for tests.

    **Errors:** KeyboardInterrupt if it was asked to stop at once.
    """
    name = run_name(values)
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    with _turn(place) as ours:
        old = read_record(place)
        if old is not None and ((old.over and launch and old.launch == launch) or is_done(old, config, place)):
            return old
        if not ours:  # whoever is at it keeps its record
            busy = old or Record(name, dict(values))
            return dataclasses.replace(busy, status=RUNNING, reason="Another process is at this run.")
        record = Record(name, dict(values), RUNNING, settings=flat_settings(config), started=_now(), launch=launch)
        record.host, record.pid = socket.gethostname(), os.getpid()
        return _perform(config, folder, record, old, runner)


@contextmanager
def _turn(place: Path) -> Iterator[bool]:
    """Hold the run in `place` for this process, from its first note to its last. Yields whether that is so."""
    import fcntl

    ours = True
    with (place / TURN).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ours = False
        except OSError:
            pass  # a file system without locks: go without
        try:
            with locked(place):  # by a run outside of any sweep; ours takes this lock by itself
                pass
        except ConfigError:
            ours = False
        yield ours


def _perform(
    config: "RunConfig", folder: Path, record: Record, old: Record | None, runner: Callable[..., Any] | None
) -> Record:
    """Carry out the run of `record`, and store what became of it. `old`: what was known of it before."""
    place = folder / record.name
    result = _stamp(place / RESULT)
    # Our own notes lie in the folder before there is a result: that is no reason to refuse it.
    output = dataclasses.replace(
        config.output, dir=str(place), overwrite=config.output.overwrite or not (place / RESULT).exists()
    )
    same = old is not None and old.settings == record.settings
    spent = old.wall_s if old and same and old.status in RESUMABLE else 0.0
    write_record(folder, record)
    start = time.monotonic()
    try:
        try:
            _run(dataclasses.replace(config, output=output, resume=True), record, runner)
        except ConfigError:
            if not same or output.overwrite:
                raise
            # Refused with the same settings: a file that they name has another content by now.
            output = dataclasses.replace(output, overwrite=True)
            _run(dataclasses.replace(config, output=output, resume=True), record, runner)
    except KeyboardInterrupt:
        record.status, record.reason = "interrupted", STOPPED
        raise
    except (ConfigError, GeometryError) as error:
        record.status, record.reason = FAILED, str(error)
    except Exception as error:  # one run of many: the others go on
        record.status, record.reason = FAILED, f"{type(error).__name__}: {error}".strip(": ")
        with (place / LOG).open("a", encoding="utf-8") as log:
            log.write(traceback.format_exc())
    finally:
        if record.status != RUNNING:  # else the process is being ended, to go on later
            untouched = result is not None and _stamp(place / RESULT) == result
            record.wall_s, record.ended = spent + time.monotonic() - start, _now()
            if untouched:  # it was only looked at
                record.wall_s = old.wall_s if old else 0.0
                if record.status == FAILED and old and old.over and old.status != FAILED:
                    before = old.reason.partition(KEPT)[0]
                    reason = f"{before} {KEPT}{record.reason}".strip()
                    record = dataclasses.replace(old, reason=reason, launch=record.launch)
            write_record(folder, record)
            update(folder)
    return record


def _stamp(path: Path) -> tuple[int, int] | None:
    """Which version of a file is there: it changes when the file is written or replaced. None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _run(config: "RunConfig", record: Record, runner: Callable[..., Any] | None) -> None:
    """Simulate, and note the end in `record`."""
    if runner is None:
        from simulator.workflows.run import run

        runner = run
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # one line in the table of all stands for its own
        outcome = runner(config, Console(file=nowhere))
    record.status, record.summary, record.asked = outcome.status, dict(outcome.summary), outcome.asked
    record.reason = "" if outcome.status == "finished" else str(outcome.result.summary.get("message", ""))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="microseconds")


def running(folder: Path, launch: str, wait: bool = False) -> list[str]:
    """Names of the runs of a launch that are recorded as running, sorted.

    `wait`: until no process of this machine is at any of them; what is left then has been killed.
    """
    while True:
        records = [read_record(path.parent) for path in sorted(folder.glob(f"*/{STATUS}"))]
        found = [r for r in records if r is not None and r.status == RUNNING and r.launch == launch]
        if not wait or not any(alive(record) and record.pid != os.getpid() for record in found):
            return [record.name for record in found]
        time.sleep(0.3)


def mark_dead(
    folder: Path, launch: str, names: Iterable[str] | None = None, status: str = FAILED, reason: str = KILLED
) -> list[str]:
    """Note the runs of a launch that are recorded as running as failed: their processes are known to have ended.

    `names`: only these; `status`, `reason`: instead of failed. Returns their names.
    """
    dead = [name for name in running(folder, launch) if names is None or name in names]
    for name in dead:
        record = read_record(folder / name)
        if record is not None:
            record.status, record.reason, record.ended = status, reason, _now()
            write_record(folder, record)
    update(folder)
    return dead


def mark_stopped(folder: Path, launch: str, seconds: float = 3.0) -> list[str]:
    """Note the runs of a launch whose processes were ended at once by Ctrl-C as interrupted. Returns their names.

    `seconds`: how long to wait for the processes; one that goes on writes its record itself.
    """
    until = time.monotonic() + seconds
    while True:
        records = [read_record(folder / name) for name in running(folder, launch)]
        left = [record for record in records if record is not None and alive(record)]
        if not left or time.monotonic() >= until:
            break
        time.sleep(0.1)
    dead = [record.name for record in records if record is not None and record not in left]
    return mark_dead(folder, launch, dead, "interrupted", STOPPED)


def estimate_text(records: Sequence[Record], configs: Sequence["RunConfig"]) -> str:
    """Time that the runs `configs` will take one after the other, from those that are done or else the preflight."""
    known = [record.wall_s for record in records if record.over and record.status != FAILED and record.wall_s > 1]
    if not configs:
        return ""
    if known:
        return f"about {_span(len(configs) * sum(known) / len(known))} of computing, by those that are done"
    try:
        seconds = [_preflight(config) for config in configs[:1]][0]
    except (ConfigError, GeometryError):
        return ""  # the run itself will say what is wrong
    return f"roughly {_span(len(configs) * seconds)} of computing, estimated for this processor" if seconds else ""


def _preflight(config: "RunConfig") -> float | None:
    """Estimated time of one run [s]; None if it cannot be had quickly."""
    path = config.geometry.path
    if path is not None and (not image_path(path).is_file() or image_path(path).stat().st_size > 64e6):
        return None
    from simulator.workflows.inspect import inspect

    needs = inspect(config, None, particles=False).estimate
    return needs.seconds if needs else None


def _span(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.2g} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
