"""Chord lengths and areas between phases by PoreSpy, written to porespy_metrics.json beside this file.

Run in an environment of its own, `benchmarks/peers/porespy.txt`, from the root of the repository:

    .peers/porespy/bin/python tests/verification/data/porespy_metrics.py

PoreSpy is no dependency of the simulator.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import porespy as ps
import tifffile

IMAGE = "nmc532_film_48.tif"
NAMES = ("pore", "am", "cbd")  # values 0, 1, 2 of the image


def chord_counts(mask: np.ndarray, axis: int) -> dict[str, int]:
    """Length in voxels -> number of chords that no end of the axis cuts, on every line of voxels.

    PoreSpy draws chords on every second line, so that they do not touch, and also drops those that lie in the other
    four sides of the image: empty lines around the image keep these, and four shifts reach all lines.
    """
    around = [(0, 0) if i == axis else (2, 2) for i in range(3)]
    padded = np.pad(mask, around)
    found: list[np.ndarray] = []
    for shift in itertools.product(*[(0,) if i == axis else (0, 1) for i in range(3)]):
        part = padded[tuple(slice(s, None) for s in shift)]
        chords = ps.filters.apply_chords(part, spacing=1, axis=axis, trim_edges=True)
        found.append(ps.metrics.chord_counts(chords))
    lengths, counts = np.unique(np.concatenate(found), return_counts=True)
    return {str(int(length)): int(count) for length, count in zip(lengths, counts, strict=True)}


def main() -> None:
    ps.settings.tqdm["disable"] = True
    root = Path(__file__).resolve().parents[3]
    image = tifffile.imread(root / "meshes" / IMAGE)
    chords = {name: [chord_counts(image == value, axis) for axis in range(3)] for value, name in enumerate(NAMES)}
    regions = image.astype(int) + 1
    areas = ps.metrics.region_surface_areas(regions)
    between = ps.metrics.region_interface_areas(regions, areas)
    pairs = {
        f"{NAMES[a]}|{NAMES[b]}": float(area)
        for (a, b), area in zip(between.conns, np.ravel(between.area), strict=True)
    }
    found = {"porespy": ps.__version__, "image": IMAGE, "chords": chords, "interface_area_voxel2": pairs}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
