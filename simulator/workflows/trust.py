"""How far can a result be trusted: the same case with voxels twice as large, and on four parts of the electrode.

- Discretisation: the difference to a run on voxels of twice the size. Errors of voxel meshes fall about linearly with
  the voxel size (the staircase of the surfaces), and for order one the error at h equals the difference between h and
  2h. For higher orders it is an upper bound.
- Sampling: the electrode is cut across its thickness into four quarters, each simulated by itself. Their standard
  deviation s is the spread of volumes of a quarter of the size; the standard error of the whole is s/2.

Both are given as standard uncertainties and added in quadrature.
"""

import csv
import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.interpolate import PchipInterpolator

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import Electrode
from simulator.io import RunResult
from simulator.materials.parameter_sets.checks import is_spread
from simulator.protocol import SingleStep, parse_step, step_texts
from simulator.workflows.electrode import read_electrode
from simulator.workflows.folder import configuration_hash, make_folder, run_folder
from simulator.workflows.run import run

if TYPE_CHECKING:
    from simulator.config import RunConfig

#: ends that say something about the cell; the others (newton_failed, dt_min) say something about the solver
PHYSICAL = ("finished", "voltage_limit", "salt_depleted", "salt_saturated")
QUARTERS = tuple(f"quarter_{n}" for n in range(1, 5))
#: least voxels across a quarter: below, its sides and not its structure decide
LEAST = 8
POINTS = 200
#: summary values that get an error bar, beside the voltages
QUANTITIES = ("capacity [mAh/g AM]", "utilisation [%]")


@dataclass(frozen=True)
class Uncertain:
    """A value with its two standard uncertainties, in the unit of the value; NaN where one is not known."""

    value: float
    discretisation: float
    sampling: float

    @property
    def total(self) -> float:
        """Both in quadrature, as far as they are known."""
        known = [u for u in (self.discretisation, self.sampling) if math.isfinite(u)]
        return math.sqrt(sum(u * u for u in known)) if known else math.nan


