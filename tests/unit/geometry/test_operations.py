"""Turning, mirroring, trimming, padding, resampling, dividing and calendering a whole electrode."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import GeometryError
from simulator.geometry import (
    Electrode,
    calender,
    extend,
    label_particles,
    load_electrode,
    mirror,
    pad,
    particle_facts,
    resample,
    rotate,
    subvolumes,
    trim,
)
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, PORE
from simulator.resources import mesh_path


def random_electrode(seed: int = 0, shape: tuple[int, int, int] = (4, 5, 6)) -> Electrode:
    rng = np.random.default_rng(seed)
    phase = rng.integers(0, 4, shape).astype(np.uint8)
    phase[0, 0, 0] = AM
    particle = np.where(phase == AM, rng.integers(1, 4, shape), 0)
    return Electrode(phase, (1e-6, 2e-6, 3e-6), particle)


@pytest.fixture(scope="module")
def ct() -> Electrode:
    return label_particles(load_electrode(mesh_path("nmc532_film_48.tif")))


def test_turning_takes_voxel_edges_and_particles_along() -> None:
    electrode = random_electrode()
    turned = rotate(electrode)
    assert turned.shape == (4, 6, 5) and turned.voxel_size == (1e-6, 3e-6, 2e-6)
    assert np.array_equal(turned.phase[:, 0, :], electrode.phase[:, :, -1])
    assert np.array_equal(turned.particle > 0, turned.phase == AM)
    assert rotate(electrode, axis="x").shape == (5, 4, 6)


@given(turns=st.integers(-4, 4), axis=st.sampled_from(["z", "y", "x"]))
@settings(deadline=None)
def test_turns_and_mirrors_undo_one_another(turns: int, axis: str) -> None:
    electrode = random_electrode()
    back = rotate(rotate(electrode, turns, axis), -turns, axis)
    assert np.array_equal(back.phase, electrode.phase) and back.voxel_size == electrode.voxel_size
    twice = mirror(mirror(electrode, axis), axis)
    assert np.array_equal(twice.phase, electrode.phase) and np.array_equal(twice.particle, electrode.particle)


def test_mirroring_along_z_exchanges_separator_and_collector() -> None:
    electrode = random_electrode()
    assert np.array_equal(mirror(electrode, "z").phase[0], electrode.phase[-1])


def test_a_thicker_electrode_is_followed_by_its_mirror_images() -> None:
    electrode = random_electrode()
    layers = [0, 1, 2, 3, 3, 2, 1, 0, 0, 1]  # of four, to ten
    thick = extend(electrode, "10 um")
    assert np.array_equal(thick.phase, electrode.phase[layers]) and thick.voxel_size == electrode.voxel_size
    assert np.array_equal(extend(electrode, electrode.size_m[0]).phase, electrode.phase)


def test_trimming_undoes_padding_with_pores() -> None:
    phase = np.full((6, 6, 6), AM, dtype=np.uint8)
    electrode = Electrode(phase, (1e-6,) * 3)
    padded = pad(electrode, z=(3, 1), y=(0, 2), x=(4, 0))
    assert padded.shape == (10, 8, 10) and padded.phase[0, 0, 0] == PORE
    assert np.array_equal(trim(padded).phase, phase)


def test_padding_adds_the_phase_on_the_named_side() -> None:
    padded = pad(random_electrode(), z=(2, 0), phase="electrolyte")
    assert (padded.phase[:2] == ELECTROLYTE).all() and padded.shape == (6, 5, 6)


def test_resampling_by_a_whole_factor_and_back_changes_nothing() -> None:
    electrode = random_electrode()
    fine = resample(electrode, (0.5e-6, 1e-6, 1e-6))
    assert fine.shape == (8, 10, 18)
    assert np.array_equal(fine.phase, electrode.phase.repeat(2, 0).repeat(2, 1).repeat(3, 2))
    back = resample(fine, electrode.voxel_size)
    assert np.array_equal(back.phase, electrode.phase) and np.array_equal(back.particle, electrode.particle)


def test_resampling_takes_the_phase_that_fills_most_of_a_voxel() -> None:
    # edges at 1.5: the second new voxel is half a voxel of cbd, then one of am
    phase = np.array([AM, CBD, AM], dtype=np.uint8).reshape(3, 1, 1)
    with pytest.warns(UserWarning, match="cbd 33.3 to 0.0 %"):
        found = resample(Electrode(phase, (1e-6,) * 3), (1.5e-6, 1e-6, 1e-6))
    assert found.phase.ravel().tolist() == [AM, AM]


def test_resampling_a_real_image_keeps_its_fractions_and_labels_every_particle(ct: Electrode) -> None:
    found = resample(ct, "0.5 um")
    assert found.shape == (38, 38, 38)  # 19.1 um
    for phase in ("pore", "am", "cbd"):
        # 0.5 um voxels against 0.398: a film of one to two voxels is kept to half a point here
        assert found.volume_fraction(phase) == pytest.approx(ct.volume_fraction(phase), abs=0.01)
    assert (found.particle[found.phase == AM] > 0).all()


def test_a_warning_says_that_thin_films_are_lost(ct: Electrode) -> None:
    with pytest.warns(UserWarning, match="cbd 13.8 to"):
        resample(ct, "1.2 um")


def test_subvolumes_are_the_parts_in_order() -> None:
    electrode = random_electrode(shape=(4, 6, 8))
    parts = list(subvolumes(electrode, (1, 2, 3)))
    assert [part.shape for part in parts] == [(4, 3, 2)] * 6
    assert np.array_equal(parts[4].phase, electrode.phase[:, 3:6, 2:4])


def test_a_subvolume_without_active_material_is_left_out() -> None:
    phase = np.full((4, 4, 4), AM, dtype=np.uint8)
    phase[2:, 2:, 2:] = PORE
    assert len(list(subvolumes(Electrode(phase, (1e-6,) * 3), 2))) == 7


@pytest.mark.parametrize("porosity", [0.3, 0.2, 0.1])
def test_calendering_keeps_the_volume_of_every_solid(ct: Electrode, porosity: float) -> None:
    pressed = calender(ct, porosity=porosity)
    for code in (AM, CBD):
        assert np.count_nonzero(pressed.phase == code) == np.count_nonzero(ct.phase == code)
    layer = 1.0 / pressed.shape[0]  # a layer less changes the porosity by about that
    assert pressed.porosity == pytest.approx(porosity, abs=0.5 * layer)
    assert pressed.shape[1:] == ct.shape[1:]
    assert np.array_equal(pressed.particle > 0, pressed.phase == AM)


def test_calendering_keeps_the_particles_and_nearly_their_volumes(ct: Electrode) -> None:
    before, after = particle_facts(ct), particle_facts(calender(ct, porosity=0.25))
    large = before.volume > 0.01 * before.volume.sum()
    kept = dict(zip(after.label, after.volume, strict=True))
    for label, volume in zip(before.label[large], before.volume[large], strict=True):
        # what yields at the contacts is put back nearby, not always to the same particle
        assert kept[label] == pytest.approx(volume, rel=0.2)


def test_calendering_moves_the_pieces_of_a_periodic_particle_each_by_its_own_place() -> None:
    # one label in two pieces, at both ends: the mean of all its voxels is the middle of the box
    phase = np.zeros((20, 6, 6), dtype=np.uint8)
    phase[:3, 1:5, 1:5] = phase[17:, 1:5, 1:5] = phase[9:11, 1:5, 1:5] = AM
    particle = np.where(phase == AM, 1, 0)
    particle[9:11] *= 2
    pressed = calender(Electrode(phase, (1e-6,) * 3, particle), thickness="15 um")
    assert (pressed.phase[:3, 1:5, 1:5] == AM).all() and (pressed.phase[-3:, 1:5, 1:5] == AM).all()
    assert [np.count_nonzero(pressed.particle == k) for k in (1, 2)] == [96, 32]


def test_calendering_moves_particles_as_rigid_bodies_where_there_is_room() -> None:
    phase = np.zeros((20, 8, 8), dtype=np.uint8)
    phase[2:5, 2:6, 2:6] = AM
    phase[14:18, 2:6, 2:6] = AM
    phase[13, 2:6, 2:6] = CBD  # a film on the second one goes with it
    pressed = calender(Electrode(phase, (1e-6,) * 3), thickness="15 um")
    shift = round(0.25 * 16.0)
    assert np.array_equal(pressed.phase[14 - shift : 18 - shift], phase[14:18])
    assert (pressed.phase[13 - shift, 2:6, 2:6] == CBD).all()
    assert np.count_nonzero(pressed.phase == AM) == np.count_nonzero(phase == AM)


def test_no_press_changes_nothing(ct: Electrode) -> None:
    assert np.array_equal(calender(ct, thickness=ct.size_m[0]).phase, ct.phase)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: mirror(e, "a"), "axis must be 'z'"),
        (lambda e: extend(e, "2 um"), "at least 4 um, got 2 um"),
        (lambda e: extend(e, 100.0), "at most 5e.08"),
        (lambda e: rotate(e, 0.5), "whole number"),
        (lambda e: rotate(e, 1, "zz"), "axis must be"),
        (lambda e: trim(e, 1.5), "least_solid must be a share"),
        (lambda e: trim(pad(e, x=(1, 1)), 1.0), "holds 100 % solid"),
        (lambda e: pad(e, z=(-1, 0)), "whole layers >= 0"),
        (lambda e: pad(e, z=2), "whole layers >= 0"),
        (lambda e: pad(e, phase="cdb"), "Did you mean 'cbd'"),
        (lambda e: pad(e, z=(1, 0), phase="am"), "pad it first"),
        (lambda e: resample(e, "1 mm"), "do not fit"),
        (lambda e: resample(e, -1.0), "voxel_size must lie in"),
        (lambda e: list(subvolumes(e, 7)), "whole numbers from 1"),
        (lambda e: calender(e), "a thickness or a porosity"),
        (lambda e: calender(e, "1 um", porosity=0.1), "a thickness or a porosity"),
        (lambda e: calender(e, "1 um"), "no pores left"),
        (lambda e: calender(e, "9 um"), "as it is"),
        (lambda e: calender(e, porosity=0.9), r"porosity must lie in \[0, 0.2083\]"),
    ],
)
def test_wrong_wishes_are_refused(call, said: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(GeometryError, match=said):
            call(random_electrode())
