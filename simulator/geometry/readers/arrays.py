"""Arrays of numpy: .npy, and .npz with one 3D array."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.readers.raw import RawImage, damaged

_AXES = ("axis 0", "axis 1", "axis 2")
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


def read_npy(path: Path) -> RawImage:
    """The array of a .npy file. **Errors:** `GeometryError` if it is damaged or holds Python objects."""
    try:
        array = np.load(path, allow_pickle=False)
    except _DAMAGE as error:
        raise damaged(path, "a .npy file", error) from error
    if not isinstance(array, np.ndarray):
        raise damaged(path, "a .npy file", "it is an archive of arrays; name it .npz")
    return RawImage(array, "A .npy file holds no voxel size.", "", _AXES)


def read_npz(path: Path, dataset: str | None) -> RawImage:
    """The only 3D array of a .npz file, or the one called `dataset`.

    **Errors:** `GeometryError` if it is damaged, holds no such array, or several.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise damaged(path, "a .npz file", "it is a single array; name it .npy")
        with archive:
            if dataset is not None:
                if dataset not in archive.files:
                    raise GeometryError(f"{path} has no array {dataset!r}.{did_you_mean(dataset, archive.files)}")
                array = archive[dataset]
            else:
                array = _only_solid(path, {name: archive[name] for name in archive.files})
    except GeometryError:
        raise
    except _DAMAGE as error:
        raise damaged(path, "a .npz file", error) from error
    return RawImage(array, "A .npz file holds no voxel size.", "", _AXES)


def _only_solid(path: Path, held: Mapping[str, NDArray]) -> NDArray:
    """The only 3D array of `held`. **Errors:** GeometryError that lists what there is."""
    solid = [name for name, array in held.items() if array.ndim == 3]
    if len(solid) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in held.items()) or "nothing"
        raise GeometryError(
            f"{path} must hold one 3D array, got {len(solid)} (it holds {shapes}). Choose one with "
            "dataset='name' (geometry.dataset=name)."
        )
    return held[solid[0]]
