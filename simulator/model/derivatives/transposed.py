r"""The transposed linear problem of one implicit stage.

A stage defines u by R(u, h, p) = 0 and hands on o(u, h, p). With the cotangents $\bar u$ and $\bar o$ of both,

$$\Big(\frac{\partial R}{\partial u}\Big)^T\lambda
  = \bar u + \Big(\frac{\partial o}{\partial u}\Big)^T\bar o,\qquad
  (\bar h, \bar p) = \Big(\frac{\partial o}{\partial (h, p)}\Big)^T\bar o
  - \Big(\frac{\partial R}{\partial (h, p)}\Big)^T\lambda .$$

The system is solved with the transposed Jacobian and preconditioner of Newton's method, in their precision. What that
leaves is formed with the derivative of the residual itself, in float64, and solved for again: the result does not
depend on what the assembled Jacobian leaves out or rounds.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConvergenceError
from simulator.model.cell import C_E, CellModel
from simulator.model.jacobian import PACKED_FIELDS
from simulator.model.newton import NewtonOptions, preconditioned
from simulator.model.preconditioner import Preconditioner
from simulator.model.residual import Drive, Evaluation, Flows, History, SideStates, residual
from simulator.numerics.compilation import compiled
from simulator.numerics.krylov import Space, gcr
from simulator.physics.contact import FaceCurrents

#: What one solve of the linear problem is asked to leave; float32 gives little more.
ONE_SOLVE = 1e-4
#: What all of them together are to leave.
TOLERANCE = 1e-9
#: A solve that leaves more than this share was no help: it is repeated in float64, or ends the attempt.
NO_HELP = 0.5
#: A remainder that no solve makes smaller any more, but below this, is what float64 resolves.
RESOLVED = 1e-6
MOST_SOLVES = 12


class Point(NamedTuple):
    """A solved stage: its fields `u` (4, nz, ny, nx), face currents `j`, and what it was solved from."""

    u: Array
    j: FaceCurrents
    history: History
    gamma_dt: Array
    drive: Drive


class Given(NamedTuple):
    """What a stage hands on beside its fields: `side` states, `flows` and external `current` [A], `voltage` [V]; or the
    cotangents of all that."""

    side: SideStates
    flows: Flows
    current: Array
    voltage: Array


class Pulled(NamedTuple):
    """Cotangents of what a stage depends on. `cell`: of all float arrays of the model."""

    history: History
    gamma_dt: Array
    drive: Drive
    cell: CellModel


def given(evaluation: Evaluation) -> Given:
    """What a stage hands on."""
    total = evaluation.total
    return Given(total.side, total.flows, total.current, total.voltage)


def stage_at(point: Point, cell: CellModel) -> tuple[Any, ...]:
    """The residual's rows and what the stage gives as a function of (u, history, gamma_dt, drive, float arrays of the
    cell), and the values of these at `point`."""
    varied, fixed = eqx.partition(cell, eqx.is_inexact_array)

    def stage(u: Array, history: History, gamma_dt: Array, drive: Drive, varied: CellModel) -> tuple[Array, Given]:
        evaluation = residual(u, history, gamma_dt, drive, eqx.combine(varied, fixed), point.j)
        return evaluation.rows, given(evaluation)

    return stage, point.u, point.history, point.gamma_dt, point.drive, varied


@compiled
def _pull(point: Point, cell: CellModel, rows: Array, out: Given) -> tuple[Array, Pulled]:
    """Cotangents of the fields, and of everything else, for those of the residual's `rows` and of what is given."""
    _, back = jax.vjp(*stage_at(point, cell))
    u, *others = back((rows, out))
    return u, Pulled(*others)


@compiled(donate="all-except-first")
def _solve(fixed: tuple[Array, Preconditioner, CellModel], space: Space) -> tuple[Array, Array]:
    """Approximate solution (4, nz, ny, nx) of the transposed problem with the right-hand side (4, nz, ny, nx), and the
    iterations."""
    right, preconditioner, cell = fixed
    jacobian = preconditioner.jacobian
    packed = jacobian.pack(_units(cell) * right)
    units = jnp.where(jacobian.present, jacobian.pack(_units(cell)), 1.0).astype(preconditioner.dtype)
    example = jnp.zeros(units.shape, preconditioner.dtype)
    transposed = jax.linear_transpose(jacobian.apply, example)
    transposed_m = jax.linear_transpose(preconditioner.apply, example)

    def operator(x: Array) -> Array:
        return units * transposed(x)[0]

    def inverse(r: Array) -> Array:
        return transposed_m(r / units)[0]

    solve = gcr(operator, inverse, packed, space, rtol=ONE_SOLVE)
    return jacobian.unpack(solve.x), solve.iterations


def _units(cell: CellModel) -> Array:
    """Units (4, nz, ny, nx) that make changes of the fields comparable: 1 V, all lithium, all salt; 0 where absent."""
    units = jnp.ones(4).at[C_E].set(cell.parameters.c_e_init)
    return jnp.where(cell.active, units[:, None, None, None], 0.0)


@compiled
def _size(rows: Array, cell: CellModel) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(_units(cell) * rows)))


def pull_back(
    point: Point, cell: CellModel, u: Array, out: Given, options: NewtonOptions, rtol: float = TOLERANCE
) -> tuple[Pulled, int]:
    """Cotangents of what the stage depends on, from those of its fields `u` (4, nz, ny, nx) and of what it gives; and
    the Krylov iterations that it took. `rtol`: what the transposed problem may leave.

    **Errors:** ConvergenceError if the transposed problem is not solved.
    """
    dtype, unknowns = options.dtype(cell), PACKED_FIELDS * u[0].size
    system, multiplier, krylov = None, jnp.zeros_like(u), 0
    back, pulled = _pull(point, cell, -multiplier, out)
    left = u + back
    whole = float(_size(left, cell))
    norm, best = whole, (whole, pulled)
    for _ in range(MOST_SOLVES):
        if norm <= rtol * whole or not np.isfinite(norm):
            break
        if system is None:
            system = preconditioned(*point, cell, dtype)
        # of unit size: float32 has no room for any unit of an output
        change, iterations = _solve((left / norm, system, cell), Space.empty(options.krylov_max, unknowns, dtype))
        trial = multiplier + norm * change
        krylov += int(iterations)
        back, pulled = _pull(point, cell, -trial, out)
        rest = u + back
        after = float(_size(rest, cell))
        if after < best[0]:
            best = after, pulled
            multiplier, left = trial, rest
        if not after <= NO_HELP * norm:
            if dtype == jnp.float64 or best[0] <= RESOLVED * whole:
                break
            dtype, system = jnp.dtype(jnp.float64), None
        norm = best[0]
    if not best[0] <= RESOLVED * whole:
        raise ConvergenceError(
            f"The transposed problem of a stage was solved to {best[0] / whole:.1e} only, {RESOLVED:g} is needed. Try "
            "solver.precision=double or a larger solver.krylov_max."
        )
    return best[1], krylov
