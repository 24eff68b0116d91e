"""The time step: order conditions of the scheme, and its order on the coupled cell."""

import numpy as np
import pytest

from simulator.model.newton import NewtonOptions
from simulator.model.timestep import (
    ERROR_WEIGHTS,
    GAMMA,
    WEIGHTS,
    ErrorScales,
    _end_slope,
    attempt,
)

ROUNDING = 1e-15


def observed_orders(errors):
    e = np.asarray(errors)
    return np.log2(e[:-1] / e[1:])


def test_weights_satisfy_the_conditions_of_order_two_and_the_last_stage_is_the_end():
    nodes = np.array([GAMMA, 1.0])
    assert sum(WEIGHTS) == pytest.approx(1.0, abs=ROUNDING)
    assert np.dot(WEIGHTS, nodes) == pytest.approx(0.5, abs=ROUNDING)
    assert WEIGHTS == (1.0 - GAMMA, GAMMA)  # the last row of the tableau: stiffly accurate


def test_scheme_damps_infinitely_stiff_modes_completely():
    # R(z) of a two-stage SDIRK method; stiff accuracy makes the z^2 term of the numerator vanish.
    def amplification(z):
        y1 = 1 / (1 - GAMMA * z)
        return (1 + (1 - GAMMA) * z * y1) / (1 - GAMMA * z)

    assert abs(amplification(-1e8)) < 1e-7
    z = np.concatenate([1j * np.linspace(-50, 50, 1001), -np.logspace(-3, 6, 200)])
    assert np.max(np.abs(amplification(z))) <= 1 + 1e-12  # A-stable: rounding only


def test_error_weights_are_the_quadrature_of_order_three_minus_the_scheme():
    nodes = np.array([0.0, GAMMA, 1.0])
    better = np.array(ERROR_WEIGHTS) + np.array([0.0, *WEIGHTS])
    for power in range(3):
        assert better @ nodes**power == pytest.approx(1 / (power + 1), abs=ROUNDING)


def test_end_slope_is_exact_for_a_parabola():
    a, b, c = 2.0, -3.0, 5.0
    values = [a + b * t + c * t * t for t in (0.0, GAMMA, 1.0)]
    assert _end_slope(*values) == pytest.approx(b + 2 * c, abs=1e-13)  # values up to 4 divided by gamma (1 - gamma)


@pytest.fixture(scope="module")
def ladder(tiny, refined):
    cell = tiny.cell()
    _, runs = refined(cell)
    return runs, np.asarray(cell.model.active)


def test_voltage_stoichiometry_and_salt_converge_with_order_two(ladder):
    runs, active = ladder
    reference = runs[40][0]
    for name in ("voltage", "sto", "c_e"):
        errors = []
        for n in (1, 2, 4, 8):
            state = runs[n][0]
            if name == "voltage":
                errors.append(abs(state.voltage - reference.voltage))
            else:
                row = {"sto": 2, "c_e": 3}[name]
                gap = (np.asarray(state.u) - np.asarray(reference.u))[row][active[row]]
                errors.append(np.sqrt(np.mean(gap**2)))
        orders = observed_orders(errors)
        # 100 s is several diffusion times of a voxel: the first pair is not asymptotic yet (2.3 to 2.45 seen).
        assert np.all((orders[1:] > 1.8) & (orders[1:] < 2.2)), (name, errors, orders)
        assert orders[0] > 1.8


def test_error_estimate_is_of_third_order_and_of_the_size_of_the_error(ladder):
    runs, _ = ladder
    first = [runs[n][1][0] for n in (1, 2, 4, 8)]
    orders = observed_orders(first)
    # 2.46, 2.63, 2.75 seen, rising towards 3 as the step falls below the diffusion time of a voxel
    assert np.all(np.diff(orders) > 0) and 2.6 < orders[-1] < 3.1, orders


def test_stage_totals_are_the_charge_that_passes(ladder, tiny):
    cell = tiny.cell()
    model, current = cell.model, 0.5 * cell.one_c
    state = ladder[0][8][0]
    drives, scales = (tiny.drive(current),) * 2, ErrorScales(2e-4, 1e-3, 1.13, 1e-2)
    step = attempt(state, 30.0, drives, model, current, NewtonOptions(), scales)
    charge = 30.0 * current
    assert step.totals.external == pytest.approx(charge, rel=1e-15)
    # each stage is balanced to 1e-10 of the current
    assert step.totals.flows.reaction == pytest.approx(charge, rel=1e-9)
    assert step.totals.flows.anode == pytest.approx(-charge, rel=1e-9)
    storage = np.broadcast_to(np.asarray(model.solid_storage), model.shape)
    lost = np.sum((storage * (np.asarray(state.u) - np.asarray(step.state.u))[2])[np.asarray(model.active[2])])
    # inventories of 6e-9 C in float64, of which the step moves 1 %
    assert lost == pytest.approx(step.totals.flows.reaction, rel=1e-9)
