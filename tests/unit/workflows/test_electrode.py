"""Electrodes from the shipped geometry groups and from files."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from simulator.config import load
from simulator.errors import GeometryError
from simulator.resources import config_groups
from simulator.workflows.electrode import read_electrode

SHIPPED = [name for name in config_groups()["geometry"] if name != "file"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_geometry_is_an_electrode_with_a_voxel_size_of_its_own(name: str) -> None:
    electrode = read_electrode(load([f"geometry={name}"]).geometry)
    # 0.398 um is the published voxel size of this sample; the tag is stored with six digits
    assert electrode.voxel_size == pytest.approx((0.398e-6,) * 3, rel=1e-5)
    assert {"am", "cbd"} < set(electrode.labels)


def test_settings_of_the_geometry_reach_the_reader() -> None:
    plain = read_electrode(load().geometry)
    changed = read_electrode(
        load(["geometry.thickness_axis=1", "geometry.separator_side=end", "geometry.voxel_size=1 um"]).geometry
    )
    assert changed.voxel_size == (1e-6, 1e-6, 1e-6)
    assert (changed.phase == plain.phase.swapaxes(0, 1)[::-1]).all()


def test_a_missing_image_is_named() -> None:
    with pytest.raises(GeometryError, match="nothing.tif"):
        read_electrode(load(["geometry=file", "geometry.path=nothing.tif"]).geometry)


def test_crop_and_coarsening_act_on_the_axes_of_the_electrode_crop_first() -> None:
    plain = read_electrode(load(["geometry.thickness_axis=2"]).geometry)
    words = ["geometry.thickness_axis=2", "geometry.crop=[[2, 42], null, [-20, null]]", "geometry.coarsen=2"]
    changed = read_electrode(load(words).geometry)
    expected = plain.crop(z=(2, 42), x=(28, 48)).coarsen(2)
    assert changed.shape == (20, 24, 10)
    assert (changed.phase == expected.phase).all()
    assert changed.voxel_size == expected.voxel_size


def test_a_crop_outside_the_image_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"crop range y=\(0, 99\).*inside 0\.\.48"):
        read_electrode(load(["geometry.crop=[null, [0, 99], null]"]).geometry)


def test_the_dataset_of_the_geometry_reaches_the_reader(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["a"], file["b"] = np.zeros((4, 5, 6), np.uint8), np.ones((4, 5, 6), np.uint8)
    words = ["geometry=file", f"geometry.path={tmp_path / 'scan.h5'}", "geometry.voxel_size=1 um"]
    with pytest.raises(GeometryError, match="2 3D datasets"):
        read_electrode(load(words).geometry)
    assert (read_electrode(load([*words, "geometry.dataset=b"]).geometry).phase == 1).all()
