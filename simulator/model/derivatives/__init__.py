"""Derivatives of whole runs: adjoint and tangents of the stored time steps."""

from simulator.model.derivatives.differentiate import OF_THE_CELL, evaluate, sensitivities
from simulator.model.derivatives.outputs import (
    CapacityAt,
    DecomposedCharge,
    FieldAt,
    FilmThickness,
    MeanSto,
    Output,
    StoSpread,
    TimeAt,
    VoltageAt,
)

__all__ = [
    "OF_THE_CELL",
    "CapacityAt",
    "DecomposedCharge",
    "FieldAt",
    "FilmThickness",
    "MeanSto",
    "Output",
    "StoSpread",
    "TimeAt",
    "VoltageAt",
    "evaluate",
    "sensitivities",
]
