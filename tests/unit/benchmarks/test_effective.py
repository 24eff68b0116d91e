"""The measurement of effective conductivity: arguments, choice of programs, counted traffic, one run in a child."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks import effective
from simulator.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["efective"], "'effective'"),
        (["effective", "--structures", "sphere"], "'spheres'"),
        (["effective", "--sizes", "1"], "at least 2"),
        (["effective", "--structures", "film-am", "--sizes", "200"], "at most 128"),
        (["effective", "--peers", "amgc"], "'amgcl'"),
        (["effective", "--repeats", "0"], "at least 1"),
        (["effective", "--threads", "0"], "--threads must lie in 1 to"),
        (["coupled", "--sizes", "200"], "16 to 128"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "run_child", lambda *_: pytest.fail("a measurement was started"))
    assert program.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_programs_are_chosen_by_name_or_environment() -> None:
    assert effective.choose_peers("none") == []
    assert effective.choose_peers("amgcl,pyamg,pyamg-sa") == ["amgcl", "pyamg-sa", "pyamg-rs"]
    assert effective.choose_peers("all") == effective.peer_names()
    assert "scipy-direct" not in effective.peer_names()
    with pytest.raises(ConfigError, match="taufactor"):
        effective.choose_peers("taufacto")


def _own(**changes: Any) -> dict[str, Any]:
    own = {"benchmark": "effective", "structure": "layers", "size": 12, "tolerance": "keff", "threads": 1}
    return own | {"reference": 0.1, "wall_s": 1.0, "peak_bytes": 1000} | changes


def test_a_missing_environment_is_skipped_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXELYTE_PEER_PYAMG", str(tmp_path / "none"))
    line = effective.measure_peer("pyamg-sa", tmp_path / "sigma.npy", _own())
    assert "benchmarks/peers/pyamg.txt" in line["skipped"] and "VOXELYTE_PEER_PYAMG" in line["skipped"]


def _answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, errors: dict[str, float]) -> list[str]:
    """Let programs answer with an error of the conductivity for each tolerance; returns the tolerances asked for."""
    python = tmp_path / "python"
    python.touch()
    for name in ("AMGCL", "TAUFACTOR", "PORESPY"):
        monkeypatch.setenv(f"VOXELYTE_PEER_{name}", str(python))
    asked: list[str] = []

    def answer(peer: str, image: Path, threads: int, options: tuple[str, str]) -> dict[str, Any]:
        asked.append(" ".join(options))
        value = 0.1 * (1 + errors.get(options[1], 0.0))
        return {"solver": peer, "value": value, "wall_s": 2.0, "peak_bytes_above_import": 500, "voxels": 10}

    monkeypatch.setattr(effective, "run_peer", answer)
    return asked


def test_the_loosest_residual_that_meets_the_error_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = _answers(monkeypatch, tmp_path, {"0.01": 0.05, "0.001": 5e-4})
    line = effective.measure_peer("amgcl", tmp_path, _own())
    assert asked == ["--residual-rtol 0.01", "--residual-rtol 0.001"]
    assert line["error"] == pytest.approx(5e-4)  # rounding of the made-up value only
    assert (line["wall_ratio"], line["bytes_ratio"], line["bytes_per_voxel"]) == (2.0, 0.5, 50.0)


def test_residual_tolerance_is_the_same_for_all_matrix_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = _answers(monkeypatch, tmp_path, {})
    effective.measure_peer("amgcl", tmp_path, _own(tolerance="residual"))
    assert asked == ["--residual-rtol 1e-08"]


def test_programs_with_a_criterion_of_their_own_use_it_and_have_no_residual(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = _answers(monkeypatch, tmp_path, {"0.001": 0.5})
    assert effective.measure_peer("taufactor", tmp_path, _own())["error"] == pytest.approx(0.5)
    assert effective.measure_peer("porespy", tmp_path, _own())["error"] is None  # another discrete problem
    assert asked == ["--taufactor-conv 0.001", "--porespy-ftol 0.001"]
    assert "own criterion" in effective.measure_peer("taufactor", tmp_path, _own(tolerance="residual"))["skipped"]


def test_traffic_of_a_single_grid_is_the_sum_of_its_statements() -> None:
    # one voxel has no coarser grid: 4 faces + 10 vectors + (8 + 30.5 + 4 * 4) of the cycle
    assert effective.traffic(1, 8, 8, 4, (2, 2), 1) == 4 * 8 + 10 * 8 + 54.5 * 4


def test_more_visits_and_split_blocks_move_more() -> None:
    plain = effective.traffic(64**3, 4, 4, 4, (2, 2), 1)
    thin = effective.traffic(64**3, 4, 4, 4, (3, 3, 2), 0)
    assert thin > effective.traffic(64**3, 4, 4, 4, (3, 3, 2), 1) > plain > 54.5 * 4 * 64**3


def test_one_run_in_a_child_gives_a_complete_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "h.jsonl"
    options = ["--structures", "layers", "--sizes", "12", "--repeats", "1", "--threads", "1"]
    assert program.main(["effective", *options, "--history", str(path)]) == 0
    [line] = [json.loads(text) for text in path.read_text().splitlines()]
    # layers of 4, 4, 4 planes in series: 12 / (8 / 1 + 4 / 0.05); float32 conductivities, six digits kept
    assert line["value"] == pytest.approx(12 / 88, rel=effective.KEFF_RTOL)
    # half a unit of the sixth digit of 0.136364 is 4e-6 of it
    assert line["reference"] == pytest.approx(12 / 88, rel=5e-6)
    assert line["converged"] and line["voxels"] == 1728
    assert line["compile_s"] == pytest.approx(line["first_s"] - line["wall_s"], rel=1e-3)  # of differences of those
    expected = {"date", "device", "jax", "threads", "cpu_s", "iterations", "relative_residual", "bytes_per_voxel"}
    assert expected <= set(line)
    assert "image" not in line  # a path of this machine
    shown = capsys.readouterr().out
    assert json.loads(shown.splitlines()[0]) == line
    assert "| layers 12^3 keff |" in shown
