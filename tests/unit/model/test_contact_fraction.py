"""Contact fraction by particle, voxel or face: every form gives the same faces, and all that is reported follows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry import Electrode, live_interface, particle_facts
from simulator.model import build_cell
from simulator.model.checkpoint import fingerprint
from simulator.model.observe import Observer
from simulator.model.timestep import resting_state
from simulator.workflows.simulate import describe_parameters

UM = 1e-6
BASE = {"separator.layers": 4}


def balls():
    """Two half-covered particles, labels 4 and 9, one against the separator, and a third (6) that is isolated."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in (16, 8, 8)), indexing="ij")
    phase = np.where(x < 4, 3, 0)
    particle = np.zeros(phase.shape, np.int32)
    for label, centre, radius in ((4, 2.6, 3.4), (9, 9.4, 3.4)):
        inside = (z - centre) ** 2 + (y - 3.5) ** 2 + (x - 3.5) ** 2 <= radius**2
        phase[inside], particle[inside] = 1, label
    phase[13:, 2:6, 2:6], particle[13:, 2:6, 2:6] = 1, 9  # the way to the collector
    phase[6, 3:5, 3:5], particle[6, 3:5, 3:5] = 1, 4  # and from one to the other
    phase[15, 0, 7], particle[15, 0, 7] = 1, 6
    return Electrode(phase.astype(np.uint8), (UM, 0.9 * UM, 1.1 * UM), particle)


@pytest.fixture(scope="module")
def electrode():
    return balls()


@pytest.fixture(scope="module")
def faces(electrode):
    return live_interface(electrode)


@pytest.fixture(scope="module")
def owner(electrode, faces):
    return electrode.particle.reshape(-1)[faces.am]


def cell_with(electrode, value):
    return build_cell(electrode, "verification", {**BASE, "contact.fraction": value})


def fractions(electrode, value):
    return np.asarray(cell_with(electrode, value).model.contact_fraction)[: len(live_interface(electrode))]


def test_example_has_what_the_tests_are_about(electrode, faces, owner):
    assert particle_facts(electrode).label.tolist() == [4, 6, 9]
    assert set(owner.tolist()) == {4, 9}
    assert faces.to_separator.any() and not faces.to_separator.all()


def test_every_form_gives_the_same_faces(electrode, owner):
    expected = np.where(owner == 4, 0.3, 0.8)
    image = np.full(electrode.shape, np.nan)  # values are needed at live faces only
    for label, value in ((4, 0.3), (9, 0.8)):
        image[electrode.particle == label] = value
    for value in (
        [0.3, 0.5, 0.8],
        {4: 0.3, 9: 0.8},
        {"9": "80 %", "default": 0.3},
        {4: 0.3, "default": 0.8},
        image,
        expected,
    ):
        assert np.array_equal(fractions(electrode, value), expected)


def test_image_is_read_at_the_voxel_of_active_material(electrode, faces):
    image = np.random.default_rng(1).random(electrode.shape)
    assert np.array_equal(fractions(electrode, image), image.reshape(-1)[faces.am])


def test_equal_values_are_one_number(electrode):
    one, each = (cell_with(electrode, v) for v in (0.4, [0.4, 0.4, 0.4]))
    assert fingerprint(one.model, ()) == fingerprint(each.model, ())


def test_gradients_reach_the_particles_the_voxels_and_the_default(electrode, faces, owner):
    count = np.array([np.sum(owner == label) for label in (4, 6, 9)], float)

    def total(value):
        return jnp.sum(cell_with(electrode, value).model.contact_fraction[: len(faces)])

    # whole numbers of faces, each of slope 1
    assert np.array_equal(jax.grad(total)(jnp.array([0.3, 0.5, 0.8])), count)
    assert float(jax.grad(lambda a: total({4: a, "default": 0.5}))(0.3)) == count[0]
    assert float(jax.grad(lambda a: total({4: 0.5, "default": a}))(0.3)) == count[2]
    assert float(jax.grad(total)(0.3)) == len(faces)
    by_voxel = jax.grad(total)(jnp.full(electrode.shape, 0.5)).reshape(-1)
    assert np.array_equal(by_voxel, np.bincount(faces.am, minlength=electrode.phase.size))


