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
    FaceAmperes,
    History,
    Totals,
    anode_current,
    carbon_oxidation,
    collector,
    extra_resistance,
    face_amperes,
    face_fluxes,
    face_law,
    side_values,
    true_contact,
)
from simulator.numerics.compilation import settle
from simulator.numerics.stencil import AXES, halo, outflow, pad_axis, sides, take
from simulator.physics.contact import FaceSides
from simulator.physics.transport import CellValues

#: Rows of the packed unknowns: sto and c_e never share a voxel, so that one field holds both.
CONCENTRATION = 2
PACKED_FIELDS = 3


class FaceCoefficients(NamedTuple):
    """Derivatives of the fluxes through the faces of one axis (boundary faces zero).

    `drop` (2, ...): of i_s and i_e with respect to their potential drops. `value` (2, ...): of the flux of lithium,
    F N_s or F N_c, with respect to the drop [0] of the concentration and to its mean [1] over the two sides. `mixed`
    (2, ...): of i_s where `solid` (a particle on either side) and of i_e elsewhere, with respect to the same, but for
    `border` (a particle on one side alone): there with respect to the low [0] and the high [1] side. `migration`
    (...): of F N_c with respect to the drop of phi_e, None for constant t_plus.

    Drops and means, not the two sides: a flux is then a small difference times a conductance, which float32 resolves.
    Across a border the concentration is sto on one side and c_e on the other, and has neither.
    """

    drop: Array
    mixed: Array
    value: Array
    solid: Array
    border: Array
    migration: Array | None

    def astype(self, dtype: jnp.dtype) -> "FaceCoefficients":
        """The same with every derivative in `dtype`."""
        return jax.tree_util.tree_map(lambda a: a if a.dtype == bool else a.astype(dtype), self)


class FaceDerivatives(NamedTuple):
    """Per live face (n,): J [A] derivatives with respect to potential difference, sto and c_e; electron share of AM.

    `side` (2, 3, n): the same three derivatives of the part of J that takes no lithium from the particle [0], and of
    the part that consumes an anion [1]; None without a decomposition.
    """

    phi: Array
    sto: Array
    c_e: Array
    share: Array
    side: Array | None = None

    def sums(self, salt_shape: Array) -> Array:
        """Summed over the faces (3, 3): of J, of its lithium part and of its anion part, each with respect to a shift
        of the potential difference and of sto by one constant, and of c_e by `salt_shape` (n,)."""
        total = jnp.stack([jnp.sum(self.phi), jnp.sum(self.sto), jnp.sum(self.c_e * salt_shape)])
        if self.side is None:
            return jnp.stack([total, total, jnp.zeros(3)])
        side, salt = jnp.sum(self.side.at[:, 2].multiply(salt_shape), axis=-1)
        return jnp.stack([total, total - side, salt])


