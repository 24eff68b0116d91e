"""From a geometry group of the configuration to an electrode."""

from typing import TYPE_CHECKING

from simulator.geometry import Electrode, RawImage, read_image, to_electrode
from simulator.resources import image_path

if TYPE_CHECKING:
    from simulator.config import GeometryConfig


def read_electrode(config: "GeometryConfig") -> Electrode:
    """The electrode of a geometry group: read, turned, cropped, then coarsened.

    **Errors:** GeometryError, ConfigError. A `UserWarning` if slices seem to be missing or coarsening changes much.
    """
    return make_electrode(config, read_raw(config))


def read_raw(config: "GeometryConfig") -> RawImage:
    """The image of a geometry group as its file holds it. **Errors:** GeometryError, ConfigError."""
    return read_image(image_path(config.path), config.dataset)


def make_electrode(config: "GeometryConfig", image: RawImage) -> Electrode:
    """The electrode of a geometry group whose image has been read. **Errors:** GeometryError."""
    electrode = to_electrode(
        image,
        image_path(config.path),
        voxel_size=config.voxel_size,
        labels=config.labels or None,
        thickness_axis=config.thickness_axis,
        separator_side=config.separator_side,
    )
    if config.crop is not None:
        z, y, x = (None if part is None else (part[0], part[1]) for part in config.crop)
        electrode = electrode.crop(z, y, x)
    return electrode.coarsen(config.coarsen)
