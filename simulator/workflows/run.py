"""From a configuration to the files of one run."""

import dataclasses
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console

from simulator.errors import ConfigError
from simulator.geometry import Electrode, label_particles
from simulator.io import RunResult, read_result, write_bdf_csv
from simulator.model import Progress, SolverOptions, build_cell
from simulator.model.simulate import check_arguments
from simulator.protocol import parse_protocol
from simulator.workflows.electrode import read_electrode
from simulator.workflows.folder import (
    CONFIG,
    CURVE,
    HASH,
    RESULT,
    Plan,
    configuration_hash,
    locked,
    make_folder,
    plan,
    portable,
    run_folder,
)
from simulator.workflows.progress import StepProgress
from simulator.workflows.report import ADVICE, stored_summary, summarise, table
from simulator.workflows.simulate import simulate

if TYPE_CHECKING:
    from simulator.config import RunConfig


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended, where its files are, and the numbers of its closing table."""

    status: str
    folder: Path
    summary: Mapping[str, float]
    result: RunResult


def run(config: "RunConfig", console: Console | None = None) -> RunOutcome:
    """Simulate what `config` describes and write fields, curve, pictures and configuration to one folder.

    A run that is finished in that folder is not repeated; one that was interrupted goes on with `config.resume`. The
    table goes to `console` (stdout by default), progress to stderr.

    **Errors:** ConfigError, GeometryError before anything is compiled or written. What stops the simulation
    itself is found in `status`.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    electrode = read_electrode(config.geometry)
    digest = configuration_hash(config, electrode)
    folder = run_folder(config, digest)
    todo = plan(config, folder, digest)
    if todo is Plan.skip:
        notes.print(f"Done before, with the same configuration: {folder}", soft_wrap=True)
        notes.print("output.overwrite=true would repeat it.")
        old = read_result(folder / RESULT)
        message = str(old.summary.get("message", ""))
        return _conclude(folder, console, notes, old.status, message, stored_summary(old.summary), old.solver)

    with _collected_warnings() as said:
        return _simulate(config, electrode, digest, folder, todo, said, console, notes)


def _simulate(
    config: "RunConfig",
    electrode: Electrode,
    digest: str,
    folder: Path,
    todo: Plan,
    said: list[str],
    console: Console,
    notes: Console,
) -> RunOutcome:
    """The part of `run` that computes. `said` collects the warnings."""
    if todo is Plan.resume:
        said += read_result(folder / RESULT).summary.get("warnings", [])
    steps = parse_protocol(config.protocol.steps)
    if config.output.particles:
        electrode = label_particles(electrode)
    cell = build_cell(electrode, config.cell.parameter_set, config.cell.overrides, min_live=config.geometry.min_live)
    fields = tuple(config.output.fields)
    check_arguments(cell, steps, None, fields, config.solver.rtol, config.output.snapshots)  # before a file is made
    make_folder(folder)
    with locked(folder):
        OmegaConf.save(OmegaConf.create(portable(config, folder)), folder / CONFIG)
        notes.print(f"{electrode!r} -> {folder}", soft_wrap=True)
        solver = dataclasses.asdict(config.solver)
        rtol = solver.pop("rtol")
        with StepProgress(notes, cell.value("am.sto_window")) as progress, _polite_interrupts(notes) as interrupted:

            def after_step(info: Progress) -> None:
                progress(info)
                if interrupted():
                    raise KeyboardInterrupt

            solution = simulate(
                cell,
                steps,
                save_to=folder / RESULT,
                fields=fields,
                rtol=rtol,
                callback=after_step,
                options=SolverOptions(**solver),
                snapshots=config.output.snapshots,
                config=portable(config, folder),
                provenance={HASH: digest},
                checkpoint_interval=config.output.checkpoint,
                resume=todo is Plan.resume,
                warnings=said,
            )
        try:
            result = read_result(folder / RESULT)
            write_bdf_csv(folder / CURVE, result.timeseries, ambient_temperature=float(cell.value("temperature")))
            if config.output.pictures:
                draw(result, folder, notes)
        except OSError as error:  # a full disk: what has been computed is safe
            notes.print(f"Curve or pictures could not be written: {error.strerror or error}.", soft_wrap=True)
        summary = summarise(cell, solution)  # of the solution: a full disk may have kept it from the file
        return _conclude(folder, console, notes, solution.status, solution.message, summary, solution.stats)


def _conclude(
    folder: Path,
    console: Console,
    notes: Console,
    status: str,
    message: str,
    summary: dict[str, float],
    stats: Mapping[str, Any],
) -> RunOutcome:
    """Show the closing table, and what to try if the run stopped early."""
    console.print(table(summary, stats, status, folder))
    if status != "finished":
        notes.print(message, soft_wrap=True)
    if status in ADVICE:
        notes.print(ADVICE[status], soft_wrap=True)
    return RunOutcome(status, folder, summary, read_result(folder / RESULT))


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Yields a list that gets the text of every warning that is shown meanwhile, each once."""
    texts: list[str] = []
    show = warnings.showwarning

    def collect(message: Warning | str, *place: Any, **more: Any) -> None:
        if str(message) not in texts:
            texts.append(str(message))
        show(message, *place, **more)

    warnings.showwarning = collect
    try:
        yield texts
    finally:
        warnings.showwarning = show


@contextmanager
def _polite_interrupts(notes: Console) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) ends the run after the present time step, the second at once.

    Yields a function that tells whether the run shall end.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        notes.print("Stopping after this time step; once more to stop at once.")

    old = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, handle)
    except ValueError:  # not in the main thread: leave signals alone
        pass
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def draw(result: RunResult, folder: Path, notes: Console) -> None:
    """Curves, maps and histories. What cannot be drawn is said and left out."""
    from simulator import viz  # matplotlib takes a second, and is not needed without pictures

    pictures = {"voltage.png": viz.plot_voltage, "soc_3d.png": viz.render_soc, "slices.png": viz.plot_slices}
    if "ocv_volt" in result.timeseries:
        pictures["losses.png"] = viz.plot_losses
    if result.particles is not None:
        pictures["particles.png"] = viz.plot_particles
    for name, plot in pictures.items():
        try:
            plot(result, folder / name)
        except ConfigError as error:
            notes.print(f"{name} was not drawn: {error}", soft_wrap=True)
        except OSError:
            (folder / name).unlink(missing_ok=True)  # half a picture
            raise
