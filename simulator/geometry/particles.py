"""Particles: the active material split at its necks, and the facts of each particle."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import GeometryError
from simulator.geometry.interface import live_interface
from simulator.geometry.phases import AM, IONIC

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode

#: A neck splits two bodies if its radius is below this share of the radius of the smaller one. Two equal spheres are
#: told apart if their centres are more than 2 sqrt(1 - NECK^2) radii apart.
NECK = 0.85
_SMOOTHING = 0.5  # width of the Gaussian on the distance map [shortest voxel edge]


def label_particles(electrode: "Electrode", *, min_distance: float | None = None) -> "Electrode":
    """The electrode with its active material divided into particles: labels 1..n, 0 elsewhere.

    Watershed of the distance to the particle surface, in metres along each axis. Each maximum of the slightly smoothed
    distance begins a basin; then basins are joined wherever the neck between them is wide, its radius above
    `NECK` times the inner radius of the smaller body (this undoes the over-segmentation of rough or elongated
    particles, at every particle size alike). Touching bodies that share no voxel face stay apart. Image sides are no
    surface: a particle that is cut there keeps its centre at the cut.

    **Arguments:** `min_distance` [m]: touching bodies whose centres (the points farthest from the surface) lie closer
    than this are joined too; None joins none by distance.

    **Returns:** a copy with int32 `particle`, every AM voxel labelled, ordered by the centroid's z, then y, then x.

    **Errors:** `GeometryError` if `min_distance` is not a positive length.

    **Source:** Beucher, Lantuejoul (1979), watersheds in contour detection; Gostick (2017),
    doi:10.1103/PhysRevE.96.023307, for trimming maxima of a distance map in porous media.
    """
    if min_distance is not None and not (np.isfinite(min_distance) and min_distance > 0):
        raise GeometryError(f"min_distance must be a positive length in metres, got {min_distance}; 2e-6 for example.")
    # a fifth of a second, needed here alone
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    am = electrode.phase == AM
    step = min(electrode.voxel_size)
    sampling = [h / step for h in electrode.voxel_size]
    if am.all():  # no surface, so no distance to it: one body
        return electrode.altered(particle=np.ones(am.shape, dtype=np.int32))
    distance = ndimage.distance_transform_edt(am, sampling=sampling)
    distance = ndimage.gaussian_filter(distance, [_SMOOTHING / s for s in sampling], mode="nearest")
    distance[~am] = 0.0
    # Face neighbours everywhere: each connected body then holds a maximum, so no AM voxel stays without a label.
    seeds, n = ndimage.label(local_maxima(distance, connectivity=1, allow_borders=True) & am)
    basin = watershed(-distance, markers=seeds, connectivity=1, mask=am)
    owner = _joined(basin, n, distance, min_distance, electrode.voxel_size)
    return electrode.altered(particle=ordered_labels(owner[basin]))


def _joined(
    basin: NDArray[np.int32],
    n: int,
    distance: NDArray[np.float64],
    min_distance: float | None,
    voxel_size: tuple[float, float, float],
) -> NDArray[np.int64]:
    """Representative of every basin 0..n after joining those with wide necks.

    Necks are visited from the widest to the narrowest, and the height of a joined body is that of its highest basin:
    the persistence of each maximum is thereby exact, whatever the order of the labels.
    """
    height = np.zeros(n + 1)
    np.maximum.at(height, basin.ravel(), distance.ravel())
    centre = np.zeros((n + 1, 3))
    peak = ndimage.maximum_position(distance, basin, np.arange(1, n + 1))
    centre[1:] = (np.array(peak).reshape(n, 3) + 0.5) * voxel_size
    first, second, neck = _necks(basin, n, distance)
    parent = np.arange(n + 1)

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for k in np.lexsort((second, first, -neck)):
        a, b = root(int(first[k])), root(int(second[k]))
        if a == b:
            continue
        high, low = (a, b) if (height[a], -a) >= (height[b], -b) else (b, a)
        wide = neck[k] >= NECK * height[low]
        close = min_distance is not None and float(np.linalg.norm(centre[a] - centre[b])) < min_distance
        if wide or close:
            parent[low] = high
    return np.array([root(i) for i in range(n + 1)])


def _necks(
    basin: NDArray[np.int32], n: int, distance: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of touching basins (first < second) and the radius of the widest passage between them."""
    pairs, heights = [], []
    for axis in range(3):
        lower = [slice(None)] * 3
        upper = [slice(None)] * 3
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        a, b = basin[tuple(lower)], basin[tuple(upper)]
        touch = (a != b) & (a > 0) & (b > 0)
        low = np.minimum(a[touch], b[touch]).astype(np.int64)
        pairs.append(low * (n + 1) + np.maximum(a[touch], b[touch]))
        heights.append(np.minimum(distance[tuple(lower)][touch], distance[tuple(upper)][touch]))
    pair, index = np.unique(np.concatenate(pairs), return_inverse=True)
    neck = np.zeros(pair.size)
    np.maximum.at(neck, index, np.concatenate(heights))
    return pair // (n + 1), pair % (n + 1), neck


