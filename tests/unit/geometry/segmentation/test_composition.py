"""Fractions against a recipe."""

import pytest

from simulator.errors import ConfigError
from simulator.geometry.segmentation import compare

FOUND = {"pore": 0.4, "cbd": 0.12, "am": 0.48}


def test_weight_fractions_become_volume_fractions_of_the_solids():
    am, cbd = compare(FOUND, {"am": 0.9, "cbd": 0.1}, {"am": 4700.0, "cbd": 1900.0})
    # 0.9/4700 = 1.9149e-4 and 0.1/1900 = 5.2632e-5 m3/kg
    assert am.expected == pytest.approx(1.9149e-4 / 2.4412e-4, rel=1e-4)
    assert am.expected + cbd.expected == pytest.approx(1.0)
    assert am.found == pytest.approx(0.48 / 0.6)
    assert am.of == "am + cbd"


def test_volume_fractions_are_of_the_image_and_may_leave_phases_out():
    (am,) = compare(FOUND, {"am": 0.5})
    assert (am.found, am.expected, am.of) == (0.48, 0.5, "image")


@pytest.mark.parametrize(
    ("expected", "densities", "text"),
    [
        ({"amm": 0.5}, None, "expected.amm: there is no such phase. Did you mean 'am'"),
        ({"am": 1.5}, None, r"expected.am must be a fraction in \[0, 1\], got 1.5"),
        ({"am": 0.5, "cbd": 0.2, "pore": 0.1}, None, "add up to 0.8 instead of 1"),
        ({"am": 0.9, "cbd": 0.4}, None, "add up to 1.3 instead of 1"),
        ({"am": 0.9}, {"am": 4700.0}, "weight fractions add up to 0.9"),
        ({"am": 0.9, "cbd": 0.1}, {"am": 4700.0}, r"densities must name the phases of expected \(am, cbd\), got am"),
        ({"am": 0.9, "cbd": 0.1}, {"am": 4700.0, "cbd": 0.0}, "densities.cbd must be positive, got 0.0"),
        ({"am": 0.9, "cbd": 0.1}, {"am": 4700.0, "binder": 1.0}, "densities.binder: there is no such phase"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(expected, densities, text):
    with pytest.raises(ConfigError, match=text):
        compare(FOUND, expected, densities)
