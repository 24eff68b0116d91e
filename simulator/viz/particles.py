"""What each particle does: its state of charge over time, and against its coverage and size."""

import os
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.errors import ConfigError
from simulator.viz.fields import Run, to_soc
from simulator.viz.figures import STYLE, save

_COVERAGE_MAP = "cividis"


class Particles(Protocol):
    """Facts of p particles and their histories at the n saved steps; `RunResult.particles` has them."""

    @property
    def volume(self) -> np.ndarray: ...  # (p,) [m3]
    @property
    def diameter(self) -> np.ndarray: ...  # (p,) of the sphere of that volume [m]
    @property
    def coverage(self) -> np.ndarray: ...  # (p,) share of the free surface that touches ionic phase
    @property
    def boundary(self) -> np.ndarray: ...  # (p,) bool, cut by the sides of the image
    @property
    def sto(self) -> np.ndarray: ...  # (n, p) mean stoichiometry
    @property
    def active_coverage(self) -> np.ndarray: ...  # (n, p)


def particles_of(run: Run) -> Particles | None:
    """The particles of a run, or None: files of earlier versions and runs without them hold none."""
    found: Particles | None = getattr(run, "particles", None)
    return found if found is not None and np.size(found.sto) else None


def plot_particles(run: Run, path: str | os.PathLike[str]) -> Path:
    """SOC of every particle over time, coloured by its coverage; final SOC against coverage and diameter.

    Black: the mean, weighted by volume. Particles that the sides of the image cut are drawn hollow, since their
    size and coverage are those of the part inside. Marker area goes with the particle's volume.

    **Errors:** ConfigError if the run stored no particles, or for an unknown extension.
    """
    particles = particles_of(run)
    if particles is not None and run.field_times.size == 0:
        raise ConfigError("The run holds no saved step yet, so there is no history to draw.")
    if particles is None:
        raise ConfigError("The run stored no histories of particles. Repeat it with output.particles=true to get them.")
    soc = to_soc(run, particles.sto)
    volume, coverage = np.asarray(particles.volume), np.asarray(particles.coverage)
    diameter, boundary = 1e6 * np.asarray(particles.diameter), np.asarray(particles.boundary, dtype=bool)
    count = volume.size
    times = run.field_times[: soc.shape[0]]
    unit, factor = ("h", 3600.0) if times[-1] >= 3600.0 else ("s", 1.0)
    # tenths that hold all particles, so that a well covered electrode still shows its differences
    low = min(float(np.floor(10.0 * coverage.min())) / 10.0, 0.9)
    high = max(float(np.ceil(10.0 * coverage.max())) / 10.0, low + 0.1)
    colours = ScalarMappable(Normalize(low, high), _COVERAGE_MAP)
    some: Any = colours.to_rgba(np.array([0.5 * (low + high)]))[0]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.9), layout="constrained")
        history, by_coverage, by_size = figure.subplot_mosaic(
            [["t", "c"], ["t", "d"]], width_ratios=(1.5, 1.0)
        ).values()
        lines = np.stack([np.broadcast_to((times / factor)[:, None], soc.shape), soc], axis=2).transpose(1, 0, 2)
        history.add_collection(
            LineCollection(
                list(lines), colors=colours.to_rgba(coverage), lw=0.7, alpha=float(np.clip(60.0 / count, 0.25, 0.9))
            )
        )
        weight = np.where(np.isfinite(soc), volume, 0.0)
        mean = np.nansum(np.where(weight > 0, soc, 0.0) * weight, axis=1) / weight.sum(axis=1)
        history.plot(times / factor, mean, color="k", lw=1.8)
        history.autoscale_view()
        history.set(xlabel=f"Time [{unit}]", ylabel="State of charge of each particle")
        if times.size == 1:
            history.set_title("one saved step")
        handles = [
            Line2D([], [], color=some, lw=0.9, label=f"{count} particle" + "s" * (count != 1)),
            Line2D([], [], color="k", lw=1.8, label="mean by volume"),
        ]
        history.legend(handles=handles)
        area = 6.0 + 34.0 * np.sqrt(volume / volume.max())
        for ax, at, label in (
            (by_coverage, coverage, "Coverage of the particle's free surface"),
            (by_size, diameter, "Diameter (sphere of equal volume) [µm]"),
        ):
            for hollow in (False, True):
                chosen = boundary == hollow
                tint: Any = colours.to_rgba(coverage[chosen])
                rim: dict[str, Any] = (
                    {"facecolors": "none", "edgecolors": tint, "lw": 0.9}
                    if hollow
                    else {"facecolors": tint, "edgecolors": "0.3", "lw": 0.3}
                )
                ax.scatter(at[chosen], soc[-1, chosen], s=area[chosen], **rim)
            ax.axhline(mean[-1], color="k", lw=0.9)
            ax.set(xlabel=label, ylabel="Final SOC")
        by_coverage.set_xlim(-0.03, 1.03)
        if boundary.any():
            marks = [
                Line2D([], [], ls="", marker="o", ms=4, mfc="0.6", mec="0.3", mew=0.3, label="whole"),
                Line2D([], [], ls="", marker="o", ms=4, mfc="none", mec="0.4", label="cut by the image"),
            ]
            by_size.legend(handles=marks, fontsize=6, handletextpad=0.2)
        for ax in (history, by_coverage, by_size):
            ax.spines[["top", "right"]].set_visible(False)
        bar = figure.colorbar(colours, ax=history, location="top", shrink=0.7, aspect=30, pad=0.02)
        bar.set_label("Coverage")
        if run.status != "finished":
            figure.suptitle(f"run status: {run.status}", fontsize=8, x=0.02, ha="left")
        return save(figure, path)
