"""What a parameter may be: all names with units, kinds and allowed ranges, and the check of one value."""

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.functions import as_material, is_traced


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter of a set: value (SI), unit, source.

    `value`: number, string, tuple of two numbers, None, or a material function. `follows = (name, factor)`:
    unless it is overridden itself, the value is `factor` times that parameter, also when that one is
    overridden.
    """

    value: Any
    unit: str
    source: str
    follows: tuple[str, float] | None = None


@dataclass(frozen=True)
class Spec:
    """What one dotted name accepts. `low` and `high` bound numbers and the values of functions."""

    kind: Literal["function", "number", "integer", "choice", "pair"]
    unit: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    cure: str = ""
    axis: Literal["sto", "c_e", ""] = ""
    choices: tuple[str, ...] = ()
    optional: bool = False  # None is allowed
    infinite: bool = False  # +inf is allowed

    def range_text(self) -> str:
        """Human-readable allowed range."""
        if self.choices:
            return "one of " + ", ".join(repr(c) for c in self.choices)
        left = "(" if self.open_low or math.isinf(self.low) else "["
        right = ")" if self.open_high or (math.isinf(self.high) and not self.infinite) else "]"
        unit = "" if self.unit == "-" else f" {self.unit}"
        return f"{left}{self.low:g}, {self.high:g}{right}{unit}"

    def contains(self, value: float) -> bool:
        """True if `value` is inside the range; NaN is not."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below


def _function(unit: str, axis: Literal["sto", "c_e"], cure: str) -> Spec:
    """A material function whose values must be positive."""
    return Spec("function", unit, low=0.0, open_low=True, axis=axis, cure=cure)


def _positive(unit: str, cure: str, high: float = math.inf, **more: Any) -> Spec:
    return Spec("number", unit, low=0.0, open_low=True, high=high, cure=cure, **more)


def _from_zero(unit: str, cure: str, high: float = math.inf) -> Spec:
    return Spec("number", unit, low=0.0, high=high, cure=cure)


_CONDUCTIVITY = "Give S/m (1 mS/cm = 0.1 S/m)."
_DIFFUSIVITY = "Give m2/s (1 cm2/s = 1e-4 m2/s)."
_SHARE = "Give a share of volume, not a percentage."
_RESISTANCE = "Give ohm m2 (1 ohm cm2 = 1e-4 ohm m2); 0 switches it off."

