"""Aggregation multigrid for `FaceOperator`: one cycle is a preconditioner, linear unless it is accelerated.

Method: 2x2x2 aggregates with piecewise-constant transfer and rescaled coarse conductances (Braess, Computing 55
(1995) 379; the rescaling undoes the over-stiff Galerkin product), each block split in two where its cells do not hang
together (see `coarsening`), Chebyshev smoothing on the point-block-Jacobi preconditioned operator (Adams, Brezina, Hu,
Tuminaro, J. Comput. Phys. 188 (2003) 593), more than one visit to the coarser grids (W- or K-cycle), and a direct solve
on the coarsest one. The direct solve is in float64: there the constant mode of the solid potential is held by the
reaction alone, about 1e-6 of the diagonal.

Absent voxels (zero rows) stay zero: their inverse diagonal is zero and nothing is prolonged into them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from simulator.numerics.coarsening import Coarsening, Parts, coarsen, prolong, restrict, separate, split_blocks
from simulator.numerics.compilation import compiled, settle
from simulator.numerics.laplacian import FaceOperator

#: Unknowns below which a grid is solved directly (a dense inverse of this size is a few MB and applies in < 1 ms).
DIRECT_UNKNOWNS = 600
#: The same where the coarsest grid is visited often: with two parts a block it has up to twice as many unknowns, and
#: its dense inverse would be the slowest part of the cycle.
FEW_DIRECT_UNKNOWNS = 150
#: Interval of the spectrum of D^-1 A that the smoother damps. The spectrum lies in [0, 2]; what lies below 0.3 is
#: left to the coarse grid, and the few values above 1.8 are still damped, only less.
SMOOTHING_INTERVAL = (0.3, 1.8)
#: Axes up to this many times longer than the shortest one count as strongly coupled.
STRONG = 1.5


class Level(eqx.Module):
    """One grid: operator, inverse of its point blocks, and the aggregate sizes that lead to the next grid."""

    operator: FaceOperator
    inverse: Float[Array, "b nz ny nx"]  # k = 1: 1/d.  k = 2 uncoupled: 1/d per field.  Coupled: (a, b, off) blocks
    present: Bool[Array, "k nz ny nx"]
    parts: Parts | None
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
    coarse_inverse: Float[Array, "n n"]


Plan = tuple[Coarsening, ...]
#: Cycles on grid 1, 2, ... per cycle on the grid above; the last number holds for all coarser grids.
Visits = tuple[int, ...]
#: For the coupled step: linear, and cheap on the large grids.
COUPLED_VISITS: Visits = (1, 2)


def coarsening_plan(
    dz: Sequence[float], dy: float, dx: float, ny: int, nx: int, fields: int, direct: int = DIRECT_UNKNOWNS
) -> Plan:
    """Aggregation of each level for layers of thickness `dz` [m] and voxels `dy`, `dx` [m], down to a direct solve.

    Only strongly coupled axes are coarsened: an axis waits while its voxels are more than 1.5 times longer than the
    shortest axis, and thick layers at the start of axis 0 stay single until the lateral voxels have caught up. Without
    that, lateral smoothing cannot see the weak coupling through a graded separator, and the coarse grid has lost it.
    """
    layers, sizes, counts = list(dz), [min(dz), dy, dx], [len(dz), ny, nx]
    plan = []
    while fields * counts[0] * counts[1] * counts[2] > direct:
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


def _present(op: FaceOperator, own: Array) -> Array:
    return own != 0 if op.local is None else (own != 0) | (op.local[None] != 0)


def _block_inverse(op: FaceOperator, own: Array) -> Array:
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
    op = op.astype(jnp.promote_types(op.mass.dtype, jnp.float64))
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


def build(
    op: FaceOperator, plan: Plan, dtype: jnp.dtype, split_from: int | None = None, apart: Parts | None = None
) -> Hierarchy:
    """Coarsen `op` as `plan` says; levels are stored and cycled in `dtype`, the last one solved directly.

    `split_from`: from this level on, blocks whose cells do not hang together get two values (`split_blocks`); the
    fields of the coarser grids are then the two parts of a block, whatever the fields of `op` are. None for two fields
    that must stay apart (potentials). `apart`: for an `op` of one field, a group of cells that no face joins to the
    others; from the second grid on they are a field of their own, and blocks are not split.
    """
    if split_from is not None and apart is not None:
        raise ValueError("Give split_from or apart: the coarser grids have two fields, for one of them.")
    levels: list[Level] = []
    for coarsening in plan:
        own = settle(op.own_diagonal())
        split = split_from is not None and len(levels) >= split_from
        parts = settle(split_blocks(op, coarsening)) if split else None
        coarse = op
        if apart is not None and not levels:
            parts, coarse = apart, separate(op, apart)
        levels.append(
            Level(
                operator=op.astype(dtype),
                inverse=_block_inverse(op, own).astype(dtype),
                present=_present(op, own),
                parts=parts,
                coarsening=coarsening,
            )
        )
        op = settle(coarsen(coarse, coarsening, parts if split else None))
    return Hierarchy(tuple(levels), _dense_inverse(op))


#: Share of the cells in second parts from which on splitting the finest blocks pays: it doubles the work on the next
#: grid. Packed spheres have 0.04 %, films and necks of binder 0.3 to 1 %, two phases at a contrast of 1000 10 %.
WORTH_SPLITTING = 1e-3
#: Layers of the finest grid that are looked at to decide.
_SAMPLED_LAYERS = 32


def first_split(op: FaceOperator, plan: Plan) -> int:
    """The level from which to split blocks: 0 where it pays on the finest grid already, else 1. Looks at the values."""
    if not plan:
        return 1
    half = _SAMPLED_LAYERS // 2
    middle = max(op.shape[0] // 2, half)
    layers = slice(middle - half, middle + half)
    faces = op.faces[0][:, layers.start : layers.stop + 1], op.faces[1][:, layers], op.faces[2][:, layers]
    share = _second_share(FaceOperator(faces=faces, mass=op.mass[:, layers], periodic=op.periodic), plan[0])
    return 0 if float(share) > WORTH_SPLITTING else 1


def conduction_visits(split_from: int) -> Visits:
    """More for films and necks (split on the finest grid), whose long detours only the coarser grids see."""
    return (3, 3, 2) if split_from == 0 else (2, 2)


@compiled
def _second_share(op: FaceOperator, coarsening: Coarsening) -> Array:
    present = jnp.sum(op.own_diagonal() > 0)
    return jnp.sum(split_blocks(op, coarsening)) / jnp.maximum(present, 1)


def _smooth(level: Level, x: Array | None, b: Array) -> Array:
    """Two steps of Chebyshev semi-iteration for `A x = b` from `x` (None = zero)."""
    low, high = SMOOTHING_INTERVAL
    theta, delta = 0.5 * (high + low), 0.5 * (high - low)
    rho = delta / theta
    rho_next = 1.0 / (2.0 * theta / delta - rho)
    residual = b if x is None else settle(b - level.operator.apply(x))
    d = settle(level.solve_blocks(residual) / theta)
    x = d if x is None else x + d
    residual = settle(residual - level.operator.apply(d))
    return settle(x + rho_next * rho * d + (2.0 * rho_next / delta) * level.solve_blocks(residual))


def cycle(
    h: Hierarchy, b: Float[Array, "k nz ny nx"], visits: Visits = COUPLED_VISITS, accelerate: bool = False
) -> Float[Array, "k nz ny nx"]:
    """One multigrid cycle for `A x = b` from zero.

    `visits`: cycles on each coarser grid per cycle on the grid above. They are added up (W-cycle; the whole is then
    linear in `b`) or, with `accelerate`, joined by conjugate gradients (K-cycle of Notay and Vassilevski, Numer. Linear
    Algebra Appl. 15 (2008) 473: a fourth more work, and far fewer iterations on thin tortuous phases).
    """
    return _cycle(h, 0, b, _Shape(visits, accelerate))


class _Shape(NamedTuple):
    visits: Visits
    accelerate: bool


def _cycle(h: Hierarchy, index: int, b: Array, shape: _Shape) -> Array:
    if index == len(h.levels):
        return (h.coarse_inverse @ b.astype(h.coarse_inverse.dtype).ravel()).reshape(b.shape).astype(b.dtype)
    level = h.levels[index]
    x = _smooth(level, None, b)
    residual = settle(restrict(settle(b - level.operator.apply(x)), level.coarsening, level.parts))
    correction = _visit(h, index + 1, residual, shape)
    fine = prolong(correction, level.coarsening, level.parts, level.operator.shape)
    return _smooth(level, settle(x + jnp.where(level.present, fine, 0)), b)


def _visit(h: Hierarchy, index: int, b: Array, shape: _Shape) -> Array:
    """Solve on grid `index` by as many cycles as `shape` says."""
    count = shape.visits[min(index, len(shape.visits)) - 1]
    if index == len(h.levels) or count == 1:
        return _cycle(h, index, b, shape)
    operator, zero = h.levels[index].operator, jnp.zeros_like(b)

    def add(_: int, x: Array) -> Array:
        return x + _cycle(h, index, settle(b - operator.apply(x)), shape)

    def join(_: int, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        x, r, p, ap, pap = carry
        z = _cycle(h, index, r, shape)
        p = settle(z - _ratio(jnp.sum(ap * z), pap) * p)
        ap = settle(operator.apply(p))
        pap = jnp.sum(p * ap)
        length = _ratio(jnp.sum(p * r), pap)
        return x + length * p, settle(r - length * ap), p, ap, pap

    # Loops, so that the compiled program grows with the levels, not with the visits.
    if not shape.accelerate:
        return jax.lax.fori_loop(0, count, add, zero)
    return jax.lax.fori_loop(0, count, join, (zero, b, zero, zero, jnp.zeros((), b.dtype)))[0]


def _ratio(a: Array, b: Array) -> Array:
    """`a / b`, and 0 where there is nothing left to do."""
    return jnp.where(b != 0, a / jnp.where(b != 0, b, 1), 0)
