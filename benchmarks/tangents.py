"""Forward sensitivities of a pulse test on a crop of the CT image: time and error over what linear problems may leave.

    python -m benchmarks.tangents [--size 32] [--runs 3] [--rtol 1e-7 1e-5 1e-4 1e-3]

Five parameters at once, 21 voltages of a charge, a pulse and rests, which is an evaluation of a fit of them to such a
curve. In one fresh process: once to compile, then warm runs, each with its sweep over the directions, of which the
medians count. The error is that of each column, relative to its largest entry, against the smallest tolerance. Prints
one JSON line and a Markdown table.
"""

import argparse
import json
import sys
import time
from typing import Any

from benchmarks.record import (
    available_threads,
    busy_cores,
    machine,
    median,
    number,
    run_child,
    significant,
    table,
    use_threads,
)

PROTOCOL = [
    "Charge at C/3 for 20 min",
    "Rest for 10 min",
    "Discharge at 1.5C for 1 min",
    "Rest for 5 min",
    "Charge at C/5 for 20 min",
]
ENDS = (0.0, 1200.0, 1800.0, 1860.0, 2160.0, 3360.0)  # of its steps [s]
AFTER = (1.0, 20.0, 200.0, 600.0)  # [s] after each change of the current
PARAMS = {
    "kinetics.j0_ref": 2.0,
    "am.D_s": 8e-15,
    "electrolyte.kappa": 0.05,
    "electrolyte.D_e": 2e-11,
    "electrolyte.t_plus": 0.25,
}


def child(case: dict[str, Any]) -> dict[str, Any]:
    """Measure in this process."""
    use_threads(case["threads"])
    import jax
    import numpy as np

    import simulator as sim
    from simulator.geometry import Electrode
    from simulator.model.derivatives import differentiate
    from simulator.resources import mesh_path

    size = case["size"]
    image = sim.load_electrode(mesh_path("nmc532_film_64.tif"), labels={"pore": 0, "am": 1, "cbd": 2}, voxel_size=1e-6)
    electrode = Electrode(image.phase[:size, :size, :size], image.voxel_size)
    cell = sim.build_cell(electrode, "nmc811_peo_60c", {"separator.layers": 8, "sto_init": 0.8})
    after = [begin + t for begin, end in zip(ENDS, ENDS[1:], strict=False) for t in AFTER if begin + t < end]
    outputs = [sim.VoltageAt(np.unique([*ENDS[1:], *after]))]
    spent: list[float] = []
    push = differentiate.push_forward

    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        found = jax.block_until_ready(push(*arguments))
        spent.append(time.perf_counter() - begin)
        return found

    differentiate.push_forward = timed
    sweeps, runs, columns = {}, [], {}
    tolerances = sorted(case["rtol"])
    for turn, rtol in enumerate([tolerances[0], *(r for r in tolerances for _ in range(case["runs"]))]):
        begin = time.perf_counter()
        _, (rows,) = sim.sensitivities(PARAMS, cell, PROTOCOL, outputs, tangent_rtol=rtol)
        if turn:  # the first one compiles
            runs.append(time.perf_counter() - begin - spent[-1])
            sweeps.setdefault(rtol, []).append(spent[-1])
            columns[rtol] = np.asarray(rows)
    best = columns[min(columns)]
    errors = {r: float((np.abs(c - best).max(1) / np.abs(best).max(1)).max()) for r, c in columns.items()}
    return {
        "benchmark": "tangents",
        **case,
        "voxels": int(np.prod(cell.model.shape)),
        "run_s": median(runs),
        "sweeps": [{"rtol": r, "sweep_s": median(times), "error": errors[r]} for r, times in sweeps.items()],
        **machine(),
    }


def main() -> None:
    """Table over tolerances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, metavar="N", help="up to 64")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rtol", type=float, nargs="+", default=[1e-7, 1e-5, 1e-4, 1e-3])
    parser.add_argument("--threads", type=int, default=min(2, available_threads()))
    arguments = parser.parse_args()
    busy = busy_cores()
    line = significant(run_child("benchmarks.tangents", vars(arguments)) | {"busy_cores": busy})
    print(json.dumps(line), flush=True)
    if "error" not in line:
        rows = [(f"{s['rtol']:g}", number(s["sweep_s"]), number(s["error"])) for s in line["sweeps"]]
        print(f"\nrun {number(line['run_s'])} s\n\n" + table(("left", "five directions s", "error"), rows))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(significant(child(json.loads(sys.argv[1])))))
    else:
        main()
