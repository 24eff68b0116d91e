"""Movies show every step in one colour range, and name what they need."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from simulator.errors import ConfigError
from simulator.viz import movie, scene
from simulator.viz.movie import spread, write_movie


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(movie, "_DPI", 60)
    monkeypatch.setattr(movie, "_PIXELS", 240)


def frames_of(path):
    with Image.open(path) as gif:
        found = []
        for index in range(gif.n_frames):
            gif.seek(index)
            found.append((np.asarray(gif.convert("RGB")).astype(float), gif.info["duration"]))
    return found


def test_a_gif_has_a_frame_for_each_step_at_the_asked_speed(run, tmp_path):
    path = write_movie(run, tmp_path / "m.gif", slices=True, fps=5.0)
    frames = frames_of(path)
    assert [duration for _, duration in frames] == [200, 200, 1200]  # [ms]; the last one stands longer
    assert np.abs(frames[0][0] - frames[2][0]).mean() > 1.0  # the state changes


def test_the_colour_bar_is_the_same_in_every_frame(run, tmp_path, monkeypatch):
    seen = []
    figure = movie.planes_figure
    monkeypatch.setattr(movie, "planes_figure", lambda r, shown: seen.append(shown) or figure(r, shown))
    write_movie(run, tmp_path / "m.gif", slices=True)
    assert len({(shown.limits, shown.cmap) for shown in seen}) == 1
    # SOC 0 at the first step, up to 0.8 at the last
    assert seen[0].limits[:2] == pytest.approx((0.0, 0.8))


def test_the_3d_movie_changes_from_step_to_step(run, tmp_path):
    able, reason = scene.can_render()
    if not able:
        pytest.skip(reason)
    first, _, last = (frame for frame, _ in frames_of(write_movie(run, tmp_path / "m.gif")))
    assert first.shape == last.shape
    assert np.abs(first - last).mean() > 1.0


def test_an_mp4_holds_every_frame(run, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="MP4 needs imageio-ffmpeg (extra movie)")
    path = write_movie(run, tmp_path / "m.mp4", slices=True)
    frames = imageio_ffmpeg.read_frames(str(path))
    columns, rows = next(frames)["size"]
    assert columns % 2 == rows % 2 == 0
    assert len(list(frames)) == 3


def test_mp4_without_its_encoder_names_the_package_and_the_extra(run, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        movie.importlib.util, "find_spec", lambda name, *a: None if name == "imageio_ffmpeg" else find(name, *a)
    )
    with pytest.raises(ConfigError, match=r"voxelyte\[movie\].*m\.gif"):
        write_movie(run, tmp_path / "m.mp4")


def test_without_opengl_a_movie_shows_slices_and_says_why(run, tmp_path, monkeypatch):
    monkeypatch.setattr(movie, "can_render", lambda: (False, "No OpenGL here."))
    with pytest.warns(UserWarning, match="slices instead of the 3D view. No OpenGL here"):
        assert len(frames_of(write_movie(run, tmp_path / "m.gif"))) == 3


def test_frames_are_spread_from_the_first_to_the_last_step():
    assert spread(10, None) == list(range(10))
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 100) == [0, 1, 2]
    with pytest.raises(ConfigError, match="at least 2 frames"):
        spread(10, 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("m.avi", {}, r"\.gif or \.mp4"),
        ("m.gif", {"fps": 0.0}, "fps must lie"),
        ("m.gif", {"steps": [1]}, "at least two saved steps"),
        ("m.gif", {"field": "phi"}, "Did you mean 'phi_e'"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_written(run, tmp_path, name, options, message):
    with pytest.raises(ConfigError, match=message):
        write_movie(run, tmp_path / name, **options)
    assert not (tmp_path / name).exists()
