"""Step objects: currents in every unit, cut-offs, checks at construction."""

import dataclasses
import math

import pytest

from simulator.errors import ConfigError
from simulator.protocol import CurrentStep, RestStep

CELL = {"one_c": 5e-3, "area": 1e-4, "am_mass": 2e-5}  # 5 mA, 1 cm2, 20 mg


@pytest.mark.parametrize(
    ("value", "unit", "ampere"),
    [
        (0.1, "C", 5e-4),
        (-0.1, "C", -5e-4),
        (2e-3, "A", 2e-3),
        (-2.0, "A/m2", -2e-4),
        (0.23, "mA/cm2", 0.23e-3),  # on 1 cm2
        (18.0, "mA/g", 18e-3 * 0.02),  # of 0.02 g
    ],
)
def test_current_is_converted_from_every_unit_with_its_sign(value, unit, ampere):
    step = CurrentStep(value, unit, duration=60.0)
    assert math.isclose(step.current(**CELL), ampere, rel_tol=1e-14)
    assert step.direction == math.copysign(1, ampere)


def test_rest_carries_no_current_and_ends_by_time():
    step = RestStep(3600.0)
    assert step.current(**CELL) == 0.0 and step.direction == 0
    assert step.time_limit == 3600.0 and step.cutoff() is None


def test_cutoff_against_lithium_is_shifted_by_the_anode_potential_and_a_cell_voltage_is_not():
    against_li = CurrentStep(0.1, "C", voltage_limit=4.6, voltage_reference="Li")
    assert against_li.cutoff(0.62) == pytest.approx(3.98, rel=1e-14) and against_li.cutoff() == 4.6
    assert CurrentStep(0.1, "C", voltage_limit=3.98).cutoff(0.62) == 3.98
    assert CurrentStep(0.1, "C", duration=1.0).cutoff(0.62) is None


def test_steps_are_immutable_and_compare_by_value():
    step = CurrentStep(0.1, "C", 60.0)
    assert step == CurrentStep(0.1, "C", 60.0) and hash(step) == hash(CurrentStep(0.1, "C", 60.0))
    assert step != CurrentStep(-0.1, "C", 60.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(step, "value", 1.0)  # noqa: B010  the assignment is the point


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0, "C", 60.0), "not zero, got 0.0 C.*rest"),
        ((math.nan, "C", 60.0), "finite"),
        (("0.1", "C", 60.0), "'0.1'"),
        ((1.0, "mA/cm", 60.0), "'mA/cm'.*Did you mean 'mA/cm2'"),
        ((1.0, "C"), "never ends"),
        ((1.0, "C", 0.0), "above 0 s, got 0.0 s"),
        ((1.0, "C", -5.0), "above 0 s, got -5.0 s"),
        ((1.0, "C", math.inf), "finite"),
        ((1.0, "C", None, math.inf), "voltage_limit = inf"),
        ((1.0, "C", None, 4.2, "Na"), "'Na'.*'Li'"),
    ],
)
def test_impossible_current_steps_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        CurrentStep(*arguments)


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, None])
def test_impossible_rests_are_refused(duration):
    with pytest.raises(ConfigError, match="duration"):
        RestStep(duration)
