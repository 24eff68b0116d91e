r"""Oxidation of a limited amount: end groups and residual solvent on the pristine oxide, or electrolyte on carbon.

$$j = j_\mathrm{ref}\,e^{\alpha F(E-U)/RT}\,\theta,\qquad \dot\theta = -j/q_0$$

with the share $\theta$ of the charge $q_0$ that is left. Linear in $\theta$, so that an implicit stage is explicit in
E: $\theta = \theta_\mathrm{known}/(1+\gamma\Delta t\,k(E)/q_0)$.
"""

import equinox as eqx
from jaxtyping import Array, Float

from simulator.physics.decomposition.law import tafel


class FiniteOxidation(eqx.Module):
    """All fields traced, per area (or, for the carbon, per volume): `j_ref` [A m^-2 or m^-3] at E = `U_ref` [V],
    `alpha` [-], `charge` q0 [C m^-2 or m^-3], may be infinite."""

    j_ref: Float[Array, ""]
    U_ref: Float[Array, ""]
    alpha: Float[Array, ""]
    charge: Float[Array, ""]

    def advance(self, E: Array, left: Array, gamma_dt: Array, temperature: Array) -> tuple[Array, Array]:
        """Current density and the share left at the end of a stage; `left`: the known part of that share.

        The current is what the share loses, so that charge and share agree to the last digit; with an endless charge
        the share stays.
        """
        rate = self.j_ref * tafel(E - self.U_ref, self.alpha, temperature)
        share = left / (1.0 + gamma_dt * rate / self.charge)
        return rate * share, share