class Jacobian(eqx.Module):
    """Derivative of `Evaluation.rows` with respect to the fields, both packed as (phi_s, phi_e, concentration); absent
    unknowns have zero rows and columns."""

    axes: tuple[FaceCoefficients, FaceCoefficients, FaceCoefficients]
    faces: FaceDerivatives
    am: Array  # flat indices of the cells on either side of the live faces
    ionic: Array
    storage: Array  # (nz, ny, nx): derivative of the accumulation
    anode: Array  # (2, ny, nx) [A]: derivative of the anode current with respect to phi_e and c_e
    plane: Array  # (ny, nx) [S] to the collector
    plane_sto: Array | None  # (ny, nx) [A]: derivative of that current with respect to sto; None if sigma is constant
    plane_floats: Array
    coupling: Array  # K / c_e [V m3/mol], (nz, ny, nx); zero in particles
    anion_share: Array  # 1 - t_plus_ref: salt made per unit of current
    carbon: Array | None  # (nz, ny, nx) [S]: derivative of the oxidation on carbon with respect to phi_s - phi_e
    active: Array  # (4, nz, ny, nx)

    @property
    def present(self) -> Array:
        """Which of the packed unknowns there are, (3, nz, ny, nx) bool."""
        return jnp.concatenate([self.active[:STO], (self.active[STO] | self.active[C_E])[None]])

    def pack(self, rows: Array) -> Array:
        """Four fields (phi_s, phi_e, sto, c_e) as three; absent entries become zero."""
        rows = jnp.where(self.active, rows, 0.0)
        return jnp.stack([rows[PHI_S], rows[PHI_E], rows[STO] + rows[C_E]])

    def unpack(self, packed: Array) -> Array:
        """Three fields as four, zero where absent."""
        return jnp.where(self.active, jnp.concatenate([packed, packed[CONCENTRATION:]]), 0.0)

    def _change(self, potentials: Array, concentration: Array | None, slopes: list[Array]) -> Array:
        """What quantities of the faces (n,) with the derivatives `slopes` (phi, sto, c_e) change by."""
        phi_s, phi_e = potentials.reshape(2, -1)
        phi, sto, c_e = slopes
        share = self.faces.share.astype(potentials.dtype)
        drive = share * phi_s[self.am] + (1.0 - share) * phi_s[self.ionic] - phi_e[self.ionic]
        if concentration is None:
            return phi * drive
        flat = concentration.ravel()
        return phi * drive + sto * flat[self.am] + c_e * flat[self.ionic]

    def reaction(self, potentials: Array, concentration: Array | None = None) -> FaceAmperes:
        """Currents (n,) [A] of the live faces for changes of the potentials (2, nz, ny, nx) and the concentration."""
        dtype, f = potentials.dtype, self.faces
        total = self._change(potentials, concentration, [a.astype(dtype) for a in (f.phi, f.sto, f.c_e)])
        if f.side is None:
            return FaceAmperes(total)
        side, salt = (self._change(potentials, concentration, list(part.astype(dtype))) for part in f.side)
        return FaceAmperes(total, side, salt)

    def _to_cells(self, ionic: Array, am: Array | None = None) -> Array:
        """Per-face values summed (nz, ny, nx) over their ionic cells, and over their AM cells."""
        shape = self.active.shape[1:]
        cells = jnp.zeros(math.prod(shape), ionic.dtype).at[self.ionic].add(ionic)
        return (cells if am is None else cells.at[self.am].add(am)).reshape(shape)

    def lithium(self, faces: FaceAmperes) -> Array:
        """Row of the concentration (nz, ny, nx) [A] of face currents: lithium that leaves particles, and the salt that
        the current makes less what its oxidation consumes."""
        made = self.anion_share.astype(faces.total.dtype) * faces.total
        return self._to_cells(-made if faces.salt is None else faces.salt - made, faces.lithium)

    def _in_place(self, du: Array) -> Array:
        """`J du` but for the fluxes between voxels: storage, the live faces, the two ends of the cell, carbon."""
        zero = jnp.zeros_like(du[0])
        rows = [zero, zero, self.storage.astype(du.dtype) * du[CONCENTRATION]]
        faces = self.reaction(du[:STO], du[CONCENTRATION])
        current = faces.total
        by_am = self.faces.share.astype(du.dtype) * current
        top = self.plane * du[PHI_S, -1]
        if self.plane_sto is not None:
            top = top + self.plane_sto * du[CONCENTRATION, -1]
        top = top - self.plane_floats * self.plane * (jnp.sum(top) / jnp.sum(self.plane))
        anode = (self.anode[0] * du[PHI_E, 0] + self.anode[1] * du[CONCENTRATION, 0]).astype(du.dtype)
        made = self.anion_share.astype(du.dtype) * anode
        rows[PHI_S] = (rows[PHI_S] + self._to_cells(current - by_am, by_am)).at[-1].add(top.astype(du.dtype))
        rows[PHI_E] = (rows[PHI_E] + self._to_cells(-current)).at[0].add(-anode)
        rows[CONCENTRATION] = (rows[CONCENTRATION] + self.lithium(faces)).at[0].add(-made)
        if self.carbon is not None:
            oxidised = self.carbon.astype(du.dtype) * (du[PHI_S] - du[PHI_E])
            rows[PHI_S], rows[PHI_E] = rows[PHI_S] + oxidised, rows[PHI_E] - oxidised
            rows[CONCENTRATION] = rows[CONCENTRATION] - self.anion_share.astype(du.dtype) * oxidised
        return jnp.stack(rows)

    def apply(self, du: Array) -> Array:
        """`J du`, both (3, nz, ny, nx), in the precision of `du`."""
        du = jnp.where(self.present, du, 0.0)
        padded = halo(du)
        rows = list(self._in_place(du))
        for axis, c in zip(AXES, self.axes, strict=True):
            low, high = sides(padded, axis)
            drop, mean = low - high, 0.5 * (low[CONCENTRATION] + high[CONCENTRATION])
            mixed = c.mixed[0] * jnp.where(c.border, low[CONCENTRATION], drop[CONCENTRATION])
            mixed = mixed + c.mixed[1] * jnp.where(c.border, high[CONCENTRATION], mean)
            solid = c.drop[PHI_S] * drop[PHI_S] + jnp.where(c.solid, mixed, 0.0)
            ionic = c.drop[PHI_E] * drop[PHI_E] + jnp.where(c.solid, 0.0, mixed)
            flux = c.value[0] * drop[CONCENTRATION] + c.value[1] * mean
            if c.migration is not None:
                flux = flux + c.migration * drop[PHI_E]
            for row, through in enumerate((solid, ionic, flux)):
                rows[row] = rows[row] + outflow(through, axis)
        # Row by row, see `FaceOperator.apply`.
        return jnp.where(self.present, jnp.stack(settle(rows)), 0.0)

    def apply_transposed(self, rows: Array) -> Array:
        """`J^T rows`, both (3, nz, ny, nx), in the precision of `rows`.

        Written as `apply` is, with differences over the faces: what JAX makes of it by transposing every slice takes
        three times as long.
        """
        rows = jnp.where(self.present, rows, 0.0)
        padded = halo(rows)
        [found] = jax.linear_transpose(self._in_place, rows)(rows)
        fields = list(found)
        for axis, c in zip(AXES, self.axes, strict=True):
            low, high = sides(padded, axis)
            solid, ionic, flux = low - high
            through = jnp.where(c.solid, solid, ionic)
            first, second = c.mixed[0] * through, c.mixed[1] * through
            by_drop = jnp.where(c.border, 0.0, first) + c.value[0] * flux
            by_mean = 0.5 * (jnp.where(c.border, 0.0, second) + c.value[1] * flux)
            by_low = by_mean + jnp.where(c.border, first, 0.0)
            by_high = by_mean + jnp.where(c.border, second, 0.0)
            by_phi_e = c.drop[PHI_E] * ionic
            if c.migration is not None:
                by_phi_e = by_phi_e + c.migration * flux
            for field, by in enumerate((c.drop[PHI_S] * solid, by_phi_e, by_drop)):
                fields[field] = fields[field] + outflow(by, axis)
            by_side = take(by_low, axis, 1, None) + take(by_high, axis, 0, -1)
            fields[CONCENTRATION] = fields[CONCENTRATION] + by_side
        return jnp.where(self.present, jnp.stack(settle(fields)), 0.0)


