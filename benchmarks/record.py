"""What every benchmark line needs to be comparable: date, machine, versions, commit, and the median."""

import ctypes
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.io import collect_provenance

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "benchmarks" / "results" / "history.jsonl"


def median(values: Sequence[float]) -> float:
    """Median, rounded for printing."""
    return round(float(np.median(values)), 3)


def machine() -> dict[str, Any]:
    """Device, processor, versions and commit."""
    import jax

    import simulator.numerics  # noqa: F401  sets the precision the solver uses

    provenance = collect_provenance()
    if "git_commit" in provenance:
        provenance["git_modified"] = code_modified(ROOT)
    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "processor": _processor(),
        "platform": platform.system(),
        **provenance,
    }


def code_modified(root: Path) -> bool:
    """Whether tracked files of the checkout differ from its commit, results of benchmarks aside.

    A first measurement adds a line to the history; the second one must not look like that of changed code for it.
    """
    command = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
    command += ["--", ".", ":(exclude)benchmarks/results"]
    return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())


def today() -> str:
    """Date and time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def significant(value: Any, digits: int = 6) -> Any:
    """`value` with its floats rounded to significant digits; infinite and undefined ones become None (JSON)."""
    if isinstance(value, Mapping):
        return {key: significant(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [significant(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return value


def append(line: Mapping[str, Any], path: Path) -> None:
    """Add one line of JSON to a file, which is made with its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table with aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def text(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return "\n".join([text(header), rule, *(text(row) for row in rows)])


def number(value: float | None, digits: int = 3) -> str:
    """A number as a cell of a table, `-` for None."""
    return "-" if value is None else f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def high_water_bytes() -> int | None:
    """Largest resident memory of this process so far, None where the system does not say (other than Linux)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(found.group(1)) if found else None


def end_with_parent() -> None:
    """For `preexec_fn`: let the kernel end a child when its parent ends, so that nothing computes on unattended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1 = PR_SET_PDEATHSIG


def run_child(module: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run `python -m module CASE` in a fresh process and return its line; with `error` if it failed."""
    # Compiled programs of earlier runs would hide the compilation.
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", module, json.dumps(case)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=end_with_parent,
    )
    if done.returncode == 0 and done.stdout.strip():
        return json.loads(done.stdout.strip().splitlines()[-1])
    errors = [line for line in done.stderr.splitlines() if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", line)]
    return {**case, "error": errors[-1] if errors else f"ended with code {done.returncode}: {done.stderr[-300:]}"}


def use_threads(threads: int) -> None:
    """Keep this process on its first `threads` cores; before JAX counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


#: Cores in use by other programs from which on times are not to be quoted.
BUSY = 0.2


def busy_cores(seconds: float = 0.5) -> float | None:
    """Cores that other programs use now, None where the system does not say; call it while nothing of ours runs.

    Programs whose threads wait for one another lose far more than their share of a busy core, so that a
    ratio of two times measured on a busy machine means nothing.
    """

    def used() -> float:
        user, nice, system, *_ = (float(field) for field in stat.read_text(encoding="utf-8").split("\n")[0].split()[1:])
        return (user + nice + system) / os.sysconf("SC_CLK_TCK")

    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    start, clock = used(), time.perf_counter()
    time.sleep(seconds)
    return round((used() - start) / (time.perf_counter() - clock), 2)


def available_threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
