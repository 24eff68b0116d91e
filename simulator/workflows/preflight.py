"""What a run will need, before it is started: memory and time, from measured constants."""

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from simulator.memory import available_memory

# Measured on two cores of an AMD EPYC virtual machine with jax 0.10.2, November 2026, on crops of the shipped image
# (pores filled with electrolyte, 0.13 reacting faces a voxel). Peak resident memory of a whole C/10 charge in mixed
# precision, everything to be compiled: 1410 MiB at 48^3, 1671 MiB at 64^3, 4917 MiB at 128^3; about 350 MiB less at the
# smaller two with the compilation cache filled.
#: host memory that does not grow with the electrode, compilation included [B]
BASE_BYTES = 1.23e9
#: memory a voxel (separator included) beside the Krylov vectors and the faces [B]
VOXEL_BYTES = 1250
#: memory a reacting face [B]: about 25 numbers, counted from the arrays
FACE_BYTES = 200
#: directions that a time step starts with, and voxels up to which it has all: those of `simulator.model.newton`,
#: which inspecting an image does not import, since JAX takes a second
KRYLOV_ROWS, FEW_VOXELS = 16, 10_000
#: a direction and its image, of three fields each
KRYLOV_FIELDS = 2 * 3
# Time: 1.6e-7 to 1.7e-7 s at 48^3 and 64^3, 2.0e-7 s at 128^3 beside other work; 91 implicit solves in the 45 steps and
# 12 iterations a solve of a C/10 charge at 48^3; from 32^3 to 96^3 the iterations grow by 1.1 to 1.3.
#: one Krylov iteration with its share of everything else, a voxel [s]
ITERATION_SECONDS = 1.7e-7
SOLVES_PER_STEP = 2
ITERATIONS, ITERATIONS_VOXELS, ITERATIONS_GROWTH = 12.0, 147_456, 0.06
#: time steps of one charge or discharge at C/10
STEPS_PER_HALF_CYCLE = 45
#: reading, compiling, writing [s]
START_SECONDS = 22.0
#: `memory_bandwidth()` of that machine in that hour [B/s]
REFERENCE_BANDWIDTH = 4.5e10

_TRIAD = 8_000_000  # numbers in each of three arrays: 192 MB, beyond the cache of most processors
_REPEATS = 3


@dataclass(frozen=True)
class Estimate:
    """Needs of a run, right within a factor of two to three in time and about a fifth in memory."""

    memory_bytes: int  # on `device`
    seconds: float | None  # None where no time has been measured (GPU)
    device: str  # "cpu" or the name of the accelerator
    available_bytes: int | None  # None: not known
    fits: bool | None  # None: not known


@dataclass(frozen=True)
class Device:
    """Where a run would be computed."""

    name: str
    available_bytes: int | None


def estimate(
    shape_with_separator: tuple[int, int, int],
    live_faces: int,
    krylov_max: int,
    mixed: bool,
    steps: int,
    device: Device | None = None,
) -> Estimate:
    """Memory and time of a run of `steps` time steps.

    Memory: voxels (directions x 2 x 3 fields x (4 B, or 8 B in double precision) + 1250 B) + faces 200 B + 1.23 GB,
    with the 16 directions (on small grids all) that a step starts with.
    Time: start + steps x 2 solves x iterations x voxels x 1.7e-7 s, scaled by the memory bandwidth of this machine,
    since the solver is bound by it.

    **Arguments:** `shape_with_separator`: grid (nz + separator layers, ny, nx); `krylov_max`: limit of the stored
    directions; `mixed`: float32 vectors; `device`: an accelerator (`accelerator()`), None for this machine's processor.
    """
    voxels = math.prod(shape_with_separator)
    grid = (
        voxels * (first_rows(voxels, krylov_max) * KRYLOV_FIELDS * (4 if mixed else 8) + VOXEL_BYTES)
        + live_faces * FACE_BYTES
    )
    if device is not None:
        available = device.available_bytes
        return Estimate(grid, None, device.name, available, None if available is None else grid <= available)
    memory = int(grid + BASE_BYTES)
    available = available_memory()
    iterations = ITERATIONS * (voxels / ITERATIONS_VOXELS) ** ITERATIONS_GROWTH
    work = steps * SOLVES_PER_STEP * iterations * voxels * ITERATION_SECONDS
    seconds = START_SECONDS + work * REFERENCE_BANDWIDTH / memory_bandwidth()
    return Estimate(memory, seconds, "cpu", available, None if available is None else memory <= available)


def first_rows(voxels: int, krylov_max: int) -> int:
    """Krylov directions that a time step on so many voxels starts with."""
    return krylov_max if voxels <= FEW_VOXELS else min(KRYLOV_ROWS, krylov_max)


def memory_bandwidth() -> float:
    """Memory bandwidth of the processor [B/s]: a = b + s c on all cores this process may use, best of three.

    Takes about a tenth of a second and 192 MB. Two passes of numpy move five numbers for each element.
    """
    threads = max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 64))
    size = _TRIAD // threads
    parts = [tuple(np.ones(size) for _ in range(3)) for _ in range(threads)]

    def triad(part: tuple[np.ndarray, ...]) -> None:
        a, b, c = part
        np.multiply(c, 3.0, out=a)
        np.add(a, b, out=a)

    best = math.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_REPEATS):
            start = time.perf_counter()
            list(pool.map(triad, parts))
            best = min(best, time.perf_counter() - start)
    return 5 * 8 * size * threads / best


def accelerator() -> Device | None:
    """The accelerator that JAX would compute on, None for the processor. Imports JAX (seconds)."""
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    limits = device.memory_stats() or {}
    free = limits["bytes_limit"] - limits.get("bytes_in_use", 0) if "bytes_limit" in limits else None
    return Device(str(device.device_kind), free)
