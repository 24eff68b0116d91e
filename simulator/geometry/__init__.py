"""Geometry on the host: images to phases, connectivity, and the interface faces with their true area."""

from simulator.geometry.area import FreeSurface, face_areas, face_weights, free_surface
from simulator.geometry.connectivity import Connectivity, check_live, connectivity
from simulator.geometry.effective import EffectiveConductivity, effective_conductivity
from simulator.geometry.electrode import DEFAULT_LABELS, Electrode, value_counts
from simulator.geometry.image import load_electrode, to_electrode
from simulator.geometry.interface import SEPARATOR, Interface, live_interface
from simulator.geometry.particles import ParticleFacts, label_particles, particle_facts
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, ELECTRONIC, IONIC, PHASES, PORE
from simulator.geometry.readers import RawImage, read_image

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
    "Connectivity",
    "EffectiveConductivity",
    "Electrode",
    "FreeSurface",
    "Interface",
    "ParticleFacts",
    "RawImage",
    "check_live",
    "connectivity",
    "effective_conductivity",
    "face_areas",
    "face_weights",
    "free_surface",
    "label_particles",
    "live_interface",
    "load_electrode",
    "particle_facts",
    "read_image",
    "to_electrode",
    "value_counts",
]
