"""Signals while something long is under way."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handled(handler: Handler, numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> Iterator[None]:
    """`handler` for the signals `numbers`, and the old ones afterwards. Outside of the main thread nothing is changed.

    SIGTERM is what schedulers send some time before they kill.
    """
    old = {}
    try:
        for number in numbers:
            old[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    finally:
        for number, before in old.items():
            if before is not None:  # None: not installed from Python
                signal.signal(number, before)
