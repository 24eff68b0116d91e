r"""Two-point fluxes of the four fields through one voxel face, in amperes.

$$i_s=-\sigma\nabla\phi_s,\quad i_e=-\kappa(\nabla\phi_e-K\nabla\ln c_e),\quad K=\tfrac{2RT}{F}(1-t_+)\Theta$$

Lithium in the solid: $F N_s = -F D_s c_{s,\max}\nabla x$. Salt: the anion balance
$\partial_t c_e = \nabla\cdot[D_e\nabla c_e + (1-t_+)i_e/F]$ is combined with $(1-t_+^\mathrm{ref})/F$ times the charge
balance, which leaves $F N_c = -F D_e\nabla c_e + (t_+-t_+^\mathrm{ref})\,i_e$ and puts the rest into the sources. For
constant $t_+$ the migration term vanishes and potentials and salt couple through the faces alone.

Source: Doyle, Fuller, Newman (1993), doi:10.1149/1.2221597; Newman, Balsara, Electrochemical Systems (2021).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array


class CellValues(NamedTuple):
    """Fields and transport coefficients at cell centres (or on one side of a face); zero conductivity = absent.

    `phi_s`, `phi_e` [V], `sto` [-], `c_e` [mol/m3], `ln_c` its logarithm, `sigma`, `kappa` [S/m], `D_s`, `D_e` [m2/s],
    `t_plus` [-], `coupling` K [V].
    """

    phi_s: Array
    phi_e: Array
    sto: Array
    c_e: Array
    ln_c: Array
    sigma: Array
    kappa: Array
    D_s: Array
    D_e: Array
    t_plus: Array
    coupling: Array


class FaceFluxes(NamedTuple):
    """Fluxes [A] through faces, positive towards higher index: `i_s`, `i_e`, `n_s` (F N_s), `n_c` (F N_c)."""

    i_s: Array
    i_e: Array
    n_s: Array
    n_c: Array


def two_point(a: Array, b: Array, da: Array, db: Array) -> Array:
    """Conductance per area of two half cells in series, `1/(da/2a + db/2b)`; 0 (also in derivative) if a or b is 0."""
    both = (a > 0) & (b > 0)
    total = jnp.where(both, a * db + b * da, 1.0)
    return jnp.where(both, 2.0 * a * b / total, 0.0)


def electronic_conductance(low: CellValues, high: CellValues, d_low: Array, d_high: Array, extra: Array) -> Array:
    """Electronic conductance per area with the contact resistance `extra` [ohm m2] in series."""
    g = two_point(low.sigma, high.sigma, d_low, d_high)
    return g / (1.0 + g * extra)


def fluxes(
    low: CellValues,
    high: CellValues,
    d_low: Array,
    d_high: Array,
    area: Array,
    extra_resistance: Array,
    c_s_max_F: Array,
    faraday: float,
    t_plus_ref: Array,
) -> FaceFluxes:
    """`FaceFluxes` between the cells on the low and high side; `d_*` [m] cell sizes along the normal, `area` [m2]."""
    i_s = area * electronic_conductance(low, high, d_low, d_high, extra_resistance) * (low.phi_s - high.phi_s)
    kappa = area * two_point(low.kappa, high.kappa, d_low, d_high)
    coupling = 0.5 * (low.coupling + high.coupling)
    i_e = kappa * ((low.phi_e - high.phi_e) - coupling * (low.ln_c - high.ln_c))
    n_s = c_s_max_F * area * two_point(low.D_s, high.D_s, d_low, d_high) * (low.sto - high.sto)
    diffusion = faraday * area * two_point(low.D_e, high.D_e, d_low, d_high) * (low.c_e - high.c_e)
    n_c = diffusion + (0.5 * (low.t_plus + high.t_plus) - t_plus_ref) * i_e
    return FaceFluxes(i_s, i_e, n_s, n_c)
