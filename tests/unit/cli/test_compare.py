"""`voxelyte compare`: numbers, statuses and the settings that differ."""

import shutil

import pytest

from simulator.cli import main
from simulator.io import read_result
from simulator.workflows.compare import compare, differing, key_numbers, loss_numbers


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")


def test_key_numbers_follow_from_the_curve(make_result):
    numbers = key_numbers(read_result(make_result() / "run.vtkhdf"))
    # 1 pA for one hour, 2e-14 kg, 5 x 6 faces of 0.16 um2, 1e-8 C
    assert numbers["capacity [mAh/g AM]"] == pytest.approx(1e-9 / 2e-11)
    assert numbers["capacity [mAh/cm2]"] == pytest.approx(1e-9 / (30 * 0.16e-8))
    assert numbers["utilisation [%]"] == pytest.approx(36.0)
    # linear in time and charge from 3.6 to 3.96 V
    assert numbers["mean charge voltage [V]"] == pytest.approx(3.78)
    assert "mean discharge voltage [V]" not in numbers
    assert numbers["live share of the AM surface [%]"] == pytest.approx(90.0)


def test_losses_add_up(make_result):
    losses = loss_numbers(read_result(make_result() / "run.vtkhdf"))
    assert losses["loss: ions in the electrode [mV]"] == pytest.approx(20.0)
    assert losses["loss: total [mV]"] == pytest.approx(50.0)


def test_the_tables_show_numbers_statuses_and_what_differs(make_result, capsys):
    make_result("a"), make_result("b", kappa=0.02, status="voltage_limit", steps=("Charge at C/5 until 4.2 V",))
    assert main(["compare", "a", "b"]) == 0
    out = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in out.splitlines() if line.count("│") > 3}
    assert [cell.strip() for cell in rows["status"]] == ["finished", "voltage_limit"]
    assert [cell.strip() for cell in rows["loss: total [mV]"]] == ["50", "80"]
    assert [cell.strip() for cell in rows["electrolyte.kappa"]] == ["0.05", "0.02"]
    assert "protocol.steps" in rows
    # neither where the results lie, nor one setting under two names, nor what is equal
    assert not {"output.dir", "cell.overrides.electrolyte.kappa", "am.density"} & set(rows)
    assert out.split()[-1] == "compare.png"


def test_equal_runs_in_different_folders_are_told_apart_by_their_paths(make_result, capsys, tmp_path):
    first = make_result("x/demo")
    shutil.copytree(first, tmp_path / "y" / "demo")
    found = compare([first, tmp_path / "y" / "demo"], tmp_path / "c.png")
    assert found.names == ["x/demo", "y/demo"]
    assert found.differences == {}
    assert "No setting and no parameter differs" in capsys.readouterr().out


def test_many_runs_get_a_row_each(make_result, capsys):
    names = [f"r{i}" for i in range(6)]
    for number, name in enumerate(names):
        make_result(name, kappa=0.01 * (number + 1))
    assert main(["compare", *names, "--output", "sweep.pdf"]) == 0
    out = capsys.readouterr().out
    assert all(f"│ {name} " in out for name in names)


def test_a_run_that_died_is_shown_with_its_status(make_result, capsys):
    make_result("a"), make_result("b", status="running", rows=False)
    assert main(["compare", "a", "b"]) == 0
    assert "running" in capsys.readouterr().out


def test_other_images_and_versions_count_as_differences(make_result):
    runs = [read_result(make_result(name) / "run.vtkhdf") for name in "ab"]
    object.__setattr__(runs[1], "voxel_size", (1e-6, 1e-6, 1e-6))
    runs[1].provenance["voxelyte"] = "2.0"
    assert set(differing(runs)) == {"image", "voxelyte"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a"], "at least two runs, got 1"),
        (["a", "a/run.vtkhdf"], "given twice"),
        (["a", "nothing"], "does not exist"),
        (["a", "b", "--output", "c.html"], "must be one of .png"),
        (["a", "b", "--output", "no/c.png"], "folder does not exist"),
        ([], "required: RUN"),
    ],
)
def test_wrong_words_end_with_code_2_and_no_figure(make_result, capsys, tmp_path, words, expected):
    make_result("a"), make_result("b")
    assert main(["compare", *words]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""
    assert not list(tmp_path.glob("c*.*"))
