r"""The face problem: current through one active-material | electrolyte voxel face from its two cell centres.

Half a voxel lies between each cell centre and the face, and all of it is resolved:

- solid diffusion: $x_s = x - J h_\mathrm{am}/(2 D_s F c_{s,\max})$,
- electrons reach the face from the particle and, where the neighbour conducts them (CBD), from there too:
  $\phi_f = (g_\mathrm{am}\phi_\mathrm{am}+g_\mathrm{cbd}\phi_\mathrm{cbd}-J)/(g_\mathrm{am}+g_\mathrm{cbd})$,
  $g=2\sigma/h$, the CBD side in series with the electronic contact resistance and scaled by the contact fraction,
- ions: $\phi_{e,f} = \phi_e + J h_e/2\kappa$,
- film: $j R_f$.

$j$ is per true contact area, $J = j\,w\,a_f$ per voxel face area ($w$ corrects the staircase, $a_f$ is the contact
fraction). Two branches share the face: intercalation $j_\mathrm{ct}$, which alone takes lithium from the particle, and
oxidation of the electrolyte $j_\mathrm{ox}(E, x_s, \delta)$ (with a burst beside it), $j$ is their sum. The scalar
equation solved for $j_\mathrm{ct}$ is

$$\phi_f-\phi_{e,f} - jR_f(\delta) - E = 0,\qquad E = U(x_s) + \eta(j_\mathrm{ct}/j_0(x_s,c_e)),$$

where E is the potential of the oxide against the electrolyte behind the film: it drives the oxidation as well.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F
from simulator.physics.decomposition.branch import BURST_LEFT, THICKNESS, Decomposition, SideStart
from simulator.physics.decomposition.film import Film
from simulator.physics.kinetics import ButlerVolmer, solve_monotone

#: Lower bound of the contact fraction: contact loss may cut clusters off, and a zero would leave them undetermined.
CONTACT_FLOOR = 1e-9


#: Accepted difference of the thickness that a stage assumes and the one that its current grows: share, and in [m].
SETTLED, THINNEST = 1e-6, 1e-16

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

    def behind(self, film: Film, thickness: Array) -> "FaceSides":
        """The same faces with a film of `thickness` (n,) [m] grown on their contact."""
        resistance = film.resistance(self.film_resistance, thickness)
        if film.loss_thickness is None:
            return eqx.tree_at(lambda s: s.film_resistance, self, resistance)
        fraction = self.contact_fraction * film.remaining(thickness)
        return eqx.tree_at(lambda s: (s.film_resistance, s.contact_fraction), self, (resistance, fraction))

    def extra_resistance(self) -> Array:
        """Contact resistance beyond the two half cells [ohm m2], for the direct AM-CBD electron path."""
        _, g_cbd = self.electronic_conductances()
        half = self.h_ion / (2.0 * jnp.where(self.sigma_cbd > 0, self.sigma_cbd, 1.0))
        return jnp.where(g_cbd > 0, 1.0 / jnp.where(g_cbd > 0, g_cbd, 1.0) - half, 0.0)


def surface_stoichiometry(sto: Array, j: Array, sides: FaceSides, c_s_max: Array) -> Array:
    """Stoichiometry (n,) at the face, half a voxel from the cell value `sto`, at `j` [A m^-2 of contact]."""
    depletion = sides.weight * sides.contact * sides.h_am / (2.0 * sides.diffusivity * F * c_s_max)
    return jnp.clip(sto - depletion * j, 0.0, 1.0)


class FaceFields(NamedTuple):
    """Fields (n,) at the centres of the cells on either side: potentials [V] (`phi_cbd` is ignored where the ionic side
    carries no electrons), `sto` [-] of the particle, `c_e` [mol m^-3] of the electrolyte."""

    phi_am: Array
    phi_cbd: Array
    phi_e: Array
    sto: Array
    c_e: Array


class FaceCurrents(NamedTuple):
    """Current densities (n,) [A m^-2 of contact], positive from the particle to the electrolyte: `intercalation`, and
    with a decomposition `oxidation` of the electrolyte and `burst`."""

    intercalation: Array
    oxidation: Array | None = None
    burst: Array | None = None

    @property
    def total(self) -> Array:
        """What the solid's electrons and the electrolyte's ions carry to the face."""
        if self.oxidation is None or self.burst is None:
            return self.intercalation
        return self.intercalation + (self.oxidation + self.burst)


class FaceLaw(NamedTuple):
    """The solved face problem: `currents`; `sides` as they are at the end of the stage, their film included; the
    `states` (3, n) there and whether each film belongs to its own current, `settled` (n,), both None without a
    decomposition."""

    currents: FaceCurrents
    sides: FaceSides
    states: Array | None = None
    settled: Array | None = None


class Intercalation(eqx.Module):
    """What the active material's own reaction needs, all traced: `kinetics`, `ocp` f(sto, T) [V], `c_s_max`
    [mol m^-3], `temperature` [K]."""

    kinetics: ButlerVolmer
    ocp: Callable[[Array, Array], Array]
    c_s_max: Array
    temperature: Array

    def potential(self, j: Array, at: FaceFields, sides: FaceSides) -> tuple[Array, Array]:
        """E [V] (n,) that drives `j` [A m^-2], and the surface stoichiometry with it."""
        surface = surface_stoichiometry(at.sto, j, sides, self.c_s_max)
        j0 = self.kinetics.exchange_current(surface, at.c_e)
        eta = self.kinetics.overpotential(j / j0, self.temperature)
        return self.ocp(surface, self.temperature) + eta, surface


def _side_branch(
    j: Array, at: FaceFields, sides: FaceSides, reaction: Intercalation, branch: Decomposition, start: SideStart
) -> tuple[Array, FaceLaw]:
    """E [V] and everything else at the face that follows from the intercalation current `j` (n,)."""

    losing = branch.film.loss_thickness is not None
    # At a given j a film acts on E through the contact that it costs, and through nothing else.
    pristine = None if losing else reaction.potential(j, at, sides)

    def oxidation(thickness: Array) -> Array:
        E, surface = pristine or reaction.potential(j, at, sides.behind(branch.film, thickness))
        return branch.law.current(E, surface, thickness, reaction.temperature)

    thickness = branch.thickness(start, oxidation)
    here = sides.behind(branch.film, thickness)
    E, surface = pristine or reaction.potential(j, at, here)
    # With a law that sees no thickness the current is the one that the thickness came from.
    seen = thickness if branch.feeds_back else start.known[THICKNESS]
    oxidised = branch.law.current(E, surface, seen, reaction.temperature)
    burst, left = jnp.zeros_like(j), start.known[BURST_LEFT]
    if branch.burst is not None:
        burst, left = branch.burst.advance(E, left, start.gamma_dt, reaction.temperature)
    states = branch.states(start, oxidised, left, here.contact / sides.contact)
    settled = jnp.abs(states[THICKNESS] - thickness) <= SETTLED * jnp.abs(thickness) + THINNEST
    return E, FaceLaw(FaceCurrents(j, oxidised, burst), here, states, settled)


def contact_law(
    at: FaceFields,
    sides: FaceSides,
    reaction: Intercalation,
    guess: Float[Array, " n"],
    branch: Decomposition | None = None,
    start: SideStart | None = None,
) -> FaceLaw:
    """Solve the face problem. `guess`: first guess of the intercalation current [A m^-2 of contact].

    Differentiable in every argument but `guess` (implicit function theorem). `branch` with its `start` adds the
    oxidation of the electrolyte; `sides` then hold film resistance and contact fraction of the pristine face.
    """

    def given(j: Array) -> tuple[Array, FaceLaw]:
        if branch is None or start is None:
            return reaction.potential(j, at, sides)[0], FaceLaw(FaceCurrents(j), sides)
        return _side_branch(j, at, sides, reaction, branch, start)

    def mismatch(j: Array) -> Array:
        E, law = given(j)
        here = law.sides
        g_am, g_cbd = here.electronic_conductances()
        share = here.am_share()
        open_circuit = share * at.phi_am + (1.0 - share) * at.phi_cbd - at.phi_e
        half_cells = 1.0 / (g_am + g_cbd) + here.h_ion / (2.0 * here.kappa)
        resistance = here.weight * here.contact * half_cells + here.film_resistance
        return open_circuit - resistance * law.currents.total - E

    scale = reaction.kinetics.exchange_current(at.sto, at.c_e)
    return given(solve_monotone(mismatch, guess, scale))[1]
