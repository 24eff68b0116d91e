"""What data say about parameters near one point: Fisher information, and the covariance that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.workflows.fit.data import Data
from simulator.workflows.fit.parameters import FitParameter, prior_rows, slopes

#: A direction that changes the data by less than this many standard deviations while a parameter runs through all of
#: its bounds is not seen at all,
UNSEEN = 1e-3
#: nor one that is weaker than the strongest by this factor, which is what rounding leaves of a Jacobian.
ROUNDING = 1e-8
#: Errors of the Jacobian, as a share of its columns: derivatives of a simulation are right to some 5e-4 of the largest
#: entry of theirs. A direction along which columns cancel to less than this is weak,
ERROR = 1e-3
#: as is one that changes the data by less than this many standard deviations through all bounds. It counts only if
#: the residuals along it exceed so many times their spread,
WEAK = 0.1
BEYOND_NOISE = 3.0
#: A parameter takes part in an unseen direction if it runs through more than this share of its bounds in it.
SHARE = 1e-3


@dataclass(frozen=True)
class Information:
    """The Fisher information A^T A of the parameters in the fitted scale, kept as its root A.

    `rows` A (M, n): derivatives of the data, and of priors, by u in standard deviations. `reach` (n,): upper minus
    lower bound in u. Working with A and not with A^T A keeps all digits. Directions that are not seen have infinite
    variance, and no parameter that takes part in one gets a number.
    """

    rows: np.ndarray
    reach: np.ndarray

    def __add__(self, other: "Information") -> "Information":
        """Both sources together."""
        return Information(np.vstack([self.rows, other.rows]), self.reach)

    @cached_property
    def fisher(self) -> np.ndarray:
        """(n, n)."""
        return self.rows.T @ self.rows

    @cached_property
    def _svd(self) -> tuple[np.ndarray, np.ndarray]:
        """Singular values (n,), descending, and right vectors (n, n) as rows, of A in units of the reach."""
        n = self.reach.size
        scaled = np.vstack([self.rows * self.reach, np.zeros((n, n))])  # at least n rows, or vectors would be missing
        _, s, vt = np.linalg.svd(scaled, full_matrices=False)
        return s, vt

    @cached_property
    def _seen(self) -> np.ndarray:
        s = self._svd[0]
        return s > max(UNSEEN, ROUNDING * s.max())

    @property
    def rank(self) -> int:
        """Number of directions that are seen."""
        return int(self._seen.sum())

    @property
    def eigenvalues(self) -> np.ndarray:
        """Of the Fisher matrix in units of the reach, descending (n,): 1 / variance of each direction."""
        return self._svd[0] ** 2

    @property
    def eigenvectors(self) -> np.ndarray:
        """Columns (n, n), in units of the reach, in the order of `eigenvalues`."""
        return self._svd[1].T

    @cached_property
    def _unseen_part(self) -> np.ndarray:
        """Projector (n, n) on the unseen directions, in units of the reach."""
        vt = self._svd[1][~self._seen]
        return vt.T @ vt

    @cached_property
    def unknown(self) -> np.ndarray:
        """Whether a parameter takes part in an unseen direction (n,)."""
        return np.diag(self._unseen_part) > SHARE**2

    @cached_property
    def covariance(self) -> np.ndarray:
        """Inverse of the Fisher matrix (n, n); of unknown parameters inf, and NaN off the diagonal."""
        s, vt = self._svd
        half = vt[self._seen] / s[self._seen, None] * self.reach
        found = half.T @ half
        found[self.unknown, :] = np.nan
        found[:, self.unknown] = np.nan
        found[self.unknown, self.unknown] = np.inf
        return found

    @property
    def std(self) -> np.ndarray:
        """Standard deviations in the fitted scale (n,), inf where unknown."""
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def correlation(self) -> np.ndarray:
        """(n, n). Between two unknown parameters: the limit, +-1 if only one combination of both is seen."""
        n = self.reach.size
        found = np.eye(n)
        for i in range(n):
            for j in range(i):
                matrix = self._unseen_part if self.unknown[i] and self.unknown[j] else self.covariance
                if self.unknown[i] != self.unknown[j]:
                    continue  # a finite covariance by an infinite variance: 0
                value = matrix[i, j] / np.sqrt(matrix[i, i] * matrix[j, j])
                found[i, j] = found[j, i] = np.clip(value, -1.0, 1.0)
        return found

    def marginal(self, chosen: Sequence[int]) -> "Information":
        """What is known of the `chosen` if nothing else is known of the others: their columns without what the others
        explain (the root of a Schur complement)."""
        others = [k for k in range(self.reach.size) if k not in set(chosen)]
        rows = self.rows[:, list(chosen)]
        if others:
            left, s, _ = np.linalg.svd(self.rows[:, others] * self.reach[others], full_matrices=False)
            left = left[:, s > max(UNSEEN, ROUNDING * s.max(initial=0.0))]
            rows = rows - left @ (left.T @ rows)
        return Information(rows, self.reach[list(chosen)])

    def distance(self, gradient: np.ndarray, spread: float = 1.0) -> float:
        """Of a point to the minimum of a parabola with this Fisher matrix and, at the point, this `gradient` (n,): the
        length of the Gauss-Newton step in standard errors; inf if the data see nothing.

        Directions that only errors of the Jacobian may make, or that hardly change the data, are left out if the
        residuals along them are like noise of `spread` standard deviations: no step along them would be worth its run.
        """
        s, vt = self._svd
        along = np.abs(vt @ (self.reach * gradient)) / np.maximum(s, 1e-300)
        doubt = ERROR * np.linalg.norm(vt * self.reach * np.linalg.norm(self.rows, axis=0), axis=1)
        weak = s < np.maximum(WEAK, doubt)
        counts = (s > ROUNDING * s.max()) & (~weak | (along > BEYOND_NOISE * spread))
        return float(np.linalg.norm(along[counts])) if counts.any() else np.inf

    def log_det(self) -> float:
        """ln det of the Fisher matrix in units of the reach; -inf if a direction is not seen."""
        return float(2.0 * np.sum(np.log(self._svd[0]))) if self._seen.all() else -np.inf


def information(
    parameters: Sequence[FitParameter],
    values: Mapping[str, float],
    jacobian: np.ndarray,
    data: Data,
    *,
    variance: float = 1.0,
    priors: bool = True,
) -> Information:
    """Of `data` at natural `values`, and of the priors. `jacobian` (m, n) in natural units; `variance`: factor on
    sigma^2 of the data."""
    used = data.used
    rows = (jacobian * slopes(parameters, values) * (data.accuracy() / np.sqrt(variance))[:, None])[used]
    if priors:
        rows = np.vstack([rows, prior_rows(parameters, values)[1]])
    # the same Fisher matrix in n rows
    return Information(np.asarray(np.linalg.qr(rows, mode="r")), _reach(parameters))


def _reach(parameters: Sequence[FitParameter]) -> np.ndarray:
    return np.array([high - low for low, high in (p.bounds() for p in parameters)])


def of_bounds(parameters: Sequence[FitParameter]) -> Information:
    """That each parameter lies somewhere within its bounds, as a normal distribution with the variance of the uniform
    one, (upper - lower)^2 / 12 in the fitted scale."""
    reach = _reach(parameters)
    return Information(np.diag(np.sqrt(12.0) / reach), reach)
