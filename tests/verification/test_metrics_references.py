"""Metrics against published and independent numbers on the same voxels; origins in data/README.md."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import marching_cubes, mesh_surface_area

import simulator as sim
from simulator.geometry import AM, IONIC, Electrode, side_access
from simulator.resources import mesh_path

DATA = Path(__file__).parent / "data"
LABELS = {"pore": 0, "am": 1, "cbd": 2}


def fcc_spheres(n, overlap):
    """Spheres of one face-centred cubic cell of n voxels, solid where the voxel centre is inside one.

    Daubner and Nestler, J. Electrochem. Soc. 171 (2024) 120514, doi:10.1149/1945-7111/ad9a07.
    """
    radius = np.sqrt(2) / 4 * n / (1 - overlap / 2)
    halves = [np.array(c) for c in np.ndindex(3, 3, 3) if sum(c) % 2 == 0]  # corners and face centres, in half cells
    solid = np.zeros((n, n, n), bool)
    for centre in halves:
        z, y, x = (((np.arange(n) + 0.5 - c * n / 2) ** 2) for c in centre)
        solid |= z[:, None, None] + y[:, None] + x <= radius**2
    return solid


def rows(name):
    with (DATA / name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


FCC = {(float(row["overlap"]), int(row["N"])): row for row in rows("fcc_reference.csv")}


@pytest.mark.parametrize(("overlap", "n"), [key for key in FCC if key[1] < 100])
def test_face_centred_cubic_spheres_have_the_published_fractions_and_connections(overlap, n):
    row = FCC[overlap, n]
    solid = fcc_spheres(n, overlap)
    of_solid, of_pore = side_access(solid), side_access(~solid)
    assert of_solid.fraction == pytest.approx(float(row["solid_fraction_voxel"]), abs=5e-9)  # eight digits published
    for found, key in ((of_solid, "solid"), (of_pore, "pore")):
        # 0 or 1: all of a phase is one cluster, or nothing leads through
        assert found.through == (float(row[f"through_fraction_{key}_face"]),) * 3
        assert found.closed == 0.0 or found.through == (0.0, 0.0, 0.0)


def sphere_area(overlap, n, area="smoothed"):
    """Area of the spheres over the exact one: corrected, and as voxel faces."""
    e = Electrode(fcc_spheres(n, overlap).astype(np.uint8), (1e-6, 1e-6, 1e-6), area=area)
    found = sim.phase_areas(e)["pore", "am"]
    exact = float(FCC[overlap, n]["surface_area_exact_per_voxel"]) * n**3 * 1e-12
    return found.corrected / exact, found.raw / exact


@pytest.mark.parametrize("overlap", [0.01, 0.05, 0.1])
def test_corrected_area_of_spheres_in_contact_converges_to_the_exact_one(overlap):
    (coarse, raw), (fine, raw_fine) = sphere_area(overlap, 50), sphere_area(overlap, 100)
    # Twelve contacts a sphere: within some 4 voxels of each the smoothing cannot tell the two surfaces apart, which
    # costs area there. That region shrinks with the voxels: 11 % at 17 voxels a radius, 6 % at 35.
    assert -0.12 < coarse - 1 < 0
    assert abs(fine - 1) < 0.67 * abs(coarse - 1)
    # counted faces stay 50 % too many at any resolution
    assert raw > 1.45 and raw_fine > 1.45


@pytest.mark.parametrize("overlap", [0.01, 0.05, 0.1])
def test_area_by_particles_of_spheres_in_contact_is_the_exact_one(overlap):
    # measured -0.4, -0.7, -1.1 %: gaps thinner than a voxel are missing in the image, and edges of necks are smoothed
    assert sphere_area(overlap, 50, "particles")[0] == pytest.approx(1.0, abs=0.015)


def test_corrected_area_of_spheres_apart_is_the_exact_one():
    n, overlap = 50, -0.3
    e = Electrode(fcc_spheres(n, overlap).astype(np.uint8), (1e-6, 1e-6, 1e-6))
    radius = np.sqrt(2) / 4 * n / (1 - overlap / 2) * 1e-6
    # four spheres a cell with gaps of five voxels: what is lost above is lost at the contacts. 0.5 % is left at the
    # separator, where the mask ends.
    assert sim.phase_areas(e)["pore", "am"].corrected == pytest.approx(16 * np.pi * radius**2, rel=0.01)


FILM = rows("film_transport_reference.csv")


def test_film_image_has_the_reference_connections():
    e = sim.load_electrode(mesh_path("nmc532_film_128.tif"), labels=LABELS)
    masks = {"pore": e.phase == 0, "AM": e.phase == AM, "CBD": e.phase == 2, "pore+CBD": e.phase != AM}
    found = {name: side_access(mask) for name, mask in masks.items()}
    for row in FILM:
        access = found[row["phase"]]
        assert access.fraction == pytest.approx(float(row["fraction"]), abs=5e-5)  # four digits given
        assert access.through[int(row["axis"])] == pytest.approx(float(row["through_fraction"]), abs=5e-5)


def test_ionic_network_of_the_film_image_has_the_reference_tortuosity():
    labels = {"electrolyte": 0, "am": 1, "cbd": 2}
    e = sim.load_electrode(mesh_path("nmc532_film_128.tif"), labels=labels)
    found = sim.tortuosity(e, names=["ionic network"], rtol=1e-4)["ionic network"]
    for row in FILM:
        if row["phase"] == "pore+CBD":
            # the reference is good to 1e-4 and has four decimals
            assert found[int(row["axis"])] == pytest.approx(float(row["tortuosity_factor"]), rel=3e-4)
    assert np.isin(e.phase, IONIC).mean() == pytest.approx(0.4805, abs=5e-5)


PORESPY = json.loads((DATA / "porespy_metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def film_48():
    return sim.load_electrode(mesh_path(PORESPY["image"]), labels=LABELS)


@pytest.mark.parametrize("phase", LABELS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_chords_are_those_of_porespy_one_by_one(film_48, phase, axis):
    found = sim.chord_lengths(film_48.phase == LABELS[phase], 1.0, axis)
    ours = {str(round(length)): int(count) for length, count in zip(found.length, found.count, strict=True)}
    assert ours == PORESPY["chords"][phase][axis]


def test_areas_agree_with_meshes(film_48):
    found = sim.phase_areas(film_48)
    voxel = film_48.voxel_size[0]
    theirs = {tuple(pair.split("|")): area * voxel**2 for pair, area in PORESPY["interface_area_voxel2"].items()}
    assert set(theirs) == {pair for pair in found if "separator" not in pair}
    # Both smooth over about two voxels, in other ways; particles are some 20 voxels across.
    assert found["am", "cbd"].corrected == pytest.approx(theirs["am", "cbd"], rel=0.05)
    # The binder is two voxels thick and rough: its surface depends on the smoothing. PoreSpy smooths the merged
    # regions more than we do, marching cubes through the bare voxels not at all.
    mesh = mesh_surface_area(*marching_cubes((film_48.phase == 0).astype(float), 0.5, spacing=(voxel,) * 3)[:2])
    assert theirs["pore", "cbd"] < found["pore", "cbd"].corrected < mesh < found["pore", "cbd"].raw
