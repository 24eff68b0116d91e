"""The grid of a whole cell: graded separator layers in front of the voxels of the electrode."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulator.errors import ConfigError
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, PORE
from simulator.numerics.multigrid import Plan

#: Phase code of separator layers in a cell's grid (image codes are 0..3).
SEPARATOR = 4
__all__ = ["AM", "CBD", "ELECTROLYTE", "PORE", "SEPARATOR", "VoxelGrid", "separator_layers"]


def separator_layers(thickness: float, layers: int, first: float) -> np.ndarray:
    """Layer thicknesses [m] from the lithium side to the electrode side, graded geometrically from `first` [m].

    The layer next to the electrode has the voxel's size as far as `thickness` and `layers` allow; the ratio is the one
    that makes `layers` layers fill `thickness` exactly. With more layers than needed for size `first`, all are equal.

    **Errors:** `ConfigError` if thickness or layers are not positive.
    """
    if not thickness > 0 or layers < 1:
        raise ConfigError(
            f"separator.thickness and separator.layers must be > 0, got {thickness} m and {layers}. "
            "Give the thickness in metres (50e-6) or with a unit ('50 um')."
        )
    if layers * first >= thickness:
        return np.full(layers, thickness / layers)
    low, high = 1.0, 1e6 ** (1.0 / max(layers - 1, 1))
    for _ in range(200):  # bisection on the growth ratio; the sum of the series is monotone in it
        ratio = 0.5 * (low + high)
        if first * np.sum(ratio ** np.arange(layers)) < thickness:
            low = ratio
        else:
            high = ratio
    sizes = first * ratio ** np.arange(layers)
    return np.asarray((sizes * (thickness / sizes.sum()))[::-1])


class VoxelGrid(eqx.Module):
    """Cell sizes of the whole cell; axis 0 is z, from the lithium side through the separator to the collector.

    **Static:** `shape` (nz, ny, nx) with the separator, `separator_layers`, `plan` (multigrid, two fields).
    **Traced:** `dz` (nz,), `dy`, `dx` [m].
    """

    dz: Float[Array, " nz"]
    dy: Float[Array, ""]
    dx: Float[Array, ""]
    shape: tuple[int, int, int] = eqx.field(static=True)
    separator_layers: int = eqx.field(static=True)
    plan: Plan = eqx.field(static=True)

    @property
    def volume(self) -> Float[Array, "nz 1 1"]:
        """Voxel volume [m3] per layer."""
        return (self.dz * self.dy * self.dx)[:, None, None]

    @property
    def plane_area(self) -> Array:
        """Area of one voxel face normal to z [m2]."""
        return self.dy * self.dx

    def sizes(self, axis: int) -> tuple[Array, Array]:
        """Cell sizes [m] along `axis` on the low and high side of its interior faces, ready to broadcast."""
        if axis == 0:
            dz = self.dz[:, None, None]
            return dz[:-1], dz[1:]
        size = jnp.reshape(self.dy if axis == 1 else self.dx, (1, 1, 1))
        return size, size

    def face_area(self, axis: int) -> Array:
        """Area [m2] of the faces of `axis`, ready to broadcast."""
        if axis == 0:
            return jnp.reshape(self.plane_area, (1, 1, 1))
        return (self.dz * (self.dx if axis == 1 else self.dy))[:, None, None]
