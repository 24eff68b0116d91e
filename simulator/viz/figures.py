"""Two-dimensional figures of a run: curves and slices. Micrometres, millivolts and SOC; all else is SI.

SOC = (x_max - sto) / (x_max - x_min) with the window `am.sto_window`: 0 discharged, 1 charged.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.phases import AM, IONIC, PORE

SOC_MAP, POTENTIAL_MAP = "viridis", "plasma"
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
#: Greys of what carries no colour: pore, other solid phases, cells left out of the calculation.
PORE_GREY, SOLID_GREY, EXCLUDED_GREY = 0.96, 0.82, 0.55
SEPARATOR_COLOUR, COLLECTOR_COLOUR = "#d9e6f2", "#e3d5c3"
_BLUE, _RED = "#0072B2", "#D55E00"  # Okabe and Ito: told apart by colour-blind readers


class Run(Protocol):
    """What the figures need of a run; `simulator.io.RunResult` has it."""

    @property
    def timeseries(self) -> Mapping[str, np.ndarray]: ...
    @property
    def field_times(self) -> np.ndarray: ...
    @property
    def field_specs(self) -> Mapping[str, tuple[str, str]]: ...
    @property
    def phase(self) -> np.ndarray: ...
    @property
    def voxel_size(self) -> tuple[float, float, float]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> str: ...
    @property
    def capacity(self) -> np.ndarray: ...
    def field(self, name: str, index: int | None = None) -> np.ndarray: ...


def parameter(run: Run, name: str) -> Any:
    """Parameter `name` ("am.density"), stored under the dotted key or nested; None if it is not there."""
    if name in run.parameters:
        return run.parameters[name]
    node: Any = run.parameters
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def to_soc(run: Run, sto: np.ndarray) -> np.ndarray:
    """SOC of stoichiometries `sto`, NaN kept. **Errors:** ConfigError without a usable `am.sto_window`."""
    window = parameter(run, "am.sto_window")
    if window is None or len(window) != 2 or not float(window[0]) < float(window[1]):
        raise ConfigError(
            f"SOC needs the parameter 'am.sto_window' = (x_min, x_max) with x_min < x_max, got {window}. "
            "Give it with the cell parameters."
        )
    x_min, x_max = float(window[0]), float(window[1])
    return (x_max - np.asarray(sto, dtype=float)) / (x_max - x_min)


def soc_field(run: Run, index: int) -> np.ndarray:
    """SOC in the particles (nz, ny, nx) at one saved step, NaN elsewhere. **Errors:** ConfigError."""
    return np.where(run.phase == AM, to_soc(run, run.field("sto", index)), np.nan)


def colour_range(values: np.ndarray, digits: int, span: float) -> tuple[float, float, str]:
    """(low, high, extend) of a colour bar: 1 to 99 % of the finite values, rounded outward to `digits`.

    At least `span` wide, so that a uniform field looks uniform. `extend` is matplotlib's word for values
    beyond the ends. Slices and 3D pictures of one step share the range, as it is taken from all voxels.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ConfigError("Nothing to draw: the field is not finite anywhere at this step.")
    low, high = np.percentile(finite, [1.0, 99.0])
    if high - low < span:
        low, high = 0.5 * (low + high - span), 0.5 * (low + high + span)
    unit = 10.0**-digits
    # 1e-6: a value on a multiple of the unit stays there in spite of rounding
    low = float(np.floor(low / unit + 1e-6) * unit)
    high = float(np.ceil(high / unit - 1e-6) * unit)
    below, above = finite.min() < low - 1e-6 * unit, finite.max() > high + 1e-6 * unit
    return (
        low,
        high,
        {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[int(below), int(above)],
    )


def step_title(run: Run, index: int, soc: np.ndarray) -> str:
    """Time, voltage and mean SOC of a saved step; the status too if the run did not finish."""
    t = float(run.field_times[index])
    text = f"t = {_duration(t)}"
    times = run.timeseries["test_time_second"]
    if times.size and times[0] <= t <= times[-1]:
        text += f",  cell voltage {np.interp(t, times, run.timeseries['voltage_volt']):.3f} V"
    text += f",  mean SOC {np.nanmean(soc):.3f}"
    return text if run.status == "finished" else f"{text}   (run status: {run.status})"


def _duration(t: float) -> str:
    if t >= 3600.0:
        return f"{t / 3600.0:.2f} h"
    return f"{t / 60.0:.1f} min" if t >= 60.0 else f"{t:.3g} s"


def check_fields(run: Run, name: str) -> None:
    """**Errors:** ConfigError if the run saved no field `name`, or no step at all."""
    if name not in run.field_specs:
        raise ConfigError(f"The run saved no field '{name}'.{did_you_mean(name, run.field_specs)}")
    if run.field_times.size == 0:
        raise ConfigError("The run holds no saved fields: it ended before the first saved step.")


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save `figure`; the extension chooses the format. **Errors:** ConfigError for an unknown one."""
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in known:
        raise ConfigError(f"Cannot draw to '{path.name}'. Known extensions: {', '.join(sorted(known))}.")
    figure.savefig(path)
    return path


# ---------------------------------------------------------------------------------------------- curves


def plot_voltage(run: Run, path: str | os.PathLike[str]) -> Path:
    """Voltage, and below it mean SOC with its spread, against specific capacity [mAh/g AM].

    Each charge and each discharge starts at zero. Against time if `am.density` is not in the parameters or
    no current ever flows. Bands: minimum to maximum and 10 to 90 % of the active-material voxels, as far as
    the run stored them (columns `sto_min`, `sto_max`, `sto_p10`, `sto_p90`, or else from the saved fields).

    **Errors:** ConfigError without time-series rows, or for an unknown extension.
    """
    series = run.timeseries
    times = series["test_time_second"]
    if times.size == 0:
        raise ConfigError("The run holds no time-series rows, so there is no curve to draw.")
    x, parts, label = _abscissa(run)
    bands = _soc_statistics(run) if parameter(run, "am.sto_window") is not None else {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.5, 4.4 if bands else 2.8), layout="constrained")
        axes = figure.subplots(2 if bands else 1, 1, sharex=True, squeeze=False)[:, 0]
        drawn: set[str] = set()
        last = {sign: number for number, (_, sign) in enumerate(parts)}
        for number, (rows, sign) in enumerate(parts):
            name = {1: "charge", -1: "discharge", 0: None}[sign]
            newest = number == last[sign]
            colour = _shade(_RED if sign < 0 else _BLUE, 1.0 if newest else 0.3 + 0.4 * number / len(parts))
            axes[0].plot(x[rows], series["voltage_volt"][rows], color=colour, label=name if newest else None)
            if bands:
                drawn |= _draw_soc(axes[1], bands, x, rows, colour, newest)
        axes[0].set_ylabel("Cell voltage [V]")
        if any(sign for _, sign in parts):
            axes[0].legend(title=f"{len(parts)} half-cycles, last ones dark" if len(parts) > 2 else None)
        if run.status != "finished":
            axes[0].set_title(f"run status: {run.status}")
        if bands:
            axes[1].set_ylabel("State of charge of the particles")
            _soc_legend(axes[1], drawn)
        axes[-1].set_xlabel(label)
        for ax in axes:
            ax.spines[["top", "right"]].set_visible(False)
        figure.align_ylabels()
        return save(figure, path)


def _abscissa(run: Run) -> tuple[np.ndarray, list[tuple[slice, int]], str]:
    """x of every row, the half-cycles as (rows, sign of the current), and the axis label."""
    times, current = run.timeseries["test_time_second"], run.timeseries["current_ampere"]
    density = parameter(run, "am.density")
    if not isinstance(density, int | float) or density <= 0 or not current.any():
        unit, factor = ("h", 3600.0) if times[-1] >= 3600.0 else ("s", 1.0)
        return times / factor, [(slice(0, times.size), 0)], f"Time [{unit}]"
    mass = float(density) * float(np.count_nonzero(run.phase == AM)) * float(np.prod(run.voxel_size))  # [kg]
    capacity = run.capacity / 3.6 / (1e3 * mass)  # C -> mAh, kg -> g
    # a rest belongs to the half-cycle before it; one at the start to the first half-cycle
    sign = np.sign(current).astype(int)
    flowing = np.flatnonzero(sign)
    sign = sign[flowing[np.maximum(np.searchsorted(flowing, np.arange(sign.size), side="right") - 1, 0)]]
    starts = [0, *(np.flatnonzero(np.diff(sign)) + 1).tolist(), sign.size]
    x, parts = np.empty_like(capacity), []
    for a, b in pairwise(starts):
        # the charge counted so far belongs to the row before: rows are ends of time steps
        x[a:b] = np.abs(capacity[a:b] - capacity[max(a - 1, 0)])
        parts.append((slice(a, b), int(sign[a])))
    return x, parts, r"Specific capacity [mAh g$^{-1}$ active material]"


def _soc_statistics(run: Run) -> dict[str, np.ndarray]:
    """SOC at every time-series row: mean, low, high, p10, p90, each as far as it is known."""
    series, times = run.timeseries, run.timeseries["test_time_second"]
    # SOC falls with stoichiometry: the lowest SOC belongs to the highest stoichiometry
    columns = {"mean": "sto_mean", "low": "sto_max", "high": "sto_min", "p10": "sto_p90", "p90": "sto_p10"}
    found = {name: to_soc(run, series[column]) for name, column in columns.items() if column in series}
    if len(found) == len(columns) or "sto" not in run.field_specs or run.field_times.size == 0:
        return found if "mean" in found else {}
    # a smooth band needs no more points than this, and each costs reading one field
    steps = np.unique(np.linspace(0, run.field_times.size - 1, 25).astype(int))
    values = [soc[np.isfinite(soc)] for soc in (soc_field(run, int(i)) for i in steps)]
    if not all(v.size for v in values):
        return found if "mean" in found else {}
    statistics = {
        "mean": [v.mean() for v in values],
        "low": [v.min() for v in values],
        "high": [v.max() for v in values],
        "p10": [np.percentile(v, 10.0) for v in values],
        "p90": [np.percentile(v, 90.0) for v in values],
    }
    # outside the saved times nothing is known: no line there
    at_rows = {
        name: np.interp(times, run.field_times[steps], points, left=np.nan, right=np.nan)
        for name, points in statistics.items()
    }
    return {**at_rows, **found}


def _draw_soc(
    ax: Axes,
    soc: Mapping[str, np.ndarray],
    x: np.ndarray,
    rows: slice,
    colour: tuple[float, float, float],
    newest: bool,
) -> set[str]:
    """Mean SOC of one half-cycle, and its spread if it is the newest of its direction.

    Returns the names of what is drawn.
    """
    drawn = {"mean"}
    for low, high, alpha in (("low", "high", 0.16), ("p10", "p90", 0.34)):
        # bands from the saved fields may not reach to this half-cycle
        if newest and low in soc and high in soc and np.isfinite(soc[low][rows]).any():
            ax.fill_between(x[rows], soc[low][rows], soc[high][rows], color=colour, alpha=alpha, lw=0)
            drawn.add(low)
    ax.plot(x[rows], soc["mean"][rows], color=colour)
    return drawn


def _soc_legend(ax: Axes, drawn: set[str]) -> None:
    """In grey, as it holds for charge and discharge alike."""
    handles: list[Artist] = [Line2D([], [], color="0.3", label="mean")]
    if "p10" in drawn:
        handles.append(Patch(color="0.3", alpha=0.45, lw=0, label="10 to 90 %"))
    if "low" in drawn:
        handles.append(Patch(color="0.3", alpha=0.16, lw=0, label="min to max"))
    ax.legend(handles=handles)


def _shade(colour: str, strength: float) -> tuple[float, float, float]:
    r, g, b = (1.0 - strength * (1.0 - v) for v in to_rgb(colour))
    return r, g, b


# ---------------------------------------------------------------------------------------------- slices


def plot_slices(run: Run, path: str | os.PathLike[str], *, indices: Sequence[int] | None = None) -> Path:
    """Mid-plane slices of SOC in the particles and of phi_e in the ionic phase, one row per saved step.

    Left of each pair: the x-z plane, thickness to the right, separator on the left. Right: the in-plane
    slice at half thickness. `indices`: saved steps, by default one in the middle and the last. phi_e is
    left out if the run did not save it.

    **Errors:** ConfigError without a saved `sto`, or for an unknown extension.
    """
    check_fields(run, "sto")
    n = run.field_times.size
    steps = sorted({n // 2, n - 1}) if indices is None else [int(i) for i in indices]
    if not steps or not all(-n <= i < n for i in steps):
        raise ConfigError(f"indices must name saved steps, 0 to {n - 1} (or negative from the end), got {steps}.")
    names = ["sto", "phi_e"] if "phi_e" in run.field_specs else ["sto"]
    excluded = False
    with mpl.rc_context(STYLE):
        sheet = Sheet(run, pairs=len(names), rows=len(steps))
        for row, index in enumerate(steps):
            soc = soc_field(run, index)
            sheet.title(row, step_title(run, index, soc))
            for column, name in enumerate(names):
                if name == "sto":
                    values, where, cmap, label = soc, run.phase == AM, SOC_MAP, "State of charge"
                    low, high, extend = colour_range(values, digits=2, span=0.02)
                else:
                    where, cmap = np.isin(run.phase, IONIC), POTENTIAL_MAP
                    label = r"Electrolyte potential $\phi_e$ [mV]"
                    values = np.where(where, 1e3 * run.field(name, index), np.nan)
                    low, high, extend = colour_range(values, digits=1, span=0.2)
                excluded |= bool(np.isnan(values[where]).any())
                through, plane, bar = sheet.pair(row, column)
                image = draw_pair((through, plane), run, values, where, cmap, (low, high))
                sheet.figure.colorbar(image, cax=bar, extend=extend).set_label(label)
        sheet.legend(excluded)
        return save(sheet.figure, path)


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
        """Bold line above a row."""
        y = (self.size[1] - row * self.row_height - 0.07) / self.size[1]
        self.figure.text(0.12 / self.size[0], y, text, fontsize=8.5, fontweight="bold", va="top")

    def legend(self, excluded: bool) -> None:
        """What the greys mean, below all rows."""
        handles = grey_legend(excluded)
        self.figure.legend(handles=handles, loc="lower center", ncols=len(handles), borderaxespad=0.4)


def grey_legend(excluded: bool) -> list[Patch]:
    """Legend entries of the greys; `excluded`: some voxels were left out of the calculation."""
    greys = [("pore", PORE_GREY), ("other solid phase", SOLID_GREY)]
    if excluded:
        greys.append(("not connected, left out", EXCLUDED_GREY))
    return [Patch(facecolor=str(grey), edgecolor="0.5", lw=0.4, label=text) for text, grey in greys]


def lengths_um(run: Run) -> tuple[float, float, float]:
    """Size of the electrode image along z, y, x [um]."""
    z, y, x = (1e6 * n * h for n, h in zip(run.phase.shape, run.voxel_size, strict=True))
    return z, y, x


def ticks(length: float) -> list[float]:
    """About four round positions from 0 to `length`."""
    locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    return [float(t) for t in locator.tick_values(0.0, length) if 0.0 <= t <= length * (1.0 + 1e-9)]


def draw_pair(
    panels: Sequence[Axes],
    run: Run,
    values: np.ndarray,
    where: np.ndarray,
    cmap: str,
    limits: tuple[float, float],
) -> Any:
    """Draw the x-z and the x-y mid-plane of `values` on two axes and return the last image."""
    nz, ny, _ = run.phase.shape
    lz, ly, lx = lengths_um(run)
    middle_z, middle_y = (nz // 2 + 0.5) * lz / nz, (ny // 2 + 0.5) * ly / ny
    through, plane = panels
    # [z, x] and [y, x] -> picture rows along x, columns along z or y
    draw_slice(through, run.phase[:, ny // 2].T, values[:, ny // 2].T, where[:, ny // 2].T, (lz, lx), cmap, limits)
    image = draw_slice(plane, run.phase[nz // 2].T, values[nz // 2].T, where[nz // 2].T, (ly, lx), cmap, limits)
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
) -> Any:
    """One slice, `values` in colour over greys; `size` = (width, height) [um]. Returns the image."""
    grey = np.where(phase == PORE, PORE_GREY, SOLID_GREY)
    grey[where & ~np.isfinite(values)] = EXCLUDED_GREY
    box = (0.0, size[0], 0.0, size[1])
    common: dict[str, Any] = {"extent": box, "origin": "lower", "interpolation": "nearest"}
    ax.imshow(grey, cmap="gray", vmin=0.0, vmax=1.0, **common)
    shown = np.ma.masked_invalid(np.where(where, values, np.nan))
    return ax.imshow(shown, cmap=cmap, vmin=limits[0], vmax=limits[1], **common)


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
