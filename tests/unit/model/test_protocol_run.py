"""Runs of holds, ramps, titrations, profiles and cycles on the tiny electrode."""

import numpy as np
import pytest

from simulator.model import SolverOptions, simulate
from simulator.protocol import ProfileStep

OPTIONS = SolverOptions(dt_init=20.0)
BALANCE = 1e-9  # each stage is closed to 1e-10 of its current


def run(cell, protocol, **more):
    return simulate(cell, protocol, **{"options": OPTIONS, **more})


def steps(solution, name):
    """The column `name` of each executed step."""
    number = solution.timeseries["step_count"]
    return [solution.timeseries[name][number == n] for n in np.unique(number)]


@pytest.fixture(scope="module")
def cccv(tiny):
    cell = tiny.cell()
    return cell, run(cell, "Charge at C/2 until 3.9 V; Hold at 3.9 V until C/10; Rest for 2 min", snapshots=100)


def test_constant_voltage_follows_constant_current_without_a_jump(cccv):
    cell, s = cccv
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    _, volts, _ = steps(s, "voltage_volt")
    charge, hold, rest = steps(s, "current_ampere")
    assert np.all(volts == 3.9)
    assert hold[0] == pytest.approx(charge[-1], rel=1e-3)  # the cut-off was met to 1e-5 V of 80 mV of polarisation
    assert np.all(np.diff(hold) < 0) and np.all(rest == 0)
    assert hold[-1] == pytest.approx(0.1 * cell.one_c, rel=1e-4)  # accuracy of a located current


def test_losses_of_a_hold_add_up_to_its_voltage(cccv):
    series = cccv[1].timeseries
    hold = (series["step_count"] == 2) & (series["time_step_second"] > 0)
    losses = sum(values for name, values in series.items() if name.startswith("loss_"))
    # Newton leaves 1e-6 of the current on potentials that differ by some 100 mV
    assert np.max(np.abs(3.9 - series["ocv_volt"] - losses)[hold]) < 1e-6


def test_charge_of_a_hold_is_the_lithium_that_left(cccv):
    s = cccv[1]
    sto, charge = s.timeseries["sto_mean"], s.capacity
    moved = (sto[0] - sto) / (sto[0] - sto[-1]) * charge[-1]
    np.testing.assert_allclose(moved, charge, rtol=0, atol=1e-9 * charge[-1])


def test_a_hold_passed_already_is_skipped_with_a_warning_and_the_state_goes_on(tiny):
    with pytest.warns(UserWarning, match="Step 2 .Hold at 3.85 V until 3 C. did nothing"):
        s = run(tiny.cell(), "Charge at C/2 for 1 min; Hold at 3.85 V until 3C; Rest for 1 min")
    assert s.status == "finished" and s.time[-1] == 120.0
    assert [len(v) for v in steps(s, "voltage_volt")][1] == 1


def test_a_hold_ends_by_time_where_its_current_has_not_fallen(tiny):
    s = run(tiny.cell(), "Hold at 3.9 V until C/1000 or for 90 s")
    assert s.status == "finished" and s.time[-1] == 90.0 and np.all(s.voltage == 3.9)
    assert max(s.ledger.values()) <= BALANCE


def test_ramp_follows_its_line_from_the_present_voltage_and_back(tiny):
    s = run(tiny.cell(), "Ramp to 3.86 V at 0.2 mV/s; Ramp to 3.84 V at 0.2 mV/s")
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    (t_up, t_down), (v_up, v_down) = steps(s, "test_time_second"), steps(s, "voltage_volt")
    rest = s.timeseries["ocv_volt"][0]
    np.testing.assert_allclose(v_up, rest + 2e-4 * t_up, rtol=1e-12)
    np.testing.assert_allclose(v_down, 3.86 - 2e-4 * (t_down - t_up[-1]), rtol=1e-12)
    assert v_up[-1] == 3.86 and v_down[-1] == 3.84
    assert s.current[0] == pytest.approx(0.0, abs=1e-6 * np.max(s.current)) and s.current[len(v_up) - 1] > 0
    assert np.max(np.diff(s.voltage)) <= 0.010001  # [V], a step of a ramp


def test_ramp_ends_at_its_current(tiny):
    cell = tiny.cell()
    s = run(cell, "Ramp to 4.2 V at 0.5 mV/s or until C/4")
    assert s.status == "finished" and s.voltage[-1] < 4.0
    assert s.current[-1] == pytest.approx(0.25 * cell.one_c, rel=1e-4)


def test_ramp_to_the_present_voltage_has_nothing_to_do(tiny):
    with pytest.warns(UserWarning, match="Step 2 .Ramp to 3.86 V.*did nothing"):
        s = run(tiny.cell(), "Hold at 3.86 V for 30 s; Ramp to 3.86 V at 1 mV/s")
    assert s.status == "finished" and s.time[-1] == 30.0


