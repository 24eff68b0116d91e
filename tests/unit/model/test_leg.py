"""What the run loop asks of a part of the protocol, and the count of cycles."""

import pytest

from simulator.model.leg import Cycle, Leg
from simulator.protocol import ProfileStep, parse_step


@pytest.mark.parametrize(
    ("directions", "cycles"),
    [
        ([1, -1, 1, -1], [1, 1, 2, 2]),
        ([-1, 1, -1], [1, 1, 2]),
        ([0, 1, 0, 1, 0, -1, 0, -1, 0, 1, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2]),
        ([0, 0], [1, 1]),
        ([1, 1, 1], [1, 1, 1]),
    ],
)
def test_a_cycle_begins_when_the_first_direction_returns_after_the_other(directions, cycles):
    cycle, found = Cycle(), []
    for direction in directions:
        cycle = cycle.enter(direction)
        found.append(cycle.number)
    assert found == cycles


def leg(tiny, step):
    return Leg.of(parse_step(step) if isinstance(step, str) else step, tiny.cell(), 3.8)


def test_drive_is_the_imposed_current_or_voltage(tiny):
    charge, hold = leg(tiny, "Charge at C/2 for 1 min"), leg(tiny, "Hold at 4 V for 1 min")
    one_c = charge.cell.one_c
    assert float(charge.drive(0, 1.0).current) == 0.5 * one_c and float(charge.drive(0, 1.0).constant_current) == 1
    assert float(hold.drive(0, 1.0).voltage) == 4.0 and float(hold.drive(0, 1.0).constant_current) == 0
    assert charge.scale(7.0, charge.drive(0, 0.0)) == 0.5 * one_c
    assert hold.scale(-7.0, hold.drive(0, 0.0)) == 7.0
    assert hold.scale(0.0, hold.drive(0, 0.0)) == 0.01 * one_c


def test_times_to_be_met_are_the_ends_of_pieces_and_ten_seconds_after_a_change_of_current(tiny):
    charge, hold = leg(tiny, "Charge at C/2 for 1 min"), leg(tiny, "Hold at 4 V for 1 min")
    assert [charge.target(0, t) for t in (0.0, 9.9, 10.0, 30.0)] == [10.0, 10.0, 60.0, 60.0]
    assert hold.target(0, 0.0) == 60.0
    profile = leg(tiny, ProfileStep((0.0, 3.0, 30.0), (1.0, 2.0, 0.0)))
    assert profile.target(0, 0.0) == 3.0 and profile.target(1, 3.0) == 30.0


def test_safety_voltages_watch_over_imposed_currents_only(tiny):
    statuses = {step: [e.status for e in leg(tiny, step).events] for step in ("Rest for 1 s", "Hold at 4 V until C/10")}
    assert statuses["Rest for 1 s"] == ["voltage_limit", "voltage_limit", "salt_depleted", "salt_saturated"]
    assert statuses["Hold at 4 V until C/10"] == [None, "salt_depleted", "salt_saturated"]


def test_held_rows_of_a_profile_and_times_given_twice_jump(tiny):
    rows = (0.0, 3.0, 30.0, 40.0), (1.0, 2.0, 2.0, 2.0)
    assert [leg(tiny, ProfileStep(*rows)).jumps(k) for k in (0, 1)] == [False, False]
    held = leg(tiny, ProfileStep(*rows, interpolation="hold"))
    assert [held.jumps(k) for k in (0, 1)] == [True, False]  # the second repeats its value
    twice = leg(tiny, ProfileStep((0.0, 3.0, 30.0, 30.0, 40.0), (1.0, 2.0, 2.0, 0.5, 0.5), interpolation="jumps"))
    assert [twice.jumps(k) for k in (0, 1)] == [False, True]
