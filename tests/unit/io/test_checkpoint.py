"""Checkpoints hold their arrays and facts, whatever their shapes."""

from pathlib import Path

import numpy as np

from simulator.io.checkpoint import StoredCheckpoint, read_checkpoint, write_checkpoint


def test_arrays_of_all_shapes_are_read_back(tmp_path: Path) -> None:
    arrays = {"one": np.array(4.25), "none": np.empty((0, 39)), "rate": np.arange(24.0).reshape(4, 3, 2)}
    path = tmp_path / "run.checkpoint.h5"
    write_checkpoint(path, StoredCheckpoint(arrays, {"step": 3, "text": "µ"}, "abc"))
    found = read_checkpoint(path)
    assert found.arrays.keys() == arrays.keys() and (found.facts, found.fingerprint) == (
        {"step": 3, "text": "µ"},
        "abc",
    )
    for name, array in arrays.items():
        assert found.arrays[name].shape == array.shape
        np.testing.assert_array_equal(found.arrays[name], array)
