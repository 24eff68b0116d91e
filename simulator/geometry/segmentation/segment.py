"""Grey image to phases: rescale, denoise, classify, clean up, and say how sure it is."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, GeometryError, did_you_mean
from simulator.geometry.electrode import Electrode, VoxelSize
from simulator.geometry.phases import PHASES
from simulator.geometry.segmentation.cleanup import majority as majority_filter
from simulator.geometry.segmentation.cleanup import with_filled_pores, without_islands
from simulator.geometry.segmentation.denoise import denoised
from simulator.geometry.segmentation.intensity import rescaled, without_drift
from simulator.geometry.segmentation.random_walker import find_seeds, random_walk
from simulator.geometry.segmentation.thresholds import classified, fit_mixture, inner_spread, multi_otsu

METHODS = ("otsu", "random_walker")
_MOST_PASSES = 100  # of the majority filter
USUAL_CLASSES, MAX_CLASSES = 3, 5
#: names of the classes, dark to bright (by density in X-ray images), for each number of them
USUAL_NAMES: Mapping[int, tuple[str, ...]] = {
    2: ("pore", "am"),
    3: ("pore", "cbd", "am"),
    4: ("pore", "cbd", "electrolyte", "am"),
}
#: A voxel is unsure if the probability of its class is below this.
UNSURE = 0.75
#: A warning is given if more voxels than this are unsure,
MANY_UNSURE = 0.35
#: or if the mean grey values of neighbouring classes differ by less than this many standard deviations.
LOW_CONTRAST = 2.0
_FEW_VALUES = 8  # an image with no more values than this is no grey image
_LEAST = 4  # voxels along a side


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """Phases of a grey image, 2D or 3D. Classes are numbered 0, 1, ... from dark to bright.

    `confidence`: probability of the class of each voxel; from the mixture of normal distributions for thresholds, from
    the walker for the random walker; 0 where the clean-up changed the class. `contrast`: contrast-to-noise ratio of
    neighbouring classes, the difference of their means over the root mean square of their `spreads`.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    names: Mapping[str, tuple[int, ...]]  # phase -> classes
    thresholds: tuple[float, ...]  # in grey values of the image; empty for markers
    means: tuple[float, ...]  # of the classes, in grey values of the image
    fractions: tuple[float, ...]  # of the classes [-]
    spreads: tuple[float, ...]  # standard deviations inside the classes before filtering, in grey values of the image
    contrast: tuple[float, ...]
    unsure: float  # share of the voxels with a confidence below `UNSURE` [-]
    steps: tuple[str, ...]  # what was done, in order
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        shares = ", ".join(f"{name} {self.fraction(name):.4f}" for name in self.names)
        return f"Segmentation(shape={self.labels.shape}, {shares}, unsure={self.unsure:.4f})"

    def fraction(self, name: str) -> float:
        """Volume fraction of a phase [-]."""
        if name not in self.names:
            raise GeometryError(f"Unknown phase {name!r}.{did_you_mean(str(name), self.names)}")
        return sum(self.fractions[c] for c in self.names[name])

    def electrode(
        self, voxel_size: VoxelSize, thickness_axis: int = 0, separator_side: str = "start", name: str = "segmented"
    ) -> Electrode:
        """The electrode; arguments and errors as in `Electrode.from_array`, which refuses 2D sections."""
        labels = {phase: list(classes) for phase, classes in self.names.items()}
        return Electrode.from_array(self.labels, voxel_size, labels, thickness_axis, separator_side, name=name)


