"""Losses are stacked with the right sign and size, and the legend tells their means."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import mean_losses, plot_losses
from simulator.viz.losses import cause_style, causes


@pytest.fixture
def lossy(make_run):
    return make_run(losses=True)


def test_mean_losses_cost_on_charge_and_on_discharge_alike(lossy):
    means = mean_losses(lossy)
    # signs follow the current, sizes are constant while it flows
    assert means["loss_charge_transfer_volt"] == pytest.approx(0.030, rel=1e-12)
    assert means["loss_salt_volt"] == pytest.approx(-0.005, rel=1e-12)
    assert sum(means.values()) == pytest.approx(0.055, rel=1e-12)


def test_mean_losses_of_a_run_without_current_are_not_known(lossy):
    # the rest at 1800 s: its one time step carries no charge
    assert all(np.isnan(value) for value in mean_losses(lossy, slice(3, 4)).values())


def test_stack_ends_at_the_total_and_gains_go_below_zero(lossy, tmp_path, drawn, picture):
    picture(plot_losses(lossy, tmp_path / "l.png"))
    figure = drawn[0]
    assert [ax.get_title() for ax in figure.axes[:2]] == ["charge", "discharge"]
    for ax in figure.axes[2:]:
        total = ax.lines[0].get_ydata()
        np.testing.assert_allclose(total, 55.0, rtol=1e-12)  # [mV]
        heights = [c.get_paths()[0].vertices[:, 1] for c in ax.collections]
        assert max(h.max() for h in heights) == pytest.approx(60.0)  # 30 + 20 + 10 upwards
        assert min(h.min() for h in heights) == pytest.approx(-5.0)  # the salt gives back
        assert ax.get_ylim()[0] < -5.0
        assert ax.get_ylim()[1] > 60.0
    assert "mV" in figure.axes[2].get_ylabel()


def test_the_larger_half_cycle_is_not_cut_off(lossy, tmp_path, drawn):
    ionic = lossy.timeseries["loss_ionic_volt"].copy()
    ionic[4:] *= 10.0  # the discharge: 200 mV
    lossy.timeseries["loss_ionic_volt"] = ionic
    plot_losses(lossy, tmp_path / "l.png")
    assert drawn[0].axes[2].get_ylim() == drawn[0].axes[3].get_ylim()
    assert drawn[0].axes[3].get_ylim()[1] > 240.0


def test_open_circuit_and_cell_voltage_differ_by_the_total(lossy, tmp_path, drawn):
    plot_losses(lossy, tmp_path / "l.png")
    cell, ocv = (line.get_ydata() for line in drawn[0].axes[0].lines)
    # rows at 600 and 1200 s carry the charging current (0 s and the rest do not)
    np.testing.assert_allclose((cell - ocv)[1:3], 0.055, rtol=1e-9)


def test_legend_names_every_cause_with_its_means_also_those_not_drawn(lossy, tmp_path, drawn):
    plot_losses(lossy, tmp_path / "l.png")
    legend = drawn[0].legends[0]
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == "total: 55.0 | 55.0"
    assert "charge transfer: 30.0 | 30.0" in texts
    assert "films and contacts: 0.0 | 0.0, not drawn" in texts
    assert legend.get_title().get_text() == "Mean loss [mV]\ncharge | discharge"


def test_unknown_causes_are_drawn_under_their_own_name(lossy):
    lossy.timeseries["loss_gas_bubbles_volt"] = lossy.timeseries["loss_ionic_volt"]
    assert causes(lossy)[-1] == "loss_gas_bubbles_volt"
    assert cause_style("loss_gas_bubbles_volt")[0] == "gas bubbles"


def test_a_run_without_losses_is_refused_with_the_cure(run, tmp_path):
    with pytest.raises(ConfigError, match="Repeat it"):
        plot_losses(run, tmp_path / "l.png")
    assert not (tmp_path / "l.png").exists()
