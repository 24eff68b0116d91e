"""The picture of `voxelyte inspect`: mid-slices of an image, and its composition through the thickness."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.geometry.phases import PHASES
from simulator.viz.figures import STYLE, mark_sides, save, ticks

#: Colours of the phases, from bright to dark, so that they differ without colour too.
PHASE_COLOURS = {"pore": "#f2f2f2", "electrolyte": "#f0c05a", "am": "#0072b2", "cbd": "#222222"}
_PHASE_NAMES = {"pore": "pore", "electrolyte": "electrolyte", "am": "active material", "cbd": "binder (cbd)"}
#: Okabe and Ito (2008), told apart by colour-blind readers
_VALUE_COLOURS = ("#222222", "#f0c05a", "#0072b2", "#f2f2f2", "#cc79a7", "#56b4e9", "#d55e00", "#009e73")
MAX_CLASSES = len(_VALUE_COLOURS)

_WIDTH, _HEIGHT, _LEAST = 9.4, 3.3, 0.9  # [inch] of the page, of the highest and of the smallest panel
_LEFT, _GAP, _RIGHT, _TOP, _FOOT = 0.55, 0.62, 0.2, 0.5, 0.45
_PROFILE, _LEGEND = 1.1, 0.3
_BARS = 128
_STRIP = 0.09  # separator and collector strips / thickness, as `mark_sides` draws them


class ElectrodeLike(Protocol):
    """What the picture needs of an `Electrode`."""

    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> np.ndarray: ...
    @property
    def voxel_size(self) -> tuple[float, float, float]: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    def volume_fraction(self, name: str) -> float: ...


@dataclass(frozen=True)
class _Panel:
    """One slice: rows of `data` along the vertical axis."""

    data: NDArray
    size: tuple[float, float]  # width, height in the unit of the axes
    labels: tuple[str, str]  # of the horizontal and the vertical axis
    title: str
    through: bool = False  # runs from the separator (left) to the collector
    cut: float | None = None  # where another panel cuts it, on the horizontal axis


def plot_electrode(electrode: ElectrodeLike, path: str | os.PathLike[str]) -> Path:
    """Three orthogonal mid-slices in phase colours, lengths in um, and the phase fractions along the thickness.

    **Errors:** ConfigError for an unknown extension.
    """
    phase = electrode.phase
    nz, ny, nx = electrode.shape
    lz, ly, lx = (1e6 * n * h for n, h in zip(electrode.shape, electrode.voxel_size, strict=True))
    mz, my, mx = ((n // 2 + 0.5) * s / n for n, s in zip((nz, ny, nx), (lz, ly, lx), strict=True))
    thick = "thickness z [µm]"
    panels = [
        _Panel(phase[:, ny // 2].T, (lz, lx), (thick, "x [µm]"), f"y = {my:.1f} µm", True, mz),
        _Panel(phase[:, :, nx // 2].T, (lz, ly), (thick, "y [µm]"), f"x = {mx:.1f} µm", True, mz),
        _Panel(phase[nz // 2].T, (ly, lx), ("y [µm]", "x [µm]"), f"z = {mz:.1f} µm", cut=my),
    ]
    classes = {
        PHASES[name]: (f"{_PHASE_NAMES[name]} {100 * electrode.volume_fraction(name):.1f} %", colour)
        for name, colour in PHASE_COLOURS.items()
        if electrode.volume_fraction(name) > 0
    }
    edge = " x ".join(f"{1e6 * h:.4g}" for h in electrode.voxel_size)
    title = f"{electrode.name}: {nz} x {ny} x {nx} voxels of {edge} µm (z, y, x)"
    with mpl.rc_context(STYLE):
        figure, profile = _page(panels, title, classes, origin="lower")
        _composition(profile, phase, classes, lz)
        profile.set_xlabel(f"{thick}: separator at 0, current collector at {lz:.4g} µm")
        return save(figure, path)


def plot_values(
    image: NDArray, axes: Sequence[str], shares: Mapping[int, float] | None, path: str | os.PathLike[str], title: str
) -> Path:
    """Mid-slices of an image whose values have no meaning yet, as its file holds them, lengths in voxels.

    **Arguments:** `image`: 3D numbers; `axes`: names of its axes; `shares`: value -> share of the voxels [-], None
    for an image with too many values; up to `MAX_CLASSES` values get colours, more are drawn as grey levels with
    their histogram.

    **Errors:** ConfigError if the image is not 3D, or for an unknown extension.
    """
    if image.ndim != 3 or image.size == 0:
        raise ConfigError(f"Only a 3D image can be drawn, got shape {image.shape}.")
    panels = []
    for k in range(3):
        row, column = (a for a in range(3) if a != k)
        middle = image.shape[k] // 2
        size = (float(image.shape[column]), float(image.shape[row]))
        labels = (f"{axes[column]} [voxel]", f"{axes[row]} [voxel]")
        panels.append(_Panel(np.take(image, middle, axis=k), size, labels, f"{axes[k]} {middle}"))
    few = shares is not None and len(shares) <= MAX_CLASSES
    classes = {}
    if few and shares is not None:
        classes = {
            value: (f"value {value}: {100 * share:.3g} %", colour)
            for (value, share), colour in zip(sorted(shares.items()), _VALUE_COLOURS, strict=False)
        }
    with mpl.rc_context(STYLE):
        figure, profile = _page(panels, title, classes, origin="upper")
        if classes:
            _composition(profile, image, classes, float(image.shape[0]))
            profile.set_xlabel(f"{axes[0]} [voxel]")
        else:
            _histogram(profile, image)
        return save(figure, path)


def _page(
    panels: Sequence[_Panel], title: str, classes: Mapping[int, tuple[str, str]], origin: str
) -> tuple[Figure, Axes]:
    """The figure with its slices and legend, and the empty axes below them.

    All panels have one scale in both directions; those too flat for their labels are stretched, and say so.
    """
    wide = np.array([p.size[0] * (1.0 + 2.0 * _STRIP * p.through) for p in panels])
    high = np.array([p.size[1] for p in panels])
    fixed = _LEFT + _RIGHT + _GAP * (len(panels) - 1)
    scale = min((_WIDTH - fixed) / wide.sum(), _HEIGHT / high.max())
    widths, heights = np.maximum(wide * scale, _LEAST), np.maximum(high * scale, _LEAST)
    page = (fixed + float(widths.sum()), _TOP + float(heights.max()) + _FOOT + 0.2 + _PROFILE + _FOOT + _LEGEND)
    page = (max(page[0], 5.5), page[1])
    figure = Figure(figsize=page)

    def place(x: float, y: float, width: float, height: float) -> Axes:
        return figure.add_axes((x / page[0], y / page[1], width / page[0], height / page[1]))

    x, top = _LEFT, page[1] - _TOP
    for panel, width, height in zip(panels, widths, heights, strict=True):
        ax = place(x, top - height, width, height)
        _draw(ax, panel, classes, origin)
        if width * height > 1.01 * scale**2 * panel.size[1] * panel.size[0] * (1.0 + 2.0 * _STRIP * panel.through):
            ax.set_title(f"{panel.title} (stretched)")
        x += width + _GAP
    figure.text(0.15 / page[0], 1 - 0.1 / page[1], title, fontsize=9, fontweight="bold", va="top")
    if classes:
        handles = [Patch(facecolor=c, edgecolor="0.5", lw=0.4, label=text) for text, c in classes.values()]
        figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 4), borderaxespad=0.3)
    return figure, place(_LEFT, _LEGEND + _FOOT, page[0] - _LEFT - _RIGHT, _PROFILE)


def _draw(ax: Axes, panel: _Panel, classes: Mapping[int, tuple[str, str]], origin: str) -> None:
    """One slice with its axes; classes in their colours, or grey levels if there are none."""
    width, height = panel.size
    extent = (0.0, width, 0.0, height) if origin == "lower" else (0.0, width, height, 0.0)
    common: dict[str, Any] = {"extent": extent, "origin": origin, "interpolation": "nearest", "aspect": "auto"}
    if classes:
        codes = sorted(classes)
        shown = np.searchsorted(codes, panel.data)
        colours = ListedColormap([classes[code][1] for code in codes])
        ax.imshow(shown, cmap=colours, vmin=-0.5, vmax=len(codes) - 0.5, **common)
    else:
        ax.imshow(panel.data, cmap="gray", **common)
    if panel.through:
        mark_sides(ax, width, height)
    if panel.cut is not None:
        ax.axvline(panel.cut, color="#d55e00", lw=0.8, ls=(0, (4, 3)))
    ax.set(xlabel=panel.labels[0], ylabel=panel.labels[1], title=panel.title)
    ax.set_xticks(ticks(width))
    ax.set_yticks(ticks(height))


def _histogram(ax: Axes, image: NDArray) -> None:
    """How often each grey value occurs; the bars of whole numbers hold equally many of them."""
    numbers = image[np.isfinite(image)] if image.dtype.kind == "f" else image.ravel().astype(np.int64)
    edges: NDArray = np.linspace(0.0, 1.0, 2)
    if numbers.size:
        low, high = numbers.min(), numbers.max()
        if image.dtype.kind == "f":
            edges = np.linspace(low, max(high, low + 1e-6), _BARS + 1)
        else:
            edges = np.arange(low, high + 1 + (width := -(-(int(high - low) + 1) // _BARS)), width) - 0.5
    ax.stairs(np.histogram(numbers, edges)[0], edges, fill=True, color="0.45")
    ax.set(xlabel="grey value", ylabel="voxels", yticks=[], ylim=(0.0, None))


def _composition(ax: Axes, image: NDArray, classes: Mapping[int, tuple[str, str]], length: float) -> None:
    """Shares of the classes in every layer along axis 0, stacked to 100 %."""
    layers = image.shape[0]
    edges = np.linspace(0.0, length, layers + 1)
    below = np.zeros(layers)
    for value, (_, colour) in reversed(list(classes.items())):
        share = np.count_nonzero(image == value, axis=(1, 2)) / image[0].size * 100
        ax.stairs(below + share, edges, baseline=below, fill=True, facecolor=colour, edgecolor="none")
        below = below + share
    ax.set(xlim=(0.0, length), ylim=(0.0, 100.0), ylabel="share [%]", yticks=[0, 50, 100])
