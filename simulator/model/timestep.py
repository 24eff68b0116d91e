r"""One time step: SDIRK2 with an embedded error estimate.

Two stages at $t+\gamma\Delta t$ and $t+\Delta t$ with $\gamma=1-1/\sqrt2$ (Alexander, SIAM J. Numer. Anal. 14 (1977)
1006): L-stable, stiffly accurate, order 2. The concentrations are differential, the potentials algebraic; both are
unknowns of the same stages. So are the states of the side reactions, which faces and voxels solve for themselves. With
the slopes $k_0$ (end of the previous step), $k_1$, $k_2$ of the differential fields
the quadrature of order 3 on the nodes 0, $\gamma$, 1 gives the error estimate
$e=\Delta t\sum(\hat b_i-b_i)k_i = O(\Delta t^3)$.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_S, STO, CellModel
from simulator.model.dry import DRY, is_dry, refilled, with_phi_e, with_psi
from simulator.model.newton import NewtonOptions, Stage, StageResult, Workspace, solve_stage
from simulator.model.residual import Drive, Flows, History, SideStates, Totals
from simulator.numerics.compilation import compiled
from simulator.physics.contact import FaceCurrents
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)
WEIGHTS = (1.0 - GAMMA, GAMMA)  # b: stage weights, also used by the ledger
#: Share of the first stage in what the second one starts from; the rest is that of the step's start.
TAKEN = (1.0 - GAMMA) / GAMMA
# Interpolatory quadrature on (0, gamma, 1), exact for quadratics; minus b.
_B1 = (1.0 / 3.0 - 0.5) / (GAMMA**2 - GAMMA)
_B2 = 0.5 - _B1 * GAMMA
ERROR_WEIGHTS = (1.0 - _B1 - _B2, _B1 - WEIGHTS[0], _B2 - WEIGHTS[1])


#: Rates are extrapolated over steps up to this many times the last one; a parabola through them is useless beyond.
REACH = 4.0
#: A stage this short [s] moves no concentration: it gives the potentials that belong to the present concentrations.
INSTANT = 1e-3


class State(NamedTuple):
    """Where a step starts: fields `u` (4, nz, ny, nx), their time derivative `rate`, with psi (see `dry`) in place of
    phi_e, face currents `j`, `side` states and their time derivative `side_rate`, `voltage` [V] and its time derivative
    `voltage_rate` [V/s], external `current` [A] and its `current_rate` [A/s].

    `reach` [s]: the longest step over which the rates may be extrapolated to guess the next stages; 0 right after a
    change of current, where the potentials have no rate. Only the filling of dry places is always guessed from it.
    """

    u: Array
    rate: Array
    j: FaceCurrents
    side: SideStates
    side_rate: SideStates
    voltage: float
    voltage_rate: float
    current: float
    current_rate: float
    reach: float


def no_currents(side: SideStates, cell: CellModel) -> FaceCurrents:
    """Face currents of zero, of the branches that the cell has."""
    zero = jnp.zeros(cell.faces.area.shape)
    return FaceCurrents(zero) if side.faces is None else FaceCurrents(zero, zero, zero)


def resting_state(u: Array, side: SideStates, cell: CellModel) -> State:
    """The state of a cell that has not run yet: fields `u` and `side` states as given, nothing moves."""
    j = no_currents(side, cell)
    rates = jax.tree.map(jnp.zeros_like, (u, side))
    voltage = float(u[PHI_S, -1, 0, 0])  # one potential everywhere
    return State(u, rates[0], j, side, rates[1], voltage, 0.0, 0.0, 0.0, reach=0.0)


class StepTotals(NamedTuple):
    """Time integrals over one step from the stage fluxes [C]: `flows`, and the `external` charge."""

    flows: Flows
    external: float


@dataclass(frozen=True)
class Step:
    """An attempted step. `state` and `totals` are None if a stage failed; `error` is the scaled error (<= 1 passes).
    `both`: fields and totals of its stages, if they were solved."""

    state: State | None
    totals: StepTotals | None
    error: float
    result: StageResult
    newton: int
    krylov: int
    stages: int
    both: tuple[tuple[Array, Totals], tuple[Array, Totals]] | None = None


class ErrorScales(NamedTuple):
    """Accepted error per step: voltage [V], stoichiometry [-] (root mean square), salt [mol/m3] (root mean square), and
    of the side reactions relative to all that they have passed, or to all that they can."""

    voltage: float
    sto: float
    c_e: float
    side: float


def _inside(v: Array, reference: Array, cell: CellModel) -> Array:
    """Predicted fields `v`, with psi, brought back into the physical range, which extrapolation can leave; phi_e again.
    `reference` has phi_e."""
    sto = jnp.clip(v[STO], 0.2 * reference[STO], 1.0 - 0.2 * (1.0 - reference[STO]))
    c_e = jnp.maximum(v[C_E], 0.3 * reference[C_E])
    u = with_phi_e(jnp.concatenate([v[:STO], sto[None], c_e[None]]), cell)
    return jnp.where(cell.active, u, reference)


def _begin(u, rate, switched, cell):
    """The fields where a step starts, with psi. Right behind a switch the potentials are those of an instant later,
    and so is the salt that psi goes with: in dry places it is another by orders of magnitude."""
    later = u.at[C_E].add(switched * INSTANT * rate[C_E])
    return with_psi(later, cell).at[C_E].set(u[C_E])


@compiled
def _predict_first(u, rate, dt, smooth, switched, cell):
    v = _begin(u, rate, switched, cell) + smooth * GAMMA * dt * rate
    # A dry place that fills does so within no time, and Newton comes down to its salt more easily than up.
    filled = jnp.minimum(u[C_E] + GAMMA * dt * rate[C_E], jnp.maximum(u[C_E], DRY * cell.parameters.c_e_init))
    filling = is_dry(u[C_E], cell) & (rate[C_E] > 0.0)
    v = v.at[C_E].set(jnp.where(filling, jnp.maximum(v[C_E], filled), v[C_E]))
    return _inside(v, u, cell)


def _known(start, middle):
    """Known part of the second stage from the values at the step's start and at its first stage."""
    return start + TAKEN * (middle - start)


