r"""The transposed linear problem of one implicit stage.

A stage defines u by R(u, h, p) = 0 and hands on o(u, h, p). With the cotangents $\bar u$ and $\bar o$ of both,

$$\Big(\frac{\partial R}{\partial u}\Big)^T\lambda
  = \bar u + \Big(\frac{\partial o}{\partial u}\Big)^T\bar o,\qquad
  (\bar h, \bar p) = \Big(\frac{\partial o}{\partial (h, p)}\Big)^T\bar o
  - \Big(\frac{\partial R}{\partial (h, p)}\Big)^T\lambda .$$

The system is solved with the transposed Jacobian and preconditioner of Newton's method, see `refinement`.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, CellModel
from simulator.model.derivatives.refinement import Point, Systems, Task
from simulator.model.jacobian import PACKED_FIELDS
from simulator.model.newton import FEW, NewtonOptions
from simulator.model.residual import Drive, Evaluation, Flows, History, SideStates, residual
from simulator.numerics.compilation import compiled
from simulator.numerics.krylov import Space, gcr

#: Earlier multipliers and corrections that a solve begins with: a third of the iterations less at 32^3.
RECYCLED = 4


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


@compiled
def _pull_fields(point: Point, cell: CellModel, rows: Array, out: Given) -> Array:
    """The first part of `_pull` alone, in half the time."""
    stage, u, *others = stage_at(point, cell)
    _, back = jax.vjp(lambda u: stage(u, *others), u)
    return back((rows, out))[0]


@compiled(donate="all-except-first")
def _solve(task: Task, space: Space) -> tuple[Array, Array, Array, Space]:
    """As in `refinement.Solve`, of the transposed problem."""
    jacobian, dtype = task.preconditioner.jacobian, task.preconditioner.dtype
    # in units of the fields, so that a small remainder is small for each of them
    units = jnp.where(jacobian.present, jacobian.pack(_units(task.cell)), 1.0).astype(dtype)

    def operator(x: Array) -> Array:
        return units * jacobian.apply_transposed(x)

    def inverse(r: Array) -> Array:
        return task.preconditioner.apply_transposed(r / units)

    packed = jacobian.pack(_units(task.cell) * task.rows)
    solve = gcr(operator, inverse, packed, space, rtol=task.rtol, first=task.directions())
    return jacobian.unpack(solve.x), solve.iterations, solve.relative_residual, solve.space


def _units(cell: CellModel) -> Array:
    """Units (4, nz, ny, nx) that make changes of the fields comparable: 1 V, all lithium, all salt; 0 where absent."""
    units = jnp.ones(4).at[C_E].set(cell.parameters.c_e_init)
    return jnp.where(cell.active, units[:, None, None, None], 0.0)


@compiled
def _size(rows: Array, cell: CellModel) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(_units(cell) * rows)))


def transposed_systems(cell: CellModel, options: NewtonOptions, *, recycled: int | None = None) -> Systems:
    """For `pull_back`. `recycled`: see `Systems`; None: as the size of the grid asks for."""
    if recycled is None:
        recycled = RECYCLED if PACKED_FIELDS * math.prod(cell.shape) > FEW else 0
    return Systems(cell, options, _solve, "The transposed problem of a stage", recycled=recycled)


def pull_back(systems: Systems, point: Point, u: Array, out: Given, rtol: float) -> Pulled:
    """Cotangents of what the stage depends on, from those of its fields `u` (4, nz, ny, nx) and of what it gives.
    `rtol`: what the transposed problem may leave.

    **Errors:** ConvergenceError if the transposed problem is not solved.
    """
    cell = systems.cell

    def remainder(multiplier: Array, light: bool) -> tuple[Array, Pulled | None]:
        if light:
            return u + _pull_fields(point, cell, -multiplier, out), None
        back, pulled = _pull(point, cell, -multiplier, out)
        return u + back, pulled

    return systems.refine(point, remainder, lambda rows: _size(rows, cell), rtol)[1]
