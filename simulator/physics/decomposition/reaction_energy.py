r"""Variant: kinetics at a fixed potential, gated by the energy of the reaction between oxide and electrolyte.

$$i_\mathrm{ox} = \frac{j_\mathrm{ref}\,e^{\alpha F(E-U_{\mathrm{ox},0})/RT}\,e^{-\delta/\delta^*}}
  {1+e^{\Delta E(x_s)/w}}$$

$\Delta E(x)$ [eV per electron, negative where the reaction is downhill] is a function of the surface stoichiometry, for
example a table of computed reaction energies; the gate opens where it turns negative, over the width w.
An et al. 2023, doi:10.1002/adfm.202305186, compute such energies for LixNMC811 with LiTFSI: they fall monotonically
with delithiation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.physics.decomposition.delithiation import Delithiation
from simulator.physics.decomposition.law import DecompositionLaw, tafel


class ReactionEnergy(DecompositionLaw):
    """The base law's j_ref, U_ox0, alpha and delta_star; `energy` f(sto, T) [eV], `width` [eV]; traced but for
    `self_limiting`."""

    base: Delithiation
    energy: Callable[[Array, Array], Array]
    width: Float[Array, ""]
    self_limiting: bool = eqx.field(static=True)

    @classmethod
    def from_values(cls, value: Mapping[str, Any]) -> "ReactionEnergy":
        """From the parameters `decomposition.*`."""
        base = Delithiation.from_values(value)
        width = jnp.asarray(value["decomposition.gate_width"], jnp.float64)
        energy = value["decomposition.reaction_energy"]
        return cls(base=base, energy=energy, width=width, self_limiting=base.self_limiting)

    def current(self, E: Array, sto_surf: Array, thickness: Array, temperature: Array) -> Array:
        """`DecompositionLaw.current`."""
        p = self.base
        gate = jax.nn.sigmoid(-self.energy(sto_surf, temperature) / self.width)
        bare = p.j_ref * tafel(E - p.U_ox0, p.alpha, temperature) * gate
        return bare * jnp.exp(-thickness / p.delta_star) if self.self_limiting else bare
