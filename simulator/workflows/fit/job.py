"""From the file of a fit and a configuration of the cell to the files of the fit."""

import csv
import dataclasses
import hashlib
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from rich.console import Console

from simulator.errors import ConfigError
from simulator.interrupts import handled
from simulator.io.atomic import replaced
from simulator.io.measured import MeasuredCurve, read_curve
from simulator.materials.parameter_sets import SPECS
from simulator.model import Cell, SolverOptions, build_cell
from simulator.model.simulate import check_arguments
from simulator.protocol import parse_protocol
from simulator.workflows.electrode import read_electrode
from simulator.workflows.fit.design import Ranked, ranking_table
from simulator.workflows.fit.experiment import Experiment
from simulator.workflows.fit.fitting import EVALUATIONS, Fit, fit_simulation, line_of
from simulator.workflows.fit.parameters import FitParameter
from simulator.workflows.fit.profile import Profile
from simulator.workflows.fit.quantities import fit_parameter, unit_of
from simulator.workflows.fit.result import Evaluation, aligned
from simulator.workflows.fit.simulation import Simulation
from simulator.workflows.folder import CONFIG, configuration_hash, locked, make_folder, nearby, portable, save_config

if TYPE_CHECKING:
    from simulator.config import FitConfig, RunConfig

#: What was fitted, as a file that can be fitted again.
PROBLEM = "problem.yaml"
NEXT = "next_experiments.csv"
CHECKED = "checked"
#: settings of a fit that change no evaluation
_LATER = ("max_evaluations", "xtol", "ftol", "ctol", "profile", "next")


def fit_job(
    problem: "FitConfig",
    config: "RunConfig",
    name: str,
    folder: Path | None = None,
    *,
    check: bool = False,
    console: Console | None = None,
) -> str:
    """Fit what `problem` says of the cell of `config`, write the files, and return the status: that of the result,
    "interrupted" also if the profiles were, or "checked". The protocol of `config` is not used.

    **Arguments:** `name`: of the fit, for the `folder`, by default `outputs/fit-NAME-<hash>`; `check`: end before
    anything is compiled or written. Results go to `console` (stdout by default), progress to stderr.

    **Errors:** ConfigError, GeometryError before anything is compiled or written; RunStopped if the run at the start
    values stops.
    """
    console = console or Console(markup=False, highlight=False)
    notes = Console(stderr=True, markup=False, highlight=False)
    parameters = [fit_parameter(name, given) for name, given in problem.parameters.items()]
    experiments = [_experiment(given, f"curves.{k}") for k, given in enumerate(problem.curves, start=1)]
    if config.solver.cycle_jump:
        raise ConfigError("solver.cycle_jump must be 0 here: cycles that were jumped over have no derivative.")
    electrode = read_electrode(config.geometry)
    cell = build_cell(electrode, config.cell.parameter_set, config.cell.overrides, min_live=config.geometry.min_live)
    solver = dataclasses.asdict(config.solver)
    rtol = solver.pop("rtol")
    for label, steps in problem.next.items():
        with _naming(f"next.{label}"):
            check_arguments(cell, parse_protocol(steps), None, None, rtol, 1)
    simulation = Simulation(cell, experiments, parameters, rtol=rtol, options=SolverOptions(**solver))
    _say_problem(notes, config, cell, simulation, parameters)
    if check:
        notes.print("Checked; nothing was computed.")
        return CHECKED
    if folder is None and config.output.dir is not None:
        folder = Path(config.output.dir).expanduser()
    if folder is None:
        folder = Path("outputs") / f"fit-{name}-{_hash(problem, config, cell)[:8]}"
    make_folder(folder, "--output")
    with locked(folder), _each_warning_once(), handled(_end, [signal.SIGTERM]):
        save_config(portable(config, folder), folder / CONFIG)
        save_config(_portable(problem, folder), folder / PROBLEM)
        return _fit(problem, simulation, parameters, folder, console, notes)