@dataclass(frozen=True)
class StepCurve:
    """Voltage of one protocol step against specific capacity [mAh/g], with uncertainties [V]; arrays (points,)."""

    step: int
    name: str
    capacity: np.ndarray
    voltage: np.ndarray
    discretisation: np.ndarray
    sampling: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Both in quadrature, as far as they are known."""
        return np.sqrt(np.nan_to_num(self.discretisation) ** 2 + np.nan_to_num(self.sampling) ** 2)


@dataclass(frozen=True)
class Trust:
    """What `trust` finds: values with error bars, voltage curves, how each run ended, and how many quarters count."""

    values: dict[str, Uncertain]
    curves: list[StepCurve]
    status: dict[str, str]
    folder: Path
    parts: int


def trust(config: "RunConfig", console: Console | None = None) -> Trust:
    """Run the six cases of `config`, each in a folder of its own, and put error bars on the first of them.

    What is finished is not repeated, so the command can be given again after an interruption. Writes trust.json,
    trust.csv and trust.png beside the runs.

    **Errors:** ConfigError, GeometryError if the whole electrode cannot be run, or is too small to be cut in quarters;
    ConfigError if a parameter differs from place to place: its values do not follow into the other five cases.
    """
    for key, value in config.cell.overrides.items():
        if is_spread(key, value):
            raise ConfigError(
                f"cell.{key}={value} belongs to the voxels or particles of the whole electrode, and error bars need "
                f"runs on larger voxels and on quarters. Give one number, such as cell.{key}=0.5."
            )
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    folder = run_folder(config, configuration_hash(config, read_electrode(config.geometry)))
    if config.output.dir is None:
        folder = folder.with_name(f"trust-{folder.name}")
    cases = case_configs(config, folder)
    make_folder(folder)
    status, results = {}, {}
    for number, (name, case) in enumerate(cases.items(), start=1):
        notes.print(f"[{number}/{len(cases)}] {name}")
        try:
            outcome = run(case, Console(quiet=True))
        except GeometryError as error:
            if name == "full":
                raise
            status[name] = "not possible"
            notes.print(f"{name} cannot be run: {error}", soft_wrap=True)
            continue
        status[name] = outcome.status
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        results[name] = outcome.result
    found = evaluate(results, status, folder)
    write(found)
    from simulator import viz

    viz.plot_trust(found, folder / "trust.png")
    console.print(table(found))
    return found


def case_configs(config: "RunConfig", folder: Path) -> dict[str, "RunConfig"]:
    """Name -> configuration of the six runs. **Errors:** GeometryError if the electrode is too small."""
    electrode = read_electrode(dataclasses.replace(config.geometry, coarsen=1))
    factor = config.geometry.coarsen
    across = min(electrode.shape[1:]) // (2 * factor)
    if across < LEAST or min(electrode.shape) < 2 * factor:
        raise GeometryError(
            f"The electrode has {electrode.shape} voxels; a quarter would be {across} wide, and at least {LEAST} are "
            "needed. Use a larger image for error bars."
        )
    geometries = {
        "full": config.geometry,
        "coarse": dataclasses.replace(config.geometry, coarsen=2 * factor),
        **{
            name: dataclasses.replace(config.geometry, crop=ranges)
            for name, ranges in zip(QUARTERS, quarters(electrode, config.geometry.crop), strict=True)
        },
    }
    cases = {}
    for name, geometry in geometries.items():
        output = dataclasses.replace(config.output, dir=str(folder / name), pictures=False)
        cases[name] = dataclasses.replace(config, geometry=geometry, output=output, resume=True)
    return cases


def quarters(electrode: Electrode, crop: list | None) -> list[list]:
    """Crops (in voxels of the image) of the four quarters of an electrode that was itself cut out by `crop`."""
    start = [0 if c is None or c[0] is None else c[0] for c in (crop or [None] * 3)]
    _, ny, nx = electrode.shape
    halves = [[(0, n // 2), (n // 2, n)] for n in (ny, nx)]
    z = None if crop is None else crop[0]
    return [
        [z, [start[1] + y0, start[1] + y1], [start[2] + x0, start[2] + x1]]
        for y0, y1 in halves[0]
        for x0, x1 in halves[1]
    ]


def evaluate(results: Mapping[str, RunResult], status: Mapping[str, str], folder: Path) -> Trust:
    """Error bars of the run "full" from the others, as far as they came to an end."""
    full = results["full"]
    good = {name: r for name, r in results.items() if name == "full" or _counts(status, name)}
    values = {}
    for quantity in QUANTITIES:
        found = {name: np.asarray(r.summary[quantity], float) for name, r in good.items()}
        values[quantity] = Uncertain(*map(float, (found["full"], *_uncertainties(found))))
    curves = []
    for step in current_steps(full):
        sampled = {name: step_curve(r, step) for name, r in good.items()}
        sampled = {name: c for name, c in sampled.items() if c[0].size > 1}
        if "full" not in sampled:  # a step that ended at once
            continue
        capacity = np.linspace(0.0, min(float(q[-1]) for q, _ in sampled.values()), POINTS)
        volts = {name: _smooth(capacity, q, v) for name, (q, v) in sampled.items()}
        curve = StepCurve(step, _step_name(full, step), capacity, volts["full"], *_uncertainties(volts))
        curves.append(curve)
        for share in (0.25, 0.5, 0.75):
            at = int(share * (POINTS - 1))
            key = f"voltage of step {step} at {capacity[at]:.1f} mAh/g [V]"
            values[key] = Uncertain(*(float(a[at]) for a in (curve.voltage, curve.discretisation, curve.sampling)))
    return Trust(values, curves, dict(status), folder, sum(name in good for name in QUARTERS))


def _counts(status: Mapping[str, str], name: str) -> bool:
    """Whether run `name` can be held against "full": both came to the same end, and one that concerns the cell."""
    return status["full"] in PHYSICAL and status[name] == status["full"]


def _uncertainties(values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Discretisation and sampling of values (of any one shape) by name of the run; NaN where a run is missing."""
    full = values["full"]
    unknown = np.full(np.shape(full), np.nan)
    parts = [values[name] for name in QUARTERS if name in values]
    return (
        np.abs(full - values["coarse"]) if "coarse" in values else unknown,
        np.std(parts, axis=0, ddof=1) / 2.0 if len(parts) > 1 else unknown,
    )


