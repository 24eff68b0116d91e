"""Three-dimensional pictures of a field, such as the state of charge in the particles.

PyVista draws the voxel faces; matplotlib puts axes, labels and the colour bar around that picture, with the
fonts and the colour range of the slices. The projection is parallel, so lengths along an axis are to scale.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simulator.errors import ConfigError
from simulator.geometry.phases import IONIC
from simulator.viz.fields import Image, Limits, Run, Shown, check_step, show_field
from simulator.viz.figures import (
    COLLECTOR_COLOUR,
    SEPARATOR_COLOUR,
    STYLE,
    Sheet,
    draw_pair,
    draw_plane,
    grey_legend,
    lengths_um,
    mark_sides,
    save,
    step_title,
    ticks,
)
from simulator.viz.offscreen import can_render

_MAX_CELLS = 320  # per axis; a finer picture would show voxels smaller than its pixels
_PIXELS = 1800  # of the longer side of the rendering
_SLAB = 0.06  # thickness of the drawn separator and collector / electrode thickness

_IONIC_COLOUR = "#cccccc"

# Camera in (x, y, z): thickness z runs to the right and x upwards, as in the slices; seen from +y, turned
# towards the separator and from above.
_AZIMUTH, _ELEVATION = np.radians(-32.0), np.radians(24.0)
_RIGHT = np.array([0.0, -np.sin(_AZIMUTH), np.cos(_AZIMUTH)])
_TOWARDS = np.array([np.sin(_ELEVATION), np.cos(_ELEVATION) * np.cos(_AZIMUTH), np.cos(_ELEVATION) * np.sin(_AZIMUTH)])
_UP = np.cross(_TOWARDS, _RIGHT)

# Towards the lamp. With _MATT, faces to +y show the colours of the colour bar as they are (0.5 + 0.68 x 0.735
# = 1), faces to the top and to the separator are a little darker, so that their directions can be told apart.
_LIGHT = np.array([0.59, 0.735, -0.32])
_MATT: dict[str, Any] = {"lighting": True, "ambient": 0.5, "diffuse": 0.68, "specular": 0.0}


def voxel_faces(shown: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quadrilaterals between voxels that are shown and voxels (or the outside) that are not.

    **Arguments:** `shown` (nz, ny, nx) bool; `spacing` (dz, dy, dx), any unit.

    **Returns:** points (n, 3) as (x, y, z) in that unit; faces (m, 4) of point numbers, counter-clockwise
    seen from outside; cells (m,) the flat index of the voxel each face belongs to.
    """
    nz, ny, nx = shown.shape
    padded = np.pad(shown, 1)
    inner = (slice(1, -1),) * 3
    strides = np.array([(ny + 1) * (nx + 1), nx + 1, 1])  # of the corner lattice, z y x
    faces, cells = [], []
    for axis in range(3):
        u, v = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
        for side in (0, 1):
            neighbour = np.roll(padded, -1 if side else 1, axis)[inner]
            at = np.argwhere(shown & ~neighbour)
            # (z, y, x) is a left-handed order of axes: u, v turn clockwise seen from the positive side
            loop = np.array([0, v, u + v, u] if side else [0, u, u + v, v])
            faces.append((at @ strides + side * strides[axis])[:, None] + loop)
            cells.append(at @ np.array([ny * nx, nx, 1]))
    lattice = np.concatenate(faces)
    used = np.zeros((nz + 1) * (ny + 1) * (nx + 1), dtype=bool)
    used[lattice] = True
    numbers = np.cumsum(used) - 1
    zyx = np.stack(np.unravel_index(np.flatnonzero(used), (nz + 1, ny + 1, nx + 1)), axis=1)
    return (zyx * np.asarray(spacing))[:, ::-1], numbers[lattice], np.concatenate(cells)


def render_soc(run: Run, path: str | os.PathLike[str], index: int = -1, *, ionic_opacity: float = 0.0) -> Path:
    """`render_field` of the SOC in the particles. The colour range is that of `plot_slices` for the same step."""
    return _draw(run, path, "sto", index, None, ionic_opacity)


