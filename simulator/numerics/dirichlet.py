r"""Potentials of a voxel network in which some voxels are held at given values.

With face conductances $k_{ij}$ and held voxels $H$, every free voxel obeys $\sum_j k_{ij}(u_i-u_j)=0$ and $u=g$ on $H$.
Held voxels are eliminated: a face between a free voxel and a held one adds $k$ to the mass of the free one and $kg$ to
its source, so that the rest is symmetric positive definite wherever a free voxel has a way to a held one. Several sets
of held values share one operator and one multigrid hierarchy.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulator.errors import GeometryError
from simulator.numerics.compilation import compiled, settle
from simulator.numerics.krylov import conjugate_gradients
from simulator.numerics.laplacian import FaceOperator, Triple
from simulator.numerics.multigrid import COUPLED_VISITS, FEW_DIRECT_UNKNOWNS, Plan, build, coarsening_plan, cycle
from simulator.numerics.stencil import AXES, beside, pad_axis, take

MAX_ITERATIONS = 500


class Dirichlet(NamedTuple):
    """`potential` (n, nz, ny, nx), the held values included; per set: `iterations`, and `relative_residual`, the true
    one, 2-norm relative to the source; `converged`: whether all of them came within twice the tolerance (the iterations
    judge it by an updated residual, which rounding lets differ from the true one)."""

    potential: Array
    iterations: np.ndarray
    relative_residual: np.ndarray
    converged: bool


@compiled
def _system(inner: Triple, held: Array) -> tuple[FaceOperator, Triple]:
    """Operator of the free voxels, and the conductances that join a free voxel to a held one (both zero elsewhere)."""
    free_faces, joining, mass = [], [], jnp.zeros(held.shape, inner[0].dtype)
    for axis in AXES:
        k = pad_axis(inner[axis], axis, 1, 1)
        low, high = beside(held, axis)
        free_faces.append(settle(jnp.where(low | high, 0, k))[None])
        between = settle(jnp.where(low != high, k, 0))
        joining.append(between)
        mass = settle(mass + jnp.where(held, 0, _both_cells(between, axis)))
    op = FaceOperator(faces=(free_faces[0], free_faces[1], free_faces[2]), mass=mass[None])
    return op, (joining[0], joining[1], joining[2])


def _both_cells(faces: Array, axis: int) -> Array:
    """Sum of a face array over the two faces of each cell."""
    return take(faces, axis, 0, -1) + take(faces, axis, 1, None)


@compiled
def _solve(op: FaceOperator, joining: Triple, held: Array, values, start, rtol, plan: Plan) -> tuple[Array, ...]:
    hierarchy = build(op, plan, op.mass.dtype)
    absent = op.own_diagonal()[0] == 0  # held, or without any conductance

    def one(inputs: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        given, guess = inputs
        given = jnp.where(held, given, 0)
        b = jnp.zeros_like(given)
        for axis in AXES:
            low, high = beside(given, axis)
            # One side of such a face is held, the other one is zero here.
            b = b + _both_cells(settle(joining[axis] * (low + high)), axis)
        b = settle(jnp.where(held, 0, b))[None]
        scale = jnp.sqrt(jnp.sum(jnp.square(b.astype(jnp.float64))))
        # Without a source the answer is zero: there is nothing that a residual could be small against.
        x = settle(jnp.where(absent | (scale == 0), 0, guess))[None]
        solved = conjugate_gradients(
            op.apply,
            lambda r: cycle(hierarchy, r, COUPLED_VISITS, accelerate=True),
            b,
            rtol=rtol,
            max_iterations=MAX_ITERATIONS,
            start=x,
        )
        r = b - op.apply(solved.x)
        residual = jnp.sqrt(jnp.sum(jnp.square(r.astype(jnp.float64)))) / jnp.where(scale > 0, scale, 1)
        return jnp.where(held, given, solved.x[0]), solved.iterations, residual

    return jax.lax.map(one, (values, start))


def solve_dirichlet(
    conductances: tuple[Float[Array, "nz-1 ny nx"], Float[Array, "nz ny-1 nx"], Float[Array, "nz ny nx-1"]],
    held: Bool[Array, "nz ny nx"] | np.ndarray,
    values: Float[Array, "n nz ny nx"] | np.ndarray,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    start: Float[Array, "n nz ny nx"] | np.ndarray | None = None,
    rtol: float = 1e-4,
) -> Dirichlet:
    r"""Potentials of the free voxels for each of `n` sets of held values; the sides of the image are insulated.

    **Arguments:** `conductances`: of the inner faces of each axis, >= 0, any common unit; their type, float32 or
    float64, decides the precision. `held`: voxels with a given value; every free voxel must be joined to one through
    conducting faces, one that conducts nowhere gets 0. `values`: read where `held`. `spacing`: lengths of a voxel, only
    to choose which axes the multigrid coarsens first. `start`: first guess. `rtol`: residual norm relative to the
    source.

    **Returns:** `Dirichlet`; look at `converged`. **Errors:** `GeometryError` if nothing is held or shapes differ.

    **Source:** L. Grady, IEEE Trans. Pattern Anal. Mach. Intell. 28 (2006) 1768, doi:10.1109/TPAMI.2006.233 (the
    combinatorial Dirichlet problem).
    """
    held, values = jnp.asarray(held, bool), jnp.asarray(values)
    if held.ndim != 3 or values.shape[1:] != held.shape:
        raise GeometryError(
            f"held must be 3D (nz, ny, nx) and values (n, nz, ny, nx), got shapes {held.shape} and {values.shape}."
        )
    expected = [tuple(n - (a == axis) for a, n in enumerate(held.shape)) for axis in AXES]
    if [k.shape for k in conductances] != expected:
        raise GeometryError(f"conductances must have the shapes {expected}, got {[k.shape for k in conductances]}.")
    if not bool(held.any()):
        raise GeometryError("No voxel is held: the potentials are not determined. Hold at least one.")
    dtype = jnp.result_type(*conductances)
    inner = tuple(jnp.asarray(k, dtype) for k in conductances)
    values = values.astype(dtype)
    guess = jnp.zeros_like(values) if start is None else jnp.asarray(start, dtype)
    op, joining = _system((inner[0], inner[1], inner[2]), held)
    nz, ny, nx = held.shape
    relative = [h / min(spacing) for h in spacing]
    plan = coarsening_plan([relative[0]] * nz, relative[1], relative[2], ny, nx, fields=1, direct=FEW_DIRECT_UNKNOWNS)
    potential, iterations, residual = _solve(op, joining, held, values, guess, jnp.asarray(rtol), plan)
    reached = np.asarray(residual)
    return Dirichlet(potential, np.asarray(iterations), reached, bool((reached <= 2 * rtol).all()))
