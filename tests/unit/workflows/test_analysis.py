"""Numbers read off a curve."""

from types import SimpleNamespace

import numpy as np
import pytest

from simulator.workflows.analysis import pulse_resistance


def curve(rows):
    names = ("test_time_second", "voltage_volt", "current_ampere", "step_count", "ocv_volt")
    return SimpleNamespace(timeseries=dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True)), area=2e-4)


RUN = curve(
    [
        (0.0, 3.70, 0.0, 1.0, 3.7),  # a rest first
        (10.0, 3.70, 0.0, 1.0, 3.7),
        (10.0, 3.66, -1e-3, 2.0, 3.7),
        (15.0, 3.65, -1e-3, 2.0, 3.7),
        (20.0, 3.64, -1e-3, 2.0, 3.7),
        (30.0, 3.63, -1e-3, 2.0, 3.7),
        (30.0, 3.68, 0.0, 3.0, 3.7),
        (40.0, 3.69, 0.0, 3.0, 3.7),
        (40.0, 3.74, 2e-3, 4.0, 3.7),
        (45.0, 3.75, 2e-3, 4.0, 3.7),  # over after 5 s
    ]
)


def test_resistance_is_the_change_of_voltage_over_that_of_the_current_ten_seconds_later():
    found = pulse_resistance(RUN)
    assert [p.step for p in found] == [2, 3]  # step 1 changes no current, step 4 is too short
    assert found[0].resistance == pytest.approx((3.64 - 3.70) / -1e-3 * 2e-4)
    assert found[1].resistance == pytest.approx((3.69 - 3.63) / 1e-3 * 2e-4)
    assert (found[0].time, found[0].current_before, found[0].current_after) == (10.0, 0.0, -1e-3)


def test_another_time_is_possible_if_the_run_holds_it():
    assert [p.step for p in pulse_resistance(RUN, after=5.0)] == [2, 4]
    assert pulse_resistance(RUN, after=7.0) == []


def test_a_current_that_goes_on_to_change_has_no_resistance():
    rows = [
        *((0.0, 3.75, 1e-3, 1.0, 3.7), (10.0, 3.8, 1e-3, 1.0, 3.71)),
        *((10.0, 3.8, 1e-3, 2.0, 3.71), (20.0, 3.8, 0.9e-3, 2.0, 3.71)),  # constant voltage
        *((20.0, 3.6, -2e-3, 3.0, 3.71), (30.0, 3.6, -1e-3, 3.0, 3.7)),  # held at another voltage
        *((30.0, 3.7, 0.0, 4.0, 3.7), (40.0, 3.7, 1e-3, 4.0, 3.7)),  # a profile
    ]
    assert [p.step for p in pulse_resistance(curve(rows))] == [1]


def test_without_an_open_circuit_voltage_only_the_first_step_has_no_resistance():
    series = {name: values for name, values in RUN.timeseries.items() if name != "ocv_volt"}
    assert len(pulse_resistance(SimpleNamespace(timeseries=series, area=2e-4))) == 2
    one = {name: values[2:5] for name, values in series.items()}
    assert np.isnan(pulse_resistance(SimpleNamespace(timeseries=one, area=2e-4))[0].resistance)


def test_a_run_that_starts_with_a_current_is_measured_against_open_circuit():
    rows = [(0.0, 3.75, 1e-3, 1.0, 3.7), (10.0, 3.8, 1e-3, 1.0, 3.71)]
    assert pulse_resistance(curve(rows))[0].resistance == pytest.approx(0.1 / 1e-3 * 2e-4)


def test_the_first_step_behind_cycles_that_were_jumped_over_has_no_resistance():
    """The row of a jump ends it: without current, at the voltage that was last seen under current."""
    rows = [
        *((0.0, 3.70, 1e-3, 1.0, 3.7), (10.0, 3.75, 1e-3, 1.0, 3.7), (900.0, 4.2, 1e-3, 1.0, 4.1)),
        *((900.0, 3.9, -1e-3, 2.0, 4.1), (910.0, 3.88, -1e-3, 2.0, 4.1), (1800.0, 2.8, -1e-3, 2.0, 3.3)),
        (9e4, 2.8, 0.0, 40.0, 3.3),
        *((9e4, 3.4, 1e-3, 41.0, 3.3), (90010.0, 3.5, 1e-3, 41.0, 3.3), (9.1e4, 4.2, 1e-3, 41.0, 4.1)),
        *((9.1e4, 3.9, -1e-3, 42.0, 4.1), (91010.0, 3.88, -1e-3, 42.0, 4.1)),
    ]
    assert [p.step for p in pulse_resistance(curve(rows))] == [1, 2, 42]
