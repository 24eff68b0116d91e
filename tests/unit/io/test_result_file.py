"""The result file keeps what was written, survives a dying run, and is readable by h5py and PyVista."""

import getpass
import json
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from result_files import FIELDS, PARAMETERS, SHAPE, VOXEL, field, finished_run, new_writer, phase_image, row, write_run

from simulator.errors import ConfigError
from simulator.io import collect_provenance, read_result, result, vtkhdf

ROOT = Path(result.__file__).parents[2]  # where `import simulator` works without an installation


@pytest.fixture
def run_file(tmp_path):
    return finished_run(tmp_path / "run.vtkhdf")


def test_everything_written_is_read_back(run_file):
    run = read_result(run_file)
    assert run.status == "finished"
    assert run.phase.dtype == np.uint8
    np.testing.assert_array_equal(run.phase, phase_image())
    assert run.voxel_size == VOXEL
    np.testing.assert_array_equal(run.field_times, [0.0, 10.0, 20.0])
    for i in range(3):
        for name in FIELDS:
            np.testing.assert_array_equal(run.field(name, i), field(i, name).astype(np.float32))
    np.testing.assert_array_equal(run.timeseries["test_time_second"], [0, 5, 10, 15, 20, 25])
    np.testing.assert_array_equal(run.timeseries["voltage_volt"], [3.7, 4.2, 4.7, 5.2, 5.7, 6.2])
    np.testing.assert_array_equal(run.timeseries["sto_mean"], [0.9, np.nan, 0.8, np.nan, 0.9 - 0.2, np.nan])
    np.testing.assert_array_equal(run.separator_z, [-3e-6, -1e-6])
    np.testing.assert_array_equal(run.separator_profiles["phi_e"], [[0, 0], [1e-3, -1e-3], [2e-3, -2e-3]])
    assert np.isnan(run.separator_profiles["c_e"]).all()
    assert run.config == {"cell": "nmc811", "solver": {"rtol": 1e-3, "on": True}}
    assert run.parameters == PARAMETERS
    assert run.provenance == {"numpy": np.__version__}
    assert (run.ledger, run.solver, run.summary) == (
        {"charge": 1e-12},
        {"newton": {"mean": 3.5}},
        {"capacity": 2.0},
    )
    assert run.field_specs == FIELDS
    assert run.timeseries_specs["voltage_volt"] == ("V", "Cell voltage")


def test_header_is_vtkhdf_image_data_with_spacing_x_y_z_in_micrometres(run_file):
    with h5py.File(run_file) as file:
        vtk = file["VTKHDF"]
        assert vtk.attrs["Type"] == b"ImageData"
        assert vtk.attrs.get_id("Type").dtype == np.dtype("S9")  # fixed length, or VTK refuses the file
        assert vtk.attrs["Version"].tolist() == [2, 0]
        assert vtk.attrs["WholeExtent"].tolist() == [0, 3, 0, 4, 0, 5]
        assert vtk.attrs["Spacing"].tolist() == [0.25, 0.398, 0.5]
        assert vtk.attrs["length_unit"] == "um"
        assert vtk["Steps"].attrs["NSteps"] == 3
        assert vtk["Steps/CellDataOffsets/sto"][:].tolist() == [0, 1, 2]
        assert vtk["Steps/CellDataOffsets/phase"][:].tolist() == [0, 0, 0]
        assert vtk["CellData/phase"].shape == (1, *SHAPE)
        assert {n: int(vtk["CellData/phase"].attrs[n]) for n in ("pore", "am", "cbd", "electrolyte")} == {
            "pore": 0,
            "am": 1,
            "cbd": 2,
            "electrolyte": 3,
        }
        assert vtk["FieldData/voltage_volt"][:].tolist() == [3.7, 4.7, 5.7]


def test_fields_use_only_filters_and_chunks_that_vtk_reads(tmp_path):
    new_writer(tmp_path / "a.vtkhdf", phase=np.ones((3, 70, 65), np.uint8))
    with h5py.File(tmp_path / "a.vtkhdf") as file:
        for dataset in file["VTKHDF/CellData"].values():
            assert (dataset.compression, dataset.shuffle) == ("gzip", True)
            assert dataset.chunks == (1, 3, 64, 64)


def test_every_dataset_says_its_unit_and_long_name(run_file):
    found = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found.append(name)
            assert isinstance(item.attrs["units"], str), name
            assert item.attrs["long_name"], name

    with h5py.File(run_file) as file:
        file.visititems(visit)
    assert len(found) > 20


