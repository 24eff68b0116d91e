"""From an electrode image and a parameter set to a cell that can be simulated."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.constants import F
from simulator.errors import GeometryError
from simulator.geometry import Electrode, Interface, check_live, connectivity, live_interface
from simulator.materials import (
    Constant,
    Parameter,
    is_traced,
    load_parameter_set,
    merge_parameters,
    with_coefficients,
)
from simulator.model.cell import IONIC_CODES, PHI_E, PHI_S, CellModel, ContactFaces, Parameters
from simulator.model.contact_fraction import active_coverage, face_contact_fractions
from simulator.model.grid import AM, CBD, ELECTROLYTE, SEPARATOR, VoxelGrid, separator_layers
from simulator.model.residual import SideStates
from simulator.numerics.multigrid import coarsening_plan
from simulator.numerics.stencil import face_shape
from simulator.physics.counter_electrode import CounterElectrode
from simulator.physics.decomposition import build_carbon, build_decomposition
from simulator.physics.kinetics import ButlerVolmer
from simulator.protocol import Basis


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell ready to be simulated: host facts beside the pytree `model` that the solver works on.

    `area` [m2] cross-section, `am_mass` [kg] and `am_volume` [m3] of all active material (isolated parts included),
    `one_c` [A] the current that moves all of it through `am.sto_window` in one hour (or through
    `nominal_specific_capacity`), `theoretical_capacity` [C] of that window, `live_share` of the AM|ionic area,
    `isolated_share` {cause: share of the active material}.
    """

    electrode: Electrode
    parameters: dict[str, Parameter]
    model: CellModel
    area: float
    am_volume: float
    am_mass: float
    one_c: float
    theoretical_capacity: float
    live_share: float
    isolated_share: dict[str, float]

    def value(self, name: str) -> Any:
        """Value of the parameter with the dotted `name`."""
        return self.parameters[name].value

    @property
    def basis(self) -> Basis:
        """What the steps of a protocol must know of the cell."""
        return Basis(self.one_c, self.area, self.am_mass, float(self.value("anode.potential")))

    @property
    def active_coverage(self) -> float:
        """Share of the particles' free surface that is in live contact [-]: coverage times contact fraction, face by
        face, of what can react. Not for traced contact fractions."""
        interface = live_interface(self.electrode)
        contact = np.asarray(self.model.contact_fraction)[: len(interface)]
        return active_coverage(contact, self.electrode, interface)

    @property
    def contact_area(self) -> float:
        """True contact area [m2] of all live faces before anything was lost. Not for traced contact fractions."""
        return float(np.sum(np.asarray(self.model.pristine_contact)))

    def initial_fields(self) -> jnp.ndarray:
        """Fields (4, nz, ny, nx) at rest: sto_init, c_e_init, open circuit, electrolyte at the anode's zero."""
        m, p = self.model, self.model.parameters
        sto_init, phi_e = _scalar(self.value("sto_init")), -_scalar(self.value("anode.potential"))
        rest = p.ocp(sto_init, p.temperature)
        sto = jnp.where(m.phase == AM, sto_init, 0.5)
        return jnp.stack([jnp.broadcast_to(a, m.shape) for a in (rest + phi_e, phi_e, sto, p.c_e_init)])

    def initial_side(self) -> SideStates:
        """States of the side reactions of a pristine cell."""
        m = self.model
        faces = None if m.decomposition is None else m.decomposition.initial(m.faces.area.size)
        # strongly typed: weak floats would compile every program of the first step once more
        return SideStates(faces, None if m.carbon is None else m.carbon_voxels.astype(jnp.float64))


