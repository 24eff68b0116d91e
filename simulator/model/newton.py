"""Newton's method for one implicit stage: host decisions around a few compiled functions.

`_evaluate` gives the residual, `_linearise` and `_precondition` set up the linear system, `_correction` solves it as
far as is worth while, `_moved` goes along it, `_rebalanced` closes charge, lithium and salt exactly by four numbers.
The Jacobian is kept, with the directions tried on it, as long as the residual falls: for both stages of a time step, as
a rule. The host decides on convergence, damping and failure, so that nothing is hidden in a traced branch and a NaN is
seen at once. The residual stands in one program alone, since XLA takes seconds to compile it.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_S, STO, CellModel
from simulator.model.dry import feasible, with_phi_e, with_psi
from simulator.model.jacobian import PACKED_FIELDS, FaceDerivatives, Jacobian, linearise
from simulator.model.preconditioner import Preconditioner, precondition
from simulator.model.residual import (
    Drive,
    Evaluation,
    History,
    Totals,
    carbon_oxidation,
    collector,
    residual,
    true_contact,
)
from simulator.numerics.compilation import compiled
from simulator.numerics.krylov import Space, gcr
from simulator.numerics.stencil import AXES, take
from simulator.physics.contact import FaceCurrents


@dataclass(frozen=True)
class NewtonOptions:
    """Settings of the stage solve.

    `tolerance`: 2-norm of the residual in units of the current scale. `balance`: the same for each conserved sum.
    `max_iterations`: corrections of the stage; `krylov_max`: directions that may be kept for its linear systems.
    `mixed`: float32 preconditioner and linear solver on grids that are coarsened (False: all float64).
    """

    tolerance: float = 1e-6
    balance: float = 1e-10
    max_iterations: int = 20
    krylov_max: int = 40
    mixed: bool = True

    def dtype(self, cell: CellModel) -> jnp.dtype:
        """Precision of the linear solver. A cell small enough for a direct solve gains nothing from float32, and a thin
        one would suffer: its potentials are held by a few faces, against conductances 1e6 times larger."""
        return jnp.dtype(jnp.float32 if self.mixed and cell.grid.plan else jnp.float64)


#: Lowest tolerance of one linear solve: directions are kept for the next, so that nothing is gained by asking more.
LINEAR_TOLERANCE = 0.01
#: A correction that leaves more than this share of the residual asks for a new Jacobian.
SLOW = 0.1
#: The shortest part of a correction that is tried where the whole makes things worse.
SHORTEST = 2.0**-6
#: Directions that there is room for at the start of a time step.
ROWS = 16
#: Unknowns up to which a time step starts with room for `krylov_max` directions: on small grids compiling a second
#: program costs more than their memory.
FEW = 30_000
#: A linear solve that fills them and leaves more than this share of its residual gets room for `krylov_max`.
STRUGGLING = 0.1
#: Directions that must be free before a linear solve; otherwise it starts from an empty space.
ROOM = 5
#: However badly the potentials resolve the currents, a residual above this share of the applied current fails.
LOOSEST = 1e-3


class StageResult(enum.Enum):
    """How a stage solve ended; the value tells the user what happened."""

    converged = "converged"
    stalled = "Newton stopped reducing the residual"
    not_finite = "the residual is not finite"


class Response(NamedTuple):
    """Of a linearisation, perhaps of an earlier stage of the time step: `faces` per face, `anode` (2,) [A] summed over
    the plane, `carbon` [S] over the voxels, `plane` (2,) the same of the current into the collector plane with respect
    to phi_s [S] and sto [A], and `resolution` [A]: the 2-norm that the rounding of the solid potential alone leaves in
    the residual.
    """

    faces: FaceDerivatives
    anode: Array
    carbon: Array
    plane: Array
    resolution: Array


class Linearisation(NamedTuple):
    """The Jacobian with its preconditioner, and what the time step needs of it."""

    preconditioner: Preconditioner
    response: Response


def first_rows(unknowns: int, krylov_max: int) -> int:
    """Directions that there is room for at the start of a time step."""
    return krylov_max if unknowns <= FEW else min(ROWS, krylov_max)


@dataclass
class Workspace:
    """What one stage hands on to the next of the same time step, and the memory that all stages share.

    `linearisation`: of an earlier stage or iterate with the same cell, kind of drive and `gamma_dt` (call `forget` when
    one of them changes); `space`: the directions tried with it.
    """

    linearisation: Linearisation | None = None
    space: Space | None = None

    def forget(self) -> None:
        """Another time step or drive begins. The memory of the space stays, unless it has grown: each time step must
        begin alike, or a resumed run would not repeat the uninterrupted one to the last bit."""
        self.linearisation = None
        if self.space is not None:
            grown = self.space.rows > ROWS and self.space.directions.shape[1] > FEW
            self.space = None if grown else self.space.emptied()


class Stage(NamedTuple):
    """A solved (or failed) stage: fields `u` (4, nz, ny, nx) [V, V, -, mol/m3], evaluation there, outcome, Newton and
    Krylov counts, and `norm`: the 2-norm of the rows in units of the current scale; `solves`: stages that it took."""

    u: Array
    evaluation: Evaluation
    result: StageResult
    newton: int
    krylov: int
    norm: float
    solves: int = 1


class _Correction(NamedTuple):
    """What the linear system asks for: `du` (4, nz, ny, nx), the Krylov iterations it took, the share of the residual
    that it leaves, and the `space` that is kept."""

    du: Array
    krylov: Array
    left: Array
    space: Space


@compiled
def _held(u, j: FaceCurrents, history: History, drive: Drive, cell: CellModel) -> Array:
    """The guess `u` with its solid potential shifted by one constant to what belongs to the held collector, at the
    currents `j`: millivolts between the plane and the last layer would be 1e6 times the current, and hide the rest."""
    sides = cell.face_sides(*cell.gather(u), history.side.faces)
    current = jnp.sum(j.total * true_contact(cell, sides))
    if history.side.carbon is not None:
        current = current + jnp.sum(carbon_oxidation(u, cell, history.side.carbon, jnp.zeros(()))[0])
    free = Drive(current, drive.voltage, jnp.ones(()))
    floating = collector(u, cell.cell_values(u, ends=True), cell, free).potential
    return u + jnp.where(cell.active, jnp.zeros(4).at[PHI_S].set(drive.voltage - floating)[:, None, None, None], 0.0)


@compiled
def _evaluate(
    u, history: History, gamma_dt, drive: Drive, cell: CellModel, j: FaceCurrents, scale
) -> tuple[Evaluation, Array]:
    """The residual, and its 2-norm in units of the current `scale`."""
    evaluation = residual(u, history, gamma_dt, drive, cell, j)
    return evaluation, jnp.sqrt(jnp.sum(jnp.square(evaluation.rows))) / scale


@compiled
def _linearise(
    u, total: Totals, history: History, gamma_dt, drive: Drive, cell: CellModel, dtype
) -> tuple[Jacobian, Response]:
    jacobian = linearise(u, total, history, gamma_dt, drive, cell, dtype)
    anode = jnp.sum(jacobian.anode, axis=(1, 2))
    carbon = jnp.zeros(()) if jacobian.carbon is None else jnp.sum(jacobian.carbon)
    by_sto = jnp.zeros(()) if jacobian.plane_sto is None else jnp.sum(jacobian.plane_sto)
    plane = jnp.stack([jnp.sum(jacobian.plane), by_sto])
    return jacobian, Response(jacobian.faces, anode, carbon, plane, _resolution(u, jacobian))


# A program of its own: as one with the assembly of the Jacobian it takes as long again.
_precondition = compiled(precondition)


@compiled(donate="all-except-first")
def _correction(fixed: tuple[Array, Preconditioner, Array], space: Space) -> _Correction:
    rows, preconditioner, rtol = fixed
    jacobian = preconditioner.jacobian
    solve = gcr(jacobian.apply, preconditioner.apply, jacobian.pack(-rows), space, rtol=rtol)
    return _Correction(jacobian.unpack(solve.x), solve.iterations, solve.relative_residual, solve.space)


@compiled
def _moved(u: Array, du: Array, theta: Array, cell: CellModel) -> Array:
    """The fields `theta` of the way (with psi) from `u` along what is feasible of `du`."""
    start, end = with_psi(u, cell), with_psi(feasible(u, u + du, cell), cell)
    return with_phi_e(start + theta * (end - start), cell)


def _resolution(u: Array, jacobian: Jacobian) -> Array:
    links = jnp.zeros(u.shape[1:])
    for axis in AXES:
        k = jacobian.axes[axis].drop[0].astype(u.dtype)
        links = links + take(k, axis, 0, -1) + take(k, axis, 1, None)
    return 2.0**-53 * jnp.sqrt(jnp.sum(jnp.square(links * u[PHI_S])))


@compiled
def _rebalanced(u, imbalance: Array, response: Response, gamma_dt, drive: Drive, cell: CellModel) -> Array:
    """Potentials and sto shifted by a constant each, c_e scaled by one, so that the four conserved sums vanish to first
    order. A factor leaves ln c_e alone where the salt has all but run out; a shift would not."""
    shape = jnp.where(cell.active[C_E], u[C_E] / jnp.mean(u[C_E, 0]), 0.0) if cell.binary else jnp.ones(u.shape[1:])
    whole, lithium, anions = response.faces.sums(shape.ravel()[cell.faces.ionic])
    a_phi, a_c = response.anode[0], response.anode[1]  # the shape is about 1 at the counter electrode
    solid = jnp.sum(jnp.where(cell.active[STO], cell.solid_storage / gamma_dt, 0.0))
    salt = jnp.sum(jnp.where(cell.active[C_E], cell.salt_storage * shape / gamma_dt, 0.0))
    m = 1.0 - cell.t_plus_ref
    held = (1.0 - drive.constant_current) * response.plane  # what comes from a held collector falls with phi_s

    def shifted(slopes: Array) -> Array:
        """What shifts of phi_s, phi_e, sto and c_e do to a sum over the faces."""
        return jnp.stack([slopes[0], -slopes[0], slopes[1], slopes[2]])

    zero = jnp.zeros(())
    current = shifted(whole) + response.carbon * jnp.array([1.0, -1.0, 0.0, 0.0])
    stripped = jnp.stack([zero, a_phi, zero, a_c])
    matrix = jnp.stack(
        [
            current.at[PHI_S].add(held[0]).at[STO].add(held[1]),
            -current - stripped,
            shifted(lithium).at[2].add(solid),
            (shifted(anions) - m * (current + stripped)).at[3].add(salt),
        ]
    )
    if not cell.binary:
        matrix = matrix.at[3].set(jnp.array([0.0, 0.0, 0.0, 1.0])).at[:3, 3].set(0.0)
    row_scale = 1.0 / jnp.max(jnp.abs(matrix), axis=1)
    shift = -jnp.linalg.solve(matrix * row_scale[:, None], imbalance * row_scale)
    ones = jnp.ones_like(shape)
    return u + jnp.where(cell.active, shift[:, None, None, None] * jnp.stack([ones, ones, ones, shape]), 0.0)


def preconditioned(
    u: Array, j: FaceCurrents, history: History, gamma_dt: Array, drive: Drive, cell: CellModel, dtype: jnp.dtype
) -> Preconditioner:
    """The Jacobian of a solved stage with its preconditioner, in `dtype`, by the programs of `solve_stage`."""
    evaluation, _ = _evaluate(u, history, gamma_dt, drive, cell, j, jnp.ones(()))
    jacobian, _ = _linearise(u, evaluation.total, history, gamma_dt, drive, cell, dtype)
    return _precondition(jacobian, cell, dtype)


def _balanced(total: Totals, allowed: float) -> bool:
    """Whether every conserved sum is closed to `allowed` [A], or to what float64 resolves."""
    return bool(np.all(np.abs(total.imbalance) <= np.maximum(allowed, np.asarray(total.rounding))))


def solve_stage(
    u: Array,
    j: FaceCurrents,
    history: History,
    gamma_dt: float,
    drive: Drive,
    cell: CellModel,
    scale: float,
    options: NewtonOptions,
    workspace: Workspace | None = None,
) -> Stage:
    """Solve one implicit stage from the guess `u` (4, nz, ny, nx) [V, V, -, mol/m3] and `j` (n,) [A/m2 contact].

    Never raises: look at `result`. `history` of the stage; `gamma_dt` [s]; `scale` [A] makes residual and balances
    dimensionless. A linearisation in `workspace` is used as long as it serves; the last one is left there.
    """
    work = Workspace() if workspace is None else workspace
    unknowns, dtype = PACKED_FIELDS * u[0].size, options.dtype(cell)
    if work.space is None or work.space.directions.shape[1] != unknowns or work.space.directions.dtype != dtype:
        work.forget()
        work.space = Space.empty(first_rows(unknowns, options.krylov_max), unknowns, dtype)
    dt = jnp.asarray(gamma_dt, jnp.float64)
    size = jnp.asarray(scale, jnp.float64)

    def evaluated(u: Array, j: FaceCurrents) -> tuple[Evaluation, float]:
        evaluation, norm = _evaluate(u, history, dt, drive, cell, j, size)
        return evaluation, float(norm)

    if not float(drive.constant_current):
        u = _held(u, j, history, drive, cell)
    evaluation, norm = evaluated(u, j)
    newton = krylov = 0
    tolerance = options.tolerance

    def ended(result: StageResult) -> Stage:
        return Stage(u, evaluation, result, newton, krylov, norm)

    # A linearisation is needed even if the guess solves the stage: to balance it, and to judge the time step.
    while not norm <= tolerance or work.linearisation is None:
        if not np.isfinite(norm):
            return ended(StageResult.not_finite)
        if newton == options.max_iterations:
            return ended(StageResult.stalled)
        here = work.linearisation is None  # whether the linearisation belongs to this very iterate
        if work.linearisation is None:
            jacobian, response = _linearise(u, evaluation.total, history, dt, drive, cell, dtype)
            work.linearisation = Linearisation(_precondition(jacobian, cell, dtype), response)
            del jacobian  # or it would outlive its successor's birth, at the peak of the memory
            work.space = work.space.emptied()
        # Very conducting solids: float64 potentials of 4 V do not resolve the currents any better than this.
        resolution = float(work.linearisation.response.resolution)
        tolerance = max(options.tolerance, min(2.0 * resolution / scale, LOOSEST))
        # Ask the linear solver for what is needed to arrive, not for more: 0.3 leaves room for the nonlinearity.
        rtol = jnp.asarray(np.clip(0.3 * tolerance / max(norm, 1e-300), LINEAR_TOLERANCE, 0.1))
        step = _correction((evaluation.rows, work.linearisation.preconditioner, rtol), work.space)
        newton, krylov = newton + 1, krylov + int(step.krylov)
        du, space, left = step.du, step.space, float(step.left)
        del step
        if left > STRUGGLING and space.rows < options.krylov_max:
            work.space = None
            del space  # before there is a larger one
            work.space = Space.empty(options.krylov_max, unknowns, dtype)
        else:
            work.space = space.emptied() if space.rows - int(space.used) < ROOM else space
        theta, total = 1.0, evaluation.total
        u_new = _moved(u, du, jnp.asarray(theta), cell)
        after, new_norm = evaluated(u_new, total.j)
        slow = not new_norm <= max(SLOW, min(1.0, 2.0 * left)) * norm
        while here and not new_norm <= max(norm, tolerance) and theta > SHORTEST:
            theta *= 0.5
            u_new = _moved(u, du, jnp.asarray(theta), cell)
            after, new_norm = evaluated(u_new, total.j)
        if new_norm <= max(norm, tolerance):
            u, evaluation, norm = u_new, after, new_norm
        elif here:
            return ended(StageResult.stalled if np.isfinite(new_norm) else StageResult.not_finite)
        if slow and not norm <= tolerance:
            work.linearisation = None  # where the old one has not served, this iterate gets its own
    response = work.linearisation.response
    for _ in range(6):
        if _balanced(evaluation.total, options.balance * scale):
            break
        u = _rebalanced(u, evaluation.total.imbalance, response, dt, drive, cell)
        evaluation, norm = evaluated(u, evaluation.total.j)
    closed = norm <= 2.0 * tolerance and _balanced(evaluation.total, options.balance * scale)
    if not (closed and bool(evaluation.total.settled)):
        return ended(StageResult.stalled)
    return ended(StageResult.converged)