def face_derivatives(u: Array, total: Totals, history: History, gamma_dt: Array, cell: CellModel) -> FaceDerivatives:
    """Derivatives of the current [A] of each live face at the solved face currents of `total`."""
    am, ion = cell.gather(u)

    def law(d_phi: Array, d_sto: Array, d_c: Array) -> Array:
        # Stacked, not `.at[].add`: XLA would fold those scatters of constants at compile time, slowly.
        d_am = jnp.stack([zero, zero, d_sto, zero])
        d_ion = jnp.stack([zero, -d_phi, zero, d_c])
        solved = face_law(am + d_am, ion + d_ion, cell, total.j, history.side, gamma_dt)
        return jnp.stack([part for part in face_amperes(solved, cell) if part is not None])

    zero = jnp.zeros(cell.faces.area.shape)
    _, push = jax.linearize(law, zero, zero, zero)
    # All faces at once, one input at a time: vmap compiles the tangent program once instead of three times.
    units = jnp.broadcast_to(jnp.eye(3)[:, :, None], (3, 3, zero.size))
    parts = jax.vmap(lambda d: push(d[0], d[1], d[2]))(units)  # (input, part, n)
    valid = cell.faces.valid
    parts = jnp.where(valid, parts, 0.0)
    if not cell.binary:
        parts = parts.at[2].set(0.0)
    share = jnp.where(valid, cell.face_sides(am, ion, total.side.faces).am_share(), 0.0)
    side = None if parts.shape[1] == 1 else jnp.swapaxes(parts, 0, 1)[1:]
    phi, sto, c_e = parts[:, 0]
    return FaceDerivatives(phi, sto, c_e, share, side)


def _tangent(values: CellValues, **changes: Array) -> CellValues:
    zeros = CellValues(*(jnp.zeros_like(a) for a in values))
    return zeros._replace(**changes)


