"""Units at the edge: numbers are SI, strings carry their unit ('0.398 um', '30 min', '0.5 mS/cm', '60 degC').

Everything inside the simulator is SI. These functions convert once, where a value enters. One table serves
lengths and times of the configuration, the parameters of a cell and the headers of CSV tables.
"""

import math
import numbers
import re
from typing import NamedTuple

from simulator.constants import F
from simulator.errors import ConfigError, did_you_mean

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"\s*({NUMBER}|[+-]?inf)\s*(.*?)\s*", re.DOTALL)


class Unit(NamedTuple):
    """SI value = number * factor * 10^power + offset."""

    power: int = 0
    factor: float = 1.0
    offset: float = 0.0

    def to_si(self, number):
        """Convert a number or an array; a power of ten rounds once: 30 um is 3e-5, while 30 * 1e-6 is one bit less."""
        scaled = number * self.factor
        scaled = scaled * 10.0**self.power if self.power >= 0 else scaled / 10.0**-self.power
        return scaled + self.offset


class Dimension(NamedTuple):
    """`si`: symbol of the SI unit; `spoken`, `short`, `example`: what the messages offer."""

    si: str
    spoken: str
    short: str
    example: str
    units: dict[str, Unit]


def _names(*names: str, power: int = 0, factor: float = 1.0, offset: float = 0.0) -> dict[str, Unit]:
    return dict.fromkeys(names, Unit(power, factor, offset))


def _powers(**powers: int) -> dict[str, Unit]:
    return {name: Unit(power) for name, power in powers.items()}


