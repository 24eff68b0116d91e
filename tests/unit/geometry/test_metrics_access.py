"""Which sides of the image a phase reaches, and what is closed in."""

import numpy as np
import pytest

from simulator.errors import GeometryError
from simulator.geometry import CBD, ELECTROLYTE, Electrode, side_access
from simulator.geometry.metrics_access import IMAGE_SIDES

UM = 1e-6


def drawn(*boxes, shape=(10, 10, 10)):
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


def test_each_cluster_counts_for_the_sides_that_it_touches():
    through_z = (slice(None), slice(4, 6), slice(4, 6))  # 40 voxels
    at_low_y = (slice(8, 9), slice(0, 2), slice(8, 9))  # 2
    closed = (slice(2, 4), slice(8, 9), slice(2, 4))  # 4
    corner = (slice(0, 1), slice(9, 10), slice(9, 10))  # 1, at three sides
    found = side_access(drawn(through_z, at_low_y, closed, corner))
    assert found.fraction == pytest.approx(47 / 1000)
    expected = {"separator": 41, "collector": 40, "y low": 2, "y high": 1, "x low": 0, "x high": 1}
    assert found.sides == pytest.approx({side: n / 47 for side, n in expected.items()})
    assert list(found.sides) == list(IMAGE_SIDES)
    assert found.through == pytest.approx((40 / 47, 0.0, 0.0))
    assert found.closed == pytest.approx(4 / 47)
    assert found.closed_fraction == pytest.approx(0.004)


def test_two_ends_without_a_path_are_not_through():
    found = side_access(drawn((slice(0, 4),), (slice(6, 10),)))
    assert found.sides["separator"] == found.sides["collector"] == 0.5
    assert found.through == (0.0, 1.0, 1.0)


def test_edges_do_not_connect():
    board = (np.indices((4, 4, 4)).sum(axis=0) % 2).astype(bool)
    found = side_access(board)
    assert found.through == (0.0, 0.0, 0.0)
    assert found.closed == pytest.approx(4 / 32)  # the voxels of the inner 2 x 2 x 2


def test_an_empty_mask_has_no_shares_and_what_is_no_mask_is_refused():
    found = side_access(np.zeros((2, 3, 4), bool))
    assert (found.fraction, found.closed, found.through) == (0.0, 0.0, (0.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="three non-empty axes"):
        side_access(np.zeros((2, 3), bool))


def test_the_summary_tells_open_from_closed_pores_and_binder_from_electrolyte():
    phase = np.ones((6, 5, 5), np.uint8)
    phase[2, 2, 2] = 0  # closed
    phase[:2, 0, 0] = 0  # at the separator
    phase[4, 1:3, 1] = CBD  # encased
    phase[0, 3, 3] = ELECTROLYTE
    found = Electrode(phase, (UM, UM, UM)).summary()
    assert found["Closed porosity [-]"] == pytest.approx(1 / 150)
    assert found["Share of pore connected to the separator [-]"] == pytest.approx(2 / 3)
    assert found["Share of pore connected to the collector [-]"] == 0.0
    assert found["Isolated share of cbd, no path to the separator [-]"] == 1.0
    assert found["Isolated share of electrolyte, no path to the separator [-]"] == 0.0
    assert found["Isolated share of cbd and electrolyte, no path to the separator [-]"] == pytest.approx(2 / 3)
