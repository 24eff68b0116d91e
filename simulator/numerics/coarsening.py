r"""From one grid to the next: aggregates, transfer between the grids, and the coarse operator.

An aggregate is a block of up to 2x2x2 cells, or one of two *parts* of such a block: the cells of a block that hang
together strongly, and the rest. A thin film or a narrow neck runs through many blocks in pieces that do not touch
inside the block; one value for both pieces would short-circuit them on every coarser grid. With two values a block,
field 0 and 1 of the same `FaceOperator`, they stay apart: about half the iterations on thin phases and at high contrast
(docs/performance.md).
"""

from functools import reduce
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from simulator.numerics.compilation import settle
from simulator.numerics.laplacian import FaceOperator
from simulator.numerics.stencil import AXES, beside, spatial, take

#: A bond this much weaker than the strongest one of either of its cells does not hold two cells together.
STRONG_BOND = 0.1
#: Passes that spread the labels through a block; each goes along all three directions.
LABEL_PASSES = 3

Parts = Bool[Array, "k nz ny nx"]  # False: the cell belongs to part 0 of its block, True: to part 1


class Coarsening(NamedTuple):
    """How one grid is aggregated; static. `factors`: 1 or 2 voxels per axis; the first `keep` layers of axis 0 stay
    single even if its factor is 2 (thick separator layers, whose lateral coupling dominates)."""

    factors: tuple[int, int, int]
    keep: int = 0

    def kept(self, axis: int) -> int:
        """Leading cells of `axis` that stay single."""
        return self.keep if axis == 0 else 0


# -- transfer -----------------------------------------------------------------------------------------------------


def restrict(r: Array, c: Coarsening, parts: Parts | None) -> Array:
    """Sum of a field (k, nz, ny, nx) over the aggregates; with `parts`, field p of the result is part p."""
    if parts is None:
        return aggregate_cells(r, c)
    second = aggregate_cells(jnp.sum(jnp.where(parts, r, 0), axis=0, keepdims=True), c)
    both = aggregate_cells(jnp.sum(r, axis=0, keepdims=True), c)
    return jnp.concatenate([both - second, second])


def prolong(e: Array, c: Coarsening, parts: Parts | None, shape: tuple[int, int, int]) -> Array:
    """The value of each aggregate in all its cells, on a grid of `shape` cells; the transpose of `restrict`."""
    spread = spread_cells(e, c, shape)
    return spread if parts is None else jnp.where(parts, spread[1:], spread[:1])


def _strided(a: Array, axis: int, start: int) -> Array:
    """Every second entry of `a` along grid axis `axis`, from `start`."""
    index: list[slice] = [slice(None)] * a.ndim
    index[spatial(axis)] = slice(start, None, 2)
    return a[tuple(index)]


def _sum_pairs(a: Array, axis: int, keep: int = 0) -> Array:
    """Sum entries in pairs along `axis` after the first `keep`, which stay single; so does an odd last one."""
    n = a.shape[spatial(axis)]
    end = n - (n - keep) % 2
    paired = take(a, axis, keep, end)
    parts = [_strided(paired, axis, 0) + _strided(paired, axis, 1)]
    if keep:
        parts.insert(0, take(a, axis, 0, keep))
    if end < n:
        parts.append(take(a, axis, end, n))
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=spatial(axis))


def aggregate_cells(a: Array, c: Coarsening) -> Array:
    """Sum of a cell field over the blocks."""
    for axis in AXES:
        if c.factors[axis] == 2:
            a = _sum_pairs(a, axis, c.kept(axis))
    return a


def spread_cells(a: Array, c: Coarsening, shape: tuple[int, int, int]) -> Array:
    """The value of each block in all its cells; the transpose of `aggregate_cells`."""
    for axis in (2, 1, 0):  # the last axis first, while there is little to interleave
        if c.factors[axis] == 1:
            continue
        keep = c.kept(axis)
        paired = jnp.repeat(take(a, axis, keep, None), 2, axis=spatial(axis))
        if keep + paired.shape[spatial(axis)] != shape[axis]:
            paired = take(paired, axis, 0, shape[axis] - keep)
        a = jnp.concatenate([take(a, axis, 0, keep), paired], axis=spatial(axis)) if keep else paired
    return a


# -- coarse operator ----------------------------------------------------------------------------------------------


def coarsen(op: FaceOperator, c: Coarsening, parts: Parts | None = None) -> FaceOperator:
    """Galerkin operator of piecewise-constant aggregates, with face conductances reduced along coarsened axes.

    The plain Galerkin sum is twice too stiff for smooth fields, because the aggregate centres are two voxels apart;
    reaction (cross, local) and storage (mass) act on values, not gradients, and are summed unscaled. With `parts`, the
    two fields of the coarse grid are the parts, and what couples them across a face is conduction like any other.
    """
    return _by_blocks(op, c) if parts is None else _by_parts(op, c, parts)


