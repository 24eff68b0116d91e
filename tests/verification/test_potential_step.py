r"""Constant voltage: the current into a slab after a step of the voltage, against its closed form.

With an open-circuit potential linear in the stoichiometry, $U=U_0-sx$, and a resistance $R$ in series, the slab of
thickness $L$ takes up lithium through a linear surface exchange, $\mathrm{Bi}=sL/(RFc_{max}D)$ (Crank, The Mathematics
of Diffusion, 1975, eq. 4.53): with $\beta_n\tan\beta_n=\mathrm{Bi}$ and $\tau=Dt/L^2$

$$i=\frac{\Delta V}{R}\sum_n\frac{2\,\mathrm{Bi}}{\beta_n^2+\mathrm{Bi}^2+\mathrm{Bi}}e^{-\beta_n^2\tau}.$$
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.materials import ChenOCP
from simulator.model import SolverOptions, build_cell, simulate

THICKNESS, LAYERS, C_S_MAX, D_S = 5e-6, 50, 51765.0, 1e-14
SLOPE, LEVEL, STEP, TEMPERATURE = 0.5, 4.0, 0.01, 333.15
SERIES, J0 = 0.01, 1000.0  # [ohm m2], [A/m2]
RESISTANCE = SERIES + 2.0 * R * TEMPERATURE / F / J0 + 1e-6 / 10.0  # two exchanges and 1 um of electrolyte
BIOT = SLOPE * THICKNESS / (RESISTANCE * F * C_S_MAX * D_S)
ROOTS = np.array([brentq(lambda b: b * np.sin(b) - BIOT * np.cos(b), n * np.pi, (n + 0.5) * np.pi) for n in range(200)])


def exact(t):
    """Current density [A/m2] `t` [s] after the step."""
    weights = 2.0 * BIOT / (ROOTS**2 + BIOT**2 + BIOT)
    return STEP / RESISTANCE * np.sum(weights * np.exp(-(ROOTS**2) * D_S * t / THICKNESS**2))


@pytest.fixture(scope="module")
def held():
    ocp = ChenOCP(steep_end=False)
    linear = (jnp.full_like(ocp.offset, LEVEL), jnp.full_like(ocp.slope, -SLOPE), jnp.zeros_like(ocp.amplitude))
    values = {
        "am.ocp": eqx.tree_at(lambda o: (o.offset, o.slope, o.amplitude), ocp, linear),
        **{"am.c_s_max": C_S_MAX, "am.D_s": D_S, "am.sigma": 10.0, "sto_init": 0.5, "temperature": TEMPERATURE},
        **{
            "kinetics.j0_ref": J0,
            "anode.j0": J0,
            "anode.resistance": SERIES,
            "electrolyte.t_plus": 1.0,
        },  # salt does not move
        **{"separator.thickness": 1e-6, "separator.layers": 60, "separator.kappa": 10.0},
    }
    electrode = Electrode.from_array(
        np.ones((LAYERS, 1, 1), int), voxel_size=(THICKNESS / LAYERS, 1e-6, 1e-6), labels={"am": 1}
    )
    times = [25.0, 50.0, 125.0, 250.0, 500.0, 1250.0, 2500.0]
    rest = LEVEL - SLOPE * 0.5
    cell = build_cell(electrode, "verification", values)
    # 0.02 of stoichiometry passes in all: the usual tolerance of 1e-3 per step would be a twentieth of it
    options = {"rtol": 1e-6, "options": SolverOptions(dt_init=0.05)}
    s = simulate(cell, f"Hold at {rest + STEP} V for 1 h", times=times, **options)
    return s, times, rest


def test_current_after_a_step_of_the_voltage_is_that_of_the_closed_form(held):
    s, times, rest = held
    assert s.status == "finished" and np.all(s.voltage == rest + STEP)
    found = np.array([s.current_density[np.argmin(np.abs(s.time - t))] for t in times])
    # 0.05 % of the present current and, late, 0.005 % of the first one are reached: 50 layers, and the error in time
    np.testing.assert_allclose(found, [exact(t) for t in times], rtol=1e-3, atol=1e-4 * STEP / RESISTANCE)


def test_charge_of_the_hold_closes_and_tends_to_the_step_over_the_slope(held):
    s, _, _ = held
    assert max(s.ledger.values()) <= 1e-9  # each stage is closed to 1e-10 of the scale
    left = 1.0 - np.sum(
        2.0 * BIOT**2 * np.exp(-(ROOTS**2) * D_S * 3600.0 / THICKNESS**2) / (ROOTS**2 * (ROOTS**2 + BIOT**2 + BIOT))
    )
    moved = 0.5 - s.timeseries["sto_mean"][-1]
    assert moved == pytest.approx(STEP / SLOPE * left, rel=1e-3)  # as above
