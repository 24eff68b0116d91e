r"""Two-point-flux operators of one or two stacked fields on a voxel grid.

For each field $f$ and voxel $i$

$$(A u)_{f,i} = \sum_{j} k_{f,ij}\,(u_{f,i}-u_{f,j}) + m_{f,i} u_{f,i}$$

and, where two fields are coupled (solid and electrolyte potential through the reaction conductance),
$\sum_j c_{ij}(u_{0,i}-u_{1,j})$ across faces and $l_i(u_{0,i}-u_{1,i})$ inside a voxel, with the opposite sign in
the row of the other field. An optional equipotential plane behind the last layer carries the current of field 0:
$g_i(u_{0,i}-V)$ with $V=\sum g u_0/\sum g$ when the plane floats (fixed total current) or $V=0$ when it is held.

Everything is written as differences $k(u_i-u_j)$, never $Du_i-\sum k u_j$: in float32 the second form loses the
weakly held constant mode.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.stencil import AXES, halo, outflow, sides, spatial, take

Triple = tuple[Array, Array, Array]


class FaceOperator(eqx.Module):
    """Symmetric positive (semi-)definite operator on `k` = 1 or 2 stacked fields; all leaves traced.

    **Fields** (units are the caller's; conductances in one common unit):

    - `faces`: three arrays `(k, faces of the axis)`, conductance between neighbours of the same field.
    - `mass`: `(k, nz, ny, nx)`, storage, reaction and wall conductances that act on one voxel alone.
    - `cross`: None, or three arrays `(2, faces)`: entry 0 couples field 0 on the low side of a face with field 1 on
      the high side, entry 1 field 1 on the low side with field 0 on the high side.
    - `local`: None, or `(nz, ny, nx)`, coupling of field 0 and 1 in the same voxel.
    - `plane`: None, or `(ny, nx)`, conductance of field 0 in the last layer to the equipotential plane.
    - `plane_floats`: scalar, 1 if the plane floats, 0 if it is held.
    """

    faces: Triple
    mass: Float[Array, "k nz ny nx"]
    cross: Triple | None = None
    local: Array | None = None
    plane: Array | None = None
    plane_floats: Array | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.mass.shape[-3:]
        return z, y, x

    def apply(self, u: Float[Array, "k nz ny nx"]) -> Float[Array, "k nz ny nx"]:
        """`A u`, same shape as `u`."""
        padded = halo(u)
        out = self.mass * u
        for axis in AXES:
            low, high = sides(padded, axis)
            flux = self.faces[axis] * (low - high)
            out = out + outflow(flux, axis)
            if self.cross is not None:
                c01, c10 = self.cross[axis][0], self.cross[axis][1]
                across_a = c01 * (low[0] - high[1])  # leaves field 0 of the low cell, enters field 1 of the high one
                across_b = c10 * (low[1] - high[0])
                lo_row = jnp.stack([take(across_a, axis, 1, None), take(across_b, axis, 1, None)])
                hi_row = jnp.stack([-take(across_b, axis, 0, -1), -take(across_a, axis, 0, -1)])
                out = out + lo_row + hi_row
        if self.local is not None:
            pair = self.local * (u[0] - u[1])
            out = out + jnp.stack([pair, -pair])
        if self.plane is not None:
            assert self.plane_floats is not None
            top = u[0, -1]
            total = jnp.sum(self.plane)
            mean = jnp.sum(self.plane * top) / jnp.where(total > 0, total, 1.0)
            out = out.at[0, -1].add(self.plane * (top - self.plane_floats * mean))
        return out

    def own_diagonal(self) -> Float[Array, "k nz ny nx"]:
        """Diagonal without `local`: conductances that tie a voxel to anything but its own other field."""
        diagonal = self.mass
        for axis in AXES:
            k = self.faces[axis]
            diagonal = diagonal + take(k, axis, 0, -1) + take(k, axis, 1, None)
            if self.cross is not None:
                c = self.cross[axis]
                high, low = take(c, axis, 1, None), take(c, axis, 0, -1)
                diagonal = diagonal + jnp.stack([high[0] + low[1], high[1] + low[0]])
        if self.plane is not None:
            diagonal = diagonal.at[0, -1].add(self.plane)
        return diagonal

    def astype(self, dtype: jnp.dtype) -> "FaceOperator":
        """The operator with every coefficient in `dtype`."""
        return jax.tree_util.tree_map(lambda a: a.astype(dtype), self)


class Coarsening(NamedTuple):
    """How one grid is aggregated; static. `factors`: 1 or 2 voxels per axis; the first `keep` layers of axis 0 stay
    single even if its factor is 2 (thick separator layers, whose lateral coupling dominates)."""

    factors: tuple[int, int, int]
    keep: int = 0


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


def _keep(c: Coarsening, axis: int) -> int:
    return c.keep if axis == 0 else 0


def aggregate_cells(a: Array, c: Coarsening) -> Array:
    """Sum of a cell field over the aggregates."""
    for axis in AXES:
        if c.factors[axis] == 2:
            a = _sum_pairs(a, axis, _keep(c, axis))
    return a


def spread_cells(a: Array, c: Coarsening, shape: tuple[int, int, int]) -> Array:
    """Piecewise-constant prolongation to `shape`; the transpose of `aggregate_cells`."""
    for axis in AXES:
        if c.factors[axis] == 1:
            continue
        keep = _keep(c, axis)
        paired = jnp.repeat(take(a, axis, keep, None), 2, axis=spatial(axis))
        if keep + paired.shape[spatial(axis)] != shape[axis]:
            paired = take(paired, axis, 0, shape[axis] - keep)
        a = jnp.concatenate([take(a, axis, 0, keep), paired], axis=spatial(axis)) if keep else paired
    return a


def _split_faces(a: Array, axis: int, c: Coarsening) -> tuple[Array, Array | None]:
    """Face array of `axis` -> (sums over coarse faces, sums of the faces inside each aggregate or None)."""
    for other in AXES:
        if other != axis and c.factors[other] == 2:
            a = _sum_pairs(a, other, _keep(c, other))
    if c.factors[axis] == 1:
        return a, None
    keep = _keep(c, axis)
    if (a.shape[spatial(axis)] - keep) % 2 == 0:  # odd number of cells: an absent cell completes the last aggregate
        a = jnp.concatenate([a, jnp.zeros_like(take(a, axis, 0, 1))], axis=spatial(axis))
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
    keep = _keep(c, axis)
    if keep == 0:
        return 0.5
    scale = [1.0] * keep + [0.75] + [0.5] * (count - keep - 1)
    return jnp.asarray(scale, dtype).reshape(1, count, 1, 1)


def coarsen(op: FaceOperator, c: Coarsening) -> FaceOperator:
    """Galerkin operator of piecewise-constant aggregates, with face conductances reduced along coarsened axes.

    The plain Galerkin sum is twice too stiff for smooth fields, because the aggregate centres are two voxels apart;
    reaction (cross, local) and storage (mass) act on values, not gradients, and are summed unscaled.
    """
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
    )
