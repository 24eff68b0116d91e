"""What every image reader returns."""

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from simulator.errors import GeometryError

Lengths = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class RawImage:
    """An image as its file holds it: no label is mapped, no axis is turned.

    `voxel_size` [m] is in the order of the array's axes, or it is a sentence that says why the file gives none.
    """

    array: NDArray
    voxel_size: Lengths | str
    source: str  # where the voxel size was found, such as "ImageJ tags"
    axes: tuple[str, str, str] = ("page", "row", "column")  # names of the array's axes
    labels: Mapping[str, int] | None = None  # set by files whose codes are known
    particle: NDArray | None = None  # labels of the particles on the same axes, where they are known


def damaged(path: object, kind: str, reason: object) -> GeometryError:
    """The error of a file that is not of its kind, or broken."""
    return GeometryError(f"{path} is not {kind} or is damaged ({reason}). Copy or export it again.")


def colour(path: object, shape: tuple[int, ...]) -> GeometryError:
    """The error of an image with several channels."""
    return GeometryError(
        f"{path} is a colour image (shape {shape}); an image holds one number per voxel. Save it as 8-bit labels or as "
        "grey values."
    )
