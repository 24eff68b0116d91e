"""Linear problems of solved stages in the precision and with the recycling of large grids."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.errors import ConvergenceError
from simulator.model.derivatives.refinement import Point
from simulator.model.derivatives.transposed import RECYCLED, pull_back, stage_at, transposed_systems
from simulator.model.newton import NewtonOptions
from simulator.model.residual import History
from simulator.model.timestep import no_currents

RTOL = 1e-8


@pytest.fixture(scope="module")
def problem(tiny):
    """A stage of a grid that is coarsened, and right-hand sides that change little, as from step to step."""
    cell = dataclasses.replace(tiny, phases=np.tile(tiny.phases, (2, 2, 2))).cell()
    rng = np.random.default_rng(5)
    start = cell.initial_fields()
    u = start.at[:2].add(0.01 * rng.standard_normal(start[:2].shape))
    side = cell.initial_side()
    point = Point(u, no_currents(side, cell.model), History(start[2:], side), jnp.asarray(30.0), tiny.drive(cell.one_c))
    stage, *at = stage_at(point, cell.model)
    given = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(stage, *at)[1])
    smooth, other = (jnp.asarray(rng.standard_normal(u.shape)) for _ in range(2))
    return cell.model, point, [smooth + 0.02 * k * other for k in range(4)], given._replace(voltage=jnp.ones(()))


def solved(problem, options, *, recycled, double=None):
    """Cotangents of the history for each right-hand side, and all iterations. `double`: the right-hand side whose
    systems are float64, as where float32 was no help."""
    model, point, sides, out = problem
    systems = transposed_systems(model, options, recycled=recycled)
    found = []
    for k, u in enumerate(sides):
        systems.forget()
        if k == double:
            systems._dtype = jnp.dtype(jnp.float64)
        found.append(np.asarray(pull_back(systems, point, u, out, RTOL).history.fields))
    return np.array(found), systems.krylov


def test_recycled_directions_save_iterations_and_change_nothing(problem):
    options = NewtonOptions(krylov_max=24)
    assert options.dtype(problem[0]) == jnp.float32
    plain, most = solved(problem, options, recycled=0)
    found, fewer = solved(problem, options, recycled=RECYCLED)
    assert fewer < 0.85 * most
    size = np.abs(plain).max()
    np.testing.assert_allclose(found / size, plain / size, atol=1e-6)


def test_recycling_goes_on_in_float64_and_back(problem):
    options = NewtonOptions(krylov_max=24)
    plain, _ = solved(problem, options, recycled=0)
    found, _ = solved(problem, options, recycled=RECYCLED, double=1)
    size = np.abs(plain).max()
    np.testing.assert_allclose(found / size, plain / size, atol=1e-6)


def test_a_problem_without_room_for_its_solution_ends_with_the_cure(problem):
    with pytest.raises(ConvergenceError, match="krylov_max"):
        solved(problem, NewtonOptions(krylov_max=1), recycled=RECYCLED)
