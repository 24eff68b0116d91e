"""The picture of `voxelyte inspect --full`: sizes, coverage, tortuosities, chords, profile and scatter of an image."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from simulator.errors import ConfigError
from simulator.geometry import Measures
from simulator.geometry.metrics import AXES, NETWORKS
from simulator.geometry.phases import PHASES
from simulator.viz.figures import BLUE, GREEN, ORANGE, PINK, RED, STYLE, save

#: as the phases of `inspect.png`, but pore and binder in colours that show as lines on white
LINE_COLOURS = {"pore": "#9a9a9a", "am": BLUE, "cbd": "#222222", "electrolyte": ORANGE}
_NETWORK_COLOURS = dict(zip(NETWORKS, (GREEN, RED), strict=True))
_NAMES = {"pore": "pore", "am": "active material", "cbd": "binder (cbd)", "electrolyte": "electrolyte"}
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)))
_SCATTER_COLOURS = {"Specific area": PINK, "Coverage": GREEN}
_LEAST_SHARE = 1e-4  # chords rarer than this are not worth the room on a logarithmic axis


def plot_metrics(
    measures: Sequence[Measures], path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> Path:
    """Metrics of one image, or of two in the same panels: the second one dashed or hatched.

    Particle sizes, coverage of the particles, tortuosity factors; chord lengths along z, y and x; phase fractions
    through the thickness, and scatter between sub-volumes against their size. What was not measured is said in its
    panel. `names`: what to call the images, by default the names of the electrodes.

    **Errors:** ConfigError for none or more than two images, or an unknown extension.
    """
    names = [m.electrode.name for m in measures] if names is None else names
    if not 1 <= len(measures) <= 2 or len(names) != len(measures):
        raise ConfigError(f"One or two images fit the picture, with a name each; got {len(measures)}.")
    with mpl.rc_context({**STYLE, "hatch.linewidth": 0.5}):
        figure = Figure(figsize=(9.4, 8.3), layout="constrained")
        # 'outside' legends and the title keep their room in a constrained layout
        panels = figure.subplot_mosaic("ppccTT;zzyyxx;fffrrr")
        _sizes(panels["p"], measures)
        _coverage(panels["c"], measures, names)
        _tortuosities(panels["T"], measures)
        for axis, letter in enumerate(AXES):
            _chords(panels[letter], measures, axis)
        _fractions(panels["f"], measures)
        _scatter(panels["r"], measures)
        for ax in panels.values():
            ax.spines[["top", "right"]].set_visible(False)
        _legend(figure, measures, names)
        return save(figure, path)


def _legend(figure: Figure, measures: Sequence[Measures], names: Sequence[str]) -> None:
    """The phases, and which image is which."""
    present = [name for name in PHASES if any(name in m.electrode.labels for m in measures)]
    handles = [Line2D([], [], color=LINE_COLOURS[name], lw=2.2, label=_NAMES[name]) for name in present]
    if len(measures) > 1:
        for name, dashes in zip(names, _DASHES, strict=True):
            handles.append(Line2D([], [], color="0.3", ls=dashes, label=name))
    figure.suptitle(" and ".join(names), fontsize=9, fontweight="bold", x=0.01, ha="left")
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _absent(ax: Axes, text: str) -> None:
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color="0.35", wrap=True)


def _sizes(ax: Axes, measures: Sequence[Measures]) -> None:
    """Cumulative size distribution by volume and by number; all particles and whole ones."""
    ax.set_title("Particle size")
    found = [(m, dashes) for m, dashes in zip(measures, _DASHES, strict=False) if m.sizes is not None]
    if not found:
        _absent(ax, "particles were not labelled")
        return
    largest = 0.0
    for m, dashes in found:
        for sizes, wide in ((m.sizes, 1.5), (m.whole_sizes, 0.7)):
            if sizes is None or not len(sizes):
                continue
            # equal particles: the narrow line lies on the wide one, and both are seen
            for share, colour, width in ((sizes.by_volume, BLUE, 1.5 * wide), (sizes.by_number, RED, 0.8 * wide)):
                x, y = 1e6 * sizes.diameter, 100 * np.concatenate([[0.0], share])
                ax.step(np.concatenate([x[:1], x]), y, where="post", color=colour, lw=width, ls=dashes)
                largest = max(largest, float(x[-1]))
    ax.set(xlabel="diameter of equal volume [µm]", ylabel="up to this diameter [%]")
    ax.set(xlim=(0.0, 1.05 * largest), ylim=(0.0, 101.0))
    handles = [
        Line2D([], [], color=BLUE, lw=2.2, label="by volume"),
        Line2D([], [], color=RED, lw=1.2, label="by number"),
        Line2D([], [], color="0.3", lw=0.7, label="only particles\nnot cut by the image"),
    ]
    ax.legend(handles=handles, loc="upper left", fontsize=6)


def _coverage(ax: Axes, measures: Sequence[Measures], names: Sequence[str]) -> None:
    """Share of the free surface in particles of each coverage."""
    ax.set_title("Coverage of the particles")
    found = [
        (name, m.coverage)
        for name, m in zip(names, measures, strict=True)
        if m.coverage is not None and math.isfinite(m.coverage.mean)
    ]
    if not found:
        none = all(m.coverage is None for m in measures)
        _absent(ax, "particles were not labelled" if none else "no particle has a free surface")
        return
    for number, (name, coverage) in enumerate(found):
        style: dict[str, Any] = {"facecolor": BLUE, "alpha": 0.45} if number == 0 else {"edgecolor": RED, "lw": 1.2}
        ax.stairs(100 * coverage.area_share, 100 * coverage.edges, fill=number == 0, **style)
        colour = BLUE if number == 0 else RED
        ax.axvline(100 * coverage.mean, color=colour, lw=1.0, ls=(0, (4, 2)))
        at = (0.04, 0.95 - 0.09 * number)
        mean = f"mean {100 * coverage.mean:.1f} %"
        text = mean if len(measures) == 1 else f"{name[:22]}: {mean}"
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        ax.text(*at, text, transform=ax.transAxes, color=colour, fontsize=6.5, va="top", bbox=box)
    ax.set(xlabel="covered by cbd or electrolyte [%]", ylabel="share of the free surface [%]", xlim=(0, 100))
    top = ax.get_ylim()[1]
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 100])
    ax.set_ylim(0.0, 1.3 * top)


def _tortuosities(ax: Axes, measures: Sequence[Measures]) -> None:
    """Bars along z, y, x for each phase and network; no path: a mark at the foot."""
    ax.set_title("Tortuosity factor")
    solved = [m.tortuosity for m in measures if m.tortuosity]
    if not solved:
        _absent(ax, "not computed")
        return
    names = [name for name in (*PHASES, *NETWORKS) if any(name in found for found in solved)]
    finite = [v for found in solved for along in found.values() for v in along.values() if math.isfinite(v)]
    top = max(finite, default=1.0)
    width = 0.8 / (3 * len(solved))
    logarithmic = top > 20
    for i, name in enumerate(names):
        colour = LINE_COLOURS.get(name) or _NETWORK_COLOURS[name]
        for number, found in enumerate(solved):
            for axis, letter in enumerate(AXES):
                value = found.get(name, {}).get(axis)
                if value is None:
                    continue
                x = i + (3 * number + axis - (3 * len(solved) - 1) / 2) * width * 1.1
                if not math.isfinite(value):
                    ax.text(x, 1.0, f"{letter}\n∞", ha="center", va="bottom", fontsize=5.5, color=colour)
                    continue
                style: dict[str, Any] = (
                    {"color": colour} if number == 0 else {"fc": "white", "ec": colour, "hatch": "///"}
                )
                ax.bar(x, value - 1.0, width, bottom=1.0, lw=0.6, **style)
                ax.text(x, value, letter, ha="center", va="bottom", fontsize=5)
    labels = [name.replace(" ", "\n").replace("electrolyte", "electro-\nlyte") for name in names]
    ax.set_xticks(range(len(names)), labels, fontsize=6)
    ax.set_xlim(-0.6, len(names) - 0.4)
    if logarithmic:
        ax.set_yscale("log")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_major_formatter(plain)
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylim(1.0, 2.0 * top)
    else:
        ax.set_ylim(1.0, 1.0 + 1.12 * (top - 1.0) if top > 1.0 else 2.0)


def _chords(ax: Axes, measures: Sequence[Measures], axis: int) -> None:
    """Number density of the chord lengths of each phase along one axis."""
    ax.set_title(f"Chords along {AXES[axis]}{', through the thickness' if axis == 0 else ''}")
    longest, lowest, highest = 0.0, math.inf, 0.0
    for m, dashes in zip(measures, _DASHES, strict=False):
        step = 1e6 * m.electrode.voxel_size[axis]
        for name, along in m.chords.items():
            chords = along[axis]
            if not chords.length.size:
                continue
            share = chords.share
            shown = share >= min(_LEAST_SHARE, float(share.max()))
            x, y = 1e6 * chords.length[shown], share[shown] / step
            single: dict[str, Any] = {"marker": "o", "ms": 3} if x.size == 1 else {}
            ax.plot(x, y, color=LINE_COLOURS[name], ls=dashes, lw=1.1, **single)
            longest, lowest, highest = max(longest, x[-1]), min(lowest, float(y.min())), max(highest, float(y.max()))
            ax.plot(
                [1e6 * chords.mean],
                [0.97],
                marker="v",
                ms=4,
                color=LINE_COLOURS[name],
                mfc=LINE_COLOURS[name] if dashes == "-" else "white",
                transform=ax.get_xaxis_transform(),
            )
    if not longest:
        _absent(ax, "every chord is cut by the image")
        return
    ax.set(xlabel="chord length [µm]   (triangles: means)", xlim=(0.0, 1.03 * longest), yscale="log")
    ax.set_ylim(lowest / 1.5, 3.0 * highest)
    if axis == 0:
        ax.set_ylabel("share of the chords per µm [1/µm]")


def _fractions(ax: Axes, measures: Sequence[Measures]) -> None:
    """Phase fractions in every layer through the thickness."""
    ax.set_title("Composition through the thickness")
    for m, dashes in zip(measures, _DASHES, strict=False):
        phase, step = m.electrode.phase, 1e6 * m.electrode.voxel_size[0]
        z = step * (np.arange(phase.shape[0]) + 0.5)
        for name, code in m.electrode.labels.items():
            share = 100 * np.count_nonzero(phase == code, axis=(1, 2)) / phase[0].size
            single: dict[str, Any] = {"marker": "o", "ms": 3} if z.size == 1 else {}
            ax.plot(z, share, color=LINE_COLOURS[name], ls=dashes, lw=1.1, **single)
    longest = max(1e6 * m.electrode.size_m[0] for m in measures)
    ax.set(
        xlabel="thickness z [µm], separator at 0", ylabel="share of the layer [%]", xlim=(0, longest), ylim=(0, None)
    )


def _scatter(ax: Axes, measures: Sequence[Measures]) -> None:
    """Relative scatter between sub-volumes over their size, the fitted law, and what is called representative."""
    ax.set_title("Scatter between sub-volumes; lines: fit of V$^{-1/2}$")
    found = [(m, m.representative, dashes) for m, dashes in zip(measures, _DASHES, strict=False) if m.representative]
    if not found:
        wanted = any(m.tortuosity is not None for m in measures)
        _absent(ax, "the image is too small to be cut into sub-volumes" if wanted else "not computed")
        return
    handles: dict[str, Line2D] = {}
    ends: list[float] = []
    drawn = False
    for m, study, dashes in found:
        whole = 1e6 * m.electrode.volume ** (1 / 3)
        for name, scatter in study.scatter.items():
            if not (math.isfinite(scatter.coefficient) and scatter.coefficient > 0):
                continue
            plain = name.partition(" [")[0]
            phase = plain.removeprefix("Volume fraction of ")
            colour = LINE_COLOURS.get(phase) or _SCATTER_COLOURS.get(plain, "0.5")
            label = f"share of {phase}" if phase in LINE_COLOURS else plain.lower()
            side = 1e6 * scatter.side
            full: dict[str, Any] = {"mfc": colour if dashes == "-" else "white"}
            ax.plot(side, 100 * scatter.relative, ls="", marker="o", ms=4, color=colour, **full)
            last = max(whole, 1e6 * scatter.representative_side)
            x = np.geomspace(side.min(), last, 50)
            ax.plot(x, 100 * scatter.coefficient * (1e-6 * x) ** -1.5, color=colour, lw=0.8, ls=dashes)
            handles[label] = Line2D([], [], color=colour, marker="o", ms=4, lw=0.8, label=label)
            ends += [float(side.min()), last]
            drawn = True
        ax.axvline(whole, color="0.4", lw=0.8, ls=dashes)
        ax.annotate("this image", (whole, 1.0), xycoords=("data", "axes fraction"), xytext=(-3, -2), color="0.4",
                    textcoords="offset points", rotation=90, ha="right", va="top", fontsize=6)  # fmt: skip
        ax.axhline(100 * study.target, color="0.4", lw=0.8, ls=(0, (1, 1.5)))
    if not drawn:
        _absent(ax, "the sub-volumes do not differ")
        return
    ax.set(xscale="log", yscale="log", xlabel="side of a sub-volume [µm]", ylabel="standard deviation / mean [%]")
    ax.set_xlim(min(ends) / 1.1, 1.1 * max(ends))
    plain_numbers = FuncFormatter(lambda value, _: f"{value:g}")
    for side_axis in (ax.xaxis, ax.yaxis):
        side_axis.set_major_formatter(plain_numbers)
        side_axis.set_minor_formatter(FuncFormatter(_sparse))
    ax.tick_params(which="minor", labelsize=6)
    box: dict[str, Any] = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9}
    ax.legend(handles=list(handles.values()), fontsize=6, loc="lower left", **box)


def _sparse(value: float, _: int | None) -> str:
    """Labels of minor ticks: 2 and 5 of every decade."""
    first = f"{value:.0e}"[0]
    return f"{value:g}" if first in "25" else ""
