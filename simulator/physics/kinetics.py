r"""Charge transfer at an active-material | electrolyte face.

Sign: anodic current (delithiation) is positive. The overpotential is
$\eta = \phi_s - \phi_e - U(x_s)$ at the surface, and

$$j = j_0\,[e^{\alpha_a F\eta/RT} - e^{-\alpha_c F\eta/RT}],\qquad
  j_0 = j_{0,\mathrm{ref}}\,2\sqrt{x_s(1-x_s)}\,\sqrt{c_e/c_{e,\mathrm{init}}}$$

Source: Doyle, Fuller, Newman (1993), doi:10.1149/1.2221597.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulator.constants import F, R

#: The surface stoichiometry is kept this far inside its domain while j0 is evaluated, so that a Newton iterate outside
#: gives a finite current that pulls back, not a NaN.
EDGE = 1e-6
#: The same for the salt, far below what the potentials of a place without salt come to.
EMPTY = 1e-15


class ButlerVolmer(eqx.Module):
    """Butler-Volmer kinetics; all fields traced, `salt_dependent` static (False for a single-ion conductor)."""

    j0_ref: Float[Array, ""]  # [A m^-2] of true contact area, at sto = 0.5 and c_e = c_e_init
    alpha_a: Float[Array, ""]  # [-]
    alpha_c: Float[Array, ""]  # [-]
    c_e_init: Float[Array, ""]  # [mol m^-3]
    salt_dependent: bool = eqx.field(static=True)

    def exchange_current(self, sto_surf: Array, c_e: Array) -> Array:
        """`j0` [A m^-2] from the surface stoichiometry and the salt concentration [mol m^-3]."""
        x = jnp.clip(sto_surf, EDGE, 1.0 - EDGE)
        j0 = self.j0_ref * 2.0 * jnp.sqrt(x * (1.0 - x))
        if self.salt_dependent:
            j0 = j0 * jnp.sqrt(jnp.maximum(c_e / self.c_e_init, EMPTY))
        return j0

    def current(self, j0: Array, eta: Array, temperature: Array) -> Array:
        """`j` [A m^-2] at the overpotential `eta` [V]: the Butler-Volmer relation as it is written."""
        f = F / (R * temperature)
        return j0 * (jnp.exp(self.alpha_a * f * eta) - jnp.exp(-self.alpha_c * f * eta))

    def overpotential(self, ratio: Array, temperature: Array) -> Array:
        r"""$\eta$ [V] that drives $j/j_0$ = `ratio`: the inverse Butler-Volmer relation.

        Newton on $\mathrm{asinh}$ of both sides, which is nearly linear; exact at the start for $\alpha_a=\alpha_c$.
        The derivative is that of the implicit function.
        """
        target = jnp.arcsinh(0.5 * ratio)

        def mismatch(e: Array) -> tuple[Array, Array]:
            forward, backward = jnp.exp(self.alpha_a * e), jnp.exp(-self.alpha_c * e)
            half = 0.5 * (forward - backward)
            slope = 0.5 * (self.alpha_a * forward + self.alpha_c * backward) / jnp.sqrt(1.0 + half * half)
            return jnp.arcsinh(half) - target, slope

        def improve(_: int, e: Array) -> Array:
            value, slope = mismatch(e)
            return e - jnp.clip(value / slope, -20.0, 20.0)

        def solve(_: object, start: Array) -> Array:
            return jax.lax.fori_loop(0, 7, improve, start)

        e = implicit_root(lambda e: mismatch(e)[0], target / (0.5 * (self.alpha_a + self.alpha_c)), solve)
        return (R * temperature / F) * e


def implicit_root(
    mismatch: Callable[[Array], Array], start: Array, solve: Callable[[Callable[[Array], Array], Array], Array]
) -> Array:
    """Root of an elementwise `mismatch`, found by `solve(mismatch, start)`, with the derivatives of the implicit
    function in both modes and of any order. The iterations themselves are never differentiated, nor their tangents
    compiled."""
    return jax.lax.custom_root(mismatch, start, solve, lambda push, y: y / push(jnp.ones_like(y)))


def solve_monotone(
    mismatch: Callable[[Array], Array],
    start: Array,
    scale: Array,
    *,
    tolerance: float = 1e-12,
    max_iterations: int = 120,
) -> Array:
    r"""Root $j$ of an elementwise, strictly decreasing `mismatch(j)` [V], with derivatives of the implicit function.

    Newton in $z=\mathrm{asinh}(j/2s)$ with the current scale $s$ = `scale` [A m^-2]: kinetic losses are linear in z,
    ohmic ones in sinh z, so steps stay bounded over many decades of current. `start`: first guess of j.
    """

    def solve(residual: Callable[[Array], Array], start: Array) -> Array:
        def slope_of(z: Array) -> tuple[Array, Array]:
            j = 2.0 * scale * jnp.sinh(z)
            return jax.jvp(residual, (j,), (jnp.ones_like(j),))

        def keep_going(carry):
            return (carry[3] > tolerance) & (carry[4] < max_iterations)

        def improve(carry):
            z, low, high, _, count = carry
            value, slope = slope_of(z)
            # The root lies above z where the mismatch is positive. Where the surface runs empty or full the slope
            # jumps, so that Newton alone hops across the kink for ever: a step that leaves the bracket halves it
            # instead, and so does every other step once many have been taken.
            low, high = jnp.where(value > 0, z, low), jnp.where(value > 0, high, z)
            newton = z + jnp.clip(-value / (slope * 2.0 * scale * jnp.cosh(z)), -3.0, 3.0)
            halve = (newton <= low) | (newton >= high) | ((count > 20) & (count % 2 == 0))
            settled = jnp.abs(value) <= tolerance  # only the last digits move: the bracket must not interfere
            z = jnp.where(halve & ~settled, 0.5 * (low + high), newton)
            return z, low, high, jnp.max(jnp.abs(value)), count + 1

        z = jnp.arcsinh(start / (2.0 * scale))
        far = jnp.full_like(z, 80.0)
        z, *_ = jax.lax.while_loop(keep_going, improve, (z, -far, far, jnp.asarray(jnp.inf), jnp.asarray(0)))
        value, slope = slope_of(z)
        return 2.0 * scale * jnp.sinh(z) - value / slope

    return implicit_root(mismatch, start, solve)
