"""Sensitivity maps against derivatives along uniform changes, symmetry, and files that hold what was found."""

import jax
import numpy as np
import pytest

from simulator.errors import ConfigError, RunStopped
from simulator.geometry import Electrode, live_interface
from simulator.io import read_result
from simulator.model import SolverOptions, build_cell
from simulator.model.derivatives import CapacityAt, DecomposedCharge, evaluate
from simulator.workflows.sensitivity import MAP, PARTICLES, write_map
from simulator.workflows.sensitivity_map import FaceSensitivity, SensitivityMap, chosen_step, sensitivity_map

STEPS = ["Charge at C/2 until 3.9 V", "Rest for 1 min"]
#: Newton far enough that two paths to one number differ by less than the tolerances below
TIGHT = SolverOptions(newton_tol=1e-9, precision="double")
VALUES = {
    "separator.layers": 4,
    "separator.thickness": 8e-6,
    "contact.fraction": 0.7,
    "sto_init": 0.6,
    "decomposition.law": "delithiation",
    "decomposition.j_ref": 0.05,
    "decomposition.U_ox0": 3.9,
}
LABELS = {"pore": 0, "am": 1, "cbd": 2, "electrolyte": 3}


def cell_of(phases, overrides=None):
    electrode = Electrode.from_array(phases.astype(np.uint8), voxel_size=(0.45e-6, 0.5e-6, 0.6e-6), labels=LABELS)
    return build_cell(electrode, "verification", VALUES | (overrides or {}))


@pytest.fixture(scope="module")
def phases():
    return np.random.default_rng(14).choice(4, p=[0.25, 0.4, 0.2, 0.15], size=(7, 6, 6))


@pytest.fixture(scope="module")
def cell(phases):
    return cell_of(phases)


@pytest.fixture(scope="module")
def found(cell):
    return sensitivity_map(cell, STEPS, options=TIGHT, adjoint_rtol=1e-9)


def test_faces_add_up_to_the_derivative_by_one_fraction_for_all(cell, found):
    def run(fraction):
        return evaluate(
            {"contact.fraction": fraction}, cell, STEPS[:1], [CapacityAt(1), DecomposedCharge()], options=TIGHT
        )

    values, back = jax.vjp(run, 0.7)
    for k, output in enumerate((found.capacity, found.decomposed)):
        (whole,) = back(tuple(np.asarray(float(k == n)) for n in range(2)))
        assert output.value == pytest.approx(float(values[k]), rel=1e-9)
        # both are solved until 1e-9 of the right-hand side is left
        assert output.total == pytest.approx(float(whole), rel=1e-6)
        assert output.total_elasticity == pytest.approx(0.7 * float(whole) / output.value, rel=1e-6)
    assert found.capacity.total > 0.0 and found.decomposed.total > 0.0  # less polarisation, more area to react on


def test_rows_are_the_live_faces(cell, found):
    faces = live_interface(cell.electrode)
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(found.am.T), cell.electrode.shape), faces.am)
    np.testing.assert_array_equal(found.axis, faces.axis)
    np.testing.assert_allclose(found.area, faces.weight * faces.face_area, rtol=1e-14)
    np.testing.assert_allclose(found.capacity.by_area * found.area, found.capacity.by_fraction, rtol=1e-14)
    # half a voxel from the centre of the active voxel along the normal, on the separator plane z = 0
    away = found.position / cell.electrode.voxel_size - (found.am + 0.5)
    np.testing.assert_allclose(np.abs(away).sum(axis=1), 0.5, rtol=1e-12)
    np.testing.assert_allclose(found.position[faces.to_separator, 0], 0.0, atol=1e-20)
    assert found.step == 1 and 0.0 < found.time < 7200.0


