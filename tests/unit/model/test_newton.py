"""The stage solver: what it returns, and how it says that it could not."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.model.newton import NewtonOptions, StageResult, Workspace, solve_stage
from simulator.model.residual import History
from simulator.physics.contact import FaceCurrents


@pytest.fixture(scope="module")
def problem(tiny):
    cell = tiny.cell()
    return cell, cell.initial_fields(), jnp.zeros(cell.model.faces.area.shape), 0.5 * cell.one_c


def solve(tiny, problem, *, u=None, gamma_dt=30.0, factor=1.0, options=None, model=None, workspace=None):
    cell, initial, start, current = problem
    return solve_stage(
        initial if u is None else u,
        FaceCurrents(start),
        History(initial[2:]),
        gamma_dt,
        tiny.drive(factor * current),
        cell.model if model is None else model,
        current,
        options or NewtonOptions(),
        workspace,
    )


def test_solved_stage_is_below_the_tolerance_and_balanced(tiny, problem):
    stage = solve(tiny, problem)
    current = problem[-1]
    rows = np.asarray(stage.evaluation.rows)
    assert stage.result is StageResult.converged
    assert stage.norm == pytest.approx(np.linalg.norm(rows) / current, rel=1e-12)
    assert stage.norm <= 2e-6 and 1 <= stage.newton <= 6 and stage.krylov >= stage.newton
    assert np.all(np.abs(stage.evaluation.total.imbalance) <= 1e-10 * current)
    assert float(stage.evaluation.total.flows.reaction) == pytest.approx(current, rel=1e-9)
    assert float(stage.evaluation.total.flows.anode) == pytest.approx(-current, rel=1e-9)


def test_a_stage_may_begin_with_the_linearisation_of_another_one(tiny, problem):
    work = Workspace()
    start = solve(tiny, problem).u
    solve(tiny, problem, u=start, factor=1.01, workspace=work)
    kept = work.linearisation
    again = solve(tiny, problem, u=start, factor=1.02, workspace=work)
    alone = solve(tiny, problem, u=start, factor=1.02)
    assert again.result is alone.result is StageResult.converged
    assert kept is not None and work.linearisation is kept  # 1 % more current: the old Jacobian serves
    # Both residuals are below 1e-6 of the current, on some 30 mV of polarisation.
    assert float(again.evaluation.total.voltage) == pytest.approx(float(alone.evaluation.total.voltage), abs=2e-7)


def test_a_linearisation_that_does_not_serve_is_replaced(tiny, problem):
    work = Workspace()
    solve(tiny, problem, factor=0.1, workspace=work)
    wrong = work.linearisation
    stage = solve(tiny, problem, factor=20.0, workspace=work)
    assert stage.result is StageResult.converged and work.linearisation is not wrong


def test_a_forgotten_workspace_solves_like_a_new_one_to_the_last_bit(tiny, problem):
    work = Workspace()
    solve(tiny, problem, factor=20.0, workspace=work)
    work.forget()
    used, new = solve(tiny, problem, workspace=work), solve(tiny, problem)
    assert used.krylov == new.krylov
    np.testing.assert_array_equal(used.u, new.u)


def test_absent_unknowns_are_returned_as_they_came(tiny, problem):
    stage = solve(tiny, problem)
    absent = ~np.asarray(problem[0].model.active)
    np.testing.assert_array_equal(np.asarray(stage.u)[absent], np.asarray(problem[1])[absent])


def test_solution_does_not_depend_on_the_start(tiny, problem):
    options = NewtonOptions(tolerance=3e-8)
    near = solve(tiny, problem, options=options)
    u = np.asarray(problem[1]).copy()
    u[0] += 0.3
    u[1] -= 0.2
    u[2] = np.where(np.asarray(problem[0].model.active)[2], 0.45, u[2])
    u[3] *= 0.7
    far = solve(tiny, problem, u=jnp.asarray(u), options=options)
    assert far.result is StageResult.converged
    # 3e-8 of the current, about 30 mV of polarisation
    assert float(far.evaluation.total.voltage) == pytest.approx(float(near.evaluation.total.voltage), abs=5e-9)
    active = np.asarray(problem[0].model.active)[2]
    np.testing.assert_allclose(np.asarray(far.u)[2][active], np.asarray(near.u)[2][active], atol=1e-9)


def test_a_rest_is_an_equilibrium_and_costs_nothing(tiny, problem):
    stage = solve(tiny, problem, factor=0.0)
    assert stage.result is StageResult.converged and stage.newton == 1
    np.testing.assert_allclose(stage.u, problem[1], atol=1e-9)


def test_too_few_iterations_are_a_stall(tiny, problem):
    stage = solve(tiny, problem, factor=20.0, options=NewtonOptions(max_iterations=1))
    assert stage.result is StageResult.stalled and stage.newton == 1 and stage.norm > 1e-6


def test_nan_in_the_start_is_not_finite(tiny, problem):
    u = problem[1].at[1, 0, 0, 0].set(jnp.nan)
    stage = solve(tiny, problem, u=u)
    assert stage.result is StageResult.not_finite and stage.newton == 0


def test_nan_in_the_start_is_not_finite_with_an_old_linearisation_either(tiny, problem):
    work = Workspace()
    solve(tiny, problem, workspace=work)
    stage = solve(tiny, problem, u=problem[1].at[1, 0, 0, 0].set(jnp.nan), workspace=work)
    assert stage.result is StageResult.not_finite and stage.newton == 0


def test_impossible_step_is_reported(tiny, problem):
    # A day at 100 C: there is not that much lithium.
    stage = solve(tiny, problem, gamma_dt=86400.0, factor=-200.0)
    assert stage.result is not StageResult.converged
    assert isinstance(stage.result.value, str) and stage.result.value


def test_a_very_conducting_electrode_at_rest_has_no_residual(tiny, everything):
    """The collector's potential is a mean of potentials of 4 V: its last digit times the conductance of the last layer
    would be a current."""
    cell = tiny.cell({"am.sigma": 1e4, "cbd.sigma": 1e5})
    u = cell.initial_fields() + np.array([0.1, 0.1, 0.0, 0.0])[:, None, None, None]  # not a round number of volts
    evaluation, _, _ = everything(u, u[2:], 1e-3, tiny.drive(0.0), cell.model)
    smallest = 0.01 * cell.one_c  # what residuals at rest are measured in
    plane = np.asarray(cell.model.active[0, -1])
    assert plane.sum() > 5
    assert np.abs(np.asarray(evaluation.rows)[0, -1]).max() < 1e-7 * smallest
