"""Configuration: typed groups, checked before anything is compiled."""

from simulator.config.compose import load, to_yaml
from simulator.config.schema import (
    FIELDS,
    CellConfig,
    EffectiveConfig,
    GeometryConfig,
    OutputConfig,
    ProtocolConfig,
    RunConfig,
    SolverConfig,
)

__all__ = [
    "FIELDS",
    "CellConfig",
    "EffectiveConfig",
    "GeometryConfig",
    "OutputConfig",
    "ProtocolConfig",
    "RunConfig",
    "SolverConfig",
    "load",
    "to_yaml",
]
