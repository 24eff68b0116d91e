"""What all figures share (fonts, titles, saving) and the slices. Micrometres, millivolts and SOC; all else is SI."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from simulator.errors import ConfigError
from simulator.geometry.phases import PORE
from simulator.viz.fields import (
    EXCLUDED_GREY,
    PORE_GREY,
    SOLID_GREY,
    Image,
    Limits,
    Run,
    Shown,
    check_fields,
    parameter,
    show_field,
    soc_field,
)

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.direction": "out",
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "savefig.dpi": 300,
}
SEPARATOR_COLOUR, COLLECTOR_COLOUR = "#d9e6f2", "#e3d5c3"
#: Okabe and Ito (2008): told apart by colour-blind readers.
BLUE, RED, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PINK, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"


def step_title(run: Run, index: int) -> str:
    """Time, voltage and mean SOC (if sto was saved) of a saved step; the status too if the run did not finish."""
    t = float(run.field_times[index])
    text = f"t = {duration(t)}"
    times = run.timeseries["test_time_second"]
    if times.size and times[0] <= t <= times[-1]:
        text += f",  cell voltage {np.interp(t, times, run.timeseries['voltage_volt']):.3f} V"
    if "sto" in run.field_specs and parameter(run, "am.sto_window") is not None:
        text += f",  mean SOC {np.nanmean(soc_field(run, index)):.3f}"
    return text if run.status == "finished" else f"{text}   (run status: {run.status})"


def duration(t: float) -> str:
    """Time `t` [s] in the unit that suits it."""
    if t >= 3600.0:
        return f"{t / 3600.0:.2f} h"
    return f"{t / 60.0:.1f} min" if t >= 60.0 else f"{t:.3g} s"


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save `figure`; the extension chooses the format. **Errors:** ConfigError for an unknown one."""
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise ConfigError(f"Cannot draw to '{path.name}'. Known extensions: {', '.join(sorted(known))}.")
    with writing(path):
        figure.savefig(path)
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Half a picture is deleted. **Errors:** ConfigError if it cannot be written (full disk, no such folder)."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise ConfigError(
            f"'{path}' cannot be written: {error.strerror or error}. Free some space, or choose another place."
        ) from error