@compiled
def _second_stage(u, side: SideStates, rate, y1, side1: SideStates, dt, smooth, switched, cell):
    """History of stage 2, and its guess: through u and Y1, with the slope at u where that is known."""
    history = History(_known(u[STO:], y1[STO:]), side.combine(side1, _known))
    v, v1 = _begin(u, rate, switched, cell), with_psi(y1, cell)
    straight = v + (v1 - v) / GAMMA
    curved = v + dt * rate + (v1 - v - GAMMA * dt * rate) / GAMMA**2
    return history, _inside(smooth * curved + (1.0 - smooth) * straight, y1, cell)


@compiled
def _finish(
    state: tuple, y1, side1: SideStates, y2, total: Totals, history: History, faces, dt, switched, cell, scales: Array
):
    """New rates, and the scaled error: voltage through the linearised faces, sto and salt as root mean square."""
    u, rate, side, side_rate = state

    def slope(start, end):
        return (end - start) / (GAMMA * dt)

    def error_of(k0, k1, k2):
        w0, w1, w2 = ERROR_WEIGHTS
        return dt * (w0 * k0 + w1 * k1 + w2 * k2)

    k2 = slope(history.fields, y2[STO:])
    error = error_of(rate[STO:], slope(u[STO:], y1[STO:]), k2)
    error = jnp.where(cell.active[STO:], error, 0.0)
    side_k2 = history.side.combine(total.side, slope)
    off = jax.tree.map(error_of, side_rate, side.combine(side1, slope), side_k2)

    by_sto = faces.sto * error[0].ravel()[cell.faces.am]
    salt = error[1] * cell.salt_coupling(y2[C_E]) / y2[C_E]  # error of the diffusion potential K ln c_e [V]
    at_faces = faces.c_e * error[1].ravel()[cell.faces.ionic] - faces.phi * salt.ravel()[cell.faces.ionic]
    aside = [jnp.zeros(())]
    if off.faces is not None:
        # A thicker film takes j times its resistance from the potential that drives the face.
        at_faces = at_faces - faces.phi * total.j.total * off.faces[THICKNESS] / cell.decomposition.film.conductivity
        assert total.side.faces is not None
        loss = cell.decomposition.film.loss_thickness
        if loss is not None:  # and costs contact, and the current with it
            at_work = cell.pristine_contact * cell.decomposition.film.remaining(total.side.faces[THICKNESS])
            at_faces = at_faces - total.j.total * at_work * off.faces[THICKNESS] / loss
        aside.extend(_side_errors(off.faces, total.side.faces, cell))
    if off.carbon is not None:
        aside.append(jnp.sum(jnp.abs(off.carbon)) / jnp.maximum(jnp.sum(cell.carbon_voxels), 1))
    # At fixed total current, sum(dJ) = 0 gives the shift of the potential that the errors of the faces amount to.
    volts = jnp.abs(jnp.sum(by_sto + at_faces) / jnp.sum(faces.phi) + jnp.mean(salt[0]))
    count = jnp.maximum(jnp.sum(cell.active[STO:], axis=(1, 2, 3)), 1)
    rms = jnp.sqrt(jnp.sum(error**2, axis=(1, 2, 3)) / count)
    scaled = jnp.max(jnp.stack([volts, rms[0], rms[1], jnp.max(jnp.stack(aside))]) / scales)
    ends = _begin(u, rate, switched, cell), with_psi(y1, cell), with_psi(y2, cell)
    potentials = _end_slope(*(v[PHI_S:STO] for v in ends)) / dt
    return jnp.concatenate([potentials, k2]), side_k2, scaled


