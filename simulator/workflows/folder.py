"""The folder of a run: where it is, and what of the configuration is stored in it."""

import dataclasses
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError
from simulator.resources import MESH_PREFIX, image_path

if TYPE_CHECKING:
    from simulator.config import OutputConfig, RunConfig

RESULT, CURVE, CONFIG = "run.vtkhdf", "curve.bdf.csv", "config.yaml"


def refuse_to_overwrite(output: "OutputConfig") -> None:
    """**Errors:** ConfigError if the folder holds the results of a run and may not be overwritten."""
    if output.dir is None or output.overwrite:
        return
    if (Path(output.dir).expanduser() / RESULT).exists():
        raise ConfigError(
            f"output.dir={output.dir} already holds the results of a run ({RESULT}). Choose another folder, "
            "or set output.overwrite=true to replace them."
        )


def make_folder(wanted: str | None) -> Path:
    """Make and return the folder `wanted`, or a new folder `outputs/<date-time>`.

    **Errors:** ConfigError if it cannot be made.
    """
    try:
        if wanted is None:
            return _new_folder(Path("outputs"), f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
        folder = Path(wanted).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"output.dir: cannot make the folder {error.filename} ({error.strerror}). Set output.dir to a "
            "folder that you can write to."
        ) from error
    return folder


def _new_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or with a number behind it if another run of the same second has taken that."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def portable(config: "RunConfig", folder: Path) -> dict[str, Any]:
    """`config` as plain values, paths relative to the run folder: nothing of this machine is stored."""
    values = dataclasses.asdict(config)
    values["output"]["dir"] = "."
    path = config.geometry.path
    if not path.startswith(MESH_PREFIX):
        relative = os.path.relpath(image_path(path), folder)
        # A path that climbs far up spells out folders of this machine, a user's name among them.
        values["geometry"]["path"] = relative if relative.count("..") <= 2 else image_path(path).name
    return values
