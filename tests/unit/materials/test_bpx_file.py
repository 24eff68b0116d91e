"""BPX files: what is taken over, by hand-computed numbers, and what is refused."""

import copy
import json
import math
import sys

import pytest

from simulator.constants import F, R
from simulator.errors import ConfigError
from simulator.materials import load_parameter_set, merge_parameters

pytest.importorskip("bpx", reason="needs the extra battery")

KAPPA = "0.1297 * (x / 1000) ** 3 - 2.51 * (x / 1000) ** 1.5 + 3.329 * (x / 1000)"
OCP = "4.4 - 1.2 * x - 0.05 * tanh(20 * (x - 0.6))"
# An NMC electrode in a carbonate electrolyte, in the form of the public examples of the format.
FILE = {
    "Header": {"BPX": "1.1.0", "Title": "NMC", "Model": "DFN"},
    "Parameterisation": {
        "Cell": {
            "Electrode area [m2]": 0.016808,
            "Number of electrode pairs connected in parallel to make a cell": 1,
            "Lower voltage cut-off [V]": 2.7,
            "Upper voltage cut-off [V]": 4.2,
            "Nominal cell capacity [A.h]": 12.5,
            "Reference temperature [K]": 298.15,
        },
        "Electrolyte": {
            "Cation transference number": 0.2594,
            "Conductivity [S.m-1]": KAPPA,
            "Diffusivity [m2.s-1]": 3e-10,
            "Conductivity activation energy [J.mol-1]": 17100,
            "Diffusivity activation energy [J.mol-1]": 17100,
        },
        "Negative electrode": {"OCP [V]": "exit(1)"},
        "Positive electrode": {
            "Particle radius [m]": 4.6e-6,
            "Thickness [m]": 5.23e-5,
            "Diffusivity [m2.s-1]": 3.2e-14,
            "OCP [V]": OCP,
            "Entropic change coefficient [V.K-1]": -1e-4,
            "Conductivity [S.m-1]": 0.789,
            "Surface area per unit volume [m-1]": 432072,
            "Reaction rate constant [mol.m-2.s-1]": 2.305e-05,
            "Minimum stoichiometry": 0.42424,
            "Maximum stoichiometry": 0.96210,
            "Maximum concentration [mol.m-3]": 46200,
            "Diffusivity activation energy [J.mol-1]": 15000,
            "Reaction rate constant activation energy [J.mol-1]": 35000,
            "Porosity": 0.277493,
            "Transport efficiency": 0.1462,
        },
        "Separator": {"Thickness [m]": 2e-5, "Porosity": 0.47, "Transport efficiency": 0.3222},
        "User-defined": {"am.sigma": 0.5, "cbd.kappa": "0.4 + 1e-5 * x", "other program": 3.0},
    },
    "State": {
        "Initial conditions": {
            "Initial electrolyte concentration [mol.m-3]": 1000,
            "Initial temperature [K]": 310.0,
            "Initial state-of-charge": 0.25,
        },
        "Thermal environment": {"Ambient temperature [K]": 298.15},
    },
}
POSITIVE = ("Parameterisation", "Positive electrode")


