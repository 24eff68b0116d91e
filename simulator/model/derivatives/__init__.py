"""Derivatives of whole runs: adjoint and tangents of the stored time steps."""