#: Every parameter, in the order of the sets.
SPECS: dict[str, Spec] = {
    "am.c_s_max": _positive("mol/m3", "It is density / molar mass of the lithiated oxide.", 2e5),
    "am.D_s": _function("m2/s", "sto", _DIFFUSIVITY),
    "am.sigma": _function("S/m", "sto", _CONDUCTIVITY),
    "am.ocp": Spec("function", "V", -1.0, 10.0, axis="sto", cure="Give the potential against Li/Li+ in volts."),
    "am.density": _positive("kg/m3", "Give kg/m3 (1 g/cm3 = 1000 kg/m3).", 3e4),
    "am.sto_window": Spec("pair", "-", 0.0, 1.0, True, True, "Give (lo, hi) with 0 < lo < hi < 1."),
    "cbd.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "cbd.sigma": _positive("S/m", _CONDUCTIVITY),
    "cbd.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "cbd.electrolyte_fraction": _positive("-", _SHARE, 1.0),
    "electrolyte.kind": Spec(
        "choice",
        "-",
        choices=("binary", "single_ion"),
        cure="'binary' solves the salt concentration; 'single_ion' keeps it constant (t_plus = 1).",
    ),
    "electrolyte.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "electrolyte.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "electrolyte.t_plus": Spec("function", "-", -1.0, 1.0, axis="c_e", cure="It is the cation transference number."),
    "electrolyte.thermo_factor": _function("-", "c_e", "1 is an ideal solution: 1 + dln f/dln c."),
    "electrolyte.c_e_init": _positive("mol/m3", "Give mol/m3 (1 mol/L = 1000 mol/m3).", 2e4),
    "electrolyte.c_e_max": _positive("mol/m3", "It is the salt solubility; inf for no limit.", infinite=True),
    "separator.thickness": _positive("m", "It is in metres: was it given in micrometres?", 1e-2),
    "separator.layers": Spec("integer", "-", 1, 4096, cure="16 graded layers are enough for 50 um."),
    "separator.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "separator.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "separator.electrolyte_fraction": _positive("-", _SHARE, 1.0),
    "kinetics.j0_ref": _positive("A/m2", "Give A/m2 of true contact area (1 mA/cm2 = 10 A/m2)."),
    "kinetics.alpha_a": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "kinetics.alpha_c": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "contact.fraction": _from_zero(
        "-", "It is the live share inside one touching face, not the coverage of the particles.", 1.0
    ),
    "contact.electronic_resistance": _from_zero("ohm m2", _RESISTANCE),
    "film.resistance_init": _from_zero("ohm m2", _RESISTANCE),
    "anode.kind": Spec("choice", "-", choices=("li_metal", "li_in"), cure="Choose the counter electrode."),
    "anode.j0": _positive("A/m2", "From an area resistance R: j0 = R_gas T/(F R)."),
    "anode.resistance": _from_zero("ohm m2", _RESISTANCE),
    "anode.potential": Spec("number", "V", -1.0, 3.0, cure="0 for lithium, 0.62 for indium-lithium."),
    "temperature": Spec("number", "K", 150.0, 600.0, cure="Give kelvin: 60 C is 333.15."),
    "sto_init": Spec("number", "-", 0.0, 1.0, True, True, "1 is fully lithiated; a charge starts near 0.93."),
    "nominal_specific_capacity": _positive("mAh/g", "None takes the capacity of am.sto_window.", 5e3, optional=True),
    "voltage_limits": Spec("pair", "V", -5.0, 10.0, cure="Give (lo, hi) with lo < hi, in volts of the cell."),
}

#: Accepted units of a string value, as powers of ten to SI. Bare numbers are SI.
UNITS: dict[str, dict[str, int]] = {
    "m": {"m": 0, "mm": -3, "um": -6, "µm": -6, "μm": -6, "nm": -9},
    "m2/s": {"m2/s": 0, "cm2/s": -4},
    "S/m": {"S/m": 0, "S/cm": 2, "mS/cm": -1},
    "mol/m3": {"mol/m3": 0, "mol/L": 3, "mol/l": 3, "M": 3},
    "kg/m3": {"kg/m3": 0, "g/cm3": 3},
    "A/m2": {"A/m2": 0, "mA/cm2": 1, "A/cm2": 4},
    "ohm m2": {"ohm m2": 0, "ohm cm2": -4},
    "V": {"V": 0, "mV": -3},
    "mAh/g": {"mAh/g": 0, "Ah/kg": 0},
    "K": {"K": 0},
    "-": {},
}

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf)\s*(.*?)\s*")


def parse_quantity(text: str, unit: str, name: str) -> float:
    """'0.5 mS/cm' -> 0.05 for a parameter in S/m; a bare number is SI. ConfigError for another unit."""
    match = _QUANTITY.fullmatch(text)
    known = UNITS[unit]
    if match is None:
        raise ConfigError(f"{name} = {text!r} is not a number. Give a number in {unit}, e.g. '1 {unit}'.")
    number, given = float(match[1]), match[2]
    if not given:
        return number
    if given in ("C", "degC", "°C") and unit == "K":
        return number + 273.15
    if given not in known:
        accepted = ", ".join(known) or "none, it is dimensionless"
        raise ConfigError(f"{name} = {text!r}: unit {given!r} is not understood. Accepted: {accepted}.")
    power = known[given]  # dividing rounds once: 30 um is 3e-5, while 30 * 1e-6 is one bit less
    return number * 10.0**power if power >= 0 else number / 10.0**-power


