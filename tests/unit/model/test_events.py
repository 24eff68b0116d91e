"""Events: how they are located."""

import math

import pytest

from simulator.model.events import locate


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
def test_a_crossing_is_found_to_its_tolerance(size):
    tried = []

    def attempt(length):
        tried.append(length)
        return 1.0 - 2.0 * math.exp(-length / 7.0) if size > 5 else length - 0.3, len(tried)

    start = attempt(0.0)[0]
    length, excess, came_with = locate(attempt, start, (size, *attempt(size)), 1e-6)
    assert abs(excess) <= 1e-6 and attempt(length)[0] == excess
    assert tried[came_with - 1] == length


def test_a_failed_attempt_leaves_the_best_step_so_far():
    found = locate(lambda length: None, -1.0, (10.0, 0.5, "whole"), 1e-6)
    assert found == (10.0, 0.5, "whole")


def test_a_step_that_begins_beyond_is_not_shortened():
    assert locate(lambda length: (0.0, "never"), 0.1, (10.0, 0.5, "whole"), 1e-6) == (10.0, 0.5, "whole")
