"""Steady conduction through a voxel image with other programs: image in memory to effective conductivity.

Runs in the interpreter of the program that is measured (environments: the .txt files beside this script; Linux) and
imports nothing of the simulator::

    PEER_PYTHON benchmarks/peers/conduction_peer.py --solver pyamg-sa --image sigma.npy --residual-rtol 1e-8 --threads 2

`sigma.npy` holds the conductivity [z, y, x], 0 = insulating, on cubic voxels of edge 1. All programs but PoreSpy
solve the same discrete problem: two-point fluxes with the harmonic mean 2 a b / (a + b) of neighbouring voxels;
potentials 1 and 0 on the two outer planes of axis 0, half a voxel from the outermost centres (conductance 2 sigma);
insulated sides. Voxels that no conducting path joins to one of the two planes are left out of the system.
Effective conductivity = current * nz / (ny * nx).

Prints one line of JSON, also when something fails (`error`). Times run from the image in memory to the value, after a
solve of a tiny image, so that lazy imports and just-in-time compilation do not count. Memory is the high-water mark of
the process (sum over the processes) above the one before the image was loaded: it contains the image.

Programs and their sources: PyAMG, doi:10.21105/joss.04142; AMGCL, doi:10.1016/j.simpa.2020.100037; hypre BoomerAMG,
doi:10.1016/S0168-9274(01)00115-5; PETSc with GAMG, doi:10.1007/978-1-4612-1986-6_8; Trilinos ML, report
SAND2006-2649; TauFactor 2, doi:10.21105/joss.05358; PoreSpy, doi:10.21105/joss.01296.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

WORKER = "CONDUCTION_PEER_WORKER"  # set in the measured process
PLANES = 8  # planes of the image that are assembled at a time: temporaries stay far below the matrix
PACKAGES = ("numpy", "scipy", "pyamg", "pyamgcl", "taufactor", "torch", "porespy", "openpnm", "petsc4py")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class System:
    """Consecutive rows of the linear system, in compressed sparse rows with ascending columns."""

    indptr: np.ndarray  # [rows + 1], int32
    indices: np.ndarray  # [nonzeros], int32: columns of the whole matrix
    data: np.ndarray  # [nonzeros], float64
    rhs: np.ndarray  # [rows], float64: conductance to the plane at potential 1
    unknowns: int  # of the whole system
    factor: float  # nz / (ny nx)

    def csr(self) -> Any:
        """The matrix in scipy's form; shares the arrays."""
        import scipy.sparse as sp

        return sp.csr_matrix((self.data, self.indices, self.indptr), shape=(self.rhs.size, self.unknowns), copy=False)


@dataclass
class Outcome:
    """What a program gives back; `residual` is called after clock and memory have been read."""

    value: float
    unknowns: int
    seconds: tuple[float | None, float | None, float]  # assembly, set-up, solve; None: cannot be told apart
    iterations: int | None
    stop: str  # where the program ends by its own criterion
    residual: Callable[[], float] | None = None  # true ||b - A u|| / ||b||
    more: dict[str, Any] = field(default_factory=dict)


Program = Callable[[np.ndarray, argparse.Namespace, dict[str, Any]], Outcome]  # (sigma, arguments, settings)


# --- the linear system ----------------------------------------------------------------------------


def connected(sigma: np.ndarray) -> np.ndarray:
    """Mask of the conducting voxels that a path through faces joins to one of the outer planes of axis 0."""
    from scipy import ndimage

    labels, count = ndimage.label(sigma > 0)
    keep = np.zeros(count + 1, dtype=bool)
    keep[labels[[0, -1]]] = True
    keep[0] = False
    return keep[labels]


