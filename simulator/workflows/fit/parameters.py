"""What is fitted: parameters with bounds, a scale and perhaps a prior."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import ConfigError

#: Positive bounds that span more than this factor are fitted on a logarithmic scale.
SPAN = 10.0


@dataclass(frozen=True)
class Prior:
    """What is known of a parameter before the fit, as a normal distribution.

    `mean` in the unit of the parameter. `std` in that unit for a parameter on a linear scale; for one on a logarithmic
    scale it is relative, the standard deviation of ln(value): 0.1 means about 10 %.
    """

    mean: float
    std: float


@dataclass(frozen=True)
class FitParameter:
    """One number that is fitted.

    The fit works with the dimensionless u = ln(x / start) on a logarithmic scale and u = (x - start) / (upper - lower)
    on a linear one, so that u = 0 is the start and steps of order one are meant for all parameters.

    **Arguments:** `name`; `start`, `lower`, `upper`: in the unit of the parameter; `log`: None chooses the logarithmic
    scale for positive bounds that span more than a factor of 10; `prior`: see `Prior`.

    **Errors:** ConfigError.
    """

    name: str
    start: float
    lower: float
    upper: float
    log: bool | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        name = self.name
        for key in ("start", "lower", "upper"):
            if not isinstance(getattr(self, key), int | float | np.number):
                raise ConfigError(f"{key} of {name} must be a number in SI, got {getattr(self, key)!r}.")
            if not math.isfinite(getattr(self, key)):
                raise ConfigError(
                    f"{key} of {name} must be a finite number, got {getattr(self, key)}. "
                    "Bounds that hardly matter may be wide, but each parameter needs both."
                )
        if not self.lower < self.upper:
            raise ConfigError(
                f"The bounds of {name} must be lower < upper, got {self.lower:g} and {self.upper:g}. Exchange them, or "
                "leave the parameter out of the fit if it is known."
            )
        if not self.lower <= self.start <= self.upper:
            raise ConfigError(
                f"The bounds of {name} exclude the start: {self.start:g} is not in [{self.lower:g}, {self.upper:g}]. "
                "Move the start or widen the bounds."
            )
        if self.log and self.lower <= 0.0:
            raise ConfigError(
                f"{name} is to be fitted on a logarithmic scale, and its lower bound {self.lower:g} is not positive. "
                "Give a lower bound > 0 or log=False."
            )
        if self.log is None:
            object.__setattr__(self, "log", self.lower > 0.0 and self.upper > SPAN * self.lower)
        if self.prior is not None:
            if not isinstance(self.prior, Prior):
                raise ConfigError(f"The prior of {name} must be a Prior(mean, std), got {self.prior!r}.")
            mean, std = self.prior.mean, self.prior.std
            if not (math.isfinite(mean) and math.isfinite(std) and std > 0.0):
                raise ConfigError(
                    f"The prior of {name} needs a finite mean and a standard deviation > 0, got {mean} and {std}."
                )
            if self.log and mean <= 0.0:
                raise ConfigError(
                    f"The prior of {name} has the mean {mean:g}, and a logarithmic scale needs one > 0. "
                    "Change it or use log=False."
                )

    @property
    def width(self) -> float:
        """Upper minus lower bound [unit of the parameter]."""
        return self.upper - self.lower

    def to_fitted(self, value: float) -> float:
        """u of a natural value."""
        return math.log(value / self.start) if self.log else (value - self.start) / self.width

    def to_natural(self, u: float) -> float:
        """The natural value of u, within the bounds also by rounding."""
        value = self.start * math.exp(u) if self.log else self.start + u * self.width
        return min(max(value, self.lower), self.upper)

    def slope(self, value: float) -> float:
        """dx/du at a natural value."""
        return value if self.log else self.width

    def bounds(self) -> tuple[float, float]:
        """Both bounds in u."""
        return self.to_fitted(self.lower), self.to_fitted(self.upper)

    def interval(self, value: float, half: float) -> tuple[float, float]:
        """Natural ends of u(value) -+ `half`; not cut at the bounds. An infinite `half` gives open ends."""
        if not self.log:
            return value - half * self.width, value + half * self.width
        # exp overflows beyond 709: such an interval is open
        return value * math.exp(-half), math.inf if half > 700.0 else value * math.exp(half)

    def prior_residual(self, value: float) -> tuple[float, float]:
        """(distance to the mean of the prior in its standard deviations, its derivative by u)."""
        if self.prior is None:
            return 0.0, 0.0
        if self.log:
            return math.log(value / self.prior.mean) / self.prior.std, 1.0 / self.prior.std
        return (value - self.prior.mean) / self.prior.std, self.width / self.prior.std


def check_parameters(parameters: Sequence[FitParameter]) -> tuple[FitParameter, ...]:
    """The parameters, each name once. **Errors:** ConfigError."""
    parameters = tuple(parameters)
    if not parameters:
        raise ConfigError("There is nothing to fit: parameters is empty. Give at least one FitParameter.")
    names = [p.name for p in parameters]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"{repeated[0]} is given {names.count(repeated[0])} times among the parameters. Keep one.")
    return parameters


def natural(parameters: Sequence[FitParameter], u: np.ndarray) -> dict[str, float]:
    """Name -> natural value, from u (n,)."""
    return {p.name: p.to_natural(float(v)) for p, v in zip(parameters, u, strict=True)}


def slopes(parameters: Sequence[FitParameter], values: Mapping[str, float]) -> np.ndarray:
    """dx/du (n,): multiplies the columns of a Jacobian in natural units."""
    return np.array([p.slope(values[p.name]) for p in parameters])


def prior_rows(parameters: Sequence[FitParameter], values: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (k,) of the k parameters that have a prior, and their derivatives (k, n) by u."""
    chosen = [k for k, p in enumerate(parameters) if p.prior is not None]
    residuals, rows = np.zeros(len(chosen)), np.zeros((len(chosen), len(parameters)))
    for row, k in enumerate(chosen):
        residuals[row], rows[row, k] = parameters[k].prior_residual(values[parameters[k].name])
    return residuals, rows
