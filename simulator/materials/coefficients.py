"""Coefficients of material functions by name: 'am.ocp.values[3]', 'electrolyte.kappa.function.coefficients'."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.functions import MaterialFunction, as_coefficient, is_traced
from simulator.materials.parameter_sets import PARTS, Parameter
from simulator.materials.parameter_sets.schema import SPECS

_INDEXED = re.compile(r"(?P<path>[^\[\]]+)(?:\[(?P<index>\d+)\])?")


def with_coefficients(parameter_set: Mapping[str, Parameter], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`overrides` in which names of coefficients became overrides of the whole functions.

    A coefficient is the dotted name of a parameter whose value is a material function, followed by the attribute that
    holds it, and by the index (from 0) of one entry of an array: {"am.ocp.values[3]": 3.9}. All others stay. May be
    traced.

    **Errors:** ConfigError for a function that has no such coefficient, an index out of range, a value of another
    shape, and values that are not finite.
    """
    found: dict[str, Any] = {}
    coefficients = []
    for name, value in overrides.items():
        function = None if name in SPECS else _function_of(name)
        if function is None:
            found[name] = value
        else:
            coefficients.append((name, function, value))
    for name, function, value in coefficients:
        owner = found.get(function, parameter_set[function].value)
        if not isinstance(owner, MaterialFunction):
            raise ConfigError(f"{name}: {function} = {owner} is no material function and has no coefficients.")
        found[function] = _with(owner, name, name[len(function) + 1 :], value)
    return found


def _function_of(name: str) -> str | None:
    """The parameter that a name of a coefficient begins with; None for other names."""
    words = name.split(".")
    for k in range(len(words) - 1, 0, -1):
        prefix = ".".join(words[:k])
        if prefix in SPECS:
            return None if words[k:] and words[k] in PARTS else prefix
    return None


def coefficient_names(function: eqx.Module, prefix: str = "") -> dict[str, Any]:
    """Names of all coefficients of a function with their values."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(function):  # type: ignore[arg-type]
        value = getattr(function, field.name)
        if isinstance(value, eqx.Module):
            found |= coefficient_names(value, f"{prefix}{field.name}.")
        elif eqx.is_inexact_array(value):
            found[prefix + field.name] = value
    return found


def _with(owner: MaterialFunction, name: str, wanted: str, value: Any) -> MaterialFunction:
    match = _INDEXED.fullmatch(wanted)
    known = coefficient_names(owner)
    if match is None or match["path"] not in known:
        raise ConfigError(f"{name}: {type(owner).__name__} has no such coefficient." + did_you_mean(wanted, known))
    old, value = known[match["path"]], as_coefficient(value)
    if not is_traced(value) and not bool(np.all(np.isfinite(value))):
        raise ConfigError(f"{name} = {value} must be finite.")
    if match["index"] is not None:
        if np.ndim(old) != 1 or int(match["index"]) >= np.size(old):
            raise ConfigError(f"{name}: {match['path']} has the shape {np.shape(old)}; the index must lie within.")
        new = jnp.asarray(old).at[int(match["index"])].set(value)
    else:
        if np.shape(value) != np.shape(old):
            raise ConfigError(f"{name} must have the shape {np.shape(old)}, got {np.shape(value)}.")
        new = value
    steps = match["path"].split(".")

    def leaf(function: Any) -> Any:
        for step in steps:
            function = getattr(function, step)
        return function

    return eqx.tree_at(leaf, owner, new)
