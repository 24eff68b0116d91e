"""`voxelyte effective`: the table, JSON, saved potentials, and one clear line for wrong input."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from simulator.cli import main

#: columns of pore, active material and binder along axis 0 (a third each)
IMAGE = np.ascontiguousarray(np.broadcast_to(np.array([0, 85, 170], np.uint8)[None, :, None], (4, 3, 5)))
LABELS = "labels={pore: 0, am: 85, cbd: 170}"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`s.tif` in the working directory, without a voxel size."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite(tmp_path / "s.tif", IMAGE, photometric="minisblack")
    tifffile.imwrite(tmp_path / "flat.tif", IMAGE[0], photometric="minisblack")
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["effective", *words, "json=true"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_table_shows_fraction_conductivity_and_tortuosity(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["effective", "image=s.tif", "phase=cbd", LABELS]) == 0
    out = capsys.readouterr().out
    assert re.search(r"Volume fraction \[-\]\W+0.3333", out)
    assert re.search(r"Share connecting the faces \[-\]\W+1.0000", out)
    assert re.search(r"Effective / own conductivity \[-\]\W+0.33333", out)
    assert re.search(r"Tortuosity factor \[-\]\W+1\W", out)


def test_json_is_all_that_is_printed_and_holds_every_axis(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = answer(capsys, "s.tif", "phase=[am,170]", LABELS, "axis=all", "voxel_size=[0.4 um,0.4 um,0.4 um]")
    assert facts["fraction"] == pytest.approx(2 / 3)
    along, across, other = facts["results"]
    # exact cases, solved in float32 to rtol = 1e-3
    assert along["relative_conductivity"] == pytest.approx(2 / 3, rel=1e-3)
    assert other["relative_conductivity"] == pytest.approx(2 / 3, rel=1e-3)
    assert (across["relative_conductivity"], across["tortuosity_factor"], across["percolates"]) == (0.0, None, False)


def test_conductivities_are_given_by_label_or_value_with_units(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = answer(capsys, "image=s.tif", LABELS, "sigma={am: 1 mS/cm, 170: 2}")
    assert facts["results"][0]["conductivity_S_per_m"] == pytest.approx(2.1 / 3, rel=1e-3)
    assert facts["sigma"] == {"am": pytest.approx(0.1), "170": 2.0}


def test_the_potential_is_saved(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["effective", "s.tif", "phase=85", "save=phi.npy"]) == 0
    assert "potential: phi.npy" in capsys.readouterr().out
    potential = np.load("phi.npy")
    # float32
    np.testing.assert_allclose(potential[:, 1, 0], [0.875, 0.625, 0.375, 0.125], atol=1e-6)
    assert np.isnan(potential[:, 0]).all()
    answer(capsys, "s.tif", "phase=85", "axis=all", "save=phi.npz")
    with np.load("phi.npz") as saved:
        assert sorted(saved) == ["potential_axis0", "potential_axis1", "potential_axis2"]


def test_what_does_not_percolate_is_zero_with_a_warning(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["effective", "s.tif", "phase=85", "axis=1"]) == 0
    told = capsys.readouterr()
    assert "voxelyte: warning: No cluster connects the two faces along axis 1" in told.err
    assert re.search(r"Tortuosity factor \[-\]\W+inf", told.out)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "image must be the path of an image"),
        (["s.tif"], "phase and sigma say what conducts; neither is given"),
        (["s.tif", "phase=am", "sigma={am: 1}"], "both is given"),
        (["s.tif", "phase=cbdd", LABELS], "Unknown phase 'cbdd'. Did you mean 'cbd'? The image holds the values 0 ("),
        (["s.tif", "phase=cbd"], "no voxel of cbd = 2; it holds the values 0 (33.3 %), 85"),
        (["s.tif", "phase=7"], "no voxel of the value 7"),
        (["s.tif", "phase=1.5"], "phase must be"),
        (["missing.tif", "phase=am"], "No image file missing.tif"),
        (["flat.tif", "phase=85"], "3 axes, got 2"),
        (["mesh:nothing", "phase=am"], "No image named 'nothing'"),
        (["s.tif", "phase=85", "sides=open"], "sides cannot be 'open'"),
        (["s.tif", "phase=85", "axis=3"], "axis must be 0, 1, 2 or all, got 3"),
        (["s.tif", "phase=85", "rtol=0.5"], "rtol must be in (0, 0.1], got 0.5"),
        (["s.tif", "phase=85", "rtol=0"], "rtol must be in (0, 0.1], got 0"),
        (["s.tif", "phase=85", "rtol=much"], "rtol: "),
        (["s.tif", "phase=85", "voxel_size=0"], "voxel_size must be positive"),
        (["s.tif", "phase=85", "save=phi.tif"], ".npy or .npz"),
        (["s.tif", "phase=85", "save=no/phi.npy"], "no folder no"),
        (["s.tif", "sigma=85"], "sigma takes a mapping"),
        (["s.tif", "sigma={85: -1}"], "sigma.85 must be a conductivity >= 0"),
        (["s.tif", "sigma={85: 0}"], "sigma insulates everywhere"),
        (["s.tif", "phse=85"], "Did you mean 'phase'"),
        (["s.tif", "other.tif", "phase=85"], "image is given twice"),
        (["s.tif", "phase=85,170"], "Write a list as 'phase=[a,b]'"),
        (["s.tif", "phase=[85"], "Cannot read 'phase=[85'"),
    ],
)
def test_bad_input_ends_with_code_2_one_line_and_no_files(
    stack: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(stack.iterdir())
    assert main(["effective", *words]) == 2
    told = capsys.readouterr()
    assert expected in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert sorted(stack.iterdir()) == before


def test_a_tolerance_out_of_reach_ends_with_code_3(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers = np.broadcast_to(np.array([1, 2, 1, 2], np.uint8)[:, None, None], (4, 3, 5))
    tifffile.imwrite("layers.tif", layers, photometric="minisblack")
    # float64 leaves a residual of about 1e-16
    assert main(["effective", "layers.tif", "sigma={1: 1e-9, 2: 1}", "residual_rtol=1e-20"]) == 3
    assert "did not converge" in capsys.readouterr().err
