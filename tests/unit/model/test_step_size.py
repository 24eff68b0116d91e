"""The length of time steps from the errors of the steps before."""

import pytest

from simulator.model.step_size import GROWTH, SAFETY, SHRINK, after_rejection, after_success


def tries(error_of, size):
    """Sizes of the rejected tries from `size` on until the error passes."""
    sizes, earlier = [], None
    while (error := error_of(size)) > 1.0:
        sizes.append(size)
        size, earlier = after_rejection(size, error, earlier), (size, error)
    return sizes, size


def test_an_error_of_the_order_of_the_scheme_is_met_at_once():
    sizes, size = tries(lambda h: (h / 2.0) ** 3, 6.0)
    assert len(sizes) == 1
    assert size == pytest.approx(SAFETY * 2.0)


@pytest.mark.parametrize("order", [0.6, 1.0, 2.0])
def test_the_order_that_two_rejections_show_is_believed(order):
    sizes, size = tries(lambda h: h**order, 6.0)
    assert len(sizes) == 2  # by the order of the scheme it would take up to seven
    assert 0.5 < size <= 1.0  # the longest that passes is 1


def test_errors_that_do_not_fall_shorten_the_step_as_if_they_did():
    first = after_rejection(4.0, 5.0, None)
    assert after_rejection(first, 6.0, (4.0, 5.0)) == pytest.approx(first * SAFETY * 6.0 ** (-1 / 3))


def test_steps_grow_and_shrink_within_bounds():
    assert after_success(2.0, 0.0) == after_success(2.0, 1e-9) == 2.0 * GROWTH
    assert after_success(2.0, 1.0) == pytest.approx(2.0 * SAFETY)
    assert after_rejection(2.0, 1e9, None) == 2.0 * SHRINK
