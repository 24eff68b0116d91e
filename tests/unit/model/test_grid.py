"""Separator layers, the grid of the whole cell, and how faces of the image become faces of the cell."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.model.build import padded_length
from simulator.model.grid import separator_layers


@pytest.mark.parametrize(
    ("thickness", "layers", "first"), [(50e-6, 16, 0.4e-6), (50e-6, 2, 1e-6), (8e-6, 4, 0.45e-6), (20e-6, 40, 1e-7)]
)
def test_graded_layers_fill_the_separator_and_grow_geometrically_from_the_voxel_size(thickness, layers, first):
    sizes = separator_layers(thickness, layers, first)
    assert sizes.shape == (layers,)
    assert sizes.sum() == pytest.approx(thickness, rel=1e-14)
    assert sizes[-1] == pytest.approx(first, rel=1e-9)  # 200 bisections; then rescaled to the exact sum
    ratios = sizes[:-1] / sizes[1:]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)
    assert ratios[0] > 1


@pytest.mark.parametrize(("layers", "first"), [(10, 1e-6), (100, 1e-6), (1, 3e-6)])
def test_layers_are_equal_where_there_are_more_than_needed_or_only_one(layers, first):
    np.testing.assert_allclose(separator_layers(10e-6, layers, first), 10e-6 / layers, rtol=1e-14)


@pytest.mark.parametrize(("thickness", "layers"), [(0.0, 4), (-1e-6, 4), (float("nan"), 4), (1e-5, 0)])
def test_impossible_separators_are_refused(thickness, layers):
    with pytest.raises(ConfigError, match="separator.thickness and separator.layers"):
        separator_layers(thickness, layers, 1e-6)


def test_grid_volumes_and_areas_are_those_of_separator_and_electrode(tiny):
    cell = tiny.cell()
    grid = cell.model.grid
    dz, dy, dx = tiny.voxel_size
    nz, ny, nx = tiny.phases.shape
    assert grid.shape == (nz + 4, ny, nx) and grid.separator_layers == 4
    volume = float(np.sum(np.asarray(grid.volume))) * ny * nx
    assert volume == pytest.approx((8e-6 + nz * dz) * ny * dy * nx * dx, rel=1e-14)
    np.testing.assert_allclose(grid.dz[4:], dz, rtol=1e-15)
    for axis, area in enumerate((dy * dx, dz * dx, dz * dy)):
        np.testing.assert_allclose(np.broadcast_to(grid.face_area(axis), grid.shape)[-1], area, rtol=1e-15)
    assert cell.area == pytest.approx(ny * dy * nx * dx, rel=1e-14)


def test_one_c_moves_all_active_material_through_its_window_in_an_hour(tiny):
    cell = tiny.cell()
    volume = np.count_nonzero(tiny.phases == 1) * np.prod(tiny.voxel_size)  # isolated parts included
    charge = 96485.33212331001 * 51765.0 * volume * (0.93 - 0.30)
    assert cell.one_c == pytest.approx(charge / 3600.0, rel=1e-14)
    assert cell.theoretical_capacity == pytest.approx(charge, rel=1e-14)
    nominal = tiny.cell({"nominal_specific_capacity": 180.0})
    assert nominal.one_c == pytest.approx(0.18 * 1e3 * volume * 4780.0, rel=1e-14)  # 180 mAh/g = 180 Ah/kg


def test_contact_lists_are_padded_to_few_lengths_and_padding_touches_no_face(tiny):
    lengths = {padded_length(n) for n in range(1, 1025)}
    assert all(padded_length(n) >= n for n in range(1025)) and len(lengths) <= 24
    faces = tiny.cell().model.faces
    valid = np.asarray(faces.valid)
    shape = tiny.cell().model.shape
    one_past = sum(int(np.prod([n + (a == axis) for a, n in enumerate(shape)])) for axis in range(3))
    assert np.all(np.asarray(faces.face)[~valid] == one_past)
    assert np.unique(np.asarray(faces.face)[valid]).size == valid.sum()
    assert np.all(np.asarray(faces.area)[~valid] == 0.0)