def build_cell(
    electrode: Electrode,
    parameter_set: str | Mapping[str, Parameter] = "nmc811_peo_60c",
    overrides: Mapping[str, Any] | None = None,
    *,
    min_live: float = 0.05,
) -> Cell:
    """Combine an electrode with a parameter set, any value overridden by its dotted name.

    **Arguments:** `parameter_set`: a name or a dict of `Parameter`; `overrides`: `{"electrolyte.kappa": 0.05}`,
    coefficients of material functions included (`with_coefficients`);
    `min_live`: smallest accepted live share of the AM|ionic area. `contact.fraction` is one number, or an array or
    mapping as in `face_contact_fractions`.

    **Errors:** `ConfigError` for unknown or impossible parameters, `GeometryError` if (almost) no face is live.
    """
    base = load_parameter_set(parameter_set) if isinstance(parameter_set, str) else parameter_set
    parameters = merge_parameters(base, with_coefficients(base, overrides or {}))
    live_share = check_live(electrode, min_live)
    found = connectivity(electrode)
    value = {name: p.value for name, p in parameters.items()}

    layers = separator_layers(value["separator.thickness"], value["separator.layers"], electrode.voxel_size[0])
    grid = _grid(electrode, layers)
    n = len(layers)
    lateral = electrode.shape[1:]
    phase = np.concatenate([np.full((n, *lateral), SEPARATOR, np.int8), electrode.phase.astype(np.int8)])
    separator = phase == SEPARATOR
    above = np.zeros((n, *lateral), bool)
    ionic = separator | np.concatenate([above, found.ionic])
    binary = value["electrolyte.kind"] == "binary"
    active = np.stack(
        [
            np.concatenate([above, found.electronic]),
            ionic,
            np.concatenate([above, found.am_live]),
            ionic if binary else np.zeros_like(ionic),
        ]
    )
    interface = live_interface(electrode)
    faces = _contact_faces(interface, n, phase.shape, layers)
    contact = face_contact_fractions(value["contact.fraction"], electrode, interface)
    _warn_of_little_contact(contact, interface)
    _warn_of_side_reactions_without_place(value, phase, active)
    am_volume = float(np.count_nonzero(electrode.phase == AM) * np.prod(electrode.voxel_size))
    am_mass = am_volume * value["am.density"]
    low, high = value["am.sto_window"]
    window_charge = F * value["am.c_s_max"] * am_volume * (high - low)
    nominal = value["nominal_specific_capacity"]
    one_c = window_charge / 3600.0 if nominal is None else nominal * am_mass  # mAh/g x kg = A h
    if not is_traced(one_c) and not one_c > 0:
        raise GeometryError("The electrode holds no active material: its 1C current is zero.")
    model = CellModel(
        grid=grid,
        phase=jnp.asarray(phase),
        active=jnp.asarray(active),
        faces=faces,
        contact_fraction=jnp.pad(contact, (0, faces.area.size - contact.size), mode="edge"),
        film_resistance=jnp.broadcast_to(_scalar(value["film.resistance_init"]), faces.area.shape),
        parameters=_parameters(value),
        kinetics=ButlerVolmer(
            j0_ref=_scalar(value["kinetics.j0_ref"]),
            alpha_a=_scalar(value["kinetics.alpha_a"]),
            alpha_c=_scalar(value["kinetics.alpha_c"]),
            c_e_init=_scalar(value["electrolyte.c_e_init"]),
            salt_dependent=binary,
        ),
        anode=CounterElectrode(
            j0=_scalar(value["anode.j0"]),
            resistance=_scalar(value["anode.resistance"]),
            potential=_scalar(value["anode.potential"]),
        ),
        decomposition=build_decomposition(value, binary),
        carbon=build_carbon(value),
        binary=binary,
        sigma_varies=not isinstance(value["am.sigma"], Constant),
        t_plus_varies=binary and not isinstance(value["electrolyte.t_plus"], Constant),
    )
    return Cell(
        electrode=electrode,
        parameters=parameters,
        model=model,
        area=electrode.cross_section_area,
        am_volume=am_volume,
        am_mass=am_mass,
        one_c=one_c,
        theoretical_capacity=window_charge,
        live_share=live_share,
        isolated_share=dict(found.isolated_am),
    )


def _warn_of_little_contact(contact: Array, interface: Interface) -> None:
    if is_traced(contact):
        return
    area = interface.weight * interface.face_area
    mean = float(np.average(np.asarray(contact), weights=area))
    if mean < 0.01:
        warnings.warn(
            f"contact.fraction = {mean:g}: less than 1 % of the contact faces is live.", UserWarning, stacklevel=3
        )


def _warn_of_side_reactions_without_place(value: Mapping[str, Any], phase: np.ndarray, active: np.ndarray) -> None:
    """Settings that would silently do nothing. A warning: the run without the law is the null model of one with it."""

    def zero(name: str) -> bool:
        return not is_traced(value[name]) and value[name] == 0

    no_law = value["decomposition.law"] == "none"
    idle = {  # setting -> (value that switches it off, whether it does nothing, what it needs)
        "decomposition.burst_charge": (
            0.0,
            no_law or zero("decomposition.burst_j_ref"),
            "a decomposition.law (its j_ref may be 0) and decomposition.burst_j_ref > 0",
        ),
        "contact.loss_thickness": (
            float("inf"),
            no_law or zero("decomposition.j_ref"),
            "a film, which grows with a decomposition.law and decomposition.j_ref > 0",
        ),
    }
    for name, (off, nothing, needs) in idle.items():
        if nothing and not is_traced(value[name]) and value[name] != off:
            warnings.warn(
                f"{name} = {value[name]:g} has no effect: it needs {needs}. Choose them, or set {name} to {off:g}.",
                UserWarning,
                stacklevel=3,
            )
    carbon = value["carbon_oxidation.j_ref"]
    if not is_traced(carbon) and carbon > 0 and not np.any((phase == CBD) & active[PHI_S] & active[PHI_E]):
        warnings.warn(
            f"carbon_oxidation.j_ref = {carbon:g} A/m2 has no effect: no cbd voxel conducts electrons from the "
            "collector and ions from the counter electrode. Set it to 0, or look at the image with 'voxelyte inspect'.",
            UserWarning,
            stacklevel=3,
        )


