"""Charges, discharges and cycles of a current."""

import numpy as np
import pytest

from simulator.protocol.half_cycles import find_half_cycles, flowing


def spans(current, counted=None):
    counted = None if counted is None else np.array(counted, dtype=float)
    found = find_half_cycles(np.array(current, dtype=float), counted)
    return [(half.rows.start, half.rows.stop, half.direction, half.cycle) for half in found]


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ([], []),
        ([0, 0], [(0, 2, 0, 1)]),
        ([1, 1, 1], [(0, 3, 1, 1)]),
        # a rest at the start belongs to the first half, one after a current to the half before it
        ([0, 1, 0, -1, 0], [(0, 3, 1, 1), (3, 5, -1, 1)]),
        # a new cycle where the first direction returns, whichever it is
        ([1, -1, 1, 0, -1], [(0, 1, 1, 1), (1, 2, -1, 1), (2, 4, 1, 2), (4, 5, -1, 2)]),
        ([-1, 1, -1], [(0, 1, -1, 1), (1, 2, 1, 1), (2, 3, -1, 2)]),
        # pulses of one direction are one half
        ([1, 0, 2, 0, 1], [(0, 5, 1, 1)]),
        # the noise at the end of a hold does not turn the direction
        ([1, 0.01, -1e-6, 1e-6, -1], [(0, 4, 1, 1), (4, 5, -1, 1)]),
    ],
)
def test_halves_hold_every_row_and_count_cycles(current, expected):
    assert spans(current) == expected


def test_the_numbers_of_the_run_win_and_rests_at_the_start_of_a_cycle_belong_to_it():
    current, counted = [1, -1, 0, 0, 1, -1, 0], [1, 1, 1, 2, 2, 2, 3]
    assert spans(current, counted) == [(0, 1, 1, 1), (1, 3, -1, 1), (3, 5, 1, 2), (5, 6, -1, 2), (6, 7, 0, 3)]


def test_direction_is_that_of_currents_above_a_ten_thousandth_of_the_largest():
    assert flowing(np.array([1.0, -2.0, 1.9e-4, 2.1e-4, 0.0])).tolist() == [1, -1, 0, 1, 0]
