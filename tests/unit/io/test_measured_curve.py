"""A measured curve: checks, windows, fewer rows with their weights, current per area, capacity or mass."""

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.io.measured import MeasuredCurve, read_curve

DATA = Path(__file__).parent / "data"


def made(rows=201, **changes):
    time = np.linspace(0, 3600, rows)
    columns = {"time": time, "voltage": 3.6 + 0.5 * np.sqrt(time / 3600), "current": np.full(rows, 2e-3)}
    return MeasuredCurve(**{**columns, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"current_unit": "mA"}, "current_unit = 'mA' is none"),
        ({"voltage": np.ones(3)}, "equally long"),
        ({"time": np.zeros((201, 1)), "voltage": np.zeros((201, 1)), "current": np.zeros((201, 1))}, "1D"),
        ({"time": np.zeros(201)}, "row 2: the time does not rise: 0 s comes after 0 s"),
        ({"current": np.full(201, np.inf)}, "row 1: the current is empty or not finite"),
        ({"temperature": np.full(201, np.nan)}, "row 1: the temperature is empty"),
        ({"voltage": np.full(201, 3700.0)}, "row 1: a voltage of 3700 V.*mV"),
        ({"rows": 2}, "has 2 rows"),
    ],
)
def test_columns_that_are_no_curve_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        made(**changes)


def test_a_curve_keeps_its_own_columns_and_tells_its_range():
    time = np.linspace(0, 3600, 201)
    curve = made(time=time, step=np.ones(201), source="folder/cell.csv")
    time[0] = -1
    assert curve.time[0] == 0 and curve.step.dtype.kind == "i" and len(curve) == 201
    with pytest.raises(ValueError, match="read-only"):
        curve.voltage[0] = 0
    assert repr(curve) == "<curve of cell.csv: 201 rows, 0 to 3600 s, 3.6 to 4.1 V, 0.002 to 0.002 A>"


def test_between_keeps_the_rows_inside_with_all_columns():
    curve = made(temperature=np.full(201, 298.0), step=np.arange(201))
    part = curve.between("30 min", 3599)
    assert part.time[0] == 1800 and part.time[-1] == 3582 and part.step[0] == 100 and part.temperature.size == len(part)
    assert len(curve.between()) == len(curve)
    with pytest.raises(ConfigError, match="2 rows from begin = 0 to end = 20"):
        curve.between(0, 20)


def test_weights_are_the_seconds_that_rows_stand_for():
    curve = MeasuredCurve(np.array([0.0, 1, 3, 7]), np.full(4, 3.0), np.zeros(4))
    assert curve.weights.tolist() == [0.5, 1.5, 3, 2]
    # the length of the curve, whatever the rows: sums of multiples of 1/2 s
    assert curve.weights.sum() == 7


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_rows_within_a_tolerance_hold_the_voltage(tolerance):
    for curve in (made(), read_curve(DATA / "lgm50t_thinned.csv")):
        few = curve.resampled(tolerance=tolerance)
        off = np.abs(np.interp(curve.time, few.time, few.voltage) - curve.voltage).max()
        # rounding of the interpolation
        assert off <= tolerance * (1 + 1e-9) and len(few) < len(curve)
        np.testing.assert_allclose(few.weights.sum(), curve.weights.sum(), rtol=1e-12)
        assert np.isin(few.time, curve.time).all() and few.time[[0, -1]].tolist() == curve.time[[0, -1]].tolist()
        at = np.searchsorted(curve.time, few.time)
        assert few.current.tolist() == curve.current[at].tolist()


def test_a_number_of_rows_is_spent_where_the_voltage_bends():
    curve = made()
    few = curve.resampled(9)
    off = np.abs(np.interp(curve.time, few.time, few.voltage) - curve.voltage).max()
    even = curve.resampled(9, evenly="time")
    worse = np.abs(np.interp(curve.time, even.time, even.voltage) - curve.voltage).max()
    assert len(few) == len(even) == 9 and off < 0.2 * worse
    assert even.time.tolist() == [450.0 * k for k in range(9)]
    assert len(curve.resampled(1000)) == len(curve)
    line = made(voltage=np.full(201, 3.7))
    assert len(line.resampled(tolerance=1e-3)) == 3  # a curve has three rows at least


def test_even_in_charge_leaves_rests_out():
    current = np.where(made().time < 1800, 1.0, 0.0)
    rows = made(current=current).resampled(6, evenly="charge")
    assert (rows.time < 1830).sum() == 5 and rows.time[-1] == 3600
    np.testing.assert_allclose(rows.time[:5], 360 * np.arange(5), atol=18)  # one interval between rows
    with pytest.raises(ConfigError, match="no charge passes"):
        made(current=np.zeros(201)).resampled(6, evenly="charge")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "a number of rows, or a tolerance"),
        ({"rows": 2}, "rows = 2 must be a whole number >= 3"),
        ({"rows": 4.5}, "rows = 4.5"),
        ({"tolerance": 0.0}, "tolerance = 0.0 must lie above 0 V"),
        ({"rows": 9, "evenly": "voltage"}, "evenly = 'voltage' must be 'time' or 'charge'"),
        ({"tolerance": 1e-3, "evenly": "time"}, "without a tolerance"),
        ({"rows": 5, "tolerance": 1e-5}, "5 rows keep the voltage within .* V, not 1e-05 V"),
    ],
)
def test_impossible_resamplings_are_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        made().resampled(**arguments)


@pytest.mark.parametrize(
    ("given", "factor", "unit"),
    [({"area": 1e-4}, 1e4, "A/m2"), ({"capacity": 0.004}, 250.0, "C"), ({"mass": 2e-5}, 5e4, "mA/g")],
)
def test_a_current_is_scaled_by_area_capacity_or_mass(given, factor, unit):
    curve = made()
    scaled = curve.scaled(**given)
    assert scaled.current_unit == unit and scaled.voltage.tolist() == curve.voltage.tolist()
    np.testing.assert_allclose(scaled.current, factor * curve.current, rtol=1e-14)
    with pytest.raises(ConfigError, match=f"is in {unit} already.*Leave {next(iter(given))} out"):
        scaled.scaled(**given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one of area .* got none"),
        ({"area": 1e-4, "mass": 1.0}, "got area, mass"),
        ({"area": 0.0}, "area = 0.0 must be finite and above zero"),
        ({"capacity": float("nan")}, "capacity = nan"),
    ],
)
def test_scales_that_are_no_size_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        made().scaled(**given)


def test_rows_are_not_chosen_by_their_noise():
    """The rows of a noisy curve carry the noise of any row: chosen for their own deviation, they carried twice it."""
    time = np.linspace(0.0, 3600.0, 1000)
    smooth = 3.7 + 0.2 * (time / 3600.0) ** 2
    found = []
    for seed in range(10):
        noise = 1e-3 * np.random.default_rng(seed).standard_normal(time.size)
        chosen = MeasuredCurve(time, smooth + noise, np.ones(time.size)).resampled(40)
        found.append(chosen.voltage - 3.7 - 0.2 * (chosen.time / 3600.0) ** 2)
    # 400 values: the standard deviation is known to 3.5 %; the first and the last row are no choice
    assert np.std(found) == pytest.approx(1e-3, rel=0.12)
