"""Metrics of an electrode: areas between phases, chords, particle sizes, coverage, tortuosity. On the host.

Everything is a plain function of the voxels. `measure_electrode` collects all of it, and `representative_volume` tells
how far the numbers of one image can be trusted.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import ConfigError, GeometryError
from simulator.geometry.area import SIGMA, face_areas, free_surface, smoothing_reach
from simulator.geometry.effective import effective_conductivity
from simulator.geometry.metrics_access import checked_mask
from simulator.geometry.phases import AM, ELECTRONIC, IONIC, PHASES

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode
    from simulator.geometry.particles import ParticleFacts

AXES = ("z", "y", "x")
SEPARATOR_PLANE = "separator"
#: networks that are no single phase: name -> codes of the phases that conduct
NETWORKS = {"ionic network": IONIC, "electronic network": ELECTRONIC}


@dataclass(frozen=True)
class PhaseArea:
    """Area between two phases [m2]."""

    raw: float  # sum of the voxel faces, 1 to sqrt(3) times too large on smooth surfaces
    corrected: float  # estimate of the true area; the same number where `Electrode.area` is 'raw'


def phase_areas(electrode: "Electrode") -> dict[tuple[str, str], PhaseArea]:
    r"""Area between every two phases of the image that touch, and of each phase with the separator plane.

    Raw: sum of the voxel faces. Corrected: each face weighted with $w=|n\cdot e_{face}|$, $n$ from the smoothed mask
    of a phase (`free_surface`). Faces of active material have the weights of the reaction, as `Electrode.area` says. A
    face between two other phases has the mean of the weights from both masks, so that the answer does not
    depend on the order of the two; there the masks are mirrored at the separator, where only the active material ends.
    Both kinds agree where two phases share a smooth surface. Where three phases meet, the normals of the masks differ,
    and the result is an estimate. The separator plane is flat: its area is that of its voxel faces, but for active
    material that of the reaction.

    **Returns:** (first, second) -> `PhaseArea`, both in the order of `PHASES`, then (phase, 'separator'); pairs that
    do not touch are left out.

    **Source:** see `simulator.geometry.area`; mesh-free face weights after Coeurjolly, Flin, Teytaud, Tougne (2003),
    doi:10.1007/3-540-36586-9_7.
    """
    raw, corrected = _pair_sums(electrode)
    face = face_areas(electrode.voxel_size)[0]
    areas: dict[tuple[str, str], PhaseArea] = {}
    codes = sorted(PHASES.items(), key=lambda item: item[1])
    for i, (first, a) in enumerate(codes):
        for second, b in codes[i + 1 :]:
            if raw[a, b] > 0:
                areas[first, second] = PhaseArea(float(raw[a, b]), float(corrected[a, b]))
    surface = electrode.free_surface
    at_separator = float((surface.weight * surface.face_area)[surface.to_separator].sum())
    for name, code in codes:
        plane = float(np.count_nonzero(electrode.phase[0] == code) * face)
        if plane > 0:
            areas[name, SEPARATOR_PLANE] = PhaseArea(plane, at_separator if code == AM else plane)
    return areas


def _pair_sums(electrode: "Electrode") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raw and corrected area between the phases of two codes [m2], symmetric (n, n)."""
    n = max(PHASES.values()) + 1
    raw, weighted = np.zeros((n, n)), np.zeros((n, n))
    flat = electrode.phase.reshape(-1)
    own = electrode.free_surface
    inner = ~own.to_separator
    beside, area = flat[own.other[inner]], own.face_area[inner]
    raw[AM] = np.bincount(beside, weights=area, minlength=n)
    weighted[AM] = np.bincount(beside, weights=area * own.weight[inner], minlength=n)
    raw[:, AM], weighted[:, AM] = raw[AM], weighted[AM]
    others = [code for code in electrode.labels.values() if code != AM]
    if len(others) < 2:
        return raw, weighted
    mirrored = smoothing_reach(electrode.voxel_size)[0]  # layers at the separator
    shift = mirrored * electrode.shape[1] * electrode.shape[2]
    for code in others:
        mask = np.pad(electrode.phase == code, ((mirrored, 0), (0, 0), (0, 0)), mode="symmetric")
        surface = free_surface(mask, electrode.voxel_size, sigma=None if electrode.area == "raw" else SIGMA)
        # faces within the image: the mirrored layers join it without one
        kept = (surface.am >= shift) & (surface.other >= shift)
        beside, area = flat[surface.other[kept] - shift], surface.face_area[kept]
        pair = beside != AM
        raw[code] += np.bincount(beside[pair], weights=area[pair], minlength=n)
        half = np.bincount(beside[pair], weights=(area * surface.weight[kept])[pair], minlength=n) / 2
        weighted[code] += half
        weighted[:, code] += half
    return raw, weighted


