"""Grey scale, drift and noise."""

import numpy as np
import pytest

from simulator.errors import GeometryError
from simulator.geometry.segmentation.intensity import noise_level, rescaled, without_drift


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_percentiles_become_0_and_1_for_every_type(dtype):
    grey = np.arange(100, dtype=dtype).reshape(10, 10)
    scaled, low, high = rescaled(grey, (0, 100))
    assert (low, high) == (0.0, 99.0)
    np.testing.assert_allclose(scaled.ravel(), np.arange(100) / 99, rtol=1e-6)
    assert scaled.dtype == np.float32


def test_hot_voxels_do_not_stretch_the_scale():
    grey = np.random.default_rng(0).normal(100, 10, (20, 20, 20))
    grey[3, 4, 5] = 1e9
    scaled, low, high = rescaled(grey, (0.1, 99.9))
    assert 60 < low < 80 and 120 < high < 140
    assert scaled[3, 4, 5] == 1.0


def test_a_uniform_image_is_refused():
    with pytest.raises(GeometryError, match="uniform: its percentiles 0.1 and 99.9 are both 7"):
        rescaled(np.full((5, 5), 7), (0.1, 99.9))


def test_drift_of_brightness_and_contrast_is_taken_out():
    rng = np.random.default_rng(1)
    z = np.linspace(-1, 1, 30)[:, None, None]
    truth = rng.choice([0.4, 0.6], (30, 40, 40))
    drifting = (truth - 0.5) * (1 + 0.3 * z) + 0.5 + 0.1 * z**2
    corrected = without_drift(drifting.astype(np.float32))
    dark, bright = corrected[truth == 0.4], corrected[truth == 0.6]
    # before: spread 0.03 inside a class; the trends are parabolas, so little more than their sampling is left
    assert max(dark.std(), bright.std()) < 0.004 < 0.03 < drifting[truth == 0.4].std()


def test_drift_needs_a_stack():
    with pytest.raises(GeometryError, match="at least 4 slices"):
        without_drift(np.zeros((3, 9, 9), np.float32))


@pytest.mark.parametrize("sigma", [0.01, 0.05])
def test_noise_is_measured_beside_edges(sigma):
    image = np.zeros((30, 30, 30), np.float32)
    image[:, 15:] = 0.5
    image += np.random.default_rng(2).normal(0, sigma, image.shape).astype(np.float32)
    # the voxel is in its own median, which takes a few per cent; the edge adds as little
    assert noise_level(image) == pytest.approx(sigma, rel=0.1)


def test_noise_of_a_smooth_image_is_that_of_its_rounding():
    levels = np.round(np.linspace(0, 1, 900).reshape(30, 30) * 20) / 20
    assert noise_level(levels.astype(np.float32)) == pytest.approx(0.05 / np.sqrt(12), rel=1e-3)
