"""What the program answers on the command line, and with which exit code."""

import json
import subprocess
import sys

import pytest

from simulator.cli import COMMANDS, main

HEAVY = ("jax", "numpy", "scipy", "hydra", "pyvista", "matplotlib")


def modules_after(arguments: list[str], watched: tuple[str, ...]) -> list[str]:
    """Which of `watched` a fresh Python has imported after `voxelyte ARGUMENTS`."""
    script = (
        "import json, sys\n"
        "from simulator.cli import main\n"
        f"main({arguments!r})\n"
        f"print(json.dumps([name for name in {watched!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["rnu"]])
def test_help_and_typing_mistakes_are_answered_without_heavy_imports(arguments: list[str]) -> None:
    # This, and not a measured time, keeps the answer within a fraction of a second.
    assert modules_after(arguments, HEAVY) == []


def test_settings_are_checked_before_jax_is_imported() -> None:
    assert modules_after(["run", "solver.rtol=-1"], ("jax", "hydra")) == ["hydra"]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_help_of_run_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert "ct_nmc|" in out
    assert "charge_c10" in out


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("voxelyte ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "usage: voxelyte COMMAND"),
        (["runn"], "Did you mean 'run'?"),
        (["simulate"], "run"),
        (["run", "--nothing"], "--nothing"),
        (["run", "-m", "solver.rtol=1e-3"], "Nothing is swept"),
        (["run", "solver.rtol=1e-3,1e-4"], "voxelyte run -m"),
        (["run", "geometry=ct_nmcc"], "Did you mean 'ct_nmc'"),
        (["run", "solver.rtol=7"], "[1e-8, 0.1], got 7.0"),
    ],
)
def test_bad_input_ends_with_code_2_and_a_message_on_stderr(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_cfg_job_prints_the_configuration_that_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--cfg", "job", "solver.rtol=1e-4"]) == 0
    assert "rtol: 0.0001" in capsys.readouterr().out


def test_module_and_program_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "runn"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "Did you mean 'run'?" in done.stderr
