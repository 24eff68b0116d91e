"""Voltage curve with its error bars, and what they consist of."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from simulator.viz.figures import STYLE, save

_VOLTAGE, _GRID, _SAMPLE = "#0072B2", "#E69F00", "#009E73"  # Okabe and Ito


class Curve(Protocol):
    """One protocol step: arrays (points,) of specific capacity [mAh/g], voltage and uncertainties [V]."""

    @property
    def name(self) -> str: ...
    @property
    def capacity(self) -> np.ndarray: ...
    @property
    def voltage(self) -> np.ndarray: ...
    @property
    def discretisation(self) -> np.ndarray: ...
    @property
    def sampling(self) -> np.ndarray: ...
    @property
    def total(self) -> np.ndarray: ...


class Curves(Protocol):
    """What `plot_trust` draws."""

    @property
    def curves(self) -> Sequence[Curve]: ...
    @property
    def parts(self) -> int: ...  # quarters that the sampling comes from


def plot_trust(found: Curves, path: str | os.PathLike[str]) -> Path:
    """One column per protocol step: voltage with a band of one standard uncertainty, and the uncertainties [mV]."""
    n = len(found.curves)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.5 * max(n, 1), 4.4), layout="constrained")
        axes = figure.subplots(2, max(n, 1), sharex="col", squeeze=False)
        for (top, bottom), curve in zip(axes.T, found.curves, strict=False):
            q, v, u = curve.capacity, curve.voltage, curve.total
            top.fill_between(
                q,
                v - u,
                v + u,
                color=_VOLTAGE,
                alpha=0.3,
                lw=0,
                label=f"± standard uncertainty (up to {1e3 * np.max(u):.2g} mV)",
            )
            top.plot(q, v, color=_VOLTAGE, label="this electrode")
            top.set(ylabel="Cell voltage [V]", title=curve.name)
            top.legend()
            bottom.plot(q, 1e3 * u, color="k", label="both")
            bottom.plot(q, 1e3 * curve.discretisation, color=_GRID, ls="--", label="discretisation (h against 2h)")
            bottom.plot(
                q, 1e3 * curve.sampling, color=_SAMPLE, ls="-.", label=f"sampling ({found.parts} of 4 quarters)"
            )
            bottom.set(ylabel="Uncertainty [mV]", xlabel=r"Specific capacity [mAh g$^{-1}$ active material]")
            bottom.set_ylim(bottom=0.0)
            bottom.legend()
            for ax in (top, bottom):
                ax.spines[["top", "right"]].set_visible(False)
        figure.align_ylabels()
        return save(figure, path)
