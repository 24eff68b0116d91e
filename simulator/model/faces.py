"""What is told of every live face: what the image knows of it, and its state at the saved moments. Host side, numpy."""

from typing import Any

import numpy as np

from simulator.model.build import Cell
from simulator.model.timestep import State
from simulator.physics.decomposition.branch import CHARGE, THICKNESS

#: name -> (unit, long name) of what does not change.
FACE_FACTS: dict[str, tuple[str, str]] = {
    "am": ("1", "Voxel of the active material [z, y, x]"),
    "ionic": ("1", "Voxel on the ionic side [z, y, x]; z = -1: separator"),
    "axis": ("1", "Axis of the face's normal: 0, 1, 2 = z, y, x"),
    "area": ("m^2", "True contact area of the pristine face"),
    "particle": ("1", "Number of the particle in the electrode's labels, 0: none"),
}

#: name -> (unit, long name) of what every face does, at the times of the saved fields.
FACE_HISTORIES: dict[str, tuple[str, str]] = {
    "current_density": ("A m^-2", "Current density per true contact area, oxidation included; positive on charge"),
    "oxidation_current_density": ("A m^-2", "The part of it that oxidises the electrolyte, the burst excluded"),
    "film_thickness": ("m", "Thickness of the film"),
    "decomposed_charge": ("C m^-2", "Charge of the electrolyte oxidised, per contact area of the pristine face"),
    "contact_remaining": ("1", "Contact area / contact area of the pristine face"),
}
_ALWAYS = ("current_density",)


def face_facts(cell: Cell) -> dict[str, np.ndarray]:
    """`FACE_FACTS` of the f live faces, (f,) or (f, 3); "particle" only if the electrode has particle labels."""
    model = cell.model
    valid = np.asarray(model.faces.valid)

    def voxels(flat: np.ndarray) -> np.ndarray:
        index = np.stack(np.unravel_index(flat, model.shape), axis=-1)
        return (index - [model.grid.separator_layers, 0, 0]).astype(np.int32)

    am, ionic = (voxels(np.asarray(side)[valid]) for side in (model.faces.am, model.faces.ionic))
    facts = {
        "am": am,
        "ionic": ionic,
        "axis": np.argmax(am != ionic, axis=1).astype(np.int8),
        "area": np.asarray(model.pristine_contact)[valid],
    }
    if cell.electrode.particle is not None:
        facts["particle"] = cell.electrode.particle[tuple(am.T)]
    return facts


def face_names(cell: Cell) -> tuple[str, ...]:
    """The names of `FACE_HISTORIES` that exist in `cell`: all but the current belong to a decomposition."""
    return tuple(FACE_HISTORIES) if cell.model.decomposition is not None else _ALWAYS


def face_histories(cell: Cell, state: State, contact: np.ndarray) -> dict[str, np.ndarray]:
    """`face_names` of the f live faces in `state`, (f,) float32; `contact` (n,) [m2] as it is, padding included."""
    valid = np.asarray(cell.model.faces.valid)
    values: dict[str, Any] = {"current_density": state.j.total}
    if state.side.faces is not None and state.j.oxidation is not None:
        values |= {
            "oxidation_current_density": state.j.oxidation,
            "film_thickness": state.side.faces[THICKNESS],
            "decomposed_charge": state.side.faces[CHARGE],
            "contact_remaining": contact / np.where(valid, cell.model.pristine_contact, 1.0),
        }
    return {name: np.asarray(value)[valid].astype(np.float32) for name, value in values.items()}
