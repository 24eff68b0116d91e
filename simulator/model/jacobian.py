"""The assembled Jacobian of the residual: per-face derivatives taken once, one explicit stencil to apply them.

The derivatives of the face fluxes and of the contact law come from JAX (`jvp` with unit tangents on one side of all
faces at once); nothing is differentiated through the grid. `tests/unit/model` checks `apply` against the `jvp` of
`residual`.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.residual import (
    Drive,
    anode_current,
    collector,
    extra_resistance,
    face_fluxes,
    face_law,
    side_values,
    true_contact,
)
from simulator.numerics.stencil import AXES, halo, outflow, pad_axis, sides
from simulator.physics.transport import CellValues


class FaceCoefficients(NamedTuple):
    """Derivatives of the fluxes through the faces of one axis (boundary faces zero). Leading axes: see below.

    The four fields fall into two pairs, potentials (phi_s, phi_e) and concentrations (sto, c_e), and each potential
    meets one concentration only. `drop` (2, ...): of i_s, i_e with respect to the potential drop; `mixed` (2, 2, ...):
    of i_s, i_e with respect to sto, c_e on the low [0] and the high [1] side; `value` (2, 2, ...): of F N_s, F N_c with
    respect to the same; `migration` (...): of F N_c with respect to the drop of phi_e, None for constant t_plus.
    """

    drop: Array
    mixed: Array
    value: Array
    migration: Array | None


class FaceDerivatives(NamedTuple):
    """Per live face (n,): J [A] derivatives with respect to potential difference, sto and c_e; electron share of AM."""

    phi: Array
    sto: Array
    c_e: Array
    share: Array


class Jacobian(eqx.Module):
    """Derivative of `Evaluation.rows` with respect to the four fields; absent unknowns have zero rows and columns."""

    axes: tuple[FaceCoefficients, FaceCoefficients, FaceCoefficients]
    faces: FaceDerivatives
    am: Array  # flat indices of the cells on either side of the live faces
    ionic: Array
    storage: Array  # (2, nz, ny, nx): d rows[STO]/d sto and d rows[C_E]/d c_e of the accumulation
    anode: Array  # (2, ny, nx) [A]: derivative of the anode current with respect to phi_e and c_e
    plane: Array  # (ny, nx) [S] to the collector
    plane_sto: Array | None  # (ny, nx) [A]: derivative of that current with respect to sto; None if sigma is constant
    plane_floats: Array
    coupling: Array  # K / c_e [V m3/mol], (nz, ny, nx)
    migration: Array  # 1 - t_plus_ref
    active: Array

    def reaction_rows(self, du: Array) -> Array:
        """Rows (4, nz, ny, nx) of the reaction current alone, gathered from and summed to cells."""
        f, flat = self.faces, du.reshape(4, -1)
        am, ion = flat[:, self.am], flat[:, self.ionic]
        phi, sto, c_e, share = (a.astype(du.dtype) for a in f)
        drive = share * am[PHI_S] + (1.0 - share) * ion[PHI_S] - ion[PHI_E]
        current = phi * drive + sto * am[STO] + c_e * ion[C_E]
        zero = jnp.zeros(flat.shape[1], du.dtype)
        leaves = zero.at[self.am].add(current)
        enters = zero.at[self.ionic].add(current)
        electrons = zero.at[self.am].add(share * current).at[self.ionic].add((1.0 - share) * current)
        salt = self.migration.astype(du.dtype) * enters
        return jnp.stack([electrons, -enters, leaves, -salt]).reshape(du.shape)

    def apply(self, du: Array) -> Array:
        """`J du`, both (4, nz, ny, nx), in the precision of `du`."""
        du = jnp.where(self.active, du, 0.0)
        padded = halo(du)
        potentials = jnp.zeros_like(du[:STO])
        concentrations = self.storage.astype(du.dtype) * du[STO:]
        for axis, c in zip(AXES, self.axes, strict=True):
            low, high = sides(padded, axis)
            current = c.drop * (low[:STO] - high[:STO]) + c.mixed[0] * low[STO:] + c.mixed[1] * high[STO:]
            flux = c.value[0] * low[STO:] + c.value[1] * high[STO:]
            if c.migration is not None:
                flux = flux.at[1].add(c.migration * (low[PHI_E] - high[PHI_E]))
            potentials = potentials + outflow(current, axis)
            concentrations = concentrations + outflow(flux, axis)
        top = self.plane * du[PHI_S, -1]
        if self.plane_sto is not None:
            top = top + self.plane_sto * du[STO, -1]
        top = top - self.plane_floats * self.plane * (jnp.sum(top) / jnp.sum(self.plane))
        anode = self.anode[0] * du[PHI_E, 0] + self.anode[1] * du[C_E, 0]
        rows = self.reaction_rows(du) + jnp.concatenate([potentials, concentrations])
        rows = rows.at[PHI_S, -1].add(top.astype(du.dtype)).at[PHI_E, 0].add(-anode.astype(du.dtype))
        rows = rows.at[C_E, 0].add(-(self.migration * anode).astype(du.dtype))
        return jnp.where(self.active, rows, 0.0)


def face_derivatives(u: Array, cell: CellModel, j: Array) -> FaceDerivatives:
    """Derivatives of the current [A] of each live face at the solved `j`."""
    am, ion = cell.gather(u)
    area = true_contact(cell)

    def law(d_phi: Array, d_sto: Array, d_c: Array) -> Array:
        # Stacked, not `.at[].add`: XLA would fold those scatters of constants at compile time, slowly.
        d_am = jnp.stack([zero, zero, d_sto, zero])
        d_ion = jnp.stack([zero, -d_phi, zero, d_c])
        return area * face_law(am + d_am, ion + d_ion, cell, j)

    zero = jnp.zeros_like(j)
    _, push = jax.linearize(law, zero, zero, zero)
    # All faces at once, one input at a time: vmap compiles the tangent program once instead of three times.
    units = jnp.broadcast_to(jnp.eye(3)[:, :, None], (3, 3, j.size))
    parts = jax.vmap(lambda d: push(d[0], d[1], d[2]))(units)
    valid = cell.faces.valid
    phi, sto, c_e = (jnp.where(valid, part, 0.0) for part in parts)
    if not cell.binary:
        c_e = jnp.zeros_like(c_e)
    share = jnp.where(valid, cell.face_sides(am, ion).am_share(), 0.0)
    return FaceDerivatives(phi, sto, c_e, share)


def _tangent(values: CellValues, **changes: Array) -> CellValues:
    zeros = CellValues(*(jnp.zeros_like(a) for a in values))
    return zeros._replace(**changes)


def _split_derivative(u: Array, j: Array, cell: CellModel) -> Array:
    """Derivative (2, n) [A] of the electron flux that the AM share adds, for sto on the low and high side."""
    am, ion = cell.gather(u)

    def share(shift: Array) -> Array:
        return cell.face_sides(am + jnp.stack([zero, zero, shift, zero]), ion).am_share()

    zero = jnp.zeros_like(j)
    _, slope = jax.jvp(share, (zero,), (jnp.ones_like(j),))
    flux = jnp.where(cell.faces.valid, slope * j * true_contact(cell), 0.0)
    low = cell.faces.am_low
    return jnp.stack([jnp.where(low, flux, 0.0), jnp.where(low, 0.0, -flux)])


def _anode_derivatives(u: Array, values: CellValues, d_values: CellValues, cell: CellModel) -> Array:
    """Derivatives (2, ny, nx) [A] of the counter-electrode current with respect to phi_e and c_e of the first layer."""
    first = u[:, :1]
    layer = CellValues(*(a[:1] for a in values))
    d_layer = CellValues(*(a[:1] for a in d_values))

    def law(fields: Array, v: CellValues) -> Array:
        return anode_current(fields, v, cell) * cell.grid.plane_area

    zero = jnp.zeros_like(first)
    _, by_phi = jax.jvp(law, (first, layer), (zero.at[PHI_E].set(1.0), _tangent(layer)))
    _, by_c = jax.jvp(law, (first, layer), (zero.at[C_E].set(1.0), d_layer))
    return jnp.stack([by_phi, by_c])


def linearise(u: Array, j: Array, gamma_dt: Array, drive: Drive, cell: CellModel, dtype: jnp.dtype) -> Jacobian:
    """Assemble the Jacobian at `u`, with solved face currents `j`, its coefficients stored in `dtype`."""
    # sto and c_e never share a voxel, so one tangent serves both families of coefficients.
    direction = jnp.zeros_like(u).at[STO:].set(1.0)
    values, d_values = jax.jvp(cell.cell_values, (u,), (direction,))
    extra = extra_resistance(u, cell)
    faces = face_derivatives(u, cell, j)
    # Where sigma varies, so does the split of the face's electrons: an extra flux from the particle to the CBD.
    split = cell.spread_faces(_split_derivative(u, j, cell)) if cell.sigma_varies else None

    axes = []
    for axis in AXES:
        low, high = side_values(values, axis)
        d_low, d_high = side_values(d_values, axis)

        def flow(lo: CellValues, hi: CellValues, axis: int = axis):
            return face_fluxes(lo, hi, cell, axis, extra[axis])

        ones = jnp.ones_like(low.phi_s)
        potential = _tangent(low, phi_s=ones, phi_e=ones)
        _, by_phi = jax.jvp(lambda lo, f=flow, hi=high: f(lo, hi), (low,), (potential,))
        _, by_low = jax.jvp(lambda lo, f=flow, hi=high: f(lo, hi), (low,), (d_low,))
        _, by_high = jax.jvp(lambda hi, f=flow, lo=low: f(lo, hi), (high,), (d_high,))

        def pairs(first: str, second: str, a=by_low, b=by_high) -> Array:
            return jnp.stack([jnp.stack([getattr(side, first), getattr(side, second)]) for side in (a, b)])

        mixed = pad_axis(pairs("i_s", "i_e"), axis, 1, 1)
        if split is not None:
            mixed = mixed.at[:, 0].add(split[axis])
        coefficients = FaceCoefficients(
            drop=pad_axis(jnp.stack([by_phi.i_s, by_phi.i_e]), axis, 1, 1),
            mixed=mixed,
            value=pad_axis(pairs("n_s", "n_c"), axis, 1, 1),
            migration=pad_axis(by_phi.n_c, axis, 1, 1) if cell.t_plus_varies else None,
        )
        axes.append(jax.tree_util.tree_map(lambda a: a.astype(dtype), coefficients))

    g, voltage = collector(u, values, cell, drive)
    d_g = 2.0 * d_values.sigma[-1] / cell.grid.dz[-1] * cell.grid.plane_area
    anode = _anode_derivatives(u, values, d_values, cell)
    if not cell.binary:
        anode = anode.at[1].set(0.0)
    storage = jnp.stack([jnp.broadcast_to(cell.solid_storage, cell.shape), cell.salt_storage]) * jnp.where(
        cell.active[STO:], 1.0 / gamma_dt, 0.0
    )
    return Jacobian(
        axes=(axes[0], axes[1], axes[2]),
        faces=faces,
        am=cell.faces.am,
        ionic=cell.faces.ionic,
        storage=storage,
        anode=anode,
        plane=g,
        plane_sto=d_g * (u[PHI_S, -1] - voltage) if cell.sigma_varies else None,
        plane_floats=drive.constant_current,
        coupling=jnp.where(cell.active[C_E], values.coupling / jnp.where(cell.active[C_E], u[C_E], 1.0), 0.0),
        migration=1.0 - cell.t_plus_ref,
        active=cell.active,
    )
