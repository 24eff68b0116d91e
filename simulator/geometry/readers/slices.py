"""A folder of slices: one TIFF or PNG file per page, in the natural order of their names."""

import re
import struct
import warnings
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import GeometryError
from simulator.geometry.readers.raw import RawImage, colour, damaged
from simulator.geometry.readers.tiff import read_tiff

_KINDS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
_GREY = ("1", "L", "P", "I", "I;16", "I;16B", "F")  # PNG modes with one number per pixel; P: palette index
_SHOWN = 4
_NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> list[str | int]:
    """Sort key that compares runs of digits as numbers: slice_2 before slice_10."""
    # text and numbers alternate, beginning with a text, so that equal places hold equal types
    return [int(part) if part.isdigit() else part.lower() for part in _NUMBER.split(name)]


def read_slices(path: Path) -> RawImage:
    """Stack (slice, row, column) of the TIFF or PNG files in a folder; other and hidden files are passed over.

    Names may differ in their numbers only, and a gap in the count is reported as a `UserWarning`: an overview image
    among the slices, or a slice that was lost on copying, would shift the structure silently.

    **Errors:** `GeometryError` if there are no slices, several kinds or series of them, or slices that differ in
    size or type, are damaged, in colour, or not 2D.
    """
    entries = sorted((p for p in path.iterdir() if not p.name.startswith(".")), key=lambda p: natural_key(p.name))
    files = [p for p in entries if p.is_file() and p.suffix.lower() in _KINDS]
    if not files:
        held = f"It holds {_some([p.name for p in entries])}." if entries else "It is empty."
        raise GeometryError(
            f"{path} is a folder without TIFF or PNG slices. {held} Give the file or folder of a stack."
        )
    kinds = {_KINDS[p.suffix.lower()] for p in files}
    if len(kinds) > 1:
        raise GeometryError(
            f"{path} holds TIFF and PNG files ({_some([p.name for p in files])}): which of them are the slices? "
            "Move the others out of the folder."
        )
    if len(files) == 1:
        raise GeometryError(f"{path} is a folder with a single image, {files[0].name}. Give the path of that file.")
    _check_names(path, [p.stem for p in files])
    first = _read_one(files[0])
    stack = np.empty((len(files), *first.array.shape), first.array.dtype)
    stack[0] = first.array
    for k, file in enumerate(files[1:], start=1):
        page = _read_one(file).array
        if page.shape != first.array.shape or page.dtype != first.array.dtype:
            raise GeometryError(
                f"All slices must have one size and type: {files[0].name} has {first.array.shape} {first.array.dtype}, "
                f"{file.name} has {page.shape} {page.dtype}. Move what is no slice out of {path}, or export again."
            )
        stack[k] = page
    return RawImage(stack, first.voxel_size, f"tags of {files[0].name}", ("slice", "row", "column"))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _check_names(path: Path, stems: list[str]) -> None:
    """One series of names, counted by one number. **Errors:** GeometryError; UserWarning for a gap."""
    parts = [_NUMBER.split(stem) for stem in stems]
    texts = {tuple(part[::2]) for part in parts}
    if len(texts) > 1:
        odd = [min(s for s, part in zip(stems, parts, strict=True) if tuple(part[::2]) == text) for text in texts]
        raise GeometryError(
            f"{path} holds images of several series, such as {_some(sorted(odd))}. Slices are told apart by a "
            "number alone; move what is no slice out of the folder."
        )
    # in natural order the first number that changes counts the slices; others may follow, such as a position
    rows = [[int(n) for n in part[1::2]] for part in parts]
    counts = next((column for column in zip(*rows, strict=True) if len(set(column)) > 1), ())
    if len(set(counts)) < len(stems):
        raise GeometryError(
            f"The slices in {path} are not counted by one number in their names ({_some(stems)}). Keep one series "
            "in the folder, or rename the files, such as slice_0001.tif."
        )
    steps = [after - before for before, after in pairwise(counts)]
    gaps = [k for k, step in enumerate(steps) if step != min(steps)]
    if gaps:
        k = gaps[0]
        warnings.warn(
            f"{path}: a slice seems to be missing between {stems[k]} and {stems[k + 1]} ({len(gaps)} such gaps among "
            f"{len(stems)} slices). They are stacked without a gap.",
            UserWarning,
            stacklevel=2,
        )


def _read_one(path: Path) -> RawImage:
    """One slice (row, column)."""
    image = read_tiff(path) if _KINDS[path.suffix.lower()] == "TIFF" else read_png(path)
    if image.array.ndim != 2:
        raise GeometryError(
            f"{path} has shape {image.array.shape}; in a folder of slices every file is one 2D slice. To read that "
            "stack give its own path."
        )
    return image


def read_png(path: Path) -> RawImage:
    """Grey values (row, column), or the palette indices of an indexed image: those are the labels.

    **Errors:** `GeometryError` if the file is no PNG, damaged, or in colour.
    """
    from PIL import Image  # comes with matplotlib; not needed for other files

    try:
        with Image.open(path) as picture:
            if picture.mode not in _GREY:
                raise colour(path, (*picture.size[::-1], len(picture.getbands())))
            picture.load()  # here and not inside numpy, which would swallow the error of a cut file
            pixels: NDArray = np.array(picture)
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise damaged(path, "a PNG file", error) from error
    return RawImage(pixels, "A PNG file holds no voxel size.", "")
