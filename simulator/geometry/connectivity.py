"""Which voxels take part: percolation of electrons and ions, live faces, isolated active material.

Everything is connected through voxel faces (6 neighbours). Electrons come from the collector plane after the
last z through am and cbd; ions come from the separator plane before z = 0 through cbd and electrolyte. A face
between AM and an ionic voxel is live if its AM side has electrons and its ionic side has ions. The separator
itself is ionic and always reached, so AM voxels at z = 0 have a face that needs electrons only.
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.errors import ConfigError, GeometryError
from simulator.geometry.area import FreeSurface
from simulator.geometry.phases import AM, CBD, ELECTRONIC, IONIC

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode

NO_ELECTRONS = "no electronic path"
NO_IONS = "no ionic contact"

#: below this live share of the AM|ionic area a warning says that most of the surface cannot react
_WARN_LIVE = 0.5


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Bool arrays (nz, ny, nx), and shares between 0 and 1. A share of an absent phase is 0."""

    electronic: NDArray[np.bool_]  # am/cbd voxels connected to the collector through am/cbd
    ionic: NDArray[np.bool_]  # cbd/electrolyte voxels connected to the separator through cbd/electrolyte
    am_live: NDArray[np.bool_]  # AM voxels whose connected AM body has at least one live face
    isolated_am: dict[str, float]  # cause -> share of all AM voxels; the causes exclude one another
    isolated_ionic: float  # share of the cbd/electrolyte voxels that do not reach the separator
    isolated_cbd: float  # share of the cbd voxels that do not reach the collector
    live_area_share: float  # weighted area of live faces / that of all AM|ionic faces, separator included
    n_live_faces: int


def connectivity(electrode: "Electrode") -> Connectivity:
    """Connectivity of an electrode. Computed once per electrode and kept with it."""
    return electrode._connectivity


def find_connectivity(phase: NDArray[np.uint8], surface: FreeSurface) -> Connectivity:
    """Compute `Connectivity` from canonical phase codes (nz, ny, nx) and the free AM surface."""
    am = phase == AM
    cbd = phase == CBD
    electronic = _reached(np.isin(phase, ELECTRONIC), plane=-1)
    ionic_phase = np.isin(phase, IONIC)
    ionic = _reached(ionic_phase, plane=0)

    is_ionic, live = classify_faces(surface, phase, electronic, ionic)
    # The connected AM body, not the voxel, is what lives: lithium diffuses inside the body.
    body, n_bodies = ndimage.label(am)
    body_lives = np.zeros(n_bodies + 1, dtype=bool)
    body_lives[body.reshape(-1)[surface.am[live]]] = True
    am_live = body_lives[body]
    del body

    dead = am & ~am_live
    n_am = np.count_nonzero(am)
    true_area = surface.weight * surface.face_area
    ionic_area = float(true_area[is_ionic].sum())
    return Connectivity(
        electronic=electronic,
        ionic=ionic,
        am_live=am_live,
        isolated_am={
            NO_ELECTRONS: _ratio(np.count_nonzero(dead & ~electronic), n_am),
            NO_IONS: _ratio(np.count_nonzero(dead & electronic), n_am),
        },
        isolated_ionic=_ratio(np.count_nonzero(ionic_phase & ~ionic), np.count_nonzero(ionic_phase)),
        isolated_cbd=_ratio(np.count_nonzero(cbd & ~electronic), np.count_nonzero(cbd)),
        live_area_share=_ratio(float(true_area[live].sum()), ionic_area),
        n_live_faces=int(np.count_nonzero(live)),
    )


def classify_faces(
    surface: FreeSurface,
    phase: NDArray[np.uint8],
    electronic: NDArray[np.bool_],
    ionic: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each face of `surface`: is its other side ionic (the separator is), and is it live?"""
    separator = surface.to_separator
    other = np.where(separator, 0, surface.other)
    is_ionic = separator | np.isin(phase.reshape(-1)[other], IONIC)
    reached = separator | ionic.reshape(-1)[other]
    live = is_ionic & reached & electronic.reshape(-1)[surface.am]
    return is_ionic, live


def check_live(electrode: "Electrode", min_live: float = 0.05) -> float:
    """Refuse an electrode that cannot react; warn if most of its AM|ionic area is dead.

    **Arguments:** `min_live`: smallest accepted live share of the AM|ionic area, in [0, 1].

    **Returns:** the live share (weighted area of live faces over that of all AM|ionic faces).

    **Errors:** `GeometryError` if no face is live or the live share is below `min_live`; `ConfigError` for
    `min_live` outside [0, 1]. A `UserWarning` is issued below a live share of 0.5.
    """
    if not 0.0 <= min_live <= 1.0:
        raise ConfigError(f"geometry.min_live must lie in [0, 1], got {min_live}; 0.05 is the default.")
    found = connectivity(electrode)
    if found.n_live_faces == 0:
        raise GeometryError("No face between active material and an ionic phase is live: " + _why(electrode))
    share = found.live_area_share
    isolated = ", ".join(f"{100 * part:.1f} % with {cause}" for cause, part in found.isolated_am.items())
    state = (
        f"Only {100 * share:.1f} % of the AM|ionic area is live (isolated active material: {isolated}; "
        f"{100 * found.isolated_ionic:.1f} % of the ionic phases do not reach the separator)."
    )
    if share < min_live:
        raise GeometryError(
            f"{state} At least {100 * min_live:.1f} % is asked for. Check labels, thickness_axis and "
            "separator_side, or lower geometry.min_live to simulate the connected rest."
        )
    if share < _WARN_LIVE:
        warnings.warn(state + " Check labels, thickness_axis and separator_side.", UserWarning, stacklevel=2)
    return share


def _why(electrode: "Electrode") -> str:
    """The most likely cause of an electrode without live faces, and the cure."""
    found = connectivity(electrode)
    phase, surface = electrode.phase, electrode.free_surface
    if not found.electronic.any():
        return (
            "no am or cbd voxel lies at the collector plane (after the last z), so nothing is reached by "
            "electrons. Check thickness_axis and separator_side, or crop empty layers off that end."
        )
    is_ionic, _ = classify_faces(surface, phase, found.electronic, found.ionic)
    if not is_ionic.any():
        return (
            "no AM voxel touches cbd, electrolyte or the separator plane (z = 0). Check the labels; to "
            "simulate pores filled with electrolyte label them so: labels={'electrolyte': <value>, ...}."
        )
    if not (found.ionic.any() or surface.to_separator.any()):
        return (
            "no ionic voxel lies at the separator plane (before z = 0), so nothing is reached by ions. Check "
            "thickness_axis and separator_side, or crop empty layers off that end."
        )
    return (
        "the AM that has electrons (am/cbd path to the collector after the last z) does not touch the cbd or "
        "electrolyte that has ions (path to the separator before z = 0). Check labels, thickness_axis and "
        "separator_side."
    )


def _reached(mask: NDArray[np.bool_], plane: int) -> NDArray[np.bool_]:
    """Voxels of `mask` connected through `mask` to its layer z = `plane`."""
    label, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[label[plane]] = True
    keep[0] = False
    return keep[label]


def _ratio(part: float | np.integer, whole: float | np.integer) -> float:
    return float(part / whole) if whole > 0 else 0.0
