"""The wheel carries what the program needs, and works away from the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else. Needs no network: hatchling is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = folder.glob("voxelyte-*.whl")
    site = folder / "site"
    subprocess.run(
        [*PIP, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)],
        check=True,
        timeout=120,
    )
    return site


def run_python(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed wheel first on its path, in an empty folder."""
    elsewhere = site.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_program_starts_from_the_installed_wheel(installed: Path) -> None:
    done = run_python(installed, "-m", "simulator", "--help")
    assert done.returncode == 0, done.stderr
    assert "voxelyte COMMAND" in done.stdout


def test_configuration_and_demonstration_images_come_with_the_wheel(installed: Path) -> None:
    script = """
import json, simulator
from simulator import resources
from simulator.config import load
print(json.dumps({
    "package": simulator.__file__,
    "conf": str(resources.conf_dir()),
    "mesh": str(resources.image_path(load().geometry.path)),
    "mesh_64": str(resources.image_path(load(["geometry=ct_nmc_64"]).geometry.path)),
    "preset": str(resources.image_path(load(["experiment=an2023/cal"]).geometry.path)),
}))
"""
    done = run_python(installed, "-c", script)
    assert done.returncode == 0, done.stderr
    found = {name: Path(path) for name, path in json.loads(done.stdout).items()}
    for name, path in found.items():
        assert path.is_relative_to(installed), f"{name} lies outside the wheel: {path}"
        assert path.exists(), f"{name} is missing: {path}"
    assert (found["mesh"].parent / "NOTICES.txt").is_file()


@pytest.mark.slow
def test_installed_wheel_simulates_an_image_elsewhere(installed: Path, tiny_stack: Path) -> None:
    """The whole main job from the wheel: configuration, image, solve, curve, result file, table."""
    overrides = [
        "geometry=file",
        f"geometry.path={tiny_stack}",
        "geometry.labels={electrolyte: 0, am: 1, cbd: 2}",
        "protocol.steps=[Charge at C/5 for 10 min]",
        "output.dir=done",
        "output.pictures=false",
    ]
    done = run_python(installed, "-m", "simulator", "run", *overrides)
    assert done.returncode == 0, done.stderr
    assert "capacity [mAh/g AM]" in done.stdout
    folder = installed.parent / "elsewhere" / "done"
    assert {path.name for path in folder.iterdir()} >= {"run.vtkhdf", "curve.bdf.csv", "config.yaml"}


def test_wheel_holds_no_tests_and_no_benchmarks(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} <= {"simulator", "bin"}
