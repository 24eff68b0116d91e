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
    from simulator.errors import ConfigError, ConvergenceError, GeometryError, RunStopped, TransformError
    from simulator.geometry import (
        EffectiveConductivity,
        Electrode,
        Segmentation,
        calender,
        chord_lengths,
        compare_electrodes,
        effective_conductivity,
        extend,
        generate_electrode,
        label_particles,
        load_electrode,
        measure_electrode,
        mirror,
        pad,
        particle_facts,
        particle_skeleton,
        phase_areas,
        place_phases,
        reachable_coverage,
        representative_volume,
        resample,
        rotate,
        segment,
        size_distribution,
        subvolumes,
        tortuosity,
        trim,
    )
    from simulator.io import read_result, write_table
    from simulator.io.measured import MeasuredCurve, read_curve
    from simulator.materials import (
        Corrected,
        Expression,
        LogLinear,
        Table,
        Thermal,
        load_parameter_set,
        parameter_set_names,
    )
    from simulator.model import Cell, Solution, SolverOptions, build_cell
    from simulator.model.derivatives import (
        CapacityAt,
        DecomposedCharge,
        FieldAt,
        FilmThickness,
        MeanSto,
        StoSpread,
        TimeAt,
        VoltageAt,
        evaluate,
        sensitivities,
    )
    from simulator.protocol import CurrentStep, GittStep, HoldStep, ProfileStep, RampStep, RestStep
    from simulator.protocol.half_cycles import find_half_cycles
    from simulator.protocol.measured import profile_from_current
    from simulator.workflows.analysis import pulse_resistance
    from simulator.workflows.capacity_losses import CapacityLosses, capacity_losses
    from simulator.workflows.cycles import cycle_table
    from simulator.workflows.fit import Experiment, Fit, FitParameter, Prior, fit
    from simulator.workflows.gitt import Titration, gitt
    from simulator.workflows.nickel import NickelProfile, nickel_profile
    from simulator.workflows.sensitivity_map import SensitivityMap, sensitivity_map
    from simulator.workflows.simulate import simulate

