"""Operations on a whole electrode: turn, mirror, trim, pad, resample, divide, calender. Each returns a new one."""

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.choices import MAX_VOXELS
from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.electrode import Electrode, VoxelSize, changed_fractions, voxel_edges
from simulator.geometry.particles import label_particles
from simulator.geometry.phases import AM, CBD, ELECTROLYTE, PHASES, PORE
from simulator.geometry.resample import resample_phase
from simulator.units import parse_length

_AXES = "zyx"
_GROWTH = 1.0  # width of the Gaussian that finds the places between close bodies [shortest voxel edge]


def mirror(electrode: Electrode, axis: str) -> Electrode:
    """Mirror image along `axis`, 'z', 'y' or 'x'. Along z separator and collector change places.

    **Errors:** `GeometryError` for another axis.
    """
    k = _axis(axis)
    particle = None if electrode.particle is None else np.flip(electrode.particle, k)
    return replace(electrode, phase=np.flip(electrode.phase, k), particle=particle)


def extend(electrode: Electrode, thickness: float | str) -> Electrode:
    """A thicker electrode: its own mirror images follow one another along z, up to `thickness` [m] in whole layers.

    The structure repeats with twice the thickness of the image; it has the statistics of the image, and no more.
    Particles that meet their image are one particle, so labels are left out.

    **Errors:** `GeometryError` if `thickness` is below that of the electrode or needs too many voxels.
    """
    wanted = parse_length(thickness, "thickness")
    layers, (nz, ny, nx) = round(wanted / electrode.voxel_size[0]), electrode.shape
    if layers < nz:
        raise GeometryError(
            f"extend makes electrodes thicker: the thickness must be at least {1e6 * electrode.size_m[0]:.4g} um, got "
            f"{1e6 * wanted:.4g} um. Use calender, or crop, for thinner ones."
        )
    if layers * ny * nx > MAX_VOXELS:
        raise GeometryError(
            f"A thickness of {1e6 * wanted:.4g} um needs {layers * ny * nx:.3g} voxels, at most {MAX_VOXELS:.3g} are "
            "allowed. Bare numbers are metres."
        )
    place = np.arange(layers) % (2 * nz)
    return replace(electrode, phase=electrode.phase[np.minimum(place, 2 * nz - 1 - place)], particle=None)


def rotate(electrode: Electrode, quarter_turns: int = 1, axis: str = "z") -> Electrode:
    """Turned by 90 degrees `quarter_turns` times about `axis`, voxel edges with it.

    About z (the default) the electrode keeps its thickness; about y or x another side faces the separator. A positive
    turn takes the first of the two other axes (in the order z, y, x) towards the second, as `numpy.rot90`.

    **Errors:** `GeometryError` for another axis or a number of turns that is not whole.
    """
    k = _axis(axis)
    if isinstance(quarter_turns, bool) or not isinstance(quarter_turns, int | np.integer):
        raise GeometryError(f"quarter_turns must be a whole number, got {quarter_turns!r}; 1 turns by 90 degrees.")
    first, second = (a for a in range(3) if a != k)
    size = list(electrode.voxel_size)
    if quarter_turns % 2:
        size[first], size[second] = size[second], size[first]

    def turned(array: NDArray) -> NDArray:
        return np.rot90(array, quarter_turns, (first, second))

    particle = None if electrode.particle is None else turned(electrode.particle)
    edges = (size[0], size[1], size[2])
    return replace(electrode, phase=turned(electrode.phase), voxel_size=edges, particle=particle)


