"""`voxelyte run -m` and `voxelyte sweep`: sweeps through Hydra's own launchers, and what they do when runs fail."""

import contextlib
import csv
import functools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator.cli import main, sweep
from simulator.config.compose import load_sweep
from simulator.errors import ConfigError
from simulator.resources import conf_dir
from simulator.workflows import sweep as workflow
from simulator.workflows import sweep_table
from simulator.workflows.folder import RESULT
from simulator.workflows.sweep_table import Record, read_record, read_records, write_record

LABELS = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"
SHORT = "protocol.steps=[Charge at C/2 for 10 min]"
QUIET = ("output.pictures=false", "output.particles=false", "output.fields=[]")
AXES = ("cell.electrolyte.kappa=0.05,0.1", "solver.rtol=1e-2,1e-3")


def words(*more: str) -> list[str]:
    return ["run", "-m", "geometry=file", LABELS, SHORT, *QUIET, *more]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders of the runs that were simulated, in order; none is really. How one ends stands in `ends`."""
    monkeypatch.chdir(tmp_path)
    Path("a.npy").touch()
    asked: list[str] = []

    def run(config, console):
        name = Path(config.output.dir).name
        asked.append(name)
        end = ENDS.get(name, "finished")
        asked_to_end = isinstance(end, tuple)
        end = end[0] if asked_to_end else end
        if isinstance(end, BaseException):
            raise end
        (Path(config.output.dir) / RESULT).touch()
        capacity = 1e3 * config.cell.overrides.get("electrolyte.kappa", 1.0)
        result = SimpleNamespace(summary={"message": "It ended so."})
        summary = {"capacity [mAh/g AM]": capacity, "final voltage [V]": 4.2}
        return SimpleNamespace(status=end, summary=summary, result=result, asked=asked_to_end)

    monkeypatch.setattr(import_module("simulator.workflows.run"), "run", run)
    monkeypatch.setattr(sweep_table, "_draw", lambda path, *_: path.touch())
    ENDS.clear()
    return asked


ENDS: dict[str, str | tuple[str, str] | BaseException] = {}
BY_SIGNAL = "after Ctrl-C"
FAKE = ("geometry.path=a.npy", "geometry.voxel_size=1 um", "output.dir=out")


def test_folders_may_have_any_name(runs: list[str]) -> None:
    folder = Path('a "b" c') / "é, d=1"
    assert main(words(*FAKE[:2], "solver.rtol=1e-2,1e-3", f"output.dir={folder}")) == 0
    assert [row["status"] for row in rows(folder)] == ["finished"] * 2


def test_every_combination_runs_once_and_more_values_add_runs(runs: list[str], capfd) -> None:
    before = list(sys.argv), signal.getsignal(signal.SIGINT), dict(os.environ)
    assert main(words(*FAKE, "cell.electrolyte.kappa=0.05,0.1", "solver.rtol=1e-2")) == 0
    assert (list(sys.argv), signal.getsignal(signal.SIGINT), dict(os.environ)) == before
    assert runs == ["kappa-0.05", "kappa-0.1"]
    out, err = capfd.readouterr()
    assert "2 runs, 0 done before" in err and "2 finished" in out
    assert main(words(*FAKE, "cell.electrolyte.kappa=0.05,0.1,0.2", "solver.rtol=1e-2")) == 0
    assert runs[2:] == ["kappa-0.2"]
    assert "3 runs, 2 done before" in capfd.readouterr().err
    assert len(rows(Path("out"))) == 3
    assert main(words(*FAKE, "cell.electrolyte.kappa=0.1,0.2", "solver.rtol=1e-2")) == 0
    assert len(runs) == 3  # nothing left to do
    assert main(words(*FAKE, "cell.electrolyte.kappa=0.1,0.2", "solver.rtol=1e-3")) == 2
    assert "solver.rtol: 0.01 there, 0.001 here" in capfd.readouterr().err


def test_failed_runs_do_not_stop_the_rest_and_are_repeated(runs: list[str], capfd) -> None:
    ENDS.update({"rtol-0.01": ValueError("broken"), "rtol-0.001": "salt_depleted"})
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3,1e-4")) == 3
    assert runs == ["rtol-0.01", "rtol-0.001", "rtol-0.0001"]
    out = capfd.readouterr().out
    assert "1 failed, 1 finished, 1 salt_depleted" in out
    assert "rtol-0.01: failed: ValueError: broken" in out
    assert [row["status"] for row in rows(Path("out"))] == ["finished", "salt_depleted", "failed"]
    ENDS.clear()
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3,1e-4")) == 3  # salt ran out, and would again
    assert runs[3:] == ["rtol-0.01"]


def test_an_interruption_ends_the_sweep_and_the_same_command_goes_on(runs: list[str], capfd) -> None:
    ENDS["rtol-0.001"] = ("interrupted", BY_SIGNAL)
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3,1e-4")) == 130
    assert runs == ["rtol-0.01", "rtol-0.001"]
    assert "The same command goes on" in capfd.readouterr().err
    assert sweep_table.counts(read_records(Path("out"))) == "1 finished, 1 interrupted, 1 pending"
    ENDS.clear()
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3,1e-4")) == 0
    assert runs[2:] == ["rtol-0.001", "rtol-0.0001"]


def test_an_interruption_that_nobody_asked_for_does_not_end_the_sweep(runs: list[str], capfd) -> None:
    ENDS["rtol-0.01"] = "interrupted"  # as if solver.max_steps were used up, or the disk full
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3")) == 3
    assert runs == ["rtol-0.01", "rtol-0.001"]
    assert "rtol-0.01: interrupted: It ended so." in capfd.readouterr().out


def test_ctrl_c_during_the_last_writing_of_a_run_ends_the_sweep_after_it(runs: list[str], capfd) -> None:
    ENDS["rtol-0.01"] = ("finished", BY_SIGNAL)
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3")) == 130
    assert runs == ["rtol-0.01"]
    assert sweep_table.counts(read_records(Path("out"))) == "1 finished, 1 pending"
    assert main(words(*FAKE, "solver.rtol=1e-2,1e-3")) == 0
    assert runs == ["rtol-0.01", "rtol-0.001"]
    capfd.readouterr()


@pytest.mark.parametrize(
    ("group", "more"),
    [
        ("geometry=ct_nmc,ct_nmc_64", "geometry.coarsen=4"),  # inside what is swept
        ("solver.rtol=1e-2,1e-3", "cell.am.D_s=2e-14"),  # not in the settings of the first call at all
    ],
)
def test_a_setting_that_is_added_to_the_command_is_refused_before_anything_is_touched(
    group: str, more: str, runs: list[str], capfd
) -> None:
    given = ["run", "-m", SHORT, *QUIET, group]
    given += ["geometry.path=a.npy", FAKE[1], LABELS] if "rtol" in group else []
    assert main([*given, "output.dir=out"]) == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert main([*given, more, "output.dir=out"]) == 2
    assert more.partition("=")[0] in capfd.readouterr().err
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before
    assert main([*given, more, "output.dir=out", "output.overwrite=true"]) == 0 and len(runs) == 4


def test_a_setting_given_beside_a_swept_group_gets_a_folder_of_its_own(runs: list[str], capfd) -> None:
    for coarsen in (4, 8):
        assert main(["run", "-m", SHORT, *QUIET, "geometry=ct_nmc,ct_nmc_64", f"geometry.coarsen={coarsen}"]) == 0
    assert len(runs) == 4 and len(list(Path("outputs").iterdir())) == 2
    capfd.readouterr()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["solver.rtol=1e-3,7"], "[1e-8, 0.1], got 7"),
        (["cell.electrolyte.kapa=1,2"], "Did you mean 'electrolyte.kappa'"),
        (["protocol.steps=[Charge at noon],[Rest for 1 h]"], "noon"),
        (["solver.rtol=1e-3,1e-4", "hydra/launcher=slurm"], "'slurm_cpu'"),
        (["solver.rtol=1e-3,1e-4", "hydra.launcher.n_job=2"], "n_job"),
        (["solver.rtol=1e-3,1e-4", "--cfg", "job"], "--cfg"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(runs: list[str], more, said: str, capfd) -> None:
    assert main(words(*FAKE, *more)) == 2
    out, err = capfd.readouterr()
    assert said in err and err.count("\n") == 1 and out == ""
    assert runs == [] and not Path("out").exists()


def test_a_launcher_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra.errors import HydraException

    def compose(*_, **__):
        raise HydraException("Could not load 'hydra/launcher/joblib'")

    monkeypatch.setattr("hydra.compose", compose)
    monkeypatch.setattr(sweep, "_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'voxelyte\[cluster\]'"):
        sweep.launcher_place(["hydra/launcher=local_cpu"])


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["hydra/launcher=local_gpu"], ("here", 1)),
        (["hydra/launcher=local_cpu"], ("workers", 2)),
        (["hydra/launcher=local_cpu", "hydra.launcher.n_jobs=1"], ("here", 1)),
        (["hydra/launcher=submitit_local"], ("workers", 1)),
        (["hydra/launcher=slurm_cpu", "hydra.launcher.partition=long"], ("cluster", 1)),
        (["hydra/launcher=slurm_gpu"], ("cluster", 1)),
    ],
)
def test_shipped_launchers_compose_and_say_where_their_jobs_run(chosen: list[str], expected: tuple) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert sweep.launcher_place(chosen) == expected


# workers that are killed, with a launcher that behaves as joblib does


class Workers:
    """Two runs at a time; a run in `fatal` kills its worker, and joblib then gives up on all."""

    def __init__(self, folder: Path, names: list[str], fatal: set[str]) -> None:
        self.folder, self.names, self.fatal, self.started = folder, names, fatal, []

    def __call__(self, given: list[str], launch: sweep.Launch) -> None:
        left = [n for n in self.names if not read_record(self.folder / n).over]
        left = [n for n in left if not launch.suspects or n in launch.suspects]
        for pair in [[n] for n in left] if launch.suspects else [left[i : i + 2] for i in range(0, len(left), 2)]:
            self.started.append(pair)
            killed = self.fatal & {*pair}
            for name in pair:
                status = "running" if killed else "finished"
                write_record(self.folder, Record(name, {"x": name}, status, launch=launch.id, host="elsewhere"))
            if killed:
                raise RuntimeError("A worker process was unexpectedly terminated")


def start(tmp_path: Path, names: list[str], fatal: set[str], monkeypatch) -> tuple[Workers, dict[str, str]]:
    for name in names:
        write_record(tmp_path, Record(name, {"x": name}))
    workers = Workers(tmp_path, names, fatal)
    monkeypatch.setattr(sweep, "_call_hydra", workers)
    monkeypatch.setattr("simulator.workflows.sweep.alive", lambda record: False)
    launch = sweep.Launch("one", str(tmp_path), ("x",), "workers", workers=2)
    assert not sweep._start([], [], launch, SimpleNamespace(print=lambda *_, **__: None))
    return workers, {record.name: record.status for record in read_records(tmp_path)}


@pytest.mark.parametrize("fatal", [{"b"}, {"a", "b"}, {"a", "d"}, {"e"}, {"a", "b", "c", "d", "e"}])
def test_only_the_run_that_kills_its_worker_fails(fatal: set[str], tmp_path: Path, monkeypatch) -> None:
    workers, status = start(tmp_path, list("abcde"), fatal, monkeypatch)
    assert status == {name: "failed" if name in fatal else "finished" for name in "abcde"}
    assert max(sum(name in pair for pair in workers.started) for name in "abcde") <= 2  # at most once more


def test_a_launcher_that_fails_by_itself_is_reported(tmp_path: Path, monkeypatch) -> None:
    def broken(*_):
        raise FileNotFoundError("sbatch")

    monkeypatch.setattr(sweep, "_call_hydra", broken)
    launch = sweep.Launch("one", str(tmp_path), ("x",), "cluster")
    with pytest.raises(ConfigError, match="The launcher failed: FileNotFoundError: sbatch"):
        sweep._start([], [], launch, SimpleNamespace(print=lambda *_, **__: None))


@pytest.mark.parametrize("event", ["asked", "main is gone"])
def test_workers_stop_when_asked_or_when_the_program_is_gone(
    event: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "setsid", lambda: None)  # the test session stays with its terminal
    program = subprocess.Popen(["sleep", "60"])
    launch = sweep.Launch("one", str(tmp_path), ("x",), "workers", main=program.pid)
    other = sweep.Launch("two", str(tmp_path), ("x",), "workers", main=os.getpid())
    other.stop.touch()  # of another launch into the same folder: none of ours

    def appear() -> None:
        time.sleep(0.5)
        if event == "asked":
            launch.stop.touch()
        else:
            program.kill()

    waiting = threading.Thread(target=appear)
    waiting.start()
    reached, start = False, time.monotonic()
    with sweep._watching(launch):
        time.sleep(30)  # the interruption cuts it short, or the next line is reached
        reached = True
    waiting.join()
    program.kill()
    program.wait()
    assert not reached and time.monotonic() - start > 0.4


def test_a_job_does_not_begin_when_the_program_is_gone(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = words(*FAKE, "solver.rtol=1e-3")[2:]
    composed = SimpleNamespace(overrides=SimpleNamespace(task=given))
    monkeypatch.setattr("hydra.core.hydra_config.HydraConfig.get", lambda: composed)
    monkeypatch.setattr(sweep, "_watching", lambda launch: contextlib.nullcontext())
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    for main_process, ends in ((int(gone.stdout), "pending"), (os.getpid(), "finished")):
        launch = sweep.Launch("one", str(Path("out").resolve()), ("solver.rtol",), "workers", main=main_process)
        monkeypatch.setenv(sweep.LAUNCH, json.dumps(vars(launch)))
        assert sweep.job(None) == ends
    assert runs == ["rtol-0.001"]


def test_runs_that_a_second_ctrl_c_ends_are_interrupted_and_not_failed(tmp_path: Path, monkeypatch) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    def killed(given: list[str], launch: sweep.Launch) -> None:
        for name, pid in (("a", int(gone.stdout)), ("b", os.getpid())):
            here = {"host": socket.gethostname(), "pid": pid}
            write_record(tmp_path, Record(name, {"x": name}, "running", launch=launch.id, **here))
        os.kill(os.getpid(), signal.SIGINT)
        assert launch.stop.exists()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)

    monkeypatch.setattr(sweep, "_call_hydra", killed)
    monkeypatch.setattr(workflow, "mark_stopped", functools.partial(workflow.mark_stopped, seconds=0.2))
    launch = sweep.Launch("one", str(tmp_path), ("x",), "workers", workers=2)
    assert sweep._start([], [], launch, SimpleNamespace(print=lambda *_, **__: None))
    found = {record.name: (record.status, record.reason) for record in read_records(tmp_path)}
    assert found == {"a": ("interrupted", sweep_table.STOPPED), "b": ("running", "")}  # one that is still at work
    assert not list(tmp_path.glob(".stop*"))


def test_the_queue_is_waited_for_until_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("7_0", "7_1", "8", ".submission_file_1.sh"):
        (tmp_path / ".submitit" / name).mkdir(parents=True)
    answers = {"7": ["7_1 R", "7_1 R", ""], "8": ["error"]}
    asked = []

    def squeue(command, **_):
        asked.append(command[-1])
        answer = answers[command[-1]].pop(0)
        return SimpleNamespace(returncode=answer == "error", stdout=answer)

    monkeypatch.setattr(subprocess, "run", squeue)
    sweep.wait_for_cluster(tmp_path, seconds=0.0)
    assert sorted(asked) == ["7", "7", "7", "8"]


# voxelyte sweep


def test_the_table_of_a_sweep_is_shown_and_rebuilt(runs: list[str], capsys) -> None:
    ENDS["rtol-0.01"] = "salt_depleted"
    main(words(*FAKE, "solver.rtol=1e-2,1e-3"))
    Path("out/sweep.csv").unlink()
    capsys.readouterr()
    assert main(["sweep", "out"]) == 0
    out = capsys.readouterr().out
    assert "1 finished, 1 salt_depleted" in out and "It ended so." in out and "sweep.csv" in out
    assert len(rows(Path("out"))) == 2


def test_wrong_names_for_a_picture_are_answered_with_the_right_ones(runs: list[str], capsys) -> None:
    main(words(*FAKE, "solver.rtol=1e-2,1e-3"))
    for more, said in ((["--plot", "capacty"], "capacity [mAh/g AM]"), (["--x", "kappa"], "solver.rtol")):
        assert main(["sweep", "out", *more]) == 2
        assert said in capsys.readouterr().err
    assert main(["sweep", "nowhere"]) == 2
    assert "holds no sweep" in capsys.readouterr().err


# the page about sweeps

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sweeps.md"


def page_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines]


def test_commands_of_the_page_work(runs: list[str], capfd) -> None:
    Path("stack.tif").touch()
    commands = page_commands()
    assert len(commands) == 5
    for command in commands:
        if any(word.startswith("hydra/launcher=") for word in command):  # they compose; others start them for real
            pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
            own = [word for word in command if word.startswith("hydra")]
            assert sweep.launcher_place(own)[0] in ("workers", "cluster")
            assert len(load_sweep([word for word in command[2:] if word not in own]).runs) in (2, 3)
        else:
            assert main(command) == 0, capfd.readouterr().err
    assert len(runs) == 6


def test_the_page_names_every_launcher_column_and_status() -> None:
    text = PAGE.read_text(encoding="utf-8")
    presets = {path.stem for path in (conf_dir() / "hydra" / "launcher").glob("*.yaml")}
    for name in (*presets, *sweep.PLUGINS, "pending", "running", "failed", "status.json", "sweep.csv", "sweep.json"):
        assert f"{name}`" in text, name
    names = list(sweep_table.rows([Record("a", {"solver.rtol": 1e-3}, summary={"capacity [mAh/g AM]": 1.0})])[1][0])
    table = text[text.index("| column |") :].splitlines()[2:]
    assert [line.split("`")[1] for line in table[: len(names)]] == names


@pytest.mark.parametrize(
    "word", [w for w in re.findall(r"^\| `(.*?)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE) if "=" in w]
)
def test_every_way_to_sweep_on_the_page_is_read(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if word == "hydra/launcher=":  # heading of another table
        return
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    for name in "ab":
        Path("scans", f"{name}.tif").touch()
    (word,) = shlex.split(word)
    image = [] if word.startswith("geometry") else ["geometry.path=stack.tif"]
    assert len(load_sweep([*image, word]).runs) >= 2


# for real


def test_four_runs_are_simulated_in_this_process(tiny_stack: Path, tmp_path: Path, capfd) -> None:
    folder = tmp_path / "grid"
    given = words(f"geometry.path={tiny_stack}", f"output.dir={folder}", "cell.kinetics.j0_ref=1,2", AXES[1])
    assert main(given) == 0
    found = rows(folder)
    assert [row["status"] for row in found] == ["finished"] * 4
    loss = {row["run"]: float(row["mean loss, charge transfer [mV]"]) for row in found}
    # twice the exchange current, half the loss; at some millivolts it is nearly linear in the current
    assert loss["j0_ref-1_rtol-0.001"] / loss["j0_ref-2_rtol-0.001"] == pytest.approx(2.0, rel=0.05)
    assert (folder / "sweep.png").stat().st_size > 0
    for row in found:
        assert {RESULT, "curve.bdf.csv", "config.yaml", "status.json"} <= {
            p.name for p in (folder / row["run"]).iterdir()
        }
    stamps = [(folder / row["run"] / RESULT).stat().st_mtime_ns for row in found]
    assert main(given) == 0
    assert [(folder / row["run"] / RESULT).stat().st_mtime_ns for row in found] == stamps
    capfd.readouterr()


def test_two_runs_are_simulated_side_by_side_and_one_fails(tiny_stack: Path, tmp_path: Path, capfd) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(tiny_stack.read_bytes()[:200])
    folder = tmp_path / "pair"
    given = words(f"geometry.path={tiny_stack},{broken}", f"output.dir={folder}", "hydra/launcher=local_cpu")
    assert main(given) == 3
    found = {record.values["geometry.path"]: record for record in read_records(folder)}
    assert found[str(tiny_stack)].status == "finished"
    assert found[str(broken)].status == "failed" and "broken.tif" in found[str(broken)].reason
    assert {record.pid for record in found.values()}.isdisjoint({os.getpid()})
    assert "Newton" in (folder / found[str(tiny_stack)].name / "run.log").read_text()
    said = capfd.readouterr()
    assert "1 failed, 1 finished" in said.out
    assert "Newton" not in said.err  # progress of several runs at a time would be a jumble
    assert json.loads((folder / "sweep.json").read_text())["axes"] == ["geometry.path"]
