"""Effective conductivity of a named structure: our solver, and other programs on the same image.

Each measurement runs in a fresh process, one at a time, so that its peak memory is that of one case.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.conduction_peer import PEERS
from benchmarks.record import (
    ROOT,
    end_with_parent,
    high_water_bytes,
    machine,
    median,
    number,
    significant,
    table,
    today,
    use_threads,
)
from simulator.errors import ConfigError, did_you_mean

KEFF_RTOL, RESIDUAL_RTOL, REFERENCE_RTOL = 1e-3, 1e-8, 1e-10
TOLERANCES = {"keff": (KEFF_RTOL, 0.0), "residual": (0.0, RESIDUAL_RTOL)}  # rtol, residual_rtol of solve_conduction
#: Residuals tried, loosest first, by the programs that know no error of the conductivity.
PEER_RESIDUALS = (1e-2, 1e-3, 1e-4, 1e-5)
#: Programs that end by a criterion of their own, and how it is set.
OWN_CRITERION = {
    "taufactor": ("--taufactor-conv", f"{KEFF_RTOL:g}"),
    "porespy": ("--porespy-ftol", f"{KEFF_RTOL:g}"),
}
#: Another discrete problem (see conduction_peer.py): its value is not compared with ours.
OTHER_PROBLEM = ("porespy",)
NOT_OFFERED = ("scipy-direct",)  # a reference for tiny images
PEER_TIMEOUT = 3600.0  # [s]
WARM_UP = 12  # voxels per side


# --- our solver -----------------------------------------------------------------------------------


def traffic(voxels: int, faces: int, vectors: int, cycle: int, visits: Sequence[int], split_from: int) -> float:
    r"""Estimate of the bytes one iteration moves to and from memory, counted from the algorithm.

    Every array of a statement is read or written once; what stays in the cache between statements is not known and not
    subtracted, nor is the set-up counted. Per voxel, with numbers of `faces`, `vectors` and `cycle` bytes:

    - conjugate gradients: 4 face + 10 vector + 8 cycle numbers (one operator, three vector updates, three products);
    - cycle on one grid: 30.5 + 4 m cycle numbers (four operators, two smoothers, restriction, prolongation), where m is
      the matrix: 3 faces and the mass, 4, or 7.5 for each of the two parts of a block (half of its coupling with it);
    - each visit of a coarser grid: 17 + m more (its conjugate gradients).

    Grid k has 8^-k of the voxels, in two parts from `split_from` + 1 on, and is visited `visits[0] * ... *
    visits[k-1]` times (the last number holds for all coarser grids).
    """

    def matrix(grid: int) -> tuple[int, float]:
        return (2, 7.5) if grid > split_from else (1, 4.0)

    numbers = 30.5 + 4 * matrix(0)[1]
    visited, cells = 1.0, 1.0
    for grid in range(1, 64):
        cells /= 8
        if voxels * cells < 1:
            break
        visited *= visits[min(grid, len(visits)) - 1]
        parts, m = matrix(grid)
        numbers += visited * cells * parts * (30.5 + 4 * m + 17 + m)
    return voxels * (4 * faces + 10 * vectors + (8 + numbers) * cycle)


def _clocked(solve: Callable[[], Any]) -> tuple[Any, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = solve()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def child(case: dict[str, Any]) -> dict[str, Any]:
    """Measure our solver on `case["image"]` in this process."""
    use_threads(case["threads"])
    import jax

    from simulator.numerics import conduction
    from simulator.numerics.multigrid import conduction_visits
    from simulator.workflows.preflight import memory_bandwidth

    rtol, residual_rtol = TOLERANCES[case["tolerance"]]
    date = today()

    def solve(image: np.ndarray, rtol: float, residual_rtol: float) -> conduction.Conduction:
        return conduction.solve_conduction(image, (1.0, 1.0, 1.0), rtol=rtol, residual_rtol=residual_rtol)

    def keff(solved: conduction.Conduction) -> float:
        return solved.conductance * sigma.shape[0] / (sigma.shape[1] * sigma.shape[2])

    solve(np.ones((WARM_UP,) * 3, np.float32), rtol, residual_rtol)
    before = high_water_bytes()
    sigma = np.load(case["image"])
    solved, first_s, _ = _clocked(lambda: solve(sigma, rtol, residual_rtol))
    walls, cpus = [], []
    for _ in range(case["repeats"]):
        solved, wall, cpu = _clocked(lambda: solve(sigma, rtol, residual_rtol))
        walls.append(wall)
        cpus.append(cpu)
    peak = _peak_bytes(before)
    split = solved.split_from
    wall_s = float(np.median(walls))

    reference = case.get("reference")
    if reference is None:
        exact = solve(sigma, 0.0, REFERENCE_RTOL)
        reference = keff(exact) if exact.converged else None
    positive = sigma[sigma > 0]
    contrast = float(positive.max()) / float(positive.min())
    widths = [np.dtype(name).itemsize for name in conduction.precision(contrast, rtol, residual_rtol)]
    moved = traffic(sigma.size, widths[0], widths[1], widths[2], conduction_visits(split), split)
    bandwidth = memory_bandwidth() if jax.default_backend() == "cpu" else None
    value = keff(solved)
    return {
        "benchmark": "effective",
        "solver": "voxelyte",
        **{key: case[key] for key in ("structure", "size", "tolerance", "threads", "repeats")},
        "voxels": sigma.size,
        "first_s": first_s,
        "wall_s": wall_s,
        "compile_s": first_s - wall_s,
        "cpu_s": median(cpus),
        "voxel_solves_per_s": sigma.size / wall_s,
        "iterations": solved.iterations,
        "relative_residual": solved.relative_residual,
        "converged": solved.converged,
        "error_estimated": solved.error,
        "error": None if reference is None else abs(value / reference - 1),
        "peak_bytes": peak,
        "bytes_per_voxel": None if peak is None else peak / sigma.size,
        "bandwidth_B_s": bandwidth,
        "traffic_estimate_B_voxel_iteration": moved / sigma.size,
        "bandwidth_fraction_estimate": moved * solved.iterations / wall_s / bandwidth if bandwidth else None,
        # The last two are handed on, unrounded, to the other programs' errors and the next tolerance.
        "value": value,
        "reference": reference,
        "date": date,
        **machine(),
    }


def _peak_bytes(before: int | None) -> int | None:
    """Memory the case took: of the device, or of this process above `before`."""
    import jax

    statistics = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if statistics:
        return statistics.get("peak_bytes_in_use")
    after = high_water_bytes()
    return None if before is None or after is None else after - before


# --- other programs -------------------------------------------------------------------------------


def peer_names() -> list[str]:
    """Programs that can be chosen."""
    return [name for name in PEERS if name not in NOT_OFFERED]


def choose_peers(text: str) -> list[str]:
    """Programs of `none`, `all` or a list with commas; `pyamg` and `petsc` mean all of theirs.

    **Errors:** `ConfigError` for an unknown name.
    """
    if text in ("none", ""):
        return []
    if text == "all":
        return peer_names()
    chosen: list[str] = []
    for name in filter(None, text.split(",")):
        fitting = [peer for peer in peer_names() if name in (peer, environment_name(peer))]
        if not fitting:
            raise ConfigError(f"There is no other program {name!r}.{did_you_mean(name, peer_names())}")
        chosen += [peer for peer in fitting if peer not in chosen]
    return chosen


def environment_name(peer: str) -> str:
    """Name of the environment that holds a program: pyamg for pyamg-sa."""
    return peer.partition("-")[0]


def interpreter(peer: str) -> Path:
    """Python of the program's environment: VOXELYTE_PEER_NAME, or .peers/name/bin/python in the repository."""
    name = environment_name(peer)
    given = os.environ.get(f"VOXELYTE_PEER_{name.upper()}")
    return Path(given) if given else ROOT / ".peers" / name / "bin" / "python"


