"""Random packings of spheres: the sizes and places of the particles of a synthetic electrode.

Spheres start at random places and are pushed apart along the lines between overlapping ones until hardly any overlap
is left (energy minimisation of soft spheres). Up to a volume share of about 0.60 the answer is a random packing
without overlap, below the 0.64 of random close packing: O'Hern, Silbert, Liu, Nagel (2003),
doi:10.1103/PhysRevE.68.011306. The minimiser is FIRE: Bitzek, Koskinen, Gahler, Moseler, Gumbsch (2006),
doi:10.1103/PhysRevLett.97.170201.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import HalfspaceIntersection, cKDTree
from scipy.special import ndtr, ndtri

from simulator.choices import ENDS, MAX_SPREAD
from simulator.errors import GeometryError, did_you_mean

#: Largest number of spheres. Time and memory grow linearly with it: 1e5 take 10 to 15 s.
MAX_SPHERES = 1_000_000
#: Volume share up to which spheres are freed of overlap. Random close packing of equal spheres is 0.64, and the closer
#: to it, the longer it takes.
DENSEST = 0.61

_CUT = 3.0  # the log-normal ends that many standard deviations from its median
_NEAREST = 40  # neighbours tried for a Laguerre cell at first
_GUARD = 0.01  # relative growth of the radii while they are pushed apart: what is left of overlap then vanishes
_TOLERANCE = 1e-3  # overlap, relative to the smaller diameter, at which the relaxation ends
_MAX_STEPS = 1500
_LONGEST_STEP = 0.06  # [mean radius]
_SKIN = 0.9  # reach of the neighbour list beyond contact [mean radius]; longer lists, but built less often
# FIRE as published; the time step is that of unit springs and masses
_DT, _DT_MAX, _PATIENCE = 0.15, 0.45, 5
_FASTER, _SLOWER, _ALPHA, _ALPHA_FALL = 1.1, 0.5, 0.1, 0.99

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Packing:
    """Spheres in a box [0, box) and what is left of their overlaps.

    The overlap of a touching pair is (r_i + r_j - distance) / (smaller diameter); sizes are those asked for, also if
    they had to be packed smaller (volume share above `DENSEST`).
    """

    centres: Floats  # (n, 3) z, y, x [m]
    diameters: Floats  # (n,) [m]
    box: tuple[float, float, float]  # z, y, x [m]
    ends: str  # one of `ENDS`

    @cached_property
    def _overlap(self) -> tuple[Floats, float]:
        return _overlaps(self.centres, self.diameters / 2, np.array(self.box), self.ends)

    @property
    def max_overlap(self) -> float:
        """Deepest of all pairs, relative to the smaller diameter [-]."""
        return float(self._overlap[0].max())

    @property
    def mean_overlap(self) -> float:
        """Mean over the spheres of the deepest overlap of each [-]."""
        return float(self._overlap[0].mean())

    @property
    def union_share(self) -> float:
        """Volume of the union of the spheres / box, overlaps counted by pairs [-]."""
        return self.volume_share - self._overlap[1] / math.prod(self.box)

    @property
    def volume_share(self) -> float:
        """Sum of the sphere volumes / box volume [-]."""
        return float(np.pi / 6 * (self.diameters**3).sum()) / math.prod(self.box)


def sample_diameters(
    volume: float,
    *,
    diameter: float | None = None,
    spread: float = 0.0,
    diameters: ArrayLike | None = None,
    largest: float | None = None,
    rng: np.random.Generator,
) -> Floats:
    """Sphere diameters [m] (n,) whose volumes add up to `volume`, in random order.

    Log-normal: ln d is normal with standard deviation s = `spread` and, weighted by volume, the median ln `diameter`;
    by number the median is d50 exp(-3 s^2). It ends at d50 exp(+-3 s), which leaves d50 as it is. The particles stand
    for equal shares of the number, n = volume / mean sphere volume, rounded, each with the mean volume of its share.
    (Sizes drawn at random would scatter: 30 of s = 0.4 have a d50 17 % off, these 1 %.) Only their order is random.
    All are then scaled by one factor, close to 1, to make the total exact.

    **Arguments:** `volume` [m3]; either `diameter`, the d50 [m], with `spread` [-] (0: all equal), or `diameters` [m],
    measured ones, each taken equally often (numbers differ by at most one, at random); `largest` [m], of a log-normal:
    none is larger, and to leave d50 as it is none drawn smaller than d50^2 / largest.

    **Errors:** `GeometryError` for a volume, diameter, spread or list out of range, and more than `MAX_SPHERES`.

    **Source:** Hatch, Choate (1929), doi:10.1016/S0016-0032(29)91451-4, medians by number and by volume.
    """
    if not (math.isfinite(volume) and volume > 0):
        raise GeometryError(f"The particle volume must be positive, got {volume} m3. Give a larger fraction or box.")
    if (diameter is None) == (diameters is None):
        raise GeometryError("Give either diameter (with spread) or a list of diameters, not both and not neither.")
    for extra in (0, 1):
        if diameters is not None:
            drawn = _from_list(volume, diameters, extra, rng)
        else:
            assert diameter is not None
            drawn = _log_normal(volume, diameter, spread, largest, extra)
        drawn *= np.cbrt(volume / (np.pi / 6 * (drawn**3).sum()))
        if largest is None or drawn.max() <= largest * (1 + 1e-12):
            break
        # few particles had to grow much to make up the total: one more, and they shrink
    return rng.permutation(drawn)


def _number(volume: float, mean_volume: float) -> int:
    """How many spheres of `mean_volume` fill `volume`, at least one."""
    n = volume / mean_volume
    if n > MAX_SPHERES:
        raise GeometryError(
            f"{n:.3g} particles of {1e6 * np.cbrt(6 / np.pi * mean_volume):.3g} um are too many, at most {MAX_SPHERES} "
            "are packed. Take larger particles, a narrower spread or a smaller box."
        )
    return max(1, round(n))


def _log_normal(volume: float, d50: float, spread: float, largest: float | None, extra: int) -> Floats:
    if not (math.isfinite(d50) and d50 > 0):
        raise GeometryError(f"The particle diameter must be a positive length in metres, got {d50}; 5e-6 for example.")
    if not 0 <= spread <= MAX_SPREAD:
        raise GeometryError(
            f"spread must lie in [0, {MAX_SPREAD}], got {spread}: it is the standard deviation of ln d, 0 for equal "
            "particles, 0.4 for a usual powder."
        )
    if largest is not None and not largest >= d50:
        raise GeometryError(f"largest must be at least the median diameter {d50:.4g} m, got {largest}. Give a larger.")
    width = _CUT * spread
    if largest is not None:
        width = min(width, math.log(largest / d50))
    if width < 1e-6:  # equal, and the shares below would be lost in rounding
        return np.full(_number(volume, np.pi / 6 * d50**3) + extra, float(d50))
    # By number the normal distribution of ln d is shifted by -3 s^2; the cut stays centred at the median by volume.
    shift = 3 * spread
    low, high = ndtr(shift - width / spread), ndtr(shift + width / spread)
    # E[d^3] of the cut distribution: the share of the volume inside the cut, over the share of the number
    inside = ndtr(width / spread) - ndtr(-width / spread)
    mean_cube = d50**3 * math.exp(-4.5 * spread**2) * inside / (high - low)
    n = _number(volume, np.pi / 6 * mean_cube) + extra
    share = np.linspace(low, high, n + 1)
    edge = np.clip(ndtri(share), shift - width / spread, shift + width / spread)
    # E[d^3] of each share; weighting a normal distribution by d^3 shifts it by 3 s
    cube = d50**3 * math.exp(-4.5 * spread**2) * np.diff(ndtr(edge - shift)) / np.diff(share)
    return np.cbrt(cube)


def _from_list(volume: float, diameters: ArrayLike, extra: int, rng: np.random.Generator) -> Floats:
    given = np.asarray(diameters, dtype=np.float64).ravel()
    if given.size == 0 or not (np.isfinite(given).all() and (given > 0).all()):
        raise GeometryError(
            f"diameters must be a list of positive lengths in metres, got {given.size} values"
            + (f" from {given.min():.4g} to {given.max():.4g}" if given.size else "")
            + ". Give for example [3e-6, 5e-6]."
        )
    n = _number(volume, float(np.pi / 6 * (given**3).mean())) + extra
    rest = rng.choice(given, n % given.size, replace=False)
    return np.concatenate([np.tile(given, n // given.size), rest])


def pack(
    diameters: ArrayLike,
    box: Sequence[float],
    *,
    rng: np.random.Generator,
    ends: str = "periodic",
    start: Floats | None = None,
) -> Packing:
    """Random packing of spheres in a box that repeats itself along y and x, and along z unless it has walls.

    Energy sum over pairs of (r_i + r_j - distance)^2 / 2, minimised by FIRE from random places until the deepest
    overlap is below 0.1 % of the smaller diameter; a pair in several periodic images counts in each. Spheres of a
    volume share above `DENSEST` are packed with smaller radii of that share: the overlaps that their true radii make
    are spread evenly over all contacts. Walls order the spheres next to them, so a few layers between walls pack less
    densely and keep more overlap.

    **Arguments:** `diameters` [m] (n,); `box`: lengths z, y, x [m]; `ends`: 'periodic', or 'walls': between z = 0 and
    the end of the box, no sphere crosses; `start` (n, 3) [m]: places to begin from instead of random ones.

    **Returns:** `Packing`, in the order of `diameters`.

    **Errors:** `GeometryError` if a diameter is larger than the smallest side (a sphere would meet itself), or an
    argument is out of range.
    """
    size = np.asarray(diameters, dtype=np.float64).ravel()
    lengths = np.asarray(box, dtype=np.float64)
    _check_pack(size, lengths, ends)
    share = float(np.pi / 6 * (size**3).sum() / lengths.prod())
    unit = float(size.mean()) / 2
    radius = size / 2 / unit * min(1.0, float(np.cbrt(DENSEST / share)))
    walls = ends == "walls"
    if start is None:
        begin = rng.random((radius.size, 3)) * (lengths / unit)
        if walls:
            begin[:, 0] = radius + begin[:, 0] * unit / lengths[0] * np.maximum(lengths[0] / unit - 2 * radius, 0)
    else:
        begin = np.array(start, dtype=np.float64) / unit
    relaxed = _relax(radius, lengths / unit, begin, walls)
    centres = relaxed * unit
    periodic = slice(1 if ends == "walls" else 0, 3)
    wrapped = np.mod(centres[:, periodic], lengths[periodic])
    # a tiny negative number modulo the length is the length itself
    centres[:, periodic] = np.where(wrapped < lengths[periodic], wrapped, 0.0)
    return Packing(
        centres=centres,
        diameters=size,
        box=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        ends=ends,
    )


def _check_pack(size: Floats, lengths: Floats, ends: str) -> None:
    if ends not in ENDS:
        raise GeometryError(f"Unknown ends {ends!r}.{did_you_mean(str(ends), ENDS)}")
    if lengths.shape != (3,) or not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise GeometryError(f"box must be three positive lengths z, y, x in metres, got {lengths.tolist()}.")
    if size.size == 0 or not (np.isfinite(size).all() and (size > 0).all()):
        raise GeometryError("pack needs at least one sphere, and positive diameters in metres.")
    if size.size > MAX_SPHERES:
        raise GeometryError(f"pack takes at most {MAX_SPHERES} spheres, got {size.size}. Take larger or fewer ones.")
    # a rounding error above the side is none
    if size.max() > lengths.min() * (1 + 1e-9):
        raise GeometryError(
            f"The largest particle, {1e6 * size.max():.4g} um, does not fit into the box, whose smallest side is "
            f"{1e6 * lengths.min():.4g} um. Take smaller particles, a narrower spread or a larger box."
        )


class _Pairs(NamedTuple):
    """Pairs of spheres near each other: `shift` is added to the centre of `second`."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift: Floats  # (m, 3)
    contact: Floats  # sum of the radii


