"""Synthetic electrodes: packed particles, with pores, binder and electrolyte placed around them."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from simulator.choices import MAX_VOXELS
from simulator.errors import GeometryError
from simulator.geometry.electrode import Electrode, VoxelSize, voxel_edges
from simulator.geometry.packing import DENSEST, pack, sample_diameters
from simulator.geometry.particles import ordered_labels
from simulator.geometry.phases import AM, PORE
from simulator.geometry.placement import check_number, check_share, checked_seed, grain_size, place_phases
from simulator.geometry.shapes import MIN_VOXELS, voxelise
from simulator.units import parse_length

DEFAULT_DIAMETER = 8e-6  # [m]
_LEAST_ROOM = 0.03  # volume share in which the grains are packed, however dense the particles are
_OFF = 0.1  # deviation of the median diameter that is not worth a warning
_MOST_GRAINS = 200_000  # packed together with the particles; more are placed regardless of them


def generate_electrode(
    shape: tuple[int, int, int] = (64, 64, 64),
    voxel_size: VoxelSize = 0.5e-6,
    am_fraction: float = 0.53,
    porosity: float = 0.12,
    coverage: float | None = None,
    *,
    kind: str = "sphere",
    diameter: float | str = DEFAULT_DIAMETER,
    spread: float = 0.0,
    diameters: Sequence[float | str] | None = None,
    roughness: float = 0.1,
    ends: str = "periodic",
    cbd_fraction: float | None = None,
    texture: str = "blobs",
    grain: float | str | None = None,
    pores: str = "random",
    coating: float | str | None = None,
    area: str = "smoothed",
    seed: int = 0,
) -> Electrode:
    """A synthetic composite electrode: `particle_skeleton` surrounded by `place_phases`.

    **Arguments:** of the particles, see `particle_skeleton`: `shape`, `voxel_size`, `am_fraction`, `kind`, `diameter`,
    `spread`, `diameters`, `roughness`, `ends`. Of what surrounds them, see `place_phases`: `porosity`, `coverage`,
    `cbd_fraction`, `texture`, `grain`, `pores`, `coating`; grains are packed together with the particles, so particles
    smaller than the grains crowd between them. `area`: see `Electrode`; coverage is met in
    it. `seed`: the same seed gives the same electrode (for the same version of NumPy and SciPy).

    **Returns:** electrode with particle labels; fractions right to one voxel, coverage to 0.01 or better.

    **Errors:** `GeometryError` for values out of range, and for targets that exclude one another: the message says what
    can be reached.
    """
    for name, value in (("am_fraction", am_fraction), ("porosity", porosity), ("spread", spread)):
        check_number(name, value)
    rng = np.random.default_rng(checked_seed(seed))
    grains = None
    if texture == "grains":
        left = 1.0 - am_fraction
        check_share("porosity", porosity, 0.0, left + 1e-9, f"am_fraction is {am_fraction:g}.")
        grains = left - porosity, grain
    recipe = _Recipe(shape, voxel_size, am_fraction, kind, diameter, spread, diameters, roughness, ends)
    skeleton, centres = _packed(recipe, grains, rng)
    field = None if centres is None else _distance_field(skeleton, centres, ends)
    return place_phases(
        skeleton.altered(area=area),
        porosity=porosity,
        coverage=coverage,
        cbd_fraction=cbd_fraction,
        texture=texture,
        grain=grain,
        pores=pores,
        coating=coating,
        seed=seed,
        field=field,
    )


def particle_skeleton(
    shape: tuple[int, int, int] = (64, 64, 64),
    voxel_size: VoxelSize = 0.5e-6,
    am_fraction: float = 0.53,
    *,
    kind: str = "sphere",
    diameter: float | str = DEFAULT_DIAMETER,
    spread: float = 0.0,
    diameters: Sequence[float | str] | None = None,
    roughness: float = 0.1,
    ends: str = "periodic",
    seed: int = 0,
) -> Electrode:
    """Packed particles of active material, labelled, with nothing but pores between them.

    **Arguments:** `shape`: voxels z, y, x; `voxel_size` [m]: one length or three; `am_fraction`: volume fraction [-];
    `kind`: 'sphere', 'irregular' (perturbed spheres) or 'polycrystal' (polyhedra with narrow gaps), see
    `shapes.voxelise`; `diameter` [m] and `spread`: median by volume and standard deviation of ln(diameter), or
    `diameters` [m]: sizes to draw from, see `packing.sample_diameters`; `roughness`: height of the bumps of irregular
    particles, relative to the radius; `ends`: 'periodic' or 'walls' along z (along y and x always periodic).

    **Returns:** electrode whose fraction of active material is right to one voxel.

    **Errors:** `GeometryError` for values out of range, or a fraction that the kind of particle does not reach.
    """
    rng = np.random.default_rng(checked_seed(seed))
    recipe = _Recipe(shape, voxel_size, am_fraction, kind, diameter, spread, diameters, roughness, ends)
    return _packed(recipe, None, rng)[0]


class _Recipe(NamedTuple):
    """The particles that are wanted, as in `particle_skeleton`."""

    shape: tuple[int, int, int]
    voxel_size: VoxelSize
    am_fraction: float
    kind: str
    diameter: float | str
    spread: float
    diameters: Sequence[float | str] | None
    roughness: float
    ends: str


def _packed(
    recipe: _Recipe, grains: tuple[float, float | str | None] | None, rng: np.random.Generator
) -> tuple[Electrode, NDArray[np.float64] | None]:
    """The skeleton, and the centres (n, 3) [m] of the grains packed with its particles.

    `grains`: volume fraction, and diameter as in `place_phases`; None: none. More than `_MOST_GRAINS` are not packed.
    """
    from skimage.measure import label  # a fifth of a second, needed here alone

    shape, size = recipe.shape, voxel_edges(recipe.voxel_size)
    numbers = list(shape) if isinstance(shape, Sequence) else []
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) for n in numbers) or not (
        len(numbers) == 3 and 1 <= min(numbers) <= math.prod(numbers) <= MAX_VOXELS
    ):
        raise GeometryError(
            f"shape must be three numbers of voxels >= 1 (z, y, x), together at most {MAX_VOXELS:.3g}, got {shape!r}."
        )
    check_number("am_fraction", recipe.am_fraction)
    if not 0.0 < recipe.am_fraction < 1.0:
        raise GeometryError(f"am_fraction must lie in (0, 1), got {recipe.am_fraction!r}.")
    box = [n * h for n, h in zip(shape, size, strict=True)]
    volume = float(np.prod(box))
    if recipe.diameters is not None:
        listed = [parse_length(d, "diameters") for d in recipe.diameters]
        _check_listed(listed, size, box)
        drawn = sample_diameters(recipe.am_fraction * volume, diameters=listed, rng=rng)
        if listed:
            _check_median(drawn, _median(np.array(listed)))
    else:
        d50 = parse_length(recipe.diameter, "diameter")
        if not 0.0 < d50 <= min(box) * (1 + 1e-9):  # a rounding error above the side is none
            raise GeometryError(
                f"diameter must be positive and at most the shortest side of the box, {1e6 * min(box):.4g} um, got "
                f"{1e6 * d50:.4g} um. Take smaller particles or a larger shape."
            )
        drawn = sample_diameters(
            recipe.am_fraction * volume, diameter=d50, spread=recipe.spread, largest=max(min(box), d50), rng=rng
        )
        _check_median(drawn, d50)
    share, given = grains or (0.0, None)
    soft = np.empty(0) if share <= 0.0 else _grains(share, grain_size(box, size, "grains", given), volume)
    centres = pack(np.concatenate([drawn, soft]), box, ends=recipe.ends, rng=rng).centres
    if soft.size:
        # Loose particles and grains mix as spheres of their true sizes. Then they are pressed: grains yield and
        # particles do not, so the grains shrink until all fill `DENSEST`; later they grow around their centres.
        room = max(DENSEST - recipe.am_fraction, _LEAST_ROOM)
        hard = np.concatenate([drawn, soft * min(1.0, float(np.cbrt(room / share)))])
        centres = pack(hard, box, ends=recipe.ends, rng=rng, start=centres).centres
    labels, _ = voxelise(
        shape,
        size,
        centres[: drawn.size],
        drawn,
        kind=recipe.kind,
        roughness=recipe.roughness,
        fraction=recipe.am_fraction,
        ends=recipe.ends,
        rng=rng,
    )
    phase = np.where(labels > 0, np.uint8(AM), np.uint8(PORE))
    # A particle cut at a side goes on at the other one. In this box the two are strangers, each a particle of its own.
    found = Electrode(phase, size, ordered_labels(label(labels, background=0, connectivity=1)), "generated")
    return found, centres[drawn.size :] if soft.size else None


def _grains(fraction: float, diameter: float, volume: float) -> NDArray[np.float64]:
    """Diameters (n,) [m] of the grains that are packed together with the particles; none if they are too many."""
    number = round(fraction * volume / (np.pi / 6 * diameter**3))
    if number > _MOST_GRAINS:
        warnings.warn(
            f"{number} grains of {1e6 * diameter:.3g} um are too many to be packed together with the particles (at "
            f"most {_MOST_GRAINS}): they are placed regardless of them. Take a smaller shape or larger grains.",
            UserWarning,
            stacklevel=5,
        )
        return np.empty(0)
    return np.full(number, diameter)


def _check_listed(listed: Sequence[float], size: tuple[float, float, float], box: Sequence[float]) -> None:
    least, most = MIN_VOXELS * max(size), min(box) * (1 + 1e-9)
    for d in listed:
        if not least * (1 - 1e-9) <= d <= most:
            raise GeometryError(
                f"diameters must lie between {1e6 * least:.4g} um ({MIN_VOXELS:g} voxels) and {1e6 * min(box):.4g} um "
                f"(the shortest side of the box), got {1e6 * d:.4g} um."
            )


def _check_median(drawn: NDArray[np.float64], wanted: float) -> None:
    """A warning if so few particles fit into the box that their size had to follow from the fraction."""
    found = _median(drawn)
    if abs(found / wanted - 1.0) > _OFF:
        warnings.warn(
            f"The box holds {drawn.size} particles; to meet am_fraction their median diameter is {1e6 * found:.3g} um "
            f"instead of {1e6 * wanted:.3g} um. Take a larger shape.",
            UserWarning,
            stacklevel=4,
        )


def _median(diameters: NDArray[np.float64]) -> float:
    """By volume [m]."""
    order = np.sort(diameters)
    volume = np.cumsum(order**3)
    return float(order[np.searchsorted(volume, 0.5 * volume[-1])])


def _distance_field(electrode: Electrode, centres: NDArray[np.float64], ends: str) -> NDArray[np.float32]:
    """Distance [m] of every voxel outside the particles to the nearest of `centres`; 0 inside particles."""
    lengths = np.array(electrode.size_m)
    periods = np.where([ends == "walls", False, False], 0.0, lengths)
    # a length of 0 tells the tree that an axis does not repeat
    tree = cKDTree(np.mod(centres, lengths) if ends == "periodic" else centres, boxsize=periods)
    outside = np.argwhere(electrode.phase != AM)
    distance, _ = tree.query((outside + 0.5) * electrode.voxel_size)
    field = np.zeros(electrode.shape, dtype=np.float32)
    field[tuple(outside.T)] = distance
    return field
