"""Values with an activation energy: the law, the forms it may be given in, and sets at another temperature."""

import math

import jax
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.errors import ConfigError
from simulator.materials import (
    Arrhenius,
    Constant,
    Expression,
    PEOConductivity,
    Thermal,
    load_parameter_set,
    merge_parameters,
)
from simulator.materials.parameter_sets import SPECS, Parameter

THERMAL = {name: spec for name, spec in SPECS.items() if spec.thermal}
ROUNDING = 1e-13  # a few float64 operations, an exponential among them


def at(parameters, name, x=0.5):
    found = parameters[name].value
    return float(found(x, parameters["temperature"].value)) if callable(found) else found


def test_every_transport_and_kinetic_parameter_takes_an_activation_energy():
    assert set(THERMAL) == {
        *("am.D_s", "am.sigma", "cbd.kappa", "cbd.sigma", "cbd.D_e", "electrolyte.kappa", "electrolyte.D_e"),
        *("separator.kappa", "separator.D_e", "kinetics.j0_ref", "anode.j0", "anode.resistance"),
        *("film.resistance_init", "film.conductivity", "contact.electronic_resistance"),
        *("decomposition.j_ref", "decomposition.burst_j_ref", "carbon_oxidation.j_ref"),
    }


@pytest.mark.parametrize("name", THERMAL)
def test_the_value_holds_at_its_own_temperature_and_changes_by_the_law_elsewhere(name):
    base = load_parameter_set("verification")
    given = {"value": 0.02, "activation_energy": 30e3, "T_ref": 333.15}
    assert at(merge_parameters(base, {name: given}), name) == 0.02
    merged = merge_parameters(base, {name: given, "temperature": 353.15})
    rise = math.exp(30e3 / R * (1 / 333.15 - 1 / 353.15))
    resistance = SPECS[name].unit == "ohm m2"
    expected = 0.02 / rise if resistance else 0.02 * rise  # what conducts rises, what resists falls
    assert at(merged, name) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize(
    "given",
    [
        {"value": 2.0, "activation_energy": 45e3, "T_ref": 298.15},
        {"value": "2 A/m2", "activation_energy": "45 kJ/mol", "T_ref": "25 degC"},
        {"value": "0.2 mA/cm2", "activation_energy": f"{45e3 / F!r} eV", "T_ref": "298.15 K"},
        Thermal(2.0, 45e3, 298.15),
        Thermal("2", "45 kJ/mol", "25 degC"),
    ],
)
def test_all_forms_of_a_law_mean_the_same(given):
    merged = merge_parameters(load_parameter_set("verification"), {"kinetics.j0_ref": given})
    expected = 2.0 * math.exp(45e3 / R * (1 / 298.15 - 1 / 333.15))
    assert merged["kinetics.j0_ref"].value == pytest.approx(expected, rel=ROUNDING)
    assert "298.15 K, activation energy 45000 J/mol" in merged["kinetics.j0_ref"].source


def test_numbers_stay_constants_and_functions_keep_their_dependence_on_temperature():
    law = {"activation_energy": 12e3, "T_ref": 298.15}
    merged = merge_parameters(
        load_parameter_set("verification"),
        {
            "am.D_s": {"value": "1e-14*exp(-3*sto)", **law},
            "am.sigma": {"value": 2.0, **law},
            "electrolyte.kappa": {"value": ([0.0, 2000.0], [0.05, 0.06]), **law},
        },
    )
    assert isinstance(merged["am.sigma"].value, Constant)  # no new kind of function in the solver
    assert isinstance(merged["am.D_s"].value, Arrhenius)
    rise = math.exp(12e3 / R * (1 / 298.15 - 1 / 333.15))
    assert at(merged, "am.D_s") == pytest.approx(1e-14 * math.exp(-1.5) * rise, rel=ROUNDING)
    assert at(merged, "electrolyte.kappa", 1000.0) == pytest.approx(0.055 * rise, rel=ROUNDING)
    assert at(merged, "separator.kappa", 1000.0) == at(merged, "electrolyte.kappa", 1000.0)  # follows