def trim(electrode: Electrode, least_solid: float = 0.05) -> Electrode:
    """Without the outer layers, on all six sides, whose solid (all but pore) fills less than `least_solid` of a layer.

    **Errors:** `GeometryError` if `least_solid` is not in [0, 1], or nothing remains.
    """
    if not 0.0 <= least_solid <= 1.0:
        raise GeometryError(f"least_solid must be a share in [0, 1], got {least_solid!r}; 0.05 is usual.")
    solid = electrode.phase != PORE
    ranges = []
    for k in range(3):
        share = solid.mean(axis=tuple(a for a in range(3) if a != k))
        kept = np.flatnonzero(share >= least_solid)
        if kept.size == 0:
            raise GeometryError(
                f"No layer along {_AXES[k]} holds {100 * least_solid:g} % solid (at most {100 * share.max():.3g} %). "
                "Lower least_solid."
            )
        ranges.append((int(kept[0]), int(kept[-1]) + 1))
    return electrode.crop(*ranges)


def pad(
    electrode: Electrode,
    z: tuple[int, int] = (0, 0),
    y: tuple[int, int] = (0, 0),
    x: tuple[int, int] = (0, 0),
    phase: str = "pore",
) -> Electrode:
    """With `(before, after)` layers of `phase` added along each axis; before z is the side of the separator.

    **Errors:** `GeometryError` for an unknown phase or a number of layers that is not whole and >= 0.
    """
    if phase not in PHASES:
        raise GeometryError(f"Unknown phase {phase!r}.{did_you_mean(str(phase), PHASES)}")
    if phase == "am" and electrode.particle is not None:
        raise GeometryError("Active material cannot be padded onto an electrode with particle labels: pad it first.")
    widths = []
    for name, given in zip(_AXES, (z, y, x), strict=True):
        pair = tuple(given) if isinstance(given, Sequence) else ()
        if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 for n in pair):
            raise GeometryError(f"pad takes {name}=(before, after) in whole layers >= 0, got {given!r}.")
        widths.append(pair)
    padded = np.pad(electrode.phase, widths, constant_values=PHASES[phase])
    particle = None if electrode.particle is None else np.pad(electrode.particle, widths)
    return replace(electrode, phase=padded, particle=particle)


def resample(electrode: Electrode, voxel_size: VoxelSize) -> Electrode:
    """The same electrode in voxels of another size, coarser or finer, one length or three (z, y, x).

    Each new voxel gets the phase that fills most of it (exact overlaps of the two grids); where two fill equally much,
    the choice keeps the fractions, as `Electrode.coarsen` does. Of the box less than one new voxel is cut off at the
    end of each axis. A `UserWarning` tells if the share of a phase changes by more than
    one point, as thin films do.

    **Errors:** `GeometryError` for a size outside (0, 1e-3] m or larger than the electrode, or if no AM remains.
    """
    size = voxel_edges(voxel_size)
    shape = tuple(int(length / h + 1e-6) for length, h in zip(electrode.size_m, size, strict=True))
    if min(shape) < 1:
        raise GeometryError(
            f"Voxels of {_lengths(size)} do not fit into the electrode of {_lengths(electrode.size_m)}. Choose smaller."
        )
    if math.prod(shape) > MAX_VOXELS:
        raise GeometryError(
            f"Voxels of {_lengths(size)} would make {math.prod(shape):.3g} of them, at most {MAX_VOXELS:.3g} are "
            "allowed. Bare numbers are metres; choose larger voxels."
        )
    phase = resample_phase(electrode.phase, electrode.voxel_size, (shape[0], shape[1], shape[2]), size)
    particle = None
    if electrode.particle is not None:
        # the label at the centre of the new voxel, or the nearest one if no particle is there
        at = np.ix_(
            *(
                np.minimum(((np.arange(n) + 0.5) * h / old).astype(int), m - 1)
                for n, h, old, m in zip(shape, size, electrode.voxel_size, electrode.shape, strict=True)
            )
        )
        nearest = ndimage.distance_transform_edt(
            electrode.particle == 0, sampling=electrode.voxel_size, return_distances=False, return_indices=True
        )
        particle = np.where(phase == AM, electrode.particle[tuple(nearest)][at], 0)
    found = replace(electrode, phase=phase, voxel_size=size, particle=particle)
    if changed := changed_fractions(electrode, found):
        warnings.warn(
            f"Voxels of {_lengths(size)} change phase fractions ({changed}): they are thicker than the structure. "
            "Use smaller ones, or place the phases anew.",
            UserWarning,
            stacklevel=2,
        )
    return found


