"""Representative volume: the scatter between sub-volumes is that of a material whose scatter is known."""

import numpy as np
import pytest

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import AM, CBD, PORE, Electrode, representative_volume
from simulator.geometry.metrics_volume import volume_quantities

UM = 1e-6


@pytest.fixture(scope="module")
def noise():
    """Independent voxels, a fifth of them active material: the scatter of the fraction is that of a coin."""
    image = np.random.default_rng(4).choice([PORE, AM, CBD], (72, 72, 72), p=[0.5, 0.2, 0.3]).astype(np.uint8)
    return Electrode(image, (UM, UM, UM))


def test_independent_voxels_scatter_by_the_binomial_law(noise):
    found = representative_volume(noise).scatter["Volume fraction of am [-]"]
    assert found.parts.tolist() == [2, 3, 4]
    assert found.count.tolist() == [8, 27, 64]
    assert found.side == pytest.approx([36 * UM, 24 * UM, 18 * UM])
    assert found.mean == pytest.approx([0.2] * 3, rel=0.01)
    one = np.sqrt(0.8 / 0.2)  # relative scatter of one voxel
    expected = one / (found.side / UM) ** 1.5
    # a standard deviation of n values is known to 1/sqrt(2 (n - 1)): 27, 14, 9 %; three of those
    assert np.all(np.abs(found.relative / expected - 1) < 3 / np.sqrt(2 * (found.count - 1)))
    assert found.coefficient == pytest.approx(one * UM**1.5, rel=3 / np.sqrt(2 * 96))
    assert found.representative_side == pytest.approx((one / 0.05) ** (2 / 3) * UM, rel=2 / np.sqrt(2 * 96))
    assert found.image == pytest.approx(found.coefficient / np.sqrt(noise.volume), rel=1e-12)
    # sizes differ by 0.9 in the logarithm of the volume on each side: about 0.13 of uncertainty
    assert found.exponent == pytest.approx(-0.5, abs=0.3)


def test_sub_volumes_add_up_to_the_image(noise):
    found = representative_volume(noise, divisions=(2, 4)).scatter
    for name, value in (
        ("Volume fraction of cbd [-]", noise.volume_fraction("cbd")),
        ("Specific area [1/m]", noise.specific_area()),
    ):
        assert found[name].mean == pytest.approx([value, value], rel=1e-12)
    # a mean of ratios, not the ratio of means
    assert found["Coverage [-]"].mean == pytest.approx([noise.coverage] * 2, rel=1e-3)


def test_target_and_law_belong_together(noise):
    five = representative_volume(noise).scatter["Specific area [1/m]"]
    one = representative_volume(noise, target=0.01).scatter["Specific area [1/m]"]
    assert one.representative_side == pytest.approx(five.representative_side * 5 ** (2 / 3), rel=1e-12)
    assert five.coefficient * five.representative_side**-1.5 == pytest.approx(0.05, rel=1e-12)


def test_layers_that_fill_no_sub_volume_are_left_out():
    phase = np.zeros((17, 16, 16), np.uint8)
    phase[:16:2] = AM
    phase[16] = CBD
    found = representative_volume(Electrode(phase, (UM, UM, UM))).scatter
    assert found["Volume fraction of am [-]"].mean.tolist() == [0.5]
    assert found["Volume fraction of cbd [-]"].mean.tolist() == [0.0]
    assert found["Volume fraction of am [-]"].count.tolist() == [8]


def test_what_is_the_same_everywhere_is_representative_at_any_size():
    phase = np.zeros((32, 16, 16), np.uint8)
    phase[:, ::2] = AM
    found = representative_volume(Electrode(phase, (UM, UM, UM))).scatter["Volume fraction of am [-]"]
    assert (found.relative.tolist(), found.coefficient, found.representative_side) == ([0.0], 0.0, 0.0)
    assert np.isnan(found.exponent)


def test_tortuosities_are_solved_in_every_sub_volume():
    phase = np.full((16, 16, 16), PORE, np.uint8)
    phase[:, ::2] = AM
    e = Electrode(phase, (UM, UM, UM))
    names = ["Tortuosity of am along z [-]", "Tortuosity of pore along y [-]"]
    found = representative_volume(e, names).scatter
    assert list(found) == names
    assert found[names[0]].mean == pytest.approx([1.0], rel=1e-6)
    assert found[names[0]].count.tolist() == [8]
    # no path across in any of them
    assert found[names[1]].mean.tolist() == [np.inf]
    assert np.isnan(found[names[1]].relative[0]) and np.isnan(found[names[1]].representative_side)


def test_sub_volumes_without_active_material_have_no_coverage():
    phase = np.zeros((16, 16, 16), np.uint8)
    phase[1:7, 1:7, 1:7] = AM
    found = representative_volume(Electrode(phase, (UM, UM, UM))).scatter
    assert found["Coverage [-]"].count.tolist() == [1]
    assert np.isnan(found["Coverage [-]"].relative[0])
    assert found["Specific area [1/m]"].count.tolist() == [8]
    assert found["Specific area [1/m]"].relative == pytest.approx([np.sqrt(8)])  # seven zeros and one value


def test_wrong_requests_are_refused(noise):
    with pytest.raises(ConfigError, match="Unknown quantity 'Coverage'.*Did you mean 'Coverage"):
        representative_volume(noise, ["Coverage"])
    with pytest.raises(ConfigError, match="divisions must be whole numbers >= 2, got 1"):
        representative_volume(noise, divisions=(1,))
    with pytest.raises(ConfigError, match="target must lie"):
        representative_volume(noise, target=1.0)
    with pytest.raises(GeometryError, match=r"too small.*at least 16 voxels"):
        representative_volume(noise.crop(z=(0, 15)))
    assert "Tortuosity of ionic network along z [-]" in volume_quantities(noise)
