"""What the tests of the coupled model share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick_jit
from tiny import VALUES, VOXEL_SIZE, Tiny, random_phases

from simulator.model.jacobian import linearise
from simulator.model.newton import NewtonOptions
from simulator.model.residual import History, SideStates, residual
from simulator.model.timestep import ErrorScales, attempt, consistent_state, no_currents, resting_state


@quick_jit
def _everything(u, du, history, gamma_dt, drive, model):
    guess = no_currents(history.side, model)

    def rows(u):
        evaluation = residual(u, history, gamma_dt, drive, model, guess)
        return evaluation.rows, evaluation

    _, tangent, evaluation = jax.jvp(rows, (u,), (du,), has_aux=True)
    jacobian = linearise(u, evaluation.total, history, gamma_dt, drive, model, jnp.dtype(jnp.float64))
    return evaluation, tangent, jacobian.unpack(jacobian.apply(jacobian.pack(du)))


@pytest.fixture(scope="session")
def everything():
    """Function of (u, known, gamma_dt, drive, model, du=0, side=none): the evaluation there, the derivative of its rows
    along `du` by JAX, and the same by the assembled Jacobian. One compiled program for all tests."""

    def call(u, known, gamma_dt, drive, model, du=None, side=None):
        du = np.zeros(np.shape(u)) if du is None else du
        history = History(jnp.asarray(known), SideStates() if side is None else side)
        return _everything(jnp.asarray(u), jnp.asarray(du), history, jnp.asarray(gamma_dt), drive, model)

    return call


@pytest.fixture(scope="session")
def tiny():
    return Tiny(random_phases(), VOXEL_SIZE, VALUES)


@pytest.fixture(scope="session")
def refined(tiny):
    """Function of a cell: a state 60 s after a current was switched on, and (state, error estimates) 100 s later for 1,
    2, 4, 8 and 40 steps."""

    def runs_of(cell):
        model, current = cell.model, 0.5 * cell.one_c
        drive = tiny.drive(current)
        # Tight enough that Newton's error stays below that of the smallest step, above what 4 V in float64 resolve.
        options, scales = NewtonOptions(tolerance=3e-8), ErrorScales(2e-4, 1e-3, 1.13, 1e-2)

        def march(state, dt, n):
            estimates = []
            for _ in range(n):
                step = attempt(state, dt, (drive, drive), model, current, options, scales)
                assert step.state is not None, step.result
                state = step.state
                estimates.append(step.error)
            return state, estimates

        rest = resting_state(cell.initial_fields(), cell.initial_side(), model)
        state, _ = consistent_state(rest, drive, model, current, options)
        # sqrt(t) after the switch has no order: leave it behind first
        state, _ = march(state, 10.0, 6)
        return state, {n: march(state, 100.0 / n, n) for n in (1, 2, 4, 8, 40)}

    return runs_of
