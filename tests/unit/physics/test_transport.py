"""Two-point fluxes through one face: antisymmetry, series resistances, absent phases, equilibrium, migration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F
from simulator.physics.transport import CellValues, electronic_conductance, fluxes, two_point

N = 40
AREA, C_MAX_F = 2.5e-13, 51765.0 * F


def cells(seed):
    """Random cells of which any transport coefficient may be absent (zero)."""
    rng = np.random.default_rng(seed)

    def coefficient(low, high):
        return np.where(rng.random(N) < 0.25, 0.0, 10.0 ** rng.uniform(low, high, N))

    phi_s, phi_e = rng.uniform(3.5, 4.3, N), rng.uniform(-0.3, 0.1, N)
    sto, c_e = rng.uniform(0.2, 0.95, N), rng.uniform(100.0, 3000.0, N)
    return CellValues(
        phi_s=phi_s,
        phi_e=phi_e,
        sto=sto,
        c_e=c_e,
        ln_c=np.log(c_e),
        sigma=coefficient(-3, 2),
        kappa=coefficient(-3, 0),
        D_s=coefficient(-16, -13),
        D_e=coefficient(-13, -10),
        t_plus=rng.uniform(0.0, 0.6, N),
        coupling=rng.uniform(0.0, 0.1, N),
    )


@jax.jit
def through(low, high, d_low, d_high, extra=0.0, t_ref=0.2):
    return fluxes(low, high, d_low, d_high, AREA, extra, C_MAX_F, F, t_ref)


def test_conductance_of_two_half_cells_is_that_of_resistors_in_series():
    a, b, da, db = 2.0, 0.5, 3.0, 7.0
    assert float(two_point(a, b, da, db)) == pytest.approx(1.0 / (da / 2 / a + db / 2 / b), rel=1e-15)
    assert float(two_point(4.0, 4.0, da, db)) == pytest.approx(2 * 4.0 / (da + db), rel=1e-15)


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0)])
def test_absent_phase_conducts_nothing_and_its_derivative_is_a_finite_zero(a, b):
    value, slopes = jax.value_and_grad(lambda p: two_point(p[0], p[1], p[2], p[3]))(jnp.asarray([a, b, 1.0, 2.0]))
    assert float(value) == 0.0
    np.testing.assert_array_equal(slopes, np.zeros(4))


def test_absent_phases_give_finite_zero_fluxes_with_finite_derivatives():
    nothing = CellValues(*(jnp.zeros(N) for _ in CellValues._fields))
    nothing = nothing._replace(c_e=jnp.full(N, 1000.0))  # absent unknowns hold a harmless concentration

    def total(low):
        return sum(jnp.sum(f) for f in through(low, nothing, 1e-6, 1e-6))

    value, slopes = jax.value_and_grad(total)(jax.tree.map(jnp.asarray, cells(1)))
    assert float(value) == 0.0
    for slope in slopes:
        np.testing.assert_array_equal(slope, np.zeros(N))


def test_what_leaves_one_cell_enters_the_other():
    low, high = cells(2), cells(3)
    forward, backward = through(low, high, 1e-6, 2e-6), through(high, low, 2e-6, 1e-6)
    for there, back in zip(forward, backward, strict=True):
        # Only the order of two additions differs; log(a) - log(b) rounds at 1e-15 of either.
        np.testing.assert_allclose(there, -back, rtol=1e-12)
        assert np.any(np.asarray(there) != 0.0) and np.any(np.asarray(there) == 0.0)


def test_fluxes_flow_downhill():
    low, high = cells(4), cells(5)
    flow = through(low, high, 1e-6, 1e-6)
    present = (low.sigma > 0) & (high.sigma > 0)
    assert np.all(np.sign(flow.i_s)[present] == np.sign(low.phi_s - high.phi_s)[present])
    present = (low.D_s > 0) & (high.D_s > 0)
    assert np.all(np.sign(flow.n_s)[present] == np.sign(low.sto - high.sto)[present])


def test_uniform_medium_gives_the_gradient_times_the_coefficient():
    low = cells(6)._replace(**{name: np.full(N, 0.05) for name in ("sigma", "kappa", "D_s", "D_e", "coupling")})
    high = low._replace(phi_s=low.phi_s - 1e-3, phi_e=low.phi_e - 1e-3, sto=low.sto - 0.1)
    high = high._replace(c_e=low.c_e * np.exp(-0.2), ln_c=low.ln_c - 0.2)
    h = 2e-6
    flow = through(low._replace(t_plus=np.full(N, 0.2)), high._replace(t_plus=np.full(N, 0.2)), h, h)
    np.testing.assert_allclose(flow.i_s, AREA * 0.05 * 1e-3 / h, rtol=1e-11)  # 1 mV between 4 V potentials
    # The diffusion potential K ln c drives current against the drop of phi_e.
    np.testing.assert_allclose(flow.i_e, AREA * 0.05 * (1e-3 - 0.05 * 0.2) / h, rtol=1e-11)
    np.testing.assert_allclose(flow.n_s, C_MAX_F * AREA * 0.05 * 0.1 / h, rtol=1e-13)
    np.testing.assert_allclose(flow.n_c, F * AREA * 0.05 * low.c_e * (1 - np.exp(-0.2)) / h, rtol=1e-12)


def test_no_ionic_current_flows_where_the_potential_follows_the_diffusion_potential():
    low, high = cells(7), cells(8)
    k = np.full(N, 0.046)
    low, high = low._replace(coupling=k), high._replace(coupling=k)
    high = high._replace(phi_e=low.phi_e + k * np.log(high.c_e / low.c_e))
    flow = through(low, high, 1e-6, 1e-6)
    # K ln(c) is about 0.3 V: its rounding against a conductance of at most 1 S/m over 1 um.
    assert np.max(np.abs(flow.i_e)) < AREA * 1e6 * 1e-15


def test_migration_is_the_excess_of_the_transference_number_over_its_reference():
    low, high = cells(9), cells(10)
    at_reference = through(low, high, 1e-6, 1e-6, t_ref=0.2)
    shifted = through(low, high, 1e-6, 1e-6, t_ref=0.0)
    # n_c is the difference of larger numbers: rounding relative to the largest flux
    scale = np.max(np.abs(np.asarray(shifted.n_c)))
    np.testing.assert_allclose(shifted.n_c - at_reference.n_c, 0.2 * at_reference.i_e, rtol=0, atol=1e-14 * scale)


def test_contact_resistance_adds_in_series_and_leaves_absent_paths_absent():
    low, high = cells(11), cells(12)
    g = np.asarray(electronic_conductance(low, high, 1e-6, 1e-6, 0.0))
    with_contact = np.asarray(electronic_conductance(low, high, 1e-6, 1e-6, 3e-3))
    present = g > 0
    np.testing.assert_allclose(1 / with_contact[present], 1 / g[present] + 3e-3, rtol=1e-13)
    assert np.all(with_contact[~present] == 0.0)
