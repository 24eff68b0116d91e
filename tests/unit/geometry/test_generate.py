"""Synthetic electrodes: targets hit to a voxel, or a refusal that says what can be reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from simulator.errors import GeometryError
from simulator.geometry import (
    Electrode,
    generate_electrode,
    particle_facts,
    particle_skeleton,
    place_phases,
    reachable_coverage,
)
from simulator.geometry.phases import AM, CBD, ELECTROLYTE

SMALL = {"shape": (24, 20, 28), "voxel_size": 0.5e-6, "diameter": 5e-6}


@pytest.mark.filterwarnings("ignore:The box holds")  # of few particles: said to the user, no matter here
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    am_fraction=st.floats(0.1, 0.62),
    porosity=st.floats(0.0, 0.35),
    coverage=st.one_of(st.none(), st.floats(0.05, 1.0)),
    kind=st.sampled_from(["sphere", "irregular", "polycrystal"]),
    spread=st.sampled_from([0.0, 0.25]),
    texture=st.sampled_from(["blobs", "grains"]),
)
def test_random_requests_are_met_or_refused_with_what_can_be_reached(
    seed: int, am_fraction: float, porosity: float, coverage: float | None, kind: str, spread: float, texture: str
) -> None:
    recipe = SMALL | {"am_fraction": am_fraction, "kind": kind, "spread": spread, "seed": seed}
    try:
        made = generate_electrode(**recipe, porosity=porosity, coverage=coverage, texture=texture)
    except GeometryError as refused:
        # the only targets of these ranges that can exclude each other
        assert porosity > 1.0 - am_fraction or "between" in str(refused) and "can (a pore voxel" in str(refused)
        return
    voxel = 1.0 / made.phase.size
    assert abs(made.volume_fraction("am") - am_fraction) <= 0.5 * voxel + 1e-12
    assert abs(made.porosity - porosity) <= 0.5 * voxel + 1e-12
    if coverage is not None:
        assert abs(made.coverage - coverage) <= 0.01
    assert made.particle is not None and np.array_equal(made.particle > 0, made.phase == AM)


@pytest.mark.parametrize("kind", ["sphere", "irregular", "polycrystal"])
def test_refusals_are_right_the_named_range_is_the_reachable_one(kind: str) -> None:
    recipe = SMALL | {"kind": kind, "am_fraction": 0.5}
    with pytest.raises(GeometryError) as refused:
        generate_electrode(**recipe, porosity=0.03, coverage=0.1)
    low, high = reachable_coverage(particle_skeleton(**recipe), 0.03)
    assert f"between {low:.4f} and {high:.4f} can" in str(refused.value)
    assert generate_electrode(**recipe, porosity=0.03, coverage=low + 1e-4).coverage == pytest.approx(low, abs=0.002)


def test_the_same_seed_gives_the_same_electrode_and_another_seed_another() -> None:
    recipe = SMALL | {"kind": "irregular", "spread": 0.3, "coverage": 0.6}
    first, second, third = (generate_electrode(**recipe, seed=s) for s in (5, 5, 6))
    assert np.array_equal(first.phase, second.phase) and np.array_equal(first.particle, second.particle)
    assert not np.array_equal(first.phase, third.phase)


def test_sizes_follow_the_distribution_or_the_list() -> None:
    box = {"shape": (80, 80, 80), "voxel_size": 0.5e-6, "am_fraction": 0.5}
    facts = particle_facts(particle_skeleton((112, 112, 112), 0.5e-6, 0.5, diameter=5e-6, spread=0.3))
    # By number the median is d50 exp(-3 s^2) = 0.763 d50; of 1800 particles 1100 are whole, the small ones more often.
    sizes = facts.equivalent_diameter[~facts.touches_boundary]
    assert np.median(sizes) == pytest.approx(0.763 * 5e-6, rel=0.04)
    assert np.log(sizes).std() == pytest.approx(0.3, rel=0.06)
    listed = particle_facts(particle_skeleton(**box, diameters=["4 um", "8 um"]))
    sizes = listed.equivalent_diameter[~listed.touches_boundary]
    near = np.minimum(np.abs(sizes - 4e-6), np.abs(sizes - 8e-6))
    assert near.max() < 0.4e-6  # less than a voxel
    assert (sizes < 6e-6).any() and (sizes > 6e-6).any()


def test_a_box_too_small_for_the_sizes_asked_for_is_said() -> None:
    with pytest.warns(UserWarning, match="holds 1 particles; .* is 8.7[23] um instead of 10 um"):
        made = particle_skeleton(SMALL["shape"], 0.5e-6, 0.207, diameter="10 um")  # of a sphere of 348 um3
    assert made.volume_fraction("am") == pytest.approx(0.207, abs=1e-4)


def test_grains_larger_than_the_particles_leave_more_of_them_without_electrolyte() -> None:
    # Grains are packed together with the particles: large ones are few, and leave clusters of particles between them.
    recipe = {"shape": (64, 64, 64), "voxel_size": 0.5e-6, "am_fraction": 0.49, "porosity": 0.2, "cbd_fraction": 0.0}
    dry = []
    for grain in ("1.25 um", "5 um", "10 um"):
        made = generate_electrode(**recipe, diameter=5e-6, texture="grains", grain=grain)
        facts = particle_facts(made)
        dry.append(facts.volume[facts.live_area == 0].sum() / facts.volume.sum())
    assert dry[0] < dry[1] < dry[2] and dry[2] > dry[0] + 0.2


def test_grains_leave_the_particles_hard() -> None:
    # More necks between particles would mean that grains had pressed them into one another.
    recipe = {"shape": (48, 48, 48), "voxel_size": 0.5e-6, "am_fraction": 0.5, "porosity": 0.12, "diameter": 6e-6}
    plain, grains = (generate_electrode(**recipe, texture=t, grain="4 um") for t in ("blobs", "grains"))
    assert grains.specific_area() == pytest.approx(plain.specific_area(), rel=0.04)  # two packings of 30 spheres


def test_grains_between_the_particles_are_blobs_of_their_size() -> None:
    made = generate_electrode(
        (64, 64, 64), 0.5e-6, 0.3, 0.45, diameter=8e-6, texture="grains", grain="4 um", cbd_fraction=0
    )
    # a quarter of the box filled by grains of 4 um: single grains show, the widest place is their radius
    depth = ndimage.distance_transform_edt(made.phase == ELECTROLYTE) * 0.5e-6
    assert 1.4e-6 < depth.max() < 2.6e-6


def test_an_electrode_repeats_itself_along_y_and_x() -> None:
    # A sphere cut at one side goes on at the other: the seam has as many am|other faces as any inner plane.
    am = particle_skeleton((48, 48, 48), 0.5e-6, 0.5).phase == AM
    for axis in (1, 2):
        seam = np.take(am, -1, axis) ^ np.take(am, 0, axis)
        inner = np.diff(am.astype(np.int8), axis=axis) != 0
        mean = inner.sum() / (am.shape[axis] - 1)
        assert seam.sum() < 1.6 * mean  # unrelated sides would differ in 2 x 0.5 x 0.5 of the 2304 faces, 4 x the mean


def test_walls_keep_whole_particles_between_flat_ends() -> None:
    am = particle_skeleton((48, 48, 48), 0.5e-6, 0.5, ends="walls").phase == AM
    assert am[0].mean() < 0.1 < am[4:-4].mean()
    assert am[-1].mean() < 0.1


def test_coating_and_carbon_are_kept_apart() -> None:
    made = generate_electrode(**SMALL, porosity=0.1, coating="0.6 um")
    assert set(made.labels) == {"pore", "am", "cbd", "electrolyte"}
    carbon = generate_electrode(**SMALL, porosity=0.1, cbd_fraction=0.06)
    assert np.count_nonzero(carbon.phase == CBD) == round(0.06 * carbon.phase.size)


def test_an_own_texture_decides_where_the_solid_is() -> None:
    skeleton = particle_skeleton(**SMALL)
    height = np.broadcast_to(np.arange(24.0)[:, None, None], skeleton.shape)
    placed = place_phases(skeleton, porosity=0.2, field=height)
    solid, pore = (np.nonzero(placed.phase == code)[0] for code in (CBD, 0))
    assert solid.max() <= pore.min()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"shape": (10, 10)}, "three numbers of voxels"),
        ({"shape": (0, 10, 10)}, "three numbers of voxels"),
        ({"voxel_size": 1.0}, "voxel_size must lie in"),
        ({"am_fraction": 0.0}, r"am_fraction must lie in \(0, 1\)"),
        ({"am_fraction": 0.9}, "cannot be filled with particles of kind 'sphere'"),
        ({"kind": "spere"}, "Did you mean 'sphere'"),
        ({"diameter": "0.6 um"}, "voxels"),
        ({"diameter": "11 um"}, "at most the shortest side of the box, 10 um, got 11 um"),
        ({"diameter": -1e-6}, "diameter must be positive"),
        ({"spread": 3.0}, "spread must lie in"),
        ({"diameters": []}, "list of positive lengths"),
        ({"roughness": 2.0, "kind": "irregular"}, "roughness"),
        ({"ends": "wall"}, "Did you mean 'walls'"),
        ({"texture": "grains", "porosity": 0.6}, "porosity must lie in"),
        ({"texture": "grains", "grain": "0.3 um"}, "grain must lie in"),
        ({"seed": -3}, "seed must be a whole number"),
    ],
)
def test_wrong_wishes_are_refused(wish: dict, said: str) -> None:
    with pytest.raises(GeometryError, match=said):
        generate_electrode(**(SMALL | wish))


def test_a_texture_of_another_shape_is_refused() -> None:
    skeleton: Electrode = particle_skeleton(**SMALL)
    for field in (np.zeros((2, 2, 2)), np.full(skeleton.shape, np.nan)):
        with pytest.raises(GeometryError, match="field must hold finite numbers"):
            place_phases(skeleton, porosity=0.1, field=field)
