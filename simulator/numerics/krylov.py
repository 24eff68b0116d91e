"""Krylov solvers for matrix-free operators inside `jit`.

Both test the unpreconditioned residual, as their recurrence carries it, and never report convergence on NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.compilation import settle

Operator = Callable[[Array], Array]


class KrylovResult(NamedTuple):
    """`x`, number of operator applications, and the 2-norm of the residual relative to that of `b`."""

    x: Array
    iterations: Array
    relative_residual: Array


def _norm(a: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(jnp.abs(a).astype(jnp.float64))))


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
        w = operator(z).ravel()

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


class CGResult(NamedTuple):
    """`x`; iterations; 2-norm of the recursive residual relative to that of `b`; `energy_drop`: by how much the
    iterations lowered the energy x.Ax - 2 b.x; `energy_error`: estimate of how much further it would fall (infinite
    before there is one)."""

    x: Array
    iterations: Array
    relative_residual: Array
    energy_drop: Array
    energy_error: Array


class _Iterate(NamedTuple):
    """State of conjugate gradients: `ap` = A p, `deltas` the last three energy steps, `alive` until a breakdown."""

    k: Array
    x: Array
    r: Array
    p: Array
    ap: Array
    step: Array
    rz: Array
    residual: Array
    drop: Array
    deltas: Array
    alive: Array


#: The series underestimates where slow modes show late; by 1.5 at most on the structures of the benchmarks.
CAUTION = 2.0
#: Share of its predecessor that the next energy step is assumed to be at most; a slower method is not extrapolated.
SLOWEST = 0.9


def conjugate_gradients(
    operator: Operator,
    preconditioner: Operator,
    b: Array,
    *,
    rtol: Array | float,
    max_iterations: Array | int,
    start: Array | None = None,
    good_enough: Callable[[Array, Array, Array], Array] | None = None,
) -> CGResult:
    r"""Flexible preconditioned CG (Polak-Ribiere form) for symmetric positive definite operators.

    Complex symmetric operators are admitted: the products are not conjugated (van der Vorst and Melissen, IEEE Trans.
    Magn. 26 (1990) 706). Vectors are kept in the precision of `b`, directions in that of the preconditioner's result.

    Iteration $k$ lowers the energy by $\delta_k=\alpha_k\,r\cdot z$ (Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49
    (1952) 409), so that the energy above the minimum is the sum of the $\delta$ to come. It is taken as twice a
    geometric series with the larger of the last two ratios.

    **Arguments:** `start`: first guess (None: zero); `rtol` on the residual relative to `b`;
    `good_enough(drop, error, residual)`: with the energy drop so far and the estimate of what is missing, whether to
    end before `rtol` is reached. NaN or a breakdown end the iterations without a small residual.
    """
    scale = _norm(b)
    wide = jnp.promote_types(b.dtype, jnp.float64)
    real = jnp.finfo(wide).dtype

    def dot(a: Array, c: Array) -> Array:
        return jnp.sum(a.astype(wide) * c.astype(wide))

    def keep_going(s: _Iterate) -> Array:
        enough = jnp.asarray(False if good_enough is None else good_enough(s.drop, _to_come(s.deltas), s.r))
        return (s.k < max_iterations) & (s.residual > rtol * scale) & s.alive & ~enough

    def iterate(s: _Iterate) -> _Iterate:
        z = preconditioner(s.r)
        # <r - r_old, z> = -step <Ap, z>: no second residual is kept. In the first iteration p = 0.
        beta = -s.step * dot(s.ap, z) / jnp.where(s.rz != 0, s.rz, 1)
        p = settle(z + beta.astype(z.dtype) * s.p)
        rz = dot(s.r, z)
        ap = settle(operator(p.astype(b.dtype)))
        curvature = dot(p, ap)
        alive = jnp.isfinite(jnp.abs(rz)) & (rz != 0) & (curvature != 0) & jnp.isfinite(jnp.abs(curvature))
        step = jnp.where(alive, rz / jnp.where(curvature != 0, curvature, 1), 0)
        x = s.x + (step * p).astype(b.dtype)
        r = settle(s.r - (step * ap).astype(b.dtype))
        delta = jnp.real(step * rz)
        deltas = jnp.stack([delta, s.deltas[0], s.deltas[1]])
        return _Iterate(s.k + 1, x, r, p, ap, step, rz, _norm(r), s.drop + delta, deltas, alive)

    r = b if start is None else settle(b - operator(start))
    zero = jnp.zeros((), wide)
    first = _Iterate(
        k=jnp.asarray(0),
        x=jnp.zeros_like(b) if start is None else start,
        r=r,
        p=jnp.zeros(b.shape, jax.eval_shape(preconditioner, b).dtype),
        ap=jnp.zeros_like(b),
        step=zero,
        rz=zero,
        residual=_norm(r),
        drop=jnp.zeros((), real),
        deltas=jnp.full(3, jnp.inf, real),
        alive=jnp.isfinite(_norm(r)),
    )
    s = jax.lax.while_loop(keep_going, iterate, first)
    return CGResult(s.x, s.k, s.residual / jnp.where(scale > 0, scale, 1.0), s.drop, _to_come(s.deltas))


def _to_come(deltas: Float[Array, "3"]) -> Array:
    """Sum of the energy steps to come, from the last three (latest first; infinite where there was none)."""
    last, before, earlier = jnp.abs(deltas)
    ratio = jnp.maximum(last / before, jnp.where(jnp.isfinite(earlier), before / earlier, 0.0))
    usable = jnp.isfinite(before) & (ratio <= SLOWEST)
    return jnp.where(usable, CAUTION * last * ratio / (1.0 - jnp.where(usable, ratio, 0.0)), jnp.inf)
