"""The folder of a run: its name, what of the configuration is stored in it, and what may happen to it.

A folder belongs to one configuration, known by a hash of everything that changes the numbers: electrode, cell,
protocol, solver, saved fields; images, tables and drive profiles count by their content.
"""

import dataclasses
import enum
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import OmegaConf

from simulator.errors import ConfigError
from simulator.geometry import Electrode
from simulator.geometry.readers import CONTAINERS, READERS
from simulator.io import RunResult, read_result
from simulator.io.atomic import replaced
from simulator.protocol import replace_files
from simulator.resources import MESH_PREFIX, image_path
from simulator.workflows.electrode import source_name

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
_TABLES = (".csv", ".json", *READERS, *CONTAINERS)


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
        *([] if electrode.area == "smoothed" else [electrode.area]),
        # given labels change the histories of the particles; those found by watershed follow from the phases
        *([] if electrode.particle is None else [hashlib.sha256(electrode.particle.tobytes()).hexdigest()]),
    ]
    values["cell"] = _map_tables(values["cell"], _content)
    values["protocol"]["steps"] = _map_profiles(values["protocol"]["steps"], _content)
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _map_tables(value: Any, replace: Callable[[Path], str]) -> Any:
    """`value` with the names of existing files of values (CSV, JSON, images) replaced."""
    if isinstance(value, Mapping):
        return {key: _map_tables(part, replace) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_map_tables(part, replace) for part in value]
    if isinstance(value, str) and value.lower().endswith(_TABLES) and Path(value).expanduser().is_file():
        return replace(Path(value).expanduser())
    return value


def _map_profiles(steps: Sequence[str], replace: Callable[[Path], str]) -> list[str]:
    """Texts of a protocol with the names of existing files in them replaced."""

    def replaced_name(name: str) -> str:
        path = Path(name).expanduser()
        return replace(path) if path.is_file() else name

    return [replace_files(text, replaced_name) for text in steps]


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
    image, cell = source_name(config.geometry), Path(config.cell.parameter_set).stem
    return Path("outputs") / f"{image}-{cell}-{digest[:8]}"


def plan(config: "RunConfig", folder: Path, digest: str) -> Plan:
    """What to do with `folder`, by what it holds.

    **Errors:** ConfigError if it holds something else, another run, or an interrupted one without `resume=true`.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"output.dir={folder} is a file. Choose a folder.")
    result = folder / RESULT
    if not result.exists():
        names = {p.name for p in folder.iterdir() if not is_leftover(p)} if folder.is_dir() else set()
        others = sorted(names - {CONFIG, LOCK})
        if others and not config.output.overwrite:
            named = ", ".join(others[:3]) + (", ..." if others[3:] else "")
            raise ConfigError(
                f"output.dir={folder} holds other files ({named}) and no run. Choose an empty or new folder, "
                "or set output.overwrite=true to write beside them."
            )
        return Plan.start
    old = _read_or_none(result) if config.output.overwrite else read_result(result)
    same = old is not None and old.provenance.get(HASH) == digest
    # To go on with this very run comes before replacing it: nothing that was computed is lost by mistake.
    goes_on = same and old is not None and old.status in RESUMABLE and checkpoint_path(result).exists()
    if config.resume and goes_on:
        return Plan.resume
    if old is None or config.output.overwrite:
        return Plan.start
    if not same:
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
    return Plan.start  # killed before its first checkpoint: nothing is lost


def _read_or_none(result: Path) -> RunResult | None:
    try:
        return read_result(result)
    except ConfigError:  # damaged, and about to be replaced
        return None


def is_leftover(path: Path) -> bool:
    """Whether `path` is what a killed process was writing: never part of a result."""
    return path.name.startswith(".") and path.name.endswith(".part")


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes were writing. Call it with the folder locked."""
    for path in folder.iterdir():
        if is_leftover(path):
            path.unlink(missing_ok=True)


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


def make_folder(folder: Path, key: str = "output.dir") -> None:
    """Make `folder`. **Errors:** ConfigError, naming the setting `key`, if it cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(folder))
    except OSError as error:
        raise ConfigError(
            f"{key}: cannot write to the folder {error.filename} ({error.strerror}). Set {key} to a folder that you "
            "can write to."
        ) from error


def save_config(values: Mapping[str, Any], path: Path) -> None:
    """Write a configuration as YAML, replacing an older one as a whole. **Errors:** ConfigError if that fails."""
    try:
        with replaced(path) as temporary:
            OmegaConf.save(OmegaConf.create(dict(values)), temporary)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or choose another output.dir."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. **Errors:** ConfigError if another run is writing to it."""
    import fcntl  # not on Windows, where nothing else of this program has been tried either

    with ExitStack() as stack:
        try:
            # The file stays: two processes that delete and make it could hold locks on two different files.
            stream = stack.enter_context((folder / LOCK).open("a"))
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"Another run is writing to {folder} at this moment. Wait for it, or choose another output.dir."
            ) from error
        except OSError:
            pass  # a folder that is only read, or a network file system without locks: go without
        yield


def portable(config: "RunConfig", folder: Path) -> dict[str, Any]:
    """`config` as plain values, paths relative to the run folder: nothing of this machine is stored."""
    values = dataclasses.asdict(config)
    values["output"]["dir"] = "."
    for key in ("path", "particles"):
        path = getattr(config.geometry, key)
        if path is not None and not path.startswith(MESH_PREFIX):
            values["geometry"][key] = nearby(image_path(path), folder)
    values["cell"] = _map_tables(values["cell"], lambda table: nearby(table, folder))
    values["protocol"]["steps"] = _map_profiles(values["protocol"]["steps"], lambda file: nearby(file, folder))
    return values


def nearby(path: Path, folder: Path) -> str:
    """`path` relative to `folder`. One that climbs far up would spell out folders of this machine: its name alone."""
    relative = os.path.relpath(path, folder)
    return relative if relative.count("..") <= 2 else path.name
