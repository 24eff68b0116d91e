"""The history of the benchmarks and its comparison, on made-up lines."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import history
from benchmarks.__main__ import main
from benchmarks.record import append, code_modified, number, significant, table
from simulator.errors import ConfigError

OLD, NEW = "a1b2c3d4e5f6", "0f1e2d3c4b5a"


def _line(commit: str, wall: float = 1.0, memory: float | None = 300.0, **changes: Any) -> dict[str, Any]:
    line = {"benchmark": "effective", "solver": "voxelyte", "structure": "spheres", "size": 64, "tolerance": "keff"}
    line |= {"device": "cpu", "processor": "P", "cores": 2, "platform": "Linux", "threads": 2, "git_commit": commit}
    return line | {"git_modified": False, "wall_s": wall, "bytes_per_voxel": memory, "date": "2026-01-02"} | changes


def _file(folder: Path, *lines: dict[str, Any]) -> list[str]:
    for line in lines:
        append(line, folder / "h.jsonl")
    return ["--history", str(folder / "h.jsonl")]


def _compare(*pair: list[dict[str, Any]]) -> list[history.Comparison]:
    return history.compare(*pair)


def test_ratios_are_new_over_old() -> None:
    [found] = _compare([_line(OLD, 2.0, 300.0)], [_line(NEW, 3.0, 150.0)])
    assert found.ratios == (1.5, 0.5)
    assert found.case == "effective spheres 64^3 keff"


def test_the_latest_line_of_a_case_counts() -> None:
    [found] = _compare([_line(OLD, 9.0), _line(OLD, 2.0)], [_line(NEW, 4.0)])
    assert found.ratios[0] == 2.0


@pytest.mark.parametrize("key", ["device", "processor", "cores", "threads", "structure", "size", "tolerance"])
def test_lines_of_another_machine_or_case_are_not_compared(key: str) -> None:
    with pytest.raises(ConfigError, match="no case in common"):
        _compare([_line(OLD)], [_line(NEW, **{key: 7})])


def test_memory_that_is_not_known_is_not_compared() -> None:
    [found] = _compare([_line(OLD, memory=None)], [_line(NEW)])
    assert found.ratios == (1.0, None)
    assert not found.worse(1.15)


def test_either_time_or_memory_beyond_the_limit_is_worse() -> None:
    [slower] = _compare([_line(OLD)], [_line(NEW, wall=1.2)])
    [larger] = _compare([_line(OLD)], [_line(NEW, memory=400.0)])
    [equal] = _compare([_line(OLD)], [_line(NEW)])
    assert slower.worse(1.15) and larger.worse(1.15) and not equal.worse(1.15)
    assert not slower.worse(1.25)


def test_commits_are_chosen_by_their_first_digits_and_changed_code_by_a_plus() -> None:
    lines = [_line(OLD, 1.0), _line(OLD, 2.0, git_modified=True), _line(NEW, 3.0), _line(OLD, 4.0, solver="amgcl")]
    assert [line["wall_s"] for line in history.select(lines, OLD[:4])] == [1.0]
    assert [line["wall_s"] for line in history.select(lines, OLD[:6] + "+")] == [2.0]
    assert [line["wall_s"] for line in history.select(lines, "line:3")] == [3.0]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("a1", "at least 4"),
        ("ffff", "no line of ffff"),
        ("a1b2+", "unchanged code only. Write a1b2"),
        ("line:9", "lines 1 to 3"),
        ("line:x", "lines 1 to 3"),
        ("line:3", "amgcl"),
        ("cccc", "several commits"),
    ],
)
def test_a_choice_that_means_nothing_says_what_there_is(choice: str, message: str) -> None:
    lines = [_line(OLD), _line("cccc1"), _line("cccc2", solver="amgcl")]
    if choice == "cccc":
        lines.append(_line("cccc3"))
    with pytest.raises(ConfigError, match=message):
        history.select(lines, choice)


def test_command_compare_ends_with_one_beyond_the_limit_only(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    where = _file(tmp_path, _line(OLD, 1.0), _line(NEW, 1.3), _line(NEW, 0.5, size=32), _line(OLD, 0.5, size=32))
    assert main(["compare", OLD, NEW, *where]) == 1
    shown = capsys.readouterr().out
    assert "> 1.15" in shown and "1 of 2 cases" in shown
    assert main(["compare", OLD, NEW, "--limit", "1.4", *where]) == 0
    assert main(["compare", NEW, OLD, *where]) == 0


def test_comparison_marks_times_of_a_busy_machine() -> None:
    found = _compare([_line(OLD, busy_cores=1.5)], [_line(NEW, busy_cores=0.0)])
    assert "busy machine" in history.comparison_table(found, 1.15)
    assert "busy machine" not in history.comparison_table(_compare([_line(OLD)], [_line(NEW)]), 1.15)


def test_command_compare_refuses_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compare", OLD, NEW, "--history", str(tmp_path / "none.jsonl")]) == 2
    assert "measure first" in capsys.readouterr().err
    where = _file(tmp_path, _line(OLD))
    assert main(["compare", OLD, OLD, "--limit", "0", *where]) == 2
    assert "above 0" in capsys.readouterr().err


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "h.jsonl").write_text(json.dumps(_line(OLD)) + "\n{broken\n")
    with pytest.raises(ConfigError, match="line 2"):
        history.read(tmp_path / "h.jsonl")


def test_lines_are_read_as_written(tmp_path: Path) -> None:
    _file(tmp_path / "new" / "folder", _line(OLD), _line(NEW))
    assert history.read(tmp_path / "new" / "folder" / "h.jsonl") == [_line(OLD), _line(NEW)]
    assert history.read(tmp_path / "none.jsonl") == []


def test_list_counts_the_measurements_of_each_commit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["list", *_file(tmp_path, _line(OLD), _line(OLD), _line(NEW, git_modified=True))]) == 0
    shown = capsys.readouterr().out
    assert f"{OLD[:8]}      2 measurements" in shown and f"{NEW[:8]}+     1 measurements" in shown


def test_results_do_not_make_the_code_look_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    for path in (results / "history.jsonl", tmp_path / "code.py"):
        path.write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    (results / "history.jsonl").write_text("2\n")
    assert not code_modified(tmp_path)
    (tmp_path / "code.py").write_text("2\n")
    assert code_modified(tmp_path)


def test_infinite_numbers_become_null_and_others_keep_their_digits() -> None:
    line = significant({"a": float("inf"), "b": [1.23456789], "c": 12345678, "d": True}, digits=3)
    assert line == {"a": None, "b": [1.23], "c": 12345678, "d": True}
    assert [number(None), number(0.012345), number(123456.7)] == ["-", "0.0123", "123457"]


def test_table_rows_have_equal_width() -> None:
    rows = table(("case", "n"), [("a longer one", "1"), ("b", "22222")]).splitlines()
    assert len({len(row) for row in rows}) == 1
