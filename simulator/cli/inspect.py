"""`voxelyte inspect`: look at an image before a run."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import ConfigError
from simulator.resources import MESH_PREFIX, config_groups

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.config import RunConfig
    from simulator.workflows.inspect import Inspection

EXIT_PROBLEM = 2  # the image cannot be simulated as it is


def main(arguments: Sequence[str]) -> int:
    """Describe the image that `arguments` name. Returns 0, or 2 if a run would refuse it."""
    options = _parser().parse_intermixed_args(arguments)
    path, overrides = split_path(options.words)
    settings = _settings(path, overrides)
    from simulator.workflows.electrode import source_name

    folder = options.output
    if folder is None:
        folder = Path("outputs") / f"inspect-{source_name(settings.geometry)}"
    wanted = {"particles": options.particles, "device": options.device, "full": options.full}
    if options.second is None:
        return _one(settings, folder.expanduser(), options.json, wanted)
    if len(options.second) > 1:
        raise ConfigError("--with is given twice: inspect compares two images. Keep one of them.")
    return _two(settings, _second(path, overrides, options.second[0]), folder.expanduser(), options.json, wanted)


def _one(settings: "RunConfig", folder: Path, as_json: bool, wanted: Mapping[str, bool]) -> int:
    """Look at one image and print what it holds."""
    from simulator.workflows.inspect import inspect, to_json

    found = inspect(settings, folder, **wanted)
    if as_json:
        print(json.dumps(to_json(found), indent=2, allow_nan=False))
    else:
        _print([found])
    return _complain(found)


def _two(settings: "RunConfig", second: "RunConfig", folder: Path, as_json: bool, wanted: Mapping[str, bool]) -> int:
    """Look at two images and print where they differ; each alone if they cannot be compared."""
    from simulator.workflows.inspect import inspect_pair, pair_names, pair_to_json
    from simulator.workflows.inspect_metrics import comparison_table

    pair = inspect_pair(settings, second, folder, **wanted)
    both = [pair.first, pair.second]
    if as_json:
        print(json.dumps(pair_to_json(pair), indent=2, allow_nan=False))
    else:
        compared = None
        if pair.compared is not None:
            compared = comparison_table(pair.compared, pair_names(pair.first, pair.second))
        _print(both, compared)
    names = pair_names(pair.first, pair.second)
    return max(_complain(found, f"{name}: ") for found, name in zip(both, names, strict=True))


def _print(found: Sequence["Inspection"], comparison: "Table | None" = None) -> None:
    """The tables of each image, or the one that compares them, and where the files are."""
    from rich.console import Console

    from simulator.workflows.inspect import table

    console = Console()
    for shown in [table(report) for report in found] if comparison is None else [comparison]:
        console.print(shown)
    for report in found:
        files = {"picture": report.picture, "metrics": report.metrics_picture, "page": report.page}
        for name, file in files.items():
            if file is not None:
                console.print(f"{name}: {file}", soft_wrap=True, markup=False, highlight=False)


def _complain(found: "Inspection", name: str = "") -> int:
    """Warnings and the problem of an image to stderr, with `name` in front. Returns the exit code."""
    for text in found.warnings:
        print(f"voxelyte: warning: {name}{text}", file=sys.stderr)
    if found.problem is None:
        return 0
    print(f"voxelyte: error: {name}{found.problem}", file=sys.stderr)
    if found.advice is not None:
        print(found.advice, file=sys.stderr)
    return EXIT_PROBLEM


def _settings(path: str | None, overrides: Sequence[str]) -> "RunConfig":
    """The configuration of a run of the image at `path` (None: of that which the overrides name)."""
    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    if path is None:
        return config.load(overrides)
    # The path is set afterwards: spaces, '=' and quotes in it need no escaping for Hydra then.
    if not any(word.startswith("geometry=") for word in overrides):
        overrides = ["geometry=file", *overrides]
    settings = config.load([*overrides, "geometry.path=PATH"])
    settings.geometry = replace(settings.geometry, path=path)
    return settings


def _second(path: str | None, overrides: Sequence[str], words: Sequence[str]) -> "RunConfig":
    """The configuration of the second image: settings of the first hold unless `words` give them anew.

    Words that name no image are other settings for the first image.
    """
    other, own = split_path(words)
    if other is None and not any(word.partition("=")[0] in ("geometry", "geometry.path") for word in own):
        other = path
    keys = {word.partition("=")[0] for word in own}
    # the first image may be named by these
    named = {"geometry.path"} if other is not None or "geometry" in keys else set()
    kept = [word for word in overrides if word.partition("=")[0] not in keys | named]
    return _settings(other, [*kept, *own])


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
  voxelyte inspect stack.tif --full
  voxelyte inspect pressed.tif 'geometry.voxel_size=0.4 um' --with loose.tif 'geometry.voxel_size=0.5 um'
  voxelyte inspect stack.tif --with geometry.coarsen=2
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
        help="folder of the pictures (default: outputs/inspect-<name of the image>)",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="all metrics too: areas between phases, chords, tortuosities, representative volume; writes metrics.png "
        "and inspect.html (seconds to minutes)",
    )
    parser.add_argument(
        "--with",
        dest="second",
        nargs="+",
        action="append",
        metavar="WORD",
        help="compare with a second image: its path and settings of its own, or other settings for the same image; "
        "all other settings hold for both",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON instead of a table")
    parser.add_argument(
        "--no-particles", dest="particles", action="store_false", help="leave out the particles (large images)"
    )
    parser.add_argument(
        "--device", action="store_true", help="estimate for the GPU that a run would use (starts JAX, some seconds)"
    )
    return parser
