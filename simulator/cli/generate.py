"""`voxelyte generate`: a synthetic electrode, or new surroundings for the particles of an image."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.console import plain_warnings
from simulator.errors import ConfigError, did_you_mean
from simulator.resources import config_groups

#: shown of the facts of an electrode: key -> text, and whether it is a share
_SHOWN = {
    "Volume fraction of am [-]": "active material",
    "Volume fraction of pore [-]": "pores",
    "Volume fraction of cbd [-]": "binder (cbd)",
    "Volume fraction of electrolyte [-]": "electrolyte",
    "Coverage [-]": "coverage of the particles",
    "Live share of AM|ionic area [-]": "live share of the am|ionic area",
    "Isolated share of cbd and electrolyte, no path to the separator [-]": "cbd, electrolyte cut off from separator",
}


def main(arguments: Sequence[str]) -> int:
    """Make the electrode that `arguments` describe and write its files. Returns 0."""
    options = _parser().parse_intermixed_args(arguments)
    import numpy as np

    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    settings = config.load(full_words(options.overrides)).geometry
    from rich.console import Console
    from rich.table import Table

    from simulator.geometry import AM
    from simulator.workflows.generate import IMAGE, PARTICLES, generate

    with plain_warnings():
        made = generate(settings, None if options.output is None else options.output.expanduser())
    electrode = made.electrode
    assert electrode.particle is not None  # found if there were none
    facts, size = electrode.summary(), [1e6 * h for h in electrode.voxel_size]
    table = Table(show_header=False, title=str(made.folder), title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    table.add_row("voxels (z, y, x)", " x ".join(map(str, electrode.shape)))
    table.add_row("voxel size (z, y, x)", " x ".join(f"{h:.4g}" for h in size) + " um")
    table.add_row("particles", str(np.unique(electrode.particle[electrode.phase == AM]).size))
    for key, text in _SHOWN.items():
        if float(facts[key]) or "fraction" not in key:
            table.add_row(text, f"{100 * float(facts[key]):.2f} %")
    console = Console()
    console.print(table)
    labels = ", ".join(f"{name}: {code}" for name, code in electrode.labels.items())
    console.print(
        f"voxelyte run geometry.path={made.folder / IMAGE} geometry.particles={made.folder / PARTICLES} "
        f"'geometry.labels={{{labels}}}'",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    return 0


def full_words(words: Sequence[str]) -> list[str]:
    """Overrides with the short names of this command written out: `am_fraction=0.5`, `porosity=0.1`.

    Without a choice of geometry or an image, a synthetic electrode is meant.

    **Errors:** ConfigError for a name that is none.
    """
    from dataclasses import fields

    from simulator.config import GenerateConfig, GeometryConfig

    recipe, group = ({f.name for f in fields(c)} for c in (GenerateConfig, GeometryConfig))
    full = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in recipe:
            key = f"geometry.generate.{key}"
        elif equals and key in group:
            key = f"geometry.{key}"
        elif equals and "." not in key and key not in config_groups():
            raise ConfigError(f"Unknown setting {word!r}.{did_you_mean(key, sorted(recipe | group))}")
        full.append(f"{key}{equals}{value}")
    if not any(word.startswith(("geometry=", "geometry.path=")) for word in full):
        full.insert(0, "geometry=generated")
    return full


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte generate",
        description="Make an electrode: packed particles, or those of an image, with pores, binder and electrolyte "
        "placed around them for a wanted porosity and coverage.",
        epilog="""settings (bare numbers are SI; all are keys of geometry, or of geometry.generate, of voxelyte run):
  shape=[64,64,64] voxel_size=0.5e-6    voxels z, y, x and their edge
  am_fraction=0.53                      volume fraction of active material, up to 0.7 for spheres
  kind=sphere|irregular|polycrystal     diameter='8 um' spread=0.3, or 'diameters=[5 um, 10 um]'
  porosity=0.12 coverage=0.6            pores; share of the particle surface that touches cbd or electrolyte
  cbd_fraction=0.05                     the other solid is electrolyte; or coating='0.5 um'
  texture=blobs|grains grain='2 um'     of binder and pores; grains have this diameter
  seed=1                                another sample of the same electrode

examples:
  voxelyte generate am_fraction=0.55 porosity=0.1 coverage=0.3
  voxelyte generate path=stack.tif voxel_size='0.4 um' porosity=0.12 coverage=0.6
  voxelyte generate geometry=ct_nmc thickness='17 um' --output outputs/pressed

The folder gets electrode.tif, particles.tif, electrode.png and electrode.json. A run can make the electrode itself:
voxelyte run geometry=generated geometry.porosity=0.1""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings, see below")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder of the files (default: outputs/electrode-<name>)"
    )
    return parser
