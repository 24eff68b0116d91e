"""Parameter sets: flat dictionaries {dotted name: Parameter(value, unit, source)}, and overrides of them.

A set never implies a geometry. A new set is one file with a function `parameters()` and one line in `_SETS`.
"""

import importlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.functions import Scaled, is_traced
from simulator.materials.parameter_sets.schema import SPECS, Parameter, Spec, check_function, check_value

__all__ = [
    "SPECS",
    "Parameter",
    "Spec",
    "load_parameter_set",
    "merge_parameters",
    "parameter_set_names",
]

_SETS = {
    "nmc811_peo_60c": "simulator.materials.parameter_sets.nmc811_peo_60c",
    "verification": "simulator.materials.parameter_sets.verification",
}

#: Potential of each counter electrode against Li/Li+ [V], set when `anode.kind` is overridden alone.
_ANODE_POTENTIAL = {"li_metal": 0.0, "li_in": 0.62}


def parameter_set_names() -> tuple[str, ...]:
    """Names accepted by `load_parameter_set`, sorted."""
    return tuple(sorted(_SETS))


def load_parameter_set(name: str) -> dict[str, Parameter]:
    """A fresh copy of the parameter set `name`, in the order of `SPECS`. ConfigError for an unknown name."""
    if name not in _SETS:
        raise ConfigError(f"{name!r} is not a parameter set." + did_you_mean(str(name), _SETS))
    return dict(importlib.import_module(_SETS[name]).parameters())


def merge_parameters(
    parameter_set: Mapping[str, Parameter], overrides: Mapping[str, Any] | None = None
) -> dict[str, Parameter]:
    """A checked copy of `parameter_set` with values overridden by dotted name.

    **Arguments:** `overrides`: {dotted name: value in SI, or a string with a unit, or what `as_material`
    accepts}. A parameter that follows another (`Parameter.follows`, e.g. the conductivity of the
    carbon-binder domain follows the electrolyte's) keeps doing so unless it is overridden itself; overriding
    `anode.kind` alone sets `anode.potential` of that metal.

    **Returns:** a new dictionary; the argument is not changed.

    **Raises:** ConfigError for an unknown name (with the nearest ones), a value of the wrong kind or out of
    range, `sto_init`/windows/limits that contradict each other. Warns (UserWarning) if the temperature is
    outside the data of a material function.
    """
    overrides = dict(overrides or {})
    for name in overrides:
        if name not in SPECS:
            raise ConfigError(f"{name!r} is not a parameter." + did_you_mean(str(name), SPECS))
    missing = [name for name in SPECS if name not in parameter_set]
    if missing:
        raise ConfigError(f"The parameter set lacks {', '.join(missing)}. Start from load_parameter_set(...).")
    kind = overrides.get("anode.kind")
    if isinstance(kind, str) and kind in _ANODE_POTENTIAL and "anode.potential" not in overrides:
        overrides["anode.potential"] = _ANODE_POTENTIAL[kind]

    merged = {}
    for name in SPECS:
        old = parameter_set[name]
        if name in overrides:
            merged[name] = replace(old, value=check_value(name, overrides[name]), source="override", follows=None)
        else:
            merged[name] = replace(old, value=check_value(name, old.value))
    for name, parameter in merged.items():
        if parameter.follows is not None and parameter.follows[0] in overrides:
            leader, factor = parameter.follows
            value = merged[leader].value
            merged[name] = replace(
                parameter,
                value=value if factor == 1.0 else Scaled(value, factor),
                source=f"{factor:g} x {leader} (override)",
            )
    _check_together(merged)
    return merged


def _check_together(merged: Mapping[str, Parameter]) -> None:
    """Checks that need more than one parameter."""
    value = {name: parameter.value for name, parameter in merged.items()}
    c_init, c_max = value["electrolyte.c_e_init"], value["electrolyte.c_e_max"]
    traced = any(is_traced(value[n]) for n in ("electrolyte.c_e_init", "electrolyte.c_e_max", "temperature"))
    if traced:  # inside a JAX transformation the numbers are unknown
        return
    if c_init >= c_max:
        raise ConfigError(
            f"electrolyte.c_e_init = {c_init:g} must lie below electrolyte.c_e_max = {c_max:g} mol/m3. "
            "Reduce the salt concentration, or raise the solubility (inf for no limit)."
        )
    T = value["temperature"]
    extrapolated = []
    # Leaders before their followers, so that a message names what the user gave.
    for name in sorted(SPECS, key=lambda n: merged[n].follows is not None):
        if SPECS[name].kind != "function":
            continue
        check_function(name, value[name], T, c_max)
        low, high = getattr(value[name], "valid_T", (-math.inf, math.inf))
        if not low <= T <= high:
            extrapolated.append(f"{name} ({low:g} to {high:g} K)")
    if extrapolated:
        warnings.warn(
            f"temperature = {T:g} K is outside the data of {', '.join(extrapolated)}: the values used are "
            "extrapolations. Override them with values measured at this temperature.",
            UserWarning,
            stacklevel=3,
        )
