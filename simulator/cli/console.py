"""What commands share: how warnings are shown."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


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
        warnings.simplefilter("always", UserWarning)  # what a user should know, whatever Python is told to hide
        warnings.showwarning = show
        yield
