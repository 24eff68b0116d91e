"""`inspect` with all metrics: table, JSON, page, and two images side by side."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from simulator.config import load
from simulator.errors import ConfigError, ConvergenceError
from simulator.geometry import Compared, Electrode, measure_electrode
from simulator.workflows import inspect as inspect_module
from simulator.workflows.inspect import inspect, inspect_pair, pair_to_json, to_json
from simulator.workflows.inspect_metrics import (
    comparison_cells,
    comparison_table,
    differing,
    metric_rows,
    reading_name,
)
from simulator.workflows.inspect_page import SECTIONS, grouped, write_sheet

UM = 1e-6
LABELS = "geometry.labels={pore: 0, am: 1, cbd: 2}"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two crops of the shipped image, with their voxel size in the file. 16 voxels: one shape for every solve."""
    from simulator.resources import mesh_path

    folder = tmp_path_factory.mktemp("stacks")
    voxels = tifffile.imread(mesh_path("nmc532_film_48.tif"))
    paths = []
    for name, part in (("one", voxels[:16, :16, :16]), ("two", voxels[16:32, 16:32, :16])):
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, part, imagej=True, resolution=(2.5, 2.5), metadata={"spacing": 0.4, "unit": "um"})
        paths.append(str(path))
    return paths


def config(path: str, *words: str):
    return load(["geometry=file", f"geometry.path={path}", LABELS, *words])


