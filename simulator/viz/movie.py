"""Movies of a field over the saved steps: GIF, or MP4 with the optional encoder."""

import importlib.util
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.viz.fields import Limits, Run, check_fields, common_range, show_field
from simulator.viz.figures import STYLE, step_title, writing
from simulator.viz.offscreen import can_render
from simulator.viz.scene import Scene, planes_figure, set_title

_DPI = 150
_PIXELS = 900  # of the longer side of the rendering: what _DPI can show
_HOLD = 1.0  # [s] the last frame of a GIF stands longer before it starts again
MOVIES = (".gif", ".mp4")


def spread(count: int, wanted: int | None) -> list[int]:
    """At most `wanted` of `count` saved steps, evenly spread, the first and the last among them.

    **Errors:** ConfigError for fewer than two frames.
    """
    if wanted is not None and wanted < 2:
        raise ConfigError(f"A movie needs at least 2 frames, got {wanted}.")
    return np.unique(np.linspace(0, count - 1, min(count, wanted or count)).round().astype(int)).tolist()


def check_movie(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. **Errors:** ConfigError for another extension, or if its encoder is not installed."""
    path = Path(path)
    if path.suffix not in MOVIES:
        raise ConfigError(f"A movie ends with {' or '.join(MOVIES)}, got '{path.name}'.")
    if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ConfigError(
            f"'{path.name}': MP4 needs the package imageio-ffmpeg. Install it with pip install "
            f"'voxelyte[movie]', or write '{path.with_suffix('.gif').name}'."
        )
    return path


def write_movie(
    run: Run,
    path: str | os.PathLike[str],
    field: str = "sto",
    *,
    steps: Sequence[int] | None = None,
    fps: float = 8.0,
    colours: tuple[Limits, str] | None = None,
    slices: bool = False,
) -> Path:
    """A movie of one field over the saved `steps` (all by default), in one colour range for all frames.

    Drawn in 3D like `render_field`, or as three slices with `slices` and where OpenGL is missing (a warning
    says how to get it). The title of each frame holds its time, cell voltage and mean SOC. `fps`: frames per
    second, in (0, 60].

    **Errors:** ConfigError for another extension, a missing encoder, unknown field, fewer than two steps.
    """
    path = check_movie(path)
    check_fields(run, field)
    if not 0.0 < fps <= 60.0:
        raise ConfigError(f"fps must lie in (0, 60] frames per second, got {fps:g}.")
    chosen = list(range(run.field_times.size)) if steps is None else [int(i) for i in steps]
    if len(chosen) < 2:
        raise ConfigError(f"A movie needs at least two saved steps; the run holds {run.field_times.size}.")
    colours = colours or common_range(run, field, chosen)
    if not slices:
        able, reason = can_render()
        if not able:
            warnings.warn(f"The movie shows slices instead of the 3D view. {reason}", stacklevel=2)
            slices = True
    with mpl.rc_context(STYLE):
        frames = _frames(run, field, chosen, colours, slices)
        with writing(path):
            if path.suffix == ".gif":
                _write_gif(path, frames, fps, colours[1])
            else:
                _write_mp4(path, frames, fps)
    return path


def _frames(
    run: Run, field: str, steps: Sequence[int], colours: tuple[Limits, str], slices: bool
) -> Iterator[np.ndarray]:
    """(rows, columns, 3) uint8 pictures of one size, one for each step."""
    if slices:
        for index in steps:
            yield _raster(planes_figure(run, show_field(run, field, index, colours)), step_title(run, index))
        return
    with Scene(run, show_field(run, field, steps[-1], colours), pixels=_PIXELS) as scene:
        for index in steps:
            yield _raster(scene.figure(show_field(run, field, index, colours)), step_title(run, index))


def _raster(figure: Figure, title: str) -> np.ndarray:
    """`figure` as a picture with even sides, which the encoders of MP4 want."""
    set_title(figure, title)
    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3]
    rows, columns = (n - n % 2 for n in picture.shape[:2])
    return np.ascontiguousarray(picture[:rows, :columns])


def _write_gif(path: Path, frames: Iterator[np.ndarray], fps: float, cmap: str) -> None:
    from PIL import Image

    # one palette for all frames, or still parts of the picture would flicker; it holds the whole colour bar
    pictures = [Image.fromarray(frame) for frame in frames]
    some = np.concatenate([np.asarray(p)[::3, ::3] for p in pictures[:: max(1, len(pictures) // 8)]])
    bar = (255.0 * mpl.colormaps[cmap](np.linspace(0.0, 1.0, some.shape[1]))[:, :3]).round().astype(np.uint8)
    sample = np.concatenate([some, np.broadcast_to(bar, (some.shape[0] // 4, *bar.shape))])
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    duration = [1000.0 / fps] * len(indexed)
    duration[-1] += 1000.0 * _HOLD
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=duration, loop=0, optimize=False)


def _write_mp4(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    import imageio_ffmpeg

    first = next(frames)
    rows, columns = first.shape[:2]
    writer = imageio_ffmpeg.write_frames(
        str(path), (columns, rows), fps=fps, codec="libx264", quality=8, macro_block_size=2, ffmpeg_log_level="error"
    )
    try:
        writer.send(None)
        writer.send(first)
        for frame in frames:
            writer.send(frame)
    finally:
        writer.close()
