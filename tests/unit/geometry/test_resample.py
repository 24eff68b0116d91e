"""Coarser electrodes: majority in each block, phase fractions kept, nothing lost silently."""

import warnings

import numpy as np
import pytest

from simulator.errors import GeometryError
from simulator.geometry import AM, CBD, ELECTROLYTE, PHASES, PORE, Electrode, load_electrode
from simulator.geometry.resample import coarsen_phase
from simulator.resources import mesh_path


def test_each_block_becomes_its_most_frequent_phase():
    phase = np.array([[[1, 1, 2, 2], [1, 0, 2, 3]]], np.uint8).repeat(2, axis=0)
    assert coarsen_phase(phase, 2).tolist() == [[[1, 2]]]


def test_voxel_size_and_shape_follow_the_factor():
    e = Electrode(np.ones((6, 9, 3), np.uint8), (1e-6, 2e-6, 3e-6), name="a").coarsen(3)
    assert e.shape == (2, 3, 1)
    assert e.voxel_size == pytest.approx((3e-6, 6e-6, 9e-6), rel=1e-15)  # one multiplication
    assert e.name == "a"


def test_factor_one_changes_nothing():
    e = Electrode(np.ones((2, 3, 4), np.uint8), (1e-6,) * 3)
    assert e.coarsen(1) is e


def test_ties_between_two_phases_are_shared_and_mixed():
    # every block is half pore, half AM: the coarse image must be so too, and not in one lump
    phase = np.zeros((16, 16, 16), np.uint8)
    phase[:, :, ::2] = AM
    coarse = coarsen_phase(phase, 2)
    assert np.count_nonzero(coarse == AM) == coarse.size // 2
    halves = [np.count_nonzero(part == AM) for part in np.split(coarse, 4)]
    assert max(halves) - min(halves) <= 1  # evenly spread to one voxel


def test_a_tie_goes_to_the_phase_that_is_short():
    # 3 blocks of pure pore with one AM voxel each, and 3 tied ones: pore 3 x 7 + 3 x 4 = 33, AM 15 of 48 voxels;
    # the clear blocks give pore 3 of 6, it lacks 1.125, AM 1.875: of the tied ones pore gets 1, AM 2
    clear = np.zeros((2, 2, 2), np.uint8)
    clear[0, 0, 0] = AM
    tied = np.zeros((2, 2, 2), np.uint8)
    tied[0] = AM
    coarse = coarsen_phase(np.concatenate([clear, tied, clear, tied, clear, tied]), 2)
    assert np.count_nonzero(coarse == AM) == 2


@pytest.mark.parametrize("seed", range(5))
def test_blocks_that_are_all_tied_reproduce_the_fractions_to_one_block(seed):
    # four phases, every block holds two voxels of each: any choice is a majority
    rng = np.random.default_rng(seed)
    blocks = rng.permuted(np.tile(np.repeat(np.arange(4, dtype=np.uint8), 2), (4 * 5 * 6, 1)), axis=1)
    phase = blocks.reshape(4, 5, 6, 2, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(8, 10, 12)
    counts = np.bincount(coarsen_phase(phase, 2).ravel(), minlength=4)
    assert counts.tolist() == [30, 30, 30, 30]


@pytest.mark.parametrize("n", [48, 64])
def test_shipped_image_keeps_its_fractions_within_one_point(n):
    e = load_electrode(mesh_path(f"nmc532_film_{n}.tif"))
    coarse = e.coarsen(2)
    # majority costs what it costs: 0.8 points of pore here, which ties cannot repair
    for name in PHASES:
        assert abs(coarse.volume_fraction(name) - e.volume_fraction(name)) < 0.01


def test_the_result_depends_on_the_image_alone():
    e = load_electrode(mesh_path("nmc532_film_48.tif"))
    assert np.array_equal(e.coarsen(2).phase, e.coarsen(2).phase)


def test_a_lost_film_is_warned_of():
    e = load_electrode(mesh_path("nmc532_film_48.tif"))
    with pytest.warns(UserWarning, match=r"changes phase fractions .*cbd 13.8 to 8\.\d %"):
        e.coarsen(4)


def test_layers_that_fill_no_block_are_dropped_at_the_end_with_a_warning():
    phase = np.ones((5, 4, 7), np.uint8)
    phase[4], phase[:, :, 6] = PORE, PORE
    with pytest.warns(UserWarning, match=r"coarsen=2 drops .*: 1 along z, 1 along x \(of \(5, 4, 7\)") as caught:
        coarse = Electrode(phase, (1e-6,) * 3).coarsen(2)
    assert coarse.shape == (2, 2, 3)
    assert (coarse.phase == AM).all()
    assert len(caught) == 1  # the phases of what is kept have not changed


@pytest.mark.parametrize("factor", [0, -1, 2.0, True, "2"])
def test_a_factor_that_is_no_positive_whole_number_is_refused(factor):
    with pytest.raises(GeometryError, match="whole number >= 1"):
        Electrode(np.ones((4, 4, 4), np.uint8), (1e-6,) * 3).coarsen(factor)


def test_a_factor_above_the_image_is_refused():
    with pytest.raises(GeometryError, match=r"coarsen=5 leaves nothing .*3 along y.*At most 3 fits"):
        Electrode(np.ones((6, 3, 6), np.uint8), (1e-6,) * 3).coarsen(5)


def test_an_image_whose_am_vanishes_is_refused():
    phase = np.full((4, 4, 4), ELECTROLYTE, np.uint8)
    phase[0, 0, 0] = AM
    with pytest.raises(GeometryError, match="no active material"):
        Electrode(phase, (1e-6,) * 3).coarsen(2)


def test_particle_labels_follow_the_majority_inside_am():
    phase = np.full((2, 2, 6), AM, np.uint8)
    phase[:, :, 4:] = CBD
    particle = np.zeros((2, 2, 6), np.int32)
    particle[:, :, :2] = 7
    particle[0, 0, 0] = 3  # one against seven
    particle[:, :, 2:4] = [[[5, 9]]]  # a tie: the smaller label
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coarse = Electrode(phase, (1e-6,) * 3, particle).coarsen(2)
    assert coarse.phase.tolist() == [[[AM, AM, CBD]]]
    assert coarse.particle is not None
    assert coarse.particle.tolist() == [[[7, 5, 0]]]
