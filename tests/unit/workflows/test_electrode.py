"""Electrodes from the shipped geometry groups and from files."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from simulator.config import load
from simulator.errors import GeometryError
from simulator.geometry import calender, generate_electrode, mirror, rotate
from simulator.resources import config_groups
from simulator.workflows.electrode import read_electrode

SHIPPED = [name for name in config_groups()["geometry"] if name != "file"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_geometry_is_an_electrode_with_a_voxel_size_of_its_own(name: str) -> None:
    electrode = read_electrode(load([f"geometry={name}"]).geometry)
    # 0.398 um is the published voxel size of this sample; the tag is stored with six digits
    edge = {"generated": 0.5e-6, "ct_nmc_coarse": 1.2e-6}.get(name, 0.398e-6)
    assert electrode.voxel_size == pytest.approx((edge,) * 3, rel=1e-5)
    assert {"am", "cbd"} < set(electrode.labels)


def test_settings_of_the_geometry_reach_the_reader() -> None:
    plain = read_electrode(load(["geometry=ct_nmc_filled"]).geometry)
    words = ["geometry.thickness_axis=1", "geometry.separator_side=end", "geometry.voxel_size=1 um"]
    changed = read_electrode(load(["geometry=ct_nmc_filled", *words]).geometry)
    assert changed.voxel_size == (1e-6, 1e-6, 1e-6)
    assert (changed.phase == plain.phase.swapaxes(0, 1)[::-1]).all()


def test_a_missing_image_is_named() -> None:
    with pytest.raises(GeometryError, match="nothing.tif"):
        read_electrode(load(["geometry=file", "geometry.path=nothing.tif"]).geometry)


def test_crop_and_coarsening_act_on_the_axes_of_the_electrode_crop_first() -> None:
    plain = read_electrode(load(["geometry=ct_nmc_filled", "geometry.thickness_axis=2"]).geometry)
    words = [
        "geometry=ct_nmc_filled",
        "geometry.thickness_axis=2",
        "geometry.crop=[[2, 42], null, [-20, null]]",
        "geometry.coarsen=2",
    ]
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


def test_the_demonstration_has_the_porosity_and_coverage_that_its_configuration_names() -> None:
    electrode = read_electrode(load().geometry)
    assert electrode.porosity == pytest.approx(0.12, abs=1e-5)
    assert electrode.coverage == pytest.approx(0.6, abs=1e-3)
    measured = read_electrode(load(["geometry=ct_nmc_film"]).geometry)
    assert ((electrode.phase == 1) == (measured.phase == 1)).all()


def test_operations_are_done_in_the_order_of_the_documentation() -> None:
    words = ["geometry=ct_nmc_film", "geometry.crop=[[0, 40], [0, 32], [0, 24]]"]
    plain = read_electrode(load(words).geometry)
    more = ["geometry.mirror=[y]", "geometry.quarter_turns=1", "geometry.thickness=12 um", "geometry.coverage=0.7"]
    changed = read_electrode(load([*words, *more]).geometry)
    pressed = calender(rotate(mirror(plain, "y")), "12 um")
    assert changed.shape == (30, 24, 32)
    assert ((changed.phase == 1) == (pressed.phase == 1)).all()
    assert changed.porosity == pytest.approx(pressed.porosity, abs=1e-4)  # not asked for: kept
    assert changed.coverage == pytest.approx(0.7, abs=0.01)


def test_an_electrode_is_made_thicker_before_its_phases_are_placed() -> None:
    words = ["geometry=ct_nmc", "geometry.crop=[[0, 20], [0, 24], [0, 24]]", "geometry.extend=11.94 um"]
    thick = read_electrode(load(words).geometry)
    am = thick.phase == 1
    assert thick.shape == (30, 24, 24) and (am[20:] == am[19:9:-1]).all()
    assert thick.porosity == pytest.approx(0.12, abs=1e-4)  # to one voxel


def test_a_synthetic_electrode_is_made_by_its_recipe_and_then_changed() -> None:
    words = ["geometry=generated", "geometry.generate.shape=[24,24,24]", "geometry.generate.diameter=5 um"]
    made = read_electrode(load([*words, "geometry.seed=2"]).geometry)
    recipe = generate_electrode((24, 24, 24), 0.5e-6, 0.53, 0.12, diameter=5e-6, seed=2)
    assert (made.phase == recipe.phase).all() and (made.particle == recipe.particle).all()
    # what lies between the particles is placed after all changes, so that porosity and coverage hold at the end
    more = ["geometry.seed=2", "geometry.crop=[[0, 12], null, null]", "geometry.coverage=0.5"]
    part = read_electrode(load([*words, *more]).geometry)
    assert ((part.phase == 1) == (made.phase[:12] == 1)).all() and part.particle is not None
    assert part.porosity == pytest.approx(0.12, abs=1e-3) and part.coverage == pytest.approx(0.5, abs=0.01)
