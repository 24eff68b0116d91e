"""Checkpoint of a run: float64 arrays and plain facts in one small HDF5 file, replaced as a whole."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from simulator.errors import ConfigError
from simulator.io.atomic import as_os_error, new_file, replaced

FORMAT = "voxelyte-checkpoint"


class StoredCheckpoint(NamedTuple):
    """Float64 `arrays`, plain `facts` (numbers, texts, lists, mappings), `fingerprint` of the calculation."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    fingerprint: str


def write_checkpoint(path: Path, checkpoint: StoredCheckpoint) -> None:
    """Write `checkpoint`; an older one of the same name is replaced at once or not at all. **Errors:** OSError."""
    facts = json.dumps(checkpoint.facts)
    with as_os_error(path), replaced(path) as temporary:
        new_file(temporary, sum(a.nbytes for a in checkpoint.arrays.values()) + len(facts))
        with h5py.File(temporary, "r+") as file:
            file.attrs["format"] = FORMAT
            file.attrs["fingerprint"] = checkpoint.fingerprint
            file.create_dataset("facts", data=facts, dtype=h5py.string_dtype("utf-8"))
            for name, array in checkpoint.arrays.items():
                file.create_dataset(name, data=np.asarray(array, np.float64))


def read_checkpoint(path: Path) -> StoredCheckpoint:
    """The checkpoint in `path`. **Errors:** ConfigError if it is missing, damaged or something else."""
    if not path.is_file():
        raise ConfigError(f"No checkpoint '{path.name}' beside the result: the run cannot go on. Start it anew.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ConfigError(f"'{path}' is no checkpoint of a run. Delete it, or choose another folder.")
            facts = json.loads(file["facts"].asstr()[()])
            arrays = {name: np.asarray(dataset[()]) for name, dataset in file.items() if name != "facts"}
            return StoredCheckpoint(arrays, facts, str(file.attrs["fingerprint"]))
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"The checkpoint '{path}' is damaged ({error}). Delete it and start the run anew.") from error
