"""Building electrodes from arrays: labels, axes, units, derived numbers, messages."""

import json
import math

import numpy as np
import pytest

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import AM, CBD, ELECTROLYTE, PORE, Electrode

UM = 1e-6


def image(*layers):
    """Image from strings, one per z layer, rows separated by spaces: p, a, c, e."""
    codes = {"p": PORE, "a": AM, "c": CBD, "e": ELECTROLYTE}
    return np.array([[[codes[v] for v in row] for row in layer.split()] for layer in layers])


CANONICAL = {"pore": 0, "am": 1, "cbd": 2, "electrolyte": 3}


def test_user_codes_map_to_canonical_codes():
    raw = np.array([[[0, 85, 170, 200]]])
    e = Electrode.from_array(raw, UM, labels={"pore": 0, "am": [85], "cbd": 170, "electrolyte": 200})
    assert e.phase.tolist() == [[[PORE, AM, CBD, ELECTROLYTE]]]
    assert e.phase.dtype == np.uint8
    assert e.labels == {"pore": PORE, "am": AM, "cbd": CBD, "electrolyte": ELECTROLYTE}


def test_several_values_may_be_one_phase_and_only_phases_in_use_are_listed():
    raw = np.array([[[-3, 7, 9]]], dtype=np.int8)
    e = Electrode.from_array(raw, UM, labels={"am": (7, 9), "pore": -3, "cbd": 2})
    assert e.phase.tolist() == [[[PORE, AM, AM]]]
    assert e.labels == {"pore": PORE, "am": AM}


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int64, np.float32, np.float64])
def test_any_whole_number_type_gives_the_same_phases(dtype):
    raw = np.arange(24).reshape(2, 3, 4) % 3
    expected = Electrode.from_array(raw, UM).phase
    assert np.array_equal(Electrode.from_array(raw.astype(dtype), UM).phase, expected)


def test_boolean_image_reads_true_as_one():
    e = Electrode.from_array(np.array([[[True, False]]]), UM)
    assert e.phase.tolist() == [[[AM, PORE]]]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", ["start", "end"])
def test_thickness_axis_moves_data_particles_and_voxel_size_together(axis, side):
    rng = np.random.default_rng(3)
    raw = rng.integers(0, 3, size=(3, 5, 7))
    particle = rng.integers(0, 99, size=raw.shape)
    size = [1e-6, 2e-6, 3e-6]
    e = Electrode.from_array(raw, size, thickness_axis=axis, separator_side=side, particle=particle)
    others = [a for a in range(3) if a != axis]
    assert e.voxel_size == (size[axis], size[others[0]], size[others[1]])
    assert e.particle is not None
    for index in np.ndindex(raw.shape):
        through = index[axis] if side == "start" else raw.shape[axis] - 1 - index[axis]
        place = (through, index[others[0]], index[others[1]])
        assert e.phase[place] == raw[index]
        assert e.particle[place] == particle[index]


def test_the_electrode_keeps_its_own_read_only_copy():
    raw = np.ones((2, 2, 2), dtype=np.uint8)
    e = Electrode(raw, (UM, UM, UM))
    raw[:] = 0
    assert (e.phase == AM).all()
    with pytest.raises(ValueError, match="read-only"):
        e.phase[0, 0, 0] = 0


def test_sizes_are_in_metres():
    e = Electrode.from_array(np.ones((2, 3, 5), int), ("0.5 um", 1e-6, "2000 nm"))
    # products of three decimal numbers: a few roundings
    assert e.voxel_size == pytest.approx((0.5e-6, 1e-6, 2e-6), rel=1e-14)
    assert e.size_m == pytest.approx((1e-6, 3e-6, 1e-5), rel=1e-14)
    assert e.cross_section_area == pytest.approx(3e-11, rel=1e-14)
    assert e.volume == pytest.approx(3e-17, rel=1e-14)
    assert e.shape == (2, 3, 5)


def test_volume_fractions_add_up_and_porosity_is_that_of_pore():
    e = Electrode.from_array(image("pa ce", "aa aa"), UM, CANONICAL)
    fractions = {name: e.volume_fraction(name) for name in CANONICAL}
    assert fractions == {"pore": 0.125, "am": 0.625, "cbd": 0.125, "electrolyte": 0.125}
    assert e.porosity == 0.125
    with pytest.raises(GeometryError, match="Did you mean 'pore'"):
        e.volume_fraction("pores")