#: Every dimension by name. Units are spelled as `_normal` leaves them: 'mS/cm' also for 'mS cm-1' or 'mS·cm⁻¹'.
DIMENSIONS: dict[str, Dimension] = {
    "length": Dimension(
        "m",
        "metres",
        "m, cm, mm, um (µm, micron), nm",
        "'0.398 um'",
        {
            **_names("m", "meter", "metre", "meters", "metres"),
            **_powers(cm=-2, mm=-3),
            **_names("um", "micron", "microns", power=-6),
            **_names("micrometer", "micrometers", "micrometre", "micrometres", power=-6),
            **_names("nm", "nanometer", "nanometers", "nanometre", "nanometres", power=-9),
        },
    ),
    "time": Dimension(
        "s",
        "seconds",
        "s, min, h, ms",
        "'30 min'",
        {
            **_names("s", "sec", "second", "seconds"),
            **_names("ms", "millisecond", "milliseconds", power=-3),
            **_names("min", "minute", "minutes", factor=60.0),
            **_names("h", "hr", "hour", "hours", factor=3600.0),
        },
    ),
    "area": Dimension(
        "m2", "m2", "m2, cm2, mm2", "'1.13 cm2'", {"m2": Unit(), "cm2": Unit(-4), "mm2": Unit(-6), "um2": Unit(-12)}
    ),
    "mass": Dimension(
        "kg", "kg", "kg, g, mg", "'12 mg'", {"kg": Unit(), "g": Unit(-3), "mg": Unit(-6), "ug": Unit(-9)}
    ),
    "capacity": Dimension(
        "Ah", "Ah", "Ah, mAh", "'5 mAh'", {**_names("Ah", "A h"), **_names("mAh", "mA h", power=-3), "uAh": Unit(-6)}
    ),
    "voltage": Dimension("V", "volts", "V, mV", "'4.2 V'", {**_names("V", "volt", "volts"), **_powers(mV=-3)}),
    "temperature": Dimension(
        "K",
        "kelvin",
        "K, degC",
        "'60 degC'",
        {**_names("K", "kelvin"), **_names("degC", "C", "celsius", offset=273.15)},
    ),
    "diffusivity": Dimension(
        "m2/s",
        "m2/s",
        "m2/s, cm2/s, um2/s",
        "'1e-10 cm2/s'",
        {"m2/s": Unit(), "cm2/s": Unit(-4), "mm2/s": Unit(-6), "um2/s": Unit(-12), "nm2/s": Unit(-18)},
    ),
    "conductivity": Dimension(
        "S/m",
        "S/m",
        "S/m, S/cm, mS/cm, mS/m, uS/cm",
        "'0.5 mS/cm'",
        {
            **{"S/m": Unit(), "S/cm": Unit(2), "mS/cm": Unit(-1), "uS/cm": Unit(-4), "mS/m": Unit(-3)},
            **_names("uS/m", power=-6),
        },
    ),
    "concentration": Dimension(
        "mol/m3",
        "mol/m3",
        "mol/m3, mol/L, M, mM",
        "'1.1 mol/L'",
        {
            **_names("mol/m3", "mmol/L", "mmol/l", "mM"),
            **_names("mol/L", "mol/l", "mol/dm3", "kmol/m3", "mmol/cm3", "M", power=3),
            **_names("mol/cm3", power=6),
        },
    ),
    "density": Dimension(
        "kg/m3",
        "kg/m3",
        "kg/m3, g/cm3",
        "'4.78 g/cm3'",
        {"kg/m3": Unit(), **_names("g/cm3", "g/cc", "g/mL", "g/ml", "kg/L", "kg/l", power=3)},
    ),
    "current": Dimension(
        "A",
        "amperes",
        "A, mA, uA",
        "'5 mA'",
        {**_names("A", "ampere", "amperes", "amp", "amps"), **_powers(mA=-3, uA=-6, nA=-9, pA=-12)},
    ),
    "specific current": Dimension(
        "mA/g", "mA/g", "mA/g, A/kg, A/g", "'18 mA/g'", {**_names("mA/g", "A/kg"), "A/g": Unit(3), "uA/g": Unit(-3)}
    ),
    "current density": Dimension(
        "A/m2",
        "A/m2",
        "A/m2, mA/cm2, A/cm2, uA/cm2",
        "'0.1 mA/cm2'",
        {"A/m2": Unit(), "mA/cm2": Unit(1), "A/cm2": Unit(4), "uA/cm2": Unit(-2), "mA/m2": Unit(-3)},
    ),
    "area resistance": Dimension(
        "ohm m2",
        "ohm m2",
        "ohm m2, ohm cm2, kohm cm2",
        "'30 ohm cm2'",
        {"ohm m2": Unit(), "ohm cm2": Unit(-4), "kohm cm2": Unit(-1), "mohm cm2": Unit(-7)},
    ),
    "charge per area": Dimension(
        "C/m2",
        "C/m2",
        "C/m2, mC/cm2, uC/cm2",
        "'5 mC/cm2'",
        {"C/m2": Unit(), "mC/cm2": Unit(1), "uC/cm2": Unit(-2)},
    ),
    "molar volume": Dimension(
        "m3/mol", "m3/mol", "m3/mol, cm3/mol", "'100 cm3/mol'", {"m3/mol": Unit(), "cm3/mol": Unit(-6)}
    ),
    "specific area": Dimension(
        "1/m",
        "1/m",
        "1/m, 1/um, m2/cm3",
        "'10 m2/cm3'",
        {**_names("1/m", "m2/m3"), **_names("1/um", "m2/cm3", power=6)},
    ),
    "specific capacity": Dimension(
        "mAh/g", "mAh/g", "mAh/g, Ah/kg, Ah/g", "'180 mAh/g'", {**_names("mAh/g", "Ah/kg"), "Ah/g": Unit(3)}
    ),
    "molar energy": Dimension(
        "J/mol",
        "J/mol",
        "J/mol, kJ/mol, eV, meV, kcal/mol",
        "'45 kJ/mol'",
        {
            **{"J/mol": Unit(), "kJ/mol": Unit(3), "kcal/mol": Unit(3, 4.184)},
            # 1 eV per particle is the charge of one mole of electrons times 1 V
            **{"eV": Unit(0, F), "meV": Unit(-3, F)},
        },
    ),
    "number": Dimension(
        "-", "a plain number", "none, or %", "'0.3' or '30 %'", {"-": Unit(), "1": Unit(), "%": Unit(-2)}
    ),
}

_OF_SI = {dimension.si: name for name, dimension in DIMENSIONS.items()}

#: Signs that print alike or nearly so. Micro sign (U+00B5) and Greek mu, ohm sign (U+2126) and Greek omega.
_TYPOGRAPHY = str.maketrans(
    {
        **{"\u00b5": "u", "\u03bc": "u", "\u2126": "ohm", "\u03a9": "ohm", "\u2103": "degC", "\u2212": "-"},
        **{"\u00b2": "2", "\u00b3": "3", "\u00b9": "1", "\u207b": "-", "^": "", "\u00b7": " ", "\u22c5": " "},
    }
)


