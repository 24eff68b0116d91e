"""Shapes on the voxel grid: particles around the spheres of a packing, grains and clouds for what lies between.

All are level sets: a function of the place is computed for each particle on the voxels around it, the smallest value
names the particle, and the level is cut where the wanted share of the voxels lies below it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.spatial import cKDTree
from scipy.special import eval_legendre

from simulator.choices import ENDS, MAX_ROUGHNESS
from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.packing import Floats, laguerre_cells, pack

Field = NDArray[np.float32]
Labels = NDArray[np.int32]
Axes = tuple[Field, Field, Field]  # (nz, 1, 1), (ny, 1), (nx,): distances from the centre of a particle [m]

#: Voxels that the median diameter must span; below it a particle is no shape but a few cubes.
MIN_VOXELS = 3.0

_DEGREES = (2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6)  # of the waves on the surface of an irregular particle
_THINNEST = 0.4  # radius in the deepest dent of an irregular particle / radius
_MARGIN, _WIDER, _WIDEST = 1.2, 1.4, 4.0  # voxels are looked at up to this level; if that is too few, wider ones
# Polyhedra, in particle radii: facets nearer to the centre than _CONTACT are contacts and stay where they are; at level
# 0 all others have moved in to _FACET, and the corners to _CORNER.
_CONTACT, _FACET, _CORNER = 1.03, 0.9, 1.2
_SOFT = 0.5  # from level 1 to 0 they move in that far, facets at most to the boundary of the cell at level 1
_GRAIN_SHARE = 0.57  # volume share of packed grains
_PACKED_GRAINS = 50_000  # more of them are placed on a jittered lattice
_JITTER = 0.35  # of the lattice constant, to either side
_GRAIN_REACH = 2.5  # level up to which the distance to a grain is looked at; no hole of a packing is that wide


class _Bodies(NamedTuple):
    """What is drawn: for each particle `k` the extent of {level < margin} around its centre, and the level there."""

    extent: Callable[[int, float], Floats]  # (2, 3) [m]
    level: Callable[[int, Axes], Field]  # smaller inside, inf where the particle cannot be


def voxelise(
    shape: Sequence[int],
    voxel_size: Sequence[float],
    centres: ArrayLike,
    diameters: ArrayLike,
    *,
    kind: str = "sphere",
    roughness: float = 0.1,
    fraction: float,
    ends: str = "periodic",
    rng: np.random.Generator,
) -> tuple[Labels, float]:
    """Particles of a packing as voxels: round(fraction * voxels) of them, each with the number of its particle.

    Kinds, each a level that grows from the inside of a particle outwards; a voxel belongs to the particle of the
    lowest level, so particles that touch share a flat contact and keep their numbers apart:

    - `sphere`: |x| / r.
    - `irregular`: |x| / r(direction), r(direction) ~ r (1 + roughness f), f a random sum of spherical harmonics of
      degree 2 to 6 with mean 0 and variance 1 over the sphere; the factor (1 + 3 roughness^2)^(-1/3) keeps the volume.
    - `polycrystal`: polyhedra, the cells of the Laguerre tessellation of the spheres with most facets moved inwards,
      the farther the wider the gap between the spheres is there. Facets of touching spheres stay as flat contacts;
      between the others are gaps of all widths. Corners are rounded.

    **Arguments:** `shape`: voxels z, y, x; `voxel_size` [m] (3); `centres` (n, 3), `diameters` (n,) [m]: as from
    `pack`, in the box shape * voxel_size; `roughness` in [0, 0.25], for `irregular` only; `fraction`: share of
    the voxels; `ends`: as for `pack`.

    **Returns:** int32 labels (nz, ny, nx), 1..m for the particles that own a voxel, in their order, 0 elsewhere; and
    the share of the labelled voxels, within half a voxel of `fraction`.

    **Errors:** `GeometryError` if an argument is out of range, or `fraction` above what the kind can fill.

    **Source:** Imai, Iri, Murota (1985), doi:10.1137/0214006, Laguerre geometry.
    """
    size, step = _grid(shape, voxel_size)
    centre = np.asarray(centres, dtype=np.float64).reshape(-1, 3)
    radius = np.asarray(diameters, dtype=np.float64).ravel() / 2
    _check_voxelise(size, step, centre, radius, kind, roughness, fraction, ends)
    lengths = np.array(size) * step
    bodies = _KINDS[kind].make(centre, radius, lengths, ends == "walls", roughness, rng)
    wanted = max(1, round(fraction * math.prod(size)))
    margin = _MARGIN
    while True:
        level, owner = _draw(size, step, centre, bodies, margin, ends == "walls")
        highest = float(np.partition(level.ravel(), wanted - 1)[wanted - 1])
        if highest < margin:
            break
        if margin > _WIDEST:
            raise GeometryError(
                f"The {radius.size} particles cannot fill {fraction} of the box: their diameters or the walls leave at "
                f"most {np.count_nonzero(np.isfinite(level)) / level.size:.3f}. Give more or larger ones."
            )
        margin *= _WIDER
    inside = level < highest
    tied = np.flatnonzero(level.ravel() == highest)
    inside.reshape(-1)[tied[: wanted - np.count_nonzero(inside)]] = True
    owner[~inside] = 0
    present = np.bincount(owner.ravel(), minlength=radius.size + 1) > 0
    present[0] = False
    number = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return number[owner], wanted / level.size


def _grid(shape: Sequence[int], voxel_size: Sequence[float]) -> tuple[tuple[int, int, int], Floats]:
    size = tuple(int(n) for n in shape)
    step = np.asarray(voxel_size, dtype=np.float64)
    if len(size) != 3 or min(size) < 1:
        raise GeometryError(f"shape must be three voxel counts z, y, x of at least 1, got {tuple(shape)}.")
    if step.shape != (3,) or not (np.isfinite(step).all() and (step > 0).all()):
        raise GeometryError(f"voxel_size must be three positive lengths z, y, x in metres, got {voxel_size}.")
    return (size[0], size[1], size[2]), step


def _check_voxelise(
    size: tuple[int, int, int],
    step: Floats,
    centre: Floats,
    radius: Floats,
    kind: str,
    roughness: float,
    fraction: float,
    ends: str,
) -> None:
    if kind not in _KINDS:
        raise GeometryError(f"Unknown particle kind {kind!r}.{did_you_mean(str(kind), _KINDS)}")
    if ends not in ENDS:
        raise GeometryError(f"Unknown ends {ends!r}.{did_you_mean(str(ends), ENDS)}")
    if not 0 <= roughness <= MAX_ROUGHNESS:
        raise GeometryError(
            f"roughness must lie in [0, {MAX_ROUGHNESS}], got {roughness}: the standard deviation of the radius of a "
            "particle over its surface / its mean."
        )
    densest = _KINDS[kind].densest
    if not 0 < fraction <= densest:
        raise GeometryError(
            f"An active-material fraction of {fraction} cannot be filled with particles of kind {kind!r}; "
            f"{_KINDS[kind].why}. Give a fraction in (0, {densest}]"
            + (", or the kind 'polycrystal', up to 0.95." if kind != "polycrystal" else ".")
        )
    if centre.shape[0] != radius.size or radius.size == 0 or not (radius > 0).all():
        raise GeometryError(
            f"voxelise needs one positive diameter for each centre, got {radius.size} for {centre.shape[0]}."
        )
    lengths = np.array(size) * step
    if not ((centre >= 0) & (centre <= lengths * (1 + 1e-9))).all():
        raise GeometryError(
            f"The centres must lie in the box, between 0 and {lengths.tolist()} m (z, y, x), got "
            f"{centre.min(axis=0).tolist()} to {centre.max(axis=0).tolist()}. Give the shape and "
            "voxel_size of the box that was packed."
        )
    order = np.argsort(radius)
    volume = np.cumsum(radius[order] ** 3)
    d50 = 2 * float(radius[order][np.searchsorted(volume, volume[-1] / 2)])
    smallest, side = MIN_VOXELS * float(step.max()), float(lengths.min())
    if not smallest <= d50 <= side * (1 + 1e-9):
        raise GeometryError(
            f"A median particle diameter of {1e6 * d50:.4g} um does not suit the grid: it must lie between "
            f"{1e6 * smallest:.4g} um ({MIN_VOXELS:g} voxels) and {1e6 * side:.4g} um (the smallest side of the box). "
            "Change the diameter, the voxel size or the shape."
        )


def _draw(
    size: tuple[int, int, int], step: Floats, centre: Floats, bodies: _Bodies, margin: float, walls: bool
) -> tuple[Field, Labels]:
    """Lowest level of all particles at each voxel, inf where none reaches, and its number 1..n (0: none)."""
    level = np.full(size, np.inf, dtype=np.float32)
    owner = np.zeros(size, dtype=np.int32)
    for k in range(centre.shape[0]):
        # voxel i has its centre at (i + 1/2) step
        low, high = np.round((centre[k] + bodies.extent(k, margin)) / step).astype(int)
        if walls:
            low[0], high[0] = max(low[0], 0), min(high[0], size[0])
        if (low >= high).any():
            continue
        z, y, x = ((np.arange(a, b) + 0.5) * h - c for a, b, h, c in zip(low, high, step, centre[k], strict=True))
        axes = tuple(a.astype(np.float32) for a in (z[:, None, None], y[:, None], x))
        drawn = bodies.level(k, (axes[0], axes[1], axes[2]))
        for place, part in _wrapped(low, high, size):
            here, mine = level[place], drawn[part]
            better = mine < here
            np.copyto(here, mine, where=better)
            np.copyto(owner[place], k + 1, where=better)
    return level, owner


def _wrapped(
    low: NDArray[np.int64], high: NDArray[np.int64], size: tuple[int, int, int]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """The boxes in the grid that the index box low..high covers when it is wrapped at the sides, and its parts."""
    axes: list[list[tuple[slice, slice]]] = []
    for a, b, n in zip(low.tolist(), high.tolist(), size, strict=True):
        pieces = []
        while a < b:
            start = a % n
            count = min(b - a, n - start)
            begin = a - int(low[len(axes)])
            pieces.append((slice(start, start + count), slice(begin, begin + count)))
            a += count
        axes.append(pieces)
    for parts in product(*axes):
        yield tuple(p[0] for p in parts), tuple(p[1] for p in parts)


def _ball(radius: float, margin: float) -> Floats:
    return np.array([[-1.0], [1.0]]) * np.full(3, margin * radius)


def _distance(axes: Axes) -> Field:
    z, y, x = axes
    squared = (z * z + y * y) + x * x
    return np.sqrt(squared, out=squared)


def _spheres(
    centre: Floats, radius: Floats, lengths: Floats, walls: bool, roughness: float, rng: np.random.Generator
) -> _Bodies:
    def level(k: int, axes: Axes) -> Field:
        found = _distance(axes)
        found *= np.float32(1 / radius[k])
        return found

    return _Bodies(lambda k, margin: _ball(radius[k], margin), level)


def _irregular(
    centre: Floats, radius: Floats, lengths: Floats, walls: bool, roughness: float, rng: np.random.Generator
) -> _Bodies:
    """Zonal harmonics a P_l(u . x / |x|) about random axes u: cheap on a grid, and their variance is known exactly.

    The mean of P_l(u . n) P_m(v . n) over all n is P_l(u . v) / (2 l + 1) for l = m, and 0 else.
    """
    degree = np.array(_DEGREES)
    n, m = radius.size, degree.size
    axis = rng.standard_normal((n, m, 3))
    axis /= np.linalg.norm(axis, axis=2, keepdims=True)
    # equal variance from each wave but for a decay with the degree: few dents, no hedgehog
    amplitude = rng.standard_normal((n, m)) * np.sqrt(2 * degree + 1) / degree**1.5
    cosine = np.einsum("kai,kbi->kab", axis, axis)
    same = (degree[:, None] == degree) / (2 * degree + 1)
    variance = np.einsum("ka,kb,kab->k", amplitude, amplitude, same * eval_legendre(degree[:, None], cosine))
    amplitude *= roughness / np.sqrt(variance)[:, None]
    mean = radius / np.cbrt(1 + 3 * roughness**2)
    powers = [np.polynomial.legendre.leg2poly(np.eye(p + 1)[p]) for p in range(max(_DEGREES) + 1)]
    sample = _directions(400)

    def extent(k: int, margin: float) -> Floats:
        longest = 1 + float((eval_legendre(degree, sample @ axis[k].T) @ amplitude[k]).max())
        # a hundredth more, as the sample may miss the highest place
        return _ball(mean[k], margin * (longest + 0.01))

    def level(k: int, axes: Axes) -> Field:
        distance = _distance(axes)
        # a voxel centre in the very centre: any direction
        np.maximum(distance, np.float32(1e-6 * radius[k]), out=distance)
        z, y, x = axes
        inverse = 1 / distance
        reach = np.ones_like(distance)
        for u, a, p in zip(axis[k].astype(np.float32), amplitude[k], degree, strict=True):
            t = (u[0] * z + u[1] * y) + u[2] * x
            t *= inverse
            reach += _polynomial(t, a * powers[p])
        np.maximum(reach, np.float32(_THINNEST), out=reach)
        distance /= reach
        distance *= np.float32(1 / mean[k])
        return distance

    return _Bodies(extent, level)


def _polynomial(t: Field, coefficients: Floats) -> Field:
    """Even or odd polynomial: Horner in t^2."""
    c = coefficients.astype(np.float32)
    squared = t * t
    value = np.full_like(t, c[-1])
    for k in range(c.size - 3, -1, -2):
        value *= squared
        value += c[k]
    if c.size % 2 == 0:
        value *= t
    return value


def _directions(n: int) -> Floats:
    """`n` unit vectors spread evenly (Fibonacci lattice), shape (n, 3)."""
    k = np.arange(n) + 0.5
    height = 1 - 2 * k / n
    turn = np.pi * (1 + math.sqrt(5)) * k
    across = np.sqrt(1 - height**2)
    return np.stack([height, across * np.sin(turn), across * np.cos(turn)], axis=1)


def _polyhedra(
    centre: Floats, radius: Floats, lengths: Floats, walls: bool, roughness: float, rng: np.random.Generator
) -> _Bodies:
    cells = laguerre_cells(centre, radius, lengths, walls)

    def extent(k: int, margin: float) -> Floats:
        vertices = cells[k].vertices
        return np.stack([vertices.min(axis=0), vertices.max(axis=0)])

    def level(k: int, axes: Axes) -> Field:
        normal, height, _ = cells[k]
        r = radius[k]
        z, y, x = axes
        # left: 1 where a facet or the corners have come in to their place at level 0, less outside of it
        left = _distance(axes)
        left *= np.float32(-1 / (_SOFT * r))
        left += np.float32(1 + _CORNER / _SOFT)
        inside = np.ones(left.shape, dtype=bool)
        for n, h in zip(normal, height, strict=True):
            moves = h > _CONTACT * r
            scale = min(h - _FACET * r, _SOFT * r) if moves else r
            nz, ny, nx = (n / -scale).astype(np.float32)
            beyond = (h - _FACET * r) / scale  # from the place at level 0 to the cell boundary
            to_facet = (nz * z + (ny * y + np.float32(h / scale))) + nx * x
            inside &= to_facet >= 0
            if moves:
                to_facet += np.float32(1 - beyond)
                np.minimum(left, to_facet, out=left)
        return np.where(inside, 1 - left, np.float32(np.inf)).astype(np.float32)

    return _Bodies(extent, level)


class _Kind(NamedTuple):
    """How it is made, the largest fraction that still is one of separate particles, and why not more."""

    make: Callable[[Floats, Floats, Floats, bool, float, np.random.Generator], _Bodies]
    densest: float
    why: str


_KINDS = {
    "sphere": _Kind(_spheres, 0.70, "random packings of spheres end at 0.64, or 0.70 with necks of 5 % overlap"),
    "irregular": _Kind(_irregular, 0.75, "rough particles fill up to 0.75 with flattened contacts"),
    "polycrystal": _Kind(_polyhedra, 0.95, "gaps remain between polyhedra"),
}


def grain_field(
    shape: Sequence[int], voxel_size: Sequence[float], diameter: float, *, rng: np.random.Generator
) -> Field:
    """Distance to the nearest of randomly packed grains / (diameter / 2), float32 (nz, ny, nx), periodic.

    A threshold grows grains around their centres: below 1 they are the spheres, 57 % of the volume, above they merge.
    Up to 50 000 grains are packed by `pack`; more are placed at random in the inner part of the cubes of a lattice, one
    in each, where some come closer than a diameter (below 1 they then are 51 %).

    **Arguments:** `shape`: voxels z, y, x; `voxel_size` [m] (3); `diameter` of the grains [m], from the size of a voxel
    to the smallest side.

    **Errors:** `GeometryError` if the diameter is out of that range.
    """
    size, step = _grid(shape, voxel_size)
    lengths = np.array(size) * step
    smallest, side = float(step.max()), float(lengths.min())
    if not smallest * (1 - 1e-9) <= diameter <= side * (1 + 1e-9):
        raise GeometryError(
            f"A grain diameter of {1e6 * diameter:.4g} um does not suit the grid: it must lie between "
            f"{1e6 * smallest:.4g} um (one voxel) and {1e6 * side:.4g} um (the smallest side of the box)."
        )
    n = max(1, round(_GRAIN_SHARE * float(lengths.prod()) / (np.pi / 6 * diameter**3)))
    if n > _PACKED_GRAINS:
        return _jittered(size, step, lengths, n, diameter, rng)
    centre = pack(np.full(n, min(diameter, side)), tuple(lengths), rng=rng).centres
    bodies = _spheres(centre, np.full(n, diameter / 2), lengths, False, 0.0, rng)
    level, owner = _draw(size, step, centre, bodies, _GRAIN_REACH, False)
    missed = np.argwhere(owner == 0)
    if missed.size:  # few grains in a long box leave wider holes
        distance, _ = cKDTree(centre, boxsize=lengths).query((missed + 0.5) * step)
        level[tuple(missed.T)] = distance / (diameter / 2)
    return level


def _jittered(
    size: tuple[int, int, int], step: Floats, lengths: Floats, n: int, diameter: float, rng: np.random.Generator
) -> Field:
    """One grain in each cell of a lattice of about `n` nearly cubic cells; the nearest is sought in the 27 around."""
    edge = np.cbrt(lengths.prod() / n)
    count = np.maximum(1, np.round(lengths / edge)).astype(int)
    cell = lengths / count
    place = rng.uniform(0.5 - _JITTER, 0.5 + _JITTER, (3, *count)).astype(np.float32)
    level = np.full(size, np.inf, dtype=np.float32)
    voxel = [((np.arange(m) + 0.5) * h / c) for m, h, c in zip(size, step, cell, strict=True)]
    home = [np.floor(v).astype(int) for v in voxel]
    inner = [v - h for v, h in zip(voxel, home, strict=True)]  # place in the cell, in cells
    for offset in product((-1, 0, 1), repeat=3):
        at = np.ix_(*((h + o) % c for h, o, c in zip(home, offset, count, strict=True)))
        squared = np.zeros(size, dtype=np.float32)
        for axis, o in enumerate(offset):
            own = np.expand_dims(inner[axis] - o, [a for a in range(3) if a != axis]).astype(np.float32)
            squared += (np.float32(cell[axis]) * (own - place[axis][at])) ** 2
        np.minimum(level, squared, out=level)
    np.sqrt(level, out=level)
    level *= np.float32(2 / diameter)
    return level


def blob_field(shape: Sequence[int], voxel_size: Sequence[float], length: float, *, rng: np.random.Generator) -> Field:
    """Periodic Gaussian random field, float32 (nz, ny, nx), of mean 0 and variance 1 in this very sample.

    White noise, smoothed with a Gaussian of width length / 2: values a distance r apart have the correlation
    exp(-(r / length)^2). A threshold cuts out clouds of about that size.

    **Arguments:** `length`: correlation length [m], up to the longest side of the box; along sides shorter than twice
    that the field hardly changes.

    **Errors:** `GeometryError` if the length is out of range.
    """
    size, step = _grid(shape, voxel_size)
    longest = float((np.array(size) * step).max())
    if not 0 < length <= longest * (1 + 1e-9) or math.prod(size) < 2:
        raise GeometryError(
            f"A correlation length of {1e6 * length:.4g} um does not suit the grid: it must be positive and at most "
            f"{1e6 * longest:.4g} um, the longest side of the box."
        )
    noise = rng.standard_normal(size, dtype=np.float32)
    spectrum = fft.rfftn(noise, overwrite_x=True)
    for axis, (n, h) in enumerate(zip(size, step, strict=True)):
        wave = fft.rfftfreq(n, h) if axis == 2 else fft.fftfreq(n, h)
        damping = np.exp(-0.5 * (np.pi * length * wave) ** 2)
        spectrum *= np.expand_dims(damping, [a for a in range(3) if a != axis]).astype(np.float32)
    field = fft.irfftn(spectrum, size, overwrite_x=True)
    field -= field.mean(dtype=np.float64)
    field /= field.std(dtype=np.float64)
    return field.astype(np.float32, copy=False)