def check_value(name: str, value: Any) -> Any:
    """The value of parameter `name` in its stored form (float, int, str, tuple or material function).

    Functions are only converted here; `check_function` samples them when temperature is known. ConfigError if
    the name is unknown or the value not allowed.
    """
    if name not in SPECS:
        raise ConfigError(f"{name!r} is not a parameter." + did_you_mean(name, SPECS))
    spec = SPECS[name]
    if value is None:
        if spec.optional:
            return None
        raise ConfigError(f"{name} = None: a value is required, {spec.range_text()}. {spec.cure}")
    if spec.kind == "choice":
        if not isinstance(value, str) or value not in spec.choices:
            raise ConfigError(f"{name} = {value!r} must be {spec.range_text()}. {spec.cure}")
        return value
    if spec.kind == "function":
        if isinstance(value, str) and not value.lower().endswith(".csv"):
            value = parse_quantity(value, spec.unit, name)
        return as_material(value, name)
    if spec.kind == "pair":
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
            raise ConfigError(f"{name} = {value!r} must be two numbers. {spec.cure}")
        low, high = (_number(name, part, spec) for part in value)
        if not low < high:
            raise ConfigError(f"{name} = ({low:g}, {high:g}) must increase, within {spec.range_text()}. {spec.cure}")
        return low, high
    number = _number(name, value, spec)
    if spec.kind == "integer":
        if int(number) != number:
            raise ConfigError(f"{name} = {number:g} must be a whole number in {spec.range_text()}. {spec.cure}")
        return int(number)
    return number


def _number(name: str, value: Any, spec: Spec) -> Any:
    """`value` as a checked float; a tracer is passed through, since its range cannot be known."""
    if isinstance(value, str):
        value = parse_quantity(value, spec.unit, name)
    if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0:
        if is_traced(value):
            return value
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigError(f"{name} = {value!r} must be a number in {spec.range_text()}. {spec.cure}")
    number = float(value)
    if not spec.contains(number) or (math.isinf(number) and not spec.infinite):
        raise ConfigError(f"{name} = {number:g} must lie in {spec.range_text()}. {spec.cure}")
    return number


@eqx.filter_jit
def _evaluate(function: Any, x: np.ndarray, T: np.float64) -> jax.Array:
    """One compiled program for each kind of function, instead of one for each operation in it."""
    return function(x, T)


def check_function(name: str, function: Any, temperature: float, c_e_max: float) -> None:
    """Sample a function at `temperature` over its valid range: finite and within the range of `name`.

    The range of x is `function.valid`, cut to sto in [0.001, 0.999] or c_e in [1, min(c_e_max, 6000)] mol
    m^-3. Skipped for functions with traced coefficients.
    """
    if is_traced(function):
        return
    spec = SPECS[name]
    low, high = (1e-3, 1.0 - 1e-3) if spec.axis == "sto" else (1.0, min(c_e_max, 6000.0))
    low, high = max(low, function.valid[0]), min(high, function.valid[1])
    if low > high:
        raise ConfigError(
            f"{name}: its range {function.valid} does not overlap the states of {spec.axis}, "
            f"{'0 to 1' if spec.axis == 'sto' else '0 to 6000 mol/m3'}. Check the unit of x."
        )
    x = np.linspace(low, high, 65)
    values = np.asarray(_evaluate(function, x, np.float64(temperature)))
    inside = np.isfinite(values) & np.array([spec.contains(float(v)) for v in values])
    if not inside.all():
        at = int(np.argmin(inside))
        raise ConfigError(
            f"{name} = {values[at]:g} {spec.unit} at {spec.axis} = {x[at]:g}, T = {temperature:g} K "
            f"must lie in {spec.range_text()}. {spec.cure} If the data end before that {spec.axis}, "
            "state `valid`."
        )
