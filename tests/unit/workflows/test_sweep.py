"""Runs of a sweep: names, records, what is repeated, the table; no run is really simulated here."""

import csv
import dataclasses
import functools
import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import load
from simulator.errors import ConfigError, GeometryError
from simulator.workflows import sweep, sweep_table
from simulator.workflows.folder import RESULT, locked
from simulator.workflows.sweep_table import Record, read_record, read_records, run_name, write_record

SUMMARY = {"capacity [mAh/g AM]": 100.0, "utilisation [%]": 60.0, "final voltage [V]": math.nan}
WORDS = ["geometry=file", "geometry.path=a.npy", "geometry.voxel_size=1 um"]


class Runner:
    """Stands for `simulator.workflows.run.run`: notes what it was asked for, leaves a result, ends as told."""

    def __init__(self, status: str = "finished", error: BaseException | None = None) -> None:
        self.status, self.error, self.asked = status, error, []

    def __call__(self, config, console):
        self.asked.append(config)
        if self.error is not None:
            raise self.error
        (Path(config.output.dir) / RESULT).touch()
        message = SimpleNamespace(summary={"message": "Salt ran out."})
        return SimpleNamespace(status=self.status, summary=SUMMARY, result=message, asked=False)


DRAW = sweep_table._draw


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for a sweep, beside an image; pictures take half a second each and are left out."""
    monkeypatch.setattr(sweep_table, "_draw", lambda path, *_: path.touch())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npy").touch()
    (tmp_path / "sweep").mkdir()
    return tmp_path / "sweep"


@functools.cache
def config(*words: str):
    return load([*WORDS, *words])


# names


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"cell.electrolyte.kappa": 0.05, "solver.rtol": 1e-3}, "kappa-0.05_rtol-0.001"),
        ({"geometry": "ct_nmc_64"}, "geometry-ct-nmc-64-"),
        ({"cell.electrolyte.kappa": 1, "cell.cbd.kappa": 2.0}, "electrolyte.kappa-1_cbd.kappa-2"),
        ({"solver.dt_max": None, "output.particles": True}, "dt_max-null_particles-true"),
        ({"cell.am.ocp": -1e-5}, "ocp--1e-05"),
    ],
)
def test_a_run_is_named_by_what_is_swept(values: dict, expected: str) -> None:
    assert run_name(values).startswith(expected)


SWEPT = st.one_of(st.floats(allow_nan=False), st.integers(), st.text(max_size=60), st.lists(st.text(), max_size=3))


@settings(max_examples=40)
@given(st.lists(SWEPT, min_size=2, max_size=6, unique_by=sweep_table.value_text))
def test_names_of_different_values_differ_and_suit_every_shell(values: list) -> None:
    names = [run_name({"cell.am.D_s": value}) for value in values]
    assert len(set(names)) == len(names)
    for name in names:
        assert len(name) <= 160 and all(c.isascii() and (c.isalnum() or c in "+-_.") for c in name)


def test_equal_numbers_give_one_name() -> None:
    assert run_name({"a.b": 1}) == run_name({"a.b": 1.0}) != run_name({"a.b": True})


# folders


def test_the_folder_is_the_same_whatever_values_are_swept_and_another_for_other_fixed_settings() -> None:
    axes = ["cell.electrolyte.kappa"]
    first = sweep.sweep_folder(config("cell.electrolyte.kappa=0.05"), axes)
    assert first.parent == Path("outputs") and first.name.startswith("sweep-kappa-")
    assert sweep.sweep_folder(config("cell.electrolyte.kappa=0.1", "output.pictures=false"), axes) == first
    assert sweep.sweep_folder(config("cell.electrolyte.kappa=0.1", "solver.rtol=1e-4"), axes) != first
    assert sweep.sweep_folder(config("output.dir=b"), axes) == Path("b")


def test_a_folder_of_something_else_or_of_another_sweep_is_refused(folder: Path) -> None:
    axes = ["cell.electrolyte.kappa"]
    sweep.open_sweep(folder, config("cell.electrolyte.kappa=0.05"), axes)
    sweep.open_sweep(folder, config("cell.electrolyte.kappa=0.1"), axes)
    sweep.open_sweep(folder, config("solver.rtol=1e-3"), [*axes, "solver.rtol"])  # one more axis
    sweep.open_sweep(folder, config("solver.rtol=1e-4"), [*axes, "solver.rtol"])
    with pytest.raises(ConfigError, match="solver.krylov_max: 40 there, 30 here"):
        sweep.open_sweep(folder, config("solver.krylov_max=30"), axes)
    sweep.open_sweep(folder, config("solver.krylov_max=30", "output.overwrite=true"), axes)
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "notes.txt").touch()
    with pytest.raises(ConfigError, match=r"holds other files \(notes.txt\) and no sweep"):
        sweep.open_sweep(folder.parent / "other", config(), axes)


def test_a_setting_that_is_missing_on_one_side_is_another_one(folder: Path) -> None:
    axes = ["solver.rtol"]
    sweep.open_sweep(folder, config(), axes)
    with pytest.raises(ConfigError, match="cell.am.D_s: default there, 2e-14 here"):
        sweep.open_sweep(folder, config("cell.am.D_s=2e-14"), axes)
    sweep.open_sweep(folder, config("cell.am.D_s=2e-14"), [*axes, "cell.am.D_s"])  # swept from now on
    sweep.open_sweep(folder, config(), axes)


def test_what_is_given_beside_a_swept_group_counts_as_fixed(folder: Path) -> None:
    axes, given = ["geometry"], ["geometry.coarsen"]
    four, eight = (load(["geometry=ct_nmc", f"geometry.coarsen={n}"]) for n in (4, 8))
    assert sweep.sweep_folder(four, axes, given) != sweep.sweep_folder(eight, axes, given)
    assert sweep.sweep_folder(four, axes) == sweep.sweep_folder(eight, axes)  # part of the choice
    sweep.open_sweep(folder, four, axes, given)
    with pytest.raises(ConfigError, match="geometry.coarsen: 4 there, 8 here"):
        sweep.open_sweep(folder, eight, axes, given)
    with pytest.raises(ConfigError, match="geometry.coarsen: 4 there, default here"):
        sweep.open_sweep(folder, load(["geometry=ct_nmc"]), axes)
    sweep.open_sweep(folder, four, ["solver.rtol"])  # one choice, other settings swept


def test_a_run_that_is_there_with_other_settings_is_refused_before_anything_is_written(folder: Path) -> None:
    values, axes = {"solver.rtol": 1e-3}, ["solver.rtol"]
    sweep.open_sweep(folder, config(), axes)
    sweep.perform(config("solver.krylov_max=30"), folder, values, "one", Runner())  # only its record knows
    before = (folder / "sweep.json").read_bytes()
    with pytest.raises(ConfigError, match="rtol-0.001 holds this run with other settings .*krylov_max: 30 there, 40"):
        sweep.open_sweep(folder, config(), axes, (), [(values, config())])
    assert (folder / "sweep.json").read_bytes() == before
    sweep.open_sweep(folder, config(), axes, (), [({"solver.rtol": 1e-4}, config())])  # that one is new
    anew = config("output.overwrite=true")
    sweep.open_sweep(folder, anew, axes, (), [(values, anew)])


# one run


def test_a_finished_run_leaves_its_record_and_is_not_repeated(folder: Path) -> None:
    runner, values = Runner(), {"solver.rtol": 1e-3}
    record = sweep.perform(config(), folder, values, "one", runner)
    assert (record.status, record.reason, record.summary) == ("finished", "", SUMMARY)
    assert Path(runner.asked[0].output.dir) == folder / "rtol-0.001"
    assert runner.asked[0].resume and runner.asked[0].output.overwrite  # our notes are in the folder, no result
    stored = json.loads((folder / "rtol-0.001" / "status.json").read_text())
    assert stored["status"] == "finished" and stored["summary"]["final voltage [V]"] is None
    assert sweep.perform(config(), folder, values, "two", runner).ended == record.ended
    assert len(runner.asked) == 1
    sweep.perform(config("output.overwrite=true"), folder, values, "three", runner)
    assert len(runner.asked) == 2


def test_a_result_is_never_overwritten_unless_asked_for(folder: Path) -> None:
    runner = Runner("interrupted")
    for launch in ("one", "two"):
        sweep.perform(config(), folder, {"solver.rtol": 1e-3}, launch, runner)
    assert [asked.output.overwrite for asked in runner.asked] == [True, False]
    assert all(asked.resume for asked in runner.asked)


def test_a_changed_image_or_setting_lets_the_run_decide_itself(folder: Path) -> None:
    runner, values = Runner(), {"solver.rtol": 1e-3}
    sweep.perform(config(), folder, values, "one", runner)
    sweep.perform(config("solver.krylov_max=30"), folder, values, "two", runner)
    assert len(runner.asked) == 2
    sweep.perform(config("solver.krylov_max=30"), folder, values, "three", runner)
    assert len(runner.asked) == 2
    later = 2e9  # seconds since 1970
    os.utime("a.npy", (later, later))
    sweep.perform(config("solver.krylov_max=30"), folder, values, "four", runner)
    assert len(runner.asked) == 3


class Refusing(Runner):
    """As `run` when the content of an image has changed: it wants to be told to overwrite."""

    def __call__(self, config, console):
        if not config.output.overwrite:
            self.asked.append(config)
            raise ConfigError("output.dir holds the results of another run (the content of a file differs).")
        return super().__call__(config, console)


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_a_run_of_an_image_that_has_changed_is_repeated(folder: Path, status: str) -> None:
    values = {"solver.rtol": 1e-3}
    sweep.perform(config(), folder, values, "one", Runner(status))
    os.utime("a.npy", (2e9, 2e9))
    runner = Refusing()
    record = sweep.perform(config(), folder, values, "two", runner)
    assert (record.status, record.reason, record.launch) == ("finished", "", "two")
    assert [asked.output.overwrite for asked in runner.asked] == [False, True]  # only once it is known to differ


def test_a_run_that_cannot_be_repeated_keeps_its_numbers_and_says_so_until_it_can(folder: Path) -> None:
    values = {"solver.rtol": 1e-3}
    first = sweep.perform(config(), folder, values, "one", Runner())
    for changed in (config("solver.krylov_max=30"), config("output.overwrite=true")):
        sweep.perform(changed, folder, values, "two", Runner(error=ConfigError("Not so.")))
        kept = read_record(folder / "rtol-0.001")
        assert (kept.status, kept.reason, kept.settings) == ("finished", "Not repeated: Not so.", first.settings)
        assert kept.summary["capacity [mAh/g AM]"] == 100.0 and kept.wall_s == first.wall_s
    assert sweep.prepare(folder, [(values, config())], "three") == [True]
    assert read_record(folder / "rtol-0.001").reason == ""


def test_looking_at_a_finished_result_does_not_change_its_time(folder: Path) -> None:
    values = {"solver.rtol": 1e-3}

    class Looking(Runner):
        """As `run` does when all is there: the result stays as it is."""

        def __call__(self, config, console):
            message = SimpleNamespace(summary={"message": ""})
            return SimpleNamespace(status="finished", summary=SUMMARY, result=message, asked=False)

    record = sweep.perform(config(), folder, values, "one", Runner())
    write_record(folder, dataclasses.replace(record, wall_s=1000.0))
    os.utime("a.npy", (2e9, 2e9))  # written again with the same content
    assert sweep.perform(config(), folder, values, "two", Looking()).wall_s == 1000.0
    (folder / "rtol-0.001" / "status.json").unlink()
    assert sweep.perform(config(), folder, values, "three", Looking()).wall_s == 0.0  # not known any more


def test_a_second_launch_leaves_a_running_run_and_its_record_alone(folder: Path) -> None:
    values, second = {"solver.rtol": 1e-3}, Runner()
    seen = []

    class Slow(Runner):
        def __call__(self, config, console):
            seen.append(sweep.perform(config_now, folder, values, "two", second).status)
            seen.append(read_record(folder / "rtol-0.001").launch)
            return super().__call__(config, console)

    config_now = config()
    record = sweep.perform(config_now, folder, values, "one", Slow())
    assert seen == ["running", "one"] and second.asked == []
    assert record.status == "finished" and read_record(folder / "rtol-0.001").launch == "one"


def test_a_changed_file_of_particles_is_noticed(folder: Path) -> None:
    runner = Runner()
    for time, runs in ((1e9, 1), (1e9, 1), (2e9, 2)):
        Path("particles.npy").touch()
        os.utime("particles.npy", (time, time))
        os.utime("a.npy", (1e9, 1e9))
        sweep.perform(config("geometry.particles=particles.npy"), folder, {"solver.rtol": 1e-3}, "", runner)
        assert len(runner.asked) == runs


def test_a_changed_table_or_slice_is_noticed(folder: Path) -> None:
    runner, files = Runner(), ("slices/1.tif", "ocv.csv")
    Path("slices").mkdir()
    given = config("geometry.path=slices", "cell.am.ocp=ocv.csv")
    for changed, runs in ((None, 1), (None, 1), ("ocv.csv", 2), ("slices/1.tif", 3)):
        for name in files:
            Path(name).touch()
            os.utime(name, (2e9, 2e9) if name == changed else (1e9, 1e9))  # after or before every run
        sweep.perform(given, folder, {"solver.rtol": 1e-3}, "", runner)
        assert len(runner.asked) == runs


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GeometryError("No face is live."), "No face is live."),
        (ConfigError("No such parameter."), "No such parameter."),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_run_that_fails_says_why_and_is_repeated_only_by_the_next_launch(
    folder: Path, error: Exception, reason: str
) -> None:
    broken, values = Runner(error=error), {"solver.rtol": 1e-3}
    record = sweep.perform(config(), folder, values, "one", broken)
    assert (record.status, record.reason) == ("failed", reason)
    assert (folder / "rtol-0.001" / "run.log").exists() == (not isinstance(error, ConfigError | GeometryError))
    sweep.perform(config(), folder, values, "one", broken)
    assert len(broken.asked) == 1
    assert sweep.perform(config(), folder, values, "two", Runner()).status == "finished"
    assert read_record(folder / "rtol-0.001").reason == ""


def test_a_run_that_physics_stops_keeps_its_numbers_and_its_reason(folder: Path) -> None:
    runner = Runner("salt_depleted")
    record = sweep.perform(config(), folder, {"solver.rtol": 1e-3}, "one", runner)
    assert (record.status, record.reason, record.summary) == ("salt_depleted", "Salt ran out.", SUMMARY)
    sweep.perform(config(), folder, {"solver.rtol": 1e-3}, "two", runner)
    assert len(runner.asked) == 1  # the same settings would end the same way


def test_an_interrupted_run_goes_on_and_its_time_adds_up(folder: Path) -> None:
    values = {"solver.rtol": 1e-3}
    with pytest.raises(KeyboardInterrupt):
        sweep.perform(config(), folder, values, "one", Runner(error=KeyboardInterrupt()))
    record = read_record(folder / "rtol-0.001")
    assert record.status == "interrupted"
    write_record(folder, dataclasses.replace(record, wall_s=1000.0))
    assert sweep.perform(config(), folder, values, "two", Runner()).wall_s > 1000.0


def test_a_process_that_is_ended_leaves_the_run_to_be_gone_on_with(folder: Path) -> None:
    with pytest.raises(SystemExit):  # as Slurm's time limit does it, to put the job back into the queue
        sweep.perform(config(), folder, {"solver.rtol": 1e-3}, "one", Runner(error=SystemExit(-1)))
    assert read_record(folder / "rtol-0.001").status == "running"
    assert sweep.perform(config(), folder, {"solver.rtol": 1e-3}, "one", Runner()).status == "finished"


def test_a_run_that_another_process_is_at_is_left_alone(folder: Path) -> None:
    runner = Runner()
    (folder / "rtol-0.001").mkdir()
    with locked(folder / "rtol-0.001"):
        assert sweep.perform(config(), folder, {"solver.rtol": 1e-3}, "one", runner).status == "running"
    assert runner.asked == [] and read_record(folder / "rtol-0.001") is None


def test_parameters_protocols_and_the_names_of_files_are_checked_before_any_run(folder: Path) -> None:
    sweep.check(config())
    wrong = {"cell.electrolyte.kapa=1": "kapa", "protocol.steps=[Charge at noon]": "noon"}
    for word, said in (wrong | {"geometry.path=b.npy": "No image b.npy"}).items():
        with pytest.raises(ConfigError, match=said):
            sweep.check(config(word))


# all runs


def test_runs_that_wait_are_in_the_table_and_those_that_are_done_stay(folder: Path) -> None:
    sweep.perform(config("solver.rtol=1e-3"), folder, {"solver.rtol": 1e-3}, "one", Runner())
    runs = [({"solver.rtol": rtol}, config(f"solver.rtol={rtol}")) for rtol in (1e-3, 1e-4)]
    assert sweep.prepare(folder, runs, "two") == [True, False]
    assert [(r.values["solver.rtol"], r.status) for r in read_records(folder)] == [
        (1e-4, "pending"),
        (1e-3, "finished"),
    ]


def test_a_run_whose_process_is_gone_is_told_as_failed(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for name, host, pid in (
        ("gone", socket.gethostname(), int(done.stdout)),
        ("here", socket.gethostname(), os.getpid()),
        ("elsewhere", "node17", int(done.stdout)),
    ):
        write_record(folder, Record(name, {"a": name}, "running", host=host, pid=pid, launch="one"))
    found = {record.name: record.status for record in read_records(folder)}
    assert found == {"gone": "failed", "here": "running", "elsewhere": "running"}
    assert sweep.running(folder, "one") == ["elsewhere", "gone", "here"]
    assert sweep.mark_dead(folder, "one", ["elsewhere"]) == ["elsewhere"]
    assert read_record(folder / "elsewhere").status == "failed"


@pytest.fixture
def table(folder: Path) -> Path:
    """Two swept settings, one of them added later; one run failed."""
    sweep.perform(config("solver.rtol=1e-2"), folder, {"solver.rtol": 1e-2}, "one", Runner())
    sweep.perform(config("solver.rtol=1e-3"), folder, {"solver.rtol": 1e-3}, "one", Runner(error=GeometryError("No.")))
    both = {"solver.rtol": 1e-3, "geometry.coarsen": 2}
    sweep.perform(config("solver.rtol=1e-3", "geometry.coarsen=2"), folder, both, "two", Runner("voltage_limit"))
    return folder


def test_the_table_has_a_row_for_each_run_and_every_number(table: Path) -> None:
    with (table / "sweep.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        *("run", "solver.rtol", "geometry.coarsen", "status", "reason"),
        *(*SUMMARY, "wall time [s]", "folder"),
    ]
    assert [(r["solver.rtol"], r["geometry.coarsen"], r["status"]) for r in rows] == [
        ("0.001", "1", "failed"),  # a setting that was not swept then had its usual value
        ("0.001", "2", "voltage_limit"),
        ("0.01", "1", "finished"),
    ]
    assert [r["reason"] for r in rows] == ["No.", "Salt ran out.", ""]
    assert [r["capacity [mAh/g AM]"] for r in rows] == ["", "100.0", "100.0"]
    assert all((table / r["folder"]).is_dir() for r in rows)
    assert (table / "sweep.png").exists()


def test_settings_that_differ_without_being_swept_get_a_column(folder: Path) -> None:
    for choice in ("ct_nmc", "ct_nmc_64"):
        chosen = load([f"geometry={choice}", "solver.rtol=1e-2"])
        sweep.perform(chosen, folder, {"geometry": choice}, "one", Runner())
    assert sweep_table.mixed(read_records(folder)) == []  # what a choice brings along belongs to it
    more = load(["geometry=ct_nmc", "solver.krylov_max=30", "geometry.coarsen=2", "cell.am.D_s=2e-14"])
    sweep.perform(more, folder, {"geometry": "ct_nmc", "solver.rtol": 1e-3}, "two", Runner())
    expected = ["cell.am.D_s", "geometry.coarsen", "solver.krylov_max"]
    assert sweep_table.mixed(read_records(folder)) == expected
    with (folder / "sweep.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0])[:7] == ["run", "geometry", "solver.rtol", *expected, "status"]
    by_run = {row["run"]: [row[key] for key in expected] for row in rows}
    assert sorted(by_run.values()) == [["", "1", "40"], ["", "1", "40"], ["2e-14", "2", "30"]]
    with pytest.raises(ConfigError, match="no 'krylov_max'"):  # a setting, not a result
        sweep_table.plot(folder, folder / "a.png", "krylov_max")


def test_the_beginning_of_a_name_goes_before_its_middle_and_no_name_is_listed_twice() -> None:
    known = ["solver wall time [s]", "wall time [s]", "capacity [mAh/g AM]"]
    assert sweep_table._nearest("wall time", known, "--plot") == "wall time [s]"
    for wrong in ("foo", "capcity [mAh/g AM]"):
        with pytest.raises(ConfigError) as error:
            sweep_table._nearest(wrong, known, "--plot")
        assert str(error.value).count("solver wall time [s]") == 1


def test_the_table_is_remade_from_the_folders_alone(table: Path) -> None:
    before = (table / "sweep.csv").read_text()
    (table / "sweep.csv").unlink()
    (table / "broken").mkdir()
    (table / "broken" / "status.json").write_text("{")  # as a full disk may leave it
    sweep_table.update(table)
    assert (table / "sweep.csv").read_text() == before


def test_the_table_is_written_as_parquet_and_kept_up_to_date(table: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    sweep_table.write_parquet(table, sweep_table.rows(read_records(table))[1])
    sweep.perform(config("solver.rtol=1e-4"), table, {"solver.rtol": 1e-4}, "three", Runner())
    found = parquet.read_table(table / "sweep.parquet").to_pydict()
    assert found["solver.rtol"] == [1e-4, 1e-3, 1e-3, 1e-2]
    assert found["capacity [mAh/g AM]"] == [100.0, None, 100.0, 100.0]
    assert found["status"] == ["finished", "failed", "voltage_limit", "finished"]


def test_reasons_are_told_once_for_all_runs_that_share_them(table: Path) -> None:
    sweep.perform(config("solver.rtol=1e-4"), table, {"solver.rtol": 1e-4}, "one", Runner(error=GeometryError("No.")))
    assert sweep_table.reasons(read_records(table)) == [
        "rtol-0.0001, rtol-0.001: failed: No.",
        "rtol-0.001_coarsen-2: voltage_limit: Salt ran out.",
    ]
    assert sweep_table.counts(read_records(table)) == "2 failed, 1 finished, 1 voltage_limit"


def test_any_number_is_drawn_against_any_setting_by_a_clear_part_of_its_name(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_table, "_draw", DRAW)
    for more in ({}, {"quantity": "utilis"}, {"x": "coarsen", "y": "rtol"}, {"y": "geometry.coarsen"}):
        assert sweep_table.plot(table, tmp_path / "a.png", **more).stat().st_size > 0
    for more, said in (
        ({"quantity": "capcity [mAh/g AM]"}, "Did you mean 'capacity"),
        ({"quantity": "i"}, "may mean"),
        ({"x": "solver.rtoll"}, "Did you mean 'solver.rtol'"),
        ({"x": "rtol", "y": "rtol"}, "both solver.rtol"),
        ({"output": tmp_path / "b.bmp"}, "extension"),
        ({"output": tmp_path / "c" / "b.png"}, "does not exist"),
    ):
        with pytest.raises(ConfigError, match=said):
            sweep_table.plot(table, **{"output": tmp_path / "b.png", **more})
    assert not (tmp_path / "b.png").exists()


def test_the_time_that_is_left_follows_from_the_runs_that_are_done(folder: Path) -> None:
    done = [Record("a", {}, "finished", wall_s=100.0), Record("b", {}, "failed", wall_s=1e6)]
    assert "about 5 min" in sweep.estimate_text(done, [config()] * 3)
    assert sweep.estimate_text(done, []) == ""
    assert sweep.estimate_text([], [config()]) == ""  # the image cannot be read: the run will say so