@dataclass(frozen=True, eq=False)
class ChordLengths:
    """Chords (runs of voxels) of a mask along one axis."""

    axis: int
    length: NDArray[np.float64]  # (m,) lengths of whole chords that occur, ascending [m]
    count: NDArray[np.int64]  # (m,) whole chords of each length
    cut: int  # chords that end at a side of the image; in neither of the above
    mean: float  # of the whole chords, each counted once [m]; NaN without one
    mean_by_crossings: float  # 2 x share of the mask / ends of chords per length [m]; cut ones count

    @property
    def share(self) -> NDArray[np.float64]:
        """(m,) share of each length in the number of whole chords [-]."""
        return self.count / self.count.sum() if self.count.size else np.zeros(0)


def chord_lengths(
    mask: ArrayLike, voxel_size: float | Sequence[float] | NDArray[np.floating], axis: int = 0
) -> ChordLengths:
    """Lengths of the chords of a mask: runs of True along every line of voxels of one axis.

    Chords cut by a side of the image are left out of the distribution and of its `mean`, since their length is not
    known. Long chords are cut more often, so that both are biased to short ones as soon as chords come close to the
    size of the image. `mean_by_crossings` has no such bias in a homogeneous material: twice the share of the mask over
    the number of ends per length, as every chord has two ends, inside the image or not. n voxels show the ends at n - 1
    faces between them. Infinite if no chord ends inside, NaN without a voxel.

    **Arguments:** `mask` (nz, ny, nx) bool; `voxel_size`: one length or three (z, y, x) [m]; `axis`: 0, 1 or 2.

    **Returns:** `ChordLengths`, every line of voxels taken. `apply_chords(trim_edges=True)` with `chord_counts` of
    PoreSpy finds the same chords on every second line, but drops those within the four sides along the axis.

    **Errors:** `GeometryError` if the mask is not 3D bool; `ConfigError` for another axis or voxel size.

    **Source:** Torquato, Lu (1993), doi:10.1103/PhysRevE.47.2950, chord-length distribution; Gostick et al. (2019),
    doi:10.21105/joss.01296, PoreSpy.
    """
    chosen = checked_mask(mask)
    _check_axis(axis)
    size = np.broadcast_to(np.asarray(voxel_size, dtype=float), (3,)) if np.size(voxel_size) in (1, 3) else np.zeros(0)
    if size.size != 3 or not (np.isfinite(size).all() and size.min() > 0):
        raise ConfigError(f"voxel_size must be one positive length or three [m], got {voxel_size!r}.")
    lines = np.moveaxis(chosen, axis, -1)
    n = lines.shape[-1]
    padded = np.zeros((lines.shape[0] * lines.shape[1], n + 2), dtype=np.int8)
    padded[:, 1:-1] = lines.reshape(-1, n)
    change = np.diff(padded, axis=1).ravel()
    # every run begins and ends in its own line, so that the two lists belong together
    begin, end = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    voxels = end - begin
    at_low, at_high = begin % (n + 1) == 0, end % (n + 1) == n
    whole = ~(at_low | at_high)
    count = np.bincount(voxels[whole], minlength=n + 1)
    occurring = np.flatnonzero(count)
    step = float(size[axis])
    ends = 2 * begin.size - int(at_low.sum()) - int(at_high.sum())
    # length of all chords, over the part of a line on which ends are seen
    total = step * int(voxels.sum()) * (n - 1) / n
    return ChordLengths(
        axis=int(axis),
        length=step * occurring.astype(np.float64),
        count=count[occurring],
        cut=int(np.count_nonzero(~whole)),
        mean=step * float(voxels[whole].mean()) if whole.any() else float("nan"),
        mean_by_crossings=2 * total / ends if ends else (float("inf") if begin.size else float("nan")),
    )


@dataclass(frozen=True, eq=False)
class SizeDistribution:
    """Particles sorted by diameter, with the share up to and including each."""

    diameter: NDArray[np.float64]  # (n,) of the sphere of equal volume, ascending [m]
    by_volume: NDArray[np.float64]  # (n,) cumulative share of the volume [-]
    by_number: NDArray[np.float64]  # (n,) cumulative share of the number [-]

    def __len__(self) -> int:
        return self.diameter.size

    def percentile(self, percent: float, weight: str = "volume") -> float:
        """d10, d50, d90 and the like [m]: `percent` of the volume (or 'number') is in particles up to this diameter.

        The diameter of a particle, without interpolation; NaN if there is none.

        **Errors:** `ConfigError` for a percentage outside (0, 100] or another weight.
        """
        if not 0 < percent <= 100:
            raise ConfigError(f"percent must lie in (0, 100], got {percent}; 50 is the median.")
        if weight not in ("volume", "number"):
            raise ConfigError(f"weight must be 'volume' or 'number', got {weight!r}.")
        share = self.by_volume if weight == "volume" else self.by_number
        if not share.size:
            return float("nan")
        # a share that is reached but for rounding is reached
        found = int(np.searchsorted(share, percent / 100 * (1 - 1e-12)))
        return float(self.diameter[min(found, share.size - 1)])


