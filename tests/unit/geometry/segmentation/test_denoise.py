"""Every filter takes noise out, keeps edges in place, and works in two dimensions."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry.segmentation.denoise import FILTERS, denoised

REAL = [name for name in FILTERS if name != "none"]


def step(shape):
    clean = np.full(shape, 0.3, np.float32)
    clean[:, shape[1] // 2 :] = 0.7
    return clean, clean + np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("shape", [(24, 24, 24), (48, 48)])
def test_noise_falls_and_the_edge_stays(name, shape):
    clean, noisy = step(shape)
    smooth, text = denoised(noisy, name)
    assert smooth.dtype == np.float32 and text.startswith(f"denoise: {name}")
    flat = (slice(None), slice(2, shape[1] // 2 - 4))
    # the weakest, a median of 9 pixels in 2D, leaves 0.4 of white noise
    assert (smooth - clean)[flat].std() < 0.65 * (noisy - clean)[flat].std()
    assert np.mean((smooth > 0.5) != (clean > 0.5)) < 0.01


def test_none_changes_nothing():
    _, noisy = step((10, 10, 10))
    assert denoised(noisy, "none")[0] is noisy


@pytest.mark.parametrize("name", ["nlm", "tv"])
def test_a_uniform_image_passes_the_filters_that_measure_noise(name):
    flat = np.full((8, 8, 8), 0.5, np.float32)
    np.testing.assert_array_equal(denoised(flat, name)[0], flat)


@pytest.mark.parametrize(
    ("name", "strength", "text"),
    [
        ("nlms", None, "denoise cannot be 'nlms'. Did you mean 'nlm'"),
        ("tv", 0.0, "strength must lie in \\(0, 10\\], got 0.0"),
    ],
)
def test_unknown_filters_and_strengths_are_refused(name, strength, text):
    with pytest.raises(ConfigError, match=text):
        denoised(np.zeros((8, 8), np.float32), name, strength)
