"""Coefficients of material functions by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.materials import ChenOCP, Corrected, Table, load_parameter_set, merge_parameters, with_coefficients


@pytest.fixture(scope="module")
def parameters():
    ocp = Corrected(ChenOCP(), Table([0.2, 0.5, 0.95], [0.0, 0.0, 0.0]))
    return merge_parameters(load_parameter_set("nmc811_peo_60c"), {"am.ocp": ocp})


def at(parameters, overrides, sto=0.5):
    found = merge_parameters(parameters, with_coefficients(parameters, overrides))
    return found["am.ocp"].value(sto, 298.15)


def test_one_entry_of_an_array_two_functions_deep(parameters):
    before = at(parameters, {})
    assert float(at(parameters, {"am.ocp.correction.values[1]": 0.01}) - before) == pytest.approx(0.01, rel=1e-12)
    # halfway between a corrected and an uncorrected point
    assert float(at(parameters, {"am.ocp.correction.values[1]": 0.01}, 0.35) - at(parameters, {}, 0.35)) == (
        pytest.approx(0.005, rel=1e-12)
    )


def test_several_coefficients_of_one_function_and_other_overrides(parameters):
    given = {"am.ocp.correction.values[1]": 0.01, "am.ocp.function.offset": 4.5, "kinetics.j0_ref": 2.0}
    found = with_coefficients(parameters, given)
    assert set(found) == {"am.ocp", "kinetics.j0_ref"}
    assert float(at(parameters, given) - at(parameters, {})) == pytest.approx(0.01 + 4.5 - 4.4875, rel=1e-9)


def test_whole_arrays_and_derivatives(parameters):
    values = jnp.array([0.0, 0.01, 0.02])
    slope = jax.jacobian(lambda v: at(parameters, {"am.ocp.correction.values": v}, 0.725))(values)
    np.testing.assert_allclose(slope, [0.0, 0.5, 0.5], atol=1e-12)


def test_parts_of_laws_and_names_of_parameters_are_left_alone(parameters):
    given = {"kinetics.j0_ref.activation_energy": 4e4, "am.D_s": 1e-14, "am.ocpp.values": 1.0}
    assert with_coefficients(parameters, given) == given


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("am.ocp.correction.value[1]", 0.0, "Did you mean 'correction.values'"),
        ("am.ocp.correction.values[3]", 0.0, "index must lie within"),
        ("am.ocp.function.offset[0]", 0.0, "index must lie within"),
        ("am.ocp.correction.values", 0.0, "must have the shape"),
        ("am.ocp.correction.values[1]", np.nan, "must be finite"),
        ("sto_init.values", 0.0, "no material function"),
    ],
)
def test_wrong_names_and_values_are_refused(parameters, name, value, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        with_coefficients(parameters, {name: value})
