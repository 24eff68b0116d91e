"""Which sides of the image a phase reaches: shares by connected cluster, and what is closed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from simulator.errors import GeometryError

#: the six sides of an image, in the order axis 0 low, high, axis 1 low, high, axis 2 low, high
IMAGE_SIDES = ("separator", "collector", "y low", "y high", "x low", "x high")


@dataclass(frozen=True)
class SideAccess:
    """Shares of the voxels of a mask [-], by the sides that their cluster touches; all 0 for an empty mask.

    Clusters are joined through voxel faces (6 neighbours). A share of 1 for a side does not mean that a path leads
    through: `through` asks for one cluster at both ends of an axis.
    """

    fraction: float  # share of the image that belongs to the mask
    sides: dict[str, float]  # side (`IMAGE_SIDES`) -> share connected to it
    through: tuple[float, float, float]  # share in clusters that touch both ends of axis z, y, x
    closed: float  # share in clusters that touch no side of the image

    @property
    def closed_fraction(self) -> float:
        """Closed part of the mask as a share of the image [-]; closed porosity, if the mask is the pore."""
        return self.closed * self.fraction


def side_access(mask: ArrayLike) -> SideAccess:
    """Shares of `mask` (nz, ny, nx) that are connected to each side of the image.

    A cluster that touches no side is closed in any larger image too, and one that a side cuts may close beyond it:
    `closed` is a lower bound of the closed share of the material.

    **Errors:** `GeometryError` if the mask is not 3D or empty.
    """
    chosen = checked_mask(mask)
    label, n = ndimage.label(chosen)
    size = np.bincount(label.ravel(), minlength=n + 1)
    size[0] = 0
    whole = int(size.sum())

    def share(clusters: NDArray[np.bool_]) -> float:
        return float(size[clusters].sum() / whole) if whole else 0.0

    touches = np.zeros((len(IMAGE_SIDES), n + 1), dtype=bool)
    for side in range(len(IMAGE_SIDES)):
        touches[side, np.take(label, -(side % 2), axis=side // 2)] = True
    through = tuple(share(touches[2 * axis] & touches[2 * axis + 1]) for axis in range(3))
    return SideAccess(
        fraction=whole / chosen.size,
        sides={name: share(touched) for name, touched in zip(IMAGE_SIDES, touches, strict=True)},
        through=(through[0], through[1], through[2]),
        closed=share(np.logical_not(np.any(touches, axis=0))),
    )


def checked_mask(mask: ArrayLike) -> NDArray[np.bool_]:
    """`mask` as a 3D bool array: True is inside. **Errors:** `GeometryError` if it is not 3D, empty or not bool."""
    chosen = np.asarray(mask)
    if chosen.ndim != 3 or chosen.size == 0:
        raise GeometryError(f"A mask must have three non-empty axes (z, y, x), got shape {chosen.shape}.")
    if chosen.dtype != np.bool_:
        raise GeometryError(
            f"A mask must hold True and False, got data of type {chosen.dtype}. Compare the image with a value, such "
            "as electrode.phase == AM."
        )
    return chosen
