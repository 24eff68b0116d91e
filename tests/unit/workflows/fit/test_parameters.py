"""Parameters of a fit: checks, scales, priors."""

import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.workflows.fit import Data, FitParameter, Prior, minimise
from simulator.workflows.fit.parameters import check_parameters


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1.0, 2.0, 2.0), "must be lower < upper, got 2 and 2"),
        ((3.0, 0.0, 2.0), r"bounds of k exclude the start: 3 is not in \[0, 2\]"),
        ((math.nan, 0.0, 2.0), "start of k must be a finite number, got nan"),
        ((1.0, 0.0, math.inf), "upper of k must be a finite number, got inf"),
        ((1.0, 0.0, 2.0, True), "lower bound 0 is not positive"),
        ((1.0, 0.1, 2.0, None, Prior(1.0, 0.0)), "standard deviation > 0"),
        ((1.0, 0.1, 2.0, True, Prior(-1.0, 1.0)), "mean -1"),
    ],
)
def test_wrong_parameter_is_refused_with_its_value(arguments, said):
    with pytest.raises(ConfigError, match=said):
        FitParameter("k", *arguments)


def test_repeated_name_is_refused():
    with pytest.raises(ConfigError, match="k is given 2 times"):
        check_parameters([FitParameter("k", 1.0, 0.0, 2.0), FitParameter("k", 1.5, 0.0, 2.0)])
    with pytest.raises(ConfigError, match="nothing to fit"):
        check_parameters([])


@pytest.mark.parametrize(
    ("lower", "upper", "log"), [(0.1, 2.0, True), (0.2, 2.0, False), (0.0, 5.0, False), (-1.0, 50.0, False)]
)
def test_positive_bounds_over_more_than_a_factor_ten_give_a_logarithmic_scale(lower, upper, log):
    assert FitParameter("k", 1.0, lower, upper).log is log


@pytest.mark.parametrize("log", [True, False])
def test_scales_invert_each_other_and_slope_is_their_derivative(log):
    p = FitParameter("k", 2.0, 0.5, 30.0, log=log)
    assert p.to_fitted(p.start) == 0.0
    for value in (0.5, 1.7, 30.0):
        u = p.to_fitted(value)
        assert p.to_natural(u) == pytest.approx(value, rel=1e-14)
        h = 1e-6
        if value == 1.7:  # central difference: error h^2 / 6 of the third derivative
            assert (p.to_natural(u + h) - p.to_natural(u - h)) / (2 * h) == pytest.approx(p.slope(value), rel=1e-8)
    low, high = p.bounds()
    # rounding must not lead out of the bounds, which the model may enforce
    assert p.to_natural(low - 1e-12) == 0.5 and p.to_natural(high + 1e-12) == 30.0


def test_prior_of_a_logarithmic_parameter_is_relative():
    p = FitParameter("k", 1.0, 0.01, 100.0, prior=Prior(2.0, 0.1))
    assert p.prior_residual(2.0 * math.exp(0.1)) == pytest.approx((1.0, 10.0), rel=1e-12)
    q = FitParameter("k", 1.0, 0.0, 5.0, prior=Prior(2.0, 0.1))
    assert q.prior_residual(2.1) == pytest.approx((1.0, 50.0), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"measured": [1.0, math.nan]}, "1 that are not finite"),
        ({"measured": [1.0, 2.0], "sigma": 0.0}, "sigma must be finite and > 0"),
        ({"measured": [1.0, 2.0], "sigma": [1.0, 1.0, 1.0]}, "sigma must be one number or 2"),
        ({"measured": [1.0, 2.0], "weight": [0.0, 0.0]}, "not 0 for all"),
        ({"measured": [1.0, 2.0], "curve": [0, 1]}, r"curve must lie in \[0, 0\]"),
    ],
)
def test_wrong_data_are_refused_with_their_value(arguments, said):
    with pytest.raises(ConfigError, match=said):
        Data(**arguments)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "newton"}, "Unknown method 'newton'"),
        ({"loss": "hubert"}, "Did you mean 'huber'"),
        ({"loss": "huber"}, "needs the noise"),
        ({"max_evaluations": 0}, "max_evaluations must be at least 1"),
        ({"ftol": 0.0}, "ftol must lie in"),
        ({"ctol": 1.0}, "ctol must lie in"),
    ],
)
def test_wrong_setting_of_the_fit_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        minimise(None, [FitParameter("k", 1.0, 0.0, 2.0)], Data(np.ones(3)), **settings)


def test_prior_without_noise_is_refused():
    with pytest.raises(ConfigError, match="a prior needs the noise"):
        minimise(None, [FitParameter("k", 1.0, 0.0, 2.0, prior=Prior(1.0, 1.0))], Data(np.ones(3)))
