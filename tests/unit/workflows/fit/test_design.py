"""D-optimal experiments against the textbook."""

import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.workflows.fit import Candidate, FitParameter, Prior, greedy_experiments, information, rank_experiments
from simulator.workflows.fit.data import Data

#: The line a + b x.
PARAMETERS = [FitParameter("a", 0.0, -1e3, 1e3), FitParameter("b", 0.0, -1e3, 1e3)]
VALUES = {"a": 0.0, "b": 0.0}


def at(position, name=None, sigma=1.0):
    """One measurement of the line."""
    return Candidate(name or f"{position:g}", np.array([[1.0, position]]), sigma)


def known(*positions, sigma=1.0, parameters=PARAMETERS):
    x = np.array(positions, float)
    jacobian = np.stack([np.ones_like(x), x], axis=1)
    return information(parameters, VALUES, jacobian, Data(np.zeros(x.size) if x.size else np.zeros(1), sigma))


CANDIDATES = [at(x) for x in np.linspace(-1.0, 1.0, 9)]


def test_line_is_measured_at_its_end_points():
    chosen = greedy_experiments(known(0.0), PARAMETERS, VALUES, CANDIDATES, 6)
    names = [c.name for c in chosen]
    assert sorted(set(names)) == ["-1", "1"] and names.count("1") == names.count("-1") == 3


def test_gain_is_that_of_the_determinant():
    before = known(-0.5, 0.2, 0.4, sigma=0.3)
    x = np.array([[1.0, -0.5], [1.0, 0.2], [1.0, 0.4]])
    fisher = x.T @ x / 0.09
    new = np.array([[1.0, 0.75]])
    expected = math.log(np.linalg.det(fisher + new.T @ new / 0.25) / np.linalg.det(fisher))
    found = rank_experiments(before, PARAMETERS, VALUES, [at(0.75, sigma=0.5)])[0]
    assert found.gain == pytest.approx(expected, rel=1e-5)  # the bounds, wide as they are, count as knowledge
    std = np.sqrt(np.diag(np.linalg.inv(fisher + new.T @ new / 0.25)))
    # linear parameters are fitted in units of the width of their bounds, 2000
    assert 2e3 * np.array([found.std["a"], found.std["b"]]) == pytest.approx(std, rel=1e-9)


def test_noise_counts_against_a_candidate():
    order = [r.name for r in rank_experiments(known(0.0), PARAMETERS, VALUES, [at(1.0, "far", 5.0), at(0.5, "near")])]
    assert order == ["near", "far"]


def test_what_is_not_known_at_all_comes_first():
    # a is known, b is not: a measurement at 0 brings nothing on b, however accurate it is
    found = rank_experiments(known(0.0), PARAMETERS, VALUES, [at(0.0, "again", 0.1), at(0.3, "new")])
    assert [(r.name, r.seen) for r in found] == [("new", 2), ("again", 1)]
    assert math.isinf(found[1].std["b"]) and math.isfinite(found[0].std["b"])
    assert 2e3 * found[1].std["a"] == pytest.approx(1 / math.sqrt(101))


def test_prior_is_knowledge():
    parameters = [PARAMETERS[0], FitParameter("b", 0.0, -1e3, 1e3, prior=Prior(0.0, 1e-3))]
    # b is known: nothing is gained by the distance, all measurements tell a as well
    gains = [r.gain for r in rank_experiments(known(0.0, parameters=parameters), parameters, VALUES, CANDIDATES)]
    assert max(gains) - min(gains) < 1e-5


def test_without_repetition_each_comes_once():
    chosen = greedy_experiments(known(0.0), PARAMETERS, VALUES, CANDIDATES, 9, repeat=False)
    assert len({c.name for c in chosen}) == 9
    assert [c.std["b"] for c in chosen] == sorted((c.std["b"] for c in chosen), reverse=True)


def test_wrong_candidates_are_refused():
    with pytest.raises(ConfigError, match="each with a name of its own"):
        rank_experiments(known(0.0), PARAMETERS, VALUES, [at(1.0), at(1.0)])
    with pytest.raises(ConfigError, match=r"must be finite and have 2 columns.*\(1, 3\)"):
        rank_experiments(known(0.0), PARAMETERS, VALUES, [Candidate("x", np.ones((1, 3)), 1.0)])
    with pytest.raises(ConfigError, match="at most the 9 candidates"):
        greedy_experiments(known(0.0), PARAMETERS, VALUES, CANDIDATES, 10, repeat=False)
