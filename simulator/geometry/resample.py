"""Coarser copies of labelled images: blocks of voxels become one."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from simulator.geometry.phases import PHASES

_EQUAL = 1e-5  # shares of a voxel that differ by less differ by rounding


def _blocks(image: NDArray, factor: int) -> NDArray:
    """`image` cut to whole blocks, as (bz, f, by, f, bx, f)."""
    bz, by, bx = (n // factor for n in image.shape)
    cut = image[: bz * factor, : by * factor, : bx * factor]
    return cut.reshape(bz, factor, by, factor, bx, factor)


def coarsen_phase(phase: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Most frequent phase of each block of `factor`^3 voxels; layers at the end that fill no block are left out.

    Where two or more phases are equally frequent in a block, the choice keeps the phase fractions of the image as far
    as it can: the blocks with the same tied phases are divided so that what each phase still lacks becomes as equal as
    possible, and spread evenly through the image. The result depends on the image alone.

    **Arguments:** `phase` (nz, ny, nx), canonical codes; `factor` >= 1, not above any side.

    **Returns:** (nz // factor, ny // factor, nx // factor).
    """
    codes = sorted(PHASES.values())
    blocks = _blocks(phase, factor)
    counts = np.stack([np.count_nonzero(blocks == code, axis=(1, 3, 5)) for code in codes])
    return _fullest(counts / factor**3)


def _fullest(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Phase with the largest of `shares` (codes, z, y, x) in each voxel; ties are resolved as in `coarsen_phase`."""
    codes = sorted(PHASES.values())
    flat = shares.reshape(len(codes), -1)
    top = flat >= flat.max(axis=0) - _EQUAL
    chosen = np.argmax(top, axis=0)
    clear = top.sum(axis=0) == 1
    lacking = flat.sum(axis=1, dtype=np.float64) - np.bincount(chosen[clear], minlength=len(codes))
    # few tied phases first: those blocks leave the least freedom
    for size in range(2, len(codes) + 1):
        for members in combinations(range(len(codes)), size):
            pattern = np.zeros(len(codes), dtype=bool)
            pattern[list(members)] = True
            tied = np.flatnonzero((top == pattern[:, None]).all(axis=0))
            if tied.size == 0:
                continue
            quota = _share(tied.size, lacking[pattern])
            chosen[tied] = np.array(members)[_spread(quota)]
            lacking[pattern] -= quota
    return np.array(codes, dtype=np.uint8)[chosen].reshape(shares.shape[1:])


def _share(n: int, lacking: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divide `n` blocks among phases so that what they lack afterwards is as equal as can be (largest remainder)."""
    order = np.argsort(-lacking, kind="stable")
    falling = lacking[order]
    # fill from the neediest down to a common level: level_k = (sum of the k neediest - n) / k
    levels = (np.cumsum(falling) - n) / np.arange(1, falling.size + 1)
    k = int(np.flatnonzero(levels < falling)[-1])
    ideal = np.maximum(lacking - levels[k], 0.0)
    quota = np.floor(ideal).astype(np.int64)
    rest = np.argsort(-(ideal - quota), kind="stable")[: n - int(quota.sum())]
    quota[rest] += 1
    return quota


def _spread(quota: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices 0, 1, ... of the entries of `quota`, each as often as it says, evenly mixed."""
    owner = np.repeat(np.arange(quota.size), quota)
    place = np.concatenate([(np.arange(q) + 0.5) / max(q, 1) for q in quota])
    return owner[np.argsort(place, kind="stable")]


def resample_phase(
    phase: NDArray[np.uint8],
    voxel_size: tuple[float, float, float],
    shape: tuple[int, int, int],
    new_size: tuple[float, float, float],
) -> NDArray[np.uint8]:
    """Phase that fills most of each voxel of another grid with the same corner; ties as in `coarsen_phase`.

    **Arguments:** `phase` (nz, ny, nx) with edges `voxel_size`; `shape` and edges `new_size` of the new grid [m], which
    lies within the old one.

    **Returns:** array of `shape`.
    """
    weights = [_overlaps(n, h, m, g) for n, h, m, g in zip(phase.shape, voxel_size, shape, new_size, strict=True)]
    shares = []
    for code in sorted(PHASES.values()):
        share = (phase == code).astype(np.float32)
        for axis, weight in enumerate(weights):
            share = np.moveaxis(np.tensordot(weight, share, axes=(1, axis)), 0, axis)
        shares.append(share)
    return _fullest(np.stack(shares))


def _overlaps(n: int, h: float, m: int, g: float) -> NDArray[np.float32]:
    """(m, n): share of each of `m` new cells of length `g` that each of `n` old ones of length `h` fills."""
    low = np.maximum(np.arange(m)[:, None] * g, np.arange(n)[None, :] * h)
    high = np.minimum((np.arange(m)[:, None] + 1) * g, (np.arange(n)[None, :] + 1) * h)
    overlap = np.maximum(high - low, 0.0)
    overlap[overlap < 1e-6 * min(g, h)] = 0.0  # edges that coincide but for rounding
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def coarsen_labels(labels: NDArray[np.int32], factor: int, inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Most frequent label > 0 of each block where `inside`, else 0; of equally frequent ones the smallest.

    **Arguments:** `labels` (nz, ny, nx); `inside` (nz // factor, ...). **Returns:** int32 of the shape of `inside`.
    """
    blocks = np.ascontiguousarray(_blocks(labels, factor).transpose(0, 2, 4, 1, 3, 5)).reshape(inside.size, -1)
    block, voxel = np.nonzero((blocks > 0) & inside.reshape(-1, 1))
    result = np.zeros(inside.size, dtype=np.int32)
    if block.size:
        found = np.stack([block, blocks[block, voxel]])
        (where, label), count = np.unique(found, axis=1, return_counts=True)
        # last of each block: the largest count, then the smallest label
        order = np.lexsort((-label, count, where))
        last = np.append(np.diff(where[order]) > 0, True)
        result[where[order][last]] = label[order][last]
    return result.reshape(inside.shape)
