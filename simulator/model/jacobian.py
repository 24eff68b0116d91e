"""The assembled Jacobian of the residual: per-face derivatives taken once, one explicit stencil to apply them.

The derivatives of the face fluxes and of the contact law come from JAX (`jvp` with unit tangents on one side of all
faces at once); nothing is differentiated through the grid. `tests/unit/model` checks `apply` against the `jvp` of
`residual`.
"""

import math
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
from simulator.numerics.compilation import settle
from simulator.numerics.stencil import AXES, halo, outflow, pad_axis, sides
from simulator.physics.transport import CellValues


class FaceCoefficients(NamedTuple):
    """Derivatives of the fluxes through the faces of one axis (boundary faces zero). Leading axes: see below.

    The four fields fall into two pairs, potentials (phi_s, phi_e) and concentrations (sto, c_e), and each potential
    meets one concentration only. `drop` (2, ...): of i_s, i_e with respect to the potential drop. `mixed` and `value`
    (2, 2, ...): of i_s, i_e and of F N_s, F N_c with respect to the drop [0] of sto, c_e and to their mean [1] over the
    two sides. `migration` (...): of F N_c with respect to the drop of phi_e, None for constant t_plus.

    Drops and means, not the two sides: a flux is then a small difference times a conductance, which float32 resolves.
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

    def reaction(self, potentials: Array, concentrations: Array | None = None) -> Array:
        """Currents (n,) [A] of the live faces for changes (2, nz, ny, nx) of the fields."""
        phi_s, phi_e = potentials.reshape(2, -1)
        phi, sto, c_e, share = (a.astype(potentials.dtype) for a in self.faces)
        drive = share * phi_s[self.am] + (1.0 - share) * phi_s[self.ionic] - phi_e[self.ionic]
        if concentrations is None:
            return phi * drive
        x, c = concentrations.reshape(2, -1)
        return phi * drive + sto * x[self.am] + c_e * c[self.ionic]

    def to_cells(self, index: Array, current: Array) -> Array:
        """Sum (nz, ny, nx) of the faces' `current` over the cells `index` (`am` or `ionic`)."""
        shape = self.active.shape[1:]
        return jnp.zeros(math.prod(shape), current.dtype).at[index].add(current).reshape(shape)

    def apply(self, du: Array) -> Array:
        """`J du`, both (4, nz, ny, nx), in the precision of `du`."""
        du = jnp.where(self.active, du, 0.0)
        padded = halo(du)
        storage = self.storage.astype(du.dtype)
        rows = [jnp.zeros_like(du[0]), jnp.zeros_like(du[0]), storage[0] * du[STO], storage[1] * du[C_E]]
        for axis, c in zip(AXES, self.axes, strict=True):
            low, high = sides(padded, axis)
            for potential, concentration in ((PHI_S, STO), (PHI_E, C_E)):
                pair = potential  # 0 or 1: row of the coefficients
                drop = low[concentration] - high[concentration]
                mean = 0.5 * (low[concentration] + high[concentration])
                current = c.drop[pair] * (low[potential] - high[potential])
                current = current + c.mixed[0, pair] * drop + c.mixed[1, pair] * mean
                flux = c.value[0, pair] * drop + c.value[1, pair] * mean
                if c.migration is not None and concentration == C_E:
                    flux = flux + c.migration * (low[PHI_E] - high[PHI_E])
                rows[potential] = rows[potential] + outflow(current, axis)
                rows[concentration] = rows[concentration] + outflow(flux, axis)
        migration = self.migration.astype(du.dtype)
        current = self.reaction(du[:STO], du[STO:])
        by_am = self.faces.share.astype(du.dtype) * current
        enters = self.to_cells(self.ionic, current)
        electrons = self.to_cells(self.am, by_am) + self.to_cells(self.ionic, current - by_am)
        rows[STO] = rows[STO] + self.to_cells(self.am, current)
        top = self.plane * du[PHI_S, -1]
        if self.plane_sto is not None:
            top = top + self.plane_sto * du[STO, -1]
        top = top - self.plane_floats * self.plane * (jnp.sum(top) / jnp.sum(self.plane))
        anode = (self.anode[0] * du[PHI_E, 0] + self.anode[1] * du[C_E, 0]).astype(du.dtype)
        rows[PHI_S] = (rows[PHI_S] + electrons).at[-1].add(top.astype(du.dtype))
        rows[PHI_E] = (rows[PHI_E] - enters).at[0].add(-anode)
        rows[C_E] = (rows[C_E] - migration * enters).at[0].add(-migration * anode)
        # Row by row, see `FaceOperator.apply`.
        return jnp.where(self.active, jnp.stack(settle(rows)), 0.0)


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


def _drop_and_mean(low: Array, high: Array) -> Array:
    """Derivatives with respect to drop and mean of a quantity, from those with respect to its two sides."""
    return jnp.stack([0.5 * (low - high), low + high])


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
            by_side = [jnp.stack([getattr(side, first), getattr(side, second)]) for side in (a, b)]
            return _drop_and_mean(*by_side)

        mixed = pad_axis(pairs("i_s", "i_e"), axis, 1, 1)
        if split is not None:
            mixed = mixed.at[:, 0].add(_drop_and_mean(*split[axis]))
        coefficients = FaceCoefficients(
            drop=pad_axis(jnp.stack([by_phi.i_s, by_phi.i_e]), axis, 1, 1),
            mixed=mixed,
            value=pad_axis(pairs("n_s", "n_c"), axis, 1, 1),
            migration=pad_axis(by_phi.n_c, axis, 1, 1) if cell.t_plus_varies else None,
        )
        coefficients = jax.tree_util.tree_map(lambda a: a.astype(dtype), coefficients)
        # One axis after the other: side by side their float64 intermediates would be the peak of the memory.
        coefficients, values, d_values = settle((coefficients, values, d_values))
        axes.append(coefficients)

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
