"""Voxelyte: a 3D simulator of all-solid-state composite cathodes, resolved to the voxel.

    import simulator as sim

    electrode = sim.load_electrode("stack.tif", labels={"pore": 0, "am": 1, "cbd": 2})
    cell = sim.build_cell(electrode, "nmc811_peo_60c", {"electrolyte.kappa": 0.05})
    solution = sim.simulate(cell, ["Charge at C/10 until 4.2 V"], save_to="run.vtkhdf")

Arrays are [z, y, x]: axis 0 through the thickness, separator before index 0, collector after the end. Bare numbers are
SI. Positive current charges the cell.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.errors import ConfigError, ConvergenceError, GeometryError
    from simulator.geometry import (
        EffectiveConductivity,
        Electrode,
        effective_conductivity,
        label_particles,
        load_electrode,
        particle_facts,
    )
    from simulator.io import read_result
    from simulator.materials import Expression, Table, Thermal, load_parameter_set, parameter_set_names
    from simulator.model import Cell, Solution, SolverOptions, build_cell
    from simulator.protocol import CurrentStep, RestStep
    from simulator.workflows.analysis import pulse_resistance
    from simulator.workflows.simulate import simulate

# Loaded at first use, so that `voxelyte --help` and readers of results need not wait for JAX.
_WHERE = {
    "Cell": "simulator.model",
    "ConfigError": "simulator.errors",
    "ConvergenceError": "simulator.errors",
    "CurrentStep": "simulator.protocol",
    "EffectiveConductivity": "simulator.geometry",
    "Electrode": "simulator.geometry",
    "Expression": "simulator.materials",
    "GeometryError": "simulator.errors",
    "RestStep": "simulator.protocol",
    "Solution": "simulator.model",
    "SolverOptions": "simulator.model",
    "Table": "simulator.materials",
    "Thermal": "simulator.materials",
    "build_cell": "simulator.model",
    "effective_conductivity": "simulator.geometry",
    "label_particles": "simulator.geometry",
    "load_electrode": "simulator.geometry",
    "load_parameter_set": "simulator.materials",
    "parameter_set_names": "simulator.materials",
    "particle_facts": "simulator.geometry",
    "pulse_resistance": "simulator.workflows.analysis",
    "read_result": "simulator.io",
    "simulate": "simulator.workflows.simulate",
}

__all__ = [
    "Cell",
    "ConfigError",
    "ConvergenceError",
    "CurrentStep",
    "EffectiveConductivity",
    "Electrode",
    "Expression",
    "GeometryError",
    "RestStep",
    "Solution",
    "SolverOptions",
    "Table",
    "Thermal",
    "build_cell",
    "effective_conductivity",
    "label_particles",
    "load_electrode",
    "load_parameter_set",
    "parameter_set_names",
    "particle_facts",
    "pulse_resistance",
    "read_result",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'simulator' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
