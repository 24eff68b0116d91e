"""The folder of a run."""

from pathlib import Path

import pytest
import yaml

from simulator.config import load
from simulator.errors import ConfigError
from simulator.workflows.folder import RESULT, make_folder, portable, refuse_to_overwrite


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [make_folder(None) for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == Path("outputs") for folder in folders)


def test_results_of_an_earlier_run_are_not_overwritten_unasked(tmp_path: Path) -> None:
    refuse_to_overwrite(load([f"output.dir={tmp_path}"]).output)  # an empty folder is fine
    (tmp_path / RESULT).touch()
    with pytest.raises(ConfigError, match="output.overwrite=true"):
        refuse_to_overwrite(load([f"output.dir={tmp_path}"]).output)
    refuse_to_overwrite(load([f"output.dir={tmp_path}", "output.overwrite=true"]).output)


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="output.dir"):
        make_folder(str(tmp_path / "file" / "run"))


def test_stored_configuration_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    config = load(["geometry=file", f"geometry.path={tmp_path}/images/stack.tif", f"output.dir={tmp_path}/run"])
    stored = portable(config, tmp_path / "run")
    assert stored["geometry"]["path"] == "../images/stack.tif"
    assert str(tmp_path) not in yaml.safe_dump(stored)
    assert portable(load(), tmp_path)["geometry"]["path"] == "mesh:nmc532_film_48.tif"
