"""The problem that benchmarks/peers/conduction_peer.py gives to other programs; none of them is needed here."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

PEERS = Path(__file__).resolve().parents[3] / "benchmarks" / "peers"
# Two direct solves of well-conditioned systems of at most a few hundred unknowns differ by rounding only.
ROUNDING = 1e-12


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PEERS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


peer = _load("conduction_peer")


def _random_image() -> np.ndarray:
    """Two conducting phases and pores in 7 x 5 x 6 voxels, with islands."""
    rng = np.random.default_rng(0)
    return rng.choice([0.0, 1.0, 0.3], size=(7, 5, 6), p=[0.55, 0.25, 0.2])


def _keff(sigma: np.ndarray) -> float:
    system = peer.assemble(sigma)
    return peer.conductivity(system, spsolve(system.csr().tocsc(), system.rhs))


def test_whole_matrix_of_four_voxels() -> None:
    sigma = np.array([[[1.0, 2.0]], [[3.0, 0.5]]])  # [z, y, x] = [2, 1, 2]
    system = peer.assemble(sigma)
    x0, x1 = 2 * 1 * 2 / 3, 2 * 3 * 0.5 / 3.5  # faces along x in planes 0 and 1
    z0, z1 = 2 * 1 * 3 / 4, 2 * 2 * 0.5 / 2.5  # faces along z in columns 0 and 1
    expected = np.array(
        [
            [x0 + z0 + 2, -x0, -z0, 0],
            [-x0, x0 + z1 + 4, 0, -z1],
            [-z0, 0, x1 + z0 + 6, -x1],
            [0, -z1, -x1, x1 + z1 + 1],
        ]
    )
    np.testing.assert_allclose(system.csr().toarray(), expected, rtol=ROUNDING)
    np.testing.assert_array_equal(system.rhs, [2.0, 4.0, 0.0, 0.0])
    assert system.factor == 2 / (1 * 2)


def test_single_plane_touches_both_walls() -> None:
    # 1 / (1 / (2 sigma) + 1 / (2 sigma)) = sigma through one plane of thickness 1
    assert _keff(np.full((1, 2, 3), 0.7)) == pytest.approx(0.7, rel=ROUNDING)


def test_series_layers_give_the_harmonic_and_parallel_columns_the_arithmetic_mean() -> None:
    values = np.array([1.0, 0.2, 5.0, 3.0, 0.01])
    layers = np.broadcast_to(values[:, None, None], (5, 3, 4)).copy()
    columns = np.broadcast_to(values[None, None, :], (4, 3, 5)).copy()
    assert _keff(layers) == pytest.approx(5 / np.sum(1 / values), rel=ROUNDING)
    assert _keff(columns) == pytest.approx(values.mean(), rel=ROUNDING)


def test_islands_are_left_out_and_dead_ends_kept() -> None:
    sigma = np.zeros((6, 3, 3))
    sigma[:, 0, 0] = 1.0  # through
    sigma[:2, 2, 2] = 1.0  # dead end on one plane
    sigma[3, 2, 1] = 1.0  # island; touches the dead end's column at no face
    system = peer.assemble(sigma)
    assert system.unknowns == 8
    assert _keff(sigma) == pytest.approx(1 / 9, rel=ROUNDING)


def test_columns_are_sorted_and_the_matrix_is_symmetric() -> None:
    matrix = peer.assemble(_random_image()).csr()
    assert matrix.has_sorted_indices  # scipy looks at the columns, the flag is not set by us
    assert abs(matrix - matrix.T).max() == 0


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_parts_of_the_processes_stack_to_the_whole(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sigma = _random_image()
    whole = peer.assemble(sigma)
    monkeypatch.setattr(peer, "PLANES", 2)  # several slabs in every part, too
    pieces = [peer.assemble(sigma, part, parts) for part in range(parts)]  # 9 parts of 7 planes: some are empty
    stacked = sp.vstack([piece.csr() for piece in pieces])
    assert abs(stacked - whole.csr()).max() == 0
    np.testing.assert_array_equal(np.concatenate([piece.rhs for piece in pieces]), whole.rhs)


def test_a_second_assembly_of_its_own_gives_the_same_conductivity() -> None:
    other = _load("pybamm_column").effective_conductivity_z
    rng = np.random.default_rng(1)
    sigma = rng.choice([1.0, 0.3], size=(8, 5, 6))  # no islands: the other one keeps them
    # it iterates to a residual of 1e-11
    assert _keff(sigma) == pytest.approx(other(sigma), rel=1e-9)


def _command(*arguments: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, str(PEERS / "conduction_peer.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    return done.returncode, json.loads(lines[0])


def test_command_prints_one_line_with_value_residual_times_and_memory(tmp_path: Path) -> None:
    sigma = np.broadcast_to(np.array([1.0, 0.2, 5.0])[:, None, None], (3, 2, 2))
    np.save(tmp_path / "sigma.npy", sigma)
    code, line = _command("--solver", "scipy-direct", "--image", str(tmp_path / "sigma.npy"))
    assert code == 0
    assert line["value"] == pytest.approx(3 / 6.2, rel=ROUNDING)
    assert line["relative_residual"] < ROUNDING
    assert (line["voxels"], line["unknowns"], line["threads_used"]) == (12, 12, 1)
    assert line["wall_s"] >= line["assembly_s"] + line["setup_s"] + line["solve_s"] > 0
    assert line["peak_bytes_above_import"] >= 0


def test_command_reports_a_failure_as_one_line(tmp_path: Path) -> None:
    code, line = _command("--solver", "scipy-direct", "--image", str(tmp_path / "none.npy"))
    assert code == 1
    assert line["solver"] == "scipy-direct"
    assert "FileNotFoundError" in line["error"]
    np.save(tmp_path / "sigma.npy", -np.ones((2, 2, 2)))
    code, line = _command("--solver", "scipy-direct", "--image", str(tmp_path / "sigma.npy"))
    assert code == 1
    assert ">= 0" in line["error"]
