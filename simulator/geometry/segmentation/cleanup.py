"""What remains after thresholds: specks, closed pores in particles, rough boundaries. On class images, 2D or 3D."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.uint8]


def without_islands(labels: Labels, classes: int, min_size: int) -> Labels:
    """Clusters (joined through faces) of less than `min_size` voxels get the class most of their neighbours have.

    Neighbours that are small clusters themselves do not vote; clusters among such clusters only are given a class in
    further rounds, from the outside in, and keep their own where there is no other. Clusters at the image sides are
    counted by their part inside.
    """
    result = labels.copy()
    island = np.zeros(labels.shape, np.int32)
    n = 0
    for c in range(classes):
        cluster, count = ndimage.label(labels == c)
        small = np.bincount(cluster.ravel(), minlength=count + 1) < min_size
        small[0] = False
        number = np.zeros(count + 1, np.int32)
        number[small] = n + 1 + np.arange(np.count_nonzero(small))
        np.add(island, number[cluster], out=island)
        n += int(np.count_nonzero(small))
    while n:
        votes = _votes(island, result, n, classes)
        chosen = votes.argmax(axis=1)
        decided = votes.sum(axis=1) > 0
        decided[0] = False
        if not decided.any():
            break
        here = decided[island]
        result[here] = chosen[island[here]]
        island[here] = 0
    return result


def _votes(island: NDArray[np.int32], labels: Labels, n: int, classes: int) -> NDArray[np.int64]:
    """(n + 1, classes): for each island the faces towards voxels of each class outside any island."""
    votes = np.zeros((n + 1) * classes, np.int64)
    for axis in range(labels.ndim):
        low = [slice(None)] * labels.ndim
        high = [slice(None)] * labels.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        for inside, outside in ((tuple(low), tuple(high)), (tuple(high), tuple(low))):
            edge = (island[inside] > 0) & (island[outside] == 0)
            key = island[inside][edge].astype(np.int64) * classes + labels[outside][edge]
            votes += np.bincount(key, minlength=votes.size)
    return votes.reshape(n + 1, classes)


def with_filled_pores(labels: Labels, solid: Sequence[int], pore: Sequence[int]) -> Labels:
    """Voxels of the classes `pore` that lie in holes of the classes `solid` become the last of `solid`.

    A hole is enclosed on all sides, inside the image; what reaches a side of the image may go on outside.
    """
    closed = ndimage.binary_fill_holes(np.isin(labels, solid)) & np.isin(labels, pore)
    result = labels.copy()
    result[closed] = solid[-1]
    return result


def majority(labels: Labels, classes: int, times: int = 1) -> Labels:
    """The most frequent class among each voxel and its neighbours (3 voxels along each axis), `times` over.

    The class of the voxel itself stays where it is among the most frequent. The image is mirrored at its sides.
    """
    for _ in range(times):
        before = labels
        # whole numbers: no rounding decides a tie
        counts = np.empty((classes, *labels.shape), np.uint8)
        for c in range(classes):
            count = (labels == c).astype(np.uint8)
            for axis in range(labels.ndim):
                count = ndimage.correlate1d(count, np.ones(3), axis=axis, mode="reflect")
            counts[c] = count
        most = counts.max(axis=0)
        own = np.take_along_axis(counts, labels[None], axis=0)[0]
        labels = np.where(own == most, labels, counts.argmax(axis=0).astype(np.uint8))
        if np.array_equal(labels, before):
            break
    return labels
