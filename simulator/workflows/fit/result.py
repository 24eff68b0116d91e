"""What a fit returns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from simulator.workflows.fit.data import Data
from simulator.workflows.fit.information import Information
from simulator.workflows.fit.parameters import FitParameter

#: Share of the truth that the intervals are to hold.
LEVEL = 0.95


@dataclass(frozen=True)
class Evaluation:
    """One run of the model during a fit: natural `values`, `cost` (inf if it stopped), `rms` of each curve, `seconds`
    since the fit began, whether it is the `best` so far, and what `stopped` it."""

    number: int
    values: dict[str, float]
    cost: float
    rms: dict[str, float]
    seconds: float
    best: bool
    stopped: str = ""


def quantile(dof: float, level: float = LEVEL) -> float:
    """Half width of a two-sided interval in standard deviations: Student's t, normal for infinite `dof`; inf for 0."""
    return float(student.ppf(0.5 + level / 2.0, dof)) if dof > 0 else math.inf


@dataclass(frozen=True)
class FitResult:
    """Fitted parameters, how well they are known, and how it came about.

    `data` hold the noise that was given, or that was estimated (`noise_estimated`). `dof`: of the t-distribution of the
    intervals, inf if the noise is known. `cost`: 1/2 sum w rho + 1/2 sum of squared priors. `chi2`: sum w
    (deviation / sigma)^2 plus that of the priors. `jacobian` (m, n) at the result in natural units; None if the fit was
    interrupted before it was known, and the uncertainties are then NaN. `residuals`: measured minus predicted (m,).
    `status`: "converged", "max_evaluations", "stuck" or "interrupted". `variance`: factor on sigma^2, not 1 for robust
    losses. `notes`: what to know before the numbers are used.
    """

    parameters: tuple[FitParameter, ...]
    values: dict[str, float]
    data: Data
    noise_estimated: bool
    prediction: np.ndarray
    jacobian: np.ndarray | None
    information: Information | None
    variance: float
    dof: float
    cost: float
    chi2: float
    loss: str
    status: str
    message: str
    notes: tuple[str, ...]
    history: tuple[Evaluation, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def evaluations(self) -> int:
        """How often the model was run."""
        return len(self.history)

    @property
    def residuals(self) -> np.ndarray:
        """Measured minus predicted (m,)."""
        return self.data.measured - self.prediction

    @property
    def rms(self) -> dict[str, float]:
        """Root mean square of the residuals of each curve, in the unit of the data."""
        return self.data.rms(self.residuals)

    @property
    def reduced_chi2(self) -> float:
        """chi2 of the data by their number minus that of the parameters; NaN if that is not positive."""
        free = self.data.count - len(self.parameters)
        if free <= 0 or self.data.sigma is None:
            return math.nan
        return float(np.sum((self.residuals * self.data.accuracy())[self.data.used] ** 2) / free)

    @property
    def fitted_std(self) -> dict[str, float]:
        """Standard errors of u: of ln(value) on a logarithmic scale, of value / (upper - lower) on a linear one."""
        if self.information is None:
            return dict.fromkeys(self.names, math.nan)
        return dict(zip(self.names, map(float, self.information.std), strict=True))

    @property
    def std_errors(self) -> dict[str, float]:
        """Standard errors in the unit of each parameter, to first order."""
        std = self.fitted_std
        return {p.name: std[p.name] * p.slope(self.values[p.name]) for p in self.parameters}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals in the unit of each parameter: symmetric in the fitted scale, not cut at the bounds.

        From the linearised model (Student's t); `profile_likelihood` needs no linearisation.
        """
        std, q = self.fitted_std, quantile(self.dof)
        return {p.name: p.interval(self.values[p.name], q * std[p.name]) for p in self.parameters}

    @property
    def correlation(self) -> np.ndarray:
        """Of the estimates in the fitted scale (n, n)."""
        n = len(self.parameters)
        return np.full((n, n), math.nan) if self.information is None else self.information.correlation

    @property
    def at_bound(self) -> dict[str, str]:
        """ "lower", "upper" or "": whether a value lies within 0.1 % of the range in the fitted scale from a bound."""
        found = {}
        for p in self.parameters:
            low, high = p.bounds()
            u, near = p.to_fitted(self.values[p.name]), 1e-3 * (high - low)
            found[p.name] = "lower" if u - low < near else "upper" if high - u < near else ""
        return found

    def table(self) -> str:
        """Lines for a terminal: parameters, curves, how it ended, notes. "open": an end beyond the bound."""
        rows = [("parameter", "value", "std. error", "95 % from", "to", "start", "")]
        for p in self.parameters:
            ends = self.intervals[p.name]
            low, high = (_number(x) if p.lower <= x <= p.upper else "open" for x in ends)
            bound = self.at_bound[p.name]
            rows.append(
                (
                    p.name,
                    f"{self.values[p.name]:.5g}",
                    _number(self.std_errors[p.name], 2),
                    low,
                    high,
                    f"{p.start:.4g}",
                    f"at the {bound} bound" if bound else "",
                )
            )
        curves = [("curve", "rms", "points")]
        for k, label in enumerate(self.data.labels):
            points = int((self.data.used & (np.asarray(self.data.curve) == k)).sum())
            curves.append((label, _number(self.rms[label], 3), str(points)))
        end = f"{self.message} ({self.status}, {self.evaluations} evaluations, reduced chi2 {self.reduced_chi2:.3g})"
        return "\n".join([*aligned(rows), "", *aligned(curves), "", end, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays by point, for JSON; None where a number is not finite."""
        intervals, at_bound = self.intervals, self.at_bound
        return _plain(
            {
                "status": self.status,
                "message": self.message,
                "notes": list(self.notes),
                "parameters": {
                    p.name: {
                        "value": self.values[p.name],
                        "std_error": self.std_errors[p.name],
                        "interval_95": list(intervals[p.name]),
                        "at_bound": at_bound[p.name],
                        "start": p.start,
                        "lower": p.lower,
                        "upper": p.upper,
                        "scale": "log" if p.log else "linear",
                        "prior": None if p.prior is None else {"mean": p.prior.mean, "std": p.prior.std},
                    }
                    for p in self.parameters
                },
                "correlation": self.correlation.tolist(),
                "rms": self.rms,
                "reduced_chi2": self.reduced_chi2,
                "chi2": self.chi2,
                "cost": self.cost,
                "loss": self.loss,
                "points": self.data.count,
                "degrees_of_freedom": self.dof,
                "noise_estimated": self.noise_estimated,
                "evaluations": [
                    {
                        "number": e.number,
                        "values": e.values,
                        "cost": e.cost,
                        "rms": e.rms,
                        "seconds": e.seconds,
                        "best": e.best,
                        "stopped": e.stopped,
                    }
                    for e in self.history
                ],
            }
        )


def _number(value: float, digits: int = 4) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}g}" if math.isfinite(value) else "unknown"


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of a table as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def _plain(tree: Any) -> Any:
    """Without numbers that JSON does not know."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(value) for value in tree]
    if isinstance(tree, float):
        return float(tree) if math.isfinite(tree) else None
    return tree
