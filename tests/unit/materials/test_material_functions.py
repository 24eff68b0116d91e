"""Generic material functions and what users may give for one."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import R
from simulator.errors import ConfigError
from simulator.materials import Arrhenius, Constant, LogLinear, Opaque, Scaled, Table, as_material

ROUNDING = 1e-14  # a few float64 operations


def table():
    return Table([0.0, 1.0, 3.0], [2.0, 4.0, 0.0])


@pytest.mark.parametrize(
    "function",
    [
        Constant(2.0),
        table(),
        LogLinear((0.25, 1.0), (3.0, 0.1)),
        Scaled(Constant(2.0), 0.5),
        Arrhenius(table(), 3e4),
        Opaque(lambda x, T: x**2 + T),
        Opaque(lambda x, T: 3.0),
    ],
)
def test_functions_are_elementwise_float64_and_compiled_equals_eager(function):
    x = jnp.asarray(np.linspace(0.1, 0.9, 24).reshape(2, 3, 4))
    eager = function(x, 333.15)
    assert eager.shape == x.shape and eager.dtype == jnp.float64
    compiled = eqx.filter_jit(function)
    np.testing.assert_allclose(compiled(x, jnp.asarray(333.15)), eager, rtol=ROUNDING)
    one_by_one = [float(compiled(v, jnp.asarray(333.15))) for v in np.asarray(x).ravel()]
    np.testing.assert_allclose(np.ravel(eager), one_by_one, rtol=ROUNDING)


def test_table_is_exact_at_points_linear_between_and_held_outside():
    x = jnp.asarray([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0])
    np.testing.assert_allclose(eqx.filter_jit(table())(x, 300.0), [2.0, 2.0, 3.0, 4.0, 2.0, 0.0, 0.0], atol=ROUNDING)
    assert table().valid == (0.0, 3.0)


def test_table_derivatives_are_the_slope_inside_and_zero_outside():
    slope = jax.jit(jax.vmap(jax.grad(lambda x: table()(x, 300.0))))(jnp.asarray([-1.0, 0.5, 2.0, 9.0]))
    np.testing.assert_allclose(slope, [0.0, 2.0, -2.0, 0.0], atol=ROUNDING)


def test_table_derivative_by_its_values_is_the_hat_function():
    derivative = jax.jit(jax.grad(lambda y: Table([0.0, 1.0, 3.0], y)(jnp.asarray(1.5), 300.0)))
    gradient = derivative(jnp.asarray([2.0, 4.0, 0.0]))
    np.testing.assert_allclose(gradient, [0.0, 0.75, 0.25], atol=ROUNDING)


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ([0.0, 1.0], [1.0], "equally long"),
        ([0.0], [1.0], "at least 2"),
        ([0.0, 0.5, 0.5], [1.0, 2.0, 3.0], "increase strictly.*row 3"),
        ([0.0, 1.0], [1.0, float("nan")], "finite"),
    ],
)
def test_bad_tables_are_refused(x, y, text):
    with pytest.raises(ConfigError, match=f"am.ocp.*{text}"):
        as_material((x, y), "am.ocp")


def test_table_from_csv_reads_header_comments_and_columns(tmp_path):
    path = tmp_path / "ocp.csv"
    path.write_text("# measured\nsto,U\n0.2,4.4\n0.9,3.6\n")
    function = as_material(str(path), "am.ocp")
    assert math.isclose(function(0.55, 300.0), 4.0, rel_tol=ROUNDING)
    path.write_text("sto,U\n0.2,4.4\n0.9,high\n")
    with pytest.raises(ConfigError, match="am.ocp.*high"):
        as_material(path, "am.ocp")
    with pytest.raises(ConfigError, match="no file"):
        as_material("absent.csv", "am.ocp")


def test_log_linear_meets_its_ends_and_their_geometric_mean():
    function = LogLinear((0.25, 1.0), (3.0, 0.1))
    np.testing.assert_allclose(
        function(jnp.asarray([0.25, 0.625, 1.0]), 300.0), [3.0, math.sqrt(0.3), 0.1], rtol=ROUNDING
    )


def test_arrhenius_is_the_function_at_reference_and_has_its_activation_energy():
    function = Arrhenius(Constant(2.0), 30e3, 298.15)
    assert math.isclose(function(0.5, 298.15), 2.0, rel_tol=ROUNDING)
    # -R d ln f / d(1/T) = E_a
    slope = jax.jit(jax.grad(lambda b: jnp.log(function(0.5, 1.0 / b))))(1.0 / 320.0)
    assert math.isclose(-R * slope, 30e3, rel_tol=1e-12)


def test_arrhenius_takes_its_function_at_the_reference_temperature():
    function = Arrhenius(Opaque(lambda x, T: T + 0.0 * x), 0.0, 298.15)
    assert math.isclose(function(0.5, 350.0), 298.15, rel_tol=ROUNDING)


def test_scaled_keeps_the_range_and_differentiates_by_factor_and_function():
    function = Scaled(table(), 0.5)
    assert function.valid == (0.0, 3.0)

    @eqx.filter_jit
    @eqx.filter_grad
    def derivative(f):
        return f(jnp.asarray(0.5), 300.0)

    gradient = derivative(function)
    assert math.isclose(gradient.factor, 3.0, rel_tol=ROUNDING)
    np.testing.assert_allclose(gradient.function.values, [0.25, 0.25, 0.0], atol=ROUNDING)


@pytest.mark.parametrize("value", [0.05, np.float64(0.05), np.float32(0.05), np.array(0.05), jnp.asarray(0.05)])
def test_numbers_become_constants(value):
    function = as_material(value, "electrolyte.kappa")
    assert isinstance(function, Constant)
    assert math.isclose(function(1130.0, 333.15), 0.05, rel_tol=1e-7)  # float32 input


def test_a_traced_number_stays_differentiable():
    gradient = jax.grad(lambda k: as_material(k, "electrolyte.kappa")(1130.0, 333.15) ** 2)(3.0)
    assert math.isclose(gradient, 6.0, rel_tol=ROUNDING)


def test_modules_pass_and_functions_become_opaque():
    constant = Constant(1.0)
    assert as_material(constant, "am.D_s") is constant
    function = as_material(lambda x, T: 1e-14 * jnp.exp(-x), "am.D_s")
    assert isinstance(function, Opaque)
    assert math.isclose(jax.grad(lambda x: function(x, 300.0))(0.0), -1e-14, rel_tol=ROUNDING)


class NoRange(eqx.Module):
    """A module that does not say where it is valid."""

    def __call__(self, x, T):
        return x


class NotCallable(eqx.Module):
    """A module without a value."""

    valid: tuple = eqx.field(static=True, default=(0.0, 1.0))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "Give a number"),
        (True, "Give a number"),
        (float("nan"), "finite"),
        ("fast", "Give a number"),
        ([1.0, 2.0, 3.0], "Give a number"),
        ({}, "Give a number"),
        (NoRange(), "valid"),
        (NotCallable(), r"__call__\(x, T\)"),
        (lambda x: x, "two positional arguments"),
        (lambda x, T: np.exp(x), "jax.numpy"),
        (lambda x, T: math.exp(x), "jax.numpy"),
        (lambda x, T: x if x > 0 else T, "jnp.where"),
        (lambda x, T: jnp.stack([x, x]), "elementwise"),
    ],
)
def test_what_is_no_material_function_is_refused_with_the_name_and_the_cure(value, text):
    with pytest.raises(ConfigError, match=f"am.D_s.*{text}"):
        as_material(value, "am.D_s")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (Constant(0.05), "Constant(0.05)"),
        (Scaled(Constant(0.05), 0.76), "0.76 x Constant(0.05)"),
        (table(), "Table([2, 4, 0] at x = 0 to 3)"),
        (Table(np.linspace(0, 1, 33), np.ones(33)), "Table(33 values at x = 0 to 1)"),
        (LogLinear((0.25, 1.0), (3.0, 0.1)), "LogLinear([3, 0.1] at x = 0.25, 1)"),
        (Arrhenius(Constant(2.0), 3e4, 300.0), "Constant(2) at 300 K, activation energy 30000 J/mol"),
        (Opaque(table), "Opaque(table)"),
    ],
)
def test_functions_show_their_numbers_on_one_line(function, text):
    assert repr(function) == text


@pytest.mark.parametrize(
    "function", [Constant(0.05), table(), LogLinear((0.25, 1.0), (3.0, 0.1)), Arrhenius(table(), 3e4)]
)
def test_functions_can_be_shown_inside_transformations_and_without_their_numbers(function):
    def shown(dynamic):
        assert "traced" in repr(eqx.combine(dynamic, static))
        return 0.0

    dynamic, static = eqx.partition(function, eqx.is_array)
    jax.eval_shape(shown, dynamic)
    assert "None" in repr(static)
