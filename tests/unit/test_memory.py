"""What counts as free memory."""

from pathlib import Path

import pytest

from simulator import memory


def test_available_memory_is_the_least_of_kernel_and_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meminfo, own, group = tmp_path / "meminfo", tmp_path / "cgroup", tmp_path / "job"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    8000 kB\n")
    own.write_text("0::/job\n")
    group.mkdir()
    (group / "memory.stat").write_text("anon 1\nfile 1000000\n")
    (group / "memory.current").write_text("3000000\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_OWN_CGROUP", own)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.available_memory() == 8000 * 1024
    (group / "memory.max").write_text("max\n")
    assert memory.available_memory() == 8000 * 1024
    (group / "memory.max").write_text("5000000\n")
    assert memory.available_memory() == 5_000_000 - (3_000_000 - 1_000_000)


def test_memory_that_no_file_tells_is_not_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_OWN_CGROUP", tmp_path / "none")
    monkeypatch.setattr(memory.os, "sysconf", silent)
    assert memory.available_memory() is None
