"""`voxelyte inspect`: what is the image and what a setting, exit codes, and the two forms of the answer."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from simulator.cli import main
from simulator.cli.inspect import split_path
from simulator.errors import ConfigError

#: plates of pore, active material and binder that all run from the separator to the collector
PLATES = np.array([0, 1, 1, 2, 1, 2, 0, 1, 1, 1, 2, 0, 1], np.uint8)
IMAGE = np.ascontiguousarray(np.broadcast_to(PLATES[None, :, None], (12, 13, 11)))
NAMES = ["stack.tif", "my stack.tif", "T=300 K.tif", "geometry.tif", "a,b {c} 'd' $e ${f}.tif", "geometry=x.tif"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, factor: int = 1, sized: bool = True) -> Path:
    tags = {"spacing": 0.4, "unit": "um"} if sized else {}
    tifffile.imwrite(path, (factor * IMAGE).astype(np.uint8), imagej=True, resolution=(2.5, 2.5), metadata=tags)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_any_path_is_understood_and_the_picture_is_where_it_says(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / name)
    assert main(["inspect", name]) == 0
    out = capsys.readouterr().out
    folder = f"outputs/inspect-{Path(name).stem}"
    assert f"picture: {folder}/inspect.png" in out
    assert (here / folder / "inspect.png").exists()
    assert [p.name for p in here.iterdir() if p.name not in (name, "outputs")] == []


def test_settings_come_before_or_after_the_path(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "s.tif", 85)
    labels = "geometry.labels={pore: 0, am: 85, cbd: 170}"
    for words in (["s.tif", labels], [labels, "s.tif"], [labels, "--output", "a", "s.tif"]):
        assert main(["inspect", *words]) == 0
    assert (here / "a" / "inspect.png").exists()
    assert "value 85: am" in capsys.readouterr().out


def test_a_geometry_group_lends_its_labels_to_the_path(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "s.tif")
    assert main(["inspect", "s.tif", "geometry=ct_nmc", "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"]) == 0
    assert "value 0: electrolyte" in capsys.readouterr().out


def test_without_path_the_configuration_names_the_image(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "geometry=ct_nmc_64", "--no-particles"]) == 0
    out = capsys.readouterr().out
    assert "64 x 64 x 64" in out
    assert "Particles" not in out


def test_json_is_all_that_is_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "s.tif")
    assert main(["inspect", "--json", "s.tif", "geometry.coarsen=2"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert facts["image"]["shape"] == [12, 13, 11]
    assert facts["electrode"]["Voxels along y [-]"] == 6
    assert any("1 along y, 1 along x" in text for text in facts["warnings"])
    assert "voxelyte: warning: coarsen=2 drops" in captured.err


def test_missing_labels_end_with_code_2_the_values_and_advice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "s.tif", 85, sized=False)
    assert main(["inspect", "s.tif"]) == 2
    captured = capsys.readouterr()
    assert "value 170: no label" in captured.out
    assert "voxelyte: error: " in captured.err
    assert "Add to the command: 'geometry.labels={pore: 0, am: 85, cbd: 170}' 'geometry.voxel_size" in captured.err
    assert main(["inspect", "--json", "s.tif"]) == 2
    assert json.loads(capsys.readouterr().out)["advice"].startswith("Add to the command: 'geometry.labels=")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nothing.tif"], "No image file nothing.tif"),
        (["T=3.tif"], "No image file T=3.tif"),
        (["folder/a=b"], "No image file folder/a=b"),
        (["mesh:nmc"], "No image named 'nmc'"),
        (["geometri=ct_nmc"], "Did you mean 'geometry'"),
        (["geometry=ct_nmcc"], "Did you mean 'ct_nmc'"),
        (["geometry=file"], "geometry.path has no value"),
        (["a.tif", "b.tif"], "takes one image, got 2: a.tif, b.tif"),
        (["a.tif", "geometry.path=b.tif"], "given twice"),
        (["geometry.coarsen=0"], "geometry.coarsen"),
        (["protocol.steps=[Charge quickly]"], "quickly"),
        (["--nothing"], "--nothing"),
        (["geometry=ct_nmc", "--with"], "--with"),
        (["geometry=ct_nmc", "--with", "a.tif", "b.tif"], "takes one image, got 2: a.tif, b.tif"),
        (["geometry=ct_nmc", "--with", "a.tif", "geometry.path=b.tif"], "given twice: a.tif and geometry.path"),
        (["geometry=ct_nmc", "--with", "geometry.coarsen=0"], "geometry.coarsen"),
    ],
)
def test_bad_input_ends_with_code_2_a_message_and_no_files(
    here: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""
    assert not list(here.iterdir())


def test_full_names_all_its_files(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(here / "s.tif", np.broadcast_to(PLATES[None, :8, None], (8, 8, 8)).astype(np.uint8))
    assert main(["inspect", "s.tif", "geometry.voxel_size=1 um", "--full"]) == 0
    out = capsys.readouterr().out
    for name, file in (("picture", "inspect.png"), ("metrics", "metrics.png"), ("page", "inspect.html")):
        assert f"{name}: outputs/inspect-s/{file}" in out
        assert (here / "outputs" / "inspect-s" / file).exists()
    assert "inf / inf / inf" not in out and "1 / inf / 1" in out  # plates along z and x


def test_two_images_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "one.tif")
    tifffile.imwrite(here / "two words.tif", IMAGE[:, :9])
    own = ["two words.tif", "geometry.voxel_size=0.8 um"]
    assert main(["inspect", "one.tif", "--no-particles", "--with", *own]) == 0
    out = capsys.readouterr().out
    assert "one and two words" in out and "Voxel size along z [um]" in out
    assert "picture: outputs/inspect-one/with-two words/inspect.png" in out
    assert (here / "outputs" / "inspect-one" / "with-two words" / "inspect.png").exists()
    assert main(["inspect", "--json", "one.tif", "--no-particles", "--with", *own]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["comparison"]["Voxel size along z [m]"]["ratio"] == pytest.approx(2.0, rel=1e-5)  # six digits in tags


def test_settings_after_with_hold_for_the_second_image_and_the_others_for_both(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "s.tif", 85)
    labels = "geometry.labels={pore: 0, am: 85, cbd: 170}"
    crop = "geometry.crop=[null, null, [0, 6]]"
    assert main(["inspect", "s.tif", labels, "geometry.crop=[[0, 8], null, null]", "--json", "--with", crop]) == 0
    facts = json.loads(capsys.readouterr().out)
    voxels = {axis: facts["comparison"][f"Voxels along {axis} [-]"] for axis in "zyx"}
    assert {axis: (row["first"], row["second"]) for axis, row in voxels.items()} == {
        "z": (8, 12),
        "y": (13, 13),
        "x": (11, 6),
    }


def test_a_second_image_with_a_problem_is_named_and_gives_code_2(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "one.tif")
    write(here / "two.tif", 85)
    assert main(["inspect", "one.tif", "--with", "two.tif"]) == 2
    captured = capsys.readouterr()
    assert "voxelyte: error: two: Image values without a label: 85" in captured.err
    assert "value 170: no label" in captured.out and "coverage" in captured.out  # each is shown alone


def test_words_are_told_apart(here: Path) -> None:
    assert split_path([]) == (None, [])
    assert split_path(["geometry=ct_nmc", "solver.rtol=1e-4"]) == (None, ["geometry=ct_nmc", "solver.rtol=1e-4"])
    assert split_path(["~geometry.labels", "++cell.overrides.a=1"])[0] == "~geometry.labels"  # no value: a path
    assert split_path(["geometry.path=a.tif"]) == (None, ["geometry.path=a.tif"])
    (here / "geometry.path=a.tif").touch()
    assert split_path(["geometry.path=a.tif"]) == ("geometry.path=a.tif", [])
    with pytest.raises(ConfigError, match="one image"):
        split_path(["a", "b"])


def test_help_imports_nothing_heavy_and_inspecting_does_not_import_jax(here: Path) -> None:
    write(here / "s.tif")
    script = (
        "import sys\n"
        "from simulator.cli import main\n"
        "main(['inspect', '--help'])\n"
        "heavy = [m for m in ('numpy', 'jax', 'hydra', 'matplotlib', 'rich') if m in sys.modules]\n"
        "main(['inspect', 's.tif'])\n"
        "print(heavy, 'jax' in sys.modules, 'pyvista' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[] False False"
