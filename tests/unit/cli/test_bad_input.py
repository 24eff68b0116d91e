"""Every mistake that a first-time user makes: one message with value, range and cure, and nothing written."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from simulator.cli import main

PHASES = np.random.default_rng(5).choice([0, 1, 2], p=[0.1, 0.5, 0.4], size=(10, 9, 8)).astype(np.uint8)
LABELS = "geometry.labels={pore: 0, am: 1, cbd: 2}"


def save(path: Path, image: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["labels"] = image
    else:
        tifffile.imwrite(path, image, photometric="minisblack")
    return path


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return save(tmp_path / "stack.tif", PHASES)


def words(path: Path, *more: str) -> list[str]:
    standard = ("geometry.voxel_size=0.4 um", LABELS, f"output.dir={path.parent / 'out'}", "output.pictures=false")
    return ["run", "geometry=file", f"geometry.path={path}", *standard, *more]


def refused(capfd: pytest.CaptureFixture[str], arguments: list[str], *expected: str) -> str:
    """Run the program; it must end with code 2, one message that holds `expected`, and no folder."""
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("voxelyte: error: ")]
    assert len(lines) == 1 and "Traceback" not in err and out == ""
    for text in expected:
        assert text in lines[0], lines[0]
    for word in arguments:
        if word.startswith("output.dir="):
            folder = Path(word.partition("=")[2])
            assert not (folder / "run.vtkhdf").exists() and not (folder / "config.yaml").exists()
    return lines[0]


# -- the image ------------------------------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(tmp_path / "stakc.tif"), "stakc.tif", "check the path")


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".h5"])
def test_wrong_dimensions(tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(save(tmp_path / f"flat{suffix}", PHASES[0])), "(9, 8)" if suffix != ".h5" else "3D")


def test_values_without_a_label(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = PHASES.copy()
    image[0, 0, :4] = 7
    refused(capfd, words(save(tmp_path / "s.tif", image)), "7 (0.556 %)", "[0, 1, 2]", "Give every value a name")


def test_unknown_label_name(stack: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(stack, "geometry.labels={pore: 0, am: 1, cdb: 2}"), "'cdb'", "'cbd'")


def test_no_active_material(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(save(tmp_path / "s.tif", 2 * (PHASES > 0))), "no active material", "labels['am']")


def test_no_ionic_phase_and_no_contact_with_the_separator(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.ones((10, 9, 8), np.uint8)
    image[:2] = 0
    refused(capfd, words(save(tmp_path / "s.tif", image)), "no AM voxel touches cbd, electrolyte or the separator")


def test_no_live_face(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.ones((10, 9, 8), np.uint8)
    image[:4], image[4], image[5] = 2, 0, 2  # binder at the separator, a gap, binder at the particles
    message = refused(capfd, words(save(tmp_path / "s.tif", image)), "is live", "thickness_axis")
    assert "separator_side" in message


@pytest.mark.filterwarnings("always:Only 41:UserWarning")
def test_low_live_share_warns_and_a_lower_one_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.ones((10, 9, 8), np.uint8)
    image[:, :, 0] = 2  # live
    for z in (1, 4, 7):
        for y in (1, 4, 7):
            image[z : z + 2, y : y + 2, 3:7] = 2  # binder enclosed in the particle: dead
    path = save(tmp_path / "s.tif", image)
    refused(capfd, words(path, "geometry.min_live=0.9"), "Only 41.2 % of the AM|ionic area", "90.0 %", "min_live")
    # A warning is enough below one half. The run is stopped by another mistake, which comes after it.
    assert main(words(path, "cell.voltage_limits=[4.0, 4.5]")) == 2
    said = capfd.readouterr().err
    assert "voxelyte: warning: Only 41" in said and "The cell starts at" in said


@pytest.mark.parametrize("size", ["0.4", "[0.4, 0.4, 0.4]", "0", "-1e-6", "400"])
def test_micrometres_given_as_metres(stack: Path, size: str, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(stack, f"geometry.voxel_size={size}"), "(0, 1e-3] m", "0.4 um")


def test_voxel_size_that_is_no_number(stack: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(stack, "geometry.voxel_size=nan"), "finite", "0.398 um")


def test_no_voxel_size(stack: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(stack, "geometry.voxel_size=null"), "voxel_size", "0.398 um")


def test_nan_in_the_image(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = PHASES.astype(np.float32)
    image[3, 3, 3] = np.nan
    refused(capfd, words(save(tmp_path / "s.npy", image)), "NaN or infinity in 1 of 720 voxels", "label of a phase")


def test_grey_levels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(1).integers(0, 255, (10, 9, 8)).astype(np.uint8)
    refused(capfd, words(save(tmp_path / "s.tif", image)), "look like grey levels", "segment")


@pytest.mark.parametrize("name", ["s.tif", "s.npy", "s.h5"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_files(tmp_path: Path, name: str, part: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / name, PHASES)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(capfd, words(path), name)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("geometry.crop=[null, [0, 99], null]", "crop"),
        ("geometry.crop=[null, [5, 5], null]", "crop"),
        ("geometry.coarsen=20", "coarsen"),
        ("geometry.thickness_axis=3", "0, 1 or 2"),
        ("geometry.dataset=labels", "dataset"),
    ],
)
def test_impossible_cuts(stack: Path, word: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, words(stack, word), said)


# -- parameters and protocol ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cell.electrolyte.kappa=0", ("electrolyte.kappa = 0", "(0, inf)", "S/m")),
        ("cell.am.D_s=-1e-14", ("am.D_s", "(0, inf)", "m2/s")),
        ("cell.kinetics.j0_ref=nan", ("kinetics.j0_ref", "nan")),
        ("cell.separator.thickness=50", ("separator.thickness", "micrometres")),
        ("cell.temperature=60", ("temperature = 60", "[150, 600] K", "333.15")),
        ("cell.electrolyte.t_plus=1.2", ("electrolyte.t_plus", "1.2", "[-1, 1]")),
        ("cell.contact.fraction=1.5", ("contact.fraction = 1.5", "[0, 1]")),
        ("cell.sto_init=1.2", ("sto_init = 1.2", "(0, 1)")),
        ("cell.voltage_limits=[4.5, 2.0]", ("voltage_limits", "must increase")),
        ("cell.voltage_limits=[4.0, 4.5]", ("The cell starts at", "[4, 4.5] V", "sto_init")),
        ("cell.electrolyte.kapa=0.1", ("electrolyte.kapa", "electrolyte.kappa")),
        ("cell.am.ocp=missing.csv", ("missing.csv", "CSV")),
        ("cell.am.D_s=1e-14*exq(sto)", ("exq", "exp")),
        ("cell.parameter_set=nmc811_peo_60", ("nmc811_peo_60", "nmc811_peo_60c")),
        ("cell=nmc811_peo", ("Unknown cell", "nmc811_peo_60c")),
        ("protocl=charge_c3", ("protocl", "protocol")),
        ("protocol=charge_c4", ("charge_c4", "charge_c3")),
        ("protocol.steps=[Charge at C/10 until 5.5 V]", ("5.5 V", "[2, 4.5] V")),
        ("protocol.steps=[Charge at C/10 until 3 V, Discharge at C/10 until 4 V]", ("3 V", "4 V", "Exchange")),
        ("protocol.steps=[Charge at 0 A for 1 h]", ("above zero", "Rest for")),
        ("protocol.steps=[Charge fast]", ("Charge fast", "Charge at C/10 until 4.2 V")),
        ("solver.rtol=1", ("solver.rtol", "[1e-8, 0.1]", "1e-3")),
    ],
)
def test_parameters_and_protocols(
    stack: Path, word: str, expected: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    refused(capfd, words(stack, word), *expected)


@pytest.mark.filterwarnings("ignore:contact.fraction = 0:UserWarning")  # said, and legal
@pytest.mark.parametrize("word", ["cell.film.resistance_init=0", "cell.contact.fraction=0", "cell.anode.resistance=0"])
def test_zero_is_legal_where_it_means_something(stack: Path, word: str, capfd: pytest.CaptureFixture[str]) -> None:
    # Refused for another reason, which comes later.
    refused(capfd, words(stack, word, "cell.voltage_limits=[4.0, 4.5]"), "The cell starts at")


# -- the folder -----------------------------------------------------------------------------------------------------


def test_unwritable_folder(stack: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # /proc takes no new folder, not even from the superuser
    refused(capfd, words(stack, "output.dir=/proc/voxelyte"), "/proc", "that you can write to")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_without_permission(stack: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir(mode=0o500)
    refused(capfd, words(stack, f"output.dir={tmp_path / 'mine'}"), "Permission denied", "that you can write to")


def test_folder_with_other_content(stack: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    refused(capfd, words(stack, f"output.dir={tmp_path / 'thesis'}"), "chapter.tex", "output.overwrite=true")
