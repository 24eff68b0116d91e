"""Configuration: typed groups, checked before anything is compiled."""

from simulator.config.compose import load, to_yaml
from simulator.config.fit import FitConfig, load_fit
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
    "FitConfig",
    "GenerateConfig",
    "GeometryConfig",
    "OutputConfig",
    "ProtocolConfig",
    "RunConfig",
    "SegmentConfig",
    "SolverConfig",
    "load",
    "load_fit",
    "to_yaml",
]
