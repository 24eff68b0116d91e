"""The face operator against matrices assembled entry by entry, and its coarsening against P^T A P."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.numerics.coarsening import Coarsening, aggregate_cells, coarsen, spread_cells
from simulator.numerics.laplacian import FaceOperator
from simulator.numerics.stencil import AXES, face_shape

SHAPE = (3, 4, 5)


def interior(axis):
    """Index of the faces of `axis` that lie between two cells."""
    index = [slice(None)] * 4
    index[axis + 1] = slice(1, -1)
    return tuple(index)


def random_operator(shape=SHAPE, *, seed=0, fields=2, mass=True, coupled=True, plane=True, floats=1.0):
    """Conductances over six decades, none through the outer boundary."""
    rng = np.random.default_rng(seed)

    def face_arrays():
        out = []
        for axis in AXES:
            values = np.zeros((fields, *face_shape(shape, axis)))
            values[interior(axis)] = 10.0 ** rng.uniform(-3, 3, size=values[interior(axis)].shape)
            out.append(values)
        return tuple(out)

    def cells(*size):
        return 10.0 ** rng.uniform(-3, 3, size=size)

    return FaceOperator(
        faces=face_arrays(),
        mass=cells(fields, *shape) if mass else np.zeros((fields, *shape)),
        cross=face_arrays() if coupled else None,
        local=cells(*shape) if coupled else None,
        plane=cells(*shape[1:]) if plane else None,
        plane_floats=np.asarray(floats) if plane else None,
    )


def assembled(op):
    """The matrix, one conductance at a time: k adds +k to two diagonal entries and -k to two others."""
    op = jax.tree.map(np.asarray, op)
    fields, shape = op.mass.shape[0], op.mass.shape[1:]
    n = int(np.prod(shape))
    number = np.arange(fields * n).reshape(fields, *shape)
    matrix = np.diag(op.mass.ravel())

    def connect(a, b, k):
        matrix[a, a] += k
        matrix[b, b] += k
        matrix[a, b] -= k
        matrix[b, a] -= k

    for axis in AXES:
        for index in np.ndindex(face_shape(shape, axis)):
            if not 0 < index[axis] < shape[axis]:
                continue
            below = list(index)
            below[axis] -= 1
            low, high = tuple(below), index
            for f in range(fields):
                connect(number[(f, *low)], number[(f, *high)], op.faces[axis][(f, *index)])
            if op.cross is not None:
                connect(number[(0, *low)], number[(1, *high)], op.cross[axis][(0, *index)])
                connect(number[(1, *low)], number[(0, *high)], op.cross[axis][(1, *index)])
    if op.local is not None:
        for index in np.ndindex(shape):
            connect(number[(0, *index)], number[(1, *index)], op.local[index])
    if op.plane is not None:
        g = op.plane.ravel()
        last = number[0, -1].ravel()
        matrix[np.ix_(last, last)] += np.diag(g) - float(op.plane_floats) * np.outer(g, g) / g.sum()
    return matrix


@eqx.filter_jit
def dense(op):
    """The matrix as the operator applies it, column by column."""
    n = op.mass.size
    columns = jax.vmap(lambda e: op.apply(e.reshape(op.mass.shape)).ravel())(jnp.eye(n, dtype=op.mass.dtype))
    return columns.T


coarsened = eqx.filter_jit(coarsen)


def close(actual, expected):
    """Equal to rounding: a few additions of terms up to the largest entry."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14 * np.max(np.abs(expected)))


def test_four_cells_in_a_row_give_the_matrix_written_by_hand():
    # u0 -1- u1 -2- u2 -4- u3, wall of conductance 8 at u0, along z, y and x
    by_hand = [[9, -1, 0, 0], [-1, 3, -2, 0], [0, -2, 6, -4], [0, 0, -4, 4]]
    for axis in AXES:
        shape = [1, 1, 1]
        shape[axis] = 4
        faces = [np.zeros((1, *face_shape(shape, a))) for a in AXES]
        faces[axis] = np.reshape([0.0, 1.0, 2.0, 4.0, 0.0], faces[axis].shape)
        mass = np.reshape([8.0, 0.0, 0.0, 0.0], (1, *shape))
        op = FaceOperator(faces=tuple(jnp.asarray(f) for f in faces), mass=jnp.asarray(mass))
        np.testing.assert_array_equal(dense(op), by_hand)


