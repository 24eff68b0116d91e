"""Electrodes from the shipped geometry groups and from files."""

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
