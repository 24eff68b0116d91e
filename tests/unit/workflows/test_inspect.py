"""What inspect finds in an image, and how it helps when labels or voxel size are missing."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rich.console import Console

from simulator.config import RunConfig, load
from simulator.errors import ConfigError, GeometryError
from simulator.geometry import ParticleFacts
from simulator.materials import load_parameter_set, parameter_set_names
from simulator.workflows.inspect import SEPARATOR_LAYERS, Inspection, diameters, inspect, table, to_json

#: plates of pore, active material and binder that all run from the separator to the collector
PLATES = np.array([0, 1, 1, 2, 1, 2, 0, 1, 1, 1, 2, 0, 1], np.uint8)
IMAGE = np.ascontiguousarray(np.broadcast_to(PLATES[None, :, None], (12, 13, 11)))


@pytest.fixture
def stack(tmp_path: Path):
    """Writes an image and gives the configuration that names it."""

    def make(image: np.ndarray, *words: str) -> RunConfig:
        tifffile.imwrite(tmp_path / "stack.tif", image, photometric="minisblack")
        return load(["geometry=file", f"geometry.path={tmp_path / 'stack.tif'}", *words])

    return make


def shown(report: Inspection) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(table(report))
    return text.getvalue()


def test_the_demo_is_described_in_all_parts(tmp_path: Path) -> None:
    report = inspect(load(), tmp_path / "a" / "b")
    assert report.problem is None
    assert report.warnings == []
    assert report.image.shares == pytest.approx({0: 0.3444, 1: 0.5178, 2: 0.1377}, abs=6e-5)  # four digits
    assert report.meaning == {0: "pore", 1: "am", 2: "cbd"}
    assert report.image.voxel_size_from == "ImageJ tags"
    assert report.picture == tmp_path / "a" / "b" / "inspect.png"
    assert report.picture.stat().st_size > 10_000  # an empty page has 5 kB
    text = shown(report)
    for part in (
        "34.4 %",
        "60 %",
        "0.398 x 0.398 x 0.398 um",
        "coverage",
        "am without ionic contact",
        "d10 / d50 / d90",
    ):
        assert part in text
    assert "about 45 time steps" in text
    # in 80 columns no row is broken: each begins with the frame and three blanks or a title
    assert all(line[2:3] != " " or line[2:6].startswith("  ") for line in text.splitlines() if line.startswith("│"))


def test_json_holds_the_same_facts_and_no_nan(tmp_path: Path) -> None:
    report = inspect(load(), tmp_path)
    facts = json.loads(json.dumps(to_json(report), allow_nan=False))
    assert facts["image"]["shape"] == [48, 48, 48]
    assert facts["image"]["voxel_size_m"] == pytest.approx([0.398e-6] * 3, rel=1e-5)  # six digits in the tag
    assert facts["electrode"]["Coverage [-]"] == pytest.approx(0.6, abs=1e-3)  # asked for, by whole faces
    assert facts["particles"]["count"] == len(report.particles or ())
    assert facts["particles"]["d10_m"] <= facts["particles"]["d50_m"] <= facts["particles"]["d90_m"]
    assert facts["estimate"]["steps"] == 45
    assert facts["problem"] is None


def test_missing_labels_show_the_values_and_what_to_write(stack, tmp_path: Path) -> None:
    report = inspect(stack(IMAGE * 85), tmp_path)
    assert report.electrode is None
    assert report.problem is not None
    text = shown(report)
    assert "value 85: no label" in text
    assert "value 170: no label" in text
    assert report.advice is not None
    assert "'geometry.labels={pore: 0, am: 85, cbd: 170}' 'geometry.voxel_size=0.4 um'" in report.advice
    assert "guessed" in report.advice
    assert report.picture is not None and report.picture.exists()
    json.dumps(to_json(report), allow_nan=False)


def test_the_advice_can_be_followed(stack, tmp_path: Path) -> None:
    advice = inspect(stack(IMAGE * 85), tmp_path).advice
    assert advice is not None
    report = inspect(stack(IMAGE * 85, *advice.split("'")[1::2]), tmp_path)
    assert report.problem is None
    assert report.electrode is not None
    assert np.array_equal(report.electrode.phase, IMAGE)
    assert report.image.voxel_size_from == "geometry.voxel_size"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE, "Add to the command: 'geometry.voxel_size=0.4 um'. The voxel size is an example"),
        (np.where(IMAGE == 1, 9, 7).astype(np.uint8), "{electrolyte: 7, am: 9}"),
        (np.arange(8 * 8 * 8).reshape(8, 8, 8).astype(np.uint16) % 6, "several values of one phase make a list"),
        (np.arange(8 * 8 * 8).reshape(8, 8, 8).astype(np.uint16), "512 values: grey levels"),
    ],
)
def test_advice_fits_what_is_missing(stack, tmp_path: Path, image: np.ndarray, said: str) -> None:
    report = inspect(stack(image), tmp_path)
    assert report.problem is not None
    assert report.advice is not None and said in report.advice


def test_images_that_have_no_labels_at_all_are_described(stack, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).normal(120.0, 20.0, (6, 7, 8)).astype(np.float32)
    report = inspect(stack(grey), tmp_path)
    assert report.image.shares is None
    assert report.problem is not None and "whole numbers" in report.problem
    assert report.picture is not None
    report = inspect(stack(IMAGE[0]), tmp_path)
    assert report.problem is not None and "3 axes, got 2" in report.problem
    assert (report.picture, report.advice) == (None, None)
    assert "13 x 11" in shown(report)
    report = inspect(stack(np.full((3, 4, 5), np.nan, np.float32)), tmp_path)
    assert report.problem is not None and "NaN" in report.problem
    json.dumps(to_json(report), allow_nan=False)


def test_an_electrode_that_cannot_react_is_described_with_the_reason(stack, tmp_path: Path) -> None:
    image = np.zeros((10, 8, 8), np.uint8)
    image[2:8, 2:6, 2:6] = 1
    report = inspect(stack(image, "geometry.voxel_size=1 um"), tmp_path)
    assert report.problem is not None and "No face between active material" in report.problem
    assert report.particles is not None and len(report.particles) == 1
    assert report.estimate is not None
    assert report.advice is None
    assert to_json(report)["electrode"]["Coverage [-]"] == 0.0


def test_warnings_are_collected_and_not_shown(stack, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    words = ("geometry.voxel_size=1 um", "geometry.coarsen=3", "geometry.min_live=0")
    report = inspect(stack(IMAGE, *words), tmp_path)
    assert any("drops the last layers" in text for text in report.warnings)
    assert not [w for w in recwarn.list if issubclass(w.category, UserWarning)]
    assert report.electrode is not None and report.electrode.shape == (4, 4, 3)


def test_particles_of_a_synthetic_electrode_are_its_own(tmp_path: Path) -> None:
    words = ["geometry=generated", "geometry.generate.shape=[24, 24, 24]", "geometry.generate.diameter=5 um"]
    report = inspect(load(words), None)
    assert report.image.path == "generated"
    assert report.electrode is not None and report.electrode.particle is not None
    assert report.particles is not None and len(report.particles) == report.electrode.particle.max()
    assert "Particles (as labelled in the image)" in shown(report)


def test_pores_are_open_to_the_sides_or_closed(stack) -> None:
    image = IMAGE.copy()
    image[5, 2, 5] = 0  # between active material and binder; 3 plates of pore, 12 x 11 voxels, are open
    text = shown(inspect(stack(image, "geometry.voxel_size=1 um"), None))
    lines = {line[1:].partition("│")[0].strip(): line.rpartition("│")[0] for line in text.splitlines()}
    assert f"{100 * 396 / 397:.3g} %" in lines["pore connected to the separator"]
    assert f"{100 / image.size:.3g} %" in lines["closed pores, per volume of the image"]


def test_particles_and_picture_can_be_left_out(stack, tmp_path: Path) -> None:
    report = inspect(stack(IMAGE, "geometry.voxel_size=1 um"), None, particles=False)
    assert report.particles is None
    assert report.picture is None
    assert to_json(report)["particles"] is None
    assert "Particles" not in shown(report)
    assert [path.name for path in tmp_path.iterdir()] == ["stack.tif"]


def test_the_estimate_knows_protocol_solver_and_separator(stack) -> None:
    def memory_and_steps(*words: str) -> tuple[int, int]:
        report = inspect(stack(IMAGE, "geometry.voxel_size=1 um", *words), None, particles=False)
        assert report.estimate is not None
        return report.estimate.memory_bytes, report.steps

    plain, steps = memory_and_steps()
    assert steps == 45
    assert memory_and_steps("protocol=cycle_c10")[1] == 90  # the rest is short
    # with 16 separator layers, and on so small a grid with all directions from the start
    assert plain - memory_and_steps("solver.krylov_max=6")[0] == 28 * 13 * 11 * (40 - 6) * 2 * 3 * 4
    assert memory_and_steps("cell.separator.layers=32")[0] > plain


@pytest.mark.parametrize("name", [name for name in parameter_set_names()])
def test_shipped_parameter_sets_have_the_assumed_separator(name: str) -> None:
    assert load_parameter_set(name)["separator.layers"].value == SEPARATOR_LAYERS


def test_diameters_are_by_volume() -> None:
    diameter = np.array([2.0, 10.0, 1.0])
    n = diameter.size
    facts = ParticleFacts(
        label=np.arange(n, dtype=np.int32),
        volume=diameter**3,
        centroid=np.zeros((n, 3)),
        equivalent_diameter=diameter,
        free_area=np.zeros(n),
        coverage=np.zeros(n),
        live_area=np.zeros(n),
        touches_boundary=np.zeros(n, bool),
    )
    assert diameters(facts) == (10.0, 10.0, 10.0)  # 99 % of the volume is in the large one


def test_what_cannot_be_read_or_written_is_refused(stack, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="No image file"):
        inspect(load(["geometry=file", "geometry.path=nothing.tif"]), None)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    with pytest.raises(ConfigError, match="--output: cannot write to .*blocked"):
        inspect(stack(IMAGE), blocked)
