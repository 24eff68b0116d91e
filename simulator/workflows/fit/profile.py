"""Profile likelihood: how far a parameter can go if all others adapt."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from simulator.errors import ConfigError, RunStopped, did_you_mean
from simulator.workflows.fit.data import Data, Forward
from simulator.workflows.fit.engine import minimise
from simulator.workflows.fit.parameters import FitParameter
from simulator.workflows.fit.result import Evaluation, FitResult, quantile

#: `ctol` of the fits of the n others: chi2 is then too high by about 4e-4 n, of the 3.8 of a 95 % interval.
REFIT_CTOL = 0.02


@dataclass(frozen=True)
class Profile:
    """Least chi2 with one parameter held.

    `grid` (p,): its natural values, ascending; `chi2` (p,): NaN where runs stop; `others`: what the other parameters
    are there. `threshold`: chi2 at the ends of the 95 % interval `lower` to `upper`. `lower_end`, `upper_end`:
    "crossed", or why not: "open" (not within the bounds), "stopped" (the runs stop before), "unfinished" (not within
    the points, or with others that had not settled) or "interrupted". The interval then ends at the last point that is
    inside.
    """

    name: str
    grid: np.ndarray
    chi2: np.ndarray
    others: tuple[dict[str, float], ...]
    threshold: float
    lower: float
    upper: float
    lower_end: str
    upper_end: str
    note: str = ""

    @property
    def sentence(self) -> str:
        """The interval in words."""
        low = f"from {self.lower:.4g}" if self.lower_end == "crossed" else f"from below {self.lower:.4g}"
        high = f"to {self.upper:.4g}" if self.upper_end == "crossed" else f"to above {self.upper:.4g}"
        open_ends = [
            f" The {side} end: {_WHY[end]}."
            for side, end in (("lower", self.lower_end), ("upper", self.upper_end))
            if end in _WHY
        ]
        note = f" {self.note}" if self.note else ""
        return f"{self.name}: 95 % {low} {high}.{''.join(open_ends)}{note}"


#: why an interval has no end
_WHY = {
    "open": "not within the bounds",
    "stopped": "beyond it the runs stop",
    "unfinished": "not within the points of the profile, or where the others had not settled",
    "interrupted": "interrupted before it was met",
}


def profile_likelihood(
    forward: Forward,
    result: FitResult,
    name: str,
    *,
    points: int = 8,
    grid: Sequence[float] | None = None,
    method: str = "least_squares",
    max_evaluations: int = 30,
    callback: Callable[[Evaluation], None] | None = None,
) -> Profile:
    r"""The interval of a parameter within which $\chi^2(x) = \min_{others} \chi^2 \le \chi^2_{min} + q^2$.

    q is the quantile of the result: $q^2 = 3.84$ if the noise is known, else that of Student's t. Exact for linear
    models; for others it follows the true shape of the likelihood, where the covariance sees a parabola. From the
    result outwards to each side, starting each fit at the one before, until the threshold is passed; ends are
    interpolated in $\sqrt{\Delta\chi^2}$.

    **Arguments:** `forward`, `result`: the model, and what `minimise` found with it; `name` of the parameter; `points`:
    at most so many to each side; `grid`: natural values instead; `method`, `max_evaluations` (of each point),
    `callback`: as in `minimise`, of all evaluations, with the value that is held among theirs.

    **Errors:** ConfigError.

    **Source:** Raue et al. (2009), doi:10.1093/bioinformatics/btp358.
    """
    names = [p.name for p in result.parameters]
    if name not in names:
        raise ConfigError(f"{name!r} was not fitted." + did_you_mean(name, names))
    if result.loss != "linear":
        raise ConfigError(
            f"A profile needs a likelihood, and the fit has loss={result.loss!r}. Fit with loss='linear'."
        )
    if points < 1:
        raise ConfigError(f"points must be at least 1, got {points}.")
    q = quantile(result.dof)
    if result.noise_estimated and not math.isfinite(q):
        raise ConfigError("The noise was not given, and there are too few points to estimate it. Give sigma.")
    held = result.parameters[names.index(name)]
    outside = [value for value in grid or () if not held.lower <= value <= held.upper]
    if outside:
        raise ConfigError(f"grid: {outside[0]:g} is not within the bounds of {name}, {held.lower:g} to {held.upper:g}.")
    refit = _Refit(forward, result, held, method, max_evaluations, callback)
    best = result.values[name]
    found = {best: (result.chi2, {k: v for k, v in result.values.items() if k != name})}
    reasons = []
    for side, bound in ((-1.0, held.lower), (1.0, held.upper)):
        try:
            if grid is None:
                reasons.append(_outwards(refit, found, best, side, bound, q, points))
            else:
                asked = sorted((float(x) for x in grid if (x - best) * side > 0), reverse=side < 0)
                reasons.append(_along(refit, found, best, asked))
        except KeyboardInterrupt:
            reasons = (reasons + ["interrupted", "interrupted"])[:2]
            break
    values = np.array(sorted(found))
    chi2 = np.array([found[x][0] for x in values])
    ends = [_crossing(held, values, chi2, best, side, q, reason) for side, reason in zip((-1, 1), reasons, strict=True)]
    for k, side in enumerate((-1, 1)):
        if any(side * (x - best) > 0 for x in refit.unfinished):
            ends[k] = ends[k][0], "unfinished"
    least = float(np.nanmin(chi2))
    note = ""
    if refit.unfinished:
        worst = ", ".join(f"{x:.5g}" for x in sorted(refit.unfinished))
        note = (
            f"At {name} = {worst} the others had not settled: chi2 is too high there and the interval too narrow. "
            "Raise max_evaluations."
        )
    if least < result.chi2 - 0.01 * q**2:
        x = float(values[np.nanargmin(chi2)])
        note = f"{note} A better fit than the result was found at {name} = {x:.5g}: fit again from there.".lstrip()
    return Profile(
        name,
        values,
        chi2,
        tuple(found[x][1] for x in values),
        result.chi2 + q**2,
        ends[0][0],
        ends[1][0],
        ends[0][1],
        ends[1][1],
        note,
    )


Found = dict[float, tuple[float, dict[str, float]]]


def _along(refit: "_Refit", found: Found, best: float, asked: list[float]) -> str:
    """Fill `found` at the natural values `asked`, in their order; why an interval without a crossing ends there."""
    others = found[best][1]
    for x in asked:
        found[x] = chi2, others = refit.at(x, others)
        if math.isnan(chi2):
            return "stopped"
    return "open" if asked and asked[-1] in (refit.held.lower, refit.held.upper) else "unfinished"


def _outwards(refit: "_Refit", found: Found, best: float, side: float, bound: float, q: float, points: int) -> str:
    """Fill `found` to one `side` of `best` until the threshold is passed and met well; why it ended."""
    held, (least, others) = refit.held, found[best]
    centre, limit = held.to_fitted(best), held.to_fitted(bound)
    inner, outer, floor = centre, math.nan, 0.0
    # the second step passes the threshold of a parabola
    std = refit.std if math.isfinite(refit.std) else math.inf
    step = min(0.52 * q * std, abs(limit - centre) / min(points, 4))
    for k in range(points):
        if math.isfinite(outer):
            u = 0.5 * (inner + outer)
        elif abs(limit - inner) <= 1e-9 * (1.0 + abs(limit)):
            return "open"
        else:
            # the last of the points goes to the bound, so that "open" is said only of what was seen
            u = limit if k == points - 1 or abs(limit - inner) <= 1.01 * step else inner + side * step
        x = held.to_natural(u)
        found[x] = chi2, adapted = refit.at(x, others)
        if math.isnan(chi2):
            return "stopped"
        root = math.sqrt(max(chi2 - least, 0.0))
        if root < q:
            inner, others = u, adapted
            if root - floor < 0.25 * q:  # flatter than a parabola
                step *= 2.0
            floor = root
        else:
            outer = u
        # near enough for the interpolation
        if root >= q and (root <= 1.3 * q or abs(outer - inner) <= 0.05 * abs(outer - centre)):
            return "crossed"
    if math.isfinite(outer):
        return "crossed"
    return "open" if abs(limit - inner) <= 1e-9 * (1.0 + abs(limit)) else "unfinished"


def _crossing(
    held: FitParameter, values: np.ndarray, chi2: np.ndarray, best: float, side: int, q: float, reason: str
) -> tuple[float, str]:
    """(natural value where sqrt(chi2 - chi2 of the best) reaches q, "crossed"), or (last point inside, why not)."""
    order = np.argsort(side * values)
    beyond = [k for k in order if side * (values[k] - best) >= 0 and math.isfinite(chi2[k])]
    start = chi2[np.flatnonzero(values == best)[0]]
    root = np.sqrt(np.maximum(chi2 - start, 0.0))
    for inner, outer in zip(beyond, beyond[1:], strict=False):
        if root[outer] >= q:
            u = [held.to_fitted(values[k]) for k in (inner, outer)]
            share = (q - root[inner]) / (root[outer] - root[inner])
            return held.to_natural(u[0] + share * (u[1] - u[0])), "crossed"
    return float(values[beyond[-1]]), reason


class _Refit:
    """Fits of all parameters but one."""

    def __init__(
        self,
        forward: Forward,
        result: FitResult,
        held: FitParameter,
        method: str,
        max_evaluations: int,
        callback: Callable[[Evaluation], None] | None,
    ) -> None:
        self.held, self.std = held, result.fitted_std[held.name]
        self._forward, self._data, self._names = forward, result.data, [p.name for p in result.parameters]
        self._others = [p for p in result.parameters if p.name != held.name]
        self._method, self._limit, self._callback = method, max_evaluations, callback
        self.unfinished: list[float] = []  # values at which the others had not settled: chi2 is too high there

    def at(self, value: float, others: dict[str, float]) -> tuple[float, dict[str, float]]:
        """(chi2, the others) with the parameter at `value`, starting from `others`; NaN and `others` if it stops."""
        forward = _Held(self._forward, self._names, self.held.name, value)
        prior = self.held.prior_residual(value)[0] ** 2
        try:
            if not self._others:
                return _chi2(forward.rows({})[0], self._data) + prior, {}
            found = minimise(
                forward,
                [_started(p, others[p.name]) for p in self._others],
                self._data,
                method=self._method,
                max_evaluations=self._limit,
                ctol=REFIT_CTOL,
                callback=None if self._callback is None else partial(self._tell, value),
            )
        except RunStopped:
            return math.nan, others
        if found.status == "interrupted":
            raise KeyboardInterrupt
        if found.status != "converged":
            self.unfinished.append(value)
        return found.chi2 + prior, found.values

    def _tell(self, value: float, evaluation: Evaluation) -> None:
        """The evaluation with the value that is held."""
        assert self._callback is not None
        self._callback(replace(evaluation, values={self.held.name: value, **evaluation.values}))


def _started(parameter: FitParameter, start: float) -> FitParameter:
    return FitParameter(
        parameter.name, start, parameter.lower, parameter.upper, log=parameter.log, prior=parameter.prior
    )


def _chi2(prediction: np.ndarray, data: Data) -> float:
    return float(np.sum(((prediction - data.measured) * data.accuracy())[data.used] ** 2))


class _Held:
    """A model with one parameter held."""

    def __init__(self, forward: Forward, names: list[str], name: str, value: float) -> None:
        self._forward, self._names, self._name, self._value = forward, names, name, value
        self._kept = [k for k, other in enumerate(names) if other != name]

    def _all(self, values: dict[str, float]) -> dict[str, float]:
        return {name: self._value if name == self._name else values[name] for name in self._names}

    def rows(self, values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        prediction, jacobian = self._forward.rows(self._all(values))
        return prediction, np.asarray(jacobian)[:, self._kept]

    def pull_back(
        self, values: dict[str, float], weights_fn: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        prediction, gradient = self._forward.pull_back(self._all(values), weights_fn)
        return prediction, np.asarray(gradient)[self._kept]
