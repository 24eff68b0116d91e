"""Pictures of profile likelihoods show their points, threshold and interval."""

import numpy as np
import pytest

from simulator.viz.fit import ProfileCurve, plot_profiles


def test_a_panel_for_each_profile_with_open_ends_marked(tmp_path, drawn, picture):
    x = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
    excess = np.array([np.nan, 1.0, 0.0, 1.0, 4.0])
    closed = ProfileCurve("b", x[1:], excess[1:], 3.84, 1.0, 7.8, (True, True), 2.0, True)
    stopped = ProfileCurve("a", x, excess, 3.84, 1.0, 7.8, (False, True), 2.0, False)
    picture(plot_profiles(tmp_path / "p.png", [stopped, closed, closed, closed]))
    panels = [axes for axes in drawn[0].axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in panels] == ["a", "b", "b", "b"]
    assert panels[0].get_title() == "< 1 to 7.8" and panels[1].get_title() == "1 to 7.8"
    assert [line.get_marker() for line in panels[0].lines if line.get_marker() in "x<"] == ["x", "<"]
    assert panels[1].get_xscale() == "log" and panels[0].get_xscale() == "linear"
    threshold, curve, points = panels[1].lines[:3]
    assert threshold.get_ydata()[0] == 3.84
    np.testing.assert_array_equal(points.get_xydata(), np.stack([x[1:], excess[1:]], axis=1))
    # between the points the line is the parabola in ln x: half of the way up, a quarter of the height
    assert np.interp(np.sqrt(8.0), *curve.get_data()) == pytest.approx(0.25, abs=0.01)  # 200 points