def render_field(
    run: Run,
    path: str | os.PathLike[str],
    field: str = "sto",
    index: int = -1,
    *,
    colours: tuple[Limits, str] | None = None,
    ionic_opacity: float = 0.0,
) -> Path:
    """3D picture of a saved field at saved step `index`, a quarter cut away to look inside.

    Thickness runs to the right, separator on the left, collector on the right; micrometres. Only the phases
    that carry the field are drawn; voxels of them without a value are grey. `colours`: (range, map) instead
    of those that suit this step, see `common_range`. Around a field of the particles the ionic phase is
    invisible, or translucent with `ionic_opacity` in (0, 1]. Images above 320 voxels along an axis are drawn
    with every second (third, ...) voxel.

    Without a usable OpenGL the file holds three orthogonal slices instead, and a warning says how to get it.

    **Errors:** ConfigError without the saved field, for an unknown step or extension.
    """
    return _draw(run, path, field, index, colours, ionic_opacity)


def _draw(
    run: Run,
    path: str | os.PathLike[str],
    field: str,
    index: int,
    colours: tuple[Limits, str] | None,
    ionic_opacity: float,
) -> Path:
    if not 0.0 <= ionic_opacity <= 1.0:
        raise ConfigError(f"ionic_opacity must lie in [0, 1], got {ionic_opacity}.")
    shown = show_field(run, field, index, colours)
    index = check_step(run, index)
    able, reason = can_render()
    with mpl.rc_context(STYLE):
        if able:
            with Scene(run, shown, ionic_opacity=ionic_opacity) as scene:
                figure = scene.figure(shown)
        else:
            warnings.warn(f"Drawing slices instead of the 3D picture. {reason}", stacklevel=3)
            figure = planes_figure(run, shown)
        set_title(figure, step_title(run, index))
        return save(figure, path)


def set_title(figure: Figure, text: str) -> None:
    """The line above a picture of one saved step."""
    figure.suptitle(text, fontsize=8.5, fontweight="bold", x=0.02, ha="left")


def _project(points: np.ndarray) -> np.ndarray:
    """(n, 2) positions on the screen plane [um] of (n, 3) points (x, y, z) [um]."""
    return points @ np.stack([_RIGHT, _UP], axis=1)


class Scene:
    """The cut electrode with one field on it; the geometry is made once, the values may change (movies).

    `pixels`: of the longer side of the rendering. A context manager, since VTK keeps a window open.
    """

    def __init__(self, run: Image, shown: Shown, *, ionic_opacity: float = 0.0, pixels: int | None = None) -> None:
        self._run, self._ionic_opacity = run, ionic_opacity
        lz, ly, lx = lengths_um(run)
        self._slab = _SLAB * lz
        # outline of what is drawn: the full cross-section less the quarter that is cut away
        profile = [(0.0, 0.0), (lx, 0.0), (lx, 0.5 * ly), (0.5 * lx, ly), (0.0, ly)]
        outline = np.array([(x, y, z) for x, y in profile for z in (-self._slab, lz + self._slab)])
        corner = _project(outline)
        self._half = 0.51 * (corner.max(axis=0) - corner.min(axis=0))
        self._middle = 0.5 * (corner.max(axis=0) + corner.min(axis=0))
        size = pixels or _PIXELS
        self._plotter, self._replace = _build(run, shown, ionic_opacity, self._middle, self._half, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plotter.close()

    def picture(self, values: np.ndarray) -> np.ndarray:
        """(rows, columns, 3) uint8 picture of `values` (nz, ny, nx) on white."""
        self._replace(values)
        return np.asarray(self._plotter.screenshot(None, return_img=True))

    @property
    def aspect(self) -> float:
        """Height of the picture over its width."""
        return float(self._half[1] / self._half[0])

    def draw(self, ax: Axes, shown: Shown) -> None:
        """The picture of a field on `ax`, with scales along its edges; they stand out a little on all sides."""
        half, middle = self._half, self._middle
        box = (middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1])
        ax.imshow(self.picture(shown.values), extent=box, interpolation="antialiased")
        ax.set_axis_off()
        lz, ly, lx = lengths_um(self._run)
        _draw_axes(ax, (lx, ly, lz), self._slab)

    def figure(self, shown: Shown) -> Figure:
        """The picture of a field (the same phases and colours as at the start) with axes and colour bar."""
        half = self._half
        low, high, extend = shown.limits
        width, height = 4.6 * half / half.max()
        left, right, bottom, top = 0.75, 1.1, 0.5, 0.4  # inches for labels and colour bar
        w, h = width + left + right, height + bottom + top
        figure = Figure(figsize=(w, h))
        self.draw(figure.add_axes((left / w, bottom / h, width / w, height / h)), shown)
        tall = min(2.4, 0.7 * height)
        bar = figure.add_axes(((w - 0.7) / w, (bottom + 0.5 * (height - tall)) / h, 0.12 / w, tall / h))
        mappable = ScalarMappable(Normalize(low, high), shown.cmap)
        figure.colorbar(mappable, cax=bar, extend=extend).set_label(shown.label)
        handles = []
        if shown.has_blank:
            handles.append(Patch(facecolor=str(shown.blank), label=shown.blank_label))
        if self._ionic_opacity > 0.0:
            handles.append(Patch(facecolor=_IONIC_COLOUR, label="ionic phase"))
        if handles:
            figure.legend(handles=handles, loc="lower right", ncols=len(handles), borderaxespad=0.3)
        return figure


