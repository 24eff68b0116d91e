"""The oxidation branch of a face: law, burst and film together, and the states they leave behind."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.physics.decomposition.film import Film
from simulator.physics.decomposition.finite import FiniteOxidation
from simulator.physics.decomposition.law import DecompositionLaw
from simulator.physics.kinetics import implicit_root

#: Rows of the states of a face.
THICKNESS, CHARGE, BURST_LEFT = 0, 1, 2
FACE_STATES = 3
#: Newton steps for the thickness at the end of a stage where the current depends on it. From a film that is too thin
#: they approach from below, about delta_star a step.
_STEPS = 13


class SideStart(NamedTuple):
    """What a stage knows of the faces before it: `known` (3, n), the weighted history of the states, `gamma_dt` [s]."""

    known: Array
    gamma_dt: Array


class Decomposition(eqx.Module):
    """Oxidation of the electrolyte on the faces of the active material; all fields traced.

    States of a face (3, n): `THICKNESS` [m] of the film on the live contact, `CHARGE` [C m^-2 of initial contact]
    decomposed, `BURST_LEFT` share of the burst [-]. The burst leaves no film and takes no salt. `omega`: share of the
    oxidation that consumes an anion; the rest releases a cation (a proton, booked as lithium).
    """

    law: DecompositionLaw
    burst: FiniteOxidation | None
    film: Film
    omega: Float[Array, ""]

    @property
    def feeds_back(self) -> bool:
        """Whether the oxidation of a stage depends on the film that it grows in it (other than by its resistance)."""
        return self.law.self_limiting or self.film.loss_thickness is not None

    def initial(self, faces: int) -> Array:
        """States (3, n) of pristine faces."""
        return jnp.zeros((FACE_STATES, faces)).at[BURST_LEFT].set(1.0)

    def thickness(self, start: SideStart, current: Callable[[Array], Array]) -> Array:
        """Thickness (n,) [m] at the end of a stage; `current(thickness)` [A m^-2], not rising."""
        known, per_current = start.known[THICKNESS], start.gamma_dt * self.film.growth
        if not self.feeds_back:
            return known + per_current * current(known)

        def excess(d: Array) -> Array:
            return d - known - per_current * current(d)

        def solve(residual: Callable[[Array], Array], guess: Array) -> Array:
            def improve(_: int, d: Array) -> Array:
                value, slope = jax.jvp(residual, (d,), (jnp.ones_like(d),))
                return d - value / slope

            return jax.lax.fori_loop(0, _STEPS, improve, guess)

        return implicit_root(excess, known, solve)

    def states(self, start: SideStart, oxidation: Array, burst_left: Array, remaining: Array) -> Array:
        """States (3, n) at the end of a stage with the `oxidation` [A m^-2 of contact] on the `remaining` contact."""
        grown = start.gamma_dt * oxidation
        known = start.known
        return jnp.stack([known[THICKNESS] + self.film.growth * grown, known[CHARGE] + remaining * grown, burst_left])
