"""PEO-LiTFSI: composition, and conductivity against its table."""

import math

import equinox as eqx
import jax
import numpy as np
import pytest

from simulator.materials import (
    C_E_SATURATION,
    C_E_WARN,
    PEOConductivity,
    concentration_from_ratio,
    ratio_from_concentration,
)


@eqx.filter_jit
def conductivity(c_e, T):
    return PEOConductivity()(c_e, T)


def fit(r, T):
    """The published fit, without guards [S/m]."""
    return 100 * np.exp(-0.6492 + 0.5912 * np.log(r) - 0.1288 * r - 650.06 / (T - 194.459 - 260.483 * r))


def test_composition_and_concentration_invert_each_other():
    r = np.geomspace(1e-13, 0.6, 200)
    np.testing.assert_allclose(ratio_from_concentration(concentration_from_ratio(r)), r, rtol=1e-13)  # rounding


def test_concentrations_of_18_to_1_of_the_warning_and_of_saturation():
    # (1130 + 1550 r) r/(0.04405 + 0.28709 r) by hand; 18:1 is quoted as 1130 +- 4 %
    assert abs(concentration_from_ratio(1 / 18) - 1126.04) < 0.01
    assert abs(C_E_WARN - 2238.53) < 0.01
    assert abs(C_E_SATURATION - 5077.43) < 0.01


# EO:Li -> conductivity at 60, 70, 80, 90, 100 C [S/cm], the fit evaluated independently.
TABLE = {
    50.0: ("4.0e-4", "5.6e-4", "7.5e-4", "9.7e-4", "1.22e-3"),
    25.0: ("4.9e-4", "7.0e-4", "9.7e-4", "1.28e-3", "1.63e-3"),
    18.0: ("5.0e-4", "7.4e-4", "1.04e-3", "1.39e-3", "1.79e-3"),
    12.5: ("4.7e-4", "7.2e-4", "1.04e-3", "1.43e-3", "1.89e-3"),
    8.0: ("3.3e-4", "5.6e-4", "8.7e-4", "1.27e-3", "1.76e-3"),
}


@pytest.mark.parametrize("eo_li", TABLE)
def test_conductivity_equals_the_table(eo_li):
    c_e = concentration_from_ratio(1 / eo_li)
    for T, printed in zip((333.15, 343.15, 353.15, 363.15, 373.15), TABLE[eo_li], strict=True):
        mantissa, exponent = printed.split("e")
        half_digit = 0.5 * 10.0 ** -len(mantissa.split(".")[1]) * 10.0 ** int(exponent)
        assert abs(float(conductivity(c_e, T)) / 100.0 - float(printed)) <= 1.01 * half_digit


def test_guards_do_not_change_the_fit_inside_its_data():
    r, T = np.meshgrid(np.linspace(0.02, 0.14, 25), [333.15, 350.0, 383.0])
    kappa = conductivity(concentration_from_ratio(r), T)
    np.testing.assert_allclose(kappa, fit(r, T), rtol=1e-8)  # as documented


def test_value_and_derivatives_are_finite_from_traces_of_salt_to_beyond_saturation():
    c_e = np.concatenate([[-5.0, 0.0], np.geomspace(1e-9, 1.0, 50), np.linspace(1.0, 6000.0, 600)])

    @eqx.filter_jit
    def value_and_gradients(function, T):
        def one(c):
            value, by_c = jax.value_and_grad(lambda c: function(c, T))(c)
            return value, by_c, eqx.filter_grad(lambda f: f(c, T))(function)

        return eqx.filter_vmap(one)(c_e)

    for T in (150.0, 298.15, 333.15, 600.0):
        results = value_and_gradients(PEOConductivity(), np.float64(T))
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(results)), T
        assert np.all(results[0] >= 0), T


def test_conductivity_levels_off_where_the_bare_fit_falls_to_its_pole():
    kappa = np.asarray(conductivity(concentration_from_ratio(np.array([0.14, 0.30, 0.45, 0.5])), 333.15))
    assert np.all(np.diff(kappa) <= 0)
    assert fit(0.5, 333.15) < 1e-30  # what the guard avoids
    # Softplus at a distance of 65.8 K, 5 K wide, changes the exponent 9.89 by 1.5e-6.
    assert math.isclose(kappa[-1], fit(0.28, 333.15), rel_tol=1e-5)
