r"""The one discrete residual: where physics meets discretisation.

Rows, in amperes, positive = leaving the voxel (or piling up in it):

- `PHI_S`: $\sum i_s A + \sum J A - $ current from the collector plane,
- `PHI_E`: $\sum i_e A - \sum J A - i_\mathrm{Li} A$,
- `STO`: $F c_{s,\max} V (x - x_\mathrm{known})/\gamma\Delta t + \sum F N_s A + \sum J_\mathrm{ct} A$,
- `C_E`: $F\varepsilon V (c_e - c_\mathrm{known})/\gamma\Delta t + \sum F N_c A
  - (1-t_+^\mathrm{ref})(\sum J A + i_\mathrm{Li}A) + \omega\sum J_\mathrm{ox}A$ (anion balance plus that share of the
  charge balance).

J is the whole current of a face, intercalation $J_\mathrm{ct}$ and oxidation of the electrolyte $J_\mathrm{ox}$. What
oxidises on the carbon of a CBD voxel passes from its solid to its electrolyte and adds to both potential rows.

The collector is an equipotential plane half a voxel behind the last layer; its potential follows from the total
current, $V = (I + \sum g\phi_s)/\sum g$, so constant current needs no extra unknown; at constant voltage V is given.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F
from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.numerics.stencil import AXES, outflow, pad_axis, take
from simulator.physics.contact import FaceCurrents, FaceFields, FaceLaw, FaceSides, contact_law
from simulator.physics.decomposition import SideStart
from simulator.physics.transport import CellValues, FaceFluxes, fluxes


class Drive(eqx.Module):
    """What is imposed at the collector; all traced. `constant_current` 1 or 0: `current` [A] or `voltage` [V]."""

    current: Float[Array, ""]
    voltage: Float[Array, ""]
    constant_current: Float[Array, ""]

    @classmethod
    def of_current(cls, current: float) -> "Drive":
        """`current` [A] is imposed. Strongly typed: a plain float would compile the same program a second time."""
        return cls(jnp.asarray(current, float), jnp.zeros(()), jnp.ones(()))

    @classmethod
    def of_voltage(cls, voltage: float) -> "Drive":
        """`voltage` [V] of the cell is imposed."""
        return cls(jnp.zeros(()), jnp.asarray(voltage, float), jnp.zeros(()))


class SideStates(NamedTuple):
    """States of the side reactions: `faces` (3, n), see `Decomposition`, and `carbon` (nz, ny, nx), the share of what
    can be oxidised that is left in each CBD voxel. None where there is no such reaction. A pytree like any other."""

    faces: Array | None = None
    carbon: Array | None = None

    def combine(self, other: "SideStates", function) -> "SideStates":
        """`function(mine, theirs)` on every array that exists."""
        return jax.tree.map(function, self, other)


class History(NamedTuple):
    """What an implicit stage starts from: the weighted history of sto and c_e, `fields` (2, nz, ny, nx), and `side`."""

    fields: Array
    side: SideStates = SideStates()


class Flows(NamedTuple):
    """Currents [A] of a state, or on the host what they have passed [C]. Positive on charge: through all faces,
    `reaction`; of it `lithium` that leaves the particles, `oxidation` and `burst` of the electrolyte; `carbon`:
    oxidation on carbon. `anode`: into the electrolyte, positive on discharge."""

    reaction: Any = 0.0
    lithium: Any = 0.0
    oxidation: Any = 0.0
    burst: Any = 0.0
    carbon: Any = 0.0
    anode: Any = 0.0


class Totals(NamedTuple):
    """What a state amounts to as a whole. `j` (n,) [A/m2 contact], `side` states at its time, `voltage` [V].

    `current` is the external one: the given one, or at constant voltage that of the faces. The collector plane carries
    the same (`imbalance`), but against conductances 1e6 times larger its potential drop does not resolve it.
    `settled`: every film belongs to its own current; a state where one does not must not be accepted.
    `imbalance` (4,) [A]: what is wrong with charge in the solid, charge in the electrolyte, lithium and salt as a
    whole. The inner fluxes cancel exactly in these sums, so they are formed from the outer ones. `rounding` (4,) [A]:
    how well float64 resolves them, which matters for time steps of milliseconds.
    """

    j: FaceCurrents
    side: SideStates
    flows: Flows
    current: Array
    voltage: Array
    imbalance: Array
    rounding: Array
    settled: Array


class Evaluation(NamedTuple):
    """Residual at one state: `rows` (4, nz, ny, nx) [A], and what it amounts to."""

    rows: Array
    total: Totals


class _Sources(NamedTuple):
    """What enters and leaves: `faces` their currents, `carbon` (nz, ny, nx) [A] or None, `from_collector` and `anode`
    (ny, nx) [A], the gains (nz, ny, nx) [A] of lithium and salt in the voxels; `sides` of the faces."""

    faces: "FaceAmperes"
    carbon: Array | None
    from_collector: Array
    anode: Array
    solid_gain: Array
    salt_gain: Array
    sides: FaceSides


class FaceAmperes(NamedTuple):
    """Currents (n,) [A] of the live faces, zero on padding: `total`; without a decomposition the others are None:
    `side` is the part that takes no lithium from the particle, `salt` the part that consumes an anion."""

    total: Array
    side: Array | None = None
    salt: Array | None = None

    @property
    def lithium(self) -> Array:
        """What leaves the particle as lithium [A]."""
        return self.total if self.side is None else self.total - self.side


class Collector(NamedTuple):
    """The collector plane: `conductance` (ny, nx) [S] of the last layer to it, its `potential` [V], and the current
    (ny, nx) [A] that comes `from_it`."""

    conductance: Array
    potential: Array
    from_it: Array


def collector(u: Array, values: CellValues, cell: CellModel, drive: Drive) -> Collector:
    """What the last layer and the `drive` make of the collector plane."""
    g = 2.0 * values.sigma[-1] / cell.grid.dz[-1] * cell.grid.plane_area
    phi = u[PHI_S, -1]
    # Against conductances 1e6 times the current the rounding of a mean of 4 V would be an error of the current: only
    # differences to one of the potentials are summed.
    one = jax.lax.stop_gradient(jnp.max(jnp.where(g > 0.0, phi, -jnp.inf)))
    above = (drive.current + jnp.sum(g * (phi - one))) / jnp.sum(g)
    free = drive.constant_current > 0
    drop = jnp.where(free, above - (phi - one), drive.voltage - phi)
    return Collector(g, jnp.where(free, one + above, drive.voltage), g * drop)


def wall_transport(values: CellValues, cell: CellModel) -> dict[str, Array]:
    """What lies between the first layer's centre and the counter electrode: D_e [m2/s], t_plus, half a layer [m]."""
    return {
        "diffusivity": jnp.maximum(values.D_e[0], 1e-30),  # a single-ion conductor has none; t_plus = 1 removes it
        "t_plus": values.t_plus[0],
        "distance": 0.5 * cell.grid.dz[0],
    }


