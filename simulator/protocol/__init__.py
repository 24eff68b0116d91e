"""Protocols: what current is applied, and when a step ends."""

from simulator.protocol.parse import parse_protocol, parse_step, validate_protocol
from simulator.protocol.steps import CurrentStep, RestStep, Step

__all__ = ["CurrentStep", "RestStep", "Step", "parse_protocol", "parse_step", "validate_protocol"]
