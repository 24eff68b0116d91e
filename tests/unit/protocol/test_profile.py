"""Drive profiles: columns and units of the file, the course between the rows, and what is refused."""

import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.protocol import Basis, ProfileStep, parse_protocol, parse_step, replace_files

CELL = Basis(one_c=5e-3, area=1e-4, am_mass=2e-5)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Function that writes a profile into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="profile.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


@pytest.mark.parametrize(
    ("heading", "value", "unit"),
    [
        ("Current / A", 1.5, "A"),
        ("Current / mA", 1.5e-3, "A"),
        ("Current / A m-2", 1.5, "A/m2"),
        ("Current density / mA cm-2", 15.0, "A/m2"),
        ("Current density / mA/cm^2", 15.0, "A/m2"),
        ("Current / C", 1.5, "C"),
        ("current / mA g-1", 1.5, "mA/g"),
        ("Current [mA]", 1.5e-3, "A"),
        ("current_mA_cm2", 15.0, "A/m2"),
    ],
)
def test_current_is_read_in_the_unit_of_its_heading(written, heading, value, unit):
    written(f"Test Time / s,{heading}\n0,1.5\n1,-3\n")
    step = parse_step("Drive profile.csv")
    assert step.unit == unit and step.value[0] == pytest.approx(value, rel=1e-14)
    assert step.value[1] == pytest.approx(-2 * value, rel=1e-14)


@pytest.mark.parametrize(("heading", "seconds"), [("Test Time / s", 1.0), ("Time / min", 60.0), ("time / h", 3600.0)])
def test_time_is_read_in_the_unit_of_its_heading_and_other_columns_are_not_read(written, heading, seconds):
    written(f"Voltage / V,{heading},Current / A\nx,2,1\ny,3,1\n\n")
    assert parse_step("Drive profile.csv").time == (2 * seconds, 3 * seconds)


def test_straight_lines_join_the_rows_and_the_first_row_is_the_begin():
    step = ProfileStep((10.0, 12.0, 20.0), (0.0, 1.0, -3.0), "C")
    course = step.course(CELL, 3.7)
    assert course.control == "current" and course.ends == (2.0, 10.0) and course.cutoffs == ()
    amperes = [course.imposed(0, 1.0), course.imposed(0, 2.0), course.imposed(1, 2.0), course.imposed(1, 6.0)]
    np.testing.assert_allclose(amperes, np.array([0.5, 1.0, 1.0, -1.0]) * 5e-3, rtol=1e-14)
    assert course.imposed(0, 2.0) == course.imposed(1, 2.0)  # to the last bit: a bend is no jump


def test_held_rows_jump_to_the_next_and_the_last_row_is_the_end():
    course = ProfileStep((0.0, 2.0, 5.0), (1.0, -1.0, 7.0), "A", "hold").course(CELL, 3.7)
    assert [course.imposed(0, 0.0), course.imposed(0, 2.0), course.imposed(1, 2.0), course.imposed(1, 5.0)] == [
        *(1.0, 1.0, -1.0, -1.0)
    ]


def test_a_time_given_twice_is_a_jump_between_straight_lines():
    step = ProfileStep((10.0, 12.0, 12.0, 20.0, 21.0), (0.0, 1.0, -1.0, -3.0, 5.0), "A", "jumps")
    course = step.course(CELL, 3.7)
    assert course.ends == (2.0, 10.0, 11.0) and step.direction == -1
    asked = [(0, 0.0), (0, 1.0), (0, 2.0), (1, 2.0), (1, 6.0), (1, 10.0), (2, 10.0), (2, 10.5), (2, 11.0)]
    assert [course.imposed(*at) for at in asked] == [0.0, 0.5, 1.0, -1.0, -2.0, -3.0, -3.0, 1.0, 5.0]


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ((0.0, 0.0, 1.0), "row 2, 0 s, repeats.*the first and the last one once"),
        ((0.0, 1.0, 1.0), "row 3, 1 s, repeats.*the first and the last one once"),
        ((0.0, 1.0, 1.0, 1.0, 2.0), "row 3, 1 s, repeats.*twice at most"),
        ((0.0, 2.0, 1.0), "row 3, 1 s, does not rise: 2 s comes before it"),
    ],
)
def test_a_jump_lies_between_two_stretches_of_time(time, text):
    with pytest.raises(ConfigError, match=text):
        ProfileStep(time, (0.0,) * len(time), "A", "jumps")


def test_direction_is_that_of_the_charge_that_a_profile_moves():
    assert ProfileStep((0.0, 1.0, 4.0), (1.0, 1.0, -1.0)).direction == 1  # 1 C, then nothing
    assert ProfileStep((0.0, 1.0, 4.0), (1.0, -1.0, 9.0), interpolation="hold").direction == -1
    assert ProfileStep((0.0, 1.0, 2.0), (0.1, -0.1, 0.1)).direction == 0