def assemble(sigma: np.ndarray, part: int = 0, parts: int = 1) -> System:
    """Linear system A u = b of the image, or its `part` of `parts` (whole planes, nearly equal numbers of unknowns).

    A u = sum_faces 2 a b / (a + b) (u - u_neighbour) + sum_walls 2 a u; b = 2 a on the plane at potential 1.
    Unknowns are numbered in the order of the array.
    """
    nz, ny, nx = sigma.shape
    live = connected(sigma)
    per_plane = np.count_nonzero(live, axis=(1, 2))
    before = np.concatenate([[0], np.cumsum(per_plane)])  # unknowns below plane z
    unknowns = int(before[-1])
    if not per_plane[0]:
        raise ValueError("no conducting voxel on the plane at potential 1")
    if 7 * unknowns > np.iinfo(np.int32).max:
        raise ValueError(f"{unknowns} unknowns: more than 32-bit indices can number")
    bounds = [int(np.searchsorted(before, unknowns * p / parts)) for p in range(parts)] + [nz]
    start, stop = bounds[part], bounds[part + 1]

    index = np.zeros((nz + 2, ny + 2, nx + 2), dtype=np.int32)  # unknown + 1; 0 = none
    index[1:-1, 1:-1, 1:-1][live] = np.arange(1, unknowns + 1, dtype=np.int32)
    del live
    stride = ((ny + 2) * (nx + 2), nx + 2, 1)
    offsets = (-stride[0], -stride[1], -stride[2], 0, stride[2], stride[1], stride[0])  # ascending columns
    rows = int(before[stop] - before[start])
    # Upper bounds: pages that are never written take no memory.
    indices, data = np.empty(7 * rows, dtype=np.int32), np.empty(7 * rows)
    indptr, rhs = np.zeros(rows + 1, dtype=np.int32), np.zeros(rows)
    row = used = 0
    for z in range(start, stop, PLANES):
        top = min(z + PLANES, stop)
        s = np.zeros((top - z + 2, ny + 2, nx + 2))
        low, high = max(z - 1, 0), min(top + 1, nz)
        s[low - z + 1 : high - z + 1, 1:-1, 1:-1] = sigma[low:high]
        s, numbers = s.ravel(), index[z : top + 2].ravel()
        core = np.flatnonzero(numbers[stride[0] : -stride[0]]) + stride[0]
        own = s[core]
        column = np.stack([numbers[core + offset] for offset in offsets], axis=1)
        value = np.zeros((core.size, 7))
        for k in (0, 1, 2, 4, 5, 6):
            other = s[core + offsets[k]]
            value[:, k] = -2 * own * other / (own + other)
        value[:, 3] = -value.sum(axis=1)
        if z == 0:
            rhs[: per_plane[0]] = 2 * own[: per_plane[0]]
            value[: per_plane[0], 3] += rhs[: per_plane[0]]
        if top == nz:
            last = slice(core.size - per_plane[-1], None)
            value[last, 3] += 2 * own[last]
        there = column > 0
        indptr[row + 1 : row + 1 + core.size] = used + np.cumsum(np.count_nonzero(there, axis=1))
        row += core.size
        indices[used : indptr[row]], data[used : indptr[row]] = column[there] - 1, value[there]
        used = int(indptr[row])
    return System(indptr, indices[:used], data[:used], rhs, unknowns, nz / (ny * nx))


def conductivity(system: System, solution: np.ndarray) -> float:
    """Effective conductivity from the current through the plane at potential 1, sum of 2 sigma (1 - u).

    For an iterate of conjugate gradients from zero its error is the square of the energy norm of the error of u.
    """
    return float(system.rhs.sum() - system.rhs @ solution) * system.factor


def only_phase(sigma: np.ndarray) -> float:
    """Conductivity of the one conducting phase, for the programs that take binary images."""
    positive = np.unique(sigma[sigma > 0])
    if positive.size != 1:
        raise ValueError(f"this program takes images with one conducting phase, found {positive.size}")
    return float(positive[0])


# --- programs that take the matrix ----------------------------------------------------------------


