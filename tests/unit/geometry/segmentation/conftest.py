"""Grey stacks of known truth: the shipped particles, blurred and noisy as a tomogram."""

from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from simulator.resources import mesh_path

#: grey values of pore, binder and active material; 0 to 1
GREY = np.array([0.15, 0.45, 0.85], np.float32)


@pytest.fixture(scope="session")
def film() -> np.ndarray:
    """Classes 0, 1, 2 dark to bright, 48^3: every particle is coated, so all three phases touch in order."""
    return np.choose(tifffile.imread(mesh_path("nmc532_film_48.tif")), [0, 2, 1]).astype(np.uint8)


@pytest.fixture(scope="session")
def blobs(film: np.ndarray) -> np.ndarray:
    """The same particles with lumps of binder between them: bright touches dark nearly everywhere."""
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(film.shape), 3.0)
    lump = field > np.quantile(field[film < 2], 0.7)
    return np.where(film == 2, 2, np.where(lump, 1, 0)).astype(np.uint8)


@pytest.fixture(scope="session")
def tomogram() -> Callable[..., np.ndarray]:
    """`tomogram(truth, noise)`: uint16 image, blurred by one voxel, with detector and counting noise."""

    def make(truth: np.ndarray, noise: float = 0.05, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        clean = ndimage.gaussian_filter(GREY[truth], 1.0)
        # counting noise grows with the root of the brightness
        spread = np.sqrt(noise**2 + 0.05**2 * clean)
        noisy = clean + spread * rng.standard_normal(truth.shape, dtype=np.float32)
        return (10000 + 40000 * noisy).clip(0, 65535).astype(np.uint16)

    return make
