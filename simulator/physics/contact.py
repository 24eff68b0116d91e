r"""The face problem: current through one active-material | electrolyte voxel face from its two cell centres.

Half a voxel lies between each cell centre and the face, and all of it is resolved:

- solid diffusion: $x_s = x - J h_\mathrm{am}/(2 D_s F c_{s,\max})$,
- electrons reach the face from the particle and, where the neighbour conducts them (CBD), from there too:
  $\phi_f = (g_\mathrm{am}\phi_\mathrm{am}+g_\mathrm{cbd}\phi_\mathrm{cbd}-J)/(g_\mathrm{am}+g_\mathrm{cbd})$,
  $g=2\sigma/h$, the CBD side in series with the electronic contact resistance and scaled by the contact fraction,
- ions: $\phi_{e,f} = \phi_e + J h_e/2\kappa$,
- film: $j R_f$.

$j$ is per true contact area, $J = j\,w\,a_f$ per voxel face area ($w$ corrects the staircase, $a_f$ is the contact
fraction). The scalar equation solved for $j$ is

$$\phi_f-\phi_{e,f} - jR_f - U(x_s) - \eta(j/j_0(x_s,c_e)) = 0 .$$
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F
from simulator.physics.kinetics import ButlerVolmer, solve_monotone

#: Lower bound of the contact fraction: contact loss may cut clusters off, and a zero would leave them undetermined.
CONTACT_FLOOR = 1e-6


#: Lower bound of the area weight where it divides.
WEIGHT_FLOOR = 1e-3


class FaceSides(eqx.Module):
    """What the law sees of `n` faces: geometry, and material values of the two cells. All traced, shape `(n,)`.

    `weight` w [-], `contact_fraction` a_f [-], `h_am`, `h_ion` [m] voxel size along the face normal on either side,
    `film_resistance` [ohm m2], `electronic_resistance` [ohm m2] of the AM|CBD contact, `sigma_am`, `sigma_cbd` [S/m]
    (0 where the ionic side carries no electrons), `kappa` [S/m], `diffusivity` D_s [m2/s].
    """

    weight: Float[Array, " n"]
    contact_fraction: Float[Array, " n"]
    h_am: Float[Array, " n"]
    h_ion: Float[Array, " n"]
    film_resistance: Float[Array, " n"]
    electronic_resistance: Float[Array, ""]
    sigma_am: Float[Array, " n"]
    sigma_cbd: Float[Array, " n"]
    kappa: Float[Array, " n"]
    diffusivity: Float[Array, " n"]

    @property
    def contact(self) -> Array:
        """Contact fraction with its floor."""
        return jnp.maximum(self.contact_fraction, CONTACT_FLOOR)

    def electronic_conductances(self) -> tuple[Array, Array]:
        """`g_am`, `g_cbd` [S m^-2]: cell centre to face, per voxel face area."""
        conducts = self.sigma_cbd > 0
        # The half cell belongs to the voxel face, the contact resistance to the true area w of the interface in it.
        contact_resistance = self.electronic_resistance / jnp.maximum(self.weight, WEIGHT_FLOOR)
        inner = self.h_ion / (2.0 * jnp.where(conducts, self.sigma_cbd, 1.0)) + contact_resistance
        return 2.0 * self.sigma_am / self.h_am, jnp.where(conducts, self.contact / inner, 0.0)

    def am_share(self) -> Array:
        """Share of the face's electrons that comes through the particle [-]."""
        g_am, g_cbd = self.electronic_conductances()
        return jnp.where(g_cbd > 0, g_am / (g_am + g_cbd), 1.0)  # exactly 1, whatever the rounding of the quotient

    def extra_resistance(self) -> Array:
        """Contact resistance beyond the two half cells [ohm m2], for the direct AM-CBD electron path."""
        _, g_cbd = self.electronic_conductances()
        half = self.h_ion / (2.0 * jnp.where(self.sigma_cbd > 0, self.sigma_cbd, 1.0))
        return jnp.where(g_cbd > 0, 1.0 / jnp.where(g_cbd > 0, g_cbd, 1.0) - half, 0.0)


def surface_stoichiometry(sto: Array, j: Array, sides: FaceSides, c_s_max: Array) -> Array:
    """Stoichiometry (n,) at the face, half a voxel from the cell value `sto`, at `j` [A m^-2 of contact]."""
    depletion = sides.weight * sides.contact * sides.h_am / (2.0 * sides.diffusivity * F * c_s_max)
    return jnp.clip(sto - depletion * j, 0.0, 1.0)


def contact_current(
    phi_am: Float[Array, " n"],
    phi_cbd: Float[Array, " n"],
    phi_e: Float[Array, " n"],
    sto: Float[Array, " n"],
    c_e: Float[Array, " n"],
    sides: FaceSides,
    kinetics: ButlerVolmer,
    ocp: Callable[[Array, Array], Array],
    c_s_max: Array,
    temperature: Array,
    start: Float[Array, " n"],
) -> Float[Array, " n"]:
    """Current density `j` [A m^-2 of true contact area], positive when lithium leaves the particle.

    **Arguments:** potentials [V], `sto` [-] and `c_e` [mol m^-3] at the cell centres on either side (`phi_cbd` is
    ignored where the ionic side carries no electrons); `ocp(sto, T)` [V]; `start`: first guess of j.

    Differentiable in every argument but `start` (implicit function theorem).
    """
    g_am, g_cbd = sides.electronic_conductances()
    share = sides.am_share()
    open_circuit = share * phi_am + (1.0 - share) * phi_cbd - phi_e
    per_true_area = sides.weight * sides.contact
    half_cells = 1.0 / (g_am + g_cbd) + sides.h_ion / (2.0 * sides.kappa)
    resistance = per_true_area * half_cells + sides.film_resistance

    def mismatch(j: Array) -> Array:
        surface = surface_stoichiometry(sto, j, sides, c_s_max)
        j0 = kinetics.exchange_current(surface, c_e)
        eta = kinetics.overpotential(j / j0, temperature)
        return open_circuit - resistance * j - ocp(surface, temperature) - eta

    return solve_monotone(mismatch, start, kinetics.exchange_current(sto, c_e))