@pytest.mark.parametrize("name", ["nmc811_peo_60c", "nmc811_lpscl_25c"])
def test_a_set_is_unchanged_to_the_last_bit_at_its_own_temperature(name):
    loaded = load_parameter_set(name)
    merged = merge_parameters(loaded)
    laws = {key for key, parameter in merged.items() if parameter.law is not None}
    assert {"kinetics.j0_ref", "anode.j0"} < laws
    for key in laws:
        reference = merged[key].law.value
        assert at(merged, key) == (float(reference(0.5, 300.0)) if callable(reference) else reference)
    again = merge_parameters(
        merge_parameters(loaded, {"temperature": 350.0}), {"temperature": at(loaded, "temperature")}
    )
    for key, spec in SPECS.items():
        if spec.kind in ("function", "number"):
            assert at(again, key) == at(loaded, key), key


@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("kinetics.j0_ref", 45e3),
        ("anode.j0", 60e3),
        ("electrolyte.D_e", 38.9e3),
        ("separator.D_e", 38.9e3),
        ("cbd.D_e", 38.9e3),
    ],
)
def test_the_polymer_set_carries_its_activation_energies(name, energy):
    base = load_parameter_set("nmc811_peo_60c")
    ratio = at(merge_parameters(base, {"temperature": 353.15}), name) / at(base, name)
    assert ratio == pytest.approx(math.exp(energy / R * (1 / 333.15 - 1 / 353.15)), rel=ROUNDING)


def test_the_energy_of_salt_diffusion_is_the_apparent_one_of_the_conductivity():
    kappa = PEOConductivity()
    slope = jax.grad(lambda b: jax.numpy.log(kappa(1130.0, 1.0 / b)))(1 / 333.15)
    assert abs(-R * float(slope) - 38.9e3) < 50  # three digits


def test_overriding_the_temperature_alone_changes_everything_that_moves():
    base = load_parameter_set("nmc811_peo_60c")
    merged = merge_parameters(base, {"temperature": "80 degC"})
    for name in ("am.D_s", "am.sigma", "electrolyte.kappa", "electrolyte.D_e", "cbd.kappa", "cbd.D_e"):
        assert at(merged, name) > 1.1 * at(base, name), name
    for name in ("separator.kappa", "separator.D_e", "kinetics.j0_ref", "anode.j0"):
        assert at(merged, name) > 1.1 * at(base, name), name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"kinetics.j0_ref.value": 2.0}, (2.0, 45e3, 333.15)),
        ({"kinetics.j0_ref": {"value": 2.0}}, (2.0, 45e3, 333.15)),
        ({"kinetics.j0_ref.activation_energy": "30 kJ/mol"}, (1.0, 30e3, 333.15)),
        ({"kinetics.j0_ref.value": 3.0, "kinetics.j0_ref.T_ref": 343.15}, (3.0, 45e3, 343.15)),
        ({"kinetics.j0_ref": {"value": 3.0}, "kinetics.j0_ref.T_ref": 343.15}, (3.0, 45e3, 343.15)),
    ],
)
def test_parts_left_out_are_those_of_the_set(overrides, expected):
    law = merge_parameters(load_parameter_set("nmc811_peo_60c"), overrides)["kinetics.j0_ref"].law
    assert (law.value, law.activation_energy, law.T_ref) == expected


def test_a_plain_number_is_the_value_at_the_temperature_of_the_run():
    merged = merge_parameters(load_parameter_set("nmc811_peo_60c"), {"kinetics.j0_ref": 2.0, "temperature": 350.0})
    assert merged["kinetics.j0_ref"].value == 2.0 and merged["kinetics.j0_ref"].law is None
    assert merge_parameters(merged, {"temperature": 340.0})["kinetics.j0_ref"].value == 2.0


def test_a_set_of_ones_own_may_hold_laws_as_values():
    base = load_parameter_set("verification")
    base["kinetics.j0_ref"] = Parameter(Thermal(1.5, 40e3, 333.15), "A/m2", "measured")
    base["film.resistance_init"] = Parameter(Thermal(1e-3, 40e3, 333.15), "ohm m2", "measured")
    assert merge_parameters(base)["kinetics.j0_ref"].value == 1.5
    assert merge_parameters(base, {"kinetics.j0_ref.value": 2.0})["kinetics.j0_ref"].law.activation_energy == 40e3
    assert merge_parameters(base, {"temperature": 350.0})["film.resistance_init"].value < 1e-3


