"""Curves follow the Battery Data Format: exact headings, positive current charges, growing counters."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.io import accumulate_capacity, read_bdf_csv, write_bdf_csv

HEADER = (
    "Test Time / s,Voltage / V,Current / A,Step Count / 1,Cycle Count / 1,Ambient Temperature / degC,"
    "Charging Capacity / Ah,Discharging Capacity / Ah"
)


@pytest.fixture
def series():
    return {
        "test_time_second": np.array([0.0, 1800.0, 3600.0, 5400.0, 7200.0]),
        "voltage_volt": np.array([3.5, 3.9, 1 / 3 + 4, 3.8, 3.6]),
        "current_ampere": np.array([2.0, 2.0, 2.0, -2.0, -2.0]),
        "step_count": np.array([0.0, 0.0, 0.0, 1.0, 1.0]),
        "cycle_count": np.ones(5),
        "sto_mean": np.linspace(0.9, 0.5, 5),
    }


def test_headings_are_exactly_those_of_the_format(tmp_path, series):
    path = write_bdf_csv(tmp_path / "a.bdf.csv", series, ambient_temperature=333.15)
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER
    assert lines[1] == "0.0,3.5,2.0,0,1,60.0,0.0,0.0"
    assert len(lines) == 6


def test_what_is_unknown_is_an_empty_cell(tmp_path, series):
    del series["cycle_count"]
    path = write_bdf_csv(tmp_path / "a.bdf.csv", series)
    assert path.read_text().splitlines()[1] == "0.0,3.5,2.0,0,1,,0.0,0.0"
    assert np.isnan(read_bdf_csv(path)["ambient_temperature_celsius"]).all()


def test_written_numbers_are_read_back_bit_equal(tmp_path, series):
    read = read_bdf_csv(write_bdf_csv(tmp_path / "a.bdf.csv", series, ambient_temperature=333.15))
    for name in ("test_time_second", "voltage_volt", "current_ampere", "step_count"):
        np.testing.assert_array_equal(read[name], series[name])
    assert "sto_mean" not in read


def test_charge_and_discharge_are_counted_apart_and_only_grow(series):
    charged, discharged = accumulate_capacity(
        series["test_time_second"], series["current_ampere"], series["step_count"]
    )
    # the current jumps at the step change: -2 A held during the whole interval before row 3
    np.testing.assert_array_equal(charged, [0.0, 1.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(discharged, [0.0, 0.0, 0.0, 1.0, 2.0])


def test_capacities_follow_the_charge_that_passed_where_it_is_known(tmp_path, series):
    charge = 3600.0 * np.array([0.0, 0.9, 1.7, 1.1, 1.2])  # at a voltage held the trapezoids are not exact
    path = write_bdf_csv(tmp_path / "a.bdf.csv", {**series, "charge_coulomb": charge})
    read = read_bdf_csv(path)
    np.testing.assert_allclose(read["charging_capacity_ah"], [0.0, 0.9, 1.7, 1.7, 1.8], rtol=1e-14)
    np.testing.assert_allclose(read["discharging_capacity_ah"], [0.0, 0.0, 0.0, 0.6, 0.6], rtol=1e-14)


def test_a_current_that_falls_linearly_is_integrated_exactly():
    time = np.array([0.0, 600.0, 3600.0])
    charged, discharged = accumulate_capacity(time, 3.0 * (1.0 - time / 3600.0))
    # integral of 3 A (1 - t/1h); trapezoids are exact for a line, so only rounding remains
    np.testing.assert_allclose(charged, 3.0 * (time / 3600.0 - 0.5 * (time / 3600.0) ** 2), rtol=1e-15)
    assert not discharged.any()


def test_capacities_of_the_solver_win_over_the_integral_of_the_rows(tmp_path, series):
    known = {"charging_capacity_ah": np.arange(5.0), "discharging_capacity_ah": np.zeros(5)}
    read = read_bdf_csv(write_bdf_csv(tmp_path / "a.bdf.csv", series | known))
    np.testing.assert_array_equal(read["charging_capacity_ah"], np.arange(5.0))


def test_the_charge_that_the_solver_counted_wins_over_the_integral_of_the_rows(tmp_path, series):
    counted = {"charge_coulomb": np.array([0.0, 3600.0, 7300.0, 3700.0, 100.0])}
    read = read_bdf_csv(write_bdf_csv(tmp_path / "a.bdf.csv", series | counted))
    # rounding of a sum
    np.testing.assert_allclose(read["charging_capacity_ah"], np.array([0, 3600, 7300, 7300, 7300]) / 3600, rtol=1e-15)
    np.testing.assert_allclose(read["discharging_capacity_ah"], np.array([0, 0, 0, 3600, 7200]) / 3600, rtol=1e-15)


def test_cycles_are_those_of_the_run_or_counted_by_the_direction_of_the_current(tmp_path, series):
    del series["cycle_count"]
    again = {name: np.concatenate([values, values]) for name, values in series.items()}
    assert read_bdf_csv(write_bdf_csv(tmp_path / "a.bdf.csv", again))["cycle_count"].tolist() == [1] * 5 + [2] * 5
    given = series | {"cycle_count": np.array([3.0, 3, 4, 4, 4])}
    assert read_bdf_csv(write_bdf_csv(tmp_path / "b.bdf.csv", given))["cycle_count"].tolist() == [3, 3, 4, 4, 4]


def test_an_empty_time_series_gives_headings_only(tmp_path):
    empty = {name: np.zeros(0) for name in ("test_time_second", "voltage_volt", "current_ampere")}
    path = write_bdf_csv(tmp_path / "a.bdf.csv", empty)
    assert path.read_text() == HEADER + "\n"
    assert read_bdf_csv(path)["voltage_volt"].shape == (0,)


def test_files_of_others_are_read_with_any_column_order_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text(
        "\ufeffCurrent / A,Test Time / s,Cycle Count / 1,Comment,Voltage / V,Pressure / MPa\n"
        "-1e-3,0,1,start,3.5,10\n\n-1e-3,60,1,,3.4,\n",
        encoding="utf-8",
    )
    read = read_bdf_csv(path)
    np.testing.assert_array_equal(read["current_ampere"], [-1e-3, -1e-3])
    np.testing.assert_array_equal(read["test_time_second"], [0.0, 60.0])
    np.testing.assert_array_equal(read["cycle_count"], [1.0, 1.0])
    np.testing.assert_array_equal(read["Pressure / MPa"], [10.0, np.nan])
    assert "Comment" not in read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("Test Time / s,Voltage [V],Current / A\n0,3,1\n", r"'Voltage / V'.*Did you mean 'Voltage \[V\]'"),
        ("Test Time / s,Voltage / V,Current / A\n0,3\n", "row 2: 2 cells"),
        ("Test Time / s,Voltage / V,Current / A\n0,x,1\n", "'Voltage / V'.*'x'"),
        ("Test Time / s,Voltage / V,Current / A\n0,3,1\n1,,1\n", "row 3 holds no finite number"),
        ("Test Time / s,Voltage / V,Current / A,Voltage / V\n0,3,1,3\n", "repeats"),
    ],
)
def test_unusable_files_are_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "a.bdf.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_bdf_csv(path)


def test_missing_and_binary_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_bdf_csv(tmp_path / "no.bdf.csv")
    (tmp_path / "b.bdf.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_bdf_csv(tmp_path / "b.bdf.csv")


def test_unusable_series_are_refused_before_a_file_exists(tmp_path, series):
    cases = (
        ("a.csv", series, {}, r"\.bdf\.csv"),
        ("a.bdf.csv", {"voltage_volt": series["voltage_volt"]}, {}, "test_time_second"),
        ("a.bdf.csv", series | {"voltage_volt": np.zeros(2)}, {}, "equally long"),
        ("a.bdf.csv", series, {"ambient_temperature": -5.0}, "K"),
    )
    for name, table, more, message in cases:
        with pytest.raises(ConfigError, match=message):
            write_bdf_csv(tmp_path / name, table, **more)
    assert not list(tmp_path.iterdir())


def test_cycles_that_were_jumped_over_count_in_and_out() -> None:
    # 1 C in, 1 C out, then ten cycles in one row of which 0.2 C oxidised
    charge, throughput = np.array([0.0, 1.0, 0.0, 0.2]), np.array([0.0, 1.0, 2.0, 22.2])
    charged, discharged = accumulate_capacity(np.arange(4.0), np.zeros(4), charge=charge, throughput=throughput)
    np.testing.assert_allclose(3600.0 * charged, [0.0, 1.0, 1.0, 11.2])
    np.testing.assert_allclose(3600.0 * discharged, [0.0, 0.0, 1.0, 11.0])
