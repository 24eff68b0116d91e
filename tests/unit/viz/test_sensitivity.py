"""The picture of a sensitivity map shows the numbers of the map."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from simulator.errors import ConfigError
from simulator.viz import can_render, plot_sensitivity_map, sensitivity
from simulator.viz.figures import BLUE, RED
from simulator.viz.sensitivity import in_unit

LAYERS = 6


class Made:
    """A slab of particles on electrolyte: capacity rises near the separator and falls behind, as 36 * (2, 1, ... -3)
    C/m2; decomposed charge rises everywhere, a thousandth of it."""

    step = 2
    voxel_size = (1e-6, 2e-6, 2e-6)

    def __init__(self, names=("capacity", "decomposed"), sign=1.0):
        self.phase = np.full((LAYERS, 4, 4), 1, np.uint8)
        self.phase[:, :, 2:] = 3
        capacity = 36.0 * (2.0 - np.arange(LAYERS)) * sign
        every = {"capacity": capacity, "decomposed": np.linspace(0.072, 0.036, LAYERS)}
        self.by_layer = {name: every[name] for name in names}
        self.outputs = {name: SimpleNamespace(by_area=v, total_elasticity=v.sum()) for name, v in self.by_layer.items()}

    def voxel_field(self, name):
        field = np.full(self.phase.shape, np.nan)
        field[:, :, 1] = self.by_layer[name][:, None]
        return field

    def profile(self, name):
        return SimpleNamespace(depth=1e-6 * (np.arange(LAYERS) + 0.5), by_area=self.by_layer[name])

    def ranking(self, name):
        gain = 1e-4 * np.concatenate([[0.0], np.cumsum(np.sort(self.by_layer[name])[::-1])])
        return SimpleNamespace(contact=np.linspace(0.0, 1.0, LAYERS + 1), gain=gain)

    def half_share(self, name):
        return 0.125

    def falling_share(self, name):
        return float(np.mean(self.by_layer[name] < 0.0))


@pytest.fixture
def flat(monkeypatch):
    monkeypatch.setattr(sensitivity, "can_render", lambda: (False, "No OpenGL in this test."))


def test_slices_stand_in_where_there_is_no_opengl(flat, tmp_path, drawn, picture):
    with pytest.warns(UserWarning, match="Drawing slices instead of the 3D picture. No OpenGL"):
        picture(plot_sensitivity_map(Made(), tmp_path / "s.png"))
    figure = drawn[0]
    first, bar, _, other, profile, ranking, second = figure.axes
    assert figure.get_suptitle().startswith("Step 2 of the protocol")
    assert first.get_xlabel() == "thickness z [µm]" and first.images
    # 36 C/m2 are 1 uAh/cm2; both signs: symmetric about zero
    assert bar.get_ylabel() == "Capacity per contact area added\n[µAh cm$^{-2}$]"
    assert bar.get_ylim()[0] == -bar.get_ylim()[1] == pytest.approx(-3.0, abs=0.1)
    assert other.get_ylabel().startswith("Decomposed charge") and "nAh" in other.get_ylabel()
    np.testing.assert_allclose(profile.lines[0].get_ydata(), 2.0 - np.arange(LAYERS))
    np.testing.assert_allclose(profile.lines[0].get_xdata(), np.arange(LAYERS) + 0.5)
    np.testing.assert_allclose(second.lines[0].get_ydata(), np.linspace(2.0, 1.0, LAYERS))
    # zero lies at one height
    heights = [-low / (high - low) for low, high in (profile.get_ylim(), second.get_ylim())]
    assert heights[0] == pytest.approx(heights[1])
    texts = [text.get_text() for text in ranking.get_legend().get_texts()]
    assert texts[0].startswith("capacity: half on 12.5 %") and "everywhere" in texts[0]
    assert texts[1].startswith("decomposed charge") and "everywhere" not in texts[1]
    assert [to_hex(line.get_color()).upper() for line in ranking.lines[:3:2]] == [BLUE, RED]


def test_one_output_has_its_lines_beside_it(flat, tmp_path, drawn, picture):
    with pytest.warns(UserWarning, match="slices"):
        picture(plot_sensitivity_map(Made(("capacity",)), tmp_path / "s.png"))
    assert len(drawn[0].axes) == 4


def test_a_map_without_a_rise_is_drawn_and_says_so(flat, tmp_path, drawn):
    found = Made(("capacity",))
    found.by_layer["capacity"] = np.full(LAYERS, -36.0)
    with pytest.warns(UserWarning, match="slices"):
        plot_sensitivity_map(found, tmp_path / "s.png")
    assert drawn[0].axes[-1].get_legend().get_texts()[0].get_text() == "capacity: rises nowhere"
    with pytest.warns(UserWarning, match="slices"), pytest.raises(ConfigError, match="Known extensions"):
        plot_sensitivity_map(Made(), tmp_path / "s.bmp")


@pytest.mark.skipif(not can_render()[0], reason="no OpenGL")
def test_the_particles_are_drawn_in_three_dimensions(tmp_path, drawn, picture):
    picture(plot_sensitivity_map(Made(("capacity",)), tmp_path / "s.png"))
    seen = drawn[0].axes[0].images[0].get_array()
    assert len(np.unique(seen.reshape(-1, 3), axis=0)) > 20


def test_charges_get_the_prefix_that_suits_them():
    for size, unit in ((36e3, "mAh"), (36.0, "µAh"), (3.6e-2, "nAh"), (3.6e-5, "pAh"), (3.6e-9, "fAh"), (0.0, "mAh")):
        values, found = in_unit(np.array([size, np.nan]))
        assert found == unit
        assert values[0] == pytest.approx({"mAh": size / 36e3, "fAh": 1e-1}.get(unit, 1.0))
