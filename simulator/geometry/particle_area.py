r"""True area of the voxel staircase particle by particle: normals of each particle alone, and the Crofton area.

`free_surface` smooths the mask of all active material at once. Where two particles touch, or lie a voxel apart, the
smoothing bridges the gap, the normals turn along it and area is lost (5 to 16 % in packings of spheres of 8 voxels a
radius). The mask of one particle knows nothing of its neighbours: its normals are those of the particle alone.

The area of a whole particle follows from its voxel faces without any normal. Cauchy and Crofton: a surface seen along
the direction $u$ covers $F(u)=\int|n\cdot u|\,dA$, folds counted each time, and $A=2\langle F\rangle$ over all
directions. On voxels $F$ is known along three of them, as the sum of the areas of the faces normal to each axis.
They stand at right angles whatever the edges of the voxels, so each speaks for a third of all directions:

    A = 2/3 (F_z + F_y + F_x)

Exact if every orientation is equally common, as on spheres, and for their halves and octants. A plane with the normal
n gets 2/3 (|n_z| + |n_y| + |n_x|) of its area, between -33 % (along an axis) and +15 % (along the space diagonal).

Source: Santalo (2004), Integral Geometry and Geometric Probability, doi:10.1017/CBO9780511617331; Legland, Kieu,
Devaux (2007), doi:10.5566/ias.v26.p83-92, for directions and their weights on voxels.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.geometry.area import SIGMA, FreeSurface, orientation, repair_vanishing, smoothed_mask, smoothing_reach
from simulator.geometry.particles import compact_labels

#: the choices of `Electrode.area` that go by particles
LABELLED_AREAS = ("particles", "rescaled")
#: Particles with fewer free faces keep their weights: on so few the Crofton area is no better.
LEAST_FACES = 200


def with_own_normals(
    surface: FreeSurface, am: NDArray[np.bool_], particle: NDArray[np.integer], sigma: float = SIGMA
) -> FreeSurface:
    """`surface` with the weight of each face from the smoothed mask of the one particle that it belongs to.

    Smoothing, stencil, sides of the image and the repair of weights that vanish are those of `free_surface`. Whatever
    touches the particle, pore or another particle, counts as outside, so that a neck between two particles ends both
    of them in a flat cut.

    **Arguments:** `am` (nz, ny, nx) bool; `particle` (nz, ny, nx): labels >= 0; active material with the label 0 is
    taken as one more particle.
    """
    index = _labels_from_one(am, particle)
    margin = smoothing_reach(surface.voxel_size, sigma)
    after = np.where(surface.am_first, surface.other, surface.am)
    owner = index.reshape(-1)[surface.am]
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(1, int(index.max()) + 2))
    weight = np.empty(after.size)
    for number, box in enumerate(ndimage.find_objects(index)):
        faces = order[ends[number] : ends[number + 1]]
        if faces.size == 0:
            continue
        cut = tuple(
            slice(max(side.start - more, 0), min(side.stop + more, n))
            for side, more, n in zip(box, margin, surface.shape, strict=True)
        )
        body = index[cut] == number + 1
        shape = (body.shape[0], body.shape[1], body.shape[2])
        strides = (shape[1] * shape[2], shape[2], 1)
        smooth, offset = smoothed_mask(body, surface.voxel_size, sigma)
        place = np.unravel_index(after[faces], surface.shape)
        inside = sum((p - c.start) * stride for p, c, stride in zip(place, cut, strides, strict=True))
        for axis in range(3):
            normal = surface.axis[faces] == axis
            weight[faces[normal]] = orientation(
                smooth, offset, inside[normal], axis, shape, strides, surface.voxel_size
            )
    repair_vanishing(weight, surface.am, surface.axis, am.size)
    return replace(surface, weight=weight)


def with_crofton_area(surface: FreeSurface, am: NDArray[np.bool_], particle: NDArray[np.integer]) -> FreeSurface:
    """`surface` with the weights of each particle scaled by one factor, to its three-direction Crofton area.

    Particles with fewer than `LEAST_FACES` free faces keep their weights. Faces on the separator plane count for
    nothing here and keep theirs: the plane cuts the particles, and its area is known. Weights may exceed 1.

    **Arguments:** as in `with_own_normals`.
    """
    owner = _labels_from_one(am, particle).reshape(-1)[surface.am]
    inner = ~surface.to_separator
    counted = np.bincount(owner, weights=inner)
    crofton = (2.0 / 3.0) * np.bincount(owner, weights=surface.face_area * inner)
    weighted = np.bincount(owner, weights=surface.weight * surface.face_area * inner)
    scaled = counted >= LEAST_FACES
    factor = np.divide(crofton, weighted, out=np.ones(counted.size), where=scaled)
    return replace(surface, weight=np.where(inner, factor[owner], 1.0) * surface.weight)


def _labels_from_one(am: NDArray[np.bool_], particle: NDArray[np.integer]) -> NDArray[np.int64]:
    """The labels that occur in `am` renumbered 1..n without gaps, one more for those that are 0 there; 0 outside."""
    unlabelled = am & (particle == 0)
    labels = np.where(am, particle, 0)
    names, index = compact_labels(labels)
    index = index + (1 if names[0] > 0 else 0)  # without a voxel outside, the first label would be number 0
    index[unlabelled] = index.max() + 1
    return index
