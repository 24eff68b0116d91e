"""The valence of nickel along a line through one particle, as a transmission X-ray microscope shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from simulator.errors import ConfigError
from simulator.geometry import Electrode, label_particles, live_interface
from simulator.geometry.phases import AM
from simulator.units import parse_length, parse_quantity

#: LiNi0.8Co0.1Mn0.1O2: atoms per formula unit, and the valences of those that keep theirs
NICKEL, COBALT, MANGANESE = 0.8, 0.1, 0.1
_COBALT_VALENCE, _MANGANESE_VALENCE, _OXYGEN_CHARGE = 3.0, 4.0, 4.0

#: Lines by name, as [z, y, x].
LINES = {"z": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "x": (0.0, 0.0, 1.0)}
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))  # full width at half maximum of a Gaussian over its standard deviation
_NOTHING = 1e-9  # of one voxel: a region with less holds nothing of the particle but rounding
_EVEN = 1e-2  # contacts whose centre is this close to that of the particle, in its lengths, mark no side

Direction = str | Sequence[float]


class SavedFields(Protocol):
    """A `Solution` or a `RunResult`."""

    @property
    def field_times(self) -> np.ndarray: ...
    def field(self, name: str, *, t: float | None = None) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class NickelProfile:
    """What the regions along a line through one particle show; arrays (regions,), the first region at the start.

    `position`: centre of each region from the edge of the particle [m]; `ratio` of Ni4+ to Ni3+ (infinite without
    Ni3+); `fraction` of Ni4+ in both; `delithiation` 1 - sto: all means over what the beam passes. NaN where a region
    holds nothing of the particle. `image` (along the line, across it): Ni4+ fraction of the projected particle, NaN
    beside it, over `extent` (along from, to, across from, to) [m], the line at 0 across.
    """

    particle: int
    time: float
    direction: tuple[float, float, float]
    beam: tuple[float, float, float]
    position: np.ndarray
    ratio: np.ndarray
    fraction: np.ndarray
    delithiation: np.ndarray
    region_length: float
    region_width: float
    image: np.ndarray
    extent: tuple[float, float, float, float]

    def columns(self) -> dict[str, np.ndarray]:
        """Heading with unit -> (regions,), as in the CSV file."""
        return {
            "position [m]": self.position,
            "Ni4+/Ni3+ [-]": self.ratio,
            "Ni4+ fraction [-]": self.fraction,
            "delithiation [-]": self.delithiation,
        }


def ni4_fraction(sto: np.ndarray) -> np.ndarray:
    r"""Share of Ni4+ in the nickel of NMC811 at stoichiometry `sto`, within [0, 1]; NaN is kept.

    Electroneutrality of Li(x)Ni0.8Co0.1Mn0.1O2 with Co3+, Mn4+ and O2- gives the mean valence of nickel
    $n = (4 - 0.1 \cdot 3 - 0.1 \cdot 4 - x)/0.8 = (3.3 - x)/0.8$: 2.875 at x = 1, 3 at x = 0.9, 4 at x = 0.1.
    Between these two it is read as a mixture of Ni3+ and Ni4+, $f = n - 3 = (y - 0.1)/0.8$ with the delithiation
    $y = 1 - x$, so that $\Delta y = 0.8\,\Delta f$. At x > 0.9 there is Ni2+ and f = 0; at x < 0.1 nickel is used up
    (cobalt and oxygen go on) and f = 1. That nickel compensates before oxygen is an assumption, and so is that of two
    states, by which spectra are evaluated as a ratio of Ni4+ to Ni3+ (An et al. 2023, doi:10.1002/adfm.202305186).
    """
    others = COBALT * _COBALT_VALENCE + MANGANESE * _MANGANESE_VALENCE
    valence = (_OXYGEN_CHARGE - others - np.asarray(sto, dtype=float)) / NICKEL
    return np.clip(valence - 3.0, 0.0, 1.0)


def nickel_profile(
    run: SavedFields,
    particle: int | str = "largest",
    *,
    t: float | str | None = None,
    direction: Direction = "contact",
    length: float | str | None = None,
    regions: int = 4,
    width: float | str | None = None,
    spot: float | str = 0.0,
    thickness: float | str | None = None,
    beam: Direction | None = None,
    electrode: Electrode | None = None,
) -> NickelProfile:
    r"""Ni4+/Ni3+ of equal regions on a line through the centre of a particle of NMC811, seen in transmission.

    The beam passes the whole particle, or a lamella cut around its centre, so each point of the image is the sum over
    the depth; optical densities of Ni4+ and Ni3+ are taken as proportional to their amounts. A region is the rectangle
    of `length`/`regions` along the line and `width` across it, and a voxel v counts with its share $w_v$ in the region
    blurred by the spot and in the lamella:

    $$r = \sum_v w_v f_v \Big/ \sum_v w_v (1 - f_v), \qquad f: \texttt{ni4\_fraction}.$$

    **Arguments:** `particle`: label, or "largest" by volume (also one that the image cuts). `t` [s]: the saved moment
    nearest to it (None: the last). `direction`: three numbers [z, y, x], "z", "y", "x", or "contact": from the side on
    which the particle reacts (centre of its live faces) through its centre. The line begins at the edge of the
    particle. `length` [m] of all regions together (None: through the particle), `width` [m] (None: square regions).
    `spot` [m]: full width at half maximum of the Gaussian spot. `thickness` [m] of the lamella (None: the whole
    particle). `beam`: direction of the X-rays, as `direction` but for "contact" (None: the axis of the image most
    nearly perpendicular to the line); its part along the line does not count. Lengths may be texts with a unit.
    `electrode`: the one of the cell; needed for a solution in memory, and for a result file whose particle labels were
    not found by `label_particles`.

    **Errors:** ConfigError for a run without saved `sto`, a particle that does not exist, lengths that do not fit the
    particle or the voxels, directions without a length, or contacts that mark no side.
    """
    electrode = _labelled(run, electrode)
    moment = None if t is None else parse_quantity(t, "time", "t")
    sto = np.asarray(run.field("sto", t=moment), dtype=float)
    times = run.field_times
    time = float(times[-1] if moment is None else times[np.argmin(np.abs(times - moment))])
    if sto.shape != electrode.shape:
        raise ConfigError(
            f"The electrode has {electrode.shape} voxels, the saved fields {sto.shape}. Give the run's own."
        )
    label = _chosen(electrode, particle)
    voxels = np.argwhere(_labels(electrode) == label)
    size = np.array(electrode.voxel_size)
    place = (voxels + 0.5) * size
    centre = place.mean(axis=0)
    line = _line(direction, electrode, label, centre, np.ptp(place, axis=0).max())
    ray = _beam(beam, line)
    axes = (line, np.cross(ray, line), ray)
    along, across, depth = ((place - centre) @ axis for axis in axes)
    pitch, breadth, height = (float(np.abs(axis) @ size) for axis in axes)  # of a voxel along each of them
    share = np.ones(depth.size)
    if thickness is not None:
        half = 0.5 * _positive(thickness, "thickness")
        share = _share(depth, -half, half, height, 0.0)
    on_line = (np.abs(across) <= breadth) & (share > 0.0)
    step, half_width, begin = _regions(along[on_line], pitch, length, regions, width)
    sigma = _spot(spot) / _FWHM
    value = sto[tuple(voxels.T)]
    nickel_4 = ni4_fraction(value)
    edges = begin + step * np.arange(regions + 1)
    weight = np.stack([_share(along, a, b, pitch, sigma) for a, b in pairwise(edges)])
    weight = weight * _share(across, -half_width, half_width, breadth, sigma) * share
    total = weight.sum(axis=1)
    total = np.where(total > _NOTHING, total, np.nan)
    fraction, delithiation = (weight @ nickel_4) / total, (weight @ (1.0 - value)) / total
    with np.errstate(divide="ignore"):
        ratio = (weight @ nickel_4) / np.where(np.isnan(total), np.nan, weight @ (1.0 - nickel_4))
    image, extent = _projection(along - begin, across, nickel_4, share, float(size.max()), sigma)
    return NickelProfile(
        particle=label,
        time=time,
        direction=_triple(line),
        beam=_triple(ray),
        position=step * (np.arange(regions) + 0.5),
        ratio=ratio,
        fraction=fraction,
        delithiation=delithiation,
        region_length=step,
        region_width=2.0 * half_width,
        image=image,
        extent=extent,
    )


def _triple(vector: np.ndarray) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in vector)
    return z, y, x


def _labels(electrode: Electrode) -> np.ndarray:
    assert electrode.particle is not None
    return np.where(electrode.phase == AM, electrode.particle, 0)


def _labelled(run: Any, electrode: Electrode | None) -> Electrode:
    """The electrode of the run with particle labels."""
    if electrode is not None:
        return electrode if electrode.particle is not None else label_particles(electrode)
    if not hasattr(run, "phase"):
        raise ConfigError(
            "A solution in memory holds no image. Give electrode=cell.electrode, or read its result file."
        )
    found = label_particles(Electrode(run.phase, run.voxel_size))
    if run.particles is not None:
        labels, counts = np.unique(_labels(found), return_counts=True)
        volume = counts[labels > 0] * np.prod(run.voxel_size)
        # rounding of a product of three lengths
        if volume.size != run.particles.volume.size or not np.allclose(volume, run.particles.volume, rtol=1e-9):
            raise ConfigError(
                "The particles of this run were not found by label_particles, and the file does not hold their labels. "
                "Give electrode=, the one that was simulated."
            )
    return found


def _chosen(electrode: Electrode, particle: int | str) -> int:
    labels, counts = np.unique(_labels(electrode), return_counts=True)
    known = dict(zip(labels[labels > 0].tolist(), counts[labels > 0].tolist(), strict=True))
    if particle == "largest":
        return int(max(known, key=lambda label: known[label]))
    if isinstance(particle, bool) or particle not in known:
        raise ConfigError(
            f"There is no particle {particle!r}: give a number from {min(known)} to {max(known)}, or 'largest'."
        )
    return int(particle)


def _line(direction: Direction, electrode: Electrode, label: int, centre: np.ndarray, length: float) -> np.ndarray:
    if direction != "contact":
        return _unit(direction, "direction", ", or 'contact'")
    faces = live_interface(electrode)
    mine = _labels(electrode).reshape(-1)[faces.am] == label
    if not mine.any():
        raise ConfigError(f"Particle {label} has no live contact. Give a direction, [0, 0, 1] for example.")
    voxel = np.stack(np.unravel_index(faces.am[mine], electrode.shape), axis=1)
    place = (voxel + 0.5) * np.array(electrode.voxel_size)
    inward = centre - np.average(place, axis=0, weights=(faces.weight * faces.face_area)[mine])
    if np.linalg.norm(inward) <= _EVEN * length:
        raise ConfigError(f"The contacts of particle {label} mark no side: they surround it. Give a direction.")
    return inward / np.linalg.norm(inward)


def _unit(direction: Direction, name: str, more: str = "") -> np.ndarray:
    given = LINES.get(direction) if isinstance(direction, str) else direction
    try:
        vector = np.array(given, dtype=float)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise ConfigError(
            f"{name} must be three numbers [z, y, x] that are not all zero, 'z', 'y' or 'x'{more}, got {direction!r}."
        )
    return vector / np.linalg.norm(vector)


def _beam(beam: Direction | None, line: np.ndarray) -> np.ndarray:
    """Unit vector of the beam, perpendicular to `line`."""
    axis = np.eye(3)[int(np.argmin(np.abs(line)))] if beam is None else _unit(beam, "beam")
    across = axis - (axis @ line) * line
    if np.linalg.norm(across) < 1e-6:  # rounding
        raise ConfigError(f"beam = {beam!r} is parallel to the line: nothing could be seen along it. Turn one of them.")
    return across / np.linalg.norm(across)


def _positive(value: float | str, name: str) -> float:
    length = parse_length(value, name)
    if length <= 0.0:
        raise ConfigError(f"{name} must be above 0 m, got {value!r}. Bare numbers are metres.")
    return length


def _spot(spot: float | str) -> float:
    size = parse_length(spot, "spot")
    if size < 0.0:
        raise ConfigError(f"spot must be 0 (no blur) or more, got {spot!r}. Bare numbers are metres.")
    return size


def _regions(
    on_line: np.ndarray, pitch: float, length: float | str | None, regions: int, width: float | str | None
) -> tuple[float, float, float]:
    """Length of a region, half its width, and where the first begins [m], from the voxels on the line."""
    if isinstance(regions, bool) or not isinstance(regions, int | np.integer) or regions < 1:
        raise ConfigError(f"regions must be a whole number above 0, got {regions!r}.")
    if not on_line.size:
        raise ConfigError("The line through the centre meets nothing of the particle. Give another direction.")
    begin, chord = float(on_line.min()) - 0.5 * pitch, float(np.ptp(on_line)) + pitch
    total = chord if length is None else _positive(length, "length")
    if total > chord * (1.0 + 1e-9):
        raise ConfigError(f"length = {length!r} is longer than the particle on this line, {chord:.4g} m. Give less.")
    step = total / regions
    if step < pitch * (1.0 - 1e-9):
        raise ConfigError(
            f"{regions} regions on {total:.4g} m are shorter than a voxel, {pitch:.4g} m. Take fewer, or a longer line."
        )
    return step, 0.5 * (step if width is None else _positive(width, "width")), begin


def _share(at: np.ndarray, low: float, high: float, extent: float, sigma: float) -> np.ndarray:
    r"""Share of voxels with centres `at` and length `extent` in [low, high], blurred by a Gaussian of `sigma` [m].

    The mean of the blurred interval over the voxel, from $E(t) = \int \frac12\mathrm{erf}(t/\sqrt2\sigma) dt$.
    """

    def primitive(t: np.ndarray) -> np.ndarray:
        if sigma == 0.0:
            return 0.5 * np.abs(t)
        bell = sigma / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * np.square(t / sigma))
        return 0.5 * t * erf(t / (np.sqrt(2.0) * sigma)) + bell

    half = 0.5 * extent
    inside = primitive(high - at + half) - primitive(high - at - half)
    return np.maximum(inside - primitive(low - at + half) + primitive(low - at - half), 0.0) / extent


def _projection(
    along: np.ndarray, across: np.ndarray, nickel_4: np.ndarray, share: np.ndarray, pixel: float, sigma: float
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Ni4+ fraction of the projected particle in pixels of one voxel, and their extent [m]."""
    low = [along.min() - 1.5 * pixel, across.min() - 1.5 * pixel]
    count = [int(np.ceil((v.max() + 1.5 * pixel - a) / pixel)) for v, a in zip((along, across), low, strict=True)]
    box = [(a, a + n * pixel) for a, n in zip(low, count, strict=True)]
    total, _, _ = np.histogram2d(along, across, bins=count, range=box, weights=share)
    oxidised, _, _ = np.histogram2d(along, across, bins=count, range=box, weights=share * nickel_4)
    # a line that is not an axis leaves pixels without a voxel's centre: half a pixel closes them
    blur = max(sigma / pixel, 0.5)
    total, oxidised = gaussian_filter(total, blur), gaussian_filter(oxidised, blur)
    seen = total > 0.05 * np.median(total[total > 0.0])
    image = np.divide(oxidised, total, out=np.full(total.shape, np.nan), where=seen)
    return image, (float(box[0][0]), float(box[0][1]), float(box[1][0]), float(box[1][1]))
