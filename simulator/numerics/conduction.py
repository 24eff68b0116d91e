r"""Steady conduction $\nabla\cdot(\sigma\nabla\phi)=0$ between two faces of a voxel image."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from simulator.errors import GeometryError
from simulator.numerics.krylov import conjugate_gradients
from simulator.numerics.laplacian import FaceOperator
from simulator.numerics.multigrid import Plan, build, coarsening_plan, cycle
from simulator.numerics.stencil import AXES, face_shape


class Conduction(NamedTuple):
    """`conductance` [S] between the two walls, `potential` (nz, ny, nx) [V] for 1 V between them, solver statistics."""

    conductance: float
    potential: np.ndarray
    iterations: int
    relative_residual: float


def _two_point(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = a + b
    return np.where(total > 0, 2 * a * b / np.where(total > 0, total, 1.0), 0.0)


@partial(jax.jit, static_argnames="plan")
def _solve(op: FaceOperator, source: jax.Array, rtol: float, plan: Plan):
    hierarchy = build(op, plan, jnp.dtype(jnp.float32))
    return conjugate_gradients(
        op.apply,
        lambda r: cycle(hierarchy, r.astype(jnp.float32)).astype(jnp.float64),
        source,
        rtol=rtol,
        max_iterations=500,
    )


def solve_conduction(
    sigma: np.ndarray,
    spacing: tuple[float, float, float],
    *,
    contact_low: np.ndarray | None = None,
    contact_high: np.ndarray | None = None,
    rtol: float = 1e-10,
) -> Conduction:
    r"""Conductance along axis 0 with fixed potentials on the two outer faces, insulated sides.

    Two-point fluxes with harmonic face conductivities; the walls lie half a voxel from the outermost centres.

    **Arguments:** `sigma` (nz, ny, nx) [S/m], 0 = insulating; every conducting voxel must be connected to a wall.
    `spacing` (dz, dy, dx) [m]. `contact_low`, `contact_high`: optional boolean masks (ny, nx), the part of each wall
    that is in contact. `rtol`: residual norm relative to the right-hand side.

    **Returns:** `Conduction`. **Errors:** `GeometryError` if nothing conducts or the solver does not converge.
    """
    sigma = np.asarray(sigma, float)
    if sigma.ndim != 3 or not np.all(np.isfinite(sigma)) or sigma.min() < 0:
        raise GeometryError(
            f"sigma must be a 3D array of finite conductivities >= 0 S/m, got shape {sigma.shape}, "
            f"minimum {np.min(sigma)}. Insulating voxels are 0."
        )
    dz, dy, dx = spacing
    areas = (dy * dx, dz * dx, dz * dy)
    faces = []
    for axis in AXES:
        k = np.zeros(face_shape(sigma.shape, axis))  # type: ignore[arg-type]
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        inner = [slice(None)] * 3
        low[axis], high[axis], inner[axis] = slice(None, -1), slice(1, None), slice(1, -1)
        k[tuple(inner)] = _two_point(sigma[tuple(low)], sigma[tuple(high)]) * areas[axis] / spacing[axis]
        faces.append(jnp.asarray(k)[None])
    wall_low = 2 * sigma[0] * areas[0] / dz * (1.0 if contact_low is None else contact_low)
    wall_high = 2 * sigma[-1] * areas[0] / dz * (1.0 if contact_high is None else contact_high)
    mass = np.zeros_like(sigma)
    mass[0] += wall_low
    mass[-1] += wall_high
    source = np.zeros_like(sigma)
    source[0] = wall_low
    if not wall_low.any() or not wall_high.any():
        raise GeometryError("No conducting voxel touches one of the two walls: nothing can flow along axis 0.")
    op = FaceOperator(faces=(faces[0], faces[1], faces[2]), mass=jnp.asarray(mass)[None])
    plan = coarsening_plan([dz] * sigma.shape[0], dy, dx, sigma.shape[1], sigma.shape[2], fields=1)
    result = _solve(op, jnp.asarray(source)[None], rtol, plan)
    relative = float(result.relative_residual)
    if not relative <= rtol:
        raise GeometryError(f"Conduction solve stopped at relative residual {relative:.2e}, wanted {rtol:.0e}.")
    phi = np.asarray(result.x[0])
    current = float(np.sum(wall_high * phi[-1]))
    return Conduction(current, phi, int(result.iterations), relative)
