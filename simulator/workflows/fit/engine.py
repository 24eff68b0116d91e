"""Least squares over any forward model: each point evaluated once, runs that stop survived, interruptions kept."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, minimize

from simulator.errors import ConfigError, RunStopped, did_you_mean
from simulator.workflows.fit.data import Data, Forward
from simulator.workflows.fit.information import information
from simulator.workflows.fit.loss import LOSSES, variance_factor
from simulator.workflows.fit.parameters import FitParameter, check_parameters, natural, prior_rows, slopes
from simulator.workflows.fit.result import Evaluation, FitResult

#: So many runs in a row that stop end the fit: each is four times closer to the best point than the one before.
STOPPED_IN_A_ROW = 10


#: Derivatives by u of residuals that are always zero, at least, and as a share of the column of the Jacobian. Without
#: them scipy's trust region goes to its edge in each step if a combination of parameters has no effect, or none but by
#: errors of the Jacobian, and hardly settles; with them it leaves such a combination where it is.
DAMPING = 1e-3
RELATIVE_DAMPING = 2e-4

#: Least distance of the start from the bounds, as a share of the range, in the trust region: its steps are scaled with
#: the distance from a bound that the cost falls towards, and a start on it would not get away any more.
INSIDE = 2e-3


class _Halt(Exception):
    """Ends an optimiser of scipy from within."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class _Point:
    """The model at u (n,). `jacobian` (m, n) in natural units with rows, `gradient` (n,) of the cost by u with both."""

    u: np.ndarray
    values: dict[str, float]
    prediction: np.ndarray
    jacobian: np.ndarray | None
    gradient: np.ndarray
    cost: float


def minimise(
    forward: Forward,
    parameters: Sequence[FitParameter],
    data: Data,
    *,
    method: str = "least_squares",
    loss: str = "linear",
    max_evaluations: int = 100,
    xtol: float = 1e-5,
    ftol: float = 1e-6,
    ctol: float = 0.0,
    callback: Callable[[Evaluation], None] | None = None,
) -> FitResult:
    r"""The parameters with the least cost $\frac12 \sum_i w_i\,\rho(r_i^2) + \frac12 \sum_k p_k^2$, with the deviations
    $r_i = (\text{predicted}_i - \text{measured}_i)/\sigma_i$ and the distances $p_k$ to the means of priors in their
    standard deviations.

    **Arguments:** `method`: "least_squares" (trust region with bounds, `Forward.rows`: for few parameters) or
    "l-bfgs-b" (`Forward.pull_back`, and `rows` once at the end: for many); `loss`: "linear", "soft_l1", "huber" or
    "cauchy"; `max_evaluations` of the model; `xtol`: smallest step relative to the way from the start, in the fitted
    scale (not for l-bfgs-b); `ftol`: smallest gain relative to the cost (for l-bfgs-b to the cost or 1, whichever
    is larger); `ctol`: the fit ends where the best values are expected this close, as a share of the radius $\sqrt{n}$
    of the region of one standard error (only for least_squares with the linear loss, and with noise that is given or
    more points than parameters), 0: never; `callback`: called after each evaluation.

    A run that stops, or predicts what is not finite, counts as worse than any other, and the step is shortened. Ctrl-C
    ends with the best point so far. For least_squares, a start on a bound is moved inwards by 0.2 % of the range.

    **Errors:** ConfigError; RunStopped if already the run at the start values stops.

    **Source:** Branch, Coleman, Li (1999), doi:10.1137/S1064827595289108; Byrd, Lu, Nocedal, Zhu (1995),
    doi:10.1137/0916069. `ctol`: after Bates, Watts (1981), Technometrics 23, 179.
    """
    parameters = check_parameters(parameters)
    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r}." + did_you_mean(method, METHODS))
    if loss not in LOSSES:
        raise ConfigError(f"Unknown loss {loss!r}." + did_you_mean(loss, LOSSES))
    if max_evaluations < 1:
        raise ConfigError(f"max_evaluations must be at least 1, got {max_evaluations}.")
    for name, value in (("xtol", xtol), ("ftol", ftol)):
        if not 1e-14 <= value < 1.0:
            raise ConfigError(f"{name} must lie in [1e-14, 1), got {value}. Smaller is more accurate.")
    if not 0.0 <= ctol < 1.0:
        raise ConfigError(f"ctol must lie in [0, 1), got {ctol}. Smaller is more accurate, 0 leaves it to the others.")
    if data.sigma is None and (loss != "linear" or any(p.prior for p in parameters)):
        what = f"loss={loss!r}" if loss != "linear" else "a prior"
        raise ConfigError(f"{what} needs the noise of the data to be weighed against. Give sigma.")
    problem = _Problem(forward, parameters, data, loss, max_evaluations, callback, with_rows=method == "least_squares")
    try:
        status, message = METHODS[method](problem, xtol, ftol, ctol)
    except _Halt as halt:
        status, message = halt.status, halt.message
    except KeyboardInterrupt:
        if problem.best is None:
            raise
        status, message = "interrupted", "Interrupted; this is the best so far."
    return _conclude(problem, status, message)


