"""The collector held at a potential: its linearisation, its order in time, and its agreement with constant current."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.materials import LogLinear
from simulator.model.newton import NewtonOptions, StageResult, Workspace, solve_stage
from simulator.model.residual import Drive, History
from simulator.model.timestep import ErrorScales, attempt, consistent_state, resting_state
from simulator.physics.contact import FaceCurrents

#: tight enough that Newton's error stays below the error in time, above what 4 V resolve in float64
OPTIONS, SCALES = NewtonOptions(tolerance=3e-8), ErrorScales(2e-4, 1e-3, 1.13, 1e-2)
HELD = 3.95  # [V]; the open circuit lies at 3.824 V


def march(state, drive, model, scale, dt, n):
    charge = reaction = anode = 0.0
    for _ in range(n):
        step = attempt(state, dt, (drive, drive), model, scale, OPTIONS, SCALES)
        assert step.state is not None, step.result
        state = step.state
        charge, reaction = charge + step.totals.external, reaction + step.totals.flows.reaction
        anode += step.totals.flows.anode
    return state, (charge, reaction, anode)


def held_state(cell, volts=HELD):
    model = cell.model
    drive = Drive.of_voltage(volts)
    rest = resting_state(cell.initial_fields(), cell.initial_side(), model)
    state, stage = consistent_state(rest, drive, model, 0.01 * cell.one_c, OPTIONS)
    assert state is not None, stage.result
    return state, drive


@pytest.fixture(scope="module")
def ladder(tiny):
    """Held for 100 s in 1 to 8 steps and in 24, from a state 80 s after the voltage was switched on."""
    cell = tiny.cell()
    state, drive = held_state(cell)
    first = state.current
    # the current of a step in voltage falls like 1/sqrt(t): leave that behind
    for dt in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 40.0):
        state, _ = march(state, drive, cell.model, cell.one_c, dt, 1)
    return cell, first, state, {n: march(state, drive, cell.model, cell.one_c, 100.0 / n, n) for n in (1, 2, 4, 8, 24)}


def test_current_of_a_hold_falls_and_its_balances_close(ladder):
    cell, first, begin, runs = ladder
    end, (charge, reaction, anode) = runs[24]
    assert first > begin.current > end.current > 0
    assert begin.voltage == end.voltage == HELD
    assert end.current_rate < 0 and abs(end.voltage_rate) < 1e-15  # of three equal voltages
    # each stage is closed to 1e-10 of the scale, here several times the current
    assert abs(reaction - charge) <= 1e-9 * charge and abs(reaction + anode) <= 1e-9 * charge
    storage = np.broadcast_to(np.asarray(cell.model.solid_storage), cell.model.shape)
    gone = np.sum((storage * (np.asarray(begin.u) - np.asarray(end.u))[2])[np.asarray(cell.model.active[2])])
    assert gone == pytest.approx(charge, rel=1e-9)


def test_current_of_a_hold_converges_with_order_two(ladder):
    runs = ladder[3]
    reference = runs[24][0].current
    errors = np.array([abs(runs[n][0].current - reference) for n in (1, 2, 4, 8)])
    orders = np.log2(errors[:-1] / errors[1:])
    # 100 s is several diffusion times of a voxel: the first pair is not asymptotic yet
    assert np.all((orders[1:] > 1.8) & (orders[1:] < 2.2)), (errors, orders)


def test_charge_of_a_hold_converges_with_order_two(ladder):
    runs = ladder[3]
    reference = runs[24][1][0]
    errors = np.array([abs(runs[n][1][0] - reference) for n in (1, 2, 4, 8)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert np.all((orders[1:] > 1.8) & (orders[1:] < 2.3)), (errors, orders)


def test_constant_current_at_the_current_of_a_held_stage_gives_that_voltage(tiny):
    cell = tiny.cell()
    u, j = cell.initial_fields(), FaceCurrents(jnp.zeros(cell.model.faces.area.shape))
    options = NewtonOptions(tolerance=1e-8)
    held = solve_stage(u, j, History(u[2:]), 30.0, Drive.of_voltage(HELD), cell.model, cell.one_c, options)
    assert held.result is StageResult.converged
    current = float(held.evaluation.total.current)
    given = solve_stage(u, j, History(u[2:]), 30.0, Drive.of_current(current), cell.model, cell.one_c, options)
    # residuals of 1e-8 of 1C, on some 100 mV of polarisation
    assert float(given.evaluation.total.voltage) == pytest.approx(HELD, abs=1e-8)
    active = np.asarray(cell.model.active)
    np.testing.assert_allclose(np.asarray(given.u)[active], np.asarray(held.u)[active], rtol=1e-7)


def test_collector_plane_carries_the_current_of_the_faces(tiny):
    cell = tiny.cell()
    state, _ = held_state(cell)
    model = cell.model
    g = 2.0 * np.where(np.asarray(model.phase[-1]) == 2, 8.0, 0.8) / np.asarray(model.grid.dz)[-1]
    g = np.where(np.asarray(model.active[0, -1]), g * float(model.grid.plane_area), 0.0)
    through = np.sum(g * (HELD - np.asarray(state.u)[0, -1]))
    # potentials of 4 V resolve the drop at the plane, some 1e-6 V, to 1e-9 of it
    assert through == pytest.approx(state.current, rel=1e-6)


@pytest.mark.parametrize("varying", [False, True])
def test_jacobian_at_constant_voltage_is_the_derivative_of_the_residual(tiny, everything, varying):
    cell = tiny.cell({"am.sigma": LogLinear((0.25, 1.0), (3.0, 0.1))} if varying else {})
    model, rng = cell.model, np.random.default_rng(0)
    u = np.asarray(cell.initial_fields()).copy()
    u[0] += 0.02 * rng.standard_normal(u[0].shape)
    u[1] += 0.02 * rng.standard_normal(u[1].shape)
    u[2] += 0.05 * rng.standard_normal(u[2].shape)
    u[3] *= 1.0 + 0.1 * rng.standard_normal(u[3].shape)
    du = np.where(np.asarray(model.active), rng.standard_normal(u.shape), 0.0)
    _, tangent, assembled = everything(u, u[2:], 30.0, Drive.of_voltage(HELD), model, du)
    size = np.sqrt(np.mean(np.square(tangent), axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(assembled / size, tangent / size, atol=1e-9)


def test_a_jump_of_half_a_volt_from_rest_is_found(tiny):
    # 30 times 1C at first
    cell = tiny.cell()
    for volts in (3.3, 4.3):
        state, _ = held_state(cell, volts)
        assert state.voltage == volts and np.sign(state.current) == np.sign(volts - 3.82)
        assert abs(state.current) > cell.one_c


def test_response_holds_how_the_current_from_the_plane_changes_with_the_solid(tiny):
    cell = tiny.cell()
    state, drive = held_state(cell)
    work = Workspace()
    solve_stage(state.u, state.j, History(state.u[2:]), 30.0, drive, cell.model, cell.one_c, OPTIONS, work)
    sigma = np.where(np.asarray(cell.model.phase[-1]) == 2, 8.0, 0.8) * np.asarray(cell.model.active[0, -1])
    g = np.sum(2.0 * sigma / np.asarray(cell.model.grid.dz)[-1]) * float(cell.model.grid.plane_area)
    np.testing.assert_allclose(work.linearisation.response.plane, [g, 0.0], rtol=1e-12)  # constant conductivities