def _fit(
    problem: "FitConfig",
    simulation: Simulation,
    parameters: Sequence[FitParameter],
    folder: Path,
    console: Console,
    notes: Console,
) -> str:
    kept = len(list((folder / EVALUATIONS).glob("*.npz")))
    if kept:
        notes.print(
            f"{kept} evaluations are kept in {folder}; those of this problem are not run again.", soft_wrap=True
        )
    else:
        notes.print("The first evaluation compiles the programs: it takes longer than the next ones.")
    found = fit_simulation(
        simulation,
        parameters,
        method=problem.method,
        loss=problem.loss,
        max_evaluations=problem.max_evaluations,
        xtol=problem.xtol,
        ftol=problem.ftol,
        ctol=problem.ctol,
        folder=folder,
        report=lambda line: notes.print(line, soft_wrap=True),
    )
    console.print(f"\n{found}", soft_wrap=True)
    status = found.result.status
    if status in ("converged", "stuck"):
        if not _profiles(problem, found, folder, console, notes):
            status = "interrupted"
        elif problem.next:
            notes.print(f"\nRanking {', '.join(problem.next)} ...", soft_wrap=True)
            ranked = found.next_experiments(problem.next)
            _write_ranking(folder / NEXT, ranked)
            console.print("\n" + "\n".join(ranking_table(ranked, parameters)), soft_wrap=True)
    elif problem.profile or problem.next:
        cure = " Raise max_evaluations." if status == "max_evaluations" else ""
        notes.print(f"\nprofile and next are left for a fit that has converged.{cure}", soft_wrap=True)
    shared = [f"cell.{name}={value:.6g}" for name, value in found.values.items() if name in SPECS]
    if shared:
        notes.print(f"\nto run with it: {' '.join(shared)}", soft_wrap=True)
    if status in ("interrupted", "max_evaluations"):
        notes.print("The same command goes on from here.")
    console.print(f"\nfiles: {folder}", soft_wrap=True)
    return status


def _profiles(problem: "FitConfig", found: Fit, folder: Path, console: Console, notes: Console) -> bool:
    """Profile likelihoods, each saved as it comes. Whether they were not interrupted."""
    profiles: list[Profile] = []
    for name in problem.profile:
        notes.print(f"\nProfile likelihood of {name}:", soft_wrap=True)

        def show(evaluation: Evaluation) -> None:
            notes.print(line_of(evaluation), soft_wrap=True)

        profiles.append(found.profile(name, callback=show))
        found.save_profiles(folder, profiles)
        console.print(profiles[-1].sentence, soft_wrap=True)
        if "interrupted" in (profiles[-1].lower_end, profiles[-1].upper_end):
            return False
    return True


def _experiment(given: Any, place: str) -> Experiment:
    """A curve of the file of a fit, read. **Errors:** ConfigError."""
    with _naming(place):
        curve = read_curve(
            given.file,
            columns=given.columns,
            units=given.units,
            current_sign=given.current_sign,
            begin=given.begin,
            end=given.end,
        )
        if given.size:
            curve = curve.scaled(**given.size)
        elif curve.current_unit == "A":
            raise ConfigError(
                f"the current of {Path(given.file).name} is that of a whole cell, in A, and the simulated piece is "
                "small. Say what it belongs to: area: 1.13 cm2 of the electrode, capacity: 5 mAh (what 1C passes in "
                "an hour) or mass: 12 mg of active material."
            )
    return Experiment(
        curve,
        label=given.label,
        rows=given.rows,
        evenly=given.evenly,
        sigma=given.sigma,
        weight=given.weight,
        values=given.values,
        tolerance=given.tolerance,
    )


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Says where in the file of the fit an error is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