def plot_slices(
    run: Run,
    path: str | os.PathLike[str],
    *,
    indices: Sequence[int] | None = None,
    fields: Sequence[str] | None = None,
    colours: tuple[Limits, str] | None = None,
) -> Path:
    """Mid-plane slices of saved fields, two fields beside one another, every saved step on rows of its own.

    Left of each pair: the x-z plane, thickness to the right, separator on the left. Right: the in-plane
    slice at half thickness. `indices`: saved steps, by default one in the middle and the last. `fields`: by
    default SOC in the particles and phi_e in the ionic phase (left out if the run did not save it).
    `colours`: (range, map) instead of those that suit each step, see `common_range`.

    **Errors:** ConfigError without the saved fields, for an unknown step or extension.
    """
    names = list(fields) if fields else ["sto", "phi_e"] if "phi_e" in run.field_specs else ["sto"]
    for name in names:
        check_fields(run, name)
    n = run.field_times.size
    steps = sorted({n // 2, n - 1}) if indices is None else [int(i) for i in indices]
    if not steps or not all(-n <= i < n for i in steps):
        raise ConfigError(f"indices must name saved steps, 0 to {n - 1} (or negative from the end), got {steps}.")
    with mpl.rc_context(STYLE):
        return save(slice_figure(run, names, steps, colours), path)


def slice_figure(
    run: Run, names: Sequence[str], steps: Sequence[int], colours: tuple[Limits, str] | None = None
) -> Figure:
    """The figure of `plot_slices`, drawn with the fonts that are set now."""
    rows = [(step, names[i : i + 2]) for step in steps for i in range(0, len(names), 2)]
    blanks: dict[str, float] = {}
    sheet = Sheet(run, pairs=min(2, len(names)), rows=len(rows))
    for row, (index, pair) in enumerate(rows):
        if row == 0 or rows[row - 1][0] != index:
            sheet.title(row, step_title(run, index))
        for column, name in enumerate(pair):
            shown = show_field(run, name, index, colours)
            if shown.has_blank:
                blanks[shown.blank_label] = shown.blank
            through, plane, bar = sheet.pair(row, column)
            image = draw_pair((through, plane), run, shown)
            sheet.figure.colorbar(image, cax=bar, extend=shown.limits[2]).set_label(shown.label)
    sheet.legend(blanks)
    return sheet.figure


class Sheet:
    """Slice pairs (through-thickness, in-plane) with colour bars in true proportions, placed in inches.

    Every panel of a sheet has the same scale, so lengths can be compared by eye.
    """

    LEFT, GAP, BAR_GAP, BAR, RIGHT = 0.52, 0.16, 0.1, 0.1, 0.55
    HEAD, FOOT, LEGEND = 0.46, 0.44, 0.26
    STRIP = 0.09  # width of the separator and collector strips / thickness

    def __init__(self, run: Run, *, pairs: int, rows: int, width: float = 9.6) -> None:
        lz, ly, lx = lengths_um(run)
        ratios = np.array([(1.0 + 2.0 * self.STRIP) * lz, ly]) / lx
        fixed = self.LEFT + self.GAP + self.BAR_GAP + self.BAR + self.RIGHT
        # flat or narrow images: keep the panels large enough for their labels, small enough for a page
        self.height = float(np.clip((width / 2 - fixed) / ratios.sum(), 0.9, 3.0))
        self.widths = ratios * self.height
        self.pair_width = fixed + float(self.widths.sum())
        self.row_height = self.HEAD + self.height + self.FOOT
        self.size = (pairs * self.pair_width, rows * self.row_height + self.LEGEND)
        self.figure = Figure(figsize=self.size)

    def _axes(self, x: float, y: float, width: float, height: float) -> Axes:
        w, h = self.size
        return self.figure.add_axes((x / w, y / h, width / w, height / h))

    def _bottom(self, row: int) -> float:
        return self.size[1] - row * self.row_height - self.HEAD - self.height

    def pair(self, row: int, column: int) -> tuple[Axes, Axes, Axes]:
        """Axes of the through-thickness slice, the in-plane slice and their colour bar."""
        x, y = column * self.pair_width + self.LEFT, self._bottom(row)
        first, second = (float(v) for v in self.widths)
        through = self._axes(x, y, first, self.height)
        plane = self._axes(x + first + self.GAP, y, second, self.height)
        bar = self._axes(x + first + self.GAP + second + self.BAR_GAP, y, self.BAR, self.height)
        return through, plane, bar

    def title(self, row: int, text: str) -> None:
        """Bold line above a row, smaller if the sheet is narrow."""
        y = (self.size[1] - row * self.row_height - 0.07) / self.size[1]
        size = min(8.5, 72.0 * (self.size[0] - 0.24) / (0.62 * len(text)))  # 0.62: mean width of a bold letter
        self.figure.text(0.12 / self.size[0], y, text, fontsize=size, fontweight="bold", va="top")

    def legend(self, blanks: Mapping[str, float]) -> None:
        """What the greys mean, below all rows."""
        handles = grey_legend(blanks)
        self.figure.legend(handles=handles, loc="lower center", ncols=len(handles), borderaxespad=0.4)


def grey_legend(blanks: Mapping[str, float]) -> list[Patch]:
    """Legend entries of the greys. `blanks`: meaning -> grey of voxels that are drawn but have no value."""
    # what has the grey of the other solids is one of them in the picture
    greys = {"pore": PORE_GREY, "other solid phase": SOLID_GREY}
    for label, grey in blanks.items():
        if grey == SOLID_GREY:
            greys.pop("other solid phase", None)
            label = f"other solid phase, or {label}"
        greys[label] = grey
    return [Patch(facecolor=str(grey), edgecolor="0.5", lw=0.4, label=text) for text, grey in greys.items()]


def lengths_um(run: Image) -> tuple[float, float, float]:
    """Size of the electrode image along z, y, x [um]."""
    z, y, x = (1e6 * n * h for n, h in zip(run.phase.shape, run.voxel_size, strict=True))
    return z, y, x


def ticks(length: float) -> list[float]:
    """About four round positions from 0 to `length`."""
    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    return [float(t) for t in locator.tick_values(0.0, length) if 0.0 <= t <= length * (1.0 + 1e-9)]


def draw_pair(panels: Sequence[Axes], run: Run, shown: Shown) -> Any:
    """Draw the x-z and the x-y mid-plane of a field on two axes and return the last image."""
    nz, ny, _ = run.phase.shape
    lz, ly, lx = lengths_um(run)
    middle_z, middle_y = (nz // 2 + 0.5) * lz / nz, (ny // 2 + 0.5) * ly / ny
    through, plane = panels
    draw_plane(through, run, shown, (slice(None), ny // 2), (lz, lx))
    image = draw_plane(plane, run, shown, (nz // 2,), (ly, lx))
    mark_sides(through, lz, lx)
    through.axvline(middle_z, color="k", lw=0.7, ls=(0, (4, 3)))
    plane.axvline(middle_y, color="k", lw=0.7, ls=(0, (4, 3)))
    through.set(xlabel="thickness z [µm]", ylabel="x [µm]", title=f"y = {middle_y:.1f} µm")
    plane.set(xlabel="y [µm]", title=f"z = {middle_z:.1f} µm")
    through.set_xticks(ticks(lz))
    plane.set_xticks(ticks(ly))
    for ax in panels:
        ax.set_yticks(ticks(lx))
    plane.tick_params(labelleft=False)
    return image


def draw_slice(
    ax: Axes,
    phase: np.ndarray,
    values: np.ndarray,
    where: np.ndarray,
    size: tuple[float, float],
    cmap: str,
    limits: tuple[float, float],
    blank: float = EXCLUDED_GREY,
) -> Any:
    """One slice, `values` in colour over greys; `size` = (width, height) [um]. Returns the image.

    `blank`: the grey of voxels in `where` that have no value.
    """
    grey = np.where(phase == PORE, PORE_GREY, SOLID_GREY)
    grey[where & ~np.isfinite(values)] = blank
    box = (0.0, size[0], 0.0, size[1])
    common: dict[str, Any] = {"extent": box, "origin": "lower", "interpolation": "nearest"}
    ax.imshow(grey, cmap="gray", vmin=0.0, vmax=1.0, **common)
    seen = np.ma.masked_invalid(np.where(where, values, np.nan))
    return ax.imshow(seen, cmap=cmap, vmin=limits[0], vmax=limits[1], **common)


def draw_plane(ax: Axes, run: Image, shown: Shown, at: tuple[Any, ...], size: tuple[float, float]) -> Any:
    """The plane `at` (index in z, y, x; its first axis to the right) of a field on one axis. Returns the image."""
    # [z, x] and the like -> picture rows upwards, columns to the right
    phase, values, where = (array[at].T for array in (run.phase, shown.values, shown.where))
    return draw_slice(ax, phase, values, where, size, shown.cmap, shown.limits[:2], shown.blank)


def mark_sides(ax: Axes, lz: float, lx: float) -> None:
    """Strips for the separator (left) and the current collector (right) beside a through-thickness slice."""
    width = Sheet.STRIP * lz
    for x0, text, face in (
        (-width, "separator", SEPARATOR_COLOUR),
        (lz, "current collector", COLLECTOR_COLOUR),
    ):
        ax.add_patch(Rectangle((x0, 0.0), width, lx, facecolor=face, edgecolor="none"))
        ax.text(x0 + 0.5 * width, 0.5 * lx, text, rotation=90, ha="center", va="center", fontsize=6)
    ax.set_xlim(-width, lz + width)
