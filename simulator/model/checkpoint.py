"""What a run needs to go on exactly where it stopped."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simulator.errors import ConfigError
from simulator.materials import Opaque
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


def stored_tree(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """Every leaf of a pytree as an array, by `prefix` and its place in it."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}


def restored_tree(prefix: str, template: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `stored_tree` took apart; `template` has the same structure, and floats where there shall be floats."""
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    stored = [(arrays[prefix + jax.tree_util.keystr(path)], old) for path, old in paths]
    leaves = [float(new) if isinstance(old, float) else jnp.asarray(new) for new, old in stored]
    return jax.tree_util.tree_unflatten(structure, leaves)


def fingerprint(model: CellModel, settings: Sequence[Any]) -> str:
    """SHA-256 of every array and function of a cell and of `settings` (anything with a faithful repr).

    A plain Python function counts by its name and its compiled code, not by its place in memory.
    """
    digest = hashlib.sha256()
    leaves, structure = jax.tree.flatten(model)
    digest.update(_placeless(str(structure)))
    for part in jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Opaque)):
        if isinstance(part, Opaque) and hasattr(part.fn, "__code__"):
            digest.update(part.fn.__code__.co_code + _placeless(repr(part.fn.__code__.co_consts)))
    for leaf in leaves:
        values = np.asarray(leaf)
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(repr(tuple(settings)).encode())
    return digest.hexdigest()


def _placeless(text: str) -> bytes:
    return re.sub(r" at 0x[0-9a-f]+", "", text).encode()
