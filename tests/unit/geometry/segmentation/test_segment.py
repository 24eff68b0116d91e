"""`segment` as a whole: settings, warnings, two dimensions, and what goes on to a simulation."""

import warnings

import numpy as np
import pytest

import simulator as sim
from simulator.errors import ConfigError, GeometryError
from simulator.geometry.segmentation import UNSURE


@pytest.fixture(scope="module")
def grey(film, tomogram):
    return tomogram(film)


@pytest.fixture(scope="module")
def found(grey):
    return sim.segment(grey)


def test_classes_are_numbered_dark_to_bright_and_named(found, grey):
    assert dict(found.names) == {"pore": (0,), "cbd": (1,), "am": (2,)}
    assert found.labels.dtype == np.uint8 and found.labels.shape == grey.shape
    assert list(found.means) == sorted(found.means)
    assert sum(found.fractions) == pytest.approx(1.0)
    assert found.fraction("am") == np.mean(found.labels == 2)
    for c, (low, high) in enumerate(zip((0, *found.thresholds), (*found.thresholds, 65535), strict=True)):
        assert low < found.means[c] < high
        assert low < grey[found.labels == c].mean() < high


def test_unsure_voxels_are_wrong_more_often(found, film):
    right = found.labels == film
    sure = found.confidence >= UNSURE
    assert found.unsure == pytest.approx(np.mean(~sure))
    assert right[sure].mean() > right[~sure].mean() + 0.05


def test_steps_tell_what_was_done(found):
    text = " | ".join(found.steps)
    for word in ("percentiles 0.1 and 99.9", "nlm (non-local means, 0.6", "multi-level Otsu", "islands below 8"):
        assert word in text