def size_distribution(particles: "ParticleFacts", *, cut_particles: bool = True) -> SizeDistribution:
    """Particle size distribution by volume and by number.

    `cut_particles=False` leaves out the particles that touch a side of the image. Those are too small as measured; but
    large particles are cut more often, so that without them the distribution leans to the small ones. The truth lies
    between as long as particles are small against the image.
    """
    chosen = np.ones(len(particles), dtype=bool) if cut_particles else ~particles.touches_boundary
    diameter, volume = particles.equivalent_diameter[chosen], particles.volume[chosen]
    order = np.argsort(diameter, kind="stable")
    total = np.cumsum(volume[order])
    return SizeDistribution(
        diameter=diameter[order],
        by_volume=total / total[-1] if total.size else total,
        by_number=np.arange(1, total.size + 1) / max(total.size, 1),
    )


def surface_ratio(particles: "ParticleFacts") -> NDArray[np.float64]:
    """(n,) free surface of each particle over the surface of the sphere of equal volume [-].

    1 for a sphere, above for rough or long particles (the reciprocal of Wadell's sphericity); necks and image sides are
    no free surface, so that particles in contact or cut have less than their shape alone would give.
    """
    return particles.free_area / (np.pi * particles.equivalent_diameter**2)


@dataclass(frozen=True, eq=False)
class CoverageDistribution:
    """Coverage of the particles: how many, and how much of the surface, lie in each interval."""

    edges: NDArray[np.float64]  # (bins + 1,) coverage [-]; the last interval includes 1
    number: NDArray[np.int64]  # (bins,) particles
    area_share: NDArray[np.float64]  # (bins,) share of the free surface of all particles [-]
    mean: float  # weighted by free area [-]: the coverage of the electrode
    std: float  # standard deviation between particles, weighted by free area [-]


def coverage_distribution(particles: "ParticleFacts", bins: int = 20) -> CoverageDistribution:
    """Histogram of the coverage of the particles; those without free surface are left out.

    **Errors:** `ConfigError` if `bins` is not a whole number >= 1.
    """
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ConfigError(f"bins must be a whole number >= 1, got {bins!r}.")
    edges = np.linspace(0.0, 1.0, int(bins) + 1)
    some = particles.free_area > 0
    coverage, area = np.clip(particles.coverage[some], 0.0, 1.0), particles.free_area[some]
    whole = float(area.sum())
    number = np.histogram(coverage, edges)[0]
    if whole <= 0:
        return CoverageDistribution(edges, number, np.zeros(int(bins)), float("nan"), float("nan"))
    mean = float((area * coverage).sum() / whole)
    spread = float(np.sqrt((area * (coverage - mean) ** 2).sum() / whole))
    return CoverageDistribution(edges, number, np.histogram(coverage, edges, weights=area)[0] / whole, mean, spread)


def conductors(electrode: "Electrode") -> dict[str, tuple[int, ...]]:
    """Name -> codes of what can conduct: the phases that occur, and the ionic and the electronic network."""
    present = set(electrode.labels.values())
    found = {name: (code,) for name, code in electrode.labels.items()}
    networks = {name: tuple(code for code in codes if code in present) for name, codes in NETWORKS.items()}
    return found | {name: codes for name, codes in networks.items() if codes}


def tortuosity(
    electrode: "Electrode",
    axes: Sequence[int] = (0, 1, 2),
    *,
    names: Sequence[str] | None = None,
    rtol: float = 1e-3,
) -> dict[str, dict[int, float]]:
    r"""Tortuosity factor of every phase, of the ionic network (cbd, electrolyte) and the electronic one (am, cbd).

    $\tau=\varepsilon\sigma/\sigma_{eff}$ with the phases of a network conducting alike and nothing else;
    $\varepsilon$ is their fraction of the image, parts without connection included. `effective_conductivity` solves.

    **Arguments:** `axes`: directions, of 0, 1, 2; `names`: some of `conductors(electrode)`, default all; `rtol`:
    relative error.

    **Returns:** name -> axis -> tortuosity factor [-]; infinite where no path leads from side to side.

    **Errors:** `GeometryError` for a name that does not occur; `ConfigError` for an axis or `rtol`; `ConvergenceError`.
    """
    for axis in axes:
        _check_axis(axis)
    known = conductors(electrode)
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise GeometryError(f"Nothing named {unknown[0]!r} conducts in this image; there are {', '.join(known)}.")
    solved: dict[tuple[int, ...], dict[int, float]] = {}  # a network of one phase is that phase
    found: dict[str, dict[int, float]] = {}
    for name in known if names is None else names:
        codes = known[name]
        if codes not in solved:
            mask = np.isin(electrode.phase, codes)
            solved[codes] = {
                int(axis): mask_tortuosity(mask, electrode.voxel_size, int(axis), rtol=rtol) for axis in axes
            }
        found[name] = dict(solved[codes])
    return found


def mask_tortuosity(
    mask: NDArray[np.bool_], voxel_size: tuple[float, float, float], axis: int, *, rtol: float = 1e-3
) -> float:
    """Tortuosity factor of a mask along one axis [-]; infinite, without a warning, if no path leads through it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No cluster connects", UserWarning)
        return effective_conductivity(mask, voxel_size, axis, rtol=rtol).tortuosity


def _check_axis(axis: object) -> None:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis not in (0, 1, 2):
        raise ConfigError(f"axis must be 0, 1 or 2 (z, y or x), got {axis!r}.")
