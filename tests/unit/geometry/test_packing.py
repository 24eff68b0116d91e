"""Sphere packings: sizes are those asked for, and spheres lie apart, everywhere alike, and the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import GeometryError
from simulator.geometry.packing import MAX_SPREAD, laguerre_cells, pack, sample_diameters

UM = 1e-6


def rng(seed=0):
    return np.random.default_rng(seed)


def d50(diameters):
    """Median by volume."""
    d = np.sort(diameters)
    volume = np.cumsum(d**3)
    return d[np.searchsorted(volume, volume[-1] / 2)]


def packed(n, share, spread=0.0, aspect=(1, 1, 1), seed=0, **options):
    """About `n` spheres with d50 5 um in a box of that aspect; `share` of its volume."""
    random = rng(seed)
    volume = n * np.pi / 6 * (5 * UM) ** 3 * np.exp(-4.5 * spread**2)
    box = np.cbrt(volume / share / np.prod(aspect)) * np.array(aspect)
    diameters = sample_diameters(volume, diameter=5 * UM, spread=spread, rng=random, largest=max(5 * UM, box.min()))
    return pack(diameters, box, rng=random, **options)


def images(packing):
    """Centres and radii of the spheres and of their periodic copies around the box; the spheres come first."""
    turns = [(-1, 0, 1) if packing.ends == "periodic" else (0,), (-1, 0, 1), (-1, 0, 1)]
    shifts = np.array(sorted(np.ndindex(3, 3, 3), key=lambda s: s != (1, 1, 1))) - 1
    shifts = shifts[np.isin(shifts[:, 0], turns[0])]
    centres = (packing.centres[None] + shifts[:, None] * np.array(packing.box)).reshape(-1, 3)
    return centres, np.tile(packing.diameters / 2, len(shifts))


def deepest_overlap(packing):
    """By comparing each sphere with all others and all their images: overlap / smaller diameter."""
    centres, radii = images(packing)
    worst = 0.0
    for k, (c, r) in enumerate(zip(packing.centres, packing.diameters / 2, strict=True)):
        overlap = r + radii - np.linalg.norm(centres - c, axis=1)
        overlap[k] = 0.0
        worst = max(worst, float((overlap / (2 * np.minimum(r, radii))).max()))
    return worst


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.5, MAX_SPREAD])
def test_log_normal_diameters_have_the_median_and_spread_by_volume_and_the_exact_total(spread):
    volume = 60_000 * np.pi / 6 * (5 * UM) ** 3
    d = sample_diameters(volume, diameter=5 * UM, spread=spread, rng=rng())
    assert np.pi / 6 * (d**3).sum() == pytest.approx(volume, rel=1e-12)  # rounding
    # the largest particle holds up to 1 % of the volume
    assert d50(d) == pytest.approx(5 * UM, rel=0.01)
    logs = np.log(d / (5 * UM))
    by_volume = np.sqrt(np.average(logs**2, weights=d**3))
    # the cut at three standard deviations takes 1.3 % of it, and the largest share counts with its mean
    assert by_volume == pytest.approx(0.987 * spread, rel=0.01, abs=1e-9)
    assert np.abs(logs).max() <= 3 * spread + 1e-3


@pytest.mark.parametrize(("spread", "error"), [(0.2, 0.02), (0.4, 0.02), (0.5, 0.05)])
@pytest.mark.parametrize("n", [30, 100])
def test_few_particles_have_the_median_too(n, spread, error):
    # a median by volume lies between two particles: the error is the step between them
    volume = n * np.exp(-4.5 * spread**2) * np.pi / 6 * (5 * UM) ** 3
    d = np.sort(sample_diameters(volume, diameter=5 * UM, spread=spread, rng=rng()))
    middle = (np.cumsum(d**3) - d**3 / 2) / (d**3).sum()
    assert np.exp(np.interp(0.5, middle, np.log(d))) == pytest.approx(5 * UM, rel=error)


def test_number_median_of_a_log_normal_is_that_of_hatch_and_choate():
    d = sample_diameters(2000 * (5 * UM) ** 3, diameter=5 * UM, spread=0.3, rng=rng())
    # the cut at three standard deviations removes 2.2 % of the number, all of them small: 1 % of the median
    assert np.median(d) == pytest.approx(5 * UM * np.exp(-3 * 0.3**2), rel=0.02)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.floats(0.1, 60), spread=st.floats(0, MAX_SPREAD), room=st.floats(1, 5), seed=st.integers(0, 2**32 - 1))
def test_few_diameters_fill_the_volume_too(n, spread, room, seed):
    volume = n * np.pi / 6 * (5 * UM) ** 3
    d = sample_diameters(volume, diameter=5 * UM, spread=spread, largest=room * 5 * UM, rng=rng(seed))
    assert d.size >= 1 and (d > 0).all()
    assert np.pi / 6 * (d**3).sum() == pytest.approx(volume, rel=1e-12)
    assert d.max() <= room * 5 * UM * (1 + 1e-9)


def test_a_largest_diameter_cuts_both_tails_and_keeps_the_median():
    d = sample_diameters(4000 * (5 * UM) ** 3, diameter=5 * UM, spread=0.5, largest=8 * UM, rng=rng())
    assert d.max() <= 8 * UM * (1 + 1e-9) and d.min() >= 5 * UM * 5 / 8 * 0.999  # 0.1 %: the scaling to the total
    assert d50(d) == pytest.approx(5 * UM, rel=0.02)


def test_listed_diameters_are_drawn_equally_often():
    given = np.array([2, 3, 7]) * UM
    d = sample_diameters(np.pi / 6 * (given**3).sum() * 100.4, diameters=given, rng=rng())
    ratio = d[:, None] / given
    nearest = np.abs(np.log(ratio)).argmin(axis=1)
    assert np.ptp(np.bincount(nearest, minlength=3)) <= 1
    # one factor for all
    assert np.ptp(ratio[np.arange(d.size), nearest]) < 1e-12
    assert ratio[0, nearest[0]] == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("spread", [0.0, 0.35, 0.6])
def test_dense_packings_keep_no_overlap(spread):
    packing = packed(700, 0.60, spread)
    assert packing.volume_share == pytest.approx(0.60, rel=1e-12)
    worst = deepest_overlap(packing)
    assert worst == pytest.approx(packing.max_overlap, abs=1e-12)
    assert worst < 2e-3  # the tolerance of the relaxation, 1e-3, is met well within the steps allowed
    assert packing.union_share == pytest.approx(0.60, abs=1e-5)


def test_a_packing_denser_than_random_close_shares_its_overlap_evenly():
    packing = packed(500, 0.72)
    # radii are larger by (0.72 / 0.61)^(1/3) = 1.057 than those that touch: 5.4 % of the diameter at each contact
    assert packing.max_overlap == pytest.approx(1 - (0.61 / 0.72) ** (1 / 3), abs=0.002)
    assert packing.mean_overlap > 0.6 * packing.max_overlap
    assert deepest_overlap(packing) == pytest.approx(packing.max_overlap, abs=1e-12)


def test_union_of_overlapping_spheres_is_that_of_counted_points():
    packing = packed(60, 0.68, spread=0.3)
    centres, radii = images(packing)
    points = rng(5).random((20_000, 3)) * packing.box
    inside = np.zeros(len(points), dtype=bool)
    for c, r in zip(centres, radii, strict=True):
        inside |= ((points - c) ** 2).sum(axis=1) < r * r
    # three standard errors of the count, sqrt(0.67 * 0.33 / 20 000), and the overlaps of three (1e-3)
    assert packing.union_share == pytest.approx(inside.mean(), abs=0.011)
    assert packing.union_share < packing.volume_share - 0.001


def test_a_packing_that_is_started_from_another_only_removes_its_overlaps():
    first = packed(400, 0.60)
    smaller = pack(0.9 * first.diameters, first.box, rng=rng(9), start=first.centres)
    assert np.allclose(smaller.centres, first.centres, atol=1e-12)  # there was nothing left to remove
    larger = pack(1.004 * first.diameters, first.box, rng=rng(9), start=first.centres)
    moved = np.abs(larger.centres - first.centres)
    moved = np.minimum(moved, np.array(first.box) - moved).max(axis=1)  # across a side
    assert larger.max_overlap < 2e-3 and np.median(moved) < 0.1 * first.diameters.mean()


@pytest.mark.parametrize("aspect", [(1, 1, 1), (0.3, 1, 1), (4, 1, 0.7)])
def test_walls_are_not_crossed_and_the_sides_are_periodic(aspect):
    packing = packed(150, 0.5, 0.2, aspect, ends="walls")
    reach = packing.diameters / 2
    assert (packing.centres[:, 0] - reach).min() > -1e-3 * 5 * UM
    assert (packing.centres[:, 0] + reach).max() < packing.box[0] + 1e-3 * 5 * UM
    assert ((packing.centres >= 0) & (packing.centres <= packing.box)).all()
    assert deepest_overlap(packing) == pytest.approx(packing.max_overlap, abs=1e-12)
    assert packing.max_overlap < 0.03  # walls leave no more room in the flat box


@pytest.mark.parametrize(
    ("box", "diameters"),
    [((20, 20, 20), [20]), ((20, 20, 20), [12, 12]), ((60, 12, 12), [12] * 4), ((30, 14, 20), [14, 9, 9, 5, 3])],
)
def test_few_spheres_as_wide_as_the_box_stay_apart_from_all_images(box, diameters):
    packing = pack(np.array(diameters) * UM, np.array(box) * UM, rng=rng(2))
    assert deepest_overlap(packing) < 0.005
    assert packing.max_overlap == pytest.approx(deepest_overlap(packing), abs=1e-12)


def test_the_same_seed_gives_the_same_packing_and_another_seed_another():
    first, again, other = packed(200, 0.55, 0.3), packed(200, 0.55, 0.3), packed(200, 0.55, 0.3, seed=1)
    assert np.array_equal(first.centres, again.centres) and np.array_equal(first.diameters, again.diameters)
    assert not np.array_equal(first.centres, other.centres)


def test_packings_are_alike_in_all_directions():
    packing = packed(1500, 0.58)
    centres, _ = images(packing)
    contacts = []
    for k, c in enumerate(packing.centres):
        gap = centres - c
        distance = np.linalg.norm(gap, axis=1)
        distance[k] = np.inf
        near = distance < 1.05 * 5 * UM
        contacts.append(gap[near] / distance[near, None])
    directions = np.concatenate(contacts)
    # mean square of each component: 1/3; three standard errors of it are 3 sqrt(4/45 / 4000 independent contacts)
    assert (directions**2).mean(axis=0) == pytest.approx(1 / 3, abs=0.015)
    assert 4 < len(directions) / 1500 < 8  # neighbours in contact of a random packing, 12 in a crystal
    # no empty and no crowded corner
    counts = np.histogramdd(packing.centres, bins=3, range=[(0, b) for b in packing.box])[0]
    assert counts.std() < 0.1 * counts.mean()  # 0.14 without any repulsion


@pytest.mark.parametrize("ends", ["periodic", "walls"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_laguerre_cells_fill_the_box_once(ends, share):
    from scipy.spatial import ConvexHull

    packing = packed(60, share, 0.3, ends=ends)
    cells = laguerre_cells(packing.centres, packing.diameters / 2, np.array(packing.box), ends == "walls")
    volumes = np.array([ConvexHull(cell.vertices / UM).volume for cell in cells])
    assert volumes.sum() == pytest.approx(np.prod(packing.box) / UM**3, rel=1e-9)
    spheres = np.pi / 6 * (packing.diameters / UM) ** 3
    # each sphere lies in its cell, but for the overlap left
    assert (volumes > spheres * 0.99).all()


def test_laguerre_cells_of_one_sphere_in_a_cube_are_the_cube():
    (cell,) = laguerre_cells(np.array([[3.0, 4, 5]]) * UM, np.array([2 * UM]), np.full(3, 10 * UM), False)
    assert np.abs(cell.vertices) == pytest.approx(5 * UM, rel=1e-9)
    assert cell.height == pytest.approx(5 * UM, rel=1e-9)


def test_laguerre_cells_exist_even_if_a_sphere_lies_inside_another():
    centres = np.array([[5.0, 5, 5], [5, 5, 6]]) * UM
    cells = laguerre_cells(centres, np.array([4, 1]) * UM, np.full(3, 10 * UM), False)
    assert all((cell.height > 0).all() for cell in cells)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"diameter": 5 * UM, "spread": 0.9}, r"spread must lie in \[0, 0.7\], got 0.9"),
        ({"diameter": 5 * UM, "spread": float("nan")}, "spread must lie in"),
        ({"diameter": 5 * UM, "spread": -0.1}, "spread must lie in"),
        ({"diameter": -1.0}, "positive length in metres, got -1"),
        ({"diameter": float("inf")}, "positive length"),
        ({}, "either diameter"),
        ({"diameter": UM, "diameters": [UM]}, "either diameter"),
        ({"diameters": []}, "got 0 values"),
        ({"diameters": [UM, -UM]}, "positive lengths in metres"),
        ({"diameter": 1e-9}, "too many, at most 1000000"),
        ({"diameter": 5 * UM, "largest": UM}, "largest must be at least"),
    ],
)
def test_wrong_sizes_are_refused(arguments, words):
    with pytest.raises(GeometryError, match=words) as error:
        sample_diameters(1e-12, rng=rng(), **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("volume", [0.0, -1.0, float("nan"), float("inf")])
def test_a_volume_that_is_none_is_refused(volume):
    with pytest.raises(GeometryError, match="particle volume must be positive"):
        sample_diameters(volume, diameter=UM, rng=rng())


@pytest.mark.parametrize(
    ("diameters", "box", "options", "words"),
    [
        ([5 * UM], (4 * UM, 9 * UM, 9 * UM), {}, "5 um, does not fit into the box, whose smallest side is 4 um"),
        ([5 * UM], (9 * UM, 9 * UM), {}, "three positive lengths"),
        ([5 * UM], (9 * UM, 0, 9 * UM), {}, "three positive lengths"),
        ([], (9 * UM,) * 3, {}, "at least one sphere"),
        ([float("nan")], (9 * UM,) * 3, {}, "positive diameters"),
        ([UM], (9 * UM,) * 3, {"ends": "wall"}, "Did you mean 'walls'"),
    ],
)
def test_wrong_packings_are_refused(diameters, box, options, words):
    with pytest.raises(GeometryError, match=words) as error:
        pack(diameters, box, rng=rng(), **options)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_twenty_thousand_spheres_of_wide_spread_are_freed_of_overlap():
    packing = packed(20_000, 0.60, 0.5)
    assert packing.max_overlap < 2e-3
