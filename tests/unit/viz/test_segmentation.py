"""The picture of a segmentation: sections, outlines, fractions and marks."""

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

import simulator as sim
from simulator.errors import ConfigError
from simulator.geometry.segmentation import Expected
from simulator.viz import plot_segmentation
from simulator.viz import segmentation as page


@pytest.fixture(scope="module")
def grey():
    levels = np.repeat(np.array([50.0, 120.0, 200.0]), [8, 6, 14])[None, :, None]
    return levels + np.random.default_rng(0).normal(0, 4, (10, 28, 16))


@pytest.fixture(scope="module")
def found(grey):
    return sim.segment(grey, denoise="none")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures: list[Figure] = []
    monkeypatch.setattr(page, "save", lambda figure, path: figures.append(figure) or path)
    return figures


def test_a_stack_has_three_sections_above_their_phases(grey, found, drawn):
    plot_segmentation(grey, found, "a.png", voxel_size=(1e-6, 0.5e-6, 0.5e-6))
    (figure,) = drawn
    assert len(figure.axes) == 8
    titles = [ax.get_title() for ax in figure.axes[:6] if ax.get_title()]
    assert titles == ["z = 5.5 µm", "y = 7.25 µm", "x = 4.25 µm"]
    upper = figure.axes[0]
    np.testing.assert_array_equal(upper.images[0].get_array(), grey[5])
    # binder and active material are outlined, the darkest phase is not
    assert sum(isinstance(c, QuadContourSet) for c in upper.collections) == 2
    phases = [ax.images[0].get_array() for ax in figure.axes[:6] if not ax.get_title()]
    np.testing.assert_array_equal(phases[0], found.labels[5])


def test_panels_of_a_page_have_one_scale(grey, found, drawn):
    plot_segmentation(grey, found, "a.png", voxel_size=(1e-6, 0.5e-6, 0.5e-6))
    (figure,) = drawn
    width, height = figure.get_size_inches()
    scales = []
    for ax in figure.axes[:6]:
        box = ax.get_position()
        scales += [box.width * width / np.ptp(ax.get_xlim()), box.height * height / np.ptp(ax.get_ylim())]
    np.testing.assert_allclose(scales, scales[0], rtol=1e-9)


def test_bars_show_fractions_and_marks_what_was_expected(grey, found, drawn):
    expected = [Expected("am", found.fraction("am"), 0.6, "image"), Expected("am", 0.7, 0.8, "am + cbd")]
    plot_segmentation(grey, found, "a.png", expected=expected)
    bars = drawn[0].axes[-1]
    widths = [patch.get_width() for patch in bars.patches]
    assert widths == pytest.approx([100 * found.fraction(n) for n in found.names] + [70.0])
    assert sorted(float(line.get_xdata()[0]) for line in bars.lines) == pytest.approx([60.0, 80.0])
    assert [t.get_text() for t in bars.get_yticklabels()][-1] == "am of am + cbd"


def test_the_histogram_has_every_threshold_and_every_voxel(grey, found, drawn):
    plot_segmentation(grey, found, "a.png")
    histogram = drawn[0].axes[-2]
    lines = sorted(float(line.get_xdata()[0]) for line in histogram.lines)
    assert lines == pytest.approx(list(found.thresholds))
    total = histogram.patches[0].get_data().values.sum()
    assert total == pytest.approx(grey.size, rel=0.01)  # 0.05 % at each end are outside


def test_large_images_show_their_middle(drawn):
    image = np.random.default_rng(0).normal(np.where(np.arange(400) < 200, 50, 200)[:, None], 5, (400, 300))
    plot_segmentation(image, sim.segment(image, 2, denoise="none"), "a.png", axes=("row", "column"))
    (figure,) = drawn
    assert len(figure.axes) == 4
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), image[70:330, 20:280])
    assert figure.axes[0].get_title() == "middle part" and figure.axes[0].get_xlabel() == "column [pixel]"


def test_a_stack_of_one_layer_is_drawn_as_one_section(grey, drawn):
    layer = grey[4:5]
    plot_segmentation(layer, sim.segment(layer, denoise="none"), "a.png")
    (figure,) = drawn
    assert len(figure.axes) == 4
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), grey[4])


def test_a_file_is_written(grey, found, tmp_path):
    assert plot_segmentation(grey, found, tmp_path / "a.png").stat().st_size > 10_000


def test_another_image_is_refused(grey, found):
    with pytest.raises(ConfigError, match="its labels"):
        plot_segmentation(grey[:5], found, "a.png")