class _Problem:
    """Evaluates the model, once for each point, and remembers."""

    def __init__(
        self,
        forward: Forward,
        parameters: tuple[FitParameter, ...],
        data: Data,
        loss: str,
        max_evaluations: int,
        callback: Callable[[Evaluation], None] | None,
        *,
        with_rows: bool,
    ) -> None:
        self.forward, self.parameters, self.data, self.loss = forward, parameters, data, loss
        self.noise_known = data.sigma is not None
        self.best: _Point | None = None
        self.history: list[Evaluation] = []
        self._limit, self._callback, self._with_rows = max_evaluations, callback, with_rows
        self._last: tuple[bytes, _Point | None] = (b"", None)
        self._stopped, self._begin = 0, time.perf_counter()

    @property
    def bounds(self) -> list[tuple[float, float]]:
        return [p.bounds() for p in self.parameters]

    def at(self, u: np.ndarray) -> _Point | None:
        """The model at `u`, None if it stopped there."""
        key = np.asarray(u, float).tobytes()
        if key != self._last[0]:
            if self.best is not None and key == self.best.u.tobytes():
                return self.best
            self._last = (key, self._evaluate(np.array(u, float)))
        return self._last[1]

    def _evaluate(self, u: np.ndarray) -> _Point | None:
        if len(self.history) >= self._limit:
            raise _Halt("max_evaluations", f"Ended after {self._limit} evaluations; this is the best so far.")
        values = natural(self.parameters, u)
        try:
            point = self._run(u, values)
        except RunStopped as stop:
            if self.best is None:
                start = ", ".join(f"{name} = {value:g}" for name, value in values.items())
                raise RunStopped(
                    f"The run with the start values ({start}) stops before the end of the data: {stop} Change the "
                    "start values, or leave out the data beyond."
                ) from stop
            self._keep(values, math.inf, {}, str(stop))
            self._stopped += 1
            if self._stopped >= STOPPED_IN_A_ROW:
                raise _Halt("stuck", f"Each of the last {STOPPED_IN_A_ROW} runs stopped, at last: {stop}") from None
            return None
        self._stopped = 0
        if self.best is None or point.cost < self.best.cost:
            self.best = point
        self._keep(values, point.cost, self.data.rms(self.data.measured - point.prediction), "")
        return point

    def _run(self, u: np.ndarray, values: dict[str, float]) -> _Point:
        jacobian = None
        if self._with_rows:
            prediction, jacobian = map(np.asarray, self.forward.rows(dict(values)))
            self._check(prediction, jacobian)
            slope = jacobian.T @ self.weights(prediction)
        else:

            def weights(prediction: np.ndarray) -> np.ndarray:
                self._check(np.asarray(prediction))
                return self.weights(np.asarray(prediction))

            prediction, slope = map(np.asarray, self.forward.pull_back(dict(values), weights))
            self._check(slope)
        prior, prior_slopes = prior_rows(self.parameters, values)
        rho = LOSSES[self.loss](self.deviations(prediction) ** 2)[0]
        cost = 0.5 * float(np.sum(np.asarray(self.data.weight) * rho) + np.sum(prior**2))
        gradient = slope * slopes(self.parameters, values) + prior_slopes.T @ prior
        return _Point(u, values, prediction, jacobian, gradient, cost)

    def _check(self, *arrays: np.ndarray) -> None:
        if not all(np.isfinite(a).all() for a in arrays):
            raise RunStopped("The prediction or its derivative is not finite.")

    def _keep(self, values: dict[str, float], cost: float, rms: dict[str, float], stopped: str) -> None:
        best = self.best is not None and values == self.best.values
        seconds = time.perf_counter() - self._begin
        self.history.append(Evaluation(len(self.history) + 1, values, cost, rms, seconds, best, stopped))
        if self._callback is not None:
            self._callback(self.history[-1])

    def deviations(self, prediction: np.ndarray) -> np.ndarray:
        """r (m,) in standard deviations of the noise."""
        deviation = prediction - self.data.measured
        if self.data.sigma is None:
            # Until the noise is estimated, the deviation at the start is the unit: tolerances then mean something.
            size = np.sqrt(np.mean(deviation[self.data.used] ** 2))
            self.data = dataclasses.replace(self.data, sigma=float(size) or 1.0)
        return deviation / np.asarray(self.data.sigma)

    def distance(self, point: _Point) -> float:
        """Expected from `point` to the best values, as in `ctol`; inf if the noise is neither known nor to be estimated
        and for robust losses, whose cost is no parabola far from its minimum."""
        free, n = self.data.count - len(self.parameters), len(self.parameters)
        if self.loss != "linear" or point.jacobian is None or (free < 1 and not self.noise_known):
            return math.inf
        known = information(self.parameters, point.values, point.jacobian, self.data)
        if self.noise_known:
            spread = max(1.0, math.sqrt(2.0 * point.cost / free)) if free > 0 else 1.0
            return known.distance(point.gradient, spread) / math.sqrt(n)
        # what no step along the columns takes away is noise
        rest = (2.0 * point.cost - known.distance(point.gradient, 0.0) ** 2) / free
        if not rest > 0.0:
            return math.inf
        known = information(self.parameters, point.values, point.jacobian, self.data, variance=rest)
        return known.distance(point.gradient / rest) / math.sqrt(n)

    def weights(self, prediction: np.ndarray) -> np.ndarray:
        """Derivative of the cost by the prediction (m,)."""
        r = self.deviations(prediction)
        return np.asarray(self.data.weight) * LOSSES[self.loss](r**2)[1] * r / np.asarray(self.data.sigma)


