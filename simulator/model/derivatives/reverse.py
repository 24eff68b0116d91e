r"""The adjoint of a run: from the cotangents of its outputs to those of all that it depends on, step by step backwards.

The run is taken as its tape says: the same switches and the same time steps. Of their lengths, the one that ends on a
cut-off is an unknown of its step, with the cut-off as its equation. Steps towards a time that is met share the way to
it in fixed proportions, so that a later begin (behind a cut-off) or another duration changes them all. All others stay
as they are: the length of a free step is a choice of the error control and no property of the cell.

Potentials have no memory. What a step takes over are the concentrations and the states of the side reactions; the
potentials that a switch finds matter to outputs at that very moment alone.
"""

import operator
from collections import defaultdict
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
from simulator.model.derivatives.refinement import Point
from simulator.model.derivatives.transposed import Given, Pulled, pull_back, transposed_systems
from simulator.model.dry import refilled
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Drive, Flows, History, SideStates
from simulator.model.tape import Met, Stepped, Switched, Tape
from simulator.model.timestep import GAMMA, INSTANT, TAKEN, WEIGHTS
from simulator.numerics.compilation import compiled
from simulator.protocol import Course


class Cotangents(NamedTuple):
    """Of what a run depends on: the `cell` model, the `initial` fields (4, nz, ny, nx), the `numbers` of the protocol
    {(position, field): value}; `krylov`: iterations of all transposed solves."""

    cell: CellModel
    initial: Array
    numbers: dict[tuple[int, str], float]
    krylov: int


class _Bars(NamedTuple):
    """Cotangents of a moment: `fields` (4, nz, ny, nx), `side` states, `voltage` [V], `current` [A], and of the sums
    that a run carries on: `charge` and `passed` [C]."""

    fields: Array
    side: SideStates
    voltage: float
    current: float
    charge: float
    passed: Flows


class _StepPulled(NamedTuple):
    """Cotangents of what a time step depends on: `fields` (4, nz, ny, nx) at its start, `side` states, its length `dt`,
    the time `since` the begin of the part at its start, the `cell`; `imposed`: the values imposed at its stages, with
    those cotangents, as (time since the begin, cotangent)."""

    fields: Array
    side: SideStates
    dt: float
    since: float
    cell: CellModel
    imposed: tuple[tuple[float | None, float], ...]

    def plus(self, factor: float, other: "_StepPulled") -> "_StepPulled":
        """`self + factor * other`."""
        imposed = tuple((t, a + factor * b) for (t, a), (_, b) in zip(self.imposed, other.imposed, strict=True))
        mine, theirs = self._replace(imposed=()), other._replace(imposed=())
        return jax.tree.map(lambda a, b: a + factor * b, mine, theirs)._replace(imposed=imposed)


@compiled
def _refill_back(u: Array, cell: CellModel, share: Array, bar: Array) -> tuple[Array, CellModel]:
    varied, fixed = eqx.partition(cell, eqx.is_inexact_array)
    _, back = jax.vjp(lambda u, varied: refilled(u, eqx.combine(varied, fixed), share), u, varied)
    return back(bar)


