"""The optimisation: minima, uncertainties, runs that stop, interruptions."""

import json
import math

import numpy as np
import pytest
from formula import Formula
from scipy.stats import binom
from scipy.stats import t as student

from simulator.errors import RunStopped
from simulator.workflows.fit import Data, FitParameter, Prior, minimise

TIME = np.linspace(0.0, 5.0, 60)
METHODS = ("least_squares", "l-bfgs-b")


def decay(x):
    return x[0] * np.exp(-x[1] * TIME)


def noisy(sigma=0.02, seed=1):
    return decay(np.array([2.0, 0.7])) + np.random.default_rng(seed).normal(0.0, sigma, TIME.size)


def pair(a=1.0, k=3.0):
    return [FitParameter("a", a, 0.01, 100.0), FitParameter("k", k, 0.01, 100.0)]


def line(x):
    """Linear in parameters that are fitted linearly."""
    return x[0] + x[1] * TIME


LINE = [FitParameter("a", 0.0, -50.0, 50.0), FitParameter("b", 0.0, -20.0, 20.0)]
DESIGN = np.stack([np.ones_like(TIME), TIME], axis=1)


@pytest.mark.parametrize("method", METHODS)
def test_truth_is_found_where_data_have_no_noise(method):
    found = minimise(
        Formula(decay), pair(), Data(decay(np.array([2.0, 0.7])), 0.01), method=method, ftol=1e-13, xtol=1e-13
    )
    assert found.status == "converged"
    # the gain of the last step is below 1e-13 of a cost of at most 1: parameters to about sqrt(1e-13) sigma-units
    assert [found.values["a"], found.values["k"]] == pytest.approx([2.0, 0.7], rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_rosenbrock_valley_is_followed_to_its_end(method):
    parameters = [FitParameter("x", -1.2, -5.0, 5.0), FitParameter("y", 1.0, -5.0, 5.0)]
    valley = Formula(lambda x: np.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]]))
    found = minimise(valley, parameters, Data(np.zeros(2), 1.0), method=method, ftol=1e-12, xtol=1e-12)
    assert [found.values["x"], found.values["y"]] == pytest.approx([1.0, 1.0], abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_linear_model_gives_the_known_estimate_and_covariance(method):
    sigma = np.where(TIME < 2.0, 0.1, 0.3)
    measured = 3.0 - 2.0 * TIME + sigma * np.random.default_rng(0).normal(size=TIME.size)
    weight = np.where(TIME > 4.0, 0.0, 2.0)
    found = minimise(Formula(line), LINE, Data(measured, sigma, weight), method=method, ftol=1e-13, xtol=1e-13)
    fisher = DESIGN.T @ (DESIGN * (weight / sigma**2)[:, None])
    exact = np.linalg.solve(fisher, DESIGN.T @ (measured * weight / sigma**2))
    assert list(found.values.values()) == pytest.approx(exact, rel=1e-6)  # ftol
    covariance = np.linalg.inv(fisher)
    std = np.sqrt(np.diag(covariance))
    assert list(found.std_errors.values()) == pytest.approx(std, rel=1e-10)  # rounding
    assert found.correlation[0, 1] == pytest.approx(covariance[0, 1] / std[0] / std[1], rel=1e-10)
    assert found.intervals["b"][1] - found.values["b"] == pytest.approx(1.959964 * std[1], rel=1e-6)


def test_unknown_noise_is_estimated_and_intervals_are_students():
    measured = 3.0 - 2.0 * TIME + np.random.default_rng(0).normal(0.0, 0.1, TIME.size)
    found = minimise(Formula(line), LINE, Data(measured), ftol=1e-13, xtol=1e-13)
    exact, chi2, *_ = np.linalg.lstsq(DESIGN, measured)
    variance = chi2[0] / (TIME.size - 2)
    std = np.sqrt(variance * np.diag(np.linalg.inv(DESIGN.T @ DESIGN)))
    assert found.noise_estimated and found.reduced_chi2 == pytest.approx(1.0)
    assert list(found.std_errors.values()) == pytest.approx(std, rel=1e-6)  # ftol
    half = student.ppf(0.975, TIME.size - 2) * std[0]
    assert found.intervals["a"] == pytest.approx((exact[0] - half, exact[0] + half), rel=1e-6)
    assert "was not given" in found.notes[0] and f"{math.sqrt(variance):.3g}" in found.notes[0]


def test_unknown_noise_of_as_many_points_as_parameters_gives_no_number():
    found = minimise(Formula(lambda x: line(x)[:2]), LINE, Data(np.array([1.0, 2.0])))
    assert all(math.isnan(s) for s in found.std_errors.values())
    assert "leave nothing to estimate it from" in found.notes[0]


@pytest.mark.parametrize("sigma", [0.02, None])
def test_a_fit_ends_at_its_share_of_the_radius_of_the_confidence_region(sigma):
    data = Data(noisy(seed=3), sigma)
    best = minimise(Formula(decay), pair(30.0, 0.05), data, ftol=1e-14, xtol=1e-14)

    def share(values):
        away = np.log([values[name] / best.values[name] for name in ("a", "k")])
        return np.sqrt(away @ best.information.fisher @ away / 2.0)

    for ctol in (0.3, 0.03):
        found = minimise(Formula(decay), pair(30.0, 0.05), data, ftol=1e-14, xtol=1e-14, ctol=ctol)
        assert found.status == "converged" and f"within {100 * ctol:g} % of the radius" in found.message
        assert len(found.history) < len(best.history)
        # the Fisher matrix changes by some per cent on the way
        assert share(found.values) < 1.1 * ctol
        assert all(share(e.values) > 0.9 * ctol for e in found.history[:-1] if e.best)


def test_a_robust_loss_does_not_end_far_from_its_minimum():
    data, far = Data(noisy(seed=3), 0.02), pair(30.0, 0.05)
    one, two = (minimise(Formula(decay), far, data, loss="cauchy", ctol=ctol) for ctol in (0.0, 0.9))
    assert one.values == two.values


def test_a_parameter_seen_only_by_the_noise_that_is_left_keeps_the_fit_going():
    """1e-4 b t^2 is nothing to the deviation at the start, and known to 2 % of b beside the noise at the end."""

    def model(x):
        return x[0] * TIME + 1e-4 * x[1] * TIME**2

    noise = 1e-5 * np.random.default_rng(5).standard_normal(TIME.size)
    parameters = [FitParameter("a", 1.0, 0.1, 10.0, log=False), FitParameter("b", 0.2, 0.1, 2.0, log=False)]
    data = Data(model(np.array([3.0, 0.9])) + noise)
    found = minimise(Formula(model), parameters, data, ctol=0.05, xtol=1e-14, ftol=1e-14)
    exact = np.linalg.lstsq(np.stack([TIME, 1e-4 * TIME**2], axis=1), data.measured)[0]
    away = [(found.values[name] - x) / found.std_errors[name] for name, x in zip("ab", exact, strict=True)]
    assert away == pytest.approx([0.0, 0.0], abs=0.1)  # 0.07, and what the spread at the end differs


@pytest.mark.parametrize("error", [0.0, 2e-5, 2e-4, 5e-4])
def test_errors_of_the_jacobian_do_not_lead_along_an_open_combination(error):
    """Derivatives of a simulation are right to 5e-4 of their column: columns of a and b are not quite parallel."""
    random = np.random.default_rng(11)

    class Inexact(Formula):
        def rows(self, values):
            prediction, jacobian = super().rows(values)
            noise = random.uniform(-1.0, 1.0, jacobian.shape)
            return prediction, jacobian + error * np.abs(jacobian).max(axis=0) * noise

    parameters = [FitParameter(name, 1.0, 0.03, 30.0) for name in ("a", "b", "k")]
    model = Inexact(lambda x: x[0] * x[1] * np.exp(-x[2] * TIME))
    found = minimise(model, parameters, Data(noisy(), 0.02), ctol=0.05)
    assert found.status == "converged" and "confidence region" in found.message and found.evaluations <= 6
    # near where they began, relative to each other, which is open over a factor of 1000
    assert found.values["a"] == pytest.approx(found.values["b"], rel=0.1)
    assert found.values["a"] * found.values["b"] == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("sigma", [0.02, None])
@pytest.mark.parametrize("start", [10.0, 11.0, 12.0, 13.0])
def test_a_flat_start_far_away_is_no_end(start, sigma):
    """Where the data hardly see k, and it is wrong."""
    t = np.linspace(1.0, 10.0, 30)
    measured = np.exp(-0.3 * t) + np.random.default_rng(2).normal(0.0, 0.02, t.size)
    k = [FitParameter("k", start, 0.03, 30.0)]
    found = minimise(Formula(lambda x: np.exp(-x[0] * t)), k, Data(measured, sigma), ctol=0.05)
    assert found.values["k"] == pytest.approx(0.3, rel=0.1)


def test_what_the_residuals_show_counts_however_nearly_parallel_columns_are():
    wave, sigma = np.cos(3.0 * TIME), 1e-5
    design = np.stack([TIME, TIME + 8e-4 * wave, 0.3 * TIME**2 + 4e-4 * wave], axis=1)
    parameters = [FitParameter(name, 1.0, -10.0, 10.0) for name in "abc"]
    measured = design @ [2.0, -3.0, 4.0] + sigma * np.random.default_rng(3).standard_normal(TIME.size)
    found = minimise(Formula(lambda x: design @ x), parameters, Data(measured, sigma), ctol=0.05)
    least = np.sum((measured - design @ np.linalg.lstsq(design, measured)[0]) ** 2) / sigma**2
    # slower, and then ended by a small gain; without these directions it ends at 1000 times the least
    assert found.status == "converged" and found.chi2 < 1.5 * least


def test_few_points_without_known_noise_do_not_end_at_the_start():
    design = np.polynomial.chebyshev.chebvander(np.linspace(-1.0, 1.0, 6), 4)
    measured = design @ [1.0, -2.0, 3.0, 1.0, -1.0] + 0.01 * np.array([1, -1, 1, -1, 1, -1])
    parameters = [FitParameter(f"c{k}", 0.0, -10.0, 10.0) for k in range(5)]
    found = minimise(Formula(lambda x: design @ x), parameters, Data(measured), ctol=0.3)
    away = np.array(list(found.values.values())) - np.linalg.lstsq(design, measured)[0]
    away = away / 20.0  # by the width of the bounds, as the Fisher matrix is
    assert np.sqrt(away @ found.information.fisher @ away / 5.0) < 0.3


def test_priors_and_weights_belong_to_the_distance():
    prior = FitParameter("a", 30.0, 0.01, 100.0, prior=Prior(2.5, 0.01)), FitParameter("k", 0.05, 0.01, 100.0)
    data = Data(noisy(), 0.02, np.where(TIME < 2.0, 3.0, 0.5))
    best = minimise(Formula(decay), prior, data, ftol=1e-14, xtol=1e-14)
    found = minimise(Formula(decay), prior, data, ftol=1e-14, xtol=1e-14, ctol=0.03)
    away = np.log([found.values[name] / best.values[name] for name in ("a", "k")])
    assert np.sqrt(away @ best.information.fisher @ away / 2.0) < 1.1 * 0.03
    assert len(found.history) < len(best.history)


def test_a_fit_without_noise_to_compare_with_does_not_end_early():
    data = Data(decay(np.array([2.0, 0.7]))[[5, 30]])  # as many points as parameters
    found = minimise(Formula(lambda x: decay(x)[[5, 30]]), pair(), data, ctol=0.5, ftol=1e-13, xtol=1e-13)
    assert list(found.values.values()) == pytest.approx([2.0, 0.7], rel=1e-6)


def test_methods_agree():
    data = Data(noisy(), 0.02)
    one, two = (minimise(Formula(decay), pair(), data, method=m, ftol=1e-12, xtol=1e-12) for m in METHODS)
    # a hundredth of a standard error
    for name in ("a", "k"):
        assert one.values[name] == pytest.approx(two.values[name], abs=0.01 * one.std_errors[name])
        assert one.std_errors[name] == pytest.approx(two.std_errors[name], rel=1e-3)


@pytest.mark.parametrize("known", [True, False])
def test_intervals_hold_the_truth_in_95_of_100_cases(known):
    truth, draws = np.array([2.0, 0.7]), 200
    rng = np.random.default_rng(7)
    inside = np.zeros(2, int)
    few = TIME[::15]  # four points, so that Student's t and not the normal distribution is needed

    def logarithm(x):
        return np.log(x[0]) + np.log(x[1]) * few  # linear in the fitted scale: the intervals are exact

    for _ in range(draws):
        measured = logarithm(truth) + rng.normal(0.0, 0.3, few.size)
        found = minimise(Formula(logarithm), pair(k=1.0), Data(measured, 0.3 if known else None))
        inside += [low <= x <= high for x, (low, high) in zip(truth, found.intervals.values(), strict=True)]
    # 99.9 % of the binomial distribution, 179 to 198; the normal quantile in place of Student's would hold 81 %
    low, high = binom.interval(0.999, draws, 0.95)
    assert (inside >= low).all() and (inside <= high).all(), inside


def test_intervals_of_logarithmic_parameters_are_asymmetric():
    found = minimise(Formula(decay), pair(), Data(noisy(0.5), 0.5))
    low, high = found.intervals["k"]
    assert low * high == pytest.approx(found.values["k"] ** 2, rel=1e-9)
    assert high - found.values["k"] > 1.1 * (found.values["k"] - low)


def test_prior_counts_as_a_measurement_of_its_parameter():
    measured, std = 3.0 - 2.0 * TIME, 0.05
    parameters = [LINE[0], FitParameter("b", 0.0, -20.0, 20.0, prior=Prior(-1.0, std))]
    found = minimise(Formula(line), parameters, Data(measured, 0.2), ftol=1e-13, xtol=1e-13)
    fisher = DESIGN.T @ DESIGN / 0.04 + np.diag([0.0, 1.0 / std**2])
    exact = np.linalg.solve(fisher, DESIGN.T @ measured / 0.04 + [0.0, -1.0 / std**2])
    assert list(found.values.values()) == pytest.approx(exact, rel=1e-6)
    assert found.std_errors["b"] == pytest.approx(np.sqrt(np.linalg.inv(fisher)[1, 1]), rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy"])
def test_robust_losses_are_not_pulled_by_outliers(method, loss):
    measured = noisy()
    measured[::10] += 1.0
    fits = {
        name: minimise(Formula(decay), pair(), Data(measured, 0.02), method=method, loss=name, max_evaluations=300)
        for name in ("linear", loss)
    }
    assert abs(fits["linear"].values["k"] - 0.7) > 0.05
    assert abs(fits[loss].values["k"] - 0.7) < 0.02
    assert fits[loss].intervals["k"][0] < 0.7 < fits[loss].intervals["k"][1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["linear", "cauchy"])
def test_weight_counts_as_repetition_step_by_step(method, loss):
    measured = noisy()
    measured[::10] += 1.0
    once = minimise(Formula(decay), pair(), Data(measured, 0.02, 3.0), method=method, loss=loss)
    tripled = Formula(lambda x: np.tile(decay(x), 3))
    thrice = minimise(tripled, pair(), Data(np.tile(measured, 3), 0.02), method=method, loss=loss)
    for one, other in zip(once.history[:6], thrice.history[:6], strict=True):
        assert one.values == pytest.approx(other.values, rel=1e-6)  # rounding, which steps amplify
        assert one.cost == pytest.approx(other.cost, rel=1e-6)


def test_robust_errors_are_those_of_repeated_draws():
    rng, sigma = np.random.default_rng(3), 0.1
    found = []
    for _ in range(200):
        measured = 3.0 - 2.0 * TIME + sigma * rng.standard_t(3, TIME.size)
        fit = minimise(Formula(line), LINE, Data(measured, sigma), loss="huber")
        found.append([fit.values["b"], fit.std_errors["b"]])
    values, errors = np.transpose(found)
    # A standard deviation of 200 draws is known to 5 %: three of these. The linear formula would be 35 % too low.
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_each_point_is_computed_once_and_reported_at_once(method):
    model, reported = Formula(decay), []
    found = minimise(model, pair(), Data(noisy(), 0.02), method=method, callback=reported.append)
    extra = 1 if method == "l-bfgs-b" else 0  # the Jacobian at the end
    assert len(model.seen) == len(reported) + extra and len(set(model.seen)) == len(reported)
    assert tuple(reported) == found.history
    costs = [e.cost for e in found.history]
    assert [e.best for e in found.history] == [c == min(costs[: k + 1]) for k, c in enumerate(costs)]
    assert min(costs) == pytest.approx(found.cost)
    assert found.history[0].values == {"a": 1.0, "k": pytest.approx(3.0)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["raises", "nan"])
def test_runs_that_stop_on_the_way_are_survived(method, how):
    def stops(x):
        return bool(x[0] * np.exp(-2.0 * x[1]) > 0.55)  # 0.49 at the minimum; both methods go beyond on their way

    def hollow(x):
        return decay(x) * (np.nan if stops(np.real(x)) else 1.0)

    model = Formula(decay, stops) if how == "raises" else Formula(hollow)
    found = minimise(model, pair(), Data(noisy(), 0.02), method=method, ftol=1e-10, xtol=1e-10)
    whole = minimise(Formula(decay), pair(), Data(noisy(), 0.02), ftol=1e-10, xtol=1e-10)
    stopped = [e for e in found.history if e.stopped]
    assert stopped and all(math.isinf(e.cost) and not e.best for e in stopped)
    assert found.status == "converged"
    for name in ("a", "k"):
        assert found.values[name] == pytest.approx(whole.values[name], abs=0.02 * whole.std_errors[name])


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_that_can_go_nowhere_says_so(method):
    start = (1.0, 3.0)
    model = Formula(decay, lambda x: not np.allclose(x, start, rtol=1e-12))
    found = minimise(model, pair(*start), Data(noisy(), 0.02), method=method)
    assert found.status == "stuck" and "salt_depleted at 1200 s" in found.message
    assert found.values == {"a": 1.0, "k": pytest.approx(3.0)}
    assert found.evaluations <= 12


@pytest.mark.parametrize("method", METHODS)
def test_a_start_that_stops_is_named_with_its_values_and_the_cure(method):
    with pytest.raises(RunStopped, match=r"a = 1, k = 3.*salt_depleted at 1200 s\. Change the start"):
        minimise(Formula(decay, lambda x: True), pair(), Data(noisy(), 0.02), method=method)


@pytest.mark.parametrize("method", METHODS)
def test_interruption_keeps_the_best(method):
    def interrupt(evaluation):
        if evaluation.number == 4:
            raise KeyboardInterrupt

    found = minimise(Formula(decay), pair(), Data(noisy(), 0.02), method=method, callback=interrupt)
    assert found.status == "interrupted" and found.evaluations == 4
    best = min(found.history, key=lambda e: e.cost)
    assert found.values == best.values and best.number > 1
    # with the adjoint, the Jacobian would cost another run
    assert (found.information is None) == (method == "l-bfgs-b")
    assert math.isnan(found.std_errors["a"]) == (method == "l-bfgs-b")
    found.table()


def test_interruption_of_the_first_run_is_not_swallowed():
    def interrupt(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise(Formula(interrupt), pair(), Data(noisy(), 0.02))


@pytest.mark.parametrize("method", METHODS)
def test_limit_of_evaluations_is_kept(method):
    found = minimise(Formula(decay), pair(), Data(noisy(), 0.02), method=method, max_evaluations=3)
    assert found.status == "max_evaluations" and found.evaluations == 3


@pytest.mark.parametrize("method", METHODS)
def test_bounds_hold_and_are_named(method):
    model = Formula(decay)
    parameters = [FitParameter("a", 1.0, 0.01, 1.5), FitParameter("k", 3.0, 0.01, 100.0)]
    found = minimise(model, parameters, Data(noisy(), 0.02), method=method)
    assert found.at_bound == {"a": "upper", "k": ""}
    assert max(x[0] for x in model.seen) <= 1.5
    assert any("a ended at its upper bound" in note for note in found.notes)
    assert any("times as large as the noise" in note for note in found.notes)  # it cannot follow the data


@pytest.mark.parametrize("method", METHODS)
def test_start_on_a_bound_is_left(method):
    parameters = [FitParameter("a", 100.0, 0.01, 100.0), FitParameter("k", 0.01, 0.01, 100.0)]
    found = minimise(Formula(decay), parameters, Data(noisy(), 0.02), method=method)
    assert found.values["k"] == pytest.approx(0.7, rel=0.05)


def test_combination_without_effect_does_not_slow_the_fit():
    def product(x):
        return x[0] * x[1] * np.exp(-x[2] * TIME) + 0.0 * x[3]

    parameters = [FitParameter(name, 1.0, 0.05, 20.0) for name in ("a", "b", "k", "idle")]
    found = minimise(Formula(product), parameters, Data(noisy(), 0.02))
    # quadratic convergence; scipy alone takes 20, with each step at the edge of the trust region
    assert found.status == "converged" and found.evaluations <= 9
    assert found.values["a"] * found.values["b"] == pytest.approx(2.0, rel=0.02)
    assert found.values["idle"] == 1.0
    assert math.isinf(found.std_errors["a"]) and math.isfinite(found.std_errors["k"])


def test_result_is_json_and_a_table():
    both = Data(np.tile(noisy(), 2), 0.02, curve=np.repeat([0, 1], TIME.size), labels=("C/10", "1C"))
    parameters = [*pair(), FitParameter("idle", 1.0, 0.01, 100.0)]
    found = minimise(Formula(lambda x: np.tile(decay(x), 2) + 0.0 * x[2]), parameters, both)
    text = json.dumps(found.to_dict(), allow_nan=False)
    read = json.loads(text)
    assert read["parameters"]["idle"]["std_error"] is None  # infinite
    assert read["parameters"]["k"]["interval_95"] == pytest.approx(found.intervals["k"])
    assert read["rms"]["1C"] == pytest.approx(np.sqrt(np.mean((noisy() - found.prediction[TIME.size :]) ** 2)))
    lines = found.table().splitlines()
    assert lines[3].split() == ["idle", "1", "unknown", "open", "open", "1"]
    end = lines[0].index("value") + len("value")
    assert all(line[end - 1] != " " and line[end] == " " for line in lines[:4])  # right aligned
    assert any(line.startswith("C/10") and line.endswith("60") for line in lines)
    assert any("The data leave open" in line and "idle" in line for line in lines)


def test_an_end_beyond_a_bound_is_open_in_the_table():
    data = Data(np.full(4, 0.9), 0.4)  # +- 0.39
    found = minimise(Formula(lambda x: x[0] + np.zeros(4)), [FitParameter("b", 0.5, 0.0, 1.0, log=False)], data)
    low, high = found.intervals["b"]
    assert high > 1.0
    assert found.table().splitlines()[1].split()[3:5] == [f"{low:.4g}", "open"]