def segment(
    grey: ArrayLike,
    classes: int | None = None,
    *,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    method: str = "otsu",
    denoise: str = "nlm",
    strength: float | None = None,
    clip: tuple[float, float] = (0.1, 99.9),
    drift: bool = False,
    thresholds: Sequence[float] | None = None,
    markers: ArrayLike | None = None,
    beta: float = 10.0,
    min_size: int = 8,
    fill_pores: bool = False,
    majority: int = 0,
    voxel_size: float | Sequence[float] = 1.0,
) -> Segmentation:
    r"""Phases of a grey image.

    In this order: grey values between the `clip` percentiles are mapped to [0, 1]; slow `drift` along axis 0 is taken
    out; noise is filtered; classes are found by thresholds (multi-level Otsu, or given), or by a random walker from
    voxels that surely belong to a class; small clusters, closed pores and rough boundaries are cleaned up.

    **Arguments:** `grey`: 2D or 3D real numbers. `classes`: 2 to 5; None: as many as `thresholds` or `markers` say,
    else 3. `labels`: phase name -> class or classes, 0 the darkest; None: pore, am (2); pore, cbd, am (3); pore, cbd,
    electrolyte, am (4). `method`: 'otsu' or 'random_walker'. `denoise`: 'none', 'gaussian', 'median', 'nlm' or 'tv',
    with its `strength` (see docs/segmentation.md). `thresholds`: grey values of the image, ascending, instead of
    Otsu's. `markers`: seeds of the random walker instead of its own, class + 1, 0 where free (the clean-up may
    change them). `beta`: how strongly
    the random walker avoids edges. `min_size` [voxels]: smaller clusters take the class around them; 0 keeps all.
    `fill_pores`: pores enclosed in am become am. `majority`: passes of a majority filter. `voxel_size`: one length or
    three, only their ratios count, and only for the random walker.

    **Returns:** `Segmentation`. A `UserWarning` says if classes overlap or cannot be told apart.

    **Errors:** `GeometryError` for images that are no grey image, `ConfigError` for settings, `ConvergenceError` for
    a random walker that does not converge.
    """
    image = _checked(grey)
    seeds = None if markers is None else _markers(markers, image.shape, method)
    n = _count(classes, thresholds, seeds)
    names = class_names(labels, n)
    _check_settings(method, clip, beta, min_size, majority)
    sizes = _ratios(voxel_size, image.ndim)
    thin = tuple(axis for axis, size in enumerate(image.shape) if size == 1)  # one layer: a 2D image
    shape, image = image.shape, np.squeeze(image, thin)
    sizes = tuple(h for axis, h in enumerate(sizes) if axis not in thin)

    scaled, low, high = rescaled(image, clip)
    steps = [f"clip: percentiles {clip[0]:g} and {clip[1]:g}, grey values {low:.6g} to {high:.6g}"]
    if drift:
        scaled = without_drift(scaled)
        steps.append("drift: parabolas through mean and spread of the slices taken out")
    smooth, text = denoised(scaled, denoise, strength)
    steps.append(text)

    if seeds is None:
        found = multi_otsu(smooth, n) if thresholds is None else _own(thresholds, n, low, high)
        given = "multi-level Otsu" if thresholds is None else "given"
        steps.append(f"thresholds: {given}, " + ", ".join(f"{low + t * (high - low):.6g}" for t in found))
        first = classified(smooth, found)
        means = _means(smooth, first, n)
    else:
        seeds, found = np.squeeze(seeds, thin), np.empty(0)
        means = np.array([smooth[seeds == c + 1].mean(dtype=np.float64) for c in range(n)])
        nearest = np.argsort(means)
        first = nearest[classified(smooth, 0.5 * (means[nearest][1:] + means[nearest][:-1]))].astype(np.uint8)
        steps.append(f"markers: {np.count_nonzero(seeds)} voxels")
    gap = float(np.diff(np.sort(means)).min())
    if not gap > 0:
        raise GeometryError("Two classes have the same mean grey value. Ask for fewer classes, or correct the markers.")
    mixture = fit_mixture(smooth, first, n)
    spread = inner_spread(scaled, first, n)
    if method == "random_walker":
        if seeds is None:
            seeds = find_seeds(smooth, first, found, means)
            steps.append(f"seeds: {100 * np.count_nonzero(seeds) / seeds.size:.3g} % of the voxels")
        probability = random_walk(smooth, seeds, n, beta, gap, sizes, first)
        classed = probability.argmax(axis=0).astype(np.uint8)
        confidence = probability.max(axis=0)
        del probability
        steps.append(f"random walker: beta {beta:g}")
    else:
        classed, confidence = first, mixture.confidence(smooth, first)

    clean = classed
    if min_size > 1:
        clean = without_islands(clean, n, min_size)
        if min_size > 1 and np.array_equal(clean, classed) and min_size > clean.size // n:
            warnings.warn(
                f"min_size={min_size} is more than any phase could hold in {clean.size} voxels: no cluster is removed. "
                "Take a smaller one.",
                UserWarning,
                stacklevel=2,
            )
        steps.append(f"islands below {min_size} voxels: {_changed(classed, clean)}")
    if fill_pores:
        before, solid, pore = clean, names.get("am", (n - 1,)), names.get("pore", (0,))
        clean = with_filled_pores(clean, solid, pore)
        steps.append(f"closed pores filled: {_changed(before, clean)}")
    if majority:
        before, clean = clean, majority_filter(clean, n, majority)
        steps.append(f"majority filter, {majority} times: {_changed(before, clean)}")
    confidence[clean != classed] = 0.0

    contrast = _contrast(means, spread)
    unsure = float(np.count_nonzero(confidence < UNSURE) / confidence.size)
    fractions = tuple(float(v) for v in np.bincount(clean.ravel(), minlength=n) / clean.size)
    told = _told(names, contrast, fractions, unsure)
    for message in told:
        warnings.warn(message, UserWarning, stacklevel=2)
    return Segmentation(
        labels=clean.reshape(shape),
        confidence=confidence.reshape(shape),
        names=names,
        thresholds=tuple(float(low + t * (high - low)) for t in found),
        means=tuple(float(low + m * (high - low)) for m in means),
        fractions=fractions,
        spreads=tuple(float(v * (high - low)) for v in spread),
        contrast=contrast,
        unsure=unsure,
        steps=tuple(steps),
        warnings=tuple(told),
    )


