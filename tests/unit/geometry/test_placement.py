"""Pores, binder and electrolyte around given particles: what is asked for is met, or refused with what can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import GeometryError
from simulator.geometry import Electrode, load_electrode, mirror, place_phases, reachable_coverage, rotate
from simulator.geometry.connectivity import connectivity
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, PORE
from simulator.resources import mesh_path


@pytest.fixture(scope="module")
def ct() -> Electrode:
    return load_electrode(mesh_path("nmc532_film_48.tif")).crop((0, 32), (0, 32), (0, 32))


def spheres(seed: int = 0, n: int = 24, radius: float = 6.0, count: int = 6) -> Electrode:
    """Overlapping spheres of AM at random places in an empty box."""
    rng = np.random.default_rng(seed)
    grid = np.indices((n, n, n)) + 0.5
    am = np.zeros((n, n, n), dtype=bool)
    for centre in rng.uniform(0, n, (count, 3)):
        am |= ((grid - centre[:, None, None, None]) ** 2).sum(axis=0) < radius**2
    return Electrode(np.where(am, np.uint8(AM), np.uint8(PORE)), (0.5e-6,) * 3)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    porosity=st.floats(0.0, 0.45),
    coverage=st.one_of(st.none(), st.floats(0.0, 1.0)),
    texture=st.sampled_from(["blobs", "grains"]),
    pores=st.sampled_from(["random", "surface", "away"]),
)
def test_random_requests_are_met_or_refused_with_the_reachable_range(
    seed: int, porosity: float, coverage: float | None, texture: str, pores: str
) -> None:
    skeleton = spheres(seed)
    wish = {"porosity": porosity, "coverage": coverage, "texture": texture, "pores": pores, "seed": seed}
    most = 1.0 - skeleton.volume_fraction("am")
    if porosity > most:
        with pytest.raises(GeometryError, match=r"porosity must lie in \[0, "):
            place_phases(skeleton, **wish)
        return
    low, high = reachable_coverage(skeleton, porosity)
    if coverage is not None and not low - 1e-9 <= coverage <= high + 1e-9:  # nearer to a limit is rounding
        with pytest.raises(GeometryError, match=f"between {low:.4f} and {high:.4f} can"):
            place_phases(skeleton, **wish)
        return
    if coverage is not None:
        coverage = wish["coverage"] = min(max(coverage, low), high)
    placed = place_phases(skeleton, **wish)
    assert abs(placed.porosity - porosity) <= 0.5 / placed.phase.size + 1e-12  # to one voxel
    assert np.array_equal(placed.phase == AM, skeleton.phase == AM)
    if coverage is not None:
        assert abs(placed.coverage - coverage) <= 0.01  # the promise; usually a hundred times better
    else:
        assert low - 1e-9 <= placed.coverage <= high + 1e-9


def test_the_ends_of_the_reachable_range_are_reached(ct: Electrode) -> None:
    low, high = reachable_coverage(ct, 0.04)
    assert 0.2 < low < 0.6 and high == 1.0
    for wanted in (low, high):
        # one voxel of this image bares at most 5 of 12 000 faces
        assert place_phases(ct, porosity=0.04, coverage=wanted).coverage == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(GeometryError, match="a porosity of at least 0.0"):
        place_phases(ct, porosity=0.04, coverage=low - 0.05)


def test_the_porosity_named_by_the_error_is_enough(ct: Electrode) -> None:
    with pytest.raises(GeometryError) as refused:
        place_phases(ct, porosity=0.02, coverage=0.3)
    named = float(str(refused.value).partition("at least ")[2].partition(",")[0])
    assert place_phases(ct, porosity=named + 1e-4, coverage=0.3).coverage == pytest.approx(0.3, abs=1e-3)


def test_pores_near_the_surface_lie_nearer_to_it_than_those_away(ct: Electrode) -> None:
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(ct.phase != AM)
    mean = {
        where: distance[place_phases(ct, porosity=0.12, coverage=0.8, pores=where).phase == PORE].mean()
        for where in ("surface", "random", "away")
    }
    assert mean["surface"] < mean["random"] < mean["away"]


def test_without_a_coverage_the_place_of_the_pores_decides_it(ct: Electrode) -> None:
    found = [place_phases(ct, porosity=0.12, pores=where).coverage for where in ("surface", "random", "away")]
    assert found[0] < found[1] < found[2]


def test_binder_and_electrolyte_divide_the_solid_as_asked(ct: Electrode) -> None:
    placed = place_phases(ct, porosity=0.1, coverage=0.7, cbd_fraction=0.05)
    assert np.count_nonzero(placed.phase == CBD) == round(0.05 * placed.phase.size)
    rest = 1.0 - 0.1 - 0.05 - placed.volume_fraction("am")
    assert placed.volume_fraction("electrolyte") == pytest.approx(rest, abs=1 / placed.phase.size)
    assert "cbd" not in place_phases(ct, porosity=0.1, cbd_fraction=0).labels
    assert "electrolyte" not in place_phases(ct, porosity=0.1).labels


def test_a_coating_is_what_lies_next_to_the_particles(ct: Electrode) -> None:
    from scipy import ndimage

    thickness = 0.7e-6
    placed = place_phases(ct, porosity=0.1, coverage=0.5, coating="0.7 um")
    distance = ndimage.distance_transform_edt(ct.phase != AM, sampling=ct.voxel_size)
    assert distance[placed.phase == CBD].max() <= thickness < distance[placed.phase == ELECTROLYTE].min()
    assert placed.coverage == pytest.approx(0.5, abs=0.01)


def test_the_same_seed_gives_the_same_electrode_and_another_seed_another(ct: Electrode) -> None:
    first, second, third = (place_phases(ct, porosity=0.12, coverage=0.6, seed=s).phase for s in (3, 3, 4))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)


def test_a_grain_sets_the_size_of_the_pores(ct: Electrode) -> None:
    # interface between pore and solid per pore volume falls with the size of the patches
    def faces(electrode: Electrode) -> int:
        pore = electrode.phase == PORE
        solid = electrode.phase == CBD
        return sum(
            int((np.roll(pore, 1, axis) & solid).sum() + (np.roll(solid, 1, axis) & pore).sum()) for axis in range(3)
        )

    fine, coarse = (faces(place_phases(ct, porosity=0.12, grain=g)) for g in ("0.8 um", "4 um"))
    assert coarse < 0.7 * fine


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), turns=st.integers(1, 3), axis=st.sampled_from(["y", "x"]))
def test_coverage_and_percolation_do_not_depend_on_turns_and_mirrors(seed: int, turns: int, axis: str) -> None:
    electrode = place_phases(spheres(seed), porosity=0.2, coverage=0.5, seed=seed)
    before = connectivity(electrode)
    for other in (rotate(electrode, turns), mirror(electrode, axis)):
        after = connectivity(other)
        # the smoothing of the surface normal sums in another order
        assert other.coverage == pytest.approx(electrode.coverage, rel=1e-9)
        assert after.live_area_share == pytest.approx(before.live_area_share, rel=1e-9)
        assert after.isolated_am == before.isolated_am
        assert after.isolated_ionic == before.isolated_ionic
        assert after.n_live_faces == before.n_live_faces


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"porosity": -0.1}, "porosity must lie in"),
        ({"porosity": float("nan")}, "porosity must lie in"),
        ({"porosity": 0.6}, "is not active material"),
        ({"coverage": 1.2}, r"coverage must lie in \[0, 1\], got 1.2"),
        ({"texture": "blob"}, "Did you mean 'blobs'"),
        ({"pores": "surfac"}, "Did you mean 'surface'"),
        ({"grain": "0.1 um"}, r"grain must lie in \[0.796 um, "),
        ({"grain": 1.0}, "grain must lie in"),
        ({"cbd_fraction": 0.9}, "cbd_fraction must lie in"),
        ({"cbd_fraction": 0.1, "coating": "1 um"}, "not both"),
        ({"coating": -1e-6}, "thickness >= 0"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 0.5}, "seed must be a whole number"),
    ],
)
def test_wrong_wishes_are_refused(ct: Electrode, wish: dict, said: str) -> None:
    with pytest.raises(GeometryError, match=said):
        place_phases(ct, **({"porosity": 0.12} | wish))


def test_particles_without_free_surface_have_no_coverage() -> None:
    solid = Electrode(np.ones((4, 4, 4), dtype=np.uint8), (1e-6,) * 3)
    with pytest.raises(GeometryError, match="no free surface"):
        place_phases(solid, porosity=0.0, coverage=0.5)
