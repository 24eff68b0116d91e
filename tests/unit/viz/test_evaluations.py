"""Pictures of cycles, titrations and nickel profiles show the numbers that they are given."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from simulator.errors import ConfigError
from simulator.viz import plot_cycles, plot_gitt, plot_nickel_profile, plot_voltage


def table(cycles=3):
    n = np.arange(1.0, cycles + 1)
    words = ("charge", "discharge")
    columns = {f"{word} capacity [mAh/g AM]": 160.0 - n for word in words}
    columns |= {f"mean {word} voltage [V]": 3.8 + 0 * n for word in words}
    columns |= {"coulombic efficiency [%]": 99 + 0 * n, "energy efficiency [%]": 95 - n}
    return {"cycle [-]": n} | columns | {f"resistance 10 s into {w} [ohm cm2]": np.nan * n for w in words}


def test_four_panels_over_the_cycles(tmp_path, drawn, picture):
    picture(plot_cycles(table(), tmp_path / "c.png", status="dt_min"))
    figure = drawn[0]
    capacity, efficiency, voltage, resistance = figure.axes
    np.testing.assert_array_equal(capacity.lines[1].get_xydata(), [[1, 159], [2, 158], [3, 157]])
    assert [line.get_label() for line in efficiency.lines] == ["coulombic", "energy"]
    # equal lines lie over one another: the lower one is wider
    assert voltage.lines[0].get_linewidth() > voltage.lines[1].get_linewidth()
    assert np.ptp(voltage.get_ylim()) > 0.03  # what is constant looks so
    assert [text.get_text() for text in resistance.texts] == ["not in this run"]
    assert figure.get_suptitle() == "run status: dt_min"


def test_a_table_without_cycles_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no cycles"):
        plot_cycles(table(0), tmp_path / "c.png")


def titration(radius=5e-6):
    n = 4
    return SimpleNamespace(
        time=np.arange(n) * 3600.0,
        duration=np.full(n, 1800.0),
        current=np.array([1.0, 1.0, 1.0, -1.0]),
        sto=np.array([0.8, 0.7, 0.6, 0.6]),
        sto_rest=np.array([0.75, 0.65, 0.55, 0.65]),
        voltage_rest=np.array([3.7, 3.8, 3.9, 3.79]),
        D1=np.array([0.01, 0.02, 0.2, 0.02]),
        diffusivity=np.array([1.0, 2.0, 3.0, 2.0]) * radius**2,
        radius=radius,
    )


def test_a_titration_shows_its_pulses_by_direction(tmp_path, drawn, picture):
    time = np.linspace(0.0, 4 * 3600.0, 9)
    picture(plot_gitt(titration(), time, 3.6 + time / 1e5, tmp_path / "g.png"))
    curve, rest, ratio, diffusivity = drawn[0].axes
    assert len(curve.patches) == 4
    np.testing.assert_array_equal(rest.lines[0].get_xydata(), [[0.75, 3.7], [0.65, 3.8], [0.55, 3.9]])
    assert [line.get_label() for line in rest.lines] == ["charge", "discharge"]
    assert ratio.get_yscale() == "log" and diffusivity.get_yscale() == "linear"  # by their ranges
    assert diffusivity.get_title() == "R = 5 µm"
    plot_gitt(titration(np.nan), time, 3.6 + time / 1e5, tmp_path / "g.png")
    assert "no particle radius" in drawn[1].axes[3].get_title()


def profile(fraction):
    image = np.full((6, 5), np.nan)
    image[1:-1, 1:-1] = np.linspace(0.2, 0.6, 4)[:, None]
    return SimpleNamespace(
        particle=3,
        time=5400.0,
        position=np.array([0.5, 1.5, 2.5, 3.5]) * 1e-6,
        fraction=np.array(fraction),
        region_length=1e-6,
        region_width=1e-6,
        image=image,
        extent=(-1e-6, 5e-6, -2.5e-6, 2.5e-6),
    )


def test_a_nickel_profile_shows_particle_regions_and_both_scales(tmp_path, drawn, picture):
    picture(plot_nickel_profile(profile([0.2, 0.3, 0.4, 0.5]), tmp_path / "n.png"))
    seen, lines, *_ = drawn[0].axes
    ratio = drawn[0].axes[-1]
    assert [text.get_text() for text in seen.texts] == ["1", "2", "3", "4"]
    np.testing.assert_allclose([p.get_bbox().bounds for p in seen.patches], [(n, -0.5, 1, 1) for n in range(4)])
    assert seen.get_title() == "particle 3, t = 1.50 h"
    lines = next(ax for ax in drawn[0].axes if "fraction $f$" in ax.get_ylabel())
    assert lines.get_ylim() == pytest.approx(ratio.get_ylim())
    labels = {tick: label.get_text() for tick, label in zip(ratio.get_yticks(), ratio.get_yticklabels(), strict=True)}
    assert labels[0.5] == "1" and labels[0.2] == "0.25"  # r = f/(1 - f)


def test_an_even_particle_looks_even(tmp_path, drawn):
    even = profile([0.4, 0.4, 0.4, 0.4])
    even.image = np.where(np.isnan(even.image), np.nan, 0.4)
    plot_nickel_profile(even, tmp_path / "n.png")
    low, high = drawn[0].axes[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.39, 0.41))


def cycled(run, times):
    """The rows of `run` (charge, rest, discharge) `times` over."""
    series = run.timeseries
    rows = series["test_time_second"].size
    many = {name: np.tile(values, times) for name, values in series.items()}
    many["test_time_second"] = many["test_time_second"] + 3100.0 * np.repeat(np.arange(times), rows)
    many["step_count"] = many["step_count"] + 3 * np.repeat(np.arange(times), rows)
    return many


def test_many_cycles_are_coloured_by_their_number(run, tmp_path, drawn, picture):
    for times in (2, 5):
        picture(plot_voltage(dataclasses.replace(run, timeseries=cycled(run, times)), tmp_path / "v.png"))
    few, many = (figure.axes[0] for figure in drawn)
    assert few.get_legend().get_title().get_text() == "4 half-cycles, last ones dark"
    assert many.get_legend() is None and len(many.lines) == 10
    colours = [to_hex(line.get_color()) for line in many.lines]
    assert colours[::2] == colours[1::2] and len(set(colours)) == 5  # charge and discharge of a cycle share theirs
    assert all(line.get_xdata().min() >= 0.0 for line in many.lines)
    assert any("Cycle" in ax.get_xlabel() for ax in drawn[1].axes)
