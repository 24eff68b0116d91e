"""What is read off a state: inventories, statistics, and the fields that users see. Host side, numpy."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.constants import F
from simulator.errors import ConfigError, did_you_mean
from simulator.geometry import Electrode, ParticleFacts, particle_facts
from simulator.model.build import Cell
from simulator.model.cell import C_E, PHI_E, PHI_S, STO
from simulator.model.faces import face_histories
from simulator.model.grid import AM, SEPARATOR
from simulator.model.interface import interface_resistance, side_columns
from simulator.model.residual import Flows
from simulator.model.timestep import State
from simulator.physics.contact import CONTACT_FLOOR
from simulator.physics.decomposition.branch import CHARGE, THICKNESS

#: name -> (unit, long name) of the fields that can be saved.
FIELDS: dict[str, tuple[str, str]] = {
    "sto": ("1", "Lithium stoichiometry of the active material"),
    "phi_s": ("V", "Electronic potential of active material and carbon-binder domain"),
    "phi_e": ("V", "Electrolyte potential against a lithium reference"),
    "c_e": ("mol m^-3", "Salt concentration"),
    "j": (
        "A m^-2",
        "Current density per true contact area, oxidation included, mean over the faces of each particle voxel",
    ),
    "film_thickness": ("m", "Thickness of the film, mean over the contact of each particle voxel"),
    "decomposed_charge": (
        "C m^-2",
        "Charge of the electrolyte oxidised per pristine contact area, mean over the faces of each particle voxel",
    ),
}

#: Fields of a cell whose electrolyte is oxidised on the active material (`decomposition.law`), and of no other.
SIDE_FIELDS = ("film_thickness", "decomposed_charge")

#: name -> (unit, long name) of what is known of every particle from the image.
PARTICLE_FACTS: dict[str, tuple[str, str]] = {
    "label": ("1", "Number of the particle in the electrode's labels"),
    "volume": ("m^3", "Volume of the particle"),
    "centroid": ("m", "Centre of the particle (z, y, x)"),
    "diameter": ("m", "Diameter of the sphere of the same volume"),
    "surface_area": ("m^2", "Free surface, necks between particles excluded"),
    "coverage": ("1", "Share of the free surface that touches an ionic phase"),
    "boundary": ("1", "Whether a side of the image cuts the particle"),
}

#: name -> (unit, long name) of what is kept for every particle, at the times of the saved fields.
PARTICLE_HISTORIES: dict[str, tuple[str, str]] = {
    "sto": ("1", "Mean lithium stoichiometry of the particle"),
    "current": ("A", "Current that leaves the particle into the electrolyte"),
    "active_coverage": ("1", "True contact area of the live faces / free surface of the particle"),
}


def chosen_fields(names: Sequence[str] | None, cell: Cell) -> tuple[str, ...]:
    """The fields to save: those asked for, or with None all that exist in `cell`.

    **Errors:** ConfigError for a name that is none, or none in this cell.
    """
    missing = () if cell.model.decomposition is not None else SIDE_FIELDS
    if names is None:
        return tuple(name for name in FIELDS if name not in missing)
    if isinstance(names, str):
        raise ConfigError(f"fields must be a tuple of names, got the text {names!r}. Write ({names!r},).")
    for name in names:
        if name not in FIELDS:
            raise ConfigError(f"Unknown field {name!r}." + did_you_mean(name, FIELDS))
        if name in missing:
            raise ConfigError(
                f"The field {name!r} needs oxidation of the electrolyte, and this cell has none. Leave it out of "
                "output.fields (null saves all that exist), or choose a decomposition.law with a current."
            )
    return tuple(names)


def particle_columns(electrode: Electrode) -> dict[str, np.ndarray] | None:
    """`PARTICLE_FACTS` of every particle (p, ...), or None if the electrode has no particle labels."""
    if electrode.particle is None:
        return None
    facts = particle_facts(electrode)
    columns = (
        *(facts.label, facts.volume, facts.centroid, facts.equivalent_diameter),
        *(facts.free_area, facts.coverage, facts.touches_boundary),
    )
    return {name: np.asarray(column) for name, column in zip(PARTICLE_FACTS, columns, strict=True)}


def separator_z(cell: Cell) -> np.ndarray:
    """Centres of the separator layers [m], negative: the electrode starts at 0."""
    dz = np.asarray(cell.model.grid.dz)[: cell.model.grid.separator_layers]
    return np.cumsum(dz) - 0.5 * dz - dz.sum()


class Inventory(NamedTuple):
    """Charge equivalents [C] of the lithium in the particles and of the salt, and nothing else."""

    lithium: float
    salt: float


class Extremes(NamedTuple):
    """Statistics of one state: sto over the reacting active material, c_e [mol/m3] over the whole electrolyte and its
    wall at the counter electrode, half a (thick) layer before the first centre; a depleted wall can be negative."""

    sto_mean: float
    sto_std: float
    sto_min: float
    sto_max: float
    sto_p10: float
    sto_p90: float
    c_e_min: float
    c_e_max: float


class _ParticleIndex:
    """Sums over the voxels and the reacting faces of each particle of a labelled electrode."""

    def __init__(self, cell: Cell, facts: ParticleFacts) -> None:
        electrode, model = cell.electrode, cell.model
        assert electrode.particle is not None
        # number 1, 2, ... in the order of the facts; 0: none
        label = np.where(electrode.phase == AM, electrode.particle, 0).ravel()
        label = np.where(label > 0, 1 + np.searchsorted(facts.label, label), 0)
        self.count = len(facts)
        self._voxels = np.flatnonzero(label)
        self._voxel_label = label[self._voxels] - 1
        offset = model.grid.separator_layers * electrode.shape[1] * electrode.shape[2]
        valid = np.asarray(model.faces.valid)
        am, ionic = (np.asarray(a) - offset for a in (model.faces.am, model.faces.ionic))
        self._face_label = np.where(valid, label[np.where(valid, am, 0)], 0)  # 0: padding
        self.inner = valid & (ionic >= 0)  # coverage does not count the separator plane
        self.surface = facts.free_area

    def of_voxels(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values` (flat, electrode voxels) per particle."""
        return np.bincount(self._voxel_label, weights=values[self._voxels], minlength=self.count)

    def of_faces(self, values: np.ndarray) -> np.ndarray:
        """Sum of `values` (one per face) per particle."""
        return np.bincount(self._face_label, weights=values, minlength=self.count + 1)[1:]


