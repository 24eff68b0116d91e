"""From a geometry group of the configuration to the files of an electrode: image, particles, picture, facts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError
from simulator.geometry import PHASES, Electrode, check_live, label_particles
from simulator.io.stack import write_stack
from simulator.resources import image_path
from simulator.workflows.electrode import read_electrode, source_name
from simulator.workflows.folder import make_folder

if TYPE_CHECKING:
    from simulator.config import GeometryConfig

IMAGE, PARTICLES, PICTURE, FACTS = "electrode.tif", "particles.tif", "electrode.png", "electrode.json"


@dataclass(frozen=True)
class Generated:
    """The electrode, and the folder of its files."""

    electrode: Electrode
    folder: Path


def generate(config: "GeometryConfig", folder: Path | None = None) -> Generated:
    """Make the electrode of a geometry group and write electrode.tif, particles.tif, electrode.png, electrode.json.

    **Arguments:** `folder`: None: outputs/electrode-<name>.

    **Errors:** GeometryError for what cannot be made, or could not react in a run; ConfigError if it cannot be written.
    """
    target = folder or Path("outputs") / f"electrode-{source_name(config)}"
    sources = [image_path(path).resolve() for path in (config.path, config.particles) if path is not None]
    for name in (IMAGE, PARTICLES):
        if (target / name).resolve() in sources:
            raise ConfigError(f"--output={target} would replace {target / name}, which is read. Choose another folder.")
    electrode = read_electrode(config)
    check_live(electrode, config.min_live)
    if electrode.particle is None:
        electrode = label_particles(electrode)
    assert electrode.particle is not None
    make_folder(target, "--output")
    write_stack(target / IMAGE, electrode.phase, electrode.voxel_size)
    write_stack(target / PARTICLES, electrode.particle, electrode.voxel_size)
    facts = {"labels": {name: PHASES[name] for name in electrode.labels}, **electrode.summary()}
    (target / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    from simulator import viz  # matplotlib takes a second

    viz.plot_electrode(electrode, target / PICTURE)
    return Generated(electrode, target)
