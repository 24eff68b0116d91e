"""The values of a segmented image: checked, counted, named, and turned into the canonical phase codes."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.phases import AM, PHASES

#: label convention of most published three-phase images, and the default of every reader
DEFAULT_LABELS: Mapping[str, int | Sequence[int]] = {"pore": 0, "am": 1, "cbd": 2}

_MAX_SPAN = 65536  # image values further apart than this are no labels
_SHOWN = 12  # image values listed in a message


def check_image(image: NDArray) -> None:
    """3D, not empty, whole numbers. **Errors:** `GeometryError`."""
    if image.ndim != 3:
        cure = {
            2: "A 2D section cannot be simulated; give a stack of sections, or repeat it: image[None].",
            4: "Colour or multi-channel images must be reduced to one label per voxel.",
        }.get(image.ndim, "Give one label per voxel on axes (z, y, x).")
        raise GeometryError(f"The image must have 3 axes, got {image.ndim} (shape {image.shape}). {cure}")
    if image.size == 0:
        raise GeometryError(f"The image is empty (shape {image.shape}); every axis needs at least one voxel.")
    if image.dtype.kind == "f":
        bad = ~np.isfinite(image)
        if bad.any():
            raise GeometryError(
                f"The image holds NaN or infinity in {int(bad.sum())} of {image.size} voxels; "
                "labels must be whole numbers. Give each such voxel the label of a phase."
            )
        fractional = image != np.round(image)
        if fractional.any():
            raise GeometryError(
                f"The image must hold whole numbers (labels), got for example {image[fractional][0]!s}. "
                "A grey-level or interpolated image must be segmented first."
            )
    elif image.dtype.kind not in "iub":
        raise GeometryError(f"The image must hold whole numbers (labels), got data of type {image.dtype}.")


def label_table(labels: Mapping[str, int | Sequence[int]]) -> dict[int, int]:
    """Image value -> canonical code."""
    if not isinstance(labels, Mapping):
        raise GeometryError(f"labels must map names to image values, such as {dict(DEFAULT_LABELS)}, got {labels!r}.")
    table: dict[int, int] = {}
    owner: dict[int, str] = {}
    for name, given in labels.items():
        if name not in PHASES:
            raise GeometryError(f"Unknown label name {name!r} in labels.{did_you_mean(str(name), PHASES)}")
        scalar = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
        values = [given] if scalar else given
        if isinstance(values, (str, bytes, bool)) or not isinstance(values, (Sequence, np.ndarray)):
            raise GeometryError(
                f"labels[{name!r}] must be a whole number or a list of them (values of the image), got {given!r}."
            )
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise GeometryError(
                    f"labels[{name!r}] must be a whole number or a list of them (values of the image), got {value!r}."
                )
            if owner.setdefault(int(value), name) != name:
                raise GeometryError(
                    f"labels gives the value {int(value)} to both {owner[int(value)]!r} and {name!r}; "
                    "each image value belongs to one phase."
                )
            table[int(value)] = PHASES[name]
    if "am" not in labels:
        raise GeometryError(
            f"labels names no 'am', got {sorted(labels)}: active material is mandatory. "
            "Add its image value, such as labels={'am': 1, ...}."
        )
    return table


def value_counts(image: NDArray) -> dict[int, int]:
    """Value -> number of voxels of a 3D image of whole numbers, ascending.

    **Errors:** `GeometryError` if the values are too far apart to be labels.
    """
    lowest, highest = int(image.min()), int(image.max())
    if highest - lowest >= _MAX_SPAN or max(abs(lowest), highest) >= 2**62:
        raise GeometryError(
            f"The image holds values from {lowest} to {highest}: grey levels or particle numbers, not phase "
            "labels. Segment it first, or give the phases as labels."
        )
    counts = np.zeros(highest - lowest + 1, dtype=np.int64)
    for layer in image:
        counts += np.bincount(layer.astype(np.int64).ravel() - lowest, minlength=counts.size)
    return {int(v) + lowest: int(counts[v]) for v in np.flatnonzero(counts)}


def remap(image: NDArray, table: dict[int, int]) -> NDArray[np.uint8]:
    """Image values to canonical codes, layer by layer (no full-size temporary but the result)."""
    counts = value_counts(image)
    present = list(counts)
    share = {v: f"{v} ({100 * n / image.size:.3g} %)" for v, n in counts.items()}
    unknown = [v for v in present if v not in table]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        grey = " That many values look like grey levels: segment the image first." if more else ""
        raise GeometryError(
            f"Image values without a label: {', '.join(share[v] for v in unknown[:_SHOWN])}{more}; labelled "
            f"are {sorted(table)}.{grey} Give every value a name, such as "
            "labels={'pore': 0, 'am': 85, 'cbd': 170} (on the command line "
            f"'geometry.labels={{pore: 0, am: 85, cbd: 170}}'); names: {', '.join(PHASES)}. `voxelyte inspect` "
            "shows what the image holds."
        )
    if not any(table[v] == AM for v in present):
        raise GeometryError(
            f"The image holds no active material: the values labelled 'am' are "
            f"{sorted(v for v, c in table.items() if c == AM)}, the image holds "
            f"{', '.join(share[v] for v in present)}. Correct labels['am']."
        )
    lowest = present[0]
    lookup = np.zeros(present[-1] - lowest + 1, dtype=np.uint8)
    for v in present:
        lookup[v - lowest] = table[v]
    codes = np.empty(image.shape, dtype=np.uint8)
    for layer, out in zip(image, codes, strict=True):
        out[...] = lookup[layer.astype(np.int64) - lowest]
    return codes
