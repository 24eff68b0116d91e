"""One simulation in progress: protocol steps, adaptive time steps, events. Host code around one implicit stage."""

import dataclasses
import math
import operator
import time as clock
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simulator.model.build import Cell
from simulator.model.checkpoint import Checkpoint
from simulator.model.events import NEARLY_DEPLETED, Event, Reading, first_crossed, step_events
from simulator.model.losses import voltage_losses
from simulator.model.newton import NewtonOptions, StageResult, Workspace
from simulator.model.observe import Extremes, Inventory, Observer
from simulator.model.options import Progress, SolverOptions
from simulator.model.records import Records
from simulator.model.residual import Drive, Flows
from simulator.model.solution import Recorder, Solution
from simulator.model.timestep import ErrorScales, State, attempt, consistent_state, resting_state
from simulator.model.timestep import Step as TimeStep
from simulator.protocol import Step

SAFETY, GROWTH, SHRINK = 0.9, 3.0, 0.2
POINTS_PER_CAPACITY = 40
#: Every change of current is followed by a state exactly this late [s]: the usual time of a pulse resistance.
PULSE = 10.0
#: Stoichiometry beyond which a surface counts as full (empty: one minus this) when no step is possible any more.
SATURATED = 0.98

#: Of the arrays of a checkpoint: those of the state, by their place in it.
_STATE = "state"

_compile_seconds = [0.0]