def test_coverage_counts_cbd_and_electrolyte_but_no_necks_sides_or_separator():
    # One AM voxel in the middle of a 1 x 3 x 3 frame: four free faces, all with the same w by symmetry.
    e = Electrode.from_array(image("pcp eap ppp"), UM, CANONICAL)
    # two of four equal faces touch cbd or electrolyte; exact up to rounding
    assert e.coverage == pytest.approx(0.5, rel=1e-14)
    assert e.specific_area(corrected=False) == pytest.approx(4 / (9 * UM), rel=1e-14)


def test_coverage_weights_anisotropic_faces_by_their_area():
    e = Electrode.from_array(image("pcp pap pcp"), (1e-6, 1e-6, 3e-6), CANONICAL)
    # y faces: 1 um x 3 um, covered; x faces: 1 um x 1 um, free
    s = e.free_surface
    wy, wx = s.weight[s.axis == 1][0], s.weight[s.axis == 2][0]
    assert e.coverage == pytest.approx(3 * wy / (3 * wy + wx), rel=1e-14)


def test_coverage_without_free_surface_is_not_a_number():
    assert math.isnan(Electrode.from_array(np.ones((3, 2, 2), int), UM).coverage)


def test_crop_takes_phase_and_particles_and_keeps_the_voxel_size():
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 3, size=(5, 6, 7))
    particle = np.arange(raw.size).reshape(raw.shape)
    e = Electrode.from_array(raw, UM, particle=particle, name="full")
    c = e.crop(z=(1, 4), y=slice(2, None), x=(-3, None))
    assert np.array_equal(c.phase, e.phase[1:4, 2:, -3:])
    assert c.particle is not None
    assert np.array_equal(c.particle, particle[1:4, 2:, -3:])
    assert c.voxel_size == e.voxel_size
    assert c.name == "full"


@pytest.mark.parametrize("bad", [(3, 3), (4, 2), (0, 6), (-9, 2), slice(0, 4, 2)])
def test_crop_outside_or_empty_is_refused(bad):
    e = Electrode.from_array(np.ones((5, 5, 5), int), UM)
    with pytest.raises(GeometryError, match=r"crop range y=.*inside 0\.\.5"):
        e.crop(y=bad)


def test_crop_without_active_material_is_refused():
    e = Electrode.from_array(image("aa", "pp"), UM)
    with pytest.raises(GeometryError, match="no active material"):
        e.crop(z=(1, 2))


def test_summary_holds_plain_values_with_units_in_the_keys():
    e = Electrode.from_array(image("eap aac", "eaa ppp", "caa paa"), "0.5 um", CANONICAL, name="tiny")
    s = e.summary()
    assert all(type(v) in (float, str) for v in s.values())
    assert all(k.endswith("]") for k, v in s.items() if type(v) is float)
    json.dumps(s, allow_nan=False)
    assert s["Name"] == "tiny"
    assert s["Thickness [m]"] == pytest.approx(1.5e-6, rel=1e-14)
    assert s["Volume fraction of am [-]"] == e.volume_fraction("am")
    n = {k: v for k, v in s.items() if isinstance(v, float)}
    assert 0 < n["Specific area [1/m]"] < n["Specific area, voxel faces [1/m]"]
    # a sum of shares, rounding only
    isolated = sum(v for k, v in n.items() if k.startswith("Isolated share of AM,"))
    assert n["Live share of AM [-]"] + isolated == pytest.approx(1.0, abs=1e-15)


def test_an_electrode_without_an_ionic_phase_is_legal():
    e = Electrode.from_array(np.ones((4, 3, 3), int), UM)
    assert e.labels == {"am": AM}
    assert e.summary()["Live share of AM [-]"] == 1.0


