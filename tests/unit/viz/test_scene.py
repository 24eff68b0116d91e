"""The 3D picture is oriented and coloured right; without OpenGL there are slices and a helpful warning."""

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import can_render, fields, offscreen, render_field, render_soc, scene


@pytest.fixture
def opengl():
    able, reason = can_render()
    if not able:
        pytest.skip(reason)


def areas(points, faces):
    """Outward area vectors and centres of quadrilaterals."""
    a, b, c, d = (points[faces[:, i]] for i in range(4))
    return 0.5 * np.cross(c - a, d - b), 0.25 * (a + b + c + d)


@pytest.mark.parametrize("seed", range(3))
def test_voxel_faces_enclose_the_volume_of_the_voxels(seed):
    shown = np.random.default_rng(seed).random((4, 5, 6)) < 0.5
    points, faces, cells = scene.voxel_faces(shown, (0.5, 0.4, 0.25))
    area, centre = areas(points, faces)
    # divergence theorem: a closed surface with outward normals; rounding only
    assert (area * centre).sum() / 3.0 == pytest.approx(shown.sum() * 0.5 * 0.4 * 0.25, rel=1e-12)
    assert shown.ravel()[cells].all()
    # each face belongs to the voxel right behind it
    inside = centre - 0.5 * area / np.linalg.norm(area, axis=1, keepdims=True) * np.array([0.25, 0.4, 0.5])
    z, y, x = np.unravel_index(cells, shown.shape)
    expected = (np.stack([x, y, z], axis=1) + 0.5) * np.array([0.25, 0.4, 0.5])
    np.testing.assert_allclose(inside, expected, atol=1e-12)


def test_touching_voxels_share_no_face():
    shown = np.zeros((3, 3, 3), bool)
    shown[1, 1, :2] = True
    points, faces, cells = scene.voxel_faces(shown, (1.0, 1.0, 1.0))
    assert (len(faces), len(points)) == (10, 12)
    assert sorted(set(cells.tolist())) == [12, 13]


def render(run, values=None, name="sto", colours=((0.0, 1.0, "neither"), "viridis")):
    shown = fields.show_field(run, name, -1, colours)
    with scene.Scene(run, shown, pixels=240) as view:
        image, middle, half = view.picture(shown.values if values is None else values), view._middle, view._half

    def pixel(x, y, z):
        """Colour at electrode point (x, y, z) [um], 0 to 1."""
        right, up = (scene._project(np.array([(x, y, z)]))[0] - middle) / half
        rows, columns = image.shape[:2]
        return image[int((1.0 - up) / 2.0 * rows), int((1.0 + right) / 2.0 * columns)] / 255.0

    return pixel


def test_faces_towards_the_viewer_have_the_colour_of_the_colour_bar(run, opengl):
    pixel = render(run)
    for layer in range(8):
        # centre of the voxel faces at x = 0.5 um on the outer face y = 2.4 um
        seen = pixel(0.5, 2.4, 0.5 * (layer + 0.5))
        expected = mpl.colormaps["viridis"](0.1 + 0.1 * layer)[:3]
        # 0.03: the 256-entry colour table and 8-bit light; neighbouring layers differ by 0.07 or more
        np.testing.assert_allclose(seen, expected, atol=0.03)


def test_a_quarter_is_cut_away_and_pores_are_empty(run, opengl):
    pixel = render(run)
    # x above half of 2.5 um: the face y = 1.2 um of the cut is visible, coloured by its own layer
    np.testing.assert_allclose(pixel(1.6, 1.2, 1.75), mpl.colormaps["viridis"](0.4)[:3], atol=0.03)
    # outside the electrode there is the white background
    np.testing.assert_array_equal(pixel(-0.25, 2.4, 2.0), 1.0)


def test_active_material_left_out_of_the_calculation_is_grey(run, opengl):
    soc = fields.soc_field(run, -1)
    soc[3] = np.nan
    pixel = render(run, soc)
    np.testing.assert_allclose(pixel(0.5, 2.4, 1.75), fields.EXCLUDED_GREY, atol=0.03)


def test_large_images_are_thinned_but_fill_the_same_box(run, opengl, monkeypatch):
    monkeypatch.setattr(scene, "_MAX_CELLS", 5)  # 10 voxels along x: every second one
    pixel = render(run)
    for layer in (0, 2, 4, 6):
        seen = pixel(0.5, 2.4, 0.5 * (layer + 1.0))
        np.testing.assert_allclose(seen, mpl.colormaps["viridis"](0.1 + 0.1 * layer)[:3], atol=0.03)


