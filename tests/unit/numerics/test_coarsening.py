"""Parts of a block: what hangs together stays together, and the coarse operator knows both parts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.numerics import coarsening
from simulator.numerics.coarsening import Coarsening
from simulator.numerics.laplacian import FaceOperator
from simulator.numerics.stencil import AXES, face_shape

# As one program each: operation by operation they would be hundreds.
coarsen, prolong, restrict, split_blocks = (
    eqx.filter_jit(f) for f in (coarsening.coarsen, coarsening.prolong, coarsening.restrict, coarsening.split_blocks)
)

TWOS = Coarsening((2, 2, 2))
ODD = (5, 6, 7)


def network(sigma, periodic=False):
    """Two-point operator of an image of conductivities without walls, harmonic means."""
    faces = []
    for axis in AXES:
        low, high, inner = ([slice(None)] * 3 for _ in range(3))
        low[axis], high[axis], inner[axis] = slice(None, -1), slice(1, None), slice(1, -1)
        a, b = sigma[tuple(low)], sigma[tuple(high)]
        k = np.zeros(face_shape(sigma.shape, axis))
        k[tuple(inner)] = 2 * a * b / np.where(a + b > 0, a + b, 1)
        if periodic and axis:
            a, b = np.take(sigma, -1, axis), np.take(sigma, 0, axis)
            ends = 2 * a * b / np.where(a + b > 0, a + b, 1)
            first, last = ([slice(None)] * 3 for _ in range(2))
            first[axis], last[axis] = 0, -1
            k[tuple(first)], k[tuple(last)] = ends, ends
        faces.append(jnp.asarray(k)[None])
    return FaceOperator(faces=tuple(faces), mass=jnp.zeros((1, *sigma.shape)), periodic=periodic)


def medium(seed=0, share=0.5):
    return (np.random.default_rng(seed).random(ODD) < share).astype(float)


def test_two_sheets_in_one_block_are_its_two_parts():
    sigma = np.zeros((2, 2, 2))
    sigma[0, 0], sigma[1, 1] = 1.0, 1.0  # two rows along x that meet along an edge only
    parts = np.asarray(split_blocks(network(sigma), TWOS))[0]
    assert parts[0, 0].tolist() == [False, False]
    assert parts[1, 1].tolist() == [True, True]


def test_a_connected_block_has_one_part_however_long_the_path():
    sigma = np.ones((2, 2, 2))
    sigma[0, 1, 0] = 0.0  # seven cells, the longest way round
    assert not np.asarray(split_blocks(network(sigma), TWOS)).any()


def test_weakly_bound_cells_leave_the_good_conductor_alone():
    sigma = np.full((2, 2, 2), 1e-3)
    sigma[1] = 1.0
    parts = np.asarray(split_blocks(network(sigma), TWOS))[0]
    assert parts[0].all() and not parts[1].any()


def test_blocks_of_graded_layers_are_not_split():
    with pytest.raises(ValueError, match="uniform layers"):
        split_blocks(network(medium()), Coarsening((2, 2, 2), keep=1))


@pytest.mark.parametrize("levels", [1, 2])
def test_restriction_with_parts_is_the_transpose_of_prolongation(levels):
    op = network(medium())
    parts = split_blocks(op, TWOS)
    if levels == 2:
        op = coarsen(op, TWOS, parts)
        parts = split_blocks(op, TWOS)
    rng = np.random.default_rng(1)
    fine = jnp.asarray(rng.normal(size=op.mass.shape))
    coarse_shape = restrict(fine, TWOS, parts).shape
    coarse = jnp.asarray(rng.normal(size=coarse_shape))
    assert coarse_shape[0] == 2
    left = jnp.vdot(restrict(fine, TWOS, parts), coarse)
    right = jnp.vdot(fine, prolong(coarse, TWOS, parts, op.shape))
    assert float(left) == pytest.approx(float(right), rel=1e-12)  # sums of some hundred terms in float64


def galerkin(op, parts):
    """P^T A P and the same for conduction between blocks halved, both assembled column by column."""
    shape = restrict(jnp.zeros(op.mass.shape), TWOS, parts).shape
    n = int(np.prod(shape))

    def column(e):
        fine = prolong(e.reshape(shape), TWOS, parts, op.shape)
        return restrict(op.apply(fine), TWOS, parts).ravel()

    return np.asarray(jax.jit(jax.vmap(column))(jnp.eye(n))).T, shape


@pytest.mark.parametrize("periodic", [False, True])
def test_coarse_operator_is_the_galerkin_product_with_halved_conduction_between_blocks(periodic):
    sigma = np.random.default_rng(3).choice([0.0, 1e-3, 1.0], size=(6, 6, 8))
    op = network(sigma, periodic)
    parts = split_blocks(op, TWOS)
    full, shape = galerkin(op, parts)
    coarse = coarsen(op, TWOS, parts)
    found = np.asarray(jax.jit(jax.vmap(lambda e: coarse.apply(e.reshape(shape)).ravel()))(jnp.eye(len(full)))).T
    block = np.arange(full.shape[0]) % (full.shape[0] // 2)  # the same block, whatever the part
    between = block[:, None] != block[None, :]
    expected = np.where(between, 0.5 * full, full)
    np.fill_diagonal(expected, 0.0)
    np.fill_diagonal(expected, -expected.sum(axis=1))  # no mass: rows sum to zero
    # Sums of a few conductances of 1e-3 to 1 in float64.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(full[~between & ~np.eye(full.shape[0], dtype=bool)]).max() > 0  # some parts do touch


def test_the_second_level_splits_what_the_first_has_kept_apart():
    sigma = np.zeros((4, 4, 4))
    sigma[0], sigma[2:] = 1.0, 1.0  # a sheet and a slab with an insulating layer between them, in one block of 4
    op = network(sigma)
    first = split_blocks(op, TWOS)
    assert not np.asarray(first).any()  # each block of two layers holds one piece
    coarse = coarsen(op, TWOS, first)
    second = np.asarray(split_blocks(coarse, TWOS))
    values = prolong(jnp.asarray([2.0, 3.0]).reshape(2, 1, 1, 1), TWOS, jnp.asarray(second), coarse.shape)
    on_fine = np.asarray(prolong(values, TWOS, first, op.shape))[0]
    assert len(set(on_fine[0].ravel())) == 1
    assert len(set(on_fine[2:].ravel())) == 1
    assert on_fine[0, 0, 0] != on_fine[3, 0, 0]
