"""Progress lines in a log."""

import io
from dataclasses import dataclass

from rich.console import Console

from simulator.workflows.progress import StepProgress


@dataclass(frozen=True)
class Info:
    fraction: float
    time: float = 5400.0
    voltage: float = 3.71234
    sto_mean: float = 0.75
    dt: float = 60.0
    step: int = 12
    newton: int = 3
    krylov: int = 17


def log_of(fractions: list[float], terminal: bool) -> str:
    text = io.StringIO()
    with StepProgress(Console(file=text, force_terminal=terminal, width=160), (0.3, 0.9)) as progress:
        for fraction in fractions:
            progress(Info(fraction))
    return text.getvalue()


def test_a_log_gets_about_twenty_lines_however_many_steps() -> None:
    lines = log_of([i / 1000 for i in range(1001)], terminal=False).splitlines()
    assert len(lines) == 21  # every 5 %, both ends included
    assert lines[0].startswith("  0 %")
    assert "3.7123 V" in lines[0] and "SOC 0.250" in lines[0] and "Newton 3 Krylov 17" in lines[0]
    assert lines[-1].startswith("100 %")


def test_a_log_gets_no_control_characters_and_a_terminal_gets_a_bar() -> None:
    assert "\x1b" not in log_of([0.5], terminal=False)
    assert "\x1b" in log_of([0.5], terminal=True)


def test_the_time_left_is_told_once_a_part_is_done(monkeypatch) -> None:
    now = iter([100.0, 110.0, 200.0])
    monkeypatch.setattr("simulator.workflows.progress.clock.monotonic", lambda: next(now))
    lines = log_of([0.1, 0.11, 0.35], terminal=False).splitlines()
    assert "left" not in lines[0]
    # 100 s for a quarter: 65 % more take 260 s
    assert lines[-1].endswith("4 min left")
