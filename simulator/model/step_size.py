"""How long the next time step is, from the estimated error of the last one (1 is allowed, of order 3)."""

import math

SAFETY, GROWTH, SHRINK = 0.9, 3.0, 0.2
#: The order of the error that a second rejection may show: right after a jump of the current it is less than one.
LEAST_ORDER, MOST_ORDER = 0.5, 3.0


def after_success(size: float, error: float) -> float:
    """The step [s] to try after one of `size` was accepted."""
    return size * min(GROWTH, max(SHRINK, SAFETY * error ** (-1.0 / 3.0) if error > 0 else GROWTH))


def after_rejection(size: float, error: float, earlier: tuple[float, float] | None) -> float:
    """The step [s] to try after one of `size` was rejected for its `error`.

    `earlier`: size and error of the try before, if its error was too large as well. The two then tell the order
    that the error really has (Gustafsson, ACM Trans. Math. Softw. 20 (1994) 496).
    """
    order = MOST_ORDER
    if earlier is not None and size < earlier[0] and error < earlier[1]:
        seen = math.log(earlier[1] / error) / math.log(earlier[0] / size)
        order = min(MOST_ORDER, max(LEAST_ORDER, seen))
    return size * max(SHRINK, SAFETY * error ** (-1.0 / order))
