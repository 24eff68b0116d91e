"""One simulation in progress: protocol steps, adaptive time steps, events. Host code around one implicit stage."""

import dataclasses
import operator
import time as clock
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from simulator.model.balances import imbalances
from simulator.model.build import Cell
from simulator.model.checkpoint import Checkpoint
from simulator.model.cycle_jump import CycleJumps, Mark, state_behind
from simulator.model.events import Event, Reading, first_crossed, locate, time_to_first
from simulator.model.faces import face_facts, face_names
from simulator.model.leg import Leg
from simulator.model.losses import voltage_losses
from simulator.model.moment import Moment, Stop
from simulator.model.newton import NewtonOptions, Stage, StageResult, Workspace
from simulator.model.observe import Extremes, Inventory, Observer
from simulator.model.options import Progress, SolverOptions
from simulator.model.records import Records
from simulator.model.residual import Flows
from simulator.model.solution import Recorder, Solution
from simulator.model.step_size import after_rejection, after_success
from simulator.model.stuck import nearly_depleted, no_step
from simulator.model.tape import Part, Tape
from simulator.model.timestep import GAMMA, ErrorScales, State, attempt, consistent_state, resting_state
from simulator.model.timestep import Step as TimeStep
from simulator.model.validity import beyond_validity
from simulator.numerics.compilation import seconds_compiling
from simulator.protocol import Step

#: Salt that dry places are given at a pinch, as a part of the error of the salt that a time step may have.
REFILL = 0.1


