"""From a configuration to the files of a sensitivity map."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.errors import ConfigError
from simulator.geometry import label_particles
from simulator.io import HistoryTable, ResultWriter, collect_provenance, write_table
from simulator.model import Cell, SolverOptions, build_cell
from simulator.model.faces import FACE_FACTS
from simulator.model.simulate import check_arguments
from simulator.protocol import parse_protocol
from simulator.workflows.electrode import read_electrode
from simulator.workflows.folder import configuration_hash, make_folder, portable, run_folder
from simulator.workflows.sensitivity_map import SensitivityMap, chosen_step, sensitivity_map
from simulator.workflows.simulate import describe_parameters

if TYPE_CHECKING:
    from simulator.config import RunConfig

MAP, PARTICLES, PICTURE = "sensitivity_map.vtkhdf", "sensitivity_particles.csv", "sensitivity_map.png"
#: output of a map -> what its long names call it
_NAMES = {"capacity": "capacity", "decomposed": "decomposed charge"}


def sensitivity(
    config: "RunConfig", folder: Path | None = None, step: int | None = None, console: Console | None = None
) -> SensitivityMap:
    """Map the run of `config`; write picture, table and fields to `folder`, and say the main numbers.

    **Arguments:** `folder`: by default `outputs/sensitivity-...`, named as that of the run would be; files of an
    earlier map in it are replaced, others stay. `step` as in `sensitivity_map`. The table goes to `console` (stdout by
    default), progress to stderr.

    **Errors:** as of `sensitivity_map`; ConfigError if the folder cannot be written to.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    steps = parse_protocol(config.protocol.steps)
    step = chosen_step(steps, step)  # before an image is read
    electrode = read_electrode(config.geometry)
    if folder is None:
        named = run_folder(config, configuration_hash(config, electrode))
        folder = named if config.output.dir is not None else named.with_name(f"sensitivity-{named.name}")
    if electrode.particle is None:
        electrode = label_particles(electrode)
    overrides, min_live = config.cell.overrides, config.geometry.min_live
    cell = build_cell(electrode, config.cell.parameter_set, overrides, min_live=min_live)
    solver = dataclasses.asdict(config.solver)
    rtol = solver.pop("rtol")
    if config.solver.cycle_jump:
        raise ConfigError("solver.cycle_jump must be 0 here: cycles that were jumped over have no derivative.")
    check_arguments(cell, steps, None, None, rtol, 1)
    make_folder(folder, "--output")  # all that can be wrong with the input has been said
    notes.print(f"{electrode!r} -> {folder}", soft_wrap=True)
    found = sensitivity_map(cell, steps, step=step, rtol=rtol, options=SolverOptions(**solver), notify=notes.print)
    write_map(found, folder, cell, portable(config, folder))
    console.print(_table(found, cell, folder))
    if config.output.pictures:
        from simulator import viz  # matplotlib takes a second, and is not needed without pictures

        try:
            viz.plot_sensitivity_map(found, folder / PICTURE)
        except ConfigError as error:
            notes.print(f"{PICTURE} was not drawn: {error}", soft_wrap=True)
    return found


def write_map(found: SensitivityMap, folder: Path, cell: Cell, config: Mapping[str, Any]) -> None:
    """Write the sums of the particles as CSV, and all faces and their means over each particle voxel as VTKHDF.

    The latter is a result file: `read_result(...).faces` has the faces in the order of the map, `field` the means.
    **Errors:** OSError if the files cannot be written.
    """
    write_table(folder / PARTICLES, found.particle_table())
    facts = {
        "am": found.am,
        "ionic": found.ionic,
        "axis": found.axis,
        "area": found.contact_area,
        "particle": found.particle,
        "contact_fraction": found.fraction,
    }
    specs = FACE_FACTS | {"contact_fraction": ("1", "Contact fraction")}
    fields = {}
    for name, output in found.outputs.items():
        text = _NAMES[name]
        facts |= {
            f"{name}_by_fraction": output.by_fraction,
            f"{name}_by_area": output.by_area,
            f"{name}_elasticity": output.elasticity,
        }
        specs |= {
            f"{name}_by_fraction": ("C", f"Derivative of the {text} by the contact fraction of the face"),
            f"{name}_by_area": ("C m^-2", f"Derivative of the {text} by the contact area of the face"),
            f"{name}_elasticity": ("1", f"Relative change of the {text} for one of the contact of the face"),
        }
        fields[f"{name}_by_area"] = ("C m^-2", f"Derivative of the {text} by contact area")
    writer = ResultWriter(
        folder / MAP,
        phase=found.phase,
        voxel_size=found.voxel_size,
        field_specs=fields,
        config=config,
        parameters=describe_parameters(cell),
        provenance=collect_provenance(),
        tables={"faces": HistoryTable(facts, specs)},
        autoflush=False,
    )
    writer.append_fields(found.time, {f"{name}_by_area": found.voxel_field(name) for name in found.outputs})
    writer.finish("finished", {}, {}, {"step": found.step, **numbers(found, cell)})


def numbers(found: SensitivityMap, cell: Cell) -> dict[str, float]:
    """What the closing table shows: heading with unit -> value."""
    values = {"capacity [mAh/g AM]": found.capacity.value / 3.6 / (1e3 * cell.am_mass)}
    if found.decomposed is not None:
        values["decomposed charge [% of capacity]"] = 100.0 * found.decomposed.value / found.capacity.value
    for name, output in found.outputs.items():
        text = _NAMES[name]
        values[f"{text} for 1 % more contact everywhere [%]"] = output.total_elasticity
        values[f"{text} for 1 % more contact where it rises [%]"] = float(found.ranking(name).gain.max())
        values[f"contact that makes half of this rise of {text} [%]"] = 100.0 * found.half_share(name)
        values[f"contact where more of it lowers {text} [%]"] = 100.0 * found.falling_share(name)
    return values


def _table(found: SensitivityMap, cell: Cell, folder: Path) -> Table:
    table = Table(title=f"step {found.step}: {folder}", title_justify="left")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for name, value in numbers(found, cell).items():
        table.add_row(Text(name), f"{value:.4g}")
    return table
