"""TIFF stacks of labels, read back by the readers of this program."""

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry.readers import read_image
from simulator.io import stack
from simulator.io.stack import write_stack


@pytest.mark.parametrize(("highest", "stored"), [(119, np.uint8), (1000, np.uint16), (70_000, np.uint32)])
@pytest.mark.parametrize("limit", [2**32, 0])
def test_stacks_of_every_type_and_size_keep_their_voxels_and_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, highest: int, stored: type, limit: int
) -> None:
    monkeypatch.setattr(stack, "_IMAGEJ_MOST", limit)
    image = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    image[-1, -1, -1] = highest
    path = write_stack(tmp_path / "a.tif", image, (1e-6, 0.5e-6, 0.25e-6))
    back = read_image(path)
    np.testing.assert_array_equal(back.array, image)
    assert back.array.dtype == stored
    assert back.voxel_size == pytest.approx((1e-6, 0.5e-6, 0.25e-6))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        write_stack(tmp_path / "nowhere" / "a.tif", np.zeros((4, 5), np.uint8), None)
