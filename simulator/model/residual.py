r"""The one discrete residual: where physics meets discretisation.

Rows, in amperes, positive = leaving the voxel (or piling up in it):

- `PHI_S`: $\sum i_s A + \sum J A - $ current from the collector plane,
- `PHI_E`: $\sum i_e A - \sum J A - i_\mathrm{Li} A$,
- `STO`: $F c_{s,\max} V (x - x_\mathrm{known})/\gamma\Delta t + \sum F N_s A + \sum J A$,
- `C_E`: $F\varepsilon V (c_e - c_\mathrm{known})/\gamma\Delta t + \sum F N_c A
  - (1-t_+^\mathrm{ref})(\sum J A + i_\mathrm{Li}A)$ (anion balance plus that share of the charge balance).

The collector is an equipotential plane half a voxel behind the last layer; its potential follows from the total
current, $V = (I + \sum g\phi_s)/\sum g$, so constant current needs no extra unknown; at constant voltage V is given.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F
from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.numerics.stencil import AXES, outflow, pad_axis, take
from simulator.physics.contact import CONTACT_FLOOR, contact_current
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


class Totals(NamedTuple):
    """What a state amounts to as a whole. `j` (n,) [A/m2 contact], currents [A], `voltage` [V].

    `current` is the external one: the given one, or at constant voltage that of the faces. The collector plane carries
    the same (`imbalance`), but against conductances 1e6 times larger its potential drop does not resolve it.
    `imbalance` (4,) [A]: what is wrong with charge in the solid, charge in the electrolyte, lithium and salt as a
    whole. The inner fluxes cancel exactly in these sums, so they are formed from the outer ones. `rounding` (4,) [A]:
    how well float64 resolves them, which matters for time steps of milliseconds.
    """

    j: Array
    reaction_current: Array
    anode_current: Array
    current: Array
    voltage: Array
    imbalance: Array
    rounding: Array


class Evaluation(NamedTuple):
    """Residual at one state: `rows` (4, nz, ny, nx) [A], and what it amounts to."""

    rows: Array
    total: Totals


class _Sources(NamedTuple):
    """What enters and leaves: `current` (n,) [A] of the faces, `from_collector` and `anode` (ny, nx) [A], and the
    gains (nz, ny, nx) [A] of lithium and salt in the voxels."""

    current: Array
    from_collector: Array
    anode: Array
    solid_gain: Array
    salt_gain: Array


def collector(u: Array, values: CellValues, cell: CellModel, drive: Drive) -> tuple[Array, Array]:
    """Conductance (ny, nx) [S] of the last layer to the collector plane, and the plane's potential [V]."""
    g = 2.0 * values.sigma[-1] / cell.grid.dz[-1] * cell.grid.plane_area
    floating = (drive.current + jnp.sum(g * u[PHI_S, -1])) / jnp.sum(g)
    return g, jnp.where(drive.constant_current > 0, floating, drive.voltage)


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


def face_currents(u: Array, cell: CellModel, start: Array) -> Array:
    """`j` (n,) [A m^-2 of contact] on the live faces; zero on padding."""
    am, ion = cell.gather(u)
    return face_law(am, ion, cell, start)


def face_law(am: Array, ion: Array, cell: CellModel, start: Array) -> Array:
    """`j` (n,) from the fields (4, n) of the AM and the ionic cell of each face; differentiable in both."""
    p, valid = cell.parameters, cell.faces.valid
    sides = cell.face_sides(am, ion)
    # Padding sits at zero overpotential, so that it never holds up the scalar Newton of the others.
    rest = p.ocp(am[STO], p.temperature)
    j = contact_current(
        phi_am=jnp.where(valid, am[PHI_S], rest),
        phi_cbd=ion[PHI_S],
        phi_e=jnp.where(valid, ion[PHI_E], 0.0),
        sto=am[STO],
        c_e=ion[C_E],
        sides=sides,
        kinetics=cell.kinetics,
        ocp=p.ocp,
        c_s_max=p.c_s_max,
        temperature=p.temperature,
        start=start,
    )
    return jnp.where(valid, j, 0.0)


def true_contact(cell: CellModel) -> Array:
    """Contact area (n,) [m2] of each face: voxel face area times w times contact fraction."""
    contact = jnp.maximum(cell.contact_fraction, CONTACT_FLOOR)
    return jnp.where(cell.faces.valid, cell.faces.area * cell.faces.weight * contact, 0.0)


