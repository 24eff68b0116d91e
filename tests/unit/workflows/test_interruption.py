"""Runs that are killed, interrupted or run out of disk: nothing is corrupted, and they go on to the same numbers."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from simulator import cli
from simulator.io import RunResult, read_result
from simulator.io.atomic import SPARE
from simulator.workflows.folder import LOCK

STEPS = "protocol.steps=[Charge at C/2 until 3.75 V, Rest for 10 min, Discharge at C/2 for 10 min]"
LABELS = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"

#: `python -m simulator` under a limit on the size of files [bytes], its first argument
SMALL_FILES = """
import resource, runpy, signal, sys
limit = int(sys.argv.pop(1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("simulator", run_name="__main__", alter_sys=True)
"""


def command(stack: Path, folder: Path, *more: str) -> list[str]:
    settings = (LABELS, STEPS, f"output.dir={folder}", "output.pictures=false")
    program = [sys.executable, "-m", "simulator", "run", "geometry=file", f"geometry.path={stack}"]
    return [*program, *settings, "output.checkpoint=0", "output.snapshots=200", *more]


def finish(stack: Path, folder: Path) -> RunResult:
    """Run or go on to the end, in this process: it has its programs in memory after the first time."""
    assert cli.main(command(stack, folder, "resume=true")[3:]) == 0
    return read_result(folder / "run.vtkhdf")


@pytest.fixture(scope="module")
def whole(tiny_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return finish(tiny_stack, tmp_path_factory.mktemp("whole") / "run")


def assert_same(one: RunResult, other: RunResult) -> None:
    """Every row, saved time, field, particle and face history, to the last bit: one program, the same steps."""
    assert one.status == other.status == "finished"
    assert one.timeseries.keys() == other.timeseries.keys()
    for name, values in one.timeseries.items():
        np.testing.assert_array_equal(values, other.timeseries[name], err_msg=name)
    np.testing.assert_array_equal(one.field_times, other.field_times)
    for name in one.field_specs:
        for index in range(one.field_times.size):
            np.testing.assert_array_equal(one.field(name, index), other.field(name, index), err_msg=name)
    assert one.particles is not None and other.particles is not None
    np.testing.assert_array_equal(one.particles.sto, other.particles.sto)
    for index in range(one.field_times.size):
        np.testing.assert_array_equal(one.face("current_density", index), other.face("current_density", index))
    assert one.ledger == other.ledger


def kill_at_random_times(stack: Path, folder: Path, kills: int, seed: int) -> int:
    """Start and kill -9 the run `kills` times, each after a random number of its steps; returns the kills that hit."""
    draw, result, hits, seen = random.Random(seed), folder / "run.vtkhdf", 0, 0
    for _ in range(kills):
        with subprocess.Popen(command(stack, folder, "resume=true"), stderr=subprocess.DEVNULL) as process:
            # wait for the first new row, then a random part of the time that the rest of the run takes
            while process.poll() is None and not (result.exists() and rows_of(result) > seen):
                time.sleep(0.02)
            time.sleep(draw.uniform(0.0, 0.4))
            hits += process.poll() is None
            process.kill()
        seen = rows_of(result)  # readable after every kill
        if read_result(result).status == "finished":
            break
    return hits


def rows_of(result: Path) -> int:
    return read_result(result).timeseries["test_time_second"].size


def test_killed_runs_go_on_to_the_same_result(tiny_stack: Path, tmp_path: Path, whole: RunResult) -> None:
    assert kill_at_random_times(tiny_stack, tmp_path / "run", kills=2, seed=1) >= 1
    assert_same(finish(tiny_stack, tmp_path / "run"), whole)
    left = {p.name for p in (tmp_path / "run").iterdir()}
    assert left == {"run.vtkhdf", "curve.bdf.csv", "cycles.csv", "config.yaml", LOCK}


@pytest.mark.slow
def test_twenty_kills_at_random_times(tiny_stack: Path, tmp_path: Path, whole: RunResult) -> None:
    hits, seed = 0, 0
    while hits < 20:
        folder = tmp_path / f"run{seed}"
        hits += kill_at_random_times(tiny_stack, folder, kills=20 - hits, seed=seed)
        assert_same(finish(tiny_stack, folder), whole)
        seed += 1


def test_ctrl_c_saves_says_how_to_go_on_and_does(
    tiny_stack: Path, tmp_path: Path, whole: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    result = folder / "run.vtkhdf"
    with subprocess.Popen(command(tiny_stack, folder), stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (result.exists() and rows_of(result) > 2):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Stopping after this time step" in said and "resume=true" in said
    assert read_result(result).status == "interrupted"
    assert cli.main(command(tiny_stack, folder)[3:]) == 2
    assert "resume=true" in capsys.readouterr().err
    assert_same(finish(tiny_stack, folder), whole)


def test_a_full_disk_ends_the_run_clearly_and_it_goes_on_when_there_is_room(
    tiny_stack: Path, tmp_path: Path, whole: RunResult
) -> None:
    # A limit on the size of files stands in for the full disk; it is met when the file is nine tenths complete.
    folder = tmp_path / "run"
    limit = SPARE + 9 * (whole.path.stat().st_size // 10)

    program = [sys.executable, "-c", SMALL_FILES, str(limit), *command(tiny_stack, folder)[3:]]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 130
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr
    half = read_result(folder / "run.vtkhdf")
    assert 0 < half.timeseries["test_time_second"].size < whole.timeseries["test_time_second"].size
    assert [p.name for p in folder.iterdir() if p.name.endswith(".part")] == []
    assert_same(finish(tiny_stack, folder), whole)
