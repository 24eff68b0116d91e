"""What data determine, and what they do not: numbers and words."""

import numpy as np
import pytest
from formula import Formula

from simulator.workflows.fit import Data, FitParameter, Prior, identifiability, information, minimise
from simulator.workflows.fit.identifiability import describe

TIME = np.linspace(0.0, 5.0, 60)


def of(jacobian, parameters, sigma=1.0):
    """What a Jacobian in natural units says at the starts."""
    values = {p.name: p.start for p in parameters}
    return describe(information(parameters, values, jacobian, Data(np.zeros(len(jacobian)), sigma)), parameters, values)


def logs(names):
    """Fitted logarithmically, at 1: the natural Jacobian is that of the logarithms."""
    return [FitParameter(name, 1.0, 0.01, 100.0) for name in names]


def test_product_is_told_from_its_factors():
    def model(x):
        return x[0] * x[1] * np.exp(-x[2] * TIME)

    truth = np.array([2.0, 1.5, 0.7])
    parameters = [FitParameter(n, 1.0, 0.01, 100.0) for n in ("j0", "fraction", "rate")]
    data = Data(model(truth) + np.random.default_rng(0).normal(0.0, 0.02, TIME.size), 0.02)
    found = identifiability(minimise(Formula(model), parameters, data))
    assert [g.names for g in found.groups] == [("j0", "fraction")]
    assert found.well_known == ("rate",) and found.insensitive == ()
    assert np.isinf(found.std[:2]).all() and np.isinf(found.condition)
    assert found.correlation[0, 1] == pytest.approx(-1.0, abs=1e-9) and abs(found.correlation[0, 2]) < 1e-9
    # the product as the amplitude of a model with two parameters
    both = np.stack([np.exp(-0.7 * TIME), -TIME * np.exp(-0.7 * TIME)], axis=1) / 0.02 * np.array([3.0, 3.0 * 0.7])
    std = np.sqrt(np.linalg.inv(both.T @ both)[0, 0])
    assert found.groups[0].tight == pytest.approx([1.0, 1.0])
    assert found.groups[0].tight_std == pytest.approx(std, rel=0.05)  # at the fitted, not the true values
    assert found.sentences[0].startswith("j0 and fraction: only their product is known (±")
    assert "their ratio is not (not at all)" in found.sentences[0]


def test_ratio_and_how_badly_its_product_is_known_are_in_the_sentence():
    # ln(a/b) to 0.01, ln(ab) to 1.5: std of the combinations along (1, -1) and (1, 1)
    rows = np.array([[100.0, -100.0], [1 / 1.5, 1 / 1.5]])
    found = of(rows, logs("ab"))
    group = found.groups[0]
    assert group.tight_std == pytest.approx(0.01) and group.loose_std == pytest.approx(1.5)
    assert found.sentences == ("a and b: only their ratio is known (±2 %); their product is not (a factor 19).",)
    assert found.std == pytest.approx([np.hypot(0.005, 0.75)] * 2)


def test_unequal_powers_are_named():
    found = of(np.array([[200.0, 100.0], [0.1, -0.2]]), logs("ab"))
    assert "only a * b^0.5 is known" in found.sentences[0]


def test_parameter_without_effect_and_one_with_hardly_any_are_told_apart():
    rows = np.zeros((3, 3))
    rows[0, 0], rows[1, 1] = 50.0, 1.0
    found = of(rows, logs(["clear", "faint", "idle"]))
    assert found.insensitive == ("faint", "idle") and found.well_known == ("clear",) and not found.groups
    assert found.sentences == (
        "Nothing in the data depends on idle.",
        "The data hardly depend on faint: with all others held it is still known within a factor 7.1.",
        "clear is known to ±3.9 %.",
    )


def test_column_of_rounding_errors_is_nothing_and_costs_the_others_no_precision():
    rows = np.array([[50.0, 1e-12], [50.0, 0.0]])
    found = of(rows, logs(["clear", "idle"]))
    assert found.insensitive == ("idle",)
    assert found.std == pytest.approx([1 / 50 / np.sqrt(2), np.inf])


def test_three_parameters_of_two_combinations_form_one_group():
    rows = np.array([[100.0, 100.0, 0.0], [0.0, 100.0, 100.0], [100.0, 0.0, -100.0]])
    found = of(rows, logs("abc"))
    assert [g.names for g in found.groups] == [("a", "b", "c")]
    assert "a, b and c are not known separately, only 2 of 3 combinations" in found.sentences[0]
    loose = found.groups[0].loose
    assert rows @ loose == pytest.approx(np.zeros(3), abs=1e-9)