def _side_errors(off: Array, states: Array, cell: CellModel) -> list[Array]:
    """Relative errors of the charge decomposed on all faces, and of what is left of the burst."""
    area = cell.pristine_contact
    passed = jnp.sum(states[CHARGE] * area)
    charge = jnp.sum(jnp.abs(off[CHARGE]) * area) / jnp.where(passed > 0, passed, jnp.inf)
    left = jnp.sum(jnp.abs(off[BURST_LEFT]) * area) / jnp.sum(area)
    return [charge, left]


def _end_slope(start, middle, end):
    """Derivative, at the end and per step, of the parabola through the values at 0, gamma and 1."""
    return start * (1.0 - GAMMA) / GAMMA - middle / (GAMMA * (1.0 - GAMMA)) + end * (2.0 - GAMMA) / (1.0 - GAMMA)


@compiled
def _initial_rate(u, side: SideStates, y, after: SideStates, gamma_dt, cell):
    slope = jnp.where(cell.active[STO:], (y[STO:] - u[STO:]) / gamma_dt, 0.0)
    fields = jnp.concatenate([y[:STO], u[STO:]])
    side_rate = side.combine(after, lambda a, b: (b - a) / gamma_dt)
    return fields, jnp.concatenate([jnp.zeros_like(y[:STO]), slope]), side_rate


@contextmanager
def _fresh(workspace: Workspace | None) -> Iterator[Workspace]:
    """The workspace for one time step: nothing of an earlier step is used, and no large array outlives it."""
    work = Workspace() if workspace is None else workspace
    work.forget()
    try:
        yield work
    finally:
        work.forget()


_refilled = compiled(refilled)


#: Part of a jump of what is imposed below which Newton gives up; a power of two, so that parts add up to 1.
_SMALLEST_PART = 2.0**-7


def _partway(before: State, drive: Drive, share: float) -> Drive:
    """What lies `share` of the way from what is there `before` to `drive`."""
    current = before.current + share * (float(drive.current) - before.current)
    voltage = before.voltage + share * (float(drive.voltage) - before.voltage)
    return Drive.of_current(current) if float(drive.constant_current) else Drive.of_voltage(voltage)


