"""What is told of every live face, and the fields made of it: places, sums, files, and the warning of thick films."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry import label_particles
from simulator.io import read_result
from simulator.model import SolverOptions, build_cell, simulate
from simulator.model.faces import FACE_FACTS, FACE_HISTORIES, face_facts
from simulator.model.observe import SIDE_FIELDS
from simulator.model.validity import beyond_validity
from simulator.workflows.simulate import simulate as simulate_to_file

#: what oxidises on carbon flows through no face; it stays in the compiled program that all tests share
FACES_ALONE = {"carbon_oxidation.j_ref": 1e-30}
PROTOCOL = ["Charge at C/2 for 4 min", "Discharge at C/2 for 2 min"]
SINGLE = 1e-6  # sums of about 100 values that are saved in float32


def run(cell, function=simulate, protocol=PROTOCOL, **more):
    return function(cell, protocol, **{"options": SolverOptions(dt_init=20.0), **more})


@pytest.fixture(scope="module")
def oxidised(tiny):
    cell = tiny.oxidising(FACES_ALONE)
    return cell, run(cell)


def last(solution, name):
    return float(solution.timeseries[name][-1])


def test_faces_lie_between_a_particle_and_its_ionic_neighbour_or_the_separator(oxidised, tiny):
    cell, s = oxidised
    am, ionic, axis = (s.faces[name] for name in ("am", "ionic", "axis"))
    assert set(s.faces) == set(FACE_FACTS) - {"particle"} and len(am) == 87  # live faces of this electrode
    assert np.all(tiny.phases[tuple(am.T)] == 1)
    separator = ionic[:, 0] < 0
    assert 0 < separator.sum() < len(am) and np.all(ionic[separator, 0] == -1)
    assert np.all(np.isin(tiny.phases[tuple(ionic[~separator].T)], (2, 3)))
    step = ionic - am
    assert np.all(np.abs(step).sum(axis=1) == 1) and np.all(np.abs(step)[np.arange(len(am)), axis] == 1)
    assert s.faces["area"].sum() == pytest.approx(cell.contact_area, rel=1e-12)  # order of the sum


def test_currents_of_the_faces_add_up_to_that_of_the_cell(oxidised):
    _, s = oxidised
    for t in s.field_times[1:]:
        total = np.sum(s.face("current_density", t) * s.faces["area"] * s.face("contact_remaining", t))
        # two rows at the change of current: the fields are those of the first
        assert total == pytest.approx(s.current[np.flatnonzero(s.time == t)[0]], rel=SINGLE), t


def test_states_of_the_faces_add_up_to_the_columns_of_the_time_series(oxidised):
    _, s = oxidised
    area, left, film = s.faces["area"], s.face("contact_remaining"), s.face("film_thickness")
    assert s.face_names == tuple(FACE_HISTORIES)
    assert np.sum(s.face("decomposed_charge") * area) == pytest.approx(last(s, "decomposed_coulomb"), rel=SINGLE)
    assert np.sum(left * area) / area.sum() == pytest.approx(last(s, "contact_remaining"), rel=SINGLE)
    assert np.sum(film * left * area) / np.sum(left * area) == pytest.approx(last(s, "film_thickness_mean"), rel=SINGLE)
    assert film.max() == pytest.approx(last(s, "film_thickness_max"), rel=SINGLE)
    np.testing.assert_allclose(left, np.exp(-film / 8e-9), rtol=SINGLE)
    part = s.face("oxidation_current_density", t=240.0) / s.face("current_density", t=240.0)
    assert np.all(part > 0) and np.all(s.face("film_thickness", t=0.0) == 0)
    assert last(s, "contact_remaining") < 0.9, "the case must lose contact"


def test_fields_are_means_over_the_faces_of_a_voxel(oxidised, tiny):
    _, s = oxidised
    weights = {"film_thickness": s.faces["area"] * s.face("contact_remaining"), "decomposed_charge": s.faces["area"]}
    for name, weight in weights.items():
        field, values = s.field(name), s.face(name)
        expected = np.full(tiny.phases.shape, np.nan)
        for voxel in np.unique(s.faces["am"], axis=0):
            here = np.all(s.faces["am"] == voxel, axis=1)
            expected[tuple(voxel)] = np.average(values[here], weights=weight[here])
        np.testing.assert_allclose(field, expected, rtol=SINGLE, err_msg=name)  # NaN in the same places
        assert np.ptp(values) > 1e-3 * values.max(), "the faces must differ"


def test_file_and_resumed_file_hold_the_faces_of_the_run_in_memory(oxidised, tmp_path):
    cell, s = oxidised
    path = tmp_path / "run.vtkhdf"
    asked = {"save_to": path, "fields": SIDE_FIELDS, "checkpoint_interval": 0.0}
    stopped = run(cell, simulate_to_file, **asked, options=SolverOptions(dt_init=20.0, max_steps=7))
    assert stopped.status == "interrupted" and 1 < stopped.field_times.size < s.field_times.size
    resumed = run(cell, simulate_to_file, **asked, resume=True)
    result = read_result(path)
    assert resumed.status == "finished"
    np.testing.assert_array_equal(result.field_times, s.field_times)
    for name, values in s.faces.items():
        np.testing.assert_array_equal(result.faces[name], values, err_msg=name)
    for name in s.face_names:
        for t in s.field_times:
            np.testing.assert_array_equal(result.face(name, t=t), s.face(name, t), err_msg=name)
        np.testing.assert_array_equal(resumed.face(name), s.face(name), err_msg=name)
    assert set(result.field_specs) == set(resumed.field_names) == set(SIDE_FIELDS)  # those that were asked for
    for name in SIDE_FIELDS:
        np.testing.assert_array_equal(result.field(name), s.field(name), err_msg=name)


def test_faces_are_left_out_of_the_file_if_they_are_not_wanted(oxidised, tmp_path):
    path = tmp_path / "run.vtkhdf"
    left_out = run(oxidised[0], simulate_to_file, "Charge at C/2 for 20 s", save_to=path, faces=False)
    assert left_out.status == "finished" and read_result(path).faces == {}
    with pytest.raises(ConfigError, match=r"output\.faces=true"):
        left_out.face("current_density")


def row_of(cell, thickness):
    row = {"test_time_second": 10.0, "sto_min": 0.5, "sto_max": 0.6, "c_e_min": 1e3, "c_e_max": 1.2e3}
    return row | {"film_thickness_max": thickness}


def test_a_film_beyond_a_quarter_of_the_smallest_edge_is_warned_of_once(tiny):
    cell = tiny.oxidising(FACES_ALONE)  # edges of 450, 500 and 600 nm
    assert dict(beyond_validity(cell, row_of(cell, 112e-9))) == {}
    text = dict(beyond_validity(cell, row_of(cell, 113e-9)))["film"]
    for part in ("113 nm", "450 nm", "film.molar_volume", "decomposition.delta_star"):
        assert part in text
    # 1e-2 m3/mol makes 100 nm of 1 C/m2; a conductivity that keeps it from stopping the current
    thick = {"film.molar_volume": 1e-2, "film.conductivity": 1e-2, "decomposition.delta_star": 1.0}
    with pytest.warns(UserWarning, match="the film is up to") as caught:
        cell = tiny.oxidising(FACES_ALONE | thick | {"contact.loss_thickness": 1.0})
        s = run(cell, protocol="Charge at C/2 for 2 min")
    assert last(s, "film_thickness_max") > 113e-9
    assert sum("the film is up to" in str(w.message) for w in caught) == 1


def test_a_labelled_electrode_names_the_particle_of_each_face(tiny):
    electrode = label_particles(tiny.cell().electrode)
    facts = face_facts(build_cell(electrode, "verification", tiny.values))
    np.testing.assert_array_equal(facts["particle"], electrode.particle[tuple(facts["am"].T)])
    assert np.all(facts["particle"] > 0)