def test_a_mirrored_electrode_has_the_mirrored_map(phases, found):
    other = sensitivity_map(cell_of(phases[:, :, ::-1]), STEPS, options=TIGHT)

    def keys(am, ionic):
        return [(*a, *b) for a, b in zip(am.tolist(), ionic.tolist(), strict=True)]

    def turned(voxels):
        return voxels * [1, 1, -1] + [0, 0, phases.shape[2] - 1]

    place = {key: k for k, key in enumerate(keys(turned(other.am), turned(other.ionic)))}
    order = [place[key] for key in keys(found.am, found.ionic)]
    assert order != sorted(order)  # the faces come in another order
    for mine, theirs in zip(found.outputs.values(), other.outputs.values(), strict=True):
        largest = np.abs(mine.by_fraction).max()
        # Newton's tolerance, and sums in another order
        np.testing.assert_allclose(theirs.by_fraction[order], mine.by_fraction, atol=1e-5 * largest)


def test_two_equal_walls_have_equal_maps_that_a_repeated_run_confirms():
    phases = np.full((7, 6, 6), 3)
    phases[:, :, [0, 5]] = 1  # as many faces, padded, as the random cell: its compiled programs serve again
    cell = cell_of(phases)
    walls = sensitivity_map(cell, STEPS, options=TIGHT, rtol=1e-4)
    assert walls.fraction.size == 2 * 7 * 6 + 2 * 6
    for output in walls.outputs.values():
        for z in range(7):
            alike = output.by_area[(walls.am[:, 0] == z) & (walls.axis == 2)]
            assert alike.size == 12
            np.testing.assert_allclose(alike, alike.mean(), rtol=1e-6)
    assert walls.profile().contact.sum() == pytest.approx(cell.contact_area, rel=1e-12)
    assert walls.falling_share() == 0.0 and walls.half_share() < 0.5

    def capacity(fraction):
        outputs = [CapacityAt(1), DecomposedCharge()]
        found = evaluate({"contact.fraction": fraction}, cell, STEPS[:1], outputs, options=TIGHT, rtol=1e-4)
        return np.array(found)

    slope = (capacity(0.77) - capacity(0.63)) / 0.14
    # the step of 10 % leaves (0.1)^2 of a function like 1 / a; time steps that differ the rest
    np.testing.assert_allclose([output.total for output in walls.outputs.values()], slope, rtol=0.03)


def test_a_discharge_counts_its_capacity_as_positive_and_a_fixed_duration_is_told(cell):
    found = sensitivity_map(cell, ["Discharge at C/2 until 3.7 V"], options=TIGHT)
    assert found.capacity.value > 0.0 and found.capacity.total > 0.0
    with pytest.raises(RunStopped, match=r"step 1 does not depend on contact: after 60 s it ended by its duration"):
        sensitivity_map(cell, ["Discharge at C/2 for 1 min or until 3.5 V"], options=TIGHT)


def test_files_hold_the_map(cell, found, tmp_path):
    write_map(found, tmp_path, cell, {})
    read = read_result(tmp_path / MAP)
    for name, output in found.outputs.items():
        np.testing.assert_array_equal(read.faces[f"{name}_by_fraction"], output.by_fraction)
        np.testing.assert_array_equal(read.faces[f"{name}_by_area"], output.by_area)
        np.testing.assert_array_equal(read.field(f"{name}_by_area"), found.voxel_field(name).astype(np.float32))
    np.testing.assert_array_equal(read.faces["am"], found.am)
    assert read.summary["step"] == 1 and read.field_times.tolist() == [found.time]
    head, *rows = (tmp_path / PARTICLES).read_text().splitlines()
    table = dict(zip(head.split(","), np.array([row.split(",") for row in rows], float).T, strict=True))
    assert table["particle [-]"].tolist() == np.unique(found.particle).tolist()
    assert table["d capacity/d contact fraction [C]"].sum() == pytest.approx(found.capacity.total, rel=1e-12)
    assert table["elasticity of decomposed [-]"].sum() == pytest.approx(found.decomposed.total_elasticity, rel=1e-12)
    assert table["contact area [m2]"].sum() == pytest.approx(cell.contact_area, rel=1e-12)


# -- numbers of a map that is written down ----------------------------------------------------------------------------


