r"""One time step: SDIRK2 with an embedded error estimate.

Two stages at $t+\gamma\Delta t$ and $t+\Delta t$ with $\gamma=1-1/\sqrt2$ (Alexander, SIAM J. Numer. Anal. 14 (1977)
1006): L-stable, stiffly accurate, order 2. The concentrations are differential, the potentials algebraic; both are
unknowns of the same stages. With the slopes $k_0$ (end of the previous step), $k_1$, $k_2$ of the differential fields
the quadrature of order 3 on the nodes 0, $\gamma$, 1 gives the error estimate
$e=\Delta t\sum(\hat b_i-b_i)k_i = O(\Delta t^3)$.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_S, STO, CellModel
from simulator.model.jacobian import FaceDerivatives
from simulator.model.newton import NewtonOptions, Stage, StageResult, Workspace, solve_stage
from simulator.model.residual import Drive
from simulator.numerics.compilation import compiled

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)
WEIGHTS = (1.0 - GAMMA, GAMMA)  # b: stage weights, also used by the ledger
# Interpolatory quadrature on (0, gamma, 1), exact for quadratics; minus b.
_B1 = (1.0 / 3.0 - 0.5) / (GAMMA**2 - GAMMA)
_B2 = 0.5 - _B1 * GAMMA
ERROR_WEIGHTS = (1.0 - _B1 - _B2, _B1 - WEIGHTS[0], _B2 - WEIGHTS[1])


#: Rates are extrapolated over steps up to this many times the last one; a parabola through them is useless beyond.
REACH = 4.0


class State(NamedTuple):
    """Where a step starts: fields `u` (4, nz, ny, nx), their time derivative `rate`, face currents `j`, `voltage` [V]
    and its time derivative `voltage_rate` [V/s], external `current` [A] and its `current_rate` [A/s].

    `reach` [s]: the longest step over which the rates may be extrapolated to guess the next stages; 0 right after a
    change of current, where the potentials have no rate.
    """

    u: Array
    rate: Array
    j: Array
    voltage: float
    voltage_rate: float
    current: float
    current_rate: float
    reach: float


class StepTotals(NamedTuple):
    """Time integrals over one step from the stage fluxes [C]: reaction, anode, external charge."""

    reaction: float
    anode: float
    external: float


@dataclass(frozen=True)
class Step:
    """An attempted step. `state` and `totals` are None if a stage failed; `error` is the scaled error (<= 1 passes)."""

    state: State | None
    totals: StepTotals | None
    error: float
    result: StageResult
    newton: int
    krylov: int
    stages: int


class ErrorScales(NamedTuple):
    """Accepted error per step: voltage [V], stoichiometry [-] (root mean square), salt [mol/m3] (root mean square)."""

    voltage: float
    sto: float
    c_e: float


def _inside(u: Array, reference: Array, cell: CellModel) -> Array:
    """A predicted `u` brought back into the physical range, which extrapolation can leave."""
    sto = jnp.clip(u[STO], 0.2 * reference[STO], 1.0 - 0.2 * (1.0 - reference[STO]))
    c_e = jnp.maximum(u[C_E], 0.3 * reference[C_E])
    return jnp.where(cell.active, jnp.concatenate([u[:STO], sto[None], c_e[None]]), reference)


@compiled
def _predict_first(u, rate, dt, smooth, cell):
    return _inside(u + smooth * GAMMA * dt * rate, u, cell)


@compiled
def _second_stage(u, rate, y1, dt, smooth, cell):
    """Known part of stage 2, and its guess: through u and Y1, with the slope at u where that is known."""
    known = u[STO:] + ((1.0 - GAMMA) / GAMMA) * (y1[STO:] - u[STO:])
    straight = u + (y1 - u) / GAMMA
    curved = u + dt * rate + (y1 - u - GAMMA * dt * rate) / GAMMA**2
    return known, _inside(smooth * curved + (1.0 - smooth) * straight, y1, cell)


@compiled
def _finish(u, rate, y1, y2, known2, faces: FaceDerivatives, dt, cell, scales: Array):
    """New rate, and the scaled error: voltage through the linearised faces, sto and salt as root mean square."""
    k1 = (y1[STO:] - u[STO:]) / (GAMMA * dt)
    k2 = (y2[STO:] - known2) / (GAMMA * dt)
    w0, w1, w2 = ERROR_WEIGHTS
    error = dt * (w0 * rate[STO:] + w1 * k1 + w2 * k2)
    error = jnp.where(cell.active[STO:], error, 0.0)
    by_sto = faces.sto * error[0].ravel()[cell.faces.am]
    salt = error[1] * cell.salt_coupling(y2[C_E]) / y2[C_E]  # error of the diffusion potential K ln c_e [V]
    at_faces = faces.c_e * error[1].ravel()[cell.faces.ionic] - faces.phi * salt.ravel()[cell.faces.ionic]
    # At fixed total current, sum(dJ) = 0 gives the shift of the potential that the errors of the faces amount to.
    volts = jnp.abs(jnp.sum(by_sto + at_faces) / jnp.sum(faces.phi) + jnp.mean(salt[0]))
    count = jnp.maximum(jnp.sum(cell.active[STO:], axis=(1, 2, 3)), 1)
    rms = jnp.sqrt(jnp.sum(error**2, axis=(1, 2, 3)) / count)
    scaled = jnp.max(jnp.stack([volts, rms[0], rms[1]]) / scales)
    potentials = _end_slope(u[PHI_S:STO], y1[PHI_S:STO], y2[PHI_S:STO]) / dt
    return jnp.concatenate([potentials, k2]), scaled


def _end_slope(start, middle, end):
    """Derivative, at the end and per step, of the parabola through the values at 0, gamma and 1."""
    return start * (1.0 - GAMMA) / GAMMA - middle / (GAMMA * (1.0 - GAMMA)) + end * (2.0 - GAMMA) / (1.0 - GAMMA)


@compiled
def _initial_rate(u, y, gamma_dt, cell):
    slope = jnp.where(cell.active[STO:], (y[STO:] - u[STO:]) / gamma_dt, 0.0)
    fields = jnp.concatenate([y[:STO], u[STO:]])
    return fields, jnp.concatenate([jnp.zeros_like(y[:STO]), slope])


@contextmanager
def _fresh(workspace: Workspace | None) -> Iterator[Workspace]:
    """The workspace for one time step: nothing of an earlier step is used, and no large array outlives it."""
    work = Workspace() if workspace is None else workspace
    work.forget()
    try:
        yield work
    finally:
        work.forget()


#: A stage this short [s] moves no concentration: it gives the potentials that belong to the present concentrations.
_INSTANT = 1e-3


def consistent_state(
    u: Array,
    j: Array,
    drive: Drive,
    cell: CellModel,
    scale: float,
    options: NewtonOptions,
    workspace: Workspace | None = None,
) -> tuple[State | None, Stage]:
    """State with the potentials and rates that belong to the concentrations of `u` under a new `drive`."""
    with _fresh(workspace) as work:
        stage = solve_stage(u, j, u[STO:], _INSTANT, drive, cell, scale, options, work)
    if stage.result is not StageResult.converged:
        return None, stage
    fields, rate = _initial_rate(u, stage.u, jnp.asarray(_INSTANT), cell)
    total = stage.evaluation.total
    state = State(fields, rate, total.j, float(total.voltage), 0.0, float(total.current), 0.0, reach=0.0)
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
    guess = _predict_first(state.u, state.rate, h, smooth, cell)
    with _fresh(workspace) as work:
        first = solve_stage(guess, state.j, state.u[STO:], GAMMA * dt, drives[0], cell, scale, options, work)
        if first.result is not StageResult.converged:
            return Step(None, None, math.inf, first.result, first.newton, first.krylov, 1)
        known, guess = _second_stage(state.u, state.rate, first.u, h, smooth, cell)
        second = solve_stage(guess, first.evaluation.total.j, known, GAMMA * dt, drives[1], cell, scale, options, work)
        newton, krylov = first.newton + second.newton, first.krylov + second.krylov
        if second.result is not StageResult.converged:
            return Step(None, None, math.inf, second.result, newton, krylov, 2)
        assert work.linearisation is not None
        faces = work.linearisation.response.faces
    rate, error = _finish(state.u, state.rate, first.u, second.u, known, faces, h, cell, jnp.asarray(scales))
    b1, b2 = (w * dt for w in WEIGHTS)
    one, two = first.evaluation.total, second.evaluation.total
    totals = StepTotals(
        reaction=b1 * float(one.reaction_current) + b2 * float(two.reaction_current),
        anode=b1 * float(one.anode_current) + b2 * float(two.anode_current),
        external=b1 * float(one.current) + b2 * float(two.current),
    )
    volts = (state.voltage, float(one.voltage), float(two.voltage))
    amperes = (state.current, float(one.current), float(two.current))
    slopes = (_end_slope(*volts) / dt, _end_slope(*amperes) / dt)
    end = State(second.u, rate, two.j, volts[2], slopes[0], amperes[2], slopes[1], reach=REACH * dt)
    return Step(end, totals, float(error), StageResult.converged, newton, krylov, 2)
