"""Aggregation multigrid for `FaceOperator`: one cycle is a linear preconditioner.

Method: 2x2x2 aggregates with piecewise-constant transfer and rescaled coarse conductances (Braess, Computing 55
(1995) 379; the rescaling undoes the over-stiff Galerkin product), Chebyshev smoothing on the point-block-Jacobi
preconditioned operator (Adams, Brezina, Hu, Tuminaro, J. Comput. Phys. 188 (2003) 593), W-cycle below the finest
level, and a direct solve on the coarsest grid. The direct solve is in float64: there the constant mode of the solid
potential is held by the reaction alone, about 1e-6 of the diagonal.

Absent voxels (zero rows) stay zero: their inverse diagonal is zero and nothing is prolonged into them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.laplacian import Coarsening, FaceOperator, aggregate_cells, coarsen, spread_cells

#: Unknowns below which a grid is solved directly (a dense inverse of this size is a few MB and applies in < 1 ms).
DIRECT_UNKNOWNS = 600
#: Interval of the spectrum of D^-1 A that the smoother damps. The spectrum lies in [0, 2]; what lies below 0.3 is
#: left to the coarse grid, and the few values above 1.8 are still damped, only less.
SMOOTHING_INTERVAL = (0.3, 1.8)
#: Axes up to this many times longer than the shortest one count as strongly coupled.
STRONG = 1.5


class Level(eqx.Module):
    """One grid: operator, inverse of its point blocks, and the aggregate sizes that lead to the next grid."""

    operator: FaceOperator
    inverse: Float[Array, "b nz ny nx"]  # k = 1: 1/d.  k = 2 uncoupled: 1/d per field.  Coupled: (a, b, off) blocks
    present: Float[Array, "k nz ny nx"]
    coarsening: Coarsening = eqx.field(static=True)

    def solve_blocks(self, r: Array) -> Array:
        """`D^-1 r` with the point blocks D of the operator."""
        if self.operator.local is None:
            return self.inverse * r
        a, b, off = self.inverse[0], self.inverse[1], self.inverse[2]
        return jnp.stack([a * r[0] + off * r[1], off * r[0] + b * r[1]])


class Hierarchy(NamedTuple):
    """Levels from fine to coarse, and the explicit inverse of the coarsest operator (float64)."""

    levels: tuple[Level, ...]
    coarse_operator: FaceOperator
    coarse_inverse: Float[Array, "n n"]


Plan = tuple[Coarsening, ...]


def coarsening_plan(dz: Sequence[float], dy: float, dx: float, ny: int, nx: int, fields: int) -> Plan:
    """Aggregation of each level for layers of thickness `dz` [m] and voxels `dy`, `dx` [m], down to a direct solve.

    Only strongly coupled axes are coarsened: an axis waits while its voxels are more than 1.5 times longer than the
    shortest axis, and thick layers at the start of axis 0 stay single until the lateral voxels have caught up. Without
    that, lateral smoothing cannot see the weak coupling through a graded separator, and the coarse grid has lost it.
    """
    layers, sizes, counts = list(dz), [min(dz), dy, dx], [len(dz), ny, nx]
    plan = []
    while fields * counts[0] * counts[1] * counts[2] > DIRECT_UNKNOWNS:
        sizes[0] = min(layers)
        shortest = min(size for size, n in zip(sizes, counts, strict=True) if n > 1)
        factors = [2 if n > 1 and size <= STRONG * shortest else 1 for n, size in zip(counts, sizes, strict=True)]
        lateral = [size for size, n in zip(sizes[1:], counts[1:], strict=True) if n > 1]
        keep = 0
        if factors[0] == 2 and lateral:
            limit = STRONG * max(*lateral, sizes[0])
            keep = next((i for i, size in enumerate(layers) if size <= limit), 0)
        if factors[0] == 2:
            rest = layers[keep:]
            # An odd last layer is completed by an absent one: it counts as a pair, or it would hold up all axes.
            pairs = [rest[i] + rest[min(i + 1, len(rest) - 1)] for i in range(0, len(rest), 2)]
            layers = layers[:keep] + pairs
        for axis in (1, 2):
            if factors[axis] == 2:
                sizes[axis] *= 2
                counts[axis] = -(-counts[axis] // 2)
        counts[0] = len(layers)
        plan.append(Coarsening((factors[0], factors[1], factors[2]), keep))
    return tuple(plan)


def _block_inverse(op: FaceOperator) -> Array:
    own = op.own_diagonal()
    if op.local is None:
        return jnp.where(own > 0, 1.0 / jnp.where(own > 0, own, 1.0), 0.0)
    pair = op.local
    a, b = own[0] + pair, own[1] + pair
    # det = a b - pair^2, written without the cancellation
    det = own[0] * own[1] + pair * (own[0] + own[1])
    both = (det > 0) & (own[0] > 0) & (own[1] > 0)
    safe = jnp.where(both, det, 1.0)
    alone_a = jnp.where(a > 0, 1.0 / jnp.where(a > 0, a, 1.0), 0.0)
    alone_b = jnp.where(b > 0, 1.0 / jnp.where(b > 0, b, 1.0), 0.0)
    return jnp.stack(
        [
            jnp.where(both, b / safe, alone_a),
            jnp.where(both, a / safe, alone_b),
            jnp.where(both, pair / safe, 0.0),
        ]
    )


def _dense_inverse(op: FaceOperator) -> Array:
    n = op.mass.size
    columns = jax.vmap(lambda e: op.apply(e.reshape(op.mass.shape)).ravel())(jnp.eye(n, dtype=op.mass.dtype))
    matrix = 0.5 * (columns + columns.T)
    scale = jnp.diagonal(matrix)
    present = scale > 0
    # Symmetric scaling to a unit diagonal; absent unknowns get the identity and are masked out of the result.
    root = jnp.where(present, jnp.sqrt(jnp.where(present, scale, 1.0)), 1.0)
    scaled = matrix / (root[:, None] * root[None, :]) + jnp.diag(jnp.where(present, 0.0, 1.0))
    inverse = jnp.linalg.inv(scaled) / (root[:, None] * root[None, :])
    return jnp.where(present[:, None] & present[None, :], inverse, 0.0)


def build(op: FaceOperator, plan: Plan, dtype: jnp.dtype) -> Hierarchy:
    """Coarsen `op` (float64) as `plan` says; levels are stored and cycled in `dtype`, the last one solved directly."""
    levels = []
    for coarsening in plan:
        own = op.own_diagonal() + (0.0 if op.local is None else op.local[None])
        levels.append(
            Level(
                operator=op.astype(dtype),
                inverse=_block_inverse(op).astype(dtype),
                present=(own > 0).astype(dtype),
                coarsening=coarsening,
            )
        )
        op = coarsen(op, coarsening)
    return Hierarchy(tuple(levels), op, _dense_inverse(op))


def _smooth(level: Level, x: Array | None, b: Array) -> Array:
    """Two steps of Chebyshev semi-iteration for `A x = b` from `x` (None = zero)."""
    low, high = SMOOTHING_INTERVAL
    theta, delta = 0.5 * (high + low), 0.5 * (high - low)
    rho = delta / theta
    rho_next = 1.0 / (2.0 * theta / delta - rho)
    residual = b if x is None else b - level.operator.apply(x)
    d = level.solve_blocks(residual) / theta
    x = d if x is None else x + d
    residual = residual - level.operator.apply(d)
    return x + rho_next * rho * d + (2.0 * rho_next / delta) * level.solve_blocks(residual)


def cycle(hierarchy: Hierarchy, b: Float[Array, "k nz ny nx"]) -> Float[Array, "k nz ny nx"]:
    """One multigrid cycle for `A x = b` from zero: V on the finest grid, W below. Linear in `b`."""
    return _cycle(hierarchy, 0, b)


def _cycle(h: Hierarchy, index: int, b: Array) -> Array:
    if index == len(h.levels):
        return (h.coarse_inverse @ b.astype(h.coarse_inverse.dtype).ravel()).reshape(b.shape).astype(b.dtype)
    level = h.levels[index]
    x = _smooth(level, None, b)
    residual = aggregate_cells(b - level.operator.apply(x), level.coarsening)
    if index == 0 or index == len(h.levels) - 1:
        correction = _cycle(h, index + 1, residual)
    else:
        # Two visits (W-cycle) as a loop, so that the compiled program grows with the levels, not with 2^levels.
        coarse = h.levels[index + 1].operator

        def visit(_: int, c: Array) -> Array:
            return c + _cycle(h, index + 1, residual - coarse.apply(c))

        correction = jax.lax.fori_loop(0, 2, visit, jnp.zeros_like(residual))
    x = x + level.present * spread_cells(correction, level.coarsening, level.operator.shape)
    return _smooth(level, x, b)