def extra_resistance(u: Array, cell: CellModel) -> tuple[Array, Array, Array]:
    """Electronic contact resistance [ohm m2] on dense face arrays (interior faces), for the AM-CBD electron path."""
    am, ion = cell.gather(u)
    per_face = jnp.where(cell.faces.valid, cell.face_sides(am, ion).extra_resistance(), 0.0)
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
    u: Array, known: Array, gamma_dt: Array, drive: Drive, cell: CellModel, start: Array, values: CellValues
) -> tuple[_Sources, Totals]:
    """Sources and totals; of `values` the first and the last layer are used."""
    j = face_currents(u, cell, start)
    current = j * true_contact(cell)
    g, voltage = collector(u, values, cell, drive)
    from_collector = g * (voltage - u[PHI_S, -1])
    anode = anode_current(u, values, cell) * cell.grid.plane_area
    gained = (u[STO:] - known) / gamma_dt
    solid_gain = jnp.where(cell.active[STO], cell.solid_storage * gained[0], 0.0)
    salt_gain = jnp.where(cell.active[C_E], cell.salt_storage * gained[1], 0.0)

    reaction, stripped = jnp.sum(current), jnp.sum(anode)
    # At constant current the total is given; summing g (V - phi_s) would only add the rounding of 4 V potentials.
    supplied = jnp.where(drive.constant_current > 0, drive.current, jnp.sum(from_collector))
    made = (1.0 - cell.t_plus_ref) * (reaction + stripped)
    imbalance = jnp.stack(
        [
            reaction - supplied,
            -reaction - stripped,
            jnp.sum(solid_gain) + reaction,
            jnp.sum(salt_gain) - made if cell.binary else jnp.zeros(()),
        ]
    )
    held_lithium = jnp.sum(jnp.where(cell.active[STO], cell.solid_storage * u[STO], 0.0)) / gamma_dt
    held_salt = jnp.sum(jnp.where(cell.active[C_E], cell.salt_storage * u[C_E], 0.0)) / gamma_dt
    # the drops to a held plane are differences of float64 potentials
    held_plane = (1.0 - drive.constant_current) * jnp.sum(g) * jnp.abs(voltage)
    rounding = 1e-15 * jnp.stack([held_plane, jnp.zeros(()), held_lithium, held_salt])
    external = jnp.where(drive.constant_current > 0, drive.current, reaction)
    sources = _Sources(current, from_collector, anode, solid_gain, salt_gain)
    return sources, Totals(j, reaction, stripped, external, voltage, imbalance, rounding)


def totals(u: Array, known: Array, gamma_dt: Array, drive: Drive, cell: CellModel, start: Array) -> Totals:
    """The `Totals` of `residual` without its rows, for a quarter of the work."""
    return _sources(u, known, gamma_dt, drive, cell, start, cell.cell_values(u, ends=True))[1]


def residual(u: Array, known: Array, gamma_dt: Array, drive: Drive, cell: CellModel, start: Array) -> Evaluation:
    """Residual rows and totals at the state `u`.

    **Arguments:** `u` (4, nz, ny, nx): phi_s [V], phi_e [V], sto [-], c_e [mol/m3]; `known` (2, nz, ny, nx): the
    weighted history of sto and c_e of this stage; `gamma_dt` [s]; `start` (n,): guess of the face currents.
    """
    values = cell.cell_values(u)
    sources, total = _sources(u, known, gamma_dt, drive, cell, start, values)
    extra = extra_resistance(u, cell)

    rows = [jnp.zeros(cell.shape) for _ in range(4)]
    for axis in AXES:
        low, high = side_values(values, axis)
        flow = face_fluxes(low, high, cell, axis, extra[axis])
        for row, flux in enumerate((flow.i_s, flow.i_e, flow.n_s, flow.n_c)):
            rows[row] = rows[row] + outflow(pad_axis(flux, axis, 1, 1), axis)

    am, ion = cell.gather(u)
    share = cell.face_sides(am, ion).am_share()
    current, migration = sources.current, 1.0 - cell.t_plus_ref
    leaves_am = cell.add_to_cells(cell.faces.am, current)
    enters_ion = cell.add_to_cells(cell.faces.ionic, current)
    electrons = cell.add_to_cells(cell.faces.am, share * current)
    electrons = electrons + cell.add_to_cells(cell.faces.ionic, (1.0 - share) * current)

    rows[PHI_S] = (rows[PHI_S] + electrons).at[-1].add(-sources.from_collector)
    rows[PHI_E] = (rows[PHI_E] - enters_ion).at[0].add(-sources.anode)
    rows[STO] = rows[STO] + sources.solid_gain + leaves_am
    rows[C_E] = (rows[C_E] + sources.salt_gain - migration * enters_ion).at[0].add(-migration * sources.anode)
    return Evaluation(jnp.where(cell.active, jnp.stack(rows), 0.0), total)
