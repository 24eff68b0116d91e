"""Parameter sets: flat dictionaries {dotted name: Parameter(value, unit, source)}, and overrides of them.

A set never implies a geometry. A new set is one file with a function `parameters()` and one line in `_SETS`, or a BPX
file of the user.
"""

import importlib
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike, fspath
from typing import Any

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.functions import Scaled, is_traced
from simulator.materials.parameter_sets.checks import PARTS, check_function, check_value
from simulator.materials.parameter_sets.schema import SPECS, Parameter, Spec
from simulator.materials.thermal import Thermal

__all__ = [
    "SPECS",
    "Parameter",
    "Spec",
    "load_parameter_set",
    "merge_parameters",
    "parameter_set_names",
]

_SETS = {
    "nmc811_lpscl_25c": "simulator.materials.parameter_sets.nmc811_lpscl_25c",
    "nmc811_peo_60c": "simulator.materials.parameter_sets.nmc811_peo_60c",
    "verification": "simulator.materials.parameter_sets.verification",
}

#: Potential of each counter electrode against Li/Li+ [V], set when `anode.kind` is overridden alone.
_ANODE_POTENTIAL = {"li_metal": 0.0, "li_in": 0.62}


def parameter_set_names() -> tuple[str, ...]:
    """Names accepted by `load_parameter_set`, sorted."""
    return tuple(sorted(_SETS))


def load_parameter_set(name: str | PathLike[str]) -> dict[str, Parameter]:
    """A fresh copy of the parameter set `name`, in the order of `SPECS`, at the set's own temperature.

    `name`: one of `parameter_set_names()`, or the path of a BPX file (`.json`): see
    `simulator.materials.parameter_sets.bpx_file.read_bpx`. ConfigError for an unknown name or a file that is wrong.
    """
    text = fspath(name)
    if text.lower().endswith(".json"):
        from simulator.materials.parameter_sets.bpx_file import read_bpx

        parameters = read_bpx(text, load_parameter_set)
    elif text in _SETS:
        parameters = importlib.import_module(_SETS[text]).parameters()
    else:
        raise ConfigError(
            f"{text!r} is not a parameter set.{did_you_mean(text, _SETS)} A BPX file is named by its path, *.json."
        )
    laws = {
        key: replace(parameter, law=check_value(key, law)) if (law := _law_of(parameter)) is not None else parameter
        for key, parameter in parameters.items()
    }
    return _at_temperature(laws, laws["temperature"].value, ())


def merge_parameters(
    parameter_set: Mapping[str, Parameter], overrides: Mapping[str, Any] | None = None
) -> dict[str, Parameter]:
    """A checked copy of `parameter_set` with values overridden by dotted name.

    **Arguments:** `overrides`: {dotted name: value in SI, or a string with a unit, or what `as_material`
    accepts}. A plain value holds at the temperature of the run. With {"value": ..., "activation_energy": ..., "T_ref":
    ...} it holds at `T_ref`; single parts, `"kinetics.j0_ref.activation_energy"`, change those of the set. A parameter
    that follows another (`Parameter.follows`, e.g. the conductivity of the carbon-binder domain follows the
    electrolyte's) keeps doing so unless it is overridden itself; overriding `anode.kind` alone sets `anode.potential`
    of that metal; overriding `temperature` changes every value of the set that has an activation energy.

    **Returns:** a new dictionary; the argument is not changed.

    **Raises:** ConfigError for an unknown name (with the nearest ones), a value of the wrong kind or out of
    range, windows and limits that contradict each other. Warns (UserWarning) if the temperature is outside the data of
    a material function, and if `sto_init` is outside `am.sto_window`.
    """
    overrides = _join_parts(overrides or {})
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
        old, own = parameter_set[name], _law_of(parameter_set[name])
        if name in overrides:
            value, follows, source = check_value(name, overrides[name], own), None, "override"
            if isinstance(value, Thermal):
                source = f"override: {value}"
        else:
            value = check_value(name, old.value if own is None else own)
            follows, source = old.follows, old.source
        law = value if isinstance(value, Thermal) else None
        merged[name] = replace(old, value=value, source=source, follows=follows, law=law)
    merged = _at_temperature(merged, merged["temperature"].value, overrides)
    _check_together(merged)
    return merged


def _law_of(parameter: Parameter) -> Thermal | None:
    return parameter.value if isinstance(parameter.value, Thermal) else parameter.law


def _join_parts(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides with `"kinetics.j0_ref.value"` and the like gathered to one mapping for each parameter."""
    joined: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in overrides.items():
        name, _, part = str(key).rpartition(".")
        if key not in SPECS and part in PARTS and name in SPECS:
            parts.setdefault(name, {})[part] = value
        else:
            joined[key] = value
    for name, found in parts.items():
        whole = joined.get(name, {})
        twice = [part for part in found if isinstance(whole, Mapping) and part in whole]
        if twice or not isinstance(whole, Mapping):
            raise ConfigError(
                f"{name} is given as a whole, {whole!r}, and by its part {name}.{next(iter(twice or found))}. "
                "Keep one of them."
            )
        joined[name] = {**whole, **found}
    return joined


def _at_temperature(parameters: Mapping[str, Parameter], T: Any, overridden: Iterable[str]) -> dict[str, Parameter]:
    """Laws evaluated at `T` [K], and the followers of what has changed."""
    found = {
        name: parameter if parameter.law is None else replace(parameter, value=parameter.law.at(T))
        for name, parameter in parameters.items()
    }
    for name, parameter in found.items():
        if parameter.follows is None:
            continue
        leader, factor = parameter.follows
        if leader in overridden or found[leader].law is not None:
            value = found[leader].value
            found[name] = replace(parameter, value=value if factor == 1.0 else Scaled(value, factor))
        if leader in overridden:
            found[name] = replace(found[name], source=f"{factor:g} x {leader} (override)")
    return found


def _check_together(merged: Mapping[str, Parameter]) -> None:
    """Checks that need more than one parameter."""
    value = {name: parameter.value for name, parameter in merged.items()}
    c_init, c_max = value["electrolyte.c_e_init"], value["electrolyte.c_e_max"]
    _check_window(value["sto_init"], value["am.sto_window"])
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


def _check_window(sto_init: Any, window: tuple[Any, Any]) -> None:
    if is_traced((sto_init, window)):
        return
    low, high = window
    if not low - 1e-9 <= sto_init <= high + 1e-9:
        warnings.warn(
            f"sto_init = {sto_init:g} is outside am.sto_window = ({low:g}, {high:g}), which defines the C-rate and the "
            "utilisation. Set sto_init inside it (the upper end is discharged), or widen am.sto_window.",
            UserWarning,
            stacklevel=4,
        )
