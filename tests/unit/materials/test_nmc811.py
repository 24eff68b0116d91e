"""NMC811 functions against tabulated values."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import R
from simulator.materials import ChenOCP, OReganDiffusivity
from simulator.materials.nmc811 import C_S_MAX, DENSITY, MOLAR_MASS, electronic_conductivity

evaluate = eqx.filter_jit(lambda function, sto, T: function(sto, T))

# fmt: off
STO = [.20, .25, .30, .35, .40, .45, .50, .55, .60, .65, .70, .75, .80, .85, .90, .95, 1.0]
# The published formula evaluated in 40-digit decimal arithmetic, rounded to 0.1 mV.
U = [4.4690, 4.3366, 4.2054, 4.1750, 4.1047, 4.0325, 3.9720, 3.8987, 3.8245,
     3.7729, 3.7304, 3.6896, 3.6491, 3.6087, 3.5682, 3.5278, 3.4873]
# fmt: on


def test_ocp_equals_the_tabulated_values():
    np.testing.assert_allclose(
        evaluate(ChenOCP(steep_end=False), jnp.asarray(STO), 298.15), U, atol=5.1e-5
    )  # printed digits


def test_ocp_reaches_4_2_volts_at_sto_0_3046():
    ocp, x = ChenOCP(), 0.3
    both = jax.jit(jax.value_and_grad(lambda s: ocp(s, 298.15)))
    for _ in range(6):
        value, slope = both(x)
        x = x - (value - 4.2) / slope
    assert abs(x - 0.3046) < 5.1e-5  # printed digits


def test_steep_end_is_a_small_drop_until_096_and_passes_the_usual_cutoff_before_the_oxide_is_full():
    x = jnp.asarray([0.5, 0.96, 0.993])
    drop = evaluate(ChenOCP(steep_end=False), x, 298.15) - evaluate(ChenOCP(), x, 298.15)
    # 0.02 exp[200 (x - 0.975)]
    np.testing.assert_allclose(drop, 0.02 * np.exp(200 * (np.asarray(x) - 0.975)), rtol=1e-9, atol=1e-15)
    assert abs(drop[1] - 1.0e-3) < 5e-5 and evaluate(ChenOCP(), x, 298.15)[2] < 2.8


def test_ocp_falls_with_lithium_content_and_stays_finite_for_newton_iterates():
    x = np.linspace(-0.5, 2.0, 501)
    ocp = ChenOCP()
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(lambda s: ocp(s, 298.15))))(x)
    assert np.all(np.isfinite(values)) and np.all(np.isfinite(slopes))
    assert np.all(np.asarray(slopes)[(x > 0) & (x < 2)] < 0)
    assert values[310] > -90.0  # at 1.05: on the tangent, where the bare exponential gives -65 kV


def test_tangent_continues_the_steep_end_without_a_kink():
    ocp = ChenOCP()
    both = jax.jit(jax.value_and_grad(lambda s: ocp(s, 298.15)))
    joint, step = 0.975 + 6.0 / 200, 1e-10
    (value_below, slope_below), (value_above, slope_above) = both(joint - step), both(joint + step)
    assert abs(value_above - value_below) < 4e-7  # slope -1.6 kV over 2e-10: 3e-7
    # The second derivative, 0.02*200^2*e^6 = 3.2e5 V, moves the slope by 3.2e-5 over 1e-10.
    assert abs(slope_above - slope_below) < 1e-4


# 25 C and 60 C, published formula evaluated independently, printed to two or three digits.
D_S = {
    0.30: (4.3e-15, 7.1e-15),
    0.40: (1.02e-14, 1.70e-14),
    0.50: (7.3e-15, 1.21e-14),
    0.70: (3.9e-15, 6.5e-15),
    0.80: (3.0e-15, 5.0e-15),
    0.90: (3.6e-15, 6.0e-15),
}


@pytest.mark.parametrize("sto", D_S)
def test_diffusivity_equals_the_tabulated_values(sto):
    cold, warm = D_S[sto]
    function = OReganDiffusivity()
    assert (
        abs(evaluate(function, jnp.asarray(sto), jnp.asarray(298.15)) - cold) <= 0.051e-15
    )  # half a unit of the last printed digit
    assert abs(evaluate(function, jnp.asarray(sto), jnp.asarray(333.15)) - warm) <= 0.051e-15


def test_diffusivity_has_12_kilojoule_activation_and_is_positive_everywhere():
    function = OReganDiffusivity()
    slope = jax.jit(jax.grad(lambda b: jnp.log(function(0.6, 1.0 / b))))(1.0 / 320.0)
    assert math.isclose(-R * slope, R * 1449.0, rel_tol=1e-12)
    both = jax.jit(jax.vmap(jax.value_and_grad(lambda s: function(s, 333.15))))
    values, slopes = both(np.linspace(-0.5, 1.5, 401))
    assert np.all(np.asarray(values) > 0) and np.all(np.isfinite(slopes))


def _shifted(leaf, entry, step):
    shifted = np.array(leaf)
    shifted[entry] += step
    return shifted


@pytest.mark.parametrize("function", [ChenOCP(), OReganDiffusivity(), electronic_conductivity()])
def test_gradients_reach_every_coefficient_and_equal_central_differences(function):
    x = jnp.asarray(0.97)  # the steep end contributes here

    @eqx.filter_jit
    def value(module):
        return module(x, 333.15)

    gradient = eqx.filter_jit(eqx.filter_grad(value))(function)
    leaves, structure = jax.tree.flatten(function)
    for index, (leaf, slope) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        for entry in np.ndindex(leaf.shape):
            step = 1e-5 * abs(float(np.asarray(leaf)[entry]))
            shifted = [
                value(
                    jax.tree.unflatten(
                        structure,
                        [*leaves[:index], jnp.asarray(_shifted(leaf, entry, s)), *leaves[index + 1 :]],
                    )
                )
                for s in (step, -step)
            ]
            difference = float(shifted[0] - shifted[1]) / (2 * step)
            # Truncation: relative step 1e-5, arguments up to 90, so 1e-6 of the slope; rounding 1e-16 f/step.
            tolerance = 1e-5 * abs(difference) + 1e-15 * abs(float(value(function))) / step * 20
            assert abs(float(np.asarray(slope)[entry]) - difference) <= tolerance


def test_conductivity_has_its_ends_at_25_c_and_rises_with_temperature():
    function = electronic_conductivity()
    np.testing.assert_allclose(evaluate(function, jnp.asarray([0.25, 1.0]), 298.15), [3.0, 0.1], rtol=1e-13)
    # exp[30e3/R (1/298.15 - 1/333.15)] = 3.566
    assert abs(evaluate(function, 1.0, 333.15) / 0.1 - 3.566) < 1e-3


def test_maximum_concentration_is_density_over_molar_mass():
    assert abs(C_S_MAX - DENSITY / MOLAR_MASS) < 1.0  # rounded to 1 mol/m3