def _split_faces(a: Array, axis: int, c: Coarsening) -> tuple[Array, Array | None]:
    """Face array of `axis` -> (sums over coarse faces, sums of the faces inside each block or None)."""
    for other in AXES:
        if other != axis and c.factors[other] == 2:
            a = _sum_pairs(a, other, c.kept(other))
    if c.factors[axis] == 1:
        return a, None
    keep = c.kept(axis)
    if (a.shape[spatial(axis)] - keep) % 2 == 0:  # odd number of cells: an absent cell completes the last block
        # The outer face goes behind the absent cell; what lay there becomes a face inside.
        a = jnp.concatenate(
            [take(a, axis, 0, -1), jnp.zeros_like(take(a, axis, 0, 1)), take(a, axis, -1, None)], axis=spatial(axis)
        )
    rest = take(a, axis, keep, None)
    between, inside = _strided(rest, axis, 0), _strided(rest, axis, 1)
    if keep:
        single = take(a, axis, 0, keep)
        between = jnp.concatenate([single, between], axis=spatial(axis))
        inside = jnp.concatenate([jnp.zeros_like(single), inside], axis=spatial(axis))
    return between, inside


def _gradient_scale(axis: int, c: Coarsening, count: int, dtype: jnp.dtype) -> Array | float:
    """Factor on coarse face conductances: one half between pairs, 3/4 between a single layer and a pair, else 1."""
    if c.factors[axis] == 1:
        return 1.0
    keep = c.kept(axis)
    if keep == 0:
        return 0.5
    scale = [1.0] * keep + [0.75] + [0.5] * (count - keep - 1)
    return jnp.asarray(scale, dtype).reshape(1, count, 1, 1)


def _by_blocks(op: FaceOperator, c: Coarsening) -> FaceOperator:
    faces, cross = [], []
    local = None if op.local is None else aggregate_cells(op.local, c)
    for axis in AXES:
        k, _ = _split_faces(op.faces[axis], axis, c)
        faces.append(_gradient_scale(axis, c, k.shape[spatial(axis)], k.dtype) * k)
        if op.cross is not None:
            between, inside = _split_faces(op.cross[axis], axis, c)
            cross.append(between)
            if inside is not None:
                assert local is not None
                local = local + inside[0] + inside[1]
    plane = op.plane
    if plane is not None:
        plane = aggregate_cells(plane[None], Coarsening((1, *c.factors[1:])))[0]
        plane = 0.5 * plane if c.factors[0] == 2 else plane
    return FaceOperator(
        faces=(faces[0], faces[1], faces[2]),
        mass=aggregate_cells(op.mass, c),
        cross=(cross[0], cross[1], cross[2]) if op.cross is not None else None,
        local=local,
        plane=plane,
        plane_floats=op.plane_floats,
        periodic=op.periodic,
    )


def _bonds(op: FaceOperator, axis: int) -> list[tuple[int, int, Array]]:
    """(field of the low cell, field of the high cell, conductance) of all couplings across the faces of `axis`."""
    k = op.faces[axis]
    bonds = [(f, f, k[f]) for f in range(k.shape[0])]
    if op.cross is not None:
        bonds += [(0, 1, op.cross[axis][0]), (1, 0, op.cross[axis][1])]
    return bonds


def _by_parts(op: FaceOperator, c: Coarsening, parts: Parts) -> FaceOperator:
    faces, cross = [], []
    local = jnp.zeros_like(op.mass[0])
    if op.local is not None:
        local = jnp.where(parts[0] != parts[1], op.local, 0)
    local = aggregate_cells(local, c)
    for axis in AXES:
        low, high = beside(parts, axis, op.periodic)
        chosen = []
        for a, b in product((False, True), repeat=2):
            of_pair = [jnp.where((low[f] == a) & (high[g] == b), k, 0) for f, g, k in _bonds(op, axis)]
            chosen.append(sum(of_pair[1:], of_pair[0]))
        between, inside = _split_faces(settle(jnp.stack(chosen)), axis, c)
        between = _gradient_scale(axis, c, between.shape[spatial(axis)], between.dtype) * between
        faces.append(between[::3])  # parts 0-0 and 1-1
        cross.append(between[1:3])  # 0-1 and 1-0
        if inside is not None:
            local = local + inside[1] + inside[2]
    total = jnp.sum(op.mass, axis=0, keepdims=True)
    second = jnp.sum(jnp.where(parts, op.mass, 0), axis=0, keepdims=True)
    return FaceOperator(
        faces=(faces[0], faces[1], faces[2]),
        mass=aggregate_cells(jnp.concatenate([total - second, second]), c),
        cross=(cross[0], cross[1], cross[2]),
        local=local,
        periodic=op.periodic,
    )


def separate(op: FaceOperator, group: Parts) -> FaceOperator:
    """`op` of one field as one of two: field 1 on the cells of `group` (1, nz, ny, nx), which no face joins to the
    others."""

    def divided(a: Array, second: Array) -> Array:
        return jnp.concatenate([jnp.where(second, 0, a), jnp.where(second, a, 0)])

    faces = [divided(op.faces[a], reduce(jnp.logical_or, beside(group, a, op.periodic))) for a in AXES]
    return FaceOperator(faces=(faces[0], faces[1], faces[2]), mass=divided(op.mass, group), periodic=op.periodic)


