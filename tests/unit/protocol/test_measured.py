"""Measured currents as profiles: plateaus, tails, jumps, charge, times."""

import csv
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.protocol import Basis
from simulator.protocol.measured import profile_from_current

DATA = Path(__file__).parents[1] / "io" / "data"
CELL = Basis(one_c=1.0, area=1.0, am_mass=1.0)


def charge(time, value):
    """Of straight lines; a time given twice adds nothing."""
    return float(np.sum(0.5 * (value[1:] + value[:-1]) * np.diff(time)))


def rows(profile):
    return np.array(profile.time), np.array(profile.value)


def synthetic(noise=0.0, dt=10.0):
    """CC-CV, rest, pulses, discharge: time, current, step. Each row is the end of an interval with its current."""
    tail = np.exp(-dt * np.arange(1, 361) / 900.0)
    parts = [[0.0] * 30, [1.0] * 300, tail, [0.0] * 100, *[[0.5] * 6, [0.0] * 60] * 3, [-1.0] * 200, [0.0] * 50]
    current = np.concatenate(parts)
    step = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    step[step > 1] -= 1  # cyclers count constant current and voltage as one step
    current = current + noise * np.random.default_rng(3).uniform(-1, 1, current.size)
    return dt * np.arange(current.size), current, step


@pytest.mark.parametrize("noise", [0.0, 5e-4])
@pytest.mark.parametrize("with_steps", [True, False])
def test_steps_tails_and_pulses_become_few_pieces_with_the_same_charge(noise, with_steps):
    time, current, step = synthetic(noise)
    profile = profile_from_current(time, current, "C", 2e-3, step=step if with_steps else None)
    t, v = rows(profile)
    # eight plateaus beside the pulses, six of those, a tail of some ten lines, for 1,200 rows
    assert (np.diff(t) > 0).sum() < 40
    assert np.isin(t, time).all() and t[0] == time[0] and t[-1] == time[-1]
    held = np.where(np.diff(step) != 0, current[1:], current[:-1])
    exact = float(np.sum(0.5 * (held + current[1:]) * np.diff(time)))
    # sums of numbers of the size of the charge
    assert charge(t, v) == pytest.approx(exact, abs=1e-12 * np.abs(current).sum() * 10)
    # between the jumps every row is within the tolerance: the value before a jump is that of its row
    course = profile.course(CELL, 3.7)
    piece = np.searchsorted(course.ends, time - time[0])
    piece = np.minimum(piece, len(course.ends) - 1)
    fit = np.array([course.imposed(int(p), float(s)) for p, s in zip(piece, time, strict=True)])
    assert np.abs(fit - current).max() <= 2e-3 * np.abs(current).max() * (1 + 1e-9)


def test_a_step_jumps_at_the_row_that_ends_the_one_before():
    time, current = np.array([0.0, 10, 20, 30, 40, 50]), np.array([0.0, 0, 0, 1, 1, 1])
    profile = profile_from_current(time, current, "A")
    assert profile.time == (0, 20, 20, 50) and profile.value == (0, 0, 1, 1) and profile.interpolation == "jumps"
    course = profile.course(CELL, 3.7)
    assert course.ends == (20, 50) and course.imposed(0, 20.0) == 0 and course.imposed(1, 20.0) == 1


def test_a_noisy_plateau_is_one_piece_with_its_mean_over_time():
    time = np.cumsum(np.random.default_rng(4).uniform(0.5, 2, 400))
    current = 1 + 9e-4 * np.random.default_rng(5).uniform(-1, 1, 400)
    profile = profile_from_current(time, current, "A", 1e-3)
    assert profile.time == (time[0], time[-1]) and profile.value[0] == profile.value[1]
    assert charge(*rows(profile)) == pytest.approx(charge(time, current), rel=1e-14)


def test_a_ramp_is_one_line_and_a_rest_stays_exactly_zero():
    time = np.linspace(0, 100, 101)
    ramp = profile_from_current(time, 0.01 * time, "C")
    assert ramp.time == (0, 100) and ramp.value == pytest.approx((0, 1), abs=1e-12)
    rest = profile_from_current(time, np.zeros(101), "C")
    assert rest.time == (0, 100) and rest.value == (0, 0) and rest.direction == 0


def test_small_steps_jump_only_where_the_cycler_says_so():
    time, current = np.arange(40.0), np.repeat([1.0, 1.004], 20)
    step = np.repeat([1, 2], 20)
    assert profile_from_current(time, current, "C", 2e-3, step=step).time == (0, 19, 19, 39)
    same = profile_from_current(time, current, "C", 2e-3, step=np.ones(40))
    assert charge(*rows(same)) == pytest.approx(charge(time, current), rel=1e-14)


def test_rows_without_any_smoothness_are_followed_row_by_row():
    time, current = np.arange(200.0), np.random.default_rng(6).normal(0, 1, 200)
    profile = profile_from_current(time, current, "C", 1e-6)
    t, v = rows(profile)
    assert np.isin(time, t).all() and np.isin(v, current).all()


@pytest.mark.parametrize(("tolerance", "most"), [(1e-2, 70), (1e-3, 120)])
def test_a_real_test_keeps_its_times_and_the_charge_that_the_cycler_counted(tolerance, most):
    with (DATA / "lgm50t_thinned.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    columns = {name: np.array([float(row[name]) for row in table]) for name in ("time_s", "current_A", "step")}
    # the first row of a step repeats the time of the last one of the step before
    kept = np.append(True, np.diff(columns["time_s"]) > 0)
    time, current, step = (column[kept] for column in columns.values())
    t, v = rows(profile_from_current(time, current, "A", tolerance, step=step))
    assert (np.diff(t) > 0).sum() < most and np.isin(t, time).all()
    passed = np.append(0, np.cumsum(0.5 * (v[1:] + v[:-1]) * np.diff(t))) / 3600
    ends = np.flatnonzero(np.diff(step))
    for name, sign in (("charge_capacity_Ah", 1), ("discharge_capacity_Ah", -1)):
        for number in (2, 4, 6, 9):
            counted = max(float(row[name]) for row in table if float(row["step"]) == number)
            if counted > 0:
                first, last = (time[ends[np.flatnonzero(step[ends] == k)[-1]]] for k in (number - 1, number))
                went = sign * (np.interp(last, t, passed) - np.interp(first, t, passed))
                # the thinned rows leave out what the tail does in 20 s
                assert went == pytest.approx(counted, rel=2e-4), number


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0, 1, 2], [1, 1, 1], "W"), "Unit 'W'"),
        (([0, 1, 2], [1, 1, 1], "A", 0.0), r"tolerance = 0.0 .*\(0, 0.5\]"),
        (([0, 1, 2], [1, 1, 1], "A", "x"), "tolerance = 'x'"),
        (([0, 1, 2], [1, 1], "A"), "equally long"),
        (([0, 1, 1], [1, 1, 1], "A"), "row 3, 1 s, repeats"),
        (([0, 1, 2], [1, np.nan, 1], "A"), "value in row 2 is nan"),
        (([0], [1], "A"), "1 row; it needs at least two"),
    ],
)
def test_currents_that_are_no_table_are_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        profile_from_current(*arguments)
    with pytest.raises(ConfigError, match="equally long"):
        profile_from_current([0, 1, 2], [1, 1, 1], "A", step=[1, 2])
