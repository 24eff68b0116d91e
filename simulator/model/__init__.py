"""Cells and their simulation: physics and grid brought together, solved in time."""

from simulator.model.build import Cell, build_cell
from simulator.model.checkpoint import Checkpoint
from simulator.model.observe import FIELDS
from simulator.model.options import Progress, SolverOptions
from simulator.model.simulate import simulate
from simulator.model.solution import COLUMNS, Recorder, Solution

__all__ = [
    "COLUMNS",
    "FIELDS",
    "Cell",
    "Checkpoint",
    "Progress",
    "Recorder",
    "Solution",
    "SolverOptions",
    "build_cell",
    "simulate",
]
