"""The folder of a run: its name, what of the configuration is stored in it, and what may happen to it.

A folder belongs to one configuration, known by a hash of everything that changes the numbers: electrode, cell,
protocol, solver, saved fields; images and tables count by their content.
"""

import dataclasses
import enum
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import ConfigError
from simulator.geometry import Electrode
from simulator.io import RunResult, read_result
from simulator.resources import MESH_PREFIX, image_path

if TYPE_CHECKING:
    from simulator.config import RunConfig

RESULT, CURVE, CONFIG = "run.vtkhdf", "curve.bdf.csv", "config.yaml"
LOCK = ".lock"
#: Status of a result whose run can go on; "running" is that of one that was killed (or still runs).
RESUMABLE = ("running", "interrupted")
#: key of a result's provenance that holds the hash
HASH = "configuration_hash"
#: settings that change no number: where results go, how often they are saved, when to give up
_IRRELEVANT = {"output": ("dir", "overwrite", "pictures", "checkpoint"), "solver": ("max_steps",)}
_TABLES = (".csv", ".json")


class Plan(enum.Enum):
    """What is to be done in a folder."""

    start = "start"
    resume = "resume"
    skip = "skip"


def configuration_hash(config: "RunConfig", electrode: Electrode) -> str:
    """SHA-256 (hex) of everything that changes the results.

    The image counts as the electrode that it gives, whatever its file; tables count by their content.
    """
    values = dataclasses.asdict(config)
    del values["resume"]
    for group, keys in _IRRELEVANT.items():
        for key in keys:
            del values[group][key]
    values["geometry"] = [
        hashlib.sha256(np.ascontiguousarray(electrode.phase).tobytes()).hexdigest(),
        *(electrode.shape, electrode.voxel_size, config.geometry.min_live),
    ]
    values["cell"] = _map_tables(values["cell"], _content)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _map_tables(value: Any, replace: Callable[[Path], str]) -> Any:
    """`value` with the names of existing CSV and JSON files replaced."""
    if isinstance(value, Mapping):
        return {key: _map_tables(part, replace) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_map_tables(part, replace) for part in value]
    if isinstance(value, str) and value.lower().endswith(_TABLES) and Path(value).is_file():
        return replace(Path(value))
    return value


def _content(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checkpoint_path(result: str | os.PathLike[str]) -> Path:
    """Where the checkpoint of a result file lies: `run.checkpoint.h5` beside `run.vtkhdf`."""
    return Path(result).with_suffix(".checkpoint.h5")


def run_folder(config: "RunConfig", digest: str) -> Path:
    """`output.dir`, or `outputs/<image>-<parameter set>-<hash>`."""
    if config.output.dir is not None:
        return Path(config.output.dir).expanduser()
    image, cell = image_path(config.geometry.path).stem, Path(config.cell.parameter_set).stem
    return Path("outputs") / f"{image}-{cell}-{digest[:8]}"


def plan(config: "RunConfig", folder: Path, digest: str) -> Plan:
    """What to do with `folder`, by what it holds.

    **Errors:** ConfigError if it holds something else, another run, or an interrupted one without `resume=true`.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output.dir={folder} is a file. Choose a folder.")
    if config.output.overwrite:
        return Plan.start
    result = folder / RESULT
    if not result.exists():
        others = sorted(p.name for p in folder.iterdir() if p.name not in (CONFIG, LOCK)) if folder.is_dir() else []
        if others:
            named = ", ".join(others[:3]) + (", ..." if others[3:] else "")
            raise ConfigError(
                f"output.dir={folder} holds other files ({named}) and no run. Choose an empty or new folder, "
                "or set output.overwrite=true to write beside them."
            )
        return Plan.start
    old = read_result(result)
    if old.provenance.get(HASH) != digest:
        raise ConfigError(
            f"output.dir={folder} holds the results of another run ({_difference(old, config, folder)}). Choose "
            "another folder, or set output.overwrite=true to replace them."
        )
    if old.status not in RESUMABLE:
        return Plan.skip
    times = old.timeseries["test_time_second"]
    reached = f"{times[-1] / 3600:.3g} h" if times.size else "the start"
    if not config.resume:
        raise ConfigError(
            f"output.dir={folder} holds this run, interrupted after {reached}. Go on with resume=true, or start anew "
            "with output.overwrite=true."
        )
    # killed before its first checkpoint: nothing is lost by a new start
    return Plan.resume if checkpoint_path(result).exists() else Plan.start


def _difference(old: RunResult, config: "RunConfig", folder: Path) -> str:
    """The first settings that differ, as `key: old, new`."""
    before, now = dict(_flat(old.config)), dict(_flat(portable(config, folder)))
    ignored = {f"{group}.{key}" for group, keys in _IRRELEVANT.items() for key in keys} | {"resume"}
    differ = [k for k in sorted({*before, *now} - ignored) if before.get(k) != now.get(k)]
    texts = [f"{k}: {before.get(k, 'default')} there, {now.get(k, 'default')} here" for k in differ[:3]]
    return "; ".join(texts) or "the content of a file differs"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def make_folder(folder: Path) -> None:
    """Make `folder`. **Errors:** ConfigError if it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(folder))
    except OSError as error:
        raise ConfigError(
            f"output.dir: cannot write to the folder {error.filename} ({error.strerror}). Set output.dir to a "
            "folder that you can write to."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. **Errors:** ConfigError if another run is writing to it."""
    import fcntl  # not on Windows, where nothing else of this program has been tried either

    with (folder / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another run is writing to {folder} at this moment. Wait for it, or choose another output.dir."
            ) from error
        except OSError:
            pass  # a network file system without locks: go without
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)


def portable(config: "RunConfig", folder: Path) -> dict[str, Any]:
    """`config` as plain values, paths relative to the run folder: nothing of this machine is stored."""
    values = dataclasses.asdict(config)
    values["output"]["dir"] = "."
    path = config.geometry.path
    if not path.startswith(MESH_PREFIX):
        values["geometry"]["path"] = _nearby(image_path(path), folder)
    values["cell"] = _map_tables(values["cell"], lambda table: _nearby(table, folder))
    return values


def _nearby(path: Path, folder: Path) -> str:
    """`path` relative to `folder`. One that climbs far up would spell out folders of this machine: its name alone."""
    relative = os.path.relpath(path, folder)
    return relative if relative.count("..") <= 2 else path.name
