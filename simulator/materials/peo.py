"""Poly(ethylene oxide) with LiTFSI: concentration from composition and ionic conductivity.

Composition r = [Li]/[EO] (EO:Li = 18:1 is r = 0.0556), salt concentration c_e in mol m^-3.
"""

import math
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from simulator.materials.functions import MaterialFunction, Range, as_coefficient

M_EO = 0.04405  # molar mass of the C2H4O repeat unit [kg mol^-1]
M_LITFSI = 0.28709  # molar mass of LiTFSI [kg mol^-1]
DENSITY_NEAT = 1130.0  # density at r = 0 [kg m^-3], estimate
DENSITY_SLOPE = 1550.0  # d(density)/dr [kg m^-3], estimate; 1216 kg m^-3 at 18:1

_Number = TypeVar("_Number", float, jax.Array, np.ndarray)

R_WARN = 0.14  # upper end of the conductivity data
R_FLAT = 0.28  # a crystalline r = 0.5 phase coexists above; the conductivity is held here
R_SATURATION = 0.5  # solubility limit


def concentration_from_ratio(r: _Number) -> _Number:
    """c_e = rho r / (M_EO + M_LiTFSI r) [mol m^-3], rho = 1130 + 1550 r [kg m^-3].

    Mass balance of one repeat unit with r formula units of salt; the density is an estimate (+-4 % on c_e).
    """
    return (DENSITY_NEAT + DENSITY_SLOPE * r) * r / (M_EO + M_LITFSI * r)


def ratio_from_concentration(c_e: ArrayLike) -> jax.Array:
    """r = [Li]/[EO] from c_e [mol m^-3]: the positive root of 1550 r^2 + (1130 - M_LiTFSI c) r - M_EO c = 0.

    Written with the conjugate of the root, r = 2 M_EO c/(b + sqrt(b^2 + 4 a M_EO c)): no cancellation as c ->
    0, and smooth for every real c, because the discriminant has no real zero.
    """
    c = as_coefficient(c_e)
    b = DENSITY_NEAT - M_LITFSI * c
    return 2.0 * M_EO * c / (b + jnp.sqrt(b * b + 4.0 * DENSITY_SLOPE * M_EO * c))


#: Salt concentration [mol m^-3] above which the conductivity is an extrapolation (r = 0.14).
C_E_WARN = concentration_from_ratio(R_WARN)
#: Salt concentration [mol m^-3] of the solubility limit (r = 0.5).
C_E_SATURATION = concentration_from_ratio(R_SATURATION)


class PEOConductivity(MaterialFunction):
    r"""Ionic conductivity of PEO-LiTFSI [S m^-1] (high molar mass, salt the only additive).

    $\kappa = 100\exp\{-0.6492 + 0.5912\ln r - 0.1288 r - 650.06/[T - 194.459 - 260.483 r]\}$

    **Source:** fit to the 100 kg/mol subset of the polymer-electrolyte data compiled by Bradford et al., ACS
    Cent. Sci. 9 (2023) 206, doi:10.1021/acscentsci.2c01123; 333-383 K, 0.02 <= r <= 0.14. Another 267 points
    at and above 60 C lie at a median of +7 % (quartiles -3 and +25 %). Below about 55 C PEO crystallises and
    the conductivity falls by 10 to 50 times: do not use it there.

    In r the fit has a pole where T = 194.459 + 260.483 r (r = 0.532 at 333 K). r is therefore replaced by a
    smooth minimum of r and 0.28, and the temperature distance by its softplus (5 K wide): positive and finite
    everywhere. In the range of the data both change the value by less than 1e-8. c_e is floored at 1e-9 mol
    m^-3.

    Leaves: `prefactor` [S m^-1] and the five other coefficients. Static: ranges.
    """

    prefactor: jax.Array  # 100 exp(-0.6492) [S m^-1]
    log_slope: jax.Array
    linear_slope: jax.Array
    pseudo_activation: jax.Array  # [K]
    T_vanish: jax.Array  # [K], at r = 0
    T_vanish_slope: jax.Array  # [K] per unit r
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self) -> None:
        self.prefactor = as_coefficient(100.0 * math.exp(-0.6492))
        self.log_slope = as_coefficient(0.5912)
        self.linear_slope = as_coefficient(-0.1288)
        self.pseudo_activation = as_coefficient(650.06)
        self.T_vanish = as_coefficient(194.459)
        self.T_vanish_slope = as_coefficient(260.483)
        self.valid = (concentration_from_ratio(0.02), C_E_WARN)
        self.valid_T = (333.0, 383.15)

    def __call__(self, c_e: ArrayLike, T: ArrayLike) -> jax.Array:
        c_e, T = as_coefficient(c_e), as_coefficient(T)
        c_e = jnp.broadcast_to(c_e, jnp.broadcast_shapes(c_e.shape, T.shape))
        r = _smooth_min(ratio_from_concentration(jnp.maximum(c_e, 1e-9)), R_FLAT, 0.005)
        distance = 5.0 * jax.nn.softplus((T - self.T_vanish - self.T_vanish_slope * r) / 5.0)
        return self.prefactor * jnp.exp(
            self.log_slope * jnp.log(r) + self.linear_slope * r - self.pseudo_activation / distance
        )


def _smooth_min(r: jax.Array, limit: float, width: float) -> jax.Array:
    """r - width softplus((r - limit)/width): relative accuracy kept for r << limit."""
    return r - width * jax.nn.softplus((r - limit) / width)
