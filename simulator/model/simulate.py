"""The run loop: protocol steps, adaptive time steps, events, ledger. Ordinary host code around one implicit stage."""

import math
import time as clock
import warnings
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from simulator.errors import ConfigError
from simulator.model.build import Cell
from simulator.model.events import NEARLY_DEPLETED, Event, first_crossed, step_events
from simulator.model.newton import StageResult
from simulator.model.observe import Extremes, Inventory, Observer, check_fields
from simulator.model.options import Progress, SolverOptions
from simulator.model.residual import Drive
from simulator.model.solution import COLUMNS, Recorder, Solution
from simulator.model.timestep import ErrorScales, State, attempt, consistent_state
from simulator.protocol import Step, parse_protocol, validate_protocol

SAFETY, GROWTH, SHRINK = 0.9, 3.0, 0.2
POINTS_PER_CAPACITY = 40
BALANCE = 1e-9  # every run is expected to close its balances to this share of what has passed

_compile_seconds = [0.0]


def _count_compilation(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith("/jax/core/compile"):
        _compile_seconds[0] += duration_secs


jax.monitoring.register_event_duration_secs_listener(_count_compilation)


class _Stop(Exception):
    """Ends the run with a status; never leaves this module."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Run:
    """One simulation in progress."""

    def __init__(
        self,
        cell: Cell,
        options: SolverOptions,
        rtol: float,
        times: np.ndarray,
        fields: tuple[str, ...],
        snapshots: int,
        recorder: Recorder | None,
        callback: Callable[[Progress], None] | None,
    ) -> None:
        self.cell, self.options, self.newton = cell, options, options.newton()
        self.recorder, self.callback, self.field_names = recorder, callback, fields
        self.times, self.snapshot_charge = times, cell.theoretical_capacity / snapshots
        self.snapshots = snapshots
        self.observer = Observer(cell)
        c_init = float(cell.value("electrolyte.c_e_init"))
        self.c_init = c_init
        self.scales = ErrorScales(voltage=0.2 * rtol, sto=rtol, c_e=rtol * c_init)
        u = cell.initial_fields()
        j = jnp.zeros(cell.model.faces.area.shape)
        self.state = State(u, jnp.zeros_like(u), j, math.nan, 0.0, 0.0, reach=0.0)
        self.t = 0.0
        self.charge = 0.0  # [C] passed, signed
        self.throughput = 0.0
        self.reaction = self.anode = 0.0  # [C] from the stage fluxes
        self.start: Inventory = self.observer.inventory(self.state)
        self.rows: list[dict[str, float]] = []
        self.saved: dict[str, list[np.ndarray]] = {name: [] for name in fields}
        self.saved_times: list[float] = []
        self.saved_charge = self.saved_at = math.nan
        self.ledger = {"charge": 0.0, "lithium": 0.0, "salt": 0.0}
        self.counts = dict.fromkeys(
            ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations"), 0
        )
        self.warned: set[str] = set()
        self.dt_max = math.inf
        self.begin = clock.perf_counter()
        self.compiled_before = _compile_seconds[0]

    # -- one protocol step -------------------------------------------------------------------------------------

    def protocol_step(self, step: Step, number: int, total: int) -> None:
        """Run `step` to its end. Raises `_Stop` when the run has to end."""
        cell = self.cell
        current = step.current(one_c=cell.one_c, area=cell.area, am_mass=cell.am_mass)
        scale = max(abs(current), cell.one_c / 100.0)
        passes = cell.theoretical_capacity / scale
        self.dt_max = passes / POINTS_PER_CAPACITY if self.options.dt_max is None else self.options.dt_max
        drive = Drive(jnp.asarray(current), jnp.zeros(()), jnp.ones(()))
        state, stage = consistent_state(self.state.u, self.state.j, drive, cell.model, scale, self.newton)
        self._count(stage.newton, stage.krylov, 1)
        if state is None:
            raise _Stop("newton_failed", f"No potentials found for step {number}: {stage.result.value}.")
        self.state = state
        extremes = self.observer.extremes(state)
        self._record(number, current, 0.0, 0.0, stage.newton, stage.krylov, extremes)
        self.save()
        events = step_events(step, self.cell)
        end = math.inf if step.time_limit is None else self.t + step.time_limit
        begin, sto_begin = self.t, extremes.sto_mean
        for event in events:  # at the limit already: the step has nothing to do
            if event.excess(state.voltage, extremes) > event.tolerance:
                if event.status is None:
                    warnings.warn(
                        f"Step {number} ({step.describe()}) did nothing: the cell is at {state.voltage:.4g} V already.",
                        UserWarning,
                        stacklevel=3,
                    )
                    return
                raise _Stop(event.status, event.message)
        dt = self.options.dt_init
        while self.t < end * (1.0 - 1e-12):
            if self.counts["steps"] >= self.options.max_steps:
                raise _Stop("dt_min", f"solver.max_steps = {self.options.max_steps} steps were not enough.")
            dt, hit = self._advance(dt, end, drive, current, scale, events, number)
            extremes = self.observer.extremes(self.state)
            if self.callback is not None:
                done = (number - 1 + self._done(step, begin, end, sto_begin, extremes)) / total
                row = self.rows[-1]
                info = Progress(
                    self.t,
                    self.state.voltage,
                    extremes.sto_mean,
                    row["time_step_second"],
                    self.counts["steps"],
                    int(row["newton_iterations"]),
                    int(row["krylov_iterations"]),
                    done,
                )
                self.callback(info)
            if hit is not None:
                self.save()
                if hit.status is None:
                    return
                raise _Stop(hit.status, hit.message)
            due = abs(self.charge - self.saved_charge) >= self.snapshot_charge * (1.0 - 1e-9)
            rest_due = current == 0 and self.t - self.saved_at >= (end - begin) / self.snapshots
            if due or rest_due:
                self.save()
        self.save()

    def _advance(
        self,
        dt: float,
        end: float,
        drive: Drive,
        current: float,
        scale: float,
        events: list[Event],
        number: int,
    ) -> tuple[float, Event | None]:
        """Take one accepted step of at most `dt`; returns the next step size and the event that ended it, if any."""
        newton = krylov = 0
        while True:
            wanted = min(dt, self.dt_max, self._time_to_event(events))
            target = min(end, float(self.times[np.searchsorted(self.times, self.t * (1 + 1e-12) + 1e-9)]))
            remaining = target - self.t
            # Two halves rather than a crumb before a time that must be met.
            size = remaining if wanted >= remaining * (1 - 1e-9) else min(wanted, 0.5 * remaining)
            step = attempt(self.state, size, drive, self.cell.model, scale, self.newton, self.scales)
            newton, krylov = newton + step.newton, krylov + step.krylov
            self._count(step.newton, step.krylov, step.stages)
            if step.state is not None and step.error <= 1.0:
                break
            self.counts["rejected_steps"] += 1
            if step.state is None:
                dt = 0.25 * size
            else:
                dt = size * max(SHRINK, SAFETY * step.error ** (-1.0 / 3.0))
            if dt < self.options.dt_min:
                raise self._cannot_step(step.result)
        growth = GROWTH if step.error <= 0 else min(GROWTH, SAFETY * step.error ** (-1.0 / 3.0))
        following = max(size, min(dt, self.dt_max)) * growth if growth > 1 else size * max(growth, SHRINK)
        before = self.observer.extremes(self.state)
        after = self.observer.extremes(step.state)
        hit = first_crossed(events, (self.state.voltage, before), (step.state.voltage, after))
        if hit is not None:
            size, step, extra = self._locate(hit, size, step, before, drive, scale)
            newton, krylov = newton + extra[0], krylov + extra[1]
        assert step.state is not None and step.totals is not None
        self.t = target if size == remaining else self.t + size
        self.state = step.state
        self.charge += step.totals.external
        self.throughput += abs(step.totals.external)
        self.reaction += step.totals.reaction
        self.anode += step.totals.anode
        self.counts["steps"] += 1
        extremes = self.observer.extremes(self.state)
        self._warn_outside_data(extremes)
        self._record(number, current, size, step.error, newton, krylov, extremes)
        return following, hit

    def _time_to_event(self, events: list[Event]) -> float:
        """Time [s] to just beyond the first voltage event at the present rate: aim there instead of far across it."""
        state = self.state
        if state.reach == 0.0 or state.voltage_rate == 0.0:
            return math.inf
        now = self.observer.extremes(state)
        soonest = math.inf
        for event in events:
            excess = event.excess(state.voltage, now)
            rate = (event.excess(state.voltage + 1e-3, now) - excess) * 1e3 * state.voltage_rate
            if excess < 0 < rate:
                soonest = min(soonest, -excess / rate)
        return max(1.01 * soonest, self.options.dt_min)

    def _cannot_step(self, result: StageResult) -> _Stop:
        low = self.observer.extremes(self.state).c_e_min
        if self.cell.model.binary and low < NEARLY_DEPLETED * self.c_init:
            return _Stop("salt_depleted", f"The salt is down to {low:.3g} mol/m3 and no further step is possible.")
        if result is not StageResult.converged:
            return _Stop("newton_failed", f"At t = {self.t:.6g} s: {result.value}, down to solver.dt_min.")
        return _Stop("dt_min", f"At t = {self.t:.6g} s the error control asks for steps below solver.dt_min.")

    # -- events --------------------------------------------------------------------------------------------------

    def _locate(self, event: Event, size: float, step, before: Extremes, drive: Drive, scale: float):
        """Shorten the step until its end lies on the event: the step's dt is the unknown (Illinois method).

        Raises `_Stop` if the event cannot be located: a step that ends far beyond its limit is not a finished one.
        """
        low, f_low = 0.0, event.excess(self.state.voltage, before)
        high, f_high = size, event.excess(step.state.voltage, self.observer.extremes(step.state))
        newton = krylov = side = 0
        best, best_size = step, size
        for _ in range(25):
            if f_low >= 0 or abs(f_high) <= event.tolerance or high - low < 1e-12 * max(size, 1e-3):
                break
            trial_size = high - f_high * (high - low) / (f_high - f_low)
            if not low < trial_size < high:
                trial_size = 0.5 * (low + high)
            trial = attempt(self.state, trial_size, drive, self.cell.model, scale, self.newton, self.scales)
            newton, krylov = newton + trial.newton, krylov + trial.krylov
            self._count(trial.newton, trial.krylov, trial.stages)
            if trial.state is None:
                break
            value = event.excess(trial.state.voltage, self.observer.extremes(trial.state))
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
        beyond = event.excess(best.state.voltage, self.observer.extremes(best.state))
        if event.status is None and beyond > 10.0 * event.tolerance:
            raise _Stop("newton_failed", f"{event.message} It was passed by {1e3 * beyond:.2g} mV and not located.")
        return best_size, best, (newton, krylov)

    # -- records -------------------------------------------------------------------------------------------------

    def _count(self, newton: int, krylov: int, stages: int) -> None:
        self.counts["newton_iterations"] += newton
        self.counts["krylov_iterations"] += krylov
        self.counts["implicit_solves"] += stages

    def _balances(self) -> dict[str, float]:
        """Relative imbalances since the start: inventories from the fields against integrals of the stage fluxes."""
        now = self.observer.inventory(self.state)
        reference = max(self.throughput, 1e-3 * self.cell.theoretical_capacity)
        charge = max(abs(self.reaction - self.charge), abs(self.reaction + self.anode))
        return {
            "charge": charge / reference,
            "lithium": abs(now.lithium - self.start.lithium + self.reaction) / reference,
            "salt": abs(now.salt - self.start.salt) / reference,
        }

    def _record(
        self,
        number: int,
        current: float,
        dt: float,
        error: float,
        newton: int,
        krylov: int,
        extremes: Extremes,
    ) -> None:
        balances = self._balances()
        for name, value in balances.items():
            self.ledger[name] = max(self.ledger[name], value)
        row = {
            "test_time_second": self.t,
            "voltage_volt": self.state.voltage,
            "current_ampere": current,
            "step_count": float(number),
            "charge_coulomb": self.charge,
            **extremes._asdict(),
            "time_step_second": dt,
            "step_error": error,
            "newton_iterations": float(newton),
            "krylov_iterations": float(krylov),
            **{f"balance_{name}": value for name, value in balances.items()},
        }
        self.rows.append(row)
        if self.recorder is not None:
            self.recorder.row(row)

    def save(self) -> None:
        """Keep the fields of the present state, unless it is kept already."""
        if self.saved_times and self.t <= self.saved_times[-1]:
            return
        fields = self.observer.fields(self.state, self.field_names)
        for name, values in fields.items():
            self.saved[name].append(values)
        self.saved_times.append(self.t)
        self.saved_charge, self.saved_at = self.charge, self.t
        if self.recorder is not None:
            self.recorder.fields(self.t, fields, self.observer.separator_profiles(self.state))

    def _warn_outside_data(self, x: Extremes) -> None:
        ranges = [("am.ocp", x.sto_min, x.sto_max, "sto"), ("am.D_s", x.sto_min, x.sto_max, "sto")]
        if self.cell.model.binary:
            ranges.append(("electrolyte.kappa", x.c_e_min, x.c_e_max, "c_e [mol/m3]"))
        for name, low, high, axis in ranges:
            valid = self.cell.value(name).valid
            if name not in self.warned and (low < valid[0] or high > valid[1]):
                self.warned.add(name)
                warnings.warn(
                    f"At t = {self.t:.4g} s {axis} spans {low:.4g} to {high:.4g}, beyond the data of {name} "
                    f"({valid[0]:.4g} to {valid[1]:.4g}): what follows is extrapolated.",
                    UserWarning,
                    stacklevel=2,
                )

    def _done(self, step: Step, begin: float, end: float, sto_begin: float, x: Extremes) -> float:
        by_time = (self.t - begin) / (end - begin) if math.isfinite(end) else 0.0
        low, high = self.cell.value("am.sto_window")
        goal = low if step.direction > 0 else high
        by_charge = (x.sto_mean - sto_begin) / (goal - sto_begin) if step.direction and goal != sto_begin else 0.0
        return float(np.clip(max(by_time, by_charge), 0.0, 1.0))

    def solution(self, status: str, message: str) -> Solution:
        """Everything computed so far."""
        columns = {name: np.array([row[name] for row in self.rows]) for name in COLUMNS}
        stats = {
            **self.counts,
            "wall_s": clock.perf_counter() - self.begin,
            "compile_s": _compile_seconds[0] - self.compiled_before,
            "voxels": int(np.prod(self.cell.model.shape)),
            "live_faces": int(np.count_nonzero(np.asarray(self.cell.model.faces.valid))),
            "device": jax.devices()[0].device_kind,
        }
        return Solution(
            status=status,
            message=message,
            timeseries=columns,
            ledger=dict(self.ledger),
            stats=stats,
            area=self.cell.area,
            am_mass=self.cell.am_mass,
            field_times=np.array(self.saved_times),
            _fields=self.saved,
        )


def check_arguments(
    cell: Cell,
    protocol: str | Step | Sequence[str | Step],
    times: Sequence[float] | None,
    fields: tuple[str, ...],
    rtol: float,
    snapshots: int,
) -> tuple[Sequence[Step], np.ndarray]:
    """The protocol's steps and the asked times [s], sorted. **Errors:** `ConfigError` for any impossible argument."""
    check_fields(fields)
    if not 1e-8 <= rtol <= 0.1:
        raise ConfigError(f"rtol must lie in [1e-8, 0.1], got {rtol}. 1e-3 is the default.")
    if snapshots < 1:
        raise ConfigError(f"snapshots must be at least 1, got {snapshots}.")
    steps = parse_protocol(protocol)
    validate_protocol(
        steps,
        voltage_window=cell.value("voltage_limits"),
        anode_potential=float(cell.value("anode.potential")),
    )
    try:
        asked = np.unique(np.asarray(times if times is not None else [], float))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"times must be numbers of seconds, got {times!r}.") from error
    if asked.size and (not np.all(np.isfinite(asked)) or asked[0] < 0):
        raise ConfigError(f"times must be finite and >= 0 s, got {asked[:3]} ...")
    return steps, asked


