"""The check of one value: from what a user may give to what is stored."""

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.distribution import as_distribution, is_distribution
from simulator.materials.expression import Expression
from simulator.materials.functions import EVERYWHERE, Constant, Range, Table, as_material, is_traced
from simulator.materials.parameter_sets.schema import SPECS, Spec
from simulator.materials.thermal import Thermal
from simulator.units import accepted_units, known_unit, parse_parameter, parse_quantity, split_quantity

#: Keys of a value given as a mapping.
PARTS = ("value", "activation_energy", "T_ref", "valid")
_FORM = "Write {value: ..., activation_energy: 45 kJ/mol, T_ref: 60 degC}."


def check_value(name: str, value: Any, law: Thermal | None = None) -> Any:
    """The value of parameter `name` in its stored form: a float, int, str, tuple, material function, `Thermal`, or a
    `Distribution` of one that may differ from place to place.

    **Arguments:** `value`: as a user may give it. A function is a number (with unit), a formula, the path of a CSV
    file, a table or what else `as_material` accepts. A mapping {value, activation_energy, T_ref} (also `valid`, the
    range of x of a formula) or a `Thermal` gives a law; parts left out are those of `law`, the parameter's own until
    now.

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
    if isinstance(value, Thermal):
        value = {part: getattr(value, part) for part in ("value", "activation_energy", "T_ref")}
    if is_spread(name, value):
        return as_distribution(name, value, lambda place, number: _number(place, number, spec))
    if isinstance(value, Mapping):
        return _law(name, value, spec, law)
    if spec.kind == "choice":
        if not isinstance(value, str) or value not in spec.choices:
            raise ConfigError(f"{name} = {value!r} must be {spec.range_text()}. {spec.cure}")
        return value
    if spec.kind == "function":
        return _function(name, value, spec)
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


def is_spread(name: str, value: Any) -> bool:
    """Whether `value` of the parameter `name` differs from place to place: an array, labels, or a file of them."""
    by_parts = isinstance(value, Mapping) and value.keys() <= set(PARTS)
    return name in SPECS and SPECS[name].spread and not by_parts and is_distribution(value)


def _law(name: str, given: Mapping[str, Any], spec: Spec, own: Thermal | None) -> Any:
    """A value given by parts: a `Thermal`, or a plain value if no part speaks of temperature."""
    for part in given:
        if part not in PARTS:
            raise ConfigError(f"{name}: {part!r} is no part of a value.{did_you_mean(str(part), PARTS)} {_FORM}")
    valid: Range = EVERYWHERE
    if "valid" in given:
        if spec.kind != "function" or "value" not in given:
            raise ConfigError(f"{name}.valid is the range of x of a formula or number, given together with `value`.")
        valid = _range(f"{name}.valid", given["valid"])
    thermal = "activation_energy" in given or "T_ref" in given
    if not thermal and own is None:
        if "value" not in given:
            raise ConfigError(f"{name} = {dict(given)}: `value` is missing. {_FORM}")
        return (
            _function(name, given["value"], spec, valid)
            if valid is not EVERYWHERE
            else check_value(name, given["value"])
        )
    if thermal and not spec.thermal:
        able = ", ".join(known for known, other in SPECS.items() if other.thermal)
        raise ConfigError(f"{name} takes no activation energy. Those that do: {able}.")
    parts = {"value": own.value, "activation_energy": own.activation_energy, "T_ref": own.T_ref} if own else {}
    parts |= given
    missing = [part for part in PARTS[:3] if part not in parts]
    if missing:
        raise ConfigError(
            f"{name}: {' and '.join(missing)} missing; the parameter set has no activation energy of its own. {_FORM}"
        )
    value = parts["value"]
    if isinstance(value, Mapping | Thermal) or value is None:
        raise ConfigError(f"{name}.value = {value!r} must be a plain value. {_FORM}")
    checked = _function(name, value, spec, valid) if spec.kind == "function" else check_value(name, value)
    return Thermal(checked, _energy(name, parts["activation_energy"]), _T_ref(name, parts["T_ref"]), spec.thermal)


def _energy(name: str, value: Any) -> Any:
    """An activation energy [J mol^-1]; tracers pass."""
    if is_traced(value):
        return value
    if isinstance(value, jax.Array | np.ndarray) and value.ndim == 0:
        value = float(value)
    energy = parse_quantity(value, "molar energy", f"{name}.activation_energy")
    if abs(energy) > 5e5 or 0 < abs(energy) < 100:
        raise ConfigError(
            f"{name}.activation_energy = {energy:g} J/mol must be 0, or 100 to 5e5 J/mol in size. Bare numbers are "
            "J/mol: write '45 kJ/mol' or '0.35 eV'."
        )
    return energy


def _T_ref(name: str, value: Any) -> float:
    if is_traced(value):
        raise ConfigError(f"{name}.T_ref says where the value was measured: a number, not differentiated.")
    T_ref = parse_quantity(value, "temperature", f"{name}.T_ref")
    low, high = SPECS["temperature"].low, SPECS["temperature"].high
    if not low <= T_ref <= high:
        raise ConfigError(
            f"{name}.T_ref = {T_ref:g} K must lie in {SPECS['temperature'].range_text()}. Bare numbers are kelvin: "
            "write '60 degC' for 333.15."
        )
    return T_ref


def _range(name: str, value: Any) -> Range:
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) != 2:
        raise ConfigError(f"{name} = {value!r} must be two numbers, [lo, hi].")
    if any(isinstance(end, bool) or not isinstance(end, numbers.Real) for end in value) or not value[0] < value[1]:
        raise ConfigError(f"{name} = {value!r} must be two increasing numbers, [lo, hi].")
    return float(value[0]), float(value[1])


def _function(name: str, value: Any, spec: Spec, valid: Range = EVERYWHERE) -> Any:
    """A material function; `valid` is for formulas and numbers, everything else knows its own range."""
    if isinstance(value, str | Path) and str(value).lower().endswith(".csv"):
        value = Table.from_csv(value, name=name, unit=spec.unit, axis=spec.axis)
    elif isinstance(value, str):
        value = _text(name, value, spec, valid)
    function = value if isinstance(value, Expression) else as_material(value, name)
    if valid is not EVERYWHERE:
        if isinstance(function, Constant):
            return Constant(function.value, valid=valid)
        if not isinstance(function, Expression):
            raise ConfigError(f"{name}.valid belongs to a formula or a number; {function!r} knows its own range.")
    return function


def _text(name: str, text: str, spec: Spec, valid: Range) -> float | Expression:
    """A quantity if the text is a number, alone or with a unit behind it; else a formula.

    No text is both: behind the number of a formula stands an operator, in a unit stands a letter or a sign.
    """
    split = split_quantity(text)
    example = {"sto": "'1e-14*exp(-3*sto)'", "c_e": "'0.05*sqrt(c_e/1000)'", "": ""}[spec.axis]
    if split is not None and (not split[1] or split[1][0] not in "+-*/)"):
        number, unit = split
        if unit and known_unit(unit, spec.unit) is None:
            raise ConfigError(
                f"{name} = {text!r}: unit {unit!r} is not understood. Accepted: {accepted_units(spec.unit)}. If it is "
                f"a formula, an operator stands behind the number, as in {example}."
            )
        return parse_parameter(text, spec.unit, name)
    words = re.fullmatch(r"[^-+*/()]*", text) and text.strip() not in (spec.axis, "x", "T")
    if words or re.search(r"(?<!\d)\.[A-Za-z]\w{1,3}$", text.strip()):
        unit_example = "'1e-10 cm2/s'" if spec.unit == "m2/s" else f"'1 {spec.unit}'".replace(" -", "")
        raise ConfigError(
            f"{name} = {text!r} is neither a number, with or without a unit ({unit_example}), nor the path of a .csv "
            f"file with columns {spec.axis}, value, nor a formula of {spec.axis} and T ({example})."
        )
    return Expression(text, axis=spec.axis, name=name, valid=valid, tangent=spec.tangent)


def _number(name: str, value: Any, spec: Spec) -> Any:
    """`value` as a checked float; a tracer is passed through, since its range cannot be known."""
    if isinstance(value, str):
        split = split_quantity(value)
        if split is not None and split[1][:1] in ("+", "-", "*", "/"):
            raise ConfigError(f"{name} = {value!r} is a formula, but {name} is one number, in {spec.range_text()}.")
        value = parse_parameter(value, spec.unit, name)
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
