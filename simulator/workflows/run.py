"""From a configuration to the files of one run."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from simulator.errors import ConfigError
from simulator.geometry import label_particles
from simulator.interrupts import handled
from simulator.io import RunResult, collect_provenance, read_result, write_bdf_csv
from simulator.model import Progress, SolverOptions, build_cell
from simulator.model.simulate import check_arguments
from simulator.protocol import parse_protocol
from simulator.workflows.derived import plots, write_tables
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
    remove_leftovers,
    run_folder,
    save_config,
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
    asked: bool = False  # a signal (Ctrl-C, SIGTERM) asked for the end, in time or not


def run(config: "RunConfig", console: Console | None = None) -> RunOutcome:
    """Simulate what `config` describes and write fields, curve, pictures and configuration to one folder.

    A run that is finished in that folder is not repeated; one that was interrupted goes on with `config.resume`. The
    table goes to `console` (stdout by default), progress to stderr.

    **Errors:** ConfigError, GeometryError before anything is compiled or written. What stops the simulation
    itself is found in `status`.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    with _collected_warnings() as said, ExitStack() as stack:
        electrode = read_electrode(config.geometry)
        digest = configuration_hash(config, electrode)
        folder = run_folder(config, digest)
        if folder.is_dir():
            stack.enter_context(locked(folder))
        todo = plan(config, folder, digest)
        if todo is Plan.skip:
            return _show_again(config, folder, console, notes)

        steps = parse_protocol(config.protocol.steps)
        if config.output.particles and electrode.particle is None:
            electrode = label_particles(electrode)
        overrides, min_live = config.cell.overrides, config.geometry.min_live
        cell = build_cell(electrode, config.cell.parameter_set, overrides, min_live=min_live)
        fields = config.output.fields
        check_arguments(cell, steps, None, fields, config.solver.rtol, config.output.snapshots)
        new = not folder.is_dir()
        make_folder(folder)  # all that can be wrong with the input has been said
        if new:
            stack.enter_context(locked(folder))
            todo = plan(config, folder, digest)
        remove_leftovers(folder)
        save_config(portable(config, folder), folder / CONFIG)
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
                faces=config.output.faces,
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
        _write_beside(config, folder, notes)
        summary = summarise(cell, solution)  # of the solution: a full disk may have kept it from the file
        outcome = _conclude(folder, console, notes, solution.status, solution.message, summary, solution.stats)
        return dataclasses.replace(outcome, asked=interrupted())


def _show_again(config: "RunConfig", folder: Path, console: Console, notes: Console) -> RunOutcome:
    """A run that has ended before: its table, and what may be missing beside the result."""
    result = read_result(folder / RESULT)
    notes.print(f"Done before, with the same configuration: {folder}", soft_wrap=True)
    made_by = {name: result.provenance.get(name) for name in ("voxelyte", "git_commit")}
    now = collect_provenance()
    if any(value is not None and now.get(name) not in (None, value) for name, value in made_by.items()):
        made = " ".join(str(value) for value in made_by.values() if value)
        notes.print(f"It was computed by another version of the program ({made}).", soft_wrap=True)
    notes.print("output.overwrite=true would repeat it.")
    if not (folder / CURVE).exists():  # killed between the end of the run and its curve
        _write_beside(config, folder, notes)
    message = str(result.summary.get("message", ""))
    return _conclude(folder, console, notes, result.status, message, stored_summary(result.summary), result.solver)


def _write_beside(config: "RunConfig", folder: Path, notes: Console) -> None:
    """Curve, tables and pictures of the result in `folder`; what cannot be written is said."""
    try:
        result = read_result(folder / RESULT)
        write_bdf_csv(folder / CURVE, result.timeseries, ambient_temperature=float(result.parameters["temperature"]))
        write_tables(result, folder)
        if config.output.pictures:
            draw(result, folder, notes)
    except OSError as error:  # a full disk: what has been computed is safe
        notes.print(f"Curve, tables or pictures could not be written: {error.strerror or error}.", soft_wrap=True)


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

    def collect(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, UserWarning) and str(message) not in texts:
            texts.append(str(message))
        show(message, category, *place, **more)

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

    with handled(handle):
        yield lambda: bool(asked)


def draw(result: RunResult, folder: Path, notes: Console) -> None:
    """Curves, maps and histories. What cannot be drawn is said and left out."""
    from simulator import viz  # matplotlib takes a second, and is not needed without pictures

    pictures = {"voltage.png": viz.plot_voltage, "soc_3d.png": viz.render_soc, "slices.png": viz.plot_slices}
    if "ocv_volt" in result.timeseries:
        pictures["losses.png"] = viz.plot_losses
    if result.particles is not None:
        pictures["particles.png"] = viz.plot_particles
    drawings: dict[str, Callable[[Path], Path]] = {n: partial(plot, result) for n, plot in pictures.items()}
    drawings |= {f"{name}.png": plot for name, plot in plots(result).items()}
    for name, plot in drawings.items():
        try:
            plot(folder / name)
        except ConfigError as error:
            notes.print(f"{name} was not drawn: {error}", soft_wrap=True)
