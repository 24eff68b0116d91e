"""Runs are told apart without colour, and their losses stand side by side."""

import dataclasses

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import plot_comparison
from simulator.viz.comparison import line_style


def test_every_run_has_its_curve_its_bar_and_its_line_of_the_legend(make_run, tmp_path, drawn, picture):
    runs = [make_run("a.vtkhdf", losses=True), make_run("b.vtkhdf", losses=True, status="dt_min")]
    picture(plot_comparison(runs, tmp_path / "c.png", names=["a", "b"], details=["kappa = 1", "status dt_min"]))
    curves, bars = drawn[0].axes
    assert len(curves.lines) == 4  # a charge and a discharge of each
    assert "mAh" in curves.get_xlabel()
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["a: kappa = 1", "b: status dt_min"]
    assert [text.get_text().strip() for text in bars.texts] == ["55 mV", "55 mV"]
    right = max(patch.get_x() + patch.get_width() for patch in bars.patches)
    assert right == pytest.approx(60.0)  # [mV]; the salt's gain of 5 mV goes to the left


def test_without_losses_in_all_runs_only_the_curves_are_drawn(make_run, tmp_path, drawn):
    plot_comparison([make_run("a.vtkhdf", losses=True), make_run("b.vtkhdf")], tmp_path / "c.pdf", names=["a", "b"])
    assert len(drawn[0].axes) == 1


def test_a_run_without_rows_is_named_and_has_no_line(make_run, tmp_path, drawn):
    full, died = make_run("a.vtkhdf"), make_run("b.vtkhdf", status="newton_failed")
    died = dataclasses.replace(died, timeseries={name: rows[:0] for name, rows in died.timeseries.items()})
    plot_comparison([full, died], tmp_path / "c.png", names=["a", "b"])
    assert len(drawn[0].axes[0].lines) == 2
    assert len(drawn[0].legends[0].get_texts()) == 2


def test_neighbouring_runs_differ_in_colour_and_in_dashes():
    styles = [line_style(n) for n in range(7)]
    assert len({s["color"] for s in styles}) == len({str(s["ls"]) for s in styles}) == 7
    assert len({str(line_style(n)) for n in range(56)}) == 56


def test_what_cannot_be_compared_is_refused(make_run, run, tmp_path):
    timed = make_run("t.vtkhdf", parameters={"am.sto_window": [0.3, 0.9]})
    empty = dataclasses.replace(run, timeseries={name: np.zeros(0) for name in run.timeseries})
    for runs, message in (([run], "at least two"), ([run, timed], "share an axis"), ([empty, empty], "time-series")):
        with pytest.raises(ConfigError, match=message):
            plot_comparison(runs, tmp_path / "c.png", names=["r"] * len(runs))