def made(by_area):
    """Four faces of equal area on the two voxels of two layers; contact 0.5, output 2 C."""
    by_area = np.array(by_area, float)
    am = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]])
    output = FaceSensitivity(2.0, 4.0 * by_area, by_area, 0.5 * 4.0 * by_area / 2.0)
    return SensitivityMap(
        step=1,
        time=60.0,
        phase=np.array([[[1, 2]], [[1, 2]]], np.uint8),
        voxel_size=(1e-6, 1e-6, 1e-6),
        am=am,
        ionic=am + [0, 0, 1],
        axis=np.full(4, 2),
        position=am + 0.5,
        particle=np.array([1, 1, 0, 0]),
        area=np.full(4, 4.0),
        fraction=np.full(4, 0.5),
        capacity=output,
        decomposed=None,
        particles={name: np.array([1.0]) for name in ("label", "z", "y", "x", "diameter")},
    )


def test_shares_and_means_of_known_faces():
    found = made([3.0, 1.0, -1.0, 0.0])
    assert found.capacity.total == 12.0 and found.capacity.total_elasticity == 3.0
    # 3 + 1 are to be gained, 2 of them on two thirds of the best quarter
    assert found.half_share() == pytest.approx(0.25 * 2.0 / 3.0)
    assert found.falling_share() == 0.25
    ranking = found.ranking()
    np.testing.assert_allclose(ranking.contact, [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(ranking.gain, [0.0, 3.0, 4.0, 4.0, 3.0])
    np.testing.assert_allclose(found.profile().by_area, [2.0, -0.5])
    np.testing.assert_allclose(found.profile().depth, [0.5e-6, 1.5e-6])
    np.testing.assert_allclose(found.voxel_field()[:, 0], [[2.0, np.nan], [-0.5, np.nan]])
    table = found.particle_table()
    np.testing.assert_allclose(table["particle [-]"], [0, 1])
    np.testing.assert_allclose(table["diameter [m]"], [np.nan, 1.0])  # label 0: belongs to no particle
    np.testing.assert_allclose(table["d capacity/d contact area [C/m2]"], [-0.5, 2.0])


def test_equal_faces_share_the_gain_and_without_a_gain_there_is_no_share():
    assert made([1.0, 1.0, 1.0, 1.0]).half_share() == pytest.approx(0.5)
    assert np.isnan(made([-1.0, -1.0, 0.0, -2.0]).half_share())


def test_an_output_that_the_map_lacks_is_told():
    with pytest.raises(ConfigError, match="no 'decomposed', but capacity; 'decomposed' needs a decomposition.law"):
        made([1.0, 1.0, 1.0, 1.0]).profile("decomposed")


@pytest.mark.parametrize(
    ("steps", "step", "message"),
    [
        (["Rest for 1 h"], None, "No step of the protocol is a charge or discharge"),
        (["Charge at C/3 for 1 h"], None, "No step of the protocol"),
        (["Rest for 1 h", "Charge at C/3 until 4 V"], 1, "step = 1 must be the number.*of this protocol: 2"),
        (["Charge at C/3 until 4 V"], 2, "of this protocol: 1"),
    ],
)
def test_steps_whose_charge_is_fixed_are_refused(cell, steps, step, message):
    with pytest.raises(ConfigError, match=message):
        sensitivity_map(cell, steps, step=step)


def test_the_last_step_that_can_be_is_taken(cell):
    from simulator.protocol import parse_protocol

    steps = list(parse_protocol(["Charge at C/3 until 4 V", "Hold at 4 V until C/20", "Discharge at C/3 until 3 V"]))
    assert chosen_step(steps, None) == 3 and chosen_step(steps[:2], None) == 1 and chosen_step(steps, 1) == 1


def test_jumped_cycles_are_refused(cell):
    with pytest.raises(ConfigError, match="solver.cycle_jump = 2"):
        sensitivity_map(cell, STEPS, options=SolverOptions(cycle_jump=2))