def test_two_coupled_cells_give_the_matrix_written_by_hand():
    # Fields 0 and 1 in cells 0 and 1 along z; order u00 u01 u10 u11.
    # faces 1 (field 0), 2 (field 1); cross: 0 low with 1 high: 4, 1 low with 0 high: 8; local 16, 32; held plane 64.
    op = FaceOperator(
        faces=(
            jnp.reshape(jnp.asarray([0.0, 1.0, 0.0, 0.0, 2.0, 0.0]), (2, 3, 1, 1)),
            jnp.zeros((2, 2, 2, 1)),
            jnp.zeros((2, 2, 1, 2)),
        ),
        mass=jnp.zeros((2, 2, 1, 1)),
        cross=(
            jnp.reshape(jnp.asarray([0.0, 4.0, 0.0, 0.0, 8.0, 0.0]), (2, 3, 1, 1)),
            jnp.zeros((2, 2, 2, 1)),
            jnp.zeros((2, 2, 1, 2)),
        ),
        local=jnp.reshape(jnp.asarray([16.0, 32.0]), (2, 1, 1)),
        plane=jnp.full((1, 1), 64.0),
        plane_floats=jnp.zeros(()),
    )
    by_hand = [
        [1 + 4 + 16, -1, -16, -4],
        [-1, 1 + 8 + 32 + 64, -8, -32],
        [-16, -8, 2 + 8 + 16, -2],
        [-4, -32, -2, 2 + 4 + 32],
    ]
    np.testing.assert_array_equal(dense(op), by_hand)


@pytest.mark.parametrize("floats", [0.0, 1.0])
def test_all_terms_together_match_the_assembled_matrix(floats):
    op = random_operator(floats=floats)
    close(dense(op), assembled(op))


def test_uncoupled_single_field_matches_the_assembled_matrix():
    op = random_operator(fields=1, coupled=False, plane=False)
    close(dense(op), assembled(op))


@pytest.mark.parametrize("floats", [0.0, 1.0])
def test_operator_is_symmetric_and_not_negative(floats):
    matrix = np.asarray(dense(random_operator(seed=3, mass=False, floats=floats)))
    close(matrix, matrix.T)
    # rounding of the eigenvalue solver: eps times the largest eigenvalue times a small factor
    assert np.linalg.eigvalsh(matrix).min() > -1e-13 * np.linalg.norm(matrix, 2)


def test_without_mass_one_common_constant_is_the_whole_null_space():
    matrix = np.asarray(dense(random_operator(seed=4, mass=False)))
    scale = np.linalg.norm(matrix, 2)
    values = np.linalg.eigvalsh(matrix)
    close(matrix @ np.ones(len(matrix)) + scale, np.full(len(matrix), scale))
    # Conductances span 1e-3 to 1e3, so the second eigenvalue is far above rounding (1e-13 of the largest).
    assert abs(values[0]) < 1e-13 * scale < 1e-7 * scale < values[1]


def test_a_held_plane_removes_the_null_space():
    values = np.linalg.eigvalsh(np.asarray(dense(random_operator(seed=4, mass=False, floats=0.0))))
    assert values[0] > 1e-7 * values[-1]


