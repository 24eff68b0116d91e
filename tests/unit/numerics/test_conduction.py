"""Steady conduction between two walls: exact small cases and refusals."""

import numpy as np
import pytest

from simulator.errors import GeometryError
from simulator.numerics.conduction import solve_conduction

SPACING = (0.5e-6, 0.4e-6, 0.7e-6)
SHAPE = (6, 3, 4)
AREA = SHAPE[1] * SHAPE[2] * SPACING[1] * SPACING[2]
LENGTH = SHAPE[0] * SPACING[0]
# The solver stops at a relative residual of 1e-10; the conductance follows with a few times that.
SOLVER = 1e-9


def test_uniform_slab_has_conductance_sigma_area_over_length_and_a_linear_potential():
    found = solve_conduction(np.full(SHAPE, 3.0), SPACING)
    assert found.conductance == pytest.approx(3.0 * AREA / LENGTH, rel=SOLVER)
    z = (np.arange(SHAPE[0]) + 0.5) / SHAPE[0]
    expected = np.broadcast_to((1.0 - z)[:, None, None], SHAPE)
    np.testing.assert_allclose(found.potential, expected, atol=SOLVER)
    assert found.relative_residual <= 1e-10


def test_layers_in_series_give_the_harmonic_mean_across_any_jump():
    sigma = np.broadcast_to(np.array([1.0, 1e-3, 1e-3, 5.0, 1e3, 0.2])[:, None, None], SHAPE)
    found = solve_conduction(sigma, SPACING)
    assert found.conductance == pytest.approx(AREA / (SPACING[0] * np.sum(1.0 / sigma[:, 0, 0])), rel=SOLVER)


def test_columns_in_parallel_give_the_arithmetic_mean_and_insulators_nothing():
    sigma = np.broadcast_to(np.array([1.0, 0.0, 5.0, 1e3]), SHAPE)
    found = solve_conduction(sigma, SPACING)
    assert found.conductance == pytest.approx(sigma.mean() * AREA / LENGTH, rel=SOLVER)
    assert np.all(found.potential[:, :, 1] == 0.0)


def test_contact_masks_cut_off_the_wall_elsewhere():
    low = np.zeros(SHAPE[1:], bool)
    low[:, :2] = True
    sigma = np.ones(SHAPE)
    sigma[:, :, 2:] = 0.0
    half = solve_conduction(sigma, SPACING)
    masked = solve_conduction(sigma, SPACING, contact_low=low, contact_high=low)
    assert masked.conductance == pytest.approx(half.conductance, rel=SOLVER)
    spread = solve_conduction(np.ones(SHAPE), SPACING, contact_low=low, contact_high=low)
    # Two of four columns in contact: more than those alone, less than all of them.
    assert half.conductance * 1.01 < spread.conductance < 1.99 * half.conductance


@pytest.mark.parametrize(
    ("sigma", "text"),
    [
        (np.ones((3, 3)), "3D array"),
        (np.full(SHAPE, np.nan), "finite"),
        (np.full(SHAPE, -1.0), ">= 0 S/m"),
        (np.zeros(SHAPE), "touches one of the two walls"),
    ],
)
def test_impossible_conductivities_are_refused(sigma, text):
    with pytest.raises(GeometryError, match=text):
        solve_conduction(sigma, SPACING)
