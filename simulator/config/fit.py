"""The file of a fit: measured curves, parameters, and how they are fitted. Nothing here imports JAX."""

import dataclasses
import math
import numbers
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from simulator.choices import FIT_LOSSES, FIT_METHODS
from simulator.config.compose import relocated
from simulator.config.schema import fail
from simulator.errors import ConfigError, did_you_mean
from simulator.protocol import parse_protocol
from simulator.units import parse_quantity

_Section = TypeVar("_Section")
#: size of the measured cell that its current in A is divided by -> an example
_SIZES = {"area": "1.13 cm2", "capacity": "5 mAh", "mass": "12 mg"}
_EVENLY = ("time", "charge")
_MOST_EVALUATIONS = 100_000


@dataclass
class PriorConfig:
    """What is known of a parameter before the fit. Texts are converted where its unit is known."""

    place: InitVar[str]
    mean: Any  # in the unit of the parameter
    std: Any  # in the unit of the parameter; on a logarithmic scale relative: 0.1 or 10 %

    def __post_init__(self, place: str) -> None:
        for key in ("mean", "std"):
            _check_value(f"{place}.{key}", getattr(self, key))


@dataclass
class FitParameterConfig:
    """One number that is fitted. Texts are converted where its unit is known."""

    place: InitVar[str]
    start: Any
    lower: Any
    upper: Any
    log: bool | None = None  # null: logarithmic if the bounds are positive and a factor of 10 apart
    prior: PriorConfig | None = None

    def __post_init__(self, place: str) -> None:
        for key in ("start", "lower", "upper"):
            _check_value(f"{place}.{key}", getattr(self, key))
        if self.log is not None and not isinstance(self.log, bool):
            fail(f"{place}.log", self.log, "true, false or null", "null: chosen by the bounds.")
        if self.prior is not None:
            self.prior = _section(PriorConfig, self.prior, f"{place}.prior")


@dataclass
class CurveConfig:
    """A measured curve: how its file is read, what its current belongs to, and how it is compared."""

    place: InitVar[str]
    file: str  # relative to the folder of the file of the fit
    label: str | None = None  # null: the name of the file without its endings
    area: Any = None  # one of these three, unless the current of the file is already by area, in C or by mass
    capacity: Any = None
    mass: Any = None
    rows: int = 40
    evenly: str | None = None
    sigma: Any = None  # null: estimated
    weight: float = 1.0
    columns: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    current_sign: str | None = None
    begin: Any = None
    end: Any = None
    tolerance: float = 1e-3
    values: dict[str, Any] = field(default_factory=dict)  # parameters that hold for this curve alone

    def __post_init__(self, place: str) -> None:
        if not isinstance(self.file, str) or not self.file.strip():
            fail(f"{place}.file", self.file, "the name of a file", "For example file: cell7.csv.")
        self.label = None if self.label is None else str(self.label)
        if self.label is not None and (not self.label.strip() or "@" in self.label):
            fail(f"{place}.label", self.label, "a name without @", "Names of parameters refer to it: sto_init@NAME.")
        given = [size for size in _SIZES if getattr(self, size) is not None]
        if len(given) > 1:
            raise ConfigError(f"{place}: {' and '.join(given)} both say what the current belongs to. Keep one of them.")
        for size in given:
            value = parse_quantity(getattr(self, size), size, f"{place}.{size}")
            if value <= 0.0:
                fail(f"{place}.{size}", getattr(self, size), "above zero", f"For example {size}: {_SIZES[size]}.")
            setattr(self, size, value)
        _check_whole(f"{place}.rows", self.rows, 3, "So many voltages of the curve are compared.")
        if self.evenly is not None and self.evenly not in _EVENLY:
            fail(f"{place}.evenly", self.evenly, "time, charge or null", "null: rows where they tell most.")
        if self.sigma is not None:
            sigma = parse_quantity(self.sigma, "voltage", f"{place}.sigma")
            if not 0.0 < sigma <= 1.0:
                fail(f"{place}.sigma", self.sigma, "in (0, 1] V", "It is the noise of the voltage, such as 2 mV.")
            self.sigma = sigma
        self.weight = _real(f"{place}.weight", self.weight, 0.0, math.inf, "0 leaves the curve out of the fit.")
        self.tolerance = _real(f"{place}.tolerance", self.tolerance, 1e-9, 0.5, "A share of the largest current.")
        for key in ("begin", "end"):
            if getattr(self, key) is not None:
                setattr(self, key, parse_quantity(getattr(self, key), "time", f"{place}.{key}"))
        for key, example in (
            ("columns", "{voltage: Ewe/V}"),
            ("units", "{current: mA}"),
            ("values", "{am.D_s: 1e-14}"),
        ):
            setattr(self, key, _mapping(f"{place}.{key}", getattr(self, key), example))
        for key in ("columns", "units"):
            setattr(self, key, {name: str(text) for name, text in getattr(self, key).items()})

    @property
    def size(self) -> dict[str, float]:
        """What the current belongs to, as `MeasuredCurve.scaled` wants it; empty if nothing was given."""
        return {name: getattr(self, name) for name in _SIZES if getattr(self, name) is not None}


