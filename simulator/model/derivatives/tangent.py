r"""Forward sensitivities of a run: how its stages move along given directions, step by step.

The same linearised run as in `reverse`, taken forwards: for each direction and stage one problem with the Jacobian,

$$\frac{\partial R}{\partial u}\,\dot u = -\frac{\partial R}{\partial (h, p)}\,(\dot h, \dot p),$$

solved as `refinement` says: all directions share the assembly and the Krylov directions.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.model.cell import PHI_S, STO, CellModel
from simulator.model.derivatives.course import Timetable
from simulator.model.derivatives.outputs import View
from simulator.model.derivatives.path import drive_of, known_of, limit_of, rate_of, spans_of, start_of
from simulator.model.derivatives.refinement import Point, Systems, Task
from simulator.model.derivatives.transposed import Given, stage_at
from simulator.model.dry import refilled
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Drive, Flows, History, SideStates
from simulator.model.tape import Met, Stepped, Switched, Tape
from simulator.model.timestep import GAMMA, INSTANT, TAKEN, WEIGHTS
from simulator.numerics.compilation import compiled
from simulator.numerics.krylov import Space, gcr


class Move(NamedTuple):
    """Tangents of what a stage is solved from: `history`, `gamma_dt`, `drive` and the float arrays of the `cell`."""

    history: History
    gamma_dt: Array
    drive: Drive
    cell: CellModel


@compiled
def _push(point: Point, cell: CellModel, u: Array, move: Move) -> tuple[Array, Given]:
    """Tangents of the residual's rows and of what the stage gives, for that of its fields `u` and a `move`."""
    stage, *at = stage_at(point, cell)
    _, (rows, out) = jax.jvp(stage, at, [u, *move])
    return rows, out


@compiled(donate="all-except-first")
def _solve(task: Task, space: Space) -> tuple[Array, Array, Array, Space]:
    """As in `refinement.Solve`."""
    preconditioner = task.preconditioner
    jacobian = preconditioner.jacobian
    solve = gcr(
        jacobian.apply, preconditioner.apply, jacobian.pack(task.rows), space, rtol=task.rtol, first=task.directions()
    )
    return jacobian.unpack(solve.x), solve.iterations, solve.relative_residual, solve.space


@compiled
def _norm(rows: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(rows)))


def push_forward(systems: Systems, point: Point, moves: Sequence[Move], rtol: float) -> list[tuple[Array, Given]]:
    """Tangents of the fields (4, nz, ny, nx) and of what the stage gives, for each of `moves`.

    **Errors:** ConvergenceError if a problem is not solved.
    """

    def remainder_of(move: Move) -> Callable[[Array, bool], tuple[Array, Given]]:
        def remainder(u: Array, light: bool) -> tuple[Array, Given]:
            rows, out = _push(point, systems.cell, u, move)
            return -rows, out

        return remainder

    return [systems.refine(point, remainder_of(move), _norm, rtol) for move in moves]


class Direction(NamedTuple):
    """Tangents of what a run depends on: the float arrays of the `cell`, the `initial` fields (4, nz, ny, nx), and the
    `numbers` of the protocol {(position, field): value}."""

    cell: CellModel
    initial: Array
    numbers: dict[tuple[int, str], float]


class _Moving(NamedTuple):
    """Tangents of a moment of the run, of one direction. `begin` [s] of the part, `opened` [V]: the voltage just before
    it; `way` [s]: the length of the way to a time that is met."""

    fields: Array
    side: SideStates
    t: float
    begin: float
    opened: float
    way: float
    voltage: float
    current: float
    charge: float
    passed: Flows

    def view(self, looks: bool) -> View:
        """As an output sees it."""
        numbers = (self.t, self.charge, self.passed, self.voltage, self.current)
        t, charge, passed, voltage, current = jax.tree.map(lambda x: jnp.asarray(x, float), numbers)
        fields, side = (self.fields, self.side) if looks else (None, None)
        return View(t, charge, passed, voltage, current, fields, side)


