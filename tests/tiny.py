"""One tiny electrode for all tests of the coupled model, so that they share its compiled programs."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from simulator.geometry import Electrode
from simulator.model import build_cell
from simulator.model.residual import Drive

LABELS = {"pore": 0, "am": 1, "cbd": 2, "electrolyte": 3}
VOXEL_SIZE = (0.45e-6, 0.5e-6, 0.6e-6)
#: Every scalar differs from what would make a term vanish or two terms equal.
VALUES = {
    "separator.layers": 4,
    "separator.thickness": 8e-6,
    "separator.kappa": 0.07,
    "separator.D_e": 4e-12,
    "separator.electrolyte_fraction": 0.8,
    "cbd.kappa": 0.02,
    "cbd.D_e": 2e-12,
    "cbd.sigma": 8.0,
    "cbd.electrolyte_fraction": 0.6,
    "electrolyte.thermo_factor": 1.3,
    "kinetics.alpha_a": 0.4,
    "kinetics.alpha_c": 0.6,
    "kinetics.j0_ref": 2.0,
    "contact.fraction": 0.7,
    "contact.electronic_resistance": 1e-6,
    "film.resistance_init": 2e-3,
    "anode.resistance": 1e-3,
    "am.sigma": 0.8,
    "sto_init": 0.6,
}


#: Every side reaction switched on, so that all tests share one compiled program: currents of several per cent of the
#: intercalation's, a film that slows itself down within nanometres, and contact that it costs.
OXIDATION = {
    "decomposition.law": "delithiation",
    "decomposition.j_ref": 0.05,
    "decomposition.U_ox0": 3.9,
    "decomposition.beta": 0.6,
    "decomposition.omega": 0.3,
    "decomposition.delta_star": 3e-9,
    "decomposition.burst_charge": 25.0,
    "decomposition.burst_j_ref": 0.05,
    "film.conductivity": 1e-6,
    "contact.loss_thickness": 8e-9,
    "carbon_oxidation.j_ref": 2e-4,
    "carbon_oxidation.U_ox0": 3.8,
    "carbon_oxidation.charge": 2.0,
    "carbon_oxidation.specific_area": 1e7,
}


def random_phases():
    """All four phases with everything that can go wrong: AM without electrons, AM without ions, CBD that carries only
    one or none of the two, cut-off electrolyte (the seed was searched for that; a test of the masks checks it)."""
    return np.random.default_rng(14).choice(4, p=[0.25, 0.4, 0.2, 0.15], size=(7, 6, 6)).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Tiny:
    """Maker of cells of one shape."""

    phases: np.ndarray
    voxel_size: tuple[float, float, float]
    values: dict

    def cell(self, overrides=None, *, phases=None, voxel_size=None):
        electrode = Electrode.from_array(
            self.phases if phases is None else phases,
            voxel_size=self.voxel_size if voxel_size is None else voxel_size,
            labels=LABELS,
        )
        return build_cell(electrode, "verification", {**self.values, **(overrides or {})})

    def oxidising(self, overrides=None):
        """A cell with every side reaction of `OXIDATION`."""
        return self.cell(OXIDATION | (overrides or {}))

    @staticmethod
    def with_leaf(cell, where, value):
        """`cell` with one leaf of its model replaced, the parameters as the user gave them."""
        model = eqx.tree_at(where, cell.model, jnp.asarray(value, float))
        return dataclasses.replace(cell, model=model)

    @staticmethod
    def drive(current):
        """Constant `current` [A]."""
        return Drive(jnp.asarray(current, float), jnp.zeros(()), jnp.ones(()))