class Reverse:
    """One sweep backwards over a `tape` of a run of `cell`."""

    def __init__(self, tape: Tape, cell: CellModel, timetable: Timetable, options: NewtonOptions, rtol: float) -> None:
        self.tape, self.cell, self.timetable, self.rtol = tape, cell, timetable, rtol
        self.systems = transposed_systems(cell, options)
        self.initial = jnp.asarray(tape.initial)
        self.initial_side = tape.initial_side
        self.spans = spans_of(tape)

    def sweep(self, views: dict[int, View]) -> Cotangents:
        """From the cotangents of `views` {entry: view} to those of the inputs."""
        tape, zero = self.tape, jnp.zeros_like(self.initial)
        no_side = jax.tree.map(jnp.zeros_like, self.initial_side)
        bars = _Bars(zero, no_side, 0.0, 0.0, 0.0, Flows())
        t_bar, span_bar = 0.0, 0.0
        self.numbers: dict[tuple[int, str], float] = defaultdict(float)
        begins: dict[int, float] = defaultdict(float)  # of the times at which parts begin
        volts: dict[int, float] = defaultdict(float)  # of the voltages just before parts
        self.model = jax.tree.map(jnp.zeros_like, eqx.filter(self.cell, eqx.is_inexact_array))
        for k in range(len(tape.entries) - 1, -1, -1):
            entry = tape.entries[k]
            tape.kept.rewind(k)
            self.systems.forget()
            if k in views:
                bars, t_bar = _with_view(bars, t_bar, views[k])
            begun_next = k + 1 < len(tape.entries) and tape.entries[k + 1].part != entry.part
            if begun_next:
                bars = bars._replace(voltage=bars.voltage + volts.pop(tape.entries[k + 1].part, 0.0))
            if isinstance(entry, Switched):
                bars, by_time = self._switch(k, entry, bars, volts)
                t_bar += by_time
                begins[entry.part] -= by_time
                if entry.since == 0.0:
                    t_bar += begins.pop(entry.part, 0.0)
                continue
            pulled = self._step(k, entry, bars)
            dt_bar = pulled.dt + t_bar
            if entry.cutoff is not None:
                ending = self._step(k, entry, _of_cutoff(entry, bars))
                weight = -dt_bar / ending.dt
                pulled = pulled.plus(weight, ending)
                self._add(entry.part, limit_of(entry.cutoff), -weight, volts)
            first, whole = self.spans.get(k, (None, 0.0))
            if first is not None:
                span_bar += dt_bar * entry.dt / whole
            self.model = jax.tree.map(operator.add, self.model, pulled.cell)
            for at, bar in pulled.imposed:
                self._impose(entry, at, bar, volts)
            t_bar += pulled.since
            begins[entry.part] -= pulled.since
            if first == k:  # the way to the time that was met began here
                t_bar -= span_bar
                if entry.met is not Met.asked:
                    begins[entry.part] += span_bar
                if entry.met is Met.piece:
                    self._add(entry.part, lambda course, n=entry.piece: course.ends[n], span_bar, volts)
                span_bar = 0.0
            bars = bars._replace(fields=pulled.fields, side=pulled.side, voltage=0.0, current=0.0)
        first_part = tape.entries[0].part
        initial = bars.fields.at[PHI_S, -1, 0, 0].add(volts.pop(first_part, 0.0))
        return Cotangents(self.model, initial, dict(self.numbers), self.systems.krylov)

    # -- entries ------------------------------------------------------------------------------------------------

    def _pull(self, point: Point, u: Array, out: Given) -> Pulled:
        return pull_back(self.systems, point, u, out, self.rtol)

    def _point(self, k: int, number: int, history: History, gamma_dt: float, drive: Drive) -> Point:
        stage = self.tape.stage(k, number)
        return Point(stage.u, stage.j, history, jnp.asarray(gamma_dt, float), drive)

    def _switch(self, k: int, entry: Switched, bars: _Bars, volts: dict[int, float]) -> tuple[_Bars, float]:
        """Cotangents before a switch, and that of its time since the begin of the part."""
        start, side = start_of(self.tape, self.cell, k)
        filled = refilled(start, self.cell, entry.refill) if entry.refill > 0.0 else start
        by_potential = bars.fields.at[STO:].set(0.0)
        fields, side_bar, by_time = bars.fields.at[:STO].set(0.0), bars.side, 0.0
        if bars.voltage or bars.current or bool(jnp.any(by_potential != 0.0)):
            drive = drive_of(self.tape, self.timetable, entry, entry.since)
            point = self._point(k, -1, History(filled[STO:], side), INSTANT, drive)
            none = jax.tree.map(jnp.zeros_like, side)
            pulled = self._pull(point, by_potential, _given(none, Flows(), bars.current, bars.voltage))
            fields = fields.at[STO:].add(pulled.history.fields)
            side_bar = jax.tree.map(operator.add, side_bar, pulled.history.side)
            self.model = jax.tree.map(operator.add, self.model, pulled.cell)
            bar = _imposed(drive, pulled.drive)
            self._impose(entry, entry.since, bar, volts)
            by_time = bar * rate_of(self.tape, self.timetable, entry, entry.since)
        if entry.refill > 0.0:
            fields, by_cell = _refill_back(start, self.cell, jnp.asarray(entry.refill), fields)
            self.model = jax.tree.map(operator.add, self.model, by_cell)
        return bars._replace(fields=fields, side=side_bar, voltage=0.0, current=0.0), by_time

    def _step(self, k: int, entry: Stepped, bars: _Bars) -> _StepPulled:
        dt, (w1, w2) = entry.dt, (w * entry.dt for w in WEIGHTS)
        start, side0, known = known_of(self.tape, self.cell, k)
        times = entry.since + GAMMA * dt, entry.since + dt
        drives = [drive_of(self.tape, self.timetable, entry, t) for t in times]

        def flows(weight: float) -> Flows:
            return Flows(*(weight * bar for bar in bars.passed))

        second = self._pull(
            self._point(k, 1, known, GAMMA * dt, drives[1]),
            bars.fields,
            _given(bars.side, flows(w2), w2 * bars.charge + bars.current, bars.voltage),
        )
        by_start, by_first = (jax.tree.map(lambda a, s=share: s * a, second.history) for share in (1.0 - TAKEN, TAKEN))
        none = jnp.zeros_like(start)
        first = self._pull(
            self._point(k, 0, History(start[STO:], side0), GAMMA * dt, drives[0]),
            none.at[STO:].set(by_first.fields),
            _given(by_first.side, flows(w1), w1 * bars.charge, 0.0),
        )
        at_start = jax.tree.map(operator.add, by_start, first.history)
        bar1, bar2 = _imposed(drives[0], first.drive), _imposed(drives[1], second.drive)
        # the last value of a piece that was met belongs to its end, whenever that is
        read_at = (times[0], None if entry.reached and entry.met is Met.piece else times[1])
        rates = [0.0 if t is None else rate_of(self.tape, self.timetable, entry, t) for t in read_at]
        both = [
            sum(bar * f for bar, f in zip(bars.passed, stage.flows, strict=True)) + bars.charge * stage.current
            for stage in (entry.first, entry.second)
        ]
        by_dt = GAMMA * float(first.gamma_dt + second.gamma_dt) + WEIGHTS[0] * both[0] + WEIGHTS[1] * both[1]
        by_dt += GAMMA * bar1 * rates[0] + bar2 * rates[1]
        return _StepPulled(
            fields=none.at[STO:].set(at_start.fields),
            side=at_start.side,
            dt=by_dt,
            since=bar1 * rates[0] + bar2 * rates[1],
            cell=jax.tree.map(operator.add, first.cell, second.cell),
            imposed=tuple(zip(read_at, (bar1, bar2), strict=True)),
        )

    # -- the protocol -------------------------------------------------------------------------------------------

    def _impose(self, entry: Switched | Stepped, t: float | None, bar: float, volts: dict[int, float]) -> None:
        """Cotangent `bar` of the value imposed `t` [s] after the begin of the part, None: at the end of the piece."""

        def read(course: Course) -> float:
            return course.imposed(entry.piece, course.ends[entry.piece] if t is None else t)

        self._add(entry.part, read, bar, volts)

    def _add(self, part: int, read: Any, bar: float, volts: dict[int, float]) -> None:
        """Cotangent `bar` of what `read` finds in the course of a part."""
        if bar == 0.0:
            return
        facts = self.tape.parts[part]
        by_number, by_voltage = self.timetable.slopes(facts, read)
        for name, value in by_number.items():
            self.numbers[facts.position, name] += bar * value
        volts[part] += bar * by_voltage


