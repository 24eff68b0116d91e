"""Image files to arrays. A new format is one reader and one line in `READERS`."""

from collections.abc import Callable
from pathlib import Path

from simulator.errors import GeometryError
from simulator.geometry.readers.arrays import read_npy, read_npz
from simulator.geometry.readers.hdf5 import read_hdf5
from simulator.geometry.readers.headers import read_metaimage, read_nrrd
from simulator.geometry.readers.raw import RawImage
from simulator.geometry.readers.slices import read_png, read_slices
from simulator.geometry.readers.tiff import read_tiff

#: file suffix -> reader(path)
READERS: dict[str, Callable[[Path], RawImage]] = {
    **dict.fromkeys((".tif", ".tiff"), read_tiff),
    ".png": read_png,
    ".npy": read_npy,
    **dict.fromkeys((".nrrd", ".nhdr"), read_nrrd),
    **dict.fromkeys((".mha", ".mhd"), read_metaimage),
}
#: file suffix -> reader(path, dataset) of files that hold several arrays
CONTAINERS: dict[str, Callable[[Path, str | None], RawImage]] = {
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".nxs", ".vtkhdf"), read_hdf5),
    ".npz": read_npz,
}
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = (
    "TIFF (.tif, .tiff), PNG, a folder of TIFF or PNG slices, HDF5 (.h5, .hdf5, .hdf, .nxs, .vtkhdf), NumPy (.npy, "
    ".npz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd)"
)
_HINTS = {
    ".raw": " A raw file does not say its size: describe it in a MetaImage header (.mhd) beside it.",
    **dict.fromkeys((".jpg", ".jpeg"), " JPEG changes grey values at edges: export TIFF or PNG."),
}


def read_image(path: Path, dataset: str | None = None) -> RawImage:
    """The image in `path`, a file or a folder of slices; the suffix chooses the reader.

    **Arguments:** `dataset`: name of the array in an HDF5 or .npz file, None for its only 3D one.

    **Errors:** `GeometryError` for a missing file, an unknown kind of file, and those of the reader.
    """
    suffix = path.suffix.lower()
    try:
        if path.is_dir():
            _no_dataset(path, dataset)
            return read_slices(path)
        if not path.exists():
            raise GeometryError(f"No image file {path}: check the path.")
        if suffix in CONTAINERS:
            return CONTAINERS[suffix](path, dataset)
        reader = READERS.get(suffix) or (read_tiff if _is_tiff(path) else None)
        if reader is None:
            raise GeometryError(f"{path}: unknown kind of file {suffix!r}. Read are {_KINDS}.{_HINTS.get(suffix, '')}")
        _no_dataset(path, dataset)
        return reader(path)
    except OSError as error:
        raise GeometryError(f"{path} cannot be read: {error.strerror or error}.") from error


def _no_dataset(path: Path, dataset: str | None) -> None:
    if dataset is not None:
        raise GeometryError(
            f"dataset={dataset!r} names an array in an HDF5 or .npz file, and {path} is neither. Leave it out."
        )


def _is_tiff(path: Path) -> bool:
    """TIFF files come with many suffixes (.ome, .stk, .lsm, none)."""
    with path.open("rb") as stream:
        return stream.read(4) in _TIFF_MAGIC


__all__ = ["CONTAINERS", "READERS", "RawImage", "read_image"]
