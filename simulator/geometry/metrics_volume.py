"""How large an image must be: scatter of its numbers between sub-volumes against their size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, GeometryError, did_you_mean
from simulator.geometry.metrics import AXES, conductors, mask_tortuosity
from simulator.geometry.phases import IONIC

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode

#: sub-volumes have at least so many voxels along every axis: below, they are rather voxels than structure
LEAST_VOXELS = 8

Blocks = tuple[int, tuple[int, int, int]]  # parts along every axis, and voxels of a part (z, y, x)


@dataclass(frozen=True, eq=False)
class Scatter:
    """One quantity over the sub-volumes of m sizes, large ones first."""

    parts: NDArray[np.int64]  # (m,) into how many the image is cut along every axis
    count: NDArray[np.int64]  # (m,) sub-volumes that have a value
    side: NDArray[np.float64]  # (m,) cube root of the volume of a sub-volume [m]
    mean: NDArray[np.float64]  # (m,) over the sub-volumes, in the unit of the quantity
    std: NDArray[np.float64]  # (m,) between the sub-volumes, of a sample (n - 1)
    relative: NDArray[np.float64]  # (m,) std / |mean| [-]
    coefficient: float  # a of relative = a V^-1/2 [m^1.5], fitted
    exponent: float  # slope of log(relative) against log(V), for comparison with -1/2; NaN with less than two sizes
    representative_side: float  # of the cube whose scatter a V^-1/2 is the target [m]; extrapolated
    image: float  # a V^-1/2 for the volume of the whole image [-]: the relative standard error of its value


@dataclass(frozen=True, eq=False)
class RepresentativeVolume:
    """Scatter of each quantity, and what was asked for."""

    target: float  # relative scatter that counts as representative [-]
    scatter: dict[str, Scatter]  # name with unit -> scatter


def volume_quantities(electrode: "Electrode") -> list[str]:
    """Names of all quantities that `representative_volume` knows for an electrode, those that need no solve first."""
    fast = [f"Volume fraction of {name} [-]" for name in electrode.labels]
    fast += ["Specific area [1/m]", "Coverage [-]"]
    return fast + [f"Tortuosity of {name} along {axis} [-]" for name in conductors(electrode) for axis in AXES]


def representative_volume(
    electrode: "Electrode",
    quantities: Sequence[str] | None = None,
    *,
    divisions: Sequence[int] = (2, 3, 4),
    target: float = 0.05,
) -> RepresentativeVolume:
    r"""Scatter of quantities between the parts of an image, against the size of the parts.

    The image is cut into k x k x k sub-volumes that do not overlap, for each k of `divisions` that leaves at least 8
    voxels along every axis (layers that do not fill a sub-volume are left out). Between independent volumes V of a
    homogeneous material, large against its structure, the relative standard deviation of a volume average falls as
    $a V^{-1/2}$. One a is fitted to all sizes, from the variances weighted with the number of sub-volumes less
    one; `representative_side` is the side of the cube with $aV^{-1/2}$ = `target`. **That is an extrapolation**:
    it holds as far as `exponent`, fitted freely, is near -1/2. Sub-volumes that are not large against the particles
    scatter by less than the law says; a gradient through the thickness adds to the scatter.

    Areas are those of the surface of the whole image (`Electrode.free_surface`), each face counted where its active
    material lies: cuts add no surface and change no normal. Tortuosities are solved in each sub-volume, in seconds to
    minutes; they are infinite where no path leads through a single sub-volume, and then have no scatter (NaN).

    **Arguments:** `quantities`: names from `volume_quantities(electrode)`, default all that need no solve;
    `divisions`: whole numbers >= 2; `target`: relative scatter, in (0, 1).

    **Errors:** `ConfigError` for an unknown quantity, division or target; `GeometryError` if the image is too small.

    **Source:** Kanit, Forest, Galliet, Mounoury, Jeulin (2003), doi:10.1016/S0020-7683(03)00143-4.
    """
    known = volume_quantities(electrode)
    names = [n for n in known if not n.startswith("Tortuosity")] if quantities is None else list(quantities)
    for name in names:
        if name not in known:
            raise ConfigError(f"Unknown quantity {name!r}.{did_you_mean(name, known)}")
    if not 0 < target < 1:
        raise ConfigError(f"target must lie in (0, 1), got {target}; 0.05 is 5 % scatter.")
    for k in divisions:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 2:
            raise ConfigError(f"divisions must be whole numbers >= 2, got {k!r}; 2 cuts the image into 8 parts.")
    blocks = [_blocks(electrode.shape, int(k)) for k in sorted(set(divisions))]
    blocks = [block for block in blocks if min(block[1]) >= LEAST_VOXELS]
    if not blocks:
        raise GeometryError(
            f"The image of {electrode.shape} voxels is too small for sub-volumes: every axis needs at least "
            f"{LEAST_VOXELS * min(divisions, default=2)} voxels."
        )
    volumes = np.array([math.prod(size) for _, size in blocks]) * math.prod(electrode.voxel_size)
    values = [_values(electrode, block, names) for block in blocks]
    scatter = {
        name: _scatter([found[name] for found in values], blocks, volumes, electrode.volume, target) for name in names
    }
    return RepresentativeVolume(target, scatter)


def _blocks(shape: tuple[int, int, int], k: int) -> Blocks:
    return k, (shape[0] // k, shape[1] // k, shape[2] // k)


def _values(electrode: "Electrode", block: Blocks, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Each quantity in the k^3 sub-volumes; NaN where it is not defined."""
    k, size = block
    found: dict[str, NDArray[np.float64]] = {}
    for phase, code in electrode.labels.items():
        name = f"Volume fraction of {phase} [-]"
        if name in names:
            kept = (electrode.phase == code)[tuple(slice(k * n) for n in size)]
            parts = kept.reshape(k, size[0], k, size[1], k, size[2])
            found[name] = parts.mean(axis=(1, 3, 5), dtype=np.float64).ravel()
    if "Specific area [1/m]" in names or "Coverage [-]" in names:
        free, covered = _areas(electrode, block)
        found["Specific area [1/m]"] = free / (math.prod(size) * math.prod(electrode.voxel_size))
        found["Coverage [-]"] = np.divide(covered, free, out=np.full(free.size, np.nan), where=free > 0)
    for conductor, codes in conductors(electrode).items():
        for axis, letter in enumerate(AXES):
            name = f"Tortuosity of {conductor} along {letter} [-]"
            if name in names:
                found[name] = _tortuosities(np.isin(electrode.phase, codes), electrode.voxel_size, axis, block)
    return found


