"""`voxelyte inspect`: look at an image before a run."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulator.errors import ConfigError
from simulator.resources import MESH_PREFIX, config_groups

EXIT_PROBLEM = 2  # the image cannot be simulated as it is


def main(arguments: Sequence[str]) -> int:
    """Describe the image that `arguments` name. Returns 0, or 2 if a run would refuse it."""
    options = _parser().parse_intermixed_args(arguments)
    path, overrides = split_path(options.words)
    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    if path is not None:
        # The path is set afterwards: spaces, '=' and quotes in it need no escaping for Hydra then.
        if not any(word.startswith("geometry=") for word in overrides):
            overrides = ["geometry=file", *overrides]
        settings = config.load([*overrides, "geometry.path=PATH"])
        settings.geometry = replace(settings.geometry, path=path)
    else:
        settings = config.load(overrides)
    from rich.console import Console

    from simulator.resources import image_path
    from simulator.workflows.inspect import inspect, table, to_json

    folder = options.output
    if folder is None:
        folder = Path("outputs") / f"inspect-{image_path(settings.geometry.path).stem}"
    found = inspect(settings, folder.expanduser(), particles=options.particles, device=options.device)
    if options.json:
        print(json.dumps(to_json(found), indent=2, allow_nan=False))
    else:
        console = Console()
        console.print(table(found))
        if found.picture is not None:
            console.print(f"picture: {found.picture}", soft_wrap=True, markup=False, highlight=False)
    for text in found.warnings:
        print(f"voxelyte: warning: {text}", file=sys.stderr)
    if found.problem is not None:
        print(f"voxelyte: error: {found.problem}", file=sys.stderr)
        if found.advice is not None:
            print(found.advice, file=sys.stderr)
        return EXIT_PROBLEM
    return 0


def split_path(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The image among the words of the command line, and the overrides.

    A word is the image if it has no '=', or exists as a file or folder, or looks like a path and does not begin with
    the name of a group.

    **Errors:** ConfigError for two images, or an image beside geometry.path.
    """
    from simulator.geometry.readers import CONTAINERS, READERS

    groups = (*config_groups(), "resume")
    images: list[str] = []
    overrides: list[str] = []
    for word in words:
        path, group = Path(word), word.partition("=")[0].lstrip("+~").partition(".")[0]
        named = path.suffix.lower() in (*READERS, *CONTAINERS) or len(path.parts) > 1 or word.startswith(MESH_PREFIX)
        image = "=" not in word or path.exists() or (named and group not in groups)
        (images if image else overrides).append(word)
    if len(images) > 1:
        raise ConfigError(
            f"inspect takes one image, got {len(images)}: {', '.join(images)}. Put quotes around a path with spaces; "
            f"settings begin with one of {', '.join(groups)}."
        )
    if images and any(word.partition("=")[0] == "geometry.path" for word in overrides):
        raise ConfigError(f"The image is given twice: {images[0]} and geometry.path. Keep one of them.")
    return (images[0] if images else None), overrides


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte inspect",
        description="Show what an image holds: voxels, phases, connections, particles, and what a run would need.",
        epilog=f"""examples:
  voxelyte inspect stack.tif
  voxelyte inspect stack.tif 'geometry.labels={{pore: 0, am: 85, cbd: 170}}' 'geometry.voxel_size=0.4 um'
  voxelyte inspect slices/ geometry.thickness_axis=2 geometry.separator_side=end
  voxelyte inspect scan.h5 geometry.dataset=labels geometry.coarsen=2
  voxelyte inspect geometry={"|".join(config_groups()["geometry"])}

TIFF, folders of TIFF or PNG slices, HDF5, .npy, .npz, NRRD and MetaImage are read. If labels or voxel size are
missing, the values of the image are shown with what to write.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="PATH KEY=VALUE",
        help="a file or a folder of slices, and settings as of voxelyte run",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of inspect.png (default: outputs/inspect-<name of the image>)",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON instead of a table")
    parser.add_argument(
        "--no-particles", dest="particles", action="store_false", help="leave out the particles (large images)"
    )
    parser.add_argument(
        "--device", action="store_true", help="estimate for the GPU that a run would use (starts JAX, some seconds)"
    )
    return parser
