"""Effective conductivity against values that an independent finite-volume solver converged on the same voxels.

Same discretisation (harmonic face values, walls half a voxel from the outermost centres, closed sides), so that only
the error of the two solvers remains: flux balance 1e-6 for the face-centred cubic spheres, better than 1e-4 and four
digits for the real image.
"""

import numpy as np
import pytest

import simulator as sim
from simulator.resources import mesh_path


def fcc_spheres(n, overlap):
    """Overlapping spheres in one face-centred cubic cell of n voxels: solid where the voxel centre is inside one.

    Daubner and Nestler, J. Electrochem. Soc. 171 (2024) 120514, doi:10.1149/1945-7111/ad9a07.
    """
    radius = np.sqrt(2) / 4 * n / (1 - overlap / 2)
    x = np.arange(n) + 0.5
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"))
    solid = np.zeros((n, n, n), bool)
    corners = np.array([[i, j, k] for i in (0, 0.5, 1) for j in (0, 0.5, 1) for k in (0, 0.5, 1)])
    for centre in corners[np.isin((2 * corners).sum(axis=1) % 2, 0)] * n:
        solid |= ((grid - centre.reshape(3, 1, 1, 1)) ** 2).sum(axis=0) <= radius**2
    return solid


@pytest.mark.parametrize(
    ("n", "overlap", "solid", "pore"),
    [
        (24, 0.05, 2.0165569, 4.7201082),
        (24, 0.10, 1.3671134, 4.5770273),
        (24, 0.01, np.inf, 2.6007988),
    ],
)
def test_face_centred_cubic_spheres_have_the_converged_tortuosity(n, overlap, solid, pore):
    image = fcc_spheres(n, overlap)
    for phase, expected in ((image, solid), (~image, pore)):
        if np.isinf(expected):
            with pytest.warns(UserWarning, match="No cluster connects"):
                found = sim.effective_conductivity(phase, rtol=1e-5)
            assert found.value == 0.0 and found.tortuosity == np.inf
        else:
            found = sim.effective_conductivity(phase, rtol=1e-5)
            assert found.tortuosity == pytest.approx(expected, rel=3e-5)  # 1e-6 in the flux, 1e-5 here


@pytest.mark.slow  # 128^3 takes most of a minute to compile
@pytest.mark.parametrize(
    ("phase", "expected"),
    [("cbd", (6.2425, 4.2613, 4.3974)), ("am", (3.0389, 2.1927, 2.2721)), ("pore", (2.8533, 2.4074, 2.2449))],
)
def test_phases_of_the_real_image_have_the_converged_tortuosity(phase, expected):
    image = sim.load_electrode(mesh_path("nmc532_film_128.tif"), labels={"pore": 0, "am": 1, "cbd": 2})
    chosen = image.phase == image.labels[phase]
    found = sim.effective_conductivity(chosen, axis=None, rtol=1e-4)
    # The reference is good to 1e-4 in the flux and printed with four decimals.
    assert [f.tortuosity for f in found] == [pytest.approx(e, rel=3e-4) for e in expected]
