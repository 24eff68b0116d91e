"""LiNi0.8Mn0.1Co0.1O2 (NMC811): open-circuit potential, diffusivity, electronic conductivity.

Stoichiometry `sto` = lithium per formula unit, 1 = fully lithiated.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from simulator.materials.functions import (
    EVERYWHERE,
    Arrhenius,
    LogLinear,
    MaterialFunction,
    Range,
    as_coefficient,
)

#: Crystal density [kg m^-3] and molar mass [kg mol^-1] give the lithium concentration at sto = 1 [mol m^-3].
DENSITY = 4780.0
MOLAR_MASS = 0.09728
C_S_MAX = 49136.0  # = DENSITY / MOLAR_MASS, rounded to 1


class ChenOCP(MaterialFunction):
    r"""Pseudo open-circuit potential of NMC811 [V vs Li/Li+] at 25 C.

    $U = 4.4875 - 0.8090 x - 0.0428\tanh[18.5138(x - 0.5542)] - 17.7326\tanh[15.7890(x - 0.3117)]
    + 17.5842\tanh[15.9308(x - 0.3120)]$

    **Source:** Chen et al., J. Electrochem. Soc. 167 (2020) 080534, doi:10.1149/1945-7111/ab9050 (half cell
    with liquid electrolyte). Supported for 0.25 < sto < 0.95. Its change with temperature up to 60 C is below
    2.3 mV (entropy of O'Regan et al., doi:10.1016/j.electacta.2022.140700) and is neglected: `T` is not used.

    The fit lacks the potential drop at the end of lithiation. With `steep_end` the estimate -0.02 exp[200 (sto
    - 0.975)] V is added: 1 mV at 0.96, 20 mV at 0.975, and a surface that fills up passes 2.8 V at 0.993, before it is
    full (a full oxide takes no lithium at any such voltage; with a weaker drop a discharge could not end at its
    cut-off). Beyond sto = 1.005 it continues along its tangent, so that a Newton iterate far outside [0, 1] cannot
    overflow.

    Leaves: all coefficients. Static: `steep_end`, ranges.
    """

    offset: jax.Array  # [V]
    slope: jax.Array  # [V]
    amplitude: jax.Array  # [3] [V]
    steepness: jax.Array  # [3]
    centre: jax.Array  # [3]
    end_amplitude: jax.Array  # [V]
    end_rate: jax.Array
    end_position: jax.Array
    steep_end: bool = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, *, steep_end: bool = True):
        self.offset = as_coefficient(4.4875)
        self.slope = as_coefficient(-0.8090)
        self.amplitude = as_coefficient([-0.0428, -17.7326, 17.5842])
        self.steepness = as_coefficient([18.5138, 15.7890, 15.9308])
        self.centre = as_coefficient([0.5542, 0.3117, 0.3120])
        self.end_amplitude = as_coefficient(-0.02)
        self.end_rate = as_coefficient(200.0)
        self.end_position = as_coefficient(0.975)
        self.steep_end = steep_end
        self.valid = (0.25, 0.95)
        self.valid_T = EVERYWHERE

    def __call__(self, sto: ArrayLike, T: ArrayLike) -> jax.Array:
        sto = jnp.broadcast_to(as_coefficient(sto), jnp.broadcast_shapes(jnp.shape(sto), jnp.shape(T)))
        U = self.offset + self.slope * sto
        for k in range(3):  # unrolled: one fused elementwise kernel, no [..., 3] temporaries
            U = U + self.amplitude[k] * jnp.tanh(self.steepness[k] * (sto - self.centre[k]))
        if self.steep_end:
            U = U + self.end_amplitude * _exp_then_tangent(self.end_rate * (sto - self.end_position), 6.0)
        return U


def _exp_then_tangent(z: jax.Array, z_max: float) -> jax.Array:
    """exp(z) for z <= z_max, its tangent beyond: continuous with its derivative, no overflow."""
    low = jnp.minimum(z, z_max)
    return jnp.exp(low) * (1.0 + (z - low))


class OReganDiffusivity(MaterialFunction):
    r"""Solid diffusivity of NMC811 [m^2 s^-1].

    $D_s = 2.7\cdot10^{g(x)}\exp[1449(1/298.15 - 1/T)]$, $g = -13.96 - 0.9231 e^{-(x-0.3216)^2/0.002534}
    - 0.4066 e^{-(x-0.4532)^2/0.003926} - 0.993 e^{-(x-0.8098)^2/0.09924}$

    1449 K is an activation energy of 12.05 kJ mol^-1; 2.7 is the authors' correction factor.

    **Source:** O'Regan et al., Electrochim. Acta 425 (2022) 140700, doi:10.1016/j.electacta.2022.140700 (GITT
    on polycrystalline NMC811 of the LG M50). Supported for 0.25 < sto < 0.95; bounded for every real
    argument.

    Leaves: all coefficients. Static: reference temperature, ranges.
    """

    correction: jax.Array
    base_exponent: jax.Array
    depth: jax.Array  # [3]
    centre: jax.Array  # [3]
    width: jax.Array  # [3]
    activation_temperature: jax.Array  # [K]
    T_ref: float = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self) -> None:
        self.correction = as_coefficient(2.7)
        self.base_exponent = as_coefficient(-13.96)
        self.depth = as_coefficient([-0.9231, -0.4066, -0.993])
        self.centre = as_coefficient([0.3216, 0.4532, 0.8098])
        self.width = as_coefficient([0.002534, 0.003926, 0.09924])
        self.activation_temperature = as_coefficient(1449.0)
        self.T_ref = 298.15
        self.valid = (0.25, 0.95)
        self.valid_T = EVERYWHERE

    def __call__(self, sto: ArrayLike, T: ArrayLike) -> jax.Array:
        sto, T = as_coefficient(sto), as_coefficient(T)
        sto = jnp.broadcast_to(sto, jnp.broadcast_shapes(sto.shape, T.shape))
        exponent = self.base_exponent
        for k in range(3):
            exponent = exponent + self.depth[k] * jnp.exp(-((sto - self.centre[k]) ** 2) / self.width[k])
        thermal = self.activation_temperature * (1.0 / self.T_ref - 1.0 / T)
        return self.correction * jnp.exp(jnp.log(10.0) * exponent + thermal)


def electronic_conductivity() -> Arrhenius:
    """Electronic conductivity of NMC811 [S m^-1]: 3 at sto 0.25, 0.1 at sto 1 (25 C), 30 kJ/mol.

    **Source:** estimate. Amin and Chiang, J. Electrochem. Soc. 163 (2016) A1512, doi:10.1149/2.0131608jes,
    measured the log-linear shape on NMC333 and NMC523, 1e-5 S m^-1 (sto 1) to 1 S m^-1 (sto 0.25);
    nickel-rich oxides conduct better, most of all when lithiated. The two values are read as room-temperature
    values, because the measurements they scale are: T_ref = 298.15 K, hence a factor 3.57 at 60 C. At C/10
    either reading leaves the electronic loss inside 10 um particles near 0.1 mV or below, so the choice
    hardly moves a result.
    """
    return Arrhenius(LogLinear((0.25, 1.0), (3.0, 0.1)), 30e3, 298.15)