def _least_squares(problem: _Problem, xtol: float, ftol: float, ctol: float) -> tuple[str, str]:
    """Trust region; scipy quarters its radius where residuals are not finite. (status, message)"""
    used, n = problem.data.used, len(problem.parameters)
    k = n + sum(p.prior is not None for p in problem.parameters)
    weight = np.asarray(problem.data.weight)[used]

    def residuals(u: np.ndarray) -> np.ndarray:
        point = problem.at(u)
        if point is None:
            return np.full(int(used.sum()) + k, np.nan)
        prior = prior_rows(problem.parameters, point.values)[0]
        return np.concatenate([(problem.deviations(point.prediction)[used] * np.sqrt(weight)), prior, np.zeros(n)])

    def rows(u: np.ndarray) -> np.ndarray:
        point = problem.at(u)
        assert point is not None and point.jacobian is not None  # scipy asks only where residuals are finite
        if problem.distance(point) < ctol:
            share = f"{100.0 * ctol:g} % of the radius of the confidence region"
            raise _Halt("converged", f"Converged: the best values are expected within {share}.")
        scaled = point.jacobian * slopes(problem.parameters, point.values) * problem.data.accuracy()[:, None]
        damping = np.maximum(DAMPING, RELATIVE_DAMPING * np.linalg.norm(scaled[used], axis=0))
        return np.vstack([scaled[used], prior_rows(problem.parameters, point.values)[1], np.diag(damping)])

    def loss(z: np.ndarray) -> np.ndarray:
        # weighted outside of rho, so that a heavy point is no outlier; priors are never outliers
        data = z[: weight.size]
        value, first, second = LOSSES[problem.loss](data / weight)
        found = np.stack([z, np.ones_like(z), np.zeros_like(z)])
        found[:, : weight.size] = weight * value, first, second / weight
        return found

    low, high = np.transpose(problem.bounds)
    found = least_squares(
        residuals,
        np.clip(np.zeros(n), low + INSIDE * (high - low), high - INSIDE * (high - low)),
        jac=rows,
        bounds=(low, high),
        method="trf",
        x_scale=1.0,  # u is scaled; the first trust region is then 1: a factor e, or the width of the bounds
        xtol=xtol,
        ftol=ftol,
        gtol=1e-12,
        loss="linear" if problem.loss == "linear" else loss,
        max_nfev=10**9,  # counted here
    )
    return "converged", {
        1: "Converged: the cost is level here.",
        2: "Converged: no further gain is to be expected.",
        3: "Converged: the last step changed the parameters by less than xtol.",
        4: "Converged: neither the cost nor the parameters change any more.",
    }[found.status]


def _l_bfgs_b(problem: _Problem, xtol: float, ftol: float, ctol: float) -> tuple[str, str]:
    """Quasi-Newton with the gradient of the adjoint. (status, message)"""
    start = problem.at(np.zeros(len(problem.parameters)))
    assert start is not None  # it raises
    # With bounds on all parameters, the first step is the whole gradient, which would lead into a corner of the bounds:
    # scaled to one, its length is a factor e, or the width of the bounds, as in the trust region.
    scale = 1.0 / max(float(np.linalg.norm(start.gradient)), 1e-300)
    last = start.cost

    def cost(u: np.ndarray) -> tuple[float, np.ndarray]:
        point = problem.at(u)
        if point is not None:
            return scale * point.cost, scale * point.gradient
        # The line search interpolates and wants finite numbers: a parabola through the best point, as high at the end
        # of the step as the step promised to gain, so that the next is about a quarter as long, as in the trust region.
        best = problem.best
        assert best is not None  # the start raises
        step = u - best.u
        length = max(float(step @ step), 1e-300)
        height = max(abs(float(best.gradient @ step)), 1e-6 * max(best.cost, 1.0))
        return scale * (best.cost + height), scale * 2.0 * height / length * step

    def after_iteration(u: np.ndarray) -> None:
        # scipy would compare with the scaled cost
        nonlocal last
        point = problem.at(u)
        if point is not None:
            gain, last = last - point.cost, point.cost
            if gain <= ftol * max(last, 1.0):
                raise _Halt("converged", "Converged: the cost no longer falls by more than ftol.")

    found = minimize(
        cost,
        np.zeros(len(problem.parameters)),
        jac=True,
        method="L-BFGS-B",
        bounds=problem.bounds,
        callback=after_iteration,
        options={"ftol": 0.0, "gtol": 1e-8 * scale, "maxfun": 10**9, "maxiter": 10**9},
    )
    if found.success:
        return "converged", "Converged: the cost is level here."
    return "stuck", f"No step from here lowers the cost, though its gradient is not zero ({found.message})."


