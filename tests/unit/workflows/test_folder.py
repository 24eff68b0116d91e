"""The folder of a run: its name, and what may happen to what it holds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from simulator.config import RunConfig, load
from simulator.errors import ConfigError
from simulator.geometry import Electrode
from simulator.io import ResultWriter
from simulator.protocol import parse_protocol
from simulator.workflows.folder import (
    CONFIG,
    HASH,
    RESULT,
    Plan,
    checkpoint_path,
    configuration_hash,
    locked,
    make_folder,
    plan,
    portable,
    remove_leftovers,
    run_folder,
)

PHASE = np.array([0, 1, 2, 1, 1, 3, 1, 1], np.uint8).reshape(2, 2, 2)
ELECTRODE = Electrode(PHASE, (1e-6,) * 3)


def write_result(folder: Path, config: RunConfig, status: str | None) -> None:
    """A result of `config` in `folder`; status None: as a killed run leaves it."""
    folder.mkdir(exist_ok=True)
    writer = ResultWriter(
        folder / RESULT,
        phase=PHASE,
        voxel_size=(1e-6,) * 3,
        field_specs={},
        config=portable(config, folder),
        parameters={},
        provenance={HASH: configuration_hash(config, ELECTRODE)},
    )
    writer.append_timeseries({"test_time_second": 5400.0, "voltage_volt": 3.7, "current_ampere": 1.0})
    if status is not None:
        writer.finish(status, {}, {}, {})


def decide(config: RunConfig, folder: Path) -> Plan:
    return plan(config, folder, configuration_hash(config, ELECTRODE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


# -- the hash -------------------------------------------------------------------------------------------------------


def digest_of(*overrides: str, electrode: Electrode = ELECTRODE) -> str:
    return configuration_hash(load(overrides), electrode)


@pytest.mark.parametrize(
    "override",
    [
        "solver.rtol=1e-4",
        "cell.electrolyte.kappa=0.05",
        "protocol=charge_c3",
        "geometry.min_live=0.1",
        "output.fields=[sto]",
        "output.snapshots=5",
        "output.particles=false",
    ],
)
def test_what_changes_results_changes_the_hash(override: str) -> None:
    assert digest_of(override) != digest_of()


@pytest.mark.parametrize(
    "override",
    [
        "output.dir=elsewhere",
        "output.overwrite=true",
        "output.pictures=false",
        "output.checkpoint=1 h",
        "solver.max_steps=7",
        "resume=true",
        "geometry.path=the/same/image.tif",
    ],
)
def test_what_changes_no_number_keeps_the_hash(override: str) -> None:
    assert digest_of(override) == digest_of()


def test_an_image_counts_by_the_electrode_that_it_gives() -> None:
    same = Electrode(PHASE.copy(), (1e-6,) * 3, name="other file")
    turned = Electrode(PHASE[::-1].copy(), (1e-6,) * 3)
    larger = Electrode(PHASE, (2e-6, 1e-6, 1e-6))
    hashes = [digest_of(electrode=e) for e in (ELECTRODE, same, turned, larger)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_a_table_counts_by_its_content(tmp_path: Path) -> None:
    table = tmp_path / "ocp.csv"
    table.write_text("0.2,4.3\n0.9,3.6\n")
    config = [f"cell.am.ocp={table}"]
    before = digest_of(*config)
    table.write_text("0.2,4.3\n0.9,3.5\n")
    assert digest_of(*config) != before


def test_values_of_the_voxels_count_by_their_content(tmp_path: Path) -> None:
    image = tmp_path / "contact.npy"
    np.save(image, [0.5, 0.6])
    config = [f"cell.contact.fraction={image}"]
    before = digest_of(*config)
    np.save(image, [0.5, 0.7])
    assert digest_of(*config) != before
    assert digest_of("cell.contact.fraction={1: 0.5, default: 1}") != digest_of("cell.contact.fraction={1: 0.5}")
    assert portable(load(config), tmp_path / "run")["cell"]["overrides"]["contact.fraction"] == "../contact.npy"


def test_the_choice_of_area_counts_with_the_electrode() -> None:
    hashes = [
        digest_of(electrode=ELECTRODE.altered(area=area)) for area in ("smoothed", "particles", "rescaled", "raw")
    ]
    assert hashes[0] == digest_of() and len(set(hashes)) == 4


def test_a_folder_is_named_by_image_parameter_set_and_hash() -> None:
    config = load()
    digest = configuration_hash(config, ELECTRODE)
    assert run_folder(config, digest) == Path(f"outputs/nmc532_film_48-nmc811_peo_60c-{digest[:8]}")
    assert run_folder(load(["output.dir=a/b"]), digest) == Path("a/b")


# -- what may happen to a folder ------------------------------------------------------------------------------------


def test_a_new_or_empty_folder_is_used(folder: Path) -> None:
    assert decide(load(), folder) is Plan.start
    folder.mkdir()
    assert decide(load(), folder) is Plan.start
    (folder / CONFIG).touch()  # a run that died before its first result
    assert decide(load(), folder) is Plan.start


@pytest.mark.parametrize("status", ["finished", "salt_depleted", "newton_failed"])
def test_a_run_that_has_ended_is_skipped(folder: Path, status: str) -> None:
    write_result(folder, load(), status)
    assert decide(load(), folder) is Plan.skip
    assert decide(load(["resume=true"]), folder) is Plan.skip
    assert decide(load(["output.overwrite=true"]), folder) is Plan.start


@pytest.mark.parametrize("status", [None, "interrupted"])
def test_an_interrupted_run_asks_for_resume(folder: Path, status: str | None) -> None:
    write_result(folder, load(), status)
    with pytest.raises(ConfigError, match=r"interrupted after 1.5 h.*resume=true.*output.overwrite=true"):
        decide(load(), folder)
    assert decide(load(["resume=true"]), folder) is Plan.start  # no checkpoint yet: nothing to go on from
    checkpoint_path(folder / RESULT).touch()
    assert decide(load(["resume=true"]), folder) is Plan.resume
    assert decide(load(["output.overwrite=true"]), folder) is Plan.start
    # Both together: what was computed is not thrown away.
    assert decide(load(["output.overwrite=true", "resume=true"]), folder) is Plan.resume


def test_overwriting_replaces_another_run_a_finished_one_and_a_damaged_file(folder: Path) -> None:
    both = ["output.overwrite=true", "resume=true"]
    write_result(folder, load(), "finished")
    assert decide(load(both), folder) is Plan.start
    write_result(folder, load(["solver.rtol=1e-4"]), "interrupted")
    checkpoint_path(folder / RESULT).touch()
    assert decide(load(both), folder) is Plan.start
    (folder / RESULT).write_bytes(b"half a file")
    assert decide(load(both), folder) is Plan.start


def test_what_a_killed_process_was_writing_is_no_content_and_is_removed(folder: Path) -> None:
    folder.mkdir()
    part = folder / f".{RESULT}.999.part"
    part.touch()
    assert decide(load(), folder) is Plan.start
    remove_leftovers(folder)
    assert not part.exists()


def test_another_run_is_an_error_that_names_the_difference(folder: Path) -> None:
    write_result(folder, load(), "finished")
    with pytest.raises(ConfigError, match=r"solver.rtol: 0.001 there, 0.0001 here.*output.overwrite=true"):
        decide(load(["solver.rtol=1e-4"]), folder)


def test_files_of_somebody_else_are_an_error(folder: Path) -> None:
    folder.mkdir()
    for name in ("thesis.tex", "a.tif", "b.tif", "c.tif"):
        (folder / name).touch()
    with pytest.raises(ConfigError, match=r"a.tif, b.tif, c.tif, \.\.\."):
        decide(load(), folder)
    assert decide(load(["output.overwrite=true"]), folder) is Plan.start


def test_a_file_in_the_place_of_the_folder_is_an_error(folder: Path) -> None:
    folder.touch()
    with pytest.raises(ConfigError, match="is a file. Choose a folder"):
        decide(load(), folder)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="output.dir.*that you can write to"):
        make_folder(tmp_path / "file" / "run")


def test_a_folder_that_another_process_writes_to_is_refused(folder: Path) -> None:
    make_folder(folder)
    script = (
        "import sys, pathlib\n"
        "from simulator.workflows.folder import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="Another run is writing"), locked(folder):
            pass
        other.communicate("")
    with locked(folder):  # free again
        pass


def test_a_drive_profile_counts_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    profile, rows = tmp_path / "profile.csv", "Time / s,Current / C\n0,0.1\n60,0.2\n"
    profile.write_text(rows)
    config = "protocol.steps=[Rest for 1 s, Drive profile.csv hold]"
    before = digest_of(config)
    (tmp_path / "moved.csv").write_text(rows)
    assert digest_of("protocol.steps=[Rest for 1 s, Drive moved.csv hold]") == before
    assert digest_of("protocol.steps=[Rest for 1 s, Drive moved.csv]") != before
    profile.write_text(rows.replace("0.2", "0.3"))
    assert digest_of(config) != before


def test_stored_configuration_names_its_drive_profile_from_the_run_folder(tmp_path: Path) -> None:
    profile = tmp_path / "profiles" / "my profile.csv"
    profile.parent.mkdir()
    profile.write_text("Time / s,Current / C\n0,0.1\n60,0.2\n")
    text = f"Repeat 2 times: Drive {profile} hold; Rest for 1 s; End repeat"
    config = load([f'protocol.steps=["{text}"]'])
    folder = tmp_path / "run"
    stored = portable(config, folder)
    assert stored["protocol"]["steps"] == [text.replace(str(profile), "../profiles/my profile.csv")]
    folder.mkdir()
    (folder / CONFIG).write_text(yaml.safe_dump(stored))
    again = load([], base=folder / CONFIG)
    assert parse_protocol(again.protocol.steps) == parse_protocol(config.protocol.steps)


def test_stored_configuration_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    config = load(["geometry=file", f"geometry.path={tmp_path}/images/stack.tif", f"output.dir={tmp_path}/run"])
    stored = portable(config, tmp_path / "run")
    assert stored["geometry"]["path"] == "../images/stack.tif"
    assert str(tmp_path) not in yaml.safe_dump(stored)
    assert portable(load(), tmp_path)["geometry"]["path"] == "mesh:nmc532_film_48.tif"