def test_the_result_makes_an_electrode(found):
    electrode = found.electrode("0.398 um")
    assert electrode.volume_fraction("cbd") == pytest.approx(found.fraction("cbd"))
    assert electrode.voxel_size == pytest.approx((0.398e-6,) * 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_the_scale_of_the_grey_values_does_not_matter(grey, dtype):
    other = (grey / 256).astype(dtype) if dtype == np.uint8 else grey.astype(dtype)
    a, b = sim.segment(grey, denoise="gaussian"), sim.segment(other, denoise="gaussian")
    # 8 bits round the grey values of a few voxels over a threshold
    assert np.mean(a.labels != b.labels) < (0.01 if dtype == np.uint8 else 1e-4)


def test_own_thresholds_are_used_in_grey_values_of_the_image(grey):
    found = sim.segment(grey, thresholds=[30000], denoise="none", min_size=0)
    np.testing.assert_array_equal(found.labels, grey > 30000)
    assert found.thresholds == (pytest.approx(30000),)
    assert dict(found.names) == {"pore": (0,), "am": (1,)}


def test_several_classes_make_one_phase(grey):
    found = sim.segment(grey, labels={"electrolyte": [0, 1], "am": 2}, denoise="gaussian")
    assert found.fraction("electrolyte") == pytest.approx(sum(found.fractions[:2]))


def test_a_single_layer_is_a_section(grey):
    flat, layer = sim.segment(grey[20], denoise="median"), sim.segment(grey[20:21], denoise="median")
    assert flat.labels.shape == (48, 48) and layer.labels.shape == (1, 48, 48)
    np.testing.assert_array_equal(flat.labels, layer.labels[0])
    with pytest.raises(GeometryError, match="2D section cannot be simulated"):
        flat.electrode("0.4 um")


def test_clean_up_is_marked_as_unsure(grey):
    plain = sim.segment(grey, denoise="none", min_size=0)
    clean = sim.segment(grey, denoise="none", min_size=8, majority=1, fill_pores=True)
    changed = plain.labels != clean.labels
    assert 0.005 < changed.mean() < 0.2
    assert not clean.confidence[changed].any()
    assert [step.split(":")[0] for step in clean.steps[-3:]] == [
        "islands below 8 voxels",
        "closed pores filled",
        "majority filter, 1 times",
    ]


def test_markers_lead_the_random_walker(film, grey):
    film, grey = film[:20, :20, :20], grey[:20, :20, :20]
    markers = np.where(np.random.default_rng(0).random(film.shape) < 0.02, film + 1, 0)
    found = sim.segment(grey, markers=markers, method="random_walker", min_size=0)
    assert found.thresholds == ()
    assert np.mean(found.labels == film) > 0.85  # 2 % of the voxels were given
    assert (found.labels == film)[markers > 0].all()


def test_noise_alone_is_called_so():
    noise = np.random.default_rng(0).normal(100, 10, (24, 24, 24))
    with pytest.warns(UserWarning, match="overlap: their contrast-to-noise ratio") as told:
        sim.segment(noise, 2)
    assert any("voxels are unsure" in str(w.message) for w in told)


def test_a_good_image_gives_no_warning(grey):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sim.segment(grey, denoise="median").warnings == ()


def test_the_image_given_is_not_changed(grey):
    before = grey.copy()
    sim.segment(grey, denoise="none")
    np.testing.assert_array_equal(grey, before)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros(9), "has 2 or 3 axes, got 1"),
        (np.zeros((2, 9, 9, 9)), "has 2 or 3 axes, got 4"),
        (np.zeros((40, 40, 3), np.uint8), "colour channels"),
        (np.zeros((2, 40)), "at least 4 voxels"),
        (np.zeros((9, 9), bool), "got data of type bool"),
        (np.zeros((9, 9), complex), "got data of type complex"),
        (np.full((9, 9), np.nan), "NaN or infinity in 81 of 81 voxels"),
        (np.arange(900).reshape(30, 30) % 3, "only the values 0, 1, 2: it is segmented already"),
    ],
)
def test_images_that_are_not_grey_are_refused(image, text):
    with pytest.raises(GeometryError, match=text):
        sim.segment(image)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"classes": 1}, "whole number from 2 to 5, got 1"),
        ({"classes": 2.5}, "whole number from 2 to 5, got 2.5"),
        ({"classes": 5}, "5 classes have no usual names"),
        ({"method": "otzu"}, "method cannot be 'otzu'. Did you mean 'otsu'"),
        ({"denoise": "bm3d"}, "denoise cannot be 'bm3d'"),
        ({"clip": (99, 1)}, "two ascending percentiles"),
        ({"beta": 0.0}, "beta must be positive"),
        ({"min_size": -1}, "min_size must be a whole number >= 0"),
        ({"majority": 0.5}, "majority must be a whole number >= 0"),
        ({"thresholds": [30000, 20000]}, "thresholds must be 2 ascending grey values between"),
        ({"thresholds": [1e6]}, "thresholds must be 1 ascending grey values between"),
        ({"thresholds": [20000], "classes": 3}, "classes is 3, but the 1 thresholds make 2"),
        ({"labels": {"am": 2}}, "each of the classes 0..2"),
        ({"labels": {"pore": 0, "cbd": 1, "am": "2"}}, "labels.am must be a class"),
        ({"labels": {"pores": 0, "cbd": 1, "am": 2}}, "Unknown phase 'pores' in labels. Did you mean 'pore'"),
        ({"markers": np.ones((48, 48, 48), int)}, "markers are seeds of method='random_walker'"),
        ({"voxel_size": (1.0, 1.0)}, "voxel_size must be one positive length or one for each of 3 axes"),
    ],
)
def test_wrong_settings_are_refused_with_a_cure(grey, settings, text):
    with pytest.raises(ConfigError, match=text):
        sim.segment(grey, **settings)


@pytest.mark.parametrize(
    ("markers", "text"),
    [
        (np.ones((4, 4), int), "in the image's shape"),
        (np.ones((48, 48, 48)), "whole numbers"),
        (np.ones((48, 48, 48), int), "0 and each of 1..n"),
    ],
)
def test_wrong_markers_are_refused(grey, markers, text):
    with pytest.raises(GeometryError, match=text):
        sim.segment(grey, markers=markers, method="random_walker")


def test_an_unknown_phase_is_named(found):
    with pytest.raises(GeometryError, match="Unknown phase 'amm'. Did you mean 'am'"):
        found.fraction("amm")