def _split_derivative(u: Array, total: Totals, cell: CellModel) -> Array:
    """Derivative (2, n) [A] of the electron flux that the AM share adds, for sto on the low and high side."""
    am, ion = cell.gather(u)

    def sides(shift: Array) -> FaceSides:
        return cell.face_sides(am + jnp.stack([zero, zero, shift, zero]), ion, total.side.faces)

    zero = jnp.zeros(cell.faces.area.shape)
    _, slope = jax.jvp(lambda shift: sides(shift).am_share(), (zero,), (jnp.ones_like(zero),))
    current = total.j.total * true_contact(cell, sides(zero))
    flux = jnp.where(cell.faces.valid, slope * current, 0.0)
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


def linearise(
    u: Array, total: Totals, history: History, gamma_dt: Array, drive: Drive, cell: CellModel, dtype: jnp.dtype
) -> Jacobian:
    """Assemble the Jacobian at `u`, whose totals are known, its coefficients stored in `dtype`.

    That the film of a stage changes the contact between particle and binder is left out of the electrons' split.
    """
    # sto and c_e never share a voxel, so one tangent serves both families of coefficients.
    am = cell.active[STO]
    direction = jnp.zeros_like(u).at[STO:].set(cell.active[STO:].astype(u.dtype))
    values, d_values = jax.jvp(cell.cell_values, (u,), (direction,))
    extra = extra_resistance(cell.face_sides(*cell.gather(u), total.side.faces), cell)
    faces = face_derivatives(u, total, history, gamma_dt, cell)
    # Where sigma varies, so does the split of the face's electrons: an extra flux from the particle to the CBD.
    split = cell.spread_faces(_split_derivative(u, total, cell)) if cell.sigma_varies else None
    carbon = None
    left = history.side.carbon
    if left is not None:
        _, carbon = jax.jvp(
            lambda phi: carbon_oxidation(u.at[PHI_S].add(phi), cell, left, gamma_dt)[0],
            (jnp.zeros(cell.shape),),
            (jnp.ones(cell.shape),),
        )

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

        value = _drop_and_mean(by_low.n_s + by_low.n_c, by_high.n_s + by_high.n_c)
        mixed = [pad_axis(side.i_s + side.i_e, axis, 1, 1) for side in (by_low, by_high)]
        if split is not None:
            mixed = [m + s for m, s in zip(mixed, split[axis], strict=True)]
        low_am, high_am = (pad_axis(a, axis, 1, 1) for a in (take(am, axis, 0, -1), take(am, axis, 1, None)))
        border = low_am != high_am
        coefficients = FaceCoefficients(
            drop=pad_axis(jnp.stack([by_phi.i_s, by_phi.i_e]), axis, 1, 1),
            mixed=jnp.where(border, jnp.stack(mixed), _drop_and_mean(*mixed)),
            value=pad_axis(value, axis, 1, 1),
            solid=low_am | high_am,
            border=border,
            migration=pad_axis(by_phi.n_c, axis, 1, 1) if cell.t_plus_varies else None,
        )
        coefficients = coefficients.astype(dtype)
        # One axis after the other: side by side their float64 intermediates would be the peak of the memory.
        coefficients, values, d_values = settle((coefficients, values, d_values))
        axes.append(coefficients)

    end = collector(u, values, cell, drive)
    d_g = 2.0 * d_values.sigma[-1] / cell.grid.dz[-1] * cell.grid.plane_area
    anode = _anode_derivatives(u, values, d_values, cell)
    if not cell.binary:
        anode = anode.at[1].set(0.0)
    storage = jnp.where(cell.active[STO], cell.solid_storage, jnp.where(cell.active[C_E], cell.salt_storage, 0.0))
    return Jacobian(
        axes=(axes[0], axes[1], axes[2]),
        faces=faces,
        am=cell.faces.am,
        ionic=cell.faces.ionic,
        storage=storage / gamma_dt,
        anode=anode,
        plane=end.conductance,
        plane_sto=d_g * (u[PHI_S, -1] - end.potential) if cell.sigma_varies else None,
        plane_floats=drive.constant_current,
        coupling=jnp.where(cell.active[C_E], values.coupling / jnp.where(cell.active[C_E], u[C_E], 1.0), 0.0),
        anion_share=1.0 - cell.t_plus_ref,
        carbon=carbon,
        active=cell.active,
    )
