"""Newton and Krylov iterations per implicit solve on crops of the CT image, over size and time step.

    python -m benchmarks.iterations [--sizes 32 48 64 96] [--steps 30 300 3000] [--sto 0.6]

The cell rests at `--sto`, C/10 is switched on, one step of 300 s brings it into motion, and the step whose iterations
are counted follows. Prints one JSON line per case and a Markdown table.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp

from benchmarks.record import machine
from simulator.geometry import load_electrode
from simulator.model import build_cell
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Drive
from simulator.model.timestep import ErrorScales, attempt, consistent_state, resting_state
from simulator.resources import mesh_path

SCALES = ErrorScales(voltage=2e-4, sto=1e-3, c_e=1.0, side=1e-2)


def measure(size: int, steps: list[float], sto: float) -> list[dict[str, float]]:
    """Iterations and warm wall time per implicit solve for each time step."""
    image = load_electrode(mesh_path("nmc532_film_128.tif"), labels={"electrolyte": 0, "am": 1, "cbd": 2})
    start = (128 - size) // 2
    crop = (start, start + size)
    cell = build_cell(image.crop(z=crop, y=crop, x=crop), "nmc811_peo_60c", {"sto_init": sto})
    current = 0.1 * cell.one_c
    drive = Drive(jnp.asarray(current), jnp.zeros(()), jnp.ones(()))
    options = NewtonOptions()
    rest = resting_state(cell.initial_fields(), cell.initial_side(), cell.model)
    begin, _ = consistent_state(rest, drive, cell.model, current, options)
    assert begin is not None
    moving = attempt(begin, 300.0, (drive, drive), cell.model, current, options, SCALES).state
    assert moving is not None
    lines = []
    for dt in steps:
        clock = time.perf_counter()
        step = attempt(moving, dt, (drive, drive), cell.model, current, options, SCALES)
        jax.block_until_ready(step.state)
        wall = time.perf_counter() - clock
        voxels = cell.model.phase.size
        line = {
            "size": size,
            "voxels": voxels,
            "dt_s": dt,
            "result": step.result.value,
            "newton_per_solve": step.newton / step.stages,
            "krylov_per_solve": step.krylov / step.stages,
            "krylov_per_newton": round(step.krylov / max(step.newton, 1), 1),
            "s_per_solve": round(wall / step.stages, 3),
            "voxel_solves_per_s": round(voxels * step.stages / wall),
        }
        print(json.dumps(line), flush=True)
        lines.append(line)
    return lines


def main() -> None:
    """Table over sizes and time steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 48, 64, 96])
    parser.add_argument("--steps", type=float, nargs="+", default=[30.0, 300.0, 3000.0])
    parser.add_argument("--sto", type=float, default=0.6)
    arguments = parser.parse_args()
    print(json.dumps(machine()))
    table = {size: measure(size, arguments.steps, arguments.sto) for size in arguments.sizes}
    print("| size | " + " | ".join(f"dt = {dt:g} s" for dt in arguments.steps) + " |")
    print("| --- |" + " --- |" * len(arguments.steps))
    for size, lines in table.items():
        cells = [
            "{newton_per_solve:g} / {krylov_per_solve:g} ({krylov_per_newton:g}), {s_per_solve:g} s".format(**x)
            for x in lines
        ]
        print(f"| {size}^3 | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
