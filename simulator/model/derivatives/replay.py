"""The run of a tape once more with other parameters: the same switches and time steps, to tight tolerances.

What the adjoint differentiates is this function. A step that ended on a cut-off gets the length that ends on it again,
found to rounding; the steps towards a time that was met share the way to it.
"""

import dataclasses
import operator

from jaxtyping import Array

from simulator.errors import ConvergenceError
from simulator.model.build import Cell
from simulator.model.derivatives.course import Timetable
from simulator.model.derivatives.path import limit_of, spans_of
from simulator.model.leg import Leg
from simulator.model.moment import Moment
from simulator.model.newton import NewtonOptions, Workspace
from simulator.model.residual import Flows
from simulator.model.tape import Met, Part, Stepped, Switched, Tape
from simulator.model.timestep import GAMMA, ErrorScales, attempt, consistent_state, resting_state
from simulator.model.timestep import Step as TimeStep
from simulator.protocol import Step

#: A cut-off is met to this share of its limit, or as far as secants come, but not worse than the second.
EXACT, ENOUGH = 1e-14, 1e-8
_SCALES = ErrorScales(1.0, 1.0, 1.0, 1.0)


class Replay:
    """A run of `cell` from `initial` fields (4, nz, ny, nx) along the tape `old`, with the `steps` as they are now."""

    def __init__(self, old: Tape, cell: Cell, steps: list[Step], initial: Array, options: NewtonOptions) -> None:
        self.old, self.cell, self.options = old, cell, options
        self.timetable, self.spans = Timetable(steps, cell.basis), spans_of(old)
        self.new = Tape(initial, cell.initial_side(), cell.model)
        self.now = Moment(resting_state(initial, cell.initial_side(), cell.model))
        self.workspace = Workspace()

    def run(self) -> Tape:
        """The tape of this run. **Errors:** ConvergenceError where a stage is not solved, or a cut-off not met."""
        ways: dict[int, float] = {}  # length [s] of the way to a time that is met, by its first entry
        for k, entry in enumerate(self.old.entries):
            if entry.part == len(self.new.parts):
                facts = self.old.parts[entry.part]
                self.new.parts.append(Part(facts.position, facts.number, facts.stopped, self.now.state.voltage))
                self.now = dataclasses.replace(self.now, begin=self.now.t)
            self.now = dataclasses.replace(self.now, piece=entry.piece)
            if isinstance(entry, Switched):
                self._switch(entry)
                continue
            first, whole = self.spans.get(k, (None, 0.0))
            if first == k:
                ways[k] = self._target(entry) - self.now.t
            dt = entry.dt if first is None else entry.dt / whole * ways[first]
            if entry.cutoff is None:
                self._accept(entry, dt, self._try(dt))
            else:
                self._accept(entry, *self._to_cutoff(entry, dt))
        self.new.done = self.old.done
        self.new.end(self.old.ended)
        return self.new

    @property
    def _leg(self) -> Leg:
        part = self.new.parts[-1]
        step = self.timetable.steps[part.position].part(part.number, part.stopped)
        assert step is not None
        return Leg.of(step, self.cell, part.voltage)

    def _target(self, entry: Stepped) -> float:
        if entry.met is Met.asked:
            return entry.target
        if entry.met is Met.piece:
            return self.now.begin + self._leg.course.ends[entry.piece]
        begun = next(e for e in self.old.entries if e.part == entry.part)
        return self.now.begin + (entry.target - begun.t)

    def _switch(self, entry: Switched) -> None:
        now, leg = self.now, self._leg
        since = now.t - now.begin
        drive = leg.drive(entry.piece, since)
        scale = leg.scale(now.state.current, drive)
        args = (now.state, drive, self.cell.model, scale, self.options, self.workspace, entry.refill)
        state, stage = consistent_state(*args)
        if state is None:
            raise ConvergenceError(f"No potentials found at {now.t:.6g} s of the replayed run: {stage.result.value}.")
        self.now = dataclasses.replace(now, state=state)
        self.new.switch(self.now, since, entry.refill, stage, self.options.mixed)

    def _try(self, dt: float) -> TimeStep:
        now, leg = self.now, self._leg
        since = now.t - now.begin
        drives = leg.drive(now.piece, since + GAMMA * dt), leg.drive(now.piece, since + dt)
        scale = leg.scale(now.state.current, *drives)
        step = attempt(now.state, dt, drives, self.cell.model, scale, self.options, _SCALES, self.workspace)
        if step.state is None:
            raise ConvergenceError(f"A step of {dt:.6g} s at {now.t:.6g} s of the replayed run: {step.result.value}.")
        return step

    def _to_cutoff(self, entry: Stepped, dt: float) -> tuple[float, TimeStep]:
        """The length of the step that ends on its cut-off, by secants."""
        assert entry.cutoff is not None
        limit, voltage = limit_of(entry.cutoff)(self._leg.course), entry.cutoff.quantity == "voltage"

        def tried(size: float) -> tuple[float, float, TimeStep]:
            step = self._try(size)
            assert step.state is not None
            return (step.state.voltage if voltage else abs(step.state.current)) - limit, size, step

        before, last = tried(dt * (1.0 + 1e-3)), tried(dt)
        for _ in range(12):
            if abs(last[0]) <= EXACT * abs(limit) or last[0] == before[0]:
                break
            slope = (last[0] - before[0]) / (last[1] - before[1])
            trial = tried(last[1] - last[0] / slope)
            if abs(trial[0]) >= abs(last[0]):
                break
            before, last = last, trial
        if not abs(last[0]) <= ENOUGH * abs(limit):
            raise ConvergenceError(f"The cut-off {limit:g} of the replayed run was met to {last[0]:.1e} only.")
        return last[1:]

    def _accept(self, entry: Stepped, dt: float, step: TimeStep) -> None:
        assert step.state is not None and step.totals is not None
        before, passed = self.now, Flows(*map(operator.add, self.now.passed, step.totals.flows))
        self.now = dataclasses.replace(
            before, state=step.state, t=before.t + dt, charge=before.charge + step.totals.external, passed=passed
        )
        old = dataclasses.replace(entry, target=self._target(entry))
        self.new.repeat(before, self.now, dt, old, step, self.options.mixed)
