"""Noise filters of the field, all on float32 images in [0, 1], 2D or 3D. A new one is a function and a line."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.segmentation.intensity import noise_level

Image = NDArray[np.float32]


def _gaussian(image: Image, strength: float) -> Image:
    """Gaussian of standard deviation `strength` [voxel]: blurs edges as much as noise."""
    return ndimage.gaussian_filter(image, strength, mode="nearest")


def _median(image: Image, strength: float) -> Image:
    """Median of a cube with `strength` voxels (rounded) to each side."""
    return ndimage.median_filter(image, size=2 * max(1, round(strength)) + 1, mode="nearest")


def _non_local_means(image: Image, strength: float) -> Image:
    """Mean of voxels with similar neighbourhoods of 3 voxels within 3 voxels; `strength`: width over the noise.

    **Source:** A. Buades, B. Coll, J.-M. Morel, CVPR 2005, doi:10.1109/CVPR.2005.38; fast form: J. Darbon et al.,
    ISBI 2008, doi:10.1109/ISBI.2008.4541250.
    """
    from skimage.restoration import denoise_nl_means

    sigma = noise_level(image)
    if sigma == 0.0:
        return image
    found = denoise_nl_means(image, patch_size=3, patch_distance=3, h=strength * sigma, sigma=sigma, fast_mode=True)
    return found.astype(np.float32, copy=False)


def _total_variation(image: Image, strength: float) -> Image:
    """Least total variation at a weight of `strength` times the noise.

    **Source:** A. Chambolle, J. Math. Imaging Vis. 20 (2004) 89, doi:10.1023/B:JMIV.0000011325.36760.1e.
    """
    from skimage.restoration import denoise_tv_chambolle

    sigma = noise_level(image)
    return image if sigma == 0.0 else denoise_tv_chambolle(image, weight=strength * sigma).astype(np.float32)


def _nothing(image: Image, strength: float) -> Image:
    return image


_STRONGEST = 10.0  # beyond, filters take for ever and nothing of the image is left
#: name -> (filter, strength by default, what the strength is)
FILTERS: dict[str, tuple[Callable[[Image, float], Image], float, str]] = {
    "none": (_nothing, 1.0, ""),
    "gaussian": (_gaussian, 0.7, "standard deviation {} voxels"),
    "median": (_median, 1.0, "{} voxels to each side"),
    "nlm": (_non_local_means, 0.6, "non-local means, {} times the noise"),
    "tv": (_total_variation, 0.6, "total variation, weight {} times the noise"),
}


def denoised(image: Image, name: str, strength: float | None = None) -> tuple[Image, str]:
    """`image` after the filter `name`, and a text of what was done.

    **Errors:** `ConfigError` for an unknown filter or a strength out of range.
    """
    if name not in FILTERS:
        raise ConfigError(f"denoise cannot be {name!r}.{did_you_mean(str(name), FILTERS)}")
    function, usual, text = FILTERS[name]
    value = usual if strength is None else float(strength)
    if not 0 < value <= _STRONGEST:
        raise ConfigError(
            f"strength must lie in (0, {_STRONGEST:g}], got {strength!r}. {usual:g} is usual for denoise={name}."
        )
    if name == "none":
        return image, "denoise: none"
    return np.clip(function(image, value), 0.0, 1.0), f"denoise: {name} ({text.format(f'{value:g}')})"
