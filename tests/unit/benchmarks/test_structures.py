"""The named structures of the benchmarks: what they are made of, and that they are the same everywhere."""

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.structures import LAYER_CONDUCTIVITIES, STRUCTURES, make, overlapping_spheres, percolating
from simulator.errors import ConfigError, GeometryError

SIZE = 16
ALL = sorted(STRUCTURES)


@pytest.mark.parametrize("name", ALL)
def test_same_seed_gives_the_same_voxels_of_the_asked_size(name: str) -> None:
    first, second = make(name, SIZE), make(name, SIZE)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (SIZE, SIZE, SIZE)
    assert first.dtype in (np.uint8, np.float32)


@pytest.mark.parametrize("name", ["spheres", "blobs", "threshold"])
def test_another_seed_gives_other_voxels(name: str) -> None:
    # 50: `threshold` counts on from its seed until a sample reaches through
    assert (make(name, SIZE, seed=0) != make(name, SIZE, seed=50)).any()


@pytest.mark.parametrize("name", ALL)
def test_every_conducting_cluster_touches_both_walls(name: str) -> None:
    labels, count = ndimage.label(make(name, SIZE) > 0)
    assert count >= 1
    assert set(range(1, count + 1)) == set(np.unique(labels[0])) - {0} == set(np.unique(labels[-1])) - {0}


def test_odd_and_small_sizes_work() -> None:
    assert make("blobs", 13).shape == (13, 13, 13)
    assert make("film-am", 5).shape == (5, 5, 5)
    assert make("layers", 2).shape == (2, 2, 2)


def test_spheres_leave_the_stated_pore_fraction() -> None:
    # 64^3 holds about 60 independent volumes of a sphere's double radius: standard deviation of the fraction 0.06 / 2
    assert np.mean(overlapping_spheres(64, seed=0)) == pytest.approx(0.4, abs=0.09)


def test_spheres_are_as_frequent_at_the_walls_as_inside() -> None:
    pore = np.mean([overlapping_spheres(32, seed).mean(axis=(1, 2)) for seed in range(20)], axis=0)
    # 20 samples of a plane with about 4 independent discs: standard deviation 0.5 / sqrt(80) = 0.06 for each plane
    assert pore[[0, -1]].mean() == pytest.approx(pore[8:24].mean(), abs=0.15)


def test_blobs_and_threshold_have_their_shares_before_clusters_are_removed() -> None:
    # a quantile: exact up to one voxel
    assert STRUCTURES["blobs"].make(SIZE, 0).mean() == pytest.approx(0.3, abs=1 / SIZE**3)
    # 4096 independent voxels: standard deviation 0.007; four of them
    assert STRUCTURES["threshold"].make(SIZE, 0).mean() == pytest.approx(0.32, abs=0.03)


@pytest.mark.parametrize(("name", "solid"), [("spheres-1e-3", 1e-3), ("spheres-1e-9", 1e-9)])
def test_contrast_structures_are_the_spheres_with_a_conducting_solid(name: str, solid: float) -> None:
    np.testing.assert_array_equal(
        make(name, SIZE), np.where(overlapping_spheres(SIZE, 0), np.float32(1), np.float32(solid))
    )


def test_phases_of_the_film_share_the_image() -> None:
    shares = [STRUCTURES[name].make(SIZE, 0) for name in ("film-am", "film-pore", "film-cbd")]
    np.testing.assert_array_equal(sum(shares), np.ones((SIZE, SIZE, SIZE)))


def test_layers_lie_across_the_current() -> None:
    sigma = make("layers", SIZE)
    assert (sigma == sigma[:, :1, :1]).all()
    high, low = np.float32(LAYER_CONDUCTIVITIES)
    np.testing.assert_array_equal(sigma[:, 0, 0], np.repeat([high, low, high, low], 4))


def test_islands_and_dead_ends_are_removed() -> None:
    conducting = np.zeros((6, 3, 3), dtype=bool)
    conducting[:, 0, 0] = True
    conducting[:2, 2, 2] = True  # dead end on one wall
    conducting[3, 2, 0] = True  # island
    expected = np.zeros_like(conducting)
    expected[:, 0, 0] = True
    np.testing.assert_array_equal(percolating(conducting), expected)


def test_a_structure_without_a_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = STRUCTURES["blobs"]._replace(make=lambda size, seed: np.zeros((size,) * 3, np.uint8))
    monkeypatch.setitem(STRUCTURES, "blobs", closed)
    with pytest.raises(GeometryError, match="no conducting path"):
        make("blobs", 8)


def test_wrong_names_and_sizes_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="'spheres'"):
        make("sphere", 16)
    with pytest.raises(ConfigError, match="at least 2"):
        make("spheres", 1)
    with pytest.raises(ConfigError, match="at most 128"):
        make("film-cbd", 129)