def _checked(grey: ArrayLike) -> NDArray:
    """A grey image: real numbers, 2D or 3D, not segmented yet. **Errors:** `GeometryError`."""
    image = np.asarray(grey)
    if image.ndim not in (2, 3):
        raise GeometryError(f"A grey image has 2 or 3 axes, got {image.ndim} (shape {image.shape}). Save one channel.")
    if image.ndim == 3 and image.shape[-1] in (3, 4) and min(image.shape[:2]) > 4 * _LEAST:
        raise GeometryError(
            f"The image has shape {image.shape}: colour channels? Grey values are one number per voxel. Convert it to "
            "8- or 16-bit grey first."
        )
    sides = [n for n in image.shape if n > 1]
    if len(sides) < 2 or min(sides) < _LEAST:
        raise GeometryError(f"The image must have at least {_LEAST} voxels along two axes, got shape {image.shape}.")
    if image.dtype.kind not in "uif":
        raise GeometryError(
            f"Grey values must be whole or real numbers, got data of type {image.dtype}. Convert the image to 8- or "
            "16-bit grey."
        )
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        bad = image.size - int(np.count_nonzero(np.isfinite(image)))
        raise GeometryError(
            f"The image holds NaN or infinity in {bad} of {image.size} voxels. Crop it, or fill them with a grey value."
        )
    sample = np.unique(image.reshape(-1)[:: max(1, image.size // 1_000_000)])
    if sample.size <= _FEW_VALUES:
        raise GeometryError(
            f"The image holds only the values {', '.join(f'{v:g}' for v in sample)}: it is segmented already, or "
            "uniform. `voxelyte inspect` shows what it holds."
        )
    return image


def _markers(markers: ArrayLike, shape: tuple[int, ...], method: str) -> NDArray[np.uint8]:
    seeds = np.asarray(markers)
    if method != "random_walker":
        raise ConfigError(f"markers are seeds of method='random_walker', got method={method!r}.")
    if seeds.shape != shape or seeds.dtype.kind not in "iu":
        raise GeometryError(
            f"markers must hold whole numbers (class + 1, 0 where free) in the image's shape {shape}, got "
            f"{seeds.dtype} of shape {seeds.shape}."
        )
    highest = int(seeds.max())
    missing = [c for c in range(1, highest + 1) if not (seeds == c).any()]
    if int(seeds.min()) < 0 or highest < 2 or highest > MAX_CLASSES or missing:
        raise GeometryError(
            f"markers must hold 0 and each of 1..n for n classes, 2 <= n <= {MAX_CLASSES}, got the values "
            f"{', '.join(str(v) for v in np.unique(seeds)[:12])}."
        )
    return seeds.astype(np.uint8)


def _count(classes: int | None, thresholds: Sequence[float] | None, seeds: NDArray[np.uint8] | None) -> int:
    """Number of classes. **Errors:** `ConfigError`."""
    said = None if seeds is None else int(seeds.max())
    if thresholds is not None:
        if said is not None:
            raise ConfigError("Give thresholds or markers, not both.")
        said = len(thresholds) + 1
    n = classes if classes is not None else said if said is not None else USUAL_CLASSES
    _check_count(n)
    if said is not None and said != n:
        what = "markers" if seeds is not None else f"{said - 1} thresholds"
        raise ConfigError(f"classes is {n}, but the {what} make {said}. Leave one of them out.")
    return int(n)


def _check_count(classes: int) -> None:
    whole = isinstance(classes, (int, np.integer)) and not isinstance(classes, bool)
    if not (whole and 2 <= classes <= MAX_CLASSES):
        raise ConfigError(f"classes must be a whole number from 2 to {MAX_CLASSES}, got {classes!r}.")


def class_names(labels: Mapping[str, int | Sequence[int]] | None, classes: int) -> dict[str, tuple[int, ...]]:
    """Phase -> its classes, dark to bright, each class once. **Errors:** `ConfigError`."""
    _check_count(classes)
    if labels is None:
        if classes not in USUAL_NAMES:
            raise ConfigError(
                f"{classes} classes have no usual names. Give labels, dark to bright, such as labels={{pore: [0, 1], "
                "cbd: 2, electrolyte: 3, am: 4}."
            )
        return {name: (c,) for c, name in enumerate(USUAL_NAMES[classes])}
    names: dict[str, tuple[int, ...]] = {}
    for name, given in labels.items():
        if name not in PHASES:
            raise ConfigError(f"Unknown phase {name!r} in labels.{did_you_mean(str(name), PHASES)}")
        entries: list[Any] = list(given) if isinstance(given, (Sequence, np.ndarray)) else [given]
        if any(isinstance(c, (bool, str)) or not isinstance(c, (int, np.integer)) for c in entries):
            raise ConfigError(f"labels.{name} must be a class (0 is the darkest) or a list of them, got {given!r}.")
        names[name] = tuple(int(c) for c in entries)
    used = sorted(c for entries in names.values() for c in entries)
    if used != list(range(classes)):
        raise ConfigError(
            f"labels must give each of the classes 0..{classes - 1} (dark to bright) to one phase, got {dict(labels)}."
        )
    return names


def _check_settings(method: str, clip: tuple[float, float], beta: float, min_size: int, majority: int) -> None:
    if method not in METHODS:
        raise ConfigError(f"method cannot be {method!r}.{did_you_mean(str(method), METHODS)}")
    if len(clip) != 2 or not 0 <= clip[0] < clip[1] <= 100:
        raise ConfigError(f"clip must be two ascending percentiles in [0, 100], got {clip!r}. (0.1, 99.9) is usual.")
    if not (math.isfinite(beta) and beta > 0):
        raise ConfigError(f"beta must be positive, got {beta!r}. 10 is usual.")
    for key, value in (("min_size", min_size), ("majority", majority)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ConfigError(f"{key} must be a whole number >= 0, got {value!r}. 0 leaves this step out.")
    if majority > _MOST_PASSES:
        raise ConfigError(f"majority must be at most {_MOST_PASSES} passes, got {majority}. 1 or 2 are usual.")


def _ratios(voxel_size: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    given = list(voxel_size) if isinstance(voxel_size, (Sequence, np.ndarray)) else [voxel_size] * ndim
    if len(given) != ndim or not all(math.isfinite(h) and h > 0 for h in given):
        raise ConfigError(f"voxel_size must be one positive length or one for each of {ndim} axes, got {voxel_size!r}.")
    return tuple(float(h) for h in given)


def _own(thresholds: Sequence[float], classes: int, low: float, high: float) -> NDArray[np.float64]:
    """Thresholds of the user on the scale [0, 1]."""
    given = np.asarray(thresholds, np.float64)
    if not (np.isfinite(given).all() and all(b > a for a, b in pairwise(given)) and low < given[0] <= given[-1] < high):
        raise ConfigError(
            f"thresholds must be {classes - 1} ascending grey values between {low:.6g} and {high:.6g} (the clipped "
            f"range), got {list(thresholds)}."
        )
    return (given - low) / (high - low)


def _means(image: NDArray[np.float32], labels: NDArray[np.uint8], classes: int) -> NDArray[np.float64]:
    """Mean of each class. **Errors:** `GeometryError` if one is empty."""
    counts = np.bincount(labels.ravel(), minlength=classes)
    if (counts == 0).any():
        raise GeometryError(
            f"Class {int(np.argmin(counts))} holds no voxel: move the thresholds, or ask for fewer classes."
        )
    return np.bincount(labels.ravel(), weights=image.ravel(), minlength=classes) / counts


def _contrast(means: NDArray[np.float64], spread: NDArray[np.float64]) -> tuple[float, ...]:
    order = np.argsort(means)  # those of markers need not ascend
    noise = np.sqrt(0.5 * (spread[order][1:] ** 2 + spread[order][:-1] ** 2))
    return tuple(float(v) for v in np.diff(means[order]) / noise)


def _changed(before: NDArray, after: NDArray) -> str:
    return f"{100 * np.count_nonzero(before != after) / before.size:.3g} % of the voxels changed"


def _told(
    names: Mapping[str, tuple[int, ...]], contrast: Sequence[float], fractions: Sequence[float], unsure: float
) -> list[str]:
    """What a user should be warned of."""
    of = {c: name for name, classes in names.items() for c in classes}
    told = [
        f"Classes {c} ({of[c]}) and {c + 1} ({of[c + 1]}) overlap: their contrast-to-noise ratio is {value:.2g}, below "
        f"{LOW_CONTRAST:g}. Denoise more, ask for fewer classes, or check the picture."
        for c, value in enumerate(contrast)
        if value < LOW_CONTRAST
    ]
    if unsure > MANY_UNSURE:
        told.append(
            f"{100 * unsure:.0f} % of the voxels are unsure (the probability of their class is below {UNSURE:g}): the "
            "grey values of the classes overlap. Ask for fewer classes, or check the picture."
        )
    told += [f"Class {c} ({of[c]}) holds no voxel." for c, share in enumerate(fractions) if share == 0.0]
    return told