def _draw_axes(ax: Axes, size: tuple[float, float, float], slab: float) -> None:
    """Scales in micrometres along three outer edges of the electrode, and the names of its two sides."""
    lx, ly, lz = size
    # (start, direction, where the labels stand, name, length)
    edges = (
        ((0.0, ly, 0.0), (0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), "thickness z [µm]", lz),
        ((0.0, 0.0, -slab), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), "y [µm]", ly),
        ((0.0, 0.0, -slab), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), "x [µm]", lx),
    )
    unit = 0.02 * max(size)
    line: dict[str, Any] = {"color": "0.25", "lw": 0.6, "clip_on": False}
    for start, along, outward, name, length in edges:
        direction, out = _project(np.array([along, outward]))
        out = out / np.linalg.norm(out)
        origin = _project(np.array([start]))[0]
        ax.plot(*np.array([origin, origin + length * direction]).T, **line)
        for value in ticks(length):
            at = origin + value * direction
            ax.plot(*np.array([at, at + unit * out]).T, **line)
            _write(ax, at + 2.6 * unit * out, f"{value:g}", fontsize=7)
        angle = float(np.degrees(np.arctan2(direction[1], direction[0])))
        place = origin + 0.5 * length * direction + 6.0 * unit * out
        _write(ax, place, name, rotation=angle, rotation_mode="anchor")
    left, right = _project(np.array([(0.5 * lx, 0.25 * ly, -slab), (0.25 * lx, ly, lz + slab)]))
    _write(ax, left, "separator", rotation=90)
    _write(ax, right + np.array([1.6 * unit, 0.0]), "current collector", rotation=90)


def _write(ax: Axes, at: np.ndarray, text: str, **options: Any) -> None:
    ax.text(float(at[0]), float(at[1]), text, ha="center", va="center", **options)