def test_contact_area_of_a_cap_can_be_set_exactly(electrode, faces):
    """As for a sphere of which a cap of known area is in contact, whatever the staircase makes of it."""
    wanted = 7.5 * UM**2
    z = faces.am // (electrode.shape[1] * electrode.shape[2])
    cap = (z < 4) & ~faces.to_separator
    share = wanted / (faces.weight * faces.face_area)[cap].sum()
    assert share < 1
    cell = cell_with(electrode, np.where(cap, share, 0.0))
    # sums of a hundred numbers; the other faces have the floor of 1e-9, on an area some 15 times as large
    area = np.asarray(cell.model.pristine_contact)[: len(faces)]
    assert area[cap].sum() == pytest.approx(wanted, rel=1e-12)
    assert area[~cap].sum() < 2e-5 * wanted


def test_active_coverage_counts_every_face_with_its_own_fraction(electrode, faces, owner):
    value = {4: 0.3, 9: 0.8, 6: 1.0}
    cell = cell_with(electrode, value)
    facts = particle_facts(electrode)
    area = np.where(faces.to_separator, 0.0, faces.weight * faces.face_area)
    live = np.array([area[owner == label].sum() for label in (4, 6, 9)])
    contact = live * [0.3, 1.0, 0.8]
    # sums in another order; the floor of the contact fraction changes nothing here
    assert cell.active_coverage == pytest.approx(contact.sum() / facts.free_area.sum(), rel=1e-12)
    assert cell_with(electrode, 1.0).active_coverage == pytest.approx(live.sum() / facts.free_area.sum(), rel=1e-12)
    state = resting_state(cell.initial_fields(), cell.initial_side(), cell.model)
    assert Observer(cell).particles(state)["active_coverage"] == pytest.approx(contact / facts.free_area, rel=1e-12)
    assert describe_parameters(cell)["derived"]["active_coverage"] == cell.active_coverage


def test_fingerprint_and_stored_parameters_notice_a_changed_value(electrode):
    cells = [cell_with(electrode, v) for v in ({4: 0.3, "default": 1}, {4: 0.31, "default": 1}, {9: 0.3, "default": 1})]
    assert len({fingerprint(cell.model, ()) for cell in cells}) == 3
    assert len({describe_parameters(cell)["contact.fraction"] for cell in cells}) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0.5, 0.5], r"2 values.*3 particles and \d+ live faces.*order of particle_facts"),
        (np.full((15, 8, 8), 0.5), r"\(15, 8, 8\) voxels.*\(16, 8, 8\)"),
        (np.full((16, 8, 8), 1.5), r"= 1.5 at the voxel \(0, \d, \d\) \(z, y, x\) must lie in \[0, 1\]"),
        (np.full((16, 8, 8), np.nan), r"= nan at the voxel"),
        ({5: 0.5, "default": 1}, "does not have: 5. It has 3, from 4 to 9"),
        ({4: 0.5}, "no value for the particles 9. Add them, or default: 1.0"),
    ],
)
def test_what_does_not_fit_the_electrode_is_refused(electrode, value, message):
    with pytest.raises(ConfigError, match=message):
        cell_with(electrode, value)


def test_values_of_particles_need_labels(electrode):
    bare = dataclasses.replace(electrode, particle=None)
    for value in ([0.5, 0.5, 0.5], {4: 0.5, "default": 1}):
        with pytest.raises(ConfigError, match=r"no(ne| particle labels).*label_particles\(electrode\)"):
            cell_with(bare, value)
    part = dataclasses.replace(electrode, particle=np.where(electrode.particle == 4, 0, electrode.particle))
    with pytest.raises(ConfigError, match="active material without a label"):
        cell_with(part, [0.5, 0.5])
    with pytest.raises(ConfigError, match="no value for the particles 0."):
        cell_with(part, {9: 0.5})
    assert set(fractions(part, {9: 0.5, "default": 0.2}).tolist()) == {0.5, 0.2}


def test_as_many_values_as_particles_and_faces_are_refused():
    particle = np.arange(1, 5, dtype=np.int32).reshape(1, 1, 4)
    row = Electrode(np.ones((1, 1, 4), np.uint8), (UM,) * 3, particle)  # each has one live face, on the separator
    with pytest.raises(ConfigError, match="4 values.*as many particles as live faces"):
        cell_with(row, [0.5] * 4)


def test_little_contact_warns_by_its_mean(electrode):
    with pytest.warns(UserWarning, match="less than 1 % of the contact faces is live"):
        cell_with(electrode, {4: 0.001, "default": 0.0})