def matrix_program(solve: Callable[..., tuple]) -> Program:
    """Program on an image from `solve(matrix, rhs, rtol, settings)` -> (u, set-up seconds, iterations, more)."""

    def program(sigma: np.ndarray, arguments: argparse.Namespace, settings: dict[str, Any]) -> Outcome:
        t0 = time.perf_counter()
        system = assemble(sigma)
        matrix, rhs = system.csr(), system.rhs
        t1 = time.perf_counter()
        solution, setup_s, iterations, more = solve(matrix, rhs, arguments.residual_rtol, settings)
        value = conductivity(system, solution)
        seconds = (t1 - t0, setup_s, time.perf_counter() - t1 - setup_s)

        def residual() -> float:
            return float(np.linalg.norm(rhs - matrix @ solution) / np.linalg.norm(rhs))

        stop = f"||r|| <= {arguments.residual_rtol:g} ||b||"
        return Outcome(value, system.unknowns, seconds, iterations, stop, residual, more)

    return program


@matrix_program
def scipy_direct(matrix: Any, rhs: np.ndarray, rtol: float, settings: dict[str, Any]) -> tuple:
    """Sparse LU (meets any tolerance): the answer that the others are compared with; for small images."""
    from scipy.sparse.linalg import splu

    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", **settings).solve(rhs), 0.0, None, {}


def pyamg_program(constructor: str) -> Program:
    """PyAMG: `constructor` with the settings, then conjugate gradients preconditioned with one V-cycle."""

    def solve(matrix: Any, rhs: np.ndarray, rtol: float, settings: dict[str, Any]) -> tuple:
        import pyamg

        # JSON has no tuples, and PyAMG takes (name, options) pairs as tuples only
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        np.random.seed(0)  # its estimates of spectral radii start from random vectors
        t0 = time.perf_counter()
        hierarchy = getattr(pyamg, constructor)(matrix, **options)
        setup_s = time.perf_counter() - t0
        residuals: list[float] = []
        solution = hierarchy.solve(rhs, tol=rtol, accel="cg", maxiter=500, residuals=residuals)
        more = {"operator_complexity": round(hierarchy.operator_complexity(), 2)}
        return solution, setup_s, len(residuals) - 1, more

    return matrix_program(solve)


@matrix_program
def amgcl(matrix: Any, rhs: np.ndarray, rtol: float, settings: dict[str, Any]) -> tuple:
    """AMGCL through its Python binding (double precision, OpenMP)."""
    import pyamgcl

    t0 = time.perf_counter()
    hierarchy = pyamgcl.amg(matrix, settings)
    setup_s = time.perf_counter() - t0
    solver = pyamgcl.solver(hierarchy, {"type": "cg", "tol": rtol, "maxiter": 500})
    solution = solver(rhs)
    found = re.search(r"Operator complexity:\s*([\d.]+)", repr(hierarchy))
    return solution, setup_s, int(solver.iters), {"operator_complexity": float(found.group(1))} if found else {}


def petsc_library() -> Any:
    """PETSc of petsc4py; Debian keeps it in a folder that is on the path only with its development package."""
    if "petsc4py" not in sys.modules:
        sys.path += [str(folder) for folder in Path("/usr/lib/petscdir").glob("*/*-real/lib/python3/dist-packages")]
        import petsc4py

        petsc4py.init([])
    from petsc4py import PETSc

    return PETSc


def petsc(sigma: np.ndarray, arguments: argparse.Namespace, settings: dict[str, Any]) -> Outcome:
    """Conjugate gradients of PETSc on the true residual; each process assembles its own planes of the matrix."""
    PETSc = petsc_library()
    world = PETSc.COMM_WORLD
    options = PETSc.Options()
    for key, value in settings.items():
        options[key] = value
    world.barrier()
    t0 = time.perf_counter()
    system = assemble(sigma, world.rank, world.size)
    rhs, unknowns, factor = system.rhs, system.unknowns, system.factor
    size, csr = (rhs.size, unknowns), (system.indptr, system.indices, system.data)
    # one process shares our arrays; several copy them, and ours are given back
    create = PETSc.Mat().createAIJWithArrays if world.size == 1 else PETSc.Mat().createAIJ
    matrix = create((size, size), csr=csr, comm=world)
    del system, csr
    matrix.setOption(PETSc.Mat.Option.SPD, True)
    b = PETSc.Vec().createWithArray(rhs, size=size, comm=world)
    x = b.duplicate()
    t1 = time.perf_counter()
    ksp = PETSc.KSP().create(world)
    ksp.setOperators(matrix)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=arguments.residual_rtol, atol=0.0, max_it=500)
    ksp.setFromOptions()
    ksp.setUp()
    t2 = time.perf_counter()
    ksp.solve(b, x)
    value = float(b.sum() - b.dot(x)) * factor  # as in `conductivity`
    seconds = (t1 - t0, t2 - t1, time.perf_counter() - t2)

    def residual() -> float:
        r = b.duplicate()
        matrix.mult(x, r)
        r.aypx(-1.0, b)
        return float(r.norm() / b.norm())

    stop = f"||r|| <= {arguments.residual_rtol:g} ||b||"
    return Outcome(value, unknowns, seconds, ksp.getIterationNumber(), stop, residual)