@contextmanager
def _each_warning_once() -> Iterator[None]:
    """Every run of a fit has the same warnings: each text is shown once."""
    show, said = warnings.showwarning, set()

    def show_once(message: Warning | str, *place: Any, **more: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            show(message, *place, **more)

    warnings.showwarning = show_once
    try:
        yield
    finally:
        warnings.showwarning = show


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a fit with the best so far, as Ctrl-C does. Only the first one: what follows is to be written."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say_problem(
    notes: Console, config: "RunConfig", cell: Cell, simulation: Simulation, parameters: Sequence[FitParameter]
) -> None:
    """What is about to be fitted to what."""
    notes.print(f"{cell.electrode!r}", soft_wrap=True)
    grams = 1e3 * cell.am_mass
    notes.print(
        f"{Path(config.cell.parameter_set).stem}, {float(cell.value('temperature')) - 273.15:.1f} degC, "
        f"theoretical capacity {cell.theoretical_capacity / 3.6 / grams:.4g} mAh/g AM\n",
        soft_wrap=True,
    )
    rows: list[tuple[str, ...]] = [
        ("curve", "rows", "compared", "hours", "charged", "discharged", "lowest V", "highest V", "sigma mV")
    ]
    said = []
    for followed in simulation.curves:
        curve, sigma = followed.experiment.curve, followed.experiment.sigma
        passed = [_charge(curve, cell, sign) / 3.6 / grams for sign in (1.0, -1.0)]
        rows.append(
            (
                followed.name,
                str(len(curve)),
                str(followed.times.size),
                f"{(curve.time[-1] - curve.time[0]) / 3600.0:.3g}",
                *(f"{value:.4g}" for value in passed),
                f"{curve.voltage.min():.4g}",
                f"{curve.voltage.max():.4g}",
                "estimated" if sigma is None else f"{1e3 * sigma:.3g}",
            )
        )
        said += [f"{followed.name}: {note}" for note in curve.notes]
    notes.print("\n".join([*aligned(rows), "charged and discharged in mAh/g AM", *said, ""]), soft_wrap=True)
    listed: list[tuple[str, ...]] = [("parameter", "unit", "start", "lower", "upper", "scale", "prior")]
    for p in parameters:
        prior = "" if p.prior is None else f"{p.prior.mean:.4g}, std {p.prior.std:.3g}"
        numbers = (f"{value:.4g}" for value in (p.start, p.lower, p.upper))
        listed.append((p.name, unit_of(p.name) or "", *numbers, "log" if p.log else "linear", prior))
    notes.print("\n".join([*aligned(listed), ""]), soft_wrap=True)


def _charge(curve: MeasuredCurve, cell: Cell, sign: float) -> float:
    """Charge [C] that a simulated piece passes in one direction."""
    amperes = np.array([cell.basis.amperes(value, curve.current_unit) for value in curve.current])
    chosen = np.maximum(sign * amperes, 0.0)
    return float(np.sum(0.5 * (chosen[1:] + chosen[:-1]) * np.diff(curve.time)))


def _hash(problem: "FitConfig", config: "RunConfig", cell: Cell) -> str:
    """Of everything that changes the evaluations, but for the protocol of the configuration, which is not used."""
    config = dataclasses.replace(config, protocol=dataclasses.replace(config.protocol, steps=["Rest for 1 h"]))
    values = {key: value for key, value in dataclasses.asdict(problem).items() if key not in _LATER}
    for curve in values["curves"]:
        curve["file"] = hashlib.sha256(Path(curve["file"]).read_bytes()).hexdigest()
    text = repr(values) + configuration_hash(config, cell.electrode)
    return hashlib.sha256(text.encode()).hexdigest()


def _portable(problem: "FitConfig", folder: Path) -> Mapping[str, Any]:
    """`problem` as plain values, its curves by their way from the folder."""
    values = dataclasses.asdict(problem)
    for curve in values["curves"]:
        curve["file"] = nearby(Path(curve["file"]), folder)
    return values


def _write_ranking(path: Path, ranked: Sequence[Ranked]) -> None:
    """Gains and expected standard errors in the fitted scale."""
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["experiment", "gain", *(f"std {name}" for name in ranked[0].std)])
        writer.writerows([r.name, repr(r.gain), *map(repr, r.std.values())] for r in ranked)
