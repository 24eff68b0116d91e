"""Completion answers fast, knows what the program knows, and works in a real bash."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from simulator.cli import COMMANDS, main
from simulator.config.compose import KEYS
from simulator.materials.parameter_sets import SPECS
from simulator.resources import config_groups
from simulator.workflows import completion
from simulator.workflows.completion import FILES, candidates

ROOT = Path(completion.__file__).resolve().parents[2]


def ask(*words):
    return candidates(words, COMMANDS)


def test_parameter_names_are_those_of_the_table() -> None:
    assert completion.parameter_names() == list(SPECS)


def test_settings_are_those_of_the_schema() -> None:
    assert set(completion.setting_values()) == set(KEYS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"completion"}))
def test_options_are_those_of_the_command(command: str) -> None:
    module = import_module(COMMANDS[command][0])
    if not hasattr(module, "_parser"):
        pytest.skip("the command has no parser of its own")
    options = {text for text in module._parser()._option_string_actions if text.startswith("--")}
    assert set(ask(command, "--")) == options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vi"], ["view"]),
        (["--v"], ["--version"]),
        (["run", "geome"], ["geometry.", "geometry="]),
        (["run", "res"], ["resume="]),
        (["run", "exp"], ["experiment="]),
        (["run", "experiment=an2023/pe"], ["experiment=an2023/pegda", "experiment=an2023/peo_acn"]),
        (["study", "an2023", "--only", ""], []),
        (["run", "geometry=fi"], ["geometry=file"]),
        (["run", "solver.prec"], ["solver.precision="]),
        (["run", "cell.kinetics.j"], ["cell.kinetics.j0_ref="]),
        (["run", "cell.par"], ["cell.parameter_set="]),
        (["run", "output.pictures="], ["output.pictures=false", "output.pictures=true"]),
        (["run", "geometry.path=mesh:nmc532_film_4"], ["geometry.path=mesh:nmc532_film_48.tif"]),
        (["run", "geometry.path="], [FILES]),
        (["run", "output.dir=a"], [FILES]),
        (["run", "solver.rtol="], []),
        (["run", "--cfg", ""], ["job"]),
        (["run", "-m", "hydra"], ["hydra.launcher.", "hydra/launcher="]),
        (["run", "hydra"], []),
        (["run", "-m", "hydra/launcher=local"], ["hydra/launcher=local_cpu", "hydra/launcher=local_gpu"]),
        (["run", "-m", "hydra.launcher.part"], ["hydra.launcher.partition="]),
        (["fit", ""], [FILES]),
        (["fit", "fit.yaml", "solver.prec"], ["solver.precision="]),
        (["sweep", ""], [FILES]),
        (["view", ""], [FILES]),
        (["view", "a", "--field", "phi"], ["phi_e", "phi_s"]),
        (["view", "a", "--output", ""], [FILES]),
        (["view", "a", "--step", ""], []),
        (["report", "--o"], ["--output"]),
        (["completion", "b"], ["bash"]),
        (["nonsense", ""], []),
    ],
)
def test_what_can_follow_is_offered(words: list[str], expected: list[str]) -> None:
    assert ask(*words) == expected


def test_every_choice_of_every_group_is_offered() -> None:
    for group, names in config_groups().items():
        assert ask("run", f"{group}=") == [f"{group}={name}" for name in names]


def test_answers_need_nothing_beyond_the_standard_library() -> None:
    # This, and not a measured time, keeps the answer within a fraction of a second.
    script = (
        "import json, sys\nfrom simulator.cli import main\nmain(['completion', '--candidates', 'run', 'cell.'])\n"
        "print(json.dumps([n for n in ('jax', 'numpy', 'omegaconf', 'hydra', 'rich', 'h5py') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert "cell.am.density=" in done.stdout


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_has_a_script_that_asks_the_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "completion --candidates" in capsys.readouterr().out


def test_unknown_shells_are_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    main(["completion", shell])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    done = subprocess.run([shell, "-n", "script"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def press_tab(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What bash would offer for a line, with a `voxelyte` on the path and two files in the folder."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    main(["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    program = tmp_path / "bin" / "voxelyte"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m simulator "$@"\n')
    program.chmod(0o755)
    (tmp_path / "my stack.tif").touch()
    (tmp_path / "runs").mkdir()
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def press(line: str, breaks: str = " \t\n\"'><=;|&(:") -> list[str]:
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        script = (
            f"source ./script\nCOMP_WORDBREAKS={shlex.quote(breaks)}\n"
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
            f"COMP_LINE='{line}'; COMP_POINT={len(line)}\n"
            "_voxelyte\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return press


def test_bash_completes_commands_and_settings(press_tab) -> None:
    assert press_tab("voxelyte re") == ["report"]
    assert press_tab("voxelyte run geometry.sep") == ["geometry.separator_side="]


def test_bash_gets_only_what_follows_the_last_place_where_it_breaks_words(press_tab) -> None:
    assert press_tab("voxelyte run geometry=fi") == ["file"]
    assert press_tab("voxelyte run geometry.path=mesh:nmc532_film_48") == ["nmc532_film_48.tif"]
    # a bash told not to break at = replaces the whole word
    assert press_tab("voxelyte run geometry=fi", " ") == ["geometry=file"]


def test_bash_completes_files_also_behind_a_setting(press_tab) -> None:
    assert press_tab("voxelyte view r") == ["runs"]
    assert press_tab("voxelyte run geometry.path=my") == ["my stack.tif"]
