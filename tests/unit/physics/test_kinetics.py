"""Butler-Volmer kinetics: the overpotential inverts the rate law; derivatives are those of the implicit function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.physics.kinetics import EDGE, EMPTY, ButlerVolmer

T = 333.15
DECADES = 10.0 ** np.linspace(-6.0, 6.0, 97)
RATIOS = np.concatenate([-DECADES[::-1], [0.0], DECADES])
ALPHAS = [(0.5, 0.5), (0.3, 0.7), (0.7, 0.3), (0.1, 0.9), (1.5, 0.5), (1.0, 1.0)]


def kinetics(alpha_a=0.5, alpha_c=0.5, j0_ref=1.0, c_e_init=1000.0, salt_dependent=True):
    values = (jnp.asarray(v, float) for v in (j0_ref, alpha_a, alpha_c, c_e_init))
    return ButlerVolmer(*values, salt_dependent=salt_dependent)


overpotential = jax.jit(lambda k, ratio: k.overpotential(ratio, T))
slope = jax.jit(jax.vmap(jax.grad(lambda ratio, k: k.overpotential(ratio, T)), in_axes=(0, None)))


@pytest.mark.parametrize(("alpha_a", "alpha_c"), ALPHAS)
def test_overpotential_inverts_the_rate_law_over_twelve_decades(alpha_a, alpha_c):
    e = F / (R * T) * np.asarray(overpotential(kinetics(alpha_a, alpha_c), RATIOS))
    back = np.expm1(alpha_a * e) - np.expm1(-alpha_c * e)
    # 1e-12: rounding of exponents up to 140. 1e-15: the two exponentials near 1 cancel to the last bits.
    np.testing.assert_allclose(back, RATIOS, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("alpha_a", "alpha_c"), ALPHAS)
def test_slope_of_the_overpotential_is_one_over_that_of_the_rate_law(alpha_a, alpha_c):
    k = kinetics(alpha_a, alpha_c)
    e = F / (R * T) * np.asarray(overpotential(k, RATIOS))
    exact = R * T / F / (alpha_a * np.exp(alpha_a * e) + alpha_c * np.exp(-alpha_c * e))
    np.testing.assert_allclose(slope(jnp.asarray(RATIOS), k), exact, rtol=1e-13)  # rounding


def test_second_derivative_is_that_of_the_implicit_function():
    """Of the inverse function of r(x): x'' = -r'' / r'^3, x = F eta / RT."""
    k, alpha_a, alpha_c = kinetics(0.3, 0.7), 0.3, 0.7
    for ratio in (-3.0, 0.1, 20.0):
        e = F / (R * T) * float(overpotential(k, ratio))
        first = alpha_a * np.exp(alpha_a * e) + alpha_c * np.exp(-alpha_c * e)
        second = alpha_a**2 * np.exp(alpha_a * e) - alpha_c**2 * np.exp(-alpha_c * e)
        found = jax.grad(jax.grad(lambda r: k.overpotential(r, T)))(ratio)
        assert found == pytest.approx(-R * T / F * second / first**3, rel=1e-10)


@jax.jit
def eta_of(values, ratio):
    """Overpotential as a function of (alpha_a, alpha_c, T)."""
    ones = jnp.ones(())
    return ButlerVolmer(ones, values[0], values[1], ones, salt_dependent=True).overpotential(ratio, values[2])


@pytest.mark.parametrize("ratio", [-1e4, -3.0, 0.7, 1e5])
def test_derivatives_by_every_coefficient_match_central_differences(ratio):
    point, h = np.array([0.3, 0.7, T]), 1e-4
    gradient = np.asarray(jax.jit(jax.grad(eta_of))(jnp.asarray(point), ratio))
    for i in range(3):
        step = h * point[i] * np.eye(3)[i]
        numeric = float(eta_of(point + step, ratio) - eta_of(point - step, ratio)) / (2 * h * point[i])
        # truncation h^2 = 1e-8 relative to eta / argument; rounding eps/h is below
        scale = abs(float(eta_of(point, ratio))) / point[i]
        assert gradient[i] == pytest.approx(numeric, rel=0, abs=3e-8 * scale)


def test_symmetric_kinetics_is_the_inverse_hyperbolic_sine():
    exact = 2 * R * T / F * np.arcsinh(RATIOS / 2)
    np.testing.assert_allclose(overpotential(kinetics(), RATIOS), exact, rtol=1e-13, atol=1e-17)  # rounding


def test_anodic_current_needs_a_positive_overpotential():
    eta = np.asarray(overpotential(kinetics(0.3, 0.7), RATIOS))
    assert np.all(np.sign(eta) == np.sign(RATIOS)) and np.all(np.diff(eta) > 0)


def test_exchange_current_has_its_reference_value_at_half_lithiation_and_initial_salt():
    k = kinetics(j0_ref=3.0)
    assert float(k.exchange_current(jnp.asarray(0.5), jnp.asarray(1000.0))) == pytest.approx(3.0, rel=1e-15)
    value = float(k.exchange_current(jnp.asarray(0.2), jnp.asarray(250.0)))
    assert value == pytest.approx(3.0 * 2 * np.sqrt(0.2 * 0.8) * np.sqrt(0.25), rel=1e-14)


def test_exchange_current_of_a_single_ion_conductor_ignores_the_salt():
    k = kinetics(salt_dependent=False)
    low, high = (float(k.exchange_current(jnp.asarray(0.3), jnp.asarray(c))) for c in (1.0, 4000.0))
    assert low == high


@pytest.mark.parametrize(("sto", "c_e"), [(0.0, 1000.0), (1.0, 1000.0), (-0.3, 1000.0), (1.3, 1000.0), (0.5, -50.0)])
def test_exchange_current_outside_its_domain_is_small_positive_with_a_finite_slope(sto, c_e):
    k = kinetics()
    value, slopes = jax.value_and_grad(lambda x: k.exchange_current(x[0], x[1]))(jnp.asarray([sto, c_e]))
    assert float(value) == pytest.approx(2 * np.sqrt(EDGE) if c_e > 0 else np.sqrt(EMPTY), rel=1e-6)
    assert np.all(np.isfinite(slopes))
