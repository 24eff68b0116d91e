"""The picture of `voxelyte segment`: outlines on the grey image, phases, histogram and fractions."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.geometry.segmentation import Expected, Segmentation
from simulator.viz.figures import RED, SKY, STYLE, YELLOW, save, ticks
from simulator.viz.inspection import PHASE_COLOURS

#: Outlines on grey: told apart on dark and bright ground. The phase of the darkest class gets none.
OUTLINES = {"am": SKY, "cbd": RED, "electrolyte": YELLOW, "pore": "#009E73"}
_NAMES = {"pore": "pore", "electrolyte": "electrolyte", "am": "active material", "cbd": "binder (cbd)"}
#: Pixels along a side of a section, at most: outlines of more cannot be seen in a panel.
_WINDOW_3D, _WINDOW_2D = 160, 260
_BARS = 128
_WIDTH, _HIGHEST = 9.4, 4.4  # [inch] of the page, and of the highest panel
_LEFT, _GAP, _RIGHT, _TOP, _ROW_GAP, _FOOT = 0.6, 0.55, 0.2, 0.68, 0.62, 0.5
_BOTTOM, _LEGEND = 1.5, 0.32


class _Section(NamedTuple):
    grey: NDArray
    labels: NDArray[np.uint8]
    size: tuple[float, float]  # width, height in the unit of the axes
    axes: tuple[str, str]  # labels of the horizontal and the vertical axis
    title: str


def plot_segmentation(
    grey: NDArray,
    found: Segmentation,
    path: str | os.PathLike[str],
    *,
    axes: Sequence[str] = ("z", "y", "x"),
    voxel_size: tuple[float, ...] | None = None,
    expected: Sequence[Expected] = (),
    title: str = "Segmentation",
) -> Path:
    """Outlines of the phases on the grey image above the phases themselves, the histogram, and the fractions.

    Of a stack three sections through its middle are drawn, of large images the middle part.

    **Arguments:** `grey`: the image that was segmented; `axes`: names of its axes; `voxel_size` [m]: one for each axis,
    None: lengths in voxels; `expected`: drawn as marks beside the fractions found.

    **Errors:** ConfigError if `grey` and the labels differ in shape, or for an unknown extension.
    """
    if grey.shape != found.labels.shape:
        raise ConfigError(
            f"The grey image has shape {grey.shape}, its labels {found.labels.shape}. Give the same image."
        )
    sections = _sections(grey, found.labels, axes, voxel_size)
    with mpl.rc_context(STYLE):
        figure, panels, below = _page(sections)
        vmin, vmax = (float(v) for v in np.percentile(sections[0].grey, [0.5, 99.5]))
        for (upper, lower), section in zip(panels, sections, strict=True):
            _outlines(upper, section, found, (vmin, max(vmax, vmin + 1e-6)))
            _phases(lower, section, found)
        _histogram(below[0], grey, found)
        _fractions(below[1], found, expected)
        height = figure.get_size_inches()[1]
        figure.text(0.02, 1 - 0.12 / height, title, fontsize=9, fontweight="bold", va="top")
        figure.text(0.02, 1 - 0.3 / height, _summary(found), fontsize=7, va="top")
        outlines = [
            Line2D([], [], color=OUTLINES[name], lw=1.4, label=f"outline of {_NAMES[name]}")
            for name in _outlined(found)
        ]
        fills = [
            Patch(facecolor=PHASE_COLOURS[name], edgecolor="0.5", lw=0.4, label=_NAMES[name]) for name in found.names
        ]
        handles: list[Any] = [*fills, *outlines]
        figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 7), borderaxespad=0.3)
        return save(figure, path)


def _summary(found: Segmentation) -> str:
    contrast = ", ".join(f"{value:.2g}" for value in found.contrast)
    return f"contrast-to-noise ratio of neighbouring classes {contrast};  unsure voxels {100 * found.unsure:.1f} %"


def _outlined(found: Segmentation) -> list[str]:
    return [name for name, classes in found.names.items() if 0 not in classes]


def _sections(
    grey: NDArray, labels: NDArray[np.uint8], axes: Sequence[str], voxel_size: tuple[float, ...] | None
) -> list[_Section]:
    """Middle sections, cut to a window around their middle."""
    solid = grey.ndim == 3
    step = [1e6 * h for h in voxel_size] if voxel_size is not None else [1.0] * grey.ndim
    unit = "µm" if voxel_size is not None else "voxel" if solid else "pixel"
    most = _WINDOW_3D if solid else _WINDOW_2D
    cuts = []
    for n in grey.shape:
        start = max(0, (n - most) // 2)
        cuts.append(slice(start, min(n, start + most)))
    sections = []
    thin = [a for a in range(grey.ndim) if solid and grey.shape[a] == 1]  # a single layer is one section
    for normal in thin[:1] or range(3) if solid else (None,):
        index: list[Any] = list(cuts)
        rest = [a for a in range(grey.ndim) if a != normal]
        title = "" if grey.shape == tuple(c.stop - c.start for c in cuts) else "middle part"
        if normal is not None:
            middle = grey.shape[normal] // 2
            index[normal] = middle
            place = f"{axes[normal]} = {(middle + 0.5) * step[normal]:.4g} {unit}" if unit == "µm" else None
            title = f"{place or f'{axes[normal]} {middle}'}{', ' + title if title else ''}"
        row, column = rest
        size = tuple((cuts[a].stop - cuts[a].start) * step[a] for a in (column, row))
        names = (f"{axes[column]} [{unit}]", f"{axes[row]} [{unit}]")
        sections.append(_Section(grey[tuple(index)], labels[tuple(index)], (size[0], size[1]), names, title))
    return sections


def _page(sections: Sequence[_Section]) -> tuple[Figure, list[tuple[Axes, Axes]], tuple[Axes, Axes]]:
    """Empty axes in one scale: grey above phases for sections of a stack, beside them for a single section."""
    flat = len(sections) == 1
    count = 2 if flat else len(sections)
    wide = np.array([s.size[0] for s in sections] * (2 if flat else 1))
    high = max(s.size[1] for s in sections)
    fixed = _LEFT + _RIGHT + _GAP * (count - 1)
    scale = min((_WIDTH - fixed) / wide.sum(), _HIGHEST / high)
    rows = 1 if flat else 2
    page = (_WIDTH, _TOP + rows * (high * scale + _ROW_GAP) + _BOTTOM + _FOOT + _LEGEND)
    figure = Figure(figsize=page)

    def place(x: float, y: float, width: float, height: float) -> Axes:
        return figure.add_axes((x / page[0], y / page[1], width / page[0], height / page[1]))

    left = _LEFT + 0.5 * (_WIDTH - fixed - float(wide.sum()) * scale)
    panels, x, top = [], left, page[1] - _TOP
    for section in sections:
        width, height = section.size[0] * scale, section.size[1] * scale
        upper = place(x, top - height, width, height)
        if flat:
            panels.append((upper, place(x + width + _GAP, top - height, width, height)))
        else:
            panels.append((upper, place(x, top - high * scale - _ROW_GAP - height, width, height)))
        x += width + _GAP
    width = (_WIDTH - _LEFT - _RIGHT - 1.3) * 0.6
    histogram = place(_LEFT, _LEGEND + _FOOT, width, _BOTTOM)
    bars = place(_LEFT + width + 1.3, _LEGEND + _FOOT, (_WIDTH - _LEFT - _RIGHT - 1.3) * 0.4, _BOTTOM)
    return figure, panels, (histogram, bars)


def _outlines(ax: Axes, section: _Section, found: Segmentation, limits: tuple[float, float]) -> None:
    width, height = section.size
    extent = (0.0, width, height, 0.0)
    common: dict[str, Any] = {"extent": extent, "interpolation": "nearest", "aspect": "auto"}
    ax.imshow(section.grey, cmap="gray", vmin=limits[0], vmax=limits[1], **common)
    rows, columns = section.labels.shape
    x, y = (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
    for name in _outlined(found):
        mask = np.isin(section.labels, found.names[name])
        if mask.any() and not mask.all():
            ax.contour(x, y, mask.astype(np.float32), levels=[0.5], colors=OUTLINES[name], linewidths=0.6)
    ax.set(xlabel=section.axes[0], ylabel=section.axes[1], title=section.title)
    ax.set_xticks(ticks(width))
    ax.set_yticks(ticks(height))


def _phases(ax: Axes, section: _Section, found: Segmentation) -> None:
    of = {c: name for name, classes in found.names.items() for c in classes}
    colours = ListedColormap([PHASE_COLOURS[of[c]] for c in range(len(of))])
    width, height = section.size
    ax.imshow(
        section.labels,
        cmap=colours,
        vmin=-0.5,
        vmax=len(of) - 0.5,
        extent=(0.0, width, height, 0.0),
        interpolation="nearest",
        aspect="auto",
    )
    ax.set(xlabel=section.axes[0], ylabel=section.axes[1])
    ax.set_xticks(ticks(width))
    ax.set_yticks(ticks(height))


def _histogram(ax: Axes, grey: NDArray, found: Segmentation) -> None:
    """Grey values of the image before any filter, whole and by phase, and the thresholds."""
    skip = max(1, grey.size // 4_000_000)
    values, labels = grey.reshape(-1)[::skip], found.labels.reshape(-1)[::skip]
    low, high = (float(v) for v in np.percentile(values, [0.05, 99.95]))
    edges: NDArray = np.linspace(low, max(high, low + 1e-6), _BARS + 1)
    if grey.dtype.kind in "iu":  # bars of equally many grey levels
        width = max(1, -(-int(high - low + 1) // _BARS))
        edges = np.arange(low, high + 1 + width, width) - 0.5
    ax.stairs(np.histogram(values, edges)[0], edges, fill=True, color="0.8")
    for name, classes in found.names.items():
        colour = PHASE_COLOURS[name] if name != "pore" else "0.5"
        ax.stairs(np.histogram(values[np.isin(labels, classes)], edges)[0], edges, color=colour, lw=1.2)
    for threshold in found.thresholds:
        ax.axvline(threshold, color="k", lw=0.8, ls=(0, (4, 3)))
    ax.set(xlabel="grey value (unfiltered), thresholds dashed", ylabel="voxels", yticks=[], ylim=(0.0, None))
    ax.set_xlim(edges[0], edges[-1])


def _fractions(ax: Axes, found: Segmentation, expected: Sequence[Expected]) -> None:
    """Bars of the phases, and of what was expected with its mark."""
    marks = {e.name: e.expected for e in expected if e.of == "image"}
    bars = [(name, found.fraction(name), marks.get(name), name) for name in found.names]
    bars += [(f"{e.name} of {e.of}", e.found, e.expected, e.name) for e in expected if e.of != "image"]
    for place, (_, share, mark, name) in enumerate(bars):
        ax.barh(place, 100 * share, color=PHASE_COLOURS[name], edgecolor="0.4", lw=0.5, height=0.6)
        right = 100 * max(share, mark or 0.0) + 3
        ax.text(right, place, f"{100 * share:.1f}", va="center", fontsize=7)
        if mark is not None:
            ax.plot([100 * mark] * 2, [place - 0.45, place + 0.45], color=RED, lw=1.8)
    marked = any(mark is not None for _, _, mark, _ in bars)
    ax.set_yticks(range(len(bars)), [text for text, _, _, _ in bars])
    ax.set(xlim=(0.0, 112.0), ylim=(len(bars) - 0.4, -0.6), xticks=[0, 25, 50, 75, 100])
    ax.set_xlabel("volume fraction [%]" + (", expected in red" if marked else ""))
