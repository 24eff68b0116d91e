"""From a geometry group of the configuration to an electrode."""

from typing import TYPE_CHECKING, Any

from simulator.geometry import Electrode, load_electrode
from simulator.resources import image_path

if TYPE_CHECKING:
    from simulator.config import GeometryConfig


def read_electrode(config: "GeometryConfig") -> Electrode:
    """The electrode of a geometry group. **Errors:** GeometryError, ConfigError."""
    reading: dict[str, Any] = {"labels": config.labels} if config.labels else {}
    return load_electrode(
        image_path(config.path),
        voxel_size=config.voxel_size,
        thickness_axis=config.thickness_axis,
        separator_side=config.separator_side,
        **reading,
    )
