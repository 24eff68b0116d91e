"""Units of parameters: what experimentalists write, in the many spellings of it."""

import pytest

from simulator.errors import ConfigError
from simulator.materials import Table
from simulator.materials.parameter_sets import SPECS
from simulator.units import DIMENSIONS, accepted_units, known_unit, parse_parameter, parse_quantity


def test_every_parameter_has_a_unit_of_the_table_and_every_offered_unit_exists():
    for name, spec in SPECS.items():
        assert known_unit(spec.unit, spec.unit) is not None, name
        assert parse_parameter("1", spec.unit, name) == 1.0
    for dimension in DIMENSIONS.values():
        offered = dimension.short.replace(" (\u00b5m, micron)", "").replace("none, or ", "").split(", ")
        assert all(known_unit(unit, dimension.si) for unit in offered), dimension


@pytest.mark.parametrize(
    ("text", "unit", "si"),
    [
        ("0.5 mS/cm", "S/m", 0.05),
        ("0.5 mS cm-1", "S/m", 0.05),
        ("0.5 mS\u00b7cm\u207b\u00b9", "S/m", 0.05),
        ("0.5 mS cm^-1", "S/m", 0.05),
        ("0.5mS/cm", "S/m", 0.05),
        ("500 \u00b5S/cm", "S/m", 0.05),
        ("500 \u03bcS / cm", "S/m", 0.05),
        ("5e-4 S/cm", "S/m", 0.05),
        ("1e-10 cm2/s", "m2/s", 1e-14),
        ("1e-10 cm^2 s^-1", "m2/s", 1e-14),
        ("1e-10 cm\u00b2/s", "m2/s", 1e-14),
        ("1e-14 m2.s-1", "m2/s", 1e-14),
        ("1e-2 um2/s", "m2/s", 1e-14),
        ("30 ohm cm2", "ohm m2", 3e-3),
        ("30 \u03a9 cm\u00b2", "ohm m2", 3e-3),
        ("30 \u2126\u00b7cm\u00b2", "ohm m2", 3e-3),
        ("30 Ohm*cm^2", "ohm m2", 3e-3),
        ("0.03 kohm cm2", "ohm m2", 3e-3),
        ("0.1 mA/cm2", "A/m2", 1.0),
        ("0.1 mA cm-2", "A/m2", 1.0),
        ("1.13 mol/L", "mol/m3", 1130.0),
        ("1.13 M", "mol/m3", 1130.0),
        ("1130 mol.m-3", "mol/m3", 1130.0),
        ("4.78 g/cm3", "kg/m3", 4780.0),
        ("4.78 g cm-3", "kg/m3", 4780.0),
        ("50 um", "m", 50e-6),
        ("62 %", "-", 0.62),
        ("0.62", "-", 0.62),
        ("25 degC", "K", 298.15),
        ("25 \u00b0C", "K", 298.15),
        ("25 \u2103", "K", 298.15),
        ("180 Ah/kg", "mAh/g", 180.0),
    ],
)
def test_spellings_of_one_unit_are_one_value(text, unit, si):
    assert parse_parameter(text, unit, "x") == pytest.approx(si, rel=1e-15)  # one rounding


@pytest.mark.parametrize(
    ("text", "joule"),
    [
        (45e3, 45e3),
        ("45 kJ/mol", 45e3),
        ("45 kJ mol-1", 45e3),
        ("0.35 eV", 33769.866),  # 0.35 x 96485.33
        ("350 meV", 33769.866),
        ("10 kcal/mol", 41840.0),
    ],
)
def test_activation_energies_become_joule_per_mole(text, joule):
    assert parse_quantity(text, "molar energy", "x") == pytest.approx(joule, rel=1e-8)  # printed digits


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0.5 MS/cm", "S/m"),  # mega is not milli
        ("0.5 mS/cm2", "S/m"),
        ("0.5 ohm cm", "S/m"),
        ("1e-10 cm2", "m2/s"),
        ("30 ohm", "ohm m2"),
        ("1 mA", "A/m2"),
        ("25 F", "K"),
        ("5 S/m", "m2/s"),
        ("1 -1", "S/m"),
        ("1 um um", "m"),
    ],
)
def test_units_of_something_else_are_refused_with_those_that_fit(text, unit):
    with pytest.raises(ConfigError) as caught:
        parse_parameter(text, unit, "am.x")
    assert f"am.x = {text!r}" in str(caught.value)
    assert accepted_units(unit) in str(caught.value)


def test_decimal_commas_are_not_read_as_columns(tmp_path):
    table = tmp_path / "ocp.csv"
    table.write_text("0,1,4,2\n0,9,3,6\n")
    with pytest.raises(ConfigError, match=r"row 1 of ocp.csv, '0,1,4,2', has 4 columns without a header.*point"):
        Table.from_csv(table, name="am.ocp")
    table.write_text("x,U,note\n0.1,4.2,a\n0.9,3.6,b\n")  # with a header the first two columns are meant
    assert Table.from_csv(table, name="am.ocp").valid == (0.1, 0.9)
