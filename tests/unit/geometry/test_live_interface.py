"""The list of live faces against a plain loop over voxels."""

import numpy as np
import pytest

from simulator.geometry import (
    AM,
    CBD,
    ELECTROLYTE,
    IONIC,
    SEPARATOR,
    Electrode,
    connectivity,
    live_interface,
)

UM = 1e-6


def plain_live_faces(e):
    """(axis, am, ionic, am_first, ionic_is_cbd) of every live face, one voxel pair at a time."""
    c = connectivity(e)
    faces = []
    for index in np.ndindex(e.phase.shape):
        if e.phase[index] != AM or not c.electronic[index]:
            continue
        am = np.ravel_multi_index(index, e.phase.shape)
        if index[0] == 0:
            faces.append((0, am, SEPARATOR, False, False))
        for axis in range(3):
            for step in (-1, 1):
                there = list(index)
                there[axis] += step
                place = tuple(there)
                if not 0 <= there[axis] < e.phase.shape[axis]:
                    continue
                if e.phase[place] in IONIC and c.ionic[place]:
                    ionic = np.ravel_multi_index(place, e.phase.shape)
                    faces.append((axis, am, ionic, step > 0, e.phase[place] == CBD))
    return faces


@pytest.mark.parametrize("shape", [(5, 7, 11), (1, 1, 13), (13, 1, 1), (3, 2, 7), (8, 8, 8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_faces_are_those_of_a_plain_loop_in_deterministic_order(shape, seed):
    phase = np.random.default_rng(seed).choice(4, p=(0.15, 0.35, 0.25, 0.25), size=shape).astype(np.uint8)
    phase[-1, -1, -1] = AM
    e = Electrode(phase, (UM, 2 * UM, 3 * UM))
    i = live_interface(e)
    got = list(zip(i.axis, i.am, i.ionic, i.am_first, i.ionic_is_cbd, strict=True))
    assert sorted(got) == sorted(plain_live_faces(e))
    after = np.where(i.am_first, i.ionic, i.am)
    order = list(zip(i.axis, after, strict=True))
    assert order == sorted(order)
    assert len(i) == i.weight.size == connectivity(e).n_live_faces
    assert (i.am.dtype, i.ionic.dtype, i.axis.dtype) == (np.int64, np.int64, np.int8)
    assert (i.am_first.dtype, i.ionic_is_cbd.dtype, i.weight.dtype) == (bool, bool, np.float64)
    assert i.shape == shape


def test_every_live_face_lies_on_a_live_body():
    phase = np.random.default_rng(9).choice(4, size=(9, 8, 7)).astype(np.uint8)
    e = Electrode(phase, (UM, UM, UM))
    i = live_interface(e)
    assert len(i) > 0
    assert connectivity(e).am_live.ravel()[i.am].all()


def test_slab_against_the_separator_has_its_cross_section_as_area():
    e = Electrode(np.full((4, 3, 5), AM, dtype=np.uint8), (UM, 2 * UM, 0.5 * UM))
    i = live_interface(e)
    assert i.to_separator.all() and (i.ionic == SEPARATOR).all() and not i.am_first.any()
    assert not i.ionic_is_cbd.any()
    # w = 1 on a plane to rounding
    assert i.area == pytest.approx(e.cross_section_area, rel=1e-12)
    assert i.area_raw == pytest.approx(e.cross_section_area, rel=1e-12)


def test_face_areas_follow_the_face_normal():
    phase = np.full((3, 3, 3), ELECTROLYTE, dtype=np.uint8)
    phase[1:, 1, 1] = AM
    e = Electrode(phase, (1e-6, 2e-6, 3e-6))
    i = live_interface(e)
    for axis, area in enumerate((6e-12, 3e-12, 2e-12)):
        assert i.face_area[i.axis == axis] == pytest.approx(area, rel=1e-14)
    assert i.area_raw == pytest.approx(6e-12 + 4 * 3e-12 + 4 * 2e-12, rel=1e-14)
    assert 0 < i.area < i.area_raw


def test_no_live_face_gives_an_empty_interface():
    phase = np.array([ELECTROLYTE, 0, AM], dtype=np.uint8)[:, None, None]
    i = live_interface(Electrode(phase, (UM, UM, UM)))
    assert len(i) == 0
    assert i.area == 0.0