def over_processes(value: float) -> float:
    """Sum over the processes of PETSc."""
    PETSc = petsc_library()
    return float(PETSc.Vec().createWithArray(np.array([value]), comm=PETSc.COMM_WORLD).sum())


def loaded_versions() -> dict[str, str]:
    """Versions in the file names of the solver libraries of PETSc that are loaded."""
    patterns = {"hypre": r"libHYPRE[-_]([\d.]+\d)\.so", "ml": r"libtrilinos_ml\.so\.([\d.]+\d)"}
    loaded = Path("/proc/self/maps").read_text(encoding="utf-8")
    return {name: found.group(1) for name, pattern in patterns.items() if (found := re.search(pattern, loaded))}


# --- programs that take the image -----------------------------------------------------------------


def taufactor(sigma: np.ndarray, arguments: argparse.Namespace, settings: dict[str, Any]) -> Outcome:
    """TauFactor 2 on the processor: successive over-relaxation in float32, tested every 100 sweeps.

    Its binary solver has our walls: potentials half a voxel from the outermost centres. (Its multi-phase solver
    puts them a whole voxel away and is not used.) Effective conductivity = sigma * fraction / tau.
    """
    import torch
    from taufactor import Solver

    torch.set_num_threads(arguments.threads)
    t0 = time.perf_counter()
    phase = only_phase(sigma)
    solver = Solver((sigma > 0).astype(np.uint8), device="cpu", **settings)
    t1 = time.perf_counter()
    # far above its default of 10000, which no useful criterion needs; it only ends a run that has stalled
    tau = np.ravel(solver.solve(iter_limit=100_000, verbose=False, conv_crit=arguments.taufactor_conv))[0]
    value = phase * float(np.ravel(solver.VF)[0]) / float(tau)
    seconds = (None, t1 - t0, time.perf_counter() - t1)
    if not solver.converged:
        raise RuntimeError(f"TauFactor stopped unconverged after {solver.iter} sweeps")
    stop = f"(max - min) / max of the flux per plane < {arguments.taufactor_conv:g}, tau within 2e-3 in 100 sweeps"
    return Outcome(value, int(np.count_nonzero(sigma)), seconds, int(solver.iter), stop)


def porespy(sigma: np.ndarray, arguments: argparse.Namespace, settings: dict[str, Any]) -> Outcome:
    """Finite-difference tortuosity of PoreSpy: OpenPNM network, Ruge-Stuben cycles of PyAMG.

    Another discrete problem than that of the others: potentials 1 and 0 in the outermost voxel centres, nz - 1
    spacings apart, on the voxels joined to both planes. The value is the program's own.
    """
    from porespy import simulations

    ftol = arguments.porespy_ftol
    tolerance = {"tol": arguments.residual_rtol} if ftol is None else {"ftol": ftol}
    t0 = time.perf_counter()
    phase = only_phase(sigma)
    result = simulations.tortuosity_fd(sigma > 0, axis=0, **tolerance, **settings)
    value = phase / float(result.formation_factor)
    # its own clock runs from the matrix to the solution; before it: trimming and network
    seconds = (time.perf_counter() - t0 - result.time, None, result.time)
    stop = f"{tolerance} (tol: residual of PyAMG; ftol: flux at inlet and outlet)"
    more = {"convention": "potentials fixed in the outermost voxel centres"}
    return Outcome(value, int(np.count_nonzero(result.im)), seconds, None, stop, None, more)