def test_scalars_of_the_mappings_are_attributes_under_dotted_names(run_file):
    with h5py.File(run_file) as file:
        assert file["parameters"].attrs["am.density"] == 4780.0
        assert file["config"].attrs["cell"] == "nmc811"
        assert file["config"].attrs["solver.on"]
        assert "am.sto_window" not in file["parameters"].attrs  # a list: only in the JSON text
        assert json.loads(file["parameters/json"].asstr()[()]) == PARAMETERS


def test_large_mappings_and_odd_scalars_are_stored(tmp_path):
    # more attributes and longer text than fit into one HDF5 object header (64 kB)
    parameters = {f"p{i}": float(i) for i in range(5000)} | {
        "text": "x" * 100_000,
        "big": 2**70,
        "none": None,
    }
    new_writer(tmp_path / "a.vtkhdf", parameters=parameters | {"nan": float("nan")})
    read = read_result(tmp_path / "a.vtkhdf").parameters
    assert np.isnan(read.pop("nan"))
    assert read == parameters


def test_pyvista_reads_every_time_step_bit_equal(run_file):
    pv = pytest.importorskip("pyvista")
    run = read_result(run_file)
    reader = pv.get_reader(str(run_file)).reader
    reader.UpdateInformation()
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline as Pipeline

    assert reader.GetOutputInformation(0).Get(Pipeline.TIME_STEPS()) == (0.0, 10.0, 20.0)
    for i, t in enumerate(run.field_times):
        reader.UpdateTimeStep(t)
        mesh = pv.wrap(reader.GetOutput())
        assert mesh.dimensions == (4, 5, 6)  # points: x, y, z, one more than voxels
        assert mesh.spacing == (0.25, 0.398, 0.5)
        for name in FIELDS:
            np.testing.assert_array_equal(mesh.cell_data[name].reshape(SHAPE), run.field(name, i))
        np.testing.assert_array_equal(mesh.cell_data["phase"].reshape(SHAPE), run.phase)
        assert mesh.field_data["voltage_volt"].tolist() == [3.7 + i]


