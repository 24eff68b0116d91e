"""Four panels of lines, each with axes of its own."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from simulator.viz.comparison import line_style
from simulator.viz.figures import STYLE, save


@dataclass(frozen=True)
class Panel:
    """Axis labels, and name of a line -> its x and y, both (points,)."""

    x: str
    y: str
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]


def plot_panels(panels: Sequence[Panel], path: str | os.PathLike[str]) -> Path:
    """`panels` in two columns; one without lines says so. **Errors:** ConfigError for an unknown extension."""
    rows = -(-len(panels) // 2)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 2.4 * rows), layout="constrained")
        axes = figure.subplots(rows, 2, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            for number, (name, (x, y)) in enumerate(panel.lines.items()):
                ax.plot(x, y, label=name, **line_style(number), marker="o" if x.size < 20 else None, ms=2.5)
            ax.set(xlabel=panel.x, ylabel=panel.y)
            ax.spines[["top", "right"]].set_visible(False)
            if panel.lines:
                ax.legend()
            else:
                ax.set_xticks([])
                ax.set_yticks([])
                ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="0.4")
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        return save(figure, path)
