r"""What is read off the interface of a state: its resistance at frozen state, and what the side reactions have done."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.constants import F
from simulator.model.cell import C_E, STO, CellModel
from simulator.model.residual import Flows, SideStates, true_contact
from simulator.numerics.compilation import compiled
from simulator.physics.contact import CONTACT_FLOOR, FaceCurrents, surface_stoichiometry
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS

#: name -> (unit, long name) of the columns of the time series; zero without a side reaction.
SIDE_COLUMNS: dict[str, tuple[str, str]] = {
    "decomposed_coulomb": ("C", "Charge of the electrolyte oxidised on the active material, the burst excluded"),
    "burst_coulomb": ("C", "Charge of the burst"),
    "carbon_coulomb": ("C", "Charge of the electrolyte oxidised on carbon"),
    "salt_lost_mole": ("mol", "Anions consumed"),
    "film_thickness_mean": ("m", "Thickness of the film, mean over the contact"),
    "film_thickness_max": ("m", "Thickness of the film, largest on any face with contact"),
    "contact_remaining": ("1", "Contact area / contact area of the pristine cell"),
    "interface_resistance_ohm_m2": (
        "ohm m^2",
        "Interface resistance at frozen state (charge transfer and film), times the cross-section of the electrode",
    ),
}


@compiled
def _conductance(u: Array, j: FaceCurrents, side: SideStates, cell: CellModel) -> Array:
    """$\\sum A\\,g/(1+R_f g)$ [S] with $g=\\partial j/\\partial\\eta$ at the surface state as it is."""
    am, ion = cell.gather(u)
    p = cell.parameters
    sides = cell.face_sides(am, ion, side.faces)
    surface = surface_stoichiometry(am[STO], j.intercalation, sides, p.c_s_max)
    j0 = cell.kinetics.exchange_current(surface, ion[C_E])
    eta = cell.kinetics.overpotential(j.intercalation / j0, p.temperature)
    E = p.ocp(surface, p.temperature) + eta
    branch = cell.decomposition

    def current(shift: Array) -> Array:
        through = cell.kinetics.current(j0, eta + shift, p.temperature)
        if branch is None or side.faces is None:
            return through
        through = through + branch.law.current(E + shift, surface, side.faces[THICKNESS], p.temperature)
        if branch.burst is None:
            return through
        burst, _ = branch.burst.advance(E + shift, side.faces[BURST_LEFT], jnp.zeros(()), p.temperature)
        return through + burst

    zero = jnp.zeros_like(eta)
    _, g = jax.jvp(current, (zero,), (jnp.ones_like(zero),))
    return jnp.sum(true_contact(cell, sides) * g / (1.0 + sides.film_resistance * g))


def interface_resistance(u: Array, j: FaceCurrents, side: SideStates, cell: CellModel) -> float:
    r"""Resistance [ohm] of the interface of the simulated volume at frozen state.

    $R_\mathrm{int} = 1/\sum_f A_f\,\frac{\partial j/\partial\eta}{1+R_f\,\partial j/\partial\eta}$ over the true
    contact areas, surface stoichiometry and film held: what the high-frequency arc of an impedance spectrum would show
    if all faces saw one potential. It is no impedance: transport along the electrode is not in it.
    """
    return 1.0 / float(_conductance(u, j, side, cell))


def side_columns(side: SideStates, passed: Flows, contact: np.ndarray, cell: CellModel) -> dict[str, float]:
    """`SIDE_COLUMNS` but for the resistance: from the states, and the charges that have `passed` [C]; `contact` (n,)
    [m2] as it is."""
    branch = cell.decomposition
    omega = 0.0 if branch is None else float(branch.omega)
    columns = {
        "decomposed_coulomb": float(passed.oxidation),
        "burst_coulomb": float(passed.burst),
        "carbon_coulomb": float(passed.carbon),
        "salt_lost_mole": omega * float(passed.oxidation) / F,
        "film_thickness_mean": 0.0,
        "film_thickness_max": 0.0,
        "contact_remaining": 1.0,
    }
    if side.faces is not None:
        thickness = np.asarray(side.faces[THICKNESS])
        columns["film_thickness_mean"] = float(np.sum(thickness * contact) / np.sum(contact))
        # the floor of the contact keeps dead faces in the equations; nobody looks for a film there
        live = (contact > 0) & (np.asarray(cell.contact_fraction) > CONTACT_FLOOR)
        columns["film_thickness_max"] = float(np.max(thickness, where=live, initial=0.0))
        columns["contact_remaining"] = float(np.sum(contact) / np.sum(np.asarray(cell.pristine_contact)))
    return columns


def side_imbalance(side: SideStates, passed: Flows, cell: CellModel) -> float:
    """Largest relative difference between what the faces and voxels hold and what their currents have passed.

    Decomposed charge, film volume (V_f q/F, while no contact is lost), burst and carbon.
    """
    worst = 0.0

    def compare(held: Array, through: Array | float, whole: float = 0.0) -> None:
        nonlocal worst
        reference = max(abs(float(through)), 1e-6 * whole)
        worst = max(worst, abs(float(held) - float(through)) / reference if reference > 0 else abs(float(held)))

    branch = cell.decomposition
    if branch is not None and side.faces is not None:
        area = cell.pristine_contact
        compare(jnp.sum(side.faces[CHARGE] * area), passed.oxidation)
        if branch.film.loss_thickness is None:
            compare(jnp.sum(side.faces[THICKNESS] * area) / branch.film.growth, passed.oxidation)
            if branch.burst is not None:
                whole = branch.burst.charge * jnp.sum(area)
                compare(
                    branch.burst.charge * jnp.sum((1.0 - side.faces[BURST_LEFT]) * area), passed.burst, float(whole)
                )
    if cell.carbon is not None and side.carbon is not None and np.isfinite(float(cell.carbon.charge)):
        density = cell.carbon.charge * cell.grid.volume
        used = jnp.sum(jnp.where(cell.carbon_voxels, density * (1.0 - side.carbon), 0.0))
        whole = jnp.sum(jnp.where(cell.carbon_voxels, density, 0.0))
        compare(used, passed.carbon, float(whole))
    return worst