def _normal(unit: str) -> str:
    """One spelling for the many of a unit: 'm^2 s^-1', 'm2.s-1' and 'm²/s' are 'm2/s'. Case is kept: mV is not MV."""
    text = unit.translate(_TYPOGRAPHY).replace("\u00b0C", "degC").replace("Ohm", "ohm")
    above, below = [], []
    for part in re.split(r"[\s.*]+", re.sub(r"\s*/\s*", "/", text.strip())):
        inverse = re.fullmatch(r"([A-Za-z]+)-(\d)", part)
        if inverse is None:
            above.append(part)
        else:
            below.append(inverse[1] + ("" if inverse[2] == "1" else inverse[2]))
    return "/".join([" ".join(above), *below])


def known_unit(unit: str, si: str) -> Unit | None:
    """How to convert from `unit` to the SI unit `si` ('S/m', '-' for none), or None if it is no unit of that kind."""
    return DIMENSIONS[_OF_SI[si]].units.get(_normal(unit))


def accepted_units(si: str) -> str:
    """The usual units of the dimension whose SI unit is `si`, for a message."""
    return DIMENSIONS[_OF_SI[si]].short


def split_quantity(text: str) -> tuple[float, str] | None:
    """(number, what follows it) of a text that begins with a number or inf, or None."""
    match = _QUANTITY.fullmatch(text)
    return None if match is None else (float(match[1]), match[2])


def parse_quantity(value: float | str, dimension: str, name: str) -> float:
    """Convert a number or a string with a unit to SI.

    A bare number (also as text, '1e-6') is SI already. Unit symbols are case sensitive (mV is not MV).

    **Arguments:** `value`: a real number, or a string such as '0.398 um'; `dimension`: a key of `DIMENSIONS`
    ('length', 'time', 'voltage', 'temperature', 'molar energy', ...); `name`: what the value is called in an error
    message.

    **Returns:** the value in the SI unit of the dimension (m, s, V, K, J/mol, ...).

    **Errors:** `ConfigError` for an unknown dimension or unit, for text that is no quantity, for NaN
    and infinity, and for a temperature below 0 K.
    """
    if dimension not in DIMENSIONS:
        raise ConfigError(f"Unknown dimension {dimension!r} of {name}.{did_you_mean(dimension, DIMENSIONS)}")
    _, spoken, short, example, units = DIMENSIONS[dimension]
    cure = f"Give a number in {spoken}, or a string with a unit ({short}) such as {example}."
    unit = Unit()
    if isinstance(value, str):
        split = split_quantity(value)
        if split is None:
            raise ConfigError(f"{name} must be a {dimension}, got {value!r}. {cure}")
        number, given = split
        if given:
            if _normal(given) not in units:
                raise ConfigError(f"{name} has the unknown {dimension} unit {given!r} in {value!r}. {cure}")
            unit = units[_normal(given)]
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
    else:
        raise ConfigError(f"{name} must be a {dimension}, got {value!r}. {cure}")
    result = unit.to_si(number)
    if not math.isfinite(result):
        raise ConfigError(f"{name} must be finite, got {value!r}. {cure}")
    if dimension == "temperature" and result < 0.0:
        raise ConfigError(f"{name} must lie above 0 K, got {value!r} = {result:g} K. {cure}")
    return result


def parse_length(value: float | str, name: str) -> float:
    """`parse_quantity` for a length: metres, or a string with m, cm, mm, um (µm, micron) or nm. Returns m."""
    return parse_quantity(value, "length", name)


def parse_parameter(text: str, si: str, name: str) -> float:
    """'0.5 mS/cm' -> 0.05 for a parameter whose SI unit is `si` ('S/m'; '-' for none); a bare number is SI.

    'inf' is a number here; whether it is allowed is for the caller to say.

    **Errors:** ConfigError for text that is no number, and for another unit.
    """
    split = split_quantity(text)
    if split is None:
        example = DIMENSIONS[_OF_SI[si]].example
        raise ConfigError(f"{name} = {text!r} is not a number. Give a number in {si}, e.g. {example}.")
    number, given = split
    if not given:
        return number
    unit = known_unit(given, si)
    if unit is None:
        raise ConfigError(f"{name} = {text!r}: unit {given!r} is not understood. Accepted: {accepted_units(si)}.")
    return unit.to_si(number)


def is_number(text: str) -> bool:
    """Whether `text` is a number as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True
