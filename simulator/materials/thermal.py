"""Values with an activation energy: what was measured at one temperature, for use at another."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from simulator.constants import R
from simulator.materials.functions import Arrhenius, Constant, is_traced, plain


@dataclass(frozen=True, eq=False)
class Thermal:
    r"""A value at `T_ref` and how it changes with temperature.

    $X(T) = X(T_{ref})\,\exp[\pm E_a/R\,(1/T_{ref} - 1/T)]$, plus for what speeds up with temperature (conductivities,
    diffusivities, exchange currents), minus (`sense` = -1) for resistances, which fall with the same positive $E_a$.

    `value`: number (SI) or material function; `activation_energy` [J mol^-1]; `T_ref` [K]. As an override of a
    parameter, `value` and `activation_energy` may also be texts with a unit, and `sense` is set by the parameter.
    """

    value: Any
    activation_energy: Any
    T_ref: Any
    sense: int = 1

    def factor(self, T: ArrayLike) -> Any:
        """X(T)/X(T_ref), exactly 1 at T_ref; a float unless something is traced."""
        exponent = self.sense * self.activation_energy / R * (1.0 / self.T_ref - 1.0 / T)
        return jnp.exp(exponent) if is_traced(exponent) else math.exp(exponent)

    def at(self, T: ArrayLike) -> Any:
        """What a cell at `T` [K] uses.

        Numbers and constants become the number at `T`: they cost nothing in the solver. Other functions keep their
        dependence on temperature (`Arrhenius`); they are evaluated at `T_ref` and scaled.
        """
        if isinstance(self.value, Constant):
            value = self.value.value * self.factor(T)
            return Constant(value, valid=self.value.valid, valid_T=self.value.valid_T)
        if callable(self.value):
            return Arrhenius(self.value, self.sense * self.activation_energy, self.T_ref)
        return self.value * self.factor(T)

    def __str__(self) -> str:
        value = repr(self.value) if callable(self.value) else plain(self.value)
        return f"{value} at {self.T_ref:g} K, activation energy {plain(self.activation_energy)} J/mol"
