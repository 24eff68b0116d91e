"""Several runs side by side: key numbers, the settings that differ, and one figure."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.errors import ConfigError
from simulator.io import RunResult
from simulator.viz.fields import parameter
from simulator.workflows.cycles import mean_voltages
from simulator.workflows.view import STILLS, open_run, run_name

_ABSENT = "-"
_LONG = 40  # characters of a value in a legend
_NAMED = 3  # settings that a legend names
#: settings that change no number of the result
_IRRELEVANT = ("output.", "resume")


def key_numbers(run: RunResult) -> dict[str, float]:
    """Name with unit -> value, as far as the file allows.

    Capacity is the largest charge between any two states of the run, utilisation its share of what all active
    material holds in `am.sto_window`. Mean voltages are weighted by the charge that passed.
    """
    time, voltage = run.timeseries["test_time_second"], run.timeseries["voltage_volt"]
    passed = np.append(run.capacity, 0.0)
    charge = float(passed.max() - passed.min())
    numbers: dict[str, float] = {}
    if np.isfinite(run.am_mass):
        numbers["capacity [mAh/g AM]"] = charge / 3.6 / (1e3 * run.am_mass)
    numbers["capacity [mAh/cm2]"] = charge / 3.6 / (1e4 * run.area)
    theoretical = parameter(run, "derived.theoretical_capacity_C")
    if theoretical:
        numbers["utilisation [%]"] = 100.0 * charge / float(theoretical)
    numbers |= {f"mean {word} voltage [V]": volts for word, volts in mean_voltages(run).items()}
    if voltage.size:
        numbers["final voltage [V]"] = float(voltage[-1])
        numbers["simulated time [h]"] = float(time[-1]) / 3600.0
    live = parameter(run, "derived.live_share")
    if live is not None:
        numbers["live share of the AM surface [%]"] = 100.0 * float(live)
    return numbers


def loss_numbers(run: RunResult) -> dict[str, float]:
    """Mean of each voltage loss [mV], weighted by charge; empty if the run stored none or no charge passed."""
    from simulator.viz import mean_losses
    from simulator.viz.losses import cause_style

    means = mean_losses(run) if run.timeseries["test_time_second"].size else {}
    found = {f"loss: {cause_style(name)[0]} [mV]": 1e3 * value for name, value in means.items() if np.isfinite(value)}
    return found | ({"loss: total [mV]": sum(found.values())} if found else {})


def settings(run: RunResult) -> dict[str, str]:
    """Everything that makes a run what it is, as dotted name -> text: configuration, parameters, image, version."""
    voxels = " x ".join(str(n) for n in run.phase.shape)
    size = " x ".join(dict.fromkeys(f"{1e6 * h:.4g}" for h in run.voxel_size))
    if size.count("x") == 1:  # two of three are equal: all have to be named
        size = " x ".join(f"{1e6 * h:.4g}" for h in run.voxel_size)
    found = {"image": f"{voxels} voxels of {size} um"}
    flat = {name: text for name, text in _flat(run.config).items() if not name.startswith(_IRRELEVANT)}
    # an override of a parameter is found again, with its value, among the parameters
    found |= {name: text for name, text in flat.items() if not name.startswith("cell.overrides")}
    found |= _flat({k: v for k, v in run.parameters.items() if k not in ("sources", "derived")})
    if "voxelyte" in run.provenance:
        found["voxelyte"] = str(run.provenance["voxelyte"])
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{name}.")
        else:
            flat[name] = readable(value)
    return flat


def readable(value: Any) -> str:
    """A stored value on one line; of a material function its name."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(readable(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {readable(v)}" for k, v in value.items()) + "}"
    text = " ".join(str(value).split())
    # a material function without a text of its own: the shapes of its coefficients tell nothing
    return text.partition("(")[0] if "=f64[" in text else text


def differing(runs: Sequence[RunResult]) -> dict[str, list[str]]:
    """Setting -> its value in each run, for those that are not the same in all; "-" where a run has none."""
    all_settings = [settings(run) for run in runs]
    names = dict.fromkeys(name for found in all_settings for name in found)
    values = {name: [found.get(name, _ABSENT) for found in all_settings] for name in names}
    return {name: texts for name, texts in values.items() if len(set(texts)) > 1}


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    names: list[str]
    numbers: list[dict[str, float]]
    differences: dict[str, list[str]]
    figure: Path


