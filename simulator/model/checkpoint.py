"""What a run needs to go on exactly where it stopped."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from simulator.errors import ConfigError
from simulator.model.cell import CellModel


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run in between two time steps: `arrays` in float64 and plain `facts` (numbers, texts, lists, mappings).

    `fingerprint` stands for cell, protocol and settings; a checkpoint serves only a run that has the same one.
    """

    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]
    fingerprint: str

    def check(self, fingerprint: str) -> None:
        """**Errors:** `ConfigError` if the checkpoint belongs to another calculation."""
        if fingerprint != self.fingerprint:
            raise ConfigError(
                f"The checkpoint belongs to another calculation ({self.fingerprint[:12]}, this one is "
                f"{fingerprint[:12]}): electrode, parameters, protocol, tolerances and saved fields must be the same. "
                "Use the settings of that run, or start anew."
            )


def fingerprint(model: CellModel, settings: Sequence[Any]) -> str:
    """SHA-256 of every array and function of a cell and of `settings` (anything with a faithful repr)."""
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(model)
    digest.update(str(structure).encode())
    for leaf in leaves:
        values = np.asarray(leaf)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(repr(tuple(settings)).encode())
    return digest.hexdigest()
