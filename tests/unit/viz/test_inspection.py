"""The picture of inspect: phases at their place, in their colour, with lengths and sides."""

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.geometry import AM, CBD, ELECTROLYTE, PORE, Electrode
from simulator.viz import inspection, plot_electrode, plot_values
from simulator.viz.inspection import MAX_CLASSES, PHASE_COLOURS


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were saved, to look into."""
    kept = []
    save = inspection.save

    def keep(figure, path):
        kept.append(figure)
        return save(figure, path)

    monkeypatch.setattr(inspection, "save", keep)
    return kept


@pytest.fixture
def electrode():
    """AM next to the separator, electrolyte, cbd, pore at the collector; one corner of the first layer is cbd."""
    phase = np.empty((8, 4, 6), np.uint8)
    phase[:2], phase[2:4], phase[4:6], phase[6:] = AM, ELECTROLYTE, CBD, PORE
    phase[:, 0, 0] = CBD
    return Electrode(phase, (0.5e-6, 1e-6, 2e-6), name="layers")


def colours(image):
    """RGB of the cells of an imshow picture, rows as drawn from the bottom."""
    return image.cmap(image.norm(image.get_array()))[..., :3]


def rgb(name):
    return matplotlib.colors.to_rgb(PHASE_COLOURS[name])


def test_slices_show_each_phase_at_its_place(electrode, tmp_path, drawn):
    path = plot_electrode(electrode, tmp_path / "i.png")
    assert matplotlib.image.imread(path)[..., :3].std() > 0.01  # an empty page has one colour
    through_y, through_x, plane, _ = drawn[0].axes
    cells = colours(through_y.images[0])
    assert cells.shape == (6, 8, 3)  # x upwards, z to the right
    for z, name in ((0, "am"), (2, "electrolyte"), (4, "cbd"), (7, "pore")):
        assert tuple(cells[3, z]) == rgb(name)
    assert through_y.images[0].get_extent() == pytest.approx([0, 4, 0, 12])  # um
    assert through_x.images[0].get_extent() == pytest.approx([0, 4, 0, 4])
    assert plane.images[0].get_extent() == pytest.approx([0, 4, 0, 12])
    assert tuple(colours(plane.images[0])[0, 0]) == rgb("cbd")  # y = 0, x = 0
    assert plane.get_title().startswith("z = 2.2 µm")  # layer 4 of 8, its centre at 4.5 x 0.5 um
    sides = [text.get_text() for text in through_y.texts]
    assert sides == ["separator", "current collector"]
    assert through_y.texts[0].get_position()[0] < 0 < 4 < through_y.texts[1].get_position()[0]


def test_legend_and_profile_hold_the_fractions(electrode, tmp_path, drawn):
    plot_electrode(electrode, tmp_path / "i.png")
    figure = drawn[0]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    # 1 of 24 columns is cbd throughout: 23/24 of a quarter, and for cbd 1/24 of three quarters more
    assert legend == ["pore 24.0 %", "electrolyte 24.0 %", "active material 24.0 %", "binder (cbd) 28.1 %"]
    profile = figure.axes[-1]
    assert profile.get_xlim() == pytest.approx((0, 4))
    stacked = {patch.get_facecolor()[:3]: patch for patch in profile.patches}
    cbd = stacked[rgb("cbd")].get_data()
    assert cbd.values == pytest.approx(np.array([1, 1, 1, 1, 24, 24, 1, 1]) / 24 * 100)
    am = stacked[rgb("am")].get_data()
    assert am.values - am.baseline == pytest.approx(np.array([23, 23, 0, 0, 0, 0, 0, 0]) / 24 * 100)
    assert "µm" in profile.get_xlabel()
    # phases that are not there get no entry
    plot_electrode(electrode.crop(z=(0, 4)), tmp_path / "j.png")
    assert len(drawn[1].legends[0].get_texts()) == 3


def test_phase_colours_differ_in_brightness():
    grey = sorted(float(np.dot(rgb(name), (0.2126, 0.7152, 0.0722))) for name in PHASE_COLOURS)
    assert min(np.diff(grey)) > 0.15  # told apart in a black and white print


@pytest.mark.parametrize("shape", [(4, 300, 300), (300, 4, 4), (40, 3, 60)])
def test_flat_and_long_images_keep_readable_panels(shape, tmp_path, drawn):
    phase = np.ones(shape, np.uint8)
    plot_electrode(Electrode(phase, (1e-6,) * 3), tmp_path / "i.png")
    figure = drawn[0]
    assert any("stretched" in ax.get_title() for ax in figure.axes)
    width, height = figure.get_size_inches()
    assert width < 11 and height < 8
    for ax in figure.axes:
        box = ax.get_position()
        assert box.width * width > 0.85 and box.height * height > 0.85  # [inch]
        assert 0 <= box.x0 and box.x1 <= 1 and 0 <= box.y0 and box.y1 <= 1


def test_values_without_meaning_are_drawn_as_the_file_holds_them(tmp_path, drawn):
    image = np.zeros((4, 5, 6), np.uint8)
    image[0], image[:, :, 5] = 85, 170
    axes = ("page", "row", "column")
    plot_values(image, axes, {0: 0.6, 85: 0.2, 170: 0.2}, tmp_path / "i.png", "stack.tif")
    page, _, column, profile = drawn[0].axes
    assert (page.get_title(), column.get_title()) == ("page 2", "column 3")
    assert page.images[0].get_array().tolist() == [[0] * 5 + [2]] * 5
    assert page.get_xlabel() == "column [voxel]"
    assert [t.get_text() for t in drawn[0].legends[0].get_texts()] == [
        "value 0: 60 %",
        "value 85: 20 %",
        "value 170: 20 %",
    ]
    assert profile.get_xlabel() == "page [voxel]"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_grey_levels_get_a_histogram_of_all_voxels(dtype, tmp_path, drawn):
    image = np.random.default_rng(0).integers(10, 250, (8, 9, 10)).astype(dtype)
    plot_values(image, ("page", "row", "column"), None, tmp_path / "i.png", "grey.tif")
    profile = drawn[0].axes[-1]
    assert profile.patches[0].get_data().values.sum() == image.size
    assert not drawn[0].legends
    many = {int(v): 1 / 240 for v in range(MAX_CLASSES + 1)}
    plot_values(image, ("page", "row", "column"), many, tmp_path / "i.png", "grey.tif")
    assert drawn[1].axes[-1].get_xlabel() == "grey value"


def test_constant_and_undefined_images_can_be_drawn(tmp_path):
    axes = ("page", "row", "column")
    for value in (7.0, np.nan):
        plot_values(np.full((3, 4, 5), value, np.float32), axes, None, tmp_path / "i.png", "a")
    plot_values(np.full((3, 4, 5), 7, np.uint8), axes, None, tmp_path / "i.png", "a")


def test_sections_and_unknown_extensions_are_refused(electrode, tmp_path):
    with pytest.raises(ConfigError, match=r"Only a 3D image.*\(4, 5\)"):
        plot_values(np.zeros((4, 5)), ("a", "b", "c"), None, tmp_path / "i.png", "a")
    with pytest.raises(ConfigError, match="Known extensions"):
        plot_electrode(electrode, tmp_path / "i.xyz")
