"""Parameter sets: names, units, sources, overrides, range checks, and one exact cell built from a set."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.errors import ConfigError
from simulator.materials import (
    C_E_SATURATION,
    Constant,
    Opaque,
    PEOConductivity,
    Table,
    load_parameter_set,
    merge_parameters,
    parameter_set_names,
)
from simulator.materials.parameter_sets import SPECS

# fmt: off
GROUPS = {
    "am": "c_s_max D_s sigma ocp density sto_window",
    "cbd": "kappa sigma D_e electrolyte_fraction",
    "electrolyte": "kind kappa D_e t_plus thermo_factor c_e_init c_e_max",
    "separator": "thickness layers kappa D_e electrolyte_fraction",
    "kinetics": "j0_ref alpha_a alpha_c",
    "contact": "fraction electronic_resistance loss_thickness",
    "film": "resistance_init molar_volume conductivity",
    "decomposition": "law j_ref U_ox0 beta y0 alpha delta_star omega reaction_energy gate_width "
    "burst_charge burst_j_ref burst_U",
    "carbon_oxidation": "j_ref U_ox0 alpha charge specific_area",
    "anode": "kind j0 resistance potential",
}
NAMES = [f"{group}.{name}" for group, names in GROUPS.items() for name in names.split()]
NAMES += ["temperature", "sto_init", "nominal_specific_capacity", "voltage_limits"]
# fmt: on

STORED = {"function": eqx.Module, "number": float, "integer": int, "choice": str, "pair": tuple}

#: Parameters for which zero is a state of a cell: no resistance, no contact.
MAY_BE_ZERO = {
    "am.ocp",
    "electrolyte.t_plus",
    "contact.fraction",
    "contact.electronic_resistance",
    "film.resistance_init",
    "anode.resistance",
    "anode.potential",
    "voltage_limits",
    # currents and charges: switched off; the null model; no anion lost; an onset at full lithiation
    *("decomposition.j_ref", "decomposition.burst_charge", "decomposition.burst_j_ref", "carbon_oxidation.j_ref"),
    *("decomposition.beta", "decomposition.omega", "decomposition.y0"),
    # potentials and energies
    *("decomposition.U_ox0", "decomposition.burst_U", "carbon_oxidation.U_ox0", "decomposition.reaction_energy"),
}
#: No solubility limit, no loss of contact, no protection by the film, no end of the electrolyte at the carbon.
MAY_BE_INFINITE = {
    *("electrolyte.c_e_max", "contact.loss_thickness", "decomposition.delta_star", "carbon_oxidation.charge"),
}
NUMERIC = [name for name, spec in SPECS.items() if spec.kind in ("function", "number", "integer")]


def value(parameters, name, x=None):
    found = parameters[name].value
    return float(found(x, parameters["temperature"].value)) if callable(found) else found


@pytest.mark.parametrize("name", parameter_set_names())
def test_each_set_has_all_names_in_order_with_unit_source_and_an_allowed_value(name):
    merged = merge_parameters(load_parameter_set(name))
    assert list(merged) == list(load_parameter_set(name)) == NAMES == list(SPECS)
    for key, parameter in merged.items():
        assert parameter.unit == SPECS[key].unit
        assert len(parameter.source) >= 8, key  # a reason or a reference, never empty
        assert parameter.value is None or isinstance(parameter.value, STORED[SPECS[key].kind]), key


@pytest.mark.parametrize("name", parameter_set_names())
def test_followers_equal_their_factor_times_the_leader(name):
    parameters = load_parameter_set(name)
    followers = {key: p for key, p in parameters.items() if p.follows is not None}
    assert set(followers) == {"cbd.kappa", "cbd.D_e", "separator.kappa", "separator.D_e"}
    for key, parameter in followers.items():
        assert parameter.follows is not None
        leader, factor = parameter.follows
        assert math.isclose(value(parameters, key, 900.0), factor * value(parameters, leader, 900.0), rel_tol=1e-14)


def test_unknown_set_names_the_known_ones():
    assert parameter_set_names() == ("nmc811_lpscl_25c", "nmc811_peo_60c", "verification")
    with pytest.raises(ConfigError, match="nmc811_peo_60c"):
        load_parameter_set("nmc811_peo")


def test_base_set_has_the_anode_resistance_capacity_and_salt_limit_it_claims():
    base = load_parameter_set("nmc811_peo_60c")
    T = value(base, "temperature")
    assert math.isclose(R * T / (F * value(base, "anode.j0")), 30e-4, rel_tol=1e-12)  # 30 ohm cm2
    low, high = value(base, "am.sto_window")
    capacity = value(base, "am.c_s_max") * F * (high - low) / value(base, "am.density") / 3600  # mAh/g
    assert abs(capacity - 172.2) < 0.1
    assert value(base, "electrolyte.c_e_max") == C_E_SATURATION
    # 0.76 of the electrolyte at 18:1: 0.76 * 5.0e-2 S/m
    assert abs(value(base, "cbd.kappa", 1130.0) - 0.038) < 5e-4


# Cell voltage of Li | electrolyte 50 um | NMC slab 5 um in closed form (both diffusion problems: Crank, The
# Mathematics of Diffusion, 1975), evaluated independently and rounded to 0.01 mV.
LAMINATE = [
    (0.5, 0.30, {0.001: 4.17790, 0.1: 4.05913, 0.5: 3.61235}),
    (1.0, 0.30, {0.001: 4.15830, 0.1: 4.01621, 0.5: 3.57550}),
    (2.0, 0.30, {0.01: 4.10294, 0.3: 3.68344}),
    (-1.0, 0.90, {0.01: 3.64426, 0.5: 4.19398}),
    (-2.0, 0.90, {0.05: 3.73544, 0.4: 4.12222}),
]


@pytest.mark.parametrize(("discharge", "sto_init", "voltages"), LAMINATE)
def test_verification_set_reproduces_the_exact_laminate_cell(discharge, sto_init, voltages):
    p = load_parameter_set("verification")
    T, c0, c_max = value(p, "temperature"), value(p, "electrolyte.c_e_init"), value(p, "am.c_s_max")
    D_s, D_e = value(p, "am.D_s", 0.5), value(p, "electrolyte.D_e", c0)
    t_plus, thermo = value(p, "electrolyte.t_plus", c0), value(p, "electrolyte.thermo_factor", c0)
    slab, layer = 5e-6, value(p, "separator.thickness")
    n = np.arange(1, 4000)
    odd = n[::2]
    for change, expected in voltages.items():
        t = change * F * c_max * slab / abs(discharge)
        tau = D_s * t / slab**2
        surface = tau + 1 / 3 - 2 / np.pi**2 * np.sum(np.exp(-(n**2) * np.pi**2 * tau) / n**2)
        sto = sto_init + discharge * slab / (F * D_s * c_max) * surface
        profile = 0.5 - 4 / np.pi**2 * np.sum(np.exp(-(odd**2) * np.pi**2 * D_e * t / layer**2) / odd**2)
        shift = (1 - t_plus) * discharge / F * layer / D_e * profile
        cathode, anode = c0 - shift, c0 + shift
        j0 = value(p, "kinetics.j0_ref") * 2 * math.sqrt(sto * (1 - sto)) * math.sqrt(cathode / c0)
        thermal = 2 * R * T / F
        voltage = (
            value(p, "am.ocp", sto)
            - thermal * (math.asinh(discharge / 2 / j0) + math.asinh(discharge / 2 / value(p, "anode.j0")))
            - discharge * layer / value(p, "separator.kappa", c0)
            + thermal * (1 - t_plus) * thermo * math.log(cathode / anode)
        )
        assert abs(voltage - expected) < 1.1e-5  # printed digits


def test_only_the_base_set_drops_the_potential_at_full_lithiation():
    # Published fit at sto 1: 3.4873 V (printed digits); the estimated end term is 0.02 exp(5) = 2.96826 V.
    published = value(load_parameter_set("verification"), "am.ocp", 1.0)
    assert abs(published - 3.4873) < 5.1e-5
    assert abs(published - value(load_parameter_set("nmc811_peo_60c"), "am.ocp", 1.0) - 2.96826) < 5e-6


def test_override_replaces_one_value_and_leaves_the_set_alone():
    base = load_parameter_set("verification")
    merged = merge_parameters(base, {"am.D_s": 2e-14, "separator.layers": 8})
    assert value(merged, "am.D_s", 0.5) == 2e-14 and merged["separator.layers"].value == 8
    assert merged["am.D_s"].source == "override"
    assert value(base, "am.D_s", 0.5) == 1e-14 and base["separator.layers"].value == 16
    assert value(merged, "am.sigma", 0.5) == value(base, "am.sigma", 0.5)


def test_overriding_the_electrolyte_carries_its_followers_unless_they_are_given():
    base = load_parameter_set("nmc811_peo_60c")
    merged = merge_parameters(base, {"electrolyte.kappa": 0.1, "separator.kappa": 0.02})
    assert math.isclose(value(merged, "cbd.kappa", 1130.0), 0.076, rel_tol=1e-14)
    assert value(merged, "separator.kappa", 1130.0) == 0.02
    again = merge_parameters(merged, {"electrolyte.kappa": 0.2})
    assert math.isclose(value(again, "cbd.kappa", 1130.0), 0.152, rel_tol=1e-14)
    assert value(again, "separator.kappa", 1130.0) == 0.02


@pytest.mark.parametrize(
    ("name", "given", "si"),
    [
        ("separator.thickness", "30 um", 30e-6),
        ("electrolyte.kappa", "0.5 mS/cm", 0.05),
        ("am.D_s", "1e-10 cm2/s", 1e-14),
        ("temperature", "60 degC", 333.15),
        ("contact.electronic_resistance", "10 ohm cm2", 1e-3),
        ("electrolyte.c_e_max", "inf", math.inf),
        ("kinetics.j0_ref", "2", 2.0),
        ("voltage_limits", ["2800 mV", "4.2 V"], (2.8, 4.2)),
        ("am.sto_window", np.array([0.3, 0.95]), (0.3, 0.95)),
        ("nominal_specific_capacity", 180, 180.0),
    ],
)
def test_bare_numbers_are_si_and_units_are_converted(name, given, si):
    merged = merge_parameters(load_parameter_set("verification"), {name: given})
    assert value(merged, name, 0.5) == si  # exactly: a unit is rounded once


def test_tables_modules_and_functions_are_accepted():
    merged = merge_parameters(
        load_parameter_set("verification"),
        {
            "am.ocp": ([0.2, 0.95], [4.4, 3.5]),
            "electrolyte.kappa": PEOConductivity(),
            "electrolyte.D_e": lambda c_e, T: 3e-12 * jnp.ones_like(c_e),
        },
    )
    kinds = [type(merged[n].value) for n in ("am.ocp", "electrolyte.kappa", "electrolyte.D_e")]
    assert kinds == [Table, PEOConductivity, Opaque]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"electrolyte.kapa": 1.0}, "electrolyte.kapa.*Did you mean 'electrolyte.kappa'"),
        ({"contact.coverage": 1.0}, "contact.coverage.*Did you mean .*'contact.fraction'"),
        ({"am.D_s": 0.0}, r"am.D_s = 0 .*\(0, inf\) m2/s"),
        ({"am.D_s": -1e-14}, r"am.D_s = -1e-14 .*\(0, inf\) m2/s"),
        ({"am.c_s_max": 0}, "am.c_s_max = 0 must lie in"),
        ({"kinetics.j0_ref": 0}, "kinetics.j0_ref = 0 must lie in"),
        ({"kinetics.alpha_a": 2.0}, "kinetics.alpha_a = 2 must lie in"),
        ({"contact.fraction": 1.1}, r"contact.fraction = 1.1 .*\[0, 1\].*coverage"),
        ({"film.resistance_init": -1e-9}, r"film.resistance_init = -1e-09 .*\[0, inf\)"),
        ({"separator.thickness": 50}, r"separator.thickness = 50 .*\(0, 0.01\] m.*micrometres"),
        ({"separator.layers": 0}, "separator.layers = 0 must lie in"),
        ({"separator.layers": 2.5}, "separator.layers = 2.5 must be a whole number"),
        ({"temperature": 60}, r"temperature = 60 .*\[150, 600\] K.*333.15"),
        ({"temperature": "60"}, r"temperature = 60 .*\[150, 600\] K"),
        ({"temperature": float("nan")}, "temperature = nan must lie in"),
        ({"sto_init": 1.0}, r"sto_init = 1 .*\(0, 1\)"),
        ({"am.sto_window": (0.9, 0.3)}, r"am.sto_window = \(0.9, 0.3\) must increase"),
        ({"am.sto_window": (0.3, 1.0)}, "am.sto_window = 1 must lie in"),
        ({"am.sto_window": 0.3}, "am.sto_window = 0.3 must be two numbers"),
        ({"voltage_limits": (4.2, 2.8)}, "voltage_limits.*must increase"),
        ({"electrolyte.t_plus": 1.5}, r"electrolyte.t_plus = 1.5 .*\[-1, 1\]"),
        ({"electrolyte.thermo_factor": 0.0}, "electrolyte.thermo_factor = 0"),
        (
            {"electrolyte.kind": "ternary"},
            "electrolyte.kind = 'ternary' must be one of 'binary', 'single_ion'",
        ),
        ({"anode.kind": ["li_in"]}, "anode.kind.*one of 'li_metal', 'li_in'"),
        (
            {"electrolyte.c_e_init": 1200.0, "electrolyte.c_e_max": 1000.0},
            "must lie below electrolyte.c_e_max = 1000",
        ),
        ({"electrolyte.c_e_init": math.inf}, "electrolyte.c_e_init = inf must lie in"),
        ({"nominal_specific_capacity": 0}, "nominal_specific_capacity = 0"),
        ({"temperature": None}, "temperature = None: a value is required"),
        ({"separator.thickness": "50 furlongs"}, "furlongs.*Accepted: m, cm, mm, um"),
        ({"separator.thickness": True}, "separator.thickness = True must be a number"),
        ({"am.sigma": "high"}, "am.sigma = 'high' is neither a number.*nor the path of a .csv file.*nor a formula"),
        ({"kinetics.j0_ref": "high"}, "kinetics.j0_ref = 'high' is not a number"),
        ({"kinetics.j0_ref": "2*x"}, "kinetics.j0_ref = '2.x' is a formula, but"),
        ({"am.ocp": ([30.0, 90.0], [4.2, 3.5])}, r"am.ocp.*\(30.0, 90.0\) does not overlap"),
        # D_e(c) of a fit far outside its data: negative above 3250 mol/m3
        (
            {"electrolyte.D_e": lambda c, T: -6.73e-19 * c**2 + 4.92e-16 * c + 5.5e-12},
            "electrolyte.D_e = -.* at c_e = .*state `valid`",
        ),
    ],
)
def test_wrong_overrides_name_the_value_the_range_and_the_cure(overrides, text):
    with pytest.raises(ConfigError, match=text):
        merge_parameters(load_parameter_set("verification"), overrides)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e30])
@pytest.mark.parametrize("name", NUMERIC)
def test_no_parameter_takes_what_is_not_finite_or_hugely_negative(name, bad):
    base = load_parameter_set("verification")
    if name in MAY_BE_INFINITE and bad == math.inf:
        assert merge_parameters(base, {name: bad})[name].value == math.inf
        return
    with pytest.raises(ConfigError, match=name):
        merge_parameters(base, {name: bad})


@pytest.mark.parametrize("name", NUMERIC)
def test_strictly_positive_parameters_refuse_zero_and_the_smallest_negative_number(name):
    base = load_parameter_set("verification")
    if name in MAY_BE_ZERO:
        assert value(merge_parameters(base, {name: 0.0}), name, 500.0) == 0.0
        return
    for bad in (0.0, -5e-324):
        with pytest.raises(ConfigError, match=name):
            merge_parameters(base, {name: bad})


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.0, math.nan, math.inf])
@pytest.mark.parametrize("end", [0, 1])
def test_both_ends_of_the_window_lie_strictly_between_empty_and_full(bad, end):
    window = [0.3, 0.9]
    window[end] = bad
    with pytest.raises(ConfigError, match="am.sto_window"):
        merge_parameters(load_parameter_set("verification"), {"am.sto_window": window})


@pytest.mark.parametrize("bad", [(4.2, 4.2), (math.nan, 4.2), (2.0, math.inf), (4.2,), (1.0, 2.0, 3.0)])
def test_voltage_limits_must_be_two_increasing_finite_voltages(bad):
    with pytest.raises(ConfigError, match="voltage_limits"):
        merge_parameters(load_parameter_set("verification"), {"voltage_limits": bad})


@pytest.mark.parametrize(
    "overrides",
    [
        {"film.resistance_init": 0, "contact.electronic_resistance": 0, "anode.resistance": 0},
        {"contact.fraction": 0.0},
        {"contact.fraction": 1.0},
        {"electrolyte.t_plus": -1.0},
        {"electrolyte.t_plus": 1.0, "electrolyte.kind": "single_ion"},
        {"separator.layers": 1},
        {"temperature": 150.0},
        {"temperature": 600.0},
        {"cbd.electrolyte_fraction": 1.0},
    ],
)
def test_ends_of_closed_ranges_are_legal(overrides):
    merged = merge_parameters(load_parameter_set("verification"), overrides)
    for name, given in overrides.items():
        assert value(merged, name, 500.0) == given


def test_range_check_respects_the_range_a_function_declares():
    merged = merge_parameters(
        load_parameter_set("verification"),
        {"electrolyte.D_e": Opaque(lambda c, T: -6.73e-19 * c**2 + 4.92e-16 * c + 5.5e-12, valid=(0.0, 3000.0))},
    )
    assert merged["electrolyte.D_e"].value.valid == (0.0, 3000.0)


def test_indium_anode_brings_its_potential_unless_it_is_given():
    base = load_parameter_set("verification")
    assert merge_parameters(base, {"anode.kind": "li_in"})["anode.potential"].value == 0.62
    given = merge_parameters(base, {"anode.kind": "li_in", "anode.potential": 0.6})
    assert given["anode.potential"].value == 0.6


def test_temperature_outside_the_conductivity_data_warns_and_a_constant_does_not():
    base = load_parameter_set("nmc811_peo_60c")
    with pytest.warns(UserWarning, match="298.15 K is outside the data of .*electrolyte.kappa"):
        merge_parameters(base, {"temperature": 298.15})
    # Warnings raised in this package are errors in the tests: nothing is raised here.
    merge_parameters(base, {"temperature": 298.15, "electrolyte.kappa": Constant(1e-3)})


@pytest.mark.parametrize(("sto", "warns"), [(0.29, True), (0.30, False), (0.93, False), (0.931, True)])
def test_a_start_outside_the_window_warns_and_says_what_to_set(sto, warns, recwarn):
    merge_parameters(load_parameter_set("verification"), {"sto_init": sto})
    found = [str(warning.message) for warning in recwarn]
    assert len(found) == warns
    assert not warns or "outside am.sto_window = (0.3, 0.93)" in found[0]


def test_sulfide_set_is_a_single_ion_cell_against_indium_in_cell_voltages():
    p = load_parameter_set("nmc811_lpscl_25c")
    T, anode = value(p, "temperature"), value(p, "anode.potential")
    assert (T, anode, value(p, "electrolyte.kind"), value(p, "electrolyte.t_plus", 1.0)) == (
        298.15,
        0.62,
        "single_ion",
        1.0,
    )
    low, high = value(p, "am.sto_window")
    limits = value(p, "voltage_limits")
    # A charge to 4.3 V vs Li ends inside the safety bounds, at the end of the window (sto rounded to 0.001: 3 mV).
    assert limits[0] < 4.3 - anode < limits[1]
    assert abs(value(p, "am.ocp", low) - 4.3) < 3e-3
    assert value(p, "sto_init") == high
    capacity = value(p, "am.c_s_max") * F * (high - low) / value(p, "am.density") / 3600  # mAh/g
    assert abs(capacity - 184.0) < 0.1  # as its source says
    # 0.5 A/m2 is 510 ohm cm2 and the anode 10 ohm cm2, as their sources say
    assert abs(R * T / (F * value(p, "kinetics.j0_ref")) - 514e-4) < 1e-4
    assert math.isclose(R * T / (F * value(p, "anode.j0")), 10e-4, rel_tol=1e-12)
    # 0.33 eV: a factor 2.2 from 30 to 50 C (two digits)
    warm, hot = (value(merge_parameters(p, {"temperature": T}), "separator.kappa", 1.0) for T in (303.15, 323.15))
    assert abs(hot / warm - 2.2) < 0.05


def test_incomplete_set_is_refused():
    base = load_parameter_set("verification")
    del base["anode.j0"]
    with pytest.raises(ConfigError, match="lacks anode.j0"):
        merge_parameters(base)


def test_merge_passes_tracers_so_that_gradients_reach_overrides():
    base = load_parameter_set("verification")

    def conductance(kappa, thickness):
        p = merge_parameters(base, {"electrolyte.kappa": kappa, "separator.thickness": thickness})
        return p["separator.kappa"].value(1130.0, 333.15) / p["separator.thickness"].value

    gradient = jax.grad(conductance, argnums=(0, 1))(0.05, 50e-6)
    np.testing.assert_allclose(gradient, [1 / 50e-6, -0.05 / 50e-6**2], rtol=1e-12)
