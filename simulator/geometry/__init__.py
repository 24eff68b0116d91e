"""Geometry on the host: images to phases, connectivity, and the interface faces with their true area."""

from simulator.geometry.area import FreeSurface, face_areas, face_weights, free_surface
from simulator.geometry.connectivity import Connectivity, check_live, connectivity
from simulator.geometry.electrode import DEFAULT_LABELS, Electrode
from simulator.geometry.image import load_electrode
from simulator.geometry.interface import SEPARATOR, Interface, live_interface
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, ELECTRONIC, IONIC, PHASES, PORE

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
    "Electrode",
    "FreeSurface",
    "Interface",
    "check_live",
    "connectivity",
    "face_areas",
    "face_weights",
    "free_surface",
    "live_interface",
    "load_electrode",
]
