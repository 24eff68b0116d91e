"""The tables and short examples of docs/input.md and docs/outputs.md say what the program does, both ways."""

import csv
import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import tifffile
import yaml
from omegaconf import MISSING

from simulator import cli, config
from simulator.config.compose import SCHEMA, SWITCHES
from simulator.config.schema import GeometryConfig, OutputConfig, RunConfig, SolverConfig
from simulator.errors import ConfigError
from simulator.geometry import PHASES, Electrode, label_particles, measure_electrode, representative_volume
from simulator.geometry.metrics import conductors
from simulator.geometry.readers import CONTAINERS, READERS
from simulator.io import curve, read_result, vtkhdf
from simulator.materials import Expression, load_parameter_set, merge_parameters
from simulator.materials.parameter_sets import SPECS
from simulator.model import COLUMNS
from simulator.model.faces import FACE_FACTS, FACE_HISTORIES
from simulator.model.observe import FIELDS, PARTICLE_FACTS, PARTICLE_HISTORIES
from simulator.protocol import parse_protocol, parse_step
from simulator.protocol.parse import PARSERS
from simulator.resources import config_groups
from simulator.units import DIMENSIONS, known_unit
from simulator.workflows import report_page, trust
from simulator.workflows.capacity_losses import CapacityLosses
from simulator.workflows.cycles import CYCLE_OUTPUTS
from simulator.workflows.nickel import nickel_profile
from simulator.workflows.report import ADVICE

ROOT = Path(__file__).resolve().parents[2]
INPUT, OUTPUTS = ROOT / "docs" / "input.md", ROOT / "docs" / "outputs.md"


class Table(NamedTuple):
    head: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        return [row[self.head.index(name)] for row in self.rows]


def tables(page: Path) -> dict[str, Table]:
    """Heading of the first column -> table."""
    found: dict[str, Table] = {}
    previous: list[str] | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            previous = None
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if previous is None:
            assert cells[0] not in found, f"{page.name} has two tables that begin with {cells[0]!r}"
            found[cells[0]] = Table(cells, [])
            previous = cells
        elif not set(line) <= set("|- "):
            assert len(cells) == len(previous), f"{page.name}: {line}"
            found[previous[0]].rows.append(cells)
    return found


