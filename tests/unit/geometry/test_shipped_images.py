"""The images in meshes/ read without settings, are well connected, and hold what their README says."""

from pathlib import Path

import numpy as np
import pytest

from simulator.geometry import check_live, connectivity, live_interface, load_electrode

MESHES = Path(__file__).parents[3] / "meshes"
FILLED = {"electrolyte": 0, "am": 1, "cbd": 2}


@pytest.mark.parametrize(
    ("n", "pore", "am", "cbd", "area", "live"),
    [(48, 0.3444, 0.5178, 0.1377, 0.2382, 0.9974), (64, 0.3426, 0.5193, 0.1381, 0.2411, 0.9974)],
)
def test_image_holds_what_the_readme_says(n, pore, am, cbd, area, live):
    e = load_electrode(MESHES / f"nmc532_film_{n}.tif")
    assert e.shape == (n, n, n)
    assert e.voxel_size == (0.398e-6,) * 3
    # the table gives four digits
    fractions = [e.volume_fraction(name) for name in ("pore", "am", "cbd")]
    assert fractions == pytest.approx([pore, am, cbd], abs=6e-5)
    assert 1e-6 * e.specific_area() == pytest.approx(area, abs=6e-5)
    assert connectivity(e).live_area_share == pytest.approx(live, abs=6e-5)
    assert e.coverage == 1.0  # the film coats every particle surface


@pytest.mark.parametrize("n", [48, 64])
def test_image_with_filled_pores_is_live_almost_everywhere(n, recwarn):
    e = load_electrode(MESHES / f"nmc532_film_{n}.tif", labels=FILLED)
    assert check_live(e) > 0.999
    assert not recwarn.list
    assert sum(connectivity(e).isolated_am.values()) == 0.0
    i = live_interface(e)
    assert i.ionic_is_cbd[~i.to_separator].all()
    # near isotropic surfaces: face counting is about 1.5 times too large (1.56 here: rough at voxel scale)
    assert 1.4 < i.area_raw / i.area < 1.65


def test_crops_are_cut_from_the_benchmark_image_as_documented():
    whole = load_electrode(MESHES / "nmc532_film_128.tif")
    for n, z, y, x in ((64, 48, 12, 52), (48, 64, 56, 80)):
        part = whole.crop(z=(z, z + n), y=(y, y + n), x=(x, x + n))
        assert np.array_equal(part.phase, load_electrode(MESHES / f"nmc532_film_{n}.tif").phase)
        assert part.voxel_size == whole.voxel_size
