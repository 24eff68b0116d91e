"""What every benchmark line needs to be comparable: machine, versions, commit, and the median."""

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.io import collect_provenance


def median(values: Sequence[float]) -> float:
    """Median, rounded for printing."""
    return round(float(np.median(values)), 3)


def machine() -> dict[str, Any]:
    """Device, processor, versions and commit."""
    import os

    import jax

    import simulator.numerics  # noqa: F401  sets the precision the solver uses

    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "processor": _processor(),
        "platform": platform.system(),
        **collect_provenance(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
