"""Settings of the test session: float64, no silent broadcasting, one compilation cache, markers."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _own_cores() -> None:
    """Give each of several test processes its own processor cores: JAX's threads would only get in each other's way."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
        mine = sorted(os.sched_getaffinity(0))[int(worker[2:]) :: count]
        if mine:
            os.sched_setaffinity(0, mine)


_own_cores()  # before JAX is imported and counts them

# Set before JAX is imported anywhere, and inherited by the programs that tests start.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
# Shapes that only fit by adding axes in front are mistakes in this code. Dtype promotion stays as it is:
# float32 coefficients times float64 vectors are meant.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def tiny_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFF of 12 x 13 x 11 voxels of the shipped electrode, 1 % of it isolated: seconds to simulate."""
    import tifffile

    from simulator.resources import mesh_path

    voxels = tifffile.imread(mesh_path("nmc532_film_48.tif"))[0:12, 0:13, 0:11]
    path = tmp_path_factory.mktemp("stack") / "tiny.tif"
    size = 1 / 0.398
    tags = {"spacing": 0.398, "unit": "um"}
    tifffile.imwrite(path, voxels, imagej=True, resolution=(size, size), metadata=tags)
    return path


@pytest.fixture(scope="module", autouse=True)
def room_for_programs() -> None:
    """Programs of earlier test files make place, before Linux aborts a process with too many memory maps."""
    from simulator.numerics.compilation import make_room_for_programs

    make_room_for_programs()


def _has_gpu() -> bool:
    return any(device.platform == "gpu" for device in jax.devices())


#: Files that take a minute or more. They begin first, or one process would be left with them at the end.
LONG_FILES = (
    "test_docs.py",
    "test_interruption.py",
    "test_conduction.py",
    "test_decomposition.py",
    "test_manufactured.py",
    "test_manufactured_coupled.py",
    "test_sweep.py",
    "test_docs_tables.py",
    "test_simulate.py",
    "test_column.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder (tests/verification -> verification), long files first; skip `gpu` tests on a machine without."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in ("verification", "regression"):
            item.add_marker(folder)
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if gpu_items and not _has_gpu():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))
