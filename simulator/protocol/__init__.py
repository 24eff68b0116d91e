"""Protocols: what current or voltage is imposed, and when a step ends."""

from simulator.protocol.checks import validate_protocol
from simulator.protocol.current import CurrentStep, RestStep
from simulator.protocol.gitt import GittStep
from simulator.protocol.hold import HoldStep
from simulator.protocol.interface import Basis, Course, CutOff, SingleStep, Step
from simulator.protocol.parse import Protocol, parse_protocol, parse_step, replace_files, step_texts
from simulator.protocol.profile import ProfileStep
from simulator.protocol.ramp import RampStep

__all__ = [
    "Basis",
    "Course",
    "CurrentStep",
    "CutOff",
    "GittStep",
    "HoldStep",
    "ProfileStep",
    "Protocol",
    "RampStep",
    "RestStep",
    "SingleStep",
    "Step",
    "parse_protocol",
    "parse_step",
    "replace_files",
    "step_texts",
    "validate_protocol",
]
