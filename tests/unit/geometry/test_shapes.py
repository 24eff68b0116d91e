"""Particles as voxels have the fraction, size, shape and contacts asked for, at the sides as inside; grains, clouds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import ConvexHull

from simulator.choices import KINDS
from simulator.errors import GeometryError
from simulator.geometry import Electrode, label_particles, particle_facts, shapes
from simulator.geometry.packing import pack, sample_diameters
from simulator.geometry.shapes import _KINDS, blob_field, grain_field, voxelise

UM = 1e-6


def rng(seed=0):
    return np.random.default_rng(seed)


def made(kind, fraction, *, shape=(64, 64, 64), voxel=(0.5 * UM,) * 3, d50=6 * UM, spread=0.25, seed=0, **options):
    """Particles of a packing as voxels, with the packing."""
    random = rng(seed)
    box = np.array(shape) * voxel
    sizes = sample_diameters(fraction * box.prod(), diameter=d50, spread=spread, largest=box.min(), rng=random)
    packing = pack(sizes, box, rng=random, ends=options.get("ends", "periodic"))
    particle, achieved = voxelise(
        shape, voxel, packing.centres, packing.diameters, kind=kind, fraction=fraction, rng=random, **options
    )
    return particle, achieved, packing


def electrode(particle, voxel=(0.5 * UM,) * 3):
    return Electrode((particle > 0).astype(np.uint8), voxel, particle)


def median_by_volume(diameters):
    d = np.sort(diameters)
    middle = (np.cumsum(d**3) - d**3 / 2) / (d**3).sum()
    return float(np.interp(0.5, middle, d))


def chord(am, axis):
    """Mean length of the AM on lines along `axis` [voxels], the sides being periodic."""
    return 2 * am.sum() / np.count_nonzero(am != np.roll(am, 1, axis))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(KINDS),
    fraction=st.floats(0.02, 0.7),
    shape=st.tuples(st.integers(10, 30), st.integers(10, 30), st.integers(10, 30)),
    spread=st.floats(0, 0.6),
    ends=st.sampled_from(("periodic", "walls")),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_kind_fills_the_fraction_to_the_voxel_with_contiguous_labels(kind, fraction, shape, spread, ends, seed):
    particle, achieved, packing = made(
        kind, fraction, shape=shape, voxel=(UM,) * 3, d50=6 * UM, spread=spread, ends=ends, seed=seed
    )
    assert particle.dtype == np.int32 and particle.shape == shape
    count = np.count_nonzero(particle)
    assert count == max(1, round(fraction * particle.size))
    assert achieved == count / particle.size
    labels = np.unique(particle[particle > 0])
    assert np.array_equal(labels, np.arange(1, labels.size + 1)) and labels.size <= packing.diameters.size


@pytest.mark.parametrize(("kind", "fraction"), [("sphere", 0.70), ("irregular", 0.75), ("polycrystal", 0.95)])
def test_the_densest_fraction_of_each_kind_can_be_filled_and_none_above(kind, fraction):
    particle, achieved, packing = made(kind, fraction, shape=(40, 40, 40))
    assert achieved == pytest.approx(fraction, abs=1e-5)  # half a voxel
    assert particle.max() == packing.diameters.size
    with pytest.raises(GeometryError, match=rf"fraction of {fraction + 0.01:.2f} .*Give a fraction in \(0, {fraction}"):
        made(kind, round(fraction + 0.01, 2), shape=(40, 40, 40))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fraction", "spread"), [(0.45, 0.0), (0.55, 0.3), (0.62, 0.4)])
def test_the_median_diameter_is_that_asked_for(kind, fraction, spread):
    particle, _, _ = made(kind, fraction, shape=(80, 80, 80), spread=spread)
    # of all voxels, so the pieces of a particle at opposite sides are one
    measured = np.cbrt(6 / np.pi * np.bincount(particle.ravel())[1:]) * 0.5 * UM
    # 12 voxels across; polyhedra are scaled cells, whose sizes scatter about those of the spheres
    assert median_by_volume(measured) == pytest.approx(6 * UM, rel=0.03 if kind == "polycrystal" else 0.01)
    facts = particle_facts(electrode(particle))
    assert facts.equivalent_diameter == pytest.approx(measured, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_watershed_finds_the_particles_again(kind):
    particle, _, _ = made(kind, 0.53, shape=(72, 72, 72), voxel=(0.4 * UM,) * 3)
    found = label_particles(electrode(particle, (0.4 * UM,) * 3))
    facts = particle_facts(found)
    # each found particle away from the sides against the one that holds most of it
    inner = np.flatnonzero(~facts.touches_boundary) + 1
    agree = np.zeros(inner.size)
    for k, label in enumerate(inner):
        counts = np.bincount(particle[found.particle == label])
        agree[k] = counts.max() / counts.sum()
    assert inner.size > 30
    # flat contacts of polyhedra and of rough particles are at times as wide as the smaller of the two
    assert np.average(agree, weights=facts.volume[inner - 1]) > (0.98 if kind == "sphere" else 0.93)


@pytest.mark.parametrize("kind", KINDS)
def test_particles_are_the_same_in_all_directions(kind):
    mean = np.zeros(3)
    for seed in range(3):
        am = made(kind, 0.55, spread=0.2, seed=seed)[0] > 0
        mean += [chord(am, axis) / 3 for axis in range(3)]
    # the standard deviation of one sample of 200 particles is 1 % (spheres) to 1.5 %
    assert mean == pytest.approx(mean.mean(), rel=0.025)


@pytest.mark.parametrize("kind", KINDS)
def test_particles_continue_through_the_sides(kind):
    particle, _, _ = made(kind, 0.55, spread=0.2)
    am = particle > 0
    for axis in range(3):
        first, last = np.take(particle, 0, axis), np.take(particle, -1, axis)
        inside = np.mean(np.diff(am, axis=axis))
        # as many changes between the sides as between any two layers; one pair of layers scatters by 15 %
        assert np.mean((first > 0) != (last > 0)) == pytest.approx(inside, rel=0.5)
        both = (first > 0) & (last > 0)
        assert np.mean(first[both] == last[both]) > 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_shifting_the_spheres_around_the_box_shifts_the_voxels(kind):
    shape, step = (24, 30, 36), np.full(3, UM)
    box = shape * step
    random = rng(3)
    packing = pack(np.full(12, 9.0) * UM, box, rng=random)
    options = {"kind": kind, "fraction": 0.5}
    here = voxelise(shape, step, packing.centres, packing.diameters, rng=rng(1), **options)[0]
    moved = (packing.centres + np.array([5, -7, 20]) * UM) % box
    there = voxelise(shape, step, moved, packing.diameters, rng=rng(1), **options)[0]
    # but for voxels whose levels agree to rounding
    assert np.mean(np.roll(here, (5, -7, 20), (0, 1, 2)) == there) > 0.999


@pytest.mark.parametrize("kind", KINDS)
def test_walls_cut_no_particle(kind):
    particle, _, _ = made(kind, 0.5, shape=(40, 48, 48), ends="walls")
    touching = (particle[[0, -1]] > 0).mean(axis=(1, 2))
    if kind == "polycrystal":  # facets of particles at a wall lie flat on it
        assert (touching < 0.5).all()
    else:
        assert (touching < 0.15).all()
    # and none continues on the other side
    across = [k for k in np.unique(particle[0]) if k and (particle[-1] == k).any()]
    assert not across


@pytest.mark.parametrize("voxel", [(0.5 * UM,) * 3, (0.5 * UM, 0.25 * UM, 0.4 * UM)])
def test_one_sphere_has_the_volume_and_the_area_of_a_sphere(voxel):
    shape = tuple(round(20 * UM / h) for h in voxel)
    volume = 4 / 3 * np.pi * (7 * UM) ** 3
    particle, _ = voxelise(
        shape, voxel, [[9.8 * UM, 10.1 * UM, 10 * UM]], [14 * UM], fraction=volume / (20 * UM) ** 3, rng=rng()
    )
    facts = particle_facts(electrode(particle, voxel))
    assert len(facts) == 1
    assert facts.volume[0] == pytest.approx(volume, rel=1e-4)  # half a voxel of 10 000
    assert facts.free_area[0] == pytest.approx(4 * np.pi * (7 * UM) ** 2, rel=0.02)  # the area estimate at 14 voxels
    assert facts.centroid[0] == pytest.approx([9.8 * UM, 10.1 * UM, 10 * UM], abs=0.05 * UM)
    reach = np.ptp(np.argwhere(particle), axis=0) * voxel
    assert reach == pytest.approx(14 * UM, abs=max(voxel) * 1.5)


def test_roughness_zero_gives_spheres_and_more_gives_more_surface():
    shape, centre = (40, 40, 40), np.full((1, 3), 10 * UM)
    options = {"fraction": 0.15, "rng": rng(4)}
    sphere = voxelise(shape, (0.5 * UM,) * 3, centre, [13 * UM], kind="sphere", **options)[0]
    area = []
    for roughness in (0.0, 0.1, 0.2):
        options["rng"] = rng(4)
        rough = voxelise(shape, (0.5 * UM,) * 3, centre, [13 * UM], kind="irregular", roughness=roughness, **options)[0]
        area.append(particle_facts(electrode(rough)).free_area[0])
        if roughness == 0:
            assert np.mean(rough == sphere) > 0.9995  # voxels at one distance, decided by rounding
    # to first order in roughness^2 sum over l of (l - 1)(l + 2) / 2 times its share: more than 2 roughness^2
    assert area[1] > area[0] * 1.01 and area[2] > area[1] * 1.03


@pytest.mark.parametrize("roughness", [0.05, 0.15])
def test_roughness_is_the_standard_deviation_of_the_radius_over_the_surface(roughness):
    measured = []
    for seed in range(12):
        particle, _ = voxelise(
            (64, 64, 64), (UM,) * 3, np.full((1, 3), 32 * UM), [36 * UM],
            kind="irregular", roughness=roughness, fraction=0.09, rng=rng(seed),
        )  # fmt: skip
        surface = (particle > 0) & ~ndimage.binary_erosion(particle > 0)
        radius = np.linalg.norm(np.argwhere(surface) + 0.5 - 32, axis=1)
        # voxels of the surface count the same area each, and so weigh far parts more: to first order in roughness
        weight = radius**-2
        mean = np.average(radius, weights=weight)
        measured.append(np.average((radius - mean) ** 2, weights=weight) / mean**2)
    # a tilted surface holds more voxels; the staircase adds 0.3 voxels in 18
    assert np.sqrt(np.mean(measured)) == pytest.approx(roughness, rel=0.12)


def test_polyhedra_are_convex_and_touch_along_facets():
    particle, _, _ = made("polycrystal", 0.6, shape=(80, 80, 80), d50=12 * UM, spread=0.2)
    sides = np.unique(np.concatenate([np.take(particle, [0, -1], axis).ravel() for axis in range(3)]))
    inner = np.setdiff1d(np.arange(1, particle.max() + 1), sides)
    assert inner.size >= 3
    for label in inner:
        voxels = np.argwhere(particle == label)
        hull = ConvexHull(voxels).equations
        low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
        box = np.stack(np.meshgrid(*(np.arange(i, j) for i, j in zip(low, high, strict=True)), indexing="ij"), -1)
        within = np.count_nonzero((box.reshape(-1, 3) @ hull[:, :3].T + hull[:, 3] < 1e-9).all(axis=1))
        # every voxel centre in the hull of the particle is its own, but for a few that rounding decides
        assert within - voxels.shape[0] <= 2
        assert ndimage.label(particle == label)[1] == 1
    pairs = sum(
        np.count_nonzero((a != b) & (a > 0) & (b > 0))
        for a, b in ((np.delete(particle, 0, axis), np.delete(particle, -1, axis)) for axis in range(3))
    )
    assert pairs > 100


def test_touching_particles_join_into_one_network_and_keep_their_labels():
    for kind in KINDS:
        particle, _, packing = made(kind, 0.6)
        pieces = np.bincount(ndimage.label(particle > 0)[0].ravel())[1:]
        assert pieces.max() > 0.97 * pieces.sum()
        assert particle.max() == packing.diameters.size


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_voxels(kind):
    first, again, other = (made(kind, 0.5, shape=(30, 30, 30), seed=seed)[0] for seed in (7, 7, 8))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("box", [(20, 20, 20), (60, 12, 12), (16, 40, 24)])
def test_a_few_particles_as_wide_as_the_box_can_be_drawn(kind, box):
    particle, achieved, _ = made(kind, 0.5, shape=box, voxel=(UM,) * 3, d50=min(box) * UM, spread=0)
    assert achieved == pytest.approx(0.5, abs=1e-3)
    assert particle.max() >= 1


def test_wrong_arguments_of_particles_are_refused():
    def refused(words, centres=((10 * UM,) * 3,), diameters=(10 * UM,), shape=(20, 20, 20), voxel=(UM,) * 3, **options):
        with pytest.raises(GeometryError, match=words) as error:
            voxelise(shape, voxel, centres, diameters, rng=rng(), **({"fraction": 0.3} | options))
        assert "\n" not in str(error.value)

    refused("Unknown particle kind 'spheres'. Did you mean 'sphere'", kind="spheres")
    refused("Unknown ends 'wall'. Did you mean 'walls'", ends="wall")
    refused(r"fraction of 0 .*Give a fraction in \(0, 0.7\]", fraction=0)
    refused("fraction of nan", fraction=float("nan"))
    refused(r"fraction of 0.8 .*0.64.*'polycrystal', up to 0.95", fraction=0.8)
    refused(r"roughness must lie in \[0, 0.25\], got 0.4", roughness=0.4)
    refused(r"diameter of 2 um .* between 3 um \(3 voxels\) and 20 um", diameters=[2 * UM])
    refused("diameter of 21 um .* between 3 um", diameters=[21 * UM])
    refused("one positive diameter for each centre, got 2 for 1", diameters=[5 * UM] * 2)
    refused("one positive diameter", diameters=[-5 * UM])
    refused("centres must lie in the box", centres=[(30 * UM,) * 3])
    refused("three voxel counts", shape=(20, 20))
    refused("three positive lengths", voxel=(UM, 0, UM))
    refused("3 um .*|cannot fill 0.7 of the box", diameters=[3 * UM], fraction=0.7)


@pytest.mark.parametrize("packed", [True, False])
def test_grain_field_is_the_distance_to_the_nearest_grain(packed, monkeypatch):
    if not packed:  # as for more grains than that
        monkeypatch.setattr(shapes, "_PACKED_GRAINS", 10)
    # sides of nearly whole numbers of lattice cells, 0.97 diameters long
    shape, voxel, diameter = (41, 47, 35), (0.5 * UM,) * 3, 3 * UM
    field = grain_field(shape, voxel, diameter, rng=rng(1))
    assert field.dtype == np.float32
    # below 1 spheres of the volume share they were packed with; on the lattice they overlap
    assert np.mean(field < 1) == pytest.approx(0.57 if packed else 0.51, abs=0.02)  # 300 grains of 100 voxels
    assert field.max() < 2.5
    # a distance changes by at most the step; the sides are periodic
    for axis in range(3):
        step = np.abs(field - np.roll(field, 1, axis)).max()
        assert step <= voxel[axis] / (diameter / 2) * (1.001 if packed else 1.1)
    assert np.array_equal(field, grain_field(shape, voxel, diameter, rng=rng(1)))
    assert not np.array_equal(field, grain_field(shape, voxel, diameter, rng=rng(2)))


def test_one_grain_in_a_long_box_reaches_every_voxel():
    assert np.isfinite(grain_field((90, 10, 10), (UM,) * 3, 10 * UM, rng=rng(0))).all()


def test_grains_out_of_range_are_refused():
    for diameter in (0.4 * UM, 30 * UM, float("nan"), -UM):
        with pytest.raises(GeometryError, match=r"between 0.5 um \(one voxel\) and 10 um"):
            grain_field((20, 30, 30), (0.5 * UM,) * 3, diameter, rng=rng())


@pytest.mark.parametrize("length", [1.5 * UM, 4 * UM])
def test_blob_field_has_unit_variance_and_the_correlation_length(length):
    shape, voxel = (48, 80, 96), (1 * UM, 0.5 * UM, 0.5 * UM)
    field = blob_field(shape, voxel, length, rng=rng(0))
    assert field.dtype == np.float32 and field.shape == shape
    assert field.mean(dtype=float) == pytest.approx(0, abs=1e-6) and field.std(dtype=float) == pytest.approx(
        1, abs=1e-6
    )
    for axis, h in enumerate(voxel):
        lag = round(length / h)
        correlation = np.mean(field * np.roll(field, lag, axis), dtype=float)  # periodic
        # standard error 1 / sqrt(independent clouds, volume / (pi / 2)^(3/2) length^3): 2 % for the longer
        assert correlation == pytest.approx(np.exp(-((lag * h / length) ** 2)), abs=0.07)
    assert np.array_equal(field, blob_field(shape, voxel, length, rng=rng(0)))


def test_blobs_out_of_range_are_refused():
    for length in (0.0, -UM, 31 * UM, float("nan")):
        with pytest.raises(GeometryError, match="must be positive and at most 30 um"):
            blob_field((20, 30, 30), (UM,) * 3, length, rng=rng())


def test_every_kind_that_a_user_can_choose_is_drawn_and_the_other_way_round() -> None:
    assert tuple(_KINDS) == KINDS
