"""The electrode: a segmented voxel image in canonical phase codes, with its size, on the host."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.choices import AREAS
from simulator.errors import GeometryError, did_you_mean
from simulator.geometry.area import FreeSurface, free_surface
from simulator.geometry.connectivity import (
    NO_ELECTRONS,
    NO_IONS,
    Connectivity,
    find_connectivity,
)
from simulator.geometry.labels import DEFAULT_LABELS, check_image, label_table, remap
from simulator.geometry.metrics_access import side_access
from simulator.geometry.particle_area import LABELLED_AREAS, with_crofton_area, with_own_normals
from simulator.geometry.particles import ParticleFacts, find_particle_facts, label_particles
from simulator.geometry.phases import AM, IONIC, PHASES, PORE
from simulator.geometry.resample import coarsen_labels, coarsen_phase
from simulator.units import parse_length

_MAX_VOXEL = 1e-3  # [m]; larger means micrometres were given as metres
_MAX_SHIFT = 1.0  # points by which coarsening may change a phase fraction without a warning

VoxelSize = float | str | Sequence[float | str]
Range = tuple[int | None, int | None] | slice | None


@dataclass(frozen=True, eq=False, repr=False)
class Electrode:
    """Voxel image of a composite cathode. Axes [z, y, x]; separator before z = 0, collector after the last z.

    `phase` holds canonical codes (`phases.PHASES`) and is read-only; build one from an image with any codes
    by `from_array` or `load_electrode`. An electrode without an ionic phase is legal, since the separator is
    ionic. Everything derived (surface, connectivity) is computed on first use and kept.

    `area` says how voxel faces of the active material are weighted to true area: 'smoothed' (`free_surface`),
    'particles' (`with_own_normals`: better where particles touch), 'rescaled' (these, scaled by `with_crofton_area`:
    whole particles right, planes not), 'raw' (voxel faces as they are, w = 1). The two in the middle go by `particle`,
    or, if that is None, by the labels that `label_particles` gives.

    **Errors:** `GeometryError` if `phase` is not 3D, holds other codes or no AM, if `voxel_size` is not in
    (0, 1e-3] m, if `particle` does not match, or for an unknown `area`.
    """

    phase: NDArray[np.uint8]  # (nz, ny, nx)
    voxel_size: tuple[float, float, float]  # (dz, dy, dx) [m]
    particle: NDArray[np.int32] | None = None  # (nz, ny, nx) particle labels, 0 = none
    name: str = "electrode"
    area: str = "smoothed"

    def __post_init__(self) -> None:
        if self.area not in AREAS:
            raise GeometryError(f"area cannot be {self.area!r}.{did_you_mean(str(self.area), AREAS)}")
        phase = np.asarray(self.phase)
        check_image(phase)
        codes = sorted(PHASES.values())
        lowest, highest = int(phase.min()), int(phase.max())
        if lowest < codes[0] or highest > codes[-1]:
            raise GeometryError(
                f"Electrode.phase must hold the codes {PHASES}, got values {lowest}..{highest}. "
                "Use Electrode.from_array(image, labels={...}) for other codes."
            )
        phase = np.array(phase, dtype=np.uint8, order="C")
        if not (phase == AM).any():
            raise GeometryError(
                f"The electrode holds no active material (code {AM}): AM is mandatory. "
                "Check the 'am' label or the crop."
            )
        phase.flags.writeable = False
        object.__setattr__(self, "phase", phase)
        object.__setattr__(self, "voxel_size", voxel_edges(self.voxel_size))
        if self.particle is not None:
            particle = np.asarray(self.particle)
            if particle.shape != phase.shape or particle.dtype.kind not in "iu":
                raise GeometryError(
                    f"particle must hold integer labels of the image's shape {phase.shape}, got "
                    f"{particle.dtype} of shape {particle.shape}. Give both in the same axis order."
                )
            if int(particle.min()) < 0 or int(particle.max()) > np.iinfo(np.int32).max:
                raise GeometryError(
                    f"particle labels must lie in 0..{np.iinfo(np.int32).max} (0 = none), got "
                    f"{particle.min()}..{particle.max()}. Renumber them."
                )
            particle = np.array(particle, dtype=np.int32, order="C")
            particle.flags.writeable = False
            object.__setattr__(self, "particle", particle)

    @classmethod
    def from_array(
        cls,
        phase: ArrayLike,
        voxel_size: VoxelSize = (1e-6, 1e-6, 1e-6),
        labels: Mapping[str, int | Sequence[int]] = DEFAULT_LABELS,
        thickness_axis: int = 0,
        separator_side: str = "start",
        particle: ArrayLike | None = None,
        name: str = "electrode",
    ) -> "Electrode":
        """Electrode from a segmented 3D image with any integer codes.

        **Arguments:** `phase`: 3D, whole numbers; `voxel_size`: one length or three in the array's axis
        order, in metres or with a unit ('0.398 um'); `labels`: name ('pore', 'am', 'cbd', 'electrolyte') ->
        image value or list of values, covering every value of the image; `thickness_axis`: array axis through
        the thickness, moved to 0 together with its voxel size; `separator_side`: 'start' if the separator
        lies before index 0 of that axis, 'end' if after its last (the axis is then reversed); `particle`:
        labels in the same axis order as `phase`.

        **Returns:** `Electrode` with a copy of the image.

        **Errors:** `GeometryError` naming the value and the cure.
        """
        image = np.asarray(phase)
        check_image(image)
        table = label_table(labels)
        whole = isinstance(thickness_axis, (int, np.integer)) and not isinstance(thickness_axis, bool)
        if not (whole and 0 <= thickness_axis <= 2):
            raise GeometryError(
                f"thickness_axis must be 0, 1 or 2 (the array's axis through the thickness), got {thickness_axis!r}."
            )
        if separator_side not in ("start", "end"):
            raise GeometryError(
                f"separator_side must be 'start' or 'end' (the end of the thickness axis next to the "
                f"separator), got {separator_side!r}."
            )
        size = list(voxel_edges(voxel_size))
        size.insert(0, size.pop(thickness_axis))

        def oriented(array: NDArray) -> NDArray:
            array = np.moveaxis(array, thickness_axis, 0)
            return array[::-1] if separator_side == "end" else array

        labelled = None
        if particle is not None:
            labelled = np.asarray(particle)
            if labelled.ndim != 3:
                raise GeometryError(f"particle must be 3D like the image {image.shape}, got shape {labelled.shape}.")
            labelled = oriented(labelled)
        return cls(
            phase=remap(oriented(image), table),
            voxel_size=(size[0], size[1], size[2]),
            particle=labelled,
            name=name,
        )

    def __repr__(self) -> str:
        size = " x ".join(f"{1e6 * h:.4g}" for h in self.voxel_size)
        return f"Electrode({self.name!r}, shape={self.shape}, voxel_size={size} um, phases={list(self.labels)})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        nz, ny, nx = self.phase.shape
        return nz, ny, nx

    @property
    def size_m(self) -> tuple[float, float, float]:
        """(thickness, ly, lx) [m]."""
        lz, ly, lx = (n * h for n, h in zip(self.shape, self.voxel_size, strict=True))
        return lz, ly, lx

    @property
    def cross_section_area(self) -> float:
        """ly * lx [m2]."""
        return self.size_m[1] * self.size_m[2]

    @property
    def volume(self) -> float:
        """Outer volume of the box [m3]."""
        return math.prod(self.size_m)

    @cached_property
    def _voxel_counts(self) -> dict[str, int]:
        return {name: int(np.count_nonzero(self.phase == code)) for name, code in PHASES.items()}

    @property
    def labels(self) -> dict[str, int]:
        """name -> canonical code of the phases that occur in the image."""
        return {name: PHASES[name] for name, count in self._voxel_counts.items() if count}

    def volume_fraction(self, name: str) -> float:
        """Share of the voxels that are 'pore', 'am', 'cbd' or 'electrolyte' [-]."""
        if name not in PHASES:
            raise GeometryError(f"Unknown phase {name!r}.{did_you_mean(str(name), PHASES)}")
        return self._voxel_counts[name] / self.phase.size

    @property
    def porosity(self) -> float:
        """Volume fraction of pore [-]."""
        return self.volume_fraction("pore")

    @cached_property
    def free_surface(self) -> FreeSurface:
        """All AM|non-AM faces with their weights by `area`, AM|separator faces included."""
        am = self.phase == AM
        if self.area == "raw":
            return free_surface(am, self.voxel_size, sigma=None)
        if self.area == "smoothed":
            return free_surface(am, self.voxel_size)
        particle = self.particle if self.particle is not None else label_particles(self).particle
        assert particle is not None
        own = with_own_normals(free_surface(am, self.voxel_size, sigma=None), am, particle)
        return with_crofton_area(own, am, particle) if self.area == "rescaled" else own

    @cached_property
    def _connectivity(self) -> Connectivity:
        return find_connectivity(self.phase, self.free_surface)

    @cached_property
    def _particle_facts(self) -> ParticleFacts:
        return find_particle_facts(self)

    @property
    def coverage(self) -> float:
        """Share of the particles' free surface that touches cbd or electrolyte [-].

        Free surface: AM|non-AM faces inside the box, weighted by true area; AM|AM necks, the outer box sides
        and the separator plane do not count. NaN if the AM has no such surface.
        """
        surface = self.free_surface
        inner = ~surface.to_separator
        area = (surface.weight * surface.face_area)[inner]
        touched = np.isin(self.phase.reshape(-1)[surface.other[inner]], IONIC)
        whole = float(area.sum())
        return float(area[touched].sum()) / whole if whole > 0 else math.nan

    def specific_area(self, corrected: bool = True) -> float:
        """Free AM surface inside the box per box volume [1/m]: AM|pore, AM|cbd and AM|electrolyte faces.

        `corrected`: weighted to true area; else the plain sum of voxel faces (1.5 times too large on
        isotropic surfaces).
        """
        surface = self.free_surface
        area = surface.face_area * surface.weight if corrected else surface.face_area
        return float(area[~surface.to_separator].sum()) / self.volume

    def altered(
        self,
        *,
        phase: NDArray[np.uint8] | None = None,
        particle: NDArray[np.int32] | None = None,
        area: str | None = None,
    ) -> "Electrode":
        """A copy with other phases, particle labels or `area`; what has been computed and still holds goes along.

        With the same phases that is all but the facts of the particles, with the same active material its surface.
        Another `area`, or other labels where the area goes by them, change the surface and what is summed over it.
        """
        copy = replace(
            self,
            phase=self.phase if phase is None else phase,
            particle=self.particle if particle is None else particle,
            area=self.area if area is None else area,
        )
        kept = {"_voxel_counts"} if phase is None else set()
        same_surface = copy.area == self.area and (particle is None or self.area not in LABELLED_AREAS)
        if same_surface and phase is None:
            kept |= {"free_surface", "_connectivity"}
        elif same_surface and np.array_equal(copy.phase == AM, self.phase == AM):
            kept |= {"free_surface"}
        vars(copy).update({name: found for name, found in vars(self).items() if name in kept})
        return copy

    def crop(self, z: Range = None, y: Range = None, x: Range = None) -> "Electrode":
        """Part of the electrode: each of `z`, `y`, `x` is (start, stop) in voxels, a slice, or None for all.

        Negative indices count from the end. A crop along z moves the separator or collector plane with it.

        **Errors:** `GeometryError` if a range is empty or leaves the image, or no AM remains.
        """
        ranges = (z, y, x)
        cut = tuple(_cut(r, n, axis) for r, n, axis in zip(ranges, self.shape, "zyx", strict=True))
        particle = None if self.particle is None else self.particle[cut]
        return replace(self, phase=self.phase[cut], particle=particle)

    def coarsen(self, factor: int) -> "Electrode":
        """Blocks of `factor`^3 voxels become one voxel of their most frequent phase (and particle).

        Ties keep the phase fractions, see `coarsen_phase`. Features thinner than a block, a binder film for example,
        vanish all the same: a `UserWarning` tells if the share of a phase changes by more than one point. Another
        one tells that layers that do not fill a block at the end of an axis are dropped.

        **Errors:** `GeometryError` if `factor` is not a whole number >= 1, or no block or no AM remains.
        """
        if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
            raise GeometryError(
                f"coarsen takes a whole number >= 1, got {factor!r}; 2 joins blocks of 2 x 2 x 2 voxels."
            )
        if factor == 1:
            return self
        short = [f"{n} along {axis}" for n, axis in zip(self.shape, "zyx", strict=True) if n < factor]
        if short:
            raise GeometryError(
                f"coarsen={factor} leaves nothing of {self.shape} voxels ({', '.join(short)}). "
                f"At most {min(self.shape)} fits."
            )
        over = [f"{n % factor} along {axis}" for n, axis in zip(self.shape, "zyx", strict=True) if n % factor]
        if over:
            warnings.warn(
                f"coarsen={factor} drops the last layers that do not fill a block: {', '.join(over)} (of {self.shape} "
                "voxels). Crop first to choose which.",
                UserWarning,
                stacklevel=2,
            )
        phase = coarsen_phase(self.phase, factor)
        particle = None if self.particle is None else coarsen_labels(self.particle, factor, phase == AM)
        dz, dy, dx = (factor * h for h in self.voxel_size)
        coarse = replace(self, phase=phase, voxel_size=(dz, dy, dx), particle=particle)
        if changed := changed_fractions(self.crop(*((0, n - n % factor) for n in self.shape)), coarse):
            warnings.warn(
                f"coarsen={factor} changes phase fractions ({changed}): blocks are thicker than the structure. Use a "
                "smaller factor.",
                UserWarning,
                stacklevel=2,
            )
        return coarse

    def summary(self) -> dict[str, float | str]:
        """What the image holds, as plain numbers with the unit in each key.

        Fractions and shares are in [0, 1]; see `Connectivity` for their definitions, and `SideAccess` for those of the
        pore. Closed porosity: pore in clusters that touch no side of the image, per volume of the image.
        """
        found = self._connectivity
        values: dict[str, float | str] = {"Name": self.name}
        for axis, n, h in zip("zyx", self.shape, self.voxel_size, strict=True):
            values[f"Voxels along {axis} [-]"] = float(n)
            values[f"Voxel size along {axis} [m]"] = h
        values["Thickness [m]"] = self.size_m[0]
        values["Cross-section area [m2]"] = self.cross_section_area
        for phase in PHASES:
            values[f"Volume fraction of {phase} [-]"] = self.volume_fraction(phase)
        values["Coverage [-]"] = self.coverage
        values["Specific area [1/m]"] = self.specific_area()
        values["Specific area, voxel faces [1/m]"] = self.specific_area(corrected=False)
        values["Live share of AM|ionic area [-]"] = found.live_area_share
        values["Live share of AM [-]"] = 1.0 - sum(found.isolated_am.values())
        for cause in (NO_ELECTRONS, NO_IONS):
            values[f"Isolated share of AM, {cause} [-]"] = found.isolated_am[cause]
        values["Isolated share of cbd and electrolyte, no path to the separator [-]"] = found.isolated_ionic
        for phase in ("cbd", "electrolyte"):
            mask = self.phase == PHASES[phase]
            cut_off = int(np.count_nonzero(mask & ~found.ionic)) / max(1, self._voxel_counts[phase])
            values[f"Isolated share of {phase}, no path to the separator [-]"] = cut_off
        values["Isolated share of cbd, no path to the collector [-]"] = found.isolated_cbd
        pore = side_access(self.phase == PORE)
        for side in ("separator", "collector"):
            values[f"Share of pore connected to the {side} [-]"] = pore.sides[side]
        values["Closed porosity [-]"] = pore.closed_fraction
        return values


def changed_fractions(before: Electrode, after: Electrode) -> str:
    """Phases whose fraction differs by more than a point, as 'cbd 13.8 to 11.9 %, ...'; empty if none does."""
    shares = {name: (100 * before.volume_fraction(name), 100 * after.volume_fraction(name)) for name in PHASES}
    return ", ".join(f"{n} {old:.1f} to {new:.1f} %" for n, (old, new) in shares.items() if abs(new - old) > _MAX_SHIFT)


def voxel_edges(given: object) -> tuple[float, float, float]:
    """One length or three, in metres or with units, checked to lie in (0, 1e-3] m."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        entries = list(given)
    elif isinstance(given, np.ndarray) and given.ndim > 0:
        entries = list(given.ravel())
    else:
        entries = [given] * 3
    if len(entries) != 3:
        raise GeometryError(
            f"voxel_size must be one length or three (in the image's axis order), got {len(entries)}: {given!r}."
        )
    size = []
    for entry in entries:
        # NaN passes through to the range check below, whose message fits better
        length = entry if isinstance(entry, float) else parse_length(entry, "voxel_size")
        if not 0.0 < length <= _MAX_VOXEL:
            raise GeometryError(
                f"voxel_size must lie in (0, {_MAX_VOXEL:g}] m, got {given!r}. "
                "Bare numbers are metres: were micrometres given as metres? Write 0.4e-6 or '0.4 um'."
            )
        size.append(float(length))
    return size[0], size[1], size[2]


def _cut(given: Range, n: int, axis: str) -> slice:
    """A (start, stop) range as a slice inside 0..n."""
    if given is None:
        return slice(0, n)
    if isinstance(given, slice):
        start, stop, step = given.start, given.stop, given.step
    else:
        (start, stop), step = given, None
    low = 0 if start is None else start + (n if start < 0 else 0)
    high = n if stop is None else stop + (n if stop < 0 else 0)
    if step not in (None, 1) or not 0 <= low < high <= n:
        raise GeometryError(
            f"crop range {axis}={given} must be a non-empty (start, stop) inside 0..{n} without a step."
        )
    return slice(low, high)
