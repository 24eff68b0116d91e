"""Step objects: what they impose, how they end, checks at construction."""

import dataclasses
import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.protocol import Basis, CurrentStep, CutOff, GittStep, HoldStep, RampStep, RestStep

CELL = Basis(one_c=5e-3, area=1e-4, am_mass=2e-5, anode_potential=0.62)  # 5 mA, 1 cm2, 20 mg, Li-In


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
    course = step.course(CELL, 3.7)
    assert course.control == "current" and course.ends == (60.0,) and course.cutoffs == ()
    assert math.isclose(course.imposed(0, 12.0), ampere, rel_tol=1e-14)
    assert step.direction == course.direction == math.copysign(1, ampere)


def test_rest_carries_no_current_and_ends_by_time():
    course = RestStep(3600.0).course(CELL, 3.7)
    assert course.control == "current" and course.imposed(0, 1.0) == 0.0 and course.direction == 0
    assert course.ends == (3600.0,) and course.cutoffs == () and RestStep(3600.0).cutoff() is None


def test_cutoff_against_lithium_is_shifted_by_the_anode_potential_and_a_cell_voltage_is_not():
    against_li = CurrentStep(0.1, "C", voltage_limit=4.6, voltage_reference="Li")
    assert against_li.cutoff(0.62) == pytest.approx(3.98, rel=1e-14) and against_li.cutoff() == 4.6
    assert CurrentStep(0.1, "C", voltage_limit=3.98).cutoff(0.62) == 3.98
    assert CurrentStep(0.1, "C", duration=1.0).cutoff(0.62) is None
    assert against_li.course(CELL, 3.0).cutoffs == (CutOff("voltage", 4.6 - 0.62, above=True),)
    assert against_li.course(CELL, 3.0).ends == (math.inf,)
    discharge = CurrentStep(-0.1, "C", voltage_limit=3.0)
    assert discharge.course(CELL, 4.0).cutoffs == (CutOff("voltage", 3.0, above=False),)


def test_hold_imposes_its_voltage_until_the_magnitude_of_the_current_has_fallen():
    course = HoldStep(4.6, None, 0.1, "C", "Li").course(CELL, 3.0)
    assert course.control == "voltage" and course.direction == 0 and course.ends == (math.inf,)
    assert course.imposed(0, 5.0) == 4.6 - 0.62
    assert course.cutoffs == (CutOff("current", 5e-4, above=False),)
    assert HoldStep(4.2, 60.0).course(CELL, 3.0).ends == (60.0,) and HoldStep(4.2, 60.0).leaves(0.62) == 4.2


def test_ramp_goes_from_its_start_or_the_present_voltage_to_its_end_at_its_rate():
    up = RampStep(4.0, 1e-3).course(CELL, 3.7)
    assert up.control == "voltage" and up.direction == 1 and up.ends == (pytest.approx(300.0, rel=1e-12),)
    assert [up.imposed(0, t) for t in (0.0, 300.0, 1e9)] == [3.7, 4.0, 4.0]
    assert up.imposed(0, 100.0) == pytest.approx(3.8, rel=1e-14)
    assert up.dt_max == pytest.approx(10.0)  # 10 mV
    down = RampStep(3.0, 1e-3, 4.0, 2.0, "C", "Li").course(CELL, 3.7)
    assert (down.imposed(0, 0.0), down.direction) == (4.0 - 0.62, -1)
    assert down.cutoffs == (CutOff("current", 10e-3, above=True),)
    assert RampStep(3.7, 1e-3).course(CELL, 3.7).ends == (0.0,)  # nothing to do


def test_gitt_is_pulses_and_rests_until_a_pulse_meets_the_cutoff():
    step = GittStep(-0.1, "C", 1800.0, 3600.0, 3.0)
    pulse, rest = CurrentStep(-0.1, "C", 1800.0, 3.0), RestStep(3600.0)
    assert [step.part(k, False) for k in range(4)] == [pulse, rest, pulse, rest]
    assert step.part(5, True) == rest and step.part(6, True) is None
    assert step.direction == -1 and step.cutoff() == 3.0


def test_single_steps_have_one_part():
    step = RestStep(1.0)
    assert step.part(0, False) is step and step.part(1, False) is step.part(1, True) is None


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


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        (HoldStep, (4.2,), "hold at 4.2 V never ends"),
        (HoldStep, (None, 60.0), "needs a voltage"),
        (HoldStep, (math.inf, 60.0), "voltage = inf"),
        (HoldStep, (4.2, 0.0), "above 0 s"),
        (HoldStep, (4.2, None, 0.0), "current_limit = 0.0 C must be finite and above zero"),
        (HoldStep, (4.2, None, -1.0), "magnitude"),
        (HoldStep, (4.2, None, 1.0, "W"), "Unit 'W'"),
        (HoldStep, (4.2, 60.0, None, "C", "Na"), "'Na'"),
        (RampStep, (None, 1e-3), "voltage at its end"),
        (RampStep, (4.2, 0.0), "above zero, got 0.0 V/s"),
        (RampStep, (4.2, -1e-3), "above zero, got -0.001 V/s"),
        (RampStep, (4.2, math.nan), "above zero"),
        (RampStep, (4.2, 1e-3, 4.2), "ramp from 4.2 V to the same voltage"),
        (RampStep, (4.2, 1e-3, None, -1.0), "magnitude"),
        (RampStep, (4.2, 1e-3, math.nan), "start = nan"),
        (GittStep, (0.1, "C", 60.0, None, 4.2), "needs its rest"),
        (GittStep, (0.1, "C", 60.0, 60.0, None), "needs its voltage_limit"),
        (GittStep, (0.1, "C", None, 60.0, 4.2), "needs its pulse"),
        (GittStep, (0.1, "C", 60.0, 0.0, 4.2), "above 0 s"),
        (GittStep, (0.0, "C", 60.0, 60.0, 4.2), "not zero"),
    ],
)
def test_impossible_holds_ramps_and_titrations_are_refused(kind, arguments, text):
    with pytest.raises(ConfigError, match=text):
        kind(*arguments)


def test_ramp_is_linear_in_time():
    course = RampStep(3.0, 2e-4, 4.0).course(CELL, 3.5)
    t = np.linspace(0.0, course.ends[0], 11)
    np.testing.assert_allclose([course.imposed(0, s) for s in t], 4.0 - 2e-4 * t, rtol=1e-14)