def test_two_independent_pairs_are_two_groups():
    rows = np.array([[100.0, 100.0, 0.0, 0.0], [0.0, 0.0, 90.0, -90.0]])
    found = of(rows, logs("abcd"))
    assert {g.names for g in found.groups} == {("a", "b"), ("c", "d")}


def test_limits_are_a_factor_two_and_a_quarter_of_the_width():
    q = 1.959964
    for factor, known in ((0.99, True), (1.01, False)):
        found = of(np.array([[q / np.log(2.0) / factor]]), logs("a"))
        assert (found.well_known == ("a",)) is known
        found = of(np.array([[q / (0.25 * 8.0) / factor]]), [FitParameter("b", 0.0, -4.0, 4.0)])
        assert (found.well_known == ("b",)) is known


def test_linear_parameters_are_described_with_their_widths():
    parameters = [FitParameter("a", 0.0, -1.0, 1.0), FitParameter("b", 0.0, -2.0, 2.0)]
    found = of(np.array([[100.0, 100.0]]), parameters)
    assert found.groups[0].names == ("a", "b") and "1 of 2 combinations are open" in found.sentences[0]
    # a + b is known: the loose combination moves both against one another by the same natural amount
    natural = found.groups[0].loose * [2.0, 4.0]
    assert natural[0] == pytest.approx(-natural[1])


def test_prior_on_one_factor_makes_both_known():
    parameters = [FitParameter("a", 1.0, 0.01, 100.0, prior=Prior(1.0, 0.05)), FitParameter("b", 1.0, 0.01, 100.0)]
    found = of(np.array([[100.0, 100.0]]), parameters)
    assert found.well_known == ("a", "b") and not found.groups
    assert found.std == pytest.approx([0.05, np.hypot(0.05, 0.01)])


def test_distance_to_the_minimum_of_a_parabola_in_standard_errors():
    jacobian = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 4.0], [1.0, 1.0, 2.0]])
    parameters = [*logs("ab"), FitParameter("c", 1.0, 0.5, 1.5, log=False)]
    known = information(parameters, dict.fromkeys("abc", 1.0), jacobian, Data(np.zeros(3), 0.1))
    step = np.array([0.02, -0.01, 0.03])
    assert known.distance(known.fisher @ step) == pytest.approx(np.sqrt(step @ known.fisher @ step), rel=1e-9)
    assert known.distance(np.zeros(3)) == 0.0
    assert known.distance(np.array([50.0, -50.0, 0.0])) < 1e-9  # along a - b, which the data do not see
    nothing = information(parameters, dict.fromkeys("abc", 1.0), 0.0 * jacobian, Data(np.zeros(3), 0.1))
    assert nothing.distance(np.zeros(3)) == np.inf


def test_what_errors_of_a_jacobian_may_make_counts_if_the_residuals_are_more_than_noise():
    column, wiggle = np.linspace(1.0, 2.0, 30), np.random.default_rng(0).uniform(-1.0, 1.0, 30)
    jacobian = np.stack([column, column + 4e-4 * wiggle], axis=1)
    known = information(logs("ab"), dict.fromkeys("ab", 1.0), jacobian, Data(np.zeros(30), 1e-4))
    weak = known.eigenvectors[:, 1] / known.reach  # a gradient along it, of one standard deviation of residuals
    weak *= np.sqrt(known.eigenvalues[1])
    assert known.distance(2.0 * weak) == pytest.approx(0.0, abs=1e-6) and known.distance(4.0 * weak) > 3.9
    assert known.distance(4.0 * weak, spread=2.0) == pytest.approx(0.0, abs=1e-6)


def test_covariance_of_a_full_problem_is_the_inverse():
    jacobian = np.random.default_rng(0).normal(size=(20, 4)) * [1e-3, 1.0, 1e2, 10.0]
    parameters = logs("abcd")
    found = of(jacobian, parameters, sigma=1e-3)
    exact = np.linalg.inv(jacobian.T @ jacobian / 1e-6)
    assert found.covariance == pytest.approx(exact, rel=1e-7)  # condition 1e10 of the product, by rounding
    assert found.eigenvectors.T @ found.eigenvectors == pytest.approx(np.eye(4), abs=1e-12)
