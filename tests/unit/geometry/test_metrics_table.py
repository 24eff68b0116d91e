"""All metrics at once, and two electrodes side by side."""

import math

import numpy as np
import pytest

from simulator.geometry import (
    AM,
    Electrode,
    compare_electrodes,
    label_particles,
    load_electrode,
    measure_electrode,
)
from simulator.geometry.metrics_table import compare_values
from simulator.resources import mesh_path

UM = 1e-6


@pytest.fixture(scope="module")
def electrode():
    labels = {"pore": 0, "am": 1, "cbd": 2}
    return label_particles(load_electrode(mesh_path("nmc532_film_48.tif"), labels=labels).crop(z=(0, 20), y=(0, 24)))


def test_values_are_plain_numbers_with_units(electrode):
    found = measure_electrode(electrode, full=False)
    values = found.values()
    assert all(type(v) is float and name.endswith("]") for name, v in values.items())
    assert found.tortuosity is None and found.representative is None
    assert not [name for name in values if name.startswith(("Tortuosity", "Representative"))]
    assert values["Specific area of am|cbd [1/m]"] == pytest.approx(values["Specific area [1/m]"], rel=1e-12)  # film
    assert values["Particles [-]"] == len(found.sizes)
    by_volume = [values[f"Diameter d{p} by volume [m]"] for p in (10, 50, 90)]
    assert by_volume == sorted(by_volume) and by_volume[1] > values["Diameter d50 by number [m]"]


def test_full_adds_tortuosities_and_the_scatter(electrode):
    small = electrode.crop(z=(0, 16), y=(0, 16), x=(0, 16))
    values = measure_electrode(small).values()
    assert values["Tortuosity of pore along x [-]"] > 1.0
    # what conducts in more phases conducts better, at the same voxels
    eps = {n: small.volume_fraction(n) for n in ("am", "cbd")}
    both = (eps["am"] + eps["cbd"]) / values["Tortuosity of electronic network along y [-]"]
    assert both > eps["am"] / values["Tortuosity of am along y [-]"]
    assert values["Representative side for Volume fraction of am [m]"] > 0


def test_images_too_small_to_be_cut_and_without_particles_are_measured(electrode):
    found = measure_electrode(Electrode(np.full((8, 8, 8), AM, np.uint8), (UM, UM, UM)))
    assert (found.representative, found.sizes, found.coverage) == (None, None, None)
    assert found.values()["Tortuosity of am along z [-]"] == pytest.approx(1.0, rel=1e-6)


def test_an_electrode_equals_itself(electrode):
    for name, row in compare_electrodes(electrode, electrode).items():
        assert row.first == row.second or (math.isnan(row.first) and math.isnan(row.second)), name
        assert row.difference == 0 or math.isnan(row.first)
        assert row.ratio == 1 or row.first == 0 or math.isnan(row.first)


def test_twice_the_voxel_size_doubles_lengths_and_halves_areas_per_volume(electrode):
    large = Electrode(electrode.phase, tuple(2 * h for h in electrode.voxel_size), electrode.particle)
    found = compare_electrodes(electrode, large)
    factors = {"m": 2.0, "1/m": 0.5, "m2": 4.0, "-": 1.0}
    for name, row in found.items():
        if not math.isnan(row.first) and row.first != 0:
            assert row.ratio == pytest.approx(factors[name.rpartition("[")[2][:-1]], rel=1e-9), name


def test_what_only_one_has_is_not_a_number_in_the_other():
    found = compare_values(
        {"a [-]": 1.0, "b [-]": math.inf, "z [-]": 0.0}, {"b [-]": math.inf, "c [-]": 2.0, "z [-]": 3.0}
    )
    assert list(found) == ["a [-]", "b [-]", "z [-]", "c [-]"]
    assert (found["a [-]"].first, found["c [-]"].second) == (1.0, 2.0)
    assert all(math.isnan(v) for v in (found["a [-]"].second, found["a [-]"].ratio, found["c [-]"].difference))
    # no path in both: nothing to divide or to subtract
    assert math.isnan(found["b [-]"].ratio) and math.isnan(found["b [-]"].difference)
    assert (found["z [-]"].ratio, found["z [-]"].difference) == (math.inf, 3.0)