def anode_current(u: Array, values: CellValues, cell: CellModel) -> Array:
    """Current density (ny, nx) [A/m2] from the counter electrode into the first layer."""
    return cell.anode.current(
        u[PHI_E, 0],
        u[C_E, 0],
        kappa=values.kappa[0],
        coupling=values.coupling[0],
        temperature=cell.parameters.temperature,
        **wall_transport(values, cell),
    )


def face_law(am: Array, ion: Array, cell: CellModel, guess: FaceCurrents, side: SideStates, gamma_dt: Array) -> FaceLaw:
    """The solved faces from the fields (4, n) of their AM and ionic cells; differentiable in both.

    `side`: history of the side states; padding has no current.
    """
    p, valid = cell.parameters, cell.faces.valid
    # Padding sits at zero overpotential, so that it never holds up the scalar Newton of the others.
    rest = p.ocp(am[STO], p.temperature)
    at = FaceFields(
        phi_am=jnp.where(valid, am[PHI_S], rest),
        phi_cbd=ion[PHI_S],
        phi_e=jnp.where(valid, ion[PHI_E], 0.0),
        sto=am[STO],
        c_e=ion[C_E],
    )
    start = None if side.faces is None else SideStart(side.faces, gamma_dt)
    law = contact_law(at, cell.face_sides(am, ion), cell.intercalation, guess.intercalation, cell.decomposition, start)
    return law._replace(currents=jax.tree.map(lambda j: jnp.where(valid, j, 0.0), law.currents))