def consistent_state(
    before: State,
    drive: Drive,
    cell: CellModel,
    scale: float,
    options: NewtonOptions,
    workspace: Workspace | None = None,
    refill: float = 0.0,
) -> tuple[State | None, Stage]:
    """The state `before` with the potentials and rates that belong to its concentrations under a new `drive`.

    Where Newton does not find them at once, as after a current that has left places without salt, it goes there from
    what is imposed at present in smaller steps. `refill`: share of the initial salt that places without salt are given
    first, see `refilled`.
    """
    u, side = before.u, before.side
    if refill > 0.0:
        u = _refilled(u, cell, jnp.asarray(refill))
    guess, j, history = u, before.j, History(u[STO:], side)
    newton, krylov, solves = 0, 0, 0
    done, step = 0.0, 1.0
    while done < 1.0:
        imposed = drive if done + step == 1.0 else _partway(before, drive, done + step)
        with _fresh(workspace) as work:
            stage = solve_stage(guess, j, history, INSTANT, imposed, cell, scale, options, work)
        newton, krylov, solves = newton + stage.newton, krylov + stage.krylov, solves + 1
        if stage.result is StageResult.converged:
            guess, j, done = stage.u, stage.evaluation.total.j, done + step
            step = min(2.0 * step, 1.0 - done)
        elif step > _SMALLEST_PART:
            step *= 0.5
        else:
            break
    stage = stage._replace(newton=newton, krylov=krylov, solves=solves)
    if stage.result is not StageResult.converged:
        return None, stage
    total = stage.evaluation.total
    fields, rate, side_rate = _initial_rate(u, side, stage.u, total.side, jnp.asarray(INSTANT), cell)
    volts, amperes = float(total.voltage), float(total.current)
    state = State(fields, rate, total.j, side, side_rate, volts, 0.0, amperes, 0.0, reach=0.0)
    return state, stage


def attempt(
    state: State,
    dt: float,
    drives: tuple[Drive, Drive],
    cell: CellModel,
    scale: float,
    options: NewtonOptions,
    scales: ErrorScales,
    workspace: Workspace | None = None,
) -> Step:
    """Try one step of `dt` [s]; never raises on physics. A `workspace` saves allocating its memory for every step.

    `drives`: what is imposed at the two stages, GAMMA dt and dt after the state; of one kind, current or voltage.
    """
    h, smooth = jnp.asarray(dt), jnp.asarray(float(dt <= state.reach))
    switched = jnp.asarray(float(state.reach == 0.0))
    guess = _predict_first(state.u, state.rate, h, smooth, switched, cell)
    with _fresh(workspace) as work:
        start = History(state.u[STO:], state.side)
        first = solve_stage(guess, state.j, start, GAMMA * dt, drives[0], cell, scale, options, work)
        if first.result is not StageResult.converged:
            return Step(None, None, math.inf, first.result, first.newton, first.krylov, 1)
        one = first.evaluation.total
        history, guess = _second_stage(state.u, state.side, state.rate, first.u, one.side, h, smooth, switched, cell)
        second = solve_stage(guess, one.j, history, GAMMA * dt, drives[1], cell, scale, options, work)
        newton, krylov = first.newton + second.newton, first.krylov + second.krylov
        if second.result is not StageResult.converged:
            return Step(None, None, math.inf, second.result, newton, krylov, 2)
        assert work.linearisation is not None
        faces = work.linearisation.response.faces
    two = second.evaluation.total
    before = (state.u, state.rate, state.side, state.side_rate)
    rate, side_rate, error = _finish(
        before, first.u, one.side, second.u, two, history, faces, h, switched, cell, jnp.asarray(scales)
    )
    b1, b2 = (w * dt for w in WEIGHTS)
    passed = Flows(*(b1 * float(a) + b2 * float(b) for a, b in zip(one.flows, two.flows, strict=True)))
    totals = StepTotals(passed, external=b1 * float(one.current) + b2 * float(two.current))
    volts = (state.voltage, float(one.voltage), float(two.voltage))
    amperes = (state.current, float(one.current), float(two.current))
    slopes = (_end_slope(*volts) / dt, _end_slope(*amperes) / dt)
    end = State(
        second.u, rate, two.j, two.side, side_rate, volts[2], slopes[0], amperes[2], slopes[1], reach=REACH * dt
    )
    both = (first.u, one), (second.u, two)
    return Step(end, totals, float(error), StageResult.converged, newton, krylov, 2, both)
