"""How much memory is free."""

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def available_memory() -> int | None:
    """Memory that a new program could take [B]: the kernel's estimate, or what its container leaves if that is less.

    None if the system does not say.
    """
    free = _free_memory()
    left = _cgroup_memory()
    known = [amount for amount in (free, left) if amount is not None]
    return min(known) if known else None


def _free_memory() -> int | None:
    """MemAvailable of Linux, else the free pages that POSIX reports."""
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _cgroup_memory() -> int | None:
    """What the memory limit of this process's control group (a container, a batch job) leaves, None without one."""
    try:
        line = next(text for text in _OWN_CGROUP.read_text().splitlines() if text.startswith("0::"))
        folder = _CGROUP / line[3:].lstrip("/")
        # page cache counts as used but is given back on demand
        cache = next(
            int(t.split()[1]) for t in (folder / "memory.stat").read_text().splitlines() if t.startswith("file ")
        )
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError, StopIteration):  # no such file, or "max": no limit
        return None
    return max(0, limit - max(0, used - cache))