def _tortuosities(
    mask: NDArray[np.bool_], voxel_size: tuple[float, float, float], axis: int, block: Blocks
) -> NDArray[np.float64]:
    """Tortuosity factor of the mask along `axis` in each sub-volume."""
    k, size = block
    starts = [tuple(i * n for i, n in zip(place, size, strict=True)) for place in np.ndindex(k, k, k)]
    parts = [mask[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))] for low in starts]
    return np.array([mask_tortuosity(part, voxel_size, axis) for part in parts])


def _areas(electrode: "Electrode", block: Blocks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Free area of the active material in each sub-volume, and that on ionic phases [m2]."""
    k, size = block
    surface = electrode.free_surface
    inner = ~surface.to_separator
    place = np.unravel_index(surface.am[inner], electrode.shape)
    index = [p // n for p, n in zip(place, size, strict=True)]
    kept = np.logical_and.reduce([i < k for i in index])  # the rest lies in layers that fill no sub-volume
    number = np.ravel_multi_index([i[kept] for i in index], (k, k, k))
    area = (surface.weight * surface.face_area)[inner][kept]
    ionic = np.isin(electrode.phase.reshape(-1)[surface.other[inner]], IONIC)[kept]
    free = np.bincount(number, weights=area, minlength=k**3).astype(np.float64)
    return free, np.bincount(number[ionic], weights=area[ionic], minlength=k**3).astype(np.float64)


def _scatter(
    values: Sequence[NDArray[np.float64]],
    blocks: Sequence[Blocks],
    volumes: NDArray[np.float64],
    whole: float,
    target: float,
) -> Scatter:
    """Mean and scatter of one quantity over every size, and the law fitted to them."""
    known = [v[~np.isnan(v)] for v in values]
    count = np.array([v.size for v in known])
    finite = [bool(v.size) and bool(np.isfinite(v).all()) for v in known]
    mean = np.array([float(v.mean()) if v.size else math.nan for v in known])
    std = np.array(
        [float(v.std(ddof=1)) if ok and v.size > 1 else math.nan for v, ok in zip(known, finite, strict=True)]
    )
    # what is 0 everywhere does not scatter
    relative = np.where(std == 0, 0.0, std / np.where(mean == 0, math.nan, np.abs(mean)))
    good = np.isfinite(relative)
    coefficient = exponent = math.nan
    if good.any():
        weight = (count - 1)[good]
        coefficient = math.sqrt(float((weight * relative[good] ** 2 * volumes[good]).sum() / weight.sum()))
    positive = good & (relative > 0)
    if positive.sum() > 1:
        # the logarithm of a standard deviation of n values scatters by 1/sqrt(2 (n - 1))
        weights = np.sqrt(count[positive] - 1.0)
        exponent = float(np.polyfit(np.log(volumes[positive]), np.log(relative[positive]), 1, w=weights)[0])
    return Scatter(
        parts=np.array([k for k, _ in blocks]),
        count=count,
        side=np.cbrt(volumes),
        mean=mean,
        std=std,
        relative=relative,
        coefficient=coefficient,
        exponent=exponent,
        representative_side=(coefficient / target) ** (2 / 3),
        image=coefficient / math.sqrt(whole),
    )
