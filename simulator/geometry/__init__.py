"""Geometry on the host: images to phases, connectivity, and the interface faces with their true area."""

from simulator.geometry.area import FreeSurface, face_areas, face_weights, free_surface
from simulator.geometry.connectivity import Connectivity, check_live, connectivity
from simulator.geometry.effective import EffectiveConductivity, effective_conductivity
from simulator.geometry.electrode import Electrode
from simulator.geometry.generate import generate_electrode, particle_skeleton
from simulator.geometry.image import load_electrode, to_electrode
from simulator.geometry.interface import SEPARATOR, Interface, live_interface
from simulator.geometry.labels import DEFAULT_LABELS, value_counts
from simulator.geometry.metrics import (
    ChordLengths,
    CoverageDistribution,
    PhaseArea,
    SizeDistribution,
    chord_lengths,
    coverage_distribution,
    phase_areas,
    size_distribution,
    surface_ratio,
    tortuosity,
)
from simulator.geometry.metrics_access import SideAccess, side_access
from simulator.geometry.metrics_table import Compared, Measures, compare_electrodes, compare_values, measure_electrode
from simulator.geometry.metrics_volume import RepresentativeVolume, Scatter, representative_volume
from simulator.geometry.operations import calender, extend, mirror, pad, resample, rotate, subvolumes, trim
from simulator.geometry.particles import ParticleFacts, label_particles, particle_facts
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, ELECTRONIC, IONIC, PHASES, PORE
from simulator.geometry.placement import place_phases, reachable_coverage
from simulator.geometry.readers import RawImage, read_image
from simulator.geometry.segmentation import Segmentation, segment

__all__ = [
    "AM",
    "CBD",
    "DEFAULT_LABELS",
    "ELECTROLYTE",
    "ELECTRONIC",
    "IONIC",
    "PHASES",
    "PORE",
    "SEPARATOR",
    "ChordLengths",
    "Compared",
    "Connectivity",
    "CoverageDistribution",
    "EffectiveConductivity",
    "Electrode",
    "FreeSurface",
    "Interface",
    "Measures",
    "ParticleFacts",
    "PhaseArea",
    "RawImage",
    "RepresentativeVolume",
    "Scatter",
    "Segmentation",
    "SideAccess",
    "SizeDistribution",
    "calender",
    "check_live",
    "chord_lengths",
    "compare_electrodes",
    "compare_values",
    "connectivity",
    "coverage_distribution",
    "effective_conductivity",
    "extend",
    "face_areas",
    "face_weights",
    "free_surface",
    "generate_electrode",
    "label_particles",
    "live_interface",
    "load_electrode",
    "measure_electrode",
    "mirror",
    "pad",
    "particle_facts",
    "particle_skeleton",
    "phase_areas",
    "place_phases",
    "reachable_coverage",
    "read_image",
    "representative_volume",
    "resample",
    "rotate",
    "segment",
    "side_access",
    "size_distribution",
    "subvolumes",
    "surface_ratio",
    "to_electrode",
    "tortuosity",
    "trim",
    "value_counts",
]
