"""Cell and face access: who is the low and the high side of a face, and what leaves a cell."""

import jax
import numpy as np
import pytest

from simulator.numerics.stencil import AXES, face_shape, halo, outflow, pad_axis, sides, spatial, take

SHAPE = (2, 3, 4)
FIELD = np.arange(1.0, 1.0 + np.prod(SHAPE)).reshape(SHAPE)


@pytest.mark.parametrize("axis", AXES)
def test_face_i_lies_between_cells_i_minus_1_and_i_with_zeros_outside(axis):
    low, high = jax.jit(lambda u: sides(halo(u), axis))(FIELD)
    assert low.shape == high.shape == face_shape(SHAPE, axis)
    for index in np.ndindex(face_shape(SHAPE, axis)):
        before = list(index)
        before[axis] -= 1
        expected_low = FIELD[tuple(before)] if before[axis] >= 0 else 0.0
        expected_high = FIELD[index] if index[axis] < SHAPE[axis] else 0.0
        assert (low[index], high[index]) == (expected_low, expected_high)


@pytest.mark.parametrize("axis", AXES)
def test_stacked_fields_are_read_like_single_ones(axis):
    stacked = np.stack([FIELD, -2.0 * FIELD])
    low, high = jax.jit(lambda u: sides(halo(u), axis))(stacked)
    one_low, one_high = jax.jit(lambda u: sides(halo(u), axis))(FIELD)
    np.testing.assert_array_equal(low, np.stack([one_low, -2.0 * one_low]))
    np.testing.assert_array_equal(high, np.stack([one_high, -2.0 * one_high]))


@pytest.mark.parametrize("axis", AXES)
def test_outflow_is_what_leaves_upwards_minus_what_enters_from_below(axis):
    flux = np.random.default_rng(1).normal(size=face_shape(SHAPE, axis))
    out = jax.jit(lambda f: outflow(f, axis))(flux)
    for index in np.ndindex(SHAPE):
        above = list(index)
        above[axis] += 1
        assert out[index] == flux[tuple(above)] - flux[index]


@pytest.mark.parametrize("axis", AXES)
def test_total_outflow_is_what_crosses_the_outer_boundary(axis):
    flux = np.random.default_rng(2).normal(size=face_shape(SHAPE, axis))
    total = float(np.sum(outflow(flux, axis)))
    boundary = float(np.sum(take(flux, axis, -1, None)) - np.sum(take(flux, axis, 0, 1)))
    assert abs(total - boundary) < 1e-13  # rounding of 36 numbers of size 1


def test_take_and_pad_count_axes_from_the_end():
    stacked = np.stack([FIELD, FIELD])
    assert [spatial(axis) for axis in AXES] == [-3, -2, -1]
    np.testing.assert_array_equal(take(stacked, 1, 1, 3), stacked[:, :, 1:3])
    padded = np.asarray(pad_axis(stacked, 2, 1, 2, value=7.0))
    assert padded.shape == (2, 2, 3, 7)
    np.testing.assert_array_equal(padded[..., 1:5], stacked)
    assert np.all(padded[..., 0] == 7.0) and np.all(padded[..., 5:] == 7.0)


def test_halo_surrounds_the_three_grid_axes_with_zeros_only():
    padded = np.asarray(halo(np.stack([FIELD, FIELD])))
    assert padded.shape == (2, 4, 5, 6)
    assert padded.sum() == 2 * FIELD.sum()
    np.testing.assert_array_equal(padded[:, 1:-1, 1:-1, 1:-1], np.stack([FIELD, FIELD]))
