"""A measured current as few pieces that a simulation can follow: plateaus, straight lines, and jumps between them."""

import math
from collections import deque

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from simulator.errors import ConfigError
from simulator.protocol.profile import ProfileStep
from simulator.protocol.values import check_unit, is_finite

#: A change between two rows is a jump, not a slope, if it is so many times larger than those beside it, ...
_ISOLATED = 3.0
#: ... and larger than so many tolerances.
_JUMP = 3.0
#: A plateau has at least so many rows, and this share of the time between two jumps; else straight lines do as well.
_PLATEAU_ROWS, _PLATEAU_SHARE = 5, 0.2
#: A plateau whose thirds differ by more than this share of the tolerance has a trend: it is a slope.
_TREND = 0.25
#: Knots between two jumps up to which each is tried to be left out: a least-squares fit each.
_FEW = 100


def profile_from_current(
    time: np.ndarray, current: np.ndarray, unit: str, tolerance: float = 1e-3, *, step: np.ndarray | None = None
) -> ProfileStep:
    """A measured current as one protocol step with few pieces.

    The current is taken to run straight from row to row. Where it jumps, the row before ends what was, and the row
    after holds over the interval between the two: cyclers write the last row of a step at its end. It jumps where
    `step` changes, and where a change is much larger than those next to it (a pulse within a step).

    Between two jumps, stretches within the tolerance of a constant become one piece with the same charge. The rest
    becomes straight lines that meet, by least squares over time, with more of them until all rows are within the
    tolerance; as a constant is among what such lines can be, they too keep the charge:
    $\\int (I_{fit} - I)\\,dt = 0$ in each stretch.

    **Arguments:** `time` [s], rising, and `current` in `unit` (one of `CURRENT_UNITS`), positive charges, (rows,);
    `tolerance`: largest deviation, as a share of the largest current; it should exceed the noise of the cycler.
    `step`: a number that changes at each new step of the cycler, (rows,), or None.

    **Returns:** a `ProfileStep` with `interpolation` "jumps". All its times are times of rows, bit by bit.

    **Errors:** ConfigError for columns that differ in length, less than two rows, values that are not finite, times
    that do not rise, an unknown unit, and a tolerance outside (0, 0.5].
    """
    check_unit(unit)
    if not (is_finite(tolerance) and 0 < tolerance <= 0.5):
        raise ConfigError(
            f"tolerance = {tolerance!r} of a measured current must lie in (0, 0.5]: a share of its largest value."
        )
    time, current = np.asarray(time, dtype=float), np.asarray(current, dtype=float)
    steps = None if step is None else np.asarray(step)
    if time.ndim != 1 or time.shape != current.shape or (steps is not None and steps.shape != time.shape):
        raise ConfigError(
            f"time, current and step must be 1D and equally long, got the shapes {time.shape}, {current.shape} and "
            f"{None if steps is None else steps.shape}."
        )
    ProfileStep(tuple(time), tuple(current), unit)  # checks numbers and order, with messages that name the row
    allowed = tolerance * float(np.abs(current).max())
    after = np.flatnonzero(_jumps(current, steps, allowed))
    bounds = np.unique(np.concatenate([[0], after, [time.size - 1]]))
    knots: list[float] = []
    values: list[float] = []
    for a, b in zip(bounds[:-1], bounds[1:], strict=True):
        y = current[a : b + 1].copy()
        if a in after:
            y[0] = y[1]
        for k, v in _stretch(time[a : b + 1], y, allowed):
            same = int(bool(knots) and knots[-1] == time[a + k[0]] and values[-1] == v[0])
            knots += list(time[a + k[same:]])
            values += list(v[same:])
    return ProfileStep(tuple(knots), tuple(values), unit, "jumps")


def _jumps(current: np.ndarray, steps: np.ndarray | None, allowed: float) -> np.ndarray:
    """Whether the current jumps at row k, on its way to row k + 1, (rows - 1,)."""
    change = np.abs(np.diff(current))
    beside = np.pad(change, 1)
    alone = change >= _ISOLATED * np.maximum(beside[:-2], beside[2:])
    jumps = alone & (change > _JUMP * allowed)
    return jumps if steps is None else jumps | ((np.diff(steps) != 0) & (change > allowed))


Piece = tuple[np.ndarray, np.ndarray]


def _stretch(t: np.ndarray, y: np.ndarray, allowed: float) -> list[Piece]:
    """Rows and values of the knots of what lies between two jumps: constants, and lines that meet."""
    return _flat_and_sloped(t, y, allowed, 0, t.size - 1, _PLATEAU_SHARE * (t[-1] - t[0]))


def _flat_and_sloped(t: np.ndarray, y: np.ndarray, allowed: float, a: int, b: int, shortest: float) -> list[Piece]:
    """The longest plateau in rows a to b, and what lies before and after it; lines if there is none."""
    pieces: list[Piece] = []
    todo = [(a, b)]
    while todo:
        a, b = todo.pop()
        if a == b:
            continue
        first, last = _longest_plateau(t[a : b + 1], y[a : b + 1], allowed)
        first, last = first + a, last + a
        whole = (first, last) == (a, b)
        mean = _mean(t, y, first, last)
        off = np.abs(y[first : last + 1] - mean).max()
        long = last - first + 1 >= _PLATEAU_ROWS and t[last] - t[first] >= shortest
        if off <= allowed and (whole or (long and not _has_trend(t, y, first, last, allowed))):
            pieces.append((np.array([first, last]), np.array([mean, mean])))
            todo += [(a, first), (last, b)]
        else:
            rows, values = _lines(t[a : b + 1], y[a : b + 1], allowed)
            pieces.append((rows + a, values))
    return sorted(pieces, key=lambda piece: piece[0][0])


