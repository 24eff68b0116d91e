"""The counter electrode against a bracketing root finder, its derivatives, sign and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.physics.counter_electrode import LOG_FLOOR, CounterElectrode

N = 200
T = 333.15
NAMES = ("phi_e", "c_e", "kappa", "diffusivity", "t_plus", "coupling", "distance", "j0", "resistance", "potential")


def cases(seed, spread):
    """Random first layers with wall overpotentials up to `spread` [V]; t_plus and coupling belong together."""
    rng = np.random.default_rng(seed)
    t_plus = rng.uniform(0.1, 0.9, N)
    potential = np.asarray(0.62)
    return {
        "phi_e": -potential + rng.uniform(-spread, spread, N),
        "c_e": rng.uniform(50.0, 3000.0, N),
        "kappa": 10.0 ** rng.uniform(-3, 0, N),
        "diffusivity": 10.0 ** rng.uniform(-12.5, -10, N),
        "t_plus": t_plus,
        "coupling": 2 * R * T / F * (1 - t_plus) * rng.uniform(0.5, 3.0, N),
        "distance": 10.0 ** rng.uniform(-7, -5.5, N),
        "j0": np.asarray(4.0),
        "resistance": np.asarray(2e-3),
        "potential": potential,
    }


@jax.jit
def solve(v):
    electrode = CounterElectrode(v["j0"], v["resistance"], v["potential"])
    layer = {name: v[name] for name in ("kappa", "diffusivity", "t_plus", "coupling", "distance")}
    return electrode.current(v["phi_e"], v["c_e"], **layer, temperature=jnp.asarray(T))


def by_bisection(v):
    """Each layer alone, all losses written out; the logarithm continued linearly below LOG_FLOOR."""
    out = []
    for k in range(N):
        x = {name: float(np.broadcast_to(v[name], N)[k]) for name in NAMES}

        def excess(i, x=x):
            ratio = 1 + (1 - x["t_plus"]) * i * x["distance"] / (F * x["diffusivity"] * x["c_e"])
            log = np.log(ratio) if ratio > LOG_FLOOR else np.log(LOG_FLOOR) + ratio / LOG_FLOOR - 1
            phi_wall = x["phi_e"] + i * x["distance"] / x["kappa"] + x["coupling"] * log
            driving = F / (2 * R * T) * (-x["potential"] - phi_wall - i * x["resistance"])
            return 2 * x["j0"] * np.sinh(np.clip(driving, -300, 300)) - i

        end = np.copysign(1e-12, excess(0.0))
        while excess(end) * end > 0:
            end *= 4.0
        out.append(brentq(excess, 0.0, end, xtol=1e-300, rtol=8.9e-16, maxiter=500))
    return np.array(out)


@pytest.mark.parametrize("spread", [1e-9, 0.2, 2.0])
def test_current_is_the_root_of_the_scalar_equation(spread):
    v = cases(3, spread)
    # The solver stops at 1e-12 V and takes one more Newton step: 1e-10 of the current, or of j0 near equilibrium.
    np.testing.assert_allclose(solve(v), by_bisection(v), rtol=1e-9, atol=1e-12)


def test_a_negative_electrolyte_potential_strips_and_a_positive_one_plates():
    v = cases(4, 0.2)
    assert np.all(np.sign(solve(v)) == -np.sign(v["phi_e"] + v["potential"]))


def test_plating_lowers_the_salt_at_the_wall_but_never_gives_a_nan():
    v = cases(5, 2.0)
    i = np.asarray(solve(v))
    ratio = 1 + (1 - v["t_plus"]) * i * v["distance"] / (F * v["diffusivity"] * v["c_e"])
    assert np.all(np.isfinite(i))
    assert np.all((ratio < 1) == (i < 0))
    assert np.any(ratio < LOG_FLOOR), "the cases must reach the continued logarithm"


def test_single_ion_conductor_sees_ohmic_and_kinetic_losses_only():
    v = {**cases(6, 0.2), "t_plus": np.ones(N), "coupling": np.zeros(N)}
    i = np.asarray(solve(v))
    loss = i * (v["distance"] / v["kappa"] + v["resistance"]) + 2 * R * T / F * np.arcsinh(i / (2 * v["j0"]))
    np.testing.assert_allclose(-v["potential"] - v["phi_e"], loss, rtol=0, atol=1e-14)  # rounding of 0.6 V
    # and does not depend on salt or diffusivity at all
    other = {**v, "c_e": np.full(N, 1.0), "diffusivity": np.full(N, 1e-30)}
    np.testing.assert_array_equal(solve(other), i)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_by_every_argument_matches_central_differences(name):
    v = jax.tree.map(jnp.asarray, cases(7, 0.1))
    size = 0.05 if name in ("phi_e", "potential", "coupling") else 0.2 * v[name]
    tangent = {key: jnp.zeros_like(value) for key, value in v.items()}
    tangent[name] = size * jnp.ones_like(v[name])
    exact = np.asarray(jax.jit(lambda v, t: jax.jvp(solve, (v,), (t,))[1])(v, tangent))

    def at(h):
        return np.asarray(solve(jax.tree.map(lambda a, t: a + h * t, v, tangent)))

    h = 1e-4
    # Fourth-order differences: truncation h^4; rounding 1e-12 V / (h 0.03 V) = 3e-7 of the current at worst.
    numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    assert np.max(np.abs(exact)) > 0
    np.testing.assert_array_less(np.abs(exact - numeric) / (np.abs(exact) + np.abs(solve(v)) + 0.1), 1e-6)


def test_any_shape_is_solved_elementwise():
    v = cases(8, 0.1)
    square = {k: a.reshape(10, 20) if a.shape else a for k, a in v.items()}
    np.testing.assert_allclose(np.ravel(solve(square)), solve(v), rtol=1e-12)