# -- parts of a block ---------------------------------------------------------------------------------------------


def split_blocks(op: FaceOperator, c: Coarsening) -> Parts:
    """The two parts of each block: the cells held to the heaviest one by strong bonds, and all others.

    Labels spread along strong bonds inside the blocks. The cell with the largest diagonal is in part 0, so that weakly
    conducting cells, which may join anything without harm, never push two pieces of a good conductor together.
    """
    if c.keep or op.plane is not None:
        raise ValueError("Blocks can be split on grids of uniform layers without an equipotential plane only.")
    fields, shape = op.mass.shape[0], op.shape
    places = list(product(*(range(f) for f in c.factors)))
    top = _strongest_bond(op)
    rows, ends = [], []  # strong bonds inside the blocks (bond, block), and the two nodes (place, field) of each
    for axis in AXES:
        if c.factors[axis] == 1:
            continue
        low, high = beside(top, axis)
        bonds = _bonds(op, axis)
        strong = jnp.stack([k > STRONG_BOND * jnp.maximum(low[f], high[g]) for f, g, k in bonds])
        unfolded = _unfold(settle(strong), c, axis)
        for number, place in enumerate(places):
            if place[axis] == 1:
                before = places.index(tuple(p - (a == axis) for a, p in enumerate(place)))
                rows.append(unfolded[number * len(bonds) : (number + 1) * len(bonds)])
                ends += [(before * fields + f, number * fields + g) for f, g, _ in bonds]
    if op.local is not None:
        rows.append(_unfold(settle(op.local > STRONG_BOND * jnp.maximum(top[0], top[1]))[None], c))
        ends += [(number * fields, number * fields + 1) for number in range(len(places))]
    held = settle(jnp.concatenate(rows))
    first, second = (jnp.asarray(e) for e in zip(*ends, strict=True))

    def along(i: Array, label: Array) -> Array:
        a, b = label[first[i]], label[second[i]]
        lower = jnp.minimum(a, b)
        label = label.at[first[i]].set(jnp.where(held[i], lower, a))
        return label.at[second[i]].set(jnp.where(held[i], lower, b))

    nodes = len(places) * fields
    label = jnp.broadcast_to(jnp.arange(nodes, dtype=jnp.uint8)[:, None], (nodes, held.shape[1]))
    label = jax.lax.fori_loop(0, LABEL_PASSES, lambda _, v: jax.lax.fori_loop(0, len(ends), along, v), label)
    weight = settle(_unfold(op.own_diagonal(), c))
    none = jnp.uint8(255)
    # Row by row: XLA's reductions over a short leading axis are slow on CPU.
    largest = reduce(jnp.maximum, weight)[None]
    heaviest = reduce(jnp.minimum, jnp.where(weight == largest, label, none))
    return _fold((label != heaviest[None]) & (weight > 0), c, fields, shape)


def _strongest_bond(op: FaceOperator) -> Array:
    """Largest conductance at each cell (k, nz, ny, nx)."""
    top = jnp.zeros_like(op.mass) if op.local is None else jnp.broadcast_to(op.local, op.mass.shape)
    for axis in AXES:
        for f, g, k in _bonds(op, axis):
            if f == g and op.joins_itself(axis):
                continue
            top = top.at[f].max(take(k, axis, 1, None)).at[g].max(take(k, axis, 0, -1))
    return settle(top)


def _blocks(c: Coarsening, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-n // f) for n, f in zip(shape, c.factors, strict=True))


def _unfold(a: Array, c: Coarsening, faces_of: int | None = None) -> Array:
    """Cell field (k, nz, ny, nx) -> (places in a block * k, blocks); a face array gives the lower face of each cell."""
    if faces_of is not None:
        a = take(a, faces_of, 0, -1)
    k, shape = a.shape[0], a.shape[1:]
    z, y, x = _blocks(c, shape)
    fz, fy, fx = c.factors
    a = jnp.pad(a, [(0, 0), (0, z * fz - shape[0]), (0, y * fy - shape[1]), (0, x * fx - shape[2])])
    return a.reshape(k, z, fz, y, fy, x, fx).transpose(2, 4, 6, 0, 1, 3, 5).reshape(fz * fy * fx * k, z * y * x)


def _fold(a: Array, c: Coarsening, k: int, shape: tuple[int, int, int]) -> Array:
    """The inverse of `_unfold`."""
    z, y, x = _blocks(c, shape)
    fz, fy, fx = c.factors
    whole = a.reshape(fz, fy, fx, k, z, y, x).transpose(3, 4, 0, 5, 1, 6, 2).reshape(k, z * fz, y * fy, x * fx)
    return whole[:, : shape[0], : shape[1], : shape[2]]
