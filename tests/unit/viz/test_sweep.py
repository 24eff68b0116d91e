"""The picture of a sweep shows every run where it belongs, and which of them have no result."""

import itertools
import math

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz.sweep import plot_sweep, values_of

CAPACITY, UTILISATION = "capacity [mAh/g AM]", "utilisation [%]"


def grid(**axes) -> list[dict]:
    """A finished run for every combination; capacity 0, 1, 2, ... in their order."""
    combinations = itertools.product(*axes.values())
    return [
        dict(zip(axes, choice, strict=True)) | {"status": "finished", CAPACITY: float(n), UTILISATION: 2.0 * n}
        for n, choice in enumerate(combinations)
    ]


def cells(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_two_settings_make_a_map_with_each_value_in_its_cell(tmp_path, drawn, picture):
    rows = grid(porosity=[0.2, 0.1], coverage=[0.5, 0.3, 0.7])
    rows[4].update(status="failed", **{CAPACITY: math.nan, UTILISATION: math.nan})
    rows[5].update(status="salt_depleted")
    del rows[0]
    picture(plot_sweep(rows, tmp_path / "a.png", axes=["porosity", "coverage"], quantities=[CAPACITY, UTILISATION]))
    left, right = drawn[0].axes[:2]
    nan = np.nan  # columns: porosity 0.1, 0.2; lines: coverage 0.3, 0.5, 0.7
    np.testing.assert_array_equal(left.images[0].get_array().filled(nan), [[nan, 1.0], [3.0, nan], [5.0, 2.0]])
    np.testing.assert_array_equal(right.images[0].get_array().filled(nan), [[nan, 2.0], [6.0, nan], [10.0, 4.0]])
    assert sorted(cells(left)) == ["1", "2", "3", "5*", "failed"]
    assert len([patch for patch in left.patches if patch.get_hatch()]) == 2  # the failed one, the one that is missing
    assert [t.get_text() for t in left.get_xticklabels()] == ["0.1", "0.2"]
    assert [t.get_text() for t in left.get_yticklabels()] == ["0.3", "0.5", "0.7"]
    assert (left.get_xlabel(), left.get_ylabel()) == ("porosity", "coverage")
    assert "stopped early" in drawn[0].get_supxlabel()


def test_one_numeric_setting_makes_a_line_in_its_order(tmp_path, drawn):
    rows = grid(kappa=[0.1, 0.001, 0.01])
    rows[2].update(status="voltage_limit")
    rows.append({"kappa": 1.0, "status": "failed", CAPACITY: math.nan})
    plot_sweep(rows, tmp_path / "a.pdf", axes=["kappa"], quantities=[CAPACITY])
    (ax,) = drawn[0].axes
    line = ax.lines[0]
    assert line.get_xydata().tolist() == [[0.001, 1.0], [0.01, 2.0], [0.1, 0.0]]
    assert ax.get_xscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["stopped early", "no result"]


def test_values_that_are_no_numbers_are_points_without_a_line(tmp_path, drawn):
    plot_sweep(grid(protocol=["pulse", "charge_c10"]), tmp_path / "a.png", axes=["protocol"], quantities=[CAPACITY])
    (ax,) = drawn[0].axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["pulse", "charge_c10"]
    assert ax.lines[0].get_linestyle() == "None"


def test_a_third_setting_makes_small_multiples_on_one_scale(tmp_path, drawn):
    rows = grid(**{"a.x": [1, 2], "a.y": [1, 2, 3], "a.size": ["0.4 um", "0.5 um", "1.6 um", "0.8 um"]})
    plot_sweep(rows, tmp_path / "a.png", axes=["a.x", "a.y", "a.size"], quantities=[CAPACITY])
    panels = [ax for ax in drawn[0].axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == [f"size = {s} um" for s in (0.4, 0.5, 0.8, 1.6)]
    assert len({(ax.images[0].norm.vmin, ax.images[0].norm.vmax) for ax in panels}) == 1
    assert panels[2].images[0].get_array()[2, 1] == rows[23][CAPACITY]  # x = 2, y = 3, 0.8 um is the last row


def test_more_panels_than_fit_are_counted(tmp_path, drawn):
    rows = grid(x=[1, 2], y=[1, 2], z=list(range(5)), w=list(range(4)))
    plot_sweep(rows, tmp_path / "a.png", axes=["x", "y", "z", "w"], quantities=[CAPACITY])
    assert len([ax for ax in drawn[0].axes if ax.get_title()]) == 12
    assert "8 more combinations of z, w" in drawn[0].get_supxlabel()


def test_equal_values_are_not_told_apart_by_rounding(tmp_path, drawn):
    rows = grid(x=[1, 2], y=[1])
    for row, value in zip(rows, (14.349258821027282, 14.34925882102728), strict=True):
        row[CAPACITY] = value
    plot_sweep(rows, tmp_path / "a.png", axes=["x", "y"], quantities=[CAPACITY])
    norm = drawn[0].axes[0].images[0].norm
    assert abs(norm(rows[0][CAPACITY]) - norm(rows[1][CAPACITY])) < 1e-9  # rounding is 1e-15 of the value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.2, 0.1, 0.2], [0.1, 0.2]),
        (["10 um", "0.4 um", "2 um"], ["0.4 um", "2 um", "10 um"]),
        (["b", "a"], ["b", "a"]),
        (["1 um", "2 nm"], ["1 um", "2 nm"]),  # different units: as they come
        ([True, False], [True, False]),
    ],
)
def test_values_are_in_order_of_their_size(given, expected):
    assert values_of([{"k": value} for value in given], "k") == expected


