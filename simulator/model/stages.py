"""Where the stages of a tape are kept: in memory, on disk, or first here and then there.

A kind of storage is one class with three methods. Everything in it is numpy on the host.
"""

import abc
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConfigError, RunStopped
from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.residual import SideStates
from simulator.model.timestep import State


class Arrays(NamedTuple):
    """A solved stage: `fields` (3, nz, ny, nx) as `Packing` makes them, face currents `j` and `side` states."""

    fields: np.ndarray
    j: Any
    side: SideStates


class Packing:
    """Four fields as three, and back: phi_s, phi_e, and sto or c_e, which never share a voxel. Values where a field
    does not exist are those of the `initial` fields (4, nz, ny, nx), which never change there."""

    def __init__(self, initial: Array, cell: CellModel) -> None:
        self.initial = np.asarray(initial)
        self._sto, self._salt = np.asarray(cell.active[STO]), np.asarray(cell.active[C_E])

    def pack(self, u: Array) -> np.ndarray:
        """(4, nz, ny, nx) -> (3, nz, ny, nx)."""
        host = np.asarray(u)
        return np.stack([host[PHI_S], host[PHI_E], np.where(self._sto, host[STO], host[C_E])])

    def unpack(self, fields: np.ndarray, outside: np.ndarray | None = None) -> Array:
        """(3, nz, ny, nx) -> (4, nz, ny, nx). `outside` (4, 1, 1, 1): values where sto or c_e does not exist."""
        around = self.initial if outside is None else outside
        phi_s, phi_e, both = fields
        sto = np.where(self._sto, both, around[STO])
        return jnp.asarray(np.stack([phi_s, phi_e, sto, np.where(self._salt, both, around[C_E])]))


class Place(NamedTuple):
    """What an entry is taken again from: `part` and `entry` of the tape, see `tape`, and the `start`: the state before
    it."""

    part: Any
    entry: Any
    start: State


class Stages(abc.ABC):
    """The stages of the entries of a tape, by number."""

    @abc.abstractmethod
    def add(self, stages: tuple[Arrays, ...], place: Place) -> None:
        """Of the next entry: one stage of a switch, two of a time step."""

    @abc.abstractmethod
    def load(self, k: int) -> tuple[Arrays, ...]:
        """Of entry `k`."""

    def start(self, k: int) -> State | None:
        """The state before entry `k`, if it need not be read off the stages of the entries before."""
        return None

    def rewind(self, k: int) -> None:  # noqa: B027  most have nothing to prepare
        """A sweep backwards arrives at entry `k`: for its rest no later one is asked for."""


def size_of(tree: Any) -> int:
    """Bytes of all arrays of a tree."""
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


class InMemory(Stages):
    """All of them in memory. `size` [B]."""

    def __init__(self) -> None:
        self._kept: list[tuple[Arrays, ...]] = []
        self.size = 0

    def add(self, stages: tuple[Arrays, ...], place: Place) -> None:
        """Append."""
        self._kept.append(stages)
        self.size += size_of(stages)

    def load(self, k: int) -> tuple[Arrays, ...]:
        """As they were."""
        return self._kept[k]


class OnDisk(Stages):
    """All of them in one file without a name in `folder`: it is gone when nothing refers to it any more, however the
    process ends (on Windows it has a name until then). `size` [B] of the file.

    **Errors:** ConfigError if no file can be made there; RunStopped if it cannot grow.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # unbuffered, so that a full disk is told by the write that fills it
            self._file = tempfile.TemporaryFile(dir=folder, prefix="voxelyte-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise ConfigError(
                f"tape_folder = {str(folder)!r}: no file can be written there ({error.strerror}). Give the path of an "
                "existing folder."
            ) from error
        weakref.finalize(self, self._file.close)
        self.folder, self.size = folder, 0
        self._where: list[tuple[int, Any, list[tuple[int, ...]]]] = []
        self._recent: dict[int, tuple[Arrays, ...]] = {}  # a sweep looks at an entry and the one before

    def add(self, stages: tuple[Arrays, ...], place: Place) -> None:
        """Append to the file."""
        leaves, structure = jax.tree.flatten(stages)
        arrays = [np.ascontiguousarray(leaf, np.float64) for leaf in leaves]
        try:
            self._file.seek(self.size)
            for array in arrays:
                self._write(_bytes_of(array))
        except OSError as error:
            raise RunStopped(
                f"The stages of the run do not fit into tape_folder = {str(self.folder)!r} ({error.strerror}): "
                f"{len(self._where)} entries took {self.size / 1e9:.3g} GB. Give a folder on a larger disk, or "
                "checkpoints=20."
            ) from error
        self._where.append((self.size, structure, [array.shape for array in arrays]))
        self.size += sum(array.nbytes for array in arrays)

    def _write(self, content: memoryview) -> None:
        while content:  # the last write before a disk is full may be a part
            content = content[self._file.write(content) :]

    def load(self, k: int) -> tuple[Arrays, ...]:
        """Read from the file."""
        if k not in self._recent:
            offset, structure, shapes = self._where[k]
            self._file.seek(offset)
            leaves = [self._read(shape) for shape in shapes]
            while len(self._recent) > 1:
                del self._recent[next(iter(self._recent))]
            self._recent[k] = jax.tree.unflatten(structure, leaves)
        return self._recent[k]

    def _read(self, shape: tuple[int, ...]) -> np.ndarray:
        array = np.empty(shape)
        content = _bytes_of(array)
        while content:
            read = self._file.readinto(content)
            if not read:
                raise OSError(f"The file of the tape in {str(self.folder)!r} has become shorter than it was written.")
            content = content[read:]
        return array


def _bytes_of(array: np.ndarray) -> memoryview:
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


class FirstThen(Stages):
    """In memory up to `limit` [B], everything after that in the `rest`, which `make()` makes when it comes to that."""

    def __init__(self, limit: float, make: Callable[[], Stages]) -> None:
        self.limit, self._make = limit, make
        self.memory, self.count = InMemory(), 0
        self.rest: Stages | None = None

    def add(self, stages: tuple[Arrays, ...], place: Place) -> None:
        """In memory, or where the rest is."""
        if self.rest is None and self.memory.size + size_of(stages) <= self.limit:
            self.memory.add(stages, place)
            self.count += 1
            return
        if self.rest is None:
            self.rest = self._make()
        self.rest.add(stages, place)

    def load(self, k: int) -> tuple[Arrays, ...]:
        """From where they are."""
        return self.memory.load(k) if self.rest is None or k < self.count else self.rest.load(k - self.count)

    def start(self, k: int) -> State | None:
        """As of the rest."""
        return None if self.rest is None or k < self.count else self.rest.start(k - self.count)

    def rewind(self, k: int) -> None:
        """The rest, as long as the sweep is there."""
        if self.rest is not None and k >= self.count:
            self.rest.rewind(k - self.count)