METHODS: dict[str, Callable[[_Problem, float, float, float], tuple[str, str]]] = {
    "least_squares": _least_squares,
    "l-bfgs-b": _l_bfgs_b,
}


def _conclude(problem: _Problem, status: str, message: str) -> FitResult:
    """Uncertainties at the best point, and what is to be said about them."""
    best, parameters, data = problem.best, problem.parameters, problem.data
    assert best is not None
    jacobian = best.jacobian
    if jacobian is None and status != "interrupted":
        try:
            jacobian = np.asarray(problem.forward.rows(dict(best.values))[1])
        except (RunStopped, KeyboardInterrupt):
            pass  # said below
    notes = []
    free = data.count - len(parameters)
    variance, dof, cost = 1.0, math.inf, best.cost  # variance: inf where nothing tells it
    z = (problem.deviations(best.prediction) ** 2)[data.used]
    weight = np.asarray(data.weight)[data.used]
    if not problem.noise_known:
        dof = max(free, 0)
        variance = 1.0 if free > 0 else math.inf
        if free > 0:
            # not exactly zero where data without noise are met to all digits
            scale = max(float(np.sqrt(np.sum(weight * z) / free)), 1e-15)
            noise = scale * float(np.asarray(data.sigma)[0])
            data = dataclasses.replace(data, sigma=noise)
            z, cost = z / scale**2, cost / scale**2
            notes.append(
                f"The noise was not given; {noise:.3g} (standard deviation of a point of weight 1) "
                "was estimated from the residuals, as if the model were exact and all points independent."
            )
        else:
            notes.append(
                f"The uncertainties are not known: the noise was not given, and {data.count} points for "
                f"{len(parameters)} parameters leave nothing to estimate it from. Give sigma."
            )
    elif problem.loss != "linear":
        dof = max(free, 0)
        variance = variance_factor(z, weight, problem.loss, free) if free > 0 else math.inf
        if not math.isfinite(variance):
            notes.append(
                f"The uncertainties are not known: too few points agree with the model for loss={problem.loss!r}."
            )
    chi2 = float(np.sum(weight * z) + np.sum(prior_rows(parameters, best.values)[0] ** 2))
    known = None
    if jacobian is None:
        notes.append("The uncertainties are not known: the derivatives at the result were not computed.")
    elif math.isfinite(variance):
        known = information(parameters, best.values, jacobian, data, variance=variance)
    result = FitResult(
        parameters=parameters,
        values=best.values,
        data=data,
        noise_estimated=not problem.noise_known,
        prediction=best.prediction,
        jacobian=jacobian,
        information=known,
        variance=variance,
        dof=dof,
        cost=cost,
        chi2=chi2,
        loss=problem.loss,
        status=status,
        message=message,
        notes=(),
        history=tuple(problem.history),
    )
    return dataclasses.replace(result, notes=(*notes, *_remarks(result, problem.noise_known)))


def _remarks(result: FitResult, noise_known: bool) -> list[str]:
    notes = []
    free = result.data.count - len(result.parameters)
    if noise_known and result.loss == "linear" and free > 0:
        # three standard deviations of chi2 / free
        if result.reduced_chi2 > 1.0 + 3.0 * math.sqrt(2.0 / free):
            notes.append(
                f"The residuals are {math.sqrt(result.reduced_chi2):.3g} times as large as the noise that was given: "
                "the model cannot follow the data, or the noise is larger. The intervals do not know of that."
            )
    for name, bound in result.at_bound.items():
        if bound:
            notes.append(f"{name} ended at its {bound} bound: its interval means little. Widen the bounds if you can.")
    if result.information is not None:
        unknown = [p.name for p, u in zip(result.parameters, result.information.unknown, strict=True) if u]
        if unknown:
            notes.append(f"The data leave open, within the bounds: {', '.join(unknown)}. See identifiability.")
    return notes