def _relax(radius: Floats, box: Floats, centre: Floats, walls: bool) -> Floats:
    """`centre` (n, 3), not wrapped, pushed apart until all overlaps are below `_TOLERANCE`. Lengths in mean radii."""
    share = 4 / 3 * np.pi * float((radius**3).sum()) / float(box.prod())
    # not beyond random close packing, where no room is left for the guard
    guarded = radius * (1 + min(_GUARD, max(0.0, np.cbrt(0.63 / share) - 1)))
    if walls:
        # a sphere as large as the distance of the walls keeps its true radius
        guarded = np.minimum(guarded, np.maximum(radius, box[0] / 2))
    # A large sphere touches many: its mass grows with its surface, so that one time step suits all.
    mass = np.maximum(1.0, guarded**2)[:, None]
    velocity = np.zeros_like(centre)
    dt, alpha, since = _DT, _ALPHA, 0
    listed, pairs = centre.copy(), _neighbours(centre, guarded, box, walls, _SKIN)
    for _ in range(_MAX_STEPS):
        if float(((centre - listed) ** 2).sum(axis=1).max()) > (_SKIN / 2) ** 2:
            listed, pairs = centre.copy(), _neighbours(centre, guarded, box, walls, _SKIN)
        force, worst = _forces(centre, guarded, radius, pairs, box[0] if walls else None)
        if worst < _TOLERANCE:
            break
        # FIRE: downhill, with a memory of the way; on the first step uphill it starts again
        if float((velocity * force).sum()) > 0:
            pull = force / mass
            ratio = math.sqrt(float((velocity**2).sum()) / max(float((pull**2).sum()), 1e-300))
            velocity = (1 - alpha) * velocity + alpha * ratio * pull
            since += 1
            if since > _PATIENCE:
                dt, alpha = min(dt * _FASTER, _DT_MAX), alpha * _ALPHA_FALL
        else:
            velocity[:] = 0.0
            dt, alpha, since = max(dt * _SLOWER, _DT / 4), _ALPHA, 0
        velocity += dt * force / mass
        step = dt * velocity
        # deep overlaps at the start would throw a few spheres far, and the neighbours of all be sought again
        length = np.sqrt(np.einsum("ij,ij->i", step, step))
        centre = centre + step * np.minimum(1.0, _LONGEST_STEP / np.maximum(length, _LONGEST_STEP))[:, None]
    if walls:
        centre[:, 0] = np.clip(centre[:, 0], radius, np.maximum(box[0] - radius, radius))
    return centre


