"""Krylov solvers for matrix-free operators inside `jit`.

Both test the *true* (unpreconditioned) residual and never report convergence on NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Operator = Callable[[Array], Array]


class KrylovResult(NamedTuple):
    """`x`, number of operator applications, and the 2-norm of the residual relative to that of `b`."""

    x: Array
    iterations: Array
    relative_residual: Array


def _norm(a: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(a.astype(jnp.float64))))


def fgmres(
    operator: Operator,
    preconditioner: Operator,
    b: Array,
    *,
    rtol: Array | float,
    max_iterations: int,
    basis_dtype: jnp.dtype,
) -> KrylovResult:
    r"""Flexible GMRES without restart (Saad, SIAM J. Sci. Comput. 14 (1993) 461), from a zero start.

    Minimises $\|b - A Z y\|_2$ over the preconditioned directions $z_j = M v_j$. The directions are kept, not
    recomputed: with a float32 preconditioner the rounding of $z_j$, multiplied by conductances 1e6 times the
    reaction's, is visible to `operator` and would otherwise spoil the solution.

    **Arguments:** `operator` (float64), `preconditioner` (any linear map, may be float32 inside), `b` any shape,
    `rtol` on the residual norm relative to `b`, `basis_dtype` of the stored vectors (two per iteration).

    **Returns:** `KrylovResult`; `relative_residual` is the one of the small least-squares problem.
    """
    n, m = b.size, max_iterations
    beta = _norm(b)
    safe = jnp.where(beta > 0, beta, 1.0)
    directions = jnp.zeros((m, n), basis_dtype)
    basis = jnp.zeros((m + 1, n), basis_dtype).at[0].set((b.ravel() / safe).astype(basis_dtype))
    triangular = jnp.eye(m, dtype=jnp.float64)
    rotations = jnp.zeros((m, 2), jnp.float64)
    rhs = jnp.zeros(m + 1, jnp.float64).at[0].set(beta)

    def keep_going(carry):
        k, alive, residual = carry[0], carry[-2], carry[-1]
        return (k < m) & alive & (residual > rtol * beta) & jnp.isfinite(residual)

    def iterate(carry):
        k, basis, directions, triangular, rotations, rhs, _, before = carry
        z = preconditioner(basis[k].reshape(b.shape).astype(b.dtype)).astype(basis_dtype)
        directions = directions.at[k].set(z.ravel())
        w = operator(z.astype(b.dtype)).ravel().astype(basis_dtype)

        def orthogonalise(i, state):
            w, column = state
            projection = jnp.vdot(basis[i], w, precision="highest")
            return w - projection * basis[i], column.at[i].set(projection.astype(jnp.float64))

        w, column = jax.lax.fori_loop(0, k + 1, orthogonalise, (w, jnp.zeros(m + 1, jnp.float64)))
        length = _norm(w)
        basis = basis.at[k + 1].set(w / jnp.where(length > 0, length, 1.0).astype(basis_dtype))

        def rotate(i, column):
            c, s = rotations[i, 0], rotations[i, 1]
            upper = c * column[i] + s * column[i + 1]
            lower = -s * column[i] + c * column[i + 1]
            return column.at[i].set(upper).at[i + 1].set(lower)

        column = jax.lax.fori_loop(0, k, rotate, column.at[k + 1].set(length))
        radius = jnp.hypot(column[k], column[k + 1])
        alive = radius > 0  # a direction that the operator maps to zero cannot reduce the residual: stop, and say so
        radius = jnp.where(alive, radius, 1.0)
        c, s = column[k] / radius, column[k + 1] / radius
        rotations = rotations.at[k].set(jnp.stack([c, s]))
        column = column.at[k].set(radius).at[k + 1].set(0.0)
        triangular = triangular.at[:, k].set(column[:m])
        rhs = rhs.at[k + 1].set(-s * rhs[k]).at[k].set(c * rhs[k])
        residual = jnp.where(alive, jnp.abs(rhs[k + 1]), before)
        return k + 1, basis, directions, triangular, rotations, rhs, alive, residual

    k, _, directions, triangular, _, rhs, _, residual = jax.lax.while_loop(
        keep_going, iterate, (jnp.asarray(0), basis, directions, triangular, rotations, rhs, jnp.asarray(True), beta)
    )
    used = jnp.arange(m) < k
    matrix = jnp.where(used[:, None] & used[None, :], triangular, jnp.eye(m, dtype=jnp.float64))
    y = jax.scipy.linalg.solve_triangular(matrix, jnp.where(used, rhs[:m], 0.0))
    x = combine(directions, y, k, b.dtype).reshape(b.shape)
    return KrylovResult(x, k, residual / safe)


def combine(rows: Float[Array, "m n"], weights: Float[Array, " m"], count: Array, dtype: jnp.dtype) -> Array:
    """`sum_{i < count} weights[i] rows[i]`, accumulated in `dtype`."""

    def add(i, total):
        return total + weights[i].astype(dtype) * rows[i].astype(dtype)

    return jax.lax.fori_loop(0, count, add, jnp.zeros(rows.shape[1], dtype))


def conjugate_gradients(
    operator: Operator, preconditioner: Operator, b: Array, *, rtol: float, max_iterations: int
) -> KrylovResult:
    """Flexible preconditioned CG (Polak-Ribiere form) for symmetric positive definite operators, from zero."""
    beta = _norm(b)

    def keep_going(carry):
        k, residual = carry[0], carry[-1]
        return (k < max_iterations) & (residual > rtol * beta) & jnp.isfinite(residual)

    def iterate(carry):
        k, x, r, p, rz, _ = carry
        ap = operator(p)
        alpha = rz / jnp.sum(p * ap)
        x = x + alpha * p
        r_new = r - alpha * ap
        z = preconditioner(r_new)
        rz_new = jnp.sum(r_new * z)
        p = z + (rz_new - jnp.sum(r * z)) / rz * p
        return k + 1, x, r_new, p, rz_new, _norm(r_new)

    z = preconditioner(b)
    start = (jnp.asarray(0), jnp.zeros_like(b), b, z, jnp.sum(b * z), beta)
    k, x, _, _, _, residual = jax.lax.while_loop(keep_going, iterate, start)
    return KrylovResult(x, k, residual / jnp.where(beta > 0, beta, 1.0))
