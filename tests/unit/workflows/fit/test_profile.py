"""Profile likelihoods against formulas."""

import math

import numpy as np
import pytest
from formula import Formula

from simulator.errors import ConfigError
from simulator.workflows.fit import Data, FitParameter, Prior, minimise, profile_likelihood

TIME = np.linspace(0.0, 5.0, 30)
LINE = [FitParameter("a", 0.0, -50.0, 50.0), FitParameter("b", 0.0, -20.0, 20.0)]
TIGHT = {"ftol": 1e-13, "xtol": 1e-13}


def line(x):
    return x[0] + x[1] * TIME


def product(x):
    return x[0] * x[1] * np.exp(-x[2] * TIME)


def measured(sigma=0.3):
    return 3.0 - 2.0 * TIME + np.random.default_rng(0).normal(0.0, sigma, TIME.size)


@pytest.mark.parametrize("sigma", [0.3, None])
@pytest.mark.parametrize("method", ["least_squares", "l-bfgs-b"])
def test_profile_of_a_linear_model_is_the_parabola_of_its_covariance(sigma, method):
    fit = minimise(Formula(line), LINE, Data(measured(), sigma), **TIGHT)
    found = profile_likelihood(Formula(line), fit, "b", method=method)
    best, std = fit.values["b"], fit.std_errors["b"]
    # the fits of the other parameter end at a gain below 1e-6 of the cost or of 1
    assert found.chi2 - fit.chi2 == pytest.approx(((found.grid - best) / std) ** 2, abs=1e-4)
    # the interval is the t interval, normal for known noise, as it must be for a linear model
    assert (found.lower, found.upper) == pytest.approx(fit.intervals["b"], abs=1e-4 * std)
    assert (found.lower_end, found.upper_end) == ("crossed", "crossed")
    # two points to each side: the first at half of the way, the second beyond
    assert found.grid.size == 5 and found.note == ""


def test_the_others_follow():
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3), **TIGHT)
    found = profile_likelihood(Formula(line), fit, "b")
    expected = [np.mean(measured() - b * TIME) for b in found.grid]
    assert [o["a"] for o in found.others] == pytest.approx(expected, abs=1e-3)


def test_profile_of_one_parameter_needs_no_fit():
    model = Formula(lambda x: x[0] * TIME)
    fit = minimise(model, LINE[1:], Data(measured() - 3.0, 0.3), **TIGHT)
    before = len(model.seen)
    found = profile_likelihood(model, fit, "b")
    assert (found.lower, found.upper) == pytest.approx(fit.intervals["b"], rel=1e-6)
    assert len(model.seen) - before == found.grid.size - 1


def test_prior_is_part_of_the_profile():
    parameters = [LINE[0], FitParameter("b", 0.0, -20.0, 20.0, prior=Prior(-1.5, 0.02))]
    fit = minimise(Formula(line), parameters, Data(measured(), 0.3), **TIGHT)
    found = profile_likelihood(Formula(line), fit, "b")
    assert (found.lower, found.upper) == pytest.approx(fit.intervals["b"], abs=1e-3 * fit.std_errors["b"])


def test_factor_of_a_product_is_limited_only_by_the_bounds_of_the_other():
    parameters = [FitParameter(n, 1.0, 0.05, 20.0) for n in ("a", "b", "k")]
    data = Data(product(np.array([2.0, 1.0, 0.7])) + np.random.default_rng(1).normal(0.0, 0.02, TIME.size), 0.02)
    fit = minimise(Formula(product), parameters, data, **TIGHT)
    found = profile_likelihood(Formula(product), fit, "a", points=12)
    assert found.upper_end == "open" and found.upper == pytest.approx(20.0)
    # a b is known to 1 %, and b <= 20; interpolated across at most a twentieth of the way, ln 14 / 20 = 0.13
    low = fit.values["a"] * fit.values["b"] / 20.0
    assert found.lower_end == "crossed" and found.lower == pytest.approx(low, rel=0.13)


def test_asymmetric_likelihood_is_followed_where_the_covariance_is_not_enough():
    # exp(-k t) at one late time: k upwards is hardly limited, since the signal is then zero within the noise
    model = Formula(lambda x: np.exp(-x[0] * np.array([2.0])))
    k, sigma = FitParameter("k", 1.0, 0.01, 100.0), 0.06
    fit = minimise(model, [k], Data(np.exp([-2.0]), sigma), **TIGHT)
    found = profile_likelihood(model, fit, "k", points=20)
    q = 1.959964 * sigma
    assert found.lower == pytest.approx(-np.log(np.exp(-2.0) + q) / 2.0, rel=0.02)
    # interpolated across at most a twentieth of the way
    assert found.upper == pytest.approx(-np.log(np.exp(-2.0) - q) / 2.0, rel=0.05)
    assert found.upper / fit.values["k"] > 1.3 * fit.values["k"] / found.lower  # equal by the covariance


def test_runs_that_stop_end_a_side_and_say_so():
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3), **TIGHT)
    edge = fit.values["b"] + 0.7 * fit.std_errors["b"]
    found = profile_likelihood(Formula(line, lambda x: x[1] > edge), fit, "b")
    assert found.upper_end == "stopped" and found.upper < edge and math.isnan(found.chi2[-1])
    assert found.lower_end == "crossed"


def test_interruption_keeps_the_points_so_far():
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3), **TIGHT)
    calls = []

    def interrupt(evaluation):
        calls.append(evaluation)
        if len(calls) > 4:
            raise KeyboardInterrupt

    found = profile_likelihood(Formula(line), fit, "b", callback=interrupt)
    assert found.grid.size >= 2 and "interrupted" in (found.lower_end, found.upper_end)


def test_given_grid_is_kept():
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3), **TIGHT)
    found = profile_likelihood(Formula(line), fit, "b", grid=[-2.5, -1.5])
    assert found.grid == pytest.approx([-2.5, fit.values["b"], -1.5])
    assert found.lower_end == found.upper_end == "crossed"


def test_better_minimum_is_reported():
    # two minima, at -1 and the better one at 1
    model = Formula(lambda x: np.stack([(x[0] ** 2 - 1.0) * 10.0, 0.5 * (x[0] - 1.0)]))
    x = FitParameter("x", -1.2, -2.0, 2.0)
    fit = minimise(model, [x], Data(np.zeros(2), 0.5), **TIGHT)
    assert fit.values["x"] < 0.0
    found = profile_likelihood(model, fit, "x", grid=[0.0, 1.0])
    assert "A better fit than the result was found at x = 1" in found.note


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("c", {}, "'c' was not fitted"),
        ("b", {"points": 0}, "points must be at least 1"),
        ("b", {"grid": [-30.0]}, "-30 is not within the bounds of b"),
    ],
)
def test_wrong_argument_is_refused(name, settings, said):
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3))
    with pytest.raises(ConfigError, match=said):
        profile_likelihood(Formula(line), fit, name, **settings)


def test_robust_loss_has_no_profile():
    fit = minimise(Formula(line), LINE, Data(measured(), 0.3), loss="huber")
    with pytest.raises(ConfigError, match="Fit with loss='linear'"):
        profile_likelihood(Formula(line), fit, "b")
