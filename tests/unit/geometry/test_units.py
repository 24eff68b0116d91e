"""Numbers and strings with units become SI, anything else is refused with the accepted units."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.units import parse_length, parse_quantity


@pytest.mark.parametrize(
    ("given", "metres"),
    [
        ("0.398 um", 0.398e-6),
        ("0.398um", 0.398e-6),
        ("0.398 \u00b5m", 0.398e-6),  # micro sign
        ("0.398 \u03bcm", 0.398e-6),  # Greek mu
        ("1 micron", 1e-6),
        ("398 nm", 398e-9),
        (".5 mm", 0.5e-3),
        ("2 cm", 0.02),
        ("4e-7 m", 4e-7),
        ("4e-7", 4e-7),
        (" +1.5E-1  um ", 0.15e-6),
        (4e-7, 4e-7),
        (np.float32(0.5), 0.5),
        (1, 1.0),
    ],
)
def test_lengths_become_metres(given, metres):
    # one multiplication by the unit: a rounding of the last bit
    assert parse_length(given, "voxel_size") == pytest.approx(metres, rel=1e-15)


@pytest.mark.parametrize(
    ("given", "dimension", "si"),
    [
        ("30 min", "time", 1800.0),
        ("1.5 h", "time", 5400.0),
        ("1 hour", "time", 3600.0),
        ("10 s", "time", 10.0),
        ("4.2 V", "voltage", 4.2),
        ("-20 mV", "voltage", -0.02),
        ("60 degC", "temperature", 333.15),
        ("25 \u00b0C", "temperature", 298.15),
        ("298.15 K", "temperature", 298.15),
        (333.15, "temperature", 333.15),
    ],
)
def test_times_voltages_and_temperatures_become_si(given, dimension, si):
    assert parse_quantity(given, dimension, "x") == pytest.approx(si, rel=1e-15)


@pytest.mark.parametrize(
    ("given", "dimension", "said"),
    [
        ("0.4 Um", "length", "'Um'"),
        ("4 V", "length", "um"),
        ("0,398 um", "length", "',398 um'"),
        ("thick", "length", "'thick'"),
        ("", "length", "''"),
        ("1 um 2", "length", "'um 2'"),
        ("nan", "length", "'nan'"),
        (float("nan"), "length", "finite"),
        ("1e400 m", "length", "finite"),
        (True, "length", "True"),
        (None, "length", "None"),
        ([1e-6], "length", "[1e-06]"),
        ("1 MV", "voltage", "mV"),
        ("1 day", "time", "s, min, h"),
        ("-300 degC", "temperature", "above 0 K"),
    ],
)
def test_what_is_no_quantity_is_refused_with_name_value_and_units(given, dimension, said):
    with pytest.raises(ConfigError) as error:
        parse_quantity(given, dimension, "cell.quantity")
    assert said in str(error.value)
    assert "cell.quantity" in str(error.value)
    assert "Give a number in" in str(error.value)


def test_an_unknown_dimension_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'length'"):
        parse_quantity("1 um", "lenght", "x")
