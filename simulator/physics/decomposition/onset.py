r"""Variant: an onset that shifts with delithiation, and a current that is linear beyond it.

$$i_\mathrm{ox} = j_\mathrm{ref}\,\ln\!\left(1+e^{\alpha F[E-U_\mathrm{on}(y)]/RT}\right)e^{-\delta/\delta^*},\qquad
  U_\mathrm{on}(y)=U_{\mathrm{ox},0}-\beta\,(y-y_0)$$

Below the onset this is Tafel's law, above it the current grows only linearly, as where the supply of what is oxidised
or the film limits it. The onset moves in proportion to the delithiation y = 1 - x over the whole range, and equals
U_ox0 at y0.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from simulator.constants import F, R
from simulator.physics.decomposition.delithiation import Delithiation
from simulator.physics.decomposition.law import DecompositionLaw


class ShiftedOnset(DecompositionLaw):
    """The parameters of the base law, read as above; `self_limiting` static."""

    base: Delithiation
    self_limiting: bool = eqx.field(static=True)

    @classmethod
    def from_values(cls, value: Mapping[str, Any]) -> "ShiftedOnset":
        """From the parameters `decomposition.*`."""
        base = Delithiation.from_values(value)
        return cls(base=base, self_limiting=base.self_limiting)

    def current(self, E: Array, sto_surf: Array, thickness: Array, temperature: Array) -> Array:
        """`DecompositionLaw.current`."""
        p = self.base
        onset = p.U_ox0 - p.beta * (1.0 - sto_surf - p.y0)
        bare = p.j_ref * jax.nn.softplus(p.alpha * F / (R * temperature) * (E - onset))
        return bare * jnp.exp(-thickness / p.delta_star) if self.self_limiting else bare