# Fastest of the settings compared on overlapping spheres of 96^3 voxels, porosity 0.4, to a residual of 1e-8 on two
# cores; `--settings` takes others.
RELAX = {"presmoother": ["gauss_seidel", {"sweep": "forward"}], "postsmoother": ["gauss_seidel", {"sweep": "backward"}]}
SETTINGS: dict[str, dict[str, Any]] = {
    # also: its default (symmetric block Gauss-Seidel), symmetric Gauss-Seidel, Chebyshev, Jacobi; strength 0.08
    "pyamg-sa": {"improve_candidates": None, **RELAX},
    # also: classical interpolation, symmetric sweeps, strength 0.5, PMIS (fails: singular coarsest matrix)
    "pyamg-rs": {"interpolation": "direct", **RELAX},
    # its default, smoothed aggregation with SPAI-0. Also: Gauss-Seidel, Jacobi, Chebyshev, energy minimisation; ILU(0)
    # (10 % faster at a contrast of 1000); Ruge-Stuben (slower, and it ends in memory errors)
    "amgcl": {},
    # also: its default, strength 0.5, two levels of or two paths for aggressive coarsening, SOR (as fast on spheres)
    "petsc-hypre": {
        "pc_type": "hypre",
        "pc_hypre_boomeramg_coarsen_type": "HMIS",
        "pc_hypre_boomeramg_interp_type": "ext+i",
        "pc_hypre_boomeramg_P_max": 4,
        "pc_hypre_boomeramg_agg_nl": 1,
        "pc_hypre_boomeramg_relax_type_all": "Chebyshev",
    },
    # also: two smoothing steps (its default), SOR, threshold 0.02, no or one level of aggressive coarsening
    "petsc-gamg": {"pc_type": "gamg", "mg_levels_ksp_max_it": 1, "pc_gamg_aggressive_coarsening": 2},
    # also: two smoothing steps (its default), Chebyshev, no threshold, maximal independent sets
    "petsc-ml": {"pc_type": "ml", "mg_levels_ksp_max_it": 1, "pc_ml_Threshold": 0.02},
}

# name -> program, and how it uses the cores: "one", "threads" or "processes"
PEERS: dict[str, tuple[Program, str]] = {
    "scipy-direct": (scipy_direct, "one"),
    "pyamg-sa": (pyamg_program("smoothed_aggregation_solver"), "one"),
    "pyamg-rs": (pyamg_program("ruge_stuben_solver"), "one"),
    "amgcl": (amgcl, "threads"),
    "taufactor": (taufactor, "threads"),
    "porespy": (porespy, "threads"),
    "petsc-hypre": (petsc, "processes"),
    "petsc-gamg": (petsc, "processes"),
    "petsc-ml": (petsc, "processes"),
}


# --- measurement ----------------------------------------------------------------------------------


