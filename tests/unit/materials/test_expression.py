"""Formulas: their values and derivatives, their differentiable numbers, and all they must not contain."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.errors import ConfigError
from simulator.materials import Constant, Expression, OReganDiffusivity, Table, load_parameter_set, merge_parameters
from simulator.materials.expression import MAX_LENGTH

OREGAN = (
    "2.7*10**(-13.96 - 0.9231*exp(-(sto - 0.3216)**2/0.002534) - 0.4066*exp(-(sto - 0.4532)**2/0.003926)"
    " - 0.993*exp(-(sto - 0.8098)**2/0.09924)) * exp(1449*(1/298.15 - 1/T))"
)


def formula(text, **more):
    return Expression(text, axis="sto", name="am.D_s", **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-14", 1e-14),
        ("-x**2", -0.09),
        ("(-x)**2", 0.09),
        ("2**3**2 * x", 512 * 0.3),
        ("1/x/2", 1 / 0.6),
        ("1 - 2 - x", -1.3),
        ("+x*-1", -0.3),
        ("x**-2", 0.3**-2),
        ("x**0.5 + x**(1/3)", 0.3**0.5 + 0.3 ** (1 / 3)),
        ("exp(x)*log(x) + log10(x)", math.exp(0.3) * math.log(0.3) + math.log10(0.3)),
        ("sqrt(x) + tanh(x) + sinh(x)*cosh(x)", math.sqrt(0.3) + math.tanh(0.3) + math.sinh(0.3) * math.cosh(0.3)),
        ("abs(-x) + min(x, 1, 2) + max(x, -1)", 0.9),
        ("R*T/F + 0*pi", R * 333.15 / F),
        (" sto\n", 0.3),
    ],
)
def test_values_follow_the_rules_of_arithmetic(text, expected):
    assert float(formula(text)(0.3, 333.15)) == pytest.approx(expected, rel=1e-14)  # rounding


def test_a_published_law_written_as_a_formula_equals_the_built_in_one():
    x, T = jnp.linspace(0.05, 0.95, 50), 333.15
    np.testing.assert_allclose(formula(OREGAN)(x, T), OReganDiffusivity()(x, T), rtol=1e-12)  # 10**y as a power


def test_numbers_are_one_leaf_and_share_one_program():
    traces = []

    @eqx.filter_jit
    def call(function, x):
        traces.append(1)
        return function(x, 300.0)

    x = jnp.linspace(0.1, 0.9, 5)
    for a, b in [(1e-14, 3.0), (2e-14, 4.0)]:
        np.testing.assert_allclose(call(formula(f"{a}*exp(-{b}*sto)"), x), a * np.exp(-b * x), rtol=1e-14)  # rounding
    assert len(traces) == 1


def test_derivatives_by_numbers_and_by_x_match_the_exact_ones():
    function = formula("2.0*exp(-3.0*sto) + (sto - 0.7)**2")
    assert function.coefficients.tolist() == [2.0, 3.0, 0.7]
    by_numbers = jax.grad(lambda c: eqx.tree_at(lambda m: m.coefficients, function, c)(0.2, 300.0))(
        function.coefficients
    )
    decay = math.exp(-0.6)
    np.testing.assert_allclose(by_numbers, [decay, -0.4 * decay, 1.0], rtol=1e-13)  # -2 (0.2 - 0.7); rounding
    by_x = jax.grad(lambda x: function(x, 300.0))(0.2)
    assert float(by_x) == pytest.approx(-6 * decay - 1.0, rel=1e-13)  # rounding


def test_text_shows_the_present_numbers():
    function = formula("1e-14*exp(-3*(1 - sto)**2)")
    assert repr(function) == "Expression('1e-14 * exp(-3.0 * (1.0 - x) ** 2)')"
    changed = eqx.tree_at(lambda m: m.coefficients, function, jnp.array([2e-14, 5.0, 1.0]))
    assert changed.text == "2e-14 * exp(-5.0 * (1.0 - x) ** 2)"
    assert Expression(changed.text).form == function.form

    def shown(coefficients):
        assert "_0 * exp" in repr(eqx.tree_at(lambda m: m.coefficients, function, coefficients))
        return coefficients

    jax.eval_shape(shown, function.coefficients)  # while tracing the numbers are unknown


def test_outside_the_possible_states_the_value_is_held_and_finite():
    x = jnp.asarray([-0.2, 0.0, 1.0, 1.3])
    held = formula("log(x) - log(1 - x)")(x, 300.0)
    end = math.log(1e6)  # 1e-6 away from the pole
    np.testing.assert_allclose(held, [-end, -end, end, end], rtol=1e-6)
    slope = jax.vmap(jax.grad(lambda x: formula("log(x) - log(1 - x)")(x, 300.0)))(x)
    assert np.all(np.isfinite(slope))


def test_a_potential_continues_along_its_tangent():
    function = formula("4 - log(x/(1 - x))", tangent=True)
    x = jnp.asarray([1.0 - 1e-6, 1.0, 1.01])
    found = np.asarray(function(x, 300.0))
    assert np.all(np.diff(found) < 0)
    # slope -1/(x (1 - x)) = -1e6 at the edge; 0.01 beyond it
    np.testing.assert_allclose(found[2] - found[0], -1e6 * (0.01 + 1e-6), rtol=1e-5)
    assert jax.grad(lambda x: function(x, 300.0))(1.3) < 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1e-14*exq(-3*sto)", "unknown function 'exq'. Did you mean 'exp'"),
        ("1e-14*st0", "unknown name 'st0'. Did you mean 'sto'"),
        ("1e-14*c_e", "unknown name 'c_e'.*sto .or x. and T"),
        ("1e-14*exp", "exp needs its argument in parentheses"),
        ("x.real*2", "'x.real' takes an attribute"),
        ("x.__class__.__mro__[1]", "is not allowed"),
        ("(1).__class__*x", "takes an attribute"),
        ("__import__('os').system('x')", "takes an attribute"),
        ("__import__('os')", "unknown function '__import__'"),
        ("open(x)", "unknown function 'open'"),
        ("exp(x)(x)", "not allowed"),
        ("exp(x, T)", "exp takes one argument"),
        ("exp(x=1)", "exp takes one argument"),
        ("exp(*x)", "exp takes one argument"),
        ("min(x)", "min takes two or more"),
        ("lambda: x", "not allowed"),
        ("[x for x in x]", "not allowed"),
        ("x if T else 1", "not allowed"),
        ("x < 1", "not allowed"),
        ("not x", "not allowed"),
        ("(y := x)", "not allowed"),
        ("f'{x}'", "not allowed"),
        ("x[0]", "not allowed"),
        ("x // 2", "not allowed"),
        ("x % 2", "not allowed"),
        ("x @ x", "not allowed"),
        ("True*x", "not allowed"),
        ("'a'*x", "not allowed"),
        ("1j*x", "not allowed"),
        ("...", "not allowed"),
        ("x^2", "a power is written"),
        ("0,5*x", "comma"),
        ("1e999*x", "not finite"),
        ("9" * 400 + "*x", "not finite"),
        ("_0*x", "unknown name '_0'"),
        ("x +", "cannot be read"),
        ("x; T", "cannot be read"),
        ("x = 1", "cannot be read"),
        ("", "cannot be read"),
        ("x\0", "cannot be read"),
        ("exp(" * 150 + "x" + ")" * 150, "nested"),
        ("(" * 900 + "x" + ")" * 900, "nested|read"),
        ("-" * 1900 + "x", "nested"),
        ("x" + "+1" * (MAX_LENGTH // 2), "too long, 2000"),
    ],
)
def test_everything_else_is_refused_with_the_reason(text, says):
    with pytest.raises(ConfigError, match=f"am.D_s.*{says}"):
        formula(text)


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ("0.5 mS/cm", Constant, 0.05),
        ("0.05", Constant, 0.05),
        ("5e-2", Constant, 0.05),
        ("0.5 mS cm-1", Constant, 0.05),
        ("0.05*1", Expression, 0.05),
        ("5e-2 * (c_e/1000)**0", Expression, 0.05),
        ("1/20", Expression, 0.05),
        ("c_e/20000", Expression, 0.05),
        ("x/20000", Expression, 0.05),
        ("-0.05 + 0.1", Expression, 0.05),
    ],
)
def test_a_text_is_a_quantity_or_a_formula_without_guessing(given, kind, expected):
    merged = merge_parameters(load_parameter_set("verification"), {"electrolyte.kappa": given})
    found = merged["electrolyte.kappa"].value
    assert type(found) is kind
    assert float(found(1000.0, 333.15)) == pytest.approx(expected, rel=1e-14)  # rounding


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("abc", "neither a number.*nor the path of a .csv file.*nor a formula of c_e and T"),
        ("kappa.txt", "neither"),
        ("data/kappa.txt", "neither"),
        ("2 sto", "unit 'sto' is not understood.*operator"),
        ("0.5 mS/cm2", "unit 'mS/cm2' is not understood. Accepted: S/m"),
        ("0.05*sto", "unknown name 'sto'"),
        ("log(c_e/1000 - 1)", "nan.*at c_e = 1"),
        ("1/(c_e - c_e)", "inf.*must lie in"),
        ("c_e - 500", r"-499 S/m at c_e = 1, .*must lie in \(0, inf\)"),
        ("absent.csv", "no file 'absent.csv'"),
        ("inf", "finite"),
    ],
)
def test_texts_that_are_nothing_say_why_and_what_is_possible(given, says):
    with pytest.raises(ConfigError, match=f"electrolyte.kappa.*{says}"):
        merge_parameters(load_parameter_set("verification"), {"electrolyte.kappa": given})


def write(folder, text):
    path = folder / "kappa.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "c_e,kappa\n500,0.04\n1500,0.06\n",
        "c_e [mol/L],kappa [mS/cm]\n0.5,0.4\n1.5,0.6\n",
        "c_e (mol/L);kappa (mS cm-1)\n0.5;0.4\n\n1.5;0.6\n",
        "c_e / mol m-3\tkappa / S/m\textra\n500\t0.04\t1\n1500\t0.06\t2\n",
        "\ufeff# from a measurement\nc_e,kappa [S m^-1]\n# 25 C\n1500,0.06\n500,0.04\n",  # falling: turned round
        "500,0.04\n1500,0.06",
    ],
)
def test_csv_tables_convert_the_units_of_their_header(tmp_path, text):
    merged = merge_parameters(load_parameter_set("verification"), {"electrolyte.kappa": str(write(tmp_path, text))})
    found = merged["electrolyte.kappa"].value
    assert isinstance(found, Table) and found.valid == (500.0, 1500.0)
    assert float(found(1000.0, 300.0)) == pytest.approx(0.05, rel=1e-14)  # rounding


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("c_e,kappa [mS/cm2]\n500,0.4\n", "column 2.*'mS/cm2' is not understood. Accepted: S/m"),
        ("c_e [kg/m3],kappa\n500,0.4\n", "column 1.*'kg/m3' is not understood. Accepted: mol/m3"),
        ("c_e,kappa\n500,0.04\n# x\n1500,high\n", "row 4 of kappa.csv, '1500,high'"),
        ("c_e;kappa\n500;0,04\n", "row 2.*decimal point"),
        ("500\n600\n", "row 1"),
        ("c_e,kappa\n500,0.04\n500,0.05\n", "increase strictly"),
        ("c_e,kappa\n500,nan\n600,0.05\n", "finite"),
        ("c_e,kappa\n", "at least 2"),
        ("\n# nothing\n", "no rows"),
    ],
)
def test_wrong_csv_tables_name_the_row_or_column(tmp_path, text, says):
    with pytest.raises(ConfigError, match=f"electrolyte.kappa.*{says}"):
        merge_parameters(load_parameter_set("verification"), {"electrolyte.kappa": str(write(tmp_path, text))})


def test_csv_tables_over_state_of_charge_or_in_another_encoding_are_refused(tmp_path):
    path = write(tmp_path, "SOC,OCP [V]\n0.1,3.6\n0.9,4.2\n")
    with pytest.raises(ConfigError, match="am.ocp.*'SOC'.*sto = x_max - SOC"):
        merge_parameters(load_parameter_set("verification"), {"am.ocp": str(path)})
    path.write_bytes("sto,OCP [µV]\n0.1,3.6\n0.9,4.2\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="am.ocp.*UTF-8"):
        merge_parameters(load_parameter_set("verification"), {"am.ocp": str(path)})
