"""Krylov solvers for matrix-free operators inside `jit`.

Both test the unpreconditioned residual, as their recurrence carries it, and never report convergence on NaN or on a
direction of which orthogonalisation leaves rounding alone. An operator that makes rounding of a direction by itself (a
singular one of its null space) deceives the recurrence: callers form the residual of what they accept.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.compilation import settle

Operator = Callable[[Array], Array]


def _norm(a: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(jnp.abs(a).astype(jnp.float64))))


class Space(NamedTuple):
    """What has been tried with one operator A: directions `z` and their images, `A z = images^T triangular`.

    `directions`, `images` (m, n): the first `used` (a scalar) rows are in use, the images orthonormal or, after a
    breakdown, zero; `triangular` (m, m). With `used` = 0 the space is empty, whatever its rows hold: always finite.
    """

    directions: Float[Array, "m n"]
    images: Float[Array, "m n"]
    triangular: Float[Array, "m m"]
    used: Array

    @classmethod
    def empty(cls, rows: int, size: int, dtype: jnp.dtype) -> "Space":
        """Room for `rows` directions of `size` numbers."""
        # Two arrays of zeros, not one twice: they are overwritten in place.
        directions, images = jnp.zeros((rows, size), dtype), jnp.zeros((rows, size), dtype)
        return cls(directions, images, jnp.eye(rows, dtype=jnp.float64), jnp.zeros((), int))

    @property
    def rows(self) -> int:
        """Directions that there is room for."""
        return self.directions.shape[0]

    def emptied(self) -> "Space":
        """The same memory without its directions."""
        return self._replace(used=jnp.zeros((), int))


class GCRResult(NamedTuple):
    """`x`; operator applications; 2-norm of the residual relative to that of `b`; the space, grown."""

    x: Array
    iterations: Array
    relative_residual: Array
    space: Space


#: A vector that orthogonalisation shortens to less than this share of its length is orthogonalised again (Daniel,
#: Gragg, Kaufman, Stewart, Math. Comp. 30 (1976) 772).
CANCELLED = 0.5
#: A residual that falls by less than this makes a poor next direction: the last image takes its place.
PROGRESS = 0.9
#: One of so many directions may be a given one: most are to be new.
ROWS_PER_GIVEN = 4
#: A given direction of which the others leave less than this is left out: solutions of successive problems can be all
#: but parallel, and their small differences would enter with large weights, and with rounding multiplied by these.
ALIKE = 0.01


def gcr(
    operator: Operator,
    preconditioner: Operator,
    b: Array,
    space: Space,
    *,
    rtol: Array | float,
    first: Array | None = None,
) -> GCRResult:
    r"""Generalised conjugate residuals (Eisenstat, Elman, Schultz, SIAM J. Numer. Anal. 20 (1983) 345) on a kept space.

    Minimises $\|b - A x\|_2$ over the directions $z = M r$ of the preconditioned residuals, like flexible GMRES, and
    over those that `space` brings along from earlier right-hand sides with the same A. Ends when the space is full.
    Where the residual stagnates the last image serves as the next direction, which GMRES would take (Jiranek and
    Rozloznik, Numer. Algorithms 53 (2010) 93).

    The directions are kept as they were tried, not combined: with a float32 preconditioner the rounding of a direction,
    multiplied by conductances 1e6 times the reaction's, is visible to `operator`, and a combination rounded again would
    no longer belong to its image.

    **Arguments:** `operator` and `preconditioner` on arrays of the shape of `b` and the dtype of the space; `rtol` on
    the residual norm relative to `b`; `first` (k, n): directions that an empty space begins with, in place of
    preconditioned residuals: solutions of problems alike, and what earlier spaces left of them. They cost no
    preconditioner, and slow parts of the error are not looked for again after each restart (Baker, Jessup,
    Manteuffel, SIAM J. Matrix Anal. Appl. 26 (2005) 962). Finite; zeros, or without anything new, they are harmless.
    At most a quarter of the space is filled with them.
    """
    dtype, rows = space.directions.dtype, space.rows
    scale = _norm(b)
    residual = (b.ravel() / jnp.where(scale > 0, scale, 1.0)).astype(dtype)
    weights = _dot(space.images, residual, space.used)
    residual = residual - _combination(weights, space.images)
    first = None if first is None or rows < ROWS_PER_GIVEN else first[: rows // ROWS_PER_GIVEN].astype(dtype)
    given = jnp.where(space.used == 0, 0 if first is None else len(first), 0)

    def keep_going(carry):
        space, _, _, length, _, alive = carry
        return (space.used < rows) & alive & (length > rtol) & jnp.isfinite(length)

    def iterate(carry):
        (directions, images, triangular, k), weights, residual, before, progress, _ = carry
        source = jnp.where(progress | (k == 0), residual, images[k - 1])

        def new():
            return settle(preconditioner(source.reshape(b.shape)).astype(dtype)).ravel()

        def earlier():
            assert first is not None
            return first[jnp.minimum(k, len(first) - 1)]

        known = k < given
        z = new() if first is None else jax.lax.cond(known, earlier, new)
        w, column, length, whole = _orthogonalised(operator(z.reshape(b.shape)).ravel().astype(dtype), images, k)
        # What the images cancel but for rounding is no new direction: stop, and say so, unless it was given. Nothing of
        # it, and no NaN, is kept for later right-hand sides.
        least = jnp.where(known, ALIKE, 100.0 * float(jnp.finfo(dtype).eps))
        alive = jnp.isfinite(length) & (length > least * whole)
        w = jnp.where(alive, w / jnp.where(alive, length, 1.0).astype(dtype), 0.0)
        weight = jnp.vdot(w, residual, precision="highest")
        residual = residual - weight * w
        after = _norm(residual)
        space = Space(
            directions.at[k].set(jnp.where(alive, z, 0.0)),
            images.at[k].set(w),
            triangular.at[:, k].set(jnp.where(alive, column, 0.0)).at[k, k].set(jnp.where(alive, length, 1.0)),
            k + 1,
        )
        after = jnp.where(jnp.isfinite(length), after, jnp.nan)
        return space, weights.at[k].set(weight), residual, after, known | (after < PROGRESS * before), known | alive

    start = (space, weights, residual, _norm(residual), jnp.asarray(True), jnp.asarray(True))
    found, weights, _, length, _, _ = jax.lax.while_loop(keep_going, iterate, start)
    used = jnp.arange(rows) < found.used
    matrix = jnp.where(used[:, None] & used[None, :], found.triangular, jnp.eye(rows))
    y = jax.scipy.linalg.solve_triangular(matrix, weights.astype(jnp.float64))
    x = combine(found.directions, scale * y, found.used, b.dtype).reshape(b.shape)
    return GCRResult(x, found.used - space.used, length, found)


def _orthogonalised(w: Array, images: Array, count: Array) -> tuple[Array, Array, Array, Array]:
    """`w` without its parts along the images, those parts (m,), the length of what is left, and that of `w`.

    Classical Gram-Schmidt, all images at once, repeated where much was cancelled.
    """

    def again(carry):
        _, _, length, before, _, passes = carry
        return (passes == 0) | ((length < CANCELLED * before) & (passes < 3))

    def one_pass(carry):
        w, column, _, _, whole, passes = carry
        parts = _dot(images, w, count)
        w = settle(w - _combination(parts, images))
        length, parts = _norm(w), parts.astype(jnp.float64)
        before = jnp.sqrt(length**2 + jnp.sum(parts**2))
        return w, column + parts, length, before, jnp.where(passes == 0, before, whole), passes + 1

    zero = jnp.zeros(())
    start = (w, jnp.zeros(images.shape[0]), zero, zero, zero, jnp.asarray(0))
    w, column, length, _, whole, _ = jax.lax.while_loop(again, one_pass, start)
    return w, column, length, whole


def _dot(rows: Array, v: Array, count: Array) -> Array:
    """Products (m,) of `v` with the first `count` rows; one sweep over all rows is faster than `count` sweeps."""
    return jnp.where(jnp.arange(rows.shape[0]) < count, jnp.matmul(rows, v, precision="highest"), 0.0)


def _combination(weights: Array, rows: Array) -> Array:
    return jnp.matmul(weights, rows, precision="highest")


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
