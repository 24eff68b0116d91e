"""Percolation of electrons and ions, live faces, isolated shares, refusals."""

from collections import deque

import numpy as np
import pytest

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import (
    AM,
    CBD,
    ELECTROLYTE,
    ELECTRONIC,
    IONIC,
    PORE,
    Electrode,
    check_live,
    connectivity,
)

UM = 1e-6
CODES = {"p": PORE, "a": AM, "c": CBD, "e": ELECTROLYTE}


def column(text):
    """1 x 1 x N electrode along z, separator at the left end of `text`, collector at the right."""
    phase = np.array([CODES[v] for v in text], dtype=np.uint8)[:, None, None]
    return Electrode(phase, (UM, UM, UM))


def section(*rows):
    """Electrode of one voxel along x: each string is one z layer (its letters run along y)."""
    phase = np.array([[CODES[v] for v in row] for row in rows], dtype=np.uint8)[:, :, None]
    return Electrode(phase, (UM, UM, UM))


def flags(mask):
    return "".join("1" if v else "0" for v in mask.ravel())


def reached_by_flood(mask, start):
    """Plain breadth-first oracle: voxels of `mask` connected to its layer z = `start`."""
    found = np.zeros_like(mask)
    found[start] = mask[start]
    queue = deque(map(tuple, np.argwhere(found)))
    while queue:
        here = queue.popleft()
        for axis in range(3):
            for step in (-1, 1):
                there = list(here)
                there[axis] += step
                place = tuple(there)
                if 0 <= there[axis] < mask.shape[axis] and mask[place] and not found[place]:
                    found[place] = True
                    queue.append(place)
    return found


@pytest.mark.parametrize(
    ("text", "electronic", "ionic", "am_live"),
    [
        ("eeaaa", "00111", "11000", "00111"),
        ("ecaac", "01111", "11000", "00110"),
        ("aaaaa", "11111", "00000", "11111"),  # the separator is the ionic side
        ("epaaa", "00111", "10000", "00000"),  # pore between: no ionic contact
        ("eaapc", "00001", "10000", "00000"),  # pore between: no electrons
        ("eaeca", "00011", "10000", "00000"),  # the cbd before the live AM is cut off from the separator
        ("a", "1", "0", "1"),
    ],
)
def test_columns_have_known_connectivity(text, electronic, ionic, am_live):
    c = connectivity(column(text))
    assert flags(c.electronic) == electronic
    assert flags(c.ionic) == ionic
    assert flags(c.am_live) == am_live


