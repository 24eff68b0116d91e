"""The reacting interface: one entry per live face between active material and an ionic phase."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.geometry.area import face_areas
from simulator.geometry.connectivity import classify_faces, connectivity
from simulator.geometry.phases import CBD

if TYPE_CHECKING:
    from simulator.geometry.electrode import Electrode

#: `Interface.ionic` of a face whose ionic side is the separator
SEPARATOR = -1


@dataclass(frozen=True, eq=False)
class Interface:
    """Live faces as 1D arrays of one length, sorted by `axis`, then by the flat index of the voxel after the
    face (for a separator face: its AM voxel), so the order depends on the image only."""

    shape: tuple[int, int, int]  # electrode grid (nz, ny, nx) of the flat indices
    voxel_size: tuple[float, float, float]  # [m]
    axis: NDArray[np.int8]  # face normal: 0, 1, 2 = z, y, x
    am: NDArray[np.int64]  # flat C-order index of the AM voxel
    ionic: NDArray[np.int64]  # flat C-order index of the ionic voxel, -1 for the separator
    am_first: NDArray[np.bool_]  # AM voxel has the lower index along `axis`; False for separator faces
    weight: NDArray[np.float64]  # w, true area / voxel face area [-]
    ionic_is_cbd: NDArray[np.bool_]  # the ionic side is carbon-binder domain

    def __len__(self) -> int:
        return self.am.size

    @property
    def to_separator(self) -> NDArray[np.bool_]:
        """True on faces between AM and the separator plane."""
        return self.ionic == SEPARATOR

    @property
    def face_area(self) -> NDArray[np.float64]:
        """Area of each voxel face, unweighted [m2]."""
        return face_areas(self.voxel_size)[self.axis]

    @property
    def area(self) -> float:
        """True live area, sum of w times voxel face area [m2]."""
        return float((self.weight * self.face_area).sum())

    @property
    def area_raw(self) -> float:
        """Sum of the voxel face areas, 1 to sqrt(3) times too large on smooth surfaces [m2]."""
        return float(self.face_area.sum())


def live_interface(electrode: "Electrode") -> Interface:
    """The live faces of an electrode. May be empty; `check_live` refuses that."""
    found = connectivity(electrode)
    surface = electrode.free_surface
    _, live = classify_faces(surface, electrode.phase, found.electronic, found.ionic)
    ionic = surface.other[live]
    # the phase of voxel 0 stands in for the separator (-1) and is masked out
    is_cbd = (electrode.phase.reshape(-1)[np.maximum(ionic, 0)] == CBD) & (ionic >= 0)
    return Interface(
        shape=surface.shape,
        voxel_size=surface.voxel_size,
        axis=surface.axis[live],
        am=surface.am[live],
        ionic=ionic,
        am_first=surface.am_first[live],
        weight=surface.weight[live],
        ionic_is_cbd=is_cbd,
    )