class Run:
    """One simulation in progress; `simulate` drives it."""

    def __init__(
        self,
        cell: Cell,
        steps: Sequence[Step],
        options: SolverOptions,
        rtol: float,
        times: np.ndarray,
        fields: tuple[str, ...],
        snapshots: int,
        recorder: Recorder | None,
        callback: Callable[[Progress], None] | None,
        fingerprint: str,
        tape: Tape | None = None,
    ) -> None:
        self.cell, self.steps, self.options, self.fingerprint = cell, steps, options, fingerprint
        self.newton: NewtonOptions = options.newton()
        self.workspace = Workspace()
        self.recorder, self.callback, self.field_names = recorder, callback, fields
        self.times, self.snapshots = np.append(times, np.inf), snapshots
        self.observer = Observer(cell)
        self.records = Records(self.observer, fields, recorder)
        self.c_init = float(cell.value("electrolyte.c_e_init"))
        self.scales = ErrorScales(voltage=0.2 * rtol, sto=rtol, c_e=rtol * self.c_init, side=10.0 * rtol)
        initial, self.tape = cell.initial_fields() if tape is None else jax.numpy.asarray(tape.initial), tape
        self.now = Moment(resting_state(initial, cell.initial_side(), cell.model))
        self.start: Inventory = self.observer.inventory(self.now.state)
        self.counts = dict.fromkeys(
            ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations", "jumped_cycles"), 0
        )
        self.jumps = CycleJumps(steps, options.cycle_jump, options.cycle_jump_tol, cell.model)
        self.warned: set[str] = set()
        self.begin = clock.perf_counter()
        self.compiled_before = seconds_compiling()

    # -- the protocol ------------------------------------------------------------------------------------------

    def march(self) -> None:
        """Run the protocol to its end. Raises `Stop` when the run has to end before."""
        while self.now.position < len(self.steps):
            now = self.now
            step = self.steps[now.position].part(now.part, now.stopped)
            if step is None:
                if self.tape is not None:
                    self.tape.done = now.position + 1
                self.now = dataclasses.replace(now, position=now.position + 1, part=0, stopped=False)
                continue
            leg = Leg.of(step, self.cell, now.voltage_begin if now.begun else now.state.voltage)
            if not now.begun:
                if now.part == 0 and self._jumped(now.cycle.enter(leg.course.direction).number):
                    continue
                if self.tape is not None:
                    self.tape.parts.append(Part(now.position, now.part, now.stopped, now.state.voltage))
                self._begin(leg)
            self._through(leg)
            self.now = dataclasses.replace(self.now, number=now.number + 1, part=now.part + 1, begun=False)

    def _jumped(self, number: int) -> bool:
        """At the begin of cycle `number`: jump over cycles if that is asked for and worth while."""
        now = self.now
        if not self.options.cycle_jump:
            return False
        salt = self.observer.inventory(now.state).salt
        mark = Mark(number, now.position, now.number, now.t, now.throughput, now.passed, now.rows, now.state.side)
        found = self.jumps.enter(mark, self.records.rows, salt)
        if found is None:
            return False
        jump, passed, behind = found
        state = state_behind(now.state, jump, self.observer.omega * passed.oxidation, salt, self.cell.model)
        moment = dataclasses.replace(
            now,
            state=state,
            t=behind.t,
            charge=now.charge + passed.reaction + passed.carbon,
            throughput=behind.throughput,
            passed=behind.passed,
            position=behind.position,
            number=behind.executed,
            cycle=now.cycle._replace(number=now.cycle.number + jump.cycles),
        )
        # the row of a jump belongs to the last step of the cycles jumped over, and shows no current
        count = {"step_count": float(behind.executed - 1)}
        self._commit(moment, behind.t - now.t, 0.0, 0, 0, self.observer.extremes(state), count)
        self.jumps.made(jump, behind)
        self.counts["jumped_cycles"] += jump.cycles
        return True

    def _begin(self, leg: Leg) -> None:
        """Potentials at the start of a part of a step; it ends at once if it has nothing to do."""
        now = self.now
        event = self._switch(
            *(leg, 0, 0.0),
            begun=True,
            begin=now.t,
            end=now.t + leg.duration,
            voltage_begin=now.state.voltage,
            cycle=now.cycle.enter(leg.course.direction),
            sto_begin=now.sto_begin if now.part else self._read(now.state).extremes.sto_mean,
        )
        self.save()
        # a pulse of GITT may well begin beyond its cut-off: that is how it ends
        if now.part == 0 and (event is not None or leg.duration == 0.0):
            state = self.now.state
            warnings.warn(
                f"Step {now.number} ({leg.step.describe()}) did nothing: the cell is at {state.voltage:.4g} V and "
                f"{0.1 * state.current / self.cell.area:.4g} mA/cm2 already.",
                UserWarning,
                stacklevel=4,
            )

    def _switch(self, leg: Leg, piece: int, since: float, **changes: Any) -> Event | None:
        """Potentials under what is imposed from now on, `since` [s] after the begin of `leg`, with `changes` of the
        moment; the cut-off that ends the part of the step at once, if any."""
        state, stage = self._consistent(leg, piece, since)
        refill = state is None and self._drained()
        if refill:
            state, stage = self._consistent(leg, piece, since, refill=True)
        if state is None and self._give_up_mixed(stage.result):
            return self._switch(leg, piece, since, **changes)
        if state is None:
            raise Stop("newton_failed", f"No potentials found for step {self.now.number}: {stage.result.value}.")
        reading = self._read(state)
        event = leg.exceeded(reading)
        if event is not None:
            changes |= {"end": self.now.t, "stopped": True}
        moment = dataclasses.replace(self.now, state=state, piece=piece, dt=self.options.dt_init, **changes)
        self._commit(moment, 0.0, 0.0, stage.newton, stage.krylov, reading.extremes)
        if self.tape is not None:
            self.tape.switch(self.now, since, self._filling(refill), stage, self.newton.mixed)
        if event is not None and event.status is not None:
            raise Stop(event.status, event.message)
        return event

    def _through(self, leg: Leg) -> None:
        """Time steps up to the end of a part of a step."""
        while self.now.t < self.now.end * (1.0 - 1e-12):
            if self.counts["steps"] >= self.options.max_steps:
                raise Stop(
                    "interrupted", f"solver.max_steps = {self.options.max_steps} steps were not enough: raise it."
                )
            self._turn(leg)
            if self.now.t >= self.now.end:  # the new piece begins beyond a cut-off
                break
            hit = self._advance(leg)
            if hit is None:
                self._save_if_due()
            elif hit.status is None:
                self.now = dataclasses.replace(self.now, end=self.now.t, stopped=True)  # also for a run that is resumed
                self.save()
            else:
                raise Stop(hit.status, hit.message)
            self._tell(leg)
        self.save()

    def _turn(self, leg: Leg) -> None:
        """Go on to the next piece of the course, if the present one is over."""
        now = self.now
        over = leg.course.ends[now.piece]
        if now.t < (now.begin + over) * (1.0 - 1e-12):
            return
        if leg.jumps(now.piece):
            self._switch(leg, now.piece + 1, over)
        else:
            self.now = dataclasses.replace(now, piece=now.piece + 1)

    def _done(self, leg: Leg, sto_mean: float) -> float:
        """Share of the present step of the list that is done, an estimate."""
        now, whole = self.now, self.steps[self.now.position]
        by_time = (now.t - now.begin) / (now.end - now.begin) if whole is leg.step and now.end > now.begin else 0.0
        low, high = self.cell.value("am.sto_window")
        goal = {1: low, -1: high}.get(whole.direction, now.sto_begin)
        by_charge = (sto_mean - now.sto_begin) / (goal - now.sto_begin) if goal != now.sto_begin else 0.0
        return float(np.clip(max(by_time, by_charge), 0.0, 1.0))

    def _tell(self, leg: Leg) -> None:
        if self.recorder is not None:
            self.recorder.step_done(self.checkpoint)
        if self.callback is None:
            return
        row = self.records.rows[-1]
        self.callback(
            Progress(
                self.now.t,
                self.now.state.voltage,
                row["sto_mean"],
                row["time_step_second"],
                self.counts["steps"],
                int(row["newton_iterations"]),
                int(row["krylov_iterations"]),
                (self.now.position + self._done(leg, row["sto_mean"])) / len(self.steps),
            )
        )

    # -- one time step -----------------------------------------------------------------------------------------

    def _advance(self, leg: Leg) -> Event | None:
        """Take one accepted time step; returns the event that ended it, if any."""
        now, newton, krylov = self.now, 0, 0
        dt, before = now.dt, self._read(now.state)
        target = self._target(leg)
        remaining, rejected = target - now.t, None
        dt_max = leg.dt_max(leg.scale(now.state.current, leg.drive(now.piece, now.t - now.begin)), self.options.dt_max)
        while True:
            soonest = max(1.01 * time_to_first(leg.events, before, now.state), self.options.dt_min)  # just beyond it
            wanted = min(dt, dt_max, soonest)
            # Two halves rather than a crumb before a time that must be met.
            size = remaining if wanted >= remaining * (1 - 1e-9) else min(wanted, 0.5 * remaining)
            step = self._try(leg, size)
            newton, krylov = newton + step.newton, krylov + step.krylov
            if step.state is not None and step.error <= 1.0:
                after = self._read(step.state)
                hit = first_crossed(leg.events, before, after)
                if hit is None:
                    break
                ends, located, extra = self._locate(leg, hit, size, step, before)
                newton, krylov = newton + extra[0], krylov + extra[1]
                assert located.state is not None
                beyond = hit.excess(self._read(located.state))
                if hit.status is not None or beyond <= 10.0 * hit.tolerance:
                    size, step = ends, located
                    break
                # passed, but not found: from closer by it will be
                if 0.5 * size < self.options.dt_min:
                    raise Stop("newton_failed", f"{hit.message} It was passed by {beyond:.2g} {hit.unit}, not located.")
                dt, rejected = 0.5 * size, None
                continue
            self.counts["rejected_steps"] += 1
            if step.state is None and self._refill(leg):
                now, before = self.now, self._read(self.now.state)
            if step.state is None:
                dt, rejected = 0.25 * size, None
            else:
                dt, rejected = after_rejection(size, step.error, rejected), (size, step.error)
            if dt < self.options.dt_min:
                if step.state is not None or not self._give_up_mixed(step.result):
                    raise no_step(self.cell, now.t, before.extremes, step.result)
                dt = self.options.dt_init
        following = after_success(size, step.error)
        if following > size:  # one that was only cut short says little about its successor
            following *= max(1.0, min(dt, dt_max) / size)
        assert step.state is not None and step.totals is not None
        self.counts["steps"] += 1
        moment = dataclasses.replace(
            now,
            state=step.state,
            t=target if size == remaining else now.t + size,
            charge=now.charge + step.totals.external,
            throughput=now.throughput + abs(step.totals.external),
            passed=Flows(*map(operator.add, now.passed, step.totals.flows)),
            dt=following,
        )
        extremes = after.extremes if hit is None else self.observer.extremes(step.state)
        self._commit(moment, size, step.error, newton, krylov, extremes)
        if self.tape is not None:
            cutoff = None if hit is None else hit.cutoff
            asked = bool(np.any(self.times == target))
            self.tape.step(now, self.now, leg, size, target, cutoff, step, self.newton.mixed, asked)
        self._warn_outside_data()
        return hit

    def _consistent(self, leg: Leg, piece: int, since: float, refill: bool = False) -> tuple[State | None, Stage]:
        """The present state with what belongs to the drive `since` [s] after the begin of `leg`; `refill`: with a trace
        of salt in places without. That is a part of the error that a time step may have."""
        old, drive = self.now.state, leg.drive(piece, since)
        share = self._filling(refill)
        scale = leg.scale(old.current, drive)
        state, stage = consistent_state(old, drive, self.cell.model, scale, self.newton, self.workspace, share)
        self._count(stage.newton, stage.krylov, stage.solves)
        return state, stage

    def _filling(self, refill: bool) -> float:
        return REFILL * self.scales.c_e / self.c_init if refill else 0.0

    def _drained(self) -> bool:
        """Whether some place has less salt than that trace."""
        return self.observer.extremes(self.now.state).c_e_min < 0.999 * REFILL * self.scales.c_e

    def _refill(self, leg: Leg) -> bool:
        """Give a trace of salt where Newton finds no first step under a new current for want of it; whether it did."""
        now = self.now
        if now.state.reach > 0.0 or not self._drained():
            return False
        state, stage = self._consistent(leg, now.piece, now.t - now.begin, refill=True)
        if state is not None:
            self.now = dataclasses.replace(now, state=state)
            if self.tape is not None:
                self.tape.switch(self.now, now.t - now.begin, self._filling(True), stage, self.newton.mixed)
        return state is not None

    def _read(self, state: State) -> Reading:
        return Reading(state.voltage, state.current, self.observer.extremes(state))

    def _try(self, leg: Leg, size: float) -> TimeStep:
        since = self.now.t - self.now.begin
        drives = leg.drive(self.now.piece, since + GAMMA * size), leg.drive(self.now.piece, since + size)
        scale = leg.scale(self.now.state.current, *drives)
        step = attempt(self.now.state, size, drives, self.cell.model, scale, self.newton, self.scales, self.workspace)
        self._count(step.newton, step.krylov, step.stages)
        return step

    def _target(self, leg: Leg) -> float:
        """The next time [s] that must be met exactly."""
        now = self.now
        asked = float(self.times[np.searchsorted(self.times, now.t * (1 + 1e-12) + 1e-9)])
        return min(now.end, asked, now.begin + leg.target(now.piece, now.t - now.begin))

    def _give_up_mixed(self, result: StageResult) -> bool:
        """Go on in float64 alone if Newton stalled with a float32 linear solver: very conducting voxels need it."""
        single = self.newton.dtype(self.cell.model) == np.float32
        if not single or result is not StageResult.stalled:
            return False
        if not nearly_depleted(self.cell, self.observer.extremes(self.now.state)):  # there it is the salt, as a rule
            warnings.warn(
                f"At t = {self.now.t:.6g} s Newton stalled with its float32 linear solver. Going on in float64, which "
                "is slower (solver.precision=double does so from the start).",
                UserWarning,
                stacklevel=2,
            )
        self.newton = dataclasses.replace(self.newton, mixed=False)
        return True

    def _locate(self, leg: Leg, event: Event, size: float, step: TimeStep, before: Reading):
        """Shorten the step until its end lies on the event, as far as that succeeds."""
        newton = krylov = 0

        def shortened(size: float) -> tuple[float, TimeStep] | None:
            nonlocal newton, krylov
            trial = self._try(leg, size)
            newton, krylov = newton + trial.newton, krylov + trial.krylov
            return None if trial.state is None else (event.excess(self._read(trial.state)), trial)

        assert step.state is not None
        beyond = event.excess(self._read(step.state))
        size, _, step = locate(shortened, event.excess(before), (size, beyond, step), event.tolerance)
        return size, step, (newton, krylov)

    # -- records -------------------------------------------------------------------------------------------------

    def _count(self, newton: int, krylov: int, stages: int) -> None:
        self.counts["newton_iterations"] += newton
        self.counts["krylov_iterations"] += krylov
        self.counts["implicit_solves"] += stages

    def _commit(
        self, moment: Moment, dt: float, error: float, newton: int, krylov: int, extremes: Extremes, changes: Any = None
    ) -> None:
        """Make `moment` the present one, with its row; `changes`: entries of the row that are to be others."""
        state = moment.state
        row = {
            "test_time_second": moment.t,
            "voltage_volt": state.voltage,
            "current_ampere": state.current,
            "step_count": float(moment.number),
            "cycle_count": float(moment.cycle.number),
            "charge_coulomb": moment.charge,
            "throughput_coulomb": moment.throughput,
            **extremes._asdict(),
            **voltage_losses(state.u, state.j, state.side, state.current, self.cell.model),
            **self.observer.side_columns(state, moment.passed),
            "time_step_second": dt,
            "step_error": error,
            "newton_iterations": float(newton),
            "krylov_iterations": float(krylov),
        }
        self.records.row(row | (changes or {}), imbalances(self.observer, moment, self.start))
        self.now = dataclasses.replace(moment, rows=len(self.records.rows))
        self.records.send(self.now.rows)

    def save(self) -> None:
        """Keep the fields of the present state, unless they are kept already."""
        if self.records.save(self.now.t, self.now.state):
            self.now = dataclasses.replace(self.now, saved_charge=self.now.charge, saved_at=self.now.t)

    def _save_if_due(self) -> None:
        now = self.now
        portion = self.cell.theoretical_capacity / self.snapshots
        due = abs(now.charge - now.saved_charge) >= portion * (1.0 - 1e-9)
        rest_due = now.state.current == 0 and now.t - now.saved_at >= (now.end - now.begin) / self.snapshots
        if due or rest_due:
            self.save()

    def _warn_outside_data(self) -> None:
        for name, text in beyond_validity(self.cell, self.records.rows[-1]):
            if name not in self.warned:
                self.warned.add(name)
                warnings.warn(text, UserWarning, stacklevel=2)

    # -- interruption and end ------------------------------------------------------------------------------------

    def _spent(self) -> dict[str, float]:
        return {
            "wall_s": clock.perf_counter() - self.begin,
            "compile_s": seconds_compiling() - self.compiled_before,
        }

    def checkpoint(self) -> Checkpoint:
        """What is needed to go on from the present moment."""
        rows, records = self.records.state()
        marks, jumps = self.jumps.stored()
        arrays, moment = self.now.stored()
        facts = {
            "moment": moment,
            "start": self.start._asdict(),
            "counts": dict(self.counts),
            "warned": sorted(self.warned),
            "mixed": self.newton.mixed,
            **jumps,
            "spent": self._spent(),
            **records,
        }
        return Checkpoint({**arrays, **marks, "rows": rows}, facts, self.fingerprint)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to the moment of `checkpoint`. **Errors:** `ConfigError` if it belongs to another calculation."""
        checkpoint.check(self.fingerprint)
        arrays: Mapping[str, np.ndarray] = checkpoint.arrays
        facts: Mapping[str, Any] = checkpoint.facts
        self.now = self.now.restored(arrays, facts["moment"])
        self.start = Inventory(**facts["start"])
        self.counts, self.warned = dict(facts["counts"]), set(facts["warned"])
        self.newton = dataclasses.replace(self.newton, mixed=facts["mixed"])
        self.jumps.restore(arrays, facts, self.cell.initial_side())
        self.records.restore(arrays["rows"], facts["columns"], facts["saved_times"], facts["ledger"])
        self.begin -= facts["spent"]["wall_s"]
        self.compiled_before -= facts["spent"]["compile_s"]

    def solution(self, status: str, message: str) -> Solution:
        """Everything computed so far."""
        model = self.cell.model
        stats = {
            **self.counts,
            **self._spent(),
            "jump_error_volt": self.jumps.error,
            "voxels": int(np.prod(model.shape)),
            "live_faces": int(np.count_nonzero(np.asarray(model.faces.valid))),
            "device": jax.devices()[0].device_kind,
        }
        return Solution(
            status=status,
            message=message,
            timeseries=self.records.columns(),
            ledger=dict(self.records.ledger),
            stats=stats,
            area=self.cell.area,
            am_mass=self.cell.am_mass,
            field_times=np.array(self.records.times),
            field_names=self.field_names,
            faces=face_facts(self.cell),
            face_names=face_names(self.cell),
            _read=self.records.field,
            _read_face=self.records.face,
        )
