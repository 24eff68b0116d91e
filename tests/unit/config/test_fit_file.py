"""The file of a fit: every key is checked, in one line that says what would be right."""

import copy

import pytest
import yaml

from simulator.choices import FIT_LOSSES, FIT_METHODS
from simulator.config import load_fit
from simulator.errors import ConfigError

GOOD = {
    "curves": [{"file": "a.csv", "sigma": "2 mV"}, {"file": "b.csv", "sigma": 1e-3, "label": 7}],
    "parameters": {"am.D_s": {"start": "1e-14 m2/s", "lower": 1e-16, "upper": 1e-12}},
}


@pytest.fixture
def load(tmp_path):
    def load(given):
        path = tmp_path / "fit.yaml"
        path.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
        return load_fit(path)

    return load


def changed(place, value):
    """`GOOD` with the value at a dotted place; lists count from 0."""
    given = copy.deepcopy(GOOD)
    *path, last = place.split("/")
    inner = given
    for key in path:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]
    inner[last] = value
    return given


def test_texts_become_si_and_names_relative_to_the_folder_are_found(load, tmp_path):
    (tmp_path / "ocp.csv").write_text("0,4\n1,3\n")
    given = changed("curves/0/area", "1.13 cm2")
    given["curves"][0] |= {"begin": "1 h", "values": {"am.ocp": "ocp.csv"}}
    given["curves"][1] |= {"capacity": "5 mAh"}
    given |= {"profile": "all", "next": {"rest": "Rest for 1 h"}}
    found = load(given)
    first, second = found.curves
    assert first.file == str(tmp_path / "a.csv") and first.values["am.ocp"] == str(tmp_path / "ocp.csv")
    assert first.size == {"area": pytest.approx(1.13e-4)} and second.size == {"capacity": 5e-3}
    assert (first.sigma, first.begin, second.label) == (2e-3, 3600.0, "7")
    assert found.profile == ["am.D_s"] and found.next == {"rest": ["Rest for 1 h"]}


def test_numbers_as_yaml_1_2_has_them(load):
    """1e-14 without a point is a text in YAML 1.1."""
    found = load("curves: [{file: a.csv}]\nparameters:\n  am.D_s: {start: 1e-14, lower: 1e-16, upper: 1e-12}\n")
    assert found.parameters["am.D_s"].start == 1e-14


def test_the_choices_are_those_of_the_engine():
    from simulator.workflows.fit import engine, loss

    assert set(FIT_METHODS) == set(engine.METHODS) and set(FIT_LOSSES) == set(loss.LOSSES)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("curve", [], "Unknown key 'curve'. Did you mean 'curves'"),
        ("curves", {}, "curves must be a list"),
        ("curves", ["a.csv"], "curves.1 must be a mapping with file, label"),
        ("curves/0/fiel", "a", "Unknown key 'fiel' in curves.1. Did you mean 'file'"),
        ("curves/0/file", None, "file is missing in curves.1"),
        ("curves/0/file", 3, "curves.1.file must be the name of a file, got 3"),
        ("curves/0/label", "a@b", "name without @"),
        ("curves/0/area", "1 cm", "curves.1.area has the unknown area unit 'cm'"),
        ("curves/0/area", 0, "curves.1.area must be above zero"),
        ("curves/0/capacity", "5 mWh", "(Ah, mAh) such as '5 mAh'"),
        ("curves/0/rows", 2, "curves.1.rows must be a whole number in [3, 100000], got 2"),
        ("curves/0/rows", 40.0, "whole number"),
        ("curves/0/evenly", "rows", "time, charge or null"),
        ("curves/0/sigma", 2, "curves.1.sigma must be in (0, 1] V, got 2"),
        ("curves/0/sigma", "2", "must be in (0, 1] V"),
        ("curves/0/sigma", None, "curves.1 has no sigma, and others have"),
        ("curves/0/weight", -1, "curves.1.weight must be in [0, inf]"),
        ("curves/0/tolerance", 0, "curves.1.tolerance must be in [1e-09, 0.5]"),
        ("curves/0/begin", "noon", "curves.1.begin must be a time"),
        ("curves/0/columns", "Ewe", "curves.1.columns must be a mapping, got 'Ewe'"),
        ("curves/0/values", ["am.D_s"], "curves.1.values must be a mapping"),
        ("parameters", {}, "parameters is empty"),
        ("parameters", ["am.D_s"], "parameters must be a mapping"),
        ("parameters/am.D_s", 1e-14, "parameters.am.D_s must be a mapping with start"),
        ("parameters/am.D_s/upper", None, "upper is missing in parameters.am.D_s. Give start, lower, upper"),
        ("parameters/am.D_s/start", True, "parameters.am.D_s.start must be a number"),
        ("parameters/am.D_s/log", "yes", "parameters.am.D_s.log must be true, false or null"),
        ("parameters/am.D_s/std", 1, "Unknown key 'std' in parameters.am.D_s."),
        ("parameters/am.D_s/prior", {"mean": 1}, "std is missing in parameters.am.D_s.prior"),
        ("method", "lbfgs", "method cannot be 'lbfgs'. Did you mean 'l-bfgs-b'"),
        ("loss", "hubr", "Did you mean 'huber'"),
        ("max_evaluations", 0, "max_evaluations must be a whole number in [1, 100000], got 0"),
        ("xtol", 1, "xtol must be in [1e-14, 0.5]"),
        ("ftol", "small", "ftol must be a number"),
        ("ctol", 0.7, "ctol must be in [0, 0.5]"),
        ("profile", ["am.Ds"], "profile: 'am.Ds' is not fitted. Did you mean 'am.D_s'"),
        ("next", ["Rest for 1 h"], "next must be a mapping"),
        ("next", {"a": []}, "next.a must be a list of steps"),
        ("next", {"a": ["Wait"]}, "next.a: "),
    ],
)
def test_each_mistake_has_its_message(load, place, value, message):
    with pytest.raises(ConfigError) as caught:
        load(changed(place, value))
    said = str(caught.value)
    assert said.startswith("fit.yaml: ") and message in said and "\n" not in said, said


def test_what_needs_the_noise_or_a_likelihood_says_so(load):
    without = changed("curves", [{"file": "a.csv"}])
    with pytest.raises(ConfigError, match="loss: huber needs the noise"):
        load(without | {"loss": "huber"})
    without["parameters"]["am.D_s"]["prior"] = {"mean": 1e-14, "std": 0.3}
    with pytest.raises(ConfigError, match="The prior of am.D_s needs the noise"):
        load(without)
    with pytest.raises(ConfigError, match="profile needs a likelihood"):
        load(GOOD | {"loss": "huber", "profile": "all"})
    with pytest.raises(ConfigError, match="area and mass both say"):
        load(changed("curves", [{"file": "a.csv", "area": 1, "mass": 1}]))
    with pytest.raises(ConfigError, match="weight of every curve is 0"):
        load(changed("curves", [{"file": "a.csv", "weight": 0}]))


@pytest.mark.parametrize("text", ["- a\n", "curves: [\n", "a: 1\na: 2\n", "", "\x00"])
def test_what_is_no_mapping_is_refused_in_one_line(load, text):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "\n" not in str(caught.value) and "fit.yaml" in str(caught.value)
