"""The table of cycles: every value from a curve whose integrals are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.workflows import cycles
from simulator.workflows.cycles import CYCLE_OUTPUTS, CycleOutput, cycle_table, has_cycles, mean_voltages

MASS, AREA = 2e-9, 4e-10  # [kg], [m2]


def curve(steps, **more):
    """Rows as the program writes them: one at the start of each step, right after the change of current, then four.

    `steps`: (current [A], duration [s], voltage at its start, at its end), voltages linear in time.
    """
    rows, t, q = [], 0.0, 0.0
    for number, (current, length, start, end) in enumerate(steps, start=1):
        for share in (0.0, 10.0 / length, 0.3, 0.6, 1.0):
            rows.append(
                (t + share * length, start + share * (end - start), current, number, q + share * current * length)
            )
        t, q = t + length, q + current * length
    names = ("test_time_second", "voltage_volt", "current_ampere", "step_count", "charge_coulomb")
    series = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True)) | more
    series["ocv_volt"] = np.full(series["test_time_second"].size, 3.5)
    return SimpleNamespace(timeseries=series, capacity=series["charge_coulomb"], area=AREA, am_mass=MASS)


#: two cycles of 1 mA; the second gives 0.9 of the first back; a rest after the first charge
TWO = [
    (1e-3, 3600.0, 3.6, 4.2),
    (0.0, 600.0, 4.1, 4.0),
    (-1e-3, 3600.0, 3.9, 2.9),
    (1e-3, 3400.0, 3.7, 4.3),
    (-1e-3, 3240.0, 3.8, 2.8),
]


def test_values_of_a_cycle_follow_from_the_curve():
    table = cycle_table(curve(TWO))
    mah_per_g = 1.0 / 2e-6  # 1 mAh over 2 ug
    expected = {
        "cycle [-]": [1, 2],
        "charge capacity [mAh/g AM]": [mah_per_g, mah_per_g * 3400 / 3600],
        "discharge capacity [mAh/g AM]": [mah_per_g, mah_per_g * 0.9],
        "charge capacity [Ah]": [1e-3, 3.4 / 3600],
        "discharge capacity [Ah]": [1e-3, 0.9e-3],
        # linear between its ends
        "mean charge voltage [V]": [3.9, 4.0],
        "mean discharge voltage [V]": [3.4, 3.3],
        "coulombic efficiency [%]": [100.0, 100 * 3240 / 3400],
        "energy efficiency [%]": [100 * 3.4 / 3.9, 100 * 3240 * 3.3 / (3400 * 4.0)],
        "capacity retention [%]": [100.0, 90.0],
        "voltage at the end of charge [V]": [4.2, 4.3],
        "voltage after the rest after charge [V]": [4.0, np.nan],
        "voltage at the end of discharge [V]": [2.9, 2.8],
        "voltage after the rest after discharge [V]": [np.nan, np.nan],
        "duration [h]": [(3600 + 600 + 3600) / 3600, (3400 + 3240) / 3600],
        # change of voltage 10 s after the current begins, over that of the current, times the area
        "resistance 10 s into charge [ohm cm2]": [
            (3.6 + 0.6 * 10 / 3600 - 3.5) / 1e-3 * 4e-6,
            (3.7 + 0.6 * 10 / 3400 - 2.9) / 2e-3 * 4e-6,
        ],
        "resistance 10 s into discharge [ohm cm2]": [
            (4.0 - 3.9 + 10 / 3600) / 1e-3 * 4e-6,
            (4.3 - 3.8 + 10 / 3240) / 2e-3 * 4e-6,
        ],
    }
    assert set(table) == set(expected)
    for name, values in expected.items():
        # sums of twenty rows: rounding
        np.testing.assert_allclose(table[name], values, rtol=1e-12, err_msg=name)


def test_a_cycle_without_one_of_its_halves_has_no_values_for_it():
    table = cycle_table(curve(TWO[:4]))
    assert np.isnan(table["discharge capacity [Ah]"]).tolist() == [False, True]
    assert np.isnan(table["capacity retention [%]"]).tolist() == [False, True]
    only = cycle_table(curve(TWO[:2]))
    assert only["charge capacity [Ah]"] == pytest.approx([1e-3])
    assert np.isnan(only["coulombic efficiency [%]"]).all() and np.isnan(only["capacity retention [%]"]).all()


def test_numbers_of_the_run_decide_what_a_cycle_is():
    counted = np.repeat([1.0, 1.0, 1.0, 1.0, 2.0], 5)
    table = cycle_table(curve(TWO, cycle_count=counted))
    assert table["cycle [-]"].tolist() == [1, 2]
    # both charges in the first, and its end is that of the second of them
    np.testing.assert_allclose(table["charge capacity [Ah]"], [7000e-3 / 3600, np.nan])
    assert table["voltage at the end of charge [V]"][0] == 4.3


def test_further_columns_are_read_at_the_end_of_the_cycle_or_over_it(monkeypatch):
    ramp = np.arange(25.0)
    run = curve(TWO, sto_mean=ramp, sto_std=ramp % 10, c_e_min=-ramp, extra=ramp)
    extra = CycleOutput("extra", "ohm cm2", "film resistance", "mean", 1e4)
    monkeypatch.setattr(cycles, "CYCLE_OUTPUTS", [*CYCLE_OUTPUTS, extra])
    table = cycle_table(run)
    assert table["mean stoichiometry at the end [-]"].tolist() == [14, 24]
    assert table["largest spread of stoichiometry [-]"].tolist() == [9, 9]
    assert table["lowest salt concentration [mol/m3]"].tolist() == [-14, -24]
    assert table["film resistance [ohm cm2]"].tolist() == [7e4, 19.5e4]
    assert "charge decomposed since the start [C]" not in table  # not in this run


def test_interface_and_side_reactions_are_followed_in_the_units_of_the_table():
    ramp = np.arange(25.0)
    sides = {"decomposed_coulomb": ramp, "film_thickness_mean": 1e-9 * ramp, "film_thickness_max": 2e-9 * ramp}
    sides |= {"contact_remaining": 1.0 - 0.01 * ramp, "interface_resistance_ohm_m2": 1e-4 * ramp}
    table = cycle_table(curve(TWO, **sides))
    expected = {
        # charges end in rows 4 and 19, cycles in rows 14 and 24
        "interface resistance at the end of charge [ohm cm2]": [4.0, 19.0],
        "charge decomposed in the cycle [C]": [14.0, 9.0],
        "charge decomposed since the start [C]": [14.0, 24.0],
        "mean film thickness at the end [nm]": [14.0, 24.0],
        "largest film thickness at the end [nm]": [28.0, 48.0],
        "contact remaining at the end [%]": [86.0, 76.0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-12, err_msg=name)  # rounding
    off = cycle_table(curve(TWO, **(sides | {"decomposed_coulomb": 0.0 * ramp})))
    assert [name for name in expected if name in off] == ["interface resistance at the end of charge [ohm cm2]"]
    discharged = cycle_table(curve(TWO[2:3], interface_resistance_ohm_m2=np.ones(5)))
    assert np.isnan(discharged["interface resistance at the end of charge [ohm cm2]"]).all()


def test_a_run_that_ends_as_a_current_begins_has_no_mean_voltage():
    run = curve(TWO)
    cut = {name: values[:16] for name, values in run.timeseries.items()}  # one row of the fourth step
    table = cycle_table(SimpleNamespace(timeseries=cut, capacity=cut["charge_coulomb"], area=AREA, am_mass=MASS))
    assert table["charge capacity [Ah]"].tolist() == pytest.approx([1e-3, 0.0])
    assert np.isnan(table["mean charge voltage [V]"][1])


@pytest.mark.parametrize(("steps", "expected"), [(TWO, True), (TWO[:3], True), (TWO[:2], False), (TWO[1:2], False)])
def test_more_than_one_half_makes_cycles(steps, expected):
    assert has_cycles(curve(steps)) == expected


def test_mean_voltages_are_weighted_by_charge_over_all_cycles():
    found = mean_voltages(curve(TWO))
    assert found["charge"] == pytest.approx((3600 * 3.9 + 3400 * 4.0) / 7000)
    assert found["discharge"] == pytest.approx((3600 * 3.4 + 3240 * 3.3) / 6840)
    assert mean_voltages(curve(TWO[1:2])) == {}


def test_a_run_without_current_is_refused():
    with pytest.raises(ConfigError, match="No current flows"):
        cycle_table(curve(TWO[1:2]))