# Loaded at first use, so that `voxelyte --help` and readers of results need not wait for JAX.
_WHERE = {
    "CapacityAt": "simulator.model.derivatives",
    "CapacityLosses": "simulator.workflows.capacity_losses",
    "Cell": "simulator.model",
    "ConfigError": "simulator.errors",
    "ConvergenceError": "simulator.errors",
    "Corrected": "simulator.materials",
    "CurrentStep": "simulator.protocol",
    "DecomposedCharge": "simulator.model.derivatives",
    "EffectiveConductivity": "simulator.geometry",
    "Electrode": "simulator.geometry",
    "Experiment": "simulator.workflows.fit",
    "Expression": "simulator.materials",
    "FieldAt": "simulator.model.derivatives",
    "FilmThickness": "simulator.model.derivatives",
    "Fit": "simulator.workflows.fit",
    "FitParameter": "simulator.workflows.fit",
    "GeometryError": "simulator.errors",
    "GittStep": "simulator.protocol",
    "HoldStep": "simulator.protocol",
    "LogLinear": "simulator.materials",
    "MeanSto": "simulator.model.derivatives",
    "MeasuredCurve": "simulator.io.measured",
    "NickelProfile": "simulator.workflows.nickel",
    "Prior": "simulator.workflows.fit",
    "ProfileStep": "simulator.protocol",
    "RampStep": "simulator.protocol",
    "RestStep": "simulator.protocol",
    "RunStopped": "simulator.errors",
    "Segmentation": "simulator.geometry",
    "SensitivityMap": "simulator.workflows.sensitivity_map",
    "Solution": "simulator.model",
    "SolverOptions": "simulator.model",
    "StoSpread": "simulator.model.derivatives",
    "Table": "simulator.materials",
    "Thermal": "simulator.materials",
    "TimeAt": "simulator.model.derivatives",
    "Titration": "simulator.workflows.gitt",
    "TransformError": "simulator.errors",
    "VoltageAt": "simulator.model.derivatives",
    "build_cell": "simulator.model",
    "calender": "simulator.geometry",
    "capacity_losses": "simulator.workflows.capacity_losses",
    "chord_lengths": "simulator.geometry",
    "compare_electrodes": "simulator.geometry",
    "cycle_table": "simulator.workflows.cycles",
    "effective_conductivity": "simulator.geometry",
    "evaluate": "simulator.model.derivatives",
    "extend": "simulator.geometry",
    "find_half_cycles": "simulator.protocol.half_cycles",
    "fit": "simulator.workflows.fit",
    "generate_electrode": "simulator.geometry",
    "gitt": "simulator.workflows.gitt",
    "label_particles": "simulator.geometry",
    "load_electrode": "simulator.geometry",
    "load_parameter_set": "simulator.materials",
    "measure_electrode": "simulator.geometry",
    "mirror": "simulator.geometry",
    "nickel_profile": "simulator.workflows.nickel",
    "pad": "simulator.geometry",
    "parameter_set_names": "simulator.materials",
    "particle_facts": "simulator.geometry",
    "particle_skeleton": "simulator.geometry",
    "phase_areas": "simulator.geometry",
    "place_phases": "simulator.geometry",
    "profile_from_current": "simulator.protocol.measured",
    "pulse_resistance": "simulator.workflows.analysis",
    "reachable_coverage": "simulator.geometry",
    "read_curve": "simulator.io.measured",
    "read_result": "simulator.io",
    "representative_volume": "simulator.geometry",
    "resample": "simulator.geometry",
    "rotate": "simulator.geometry",
    "segment": "simulator.geometry",
    "sensitivities": "simulator.model.derivatives",
    "sensitivity_map": "simulator.workflows.sensitivity_map",
    "simulate": "simulator.workflows.simulate",
    "size_distribution": "simulator.geometry",
    "subvolumes": "simulator.geometry",
    "tortuosity": "simulator.geometry",
    "trim": "simulator.geometry",
    "write_table": "simulator.io",
}

__all__ = [
    "CapacityAt",
    "CapacityLosses",
    "Cell",
    "ConfigError",
    "ConvergenceError",
    "Corrected",
    "CurrentStep",
    "DecomposedCharge",
    "EffectiveConductivity",
    "Electrode",
    "Experiment",
    "Expression",
    "FieldAt",
    "FilmThickness",
    "Fit",
    "FitParameter",
    "GeometryError",
    "GittStep",
    "HoldStep",
    "LogLinear",
    "MeanSto",
    "MeasuredCurve",
    "NickelProfile",
    "Prior",
    "ProfileStep",
    "RampStep",
    "RestStep",
    "RunStopped",
    "Segmentation",
    "SensitivityMap",
    "Solution",
    "SolverOptions",
    "StoSpread",
    "Table",
    "Thermal",
    "TimeAt",
    "Titration",
    "TransformError",
    "VoltageAt",
    "build_cell",
    "calender",
    "capacity_losses",
    "chord_lengths",
    "compare_electrodes",
    "cycle_table",
    "effective_conductivity",
    "evaluate",
    "extend",
    "find_half_cycles",
    "fit",
    "generate_electrode",
    "gitt",
    "label_particles",
    "load_electrode",
    "load_parameter_set",
    "measure_electrode",
    "mirror",
    "nickel_profile",
    "pad",
    "parameter_set_names",
    "particle_facts",
    "particle_skeleton",
    "phase_areas",
    "place_phases",
    "profile_from_current",
    "pulse_resistance",
    "reachable_coverage",
    "read_curve",
    "read_result",
    "representative_volume",
    "resample",
    "rotate",
    "segment",
    "sensitivities",
    "sensitivity_map",
    "simulate",
    "size_distribution",
    "subvolumes",
    "tortuosity",
    "trim",
    "write_table",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'simulator' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