def test_a_run_killed_between_appends_leaves_a_readable_file_that_says_running(tmp_path):
    path = tmp_path / "run.vtkhdf"
    script = f"""
        import os, signal
        import numpy as np
        from simulator.io import ResultWriter
        writer = ResultWriter({str(path)!r}, phase=np.ones((2, 2, 2), np.uint8), voxel_size=(1e-6,) * 3,
                              field_specs={{"sto": ("1", "")}}, config={{}}, parameters={{}}, provenance={{}})
        writer.append_timeseries({{"test_time_second": 1.0, "voltage_volt": 3.5, "current_ampere": 0.0}})
        writer.append_fields(1.0, {{"sto": np.full((2, 2, 2), 0.5)}})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, cwd=ROOT).returncode == -9
    run = read_result(path)
    assert run.status == "running"
    assert run.timeseries["voltage_volt"].tolist() == [3.5]
    assert (run.field("sto") == 0.5).all()
    assert run.ledger == {}


def test_an_append_that_fails_half_way_leaves_the_file_as_it_was_and_is_written_later(tmp_path, monkeypatch):
    path = tmp_path / "run.vtkhdf"
    writer = write_run(path, steps=2)

    def disk_full(file):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(vtkhdf, "refresh_voltage", disk_full)  # called just before the step counts as written
        with pytest.raises(OSError, match="no space"):
            writer.append_fields(20.0, {"sto": np.zeros(SHAPE), "phi_e": np.zeros(SHAPE)})
    assert read_result(path).field_times.tolist() == [0.0, 10.0]
    writer.append_fields(30.0, {"sto": field(7)})
    run = read_result(path)
    assert run.field_times.tolist() == [0.0, 10.0, 20.0, 30.0]  # what could not be written was kept for later
    np.testing.assert_array_equal(run.field("sto"), field(7).astype(np.float32))
    assert np.isnan(run.field("phi_e")).all()  # left out


def test_a_reader_that_holds_the_file_open_does_not_stop_the_run(tmp_path):
    path = tmp_path / "run.vtkhdf"
    writer = write_run(path, steps=1)
    script = "import h5py, sys; f = h5py.File(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    viewer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert viewer.stdout.readline() == "open\n"
        writer.append_fields(10.0, {"sto": field(1)})
        writer.append_timeseries(row(30.0))
    finally:
        viewer.communicate("")
    run = read_result(path)
    np.testing.assert_array_equal(run.field("sto"), field(1).astype(np.float32))
    assert run.timeseries["test_time_second"][-1] == 30.0


def test_a_new_run_replaces_an_old_file_only_once_its_header_is_complete(run_file):
    before = run_file.read_bytes()
    with pytest.raises(ConfigError, match=r"parameters\.am\.ocp.*function"):
        new_writer(run_file, parameters={"am": {"ocp": lambda x: x}})
    assert run_file.read_bytes() == before
    new_writer(run_file)
    assert read_result(run_file).field_times.size == 0
    assert [p.name for p in run_file.parent.iterdir()] == ["run.vtkhdf"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phase": np.full(SHAPE, 7, np.uint8)}, "codes"),
        ({"phase": np.ones(SHAPE, int)}, "uint8"),
        ({"phase": np.ones((4, 4), np.uint8)}, "nz, ny, nx"),
        ({"voxel_size": (0.4, 0.4, 0.4)}, "micrometres"),
        ({"field_specs": {"phase": ("1", "x")}}, "phase"),
        ({"field_specs": {"a b": ("1", "x")}}, "letters"),
        ({"field_specs": {"sto": "1"}}, "unit, long name"),
        ({"separator_z": np.zeros((2, 2))}, "1D"),
    ],
)
def test_bad_header_arguments_are_refused_before_a_file_exists(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        new_writer(tmp_path / "run.vtkhdf", **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "message"), [("run.h5", r"\.vtkhdf.*run\.vtkhdf"), ("no/run.vtkhdf", "folder")])
def test_wrong_file_names_are_refused_with_the_cure(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        new_writer(tmp_path / name)


@pytest.mark.parametrize(
    ("append", "message"),
    [
        (lambda w: w.append_fields(30.0, {"stoo": np.zeros(SHAPE)}), "Did you mean 'sto'"),
        (lambda w: w.append_fields(30.0, {"sto": np.zeros(SHAPE[::-1])}), "shape"),
        (lambda w: w.append_fields(20.0, {}), "increasing"),
        (lambda w: w.append_fields(float("nan"), {}), "finite"),
        (lambda w: w.append_fields(30.0, {}, {"phi_e": np.zeros(3)}), "profile"),
        (lambda w: w.append_timeseries(row(30.0, volts=3.0)), "volts"),
        (lambda w: w.append_timeseries({"test_time_second": 30.0, "current_ampere": 0.0}), "voltage_volt"),
        (lambda w: w.append_timeseries(row(30.0, voltage=float("nan"))), "finite"),
        (lambda w: w.append_timeseries(row(1.0)), "back in time"),
        (lambda w: w.finish("finished", {"x": object()}, {}, {}), r"ledger\.x"),
    ],
)
def test_bad_appends_are_refused_and_leave_the_file_as_it_was(tmp_path, append, message):
    path = tmp_path / "run.vtkhdf"
    writer = write_run(path)
    with pytest.raises(ConfigError, match=message):
        append(writer)
    run = read_result(path)
    assert (run.status, run.field_times.size, run.timeseries["test_time_second"].size) == ("running", 3, 6)


def test_profiles_without_separator_are_refused(tmp_path):
    writer = new_writer(tmp_path / "a.vtkhdf", separator_z=None)
    with pytest.raises(ConfigError, match="separator_z"):
        writer.append_fields(0.0, {}, {"phi_e": np.zeros(2)})
    run = read_result(tmp_path / "a.vtkhdf")
    assert run.separator_z is None
    assert run.separator_profiles == {}


def test_fields_are_chosen_by_index_or_nearest_saved_time(run_file):
    run = read_result(run_file)
    np.testing.assert_array_equal(run.field("sto"), run.field("sto", 2))
    np.testing.assert_array_equal(run.field("sto", -3), run.field("sto", 0))
    np.testing.assert_array_equal(run.field("sto", t=13.0), run.field("sto", 1))
    # a time computed in another order of operations may exceed the last one by rounding
    assert run.step_index(20.0 * (1 + 1e-12)) == 2
    for arguments, message in (
        (("sto", 3), "holds 3 steps"),
        (("sto", -4), "holds 3 steps"),
        (("stow",), "Did you mean 'sto'"),
    ):
        with pytest.raises(ConfigError, match=message):
            run.field(*arguments)
    with pytest.raises(ConfigError, match=r"0 to 20 s"):
        run.field("sto", t=21.0)
    with pytest.raises(ConfigError, match="not both"):
        run.field("sto", 1, t=10.0)


def test_a_run_without_saved_fields_says_so(tmp_path):
    new_writer(tmp_path / "a.vtkhdf")
    with pytest.raises(ConfigError, match="no fields"):
        read_result(tmp_path / "a.vtkhdf").field("sto")


def test_results_are_read_only(run_file):
    run = read_result(run_file)
    for array in (run.phase, run.field_times, run.timeseries["voltage_volt"], run.field("sto")):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"derived": {"am_mass_kg": 2e-14}, "am.density": 1.0}, 2e-14),
        ({"am.density": 4780.0}, 4780.0 * np.count_nonzero(phase_image() == 1) * np.prod(VOXEL)),
        (PARAMETERS, 4780.0 * np.count_nonzero(phase_image() == 1) * np.prod(VOXEL)),
        ({"am.density": "a function"}, np.nan),
        ({}, np.nan),
    ],
)
def test_mass_of_active_material_is_the_stored_one_or_follows_from_the_density(tmp_path, parameters, expected):
    path = tmp_path / "run.vtkhdf"
    new_writer(path, parameters=parameters).finish("finished", {}, {}, {})
    assert read_result(path).am_mass == pytest.approx(expected, nan_ok=True)


def test_charge_that_the_solver_counted_is_the_capacity(tmp_path):
    path = tmp_path / "run.vtkhdf"
    writer = new_writer(path, timeseries_specs={"charge_coulomb": ("C", "Charge")})
    writer.append_timeseries([row(t, charge_coulomb=2e-9 * t) for t in (0.0, 5.0)])  # twice the current times t
    writer.finish("finished", {}, {}, {})
    assert read_result(path).capacity.tolist() == [0.0, 1e-8]


def test_capacity_is_the_charge_passed(run_file):
    # constant 1 nA: capacity [C] is current times time, exact to rounding of 3600 s/h
    run = read_result(run_file)
    np.testing.assert_allclose(run.capacity, 1e-9 * run.timeseries["test_time_second"], rtol=1e-15)


def test_missing_and_foreign_files_are_named(tmp_path, run_file):
    text = tmp_path / "text.vtkhdf"
    text.write_text("not HDF5")
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    newer = tmp_path / "newer.vtkhdf"
    newer.write_bytes(run_file.read_bytes())
    with h5py.File(newer, "r+") as file:
        file.attrs["format_version"] = 99
    for path, message in (
        (tmp_path / "no.vtkhdf", "does not exist"),
        (tmp_path, "is a folder"),
        (text, "not an HDF5 file"),
        (foreign, "not a Voxelyte result"),
        (newer, "format 99"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_result(path)


def test_cut_off_and_damaged_files_are_named(tmp_path, run_file):
    cut = tmp_path / "cut.vtkhdf"
    cut.write_bytes(run_file.read_bytes()[: run_file.stat().st_size // 2])
    damaged = tmp_path / "damaged.vtkhdf"
    damaged.write_bytes(run_file.read_bytes())
    with h5py.File(damaged, "r+") as file:
        del file["timeseries"]
    for path, message in ((cut, "cut off"), (damaged, "damaged")):
        with pytest.raises(ConfigError, match=message):
            read_result(path)


def test_a_file_that_vanished_after_reading_is_named(run_file):
    run = read_result(run_file)
    run_file.unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        run.field("sto")


def test_provenance_holds_versions_but_no_host_user_or_path():
    found = collect_provenance()
    assert {"voxelyte", "python", "numpy", "jax", "jaxlib", "h5py"} <= found.keys()
    assert found["numpy"] == np.__version__
    assert found["h5py"] == h5py.__version__
    assert found["python"] == sys.version.split()[0]
    text = json.dumps(found)
    assert "/" not in text
    assert "\\" not in text
    words = re.split(r"[^\w.-]+", text)  # whole words: a user "a" is not in "jax"
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


def test_git_commit_is_recorded_only_from_the_checkout_of_the_package_itself(monkeypatch, tmp_path):
    answers = {"rev-parse --verify HEAD": "abc123", "status --porcelain --untracked-files=no": " M file.py"}

    def git(top):
        return lambda folder, *args: str(top or folder) if "--show-toplevel" in args else answers[" ".join(args)]

    monkeypatch.setattr(result, "_git", git(None))
    found = collect_provenance()
    assert (found["git_commit"], found["git_modified"]) == ("abc123", True)
    # installed into an environment that lies inside some other repository
    monkeypatch.setattr(result, "_git", git(tmp_path))
    assert "git_commit" not in collect_provenance()
    monkeypatch.setattr(result, "_git", lambda *_: None)
    assert "git_commit" not in collect_provenance()


def test_io_imports_neither_jax_nor_pyvista():
    script = "import sys, simulator.io as s; s.collect_provenance(); print({'jax', 'pyvista'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
