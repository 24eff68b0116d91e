"""What the recorder of `simulate(save_to=...)` leaves beside the result."""

from pathlib import Path

import numpy as np
import pytest

from simulator.geometry import Electrode
from simulator.io import StoredCheckpoint, read_checkpoint, read_result, write_checkpoint
from simulator.model import COLUMNS, Cell, Checkpoint, build_cell
from simulator.workflows.folder import checkpoint_path
from simulator.workflows.simulate import FileRecorder


@pytest.fixture(scope="module")
def cell() -> Cell:
    image = np.random.default_rng(3).choice([1, 2], size=(5, 4, 3))
    return build_cell(Electrode.from_array(image, 1e-6), "verification")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.vtkhdf"


def empty_checkpoint(**facts) -> Checkpoint:
    return Checkpoint({"rows": np.zeros((0, len(COLUMNS)))}, {"saved_times": [], **facts}, "mark")


def test_a_new_run_removes_the_checkpoint_of_an_older_one(cell: Cell, path: Path) -> None:
    # Killed before its own first checkpoint it would be mistaken for one that can go on.
    checkpoint_path(path).touch()
    FileRecorder(path, cell, ("sto",))
    assert not checkpoint_path(path).exists() and read_result(path).status == "running"


def test_a_checkpoint_keeps_single_numbers_and_arrays(path: Path) -> None:
    arrays = {"rows": np.zeros((2, 3)), "state.voltage": np.asarray(3.7)}
    write_checkpoint(path, StoredCheckpoint(arrays, {"a": 1}, "mark"))
    read = read_checkpoint(path)
    assert (read.facts, read.fingerprint, read.arrays.keys()) == ({"a": 1}, "mark", arrays.keys())
    assert float(read.arrays["state.voltage"]) == 3.7 and read.arrays["rows"].shape == (2, 3)


def test_warnings_from_before_an_interruption_are_kept_each_once(cell: Cell, path: Path) -> None:
    said = ["first"]
    FileRecorder(path, cell, ("sto",), warnings=said).stopped(empty_checkpoint())
    stored = Checkpoint(*read_checkpoint(checkpoint_path(path)))
    said = ["first", "second"]
    FileRecorder(path, cell, ("sto",), warnings=said, checkpoint=stored).stopped(empty_checkpoint())
    assert read_checkpoint(checkpoint_path(path)).facts["warnings"] == ["first", "second"]


def test_an_interrupted_file_and_its_checkpoint_have_the_same_rows(cell: Cell, path: Path) -> None:
    recorder = FileRecorder(path, cell, ("sto",), interval=0.0)
    row = dict.fromkeys(COLUMNS, 0.0)
    for t in (0.0, 1.0, 2.0):
        recorder.row({**row, "test_time_second": t})
        rows = np.zeros((int(t) + 1, len(COLUMNS)))
        recorder.step_done(lambda rows=rows: Checkpoint({"rows": rows}, {"saved_times": []}, "mark"))
        assert read_result(path).timeseries["test_time_second"].size == rows.shape[0]
        assert read_checkpoint(checkpoint_path(path)).arrays["rows"].shape == rows.shape


def test_writing_is_put_off_until_the_interval_has_passed(cell: Cell, path: Path) -> None:
    recorder = FileRecorder(path, cell, ("sto",), interval=3600.0)
    recorder.row(dict.fromkeys(COLUMNS, 0.0))
    recorder.step_done(empty_checkpoint)
    assert read_result(path).timeseries["test_time_second"].size == 0
    assert not checkpoint_path(path).exists()