def _forces(
    centre: Floats, guarded: Floats, radius: Floats, pairs: _Pairs, height: float | None
) -> tuple[Floats, float]:
    """Forces (n, 3) of overlapping spheres of radii `guarded`, and the deepest overlap of those of `radius`."""
    apart = centre[pairs.first] - centre[pairs.second]
    apart -= pairs.shift
    squared = np.einsum("ij,ij->i", apart, apart)
    hit = np.flatnonzero(squared < pairs.contact**2)
    i, j = pairs.first[hit], pairs.second[hit]
    distance = np.sqrt(squared[hit])
    # two centres in one place: any direction would do, and the next step cannot tell them apart either
    push = apart[hit] * ((pairs.contact[hit] - distance) / np.maximum(distance, 1e-9))[:, None]
    n = radius.size
    force = np.empty((n, 3))
    for axis in range(3):
        force[:, axis] = np.bincount(i, push[:, axis], n) - np.bincount(j, push[:, axis], n)
    depth = (radius[i] + radius[j] - distance) / (2 * np.minimum(radius[i], radius[j]))
    worst = float(depth.max(initial=0.0))
    if height is not None:
        below = guarded - centre[:, 0]
        above = centre[:, 0] + guarded - height
        force[:, 0] += np.maximum(below, 0) - np.maximum(above, 0)
        out = np.maximum(below, above) - (guarded - radius)
        worst = max(worst, float((out / (2 * radius)).max()))
    return force, worst


