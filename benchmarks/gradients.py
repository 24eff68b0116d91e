"""Run and gradient of a whole charge on crops of the CT image: time, iterations, memory, over size and what is kept.

    python -m benchmarks.gradients [--sizes 24 32] [--runs 3] [--keep memory checkpoints=10 disk]

Each case in a fresh process: one gradient to compile, then warm runs with and without their gradient (of the sum of
two voltages and the charge to the cut-off, with respect to two parameters), of which the medians count. Prints one JSON
line per case and a Markdown table. The memory kept is counted from the arrays; the peak is that of the whole process.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import (
    available_threads,
    busy_cores,
    high_water_bytes,
    machine,
    median,
    number,
    run_child,
    significant,
    table,
    use_threads,
)

PROTOCOL = "Charge at C/10 until 4.2 V"
PARAMS = {"kinetics.j0_ref": 1.0, "contact.fraction": 0.9}
TIMES = [3600.0, 7200.0]  # of the two voltages [s]


def child(case: dict[str, Any]) -> dict[str, Any]:
    """Measure one case in this process."""
    use_threads(case["threads"])
    import jax
    import jax.numpy as jnp
    import numpy as np

    import simulator as sim
    from simulator.geometry import Electrode
    from simulator.model.derivatives import differentiate
    from simulator.model.derivatives.keeping import Keeping
    from simulator.model.derivatives.refinement import TOLERANCE
    from simulator.model.stages import size_of
    from simulator.model.tape import Stepped
    from simulator.numerics.compilation import seconds_compiling
    from simulator.resources import mesh_path

    image = sim.load_electrode(
        mesh_path("nmc532_film_64.tif"), labels={"pore": 0, "am": 1, "cbd": 2}, voxel_size=0.398e-6
    )
    size = case["size"]
    cell = sim.build_cell(Electrode(image.phase[:size, :size, :size], image.voxel_size), "nmc811_peo_60c")
    outputs, options = [sim.VoltageAt(TIMES), sim.CapacityAt(1)], sim.SolverOptions()
    params = {name: jnp.asarray(value) for name, value in PARAMS.items()}
    problem, leaves = differentiate.prepare(
        params, cell, PROTOCOL, outputs, rtol=1e-3, options=options, adjoint_rtol=TOLERANCE
    )
    counts: dict[str, int] = {}

    class CountedRun(differentiate.Run):
        """Tells its iterations."""

        def march(self) -> None:
            super().march()
            counts.update(self.counts)

    class CountedReverse(differentiate.Reverse):
        """Likewise."""

        def sweep(self, views: Any) -> Any:
            found = super().sweep(views)
            counts["adjoint_krylov"] = found.krylov
            return found

    differentiate.Run, differentiate.Reverse = CountedRun, CountedReverse  # type: ignore[misc]
    kind, _, value = case["keep"].partition("=")
    with tempfile.TemporaryDirectory(dir=case["folder"]) as folder:
        keeping = {
            "memory": lambda: Keeping(),
            "disk": lambda: Keeping(0.0, Path(folder)),
            "checkpoints": lambda: Keeping(checkpoints=int(value)),
        }[kind]()

        def run() -> Any:
            tape = differentiate.record(problem, leaves, keeping)
            return tape, differentiate.read(problem, tape, leaves)

        tapes: list[Any] = []

        def gradient() -> None:
            tape, values = run()
            tapes[:] = [tape]
            jax.block_until_ready(differentiate.pull_back(problem, tape, leaves, tuple(map(jnp.ones_like, values))))

        def seconds(function: Any) -> float:
            begin = time.perf_counter()
            function()
            return time.perf_counter() - begin

        compiled_before, first = seconds_compiling(), seconds(gradient)
        compile_s = seconds_compiling() - compiled_before
        warm_before = high_water_bytes()
        run_s = median([seconds(run) for _ in range(case["runs"])])
        both_s = median([seconds(gradient) for _ in range(case["runs"])])
        (tape,) = tapes
        kept, rest = tape.kept, tape.kept.rest
        state = size_of(rest._states[0]) if hasattr(rest, "_states") else 0
        stages = sum(2 if isinstance(entry, Stepped) else 1 for entry in tape.entries)
        voxels = int(np.prod(cell.model.shape))
        on_disk = rest.size if hasattr(rest, "size") else 0
        everything = kept.memory.size + on_disk
        return {
            "benchmark": "gradients",
            **case,
            "folder": None,
            "voxels": voxels,
            "live_faces": int(np.count_nonzero(np.asarray(cell.model.faces.valid))),
            "first_s": first,
            "compile_s": compile_s,
            "run_s": run_s,
            "run_and_gradient_s": both_s,
            "ratio": both_s / run_s,
            "entries": len(tape.entries),
            "stages": stages,
            "computed_again": getattr(rest, "taken", 0),
            "run_krylov": counts["krylov_iterations"],
            "adjoint_krylov": counts["adjoint_krylov"],
            "kept_bytes": kept.memory.size + state * (getattr(rest, "largest", 0) + 1),
            "disk_bytes": on_disk,
            "bytes_per_voxel_and_stage": everything / voxels / stages if everything else None,
            "bytes_per_voxel_and_state": state / voxels or None,
            "first_peak_bytes": warm_before,
            "peak_bytes": high_water_bytes(),
            **machine(),
        }


def main() -> None:
    """Table over sizes and what is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[24, 32], metavar="N", help="up to 64")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", nargs="+", default=["memory"], metavar="HOW", help="memory, disk or checkpoints=N")
    parser.add_argument("--folder", default=None, help="for disk; default: that of temporary files")
    parser.add_argument("--threads", type=int, default=min(2, available_threads()))
    arguments = parser.parse_args()
    rows = []
    for size in arguments.sizes:
        for keep in arguments.keep:
            case = {"size": size, "keep": keep, "runs": arguments.runs}
            case |= {"threads": arguments.threads, "folder": arguments.folder}
            busy = busy_cores()
            line = significant(run_child("benchmarks.gradients", case) | {"busy_cores": busy})
            print(json.dumps(line), flush=True)
            if "error" in line:
                continue
            keys = ("run_s", "run_and_gradient_s", "ratio", "stages", "computed_again", "run_krylov", "adjoint_krylov")
            memory = (line["kept_bytes"] / 1e6, line["disk_bytes"] / 1e6, (line["peak_bytes"] or 0.0) / 1e6)
            rows.append((f"{size}^3 {keep}", *(number(line[key]) for key in keys), *map(number, memory)))
    if rows:
        header = ("case", "run s", "run + gradient s", "ratio", "stages", "again", "Krylov", "adjoint Krylov")
        print("\n" + table((*header, "kept MB", "disk MB", "peak MB"), rows))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(significant(child(json.loads(sys.argv[1])))))
    else:
        main()
