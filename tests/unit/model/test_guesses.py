"""Guesses of a time step: exact where the fields (with psi in the place of phi_e) move as they assume."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.model.cell import C_E, PHI_E, PHI_S, STO
from simulator.model.dry import DRY, with_phi_e, with_psi
from simulator.model.residual import SideStates
from simulator.model.timestep import GAMMA, INSTANT, _predict_first, _second_stage

DT = 20.0
SMOOTH, SWITCHED, NOT = jnp.ones(()), jnp.ones(()), jnp.zeros(())


@pytest.fixture(scope="module")
def case(tiny):
    """A cell; fields with plenty of salt, and rates that change sto and c_e by a fifth at most within `DT`."""
    model = tiny.cell().model
    rng = np.random.default_rng(8)
    u = np.stack(
        [rng.uniform(low, high, model.shape) for low, high in ((3.8, 4.0), (-0.1, 0.1), (0.4, 0.6), (0.6, 1.4))]
    )
    u[C_E] *= float(model.parameters.c_e_init)
    rate = rng.uniform(-1.0, 1.0, u.shape) * np.array([0.02, 0.02, 0.05, 100.0])[:, None, None, None] / DT
    active = np.asarray(model.active)
    rest = np.array([4.0, 0.0, 0.5, float(model.parameters.c_e_init)])[:, None, None, None]
    return model, jnp.asarray(np.where(active, u, rest)), jnp.asarray(np.where(active, rate, 0.0)), active


def psi(u, model):
    return np.asarray(with_psi(u, model))


def test_first_guess_follows_the_rates_with_psi(case):
    model, u, rate, active = case
    guess = _predict_first(u, rate, jnp.asarray(DT), SMOOTH, NOT, model)
    expected = psi(u, model) + GAMMA * DT * np.asarray(rate)
    np.testing.assert_allclose(psi(guess, model)[active], expected[active], rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(np.asarray(guess)[~active], np.asarray(u)[~active])


def test_without_usable_rates_the_first_guess_is_where_the_step_starts(case):
    model, u, rate, active = case
    guess = _predict_first(u, rate, jnp.asarray(DT), NOT, NOT, model)
    np.testing.assert_allclose(np.asarray(guess)[active], np.asarray(u)[active], rtol=1e-13, atol=1e-14)


def test_behind_a_switch_dry_places_fill_and_phi_e_follows_them(case):
    """The potentials of `u` belong to the salt of an instant later; psi is formed with that salt."""
    model, u, _, active = case
    c_init = float(model.parameters.c_e_init)
    ionic = active[C_E]
    rng = np.random.default_rng(9)
    dry = ionic & (rng.uniform(size=model.shape) < 0.5)
    filling = dry & (rng.uniform(size=model.shape) < 0.5)
    c_e = np.where(dry, 1e-9 * c_init, np.asarray(u[C_E]))
    inflow = np.where(filling, 10.0 ** rng.uniform(-6.0, 1.0, model.shape) * c_init, 0.0) / DT
    u, rate = u.at[C_E].set(c_e), jnp.zeros_like(u).at[C_E].set(inflow)
    guess = _predict_first(u, rate, jnp.asarray(DT), NOT, SWITCHED, model)
    salt = np.asarray(guess[C_E])
    np.testing.assert_array_equal(salt[ionic & ~filling], c_e[ionic & ~filling])
    full = c_e + GAMMA * DT * inflow
    assert np.any(full[filling] > DRY * c_init) and np.any(full[filling] < DRY * c_init)
    np.testing.assert_allclose(salt[filling], np.minimum(full, DRY * c_init)[filling], rtol=1e-12)
    later = psi(u.at[C_E].set(c_e + INSTANT * inflow), model)
    np.testing.assert_allclose(psi(guess, model)[PHI_E][ionic], later[PHI_E][ionic], atol=1e-12)


@pytest.mark.parametrize("smooth", [True, False], ids=["parabola", "line"])
def test_second_guess_continues_the_curve_through_the_first_stage(case, smooth):
    """A parabola where the slope at the start is known, else a straight line; sto and c_e of the history likewise."""
    model, u, rate, active = case
    bend = np.asarray(rate) * (np.random.default_rng(10).uniform(-0.3, 0.3, rate.shape) if smooth else 0.0)
    start, slope = psi(u, model), np.asarray(rate)
    given = rate if smooth else -2.0 * rate  # without a usable slope it must not matter

    def at(t):
        return start + slope * t + bend * t * t / DT

    first = jnp.where(active, with_phi_e(jnp.asarray(at(GAMMA * DT)), model), u)
    nothing = SideStates()
    history, guess = _second_stage(
        u, nothing, given, first, nothing, jnp.asarray(DT), SMOOTH if smooth else NOT, NOT, model
    )
    np.testing.assert_allclose(psi(guess, model)[active], at(DT)[active], rtol=1e-12, atol=1e-12)
    # y_2 - gamma dt k_2 of the scheme: u + (1 - gamma) dt k_1 with k_1 = (Y_1 - u) / (gamma dt)
    k_1 = (np.asarray(first) - np.asarray(u))[STO:] / (GAMMA * DT)
    known = np.asarray(u)[STO:] + (1.0 - GAMMA) * DT * k_1
    np.testing.assert_allclose(np.asarray(history.fields)[active[STO:]], known[active[STO:]], rtol=1e-12)


def test_a_guess_beyond_the_bounds_is_brought_back(case):
    model, u, rate, active = case
    guess = np.asarray(_predict_first(u, 1e4 * rate, jnp.asarray(DT), SMOOTH, NOT, model))
    assert np.all(guess[STO][active[STO]] > 0.0) and np.all(guess[STO][active[STO]] < 1.0)
    assert np.all(guess[C_E][active[C_E]] > 0.0)
    assert np.all(np.isfinite(guess))
    moved = np.abs(guess - np.asarray(u))[PHI_S][active[PHI_S]]
    assert moved.max() > 1.0  # the solid potential has no bounds
