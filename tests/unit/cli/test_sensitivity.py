"""`voxelyte sensitivity`: files, numbers and exit codes; the map itself is tested where it is computed."""

import re

import numpy as np
import pytest

from simulator import viz
from simulator.cli import main
from simulator.errors import RunStopped
from simulator.io import read_result
from simulator.model.faces import face_facts
from simulator.workflows import sensitivity as job
from simulator.workflows.sensitivity_map import FaceSensitivity, SensitivityMap

WORDS = ["sensitivity", "protocol.steps=[Charge at C/3 until 4.2 V]"]


def stand_in(cell, steps, *, step, rtol, options, notify):
    """A map whose contacts all pay alike, without a run."""
    notify("Running ...")
    facts = face_facts(cell)
    n = len(facts["axis"])
    one = np.ones(n)
    labels = np.unique(facts["particle"])
    return SensitivityMap(
        step=step,
        time=rtol,
        phase=np.asarray(cell.electrode.phase),
        voxel_size=cell.electrode.voxel_size,
        am=facts["am"],
        ionic=facts["ionic"],
        axis=facts["axis"],
        position=0.0 * facts["am"],
        particle=facts["particle"],
        area=one,
        fraction=one,
        capacity=FaceSensitivity(float(n), 0.1 * one, 0.1 * one, 0.1 / n * one),
        decomposed=None,
        particles={"label": labels, **{name: np.zeros(labels.size) for name in ("z", "y", "x", "diameter")}},
    )


@pytest.fixture
def words(tiny_stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "sensitivity_map", stand_in)
    monkeypatch.setattr(viz, "plot_sensitivity_map", lambda found, path: path.write_bytes(b"picture"))
    return [*WORDS, "geometry=file", f"geometry.path={tiny_stack}", "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"]


def test_files_and_numbers_of_a_map(words, tmp_path, capsys):
    assert main([*words, "solver.rtol=1e-2", "--output", "map"]) == 0
    told = capsys.readouterr()
    assert {path.name for path in (tmp_path / "map").iterdir()} == {job.MAP, job.PARTICLES, job.PICTURE}
    assert "Running ..." in told.err and "-> map" in told.err
    assert re.search(r"capacity \[mAh/g AM\]", told.out)
    assert re.search(r"capacity for 1 % more contact everywhere \[%\]\W+0.1\b", told.out)
    assert re.search(r"contact that makes half of this rise of capacity \[%\]\W+50\b", told.out)
    result = read_result(tmp_path / "map" / job.MAP)
    assert result.field_times.tolist() == [1e-2] and result.config["solver"]["rtol"] == 1e-2
    assert result.faces["capacity_by_fraction"].size == len(result.faces["am"])


def test_the_folder_is_named_after_the_run(words, tmp_path, capsys):
    assert main([*words, "output.pictures=false"]) == 0
    (folder,) = (tmp_path / "outputs").iterdir()
    assert re.fullmatch(r"sensitivity-tiny-nmc811_peo_60c-\w{8}", folder.name)
    assert not (folder / job.PICTURE).exists()
    assert main([*words, "output.dir=here", "output.pictures=false"]) == 0
    assert (tmp_path / "here" / job.MAP).exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["protocol.steps=[Rest for 1 h]"], "No step of the protocol is a charge or discharge"),
        (["protocol.steps=[Charge at C/3 until 9 V]"], "9 V"),
        (["--step", "2"], "step = 2 must be the number"),
        (["--step", "one"], "invalid int value"),
        (["solver.cycle_jump=3"], "solver.cycle_jump must be 0"),
        (["solver.rtoll=1"], "rtol"),
        (["--out", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_words_end_with_code_2_and_write_nothing(words, tmp_path, capsys, more, message):
    assert main([*words, *more]) == 2
    told = capsys.readouterr()
    assert message in told.err and "Traceback" not in told.err
    assert not list(tmp_path.iterdir())


def test_a_run_that_stops_too_early_ends_with_code_3(words, monkeypatch, capsys):
    def stops(*arguments, **more):
        raise RunStopped("The run ended before step 1.")

    monkeypatch.setattr(job, "sensitivity_map", stops)
    assert main(words) == 3
    assert capsys.readouterr().err.splitlines()[-1] == "voxelyte: error: The run ended before step 1."


def test_help_names_settings_and_files(capsys):
    assert main(["sensitivity", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("KEY=VALUE", "--step", job.MAP, job.PARTICLES, job.PICTURE))