def subvolumes(electrode: Electrode, parts: int | tuple[int, int, int]) -> Iterator[Electrode]:
    """The electrode cut into `parts` equal boxes along each axis (one number, or z, y, x), in the order of z, y, x.

    Layers that do not divide evenly are left out at the end. Boxes without active material are left out.

    **Errors:** `GeometryError` if there are more parts than layers.
    """
    counts = (parts,) * 3 if not isinstance(parts, Sequence) else tuple(parts)
    whole = len(counts) == 3 and all(isinstance(p, int | np.integer) and not isinstance(p, bool) for p in counts)
    if not whole or any(not 1 <= p <= n for p, n in zip(counts, electrode.shape, strict=True)):
        raise GeometryError(
            f"parts must be whole numbers from 1 to the layers {electrode.shape} (z, y, x), got {parts!r}."
        )
    edges = [
        [(i * (n // p), (i + 1) * (n // p)) for i in range(p)] for p, n in zip(counts, electrode.shape, strict=True)
    ]
    return (
        electrode.crop(z, y, x)
        for z, y, x in itertools.product(*edges)
        if (electrode.phase[slice(*z), slice(*y), slice(*x)] == AM).any()
    )


def calender(electrode: Electrode, thickness: float | str | None = None, *, porosity: float | None = None) -> Electrode:
    """Pressed along z to a smaller thickness; the volumes of all solids are kept, pores give way.

    Particles move as rigid bodies with the layer in which their centre lies, binder and electrolyte with the particle
    next to them. Where bodies would overlap they are taken to yield: the volume that is lost there is put back, to the
    voxel, where free space lies between close bodies of that phase. Coverage follows from that; `place_phases`
    afterwards sets it. Particles neither break nor turn: on a measured cathode pressed by a sixth, volumes of single
    particles change by up to 14 % that way, by a fifth up to 31 %.

    **Arguments:** `thickness` [m], or `porosity` [-] that shall remain; exactly one of them. Both are met to half a
    layer of voxels.

    **Returns:** a new electrode with particle labels (found by `label_particles` if there were none).

    **Errors:** `GeometryError` if neither or both are given, or the solids do not fit.
    """
    nz = electrode.shape[0]
    solids = 1.0 - electrode.porosity
    least = int(np.ceil(solids * nz - 1e-9))
    shortest = least * electrode.voxel_size[0]
    if (thickness is None) == (porosity is None):
        raise GeometryError(
            f"calender takes a thickness or a porosity, got thickness={thickness}, porosity={porosity}."
        )
    if thickness is not None:
        wanted = parse_length(thickness, "thickness") / electrode.voxel_size[0]
    else:
        if not isinstance(porosity, int | float | np.number) or not 0.0 <= porosity <= electrode.porosity:
            raise GeometryError(
                f"porosity must lie in [0, {electrode.porosity:.4f}] (that of the electrode), got {porosity!r}."
            )
        wanted = max(solids / (1.0 - float(porosity)) * nz, float(least))
    layers = round(wanted)
    if not least <= layers <= nz:
        raise GeometryError(
            f"thickness must lie between {1e6 * shortest:.4g} um (no pores left) and "
            f"{1e6 * electrode.size_m[0]:.4g} um (as it is), got {1e6 * wanted * electrode.voxel_size[0]:.4g} um."
        )
    if electrode.particle is None:
        electrode = label_particles(electrode)
    if layers == nz:
        return electrode
    return _pressed(electrode, layers)


def _pressed(electrode: Electrode, layers: int) -> Electrode:
    """`electrode` with `layers` < nz layers along z and all its solid voxels."""
    from skimage.measure import label  # a fifth of a second, needed here alone

    phase, particle = electrode.phase, electrode.particle
    assert particle is not None
    nz = phase.shape[0]
    am = phase == AM
    # What moves as one is a connected piece: a label of a periodic image may have pieces at both ends.
    piece = label(np.where(am, particle, 0), background=0, connectivity=1)
    layer = np.broadcast_to(np.arange(nz)[:, None, None] + 0.5, phase.shape)
    centre = ndimage.mean(layer, piece, np.arange(1, int(piece.max()) + 1))
    shift = np.concatenate([[0], np.round((1.0 - layers / nz) * np.asarray(centre)).astype(np.int64)])
    depth = ndimage.distance_transform_edt(am, sampling=electrode.voxel_size)
    apart, nearest = ndimage.distance_transform_edt(~am, sampling=electrode.voxel_size, return_indices=True)
    owner = piece[tuple(nearest)]  # of every voxel: the piece in it or next to it
    shape = (layers, *phase.shape[1:])

    labels = np.zeros(shape, dtype=np.int32)
    moved, source = _moved(am, depth, owner, shift, layers)  # what lies deepest in its particle wins
    labels.reshape(-1)[moved] = particle.reshape(-1)[source]
    labels = _regrown(labels, int(am.sum()), np.ones(shape, dtype=bool), electrode.voxel_size)
    pressed = np.where(labels > 0, np.uint8(AM), np.uint8(PORE))
    for code in (CBD, ELECTROLYTE):
        body = phase == code
        if not body.any():
            continue
        moved, _ = _moved(body, -apart, owner, shift, layers)
        kept = np.zeros(shape, dtype=np.int32)
        kept.reshape(-1)[moved[pressed.reshape(-1)[moved] == PORE]] = 1
        pressed[_regrown(kept, int(body.sum()), pressed == PORE, electrode.voxel_size) > 0] = code
    return replace(electrode, phase=pressed, particle=labels)


def _moved(
    body: NDArray[np.bool_],
    rank: NDArray[np.float64],
    owner: NDArray[np.int32],
    shift: NDArray[np.int64],
    layers: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat indices of the voxels of `body` after and before the move, those outside the new box left out.

    In ascending `rank`, so that of voxels that meet the last one, with the highest rank, is what is kept.
    """
    _, ny, nx = body.shape
    source = np.flatnonzero(body)
    source = source[np.argsort(rank.reshape(-1)[source], kind="stable")]
    z, rest = np.divmod(source, ny * nx)
    z = z - shift[owner.reshape(-1)[source]]
    inside = (z >= 0) & (z < layers)
    return (z * (ny * nx) + rest)[inside], source[inside]


def _regrown(
    labels: NDArray[np.int32], count: int, allowed: NDArray[np.bool_], voxel_size: tuple[float, float, float]
) -> NDArray[np.int32]:
    """`labels` with exactly `count` voxels > 0: what is missing grows where most of it lies near, and is `allowed`.

    New voxels take the label of the nearest old one.
    """
    missing = count - int(np.count_nonzero(labels))
    if missing == 0:
        return labels
    body = labels > 0
    sigma = [_GROWTH * min(voxel_size) / h for h in voxel_size]
    near = ndimage.gaussian_filter(body.astype(np.float32), sigma, mode="nearest").reshape(-1)
    free = np.flatnonzero((allowed & ~body).reshape(-1))
    nearest = ndimage.distance_transform_edt(~body, sampling=voxel_size, return_distances=False, return_indices=True)
    new = free[np.argsort(-near[free], kind="stable")[:missing]]
    grown = labels.copy()
    grown.reshape(-1)[new] = labels[tuple(nearest)].reshape(-1)[new]
    return grown


def _axis(name: str) -> int:
    if name not in tuple(_AXES):
        raise GeometryError(f"axis must be 'z' (thickness), 'y' or 'x', got {name!r}.")
    return _AXES.index(name)


def _lengths(sizes: tuple[float, float, float]) -> str:
    return " x ".join(f"{1e6 * h:.4g}" for h in sizes) + " um"