def cure(peer: str) -> str:
    """How to make the environment that is missing."""
    name = environment_name(peer)
    return (
        f"no interpreter at .peers/{name}/bin/python: make an environment there from benchmarks/peers/{name}.txt "
        f"(its comments say how), or set VOXELYTE_PEER_{name.upper()} to the Python of one"
    )


def run_peer(peer: str, image: Path, threads: int, options: Sequence[str]) -> dict[str, Any]:
    """One run of another program; its line, with `error` if it failed."""
    script = ROOT / "benchmarks" / "peers" / "conduction_peer.py"
    command = [str(interpreter(peer)), str(script), "--solver", peer, "--image", str(image)]
    command += ["--threads", str(threads), *options]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PEER_TIMEOUT, check=False, preexec_fn=end_with_parent
        )
    except subprocess.TimeoutExpired:
        return {"error": f"ended after {PEER_TIMEOUT:g} s without an answer"}
    if not done.stdout.strip():
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return {"error": f"ended with code {done.returncode}: {last[0]}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure_peer(peer: str, image: Path, own: dict[str, Any]) -> dict[str, Any]:
    """Line of another program at the tolerance of our line `own`; `skipped` or `error` where there is none."""
    same = ("benchmark", "structure", "size", "tolerance", "threads")
    machine_of = ("device", "cores", "processor", "platform", "git_commit", "git_modified")
    line = {"solver": peer, **{key: own[key] for key in (*same, *machine_of) if key in own}, "date": today()}
    if not interpreter(peer).exists():
        return line | {"skipped": cure(peer)}
    if own["tolerance"] == "residual":
        if peer in OWN_CRITERION:
            return line | {"skipped": "ends by its own criterion, not by a residual: see --tolerance keff"}
        runs: list[tuple[str, str]] = [("--residual-rtol", f"{RESIDUAL_RTOL:g}")]
    elif peer in OWN_CRITERION:
        runs = [OWN_CRITERION[peer]]
    else:
        runs = [("--residual-rtol", f"{rtol:g}") for rtol in PEER_RESIDUALS]
    found: dict[str, Any] = {}
    for options in runs:
        found = run_peer(peer, image, own["threads"], options)
        if "error" in found:
            return line | {"error": found["error"]}
        found["error_keff"] = None
        if peer not in OTHER_PROBLEM and own["reference"]:
            found["error_keff"] = abs(found["value"] / own["reference"] - 1)
        if found["error_keff"] is not None and found["error_keff"] <= KEFF_RTOL:
            break
    line |= {key: found[key] for key in found if key not in ("solver", "threads", "shape", "peak_bytes_above_import")}
    peak = found["peak_bytes_above_import"]
    return line | {
        "error": found["error_keff"],
        "peak_bytes": peak,
        "bytes_per_voxel": peak / found["voxels"],
        "wall_ratio": found["wall_s"] / own["wall_s"],
        "bytes_ratio": peak / own["peak_bytes"] if own["peak_bytes"] else None,
    }


# --- table ----------------------------------------------------------------------------------------

HEADER = (
    *("case", "solver", "compile s", "set-up s", "solve s", "wall s", "CPU s", "iterations", "error of keff"),
    *("B/voxel", "wall ratio", "B ratio"),
)


def result_table(lines: Sequence[dict[str, Any]]) -> str:
    """One row per measurement that has one."""
    rows = []
    for line in lines:
        setup = line.get("setup_s")
        if setup is not None or line.get("assembly_s") is not None:
            setup = (setup or 0.0) + (line.get("assembly_s") or 0.0)
        own = line["solver"] == "voxelyte"
        cells = [line.get("compile_s"), setup, line.get("solve_s"), line["wall_s"], line["cpu_s"]]
        error = "-" if line.get("error") is None else f"{line['error']:.1e}"
        rows.append(
            (
                f"{line['structure']} {line['size']}^3 {line['tolerance']}",
                line["solver"] + ("" if line.get("converged", True) else " (NOT CONVERGED)"),
                *(number(cell) for cell in cells),
                number(line["iterations"], 6),
                error,
                number(line["bytes_per_voxel"]),
                "1" if own else number(line["wall_ratio"]),
                "1" if own else number(line["bytes_ratio"]),
            )
        )
    return table(HEADER, rows)


if __name__ == "__main__":
    print(json.dumps(significant(child(json.loads(sys.argv[1])), digits=12)))
