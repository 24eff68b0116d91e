"""Thresholds and the mixture of normal distributions."""

import numpy as np
import pytest

from simulator.errors import GeometryError
from simulator.geometry.segmentation.thresholds import classified, fit_mixture, inner_spread, multi_otsu

MEANS, SPREADS, WEIGHTS = (0.2, 0.5, 0.8), (0.05, 0.06, 0.04), (0.5, 0.2, 0.3)


def sample(means=MEANS, spreads=SPREADS, weights=WEIGHTS, n=200_000):
    rng = np.random.default_rng(0)
    each = [rng.normal(m, s, round(w * n)) for m, s, w in zip(means, spreads, weights, strict=True)]
    return np.concatenate(each).clip(0, 1).astype(np.float32).reshape(-1, 100)


def test_otsu_parts_well_separated_classes_between_their_means():
    low, high = multi_otsu(sample(), 3)
    assert 0.3 < low < 0.4 and 0.6 < high < 0.72


def test_two_classes_have_the_threshold_of_otsu():
    image = sample((0.3, 0.7), (0.05, 0.05), (0.5, 0.5))
    (found,) = multi_otsu(image, 2)
    assert found == pytest.approx(0.5, abs=0.01)  # by symmetry; the histogram has 256 bins


def test_a_threshold_lies_halfway_between_classes_with_nothing_between_them():
    image = np.repeat(np.array([0.1, 0.12, 0.5, 0.9], np.float32), 25).reshape(10, 10)
    np.testing.assert_allclose(multi_otsu(image, 3), (0.31, 0.7), atol=0.004)  # a bin


def test_classes_count_the_thresholds_below():
    image = np.array([[0.0, 0.25, 0.31, 0.9]], np.float32)
    assert classified(image, np.array([0.25, 0.5])).tolist() == [[0, 0, 1, 2]]


def test_too_few_grey_values_are_refused():
    image = np.repeat(np.array([0.1, 0.9], np.float32), 50).reshape(10, 10)
    with pytest.raises(GeometryError, match="fewer grey values than 4 classes need"):
        multi_otsu(image, 4)


def test_the_mixture_finds_spreads_that_thresholds_cut_off():
    image = sample((0.35, 0.6), (0.09, 0.09), (0.6, 0.4))
    labels = classified(image, multi_otsu(image, 2))
    found = fit_mixture(image, labels, 2)
    # classes cut at the threshold have spreads of 0.07; 2e5 samples in 256 bins
    np.testing.assert_allclose(found.mean, (0.35, 0.6), atol=0.01)
    np.testing.assert_allclose(found.spread, (0.09, 0.09), rtol=0.05)
    np.testing.assert_allclose(found.weight, (0.6, 0.4), atol=0.03)


def test_confidence_is_a_half_where_classes_are_equally_likely_and_high_at_their_means():
    image = sample((0.3, 0.7), (0.08, 0.08), (0.5, 0.5))
    mixture = fit_mixture(image, classified(image, np.array([0.5])), 2)
    points = np.array([[0.3, 0.5, 0.7]], np.float32)
    sure = mixture.confidence(points, np.array([[0, 1, 1]], np.uint8))[0]
    assert sure[1] == pytest.approx(0.5, abs=0.06)  # a bin is 0.004 wide, and the probability steep here
    assert min(sure[0], sure[2]) > 0.999
    assert mixture.confidence(points, np.array([[1, 1, 0]], np.uint8))[0, 0] < 1e-3  # the wrong class


def test_share_of_wrong_voxels_is_what_confidence_says():
    image = sample((0.35, 0.6), (0.09, 0.09), (0.6, 0.4))
    truth = np.repeat([0, 1], [120_000, 80_000]).reshape(image.shape)
    labels = classified(image, multi_otsu(image, 2))
    sure = fit_mixture(image, labels, 2).confidence(image, labels)
    assert 1 - sure.mean() == pytest.approx(np.mean(labels != truth), abs=0.005)


def test_inner_spread_leaves_boundaries_out():
    rng = np.random.default_rng(1)
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[:, 10:] = 1
    image = np.where(labels == 1, 0.7, 0.3) + rng.normal(0, 0.02, labels.shape)
    image[:, 9:11] = 0.5  # blurred
    np.testing.assert_allclose(inner_spread(image.astype(np.float32), labels, 2), 0.02, rtol=0.05)


def test_inner_spread_of_a_film_is_that_of_all_its_voxels():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[:, 4] = 1
    image = np.random.default_rng(2).random((9, 9, 9)).astype(np.float32)
    assert inner_spread(image, labels, 2)[1] == pytest.approx(image[:, 4].std(), rel=1e-5)
