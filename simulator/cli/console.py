"""What commands share: exit codes, and how warnings are shown."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from simulator.errors import ConvergenceError, RunStopped

EXIT_STOPPED = 3  # by physics or numerics
STATUS_CODES = {"finished": 0, "interrupted": 130}  # of a run; every other status: EXIT_STOPPED


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Warnings as one line on stderr, without the place in the source that Python would show."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        print(f"voxelyte: warning: {message}", file=file or sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of libraries: nothing for a user to do
        warnings.simplefilter("always", UserWarning)  # what a user should know, whatever Python is told to hide
        warnings.showwarning = show
        yield


def exit_code(job: Callable[[], object]) -> int:
    """Do `job` with plain warnings. Returns 0, or `EXIT_STOPPED` after a line on stderr if it does not converge
    or a run ends too early."""
    try:
        with plain_warnings():
            job()
    except (ConvergenceError, RunStopped) as error:
        print(f"voxelyte: error: {error}", file=sys.stderr)
        return EXIT_STOPPED
    return 0