@pytest.mark.parametrize("shape", [(5, 7, 11), (7, 5, 3), (1, 1, 13), (13, 1, 1), (2, 13, 1), (8, 8, 8)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_images_agree_with_a_breadth_first_search(shape, seed):
    phase = np.random.default_rng(seed).choice(4, p=(0.2, 0.3, 0.25, 0.25), size=shape).astype(np.uint8)
    phase[-1, -1, -1] = AM
    e = Electrode(phase, (UM, UM, UM))
    c = connectivity(e)
    assert np.array_equal(c.electronic, reached_by_flood(np.isin(phase, ELECTRONIC), -1))
    assert np.array_equal(c.ionic, reached_by_flood(np.isin(phase, IONIC), 0))


def test_diagonal_contact_does_not_connect():
    c = connectivity(section("ca", "ac"))
    assert c.electronic.ravel().tolist() == [True, True, True, True]  # through the edges' face neighbours
    c = connectivity(section("pc", "ca"))
    assert flags(c.electronic) == "0111"
    c = connectivity(section("cp", "pa"))
    assert flags(c.electronic) == "0001"


def test_dead_end_of_electrolyte_behind_active_material_counts_as_isolated():
    c = connectivity(section("ea", "aa", "ea", "aa"))
    assert flags(c.ionic) == "10000000"
    assert c.isolated_ionic == 0.5


def test_dead_end_branch_of_electrolyte_is_reached():
    e = section("eaaa", "eeea", "eaaa", "aaaa")
    c = connectivity(e)
    assert np.array_equal(c.ionic, e.phase == ELECTROLYTE)
    assert c.isolated_ionic == 0.0
    assert c.live_area_share == 1.0


def test_floating_particle_in_pore_has_no_electronic_path():
    c = connectivity(section("epppa", "epapa", "epppa", "eeeea"))
    assert c.isolated_am["no electronic path"] == 0.2
    assert c.isolated_am["no ionic contact"] == 0.0


def test_particle_in_electrolyte_without_electrons_is_isolated_and_its_faces_dead():
    e = section("eeeea", "eaeea", "eeeea")
    c = connectivity(e)
    assert c.isolated_am == {"no electronic path": 0.25, "no ionic contact": 0.0}
    assert 0.0 < c.live_area_share < 1.0
    # the single AM|separator face at the top right and three side faces of the plate are live
    assert c.n_live_faces == 4


def test_particle_with_electrons_but_no_ions_is_isolated_for_lack_of_ions():
    # left plate touches electrolyte; right plate is connected to the collector, but sees pore only
    c = connectivity(section("epp", "eap", "apa"))
    assert flags(c.am_live) == "000" + "000" + "100"
    assert c.isolated_am["no ionic contact"] == pytest.approx(1 / 3)  # one of three
    assert c.isolated_am["no electronic path"] == pytest.approx(1 / 3)


def test_am_bodies_joined_only_by_cbd_are_separate_bodies():
    # am - cbd - am along z: electrons pass, but lithium cannot, so the last AM needs ions of its own
    c = connectivity(section("ep", "ap", "cp", "ap"))
    assert flags(c.electronic) == "00" + "10" + "10" + "10"
    assert flags(c.am_live) == "00" + "10" + "00" + "00"
    assert c.isolated_am["no ionic contact"] == 0.5


def test_cbd_blob_off_the_separator_is_isolated_for_ions_and_not_for_electrons():
    c = connectivity(section("ea", "aa", "ac", "aa"))
    assert c.isolated_ionic == 0.5  # the blob, not the electrolyte voxel
    assert c.isolated_cbd == 0.0
    c = connectivity(section("ce", "pe", "aa"))
    assert c.isolated_cbd == 1.0
    assert c.isolated_ionic == 0.0


def test_separator_face_needs_electrons_only():
    c = connectivity(section("ap", "pp", "pa"))
    assert not c.am_live.any()
    assert c.isolated_am == {"no electronic path": 0.5, "no ionic contact": 0.5}
    c = connectivity(section("ap", "ap", "pa"))
    assert c.n_live_faces == 0
    c = connectivity(section("ap", "aa", "pa"))
    assert c.n_live_faces == 1
    assert c.isolated_am == {"no electronic path": 0.0, "no ionic contact": 0.0}


def test_live_share_is_weighted_by_true_face_area():
    # Middle column AM, live electrolyte on the left, cut-off electrolyte on the right, separator face on top.
    phase = np.array([[3, 1, 0], [3, 1, 3]], dtype=np.uint8)[:, :, None]
    e = Electrode(phase, (1e-6, 1e-6, 4e-6))
    s = e.free_surface
    area = s.weight * s.face_area
    dead = (s.other == 5).nonzero()[0]
    pore = (s.other == 2).nonzero()[0]
    assert dead.size == pore.size == 1
    share = connectivity(e).live_area_share
    total = area.sum() - area[pore].sum()
    assert share == pytest.approx(1 - area[dead].sum() / total, rel=1e-14)  # same sums, other order
    assert share < 1.0


def test_connectivity_is_computed_once_per_electrode():
    e = column("eaa")
    assert connectivity(e) is connectivity(e)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eaap", "no am or cbd voxel lies at the collector plane"),
        ("ppaa", "no AM voxel touches cbd, electrolyte or the separator plane"),
        ("peaa", "no ionic voxel lies at the separator plane"),
        ("epea", "does not touch the cbd or electrolyte that has ions"),
    ],
)
def test_no_live_face_is_refused_with_the_cause(text, said):
    with pytest.raises(GeometryError, match=said):
        check_live(column(text))


def half_dead():
    """Plate with many cut-off electrolyte pockets: live share between 0.05 and 0.5."""
    return section("eapepep", "aaaaaaa", "aeaeaea", "aaaaaaa")


def test_small_live_share_warns_and_smaller_than_asked_is_refused():
    e = half_dead()
    share = connectivity(e).live_area_share
    assert 0.05 < share < 0.5
    with pytest.warns(UserWarning, match=r"of the AM\|ionic area is live.*separator_side"):
        assert check_live(e) == share
    with pytest.raises(GeometryError, match=r"At least 90.0 % is asked for.*geometry.min_live"):
        check_live(e, min_live=0.9)


def test_good_electrode_passes_silently(recwarn):
    assert check_live(column("eca")) == 1.0
    assert not recwarn.list


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan")])
def test_min_live_outside_zero_to_one_is_refused(bad):
    with pytest.raises(ConfigError, match=r"\[0, 1\]"):
        check_live(column("eca"), min_live=bad)
