"""Electrolyte oxidation: a second Faradaic branch on the faces of the active material, and one on carbon.

A law of the branch is one small file with a module derived from `DecompositionLaw`, and one line in `LAWS` (its name
also stands in `simulator.choices.DECOMPOSITION_LAWS`, where the parameters check it).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from simulator.physics.decomposition.branch import Decomposition, SideStart
from simulator.physics.decomposition.delithiation import Delithiation
from simulator.physics.decomposition.film import Film
from simulator.physics.decomposition.finite import FiniteOxidation
from simulator.physics.decomposition.law import DecompositionLaw
from simulator.physics.decomposition.onset import ShiftedOnset
from simulator.physics.decomposition.reaction_energy import ReactionEnergy

__all__ = ["LAWS", "Decomposition", "Film", "FiniteOxidation", "SideStart", "build_carbon", "build_decomposition"]

#: Name of a law -> maker from the values of the parameters.
LAWS: dict[str, Callable[[Mapping[str, Any]], DecompositionLaw]] = {
    "delithiation": Delithiation.from_values,
    "shifted_onset": ShiftedOnset.from_values,
    "reaction_energy": ReactionEnergy.from_values,
}


def _scalar(value: Any) -> Any:
    return jnp.asarray(value, jnp.float64)


def _off(value: Any) -> bool:
    """Whether a switch stands at zero; what is traced counts as on."""
    return isinstance(value, int | float) and value == 0


def build_decomposition(value: Mapping[str, Any], binary: bool) -> Decomposition | None:
    """The branch that the parameters `value` (dotted name -> value, SI) describe; None if it is switched off.

    It is off with `decomposition.law` "none", and where neither the law (`decomposition.j_ref` = 0) nor the burst
    (`decomposition.burst_charge` = 0) passes a current. A single-ion conductor (`binary` False) holds no free anions
    to lose: omega is zero there.
    """
    name = value["decomposition.law"]
    no_burst = _off(value["decomposition.burst_charge"]) or _off(value["decomposition.burst_j_ref"])
    if name == "none" or (_off(value["decomposition.j_ref"]) and no_burst):
        return None
    burst = None
    if not no_burst:
        burst = FiniteOxidation(
            j_ref=_scalar(value["decomposition.burst_j_ref"]),
            U_ref=_scalar(value["decomposition.burst_U"]),
            alpha=_scalar(value["decomposition.alpha"]),
            charge=_scalar(value["decomposition.burst_charge"]),
        )
    loss = value["contact.loss_thickness"]
    never = isinstance(loss, int | float) and loss == float("inf")
    film = Film(
        molar_volume=_scalar(value["film.molar_volume"]),
        conductivity=_scalar(value["film.conductivity"]),
        loss_thickness=None if never else _scalar(loss),
    )
    omega = value["decomposition.omega"] if binary else 0.0
    return Decomposition(law=LAWS[name](value), burst=burst, film=film, omega=_scalar(omega))


def build_carbon(value: Mapping[str, Any]) -> FiniteOxidation | None:
    """Oxidation of the electrolyte on the carbon of the CBD; None with `carbon_oxidation.j_ref` = 0."""
    if _off(value["carbon_oxidation.j_ref"]):
        return None
    area = value["carbon_oxidation.specific_area"]
    return FiniteOxidation(
        j_ref=_scalar(value["carbon_oxidation.j_ref"] * area),
        U_ref=_scalar(value["carbon_oxidation.U_ox0"]),
        alpha=_scalar(value["carbon_oxidation.alpha"]),
        charge=_scalar(value["carbon_oxidation.charge"] * area),
    )
