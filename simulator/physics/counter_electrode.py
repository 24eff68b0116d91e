r"""Lithium (or Li-In) counter electrode behind the separator.

Current density into the electrolyte (stripping, discharge, positive):
$i = 2 j_0 \sinh[F(-\phi_{e,w}-U_a-iR_a)/2RT]$, with the wall values behind half a layer of separator,
$c_w = c_1 + (1-t_+)\,i\,d/(F D_e)$ (no anion flux) and
$\phi_{e,w} = \phi_{e,1} + i\,d/\kappa + K\ln(c_w/c_1)$, $K=(2RT/F)(1-t_+)\Theta$.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F, R
from simulator.physics.kinetics import solve_monotone

#: Below this ratio of wall to cell concentration the logarithm is continued linearly: a Newton iterate that depletes
#: the wall stays finite. A run whose wall really gets there is ended by the salt events, which watch the wall too.
LOG_FLOOR = 0.02


def log_wall_ratio(i: Array, c_e: Array, *, diffusivity: Array, t_plus: Array, distance: Array) -> Array:
    """ln(c_w/c_1) at `i` [A m^-2], continued linearly below `LOG_FLOOR`; c_1 = `c_e` [mol m^-3] of the first layer."""
    ratio = 1.0 + (1.0 - t_plus) * distance / (F * diffusivity * c_e) * i
    safe = jnp.maximum(ratio, LOG_FLOOR)
    return jnp.log(safe) + (ratio - safe) / LOG_FLOOR


class CounterElectrode(eqx.Module):
    """Plating/stripping electrode, all fields traced: `j0` [A/m2], `resistance` [ohm m2], `potential` [V vs Li]."""

    j0: Float[Array, ""]
    resistance: Float[Array, ""]
    potential: Float[Array, ""]

    def overpotential(self, i: Array, temperature: Array) -> Array:
        """Kinetic and ohmic loss [V] of the electrode itself at `i` [A m^-2] into the electrolyte."""
        return i * self.resistance + 2.0 * R * temperature / F * jnp.arcsinh(i / (2.0 * self.j0))

    def current(
        self,
        phi_e: Array,
        c_e: Array,
        *,
        kappa: Array,
        diffusivity: Array,
        t_plus: Array,
        coupling: Array,
        distance: Array,
        temperature: Array,
    ) -> Array:
        """Current density [A m^-2] into the electrolyte from the values of the first layer (any shape).

        `coupling` K [V], `distance` d [m] from the layer centre to the wall. For a single-ion conductor pass
        `t_plus` = 1: no concentration difference arises.
        """

        def mismatch(i: Array) -> Array:
            log_ratio = log_wall_ratio(i, c_e, diffusivity=diffusivity, t_plus=t_plus, distance=distance)
            wall = phi_e + i * distance / kappa + coupling * log_ratio
            return -self.potential - wall - self.overpotential(i, temperature)

        scale = jnp.broadcast_to(self.j0, phi_e.shape)
        return solve_monotone(mismatch, jnp.zeros_like(phi_e), scale)
