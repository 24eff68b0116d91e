"""All metrics of an electrode at once, as objects and as one table of plain numbers; two electrodes side by side."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulator.geometry.metrics import (
    AXES,
    SEPARATOR_PLANE,
    ChordLengths,
    CoverageDistribution,
    PhaseArea,
    SizeDistribution,
    chord_lengths,
    conductors,
    coverage_distribution,
    phase_areas,
    size_distribution,
    tortuosity,
)
from simulator.geometry.metrics_access import SideAccess, side_access
from simulator.geometry.metrics_volume import LEAST_VOXELS, RepresentativeVolume, representative_volume
from simulator.geometry.particles import particle_facts

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode

_PERCENTILES = (10, 50, 90)


@dataclass(frozen=True, eq=False)
class Measures:
    """What `measure_electrode` found. None: not asked for, or not possible."""

    electrode: "Electrode"
    areas: dict[tuple[str, str], PhaseArea]
    access: dict[str, SideAccess]  # phase or network -> sides that it reaches
    chords: dict[str, tuple[ChordLengths, ChordLengths, ChordLengths]]  # phase -> along z, y, x
    sizes: SizeDistribution | None  # all particles; None without labels
    whole_sizes: SizeDistribution | None  # those that no side of the image cuts
    coverage: CoverageDistribution | None
    tortuosity: dict[str, dict[int, float]] | None
    representative: RepresentativeVolume | None  # None also for images too small to be cut

    def values(self) -> dict[str, float]:
        """Name with unit -> value, SI; NaN for what is not defined, infinite for a tortuosity without path."""
        facts = {k: v for k, v in self.electrode.summary().items() if isinstance(v, float)}
        return facts | self._areas() | self._access() | self._chords() | self._particles() | self._studies()

    def _areas(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (first, second), area in self.areas.items():
            if second == SEPARATOR_PLANE:
                share = area.corrected / self.electrode.cross_section_area
                found[f"Area of {first}|{second} per cross-section [-]"] = share
            else:
                found[f"Specific area of {first}|{second} [1/m]"] = area.corrected / self.electrode.volume
                found[f"Specific area of {first}|{second}, voxel faces [1/m]"] = area.raw / self.electrode.volume
        return found

    def _access(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, access in self.access.items():
            for side in ("separator", "collector"):
                found[f"Share of {name} connected to the {side} [-]"] = access.sides[side]
            for letter, share in zip(AXES, access.through, strict=True):
                found[f"Share of {name} connected through along {letter} [-]"] = share
            found[f"Share of {name} that touches no image side [-]"] = access.closed
        return found

    def _chords(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, along in self.chords.items():
            for letter, chords in zip(AXES, along, strict=True):
                found[f"Mean chord of {name} along {letter} [m]"] = chords.mean
                found[f"Mean chord of {name} along {letter}, by crossings [m]"] = chords.mean_by_crossings
        return found

    def _particles(self) -> dict[str, float]:
        found: dict[str, float] = {}
        if self.sizes is None or self.whole_sizes is None:
            return found
        found["Particles [-]"] = float(len(self.sizes))
        found["Particles cut by an image side [-]"] = float(len(self.sizes) - len(self.whole_sizes))
        for text, sizes in (("", self.sizes), (", whole particles", self.whole_sizes)):
            for weight in ("volume", "number"):
                for percent in _PERCENTILES:
                    key = f"Diameter d{percent} by {weight}{text} [m]"
                    found[key] = sizes.percentile(percent, weight)
        if self.coverage is not None:
            found["Standard deviation of coverage between particles [-]"] = self.coverage.std
        return found

    def _studies(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, along in (self.tortuosity or {}).items():
            for axis, value in along.items():
                found[f"Tortuosity of {name} along {AXES[axis]} [-]"] = value
        if self.representative is not None:
            for name, scatter in self.representative.scatter.items():
                plain = name.rpartition(" [")[0]
                found[f"Relative standard error of {plain} [-]"] = scatter.image
                found[f"Representative side for {plain} [m]"] = scatter.representative_side
        return found


def measure_electrode(electrode: "Electrode", *, full: bool = True, rtol: float = 1e-3) -> Measures:
    """Areas, connections, chords, particle sizes and coverage of an electrode; with `full`, what takes longer too.

    `full` adds tortuosities (a solve for each phase, network and axis, to the relative error `rtol`) and the
    representative volume. Particles are measured if the electrode has labels (`label_particles`).
    """
    masks = {name: np.isin(electrode.phase, codes) for name, codes in conductors(electrode).items()}
    chords = {}
    for name in electrode.labels:
        z, y, x = (chord_lengths(masks[name], electrode.voxel_size, axis) for axis in range(3))
        chords[name] = (z, y, x)
    particles = None if electrode.particle is None else particle_facts(electrode)
    # two parts of the least size along every axis, or there is nothing to compare
    large = min(electrode.shape) >= 2 * LEAST_VOXELS
    return Measures(
        electrode=electrode,
        areas=phase_areas(electrode),
        access={name: side_access(mask) for name, mask in masks.items()},
        chords=chords,
        sizes=None if particles is None else size_distribution(particles),
        whole_sizes=None if particles is None else size_distribution(particles, cut_particles=False),
        coverage=None if particles is None else coverage_distribution(particles),
        tortuosity=tortuosity(electrode, rtol=rtol) if full else None,
        representative=representative_volume(electrode) if full and large else None,
    )


@dataclass(frozen=True)
class Compared:
    """One quantity of two electrodes."""

    first: float  # NaN where the electrode has no such quantity
    second: float
    ratio: float  # second / first; NaN for 0 / 0
    difference: float  # second - first


def compare_electrodes(first: "Electrode", second: "Electrode", *, full: bool = False) -> dict[str, Compared]:
    """Every metric of two electrodes side by side: name with unit -> both values, their ratio and difference.

    What only one of them has (a phase, particles) is NaN in the other. `full`: with tortuosities and representative
    volumes, see `measure_electrode`.
    """
    return compare_values(measure_electrode(first, full=full).values(), measure_electrode(second, full=full).values())


def compare_values(first: dict[str, float], second: dict[str, float]) -> dict[str, Compared]:
    """As `compare_electrodes`, from `Measures.values`."""
    found = {}
    for name in [*first, *(n for n in second if n not in first)]:
        a, b = first.get(name, math.nan), second.get(name, math.nan)
        found[name] = Compared(a, b, _ratio(b, a), math.nan if math.isinf(a) and a == b else b - a)
    return found


def _ratio(b: float, a: float) -> float:
    if math.isnan(a) or math.isnan(b) or (math.isinf(a) and math.isinf(b)) or (a == 0 and b == 0):
        return math.nan
    return math.copysign(math.inf, b) if a == 0 else b / a
