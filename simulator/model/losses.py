r"""Where the voltage goes: dissipated power of one state, by cause.

Multiplying each discrete charge balance by its potential and summing over the grid gives, without any remainder,

$$I\,(V - U(\bar x) + U_a) = \sum_k P_k ,$$

with the mean stoichiometry $\bar x$ of the reacting particles and the potential $U_a$ of the counter electrode:

- electronic: $\sum i_s\Delta\phi_s$ through all voxel faces, half cells at faces and collector included,
- ionic: $\sum i_e^2/\kappa$ in the electrode, and the same in the separator,
- salt: $\sum i_e K\Delta\ln c_e$, the concentration overpotential,
- charge transfer: $\sum J A\,\eta$, and what oxidises on carbon at its potential against $U(\bar x)$,
- contact: films $\sum J A\,j R_f$ and electronic contact resistance,
- solid diffusion: $\sum J A\,U(x_s) - I\,U(\bar x)$: surface against mean, within and between particles,
- counter electrode: its kinetics and resistance.

Divided by the current they are voltages that add up to what the cell voltage lacks to its open-circuit value. Source:
the discrete form of the balance of electrical power; Newman, Balsara, Electrochemical Systems (2021).
"""

import math

import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.residual import (
    Drive,
    SideStates,
    anode_current,
    carbon_oxidation,
    collector,
    extra_resistance,
    face_fluxes,
    side_values,
    true_contact,
    wall_transport,
)
from simulator.numerics.compilation import compiled
from simulator.numerics.stencil import AXES
from simulator.physics.contact import FaceCurrents, surface_stoichiometry
from simulator.physics.counter_electrode import log_wall_ratio

#: name of the cause -> what it holds; each is a column `loss_<name>_volt` of the time series.
LOSSES: dict[str, str] = {
    "electronic": "Ohmic loss of the electrons in active material, binder and at the collector",
    "ionic": "Ohmic loss of the ions in the electrode",
    "separator": "Ohmic loss of the ions in the separator",
    "salt": "Concentration overpotential of the salt",
    "charge_transfer": "Charge-transfer overpotential of the active material",
    "solid_diffusion": "Surface against mean stoichiometry, within and between particles",
    "contact": "Films and electronic contact resistance",
    "counter_electrode": "Kinetics and resistance of the counter electrode",
}


@compiled
def _powers(u: Array, j: FaceCurrents, side: SideStates, drive: Drive, cell: CellModel) -> tuple[Array, Array]:
    """Power [W] of each cause in the order of `LOSSES`, and the open-circuit voltage [V] at the mean sto."""
    p, f = cell.parameters, cell.faces
    values = cell.cell_values(u)
    am, ion = cell.gather(u)
    sides = cell.face_sides(am, ion, side.faces)
    extra = extra_resistance(sides, cell)
    electronic = ionic = separator = salt = jnp.zeros(())
    for axis in AXES:
        low, high = side_values(values, axis)
        flow = face_fluxes(low, high, cell, axis, extra[axis])
        electronic = electronic + jnp.sum(flow.i_s * (low.phi_s - high.phi_s))
        diffusion = 0.5 * (low.coupling + high.coupling) * (low.ln_c - high.ln_c)
        ohmic = flow.i_e * (low.phi_e - high.phi_e - diffusion)
        salt = salt + jnp.sum(flow.i_e * diffusion)
        # the plane between separator and electrode counts to the separator
        separator = separator + jnp.sum(ohmic[: cell.grid.separator_layers])
        ionic = ionic + jnp.sum(ohmic[cell.grid.separator_layers :])

    contact = true_contact(cell, sides)  # [m2], zero on padding
    current = j.total * contact  # [A]
    area = jnp.where(f.valid, f.area, 1.0)
    density = current / area  # J, per voxel face area
    g_am, g_cbd = sides.electronic_conductances()
    share = sides.am_share()
    electronic = electronic + jnp.sum(current * density / (g_am + g_cbd))
    from_cbd = (1.0 - share) * density - share * g_cbd * (am[PHI_S] - ion[PHI_S])
    resisted = jnp.where(f.valid, area * jnp.square(from_cbd) * sides.extra_resistance(), 0.0)
    electronic = electronic - jnp.sum(resisted)
    contacts = jnp.sum(resisted) + jnp.sum(current * j.total * sides.film_resistance)
    ionic = ionic + jnp.sum(current * density * sides.h_ion / (2.0 * sides.kappa))

    surface = surface_stoichiometry(am[STO], j.intercalation, sides, p.c_s_max)
    j0 = cell.kinetics.exchange_current(surface, ion[C_E])
    eta = cell.kinetics.overpotential(j.intercalation / j0, p.temperature)
    charge_transfer = jnp.sum(current * eta)
    reacting = cell.active[STO]
    mean = jnp.sum(jnp.where(reacting, u[STO], 0.0)) / jnp.sum(reacting)
    rest = p.ocp(mean, p.temperature)
    solid = jnp.sum(current * (p.ocp(surface, p.temperature) - rest))
    if side.carbon is not None:  # the current of a frozen state: what is left of the electrolyte is known
        oxidised, _ = carbon_oxidation(u, cell, side.carbon, jnp.zeros(()))
        charge_transfer = charge_transfer + jnp.sum(oxidised * (u[PHI_S] - u[PHI_E] - rest))

    end = collector(u, values, cell, drive)
    conducts = end.conductance > 0.0
    electronic = electronic + jnp.sum(jnp.square(end.from_it) / jnp.where(conducts, end.conductance, 1.0))
    i = anode_current(u, values, cell)
    stripped = i * cell.grid.plane_area
    separator = separator + jnp.sum(stripped * i * 0.5 * cell.grid.dz[0] / values.kappa[0])
    log_ratio = log_wall_ratio(i, u[C_E, 0], **wall_transport(values, cell))
    salt = salt + jnp.sum(stripped * values.coupling[0] * log_ratio)
    counter = jnp.sum(stripped * cell.anode.overpotential(i, p.temperature))
    powers = jnp.stack([electronic, ionic, separator, salt, charge_transfer, solid, contacts, counter])
    return powers, rest - cell.anode.potential


def voltage_losses(u: Array, j: FaceCurrents, side: SideStates, current: float, cell: CellModel) -> dict[str, float]:
    """Columns `ocv_volt` and `loss_<cause>_volt` [V] of a state: their sum is the cell voltage.

    **Arguments:** `u` (4, nz, ny, nx), `j` (n,) [A m^-2 of contact], `side` states, applied `current` [A], positive on
    charge.

    Losses are positive on charge and negative on discharge. Without current no loss is defined: they are NaN.
    """
    drive = Drive.of_current(current)
    powers, ocv = _powers(u, j, side, drive, cell)
    volts = [float(p) / current if current else math.nan for p in powers]
    return {"ocv_volt": float(ocv)} | {f"loss_{name}_volt": v for name, v in zip(LOSSES, volts, strict=True)}
