"""Pores, binder and electrolyte placed anew around given particles, for a wanted porosity and coverage.

The particles, measured or generated, stay as they are. What lies between them is divided by a random texture: its
lowest values become solid (binder, electrolyte), its highest ones pores, so any porosity is met to one voxel. Coverage
is set apart from it, on the voxels that touch a particle: as many of them become pores as leave the wanted share of the
particles' free surface covered; the other pores go where they touch no particle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.choices import PORE_PLACES, TEXTURES
from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.electrode import Electrode
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, PORE
from simulator.units import parse_length

DEFAULT_GRAIN = 1.5e-6  # [m]
#: distance between wanted and reached coverage that is accepted
COVERAGE_TOLERANCE = 0.01
_LEAST_GRAIN = 2.0  # shortest voxel edges: finer textures are noise of single voxels
_BISECTIONS = 30


@dataclass(frozen=True, eq=False)
class _Shell:
    """The voxels that touch a particle, and the true area of their faces with particles."""

    voxel: NDArray[np.int64]  # flat index
    area: NDArray[np.float64]  # [m2]


def place_phases(
    electrode: Electrode,
    *,
    porosity: float | None = None,
    coverage: float | None = None,
    cbd_fraction: float | None = None,
    texture: str = "blobs",
    grain: float | str | None = None,
    pores: str = "random",
    coating: float | str | None = None,
    seed: int = 0,
    field: NDArray[np.floating] | None = None,
) -> Electrode:
    """The same particles with new surroundings: pores and solid (cbd, electrolyte) for a wanted porosity and coverage.

    **Arguments:** `porosity`: volume fraction of pores in the whole electrode [-]; None keeps that of the image.
    `coverage`: share of the particles' free surface that touches cbd or electrolyte [-], as `Electrode.coverage`; None
    leaves it to the texture. `cbd_fraction`: volume fraction of cbd in the whole electrode [-], the remaining solid is
    electrolyte; None: all of it is cbd, 0: all electrolyte. `texture`: 'blobs' (rounded patches of a Gaussian random
    field) or 'grains' (packed grains, pores in the gaps between them). `grain` [m]: diameter of the grains or size of
    the patches; None: 1.5 um, or two voxels if that is more. `pores`: where those that touch no particle lie: 'random',
    near the 'surface' of the particles, or 'away' from it; without `coverage` this holds for all pores. `coating` [m]:
    solid nearer than this to a particle is cbd, all other solid electrolyte (instead of `cbd_fraction`). `seed`: of the
    texture; the same seed gives the same electrode. `field` (nz, ny, nx): a texture of one's own instead, solid where
    it is low; values inside particles do not count.

    **Returns:** a new electrode; fractions are right to one voxel, the coverage to 0.01 or better.

    **Errors:** `GeometryError` for values out of range, and if porosity and coverage exclude each other on these
    particles: the message says what can be reached.
    """
    solid = electrode.phase != AM
    voxels = electrode.phase.size
    free = int(np.count_nonzero(solid))
    room, half = free / voxels, 0.5 / voxels  # targets are met to half a voxel
    wanted = electrode.porosity if porosity is None else porosity
    check_share("porosity", wanted, 0.0, room + half, f"{100 * room:.2f} % of the electrode is not active material.")
    if coverage is not None:
        check_share("coverage", coverage, 0.0, 1.0, "It is the covered share of the particles' free surface.")
    for name, value, known in (("texture", texture, TEXTURES), ("pores", pores, PORE_PLACES)):
        if value not in known:
            raise GeometryError(f"{name} cannot be {value!r}.{did_you_mean(str(value), known)}")
    size = grain_size(electrode.size_m, electrode.voxel_size, texture, grain)
    thickness = None if coating is None else parse_length(coating, "coating")
    if thickness is not None and (cbd_fraction is not None or thickness < 0):
        raise GeometryError(
            f"coating={coating} and cbd_fraction={cbd_fraction}: give a thickness >= 0 m of the cbd around the "
            "particles, or the fraction of cbd, not both."
        )
    n_pores = min(round(wanted * voxels), free)
    n_cbd = None
    if cbd_fraction is not None:
        left = (free - n_pores) / voxels
        check_share(
            "cbd_fraction", cbd_fraction, 0.0, left + half, f"Particles and {100 * wanted:.4g} % pores leave it."
        )
        n_cbd = min(round(cbd_fraction * voxels), free - n_pores)
    first, second = np.random.default_rng(checked_seed(seed)).spawn(2)
    score = _texture(electrode, texture, size, first) if field is None else _standard(_checked(field, solid), solid)
    distance = None
    if pores != "random" or thickness is not None:
        distance = ndimage.distance_transform_edt(solid, sampling=electrode.voxel_size)
    if pores != "random":
        score += np.float32((-1.0 if pores == "surface" else 1.0) / size) * cast(NDArray, distance).astype(np.float32)
    empty = _pores(electrode, solid, score, n_pores, coverage)
    del score

    phase = np.where(solid, np.uint8(CBD), np.uint8(AM))
    if thickness is not None:
        phase[solid & (cast(NDArray, distance) > thickness)] = ELECTROLYTE
    phase.reshape(-1)[empty] = PORE
    if n_cbd is not None:
        filled = np.flatnonzero(phase == CBD)
        patches = _texture(electrode, texture, size, second).reshape(-1)[filled]
        phase.reshape(-1)[filled[np.argsort(patches, kind="stable")[n_cbd:]]] = ELECTROLYTE
    placed = electrode.altered(phase=phase)
    if coverage is not None and abs(placed.coverage - coverage) > COVERAGE_TOLERANCE:
        raise GeometryError(
            f"A coverage of {coverage:.4f} can be met only to {placed.coverage:.4f}: the particles have too few free "
            "faces. Use a larger image."
        )
    return placed


def reachable_coverage(electrode: Electrode, porosity: float | None = None) -> tuple[float, float]:
    """Smallest and largest coverage [-] that `place_phases` can give these particles at `porosity` (None: the image's).

    Smallest: all pores lie where they touch the most particle surface, a voxel each. Largest: they touch as little of
    it as they can.

    **Errors:** `GeometryError` if the porosity is out of range or the particles have no free surface.
    """
    solid = electrode.phase != AM
    free = int(np.count_nonzero(solid))
    wanted = electrode.porosity if porosity is None else porosity
    check_share("porosity", wanted, 0.0, (free + 0.5) / solid.size, "The rest is active material.")
    return _limits(_shell(electrode), free, min(round(wanted * solid.size), free))


def check_number(name: str, value: object) -> None:
    """**Errors:** `GeometryError` if `value` is no number."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        raise GeometryError(f"{name} must be a number, got {value!r}.")


def check_share(name: str, value: float, low: float, high: float, why: str) -> None:
    """**Errors:** `GeometryError` if `value` is no number in [low, high]; `why` ends the message."""
    check_number(name, value)
    if not low <= value <= high:
        raise GeometryError(f"{name} must lie in [{low:g}, {high:.4g}], got {value!r}. {why}")


def checked_seed(seed: int) -> int:
    """`seed` as it is. **Errors:** `GeometryError` if it is no whole number >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise GeometryError(f"seed must be a whole number >= 0, got {seed!r}.")
    return int(seed)


def grain_size(
    box: Sequence[float], voxel_size: tuple[float, float, float], texture: str, grain: float | str | None
) -> float:
    """Diameter of grains or patches [m] in a `box` (z, y, x) [m]; None: the default, as far as it fits.

    **Errors:** `GeometryError` if it suits voxels or box not.
    """
    least = _LEAST_GRAIN * min(voxel_size)
    # grains are spheres and must fit; patches may be longer than thin electrodes are thick
    most = min(box) if texture == "grains" else max(box) / 2
    if grain is None:
        return min(max(DEFAULT_GRAIN, least), most)
    size = parse_length(grain, "grain")
    if not least * (1 - 1e-9) <= size <= most * (1 + 1e-9):
        raise GeometryError(
            f"grain must lie in [{1e6 * least:.4g} um, {1e6 * most:.4g} um] for the texture {texture!r} here, got "
            f"{1e6 * size:.4g} um: at least two voxels, at most what the electrode holds."
        )
    return size


def _texture(electrode: Electrode, texture: str, size: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Random field (nz, ny, nx) of unit variance: solid where it is low, pores where it is high."""
    from simulator.geometry.shapes import blob_field, grain_field  # here: they import what is needed only then

    make = blob_field if texture == "blobs" else grain_field
    return _standard(make(electrode.shape, electrode.voxel_size, size, rng=rng), electrode.phase != AM)


def _standard(values: NDArray[np.floating], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`values` with mean 0 and variance 1 on the voxels `where`."""
    chosen = values[where]
    if chosen.size == 0:
        return np.zeros(values.shape, dtype=np.float32)
    spread = float(chosen.std(dtype=np.float64))
    return ((values - chosen.mean(dtype=np.float64)) / (spread if spread > 0 else 1.0)).astype(np.float32)


def _checked(field: NDArray[np.floating], solid: NDArray[np.bool_]) -> NDArray[np.floating]:
    values = np.asarray(field)
    if values.shape != solid.shape or values.dtype.kind not in "fiu" or not np.isfinite(values[solid]).all():
        raise GeometryError(
            f"field must hold finite numbers of the shape {solid.shape} of the electrode, got {values.dtype} of shape "
            f"{values.shape}."
        )
    return values


def _shell(electrode: Electrode) -> _Shell:
    """**Errors:** `GeometryError` if no particle has a free surface inside the box."""
    surface = electrode.free_surface
    inner = ~surface.to_separator
    voxel, owner = np.unique(surface.other[inner], return_inverse=True)
    if voxel.size == 0:
        raise GeometryError("The particles have no free surface in this image, so coverage means nothing here.")
    area = np.bincount(owner, weights=(surface.weight * surface.face_area)[inner]).astype(np.float64)
    return _Shell(voxel, area)


def _limits(shell: _Shell, free: int, n_pores: int) -> tuple[float, float]:
    """Smallest and largest coverage of `n_pores` pores among `free` voxels."""
    whole = float(shell.area.sum())
    rising = np.sort(shell.area)
    most = min(n_pores, rising.size)
    least = max(0, n_pores - (free - rising.size))  # pores that find no place away from the particles
    low = 1.0 - float(rising[rising.size - most :].sum()) / whole
    return max(low, 0.0), 1.0 - float(rising[:least].sum()) / whole  # a sum of all areas may round above the whole


def _pores(
    electrode: Electrode,
    solid: NDArray[np.bool_],
    score: NDArray[np.float32],
    n_pores: int,
    coverage: float | None,
) -> NDArray[np.int64]:
    """Flat indices of `n_pores` voxels outside the particles: of the highest `score`, as far as `coverage` lets."""
    candidates = np.flatnonzero(solid)
    values = score.reshape(-1)
    if coverage is None:
        return _highest(candidates, values, n_pores)
    shell = _shell(electrode)
    apart = np.setdiff1d(candidates, shell.voxel, assume_unique=True)
    most = min(n_pores, shell.voxel.size)
    least = max(0, n_pores - apart.size)
    low, high = _limits(shell, candidates.size, n_pores)
    if not low - 1e-12 <= coverage <= high + 1e-12:
        rising = np.sort(shell.area)
        needed = int(np.searchsorted(np.cumsum(rising[::-1]), (1.0 - coverage) * rising.sum())) + 1
        cure = f"a porosity of at least {needed / solid.size:.4f}" if coverage < low else "less porosity"
        raise GeometryError(
            f"coverage={coverage:g} cannot be reached with a porosity of {n_pores / solid.size:.4f} on these "
            f"particles: between {low:.4f} and {high:.4f} can (a pore voxel bares the surface that it touches). Choose "
            f"another coverage, {cure}, or finer voxels."
        )
    touching = _bared(shell, values[shell.voxel], (1.0 - coverage) * float(shell.area.sum()), least, most)
    rest = _highest(apart, values, n_pores - touching.size)
    return np.concatenate([touching, rest])


def _highest(voxels: NDArray[np.int64], values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The `count` of `voxels` with the highest of `values`; of equal ones the first."""
    return voxels[np.argsort(-values[voxels], kind="stable")[:count]]


def _bared(shell: _Shell, score: NDArray[np.float32], wanted: float, least: int, most: int) -> NDArray[np.int64]:
    """Voxels of the shell, `least` to `most` of them, whose faces sum to `wanted` [m2].

    Those of the highest score, if their number fits. Else the order of the score is mixed with that of the area, just
    as much as brings the number between the limits: voxels in crevices bare more surface each, those on convex
    patches less.
    """
    n = score.size
    by_score, by_area = _rank(score), _rank(shell.area)

    def chosen(mix: float) -> NDArray[np.int64]:
        key = (1.0 - abs(mix)) * by_score + mix * by_area
        order = np.argsort(-key, kind="stable")
        total = np.cumsum(shell.area[order])
        k = min(int(np.searchsorted(total, wanted)) + 1, n)
        before = total[k - 2] if k > 1 else 0.0
        if abs(before - wanted) < abs(total[k - 1] - wanted):
            k -= 1
        return order[:k]

    found = chosen(0.0)
    if not least <= found.size <= most:
        sign = 1.0 if found.size > most else -1.0
        fits, fails = 1.0, 0.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (fits + fails)
            if least <= chosen(sign * middle).size <= most:
                fits = middle
            else:
                fails = middle
        found = chosen(sign * fits)[:most]
    return shell.voxel[found]


def _rank(values: NDArray) -> NDArray[np.float64]:
    """Place of each value in ascending order, 0 to 1; equal ones in their given order."""
    rank = np.empty(values.size)
    rank[np.argsort(values, kind="stable")] = np.linspace(0.0, 1.0, values.size)
    return rank