@pytest.fixture(scope="module")
def pair(stacks: list[str], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("pair")
    return folder, inspect_pair(config(stacks[0]), config(stacks[1]), folder, full=True)


def test_full_writes_the_picture_and_the_page(stacks, tmp_path: Path) -> None:
    report = inspect(config(stacks[0]), tmp_path, full=True)
    assert report.problem is None
    assert (report.metrics_picture, report.page) == (tmp_path / "metrics.png", tmp_path / "inspect.html")
    text = report.page.read_text(encoding="utf-8")
    for section in ("Slices", "Distributions", *SECTIONS):
        assert f"<h2>{section}</h2>" in text
    assert text.count("data:image/png;base64,") == 2
    assert "<script" not in text and "http" not in text.replace('charset="utf-8"', "")  # alone, without the network
    tau = report.measures.tortuosity["pore"]
    cells = "".join(f'<td class="number">{tau[axis]:.4g}</td>' for axis in range(3))
    assert f"<tr><td>Tortuosity of pore</td>{cells}</tr>" in text
    facts = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert facts["metrics"]["values"]["Tortuosity of pore along y [-]"] == pytest.approx(tau[1])
    assert facts["page"] == str(report.page)
    assert sum(facts["metrics"]["chords"]["am"]["z"]["count"]) > 0


def test_without_full_nothing_of_it_is_there(stacks, tmp_path: Path) -> None:
    report = inspect(config(stacks[0]), tmp_path)
    assert (report.measures, report.metrics_picture, report.page) == (None, None, None)
    assert "metrics" not in to_json(report)
    assert [path.name for path in tmp_path.iterdir()] == ["inspect.png"]


def test_metrics_without_a_folder_write_nothing(stacks) -> None:
    report = inspect(config(stacks[0], "geometry.crop=[[0, 8], [0, 8], [0, 8]]"), None, full=True)
    assert report.measures is not None and report.page is None
    assert to_json(report)["metrics"]["representative_volume"] is None  # too small


def test_an_image_without_labels_has_no_metrics(stacks, tmp_path: Path) -> None:
    report = inspect(
        load(["geometry=file", f"geometry.path={stacks[0]}", "geometry.labels={am: 7}"]), tmp_path, full=True
    )
    assert report.problem is not None
    assert (report.measures, report.page) == (None, None)


def test_a_solve_that_does_not_converge_costs_only_the_tortuosity(stacks, tmp_path, monkeypatch) -> None:
    def measured(electrode: Electrode, *, full: bool):
        if full:
            raise ConvergenceError("residual 1")
        return measure_electrode(electrode, full=False)

    monkeypatch.setattr(inspect_module, "measure_electrode", measured)
    report = inspect(config(stacks[0]), tmp_path, full=True)
    assert "No tortuosity: residual 1" in report.warnings
    assert report.measures is not None and report.measures.tortuosity is None
    assert "No tortuosity: residual 1" in (tmp_path / "inspect.html").read_text(encoding="utf-8")


def test_two_images_are_compared_in_one_page(pair) -> None:
    folder, found = pair
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*"))
    assert names == ["inspect.html", "inspect.png", "metrics.png", "with-two/inspect.png"]
    text = (folder / "inspect.html").read_text(encoding="utf-8")
    assert "<h2>Comparison</h2>" in text and "<h2>Slices of two</h2>" in text
    assert text.count("data:image/png;base64,") == 3
    row = found.compared["Tortuosity of am along z [-]"]
    assert row.second == found.second.measures.tortuosity["am"][0]
    assert row.ratio == pytest.approx(row.second / row.first)
    facts = json.loads(json.dumps(pair_to_json(found), allow_nan=False))
    assert facts["comparison"]["Tortuosity of am along z [-]"]["difference"] == pytest.approx(row.second - row.first)
    assert facts["first"]["image"]["path"].endswith("one.tif") and facts["second"]["image"]["path"].endswith("two.tif")


def test_what_is_no_electrode_is_not_compared(stacks, tmp_path: Path) -> None:
    wrong = load(["geometry=file", f"geometry.path={stacks[1]}", "geometry.labels={am: 7}"])
    found = inspect_pair(config(stacks[0]), wrong, tmp_path)
    assert found.compared is None
    assert (found.first.problem, found.second.problem is None) == (None, False)
    assert pair_to_json(found)["comparison"] is None


def test_comparison_leaves_out_what_is_the_same_and_reads_in_micrometres() -> None:
    rows = {
        "Thickness [m]": Compared(2e-6, 3e-6, 1.5, 1e-6),
        "Specific area [1/m]": Compared(1e6, 1e6 * (1 + 1e-12), 1.0, 1e-6),
        "Coverage [-]": Compared(0.5, math.nan, math.nan, math.nan),
        "Tortuosity of cbd along z [-]": Compared(math.inf, 4.0, 0.0, -math.inf),
        "Mean chord of am along y [m]": Compared(math.nan, math.nan, math.nan, math.nan),
    }
    assert list(differing(rows)) == ["Thickness [m]", "Coverage [-]", "Tortuosity of cbd along z [-]"]
    assert comparison_cells(rows) == [
        ("Thickness [um]", "2", "3", "1.5", "1"),
        ("Coverage", "0.5", "-", "-", "-"),
        ("Tortuosity of cbd along z", "inf", "4", "0", "-"),
    ]
    assert comparison_table(rows, ("a", "b")).row_count == 3
    assert "All 1 quantities" in str(comparison_table({"Coverage [-]": Compared(1, 1, 1, 0)}, ("a", "b")).caption)
    assert reading_name("Specific area [1/m]") == "Specific area [1/um]"


def test_every_metric_has_a_section_and_axes_share_a_row(pair) -> None:
    values = pair[1].first.measures.values()
    rows = grouped(values)
    assert sum(len(row) - 1 for part in rows.values() for row in part) == len(values)
    assert all(rows.values())
    assert {len(row) for row in rows["Chords"]} == {4}
    titles = [title for title, _ in metric_rows(pair[1].first.measures)]
    assert "Tortuosity factor, z / y / x" in titles and len(titles) == 5


def test_the_page_shows_names_as_text_and_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    phase = np.ones((4, 4, 4), np.uint8)
    found = measure_electrode(Electrode(phase, (UM, UM, UM)), full=False)
    _, page = write_sheet([found], ["<b>&"], [None], tmp_path, ["a < b"])
    text = page.read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;&amp;</h1>" in text and "<li>a &lt; b</li>" in text and "<h2>Slices" not in text
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="--output: cannot write to .*file"):
        write_sheet([found], ["a"], [None], blocked)
