"""A parameter that differs from place to place: the forms a user may give, and what is said about wrong ones."""

from pathlib import Path

import jax
import numpy as np
import pytest
import tifffile

from simulator.errors import ConfigError, GeometryError
from simulator.materials import Distribution, load_parameter_set, merge_parameters

NAME = "contact.fraction"
IMAGE = np.linspace(0.1, 0.9, 24).reshape(2, 3, 4)


def parsed(value):
    return merge_parameters(load_parameter_set("verification"), {NAME: value})[NAME].value


@pytest.mark.parametrize("value", [0.4, "40 %", "0.4", np.float64(0.4), np.array(0.4), {"value": 0.4}])
def test_one_number_stays_a_number(value):
    assert parsed(value) == pytest.approx(0.4, rel=1e-15) and isinstance(parsed(value), float)


@pytest.mark.parametrize("value", [[0.2, 1, 0.0], (0.2, 1, 0), np.array([0.2, 1.0, 0.0])])
def test_list_is_one_value_for_each_in_order(value):
    found = parsed(value)
    assert isinstance(found, Distribution) and found.labels is None
    assert np.array_equal(found.values, [0.2, 1.0, 0.0])


@pytest.mark.parametrize(
    "value",
    [{3: 0.5, 12: "25 %", "default": 1}, {"3": 0.5, "12": 0.25, "default": 1.0}, {3.0: 0.5, 12: 0.25, "default": 1}],
)
def test_mapping_is_a_value_for_each_label_and_one_for_the_others(value):
    found = parsed(value)
    assert found.labels == (3, 12) and float(found.default) == 1.0
    assert np.array_equal(found.values, [0.5, 0.25])


def test_files_give_what_arrays_and_mappings_give(tmp_path: Path):
    np.save(tmp_path / "each.npy", [0.2, 0.3])
    np.save(tmp_path / "image.npy", IMAGE)
    tifffile.imwrite(tmp_path / "image.tif", IMAGE, photometric="minisblack")
    (tmp_path / "labels.csv").write_text("label, fraction\n3, 0.5\n12, 0.25\n")
    assert np.array_equal(parsed(str(tmp_path / "each.npy")).values, [0.2, 0.3])
    for name in ("image.npy", "image.tif"):
        assert np.array_equal(parsed(tmp_path / name).values, IMAGE)
    labelled = parsed(str(tmp_path / "labels.csv"))
    assert labelled.labels == (3, 12) and labelled.default is None
    assert np.array_equal(labelled.values, [0.5, 0.25])


def test_stored_text_tells_any_two_apart():
    given = ([0.2, 0.3], [0.3, 0.2], {1: 0.2, 2: 0.3}, {1: 0.2, 3: 0.3}, {1: 0.2, 2: 0.3, "default": 1}, IMAGE)
    texts = [repr(parsed(value)) for value in given]
    assert len(set(texts)) == len(texts)
    assert texts == [repr(parsed(value)) for value in given]
    assert texts[-1].startswith("Distribution(image 2x3x4, 0.1 to 0.9, sha256 ")


def test_merging_again_keeps_it():
    once = merge_parameters(load_parameter_set("verification"), {NAME: [0.2, 0.3]})
    assert merge_parameters(once)[NAME].value is once[NAME].value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.5, 1.2], r"contact.fraction\[1\] = 1.2 must lie in \[0, 1\].*coverage"),
        ([-0.1, 0.2], r"contact.fraction\[0\] = -0.1 must lie in \[0, 1\]"),
        ([0.5, np.nan, 0.2], r"contact.fraction\[1\] = nan must lie in \[0, 1\]"),
        ({4: 1.5}, r"contact.fraction\[4\] = 1.5 must lie in \[0, 1\]"),
        ({4: 0.5, "default": np.nan}, r"contact.fraction\[default\] = nan must lie"),
        ({0: 0.5}, "0 is no particle label.*from 1; 'default'"),
        ({2.5: 0.5}, "2.5 is no particle label"),
        ({np.nan: 0.5}, "nan is no particle label"),
        ({True: 0.5}, "True is no particle label"),
        ({"all": 0.5}, "'all' is no particle label"),
        ({1: 0.5, "1": 0.4}, "label 1 more than once"),
        ({"default": 0.5}, "names no particle.*Give one number"),
        (np.ones((2, 2)), r"shape \(2, 2\).*1D or 3D"),
        ([], r"shape \(0,\).*not empty"),
        (["a", "b"], "nothing but numbers"),
        ("missing.csv", "no file 'missing.csv'.*Give one number"),
        ("missing.tif", "no file 'missing.tif'"),
        ("half", "half"),
    ],
)
def test_wrong_values_are_refused_with_place_range_and_cure(value, message):
    with pytest.raises(ConfigError, match=message):
        parsed(value)


def test_wrong_files_are_refused(tmp_path: Path):
    (tmp_path / "twice.csv").write_text("1, 0.5\n1, 0.4\n")
    (tmp_path / "odd.csv").write_text("1.5, 0.5\n")
    (tmp_path / "image.tif").write_text("none")
    np.save(tmp_path / "range.npy", [0.5, 7.0])
    with pytest.raises(ConfigError, match="label 1 more than once"):
        parsed(tmp_path / "twice.csv")
    with pytest.raises(ConfigError, match=r"1.5 is no particle label"):
        parsed(tmp_path / "odd.csv")
    with pytest.raises(ConfigError, match=r"range.npy\)\[1\] = 7 must lie"):
        parsed(tmp_path / "range.npy")
    with pytest.raises(GeometryError, match=r"contact.fraction: .*image.tif is not a TIFF"):
        parsed(tmp_path / "image.tif")


def test_other_parameters_take_no_distribution():
    with pytest.raises(ConfigError, match="film.resistance_init"):
        merge_parameters(load_parameter_set("verification"), {"film.resistance_init": [0.1, 0.2]})


def test_traced_values_pass_unchecked():
    """7 is out of range, which a value inside a transformation does not show."""
    slope = jax.grad(lambda a: parsed({1: a, "default": 0.5}).values.sum() + parsed(a[None]).values.sum())(7.0)
    assert float(slope) == 2.0