def write(folder, *changes):
    """A file with the values at some places of `FILE` replaced; None removes."""
    content = copy.deepcopy(FILE)
    for *place, value in changes:
        at = content
        for key in place[:-1]:
            at = at[key]
        if value is None:
            del at[place[-1]]
        else:
            at[place[-1]] = value
    path = folder / "cell.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    return load_parameter_set(write(tmp_path_factory.mktemp("bpx")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("am.c_s_max", 46200.0),
        ("am.sto_window", (0.42424, 0.96210)),
        ("kinetics.j0_ref", F * 2.305e-5 / 2),  # 1.112 A/m2
        ("electrolyte.kind", "binary"),
        ("electrolyte.c_e_init", 1000.0),
        ("electrolyte.c_e_max", math.inf),
        ("separator.thickness", 2e-5),
        ("separator.electrolyte_fraction", 0.47),
        ("temperature", 298.15),
        ("sto_init", 0.9621 - 0.25 * (0.9621 - 0.42424)),
        ("anode.kind", "li_metal"),
        ("anode.potential", 0.0),
        # OCP 3.94... V and 3.19... V at the ends of the window, 0.3 V above and 1 V below, to 0.1 V
        ("voltage_limits", (2.2, 4.2)),
    ],
)
def test_plain_values_are_taken_over(parameters, name, expected):
    assert parameters[name].value == expected
    assert "cell.json" in parameters[name].source


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("am.D_s", 0.6, 3.2e-14),
        ("am.ocp", 0.6, 4.4 - 1.2 * 0.6),
        ("am.sigma", 0.6, 0.5),
        ("cbd.kappa", 1000.0, 0.41),
        ("electrolyte.kappa", 1000.0, 0.1297 - 2.51 + 3.329),
        ("electrolyte.D_e", 1000.0, 3e-10),
        ("electrolyte.t_plus", 1000.0, 0.2594),
        ("electrolyte.thermo_factor", 1000.0, 1.0),
        ("separator.kappa", 1000.0, 0.3222 * (0.1297 - 2.51 + 3.329)),
        ("separator.D_e", 1000.0, 0.3222 * 3e-10),
    ],
)
def test_functions_have_the_values_of_the_file(parameters, name, x, expected):
    found = float(parameters[name].value(x, 298.15))
    assert found == pytest.approx(expected, rel=1e-12)  # rounding of the formula


def test_activation_energies_and_entropy_act_when_the_temperature_is_overridden(parameters):
    merged = merge_parameters(parameters, {"temperature": 318.15})
    difference = (1 / 298.15 - 1 / 318.15) / R
    for name, energy, x in [
        ("am.D_s", 15000, 0.6),
        ("electrolyte.kappa", 17100, 900.0),
        ("separator.kappa", 17100, 900.0),
        ("separator.D_e", 17100, 900.0),
    ]:
        ratio = float(merged[name].value(x, 318.15)) / float(parameters[name].value(x, 298.15))
        assert ratio == pytest.approx(math.exp(energy * difference), rel=1e-12)  # rounding
    ratio = merged["kinetics.j0_ref"].value / parameters["kinetics.j0_ref"].value
    assert ratio == pytest.approx(math.exp(35000 * difference), rel=1e-12)  # rounding
    shift = float(merged["am.ocp"].value(0.6, 318.15)) - float(merged["am.ocp"].value(0.6, 298.15))
    assert shift == pytest.approx(-1e-4 * 20, rel=1e-9)  # cancellation in 3.68 V


def test_what_bpx_does_not_know_says_which_set_it_is_from(parameters):
    base = load_parameter_set("nmc811_peo_60c")
    for name in ("am.density", "anode.j0", "cbd.sigma"):
        assert parameters[name].source == f"not in cell.json, from nmc811_peo_60c: {base[name].source}"
    # Scaled from 60 C to the 25 C of the file, as in the base set itself.
    expected = merge_parameters(base, {"temperature": 298.15, "electrolyte.kappa": 0.1})["anode.j0"].value
    assert parameters["anode.j0"].value == expected


def test_version_0_and_a_file_without_state_start_discharged(tmp_path):
    assert load_parameter_set(write(tmp_path, ("State", None)))["sto_init"].value == 0.9621
    old = write(tmp_path, ("Header", "BPX", "0.4.0"), ("State", None))
    with pytest.warns(UserWarning, match="legacy"):  # the warning is that of bpx
        assert load_parameter_set(old)["sto_init"].value == 0.9621


