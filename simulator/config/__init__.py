"""Configuration: typed groups, checked before anything is compiled."""

from simulator.config.compose import load, to_yaml
from simulator.config.schema import (
    FIELDS,
    CellConfig,
    EffectiveConfig,
    GenerateConfig,
    GeometryConfig,
    OutputConfig,
    ProtocolConfig,
    RunConfig,
    SolverConfig,
)
from simulator.config.segment import SegmentConfig

__all__ = [
    "FIELDS",
    "CellConfig",
    "EffectiveConfig",
    "GenerateConfig",
    "GeometryConfig",
    "OutputConfig",
    "ProtocolConfig",
    "RunConfig",
    "SegmentConfig",
    "SolverConfig",
    "load",
    "to_yaml",
]
