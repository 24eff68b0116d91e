"""Krylov solvers against dense linear algebra, and what they report when they cannot solve."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.numerics.krylov import combine, conjugate_gradients, fgmres

N = 12
RNG = np.random.default_rng(7)
# Eigenvalues around 4 with a spread of about 2: well conditioned, clearly nonsymmetric.
NONSYMMETRIC = 4.0 * np.eye(N) + RNG.normal(size=(N, N)) / np.sqrt(N)
_ROOT = RNG.normal(size=(N, N))
SPD = _ROOT @ _ROOT.T + N * np.eye(N)
RIGHT = RNG.normal(size=N)


@partial(jax.jit, static_argnames=("max_iterations", "basis_dtype"))
def _fgmres(matrix, m, b, rtol, max_iterations, basis_dtype):
    return fgmres(
        lambda v: (matrix @ v.ravel()).reshape(v.shape),
        lambda v: (m @ v.ravel()).reshape(v.shape),
        b,
        rtol=rtol,
        max_iterations=max_iterations,
        basis_dtype=jnp.dtype(basis_dtype),
    )


@partial(jax.jit, static_argnames="max_iterations")
def _cg(matrix, m, b, rtol, max_iterations):
    return conjugate_gradients(lambda v: matrix @ v, lambda v: m @ v, b, rtol=rtol, max_iterations=max_iterations)


def run_fgmres(matrix, b, *, preconditioner=None, rtol=1e-12, max_iterations=N, basis_dtype="float64"):
    m = np.eye(N) if preconditioner is None else preconditioner
    return _fgmres(matrix, m, b, rtol, max_iterations, basis_dtype)


def run_cg(matrix, b, *, preconditioner=None, rtol=1e-12, max_iterations=4 * N):
    m = np.eye(N) if preconditioner is None else preconditioner
    return _cg(matrix, m, b, rtol, max_iterations)


def true_residual(matrix, x, b):
    return np.linalg.norm(b - matrix @ np.asarray(x)) / np.linalg.norm(b)


@pytest.mark.parametrize("preconditioner", [None, np.linalg.inv(NONSYMMETRIC + 0.3 * RNG.normal(size=(N, N)))])
def test_fgmres_solves_a_nonsymmetric_system(preconditioner):
    result = run_fgmres(NONSYMMETRIC, RIGHT, preconditioner=preconditioner)
    # rtol 1e-12 times the condition number, about 3
    np.testing.assert_allclose(result.x, np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)
    assert int(result.iterations) <= N  # exact arithmetic ends after N steps at the latest
    assert float(result.relative_residual) <= 1e-12


@pytest.mark.parametrize("preconditioner", [None, np.diag(1.0 / np.diagonal(SPD))])
def test_conjugate_gradients_solves_a_symmetric_positive_definite_system(preconditioner):
    result = run_cg(SPD, RIGHT, preconditioner=preconditioner)
    # rtol 1e-12 times the condition number, about 5, relative to |x| of about 0.2
    np.testing.assert_allclose(result.x, np.linalg.solve(SPD, RIGHT), rtol=0, atol=1e-12)
    assert float(result.relative_residual) <= 1e-12


def test_fgmres_with_an_exact_preconditioner_needs_one_iteration():
    result = run_fgmres(NONSYMMETRIC, RIGHT, preconditioner=np.linalg.inv(NONSYMMETRIC), rtol=1e-10)
    assert int(result.iterations) == 1


def test_fgmres_keeps_the_shape_of_its_right_hand_side():
    x = run_fgmres(NONSYMMETRIC, RIGHT.reshape(3, 4)).x
    assert x.shape == (3, 4)
    np.testing.assert_allclose(x.ravel(), np.linalg.solve(NONSYMMETRIC, RIGHT), rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", [run_fgmres, run_cg])
def test_too_few_iterations_are_reported_with_the_true_residual(solver):
    matrix = NONSYMMETRIC if solver is run_fgmres else SPD
    result = solver(matrix, RIGHT, max_iterations=3)
    reported = float(result.relative_residual)
    assert int(result.iterations) == 3
    assert reported > 1e-4  # three of twelve directions cannot be enough
    # Both follow the residual by short recurrences; after three steps these differ from it by rounding only.
    assert reported == pytest.approx(true_residual(matrix, result.x, RIGHT), rel=1e-10)


def test_fgmres_residual_never_grows_with_the_number_of_iterations():
    # A loose tolerance stops the same program earlier.
    runs = [run_fgmres(NONSYMMETRIC, RIGHT, rtol=rtol) for rtol in (0.5, 0.1, 1e-2, 1e-4, 1e-8)]
    residuals = [float(run.relative_residual) for run in runs]
    counts = [int(run.iterations) for run in runs]
    assert residuals == sorted(residuals, reverse=True) and counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("solver", [run_fgmres, run_cg])
@pytest.mark.parametrize("where", ["operator", "preconditioner", "right-hand side"])
def test_nan_is_never_reported_as_converged(solver, where):
    matrix = (NONSYMMETRIC if solver is run_fgmres else SPD).copy()
    m, b = np.eye(N), RIGHT.copy()
    target = {"operator": matrix, "preconditioner": m, "right-hand side": b}[where]
    target[(2,) * target.ndim] = np.nan
    result = solver(matrix, b, preconditioner=m)
    assert not float(result.relative_residual) <= 1e-12


@pytest.mark.parametrize("solver", [run_fgmres, run_cg])
def test_zero_right_hand_side_gives_zero_without_iterating(solver):
    result = solver(SPD, np.zeros(N))
    assert int(result.iterations) == 0
    assert np.all(np.asarray(result.x) == 0.0) and float(result.relative_residual) == 0.0


def test_conjugate_gradients_does_not_claim_an_indefinite_system_it_cannot_solve():
    # p^T A p = 0 in the first step: alpha is infinite.
    matrix = np.diag(np.array([1.0, -1.0] * (N // 2)))
    result = run_cg(matrix, np.ones(N))
    assert not float(result.relative_residual) <= 1e-12


def test_fgmres_does_not_claim_an_inconsistent_system():
    matrix = np.diag(np.r_[np.zeros(1), np.ones(N - 1)])
    result = run_fgmres(matrix, np.eye(N)[0])  # b lies outside the range of the matrix
    assert not float(result.relative_residual) < 0.999


def test_single_precision_basis_reaches_single_precision_and_says_so():
    result = run_fgmres(NONSYMMETRIC, RIGHT, rtol=1e-4, basis_dtype="float32")
    # float32 rounding of 12 stored vectors: the reported value is good to about 1e-6 of the right-hand side
    assert float(result.relative_residual) <= 1e-4
    assert true_residual(NONSYMMETRIC, result.x, RIGHT) <= 1e-4 + 3e-6


def test_combine_uses_the_first_rows_only():
    rows = np.arange(12.0).reshape(3, 4)
    total = combine(jnp.asarray(rows), jnp.asarray([1.0, -2.0, np.nan]), jnp.asarray(2), jnp.dtype(jnp.float64))
    np.testing.assert_array_equal(total, rows[0] - 2.0 * rows[1])
