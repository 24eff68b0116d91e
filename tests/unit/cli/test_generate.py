"""`voxelyte generate`: an electrode on disk that a run reads back unchanged."""

import json
from pathlib import Path

import numpy as np
import pytest

from simulator.cli import main
from simulator.cli.generate import full_words
from simulator.config import load
from simulator.geometry import generate_electrode, load_electrode
from simulator.geometry.readers import read_image
from simulator.resources import mesh_path
from simulator.workflows.electrode import read_electrode
from simulator.workflows.generate import FACTS, IMAGE, PARTICLES, PICTURE

SMALL = ["shape=[20,20,20]", "diameter=5 um", "voxel_size=0.5e-6"]


def test_short_names_are_written_out_and_a_synthetic_electrode_is_meant() -> None:
    assert full_words(["am_fraction=0.5", "porosity=0.1"]) == [
        "geometry=generated",
        "geometry.generate.am_fraction=0.5",
        "geometry.porosity=0.1",
    ]
    assert full_words(["path=a.tif"]) == ["geometry.path=a.tif"]
    assert full_words(["geometry=ct_nmc", "thickness=17 um"]) == ["geometry=ct_nmc", "geometry.thickness=17 um"]


def test_the_files_hold_the_electrode_its_particles_and_its_facts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *SMALL, "coverage=0.6", "seed=4", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "59.97 %" in out and "0.5 x 0.5 x 0.5 um" in out
    assert f"geometry.path={tmp_path / IMAGE}" in out.replace("\n", "")
    made = generate_electrode((20, 20, 20), 0.5e-6, 0.53, 0.12, 0.6, diameter=5e-6, seed=4)
    read = load_electrode(tmp_path / IMAGE, labels={"pore": 0, "am": 1, "cbd": 2})
    assert np.array_equal(read.phase, made.phase) and read.voxel_size == pytest.approx(made.voxel_size)
    assert np.array_equal(read_image(tmp_path / PARTICLES).array, made.particle)
    facts = json.loads((tmp_path / FACTS).read_text())
    assert facts["Coverage [-]"] == made.coverage and facts["labels"] == {"pore": 0, "am": 1, "cbd": 2}
    assert (tmp_path / PICTURE).stat().st_size > 10_000


def test_the_particles_of_an_image_stay(tmp_path: Path) -> None:
    words = ["path=" + str(mesh_path("nmc532_film_48.tif")), "crop=[[0,24],[0,24],[0,24]]", "coverage=0.5"]
    assert main(["generate", *words, "porosity=0.12", "--output", str(tmp_path)]) == 0
    read = load_electrode(tmp_path / IMAGE)
    before = load_electrode(mesh_path("nmc532_film_48.tif")).crop((0, 24), (0, 24), (0, 24))
    assert np.array_equal(read.phase == 1, before.phase == 1)
    assert read.coverage == pytest.approx(0.5, abs=0.01)


def test_a_run_of_the_files_sees_the_particles_as_they_were_made(tmp_path: Path) -> None:
    assert main(["generate", *SMALL, "seed=4", "--output", str(tmp_path)]) == 0
    made = generate_electrode((20, 20, 20), 0.5e-6, 0.53, 0.12, diameter=5e-6, seed=4)
    words = [f"geometry.path={tmp_path / IMAGE}", f"geometry.particles={tmp_path / PARTICLES}"]
    read = read_electrode(load(words).geometry)
    assert np.array_equal(read.particle, made.particle)


def test_the_image_that_is_read_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", *SMALL, "--output", str(tmp_path)]) == 0
    before = (tmp_path / IMAGE).read_bytes()
    assert main(["generate", f"path={tmp_path / IMAGE}", "porosity=0.2", "--output", str(tmp_path)]) == 2
    assert "would replace" in capsys.readouterr().err and (tmp_path / IMAGE).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["am_fraction=2"], "geometry.generate.am_fraction must be in [0, 1]"),
        (["am_fraction=0.8"], "polycrystal"),
        (["am_fractoin=0.5"], "Did you mean"),
        (["porosity=0.05", "coverage=0.05"], "can (a pore voxel bares"),
        (["porosity=null"], "geometry.porosity is null"),
        (["kind=cube"], "'cube'"),
        (["diameters=[5 um]", "spread=0.2"], "The list is the distribution"),
        (["diameters=[30 um]"], "diameters must lie between"),
        (["particles=a.tif"], "belongs to an image"),
        (["shape=[3000,3000,3000]"], "at most 5e+08"),
        (["resample=1 nm"], "at most 5e+08"),
        (["shape=[1,2]"], "three numbers"),
        (["diameter=5 m"], "in (0, 0.01] m"),
        (["geometry=generated", "path=a.tif"], "both are given"),
        (["geometry=file", "path=null"], "geometry.generate is null in this choice"),
    ],
)
def test_wrong_input_is_answered_with_one_line_and_code_2(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", *SMALL[:2], *words, "--output", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not (tmp_path / "new").exists()