def high_water_bytes() -> int:
    """Largest resident memory so far. (ru_maxrss would start at the memory of the process that started this one.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status).group(1))  # type: ignore[union-attr]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the program on the image and return the line to be printed."""
    run, cores = PEERS[arguments.solver]
    settings = SETTINGS.get(arguments.solver, {}) | json.loads(arguments.settings)
    run(np.ones((12, 12, 12)), arguments, settings)  # warm-up
    before = high_water_bytes()
    sigma = np.load(arguments.image)
    if sigma.ndim != 3 or not (np.isfinite(sigma).all() and (sigma >= 0).all()):
        raise ValueError(f"{arguments.image}: a 3D array of finite numbers >= 0 is needed, shape {sigma.shape}")
    cpu, wall = time.process_time(), time.perf_counter()
    outcome = run(sigma, arguments, settings)
    wall_s, cpu_s, peak = time.perf_counter() - wall, time.process_time() - cpu, high_water_bytes() - before
    versions = {name: metadata.version(name) for name in PACKAGES if name in sys.modules}
    used = 1 if cores == "one" else arguments.threads
    if cores == "processes":
        cpu_s, peak, used = over_processes(cpu_s), int(over_processes(peak)), petsc_library().COMM_WORLD.size
        versions |= loaded_versions()
    residual = outcome.residual() if outcome.residual else None
    # up to twice the tolerance is rounding in the program's recurrence
    if residual is not None and outcome.iterations is not None and not residual <= 2 * arguments.residual_rtol:
        raise RuntimeError(f"stopped after {outcome.iterations} iterations with residual {residual:g}")
    return {
        "solver": arguments.solver,
        "versions": versions,
        "settings": settings,
        "threads": arguments.threads,
        "threads_used": used,
        "shape": sigma.shape,
        "voxels": sigma.size,
        "unknowns": outcome.unknowns,
        **dict(zip(("assembly_s", "setup_s", "solve_s"), outcome.seconds, strict=True)),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_bytes_above_import": peak,
        "iterations": outcome.iterations,
        "relative_residual": residual,
        "value": outcome.value,
        "stop": outcome.stop,
        **outcome.more,
    }


def end_with_parent() -> None:
    """Let the kernel end this process when its parent ends, so that nothing computes on unattended."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 = PR_SET_PDEATHSIG


def work(arguments: argparse.Namespace) -> None:
    """The measured process: one line of JSON on the standard output, whatever else the program prints there."""
    end_with_parent()
    answer = os.dup(1)
    os.dup2(2, 1)
    parallel = PEERS[arguments.solver][1] == "processes"
    if parallel:  # end without MPI's farewell, for which the other processes would have to come; mpiexec ends them
        sys.excepthook = lambda *error: (sys.__excepthook__(*error), os._exit(1))  # type: ignore[func-returns-value]
    line = measure(arguments)
    if not (parallel and petsc_library().COMM_WORLD.rank):
        os.write(answer, (json.dumps(line) + "\n").encode())


def start(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start the measured process(es) with the numbers of threads set before anything is imported."""
    command = [sys.executable, str(Path(__file__).resolve()), *sys.argv[1:]]
    threads = arguments.threads
    # Open MPI: leave the placement to the system, as for the threads of the others; allow a container's root
    environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", WORKER: "1"}
    environment |= {"OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    if PEERS[arguments.solver][1] == "processes" and threads > 1 and (mpiexec := shutil.which("mpiexec")):
        command = [mpiexec, "-n", str(threads), *command]
    if PEERS[arguments.solver][1] != "threads":
        threads = 1  # a second thread of the BLAS slows PyAMG down
    environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    child = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=end_with_parent)
    if child.returncode == 0 and child.stdout.strip():
        return json.loads(child.stdout.strip().splitlines()[-1])
    sys.stderr.write(child.stderr)
    errors = [line for line in child.stderr.splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", line)]
    return {"solver": arguments.solver, "error": errors[-1] if errors else f"ended with code {child.returncode}"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Steady conduction through a voxel image with another program.")
    parser.add_argument("--solver", required=True, choices=PEERS)
    parser.add_argument("--image", required=True, help="conductivity [z, y, x], .npy; 0 = insulating")
    parser.add_argument("--residual-rtol", type=float, default=1e-8, help="||b - A u|| / ||b|| where it ends")
    parser.add_argument("--threads", type=int, default=2, help="threads, or processes of PETSc")
    parser.add_argument("--taufactor-conv", type=float, default=1e-3, help="its own criterion, on the flux per plane")
    parser.add_argument("--porespy-ftol", type=float, help="its own criterion on the fluxes, instead of the residual")
    parser.add_argument("--settings", default="{}", help="changes to the settings of the program, JSON")
    arguments = parser.parse_args()
    if os.environ.get(WORKER):
        work(arguments)
        return
    line = start(arguments)
    print(json.dumps(line))
    if "error" in line:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