def test_own_diagonal_is_the_diagonal_without_the_local_pairing():
    op = random_operator(seed=5, floats=0.0)
    diagonal = np.diagonal(assembled(op)).reshape(op.mass.shape) - np.asarray(op.local)[None]
    # The subtraction of `local` loses digits where it dominates, up to six decades.
    np.testing.assert_allclose(eqx.filter_jit(FaceOperator.own_diagonal)(op), diagonal, rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_constant_mode_is_annihilated_exactly_in_both_precisions(dtype):
    # Differences k (u_i - u_j) of equal numbers are exactly zero; D u_i - sum k u_j would leave 1e-7 of D u.
    op = random_operator(seed=6, mass=False, plane=False).astype(dtype)
    u = jnp.full(op.mass.shape, 4.1, dtype)
    assert np.all(np.asarray(eqx.filter_jit(FaceOperator.apply)(op, u)) == 0.0)


def test_floating_plane_leaves_a_constant_to_the_rounding_of_one_mean():
    op = random_operator(seed=6, mass=False).astype(jnp.float32)
    u = jnp.full(op.mass.shape, 4.1, jnp.float32)
    out = np.asarray(eqx.filter_jit(FaceOperator.apply)(op, u))
    assert np.all(out[1] == 0.0) and np.all(out[0, :-1] == 0.0)
    # mean of 20 equal float32 numbers: a few units in the last place of 4.1
    assert np.max(np.abs(out[0, -1]) / np.asarray(op.plane)) < 20 * 2.4e-7


# -- coarsening ---------------------------------------------------------------------------------------------------

CASES = [
    pytest.param((4, 4, 6), Coarsening((2, 2, 2)), id="even"),
    pytest.param((5, 3, 7), Coarsening((2, 2, 2)), id="odd"),
    pytest.param((4, 5, 3), Coarsening((1, 2, 2)), id="lateral-only"),
    pytest.param((5, 4, 1), Coarsening((2, 2, 1)), id="one-voxel-wide"),
    pytest.param((7, 4, 3), Coarsening((2, 2, 2), keep=3), id="keep-even-rest"),
    pytest.param((8, 3, 2), Coarsening((2, 1, 2), keep=3), id="keep-odd-rest"),
]


def aggregate_of(index, c):
    """Coarse index of a cell, from the definition: the first `keep` layers stay single, the rest pair up."""
    out = []
    for axis, i in enumerate(index):
        keep = c.keep if axis == 0 else 0
        out.append(i if c.factors[axis] == 1 or i < keep else keep + (i - keep) // 2)
    return tuple(out)


def coarse_shape(shape, c):
    return tuple(i + 1 for i in aggregate_of([n - 1 for n in shape], c))


def prolongation(shape, c, fields=1):
    """Dense piecewise-constant prolongation (fine, coarse)."""
    coarse = coarse_shape(shape, c)
    one = np.zeros((int(np.prod(shape)), int(np.prod(coarse))))
    for row, index in enumerate(np.ndindex(shape)):
        one[row, np.ravel_multi_index(aggregate_of(index, c), coarse)] = 1.0
    return np.kron(np.eye(fields), one)


@pytest.mark.parametrize(("shape", "c"), CASES)
def test_spread_is_piecewise_constant_and_aggregate_is_its_transpose(shape, c):
    rng = np.random.default_rng(8)
    coarse = rng.normal(size=(2, *coarse_shape(shape, c)))
    fine = rng.normal(size=(2, *shape))
    p = prolongation(shape, c, fields=2)
    spread = jax.jit(lambda a: spread_cells(a, c, shape))(coarse)
    np.testing.assert_array_equal(np.ravel(spread), p @ coarse.ravel())
    aggregated = jax.jit(lambda a: aggregate_cells(a, c))(fine)
    assert aggregated.shape == coarse.shape
    np.testing.assert_allclose(np.ravel(aggregated), p.T @ fine.ravel(), rtol=0, atol=1e-14)  # 8 numbers of size 1


def gradient_factor(shape, c, axis):
    """Documented factor on coarse face conductances: 1/2 between pairs, 3/4 between a single layer and a pair."""
    count = coarse_shape(shape, c)[axis] + 1
    if c.factors[axis] == 1:
        return np.ones(count)
    keep = c.keep if axis == 0 else 0
    if keep == 0:
        return np.full(count, 0.5)
    return np.array([1.0] * keep + [0.75] + [0.5] * (count - keep - 1))


def only(op, **kept):
    """`op` with all terms zero but those `kept`, and without its plane."""
    zero = jax.tree.map(np.zeros_like, op)
    terms = {name: getattr(zero, name) for name in ("faces", "mass", "cross", "local")}
    return FaceOperator(**{**terms, **kept})


@pytest.mark.parametrize(("shape", "c"), CASES)
def test_reaction_and_storage_are_coarsened_to_exactly_the_galerkin_product(shape, c):
    op = random_operator(shape, seed=9)
    p = prolongation(shape, c, fields=2)
    coarse = coarsened(op, c)
    # A cross link inside an aggregate becomes a local one; the product of all three terms must be met.
    kept = {"mass": op.mass, "cross": op.cross, "local": op.local}
    found = only(coarse, mass=coarse.mass, cross=coarse.cross, local=coarse.local)
    close(assembled(found), p.T @ assembled(only(op, **kept)) @ p)


@pytest.mark.parametrize(("shape", "c"), CASES)
def test_face_conductances_are_the_galerkin_product_times_the_documented_factor(shape, c):
    op = random_operator(shape, seed=9)
    p = prolongation(shape, c, fields=2)
    coarse = coarsened(op, c)
    unscaled = []
    for axis in AXES:
        factor = gradient_factor(shape, c, axis)
        unscaled.append(np.asarray(coarse.faces[axis]) / factor.reshape([-1 if a == axis + 1 else 1 for a in range(4)]))
    close(assembled(only(coarse, faces=tuple(unscaled))), p.T @ assembled(only(op, faces=op.faces)) @ p)


@pytest.mark.parametrize(("shape", "c"), CASES)
def test_plane_conductances_are_summed_and_halved_where_layers_pair_up(shape, c):
    op = random_operator(shape, seed=9)
    coarse = coarsened(op, c)
    p = prolongation((1, *shape[1:]), Coarsening((1, *c.factors[1:])))
    # The coarse centre lies twice as far from the plane.
    expected = (0.5 if c.factors[0] == 2 else 1.0) * (p.T @ op.plane.ravel())
    np.testing.assert_allclose(np.ravel(coarse.plane), expected, rtol=1e-14)
    assert float(coarse.plane_floats) == float(op.plane_floats)


def test_coarsening_a_homogeneous_medium_gives_the_grid_of_twice_the_voxel_size():
    # Conductance sigma A / h in 3D: doubled voxels have conductance (4 A) / (2 h), twice that of the fine ones.
    shape, c = (4, 6, 8), Coarsening((2, 2, 2))

    def medium(shape, k):
        faces = []
        for axis in AXES:
            values = np.zeros((1, *face_shape(shape, axis)))
            values[interior(axis)] = k
            faces.append(jnp.asarray(values))
        return FaceOperator(faces=tuple(faces), mass=jnp.zeros((1, *shape)))

    coarse = coarsened(medium(shape, 1.0), c)
    for actual, expected in zip(coarse.faces, medium((2, 3, 4), 2.0).faces, strict=True):
        np.testing.assert_array_equal(actual, expected)