def test_titration_pulses_until_one_meets_the_cutoff_and_rests_after_it(tiny):
    cell = tiny.cell()
    s = run(cell, "GITT at 1C for 1 min, rest 20 s, until 3.91 V; Discharge at C/2 for 10 s")
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    times, currents = steps(s, "test_time_second"), steps(s, "current_ampere")
    signs = [float(np.sign(c[-1])) for c in currents]
    assert signs[:-1] == [1.0, 0.0] * (len(signs) // 2) and signs[-1] == -1.0 and len(signs) >= 5
    lengths = [t[-1] - t[0] for t in times]
    np.testing.assert_allclose(lengths[1:-1:2], 20.0, rtol=1e-12)  # each rest, the last one too
    np.testing.assert_allclose(lengths[:-3:2], 60.0, rtol=1e-12)
    assert lengths[-3] <= 60.0 and steps(s, "voltage_volt")[-3][-1] == pytest.approx(3.91, abs=1e-5)
    np.testing.assert_array_equal(np.unique(s.timeseries["step_count"]), np.arange(1, len(signs) + 1))


def test_titration_that_begins_beyond_its_cutoff_rests_and_is_over(tiny):
    with pytest.warns(UserWarning, match="Step 1 .*did nothing"):
        s = run(tiny.cell(), "GITT at C/2 for 2 min, rest 1 min, until 3.7 V")
    assert s.status == "finished" and s.time[-1] == 60.0


def test_profile_of_straight_lines_is_followed_and_its_charge_is_exact(tiny):
    cell = tiny.cell()
    time, value = (0.0, 30.0, 90.0, 120.0), (0.0, 0.5, 0.5, -0.3)
    s = run(cell, ProfileStep(time, value, "C"), times=[60.0, 105.0])
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    np.testing.assert_allclose(s.current, np.interp(s.time, time, value) * cell.one_c, rtol=1e-12, atol=1e-25)
    assert set(time) <= set(np.round(s.time, 9)) and {60.0, 105.0} <= set(np.round(s.time, 9))
    # the scheme integrates straight lines exactly
    exact = np.cumsum([0.0, 7.5, 30.0, 3.0]) * cell.one_c
    np.testing.assert_allclose(np.interp(time, s.time, s.capacity), exact, rtol=1e-12, atol=1e-25)
    assert np.all(s.timeseries["step_count"] == 1)


def test_profile_of_held_rows_jumps_with_a_state_on_either_side(tiny):
    cell = tiny.cell()
    s = run(cell, ProfileStep((0.0, 30.0, 60.0, 61.0), (0.5, -0.25, 0.0, 9.0), "C", "hold"))
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    jump = np.flatnonzero(np.isclose(s.time, 30.0, atol=1e-9))
    np.testing.assert_allclose(s.current[jump] / cell.one_c, [0.5, -0.25], rtol=1e-12)
    assert s.voltage[jump[0]] > s.voltage[jump[1]] and s.current[-1] == 0.0
    assert s.capacity[-1] == pytest.approx(0.25 * 30.0 * cell.one_c, rel=1e-12)


def test_profile_with_jumps_between_lines_passes_its_charge_exactly(tiny):
    cell = tiny.cell()
    time, value = (0.0, 30.0, 30.0, 60.0, 60.0, 90.0), (0.0, 0.0, 0.5, 0.25, -0.25, -0.25)
    s = run(cell, ProfileStep(time, value, "C", "jumps"))
    assert s.status == "finished" and max(s.ledger.values()) <= BALANCE
    for t, both in ((30.0, [0.0, 0.5]), (60.0, [0.25, -0.25])):
        jump = np.flatnonzero(np.isclose(s.time, t, atol=1e-9))
        np.testing.assert_allclose(s.current[jump] / cell.one_c, both, rtol=1e-12, atol=1e-20)
    # 11.25 seconds at 1C in, 7.5 out
    exact = (11.25 - 7.5) * cell.one_c
    assert s.capacity[-1] == pytest.approx(exact, rel=1e-12)


def test_safety_limits_end_a_profile(tiny):
    cell = tiny.cell({"voltage_limits": (2.0, 3.9)})
    s = run(cell, ProfileStep((0.0, 600.0), (0.0, 2.0), "C"))
    assert s.status == "voltage_limit" and s.voltage[-1] == pytest.approx(3.9, abs=1e-5)
    jumping = run(cell, ProfileStep((0.0, 10.0, 20.0), (0.1, 3.0, 0.0), "C", "hold"))
    assert jumping.status == "voltage_limit" and jumping.time[-1] == pytest.approx(10.0)


def test_cycles_are_counted_through_rests_and_holds(tiny):
    text = "Repeat 2 times: Rest for 5 s; Charge at C/2 for 5 s; Hold at 3.84 V for 5 s; Discharge at C/2 for 5 s"
    s = run(tiny.cell(), f"{text}; End repeat")
    assert s.status == "finished"
    assert [set(c) for c in steps(s, "cycle_count")] == [{1.0}] * 5 + [{2.0}] * 3
    assert s.timeseries["step_count"][-1] == 8
