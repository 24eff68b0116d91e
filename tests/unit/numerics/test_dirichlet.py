"""Networks with held voxels: exact small cases, superposition, and refusals."""

import numpy as np
import pytest
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from simulator.errors import GeometryError
from simulator.numerics.dirichlet import solve_dirichlet

SHAPE = (7, 9, 8)
RTOL = 1e-10
#: the residual is relative to the source, and potentials lie in [0, 1]; the networks here are small
SOLVER = 1e-8


def network(shape=SHAPE, seed=0, decades=3.0):
    """Conductances of the inner faces, spread over `decades` powers of ten."""
    rng = np.random.default_rng(seed)
    shapes = [tuple(n - (a == axis) for a, n in enumerate(shape)) for axis in range(3)]
    return tuple(10.0 ** rng.uniform(-decades, 0.0, s) for s in shapes)


def exact(conductances, held, values):
    """The same by a sparse direct solve."""
    number = np.arange(held.size).reshape(held.shape)
    rows, columns, k = [], [], []
    for axis, conductance in enumerate(conductances):
        low = np.delete(number, -1, axis).ravel()
        high = np.delete(number, 0, axis).ravel()
        rows += [low, high]
        columns += [high, low]
        k += [conductance.ravel()] * 2
    matrix = coo_array((np.concatenate(k), (np.concatenate(rows), np.concatenate(columns)))).tocsr()
    laplacian = (diags_array(matrix.sum(axis=1)) - matrix).tocsr()
    free = ~held.ravel()
    found = values.ravel().astype(float).copy()
    found[free] = spsolve(laplacian[free][:, free].tocsc(), -laplacian[free][:, ~free] @ found[~free])
    return found.reshape(held.shape)


def test_potentials_are_those_of_a_direct_solve():
    rng = np.random.default_rng(1)
    held = rng.random(SHAPE) < 0.1
    values = rng.random((2, *SHAPE))
    found = solve_dirichlet(network(), held, values, rtol=RTOL)
    assert found.converged
    for potential, given in zip(found.potential, values, strict=True):
        np.testing.assert_allclose(potential, exact(network(), held, given), atol=SOLVER)


def test_one_layer_is_solved_as_a_plane():
    shape = (1, 12, 11)
    held = np.zeros(shape, bool)
    held[0, 0], held[0, -1] = True, True
    values = np.zeros((1, *shape))
    values[0, 0, 0] = 1.0
    uniform = (np.empty((0, 12, 11)), np.ones((1, 11, 11)), np.ones((1, 12, 10)))
    found = solve_dirichlet(uniform, held, values, rtol=RTOL)
    expected = np.broadcast_to(np.linspace(1, 0, 12)[:, None], (12, 11))
    np.testing.assert_allclose(found.potential[0, 0], expected, atol=SOLVER)


def test_indicators_of_all_groups_add_up_to_one():
    rng = np.random.default_rng(2)
    group = np.where(rng.random(SHAPE) < 0.08, rng.integers(1, 3, SHAPE), 0)
    values = np.stack([(group == g).astype(float) for g in (1, 2)])
    found = solve_dirichlet(network(seed=3), group > 0, values, rtol=RTOL)
    potential = np.asarray(found.potential)
    np.testing.assert_allclose(potential.sum(axis=0), 1.0, atol=3 * SOLVER)
    assert potential.min() > -SOLVER and potential.max() < 1 + SOLVER


def test_a_start_changes_the_way_and_not_the_answer():
    held = np.random.default_rng(4).random(SHAPE) < 0.1
    values = np.random.default_rng(5).random((2, *SHAPE))
    cold = solve_dirichlet(network(), held, values, rtol=RTOL)
    warm = solve_dirichlet(network(), held, values, start=cold.potential, rtol=RTOL)
    np.testing.assert_allclose(warm.potential, cold.potential, atol=SOLVER)
    assert warm.iterations[0] < cold.iterations[0]


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_without_a_source_the_free_voxels_are_zero_whatever_the_start(share):
    held = np.random.default_rng(6).random(SHAPE) < share
    found = solve_dirichlet(network(), held, np.zeros((2, *SHAPE)), start=np.ones((2, *SHAPE)))
    assert found.converged
    assert not np.asarray(found.potential).any()
    assert found.iterations.tolist() == [0, 0]


def test_voxels_without_conductance_are_zero_and_do_no_harm():
    faces = [k.copy() for k in network()]
    for axis in range(3):  # cut voxel (3, 4, 4) off
        for side in (0, 1):
            place = [3, 4, 4]
            place[axis] -= side
            faces[axis][tuple(place)] = 0.0
    held = np.zeros(SHAPE, bool)
    held[0], held[-1] = True, True
    values = np.zeros((2, *SHAPE))
    values[:, 0] = 1.0
    found = solve_dirichlet(tuple(faces), held, values, rtol=RTOL)
    assert found.converged
    assert found.potential[0, 3, 4, 4] == 0.0
    assert np.isfinite(np.asarray(found.potential)).all()


@pytest.mark.parametrize(
    ("held", "values", "text"),
    [
        (np.zeros(SHAPE, bool), np.zeros((1, *SHAPE)), "No voxel is held"),
        (np.ones(SHAPE[1:], bool), np.zeros((1, *SHAPE)), "must be 3D"),
        (np.ones(SHAPE, bool), np.zeros(SHAPE), "values"),
    ],
)
def test_what_cannot_be_solved_is_refused(held, values, text):
    with pytest.raises(GeometryError, match=text):
        solve_dirichlet(network(), held, values)


def test_conductances_of_another_grid_are_refused():
    with pytest.raises(GeometryError, match="conductances must have the shapes"):
        solve_dirichlet(network((7, 9, 7)), np.ones(SHAPE, bool), np.zeros((1, *SHAPE)))
