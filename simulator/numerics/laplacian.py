r"""Two-point-flux operators of one or two stacked fields on a voxel grid.

For each field $f$ and voxel $i$

$$(A u)_{f,i} = \sum_{j} k_{f,ij}\,(u_{f,i}-u_{f,j}) + m_{f,i} u_{f,i}$$

and, where two fields are coupled (solid and electrolyte potential through the reaction conductance, or the two parts
of a coarse cell), $\sum_j c_{ij}(u_{0,i}-u_{1,j})$ across faces and $l_i(u_{0,i}-u_{1,i})$ inside a voxel, with the
opposite sign in the row of the other field. An optional equipotential plane behind the last layer carries the current
of field 0: $g_i(u_{0,i}-V)$ with $V=\sum g u_0/\sum g$ when the plane floats (fixed total current) or $V=0$ when it
is held.

Everything is written as differences $k(u_i-u_j)$, never $Du_i-\sum k u_j$: in float32 the second form loses the
weakly held constant mode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.compilation import settle
from simulator.numerics.stencil import AXES, halo, outflow, sides, take

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
    - `periodic`: the first and the last voxel of axes 1 and 2 are neighbours (static); the first and the last entry of
      the face arrays of these axes are then the same face. Otherwise the outer faces must have no conductance.
    """

    faces: Triple
    mass: Float[Array, "k nz ny nx"]
    cross: Triple | None = None
    local: Array | None = None
    plane: Array | None = None
    plane_floats: Array | None = None
    periodic: bool = eqx.field(static=True, default=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.mass.shape[-3:]
        return z, y, x

    def apply(self, u: Float[Array, "k nz ny nx"]) -> Float[Array, "k nz ny nx"]:
        """`A u`, same shape as `u`."""
        padded = halo(u, self.periodic)
        rows = [mass * field for mass, field in zip(self.mass, u, strict=True)]
        for axis in AXES:
            low, high = sides(padded, axis)
            for field in range(len(rows)):
                flux = self.faces[axis][field] * (low[field] - high[field])
                rows[field] = rows[field] + outflow(flux, axis)
            if self.cross is not None:
                up = self.cross[axis][0] * (low[0] - high[1])  # leaves field 0 of the low cell, enters field 1 above
                down = self.cross[axis][1] * (low[1] - high[0])
                rows[0] = rows[0] + (take(up, axis, 1, None) - take(down, axis, 0, -1))
                rows[1] = rows[1] + (take(down, axis, 1, None) - take(up, axis, 0, -1))
        if self.local is not None:
            pair = self.local * (u[0] - u[1])
            rows[0], rows[1] = rows[0] + pair, rows[1] - pair
        if self.plane is not None:
            assert self.plane_floats is not None
            top = u[0, -1]
            total = jnp.sum(self.plane)
            mean = jnp.sum(self.plane * top) / jnp.where(total > 0, total, 1.0)
            rows[0] = rows[0].at[-1].add(self.plane * (top - self.plane_floats * mean))
        # Row by row: stacked earlier, each summand would become an array of its own (twice the time).
        return jnp.stack(settle(rows))

    def joins_itself(self, axis: int) -> bool:
        """Whether the faces of `axis` lead from each cell back to itself: periodic, and one cell wide."""
        return self.periodic and axis != 0 and self.shape[axis] == 1

    def own_diagonal(self) -> Float[Array, "k nz ny nx"]:
        """Diagonal without `local`: conductances that tie a voxel to anything but its own other field."""
        diagonal = self.mass
        for axis in AXES:
            if not self.joins_itself(axis):
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