@dataclass
class FitConfig:
    """Everything a fit needs beside the cell."""

    place: InitVar[str]
    curves: list[CurveConfig]
    parameters: dict[str, FitParameterConfig]
    method: str = "least_squares"
    loss: str = "linear"
    max_evaluations: int = 50
    xtol: float = 1e-4
    ftol: float = 1e-4
    ctol: float = 0.05
    profile: list[str] = field(default_factory=list)  # parameters whose profile likelihoods follow; or all
    next: dict[str, list[str]] = field(default_factory=dict)  # name -> protocol of an experiment that could be done

    def __post_init__(self, place: str) -> None:
        if not isinstance(self.curves, list) or not self.curves:
            fail("curves", self.curves, "a list with at least one curve", "For example curves: [{file: cell7.csv}].")
        self.curves = [_section(CurveConfig, given, f"curves.{k}") for k, given in enumerate(self.curves, start=1)]
        example = "{am.D_s: {start: 1e-14 m2/s, lower: 1e-16 m2/s, upper: 1e-12 m2/s}}"
        self.parameters = {
            name: _section(FitParameterConfig, given, f"parameters.{name}")
            for name, given in _mapping("parameters", self.parameters, example).items()
        }
        if not self.parameters:
            raise ConfigError(f"parameters is empty: there is nothing to fit. For example parameters: {example}.")
        for key, known in (("method", FIT_METHODS), ("loss", FIT_LOSSES)):
            value = getattr(self, key)
            if value not in known:
                raise ConfigError(f"{key} cannot be {value!r}.{did_you_mean(str(value), known)}")
        _check_whole("max_evaluations", self.max_evaluations, 1, "Evaluations that are kept count as well.")
        self.xtol = _real("xtol", self.xtol, 1e-14, 0.5, "Smaller is more accurate.")
        self.ftol = _real("ftol", self.ftol, 1e-14, 0.5, "Smaller is more accurate.")
        self.ctol = _real("ctol", self.ctol, 0.0, 0.5, "0.05 is 5 % of the radius of the confidence region.")
        self._check_noise()
        self._check_profile()
        protocols = _mapping("next", self.next, "{pulse: [Charge at 1C for 30 s, Rest for 10 min]}")
        self.next = {name: _protocol(f"next.{name}", steps) for name, steps in protocols.items()}

    def _check_noise(self) -> None:
        without = [k for k, curve in enumerate(self.curves, start=1) if curve.sigma is None]
        if without and len(without) < len(self.curves):
            raise ConfigError(f"curves.{without[0]} has no sigma, and others have. Give it for all curves or for none.")
        prior = next((name for name, p in self.parameters.items() if p.prior is not None), None)
        if without and (self.loss != "linear" or prior is not None):
            what = f"loss: {self.loss}" if self.loss != "linear" else f"The prior of {prior}"
            raise ConfigError(f"{what} needs the noise of the data to be weighed against. Give every curve a sigma.")
        if all(curve.weight == 0.0 for curve in self.curves):
            raise ConfigError("The weight of every curve is 0: nothing is left to fit to. Give one of them a weight.")

    def _check_profile(self) -> None:
        if self.profile == "all":
            self.profile = list(self.parameters)
        elif isinstance(self.profile, str):
            self.profile = [self.profile]
        if not isinstance(self.profile, list):
            fail("profile", self.profile, "a list of fitted parameters, or all", "For example profile: [am.D_s].")
        for name in self.profile:
            if name not in self.parameters:
                raise ConfigError(f"profile: {name!r} is not fitted.{did_you_mean(str(name), self.parameters)}")
        if self.profile and self.loss != "linear":
            raise ConfigError(
                f"profile needs a likelihood, and loss: {self.loss} has none. Take loss: linear, or leave profile out."
            )