def _smooth(at: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Monotone cubic interpolation: the straight lines of np.interp would add tenths of a millivolt."""
    distinct = np.flatnonzero(np.diff(x, prepend=-np.inf) > 0)
    if distinct.size < 2:
        return np.full_like(at, y[0])
    return PchipInterpolator(x[distinct], y[distinct])(np.clip(at, x[0], x[-1]))


def current_steps(result: RunResult) -> list[int]:
    """Numbers of the protocol steps with a current and a voltage that may differ between runs: no rests, no holds."""
    number, current = result.timeseries["step_count"], result.timeseries["current_ampere"]
    voltage = result.timeseries["voltage_volt"]
    return [int(n) for n in np.unique(number) if current[number == n][-1] != 0 and np.ptp(voltage[number == n]) > 0]


def _step_name(result: RunResult, step: int) -> str:
    """The text of an executed step, as far as the protocol tells it: GITT executes several."""
    texts = step_texts(result.config["protocol"]["steps"]) if result.config else []
    return texts[step - 1] if step <= len(texts) and all(map(_has_one_part, texts)) else f"Step {step}"


def _has_one_part(text: str) -> bool:
    try:
        return isinstance(parse_step(text), SingleStep)
    except ConfigError:  # a profile whose file lies elsewhere
        return True


def step_curve(result: RunResult, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Specific capacity [mAh/g] since the start of `step` and voltage [V], one value per time step."""
    series = result.timeseries
    rows = series["step_count"] == step
    charge = np.abs(series["charge_coulomb"][rows])
    mass = float(result.parameters["derived"]["am_mass_kg"])
    passed = np.abs(charge - charge[:1]) / 3.6 / (1e3 * mass)
    return passed, series["voltage_volt"][rows]


def write(found: Trust) -> None:
    """trust.json with the values, trust.csv with the curves. **Errors:** ConfigError if the folder is not writable."""
    data = {
        "status": found.status,
        "quarters": found.parts,
        "values": {name: {**dataclasses.asdict(u), "total": u.total} for name, u in found.values.items()},
    }
    try:
        (found.folder / "trust.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        with (found.folder / "trust.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            head = ("Step / 1", "Specific capacity / mAh/g", "Voltage / V")
            writer.writerow([*head, "Discretisation / V", "Sampling / V", "Total / V"])
            for c in found.curves:
                columns = (c.capacity, c.voltage, c.discretisation, c.sampling, c.total)
                writer.writerows([c.step, *map(repr, map(float, row))] for row in zip(*columns, strict=True))
    except OSError as error:
        raise ConfigError(f"Cannot write to {found.folder}: {error.strerror or error}. Free some space.") from error


def table(found: Trust) -> Table:
    """The values with their error bars."""
    shown = Table(title=Text(f"error bars, {found.status['full']}: {found.folder}", style="bold"), title_justify="left")
    for name in ("", "value", "±", "discretisation", "sampling"):
        shown.add_column(name, justify="left" if not name else "right")
    for name, u in found.values.items():
        volts = name.startswith("voltage")
        number = "{:.4f}" if volts else "{:.4g}"
        error = "{:.4f}" if volts else "{:.2g}"
        cells = [number.format(u.value)]
        cells += [error.format(x) if math.isfinite(x) else "-" for x in (u.total, u.discretisation, u.sampling)]
        shown.add_row(Text(name), *cells)
    failed = [f"{name}: {s}" for name, s in found.status.items() if name != "full" and not _counts(found.status, name)]
    caption = "±: one standard uncertainty, both causes in quadrature"
    if failed:
        caption += ". Left out: " + ", ".join(failed)
    if found.parts < len(QUARTERS):
        caption += f". Sampling from {found.parts} of 4 quarters: a lower bound, the electrode is small"
    shown.caption = caption
    return shown
