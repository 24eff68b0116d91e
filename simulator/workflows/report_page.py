"""One page with everything about a run: a single HTML file without scripts and without links to elsewhere."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import yaml
from rich.console import Console

from simulator.errors import ConfigError
from simulator.io import RunResult
from simulator.viz.fields import parameter
from simulator.workflows.compare import key_numbers, loss_numbers, readable
from simulator.workflows.derived import CYCLES, GITT, plots
from simulator.workflows.html_page import document, figure, quantity, section, table
from simulator.workflows.report import ADVICE
from simulator.workflows.view import open_run, run_name, sorted_fields

#: What a status says in words.
_MEANING = {
    "finished": "All steps of the protocol were completed.",
    "running": "The run has not ended yet, or was killed. The numbers are those of the last saved state.",
    "voltage_limit": "The run stopped at the safety bound of the cell voltage.",
    "salt_depleted": "The run stopped because the salt was used up somewhere in the electrolyte.",
    "salt_saturated": "The run stopped because the salt reached its solubility somewhere in the electrolyte.",
    "newton_failed": "The run stopped because the equations could not be solved for the next step.",
    "dt_min": "The run stopped because the time step became too small.",
    "interrupted": "The run was interrupted.",
}
_BALANCE_WARN = 1e-6  # a thousand times what a converged run leaves
_LIVE_WARN, _ISOLATED_WARN = 0.5, 0.02
_LONG_TEXT = 600  # characters of a parameter's value

_WIDTHS = {"voltage": "32rem", "soc": "46rem"}

_CAPTIONS = {
    "voltage": "Cell voltage and state of charge of the particles against specific capacity. Bands: spread over the "
    "voxels of active material.",
    "losses": "Open-circuit voltage at the mean stoichiometry, cell voltage, and what lies between them, by cause.",
    "soc": "State of charge at the end of the run, a quarter cut away. Separator on the left, collector on the right.",
    "slices": "Mid-plane slices halfway through the run and at its end.",
    "fields": "All saved fields at the end of the run.",
    "particles": "State of charge of every particle over time, and at the end against its coverage and size.",
    CYCLES: "Capacities, efficiencies, mean voltages and resistances against the number of the cycle.",
    GITT: "Titration: the curve, the voltage after each rest, and the apparent diffusivity from each pulse.",
}
#: titles of the sections that only some protocols have
_EVALUATIONS = {CYCLES: "Cycles", GITT: "Titration"}


def write_report(
    path: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, console: Console | None = None
) -> Path:
    """Write the page of the run at `path` (result file or folder) and return it; the path goes to `console`.

    `output`: a file ending with .html, by default `report.html` beside the result. What cannot be drawn is said
    on the page. **Errors:** ConfigError for an unreadable result or an output that cannot be written.
    """
    run = open_run(path)
    file = run.path.parent / "report.html" if output is None else Path(output).expanduser()
    if file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output {file}: a report ends with .html.")
    try:
        file.write_text(page(run), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The report cannot be written to '{file}' ({error.strerror}). Give --output FILE."
        ) from error
    (console or Console()).print(str(file), soft_wrap=True, markup=False, highlight=False)
    return file


def page(run: RunResult) -> str:
    """The whole page as text."""
    name = run_name(run)
    parts = [
        f"<h1>{escape(name)}</h1>",
        f'<p class="note">{escape(_subtitle(run))}</p>',
        _status(run),
        _warnings(run),
        section("Key numbers", _numbers(run)),
        *_figures(run),
        section("Balances", _balances(run)),
        section("Configuration", _configuration(run)),
        section("Parameters", _parameters(run)),
        section("Versions and solver", _provenance(run)),
    ]
    return document(f"{name}: Voxelyte report", parts)


def _subtitle(run: RunResult) -> str:
    shape = " × ".join(str(n) for n in run.phase.shape)
    size = " × ".join(f"{1e6 * n * h:.4g}" for n, h in zip(run.phase.shape, run.voxel_size, strict=True))
    texts = [f"{shape} voxels, {size} µm (z, y, x)"]
    parameter_set = (
        run.config.get("cell", {}).get("parameter_set") if isinstance(run.config.get("cell"), dict) else None
    )
    if parameter_set:
        texts.append(f"parameter set {parameter_set}")
    texts.append(f"result file {run.path.name}")
    return " · ".join(texts)


def _status(run: RunResult) -> str:
    meaning = _MEANING.get(run.status, "The run stopped early.")
    lines = [f"<b>{escape(run.status)}</b> {escape(meaning)}"]
    message = str(run.summary.get("message") or "")
    if run.status != "finished" and message:
        lines.append(escape(message))
    if run.status in ADVICE:
        lines.append(f"What to try: {escape(ADVICE[run.status])}")
    early = "" if run.status == "finished" else " early"
    return f'<div class="status{early}">' + "<br>".join(lines) + "</div>"


def _warnings(run: RunResult) -> str:
    """What a reader should know before trusting the numbers."""
    found = [str(text) for text in run.summary.get("warnings", []) or []]
    live = parameter(run, "derived.live_share")
    if live is not None and live < _LIVE_WARN:
        found.append(
            f"Only {100 * live:.1f} % of the interface between active material and ionic phases is live: check the "
            "labels of the image and the connections of its phases."
        )
    isolated = parameter(run, "derived.isolated_share")
    share = sum(isolated.values()) if isinstance(isolated, Mapping) else 0.0
    if share > _ISOLATED_WARN:
        found.append(f"{100 * share:.1f} % of the active material is isolated and keeps its lithium.")
    wrong = {name: value for name, value in run.ledger.items() if isinstance(value, float) and value > _BALANCE_WARN}
    for name, value in wrong.items():
        found.append(f"The balance of {name} closes only to {value:.1e}: tighten solver.newton_tol.")
    if run.timeseries["test_time_second"].size == 0:
        found.append("The run holds no time steps: there are no curves to show.")
    return section("Warnings", f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in found)}</ul>" if found else "")


def _numbers(run: RunResult) -> str:
    numbers = key_numbers(run)
    for name, value in run.summary.items():  # what the run itself reported, unless it is shown elsewhere
        known = isinstance(value, int | float) and not isinstance(value, bool) and "[" in name
        if known and name not in numbers and not name.startswith(("balance", "mean loss", "solver", "compiling")):
            numbers[name] = float(value)
    losses = loss_numbers(run)
    left = table(quantity(name, value) for name, value in numbers.items())
    right = table(
        (quantity(name.removeprefix("loss: "), value) for name, value in losses.items()),
        ("mean voltage loss", "", ""),
    )
    return f'<div class="columns">\n{left}\n{right}\n</div>'


def _figures(run: RunResult) -> list[str]:
    """Sections with pictures; what cannot be drawn is explained where it would stand."""
    from simulator import viz

    fields = sorted_fields(run)
    plans: dict[str, tuple[str, Callable[[Path], Path]]] = {
        "voltage": ("Voltage", lambda file: viz.plot_voltage(run, file)),
        **{name: (_EVALUATIONS[name], draw) for name, draw in plots(run).items()},
        "losses": ("Where the voltage goes", lambda file: viz.plot_losses(run, file)),
        "soc": ("State of charge in 3D", lambda file: viz.render_soc(run, file)),
        "slices": ("Slices", lambda file: viz.plot_slices(run, file)),
        "particles": ("Particles", lambda file: viz.plot_particles(run, file)),
    }
    if set(fields) - {"sto", "phi_e"}:
        plans["fields"] = ("All fields", lambda file: viz.plot_slices(run, file, indices=[-1], fields=fields))
    sections = []
    with tempfile.TemporaryDirectory() as folder:
        for key, (title, draw) in plans.items():
            file = Path(folder) / f"{key}.png"
            try:
                draw(file)
            except ConfigError as error:
                sections.append(section(title, f'<p class="note">{escape(str(error))}</p>'))
                continue
            sections.append(section(title, figure(file, _CAPTIONS[key], _WIDTHS.get(key, "62rem"))))
    return sections


def _balances(run: RunResult) -> str:
    rows = [(name, f"{value:.1e}") for name, value in run.ledger.items() if isinstance(value, int | float)]
    if not rows:
        return '<p class="note">The file holds no balances: the run did not end in an orderly way.</p>'
    note = (
        "Largest difference between what is in the cell and what has passed its faces, as a share of what has passed."
    )
    return f'<p class="note">{note}</p>\n' + table(rows)


def _configuration(run: RunResult) -> str:
    if not run.config:
        return '<p class="note">The file holds no configuration: the run was started from Python without one.</p>'
    text = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100)
    return f"<pre>{escape(text)}</pre>"


def _parameters(run: RunResult) -> str:
    sources = run.parameters.get("sources")
    sources = sources if isinstance(sources, Mapping) else {}
    rows = []
    for name, value in run.parameters.items():
        if name in ("sources", "derived"):
            continue
        unit, source = _unit_and_source(str(sources.get(name, "")))
        text = readable(value)
        text = text if len(text) <= _LONG_TEXT else f"{text[: _LONG_TEXT - 1]}…"
        rows.append((name, text, unit, source))
    if not rows:
        return '<p class="note">The file holds no parameters.</p>'
    return table(rows, ("parameter", "value", "unit", "source"), numbers=(), kind="small parameters")


def _unit_and_source(text: str) -> tuple[str, str]:
    """ "[m2/s] Name 2020" -> ("m2/s", "Name 2020")."""
    match = re.fullmatch(r"\[([^\]]*)\]\s*(.*)", text, re.DOTALL)
    if match is None:
        return "", text
    return ("" if match[1] == "-" else match[1]), match[2]


def _provenance(run: RunResult) -> str:
    versions = table(((str(k), readable(v)) for k, v in run.provenance.items()), numbers=(), kind="small")
    plain = {k: v for k, v in run.solver.items() if isinstance(v, int | float | str)}
    solver = table(((_counted(k), readable(v)) for k, v in plain.items()), kind="small")
    return f'<div class="columns">\n{versions}\n{solver}\n</div>' if versions or solver else ""


def _counted(name: str) -> str:
    """The name of a solver statistic in words; a trailing `_s` means seconds."""
    return name[:-2].replace("_", " ") + " [s]" if name.endswith("_s") else name.replace("_", " ")