def true_contact(cell: CellModel, sides: FaceSides) -> Array:
    """Contact area (n,) [m2] of each face: voxel face area times w times contact fraction."""
    return jnp.where(cell.faces.valid, cell.faces.area * cell.faces.weight * sides.contact, 0.0)


def face_amperes(law: FaceLaw, cell: CellModel) -> FaceAmperes:
    """Currents [A] of the solved faces."""
    contact = true_contact(cell, law.sides)
    j = law.currents
    if cell.decomposition is None or j.oxidation is None or j.burst is None:
        return FaceAmperes(j.total * contact)
    salt = cell.decomposition.omega * j.oxidation * contact
    return FaceAmperes(j.total * contact, (j.oxidation + j.burst) * contact, salt)


def carbon_oxidation(u: Array, cell: CellModel, left: Array, gamma_dt: Array) -> tuple[Array, Array]:
    """Current (nz, ny, nx) [A] of the electrolyte that oxidises on carbon, and the share left of what can."""
    assert cell.carbon is not None
    at_work = cell.carbon_voxels
    E = jnp.where(at_work, u[PHI_S] - u[PHI_E], 0.0)
    density, share = cell.carbon.advance(E, left, gamma_dt, cell.parameters.temperature)
    return jnp.where(at_work, density * cell.grid.volume, 0.0), jnp.where(at_work, share, left)


def extra_resistance(sides: FaceSides, cell: CellModel) -> tuple[Array, Array, Array]:
    """Electronic contact resistance [ohm m2] on dense face arrays (interior faces), for the AM-CBD electron path."""
    per_face = jnp.where(cell.faces.valid, sides.extra_resistance(), 0.0)
    z, y, x = cell.spread_faces(per_face[None])
    return z[0, 1:-1], y[0, :, 1:-1], x[0, :, :, 1:-1]


def side_values(values: CellValues, axis: int) -> tuple[CellValues, CellValues]:
    """Cell values on the low and the high side of the interior faces of `axis`."""
    low = CellValues(*(take(a, axis, 0, -1) for a in values))
    return low, CellValues(*(take(a, axis, 1, None) for a in values))


def face_fluxes(low: CellValues, high: CellValues, cell: CellModel, axis: int, extra: Array) -> FaceFluxes:
    """Fluxes [A] through the interior faces of `axis`."""
    d_low, d_high = cell.grid.sizes(axis)
    return fluxes(
        low,
        high,
        d_low,
        d_high,
        cell.grid.face_area(axis),
        extra,
        F * cell.parameters.c_s_max,
        F,
        cell.t_plus_ref,
    )


