"""Constant-coefficient set of the verification cases (laminate cell, porous-electrode references).

The values are chosen, not measured: simple enough for an analytic solution, close to NMC811 in PEO at 60 C.
The exchange current density is 2 j0_ref sqrt(sto (1 - sto)) sqrt(c_e/c_e_init), 1 A m^-2 at sto 0.5.
"""

from simulator.materials.functions import Constant
from simulator.materials.nmc811 import DENSITY, ChenOCP
from simulator.materials.parameter_sets.oxidation import NO_LOSS, polymer_oxidation
from simulator.materials.parameter_sets.schema import Parameter

_CHOSEN = "chosen for verification"


def parameters() -> dict[str, Parameter]:
    """The set; see `simulator.materials.parameter_sets.schema.SPECS` for units and allowed ranges."""
    kappa, D_e = Constant(0.05), Constant(3e-12)
    return {
        "am.c_s_max": Parameter(
            51765.0, "mol/m3", _CHOSEN + ", as in O'Regan et al. 2022, doi:10.1016/j.electacta.2022.140700"
        ),
        "am.D_s": Parameter(Constant(1e-14), "m2/s", _CHOSEN),
        "am.sigma": Parameter(Constant(1.0), "S/m", _CHOSEN),
        "am.ocp": Parameter(
            ChenOCP(steep_end=False), "V", "Chen et al. 2020, doi:10.1149/1945-7111/ab9050, as published"
        ),
        "am.density": Parameter(DENSITY, "kg/m3", "crystal density of NMC811"),
        "am.sto_window": Parameter((0.30, 0.93), "-", _CHOSEN + ": 10 h for 0.63 at C/10"),
        "cbd.kappa": Parameter(kappa, "S/m", _CHOSEN, follows=("electrolyte.kappa", 1.0)),
        "cbd.sigma": Parameter(10.0, "S/m", _CHOSEN),
        "cbd.D_e": Parameter(D_e, "m2/s", _CHOSEN, follows=("electrolyte.D_e", 1.0)),
        "cbd.electrolyte_fraction": Parameter(1.0, "-", _CHOSEN),
        "electrolyte.kind": Parameter("binary", "-", _CHOSEN),
        "electrolyte.kappa": Parameter(kappa, "S/m", _CHOSEN + ": PEO-LiTFSI 18:1 at 60 C"),
        "electrolyte.D_e": Parameter(D_e, "m2/s", _CHOSEN),
        "electrolyte.t_plus": Parameter(Constant(0.2), "-", _CHOSEN),
        "electrolyte.thermo_factor": Parameter(Constant(1.0), "-", _CHOSEN + ": ideal solution"),
        "electrolyte.c_e_init": Parameter(1130.0, "mol/m3", _CHOSEN + ": EO:Li = 18:1"),
        "electrolyte.c_e_max": Parameter(float("inf"), "mol/m3", _CHOSEN + ": no solubility limit"),
        "separator.thickness": Parameter(50e-6, "m", _CHOSEN),
        "separator.layers": Parameter(16, "-", "numerical choice: layers graded from the voxel size"),
        "separator.kappa": Parameter(kappa, "S/m", _CHOSEN, follows=("electrolyte.kappa", 1.0)),
        "separator.D_e": Parameter(D_e, "m2/s", _CHOSEN, follows=("electrolyte.D_e", 1.0)),
        "separator.electrolyte_fraction": Parameter(1.0, "-", _CHOSEN),
        "kinetics.j0_ref": Parameter(1.0, "A/m2", _CHOSEN),
        "kinetics.alpha_a": Parameter(0.5, "-", "convention"),
        "kinetics.alpha_c": Parameter(0.5, "-", "convention"),
        "contact.fraction": Parameter(1.0, "-", _CHOSEN),
        "contact.electronic_resistance": Parameter(0.0, "ohm m2", _CHOSEN),
        "contact.loss_thickness": NO_LOSS,
        "film.resistance_init": Parameter(0.0, "ohm m2", _CHOSEN),
        **polymer_oxidation(),
        "anode.kind": Parameter("li_metal", "-", _CHOSEN),
        "anode.j0": Parameter(10.0, "A/m2", _CHOSEN),
        "anode.resistance": Parameter(0.0, "ohm m2", _CHOSEN),
        "anode.potential": Parameter(0.0, "V", "Li/Li+ is the reference"),
        "temperature": Parameter(333.15, "K", _CHOSEN),
        "sto_init": Parameter(0.93, "-", _CHOSEN),
        "nominal_specific_capacity": Parameter(None, "mAh/g", "from am.sto_window"),
        "voltage_limits": Parameter((2.0, 5.0), "V", _CHOSEN + ": wide, no case ends there"),
    }
