"""Face and cell access on a voxel grid by plain slices.

Cell fields have shape `(..., nz, ny, nx)`. A face array of axis `a` has one entry more along that axis,
`(..., nz+1, ny, nx)` for `a = 0`: entry `i` lies between cells `i-1` and `i`, the first and the last entry on
the outer boundary.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.numerics.compilation import settle

AXES = (0, 1, 2)


def spatial(axis: int) -> int:
    """Position of grid axis 0, 1 or 2 counted from the end, valid for stacked and plain fields alike."""
    return axis - 3


def take(u: Array, axis: int, start: int, stop: int | None) -> Array:
    """`u[start:stop]` along grid axis `axis`."""
    index: list[slice] = [slice(None)] * u.ndim
    index[spatial(axis)] = slice(start, stop)
    return u[tuple(index)]


def pad_axis(u: Array, axis: int, before: int, after: int, value: float = 0.0) -> Array:
    """`u` with constant layers added before and after grid axis `axis`."""
    width = [(0, 0)] * u.ndim
    width[spatial(axis)] = (before, after)
    return jnp.pad(u, width, constant_values=value)


def halo(u: Float[Array, "... nz ny nx"], periodic: bool = False) -> Float[Array, "... nz+2 ny+2 nx+2"]:
    """`u` with a one-voxel halo of zeros, kept as a real array; `periodic`: the opposite side's values on axes 1 and 2.

    Without a barrier (see `compilation.compiled`) XLA's CPU backend fuses a chain of padded sweeps into itself, which
    recomputes earlier sweeps inside later ones and makes compilation and run time explode.
    """
    if periodic:
        return settle(pad_axis(_around(_around(u, 1), 2), 0, 1, 1))
    width = [(0, 0)] * (u.ndim - 3) + [(1, 1)] * 3
    return settle(jnp.pad(u, width))


def _around(u: Array, axis: int) -> Array:
    """`u` with the last layer of `axis` before the first, and the first after the last."""
    return jnp.concatenate([take(u, axis, -1, None), u, take(u, axis, 0, 1)], axis=spatial(axis))


def sides(padded: Float[Array, "... nz+2 ny+2 nx+2"], axis: int) -> tuple[Array, Array]:
    """Values on the low and the high side of every face of `axis` (boundary faces included), from a halo array."""
    core: list[slice] = [slice(1, -1)] * 3
    core[axis] = slice(None, -1)
    low = padded[(..., *core)]
    core[axis] = slice(1, None)
    return low, padded[(..., *core)]


def beside(u: Array, axis: int, periodic: bool = False) -> tuple[Array, Array]:
    """Values on the low and the high side of every face of `axis`, like `sides`, but without a halo array: zero (or
    False) beyond the outer boundary, or the opposite side's on periodic axes 1 and 2. For set-up, not for sweeps."""
    wide = _around(u, axis) if periodic and axis != 0 else pad_axis(u, axis, 1, 1)
    return take(wide, axis, 0, -1), take(wide, axis, 1, None)


def outflow(flux: Array, axis: int) -> Array:
    """Sum of the two face fluxes of `axis` leaving each cell; `flux` is positive towards higher index."""
    return take(flux, axis, 1, None) - take(flux, axis, 0, -1)


def face_shape(shape: tuple[int, int, int], axis: int) -> tuple[int, int, int]:
    """Shape of a face array of `axis` on a grid of `shape` cells."""
    z, y, x = (n + (a == axis) for a, n in enumerate(shape))
    return z, y, x
