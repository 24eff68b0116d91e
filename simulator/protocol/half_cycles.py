"""The charges and discharges of a current against time, and the cycles that they form."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

#: Currents below this share of the largest one are rests: the noise of a hold at constant voltage turns nothing.
NEGLIGIBLE = 1e-4


class HalfCycle(NamedTuple):
    """One charge or discharge with the rests that belong to it."""

    rows: slice
    direction: int  # +1 charge, -1 discharge, 0 no current at all
    cycle: int  # number of the cycle; the first is 1 unless the run counts otherwise


def flowing(current: np.ndarray) -> np.ndarray:
    """+1 where `current` (rows,) charges, -1 where it discharges, 0 where it rests (`NEGLIGIBLE`)."""
    current = np.asarray(current, dtype=float)
    least = NEGLIGIBLE * np.max(np.abs(current), initial=0.0)
    return np.where(np.abs(current) > least, np.sign(current), 0.0).astype(int)


def find_half_cycles(current: np.ndarray, cycle_count: np.ndarray | None = None) -> list[HalfCycle]:
    """The half cycles of a run, in order; together they hold every row.

    A rest belongs to the half cycle before it, one at the start to the first. Without `cycle_count` a new cycle begins
    where the current returns to the direction in which the run began.

    **Arguments:** `current` [A], positive on charge, and `cycle_count` (number of the cycle), both (rows,).
    """
    sign = flowing(current)
    if sign.size == 0:
        return []
    counted = np.zeros(sign.size) if cycle_count is None else np.asarray(cycle_count, dtype=float)
    edges = [0, *(np.flatnonzero(np.diff(counted)) + 1).tolist(), sign.size]
    halves = [half for a, b in pairwise(edges) for half in _within(sign[a:b], a, int(counted[a]))]
    if cycle_count is not None:
        return halves
    first, cycle, numbered = halves[0].direction, 0, []
    for half in halves:
        cycle += half.direction == first
        numbered.append(half._replace(cycle=cycle))
    return numbered


def _within(sign: np.ndarray, start: int, cycle: int) -> list[HalfCycle]:
    """Half cycles of the rows of one counted cycle, which begin at row `start`."""
    moving = np.flatnonzero(sign)
    if moving.size == 0:
        return [HalfCycle(slice(start, start + sign.size), 0, cycle)]
    # every row gets the direction of the last current before it, rows before the first current that of the first
    last = np.maximum(np.searchsorted(moving, np.arange(sign.size), side="right") - 1, 0)
    direction = sign[moving[last]]
    edges = [0, *(np.flatnonzero(np.diff(direction)) + 1).tolist(), sign.size]
    return [HalfCycle(slice(start + a, start + b), int(direction[a]), cycle) for a, b in pairwise(edges)]
