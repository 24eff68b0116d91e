"""Nickel in one particle: the model, the geometry of the line, and what the microscope makes of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry import Electrode
from simulator.workflows.nickel import ni4_fraction, nickel_profile

H = 0.5e-6


def block(shape=(8, 8, 8), particle=None):
    """A block of active material that touches electrolyte at its low x side only, with pore elsewhere."""
    nz, ny, nx = shape
    phase = np.zeros((nz + 2, ny + 2, nx + 2), np.uint8)
    phase[:, 1:-1, 1:-1] = 1  # reaches the collector
    phase[0] = 0
    phase[:, 1:-1, 0] = 3
    phase[0, 1:-1, 0] = 3
    labels = np.where(phase == 1, 1, 0).astype(np.int32) if particle is None else particle
    return Electrode(phase, (H, H, H), particle=labels)


def saved(electrode, sto, times=(0.0, 100.0)):
    """A solution that holds `sto` (function of the x index) at its last time, 0.9 before."""
    x = np.broadcast_to(np.arange(electrode.shape[2]), electrode.shape)
    last = np.where(electrode.phase == 1, sto(x), np.nan)

    def field(name, *, t=None):
        assert name == "sto"
        return last if t is None or t >= 50 else np.where(electrode.phase == 1, 0.9, np.nan)

    return SimpleNamespace(field=field, field_times=np.array(times))


def test_nickel_balances_the_charge_of_the_formula():
    x = np.array([0.9, 0.5, 0.1, 0.3])
    f = ni4_fraction(x)
    # Li+, Ni3+ and Ni4+, Co3+, Mn4+ against two O2-
    np.testing.assert_allclose(x + 0.8 * (3 + f) + 0.1 * 3 + 0.1 * 4, 4.0, rtol=1e-15)
    np.testing.assert_allclose(f, [0.0, 0.5, 1.0, 0.75], atol=1e-15)


def test_beyond_two_states_the_fraction_stays_at_its_end():
    np.testing.assert_array_equal(ni4_fraction(np.array([1.0, 0.05, np.nan])), [0.0, 1.0, np.nan])


def test_regions_hold_the_mean_of_their_layers():
    electrode = block()
    # the particle spans x = 1 to 8; Ni4+ fraction 0.1 n in layer n
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    found = nickel_profile(run, electrode=electrode, direction="x")
    np.testing.assert_allclose(found.position, np.array([1, 3, 5, 7]) * H)  # two layers each
    fraction = np.array([0.15, 0.35, 0.55, 0.75])
    np.testing.assert_allclose(found.fraction, fraction, rtol=1e-12)
    np.testing.assert_allclose(found.ratio, fraction / (1 - fraction), rtol=1e-12)
    np.testing.assert_allclose(found.delithiation, 0.1 + 0.8 * fraction, rtol=1e-12)
    assert (found.particle, found.time, found.direction) == (1, 100.0, (0.0, 0.0, 1.0))
    # seen along z, a pixel of nothing around 8 x 8 voxels
    assert found.image.shape == (10, 10) and found.beam == (1.0, 0.0, 0.0)
    np.testing.assert_allclose(found.image[3:-3, 5], np.arange(3, 7) * 0.1, rtol=1e-6)  # a blur keeps a ramp


def test_the_line_from_the_contact_begins_where_the_particle_reacts():
    electrode = block()
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    found = nickel_profile(run, electrode=electrode)
    # all contacts lie on the low x side; smoothed areas are smaller at the edge towards the pore below
    assert found.direction[2] > 0.98
    assert np.all(np.diff(found.ratio) > 0)


def test_a_reversed_or_oblique_line_sees_the_same_particle():
    electrode = block()
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    forward = nickel_profile(run, electrode=electrode, direction=(0, 0, 1), length="3 um", regions=3)
    backward = nickel_profile(run, electrode=electrode, direction=(0, 0, -2), length=4e-6)
    np.testing.assert_allclose(backward.fraction, [0.75, 0.55, 0.35, 0.15], rtol=1e-12)
    assert forward.region_length == pytest.approx(1e-6)
    np.testing.assert_allclose(forward.fraction, [0.15, 0.35, 0.55], rtol=1e-12)
    oblique = nickel_profile(run, electrode=electrode, direction=(0, 1, 1), regions=4)
    assert np.all(np.diff(oblique.fraction) > 0.05)
    assert np.mean(oblique.fraction) == pytest.approx(0.45, abs=1e-9)  # symmetric about the centre


def test_the_spot_blurs_a_step():
    electrode = block()
    run = saved(electrode, lambda x: np.where(x <= 4, 0.9, 0.5))  # no Ni4+ in one half, 0.5 in the other
    sharp = nickel_profile(run, electrode=electrode, direction="x")
    np.testing.assert_allclose(sharp.fraction, [0.0, 0.0, 0.5, 0.5], atol=1e-12)
    blurred = nickel_profile(run, electrode=electrode, direction="x", spot="1 um")
    assert 0.0 < blurred.fraction[0] < blurred.fraction[1] < 0.25 < blurred.fraction[2] < blurred.fraction[3] < 0.5
    assert blurred.fraction[1] + blurred.fraction[2] == pytest.approx(0.5)  # an odd step about its middle
    even = nickel_profile(saved(electrode, lambda x: 0.5 + 0 * x), electrode=electrode, direction="x", spot="1 um")
    np.testing.assert_allclose(even.fraction, 0.5, rtol=1e-12)


def test_the_beam_averages_over_depth_and_a_lamella_does_not():
    electrode = block()
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    through = nickel_profile(run, electrode=electrode, direction="y", beam="x")
    np.testing.assert_allclose(through.fraction, 0.45, rtol=1e-12)
    cut = nickel_profile(run, electrode=electrode, direction="y", beam=(0, 0, 1), thickness=2.1 * H)
    np.testing.assert_allclose(cut.fraction, 0.45, rtol=1e-12)  # layers 4 and 5
    bent = saved(electrode, lambda x: 0.9 - 0.08 * np.square(x - 4.5))
    # the thinnest lamella shows half of either layer beside the centre
    thin = nickel_profile(run, electrode=electrode, direction="y", beam="x", thickness="1 nm")
    np.testing.assert_allclose(thin.fraction, 0.45, rtol=1e-12)
    assert nickel_profile(bent, electrode=electrode, direction="y", beam="x", thickness=2.1 * H).fraction[0] < 0.1
    # the thinnest lamella shows half of either layer beside the centre
    thin = nickel_profile(run, electrode=electrode, direction="y", beam="x", thickness="1 nm")
    np.testing.assert_allclose(thin.fraction, 0.45, rtol=1e-12)
    assert nickel_profile(bent, electrode=electrode, direction="y", beam="x").fraction[0] > 0.3


def test_fully_oxidised_nickel_has_an_infinite_ratio_without_a_warning():
    electrode = block()
    found = nickel_profile(saved(electrode, lambda x: 0.05 + 0 * x), electrode=electrode, direction="z")
    assert np.isinf(found.ratio).all()
    np.testing.assert_allclose(found.fraction, 1.0, rtol=1e-12)


def test_the_largest_particle_or_one_by_its_number_at_the_saved_time_nearest_to_the_asked_one():
    electrode = block()
    labels = electrode.particle.copy()
    labels[:, :, 1:4] *= 2
    two = block(particle=labels)
    run = saved(two, lambda x: 0.9 - 0.08 * x)
    assert nickel_profile(run, electrode=two, direction="x").particle == 1  # five layers of eight
    second = nickel_profile(run, 2, electrode=two, direction="x", regions=3)
    np.testing.assert_allclose(second.fraction, [0.1, 0.2, 0.3], rtol=1e-12)
    early = nickel_profile(run, electrode=two, direction="x", t="10 s")
    assert early.time == 0.0 and not early.fraction.any()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"particle": 7}, "no particle 7: give a number from 1 to 1"),
        ({"particle": "smallest"}, "or 'largest'"),
        ({"particle": True}, "no particle True"),
        ({"direction": "up"}, "'contact', got 'up'"),
        ({"direction": (0, 0, 0)}, "not all zero"),
        ({"direction": (0, 1)}, "three numbers"),
        ({"beam": "contact"}, "beam must be three numbers"),
        ({"direction": "x", "beam": (0, 0, -3)}, "parallel to the line"),
        ({"length": "9 um"}, "longer than the particle on this line, 4e-06 m"),
        ({"length": 0.0}, "above 0 m"),
        ({"regions": 9}, "shorter than a voxel"),
        ({"regions": 0}, "above 0"),
        ({"regions": 2.5}, "whole number"),
        ({"spot": -1e-9}, "spot must be 0"),
        ({"spot": "big"}, "spot must be a length"),
        ({"thickness": 0}, "thickness must be above 0"),
        ({"width": -1.0}, "width must be above 0"),
        ({"t": "soon"}, "t must be a time"),
    ],
)
def test_wrong_words_are_refused_with_value_and_cure(more, message):
    electrode = block()
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    with pytest.raises(ConfigError, match=message):
        nickel_profile(run, **({"electrode": electrode, "direction": "x"} | more))


def test_contacts_that_mark_no_side_are_refused():
    phase = np.full((9, 9, 9), 3, np.uint8)
    phase[2:7, 2:7, 2:7] = 1
    phase[7:, 4, 4] = 2  # to the collector, one contact of 125 more: still no side
    phase[:2, 4, 4] = 2
    around = Electrode(phase, (H, H, H), particle=(phase == 1).astype(np.int32))
    with pytest.raises(ConfigError, match="mark no side"):
        nickel_profile(saved(around, lambda x: 0.5 + 0 * x), electrode=around)
    dead = block()
    phase = dead.phase.copy()
    phase[phase == 3] = 0
    dead = Electrode(phase, (H, H, H), particle=dead.particle)
    with pytest.raises(ConfigError, match="no live contact"):
        nickel_profile(saved(dead, lambda x: 0.5 + 0 * x), electrode=dead)


def test_a_solution_needs_its_own_electrode():
    electrode = block()
    run = saved(electrode, lambda x: 0.5 + 0 * x)
    with pytest.raises(ConfigError, match="electrode=cell.electrode"):
        nickel_profile(run)
    with pytest.raises(ConfigError, match="Give that of the run|Give the run"):
        nickel_profile(run, electrode=block((6, 8, 8)), direction="x")


def test_labels_that_are_not_those_of_the_watershed_have_to_be_given():
    electrode = block()
    run = saved(electrode, lambda x: 0.9 - 0.08 * x)
    run.phase, run.voxel_size = electrode.phase, electrode.voxel_size
    volume = np.count_nonzero(electrode.phase == 1) * H**3
    run.particles = SimpleNamespace(volume=np.array([volume]))
    assert nickel_profile(run, direction="x").particle == 1
    run.particles = SimpleNamespace(volume=np.array([0.25, 0.75]) * volume)
    with pytest.raises(ConfigError, match="Give electrode="):
        nickel_profile(run, direction="x")
