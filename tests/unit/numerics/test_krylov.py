"""Krylov solvers against dense linear algebra, and what they report when they cannot solve."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick_jit

from simulator.numerics.krylov import Space, combine, conjugate_gradients, gcr

N = 12
RNG = np.random.default_rng(7)
# Eigenvalues around 4 with a spread of about 2: well conditioned, clearly nonsymmetric.
NONSYMMETRIC = 4.0 * np.eye(N) + RNG.normal(size=(N, N)) / np.sqrt(N)
_ROOT = RNG.normal(size=(N, N))
SPD = _ROOT @ _ROOT.T + N * np.eye(N)
RIGHT = RNG.normal(size=N)


@quick_jit
def _gcr(matrix, m, b, space, rtol, first):
    return gcr(
        lambda v: (matrix.astype(v.dtype) @ v.ravel()).reshape(v.shape),
        lambda v: (m.astype(v.dtype) @ v.ravel()).reshape(v.shape),
        b,
        space,
        rtol=rtol,
        first=first,
    )


@partial(jax.jit, static_argnames="max_iterations")
def _cg(matrix, m, b, rtol, max_iterations):
    return conjugate_gradients(lambda v: matrix @ v, lambda v: m @ v, b, rtol=rtol, max_iterations=max_iterations)


def run_gcr(
    matrix, b, *, preconditioner=None, rtol=1e-12, max_iterations=N, basis_dtype="float64", space=None, first=None
):
    m = np.eye(N) if preconditioner is None else preconditioner
    if space is None:
        space = Space.empty(max_iterations, b.size, jnp.dtype(basis_dtype))
    return _gcr(jnp.asarray(matrix), jnp.asarray(m), b, space, rtol, first)


def run_cg(matrix, b, *, preconditioner=None, rtol=1e-12, max_iterations=4 * N):
    m = np.eye(N) if preconditioner is None else preconditioner
    return _cg(matrix, m, b, rtol, max_iterations)


def true_residual(matrix, x, b):
    return np.linalg.norm(b - matrix @ np.asarray(x)) / np.linalg.norm(b)


@pytest.mark.parametrize("preconditioner", [None, np.linalg.inv(NONSYMMETRIC + 0.3 * RNG.normal(size=(N, N)))])
def test_gcr_solves_a_nonsymmetric_system(preconditioner):
    result = run_gcr(NONSYMMETRIC, RIGHT, preconditioner=preconditioner)
    # rtol 1e-12 times the condition number, about 3
    np.testing.assert_allclose(result.x, np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)
    assert int(result.iterations) <= N == result.space.rows  # exact arithmetic ends after N steps at the latest
    assert float(result.relative_residual) <= 1e-12


@pytest.mark.parametrize("preconditioner", [None, np.diag(1.0 / np.diagonal(SPD))])
def test_conjugate_gradients_solves_a_symmetric_positive_definite_system(preconditioner):
    result = run_cg(SPD, RIGHT, preconditioner=preconditioner)
    # rtol 1e-12 times the condition number, about 5, relative to |x| of about 0.2
    np.testing.assert_allclose(result.x, np.linalg.solve(SPD, RIGHT), rtol=0, atol=1e-12)
    assert float(result.relative_residual) <= 1e-12


def test_gcr_with_an_exact_preconditioner_needs_one_iteration():
    result = run_gcr(NONSYMMETRIC, RIGHT, preconditioner=np.linalg.inv(NONSYMMETRIC), rtol=1e-10)
    assert int(result.iterations) == 1


def test_gcr_keeps_the_shape_of_its_right_hand_side():
    x = run_gcr(NONSYMMETRIC, RIGHT.reshape(3, 4)).x
    assert x.shape == (3, 4)
    np.testing.assert_allclose(x.ravel(), np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", [run_gcr, run_cg])
def test_too_few_iterations_are_reported_with_the_true_residual(solver):
    matrix = NONSYMMETRIC if solver is run_gcr else SPD
    result = solver(matrix, RIGHT, max_iterations=3)
    reported = float(result.relative_residual)
    assert int(result.iterations) == 3
    assert reported > 1e-4  # three of twelve directions cannot be enough
    # Both follow the residual by short recurrences; after three steps these differ from it by rounding only.
    assert reported == pytest.approx(true_residual(matrix, result.x, RIGHT), rel=1e-10)


def test_gcr_residual_never_grows_with_the_number_of_iterations():
    # A loose tolerance stops the same program earlier.
    runs = [run_gcr(NONSYMMETRIC, RIGHT, rtol=rtol) for rtol in (0.5, 0.1, 1e-2, 1e-4, 1e-8)]
    residuals = [float(run.relative_residual) for run in runs]
    counts = [int(run.iterations) for run in runs]
    assert residuals == sorted(residuals, reverse=True) and counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("solver", [run_gcr, run_cg])
@pytest.mark.parametrize("where", ["operator", "preconditioner", "right-hand side"])
def test_nan_is_never_reported_as_converged(solver, where):
    matrix = (NONSYMMETRIC if solver is run_gcr else SPD).copy()
    m, b = np.eye(N), RIGHT.copy()
    target = {"operator": matrix, "preconditioner": m, "right-hand side": b}[where]
    target[(2,) * target.ndim] = np.nan
    result = solver(matrix, b, preconditioner=m)
    assert not float(result.relative_residual) <= 1e-12


@pytest.mark.parametrize("solver", [run_gcr, run_cg])
def test_zero_right_hand_side_gives_zero_without_iterating(solver):
    result = solver(SPD, np.zeros(N))
    assert int(result.iterations) == 0
    assert np.all(np.asarray(result.x) == 0.0) and float(result.relative_residual) == 0.0


def test_conjugate_gradients_does_not_claim_an_indefinite_system_it_cannot_solve():
    # p^T A p = 0 in the first step: alpha is infinite.
    matrix = np.diag(np.array([1.0, -1.0] * (N // 2)))
    result = run_cg(matrix, np.ones(N))
    assert not float(result.relative_residual) <= 1e-12


def test_gcr_does_not_claim_an_inconsistent_system():
    matrix = np.diag(np.r_[np.zeros(1), np.ones(N - 1)])
    result = run_gcr(matrix, np.eye(N)[0])  # b lies outside the range of the matrix
    assert not float(result.relative_residual) < 0.999


def test_single_precision_basis_reaches_single_precision_and_says_so():
    result = run_gcr(NONSYMMETRIC, RIGHT, rtol=1e-4, basis_dtype="float32")
    # float32 rounding of 12 stored vectors: the reported value is good to about 1e-6 of the right-hand side
    assert float(result.relative_residual) <= 1e-4
    assert true_residual(NONSYMMETRIC, result.x, RIGHT) <= 1e-4 + 3e-6


def test_a_right_hand_side_seen_before_costs_nothing():
    first = run_gcr(NONSYMMETRIC, RIGHT)
    again = run_gcr(NONSYMMETRIC, -3.0 * RIGHT, space=first.space, rtol=1e-10)
    assert int(again.iterations) == 0 and float(again.relative_residual) <= 1e-10
    np.testing.assert_allclose(again.x, np.linalg.solve(NONSYMMETRIC, -3.0 * RIGHT), rtol=0, atol=1e-9)


def test_directions_of_an_earlier_right_hand_side_save_iterations():
    space = run_gcr(NONSYMMETRIC, RIGHT, rtol=1e-4, max_iterations=2 * N).space
    near = RIGHT + 0.01 * RNG.normal(size=N)
    helped = run_gcr(NONSYMMETRIC, near, space=space, rtol=1e-4)
    alone = run_gcr(NONSYMMETRIC, near, rtol=1e-4, max_iterations=2 * N)
    assert 0 < int(helped.iterations) < int(alone.iterations)
    assert true_residual(NONSYMMETRIC, helped.x, near) <= 1e-4


def test_an_emptied_space_is_as_good_as_a_new_one():
    used = run_gcr(NONSYMMETRIC, RIGHT).space.emptied()
    other = RIGHT[::-1].copy()
    again, new = run_gcr(SPD, other, space=used), run_gcr(SPD, other)
    assert int(again.iterations) == int(new.iterations)
    np.testing.assert_array_equal(again.x, new.x)


def test_an_empty_space_begins_with_what_is_given():
    solution = np.linalg.solve(NONSYMMETRIC, RIGHT)
    part = np.where(np.arange(N) < N // 2, solution, 0.0)
    found = run_gcr(NONSYMMETRIC, RIGHT, first=jnp.stack([part, 3.0 * (solution - part)]), rtol=1e-10)
    assert int(found.iterations) == 2
    np.testing.assert_allclose(found.x, solution, rtol=0, atol=1e-9)
    # only there: what else is in the space may hold them already
    full = run_gcr(NONSYMMETRIC, RIGHT[::-1].copy(), max_iterations=2 * N, rtol=0.5).space
    started = int(full.used)
    grown = run_gcr(NONSYMMETRIC, RIGHT, space=full, first=jnp.tile(solution, (N // 2, 1))).space.directions
    assert 0 < started < N // 2 and not np.allclose(grown[started], solution)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_given_directions_that_are_all_but_parallel_cost_no_accuracy(dtype):
    near = RIGHT + 300.0 * float(jnp.finfo(dtype).eps) * SPD[0]
    alike = jnp.stack([RIGHT, near, RIGHT])
    found = run_gcr(NONSYMMETRIC, SPD[1], first=alike, rtol=1e-5, basis_dtype=dtype, max_iterations=N + 3)
    assert true_residual(NONSYMMETRIC, found.x, SPD[1]) < 2e-5


def test_given_directions_leave_room_for_new_ones():
    found = run_gcr(NONSYMMETRIC, RIGHT, first=jnp.zeros((4, N)), max_iterations=4, rtol=1e-1)
    assert float(found.relative_residual) < 0.5
    found = run_gcr(NONSYMMETRIC, RIGHT, first=jnp.zeros((4, N)), max_iterations=2, rtol=1e-1)
    assert float(found.relative_residual) < 0.5


@pytest.mark.parametrize("useless", [np.zeros((2, N)), np.tile(SPD[0], (2, 1))])
def test_given_directions_without_anything_new_do_no_harm(useless):
    found = run_gcr(NONSYMMETRIC, RIGHT, first=jnp.asarray(useless), max_iterations=N + 2)
    assert float(found.relative_residual) <= 1e-12
    np.testing.assert_allclose(found.x, np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)


def test_a_direction_that_is_not_finite_is_not_kept():
    bad = NONSYMMETRIC.copy()
    bad[2, 2] = np.nan
    space = run_gcr(bad, RIGHT).space.emptied()
    result = run_gcr(NONSYMMETRIC, RIGHT, space=space)
    assert float(result.relative_residual) <= 1e-12
    np.testing.assert_allclose(result.x, np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_leaves_of_a_dependent_direction_is_no_direction(dtype):
    half = RNG.normal(size=(N, N // 2))
    matrix = half @ half.T  # of rank 6: six directions say all that it can
    result = run_gcr(matrix, RIGHT, basis_dtype=dtype, rtol=1e-6 if dtype == "float32" else 1e-12)
    claimed = float(result.relative_residual)
    assert claimed > 0.1  # the right-hand side lies outside the range
    # the residual of a singular system: rounding times the size of x, some hundred
    assert true_residual(matrix, result.x, RIGHT) == pytest.approx(claimed, rel=1e-2)


def test_residuals_that_do_not_fall_still_give_new_directions():
    # A cyclic shift: the residual stays 1 until the last step, and stays the same vector.
    result = run_gcr(np.roll(np.eye(N), 1, axis=0), np.eye(N)[0])
    assert int(result.iterations) == N
    np.testing.assert_allclose(result.x, np.eye(N)[N - 1], rtol=0, atol=1e-12)


def test_images_stay_orthonormal_in_single_precision_where_much_cancels():
    # Without a preconditioner each image is nearly the last one: one pass of Gram-Schmidt leaves 3e-3.
    matrix = np.eye(N) + 1e-3 * RNG.normal(size=(N, N))
    images = np.asarray(run_gcr(matrix, RIGHT, rtol=0.0, max_iterations=6, basis_dtype="float32").space.images)
    assert np.max(np.abs(images @ images.T - np.eye(6))) < 1e-5


def test_combine_uses_the_first_rows_only():
    rows = np.arange(12.0).reshape(3, 4)
    total = combine(jnp.asarray(rows), jnp.asarray([1.0, -2.0, np.nan]), jnp.asarray(2), jnp.dtype(jnp.float64))
    np.testing.assert_array_equal(total, rows[0] - 2.0 * rows[1])