def test_gradients_reach_value_energy_and_temperature():
    base = load_parameter_set("verification")

    def j0(value, energy, temperature):
        given = {"value": value, "activation_energy": energy, "T_ref": 333.15}
        return merge_parameters(base, {"kinetics.j0_ref": given, "temperature": temperature})["kinetics.j0_ref"].value

    found = jax.grad(j0, argnums=(0, 1, 2))(2.0, 45e3, 350.0)
    difference = (1 / 333.15 - 1 / 350.0) / R
    rise = math.exp(45e3 * difference)
    np.testing.assert_allclose(found, [rise, 2 * rise * difference, 2 * rise * 45e3 / R / 350.0**2], rtol=1e-12)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energy": 45e3}}, "T_ref missing.*T_ref: 60 degC"),
        ({"kinetics.j0_ref": {"value": 1.0, "T_ref": 300.0}}, "activation_energy missing"),
        ({"kinetics.j0_ref.activation_energy": 45e3}, "value and T_ref missing"),
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energi": 45e3, "T_ref": 300}}, "mean 'activation_energy'"),
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energy": 45, "T_ref": 300}}, "45 J/mol.*'45 kJ/mol'"),
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energy": "45 kJ", "T_ref": 300}}, "'kJ'.*kJ/mol"),
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energy": 45e3, "T_ref": 60}}, "T_ref = 60 K.*'60 degC'"),
        ({"kinetics.j0_ref": {"value": 1.0, "activation_energy": math.nan, "T_ref": 300}}, "must be finite"),
        ({"kinetics.j0_ref": {"value": 0.0, "activation_energy": 45e3, "T_ref": 300}}, "kinetics.j0_ref = 0 must"),
        ({"kinetics.j0_ref": {"value": None, "activation_energy": 45e3, "T_ref": 300}}, "must be a plain value"),
        ({"kinetics.j0_ref": {}}, "`value` is missing"),
        ({"kinetics.j0_ref": 1.0, "kinetics.j0_ref.value": 2.0}, "given as a whole.*Keep one"),
        ({"kinetics.j0_ref": {"value": 1.0}, "kinetics.j0_ref.value": 2.0}, "given as a whole.*Keep one"),
        ({"am.ocp": {"value": 4.0, "activation_energy": 45e3, "T_ref": 300}}, "takes no activation energy.*am.D_s"),
        ({"am.density.value": 5000.0, "am.density.T_ref": 300}, "am.density takes no activation energy"),
        ({"kinetics.j0_ref": {"value": 1.0, "valid": [0, 1]}}, "kinetics.j0_ref.valid is the range of x"),
        ({"am.D_s": {"value": "1e-14*x", "valid": [1, 0]}}, "am.D_s.valid.*increasing"),
        ({"am.D_s": {"value": ([0.1, 0.9], [1e-14, 2e-14]), "valid": [0, 1]}}, "am.D_s.valid belongs to a formula"),
    ],
)
def test_wrong_laws_are_refused_with_the_part_and_the_cure(overrides, text):
    with pytest.raises(ConfigError, match=text):
        merge_parameters(load_parameter_set("verification"), overrides)


def test_a_range_may_be_stated_for_a_formula_without_a_law():
    D_e = "5.5e-12 + 4.92e-16*c_e - 6.73e-19*c_e**2"  # negative above 3250 mol/m3
    with pytest.raises(ConfigError, match="state `valid`"):
        merge_parameters(load_parameter_set("verification"), {"electrolyte.D_e": D_e})
    merged = merge_parameters(
        load_parameter_set("verification"), {"electrolyte.D_e": {"value": D_e, "valid": [0, 3000]}}
    )
    found = merged["electrolyte.D_e"].value
    assert isinstance(found, Expression) and found.valid == (0.0, 3000.0)
    assert float(found(6000.0, 300.0)) == float(found(3000.0, 300.0)) > 0  # held
