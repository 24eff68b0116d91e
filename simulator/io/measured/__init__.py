"""Measured curves: files of cyclers, checked and in SI units."""

from simulator.io.measured.curve import MeasuredCurve
from simulator.io.measured.read import read_curve

__all__ = ["MeasuredCurve", "read_curve"]
