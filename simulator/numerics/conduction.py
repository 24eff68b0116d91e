r"""Steady conduction $\nabla\cdot(\sigma\nabla\phi)=0$ between two faces of a voxel image.

Two-point fluxes with harmonic face conductivities; the walls lie half a voxel from the outermost centres and hold 1 V
(low end) and 0 V. With wall conductances $g$, source $b$ ($g$ in the first layer) and residual $r=b-Ax$ the conductance
is the dissipation of the potentials, $E(x)=\sum g - b\cdot x - r\cdot x$: never below the exact one, and wrong by the
square of the error of $x$ only.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulator.errors import GeometryError
from simulator.numerics.compilation import compiled, settle
from simulator.numerics.krylov import conjugate_gradients
from simulator.numerics.laplacian import FaceOperator
from simulator.numerics.multigrid import (
    FEW_DIRECT_UNKNOWNS,
    Plan,
    build,
    coarsening_plan,
    conduction_visits,
    cycle,
    first_split,
)
from simulator.numerics.stencil import AXES, pad_axis, take


class Conduction(NamedTuple):
    """`conductance` [S] between the two walls, `potential` (nz, ny, nx) [V] for 1 V between them, solver statistics.

    `relative_residual`: the true one, 2-norm relative to the source; `error`: estimated relative error of
    `conductance`, infinite where the energy steps could not be extrapolated; `converged`: whether a tolerance, or what
    the precision resolves, was reached (nothing is NaN then); `split_from`: the first grid whose blocks were split.
    """

    conductance: float
    potential: Array
    iterations: int
    relative_residual: float
    error: float
    converged: bool
    split_from: int


#: Conductivities further apart than this need float64 in the multigrid as well: rounding in the good conductor would
#: otherwise exceed the current through the poor one.
SINGLE_PRECISION_CONTRAST = 1e5
#: Tolerances from which on float32 will do: for potentials and residuals (relative error of the conductance), and for
#: the conductances of the faces (relative residual).
SINGLE_PRECISION_RTOL, SINGLE_PRECISION_FACES = 1e-5, 1e-8
MAX_ITERATIONS = 1000
#: Solves, each from the potentials of the one before, where the true residual is larger than the recursive one.
MAX_SOLVES = 3
#: Largest difference of the currents through two planes, relative, over the square root of the error allowed.
UNEVEN = 1.0
#: Relative residual that the precision resolves; there is nothing to gain beyond.
RESIDUAL_FLOOR = {"float32": 1e-6, "float64": 1e-13}


class Precision(NamedTuple):
    """What is kept in which precision: face conductances, potentials and residuals, multigrid. Static."""

    faces: str
    vectors: str
    cycle: str


def precision(contrast: float, rtol: float, residual_rtol: float) -> Precision:
    """The cheapest precision in which the tolerances (0: not asked for) can be reached."""
    double = contrast > SINGLE_PRECISION_CONTRAST
    fine = double or 0 < residual_rtol < SINGLE_PRECISION_FACES or 0 < rtol < SINGLE_PRECISION_FACES
    vectors = fine or residual_rtol > 0 or rtol < SINGLE_PRECISION_RTOL
    return Precision(*("float64" if wide else "float32" for wide in (fine, vectors, double)))


def _harmonic(a: Array, b: Array) -> Array:
    total = a + b
    return jnp.where(total != 0, 2 * a * b / jnp.where(total != 0, total, 1), 0)


@compiled
def _network(sigma, contact_low, contact_high, spacing, dtype, periodic: bool) -> tuple[FaceOperator, Array]:
    """Operator [S] of an image of conductivities [S/m], and the conductances (ny, nx) [S] of the low wall."""
    dz, dy, dx = spacing
    areas = (dy * dx, dz * dx, dz * dy)
    faces = []
    for axis in AXES:
        # Inner faces first, outer ones after: padding inside the arithmetic would keep it from being vectorised.
        inner = _harmonic(take(sigma, axis, 0, -1), take(sigma, axis, 1, None)) * (areas[axis] / spacing[axis])
        k = pad_axis(settle(inner.astype(dtype)), axis, 1, 1)
        if periodic and axis != 0:
            around = _harmonic(take(sigma, axis, -1, None), take(sigma, axis, 0, 1)) * (areas[axis] / spacing[axis])
            inside = take(k, axis, 1, -1)
            k = jnp.concatenate([around.astype(dtype), inside, around.astype(dtype)], axis=axis)
        faces.append(k[None])
    wall = 2 * areas[0] / dz
    low, high = (wall * sigma[0] * contact_low).astype(dtype), (wall * sigma[-1] * contact_high).astype(dtype)
    mass = jnp.zeros(sigma.shape, dtype).at[0].add(low).at[-1].add(high)
    return FaceOperator(faces=(faces[0], faces[1], faces[2]), mass=mass[None], periodic=periodic), low


@compiled
def _range(sigma: Array) -> tuple[Array, Array, Array]:
    """Smallest value above zero, largest, and smallest value; NaN if there is one."""
    return jnp.min(jnp.where(sigma > 0, sigma, jnp.inf)), jnp.max(sigma), jnp.min(sigma)


class _Solved(NamedTuple):
    x: Float[Array, "1 nz ny nx"]
    iterations: Array
    residual: Array
    energy: Array
    error: Array
    enough: Array


@compiled
def _linear(op: FaceOperator, dtype) -> Array:
    """The potential of a uniform medium, zero in insulators."""
    n = op.shape[0]
    profile = jnp.asarray(1.0 - (np.arange(n) + 0.5) / n, dtype).reshape(1, n, 1, 1)
    return jnp.where(op.own_diagonal() != 0, profile, 0)


@compiled
def _solve(op, wall, tolerances, start, plan: Plan, split_from: int, precise: Precision) -> _Solved:
    vectors, narrow = jnp.dtype(precise.vectors), jnp.dtype(precise.cycle)
    hierarchy = build(op.astype(narrow), plan, narrow, split_from)
    visits = conduction_visits(split_from)
    b = jnp.zeros(op.mass.shape, vectors).at[0, 0].set(wall.astype(vectors))

    def energy(x: Array, r: Array) -> Array:
        return jnp.sum(wall, dtype=jnp.float64) - jnp.sum((b + r).astype(jnp.float64) * x)

    first = energy(start, b - op.apply(start))

    def good_enough(drop: Array, error: Array, r: Array) -> Array:
        # The estimate is blind to slow modes that have not shown yet. They leave currents that differ from plane to
        # plane: at an energy error of rtol the fluxes may be wrong by its square root.
        value = first - drop
        uneven = jnp.max(jnp.abs(jnp.cumsum(jnp.sum(r[0], axis=(1, 2), dtype=jnp.float64))))
        return (error <= tolerances[0] * value) & (uneven <= UNEVEN * jnp.sqrt(tolerances[0]) * value)

    solved = conjugate_gradients(
        op.apply,
        lambda r: cycle(hierarchy, r.astype(narrow), visits, accelerate=True),
        b,
        rtol=tolerances[1],
        max_iterations=MAX_ITERATIONS,
        start=start,
        good_enough=good_enough,
    )
    r = b - op.apply(solved.x)
    value = energy(solved.x, r)
    relative = jnp.sqrt(jnp.sum(jnp.square(r.astype(jnp.float64))) / jnp.sum(jnp.square(b.astype(jnp.float64))))
    enough = good_enough(first - value, solved.energy_error, r)
    return _Solved(solved.x, solved.iterations, relative, value, solved.energy_error / value, enough)


def solve_conduction(
    sigma: Float[Array, "nz ny nx"] | np.ndarray,
    spacing: tuple[float, float, float],
    *,
    contact_low: np.ndarray | None = None,
    contact_high: np.ndarray | None = None,
    rtol: float = 0.0,
    residual_rtol: float = 1e-10,
    periodic: bool = False,
) -> Conduction:
    r"""Conductance along axis 0 with fixed potentials on the two outer faces.

    **Arguments:** `sigma` (nz, ny, nx) [S/m], 0 = insulating; every conducting voxel must be connected to a wall.
    `spacing` (dz, dy, dx) [m]. `contact_low`, `contact_high`: optional boolean masks (ny, nx), the part of each wall
    that is in contact. `rtol`: estimated relative error of the conductance at which to end; `residual_rtol`: residual
    norm relative to the source at which to end; the first one reached ends the solve, 0 switches one off. `periodic`:
    the sides are periodic instead of insulated.

    **Returns:** `Conduction`; look at `converged`. **Errors:** `GeometryError` if nothing conducts.
    """
    if sigma.ndim != 3:
        raise GeometryError(f"sigma must be a 3D array (nz, ny, nx), got shape {sigma.shape}.")
    lowest, highest, smallest = (float(a) for a in _range(jnp.asarray(sigma)))
    if not (np.isfinite(highest) and smallest >= 0):
        raise GeometryError(
            f"sigma must be finite and >= 0 S/m everywhere, got values from {smallest:g} to {highest:g}. "
            "Insulating voxels are 0."
        )
    if not bool((sigma[0] > 0).any()) or not bool((sigma[-1] > 0).any()):
        raise GeometryError("No conducting voxel touches one of the two walls: nothing can flow along axis 0.")
    precise = precision(highest / lowest, rtol, residual_rtol)
    low, high = (jnp.ones(()) if c is None else jnp.asarray(c, float) for c in (contact_low, contact_high))
    # In units of the best conductor and of dz, so that float32 neither overflows nor underflows.
    unit = highest * spacing[0]
    relative = tuple(d / spacing[0] for d in spacing)
    faces = jnp.dtype(precise.faces)
    # No name for the scaled image: it has to be gone when the solve needs the memory.
    op, wall = _network((jnp.asarray(sigma) / highest).astype(faces), low, high, jnp.asarray(relative), faces, periodic)
    _, ny, nx = sigma.shape
    plan = coarsening_plan(
        [1.0] * sigma.shape[0], relative[1], relative[2], ny, nx, fields=1, direct=FEW_DIRECT_UNKNOWNS
    )
    floor = RESIDUAL_FLOOR[precise.vectors]
    tolerances = jnp.asarray([rtol, max(0.9 * residual_rtol, floor)])
    split_from, start, iterations = first_split(op, plan), _linear(op, jnp.dtype(precise.vectors)), 0
    for _ in range(MAX_SOLVES):
        solved = _solve(op, wall, tolerances, start, plan, split_from, precise)
        iterations += int(solved.iterations)
        residual, error = float(solved.residual), float(solved.error)
        converged = residual <= max(residual_rtol, 2 * floor) or bool(solved.enough)
        if converged or int(solved.iterations) >= MAX_ITERATIONS or not np.isfinite(residual):
            break
        start = solved.x  # rounding has driven the recursive residual away from the true one
    return Conduction(
        conductance=unit * float(solved.energy),
        potential=solved.x[0],
        iterations=iterations,
        relative_residual=residual,
        error=np.inf if np.isnan(error) else error,
        converged=bool(converged and np.isfinite(float(solved.energy)) and float(solved.energy) > 0),
        split_from=split_from,
    )
