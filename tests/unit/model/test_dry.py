"""Fields near places without salt: psi = phi_e - K ln c_e, and corrections that keep to it."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.model.cell import C_E, PHI_E, PHI_S, STO
from simulator.model.dry import DRY, feasible, refilled, with_phi_e, with_psi


@pytest.fixture(scope="module")
def case(tiny):
    """A cell, and fields with salt from next to nothing to plenty."""
    cell = tiny.cell()
    rng = np.random.default_rng(5)
    shape = cell.model.shape
    u = np.stack([np.full(shape, 3.9), rng.normal(0.0, 0.1, shape), rng.uniform(0.3, 0.9, shape), np.ones(shape)])
    u[C_E] = cell.model.parameters.c_e_init * 10.0 ** rng.uniform(-9.0, 0.3, shape)
    return cell.model, jnp.asarray(u), np.asarray(cell.model.active[C_E])


def test_psi_is_the_written_potential_and_leads_back(case):
    model, u, ionic = case
    v = with_psi(u, model)
    c_e, c_init = np.asarray(u[C_E]), float(model.parameters.c_e_init)
    # the tiny cell: 333.15 K, t_plus = 0.2, thermodynamic factor 1.3
    K = 2.0 * R * 333.15 / F * 0.8 * 1.3
    expected = np.asarray(u[PHI_E]) - K * np.log(c_e / c_init)
    np.testing.assert_allclose(np.asarray(v[PHI_E])[ionic], expected[ionic], rtol=1e-10)
    np.testing.assert_array_equal(np.asarray(v[PHI_E])[~ionic], np.asarray(u[PHI_E])[~ionic])
    np.testing.assert_allclose(np.asarray(with_phi_e(v, model)), np.asarray(u), rtol=1e-12, atol=1e-14)


def test_a_small_correction_is_taken_as_it_is(case):
    model, u, ionic = case
    rng = np.random.default_rng(6)
    du = 1e-6 * np.asarray(u) * rng.standard_normal(u.shape)
    new = np.asarray(feasible(u, u + du, model))
    for field in (PHI_S, STO, C_E):
        where = ionic if field == C_E else np.ones_like(ionic)
        np.testing.assert_allclose(new[field][where], np.asarray(u + du)[field][where], rtol=1e-10)
    np.testing.assert_allclose(new[PHI_E], np.asarray(u + du)[PHI_E], atol=1e-11)


def test_a_large_correction_leaves_salt_everywhere_and_psi_where_it_was_sent(case):
    """A salt correction of a thousand times what is there must not move the potential by K times a thousand."""
    model, u, ionic = case
    rng = np.random.default_rng(6)
    K = np.asarray(model.salt_coupling(u[C_E]))
    change = 1e3 * rng.standard_normal(model.shape)
    aim = 0.01 * rng.standard_normal(model.shape)  # of psi
    wanted = np.array(u)
    wanted[C_E] = np.asarray(u[C_E]) * (1.0 + change)
    wanted[PHI_E] = np.asarray(u[PHI_E]) + aim + K * change
    new = feasible(u, jnp.asarray(wanted), model)
    assert np.all(np.asarray(new[C_E])[ionic] > 0)
    moved = np.asarray(with_psi(new, model) - with_psi(u, model))[PHI_E]
    np.testing.assert_allclose(moved[ionic], aim[ionic], atol=1e-9)  # K 1e3 is 50 V
    dry = np.asarray(u[C_E]) < DRY * float(model.parameters.c_e_init)
    falling = ionic & dry & (change < 0)
    assert falling.any() and np.all(np.asarray(new[C_E])[falling] < np.asarray(u[C_E])[falling])


SHARE = 1e-4


def test_refilling_moves_a_trace_of_salt_and_no_psi(case):
    model, u, ionic = case
    new = refilled(u, model, SHARE)
    c_init = float(model.parameters.c_e_init)
    before, after = np.asarray(u[C_E]), np.asarray(new[C_E])
    assert before[ionic].min() < 1e-6 * c_init
    np.testing.assert_allclose(after[ionic].min(), SHARE * c_init, rtol=1e-12)
    storage = np.asarray(model.salt_storage)
    np.testing.assert_allclose(np.sum((storage * after)[ionic]), np.sum((storage * before)[ionic]), rtol=1e-14)
    assert np.abs(after - before)[ionic].max() < 10.0 * SHARE * c_init
    between = ionic & (before >= SHARE * c_init) & (before < DRY * c_init)
    assert between.any()
    np.testing.assert_array_equal(after[between], before[between])
    np.testing.assert_allclose(np.asarray(with_psi(new, model)), np.asarray(with_psi(u, model).at[C_E].set(new[C_E])))
    np.testing.assert_array_equal(after[~ionic], before[~ionic])
    np.testing.assert_array_equal(np.asarray(new)[[PHI_S, STO]], np.asarray(u)[[PHI_S, STO]])


def test_refilling_leaves_fields_alone_that_need_nothing_or_have_nothing_to_give(case):
    model, u, _ = case
    c_init = model.parameters.c_e_init
    for c_e in (jnp.maximum(u[C_E], 2.0 * SHARE * c_init), jnp.full_like(u[C_E], 1e-6 * c_init)):
        there = u.at[C_E].set(c_e)
        np.testing.assert_array_equal(np.asarray(refilled(there, model, SHARE)), np.asarray(there))


def test_refilling_leaves_a_single_ion_conductor_alone(tiny):
    cell = tiny.cell({"electrolyte.kind": "single_ion"})
    u = cell.initial_fields()
    np.testing.assert_array_equal(np.asarray(refilled(u, cell.model, SHARE)), np.asarray(u))
