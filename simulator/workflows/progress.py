"""Progress of a run: a live bar on a terminal, a plain line now and then in a log."""

import time as clock
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

_LINES = 20  # plain lines for a whole run


class StepInfo(Protocol):
    """What the progress display needs to know after a time step."""

    @property
    def time(self) -> float: ...  # [s]
    @property
    def voltage(self) -> float: ...  # [V]
    @property
    def sto_mean(self) -> float: ...
    @property
    def dt(self) -> float: ...  # [s]
    @property
    def step(self) -> int: ...
    @property
    def newton(self) -> int: ...
    @property
    def krylov(self) -> int: ...
    @property
    def fraction(self) -> float: ...  # share of the protocol that is done


class StepProgress:
    """Callable to be given to the solver; a context manager around the run.

    `console` writes to stderr as a rule, so that the results on stdout can be piped. `window`: the stoichiometries of
    the charged and the discharged state, between which SOC goes from 1 to 0.
    """

    def __init__(self, console: Console, window: tuple[float, float]) -> None:
        self._console, self._window = console, window
        self._next_line = 0.0
        self._begin: tuple[float, float] | None = None  # clock and fraction of the first step seen
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("compiling", total=1.0)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, info: StepInfo) -> None:
        """Show the step that has just been accepted."""
        text = (
            f"{self._state(info)}  step {info.step:4d}  Newton {info.newton} Krylov {info.krylov}  {self._left(info)}"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=info.fraction, description=text)
        elif info.fraction >= self._next_line:
            self._next_line = (int(info.fraction * _LINES) + 1) / _LINES
            self._console.print(f"{100 * info.fraction:3.0f} %  {text}", soft_wrap=True)

    def _state(self, info: StepInfo) -> str:
        low, high = self._window
        soc = (high - info.sto_mean) / (high - low)
        return f"{info.time / 3600:6.2f} h  {info.voltage:6.4f} V  SOC {soc:5.3f}  dt {info.dt:6.1f} s"

    def _left(self, info: StepInfo) -> str:
        """Time to the estimated end. Counted from the first step, so that compiling does not enter."""
        now = clock.monotonic()
        if self._begin is None:
            self._begin = (now, info.fraction)
        begin, first = self._begin
        if info.fraction - first < 0.02:
            return ""
        seconds = (now - begin) * (1.0 - info.fraction) / (info.fraction - first)
        return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
