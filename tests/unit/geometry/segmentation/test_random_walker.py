"""The random walker: the same probabilities as scikit-image's, seeds, and its limits."""

import numpy as np
import pytest
from skimage.segmentation import random_walker

from simulator.errors import ConvergenceError, GeometryError
from simulator.geometry.segmentation.random_walker import FLOOR, find_seeds, random_walk

SHAPE = (9, 8, 10)


def case(shape):
    """A smooth image, and some seeds of three classes."""
    rng = np.random.default_rng(0)
    image = rng.random(shape).astype(np.float32)
    seeds = np.where(rng.random(shape) < 0.1, rng.integers(1, 4, shape), 0).astype(np.uint8)
    seeds.flat[[0, 50, 100]] = 1, 2, 3  # every class has one
    return image, seeds


@pytest.mark.parametrize("shape", [SHAPE, (12, 12)])
def test_probabilities_are_those_of_scikit_image(shape):
    image, seeds = case(shape)
    beta, scale = 1.0, 0.5
    # its weights are exp(-beta' difference^2 / (10 std))
    same = beta / scale**2 * 10 * image.std()
    theirs = random_walker(image, seeds, beta=same, mode="cg_j", tol=1e-7, return_full_prob=True)
    found = random_walk(image, seeds, 3, beta, scale, rtol=1e-6)
    # ours are higher by FLOOR = 1e-5 (least weight here: e^-4), and the residual is 1e-6 in single precision
    np.testing.assert_allclose(found, theirs, atol=2e-4)
    assert FLOOR == 1e-5
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)


def test_seeds_keep_their_class_and_the_start_does_not_matter():
    image, seeds = case(SHAPE)
    a = random_walk(image, seeds, 3, 5.0, 0.5, rtol=1e-6)
    b = random_walk(image, seeds, 3, 5.0, 0.5, rtol=1e-6, start=np.full(image.shape, 1, np.uint8))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert (a.argmax(axis=0)[seeds > 0] + 1 == seeds[seeds > 0]).all()


def test_straight_edges_are_found_from_one_seed_each():
    image = np.zeros(SHAPE, np.float32)
    image[:, 3:] = 1.0
    image[:, 6:] = 2.0
    seeds = np.zeros(image.shape, np.uint8)
    seeds[3, 2, 5], seeds[7, 3, 1], seeds[2, 7, 4] = 1, 2, 3
    found = random_walk(image, seeds, 3, 10.0, 1.0)
    np.testing.assert_array_equal(found.argmax(axis=0), image)


def test_flat_voxels_pull_harder_along_their_short_side():
    image = np.zeros((9, 9), np.float32)
    seeds = np.zeros(image.shape, np.uint8)
    seeds[4, 0], seeds[0, 4] = 1, 2  # equally many voxels away from the centre
    even = random_walk(image, seeds, 2, 1.0, 1.0, rtol=1e-6)[:, 4, 4]
    np.testing.assert_allclose(even, 0.5, atol=1e-4)  # by symmetry
    short_rows = random_walk(image, seeds, 2, 1.0, 1.0, spacing=(1.0, 3.0), rtol=1e-6)[:, 4, 4]
    assert short_rows[1] > 0.6  # the second seed lies along axis 0, a third as far


def test_seeds_are_sure_voxels_only():
    image = np.repeat(np.array([0.1, 0.1, 0.1, 0.5, 0.9, 0.9, 0.9, 0.45, 0.5, 0.5, 0.62], np.float32)[:, None], 5, 1)
    thresholds, means = np.array([0.3, 0.7]), np.array([0.1, 0.5, 0.9])
    labels = np.digitize(image, thresholds).astype(np.uint8)
    seeds = find_seeds(image, labels, thresholds, means)
    # 0.5 between 0.1 and 0.9 is a blurred edge; 0.62 lies in the outer half of its class; the voxels beside the jumps
    # of 0.4 and more are steep (limit 0.7 * 0.4)
    assert seeds[:, 0].tolist() == [1, 1, 0, 0, 0, 3, 0, 0, 2, 2, 0]


def test_a_class_without_sure_voxels_is_named():
    image = np.zeros((8, 8), np.float32)
    image[:, 4:] = 1.0
    image[:, 4] = 0.5
    labels = np.digitize(image, [0.3, 0.7]).astype(np.uint8)
    with pytest.raises(GeometryError, match="Class 1 .* has no voxel that surely belongs to it. Use method=otsu"):
        find_seeds(image, labels, np.array([0.3, 0.7]), np.array([0.0, 0.5, 1.0]))


def test_iterations_that_do_not_converge_are_an_error():
    image, seeds = case(SHAPE)
    with pytest.raises(ConvergenceError, match="random walker reached a residual of .* Use a smaller beta than 3"):
        random_walk(image, seeds, 3, 3.0, 0.5, rtol=1e-30)
