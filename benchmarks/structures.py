"""Named, seeded structures [z, y, x] of any size for the benchmarks: conductivities, 0 = insulating.

Each stresses something else: packed spheres and smoothed noise are what electrodes look like; a contrast of 1e-3 or
1e-9 couples the phases weakly; random voxels near the percolation threshold are all necks and detours; the phases of
the CT image are a compact (active material), a winding (pore) and a thin one (binder); the answer for layers is exact.

Conducting voxels that no path through faces joins to both outer planes of axis 0 are removed: they carry no current,
and every program that is compared leaves them out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import ConfigError, GeometryError, did_you_mean

Sigma = NDArray[np.uint8] | NDArray[np.float32]

RADIUS = 8.0  # of the spheres [voxels]
POROSITY = 0.4
BLOB_WIDTH, BLOB_SHARE = 4.0, 0.3  # standard deviation of the smoothing [voxels], conducting share
#: Conducting share of the uncorrelated voxels. They percolate from 0.3116 on (simple cubic sites; Wang, Zhou, Zhang,
#: Garoni, Deng, Phys. Rev. E 87 (2013) 052107).
NEAR_THRESHOLD = 0.32
SEEDS = 100  # tried for a `threshold` that reaches through
LAYER, LAYER_CONDUCTIVITIES = 4, (1.0, 0.05)  # thickness [voxels]
SMALLEST = 2  # voxels per side
FILM = 128  # voxels per side of the image
FILM_LABELS = {"pore": 0, "am": 1, "cbd": 2}


class Structure(NamedTuple):
    """What it is, and the function (size, seed) -> sigma before unconnected clusters are removed."""

    about: str
    make: Callable[[int, int], Sigma]
    largest: int | None = None  # voxels per side


def percolating(conducting: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of `conducting` [z, y, x] that paths through faces join to both outer planes of axis 0."""
    labels, count = ndimage.label(conducting)
    both = np.zeros(count + 1, dtype=bool)
    both[np.intersect1d(labels[0], labels[-1])] = True
    both[0] = False
    return both[labels]


def overlapping_spheres(size: int, seed: int) -> NDArray[np.bool_]:
    """Space between spheres with random centres (a Boolean model; pore fraction exp(-n V) = 0.4 on average)."""
    rng = np.random.default_rng(seed)
    solid = np.zeros((size, size, size), dtype=bool)
    # Centres up to one radius outside, so that the pore fraction is the same at the walls.
    box = size + 2 * RADIUS
    count = rng.poisson(-np.log(POROSITY) * box**3 / (4 / 3 * np.pi * RADIUS**3))
    for centre in rng.random((count, 3)) * box - RADIUS:
        low = np.maximum(np.floor(centre - RADIUS).astype(int), 0)
        high = np.minimum(np.ceil(centre + RADIUS).astype(int) + 1, size)
        if (high <= low).any():
            continue
        z, y, x = (np.arange(a, b) + 0.5 - c for a, b, c in zip(low, high, centre, strict=True))
        ball = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= RADIUS**2
        solid[low[0] : high[0], low[1] : high[1], low[2] : high[2]] |= ball
    return ~solid


def _spheres(size: int, seed: int) -> Sigma:
    return overlapping_spheres(size, seed).astype(np.uint8)


def _contrast(solid: float) -> Callable[[int, int], Sigma]:
    def make(size: int, seed: int) -> Sigma:
        return np.where(overlapping_spheres(size, seed), np.float32(1), np.float32(solid))

    return make


def _blobs(size: int, seed: int) -> Sigma:
    noise = np.random.default_rng(seed).standard_normal((size, size, size), dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, BLOB_WIDTH, mode="wrap")
    return (smooth < np.quantile(smooth, BLOB_SHARE)).astype(np.uint8)


def _threshold(size: int, seed: int) -> Sigma:
    # So close to the threshold not every sample reaches through: the first seed, counted up, whose sample does.
    for k in range(seed, seed + SEEDS):
        conducting = np.random.default_rng(k).random((size, size, size), dtype=np.float32) < NEAR_THRESHOLD
        if percolating(conducting).any():
            return conducting.astype(np.uint8)
    raise GeometryError(f"threshold: none of {SEEDS} samples of {size}^3 voxels reaches through. Take another size.")


def _film(phase: str) -> Callable[[int, int], Sigma]:
    def make(size: int, seed: int) -> Sigma:
        import tifffile

        from simulator.resources import mesh_path

        image = tifffile.imread(mesh_path("nmc532_film_128.tif"))
        start = (FILM - size) // 2
        middle = slice(start, start + size)
        return (image[middle, middle, middle] == FILM_LABELS[phase]).astype(np.uint8)

    return make


def _layers(size: int, seed: int) -> Sigma:
    """Effective conductivity: size / sum over the planes of 1 / sigma."""
    high = np.arange(size) // LAYER % 2 == 0
    values = np.where(high, *LAYER_CONDUCTIVITIES).astype(np.float32)
    return np.broadcast_to(values[:, None, None], (size, size, size)).copy()


STRUCTURES: dict[str, Structure] = {
    "spheres": Structure("overlapping insulating spheres of radius 8 voxels; the pore, 0.4, conducts", _spheres),
    "blobs": Structure("Gaussian-smoothed noise of width 4 voxels; 30 % conducts", _blobs),
    "spheres-1e-3": Structure("the same spheres, which conduct 1e-3", _contrast(1e-3)),
    "spheres-1e-9": Structure("the same spheres, which conduct 1e-9", _contrast(1e-9)),
    "threshold": Structure("uncorrelated random voxels; 32 % conducts, near the percolation threshold", _threshold),
    "film-am": Structure("active material of the CT image, central crop", _film("am"), FILM),
    "film-pore": Structure("pore of the CT image, central crop", _film("pore"), FILM),
    "film-cbd": Structure("binder of the CT image, central crop: a thin phase", _film("cbd"), FILM),
    "layers": Structure("layers of 4 voxels across the current, 1 and 0.05: exact answer known", _layers),
}


def check(name: str, size: int) -> None:
    """Raise `ConfigError` unless `make(name, size)` can be made."""
    if name not in STRUCTURES:
        raise ConfigError(f"There is no structure {name!r}.{did_you_mean(name, STRUCTURES)}")
    if size < SMALLEST:
        raise ConfigError(f"A structure needs at least {SMALLEST} voxels per side, got {size}. Give a larger size.")
    largest = STRUCTURES[name].largest
    if largest is not None and size > largest:
        raise ConfigError(
            f"{name} is cut out of an image of {largest}^3 voxels, got size {size}. Give at most {largest}."
        )


def make(name: str, size: int, seed: int = 0) -> Sigma:
    """Conductivities [z, y, x] of `size`^3 voxels: uint8 of 0 and 1, or float32 where both phases conduct.

    The same name, size and seed give the same voxels on every machine. The films and the layers have no seed.

    **Errors:** `ConfigError` for an unknown name or size, `GeometryError` if no path leads through.
    """
    check(name, size)
    sigma = STRUCTURES[name].make(size, seed)
    live = percolating(sigma > 0)
    if not live.any():
        raise GeometryError(f"{name} of {size}^3 voxels: no conducting path leads through. Take another size.")
    sigma[~live] = 0
    return sigma