def compare(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] = "compare.png",
    console: Console | None = None,
) -> Comparison:
    """Compare the runs at `paths` (result files or folders): a figure at `output`, tables on `console` (stdout).

    Runs that did not finish are shown with their status. **Errors:** ConfigError for fewer than two runs, the
    same run twice, a result that cannot be read, or an output that cannot be written.
    """
    if len(paths) < 2:
        raise ConfigError(f"A comparison needs at least two runs, got {len(paths)}. For one: voxelyte report PATH.")
    output = Path(output).expanduser()
    if output.suffix.lower() not in STILLS:
        raise ConfigError(f"--output {output}: the extension must be one of {', '.join(STILLS)}.")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"--output {output}: the folder does not exist. Create it first.")
    runs = [open_run(path) for path in paths]
    places = [run.path.resolve() for run in runs]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise ConfigError(f"'{paths[number]}' is given twice. Name each run once.")
    names = _names(runs)
    numbers = [key_numbers(run) | loss_numbers(run) for run in runs]
    differences = differing(runs)

    from simulator.viz import plot_comparison  # matplotlib takes a second, wrong paths are answered before

    details = [_detail(run, differences, number) for number, run in enumerate(runs)]
    figure = plot_comparison(runs, output, names=names, details=details)
    console = console or Console()
    console.print(_number_table(names, [run.status for run in runs], numbers))
    console.print(_difference_table(names, differences))
    console.print(str(figure), soft_wrap=True, markup=False, highlight=False)
    return Comparison(names, numbers, differences, figure)


def _names(runs: Sequence[RunResult]) -> list[str]:
    """Folder names, with the folders above where they would be the same."""
    names = [run_name(run) for run in runs]
    places = [run.path.resolve() for run in runs]
    for depth in range(2, max(len(place.parts) for place in places)):
        if len(set(names)) == len(names):
            break
        names = [
            name if names.count(name) == 1 else "/".join((*place.parts[-depth - 1 : -2], run_name(run)))
            for name, place, run in zip(names, places, runs, strict=True)
        ]
    return names


def _detail(run: RunResult, differences: Mapping[str, Sequence[str]], number: int) -> str:
    """The settings that set a run apart, short enough for a legend."""
    parts = []
    for name, texts in list(differences.items())[:_NAMED]:
        text = texts[number]
        parts.append(f"{name} = {text if len(text) <= _LONG else text[: _LONG - 1] + '…'}")
    if len(differences) > _NAMED:
        parts.append(f"{len(differences) - _NAMED} more differ")
    if run.status != "finished":
        parts.append(f"status {run.status}")
    return ",  ".join(parts)


def _number_table(names: Sequence[str], status: Sequence[str], numbers: Sequence[Mapping[str, float]]) -> Table:
    """Few runs: one column each. Many runs: one row each, so that they fit a terminal."""
    quantities = list(dict.fromkeys(name for found in numbers for name in found))
    cells = [[_text(found.get(name)) for name in quantities] for found in numbers]
    heads, rows = ["status", *quantities], [[state, *row] for state, row in zip(status, cells, strict=True)]
    table = Table(title=None)
    if len(names) <= 5:
        table.add_column("")
        for name in names:
            table.add_column(Text(name), justify="right")
        for number, head in enumerate(heads):
            table.add_row(Text(head), *(Text(row[number]) for row in rows))
        return table
    table.add_column("run")
    for head in heads:
        if not head.startswith("loss: ") or head == "loss: total [mV]":
            table.add_column(Text(head), justify="right")
    kept = [i for i, head in enumerate(heads) if not head.startswith("loss: ") or head == "loss: total [mV]"]
    for name, row in zip(names, rows, strict=True):
        table.add_row(Text(name), *(Text(row[i]) for i in kept))
    return table


def _text(value: float | None) -> str:
    return _ABSENT if value is None or not np.isfinite(value) else f"{value:.4g}"


def _difference_table(names: Sequence[str], differences: Mapping[str, Sequence[str]]) -> Table | Text:
    if not differences:
        return Text("No setting and no parameter differs.")
    table = Table(title="settings that differ", title_justify="left")
    if len(names) <= 5:
        table.add_column("")
        for name in names:
            table.add_column(Text(name), overflow="fold")
        for setting, texts in differences.items():
            table.add_row(Text(setting), *(Text(text) for text in texts))
        return table
    table.add_column("run")
    for setting in differences:
        table.add_column(Text(setting), overflow="fold")
    for number, name in enumerate(names):
        table.add_row(Text(name), *(Text(texts[number]) for texts in differences.values()))
    return table
