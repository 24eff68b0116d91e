"""Tables of faces and particles in result files."""

import h5py
import numpy as np
import pytest
from result_files import finished_run, new_writer, row

from simulator.errors import ConfigError
from simulator.io import HistoryTable, read_result


def face_table():
    return HistoryTable(
        facts={"area": np.array([1e-13, 2e-13, 3e-13]), "am": np.arange(9).reshape(3, 3)},
        specs={
            "area": ("m^2", "Contact area"),
            "am": ("1", "Voxel"),
            "current_density": ("A m^-2", "Current"),
            "film_thickness": ("m", "Film"),
        },
        dtype="f4",
    )


def currents(step):
    return {"current_density": np.array([0.1, 0.2, 0.3]) + step}


@pytest.fixture
def run_file(tmp_path):
    return finished_run(tmp_path / "run.vtkhdf")


@pytest.fixture
def with_faces(tmp_path):
    """A writer of a file with two saved steps of three faces."""
    writer = new_writer(tmp_path / "faces.vtkhdf", tables={"faces": face_table()})
    for i in range(2):
        writer.append_timeseries(row(10.0 * i))
        writer.append_fields(10.0 * i, {}, tables={"faces": currents(i)})
    return writer


def test_faces_are_read_back_by_step_in_single_precision(with_faces):
    run = read_result(with_faces.path)
    assert set(run.faces) == {"area", "am"}
    np.testing.assert_array_equal(run.faces["area"], face_table().facts["area"])
    np.testing.assert_array_equal(run.faces["am"], face_table().facts["am"])
    assert run.face_specs == {n: face_table().specs[n] for n in ("current_density", "film_thickness")}
    for i in range(2):
        np.testing.assert_array_equal(run.face("current_density", i), currents(i)["current_density"].astype("f4"))
    np.testing.assert_array_equal(run.face("current_density"), run.face("current_density", t=8.0))
    assert np.isnan(run.face("film_thickness")).all()  # was not given
    for values in (run.faces["area"], run.face("current_density")):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1
    with h5py.File(with_faces.path) as file:
        stored = file["faces/current_density"]
        # one chunk is one step of all faces: a step is read without the others
        assert (stored.dtype, stored.chunks, stored.compression) == (np.float32, (1, 3), "gzip")


def test_a_file_goes_on_after_its_faces_were_cut_back_to_the_checkpoint(with_faces):
    again = new_writer(with_faces.path, tables={"faces": face_table()}, continue_at=(1, 1))
    assert read_result(with_faces.path).field_times.tolist() == [0.0]
    with h5py.File(with_faces.path) as file:
        assert file["faces/current_density"].shape == file["faces/film_thickness"].shape == (1, 3)
        assert file["faces/area"].shape == (3,)
    again.append_fields(20.0, {}, tables={"faces": currents(5)})
    run = read_result(with_faces.path)
    np.testing.assert_array_equal(run.face("current_density", 0), currents(0)["current_density"].astype("f4"))
    np.testing.assert_array_equal(run.face("current_density", t=20.0), currents(5)["current_density"].astype("f4"))


def test_a_file_without_the_faces_of_the_checkpoint_is_refused(run_file):
    with pytest.raises(ConfigError, match="does not belong"):
        new_writer(run_file, tables={"faces": face_table()}, continue_at=(1, 1))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"face": {}}, "table 'face'.*Did you mean 'faces'"),
        ({"faces": {"current": np.zeros(3)}}, "history of 'faces' 'current'.*current_density"),
        ({"faces": {"area": np.zeros(3)}}, "'area'"),  # a fact
        ({"faces": {"current_density": np.zeros(4)}}, r"each of the 3 entries, got \(4,\)"),
    ],
)
def test_values_that_do_not_fit_the_table_are_refused(with_faces, tables, message):
    with pytest.raises(ConfigError, match=message):
        with_faces.append_fields(30.0, {}, tables=tables)
    assert read_result(with_faces.path).field_times.size == 2


@pytest.mark.parametrize(
    "facts", [{}, {"area": np.zeros(3), "am": np.zeros((2, 3))}, {"area": np.zeros(3), "size": np.zeros(3)}]
)
def test_tables_of_unequal_length_or_without_units_are_refused_before_a_file_exists(tmp_path, facts):
    with pytest.raises(ConfigError, match="Table 'faces' needs"):
        new_writer(tmp_path / "a.vtkhdf", tables={"faces": HistoryTable(facts, face_table().specs)})
    assert not list(tmp_path.iterdir())


def test_faces_are_asked_for_by_the_names_that_the_file_has(with_faces, run_file):
    with pytest.raises(ConfigError, match="Did you mean 'film_thickness'"):
        read_result(with_faces.path).face("film_thicknes")
    with pytest.raises(ConfigError, match="holds 2 steps"):
        read_result(with_faces.path).face("current_density", 2)
    older = read_result(run_file)
    assert older.faces == {} and older.face_specs == {}
    with pytest.raises(ConfigError, match="output.faces=true"):
        older.face("current_density")