def ordered_labels(labels: NDArray[np.integer]) -> NDArray[np.int32]:
    """Labels renumbered 1..n by centroid z, then y, then x; 0 stays."""
    names, index = compact_labels(labels)
    particles = np.flatnonzero(names > 0)
    # a hundredth of a voxel: the order of centroids at one height shall not hang on rounding
    z, y, x = np.round(_centroids(index, names.size)[particles], 2).T
    rank = np.zeros(names.size, dtype=np.int32)
    rank[particles[np.lexsort((x, y, z))]] = np.arange(1, particles.size + 1)
    return rank[index]


def compact_labels(labels: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels >= 0 that occur, sorted, and for each voxel the index into them."""
    highest = int(labels.max())
    if highest > labels.size:  # hardly a count of particles; a table of that length would not pay
        names, index = np.unique(labels, return_inverse=True)
        return names.astype(np.int64), index.reshape(labels.shape)
    present = np.bincount(labels.ravel(), minlength=highest + 1) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[labels]


def _centroids(index: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Mean position (n, 3) of the labels 0..n-1, in voxels z, y, x; the centre of the first voxel is at 0.5."""
    count = np.bincount(index.ravel(), minlength=n)
    centroid = np.empty((n, 3))
    for axis, size in enumerate(index.shape):
        # whole numbers until the division, so equal images give equal centroids
        moment = np.zeros(n, dtype=np.int64)
        for k in range(size):
            moment += k * np.bincount(np.take(index, k, axis=axis).ravel(), minlength=n)
        centroid[:, axis] = moment / np.maximum(count, 1) + 0.5
    return centroid


@dataclass(frozen=True, eq=False)
class ParticleFacts:
    """One entry for each particle, in the order of `label`."""

    label: NDArray[np.int32]  # (n,) value in `Electrode.particle`
    volume: NDArray[np.float64]  # (n,) [m3]
    centroid: NDArray[np.float64]  # (n, 3) z, y, x from the corner of the first voxel [m]
    equivalent_diameter: NDArray[np.float64]  # (n,) of the sphere of equal volume [m]
    free_area: NDArray[np.float64]  # (n,) surface towards other phases inside the box, true area [m2]
    coverage: NDArray[np.float64]  # (n,) share of it that touches cbd or electrolyte, NaN without such surface
    live_area: NDArray[np.float64]  # (n,) true area of the reacting faces, those on the separator included [m2]
    touches_boundary: NDArray[np.bool_]  # (n,) reaches a side of the image, so part of it may be cut off

    def __len__(self) -> int:
        return self.label.size


def particle_facts(electrode: "Electrode") -> ParticleFacts:
    """Size, surface and contacts of every particle. Computed once per electrode and kept with it.

    Necks to other particles, the image sides and the separator plane are no free surface (as in
    `Electrode.coverage`); live faces on the separator do count as live.

    **Errors:** `GeometryError` if the electrode has no particle labels.
    """
    if electrode.particle is None:
        raise GeometryError("The electrode has no particle labels: use label_particles(electrode) first.")
    return electrode._particle_facts


def find_particle_facts(electrode: "Electrode") -> ParticleFacts:
    """Compute `ParticleFacts` of an electrode with particle labels."""
    assert electrode.particle is not None
    labels = np.where(electrode.phase == AM, electrode.particle, 0)
    names, index = compact_labels(labels)
    n = names.size
    flat = index.ravel()

    def sums(owner: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(owner, weights=values, minlength=n).astype(np.float64)

    volume = np.bincount(flat, minlength=n).astype(np.float64) * float(np.prod(electrode.voxel_size))
    surface = electrode.free_surface
    inner = ~surface.to_separator
    area = (surface.weight * surface.face_area)[inner]
    owner = flat[surface.am[inner]]
    touched = np.isin(electrode.phase.reshape(-1)[surface.other[inner]], IONIC)
    free = sums(owner, area)
    covered = sums(owner[touched], area[touched])
    live = live_interface(electrode)
    boundary = np.zeros(n, dtype=bool)
    for axis in range(3):
        boundary[np.take(index, [0, -1], axis=axis)] = True
    kept = names > 0
    return ParticleFacts(
        label=names[kept].astype(np.int32),
        volume=volume[kept],
        centroid=(_centroids(index, n) * electrode.voxel_size)[kept],
        equivalent_diameter=np.cbrt(6.0 / np.pi * volume)[kept],
        free_area=free[kept],
        coverage=np.divide(covered, free, out=np.full(n, np.nan), where=free > 0)[kept],
        live_area=sums(flat[live.am], live.weight * live.face_area)[kept],
        touches_boundary=boundary[kept],
    )
