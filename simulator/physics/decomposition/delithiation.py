r"""The base law: Tafel kinetics whose reference potential falls where the oxide is delithiated.

$$i_\mathrm{ox} = j_\mathrm{ref}\,e^{\alpha F[E-U_\mathrm{ox}(y)]/RT}\,e^{-\delta/\delta^*},\qquad
  U_\mathrm{ox}(y)=U_{\mathrm{ox},0}-\beta\,w\ln(1+e^{(y-y_0)/w})$$

with the local delithiation $y=1-x_s$ and w = 0.01, which only rounds the corner. $\beta=0$ is the null model: the
potential alone decides. $\delta^*=\infty$ is a film that never protects. The trend with y is that of the computed
reaction energies of An et al. 2023, doi:10.1002/adfm.202305186; the form is an assumption.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.physics.decomposition.law import DecompositionLaw, tafel

#: Width of the corner at y0 [-].
CORNER = 0.01


class Delithiation(DecompositionLaw):
    """All fields traced but `self_limiting`: j_ref [A m^-2], U_ox0 [V], beta [V], y0, alpha [-], delta_star [m]."""

    j_ref: Float[Array, ""]
    U_ox0: Float[Array, ""]
    beta: Float[Array, ""]
    y0: Float[Array, ""]
    alpha: Float[Array, ""]
    delta_star: Float[Array, ""]
    self_limiting: bool = eqx.field(static=True)

    @classmethod
    def from_values(cls, value: Mapping[str, Any]) -> "Delithiation":
        """From the parameters `decomposition.*`."""
        names = ("j_ref", "U_ox0", "beta", "y0", "alpha", "delta_star")
        found = {name: value[f"decomposition.{name}"] for name in names}
        endless = isinstance(found["delta_star"], float) and found["delta_star"] == float("inf")
        return cls(**{n: jnp.asarray(v, jnp.float64) for n, v in found.items()}, self_limiting=not endless)

    def reference_potential(self, sto_surf: Array) -> Array:
        """U_ox [V] at the surface stoichiometry."""
        return self.U_ox0 - self.beta * CORNER * jax.nn.softplus((1.0 - sto_surf - self.y0) / CORNER)

    def current(self, E: Array, sto_surf: Array, thickness: Array, temperature: Array) -> Array:
        """`DecompositionLaw.current`."""
        bare = self.j_ref * tafel(E - self.reference_potential(sto_surf), self.alpha, temperature)
        return bare * jnp.exp(-thickness / self.delta_star) if self.self_limiting else bare