def test_values_are_told_apart_and_named_with_as_few_digits_as_that_takes(tmp_path, drawn):
    rows = grid(**{"a.seed": [10001, 10002, 10003], "T": [298.12, 298.15], "rtol": [0.1 + 0.2, 1 / 7]})
    plot_sweep(rows, tmp_path / "a.png", axes=["a.seed", "T", "rtol"], quantities=[CAPACITY])
    panels = [ax for ax in drawn[0].axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["rtol = 0.1429", "rtol = 0.3"]
    assert [t.get_text() for t in panels[0].get_xticklabels()] == ["10001", "10002", "10003"]
    assert [t.get_text() for t in panels[0].get_yticklabels()] == ["298.12", "298.15"]
    np.testing.assert_array_equal(panels[1].images[0].get_array(), [[0, 4, 8], [2, 6, 10]])
    plot_sweep(grid(**{"a.seed": [10001, 10002]}), tmp_path / "b.png", axes=["a.seed"], quantities=[CAPACITY])
    assert drawn[1].axes[0].lines[0].get_xydata().tolist() == [[10001.0, 0.0], [10002.0, 1.0]]


def test_numbers_that_do_not_fit_into_their_cells_are_left_out(tmp_path, drawn):
    for columns, lines in ((11, 2), (13, 2), (2, 60)):  # these fit; too many; too flat
        rows = grid(x=list(range(columns)), y=list(range(lines)))
        rows[1].update(status="voltage_limit")
        rows[2].update(status="a_status_too_long_for_its_cell" if columns > 2 else "failed", **{CAPACITY: math.nan})
        plot_sweep(rows, tmp_path / "a.png", axes=["x", "y"], quantities=[CAPACITY])
    fit, many, flat = (cells(figure.axes[0]) for figure in drawn)
    assert sorted(fit) == sorted([*map(str, {*range(22)} - {1, 2}), "1*"])
    assert many == ["*"]  # what stopped early is still told
    assert flat == ["*"]


def test_equal_values_get_a_range_of_five_per_cent(tmp_path, drawn):
    rows = grid(x=[1, 2], y=[1, 2])
    for row in rows:
        row[CAPACITY] = 200.0
    plot_sweep(rows, tmp_path / "a.png", axes=["x", "y"], quantities=[CAPACITY])
    norm = drawn[0].axes[0].images[0].norm
    assert (norm.vmin, norm.vmax) == (190.0, 210.0)


@pytest.mark.parametrize("axes", [["p.steps"], ["p.steps", "x"], ["x", "p.steps"], ["x", "y", "p.steps"]])
def test_long_texts_are_lettered_and_written_out_below(axes, tmp_path, drawn):
    steps = [["Charge at C/10 until 4.2 V", "Rest for 1 h"], ["Charge at C/3 until 4.2 V"], ["Rest for 1 h, " * 30]]
    given = {key: steps if key == "p.steps" else [1, 2] for key in axes}
    plot_sweep(grid(**given), tmp_path / "a.png", axes=axes, quantities=[CAPACITY])
    (figure,) = drawn
    shown = [t.get_text() for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels(), ax.title)]
    for letter in "ABC":
        assert letter in shown or f"steps = {letter}" in shown
    assert not any("Charge" in text for text in shown)
    below = figure.get_supxlabel().splitlines()
    assert below[0] == "p.steps"
    assert "A: Charge at C/10 until 4.2 V, Rest for 1 h" in below and "B: Charge at C/3 until 4.2 V" in below
    figure.draw_without_rendering()
    bounds = figure._supxlabel.get_window_extent()  # all of it is inside, and below the maps
    assert bounds.x0 >= 0 and bounds.y0 >= 0 and bounds.x1 <= figure.bbox.width
    assert all(ax.get_window_extent().y0 > bounds.y1 for ax in figure.axes)


def test_without_any_value_there_is_no_picture(tmp_path):
    with pytest.raises(ConfigError, match="no value"):
        plot_sweep([{"x": 1, "status": "pending"}], tmp_path / "a.png", axes=["x"], quantities=[CAPACITY])