def names(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]*)`", cell)


def first_names(table: Table) -> list[str]:
    return [name for row in table.rows for name in names(row[0])]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def lines(page: Path, kind: str) -> list[str]:
    return [line for block in blocks(page, kind) for line in block.splitlines()]


# -- outputs.md ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "registry"),
    [
        ("column", COLUMNS),
        ("field", FIELDS),
        ("fact", PARTICLE_FACTS),
        ("fact of a face", FACE_FACTS),
        ("history of a face", FACE_HISTORIES),
        ("history", PARTICLE_HISTORIES),
        ("profile", vtkhdf.PROFILES),
    ],
)
def test_page_lists_every_stored_name_with_its_unit(head: str, registry: dict[str, tuple[str, str]]) -> None:
    table = tables(OUTPUTS)[head]
    page = dict(zip(first_names(table), table.column("unit"), strict=True))
    assert page == {name: unit for name, (unit, _) in registry.items()}


def test_page_lists_the_headings_of_the_curve() -> None:
    table = tables(OUTPUTS)["heading"]
    assert first_names(table) == list(curve.COLUMNS)
    assert table.column("unit") == [heading.partition(" / ")[2] for heading in curve.COLUMNS]


def test_page_lists_every_status_and_says_what_to_try() -> None:
    table = tables(OUTPUTS)["status"]
    assert set(first_names(table)) == {"finished", "running", *ADVICE} == set(report_page._MEANING)
    without = [name for name, advice in zip(first_names(table), table.column("what to try"), strict=True) if not advice]
    assert without == ["finished"]


def test_page_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    told = re.search(r"exit codes: (.*)", capsys.readouterr().out)
    assert told is not None
    assert tables(OUTPUTS)["code"].column("code") == re.findall(r"\d+", told[1])


def test_page_lists_the_columns_and_values_of_trust(tmp_path: Path) -> None:
    ramp = np.linspace(0.0, 1.0, 3)
    step = trust.StepCurve(1, "Charge", ramp, ramp, ramp, ramp)
    value = trust.Uncertain(1.0, 0.1, 0.2)
    trust.write(trust.Trust({"capacity [mAh/g AM]": value}, [step], {"full": "finished"}, tmp_path, parts=4))
    page = tables(OUTPUTS)
    with (tmp_path / "trust.csv").open(encoding="utf-8") as stream:
        assert first_names(page["column of trust.csv"]) == next(csv.reader(stream))
    written = json.loads((tmp_path / "trust.json").read_text(encoding="utf-8"))
    assert set(written) == {"status", "quarters", "values"}
    assert first_names(page["value in trust.json"]) == list(written["values"]["capacity [mAh/g AM]"])
    text = OUTPUTS.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in trust.QUANTITIES)


@pytest.fixture(scope="module")
def folder(tiny_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run with all that a protocol can bring (pulses with rests, charge and discharge), and every
    side reaction."""
    place = tmp_path_factory.mktemp("outputs") / "run"
    words = ["geometry=file", f"geometry.path={tiny_stack}", "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"]
    pulse, rest = "Charge at C/2 for 1 min", "Rest for 1 min"
    steps = f"protocol.steps=[{pulse}, {rest}, {pulse}, {rest}, Discharge at C/2 for 1 min]"
    side = ["decomposition.law=delithiation", "decomposition.burst_charge=20", "carbon_oxidation.j_ref=1e-4"]
    words += [f"cell.{word}" for word in side]
    assert cli.main(["run", *words, steps, f"output.dir={place}"]) == 0
    return place


def test_page_lists_the_files_of_a_run(folder: Path) -> None:
    during = {"run.checkpoint.h5"}  # gone when a run has finished
    assert {path.name for path in folder.iterdir()} - {"report.html"} == set(
        first_names(tables(OUTPUTS)["file"])
    ) - during


def test_page_lists_the_columns_of_the_evaluations(folder: Path) -> None:
    heads = {}
    for name in ("cycles", "gitt"):
        with (folder / f"{name}.csv").open(encoding="utf-8") as stream:
            heads[name] = next(csv.reader(stream))
    page = tables(OUTPUTS)
    followed = [f"{output.heading} [{output.unit}]" for output in CYCLE_OUTPUTS]
    told = first_names(page["column of cycles.csv"])
    both = [name.replace("WAY", way) for name in told for way in ("charge", "discharge") if "WAY" in name]
    assert set(heads["cycles"]) | set(followed) == {*both, *(name for name in told if "WAY" not in name)}
    assert heads["gitt"] == first_names(page["column of gitt.csv"])
    assert list(CapacityLosses._fields) == first_names(page["entry of capacity_losses"])
    profile = nickel_profile(read_result(folder / "run.vtkhdf"))
    assert list(profile.columns()) == first_names(page["column of nickel_N.csv"])


def test_page_lists_every_line_of_the_closing_table(folder: Path) -> None:
    result = read_result(folder / "run.vtkhdf")
    lines_of_page = first_names(tables(OUTPUTS)["line"])
    patterns = {n: re.escape(n).replace("CAUSE", r"[a-z ]+").replace("step\\ N", r"step\ \d+") for n in lines_of_page}
    counts = ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations")
    texts = {name for name, value in result.summary.items() if not isinstance(value, int | float)}
    (stored,) = (row[1] for row in tables(OUTPUTS)["place"].rows if row[0] == "`summary`")
    assert texts <= set(names(stored))
    shown = {*result.summary, *(name.replace("_", " ") for name in counts)} - texts
    matched = {line: [n for n in patterns if re.fullmatch(patterns[n], line)] for line in shown}
    assert {line: found for line, found in matched.items() if len(found) != 1} == {}
    # there is no such line where nothing had to be compiled
    assert set(lines_of_page) - {n for (n,) in matched.values()} <= {"compiling, of that [%]"}


def test_page_lists_what_the_result_file_holds(folder: Path) -> None:
    result, page = read_result(folder / "run.vtkhdf"), tables(OUTPUTS)
    assert first_names(page["ledger"]) == list(result.ledger)
    assert sorted(first_names(page["solver statistic"])) == sorted(result.solver)
    seconds = {
        name
        for name, unit in zip(
            first_names(page["solver statistic"]), page["solver statistic"].column("unit"), strict=True
        )
        if unit == "s"
    }
    assert seconds == {name for name in result.solver if name.endswith("_s")}
    assert first_names(page["derived fact"]) == list(result.parameters["derived"])
    assert set(result.provenance) <= set(first_names(page["provenance"]))
    assert set(first_names(page["provenance"])) - set(result.provenance) <= {"git_commit", "git_modified"}
    with h5py.File(folder / "run.vtkhdf") as file:
        inner = {f"VTKHDF/{name}" for name in file["VTKHDF"]}
        assert set(first_names(Table([], [[row[0]] for row in page["place"].rows]))) == {"/", *file, *inner}
        assert {"format", "format_version", "status", "voxel_size_m"} == set(file.attrs)
        codes = {name: int(code) for name, code in file["VTKHDF/CellData/phase"].attrs.items() if name in PHASES}
    assert all(f"{name} {code}" in OUTPUTS.read_text(encoding="utf-8") for name, code in codes.items())


def test_page_lists_the_sections_of_the_report(folder: Path) -> None:
    assert cli.main(["report", str(folder)]) == 0
    sections = re.findall(r"<h2>(.*?)</h2>", (folder / "report.html").read_text(encoding="utf-8"))
    assert [name for name in sections if name != "Warnings"] == first_names(tables(OUTPUTS)["section"])


def test_page_lists_every_metric_of_inspect() -> None:
    image = np.random.default_rng(0).integers(0, 4, (16, 16, 16)).astype(np.uint8)
    electrode = label_particles(Electrode(image, (1e-6, 1e-6, 1e-6)))
    found = measure_electrode(electrode, full=False)
    along = dict.fromkeys(range(3), 1.0)
    studies = {
        "tortuosity": dict.fromkeys(conductors(electrode), along),
        "representative": representative_volume(electrode),
    }
    measured = dataclasses.replace(found, **studies).values()
    phases = "|".join(PHASES)
    places = {
        "QUANTITY": rf"(Volume fraction of ({phases})|Specific area|Coverage)",
        "PHASE": f"({phases})",
        "NAME": f"({phases}|ionic network|electronic network)",
        "A|B": rf"({phases})\|({phases})",
        "AXIS": "[zyx]",
        "SIDE": "(separator|collector)",
        "dP": "d(10|50|90)",
        "WEIGHT": "(volume|number)",
    }
    # the text between the placeholders is taken as it stands
    parts = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in places))
    patterns = {}
    for name in first_names(tables(OUTPUTS)["metric"]):
        kept = [re.escape(text) for text in parts.split(name)]
        filled = [places[text] for text in parts.findall(name)]
        patterns[name] = "".join(text for pair in zip(kept, [*filled, ""], strict=True) for text in pair)
    matched = {metric: [n for n, pattern in patterns.items() if re.fullmatch(pattern, metric)] for metric in measured}
    assert {metric: found for metric, found in matched.items() if len(found) != 1} == {}
    assert set(patterns) == {pattern for (pattern,) in matched.values()}


# -- input.md: images and settings -----------------------------------------------------------------------------


def test_page_lists_every_kind_of_image() -> None:
    table = tables(INPUT)["suffix"]
    assert sorted(first_names(table)) == sorted([*READERS, *CONTAINERS])
    assert "a folder" in table.column("suffix")


def test_page_lists_every_phase() -> None:
    assert first_names(tables(INPUT)["name"]) == list(PHASES)


def test_page_lists_the_choices_of_every_group() -> None:
    table = tables(INPUT)["group"]
    page = {names(group)[0]: sorted(names(choices)) for group, choices in table.rows}
    assert page == {group: sorted(choices) for group, choices in config_groups().items()}


def defaults() -> dict[str, Any]:
    """Key -> default of the typed configuration, `required` where it has none."""
    sections = {f.name: f.type for f in dataclasses.fields(RunConfig) if f.name in SCHEMA}
    found: dict[str, Any] = {}
    for group, section in sections.items():
        for f in dataclasses.fields(section):
            value = f.default if f.default is not dataclasses.MISSING else f.default_factory()
            found[f"{group}.{f.name}"] = "required" if value == MISSING else value
    return found | {key: getattr(RunConfig, key) for key in SWITCHES}


def test_page_lists_every_setting_with_its_default() -> None:
    table = tables(INPUT)["key"]
    page = {}
    for (name,), cell in zip(map(names, table.column("key")), table.column("default"), strict=True):
        page[name] = yaml.safe_load(names(cell)[0].replace("1e-", "1.0e-")) if names(cell) else cell
    assert page == defaults()


def bounded() -> list[tuple[str, str]]:
    """(key, allowed interval) of the settings whose range is one of numbers."""
    table = tables(INPUT)["key"]
    pairs = zip(first_names(table), table.column("allowed"), strict=True)
    return [(name, allowed) for name, allowed in pairs if allowed[:1] in "[(" and allowed]


@pytest.mark.parametrize(("key", "allowed"), bounded())
def test_allowed_range_of_a_setting_is_the_one_that_is_checked(key: str, allowed: str) -> None:
    match = re.match(r"([\[(])([^,]*), ([^\])]*)([\])])", allowed)
    assert match is not None
    group, name = key.split(".")
    section, base = {
        "geometry": (GeometryConfig, {"path": "a.tif", "porosity": 0.1}),
        "solver": (SolverConfig, {}),
        "output": (OutputConfig, {}),
    }[group]
    low, high = float(match[2]), float(match[3])
    whole = isinstance(getattr(section, name), int)
    inside = [low] if match[1] == "[" else [low + (0 if whole else 1e-9)]
    outside = [low - (1 if whole else max(1e-3 * low, 1e-9))] if match[1] == "[" else [low]
    if np.isfinite(high):
        inside.append(high)
        outside.append(high + (1 if whole else 1e-3 * high))
    for value in inside:
        section(**(base | {name: int(value) if whole else value}))
    for value in outside:
        with pytest.raises(ConfigError, match=re.escape(key)):
            section(**(base | {name: int(value) if whole else value}))


# -- input.md: parameters --------------------------------------------------------------------------------------


def test_page_lists_every_parameter_with_unit_range_and_kind() -> None:
    found = {}
    table = tables(INPUT)["parameter"]
    energy = {1: "+", -1: "-", 0: ""}
    for row in table.rows:
        cells = dict(zip(table.head, row, strict=True))
        found[names(cells["parameter"])[0]] = tuple(cells[c] for c in ("unit", "range", "kind", "depends on", "E"))
    expected = {}
    for name, spec in SPECS.items():
        interval = spec.range_text().removesuffix(f" {spec.unit}")
        if spec.choices:
            interval = ", ".join(f"`{choice}`" for choice in spec.choices)
        if spec.optional:
            interval += " or `null`"
        expected[name] = (spec.unit, interval, spec.kind, spec.axis, energy[spec.thermal])
    assert list(found) == list(expected)
    assert found == expected


def test_units_on_the_page_are_understood_and_all_dimensions_are_there() -> None:
    table = tables(INPUT)["quantity"]
    assert sorted(table.column("quantity")) == sorted(DIMENSIONS)
    for name, units in table.rows:
        for unit in units.removeprefix("none, or ").split(", "):
            assert known_unit(unit, DIMENSIONS[name].si) is not None, f"{name}: {unit}"
    said = re.search(r"Other spellings are understood: (.*)\. Capitals", INPUT.read_text(encoding="utf-8"))
    assert said is not None
    for unit, si in zip(names(said[1]), ("S/m", "m2/s", "ohm m2"), strict=True):
        assert known_unit(unit, si) is not None, unit


def test_formula_names_on_the_page_are_those_of_the_program() -> None:
    with pytest.raises(ConfigError) as refused:
        Expression("unknown_function(x)", axis="sto")
    said = re.search(r"parentheses, (.*); for example", str(refused.value))
    assert said is not None
    text = " ".join(INPUT.read_text(encoding="utf-8").split())
    part = re.search(r"parentheses, (.*?)\. Nothing else", text)
    assert part is not None
    assert names(part[1]) == said[1].split(", ")


@pytest.fixture
def files_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the page prints."""
    text = INPUT.read_text(encoding="utf-8")
    for name, content in re.findall(r"^```(?:csv|json) (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    contact = np.full((2, 8, 8), 0.5)  # as the page describes it
    np.save(tmp_path / "contact.npy", contact)
    tifffile.imwrite(tmp_path / "contact.tif", contact)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", lines(INPUT, "text settings"))
def test_each_setting_on_the_page_is_accepted(line: str, files_of_the_page: Path) -> None:
    (word,) = shlex.split(line)
    if "cell.json" in word:
        pytest.importorskip("bpx", reason="needs the extra battery")
    if word.startswith("geometry."):
        config.load(["geometry=file", "geometry.path=a.tif", word])
        return
    settings = config.load([word])
    before = load_parameter_set(settings.cell.parameter_set)
    after = merge_parameters(before, settings.cell.overrides)
    changed = [name for name in SPECS if after[name].source != before[name].source]
    for name in {name.removesuffix(".activation_energy") for name in settings.cell.overrides}:
        assert name in changed


def test_table_of_bpx_fields_names_all_parameters_that_the_file_sets(files_of_the_page: Path) -> None:
    pytest.importorskip("bpx", reason="needs the extra battery")
    parameters = load_parameter_set("cell.json")
    taken = {name for name, p in parameters.items() if p.source.startswith("cell.json: ")}
    page = set(first_names(Table([], [[row[1]] for row in tables(INPUT)["field of BPX"].rows])))
    assert taken - {"am.sigma"} == page & set(SPECS)  # am.sigma is in the section User-defined of the example
    assert parameters["am.sigma"].value.value == 0.5  # the number written in the example


# -- input.md: protocols ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", lines(INPUT, "text protocol"))
def test_each_step_on_the_page_can_be_read(line: str, files_of_the_page: Path) -> None:
    step = parse_step(line)
    again = parse_step(step.describe())  # the text has twelve digits
    assert type(again) is type(step) and again.direction == step.direction
    rough = {k: pytest.approx(v, rel=1e-11) if isinstance(v, float) else v for k, v in vars(step).items()}
    assert vars(again) == rough


def test_page_shows_every_kind_of_step() -> None:
    shown = {line.split()[0] for line in lines(INPUT, "text protocol")}
    assert shown | {"Sweep"} == set(PARSERS)
    table = first_names(tables(INPUT)["step"])
    assert set(table) == {*PARSERS, "Repeat"}
    grammar = {line.split()[0] for line in lines(INPUT, "text grammar")}
    assert grammar | {"Sweep"} == set(table)


def test_each_unit_of_current_on_the_page_can_be_read() -> None:
    (rates,) = (row[1] for row in tables(INPUT)["part"].rows if row[0] == "RATE")
    for rate in names(rates):
        parse_step(f"Charge at {rate} for 1 s")
    (sweeps,) = (row[1] for row in tables(INPUT)["part"].rows if row[0] == "SWEEP")
    for unit in ("V/s", "mV/s", "uV/s", "mV/min", "mV/h"):
        parse_step(f"Ramp to 4 V at 1 {unit}")
    assert sweeps.startswith("number with V/s, mV/s, uV/s, or per min or h")
    units = re.search(r"a number with (.*?)\. ", rates)
    assert units is not None
    for unit in units[1].split(", "):
        parse_step(f"Charge at 2 {unit} for 1 s")


def test_each_column_of_a_profile_on_the_page_is_read(tmp_path: Path) -> None:
    time, current = tables(INPUT)["column of a profile"].rows
    for name in names(time[0]):
        for unit in time[1].partition(";")[0].split(", "):
            check_profile(tmp_path, f"{name} / {unit}", "Current / A")
    for name in names(current[0]):
        for unit in current[1].replace(";", ",").split(", "):
            check_profile(tmp_path, "Time / s", f"{name} / {unit}")


def check_profile(folder: Path, time: str, current: str) -> None:
    path = folder / "p.csv"
    path.write_text(f"{time},{current}\n0,1\n1,2\n", encoding="utf-8")
    assert len(parse_protocol(f"Drive {path}")) == 1