class Observer:
    """Reads states of one cell; keeps the masks and volumes on the host."""

    def __init__(self, cell: Cell) -> None:
        model = cell.model
        self.cell = cell
        self.active = np.asarray(model.active)
        self.volume = np.broadcast_to(np.asarray(model.grid.volume), model.shape)
        self.salt_storage = np.asarray(model.salt_storage)
        self.solid_storage = float(F * model.parameters.c_s_max) * self.volume
        self.layers = model.grid.separator_layers
        self.phase = np.asarray(model.phase)
        faces = model.faces
        self.voxel_contact = np.asarray(faces.area * faces.weight) * np.asarray(faces.valid)
        self.pristine_contact = np.asarray(model.pristine_contact)
        self._particles: _ParticleIndex | None = None
        if cell.electrode.particle is not None:
            self._particles = _ParticleIndex(cell, particle_facts(cell.electrode))

    def contact(self, state: State) -> np.ndarray:
        """True contact area (n,) [m2] of each face: what was there less what the film has cost."""
        branch, states = self.cell.model.decomposition, state.side.faces
        if branch is None or states is None:
            return self.pristine_contact
        fraction = self.cell.model.contact_fraction * branch.film.remaining(states[THICKNESS])
        return self.voxel_contact * np.maximum(np.asarray(fraction), CONTACT_FLOOR)

    @property
    def omega(self) -> float:
        """Share of the oxidation on the active material that consumes an anion."""
        branch = self.cell.model.decomposition
        return 0.0 if branch is None else float(branch.omega)

    def side_columns(self, state: State, passed: Flows) -> dict[str, float]:
        """`SIDE_COLUMNS` of a state, given what has `passed` [C] since the start."""
        model = self.cell.model
        columns = side_columns(state.side, passed, self.contact(state), model)
        resistance = interface_resistance(state.u, state.j, state.side, model)
        return columns | {"interface_resistance_ohm_m2": resistance * self.cell.area}

    def inventory(self, state: State) -> Inventory:
        """Lithium and salt, summed from the concentrations."""
        u = np.asarray(state.u)
        lithium = np.sum((self.solid_storage * u[STO])[self.active[STO]])
        salt = np.sum((self.salt_storage * u[C_E])[self.active[C_E]])
        return Inventory(float(lithium), float(salt))

    def extremes(self, state: State) -> Extremes:
        """Mean, spread and bounds of sto (voxels of active material have one volume) and of c_e."""
        u = np.asarray(state.u)
        sto = u[STO][self.active[STO]]
        c_e = u[C_E][self.active[PHI_E]]
        wall = self._wall_concentration(u, state.current)
        p10, p90 = np.percentile(sto, (10, 90))
        return Extremes(
            sto_mean=float(np.mean(sto)),
            sto_std=float(np.std(sto)),
            sto_min=float(np.min(sto)),
            sto_max=float(np.max(sto)),
            sto_p10=float(p10),
            sto_p90=float(p90),
            c_e_min=min(float(np.min(c_e)), wall),
            c_e_max=max(float(np.max(c_e)), wall),
        )

    def _wall_concentration(self, u: np.ndarray, current: float) -> float:
        """Mean c_e [mol/m3] at the counter electrode: no anions pass, so D_e dc/dz = -(1 - t_plus) i/F."""
        model, p = self.cell.model, self.cell.model.parameters
        first = float(np.mean(u[C_E, 0]))
        if not model.binary:
            return first
        c_e = jnp.asarray(first)
        i = -current / self.cell.area
        t_plus = float(p.t_plus(c_e, p.temperature))
        diffusivity = float(p.D_e[SEPARATOR](c_e, p.temperature))
        return first + (1.0 - t_plus) * i * 0.5 * float(model.grid.dz[0]) / (F * diffusivity)

    def fields(self, state: State, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """The named fields on the electrode's voxels (nz, ny, nx), float32, NaN where a field does not exist."""
        u, n = np.asarray(state.u), self.layers
        # Isolated particles keep their lithium and are shown with it.
        where = {"sto": self.phase == AM, "phi_s": self.active[PHI_S], "phi_e": self.active[PHI_E]}
        where["c_e"] = self.active[PHI_E]
        rows = {"sto": STO, "phi_s": PHI_S, "phi_e": PHI_E, "c_e": C_E}
        of_faces = self._face_fields(state)
        out = {}
        for name in names:
            if name in of_faces:
                out[name] = self._face_mean(*of_faces[name])[n:]
            else:
                out[name] = np.where(where[name], u[rows[name]], np.nan)[n:].astype(np.float32)
        return out

    def _face_fields(self, state: State) -> dict[str, tuple[Array, np.ndarray]]:
        """Field -> values (n,) of the faces, and the areas (n,) [m2] by which a voxel's mean is weighted."""
        contact, states = self.contact(state), state.side.faces
        fields = {"j": (state.j.total, contact)}
        if states is not None:
            fields["film_thickness"] = (states[THICKNESS], contact)
            fields["decomposed_charge"] = (states[CHARGE], self.pristine_contact)
        return fields

    def _face_mean(self, values: Array, area: np.ndarray) -> np.ndarray:
        """Mean of `values` (n,) over the faces of each particle voxel, weighted by `area`; NaN without a face."""
        size = int(np.prod(self.cell.model.shape))
        am = np.asarray(self.cell.model.faces.am)
        total = np.bincount(am, weights=np.asarray(values) * area, minlength=size)
        whole = np.bincount(am, weights=area, minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(whole > 0, total / whole, np.nan)
        return mean.reshape(self.cell.model.shape).astype(np.float32)

    def faces(self, state: State) -> dict[str, np.ndarray]:
        """`face_names` of the live faces (f,)."""
        return face_histories(self.cell, state, self.contact(state))

    @property
    def has_particles(self) -> bool:
        """Whether the electrode has particle labels."""
        return self._particles is not None

    def particles(self, state: State) -> dict[str, np.ndarray]:
        """`PARTICLE_HISTORIES` of every particle (p,); empty if the electrode has no particle labels."""
        index = self._particles
        if index is None:
            return {}
        sto = np.asarray(state.u)[STO, self.layers :].ravel()
        contact = self.contact(state)
        current = np.asarray(state.j.total) * contact
        inner = np.where(index.inner, contact, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "sto": index.of_voxels(sto) / index.of_voxels(np.ones_like(sto)),
                "current": index.of_faces(current),
                "active_coverage": index.of_faces(inner) / index.surface,
            }

    def separator_profiles(self, state: State) -> dict[str, np.ndarray]:
        """Lateral means of phi_e [V] and c_e [mol/m3] in each separator layer."""
        u = np.asarray(state.u)[:, : self.layers]
        return {"phi_e": u[PHI_E].mean(axis=(1, 2)), "c_e": u[C_E].mean(axis=(1, 2))}
