"""From the texts of a file to a `FitParameter`: '1e-14 m2/s' for what is a diffusivity."""

from typing import TYPE_CHECKING

from simulator.errors import ConfigError, did_you_mean
from simulator.materials.parameter_sets import SPECS
from simulator.units import Unit, known_unit, parse_parameter, split_quantity
from simulator.workflows.fit.parameters import FitParameter, Prior

if TYPE_CHECKING:
    from simulator.config.fit import FitParameterConfig

#: of names that are no parameters of the set, by their last part
_PARTS = {"activation_energy": "J/mol", "T_ref": "K"}
_INITIAL = {"initial.sto": "-", "initial.c_e": "mol/m3"}


def fit_parameter(name: str, given: "FitParameterConfig") -> FitParameter:
    """`given` with all numbers in SI. **Errors:** ConfigError."""
    place, base = f"parameters.{name}", name.partition("@")[0]
    if not base.startswith(("initial.", "protocol.", *SPECS)):  # those are told apart where the cell is built
        raise ConfigError(f"parameters: {base!r} is not a parameter.{did_you_mean(base, SPECS)}")
    if base in SPECS and SPECS[base].kind not in ("number", "function"):
        able = [known for known, spec in SPECS.items() if spec.kind in ("number", "function")]
        raise ConfigError(f"parameters: {base} is not a real number and cannot be fitted.{did_you_mean(base, able)}")
    si = unit_of(name)
    start, lower, upper = (_number(f"{place}.{key}", getattr(given, key), si) for key in ("start", "lower", "upper"))
    found = FitParameter(name, start, lower, upper, given.log)
    if given.prior is None:
        return found
    mean = _number(f"{place}.prior.mean", given.prior.mean, si)
    if found.log:
        std = _number(
            f"{place}.prior.std", given.prior.std, "-", " On a logarithmic scale it is relative: 0.1, or 10 %."
        )
    else:
        std = _difference(f"{place}.prior.std", given.prior.std, si)
    return FitParameter(name, start, lower, upper, found.log, Prior(mean, std))


def unit_of(name: str) -> str | None:
    """The SI unit of a fitted parameter, 'sto_init@charge' and coefficients of material functions included; None if it
    is not known."""
    base = name.partition("@")[0]
    if base in SPECS or base in _INITIAL:
        return SPECS[base].unit if base in SPECS else _INITIAL[base]
    owner, _, part = base.rpartition(".")
    if part in _PARTS and owner in SPECS:
        return _PARTS[part]
    # values of a table have the unit of the function; other coefficients have units of their own
    owners = [known for known in SPECS if base.startswith(f"{known}.")]
    return SPECS[owners[0]].unit if owners and part.startswith("values[") else None


def _number(place: str, value: float | str, si: str | None, more: str = "") -> float:
    if not isinstance(value, str):
        return float(value)
    if si is None:
        split = split_quantity(value)
        if split is None or split[1]:
            raise ConfigError(f"{place} = {value!r}: the unit of this parameter is not known here. Give a bare number.")
        return split[0]
    try:
        return parse_parameter(value, si, place)
    except ConfigError as error:
        raise ConfigError(f"{error}{more}") from None


def _difference(place: str, value: float | str, si: str | None) -> float:
    """As `_number`, for a width: 2 degC are 2 K."""
    number, split = _number(place, value, si), split_quantity(value) if isinstance(value, str) else None
    unit = known_unit(split[1], si) if split is not None and split[1] and si is not None else None
    return number - (unit or Unit()).to_si(0.0)