def test_tables_and_a_positive_electrode_alone_are_enough(tmp_path):
    table = {"x": [0.1, 0.6, 1.0], "y": [4.4, 3.8, 3.0]}
    sections = ("Electrolyte", "Separator", "Cell", "Negative electrode")
    path = write(
        tmp_path,
        ("Header", "Model", "Partial"),
        *[("Parameterisation", name, None) for name in sections],
        (*POSITIVE, "OCP [V]", table),
        (*POSITIVE, "Diffusivity activation energy [J.mol-1]", None),
        (*POSITIVE, "Reaction rate constant activation energy [J.mol-1]", None),
        (*POSITIVE, "Entropic change coefficient [V.K-1]", None),
        ("State", None),
    )
    parameters = load_parameter_set(path)
    assert float(parameters["am.ocp"].value(0.35, 300.0)) == pytest.approx(4.1, rel=1e-12)  # rounding
    assert parameters["temperature"].value == 333.15  # of the base set, and said so
    assert "nmc811_peo_60c" in parameters["temperature"].source


def test_a_formula_that_fails_beyond_its_data_is_held_there(tmp_path):
    falling = "3e-10 * (1 - x / 3000)"  # negative above 3000 mol/m3
    parameters = load_parameter_set(
        write(tmp_path, ("Parameterisation", "Electrolyte", "Diffusivity [m2.s-1]", falling))
    )
    D_e = merge_parameters(parameters)["electrolyte.D_e"].value
    # Twice the initial concentration, 2000 mol/m3, is the end.
    assert float(D_e(5000.0, 298.15)) == pytest.approx(1e-10, rel=1e-12)  # rounding


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ((*POSITIVE, "Porosity", "high"), "Positive electrode.Porosity"),
        ((*POSITIVE, "Maximum concentration [mol.m-3]", -1.0), "Maximum concentration.*am.c_s_max = -1 must lie in"),
        ((*POSITIVE, "Diffusivity [m2.s-1]", "open(x)"), "Diffusivity.*unknown function 'open'"),
        ((*POSITIVE, "OCP [V]", "4.4 - __import__(x)"), "OCP"),
        ((*POSITIVE, "Particle", {"a": {}}), "Positive electrode"),
        ((*POSITIVE, "Minimum stoichiometry", 0.0), "Minimum/Maximum stoichiometry: am.sto_window = 0"),
        ((*POSITIVE, "Reaction rate constant [mol.m-2.s-1]", None), "Reaction rate constant.*[Ff]ield required"),
        (("Parameterisation", "Positive electrode", None), "Positive electrode is missing"),
        (("Parameterisation", "Separator", "Transport efficiency", 1.5), "Separator.Transport efficiency = 1.5"),
        (("Parameterisation", "Cell", "Reference temperature [K]", None), "Reference temperature .K. is missing"),
        (("Parameterisation", "User-defined", {"am.sigmma": 1.0}), "am.sigmma.*Did you mean 'am.sigma'"),
        (("Parameterisation", "User-defined", {"cbd.sigma": -1.0}), r"User-defined.cbd.sigma: cbd.sigma = -1 must"),
        (("State", "Initial conditions", "Initial state-of-charge", 2.0), "Initial state-of-charge = 2"),
        (("Parameterisation", None), "no section 'Parameterisation'"),
        (("Header", None), "[Hh]eader"),
    ],
)
def test_errors_name_the_file_and_the_field(tmp_path, change, text):
    with pytest.raises(ConfigError, match=rf"cell\.json.*{text}"):
        load_parameter_set(write(tmp_path, change))


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="No file .*absent.json"):
        load_parameter_set(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match="broken.json is not valid JSON"):
        load_parameter_set(tmp_path / "broken.json")


def test_formulas_of_a_file_are_never_run_as_python(tmp_path, monkeypatch):
    import bpx

    def refuse(*args, **kwargs):
        raise RuntimeError("bpx ran a formula as Python code")

    monkeypatch.setattr(bpx.Function, "to_python_function", refuse)
    negative = {**FILE["Parameterisation"]["Positive electrode"], "OCP [V]": "exit(1)"}
    path = write(tmp_path, ("Parameterisation", "Negative electrode", negative))
    with pytest.raises(RuntimeError, match="ran a formula"):  # as the package itself would
        bpx.parse_bpx_file(path)
    assert load_parameter_set(path)["am.c_s_max"].value == 46200.0


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bpx", None)  # import fails
    with pytest.raises(ConfigError, match=r"voxelyte\[battery\]"):
        load_parameter_set(write(tmp_path))
