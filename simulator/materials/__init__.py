"""Material functions and parameter sets."""

from simulator.materials.coefficients import with_coefficients
from simulator.materials.distribution import Distribution
from simulator.materials.expression import Expression
from simulator.materials.functions import (
    Arrhenius,
    Constant,
    Corrected,
    LogLinear,
    MaterialFunction,
    Opaque,
    Scaled,
    Table,
    as_material,
    is_traced,
)
from simulator.materials.nmc811 import ChenOCP, OReganDiffusivity
from simulator.materials.parameter_sets import (
    Parameter,
    load_parameter_set,
    merge_parameters,
    parameter_set_names,
)
from simulator.materials.peo import (
    C_E_SATURATION,
    C_E_WARN,
    PEOConductivity,
    concentration_from_ratio,
    ratio_from_concentration,
)
from simulator.materials.thermal import Thermal

__all__ = [
    "C_E_SATURATION",
    "C_E_WARN",
    "Arrhenius",
    "ChenOCP",
    "Constant",
    "Corrected",
    "Distribution",
    "Expression",
    "LogLinear",
    "MaterialFunction",
    "OReganDiffusivity",
    "Opaque",
    "PEOConductivity",
    "Parameter",
    "Scaled",
    "Table",
    "Thermal",
    "as_material",
    "concentration_from_ratio",
    "is_traced",
    "load_parameter_set",
    "merge_parameters",
    "parameter_set_names",
    "ratio_from_concentration",
    "with_coefficients",
]
