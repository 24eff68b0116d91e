"""Curves and slices show the right numbers at the right place."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.viz import fields, figures, plot_slices, plot_voltage

ROOT = Path(figures.__file__).parents[2]  # where `import simulator` works without an installation


def test_each_half_cycle_starts_at_zero_specific_capacity(run, tmp_path, drawn, picture):
    picture(plot_voltage(run, tmp_path / "v.png"))
    voltage = drawn[0].axes[0]
    mass = 4780.0 * 8 * 6 * 7 * 0.5e-6 * 0.4e-6 * 0.25e-6  # [kg] of 8 x 6 x 7 active voxels
    # 1 nA for 600 s from the second row on (trapezoid over the first interval: half), in mAh per g
    per_interval = 1e-9 * 600.0 / 3.6 / (1e3 * mass)
    charge, discharge = (line.get_xdata() for line in voltage.lines)
    # rounding only; the rest at 1800 s stays with the charge before it, and its step change moves no charge
    np.testing.assert_allclose(charge / per_interval, [0.0, 0.5, 1.5, 1.5], rtol=1e-12)
    np.testing.assert_allclose(discharge / per_interval, [1.0, 2.0], rtol=1e-12)
    assert [line.get_label() for line in voltage.lines] == ["charge", "discharge"]
    assert "mAh" in drawn[0].axes[-1].get_xlabel()


def test_mean_soc_and_its_spread_are_drawn(run, tmp_path, drawn):
    plot_voltage(run, tmp_path / "v.png")
    soc = drawn[0].axes[1]
    # SOC = (0.9 - sto) / 0.6 with sto = 0.9 - t / 1e4
    np.testing.assert_allclose(soc.lines[0].get_ydata(), np.array([0, 600, 1200, 1800]) / 6e3, atol=1e-12)
    # min to max of charge and discharge; 10 to 90 % only in the charge, where fields were saved
    assert len(soc.collections) == 3
    low, high = (f(soc.collections[0].get_paths()[0].vertices[:, 1]) for f in (np.min, np.max))
    np.testing.assert_allclose([low, high], [-0.05 / 0.6, (0.05 + 0.18) / 0.6], atol=1e-12)
    assert [t.get_text() for t in soc.get_legend().get_texts()] == ["mean", "10 to 90 %", "min to max"]


def test_without_columns_the_soc_comes_from_the_saved_fields(make_run, tmp_path, drawn):
    plot_voltage(make_run(columns=False), tmp_path / "v.png")
    soc = drawn[0].axes[1]
    # mean of 0.1 ... 0.8 over depth at 1200 s, half at 600 s; after it nothing is known (f4 fields: 1e-6)
    np.testing.assert_allclose(soc.lines[0].get_ydata(), [0.0, 0.225, 0.45, np.nan], atol=1e-6)


def test_without_density_the_axis_is_time(make_run, tmp_path, drawn):
    run = make_run(parameters={"am.sto_window": [0.3, 0.9]})
    plot_voltage(run, tmp_path / "v.pdf")
    assert drawn[0].axes[-1].get_xlabel() == "Time [s]"
    np.testing.assert_array_equal(drawn[0].axes[0].lines[0].get_xdata(), run.timeseries["test_time_second"])


def test_without_soc_window_only_the_voltage_is_drawn(make_run, tmp_path, drawn):
    plot_voltage(make_run(parameters={"am.density": 4780.0}), tmp_path / "v.svg")
    assert len(drawn[0].axes) == 1


def test_a_run_that_did_not_finish_says_so_in_every_title(make_run, tmp_path, drawn):
    run = make_run(status="newton_failed")
    plot_voltage(run, tmp_path / "v.png")
    assert "newton_failed" in drawn[0].axes[0].get_title()
    assert "newton_failed" in figures.step_title(run, 0)


def test_step_title_states_time_voltage_and_mean_soc(run):
    assert figures.step_title(run, -1) == ("t = 20.0 min,  cell voltage 3.720 V,  mean SOC 0.450")


def test_slices_put_the_separator_left_and_x_upwards(run):
    figure = Figure()
    axes = figure.subplots(1, 2)
    figures.draw_pair(axes, run, fields.show_field(run, "sto", -1))
    grey, colour = axes[0].images
    values = colour.get_array()
    assert values.shape == (10, 8)  # rows along x, columns along z
    # 0.1 + 0.1 z in the particles, the same for all x there (f4 fields: 1e-6)
    np.testing.assert_allclose(values[:7].filled(np.nan), np.tile(0.1 + 0.1 * np.arange(8), (7, 1)), atol=1e-6)
    assert values.mask[7:].all()
    assert colour.origin == "lower"
    np.testing.assert_allclose(colour.get_extent(), [0.0, 4.0, 0.0, 2.5])  # z 8 x 0.5 um, x 10 x 0.25 um
    np.testing.assert_allclose(grey.get_array()[7], fields.PORE_GREY)
    np.testing.assert_allclose(grey.get_array()[9], fields.SOLID_GREY)
    plane = axes[1].images[1]
    np.testing.assert_allclose(plane.get_extent(), [0.0, 2.4, 0.0, 2.5])  # y 6 x 0.4 um
    np.testing.assert_allclose(plane.get_array()[0].filled(np.nan), 0.5, atol=1e-6)  # layer 4 of 8
    texts = {text.get_text(): text.get_position()[0] for text in axes[0].texts}
    assert texts["separator"] < 0.0 < 4.0 < texts["current collector"]


def test_panels_of_a_slice_figure_share_one_scale(run, tmp_path, drawn, picture):
    picture(plot_slices(run, tmp_path / "s.png"))
    figure = drawn[0]
    size = figure.get_size_inches()
    panels = [ax for ax in figure.axes if ax.images and ax.get_xlabel() in ("thickness z [µm]", "y [µm]")]
    assert len(panels) == 8  # two steps, two fields, two planes
    for ax in panels:
        box, (x0, x1), (y0, y1) = ax.get_position(), ax.get_xlim(), ax.get_ylim()
        # 1e-6: rounding of positions in inches
        np.testing.assert_allclose(box.width * size[0] / (x1 - x0), box.height * size[1] / (y1 - y0), rtol=1e-6)
    bars = {ax.get_ylabel() for ax in figure.axes} - {"x [µm]", ""}
    assert bars == {"State of charge", r"Electrolyte potential $\phi_e$ [mV]"}


def test_slices_show_the_chosen_steps_in_millivolts(run, tmp_path, drawn):
    plot_slices(run, tmp_path / "s.png", indices=[1])
    potential = drawn[0].axes[3].images[1]
    # -1 mV per layer, ionic phase in the last two x (f4 fields: 1e-5 mV)
    np.testing.assert_allclose(potential.get_array()[9].filled(np.nan), -np.arange(8.0), atol=1e-5)
    assert [t.get_text() for t in drawn[0].texts] == [figures.step_title(run, 1)]


def test_a_run_without_potential_shows_soc_only(make_run, tmp_path, drawn):
    plot_slices(make_run(fields=("sto",)), tmp_path / "s.png")
    assert sum(bool(ax.images) and ax.get_xlabel() != "" for ax in drawn[0].axes) == 4


def test_active_material_left_out_of_the_calculation_is_marked(run):
    shown = fields.show_field(run, "sto", -1)
    assert not shown.has_blank
    shown.values[0] = np.nan
    assert shown.has_blank
    figure = Figure()
    axes = figure.subplots(1, 2)
    figures.draw_pair(axes, run, shown)
    np.testing.assert_allclose(axes[0].images[0].get_array()[:7, 0], fields.EXCLUDED_GREY)
    assert [p.get_label() for p in figures.grey_legend({shown.blank_label: shown.blank})][
        -1
    ] == "not connected, left out"


def test_soc_is_zero_at_the_lithiated_and_one_at_the_delithiated_end(run):
    np.testing.assert_allclose(fields.to_soc(run, np.array([0.9, 0.3, np.nan])), [0.0, 1.0, np.nan])


@pytest.mark.parametrize("window", [None, [0.9, 0.3], [0.5]])
def test_an_unusable_soc_window_is_named(run, window):
    broken = dataclasses.replace(run, parameters={"am": {"sto_window": window}})
    with pytest.raises(ConfigError, match=r"am\.sto_window"):
        fields.to_soc(broken, np.zeros(1))


def test_colour_range_is_rounded_outward_and_never_narrower_than_asked():
    values = np.append(np.linspace(0.412, 0.588, 10_000), np.nan)
    assert fields.colour_range(values, 2, 0.02) == pytest.approx((0.41, 0.59, "neither"))
    low, high, extend = fields.colour_range(np.append(values, [0.0, 1.0]), 2, 0.02)
    # two of 10,002 voxels lie beyond 1 to 99 %: shown by the arrows of the colour bar
    assert (low, high, extend) == pytest.approx((0.41, 0.59, "both"))
    assert fields.colour_range(np.full(9, 0.5), 2, 0.02) == pytest.approx((0.49, 0.51, "neither"))
    with pytest.raises(ConfigError, match="not finite"):
        fields.colour_range(np.array([np.nan]), 2, 0.02)


def test_what_cannot_be_drawn_is_refused_with_the_reason(make_run, run, tmp_path):
    empty = {name: values[:0] for name, values in run.timeseries.items()}
    none_saved = dataclasses.replace(run, field_times=np.zeros(0))
    for draw, message in (
        (
            lambda: plot_voltage(dataclasses.replace(run, timeseries=empty), tmp_path / "v.png"),
            "no time-series",
        ),
        (lambda: plot_voltage(run, tmp_path / "v.bmpx"), "Known extensions"),
        (lambda: plot_slices(none_saved, tmp_path / "s.png"), "no saved fields"),
        (lambda: plot_slices(run, tmp_path / "s.png", indices=[3]), "0 to 2"),
        (lambda: plot_slices(make_run("p.vtkhdf", fields=("phi_e",)), tmp_path / "s.png"), "no field 'sto'"),
    ):
        with pytest.raises(ConfigError, match=message):
            draw()
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".vtkhdf"]


def test_importing_viz_loads_neither_pyvista_nor_jax_nor_a_window_system():
    script = "import sys, simulator.viz; print({'pyvista', 'vtk', 'jax', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
