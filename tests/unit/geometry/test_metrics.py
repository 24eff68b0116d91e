"""Metrics: areas between phases, chords, sizes, coverage, tortuosity; exact where the image has an exact answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import (
    AM,
    CBD,
    ELECTROLYTE,
    PORE,
    Electrode,
    ParticleFacts,
    chord_lengths,
    coverage_distribution,
    label_particles,
    particle_facts,
    phase_areas,
    side_access,
    size_distribution,
    surface_ratio,
    tortuosity,
)
from simulator.geometry.metrics import conductors

UM = 1e-6


def layers(codes, axis=0, shape=(12, 12, 12), voxel_size=(UM, UM, UM)):
    """Laminate: the codes one after the other along `axis`, equally thick."""
    n = shape[axis]
    order = np.repeat(np.array(codes, np.uint8), n // len(codes))
    assert order.size == n
    view = [None, None, None]
    view[axis] = slice(None)
    return Electrode(np.broadcast_to(order[tuple(view)], shape), voxel_size)


def radius_from(shape, centre, voxel_size=(1.0, 1.0, 1.0)):
    grid = np.meshgrid(*[(np.arange(n) + 0.5) * h for n, h in zip(shape, voxel_size, strict=True)], indexing="ij")
    return np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))


# -- areas -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_have_their_exact_area_raw_and_corrected(axis):
    size = (1 * UM, 2 * UM, 3 * UM)
    e = layers([ELECTROLYTE, PORE, AM, CBD], axis, voxel_size=size)
    plane = 144 * size[0] * size[1] * size[2] / size[axis]
    found = phase_areas(e)
    inner = {pair for pair in found if pair[1] != "separator"}
    assert inner == {("pore", "electrolyte"), ("pore", "am"), ("am", "cbd")}
    for pair in inner:
        assert found[pair].raw == pytest.approx(plane, rel=1e-12)
        # the smoothing reaches the next plane, three voxels on, but keeps the direction; only the active material
        # ends at the separator, which turns the normals of its walls there
        if axis == 0 or "am" not in pair:
            assert found[pair].corrected == pytest.approx(plane, rel=1e-9)
    at_separator = {name for name, other in found if other == "separator"}
    assert at_separator == ({"electrolyte"} if axis == 0 else {"pore", "am", "cbd", "electrolyte"})
    assert sum(found[name, "separator"].raw for name in at_separator) == pytest.approx(e.cross_section_area, rel=1e-12)


def test_plane_at_45_degrees_is_corrected_from_sqrt_2_to_1():
    n = 40
    y, x = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    section = np.where(y + x < n, PORE, CBD).astype(np.uint8)
    section[0, 0] = AM  # an electrode needs some
    e = Electrode(np.broadcast_to(section, (6, n, n)), (UM, UM, UM))
    found = phase_areas(e)["pore", "cbd"]
    assert found.raw == pytest.approx(6 * 2 * (n - 1) * UM**2, rel=1e-12)
    # the mirrored sides bend the normals at both ends of the diagonal, on about 2 of 40 voxels
    assert found.corrected == pytest.approx(found.raw / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize(("inner", "outer"), [(10.0, 18.0), (13.0, 20.0)])
def test_spheres_in_spheres_have_the_area_of_smooth_ones(inner, outer):
    shape = (48, 48, 48)
    r = radius_from(shape, (24, 24, 24))
    phase = np.select([r < inner, r < outer], [AM, CBD], PORE).astype(np.uint8)
    found = phase_areas(Electrode(phase, (UM, UM, UM)))
    # weights of an isolated sphere of this radius are right to about 1 %, see tests/unit/geometry/test_area.py
    assert found["am", "cbd"].corrected == pytest.approx(4 * np.pi * (inner * UM) ** 2, rel=0.015)
    assert found["pore", "cbd"].corrected == pytest.approx(4 * np.pi * (outer * UM) ** 2, rel=0.015)
    assert found["pore", "cbd"].raw > 1.4 * found["pore", "cbd"].corrected
    assert ("pore", "am") not in found


def test_a_wall_that_ends_at_the_separator_keeps_its_area_there():
    e = layers([PORE, CBD, AM], axis=1, shape=(6, 36, 8))
    assert phase_areas(e)["pore", "cbd"].corrected == pytest.approx(48 * UM**2, rel=1e-9)


def random_image(shape=(9, 8, 7), seed=0, phases=4):
    image = np.random.default_rng(seed).integers(0, phases, shape).astype(np.uint8)
    image[0, 0, 0] = AM
    return image


def test_areas_with_active_material_are_the_free_surface():
    e = Electrode(random_image(), (UM, 0.7 * UM, 1.3 * UM))
    found = phase_areas(e)
    am = {pair: a for pair, a in found.items() if "am" in pair and "separator" not in pair}
    assert len(am) == 3
    assert sum(a.corrected for a in am.values()) == pytest.approx(e.specific_area() * e.volume, rel=1e-12)
    assert sum(a.raw for a in am.values()) == pytest.approx(e.specific_area(corrected=False) * e.volume, rel=1e-12)
    ionic = found["am", "cbd"].corrected + found["am", "electrolyte"].corrected
    assert e.coverage == pytest.approx(ionic / sum(a.corrected for a in am.values()), rel=1e-12)


def test_raw_areas_are_the_counted_faces():
    e = Electrode(random_image(seed=3), (UM, UM, UM))
    faces = dict.fromkeys(phase_areas(e), 0)
    names = {code: name for name, code in e.labels.items()}
    for axis in range(3):
        first, second = np.moveaxis(e.phase, axis, 0)[:-1], np.moveaxis(e.phase, axis, 0)[1:]
        for a, b in zip(first.ravel(), second.ravel(), strict=True):
            if a != b:
                faces[names[min(a, b)], names[max(a, b)]] += 1
    for pair, area in phase_areas(e).items():
        if pair[1] != "separator":
            assert area.raw == pytest.approx(faces[pair] * UM**2, rel=1e-12)


def test_two_other_phases_have_one_area_whatever_their_names():
    image = random_image(seed=5, phases=3)
    swapped = np.choose(image, [CBD, AM, PORE]).astype(np.uint8)
    a, b = (phase_areas(Electrode(i, (UM, UM, UM))) for i in (image, swapped))
    assert a["pore", "cbd"].corrected == pytest.approx(b["pore", "cbd"].corrected, rel=1e-12)


# -- chords ----------------------------------------------------------------------------------------------------


def test_chords_of_a_laminate_are_its_layers():
    e = layers([PORE, AM, PORE, AM, AM, PORE], voxel_size=(2 * UM, UM, UM))
    found = chord_lengths(e.phase == AM, e.voxel_size, 0)
    assert found.length == pytest.approx([4 * UM, 8 * UM])
    assert found.count.tolist() == [144, 144]
    assert found.cut == 0
    assert found.mean == pytest.approx(6 * UM)
    assert found.mean_by_crossings == pytest.approx(11 / 12 * 6 * UM)  # 12 voxels show the ends at 11 faces
    pore = chord_lengths(e.phase == PORE, e.voxel_size, 0)
    assert (pore.length.tolist(), pore.count.tolist(), pore.cut) == ([4 * UM], [144], 288)
    assert pore.share.tolist() == [1.0]
    # three layers with four ends inside
    assert pore.mean_by_crossings == pytest.approx(11 / 12 * 2 * 12 * UM / 4)


def test_chords_along_the_layers_are_all_cut():
    found = chord_lengths(layers([PORE, AM]).phase == AM, UM, 1)
    assert (found.length.size, found.count.size, found.cut) == (0, 0, 72)
    assert np.isnan(found.mean) and found.mean_by_crossings == np.inf


def test_chords_of_a_checkerboard_are_single_voxels():
    board = (np.indices((6, 7, 8)).sum(axis=0) % 2).astype(bool)
    for axis, n in enumerate(board.shape):
        found = chord_lengths(board, 0.5 * UM, axis)
        assert found.length.tolist() == [0.5 * UM]
        inside = np.moveaxis(board, axis, 0)[1 : n - 1].sum()
        assert (found.count.sum(), found.cut) == (inside, board.sum() - inside)


def test_chords_of_nothing_and_of_everything():
    empty = chord_lengths(np.zeros((3, 4, 5), bool), UM, 2)
    assert (empty.length.size, empty.cut) == (0, 0)
    assert np.isnan(empty.mean) and np.isnan(empty.mean_by_crossings)
    assert chord_lengths(np.ones((3, 4, 5), bool), UM, 2).cut == 12


def test_mean_by_crossings_is_not_biased_by_the_size_of_the_image():
    # independent voxels: chords are geometric with mean 1/(1 - p), in an image hardly longer than the chords
    p, image = 0.8, np.random.default_rng(1).random((12, 200, 200)) < 0.8
    found = chord_lengths(image, 1.0, 0)
    # 40 000 lines with about 2.2 crossings each: 0.5 % standard error of the ratio
    assert found.mean_by_crossings == pytest.approx(1 / (1 - p), rel=0.02)
    assert found.mean < 0.75 / (1 - p)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)), st.integers(0, 2))
def test_chords_are_those_of_a_loop_over_the_lines(mask, axis):
    whole, cut = [], 0
    for line in np.moveaxis(mask, axis, -1).reshape(-1, mask.shape[axis]):
        runs = "".join("x" if v else " " for v in line)
        for k, run in enumerate(runs.split(" ")):
            pieces = runs.split(" ")
            if run:
                outside = k == 0 or k == len(pieces) - 1
                cut += outside
                whole += [] if outside else [len(run)]
    found = chord_lengths(mask, 1.0, axis)
    assert np.repeat(found.length, found.count).tolist() == sorted(whole)
    assert found.cut == cut


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((np.ones((2, 2)), UM, 0), GeometryError, "three non-empty axes"),
        ((np.ones((2, 2, 2), int), UM, 0), GeometryError, "True and False.*electrode.phase == AM"),
        ((np.ones((2, 2, 2), bool), UM, 3), ConfigError, "axis must be 0, 1 or 2"),
        ((np.ones((2, 2, 2), bool), UM, True), ConfigError, "axis must be 0, 1 or 2"),
        ((np.ones((2, 2, 2), bool), (UM, UM), 0), ConfigError, "one positive length or three"),
        ((np.ones((2, 2, 2), bool), 0.0, 0), ConfigError, "one positive length or three"),
    ],
)
def test_chords_refuse_what_is_no_mask(arguments, error, text):
    with pytest.raises(error, match=text):
        chord_lengths(*arguments)


# -- particles -------------------------------------------------------------------------------------------------


def facts(diameter, coverage=None, free=None, cut=None):
    """Facts of spheres of the given diameters [m]."""
    diameter = np.asarray(diameter, float)
    n = diameter.size
    area = np.pi * diameter**2
    return ParticleFacts(
        label=np.arange(1, n + 1, dtype=np.int32),
        volume=np.pi / 6 * diameter**3,
        centroid=np.zeros((n, 3)),
        equivalent_diameter=diameter,
        free_area=area if free is None else np.asarray(free, float),
        coverage=np.ones(n) if coverage is None else np.asarray(coverage, float),
        live_area=area,
        touches_boundary=np.zeros(n, bool) if cut is None else np.asarray(cut),
    )


def test_distribution_by_volume_and_by_number():
    found = size_distribution(facts([2.0, 10.0, 1.0, 4.0]))
    assert found.diameter.tolist() == [1.0, 2.0, 4.0, 10.0]
    assert found.by_volume == pytest.approx(np.cumsum([1, 8, 64, 1000]) / 1073)
    assert found.by_number == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [found.percentile(p) for p in (5, 10, 90, 100)] == [4.0, 10.0, 10.0, 10.0]
    # half of the particles is reached with the second
    assert [found.percentile(p, "number") for p in (10, 50, 51, 75, 100)] == [1.0, 2.0, 4.0, 4.0, 10.0]


def test_cut_particles_can_be_left_out():
    some = facts([1.0, 2.0, 3.0], cut=[False, True, False])
    assert size_distribution(some, cut_particles=False).diameter.tolist() == [1.0, 3.0]
    none = size_distribution(facts([1.0], cut=[True]), cut_particles=False)
    assert len(none) == 0
    assert np.isnan(none.percentile(50))
    with pytest.raises(ConfigError, match="percent must lie"):
        none.percentile(0)
    with pytest.raises(ConfigError, match="'volume' or 'number'"):
        none.percentile(50, "mass")


def test_a_sphere_has_the_surface_of_its_equal_sphere():
    r = radius_from((48, 48, 48), (24, 24, 24))
    e = label_particles(Electrode(np.where(r < 15, AM, PORE).astype(np.uint8), (UM, UM, UM)))
    assert surface_ratio(particle_facts(e)) == pytest.approx([1.0], rel=0.015)  # the weights' error on a sphere


def test_coverage_is_weighted_with_area_and_its_mean_is_that_of_the_electrode():
    found = coverage_distribution(facts([1.0] * 4, [0.0, 0.5, 1.0, np.nan], [1.0, 2.0, 1.0, 0.0]), bins=4)
    assert found.number.tolist() == [1, 0, 1, 1]  # the last interval holds 1, the one without surface is nowhere
    assert found.area_share.tolist() == [0.25, 0.0, 0.5, 0.25]
    assert (found.mean, found.std) == pytest.approx((0.5, np.sqrt(0.125)))
    e = label_particles(Electrode(random_image((12, 12, 12), seed=2), (UM, UM, UM)))
    found = coverage_distribution(particle_facts(e))
    assert found.mean == pytest.approx(e.coverage, rel=1e-12)
    assert found.area_share.sum() == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(ConfigError, match="bins"):
        coverage_distribution(facts([1.0]), bins=0)


def test_particles_without_free_surface_have_no_coverage():
    found = coverage_distribution(facts([1.0], [np.nan], [0.0]))
    assert np.isnan(found.mean) and found.number.sum() == 0 and found.area_share.sum() == 0


# -- tortuosity ------------------------------------------------------------------------------------------------


def test_networks_join_their_phases():
    e = layers([AM, CBD, ELECTROLYTE, PORE], axis=1, shape=(8, 8, 8))
    assert list(conductors(e)) == ["pore", "am", "cbd", "electrolyte", "ionic network", "electronic network"]
    found = tortuosity(e, (0, 1))
    for name in conductors(e):
        assert found[name] == {0: pytest.approx(1.0, rel=1e-6), 1: np.inf}  # straight along, no path across
    across = layers([AM, CBD], axis=1, shape=(8, 8, 8))
    found = tortuosity(across, (1,), names=["am", "electronic network"])
    assert found == {"am": {1: np.inf}, "electronic network": {1: pytest.approx(1.0, rel=1e-6)}}
    # without electrolyte the ionic network is the binder
    assert tortuosity(across, (2,), names=["ionic network"])["ionic network"][2] == pytest.approx(1.0, rel=1e-6)


def test_tortuosity_refuses_what_does_not_conduct():
    e = layers([AM, CBD], shape=(4, 4, 4))
    with pytest.raises(GeometryError, match="'pore' conducts.*am, cbd, ionic network, electronic network"):
        tortuosity(e, names=["pore"])
    with pytest.raises(ConfigError, match="axis must be"):
        tortuosity(e, (3,))


# -- symmetries ------------------------------------------------------------------------------------------------

TURNS = {
    "mirror y": (lambda a: a[:, ::-1], (0, 1, 2)),
    "mirror x": (lambda a: a[:, :, ::-1], (0, 1, 2)),
    "turn by 90 degrees about z": (lambda a: np.rot90(a, axes=(1, 2)), (0, 2, 1)),
}


@pytest.mark.parametrize("turn", TURNS)
@settings(max_examples=25, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(*[st.integers(2, 7)] * 3), elements=st.integers(0, 3)))
def test_areas_coverage_and_shares_do_not_depend_on_the_view(turn, image):
    turned_by, order = TURNS[turn]
    image[0, 0, 0] = AM
    size = (1.0 * UM, 0.8 * UM, 1.3 * UM)
    before = Electrode(image, size)
    after = Electrode(turned_by(image), tuple(size[i] for i in order))
    first, second = phase_areas(before), phase_areas(after)
    assert set(first) == set(second)
    for pair in first:
        # rounding only: sums of some hundred terms, smoothing in another order of the axes
        assert second[pair].raw == pytest.approx(first[pair].raw, rel=1e-12)
        assert second[pair].corrected == pytest.approx(first[pair].corrected, rel=1e-9)
    sides = {"Voxel", "Thick", "Cross"}
    for name, value in before.summary().items():
        if name[:5] not in sides and name != "Name":
            assert after.summary()[name] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
    for code in range(4):
        a, b = side_access(image == code), side_access(turned_by(image == code))
        assert (a.sides["separator"], a.sides["collector"], a.closed) == (
            b.sides["separator"],
            b.sides["collector"],
            b.closed,
        )
        assert tuple(b.through) == tuple(a.through[i] for i in order)
