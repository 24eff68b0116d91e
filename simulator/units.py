"""Units at the edge: numbers are SI, strings carry their unit ('0.398 um', '30 min', '60 degC').

Everything inside the simulator is SI. These functions convert once, where a value enters.
"""

import math
import numbers
import re

from simulator.errors import ConfigError, did_you_mean

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL)

#: dimension -> {unit: (factor, offset)}; SI value = factor * number + offset.
_UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "length": {
        **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), (1.0, 0.0)),
        "cm": (1e-2, 0.0),
        "mm": (1e-3, 0.0),
        # micro sign (U+00B5) and Greek mu (U+03BC): both are in use, and print alike
        **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns"), (1e-6, 0.0)),
        **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), (1e-6, 0.0)),
        **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), (1e-9, 0.0)),
    },
    "time": {
        **dict.fromkeys(("s", "second", "seconds"), (1.0, 0.0)),
        **dict.fromkeys(("min", "minute", "minutes"), (60.0, 0.0)),
        **dict.fromkeys(("h", "hour", "hours"), (3600.0, 0.0)),
    },
    "voltage": {
        **dict.fromkeys(("V", "volt", "volts"), (1.0, 0.0)),
        "mV": (1e-3, 0.0),
    },
    "temperature": {
        **dict.fromkeys(("K", "kelvin"), (1.0, 0.0)),
        **dict.fromkeys(("degC", "\u00b0C"), (1.0, 273.15)),
    },
}

#: what the messages offer: the SI unit, the usual short units, an example
_SHORT = {
    "length": ("metres", "m, cm, mm, um (\u00b5m, micron), nm", "'0.398 um'"),
    "time": ("seconds", "s, min, h", "'30 min'"),
    "voltage": ("volts", "V, mV", "'4.2 V'"),
    "temperature": ("kelvin", "K, degC", "'60 degC'"),
}


def parse_quantity(value: float | str, dimension: str, name: str) -> float:
    """Convert a number or a string with a unit to SI.

    A bare number (also as text, '1e-6') is SI already. Unit symbols are case sensitive (mV is not MV).

    **Arguments:** `value`: a real number, or a string such as '0.398 um'; `dimension`: 'length',
    'time', 'voltage' or 'temperature'; `name`: what the value is called in an error message.

    **Returns:** the value in m, s, V or K.

    **Errors:** `ConfigError` for an unknown dimension or unit, for text that is no quantity, for NaN
    and infinity, and for a temperature below 0 K.
    """
    if dimension not in _UNITS:
        raise ConfigError(f"Unknown dimension {dimension!r} of {name}.{did_you_mean(dimension, _UNITS)}")
    si_unit, accepted, example = _SHORT[dimension]
    cure = f"Give a number in {si_unit}, or a string with a unit ({accepted}) such as {example}."
    factor, offset = 1.0, 0.0
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if match is None:
            raise ConfigError(f"{name} must be a {dimension}, got {value!r}. {cure}")
        number, unit = float(match.group(1)), match.group(2).strip()
        if unit:
            if unit not in _UNITS[dimension]:
                raise ConfigError(f"{name} has the unknown {dimension} unit {unit!r} in {value!r}. {cure}")
            factor, offset = _UNITS[dimension][unit]
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
    else:
        raise ConfigError(f"{name} must be a {dimension}, got {value!r}. {cure}")
    result = factor * number + offset
    if not math.isfinite(result):
        raise ConfigError(f"{name} must be finite, got {value!r}. {cure}")
    if dimension == "temperature" and result < 0.0:
        raise ConfigError(f"{name} must lie above 0 K, got {value!r} = {result:g} K. {cure}")
    return result


def parse_length(value: float | str, name: str) -> float:
    """`parse_quantity` for a length: metres, or a string with m, cm, mm, um (µm, micron) or nm. Returns m."""
    return parse_quantity(value, "length", name)