def simulate(
    cell: Cell,
    protocol: str | Step | Sequence[str | Step],
    *,
    times: Sequence[float] | None = None,
    recorder: Recorder | None = None,
    fields: tuple[str, ...] = ("sto", "phi_s", "phi_e", "c_e", "j"),
    rtol: float = 1e-3,
    callback: Callable[[Progress], None] | None = None,
    options: SolverOptions | None = None,
    snapshots: int = 20,
) -> Solution:
    """Run `protocol` on `cell`; never raises on physics or numerics: look at `solution.status`.

    **Arguments:** `protocol`: texts such as "Charge at C/10 until 4.2 V", or step objects. `times` [s]: the solution
    holds those it reaches. `rtol`: error control; 1e-3 stands for 0.2 mV and a stoichiometry of 1e-3 per step.
    `snapshots`: fields are saved each time this fraction of the theoretical capacity has passed, and at the ends of
    steps. `callback` gets a `Progress` after each accepted step. `recorder` receives rows and fields as they come.

    **Errors:** `ConfigError` before anything is compiled.
    """
    steps, asked = check_arguments(cell, protocol, times, fields, rtol, snapshots)
    run = _Run(
        cell,
        options or SolverOptions(),
        rtol,
        np.append(asked, np.inf),
        fields,
        snapshots,
        recorder,
        callback,
    )
    status, message = "finished", "All steps of the protocol are done."
    try:
        for number, step in enumerate(steps, start=1):
            run.protocol_step(step, number, len(steps))
    except _Stop as stop:
        status, message = stop.status, stop.message
    except KeyboardInterrupt:
        status, message = "interrupted", f"Interrupted at t = {run.t:.6g} s."
    if run.rows:
        run.save()  # the last state, however the run ended
    worst = max(run.ledger.values())
    if not worst <= BALANCE:
        warnings.warn(f"Charge, lithium or salt is balanced only to {worst:.1e}.", UserWarning, stacklevel=2)
    solution = run.solution(status, message)
    if recorder is not None:
        recorder.finish(solution)
    return solution
