"""Wall time of the demo: the 48^3 CT electrode charged at C/10 to 4.2 V, each run in a fresh process.

    python -m benchmarks.demo [--size 48] [--runs 3]

The cold run starts with an empty compilation cache, the warm ones use the cache it leaves. Import, image, cell, solve
and result file are included; pictures and installation are not. Prints one JSON line per run and a summary line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import machine, median


def child(size: int, folder: str) -> None:
    """One run in this process; prints its JSON line."""
    begin = time.perf_counter()
    import simulator as sim
    from simulator.resources import mesh_path

    electrode = sim.load_electrode(mesh_path(f"nmc532_film_{size}.tif"), labels={"electrolyte": 0, "am": 1, "cbd": 2})
    cell = sim.build_cell(electrode, "nmc811_peo_60c")
    solution = sim.simulate(cell, "Charge at C/10 until 4.2 V", save_to=Path(folder) / "run.vtkhdf")
    wall = time.perf_counter() - begin
    stats = solution.stats
    solving = stats["wall_s"] - stats["compile_s"]
    print(
        json.dumps(
            {
                "size": size,
                "status": solution.status,
                "wall_s": round(wall, 2),
                "compile_s": round(stats["compile_s"], 2),
                "specific_capacity_mAh_per_g": round(float(solution.specific_capacity[-1]), 4),
                "steps": stats["steps"],
                "implicit_solves": stats["implicit_solves"],
                "newton_iterations": stats["newton_iterations"],
                "krylov_iterations": stats["krylov_iterations"],
                "voxels": stats["voxels"],
                "voxel_solves_per_s": round(stats["voxels"] * stats["implicit_solves"] / solving),
                "balances": solution.ledger,
            }
        )
    )


def main() -> None:
    """Cold once, warm `--runs` times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=48, choices=(48, 64))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.size, arguments.child)
        return
    print(json.dumps(machine()))
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
        walls = []
        for run in range(arguments.runs + 1):
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "benchmarks.demo", "--size", str(arguments.size), "--child", folder]
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            line = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({"run": "cold" if run == 0 else "warm", **line}), flush=True)
            walls.append(line["wall_s"])
    print(json.dumps({"cold_s": walls[0], "warm_median_s": median(walls[1:])}))


if __name__ == "__main__":
    main()