def load_fit(path: Path) -> FitConfig:
    """The checked content of a YAML file; names of files in it are relative to its folder.

    **Errors:** ConfigError, one message that names the key, the value and what would be right.
    """
    try:
        given = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError as error:
        raise ConfigError(f"No file {path}: give the YAML file of a fit. docs/fitting.md shows one.") from error
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as YAML ({reason}).") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path} must be a mapping with the keys curves and parameters.")
    try:
        config = _section(FitConfig, given, "")
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    for curve in config.curves:
        curve.file = str(path.parent / Path(curve.file).expanduser())
        curve.values = relocated(curve.values, path.parent)
    config.next = relocated(config.next, path.parent)
    for name, steps in config.next.items():
        try:
            parse_protocol(steps)
        except ConfigError as error:
            raise ConfigError(f"{path.name}: next.{name}: {error}") from None
    return config


def _section(kind: type[_Section], given: Any, place: str) -> _Section:
    """`given`, a mapping, as an object of the dataclass `kind`, its names checked."""
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(given, Mapping):
        fail(place, given, f"a mapping with {', '.join(known)}", f"For example {place}: {{{next(iter(known))}: ...}}.")
    inside = f" in {place}" if place else ""
    for key in given:
        if key not in known:
            raise ConfigError(f"Unknown key {key!r}{inside}.{did_you_mean(str(key), known)}")
    nothing = dataclasses.MISSING
    needed = [n for n, f in known.items() if f.default is nothing and f.default_factory is nothing]
    missing = [name for name in needed if given.get(name) is None]
    if missing:
        raise ConfigError(f"{missing[0]} is missing{inside}. Give {', '.join(needed)}.")
    # null in an optional place is the default
    return kind(place, **{str(key): value for key, value in given.items() if value is not None})  # type: ignore[call-arg]


def _mapping(place: str, value: Any, example: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        fail(place, value, "a mapping", f"For example {place.rpartition('.')[2]}: {example}.")
    return {str(key): part for key, part in value.items()}


def _check_value(place: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real | str):
        fail(place, value, "a number or a text with a unit", "For example 1e-14, or 1e-14 m2/s.")


def _check_whole(place: str, value: Any, low: int, cure: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _MOST_EVALUATIONS:
        fail(place, value, f"a whole number in [{low}, {_MOST_EVALUATIONS}]", cure)


def _real(place: str, value: Any, low: float, high: float, cure: str) -> float:
    number = parse_quantity(value, "number", place)
    if not low <= number <= high:
        fail(place, value, f"in [{low:g}, {high:g}]", cure)
    return number


def _protocol(place: str, steps: Any) -> list[str]:
    texts = [steps] if isinstance(steps, str) else steps
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        fail(place, steps, "a list of steps", "For example [Charge at 1C for 30 s, Rest for 10 min].")
    return texts