def planes_figure(run: Run, shown: Shown) -> Figure:
    """Three orthogonal mid-plane slices: x-z, x-y and y-z."""
    nx = run.phase.shape[2]
    lz, ly, lx = lengths_um(run)
    widths = ((1.0 + 2.0 * Sheet.STRIP) * lz, ly, (1.0 + 2.0 * Sheet.STRIP) * lz)
    scale = min(7.6 / sum(widths), 3.5 / max(lx, ly))  # inches per um
    figure = Figure(figsize=(scale * sum(widths) + 2.0, scale * max(lx, ly) + 1.1), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=widths)
    draw_pair(panels[:2], run, shown)
    image = draw_plane(panels[2], run, shown, (slice(None), slice(None), nx // 2), (lz, ly))
    mark_sides(panels[2], lz, ly)
    panels[2].set(xlabel="thickness z [µm]", ylabel="y [µm]", title=f"x = {(nx // 2 + 0.5) * lx / nx:.1f} µm")
    panels[2].set(xticks=ticks(lz), yticks=ticks(ly))
    figure.colorbar(image, ax=panels.tolist(), extend=shown.limits[2], pad=0.02).set_label(shown.label)
    handles = grey_legend({shown.blank_label: shown.blank} if shown.has_blank else {})
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _build(
    run: Image, shown: Shown, ionic_opacity: float, middle: np.ndarray, half: np.ndarray, pixels: int
) -> tuple[Any, Callable[[np.ndarray], None]]:
    """A PyVista plotter with the cut electrode, and a function that gives it new values (nz, ny, nx).

    `middle`, `half`: centre and half the size of the picture on the screen plane [um].
    """
    import pyvista as pv

    step = -(-max(run.phase.shape) // _MAX_CELLS)
    thin = (slice(None, None, step),) * 3
    phase, where = run.phase[thin], shown.where[thin]
    # sizes and not voxel edges times step, so that a thinned picture still fills its box
    lengths = lengths_um(run)
    dz, dy, dx = (length / n for length, n in zip(lengths, phase.shape, strict=True))
    kept = np.ones(phase.shape, dtype=bool)
    cut_y, cut_x = phase.shape[1] // 2, phase.shape[2] // 2
    kept[:, cut_y:, cut_x:] = False

    points, faces, cells = voxel_faces(where & kept, (dz, dy, dx))
    mesh = pv.PolyData.from_regular_faces(points, faces)
    mesh.cell_data["field"] = shown.values[thin].ravel()[cells]

    with pv.vtk_verbosity("off"):
        columns, rows = (max(1, round(v)) for v in pixels * half / half.max())
        plotter = pv.Plotter(off_screen=True, window_size=[columns, rows], lighting="none")
        plotter.set_background("white")
        actor = plotter.add_mesh(
            mesh,
            scalars="field",
            clim=shown.limits[:2],
            cmap=shown.cmap,
            nan_color=[shown.blank] * 3,
            show_scalar_bar=False,
            **_MATT,
        )
        ionic = np.isin(phase, IONIC) & ~where & kept
        if ionic_opacity > 0.0 and ionic.any():
            points, faces, _ = voxel_faces(ionic, (dz, dy, dx))
            around = pv.PolyData.from_regular_faces(points, faces)
            plotter.add_mesh(around, color=_IONIC_COLOUR, opacity=ionic_opacity, **_MATT)
            plotter.enable_depth_peeling(8)
        light = pv.Light(light_type="scene light", intensity=1.0)
        light.positional = False
        light.position = _LIGHT
        light.focal_point = (0.0, 0.0, 0.0)
        plotter.add_light(light)
        for z0, colour in ((-_SLAB * lengths[0], SEPARATOR_COLOUR), (lengths[0], COLLECTOR_COLOUR)):
            points, faces, _ = voxel_faces(kept[:1], (_SLAB * lengths[0], dy, dx))
            slab = pv.PolyData.from_regular_faces(points + np.array([0.0, 0.0, z0]), faces)
            plotter.add_mesh(slab, color=colour, **{**_MATT, "ambient": 0.8, "diffuse": 0.2})
        centre = _RIGHT * middle[0] + _UP * middle[1]
        plotter.camera.focal_point = centre
        plotter.camera.position = centre + _TOWARDS * 10.0 * sum(lengths)
        plotter.camera.up = _UP
        plotter.camera.parallel_projection = True
        plotter.camera.parallel_scale = float(half[1])
        plotter.reset_camera_clipping_range()
        plotter.enable_anti_aliasing("ssaa")

    def replace(values: np.ndarray) -> None:
        # the plotter draws a copy of the mesh
        scalars = actor.mapper.GetInput().GetCellData().GetScalars()
        pv.convert_array(scalars)[:] = values[thin].ravel()[cells]
        scalars.Modified()
        plotter.render()

    return plotter, replace
