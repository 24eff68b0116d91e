r"""Random walker: the class whose seeds a walker starting at a voxel reaches first, most probably.

The walker crosses the face between voxels $i$ and $j$ with weight $w_{ij}=\exp(-\beta\,(g_i-g_j)^2/\Delta^2)$, so that
it seldom crosses an edge of the image. The probabilities solve Laplace's equation on the network of these weights with
1 on the seeds of the class and 0 on all others. Grady divides by the largest squared difference of the image, which one
hot voxel would set; here $\Delta$ is the smallest distance between the mean grey values of neighbouring classes.
"""

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConvergenceError, GeometryError

#: A seed lies this far inside its class: 0 at the threshold, 1 at the mean of the class.
MARGIN = 0.5
#: and differs from no face neighbour by more than this share of the distance of neighbouring class means. Blurred edges
#: between a dark and a bright phase pass through the values of those between, and must not become seeds of them.
STEEP = 0.7
#: Smallest weight: every voxel has a way to a seed, and single precision resolves the contrast to the largest, 1.
FLOOR = 1e-5
#: Residual at which probabilities are right to about 0.002; ten times that would leave 0.05 to 0.1 (measured).
RTOL = 1e-4


def find_seeds(
    image: NDArray[np.float32], labels: NDArray[np.uint8], thresholds: NDArray[np.float64], means: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Voxels that surely belong to a class: class + 1, 0 elsewhere.

    A voxel is a seed if its grey value lies in the inner half of its class (`MARGIN`) and no face neighbour differs by
    more than `STEEP` times the smallest distance of class means.

    **Errors:** `GeometryError` if a class has no seed.
    """
    gap = float(np.diff(means).min())
    flat = ~_steep(image, STEEP * gap)
    last = means.size - 1
    seeds = np.zeros(image.shape, np.uint8)
    for c in range(means.size):
        inside = (labels == c) & flat
        if c > 0:
            inside &= image > thresholds[c - 1] + MARGIN * (means[c] - thresholds[c - 1])
        if c < last:
            inside &= image < thresholds[c] - MARGIN * (thresholds[c] - means[c])
        if not inside.any():
            raise GeometryError(
                f"Class {c} (mean {means[c]:.3g} of the grey scale) has no voxel that surely belongs to it. Use "
                "method=otsu, fewer classes, a stronger denoise, or give thresholds."
            )
        seeds[inside] = c + 1
    return seeds


def _steep(image: NDArray[np.float32], limit: float) -> NDArray[np.bool_]:
    """Voxels with a face neighbour that differs by more than `limit`."""
    steep = np.zeros(image.shape, bool)
    for axis in range(image.ndim):
        edge = np.abs(np.diff(image, axis=axis)) > limit
        low = [slice(None)] * image.ndim
        high = [slice(None)] * image.ndim
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        steep[tuple(low)] |= edge
        steep[tuple(high)] |= edge
    return steep


def random_walk(
    image: NDArray[np.float32],
    seeds: NDArray[np.uint8],
    classes: int,
    beta: float,
    scale: float,
    spacing: tuple[float, ...] | None = None,
    start: NDArray[np.uint8] | None = None,
    rtol: float = RTOL,
) -> NDArray[np.float32]:
    r"""Probability (classes, *shape) that a walker from each voxel reaches a seed of each class first.

    **Arguments:** `image`: 2D or 3D; `seeds`: class + 1, 0 where free; `beta` > 0; `scale`: $\Delta$, the difference of
    grey values at which a weight is $e^{-\beta}$; `spacing`: lengths of a voxel, only their ratios count; `start`:
    classes to start the iterations from; `rtol`: residual relative to the source.

    **Errors:** `ConvergenceError`, and `GeometryError` if there is no seed.

    **Source:** L. Grady, IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768, doi:10.1109/TPAMI.2006.233.
    """
    from simulator.numerics.dirichlet import solve_dirichlet  # JAX takes a second to import

    flat = image.ndim == 2
    grey, seed = (image[None], seeds[None]) if flat else (image, seeds)
    sizes = (1.0,) * image.ndim if spacing is None else tuple(spacing)
    h = (min(sizes), *sizes) if flat else sizes
    shortest = min(h)
    weights = []
    for axis in range(3):
        difference = np.diff(grey, axis=axis) / np.float32(scale)
        weight = np.exp(np.float32(-beta) * difference**2) + np.float32(FLOOR)
        weights.append(weight * np.float32((shortest / h[axis]) ** 2))
    guess = seed.astype(np.int16) - 1 if start is None else start.reshape(grey.shape)
    sets = range(classes - 1)  # the last one is what is missing to 1
    values = np.stack([(seed == c + 1).astype(np.float32) for c in sets])
    first = np.stack([(guess == c).astype(np.float32) for c in sets])
    found = solve_dirichlet(
        (weights[0], weights[1], weights[2]), seed > 0, values, (h[0], h[1], h[2]), start=first, rtol=rtol
    )
    if not found.converged:
        raise ConvergenceError(
            f"The random walker reached a residual of {found.relative_residual.max():.1e} instead of {rtol:g}. "
            f"Use a smaller beta than {beta:g}, or method=otsu."
        )
    probability = np.empty((classes, *grey.shape), np.float32)
    np.clip(np.asarray(found.potential), 0.0, 1.0, out=probability[:-1])
    probability[-1] = np.clip(1.0 - probability[:-1].sum(axis=0), 0.0, 1.0)
    return probability[:, 0] if flat else probability
