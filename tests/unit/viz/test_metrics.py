"""The picture of the metrics: each panel shows what was measured, and says what was not."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from simulator.errors import ConfigError
from simulator.geometry import (
    AM,
    CBD,
    PORE,
    Electrode,
    Measures,
    label_particles,
    measure_electrode,
    representative_volume,
)
from simulator.viz import metrics, plot_metrics
from simulator.viz.metrics import LINE_COLOURS

UM = 1e-6


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were saved, to look into."""
    kept = []
    save = metrics.save

    def keep(figure, path):
        kept.append(figure)
        return save(figure, path)

    monkeypatch.setattr(metrics, "save", keep)
    return kept


def panels(figure):
    return {ax.get_title().partition(";")[0].partition(",")[0]: ax for ax in figure.axes}


def texts(ax):
    return [text.get_text() for text in ax.texts]


@pytest.fixture(scope="module")
def measured():
    """Blocks of active material and binder in pore, without the solves: these are set by hand."""
    phase = np.random.default_rng(3).choice([PORE, AM, CBD], (4, 4, 5), p=[0.4, 0.3, 0.3])
    phase = phase.repeat(4, 0).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    found = measure_electrode(label_particles(Electrode(phase, (UM, UM, UM), name="blocks")), full=False)
    tau = {"am": {0: 2.0, 1: 1.5, 2: np.inf}, "ionic network": {0: 3.0, 1: 3.5, 2: 4.0}}
    return with_(found, tortuosity=tau, representative=representative_volume(found.electrode))


def with_(found, **changes):
    return Measures(**{name: getattr(found, name) for name in Measures.__dataclass_fields__} | changes)


def test_each_panel_shows_what_was_measured(measured, tmp_path, drawn):
    path = plot_metrics([measured], tmp_path / "m.png")
    assert matplotlib.image.imread(path)[..., :3].std() > 0.01  # an empty page has one colour
    shown = panels(drawn[0])
    assert list(shown) == [
        "Particle size",
        "Coverage of the particles",
        "Tortuosity factor",
        "Chords along z",
        "Chords along y",
        "Chords along x",
        "Composition through the thickness",
        "Scatter between sub-volumes",
    ]
    by_volume = shown["Particle size"].lines[0]
    assert by_volume.get_xdata()[1:] == pytest.approx(1e6 * measured.sizes.diameter)
    assert by_volume.get_ydata()[1:] == pytest.approx(100 * measured.sizes.by_volume)
    assert f"mean {100 * measured.electrode.coverage:.1f} %" in texts(shown["Coverage of the particles"])
    bars = [bar.get_y() + bar.get_height() for bar in shown["Tortuosity factor"].patches]
    assert bars == pytest.approx([2.0, 1.5, 3.0, 3.5, 4.0])
    assert "x\n∞" in texts(shown["Tortuosity factor"])
    assert [tick.get_text() for tick in shown["Tortuosity factor"].get_xticklabels()] == ["am", "ionic\nnetwork"]


def test_chords_are_drawn_as_a_density_with_their_mean(measured, tmp_path, drawn):
    plot_metrics([measured], tmp_path / "m.png")
    ax = panels(drawn[0])["Chords along y"]
    chords = measured.chords["cbd"][1]
    lines = [line for line in ax.lines if line.get_color() == LINE_COLOURS["cbd"]]
    curve, mark = lines
    assert curve.get_xdata() == pytest.approx(1e6 * chords.length)
    assert curve.get_ydata() == pytest.approx(chords.share)  # voxels of 1 um: a share per um
    assert mark.get_xdata() == pytest.approx([1e6 * chords.mean])


def test_composition_and_scatter_have_the_colours_of_their_phase(measured, tmp_path, drawn):
    plot_metrics([measured], tmp_path / "m.png")
    shown = panels(drawn[0])
    profile = {line.get_color(): line for line in shown["Composition through the thickness"].lines}
    am = profile[LINE_COLOURS["am"]]
    assert am.get_ydata() == pytest.approx(100 * (measured.electrode.phase == AM).mean(axis=(1, 2)))
    assert am.get_xdata()[0] == pytest.approx(0.5)
    scatter = measured.representative.scatter["Volume fraction of am [-]"]
    points = [
        line
        for line in shown["Scatter between sub-volumes"].lines
        if to_rgb(line.get_color()) == to_rgb(LINE_COLOURS["am"]) and line.get_marker() == "o"
    ]
    assert points[0].get_xdata() == pytest.approx(1e6 * scatter.side)
    assert points[0].get_ydata() == pytest.approx(100 * scatter.relative)


def test_two_images_are_told_apart_by_dashes_and_names(measured, tmp_path, drawn):
    plot_metrics([measured, measured], tmp_path / "m.png", ["first", "second"])
    figure = drawn[0]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["pore", "active material", "binder (cbd)", "first", "second"]
    styles = {line.get_linestyle() for line in panels(figure)["Composition through the thickness"].lines}
    assert styles == {"-", "--"}
    assert sum(bar.get_hatch() is not None for bar in panels(figure)["Tortuosity factor"].patches) == 5


def test_what_was_not_measured_is_said(tmp_path, drawn):
    phase = np.full((6, 5, 4), PORE, np.uint8)
    phase[:3] = AM
    found = measure_electrode(Electrode(phase, (UM, UM, UM)), full=False)
    plot_metrics([found], tmp_path / "m.png")
    shown = panels(drawn[0])
    assert texts(shown["Particle size"]) == texts(shown["Coverage of the particles"]) == ["particles were not labelled"]
    assert texts(shown["Tortuosity factor"]) == ["not computed"]
    assert texts(shown["Chords along y"]) == ["every chord is cut by the image"]
    assert texts(shown["Scatter between sub-volumes"]) == ["not computed"]
    plot_metrics([with_(found, tortuosity={"am": {0: np.inf}})], tmp_path / "m.png")
    assert texts(panels(drawn[1])["Scatter between sub-volumes"]) == [
        "the image is too small to be cut into sub-volumes"
    ]


def test_large_tortuosities_get_a_logarithmic_axis(measured, tmp_path, drawn):
    plot_metrics([with_(measured, tortuosity={"pore": {0: 300.0}, "am": {0: 1.2}})], tmp_path / "m.png")
    assert panels(drawn[0])["Tortuosity factor"].get_yscale() == "log"


def test_wrong_numbers_of_images_are_refused(measured, tmp_path):
    for wrong in ([], [measured] * 3):
        with pytest.raises(ConfigError, match="One or two images"):
            plot_metrics(wrong, tmp_path / "m.png")
    with pytest.raises(ConfigError, match=r"Cannot draw to 'm\.xyz'"):
        plot_metrics([measured], tmp_path / "m.xyz")