def test_content_and_not_the_name_of_the_file_makes_the_profile(written):
    one, other = written("Time / s,Current / A\n0,1\n1,2\n"), written("Time / s,Current / A\n0,1\n1,2.0\n", "b.csv")
    changed = written("Time / s,Current / A\n0,1\n1,2.5\n", "c.csv")
    a, b, c = (parse_step(f"Drive {name}") for name in (one, other, changed))
    assert a == b and repr(a) == repr(b)
    assert a != c and repr(a) != repr(c) and repr(a) != repr(parse_step(f"Drive {one} hold"))


@pytest.mark.parametrize("name", ["profile.csv", "my profile.csv", "a, b.csv"])
@pytest.mark.parametrize("how", ["linear", "hold", "jumps"])
def test_description_reads_back(written, name, how):
    step = ProfileStep.from_csv(written("Time / s,Current / A\n0,1\n1,2\n", name), how)
    again = parse_step(step.describe())
    assert again == step and again.path == name
    assert parse_protocol(f"Repeat 2 times: Drive {name}, {how}; End repeat") == (step, step)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty"),
        ("Time / s,Current / A\n", "is empty"),
        ("Time / s,Current / A\n0,1\n", "has 1 row; it needs at least two"),
        ("0,1\n1,2\n", "no column for the time"),
        ("Time / s,Power / W\n0,1\n1,2\n", "no column for the current.*'Power / W'"),
        ("Time / s;Current / A\n0;1\n1;2\n", "has one column only.*commas between"),
        ("Time,Current / A\n0,1\n1,2\n", "'Time' has no known unit of time"),
        ("Time / days,Current / A\n0,1\n1,2\n", "'Time / days' has no known unit"),
        ("Time / s,Current\n0,1\n1,2\n", "'Current' has no known unit of current"),
        ("Time / s,Current / V\n0,1\n1,2\n", "'Current / V' has no known unit of current"),
        ("Time / s,Current / A,Current / C\n0,1,1\n1,2,1\n", "several columns for the current"),
        ("Time / s,Current / A,Time / s\n0,1,1\n1,2,1\n", "several columns for the time"),
        ("Time / s,Current / A\n0,1\n1,nan\n", "line 3: 'nan' under 'Current / A'"),
        ("Time / s,Current / A\n0,1\n1,\n", "line 3: '' under 'Current / A'"),
        ("Time / s,Current / A\n0,1\nx,2\n", "line 3: 'x' under 'Time / s'"),
        ("Time / s,Current / A\n0,1,2\n1,2\n", "line 2: 3 cells under 2 headings"),
        ("Time / s,Current / A\n0,1\n2,1\n1,2\n", "row 3, 1 s, does not rise: 2 s comes before it"),
        ("Time / s,Current / A\n0,1\n2,1\n2,2\n", "row 3, 2 s, repeats.*use 'hold'"),
    ],
)
def test_wrong_files_are_refused_by_place_and_reason(written, content, text):
    written(content)
    with pytest.raises(ConfigError, match=text):
        parse_step("Drive profile.csv")


def test_a_missing_file_is_named_with_the_working_directory(written, tmp_path):
    with pytest.raises(ConfigError, match=f"'nothing.csv' does not exist .working directory {tmp_path}"):
        parse_step("Drive nothing.csv")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((0.0, 1.0), (1.0,)), "2 times and 1 currents"),
        (((0.0, math.nan), (1.0, 1.0)), "time in row 2 is nan"),
        (((0.0, 1.0), (1.0, math.inf)), "value in row 2 is inf"),
        ((((0.0, 1.0), (2.0, 3.0)), (1.0, 1.0)), "one column"),
        (((0.0, 1.0), ("a", "b")), "must be numbers"),
        (((0.0, 1.0), (1.0, 1.0), "W"), "Unit 'W'"),
        (((0.0, 1.0), (1.0, 1.0), "A", "cubic"), "'linear', 'hold' or 'jumps'"),
    ],
)
def test_impossible_profiles_are_refused(arguments, text):
    with pytest.raises(ConfigError, match=text):
        ProfileStep(*arguments)


def test_arrays_are_taken_and_compared_by_value():
    step = ProfileStep(np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    assert step == ProfileStep((0.0, 1.0), (1.0, 2.0)) and hash(step) == hash(ProfileStep((0.0, 1.0), (1.0, 2.0)))


def test_names_of_files_are_found_in_a_protocol_text():
    text = 'Rest for 1 s; Repeat 2 times: drive a b.csv hold\nDrive "x.csv"; Drive y.csv; End repeat'
    found = replace_files(text, lambda name: f"<{name}>")
    assert found == 'Rest for 1 s; Repeat 2 times: drive <a b.csv> hold\nDrive "<x.csv>"; Drive <y.csv>; End repeat'
    assert replace_files("Charge at C/10 until 4.2 V", str.upper) == "Charge at C/10 until 4.2 V"
