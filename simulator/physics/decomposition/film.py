r"""The film that the oxidation leaves on the oxide: its growth, its resistance, and the contact that it costs.

$$\dot\delta = V_f\,i_\mathrm{ox}/F,\qquad R_f = R_{f,0} + \delta/\kappa_f,\qquad
  a_f = a_{f,0}\,e^{-\delta/\delta_\mathrm{loss}}$$
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F


class Film(eqx.Module):
    """All fields traced: `molar_volume` V_f [m3 per mol of electrons], `conductivity` kappa_f [S m^-1],
    `loss_thickness` [m] over which the contact falls to 1/e, None if it never falls."""

    molar_volume: Float[Array, ""]
    conductivity: Float[Array, ""]
    loss_thickness: Float[Array, ""] | None

    @property
    def growth(self) -> Array:
        """Thickness per charge [m3 C^-1]."""
        return self.molar_volume / F

    def resistance(self, initial: Array, thickness: Array) -> Array:
        """`R_f` [ohm m2 of contact] from the `initial` one [ohm m2] and the thickness [m]."""
        return initial + thickness / self.conductivity

    def remaining(self, thickness: Array) -> Array:
        """Share of the initial contact that is left [-]."""
        if self.loss_thickness is None:
            return jnp.ones_like(thickness)
        return jnp.exp(-thickness / self.loss_thickness)

    def volume(self, thickness: Array) -> Array:
        r"""Volume of film per initial contact area [m], $\int_0^\delta a_f/a_{f,0}\,d\delta'$: what has lost its
        contact keeps the film it had."""
        if self.loss_thickness is None:
            return thickness
        return -self.loss_thickness * jnp.expm1(-thickness / self.loss_thickness)