def _sources(
    u: Array, history: History, gamma_dt: Array, drive: Drive, cell: CellModel, guess: FaceCurrents, values: CellValues
) -> tuple[_Sources, Totals]:
    """Sources and totals; of `values` the first and the last layer are used."""
    law = face_law(*cell.gather(u), cell, guess, history.side, gamma_dt)
    faces = face_amperes(law, cell)
    zero = jnp.zeros(())
    carbon, carbon_left, oxidised = None, None, zero
    if history.side.carbon is not None:
        carbon, carbon_left = carbon_oxidation(u, cell, history.side.carbon, gamma_dt)
        oxidised = jnp.sum(carbon)
    plane = collector(u, values, cell, drive)
    anode = anode_current(u, values, cell) * cell.grid.plane_area
    gained = (u[STO:] - history.fields) / gamma_dt
    solid_gain = jnp.where(cell.active[STO], cell.solid_storage * gained[0], 0.0)
    salt_gain = jnp.where(cell.active[C_E], cell.salt_storage * gained[1], 0.0)

    reaction, stripped = jnp.sum(faces.total), jnp.sum(anode)
    lithium, oxidation, burst, salt = reaction, zero, zero, zero
    if law.currents.oxidation is not None and law.currents.burst is not None:
        contact = true_contact(cell, law.sides)
        lithium, salt = jnp.sum(faces.lithium), zero if faces.salt is None else jnp.sum(faces.salt)
        oxidation, burst = jnp.sum(law.currents.oxidation * contact), jnp.sum(law.currents.burst * contact)
    # At constant current the total is given; summing g (V - phi_s) would only add rounding.
    supplied = jnp.where(drive.constant_current > 0, drive.current, jnp.sum(plane.from_it))
    made = (1.0 - cell.t_plus_ref) * (reaction + oxidised + stripped) - salt
    imbalance = jnp.stack(
        [
            reaction + oxidised - supplied,
            -reaction - oxidised - stripped,
            jnp.sum(solid_gain) + lithium,
            jnp.sum(salt_gain) - made if cell.binary else zero,
        ]
    )
    held_lithium = jnp.sum(jnp.where(cell.active[STO], cell.solid_storage * u[STO], 0.0)) / gamma_dt
    held_salt = jnp.sum(jnp.where(cell.active[C_E], cell.salt_storage * u[C_E], 0.0)) / gamma_dt
    # the drops to a held plane are differences of float64 potentials
    held_plane = (1.0 - drive.constant_current) * jnp.sum(plane.conductance) * jnp.abs(plane.potential)
    rounding = 1e-15 * jnp.stack([held_plane, zero, held_lithium, held_salt])
    external = jnp.where(drive.constant_current > 0, drive.current, reaction + oxidised)
    sources = _Sources(faces, carbon, plane.from_it, anode, solid_gain, salt_gain, law.sides)
    flows = Flows(reaction, lithium, oxidation, burst, oxidised, stripped)
    side = SideStates(law.states, carbon_left)
    settled = jnp.ones((), bool) if law.settled is None else jnp.all(law.settled | ~cell.faces.valid)
    return sources, Totals(law.currents, side, flows, external, plane.potential, imbalance, rounding, settled)


def residual(
    u: Array, history: History, gamma_dt: Array, drive: Drive, cell: CellModel, guess: FaceCurrents
) -> Evaluation:
    """Residual rows and totals at the state `u`.

    **Arguments:** `u` (4, nz, ny, nx): phi_s [V], phi_e [V], sto [-], c_e [mol/m3]; `history` of this stage;
    `gamma_dt` [s]; `guess` of the face currents.
    """
    values = cell.cell_values(u)
    sources, total = _sources(u, history, gamma_dt, drive, cell, guess, values)
    extra = extra_resistance(sources.sides, cell)

    rows = [jnp.zeros(cell.shape) for _ in range(4)]
    for axis in AXES:
        low, high = side_values(values, axis)
        flow = face_fluxes(low, high, cell, axis, extra[axis])
        for row, flux in enumerate((flow.i_s, flow.i_e, flow.n_s, flow.n_c)):
            rows[row] = rows[row] + outflow(pad_axis(flux, axis, 1, 1), axis)

    share = sources.sides.am_share()
    faces, migration = sources.faces, 1.0 - cell.t_plus_ref
    leaves_am = cell.add_to_cells(cell.faces.am, faces.lithium)
    enters_ion = cell.add_to_cells(cell.faces.ionic, faces.total)
    electrons = cell.add_to_cells(cell.faces.am, share * faces.total)
    electrons = electrons + cell.add_to_cells(cell.faces.ionic, (1.0 - share) * faces.total)
    if sources.carbon is not None:
        enters_ion, electrons = enters_ion + sources.carbon, electrons + sources.carbon

    rows[PHI_S] = (rows[PHI_S] + electrons).at[-1].add(-sources.from_collector)
    rows[PHI_E] = (rows[PHI_E] - enters_ion).at[0].add(-sources.anode)
    rows[STO] = rows[STO] + sources.solid_gain + leaves_am
    rows[C_E] = (rows[C_E] + sources.salt_gain - migration * enters_ion).at[0].add(-migration * sources.anode)
    if faces.salt is not None:  # anions consumed: they leave the voxel
        rows[C_E] = rows[C_E] + cell.add_to_cells(cell.faces.ionic, faces.salt)
    return Evaluation(jnp.where(cell.active, jnp.stack(rows), 0.0), total)
