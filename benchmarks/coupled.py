"""One implicit step of the whole cell (`benchmarks.iterations`, time step 300 s) as a line of the history."""

import contextlib
import json
import sys
import time
from typing import Any

from benchmarks.record import high_water_bytes, machine, significant, today, use_threads

DT = 300.0  # time step [s]
STO = 0.6
SIZES = (16, 128)  # smallest and largest crop of the image


def child(case: dict[str, Any]) -> dict[str, Any]:
    """Measure one size in this process."""
    use_threads(case["threads"])
    from benchmarks.iterations import measure

    date = today()
    before = high_water_bytes()
    begin = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # it prints its own line
        [found] = measure(case["size"], [DT], STO)
    whole, after = time.perf_counter() - begin, high_water_bytes()
    peak = None if before is None or after is None else after - before
    return {
        "benchmark": "coupled",
        "solver": "voxelyte",
        **case,
        **found,
        "wall_s": found["s_per_solve"],
        "first_s": whole,
        "peak_bytes": peak,
        "bytes_per_voxel": None if peak is None else peak / found["voxels"],
        "date": date,
        **machine(),
    }


if __name__ == "__main__":
    print(json.dumps(significant(child(json.loads(sys.argv[1])))))
