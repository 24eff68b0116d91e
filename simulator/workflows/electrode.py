"""From a geometry group of the configuration to an electrode."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.geometry import (
    AM,
    PHASES,
    PORE,
    Electrode,
    RawImage,
    calender,
    extend,
    generate_electrode,
    label_particles,
    mirror,
    particle_skeleton,
    place_phases,
    read_image,
    resample,
    rotate,
    to_electrode,
    trim,
)
from simulator.geometry.particle_area import LABELLED_AREAS
from simulator.resources import image_path

if TYPE_CHECKING:
    from simulator.config import GeometryConfig

GENERATED = "generated"


def source_name(config: "GeometryConfig") -> str:
    """Name of the electrode: that of the image file without its suffix, or 'generated'."""
    return GENERATED if config.path is None else image_path(config.path).stem


def read_electrode(config: "GeometryConfig") -> Electrode:
    """The electrode of a geometry group: read or generated, then changed as the group says.

    **Errors:** GeometryError, ConfigError. A `UserWarning` if slices seem to be missing or coarsening changes much.
    """
    return make_electrode(config, read_raw(config))


def read_raw(config: "GeometryConfig") -> RawImage:
    """The image of a geometry group as its file holds it, or the synthetic electrode that the group describes.

    The latter is finished, or its particles alone if they are to be changed before the rest is placed.

    **Errors:** GeometryError, ConfigError.
    """
    if config.path is not None:
        image = read_image(image_path(config.path), config.dataset)
        if config.particles is None:
            return image
        return replace(image, particle=read_image(image_path(config.particles)).array)
    recipe, size = config.generate, config.voxel_size
    assert recipe is not None and size is not None  # the configuration has checked it
    particles: dict[str, Any] = {
        "shape": tuple(recipe.shape),
        "voxel_size": size,
        "am_fraction": recipe.am_fraction,
        "kind": recipe.kind,
        "diameter": recipe.diameter,
        "spread": recipe.spread,
        "diameters": recipe.diameters,
        "roughness": recipe.roughness,
        "ends": recipe.ends,
    }
    if config.is_changed:  # what lies between the particles then comes after the changes, as for an image
        made = particle_skeleton(**particles, seed=config.seed)
    else:
        made = generate_electrode(**particles, **_placement(config), area=config.area)
    return RawImage(made.phase, made.voxel_size, "geometry.voxel_size", ("z", "y", "x"), PHASES, made.particle)


def _placement(config: "GeometryConfig") -> dict[str, Any]:
    """The settings of a geometry group that say what lies between the particles."""
    names = ("porosity", "coverage", "cbd_fraction", "texture", "grain", "pores", "coating", "seed")
    return {name: getattr(config, name) for name in names}


def make_electrode(config: "GeometryConfig", image: RawImage) -> Electrode:
    """The electrode of a geometry group whose image has been read: turned, cropped, coarsened, resampled,
    extended, mirrored, rotated, trimmed, calendered, and at last its pores and solid placed anew, each as far as the
    group asks for it.

    **Errors:** GeometryError.
    """
    electrode = to_electrode(
        image,
        Path(source_name(config)),
        voxel_size=config.voxel_size,
        labels=config.labels or None,
        thickness_axis=config.thickness_axis,
        separator_side=config.separator_side,
    )
    if config.crop is not None:
        z, y, x = (None if part is None else (part[0], part[1]) for part in config.crop)
        electrode = electrode.crop(z, y, x)
    electrode = electrode.coarsen(config.coarsen).altered(area=config.area)
    if config.resample is not None:
        with warnings.catch_warnings():
            if config.places_phases:  # it warns of films that get lost, and tells to place them anew
                warnings.simplefilter("ignore", UserWarning)
            electrode = resample(electrode, config.resample)
    if config.extend is not None:
        electrode = extend(electrode, config.extend)
    for axis in config.mirror:
        electrode = mirror(electrode, axis)
    if config.quarter_turns:
        electrode = rotate(electrode, config.quarter_turns)
    if config.trim:
        electrode = trim(electrode)
    if config.thickness is not None:
        if config.porosity is not None:  # only the particles have to fit: all else is placed anew
            electrode = electrode.altered(phase=np.where(electrode.phase == AM, np.uint8(AM), np.uint8(PORE)))
        electrode = calender(electrode, config.thickness)
    if config.area in LABELLED_AREAS and electrode.particle is None:
        electrode = label_particles(electrode)  # once: the electrode would do it for itself alone
    if config.places_phases and (config.generate is None or config.is_changed):
        electrode = place_phases(electrode, **_placement(config))
    return electrode
