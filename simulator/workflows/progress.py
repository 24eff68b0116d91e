"""Progress of a run: a live bar on a terminal, a plain line now and then in a log."""

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


def _state(info: StepInfo) -> str:
    return f"{info.time / 3600:6.2f} h  {info.voltage:6.4f} V  sto {info.sto_mean:5.3f}  dt {info.dt:6.1f} s"


class StepProgress:
    """Callable to be given to the solver; a context manager around the run.

    `console` writes to stderr as a rule, so that the results on stdout can be piped.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_line = 0.0
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
        if self._bar is not None:
            self._bar.update(self._task, completed=info.fraction, description=_state(info))
        elif info.fraction >= self._next_line:
            self._next_line = (int(info.fraction * _LINES) + 1) / _LINES
            work = f"step {info.step:4d}  Newton {info.newton} Krylov {info.krylov}"
            self._console.print(f"{100 * info.fraction:3.0f} %  {_state(info)}  {work}", soft_wrap=True)