class Forward:
    """One sweep over a `tape` of a run of `cell`, along several directions at once."""

    def __init__(self, tape: Tape, cell: CellModel, timetable: Timetable, options: NewtonOptions, rtol: float) -> None:
        self.tape, self.cell, self.timetable, self.rtol = tape, cell, timetable, rtol
        self.systems = Systems(cell, options, _solve, "The tangent of a stage")
        self.spans = spans_of(tape)

    def sweep(self, directions: Sequence[Direction], views: dict[int, View]) -> list[dict[int, View]]:
        """Tangents of the `views` {entry: view}, for each direction."""
        self.directions = list(directions)
        side = jax.tree.map(jnp.zeros_like, self.tape.initial_side)
        now = [
            _Moving(d.initial, side, 0.0, 0.0, 0.0, 0.0, float(d.initial[PHI_S, -1, 0, 0]), 0.0, 0.0, Flows())
            for d in self.directions
        ]
        found: list[dict[int, View]] = [{} for _ in self.directions]
        part = -1
        for k, entry in enumerate(self.tape.entries):
            self.systems.forget()
            if entry.part != part:
                part, now = entry.part, [m._replace(begin=m.t, opened=m.voltage) for m in now]
            if isinstance(entry, Switched):
                # the voltage of a part that ends at its switch is where the next one begins
                last = k + 1 < len(self.tape.entries) and self.tape.entries[k + 1].part != entry.part
                now = self._switch(k, entry, now, k in views or last)
            else:
                now = self._step(k, entry, now)
            if k in views:
                for moving, seen in zip(now, found, strict=True):
                    seen[k] = moving.view(views[k].u is not None)
        return found

    # -- entries ------------------------------------------------------------------------------------------------

    def _pushed(self, point: Point, moves: Sequence[Move]) -> list[tuple[Array, Given]]:
        return push_forward(self.systems, point, moves, self.rtol)

    def _number(self, k: int, read: Any, moving: _Moving, direction: Direction) -> float:
        """Tangent of what `read` finds in the course, from the numbers of the step and the voltage at its begin."""
        facts = self.tape.parts[self.tape.entries[k].part]
        by_number, by_voltage = self.timetable.slopes(facts, read)
        own = sum(slope * direction.numbers.get((facts.position, name), 0.0) for name, slope in by_number.items())
        return own + by_voltage * moving.opened

    def _imposed(self, k: int, t: float | None, moving: _Moving, direction: Direction, since: float) -> float:
        """Tangent of what is imposed `t` [s] after the begin of the part, itself moving by `since`; None: at the end of
        the piece."""
        entry = self.tape.entries[k]
        n = entry.piece
        if t is None:
            return self._number(k, lambda course: course.imposed(n, course.ends[n]), moving, direction)
        value = self._number(k, lambda course: course.imposed(n, t), moving, direction)
        return value + since * rate_of(self.tape, self.timetable, entry, t)

    def _switch(self, k: int, entry: Switched, now: list[_Moving], wanted: bool) -> list[_Moving]:
        start, side = start_of(self.tape, self.cell, k)
        moved = [m.fields for m in now]
        if entry.refill > 0.0:
            moved = [
                _refill_push(start, self.cell, jnp.asarray(entry.refill), m.fields, d.cell)
                for m, d in zip(now, self.directions, strict=True)
            ]
            start = refilled(start, self.cell, entry.refill)
        drive = drive_of(self.tape, self.timetable, entry, entry.since)
        if not wanted:  # its potentials have no memory, but for where the next part begins
            return [m._replace(fields=u) for m, u in zip(now, moved, strict=True)]
        stage = self.tape.stage(k)
        at = Point(stage.u, stage.j, History(start[STO:], side), jnp.asarray(INSTANT), drive)
        moves = []
        for m, u, d in zip(now, moved, self.directions, strict=True):
            value = self._imposed(k, entry.since, m, d, m.t - m.begin)
            moves.append(Move(History(u[STO:], m.side), jnp.zeros(()), _drive(drive, value), d.cell))
        result = []
        for m, u, (potentials, out) in zip(now, moved, self._pushed(at, moves), strict=True):
            fields = jnp.concatenate([potentials[:STO], u[STO:]])
            result.append(m._replace(fields=fields, voltage=float(out.voltage), current=float(out.current)))
        return result

    def _step(self, k: int, entry: Stepped, now: list[_Moving]) -> list[_Moving]:
        first, whole = self.spans.get(k, (None, 0.0))
        if first == k:
            now = [
                m._replace(way=self._target(k, entry, m, d) - m.t) for m, d in zip(now, self.directions, strict=True)
            ]
        lengths = [0.0 if first is None else entry.dt / whole * m.way for m in now]
        moved = self._moved(k, entry, now, self.directions, lengths)
        if entry.cutoff is None:
            return moved
        # The length that ends on the cut-off: from how the end moves with it alone.
        still = jax.tree.map(lambda x: 0.0 * x, now[0])
        nothing = Direction(
            jax.tree.map(jnp.zeros_like, self.directions[0].cell), jnp.zeros_like(self.directions[0].initial), {}
        )
        (alone,) = self._moved(k, entry, [still], [nothing], [1.0])
        limit, voltage = limit_of(entry.cutoff), entry.cutoff.quantity == "voltage"
        sign = float(np.sign(entry.second.current))

        def excess(m: _Moving) -> float:
            return m.voltage if voltage else sign * m.current

        ended = []
        for m, before, d in zip(moved, now, self.directions, strict=True):
            dt = (self._number(k, limit, before, d) - excess(m)) / excess(alone)
            ended.append(
                jax.tree.map(lambda a, b, dt=dt: a + dt * b, m, alone)._replace(
                    begin=m.begin, opened=m.opened, way=m.way
                )
            )
        return ended

    def _target(self, k: int, entry: Stepped, moving: _Moving, direction: Direction) -> float:
        if entry.met is Met.asked:
            return 0.0
        if entry.met is Met.pulse:
            return moving.begin
        return moving.begin + self._number(k, lambda c, n=entry.piece: c.ends[n], moving, direction)

    def _moved(
        self, k: int, entry: Stepped, now: list[_Moving], directions: list[Direction], lengths: list[float]
    ) -> list[_Moving]:
        """The end of a step whose length moves by `lengths` [s]."""
        dt, (w1, w2) = entry.dt, (w * entry.dt for w in WEIGHTS)
        start, side0, known = known_of(self.tape, self.cell, k)
        times = entry.since + GAMMA * dt, entry.since + dt
        drives = [drive_of(self.tape, self.timetable, entry, t) for t in times]
        met = entry.reached and entry.met is Met.piece

        def point(number: int, history: History, drive: Drive) -> Point:
            stage = self.tape.stage(k, number)
            return Point(stage.u, stage.j, history, jnp.asarray(GAMMA * dt), drive)

        moves = []
        for m, d, length in zip(now, directions, lengths, strict=True):
            value = self._imposed(k, times[0], m, d, m.t - m.begin + GAMMA * length)
            gamma_dt = jnp.asarray(GAMMA * length)
            moves.append(Move(History(m.fields[STO:], m.side), gamma_dt, _drive(drives[0], value), d.cell))
        ones = self._pushed(point(0, History(start[STO:], side0), drives[0]), moves)
        seconds = []
        for m, d, length, move, (u1, out1) in zip(now, directions, lengths, moves, ones, strict=True):
            value = self._imposed(k, None if met else times[1], m, d, m.t - m.begin + length)
            fields = m.fields[STO:] + TAKEN * (u1[STO:] - m.fields[STO:])
            side = m.side.combine(out1.side, lambda a, b: a + TAKEN * (b - a))
            seconds.append(Move(History(fields, side), move.gamma_dt, _drive(drives[1], value), d.cell))
        twos = self._pushed(point(1, known, drives[1]), seconds)
        ended = []
        for m, length, (_, out1), (u2, out2) in zip(now, lengths, ones, twos, strict=True):
            one, two = entry.first, entry.second
            per_dt = [
                WEIGHTS[0] * a + WEIGHTS[1] * b
                for a, b in zip((*one.flows, one.current), (*two.flows, two.current), strict=True)
            ]
            moved = [
                w1 * float(a) + w2 * float(b) + length * c
                for a, b, c in zip((*out1.flows, out1.current), (*out2.flows, out2.current), per_dt, strict=True)
            ]
            ended.append(
                m._replace(
                    fields=u2,
                    side=out2.side,
                    t=m.t + length,
                    voltage=float(out2.voltage),
                    current=float(out2.current),
                    charge=m.charge + moved[-1],
                    passed=Flows(*map(operator.add, m.passed, moved[:-1])),
                )
            )
        return ended


@compiled
def _refill_push(u: Array, cell: CellModel, share: Array, moved: Array, by_cell: CellModel) -> Array:
    varied, fixed = eqx.partition(cell, eqx.is_inexact_array)
    _, out = jax.jvp(lambda u, v: refilled(u, eqx.combine(v, fixed), share), (u, varied), (moved, by_cell))
    return out


def _drive(drive: Drive, value: float) -> Drive:
    """Tangent of a drive whose imposed value moves by `value`."""
    held = jnp.asarray(float(value))
    free = float(drive.constant_current) > 0
    return Drive(held if free else jnp.zeros(()), jnp.zeros(()) if free else held, jnp.zeros(()))
