"""The shipped slice of a measured tomogram: particles in pores and binder of nearly one grey."""

import numpy as np
import pytest

import simulator as sim
from simulator.geometry import read_image
from simulator.geometry.segmentation import compare
from simulator.resources import mesh_path


@pytest.fixture(scope="module")
def grey():
    return read_image(mesh_path("nmc111_grey_slice_256.tif")).array


def test_the_slice_is_read_as_it_was_published(grey):
    assert (grey.shape, grey.dtype) == ((256, 256), np.uint8)
    assert 81 <= grey.min() and grey.max() <= 170  # of the whole slice


def test_the_threshold_parts_the_two_peaks(grey):
    found = sim.segment(grey, 2)
    counts = np.bincount(grey.ravel(), minlength=256)
    dark, bright = int(counts[:120].argmax()), 130 + int(counts[130:].argmax())
    (threshold,) = found.thresholds
    assert dark + 10 < threshold < bright - 10
    assert not found.warnings
    # 90 wt% of 4.7 g/cm3 in an electrode of 1.9 g/cm3 otherwise and 25 to 45 % pores (calendered): 43 to 59 % by
    # volume; the blurred rims and the single slice of an export leave some points
    assert found.fraction("am") == pytest.approx(0.62, abs=0.05)


def test_both_methods_agree_on_the_particles(grey):
    a, b = sim.segment(grey, 2), sim.segment(grey, 2, method="random_walker")
    # 0.6 points and 2.9 % of the pixels measured
    assert abs(a.fraction("am") - b.fraction("am")) < 0.015
    assert np.mean(a.labels != b.labels) < 0.035


def test_a_third_class_is_not_the_binder_that_was_weighed_in(grey):
    found = sim.segment(grey, 3)
    fractions = {name: found.fraction(name) for name in found.names}
    am, _ = compare(fractions, {"am": 0.9, "cbd": 0.1}, {"am": 4700.0, "cbd": 1900.0})
    # rims of particles count as binder: 12 points too little active material among the solids
    assert am.found < am.expected - 0.05
