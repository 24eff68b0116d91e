"""From a configuration to the files of one run."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from rich.console import Console

from simulator.errors import ConfigError
from simulator.io import RunResult, read_result, write_bdf_csv
from simulator.model import Solution, SolverOptions, build_cell
from simulator.protocol import parse_protocol, validate_protocol
from simulator.workflows.electrode import read_electrode
from simulator.workflows.folder import CONFIG, CURVE, RESULT, make_folder, portable, refuse_to_overwrite
from simulator.workflows.progress import StepProgress
from simulator.workflows.report import ADVICE, summarise, table
from simulator.workflows.simulate import simulate

if TYPE_CHECKING:
    from simulator.config import RunConfig


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended, where its files are, and the numbers of its closing table."""

    status: str
    folder: Path
    summary: Mapping[str, float]
    solution: Solution


def run(config: "RunConfig", console: Console | None = None) -> RunOutcome:
    """Simulate what `config` describes and write fields, curve, pictures and configuration to one folder.

    The table goes to `console` (stdout by default), progress to stderr.

    **Errors:** ConfigError, GeometryError before anything is compiled or written. What stops the simulation
    itself is found in `status`.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    refuse_to_overwrite(config.output)
    electrode = read_electrode(config.geometry)
    steps = parse_protocol(config.protocol.steps)
    cell = build_cell(electrode, config.cell.parameter_set, config.cell.overrides, min_live=config.geometry.min_live)
    validate_protocol(
        steps,
        voltage_window=cell.value("voltage_limits"),
        anode_potential=float(cell.value("anode.potential")),
    )
    folder = make_folder(config.output.dir)
    OmegaConf.save(OmegaConf.create(portable(config, folder)), folder / CONFIG)
    notes.print(f"{electrode!r} -> {folder}", soft_wrap=True)

    solver = dataclasses.asdict(config.solver)
    rtol = solver.pop("rtol")
    with StepProgress(notes) as progress:
        solution = simulate(
            cell,
            steps,
            save_to=folder / RESULT,
            fields=tuple(config.output.fields),
            rtol=rtol,
            callback=progress,
            options=SolverOptions(**solver),
            snapshots=config.output.snapshots,
            config=portable(config, folder),
        )
    result = read_result(folder / RESULT)
    write_bdf_csv(folder / CURVE, result.timeseries, ambient_temperature=float(cell.value("temperature")))
    summary = summarise(cell, solution)
    console.print(table(summary, solution.stats, solution.status, folder))
    if config.output.pictures:
        draw(result, folder, notes)
    if solution.status != "finished":
        notes.print(solution.message, soft_wrap=True)
    if solution.status in ADVICE:
        notes.print(ADVICE[solution.status], soft_wrap=True)
    return RunOutcome(solution.status, folder, summary, solution)


def draw(result: RunResult, folder: Path, notes: Console) -> None:
    """Voltage curve, 3D state of charge and slices. What cannot be drawn is said and left out."""
    from simulator import viz  # matplotlib takes a second, and is not needed without pictures

    pictures = {"voltage.png": viz.plot_voltage, "soc_3d.png": viz.render_soc, "slices.png": viz.plot_slices}
    for name, plot in pictures.items():
        try:
            plot(result, folder / name)
        except ConfigError as error:
            notes.print(f"{name} was not drawn: {error}", soft_wrap=True)