def _count_compilation(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith("/jax/core/compile"):
        _compile_seconds[0] += duration_secs


jax.monitoring.register_event_duration_secs_listener(_count_compilation)


class Stop(Exception):
    """Ends the run with a status; caught by `simulate`."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Moment:
    """Everything that a time step changes. Replaced as a whole, so that an interrupt never finds half a step.

    `t` [s]; `charge` passed, signed, `throughput`, unsigned, and what `passed` by the stage fluxes [C];
    `number` of the protocol step (1 is the first), `begun` or not, its `begin`, `end` [s] and `sto_begin`; `dt` [s]
    proposed; `rows`, `saves` on record; `saved_charge` [C] and `saved_at` [s] of the last saved fields.
    """

    state: State
    t: float = 0.0
    charge: float = 0.0
    throughput: float = 0.0
    passed: Flows = Flows()
    number: int = 1
    begun: bool = False
    begin: float = 0.0
    end: float = math.inf
    sto_begin: float = math.nan
    dt: float = math.nan
    rows: int = 0
    saved_charge: float = math.nan
    saved_at: float = math.nan


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
        self.now = Moment(resting_state(cell.initial_fields(), cell.initial_side(), cell.model))
        self.start: Inventory = self.observer.inventory(self.now.state)
        self.counts = dict.fromkeys(
            ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations"), 0
        )
        self.warned: set[str] = set()
        self.begin = clock.perf_counter()
        self.compiled_before = _compile_seconds[0]

    # -- the protocol ------------------------------------------------------------------------------------------

    def march(self) -> None:
        """Run the protocol to its end. Raises `Stop` when the run has to end before."""
        while self.now.number <= len(self.steps):
            step = self.steps[self.now.number - 1]
            current = step.current(one_c=self.cell.one_c, area=self.cell.area, am_mass=self.cell.am_mass)
            scale = max(abs(current), self.cell.one_c / 100.0)
            drive = Drive.of_current(current)
            events = step_events(step, self.cell)
            if self.now.begun or self._begin(step, events, current, drive, scale):
                self._through(step, events, current, drive, scale)
            self.now = dataclasses.replace(self.now, number=self.now.number + 1, begun=False)

    def _begin(self, step: Step, events: list[Event], current: float, drive: Drive, scale: float) -> bool:
        """Potentials under the new current; False if the step has nothing to do."""
        number = self.now.number
        state, stage = consistent_state(self.now.state, drive, self.cell.model, scale, self.newton, self.workspace)
        self._count(stage.newton, stage.krylov, 1)
        if state is None and self._give_up_mixed(stage.result):
            return self._begin(step, events, current, drive, scale)
        if state is None:
            raise Stop("newton_failed", f"No potentials found for step {number}: {stage.result.value}.")
        extremes = self.observer.extremes(state)
        t = self.now.t
        end = math.inf if step.time_limit is None else t + step.time_limit
        moment = dataclasses.replace(
            self.now, state=state, begun=True, begin=t, end=end, sto_begin=extremes.sto_mean, dt=self.options.dt_init
        )
        self._commit(moment, 0.0, 0.0, stage.newton, stage.krylov, extremes)
        self.save()
        for event in events:
            if event.excess(Reading(state.voltage, state.current, extremes)) > event.tolerance:
                if event.status is None:
                    warnings.warn(
                        f"Step {number} ({step.describe()}) did nothing: the cell is at {state.voltage:.4g} V already.",
                        UserWarning,
                        stacklevel=4,
                    )
                    return False
                raise Stop(event.status, event.message)
        return True

    def _through(self, step: Step, events: list[Event], current: float, drive: Drive, scale: float) -> None:
        """Time steps up to the end of a protocol step."""
        passes = self.cell.theoretical_capacity / scale
        dt_max = passes / POINTS_PER_CAPACITY if self.options.dt_max is None else self.options.dt_max
        while self.now.t < self.now.end * (1.0 - 1e-12):
            if self.counts["steps"] >= self.options.max_steps:
                raise Stop(
                    "interrupted", f"solver.max_steps = {self.options.max_steps} steps were not enough: raise it."
                )
            hit = self._advance(events, drive, scale, dt_max)
            if hit is None:
                self._save_if_due(current)
            elif hit.status is None:
                self.now = dataclasses.replace(self.now, end=self.now.t)  # also for a run that goes on from here
                self.save()
            else:
                raise Stop(hit.status, hit.message)
            self._tell(step)
        self.save()

    def _tell(self, step: Step) -> None:
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
                (self.now.number - 1 + self._done(step, row["sto_mean"])) / len(self.steps),
            )
        )

    # -- one time step -----------------------------------------------------------------------------------------

    def _advance(self, events: list[Event], drive: Drive, scale: float, dt_max: float) -> Event | None:
        """Take one accepted time step; returns the event that ended it, if any."""
        now, newton, krylov = self.now, 0, 0
        dt, before = now.dt, self._read(now.state)
        target = self._target(drive)
        remaining = target - now.t
        while True:
            wanted = min(dt, dt_max, self._time_to_event(events, before))
            # Two halves rather than a crumb before a time that must be met.
            size = remaining if wanted >= remaining * (1 - 1e-9) else min(wanted, 0.5 * remaining)
            step = self._try(size, drive, scale)
            newton, krylov = newton + step.newton, krylov + step.krylov
            if step.state is not None and step.error <= 1.0:
                break
            self.counts["rejected_steps"] += 1
            if step.state is None:
                dt = 0.25 * size
            else:
                dt = size * max(SHRINK, SAFETY * step.error ** (-1.0 / 3.0))
            if dt < self.options.dt_min:
                if step.state is not None or not self._give_up_mixed(step.result):
                    raise self._cannot_step(step.result)
                dt = self.options.dt_init
        growth = GROWTH if step.error <= 0 else min(GROWTH, SAFETY * step.error ** (-1.0 / 3.0))
        following = max(size, min(dt, dt_max)) * growth if growth > 1 else size * max(growth, SHRINK)
        after = self._read(step.state)
        hit = first_crossed(events, before, after)
        if hit is not None:
            size, step, extra = self._locate(hit, size, step, before, drive, scale)
            newton, krylov = newton + extra[0], krylov + extra[1]
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
        self._warn_outside_data(extremes)
        return hit

    def _read(self, state: State) -> Reading:
        return Reading(state.voltage, state.current, self.observer.extremes(state))

    def _try(self, size: float, drive: Drive, scale: float) -> TimeStep:
        drives = (drive, drive)
        step = attempt(self.now.state, size, drives, self.cell.model, scale, self.newton, self.scales, self.workspace)
        self._count(step.newton, step.krylov, step.stages)
        return step

    def _target(self, drive: Drive) -> float:
        """The next time [s] that must be met exactly."""
        now = self.now
        asked = float(self.times[np.searchsorted(self.times, now.t * (1 + 1e-12) + 1e-9)])
        pulse = now.begin + PULSE
        return min(now.end, asked, pulse if now.t < pulse * (1 - 1e-12) else math.inf)

    def _give_up_mixed(self, result: StageResult) -> bool:
        """Go on in float64 alone if Newton stalled with a float32 linear solver: very conducting voxels need it."""
        single = self.newton.dtype(self.cell.model) == np.float32
        if not single or result is not StageResult.stalled:
            return False
        warnings.warn(
            f"At t = {self.now.t:.6g} s Newton stalled with its float32 linear solver. Going on in float64, which is "
            "slower (solver.precision=double does so from the start).",
            UserWarning,
            stacklevel=2,
        )
        self.newton = dataclasses.replace(self.newton, mixed=False)
        return True

    def _time_to_event(self, events: list[Event], now: Reading) -> float:
        """Time [s] to just beyond the first voltage event at the present rate: aim there instead of far across it."""
        state = self.now.state
        if state.reach == 0.0 or state.voltage_rate == 0.0:
            return math.inf
        soonest = math.inf
        for event in events:
            excess = event.excess(now)
            raised = now._replace(voltage=now.voltage + 1e-3)
            rate = (event.excess(raised) - excess) * 1e3 * state.voltage_rate
            if excess < 0 < rate:
                soonest = min(soonest, -excess / rate)
        return max(1.01 * soonest, self.options.dt_min)

    def _cannot_step(self, result: StageResult) -> Stop:
        t, x = self.now.t, self.observer.extremes(self.now.state)
        low = x.c_e_min
        if self.cell.model.binary and low < NEARLY_DEPLETED * self.c_init:
            return Stop("salt_depleted", f"The salt is down to {low:.3g} mol/m3 and no further step is possible.")
        if result is not StageResult.converged:
            full = "full" if x.sto_max > SATURATED else "empty" if x.sto_min < 1.0 - SATURATED else ""
            why = f" Particle surfaces run {full} of lithium: set a cut-off, or lower the current." if full else ""
            return Stop("newton_failed", f"At t = {t:.6g} s: {result.value}, down to solver.dt_min.{why}")
        return Stop("dt_min", f"At t = {t:.6g} s the error control asks for steps below solver.dt_min.")

    def _locate(self, event: Event, size: float, step: TimeStep, before: Reading, drive: Drive, scale: float):
        """Shorten the step until its end lies on the event: the step's dt is the unknown (Illinois method).

        Raises `Stop` if the event cannot be located: a step that ends far beyond its limit is not a finished one.
        """
        assert step.state is not None
        low, f_low = 0.0, event.excess(before)
        high, f_high = size, event.excess(self._read(step.state))
        newton = krylov = side = 0
        best, best_size = step, size
        for _ in range(25):
            if f_low >= 0 or abs(f_high) <= event.tolerance or high - low < 1e-12 * max(size, 1e-3):
                break
            trial_size = high - f_high * (high - low) / (f_high - f_low)
            if not low < trial_size < high:
                trial_size = 0.5 * (low + high)
            trial = self._try(trial_size, drive, scale)
            newton, krylov = newton + trial.newton, krylov + trial.krylov
            if trial.state is None:
                break
            value = event.excess(self._read(trial.state))
            if value > 0 or abs(value) <= event.tolerance:
                best, best_size = trial, trial_size
            if value > 0:
                high, f_high = trial_size, value
                f_low = 0.5 * f_low if side == 1 else f_low
                side = 1
            else:
                low, f_low = trial_size, value
                f_high = 0.5 * f_high if side == -1 else f_high
                side = -1
            if abs(value) <= event.tolerance:
                break
        assert best.state is not None
        beyond = event.excess(self._read(best.state))
        if event.status is None and beyond > 10.0 * event.tolerance:
            raise Stop("newton_failed", f"{event.message} It was passed by {1e3 * beyond:.2g} mV and not located.")
        return best_size, best, (newton, krylov)

    # -- records -------------------------------------------------------------------------------------------------

    def _count(self, newton: int, krylov: int, stages: int) -> None:
        self.counts["newton_iterations"] += newton
        self.counts["krylov_iterations"] += krylov
        self.counts["implicit_solves"] += stages

    def _balances(self, moment: Moment) -> dict[str, float]:
        """Relative imbalances since the start: inventories from the fields against integrals of the stage fluxes."""
        held = self.observer.inventory(moment.state)
        reference = max(moment.throughput, 1e-3 * self.cell.theoretical_capacity)
        passed = moment.passed
        through = passed.reaction + passed.carbon
        charge = max(abs(through - moment.charge), abs(through + passed.anode))
        return {
            "charge": charge / reference,
            "lithium": abs(held.lithium - self.start.lithium + passed.lithium) / reference,
            "salt": abs(held.salt - self.start.salt + self.observer.omega * passed.oxidation) / reference,
            "side": self.observer.side_imbalance(moment.state, passed),
        }

    def _commit(self, moment: Moment, dt: float, error: float, newton: int, krylov: int, extremes: Extremes) -> None:
        """Make `moment` the present one, with its row."""
        state = moment.state
        row = {
            "test_time_second": moment.t,
            "voltage_volt": state.voltage,
            "current_ampere": state.current,
            "step_count": float(moment.number),
            "charge_coulomb": moment.charge,
            **extremes._asdict(),
            **voltage_losses(state.u, state.j, state.side, state.current, self.cell.model),
            **self.observer.side_columns(state, moment.passed),
            "time_step_second": dt,
            "step_error": error,
            "newton_iterations": float(newton),
            "krylov_iterations": float(krylov),
        }
        self.records.row(row, self._balances(moment))
        self.now = dataclasses.replace(moment, rows=len(self.records.rows))
        self.records.send(self.now.rows)

    def save(self) -> None:
        """Keep the fields of the present state, unless they are kept already."""
        if self.records.save(self.now.t, self.now.state):
            self.now = dataclasses.replace(self.now, saved_charge=self.now.charge, saved_at=self.now.t)

    def _save_if_due(self, current: float) -> None:
        now = self.now
        portion = self.cell.theoretical_capacity / self.snapshots
        due = abs(now.charge - now.saved_charge) >= portion * (1.0 - 1e-9)
        rest_due = current == 0 and now.t - now.saved_at >= (now.end - now.begin) / self.snapshots
        if due or rest_due:
            self.save()

    def _warn_outside_data(self, x: Extremes) -> None:
        ranges = [("am.ocp", x.sto_min, x.sto_max, "sto"), ("am.D_s", x.sto_min, x.sto_max, "sto")]
        if self.cell.model.binary:
            ranges.append(("electrolyte.kappa", x.c_e_min, x.c_e_max, "c_e [mol/m3]"))
        for name, low, high, axis in ranges:
            valid = self.cell.value(name).valid
            if name not in self.warned and (low < valid[0] or high > valid[1]):
                self.warned.add(name)
                warnings.warn(
                    f"At t = {self.now.t:.4g} s {axis} spans {low:.4g} to {high:.4g}, beyond the data of {name} "
                    f"({valid[0]:.4g} to {valid[1]:.4g}): what follows is extrapolated.",
                    UserWarning,
                    stacklevel=2,
                )

    def _done(self, step: Step, sto_mean: float) -> float:
        now = self.now
        by_time = (now.t - now.begin) / (now.end - now.begin) if math.isfinite(now.end) else 0.0
        low, high = self.cell.value("am.sto_window")
        goal = low if step.direction > 0 else high
        moves = step.direction and goal != now.sto_begin
        by_charge = (sto_mean - now.sto_begin) / (goal - now.sto_begin) if moves else 0.0
        return float(np.clip(max(by_time, by_charge), 0.0, 1.0))

    # -- interruption and end ------------------------------------------------------------------------------------

    def _spent(self) -> dict[str, float]:
        return {
            "wall_s": clock.perf_counter() - self.begin,
            "compile_s": _compile_seconds[0] - self.compiled_before,
        }

    def checkpoint(self) -> Checkpoint:
        """What is needed to go on from the present moment."""
        rows, records = self.records.state()
        paths, _ = jax.tree_util.tree_flatten_with_path(self.now.state)
        arrays = {_STATE + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in paths}
        moment = {f.name: getattr(self.now, f.name) for f in dataclasses.fields(Moment) if f.name != _STATE}
        facts = {
            "moment": moment,
            "start": self.start._asdict(),
            "counts": dict(self.counts),
            "warned": sorted(self.warned),
            "mixed": self.newton.mixed,
            "spent": self._spent(),
            **records,
        }
        return Checkpoint(arrays | {"rows": rows}, facts, self.fingerprint)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to the moment of `checkpoint`. **Errors:** `ConfigError` if it belongs to another calculation."""
        checkpoint.check(self.fingerprint)
        arrays: Mapping[str, np.ndarray] = checkpoint.arrays
        facts: Mapping[str, Any] = checkpoint.facts
        paths, structure = jax.tree_util.tree_flatten_with_path(self.now.state)
        stored = (arrays[_STATE + jax.tree_util.keystr(path)] for path, _ in paths)
        leaves = [
            float(a) if isinstance(old, float) else jnp.asarray(a) for a, (_, old) in zip(stored, paths, strict=True)
        ]
        moment = facts["moment"] | {"passed": Flows(*facts["moment"]["passed"])}
        self.now = Moment(jax.tree_util.tree_unflatten(structure, leaves), **moment)
        self.start = Inventory(**facts["start"])
        self.counts, self.warned = dict(facts["counts"]), set(facts["warned"])
        self.newton = dataclasses.replace(self.newton, mixed=facts["mixed"])
        self.records.restore(arrays["rows"], facts["columns"], facts["saved_times"], facts["ledger"])
        self.begin -= facts["spent"]["wall_s"]
        self.compiled_before -= facts["spent"]["compile_s"]

    def solution(self, status: str, message: str) -> Solution:
        """Everything computed so far."""
        model = self.cell.model
        stats = {
            **self.counts,
            **self._spent(),
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
            _read=self.records.field,
        )
