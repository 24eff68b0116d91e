"""Grey images to phases."""

from simulator.geometry.segmentation.composition import FAR, Expected, compare
from simulator.geometry.segmentation.denoise import FILTERS
from simulator.geometry.segmentation.segment import (
    LOW_CONTRAST,
    MANY_UNSURE,
    MAX_CLASSES,
    METHODS,
    UNSURE,
    USUAL_CLASSES,
    USUAL_NAMES,
    Segmentation,
    class_names,
    segment,
)

__all__ = [
    "FAR",
    "FILTERS",
    "LOW_CONTRAST",
    "MANY_UNSURE",
    "MAX_CLASSES",
    "METHODS",
    "UNSURE",
    "USUAL_CLASSES",
    "USUAL_NAMES",
    "Expected",
    "Segmentation",
    "class_names",
    "compare",
    "segment",
]