GOOD = image("pac", "aac")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": {"pore": 0, "am": 1, "cdb": 2}}, "'cdb' in labels. Did you mean 'cbd'"),
        ({"labels": {"pore": 0, "am": 1}}, r"without a label: 2 \(33.3 %\)"),
        ({"labels": {"pore": 0, "am": 1, "cbd": [2, 1]}}, "value 1 to both 'am' and 'cbd'"),
        ({"labels": {"pore": [0, 1], "cbd": 2}}, "names no 'am'"),
        ({"labels": {"pore": [0, 1], "cbd": 2, "am": 7}}, r"no active material.*\[7\].*1 \(50 %\)"),
        ({"labels": {"pore": 0, "am": 1.0, "cbd": 2}}, r"labels\['am'\] must be a whole number.*1.0"),
        ({"labels": {"pore": 0, "am": True, "cbd": 2}}, r"labels\['am'\] must be a whole number"),
        ({"labels": {"pore": 0, "am": "1", "cbd": 2}}, r"labels\['am'\] must be a whole number"),
        ({"labels": [0, 1, 2]}, "labels must map names"),
        ({"phase": GOOD[0]}, r"3 axes, got 2 .*2D section"),
        ({"phase": GOOD[..., None]}, r"3 axes, got 4 .*one label per voxel"),
        ({"phase": np.ones(4)}, r"3 axes, got 1"),
        ({"phase": np.ones((3, 0, 3), int)}, "empty"),
        ({"phase": GOOD + 0.5}, r"whole numbers.*0.5.*segmented"),
        ({"phase": np.where(GOOD == 0, np.nan, GOOD)}, "NaN or infinity in 1 of 6"),
        ({"phase": GOOD.astype(complex)}, "complex128"),
        ({"phase": GOOD.astype(str)}, "data of type"),
        ({"phase": GOOD * 100_000}, "from 0 to 200000"),
        ({"voxel_size": 0.0}, r"\(0, 0.001\] m, got 0.0"),
        ({"voxel_size": -1e-6}, "got -1e-06"),
        ({"voxel_size": 0.398}, "were micrometres given as metres"),
        ({"voxel_size": 1}, "were micrometres given as metres"),
        ({"voxel_size": "2 mm"}, "got '2 mm'"),
        ({"voxel_size": math.nan}, "got nan"),
        ({"voxel_size": (1e-6, math.inf, 1e-6)}, "inf"),
        ({"voxel_size": (1e-6, 1e-6)}, "one length or three.*got 2"),
        ({"thickness_axis": 3}, "0, 1 or 2 .*got 3"),
        ({"thickness_axis": -1}, "got -1"),
        ({"thickness_axis": 0.0}, "got 0.0"),
        ({"separator_side": "top"}, "'start' or 'end' .*got 'top'"),
        ({"particle": np.ones((2, 2, 3), int)}, r"image's shape .*\(2, 1, 3\)"),
        ({"particle": np.ones((1, 3), int)}, "particle must be 3D"),
        ({"particle": GOOD * 0.5}, "integer labels"),
        ({"particle": GOOD - 1}, r"0\.\.2147483647"),
    ],
)
def test_wrong_input_is_refused_with_value_and_cure(change, said):
    arguments = {"phase": GOOD, "voxel_size": UM, **change}
    with pytest.raises(GeometryError, match=said):
        Electrode.from_array(**arguments)


def test_grey_levels_are_recognised_as_not_segmented():
    grey = np.arange(64).reshape(4, 4, 4)
    with pytest.raises(GeometryError, match=r"and 49 more.*grey levels"):
        Electrode.from_array(grey, UM)


def test_voxel_size_without_a_known_unit_is_a_configuration_error():
    with pytest.raises(ConfigError, match="voxel_size.*um"):
        Electrode.from_array(GOOD, "0.4 px")


def test_direct_construction_refuses_codes_that_are_not_canonical():
    with pytest.raises(GeometryError, match=r"values 0\.\.7.*from_array"):
        Electrode(np.array([[[0, 1, 7]]]), (UM, UM, UM))


def test_an_altered_copy_keeps_what_still_holds_and_nothing_else() -> None:
    phase = np.zeros((4, 4, 4), dtype=np.uint8)
    phase[1:3, 1:3, 1:3], phase[0] = 1, 2
    electrode = Electrode(phase, (1e-6,) * 3)
    surface, found = electrode.free_surface, electrode._connectivity
    assert 0.0 < electrode.coverage < 1.0  # the particle lies on the binder
    labelled = electrode.altered(particle=(phase == 1).astype(np.int32))
    assert labelled.free_surface is surface and labelled._connectivity is found
    other = np.where(phase == 2, np.uint8(0), phase)  # the binder is gone, the particle stays
    bare = electrode.altered(phase=other)
    assert bare.free_surface is surface and bare._connectivity is not found
    assert bare.coverage == 0.0 and bare.porosity == 1 - 8 / 64
    larger = electrode.altered(phase=np.where(phase == 2, np.uint8(1), phase))
    assert larger.free_surface is not surface
    fresh = Electrode(larger.phase, (1e-6,) * 3)
    assert larger.specific_area() == fresh.specific_area() and larger.coverage == pytest.approx(
        fresh.coverage, nan_ok=True
    )
