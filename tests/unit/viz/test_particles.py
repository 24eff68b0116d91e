"""Each particle has its line and its point; the mean is weighted by volume."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import plot_particles
from simulator.viz.particles import particles_of


def test_lines_points_and_the_mean_show_the_particles(run, with_particles, tmp_path, drawn, picture):
    picture(plot_particles(with_particles(run), tmp_path / "p.png"))
    history, by_coverage, by_size = drawn[0].axes[:3]
    lines = history.collections[0].get_segments()
    assert len(lines) == 4
    # 0, 600, 1200 s; sto falls by 0.2 in a window of 0.6
    np.testing.assert_allclose(lines[1], [[0.0, 0.0], [600.0, 1 / 6], [1200.0, 1 / 3]], atol=1e-12)
    assert history.get_xlabel() == "Time [s]"
    # by volume 1 : 2 : 3 : 4 of 0.1 ... 0.4
    mean = (0.1 + 2 * 0.2 + 3 * 0.3 + 4 * 0.4) / 10 / 0.6
    np.testing.assert_allclose(history.lines[0].get_ydata(), [0.0, mean / 2, mean], rtol=1e-12)
    whole, cut = by_coverage.collections
    np.testing.assert_allclose(whole.get_offsets(), [[0.1, 1 / 6], [0.4, 1 / 3], [0.7, 0.5]], atol=1e-12)
    np.testing.assert_allclose(cut.get_offsets(), [[1.0, 2 / 3]], atol=1e-12)
    assert len(cut.get_facecolors()) == 0  # hollow
    np.testing.assert_allclose(by_size.collections[0].get_offsets()[:, 0], [1.2, 1.6, 1.8])  # [um]
    assert "[µm]" in by_size.get_xlabel()


@pytest.mark.parametrize(("coverage", "expected"), [((0.31, 0.74), (0.3, 0.8)), ((1.0, 1.0), (0.9, 1.0))])
def test_the_colours_span_the_coverages_that_occur(run, with_particles, tmp_path, drawn, coverage, expected):
    run = with_particles(run)
    run.particles.coverage[:] = np.linspace(*coverage, 4)
    plot_particles(run, tmp_path / "p.png")
    bar = next(ax for ax in drawn[0].axes if ax.get_xlabel() == "Coverage")
    assert bar.get_xlim() == pytest.approx(expected)


def test_isolated_particles_without_a_state_do_not_spoil_the_mean(run, with_particles, tmp_path, drawn):
    run = with_particles(run)
    run.particles.sto[:, 3] = np.nan
    plot_particles(run, tmp_path / "p.png")
    # the first three alone, by volume 1 : 2 : 3
    assert drawn[0].axes[0].lines[0].get_ydata()[-1] == pytest.approx((0.1 + 2 * 0.2 + 3 * 0.3) / 6 / 0.6)


def test_a_run_without_particles_is_refused_with_the_cure(run, tmp_path):
    assert particles_of(run) is None
    with pytest.raises(ConfigError, match=r"output\.particles=true"):
        plot_particles(run, tmp_path / "p.png")
