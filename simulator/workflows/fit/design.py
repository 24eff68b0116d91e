"""Which experiment to do next: D-optimal design among given candidates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import ConfigError
from simulator.workflows.fit.data import Data
from simulator.workflows.fit.information import Information, information, of_bounds
from simulator.workflows.fit.parameters import FitParameter
from simulator.workflows.fit.result import aligned


@dataclass(frozen=True)
class Candidate:
    """An experiment that could be done: its `jacobian` (m, n) in natural units at the present values, columns in the
    order of the parameters, and the `sigma` of the noise of its points, one number or (m,)."""

    name: str
    jacobian: np.ndarray
    sigma: np.ndarray | float


@dataclass(frozen=True)
class Ranked:
    """A candidate with what it would bring.

    `gain`: ln det of the Fisher matrix after minus before; exp(-gain / 2) is the factor on the volume of the confidence
    ellipsoid. `std`: expected standard deviations of all parameters afterwards in the fitted scale (relative for
    logarithmic ones), inf where still unknown. `seen`: number of directions that are then determined at all.
    """

    name: str
    gain: float
    std: dict[str, float]
    seen: int


def rank_experiments(
    known: Information, parameters: Sequence[FitParameter], values: dict[str, float], candidates: Sequence[Candidate]
) -> list[Ranked]:
    r"""Candidates by their gain $\ln\det(M_0 + M_c) - \ln\det M_0$ (D-optimality), best first.

    $M_0$ is what is `known`, with priors, plus that every parameter lies within its bounds. The last keeps the
    determinant from vanishing where nothing is known yet, and hardly matters elsewhere. The model is linearised at
    natural `values`: after the experiment, fit and rank again.

    **Errors:** ConfigError.

    **Source:** Chaloner, Verdinelli (1995), doi:10.1214/ss/1177009939.
    """
    found = [
        (_ranked(known, parameters, c.name, _information(parameters, values, c)), k) for k, c in _checked(candidates)
    ]
    return [ranked for ranked, _ in sorted(found, key=lambda pair: (-pair[0].gain, pair[1]))]


def greedy_experiments(
    known: Information,
    parameters: Sequence[FitParameter],
    values: dict[str, float],
    candidates: Sequence[Candidate],
    count: int,
    *,
    repeat: bool = True,
) -> list[Ranked]:
    """`count` experiments one after the other, each the best after those before; `repeat`: the same may come again.

    Greedy sequences need not be the best set, but gain at least 1 - 1/e = 63 % of what that gains in ln det.

    **Errors:** ConfigError.

    **Source:** Nemhauser, Wolsey, Fisher (1978), doi:10.1007/BF01588971, as ln det is submodular.
    """
    left = [candidate for _, candidate in _checked(candidates)]
    if count < 1 or (not repeat and count > len(left)):
        raise ConfigError(
            f"count must be at least 1, and at most the {len(left)} candidates if none is repeated, got {count}."
        )
    chosen = []
    for _ in range(count):
        best = rank_experiments(known, parameters, values, left)[0]
        candidate = next(c for c in left if c.name == best.name)
        known = known + _information(parameters, values, candidate)
        chosen.append(best)
        if not repeat:
            left.remove(candidate)
    return chosen


def _checked(candidates: Sequence[Candidate]) -> list[tuple[int, Candidate]]:
    names = [c.name for c in candidates]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"candidates needs at least one, each with a name of its own, got {names}.")
    return list(enumerate(candidates))


def _information(parameters: Sequence[FitParameter], values: dict[str, float], candidate: Candidate) -> Information:
    jacobian = np.asarray(candidate.jacobian, float)
    if jacobian.ndim != 2 or jacobian.shape[1] != len(parameters) or not np.isfinite(jacobian).all():
        raise ConfigError(
            f"The jacobian of {candidate.name} must be finite and have {len(parameters)} columns, one for each "
            f"parameter, got the shape {jacobian.shape}."
        )
    data = Data(np.zeros(len(jacobian)), candidate.sigma)
    return information(parameters, values, jacobian, data, priors=False)


def _ranked(known: Information, parameters: Sequence[FitParameter], name: str, new: Information) -> Ranked:
    bounds = of_bounds(parameters)
    after = known + new
    gain = (after + bounds).log_det() - (known + bounds).log_det()
    std = dict(zip((p.name for p in parameters), map(float, after.std), strict=True))
    return Ranked(name, gain if math.isfinite(gain) else 0.0, std, after.rank)


def ranking_table(ranked: Sequence[Ranked], parameters: Sequence[FitParameter]) -> list[str]:
    """Lines for a terminal: gain, what is left of the volume of the confidence ellipsoid, expected standard errors."""
    names = [p.name for p in parameters]
    rows = [("next experiment", "gain", "volume left", *(f"std. error of {name}" for name in names))]
    for r in ranked:
        std = [_expected(p, r.std[p.name]) for p in parameters]
        rows.append((r.name, f"{r.gain:.3g}", f"{100.0 * math.exp(-0.5 * r.gain):.3g} %", *std))
    return aligned(rows)


def _expected(parameter: FitParameter, std: float) -> str:
    """A standard error in the fitted scale as a text."""
    if not math.isfinite(std):
        return "unknown"
    return f"{100.0 * std:.2g} %" if parameter.log else f"{std * parameter.width:.2g}"