def _scalar(value: Any) -> jnp.ndarray:
    return jnp.asarray(value, jnp.float64)


def _grid(electrode: Electrode, layers: np.ndarray) -> VoxelGrid:
    nz, ny, nx = electrode.shape
    dz, dy, dx = electrode.voxel_size
    thickness = np.concatenate([layers, np.full(nz, dz)])
    return VoxelGrid(
        dz=jnp.asarray(thickness),
        dy=_scalar(dy),
        dx=_scalar(dx),
        shape=(nz + len(layers), ny, nx),
        separator_layers=len(layers),
        plan=coarsening_plan(thickness.tolist(), dy, dx, ny, nx, fields=2),
    )


def _parameters(value: Mapping[str, Any]) -> Parameters:
    groups = dict(zip(IONIC_CODES, ("cbd", "electrolyte", "separator"), strict=True))
    fraction = {
        CBD: _scalar(value["cbd.electrolyte_fraction"]),
        ELECTROLYTE: _scalar(1.0),
        SEPARATOR: _scalar(value["separator.electrolyte_fraction"]),
    }
    return Parameters(
        c_s_max=_scalar(value["am.c_s_max"]),
        D_s=value["am.D_s"],
        sigma=value["am.sigma"],
        ocp=value["am.ocp"],
        cbd_sigma=Constant(value["cbd.sigma"]),
        kappa={code: value[f"{group}.kappa"] for code, group in groups.items()},
        D_e={code: value[f"{group}.D_e"] for code, group in groups.items()},
        electrolyte_fraction=fraction,
        t_plus=value["electrolyte.t_plus"],
        thermo_factor=value["electrolyte.thermo_factor"],
        c_e_init=_scalar(value["electrolyte.c_e_init"]),
        electronic_resistance=_scalar(value["contact.electronic_resistance"]),
        temperature=_scalar(value["temperature"]),
    )


def padded_length(n: int) -> int:
    """`n` rounded up to one of eight lengths per power of two, so that similar electrodes share a compilation."""
    step = max(64, 2 ** max(int(np.log2(max(n, 1))) - 3, 0))
    return -(-n // step) * step


def _contact_faces(interface: Interface, n_layers: int, shape: tuple[int, ...], layers: np.ndarray) -> ContactFaces:
    nz, ny, nx = shape
    plane = ny * nx
    am = interface.am + n_layers * plane
    to_separator = interface.to_separator
    ionic = np.where(to_separator, am - plane, interface.ionic + n_layers * plane)
    high = np.where(interface.am_first, ionic, am)
    z, y, x = np.unravel_index(high, (nz, ny, nx))
    counts = [int(np.prod(face_shape((nz, ny, nx), a))) for a in range(3)]
    start = np.cumsum([0, *counts])
    within = np.choose(
        interface.axis, [(z * ny + y) * nx + x, (z * (ny + 1) + y) * nx + x, (z * ny + y) * (nx + 1) + x]
    )
    sizes = np.asarray(interface.voxel_size)[interface.axis]
    n = len(interface)
    total = padded_length(n)

    def pad(a: np.ndarray, fill: float | int | bool) -> jnp.ndarray:
        return jnp.asarray(np.concatenate([a, np.full(total - n, fill, a.dtype)]))

    return ContactFaces(
        am=pad(am.astype(np.int32), 0),
        ionic=pad(ionic.astype(np.int32), 0),
        face=pad((start[interface.axis] + within).astype(np.int32), int(start[-1])),
        am_low=pad(interface.am_first.astype(bool), False),
        on_cbd=pad(interface.ionic_is_cbd.astype(bool), False),
        valid=pad(np.ones(n, bool), False),
        area=pad(interface.face_area.astype(float), 0.0),
        weight=pad(interface.weight.astype(float), 1.0),
        h_am=pad(sizes.astype(float), 1e-6),
        h_ion=pad(np.where(to_separator, layers[-1], sizes).astype(float), 1e-6),
    )
