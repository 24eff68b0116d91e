"""What a law of electrolyte oxidation on the active material must provide."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from simulator.constants import F, R

#: Exponents are cut here, so that a Newton iterate far outside gives a huge current that pulls back, not infinity.
MOST_EXPONENT = 250.0


class DecompositionLaw(eqx.Module):
    """Oxidation current of one face from the local state; differentiable in all of it. Never instantiated itself.

    `self_limiting` (static): whether the current depends on the film's thickness.
    """

    self_limiting: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def current(self, E: Array, sto_surf: Array, thickness: Array, temperature: Array) -> Array:
        """Current density [A m^-2 of contact], >= 0, rising with `E` and not rising with `thickness`.

        `E` [V]: potential of the oxide against the electrolyte right at it, behind the film; `sto_surf` [-]: surface
        stoichiometry; `thickness` [m] of the film; any one shape.
        """


def tafel(E: Array, alpha: Array, temperature: Array) -> Array:
    r"""$e^{\alpha F E/RT}$ with the exponent cut at `MOST_EXPONENT`."""
    return jnp.exp(jnp.minimum(alpha * F / (R * temperature) * E, MOST_EXPONENT))
