"""`simulate`: checks, the run, and how it ends."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from simulator.errors import ConfigError
from simulator.model.build import Cell
from simulator.model.checkpoint import Checkpoint, fingerprint
from simulator.model.estimate import check_start, warn_if_salt_runs_out
from simulator.model.moment import Stop
from simulator.model.observe import chosen_fields
from simulator.model.options import Progress, SolverOptions
from simulator.model.run import Run
from simulator.model.solution import Recorder, Solution
from simulator.numerics.compilation import make_room_for_programs
from simulator.protocol import Protocol, Step, parse_protocol, validate_protocol

BALANCE = 1e-9  # every run is expected to close its balances to this share of what has passed


def check_arguments(
    cell: Cell,
    protocol: Protocol,
    times: Sequence[float] | None,
    fields: Sequence[str] | None,
    rtol: float,
    snapshots: int,
) -> tuple[Sequence[Step], np.ndarray]:
    """The protocol's steps and the asked times [s], sorted. **Errors:** `ConfigError` for any impossible argument."""
    chosen_fields(fields, cell)
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
    check_start(cell)
    try:
        asked = np.unique(np.asarray(times if times is not None else [], float))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"times must be numbers of seconds, got {times!r}.") from error
    if asked.size and (not np.all(np.isfinite(asked)) or asked[0] < 0):
        raise ConfigError(f"times must be finite and >= 0 s, got {asked[:3]} ...")
    return steps, asked


def facts_of(cell: Cell) -> tuple[object, ...]:
    """What a run depends on beside the model of the cell, its `basis` and the protocol."""
    names = ("voltage_limits", "sto_init", "electrolyte.c_e_max")
    return (*(cell.value(name) for name in names), cell.theoretical_capacity)


def simulate(
    cell: Cell,
    protocol: Protocol,
    *,
    times: Sequence[float] | None = None,
    recorder: Recorder | None = None,
    fields: Sequence[str] | None = None,
    rtol: float = 1e-3,
    callback: Callable[[Progress], None] | None = None,
    options: SolverOptions | None = None,
    snapshots: int = 20,
    checkpoint: Checkpoint | None = None,
) -> Solution:
    """Run `protocol` on `cell`; never raises on physics or numerics: look at `solution.status`.

    **Arguments:** `protocol`: texts such as "Charge at C/10 until 4.2 V", or step objects. `times` [s]: the solution
    holds those it reaches. `fields`: names of `FIELDS` to save, None: all that exist in this cell. `rtol`: error
    control; 1e-3 stands for 0.2 mV and a stoichiometry of 1e-3 per step.
    `snapshots`: fields are saved each time this fraction of the theoretical capacity has passed, and at the ends of
    steps. `callback` gets a `Progress` after each accepted step. `recorder` receives rows and fields as they come.
    `checkpoint`: go on from there; everything else must be as in the run that made it (`solver.max_steps` aside).

    An interrupt (Ctrl-C) or a recorder that cannot write (disk full) ends the run with the status "interrupted".

    **Errors:** `ConfigError` before anything is compiled.
    """
    steps, asked = check_arguments(cell, protocol, times, fields, rtol, snapshots)
    fields = chosen_fields(fields, cell)
    options = options or SolverOptions()
    warn_if_salt_runs_out(cell, steps)
    identity = fingerprint(
        cell.model,
        (
            *steps,
            cell.basis,
            *(repr(options.numerical()), asked.tolist(), fields, rtol, snapshots),
            *facts_of(cell),
        ),
    )
    if checkpoint is not None:
        checkpoint.check(identity)
    make_room_for_programs()
    run = Run(cell, steps, options, rtol, asked, fields, snapshots, recorder, callback, identity)
    if checkpoint is not None:
        run.restore(checkpoint)
    status, message = "finished", "All steps of the protocol are done."
    try:
        run.march()
    except Stop as stop:
        status, message = stop.status, stop.message
    except KeyboardInterrupt:
        status, message = "interrupted", f"Interrupted at t = {run.now.t:.6g} s."
    except OSError as error:  # of the recorder: the solver touches no file
        if recorder is None:
            raise
        status, message = "interrupted", f"The results cannot be written: {error.strerror or error}."
    worst = max(run.records.ledger.values())
    if not worst <= BALANCE:
        name = max(run.records.ledger, key=lambda key: run.records.ledger[key])
        warnings.warn(
            f"The balance of {name} closes only to {worst:.1e} (expected: {BALANCE:g}). Tighten solver.newton_tol, or "
            "set solver.precision=double.",
            UserWarning,
            stacklevel=2,
        )
    return _end(run, recorder, status, message)


def _end(run: Run, recorder: Recorder | None, status: str, message: str) -> Solution:
    """Save the last state and how the run ended, as far as the disk allows."""
    try:
        run.records.send(run.now.rows)
        # Before the last state is saved out of turn: a resumed run drops that again.
        resumable = run.checkpoint() if recorder is not None and status == "interrupted" else None
        if run.now.rows:
            run.save()
        solution = run.solution(status, message)
        if recorder is not None:
            if resumable is not None:
                recorder.stopped(resumable)
            recorder.finish(solution)
        return solution
    except OSError as error:
        if recorder is None:
            raise
        message = f"{message} The last part could not be written: {error.strerror or error}."
        return run.solution("interrupted" if status == "finished" else status, message)
