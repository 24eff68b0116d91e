"""Grey values to [0, 1]: clipping, slow drift from slice to slice, and how noisy they are."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import GeometryError

#: share of a normal distribution within one standard deviation
_ONE_SIGMA = 0.6827
#: degree of the trend of a drift; a structure that changes on shorter lengths is kept
_DRIFT_DEGREE = 2
_SAMPLE = 4_000_000  # voxels that percentiles are taken from


def rescaled(grey: NDArray, clip: tuple[float, float]) -> tuple[NDArray[np.float32], float, float]:
    """`grey` as float32 with its `clip` percentiles at 0 and 1, values beyond them cut off; and those two grey values.

    Hot voxels and streaks would otherwise stretch the scale that thresholds and weights refer to. Of large images
    every n-th voxel is counted.

    **Errors:** `GeometryError` if the image is uniform between the percentiles.
    """
    sample = grey.reshape(-1)[:: max(1, grey.size // _SAMPLE)]
    low, high = (float(v) for v in np.percentile(sample, clip))
    if not high > low:
        raise GeometryError(
            f"The image is uniform: its percentiles {clip[0]:g} and {clip[1]:g} are both {low:g}. "
            "Widen clip, or check the image."
        )
    scaled = np.empty(grey.shape, np.float32)
    for layer, out in zip(grey, scaled, strict=True):
        np.clip((layer.astype(np.float64) - low) / (high - low), 0.0, 1.0, out=out, casting="same_kind")
    return scaled, low, high


def without_drift(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    r"""The image with slowly varying brightness and contrast along axis 0 taken out.

    Mean $m(z)$ and standard deviation $s(z)$ of the slices are fitted by parabolas and
    $g'=(g-m(z))\,\bar s/s(z)+\bar m$: beam and detector drift of slice-wise methods (FIB-SEM), cone-beam shading. A
    real gradient of the composition through the thickness is taken out with it.

    **Errors:** `GeometryError` for less than four slices.
    """
    n = scaled.shape[0]
    if scaled.ndim != 3 or n <= _DRIFT_DEGREE + 1:
        raise GeometryError(
            f"drift needs a stack of at least {_DRIFT_DEGREE + 2} slices along axis 0, got shape {scaled.shape}. "
            "Leave drift=false."
        )
    z = np.linspace(-1.0, 1.0, n)
    mean = scaled.mean(axis=(1, 2), dtype=np.float64)
    spread = np.maximum(scaled.std(axis=(1, 2), dtype=np.float64), 1e-6)
    m, s = (np.polyval(np.polyfit(z, v, _DRIFT_DEGREE), z) for v in (mean, spread))
    s = np.maximum(s, 0.1 * s.mean())  # a parabola through odd slices must not turn the scale around
    shape = (n, 1, 1)
    corrected = (scaled - m.reshape(shape)) * (s.mean() / s).reshape(shape) + m.mean()
    return np.clip(corrected, 0.0, 1.0).astype(np.float32)


def noise_level(scaled: NDArray[np.float32]) -> float:
    """Standard deviation of the noise: two thirds of the voxels (those of a normal distribution within one standard
    deviation) differ by less from the median of their neighbourhood. At least that of the rounding to grey levels.

    Edges are few and hardly move a median. The value is low by some per cent, since the voxel is in its neighbourhood,
    and by more where neighbouring voxels share their noise (reconstructions that were filtered before).
    """
    sample = scaled if scaled.ndim == 2 else scaled[_middle(scaled.shape[0])]
    within = float(np.percentile(np.abs(sample - ndimage.median_filter(sample, size=3)), 100 * _ONE_SIGMA))
    levels = np.unique(sample.reshape(-1)[:: max(1, sample.size // 100_000)])
    return max(within, float(np.diff(levels).min()) / math.sqrt(12.0) if levels.size > 1 else 0.0)


def _middle(n: int, most: int = 64) -> slice:
    """The middle slices: noise does not differ from part to part as structures do."""
    start = max(0, (n - most) // 2)
    return slice(start, start + most)