@pytest.mark.parametrize("ionic_opacity", [0.0, 0.3])
def test_the_scene_is_saved_with_axes_in_micrometres_and_both_sides_named(
    run, opengl, monkeypatch, tmp_path, drawn, ionic_opacity
):
    monkeypatch.setattr(scene, "_PIXELS", 240)
    path = render_soc(run, tmp_path / "soc.png", ionic_opacity=ionic_opacity)
    assert matplotlib.image.imread(path)[..., :3].std() > 0.05  # an empty page has one colour
    figure = drawn[0]
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"thickness z [µm]", "x [µm]", "y [µm]", "separator", "current collector"} <= texts
    bar = figure.axes[1]
    assert bar.get_ylabel() == "State of charge"
    # the same range as the slices of this step
    low, high, _ = fields.colour_range(fields.soc_field(run, -1), 2, 0.02)
    assert bar.get_ylim() == pytest.approx((low, high))


def test_without_opengl_there_are_slices_and_the_packages_are_named(run, monkeypatch, tmp_path):
    monkeypatch.setattr(offscreen, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setattr(scene, "can_render", can_render.__wrapped__)  # without the answer kept for the process
    with pytest.warns(UserWarning, match="libegl1 libgl1-mesa-dri"):
        path = render_soc(run, tmp_path / "soc.png")
    assert matplotlib.image.imread(path)[..., :3].std() > 0.05


def test_the_probe_survives_a_crash_and_a_missing_pyvista(monkeypatch):
    for probe, word in (
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "apt-get install libegl1 libgl1-mesa-dri",
        ),
        ("import pyvista_that_is_not_there", "install PyVista"),
    ):
        monkeypatch.setattr(offscreen, "_PROBE", probe)
        able, reason = can_render.__wrapped__()
        assert not able
        assert word in reason


def test_the_probe_runs_once_per_process(monkeypatch):
    first = can_render()
    monkeypatch.setattr(offscreen.subprocess, "run", lambda *_, **__: pytest.fail("probed again"))
    assert can_render() == first


def test_new_values_replace_the_old_ones_in_the_same_scene(run, opengl):
    soc = fields.soc_field(run, -1)
    # layer 3 has 0.4, and 0.6 after turning the depth round
    for values, expected in ((soc, 0.4), (1.0 - soc, 0.6)):
        seen = render(run, values)(0.5, 2.4, 1.75)
        np.testing.assert_allclose(seen, mpl.colormaps["viridis"](expected)[:3], atol=0.03)


def test_a_movie_changes_the_values_of_one_scene(run, opengl):
    shown = fields.show_field(run, "sto", -1, ((0.0, 1.0, "neither"), "viridis"))
    with scene.Scene(run, shown, pixels=120) as view:
        first, second, again = (view.picture(values) for values in (shown.values, 1.0 - shown.values, shown.values))
    assert np.abs(first.astype(float) - second).max() > 50.0
    np.testing.assert_array_equal(first, again)


def test_a_field_of_the_ionic_phase_is_drawn_on_the_ionic_phase(make_run, opengl):
    run = make_run(fields=("sto", "phi_e"))
    pixel = render(run, name="phi_e", colours=((-7.0, 0.0, "neither"), "plasma"))
    # x = 2.1 um lies in the ionic phase, on the face y = 1.2 um of the cut; -3 mV in layer 3
    np.testing.assert_allclose(pixel(2.1, 1.2, 1.75), mpl.colormaps["plasma"](4.0 / 7.0)[:3], atol=0.03)
    # the particles are not there: the slab of the separator shows through, or the background
    assert np.ptp(pixel(1.0, 2.4, 2.0)) < 0.15


def test_particle_surface_without_an_interface_is_grey_not_left_out(make_run, opengl, tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(scene, "_PIXELS", 240)
    render_field(make_run(fields=("sto", "j")), tmp_path / "j.png", "j")
    texts = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert texts == ["no live interface"]
    assert "A m" in drawn[0].axes[1].get_ylabel()


def test_unknown_steps_fields_and_opacities_are_refused(make_run, run, tmp_path):
    for draw, message in (
        (lambda: render_soc(run, tmp_path / "a.png", 3), "0 to 2"),
        (lambda: render_soc(run, tmp_path / "a.png", ionic_opacity=2.0), "ionic_opacity"),
        (lambda: render_soc(make_run("p.vtkhdf", fields=("phi_e",)), tmp_path / "a.png"), "no field 'sto'"),
    ):
        with pytest.raises(ConfigError, match=message):
            draw()