def _neighbours(centre: Floats, radius: Floats, box: Floats, walls: bool, skin: float) -> _Pairs:
    """All pairs, periodic images included, that are closer than their contact distance + `skin`.

    Spheres are sorted into classes of size within a factor of two; each pair of classes has a search radius of its
    own, or a few large spheres would make all small ones neighbours of one another.
    """
    period = np.where([walls, False, False], 0.0, box)
    place = np.where(period > 0, np.mod(centre, box), centre)
    place = np.where((period > 0) & (place >= box), 0.0, place)
    turns = centre - place  # how far the walk has left the box
    group = np.floor(np.log2(radius / radius.min())).astype(int)
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    found = []
    for a, small in enumerate(members):
        for large in members[a:]:
            reach = radius[small].max() + radius[large].max() + skin
            found.append(_between(place, small, large, reach, period))
    first, second = (np.concatenate([f[k] for f in found]) for k in (0, 1))
    image = np.concatenate([f[2] for f in found])
    contact = radius[first] + radius[second]
    gap = place[first] - place[second] - image
    near = np.einsum("ij,ij->i", gap, gap) < (contact + skin) ** 2
    first, second, image, contact = first[near], second[near], image[near], contact[near]
    return _Pairs(first, second, image + turns[first] - turns[second], contact)


