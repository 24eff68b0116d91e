"""Oxidation of the electrolyte: the part of a set with the film, `decomposition.*` and `carbon_oxidation.*`.

Every law is ready to be switched on, and none is on: `decomposition.law` and `carbon_oxidation.j_ref` say so.
"""

import math

from simulator.materials.expression import Expression
from simulator.materials.parameter_sets.schema import Parameter

_FADE = (
    "estimate: with the open-circuit curve of NMC811 +- 20 mV and the other values as here it gives 0.27 C/m2 in a "
    "C/10 cycle to 4.2 V, which is what the fade of a cathode that lives 32 cycles asks for (An et al. 2023, "
    "doi:10.1002/adfm.202305186). Tied to beta: 4e-4 with 0 (1.9e-4 in the first cycles of a resolved cathode with "
    "little contact), 2.4e-5 with 0.5, 7.3e-8 with 1.5, 3.9e-9 with 2"
)
_TREND = (
    "estimate: computed energies of LixNMC811 with LiTFSI fall monotonically with delithiation (An et al. 2023), the "
    "number is not known; 0 to 2, 0 is the null model"
)
_SWITCH = "off until it is chosen"
#: `contact.loss_thickness` of the sets
NO_LOSS = Parameter(math.inf, "m", "no contact is lost until a value is chosen")


def polymer_oxidation() -> dict[str, Parameter]:
    """PEO-LiTFSI on NMC811 at 60 C."""
    return {
        "film.molar_volume": Parameter(1e-4, "m3/mol", "estimate: fragments of polymer and salt, 0.4 to 2e-4"),
        "film.conductivity": Parameter(1e-8, "S/m", "estimate: 1e-9 to 1e-6; with 1e-6 the film would fill voxels"),
        "decomposition.law": Parameter("none", "-", _SWITCH),
        "decomposition.j_ref": Parameter(1.4e-6, "A/m2", _FADE),
        "decomposition.U_ox0": Parameter(
            4.3, "V", "estimate: 4.0 to 4.6; Homann et al. 2020, doi:10.1038/s41598-020-61373-9, put oxidation at 4.6 V"
        ),
        "decomposition.beta": Parameter(1.0, "V", _TREND),
        "decomposition.y0": Parameter(0.3, "-", "estimate: 0.2 to 0.5"),
        "decomposition.alpha": Parameter(0.5, "-", "convention: 132 mV per decade at 60 C; 0.3 to 1"),
        "decomposition.delta_star": Parameter(
            math.inf, "m", "estimate: a porous film that does not protect; 10 nm if so"
        ),
        "decomposition.omega": Parameter(0.1, "-", "estimate: 0 to 0.5 of the oxidation consume TFSI-"),
        "decomposition.reaction_energy": Parameter(
            Expression("0.1*(sto - 0.6)", axis="sto", name="decomposition.reaction_energy", tangent=True),
            "V",
            "estimate: downhill below sto 0.6, slope chosen; " + _TREND,
        ),
        "decomposition.gate_width": Parameter(0.01, "V", "chosen: the gate opens over 0.2 in sto"),
        "decomposition.burst_charge": Parameter(
            0.0, "C/m2", _SWITCH + "; 20 to 150 for end groups and residual solvent"
        ),
        "decomposition.burst_j_ref": Parameter(
            0.1, "A/m2", "estimate: visible beside 0.2 to 0.7 A/m2 of contact at C/10"
        ),
        "decomposition.burst_U": Parameter(3.75, "V", "An et al. 2023: products and a plateau at 3.8 V; 3.7 to 3.8"),
        "carbon_oxidation.j_ref": Parameter(0.0, "A/m2", _SWITCH),
        "carbon_oxidation.U_ox0": Parameter(4.6, "V", "estimate: PEO on inert electrodes"),
        "carbon_oxidation.alpha": Parameter(0.5, "-", "convention"),
        "carbon_oxidation.charge": Parameter(math.inf, "C/m2", "estimate: no end"),
        "carbon_oxidation.specific_area": Parameter(1.6e7, "1/m", "estimate: 8 vol% of 20 nm fibres, 4/d each"),
    }


def sulfide_oxidation() -> dict[str, Parameter]:
    """Li6PS5Cl: it oxidises on carbon from 2.5 to 2.8 V against Li, and slowly on the coated oxide."""
    film = "estimate: sulfide and polysulfide products"
    return polymer_oxidation() | {
        "film.molar_volume": Parameter(2e-5, "m3/mol", film),
        "film.conductivity": Parameter(1e-8, "S/m", film),
        "decomposition.j_ref": Parameter(1e-6, "A/m2", "estimate: as for the polymer; not fitted to any cell"),
        "decomposition.U_ox0": Parameter(4.0, "V", "estimate: through the coating"),
        "decomposition.omega": Parameter(0.0, "-", "a single-ion conductor holds no free anions"),
        "carbon_oxidation.U_ox0": Parameter(
            2.8, "V", "estimate: 2.5 to 2.8 V; Hu et al. 2024, doi:10.1002/aenm.202303797, see it by 3.5 V"
        ),
        "carbon_oxidation.charge": Parameter(
            5.0, "C/m2", "estimate: a few nanometres of electrolyte next to the carbon"
        ),
        "carbon_oxidation.specific_area": Parameter(
            1e6, "1/m", "estimate: 4 vol% of the cbd are 150 nm fibres, 4/d each"
        ),
    }