def _given(side: SideStates, flows: Flows, current: float, voltage: float) -> Given:
    numbers = [jnp.asarray(float(value)) for value in (*flows, current, voltage)]
    return Given(side, Flows(*numbers[:-2]), numbers[-2], numbers[-1])


def _imposed(drive: Drive, bar: Drive) -> float:
    """The cotangent of what a drive imposes."""
    return float(bar.current if float(drive.constant_current) else bar.voltage)


def _of_cutoff(entry: Stepped, bars: _Bars) -> _Bars:
    """Cotangents of what ends the step, and nothing else."""
    assert entry.cutoff is not None
    fields, side = jax.tree.map(jnp.zeros_like, (bars.fields, bars.side))
    by_voltage = entry.cutoff.quantity == "voltage"
    voltage, current = (1.0, 0.0) if by_voltage else (0.0, float(np.sign(entry.second.current)))
    return _Bars(fields, side, voltage, current, 0.0, Flows())


def _with_view(bars: _Bars, t_bar: float, view: View) -> tuple[_Bars, float]:
    """With the cotangents of a view of this moment."""
    changes: dict[str, Any] = {
        "voltage": bars.voltage + float(view.voltage),
        "current": bars.current + float(view.current),
        "charge": bars.charge + float(view.charge),
        "passed": Flows(*(a + float(b) for a, b in zip(bars.passed, view.passed, strict=True))),
    }
    if view.u is not None:
        changes["fields"] = bars.fields + view.u
        changes["side"] = jax.tree.map(operator.add, bars.side, view.side)
    return bars._replace(**changes), t_bar + float(view.t)
