"""Islands, closed pores and the majority filter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from simulator.geometry.segmentation.cleanup import majority, with_filled_pores, without_islands


def test_islands_take_the_class_around_them():
    labels = np.zeros((9, 9), np.uint8)
    labels[4:] = 2
    labels[1, 2:4] = 1  # in class 0
    labels[7, 7] = 0  # in class 2
    expected = np.zeros((9, 9), np.uint8)
    expected[4:] = 2
    np.testing.assert_array_equal(without_islands(labels, 3, 3), expected)


def test_islands_on_a_boundary_go_where_most_of_their_faces_are():
    labels = np.zeros((8, 8), np.uint8)
    labels[4:] = 2
    labels[4, 3:6] = 1  # three faces to 0, three to 2 below, two to 2 at the ends
    assert (without_islands(labels, 3, 4)[4, 3:6] == 2).all()


def test_a_cluster_of_exactly_the_size_stays_and_diagonals_do_not_join():
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2, 2, 2:6] = 1
    np.testing.assert_array_equal(without_islands(labels, 2, 4), labels)
    labels[3, 3, 6] = 1  # touches the cluster in a corner only
    assert without_islands(labels, 2, 4)[3, 3, 6] == 0


def test_nested_islands_are_resolved_from_the_outside_in():
    labels = np.zeros((9, 9), np.uint8)
    labels[3:6, 3:6] = 1
    labels[4, 4] = 2
    assert not without_islands(labels, 3, 20).any()


def test_an_image_of_islands_only_is_left_as_it_is():
    labels = np.indices((4, 4)).sum(axis=0).astype(np.uint8) % 2
    np.testing.assert_array_equal(without_islands(labels, 2, 5), labels)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_no_small_island_remains_if_a_large_one_exists(seed, least):
    labels = np.random.default_rng(seed).integers(0, 3, (6, 6, 6)).astype(np.uint8)
    labels[:3] = 0  # large enough for any `least`
    clean = without_islands(labels, 3, least)
    for c in range(3):
        cluster, n = ndimage.label(clean == c)
        assert n == 0 or np.bincount(cluster.ravel())[1:].min() >= least


def test_only_enclosed_pores_are_filled():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:11, 1:11, 1:11] = 2
    labels[4, 4, 4] = 0  # closed pore
    labels[7, 7, 7] = 1  # enclosed binder stays
    labels[5, 5, :6] = 0  # a channel to the outside
    filled = with_filled_pores(labels, (2,), (0,))
    assert filled[4, 4, 4] == 2 and filled[7, 7, 7] == 1 and filled[5, 5, 3] == 0
    assert np.count_nonzero(filled != labels) == 1


def test_pores_at_the_side_of_the_image_are_not_closed():
    labels = np.full((6, 6), 1, np.uint8)
    labels[0, 3] = 0
    np.testing.assert_array_equal(with_filled_pores(labels, (1,), (0,)), labels)


def test_majority_smooths_corners_and_keeps_planes():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[:, 5:] = 1
    np.testing.assert_array_equal(majority(labels, 2), labels)
    labels[5, 4, 5] = 1  # a bump of one voxel
    assert majority(labels, 2)[5, 4, 5] == 0


@pytest.mark.parametrize("times", [1, 2])
def test_majority_of_a_tie_keeps_the_voxel(times):
    labels = np.array([[0, 1], [1, 0]], np.uint8)  # mirrored at its sides: own class 5 of 9 times
    np.testing.assert_array_equal(majority(labels, 2, times), labels)