def _between(
    place: Floats, small: NDArray[np.int64], large: NDArray[np.int64], reach: float, period: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Pairs (one of `small`, one of `large`, shift of the latter) closer than `reach`, each pair once."""
    same = small is large
    if (period[period > 0] > 2 * reach).all():  # only the nearest image can be that near
        tree = cKDTree(place[small], boxsize=period)
        if same:
            pairs = tree.query_pairs(reach, output_type="ndarray")
            i, j = small[pairs[:, 0]], small[pairs[:, 1]]
        else:
            near = tree.sparse_distance_matrix(cKDTree(place[large], boxsize=period), reach, output_type="coo_matrix")
            i, j = small[near.row], large[near.col]
        gap = place[i] - place[j]
        turns = np.round(np.divide(gap, period, out=np.zeros_like(gap), where=period > 0))
        return i.astype(np.int64), j.astype(np.int64), turns * period
    # sides of less than two reaches: all images one after the other
    steps = [range(-math.ceil(reach / p), math.ceil(reach / p) + 1) if p > 0 else range(1) for p in period]
    shifts = np.array(list(product(*steps)), dtype=np.float64) * period
    images = (place[large][None] + shifts[:, None]).reshape(-1, 3)
    near = cKDTree(place[small]).sparse_distance_matrix(cKDTree(images), reach, output_type="coo_matrix")
    shift, which = np.divmod(near.col, large.size)
    i, j = small[near.row].astype(np.int64), large[which].astype(np.int64)
    gap = shifts[shift]
    # of a pair and its mirror image one; a sphere and its own image are no pair that could move
    once = (i < j) if same else np.ones(i.size, dtype=bool)
    return i[once], j[once], gap[once]


def _overlaps(centre: Floats, radius: Floats, box: Floats, ends: str) -> tuple[Floats, float]:
    """Deepest overlap of each sphere relative to the smaller diameter, and the volume counted twice [m3]."""
    pairs = _neighbours(centre, radius, box, ends == "walls", 0.0)
    gap = centre[pairs.first] - centre[pairs.second] - pairs.shift
    d = np.maximum(np.linalg.norm(gap, axis=1), 1e-12 * radius.mean())
    a, b = radius[pairs.first], radius[pairs.second]
    depth = np.minimum((a + b - d) / (2 * np.minimum(a, b)), 1.0)
    deepest = np.zeros(radius.size)
    np.maximum.at(deepest, pairs.first, depth)
    np.maximum.at(deepest, pairs.second, depth)
    # the lens of two spheres; one inside the other shares the smaller
    lens = np.pi * (a + b - d) ** 2 * (d**2 + 2 * d * (a + b) - 3 * (a - b) ** 2) / (12 * d)
    inside = 4 / 3 * np.pi * np.minimum(a, b) ** 3
    return deepest, float(np.where(d > np.abs(a - b), lens, inside).sum())


class Cell(NamedTuple):
    """Convex polyhedron around the centre of its sphere, which is its origin."""

    normal: Floats  # (m, 3) of its facets, unit vectors
    height: Floats  # (m,) of the facets above the centre [m]
    vertices: Floats  # (v, 3) [m]


def laguerre_cells(centre: Floats, radius: Floats, lengths: Floats, walls: bool) -> list[Cell]:
    """Cells of the Laguerre (power) tessellation of spheres in a box as for `pack`, one for each, which fill the box.

    A cell holds the points x with the smallest |x - c|^2 - r^2; its facet towards a neighbour is the plane of equal
    power, between two touching spheres their tangent plane. If a centre lay outside its own cell (deep overlap), all
    weights r^2 are reduced by one factor until none does.

    **Source:** Imai, Iri, Murota (1985), doi:10.1137/0214006.
    """
    # far beyond the neighbours in any packing; a cell that reaches still farther is cut off there
    pad = 4 * max(2 * float(radius.max()), float(np.cbrt(lengths.prod() / radius.size)))
    steps = [range(-math.ceil(pad / n), math.ceil(pad / n) + 1) for n in lengths]
    if walls:
        steps[0] = range(1)
    shifts = np.array(sorted(product(*steps), key=lambda s: s != (0, 0, 0)), dtype=np.float64) * lengths
    images = (centre[None] + shifts[:, None]).reshape(-1, 3)
    source = np.tile(np.arange(radius.size), shifts.shape[0])
    near = ((images > -pad) & (images < lengths + pad)).all(axis=1)
    images, source = images[near], source[near]
    tree = cKDTree(images)
    weight = _weights(images, source, tree, centre, radius)
    cells = []
    for k in range(radius.size):
        count, reach = min(_NEAREST, images.shape[0]), 0.0
        while True:
            distance, index = tree.query(centre[k], count)
            cell = _cell(
                images[index[1:]] - centre[k], weight[k] - weight[source[index[1:]]], pad, centre[k], lengths, walls
            )
            corner = float(np.linalg.norm(cell.vertices, axis=1).max())
            # a sphere farther than this cannot cut the cell
            reach = corner + math.sqrt(corner**2 + float(weight.max() - weight[k]))
            if distance[-1] >= min(reach, pad) or count == images.shape[0]:
                break
            count = min(2 * count, images.shape[0])
        cells.append(cell)
    return cells


def _weights(images: Floats, source: NDArray[np.int64], tree: cKDTree, centre: Floats, radius: Floats) -> Floats:
    """Squared radii [m2], reduced by one factor if else a deep overlap put a centre outside its own cell."""
    near = cKDTree(centre).sparse_distance_matrix(tree, float(radius.max()), output_type="coo_matrix")
    larger = radius[source[near.col]] ** 2 - radius[near.row] ** 2
    deep = (larger > 0) & (near.data > 0)
    factor = np.min(near.data[deep] ** 2 / larger[deep], initial=np.inf)
    return radius**2 * min(1.0, 0.9 * float(factor))


def _cell(neighbour: Floats, more: Floats, pad: float, centre: Floats, lengths: Floats, walls: bool) -> Cell:
    """Facets and vertices of one cell; `more`: its weight minus that of each neighbour [m2]."""
    distance = np.linalg.norm(neighbour, axis=1)
    apart = distance > 0
    normal = neighbour[apart] / distance[apart, None]
    height = (distance[apart] ** 2 + more[apart]) / (2 * distance[apart])
    if walls:
        normal = np.concatenate([normal, [[-1.0, 0, 0], [1.0, 0, 0]]])
        height = np.append(height, np.maximum([centre[0], lengths[0] - centre[0]], 1e-6 * pad))
    sides = np.concatenate([np.eye(3), -np.eye(3)])
    planes = np.concatenate([normal, sides])
    offset = np.append(height, np.full(6, pad)) / pad
    found = HalfspaceIntersection(np.column_stack([planes, -offset]), np.zeros(3))
    # not found.dual_vertices, which fails where more than three facets meet in a corner
    facets = np.unique(np.concatenate(found.dual_facets))
    vertices = found.intersections[np.isfinite(found.intersections).all(axis=1)] * pad
    return Cell(planes[facets], offset[facets] * pad, vertices)