def _mean(t: np.ndarray, y: np.ndarray, a: int, b: int) -> float:
    """Of the straight lines through rows a to b, over time."""
    if y[a : b + 1].min() == y[a : b + 1].max():
        return float(y[a])  # exactly
    parts = 0.5 * (y[a:b] + y[a + 1 : b + 1]) * np.diff(t[a : b + 1])
    return math.fsum(parts) / (t[b] - t[a])


def _has_trend(t: np.ndarray, y: np.ndarray, a: int, b: int, allowed: float) -> bool:
    """Whether the first and the last third of rows a to b differ."""
    third = max((b - a) // 3, 1)
    return abs(_mean(t, y, a, a + third) - _mean(t, y, b - third, b)) > _TREND * allowed


def _longest_plateau(t: np.ndarray, y: np.ndarray, allowed: float) -> tuple[int, int]:
    """First and last row of the longest stretch of time with all values within 2 `allowed` of one another."""
    if y.max() - y.min() <= 2 * allowed:
        return 0, y.size - 1
    values = y.tolist()
    best, begin = (0, 0), 0
    highs: deque[int] = deque()  # rows that may be the highest, or the lowest, of what begins at `begin`
    lows: deque[int] = deque()
    for k, value in enumerate(values):
        while highs and values[highs[-1]] <= value:
            highs.pop()
        while lows and values[lows[-1]] >= value:
            lows.pop()
        highs.append(k)
        lows.append(k)
        while values[highs[0]] - values[lows[0]] > 2 * allowed:
            begin += 1
            if highs[0] < begin:
                highs.popleft()
            if lows[0] < begin:
                lows.popleft()
        if t[k] - t[begin] > t[best[1]] - t[best[0]]:
            best = begin, k
    return best


def _lines(t: np.ndarray, y: np.ndarray, allowed: float) -> Piece:
    """Knots (rows, and values there) of straight lines that meet, within `allowed` of every row."""
    knots = np.array([0, t.size - 1])
    while True:
        values = _least_squares(t, y, knots)
        off = np.abs(np.interp(t, t[knots], values) - y)
        if off.max() <= allowed or knots.size == t.size:
            # with a knot at each row the lines are those of the rows, up to rounding
            return _without_spare(t, y, allowed, knots, values) if knots.size < t.size else (knots, y.copy())
        long = [(a, b) for a, b in zip(knots[:-1], knots[1:], strict=True) if b - a > 1]
        # where a knot at each row beside a long line is still off, the line has to become shorter too
        new = [_middle(t, y, a, b) for a, b in long if off[a : b + 1].max() > allowed]
        knots = np.union1d(knots, new or [_middle(t, y, *max(long, key=lambda ends: ends[1] - ends[0]))])


def _without_spare(t: np.ndarray, y: np.ndarray, allowed: float, knots: np.ndarray, values: np.ndarray) -> Piece:
    """`knots` and `values` without the knots that can be left out: halving places too many."""
    if knots.size > _FEW:
        return knots, values
    k = 1
    while k < knots.size - 1:
        fewer = np.delete(knots, k)
        tried = _least_squares(t, y, fewer)
        if np.abs(np.interp(t, t[fewer], tried) - y).max() <= allowed:
            knots, values = fewer, tried
        else:
            k += 1
    return knots, values


def _middle(t: np.ndarray, y: np.ndarray, a: int, b: int) -> int:
    """The row between a and b that is farthest from the straight line between them: at a bend, the bend."""
    inner = slice(a + 1, b)
    off = np.abs(y[inner] - (y[a] + (y[b] - y[a]) * ((t[inner] - t[a]) / (t[b] - t[a]))))
    return a + 1 + int(np.argmax(off)) if off.max() > 0 else (a + b) // 2


def _least_squares(t: np.ndarray, y: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Values at `knots` of the lines that are nearest to those through all rows, in the mean square over time.

    With hat functions of the knots P (rows x knots) and the mass matrix M of the rows: P^T M P v = P^T M y.
    """
    h = np.diff(t) / (t[-1] - t[0])
    mass = scipy.sparse.diags_array(
        [h / 6, (np.append(h, 0.0) + np.append(0.0, h)) / 3, h / 6], offsets=[-1, 0, 1], format="csr"
    )
    part = np.clip(np.searchsorted(knots, np.arange(t.size), side="right") - 1, 0, knots.size - 2)
    share = (t - t[knots[part]]) / (t[knots[part + 1]] - t[knots[part]])
    rows = np.arange(t.size)
    hats = scipy.sparse.csr_array(
        (np.concatenate([1 - share, share]), (np.tile(rows, 2), np.concatenate([part, part + 1]))),
        shape=(t.size, knots.size),
    )
    weighted = hats.T @ mass
    return scipy.sparse.linalg.spsolve((weighted @ hats).tocsc(), weighted @ y)
