r"""Guesses and corrections that hold where there is next to no salt.

The flow of ions is $-\kappa\nabla\psi$ with $\psi = \phi_e - K\ln c_e$. In a dry place $c_e$ changes by powers of ten
within a step, and $\phi_e$ with its logarithm, while $\psi$ hardly moves: whoever carries on $\phi_e$ and $c_e$ along
straight lines is off by volts. With a K that depends on the salt this psi is not exactly the one that drives the flow;
guesses and corrections need no more.
"""

import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel

#: Share of the initial salt below which a voxel counts as dry.
DRY = 0.01


def is_dry(c_e: Array, cell: CellModel) -> Array:
    """Which voxels hold next to no salt; `c_e` [mol/m3] of any shape."""
    return c_e < DRY * cell.parameters.c_e_init


def _diffusion_potential(c_e: Array, cell: CellModel) -> Array:
    """K ln(c_e / c_init) [V] (nz, ny, nx), zero outside the electrolyte."""
    inside = cell.active[C_E]
    c = jnp.where(inside, c_e, cell.parameters.c_e_init)
    return jnp.where(inside, cell.salt_coupling(c) * jnp.log(c / cell.parameters.c_e_init), 0.0)


def with_psi(u: Array, cell: CellModel) -> Array:
    """The fields `u` (4, nz, ny, nx) with psi [V] in the place of phi_e."""
    return u.at[PHI_E].add(-_diffusion_potential(u[C_E], cell))


def with_phi_e(v: Array, cell: CellModel) -> Array:
    """The inverse of `with_psi`."""
    return v.at[PHI_E].add(_diffusion_potential(v[C_E], cell))


def refilled(u: Array, cell: CellModel, share: Array | float) -> Array:
    """The fields `u` (4, nz, ny, nx) with at least `share` of the initial salt everywhere, at the same psi; the wet
    places give what that takes in proportion to what they have. Where they have too little, `u` as it is.

    A current that ends for want of salt leaves 1e-11 of it where the potential fell to the cut-off. The conductivity
    there would rise by ten orders of magnitude within the first step of a charge, which Newton's method does not find
    in any time step worth taking.
    """
    inside, c_e = cell.active[C_E], u[C_E]
    least = share * cell.parameters.c_e_init
    wet = inside & ~is_dry(c_e, cell)
    storage = cell.salt_storage
    added = jnp.sum(jnp.where(inside, storage * jnp.maximum(least - c_e, 0.0), 0.0))
    held = jnp.sum(jnp.where(wet, storage * c_e, 0.0))
    enough = added < DRY * held
    given = jnp.where(enough, added / jnp.where(enough, held, 1.0), 0.0)
    filled = jnp.where(wet, c_e * (1.0 - given), jnp.where(enough, jnp.maximum(c_e, least), c_e))
    # Not by psi and back, which would round every voxel.
    bent = _diffusion_potential(filled, cell) - _diffusion_potential(c_e, cell)
    return u.at[C_E].set(jnp.where(inside, filled, c_e)).at[PHI_E].add(bent)


def feasible(u: Array, wanted: Array, cell: CellModel) -> Array:
    """`wanted` with sto in (0, 1) and c_e > 0, each voxel by itself: one that runs dry must not hold up all others.

    sto and c_e go at most 90 % of the way from `u` to a bound. Where there is hardly any salt the correction is taken
    as one of ln c_e: the potential there follows K ln c_e, and a correction of c_e overshoots however small it is.
    psi gets the correction that the linear problem asks for, and phi_e follows c_e.
    """
    sto = jnp.clip(wanted[STO], 0.1 * u[STO], 1.0 - 0.1 * (1.0 - u[STO]))
    change = wanted[C_E] / u[C_E] - 1.0
    # from e on along a straight line: what flows in from the neighbours is not exponential
    factor = jnp.where(change > 1.0, jnp.e - 1.0 + change, jnp.exp(jnp.clip(change, -5.0, 1.0)))
    c_e = jnp.where(is_dry(u[C_E], cell), factor * u[C_E], jnp.maximum(wanted[C_E], 0.1 * u[C_E]))
    bent = cell.salt_coupling(u[C_E]) * (jnp.log(c_e / u[C_E]) - change)
    phi_e = wanted[PHI_E] + jnp.where(cell.active[C_E], bent, 0.0)
    return jnp.stack([wanted[PHI_S], phi_e, sto, c_e])
