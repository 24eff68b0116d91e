"""NMC811 in Li6PS5Cl with vapour-grown carbon fibres against indium-lithium at 25 C: a sulfide composite cathode.

The electrolyte is a single-ion conductor: no salt concentration is solved, its parameters are placeholders. Voltages
of protocols and of `voltage_limits` are those of the cell, 0.62 V below the potential against Li/Li+; "until 4.3 V vs
Li" converts.
"""

from simulator.constants import F, R
from simulator.materials.functions import Constant, Scaled
from simulator.materials.parameter_sets.oxidation import NO_LOSS, sulfide_oxidation
from simulator.materials.parameter_sets.oxides import nmc811
from simulator.materials.parameter_sets.schema import Parameter
from simulator.materials.thermal import Thermal

TEMPERATURE = 298.15  # [K]
LI_IN_POTENTIAL = 0.62  # [V vs Li/Li+]
LI_IN_AREA_RESISTANCE = 10e-4  # [ohm m^2] = 10 ohm cm^2
ELECTROLYTE_ENERGY = 0.33 * F  # [J mol^-1] = 0.33 eV
KINETICS_ENERGY = 45e3  # [J mol^-1]

CBD_FACTOR = 0.934  # (1 - 3.5/78.2)^1.5: 3.5 vol% fibres beside 74.7 vol% Li6PS5Cl, Bruggeman
CBD_FRACTION = 0.955  # 74.7/78.2

_UNUSED = "no effect: a single-ion conductor has no salt to move; placeholder"


def parameters() -> dict[str, Parameter]:
    """The set; see `simulator.materials.parameter_sets.schema.SPECS` for units and allowed ranges."""
    kappa, D_e = Constant(0.12), Constant(1e-12)
    return {
        **nmc811((0.262, 0.93), "open-circuit 4.3 V vs Li (3.68 V vs Li-In); 0.93 limited by kinetics: 184 mAh/g"),
        "cbd.kappa": Parameter(
            Scaled(kappa, CBD_FACTOR),
            "S/m",
            "estimate: 3.5 vol% fibres in 74.7 vol% Li6PS5Cl (a 40:60:3 mixture by weight), Bruggeman exponent 1.5; "
            "pores below the voxel size lower it further",
            follows=("electrolyte.kappa", CBD_FACTOR),
        ),
        "cbd.sigma": Parameter(
            10.0, "S/m", "estimate: network of 3.5 vol% vapour-grown carbon fibres, 10-100 (1e4-1e5 along a fibre)"
        ),
        "cbd.D_e": Parameter(Scaled(D_e, CBD_FACTOR), "m2/s", _UNUSED, follows=("electrolyte.D_e", CBD_FACTOR)),
        "cbd.electrolyte_fraction": Parameter(CBD_FRACTION, "-", _UNUSED + "; 74.7/78.2 of the volume"),
        "electrolyte.kind": Parameter("single_ion", "-", "Li6PS5Cl: only lithium moves"),
        "electrolyte.kappa": Parameter(
            Thermal(kappa, ELECTROLYTE_ENERGY, TEMPERATURE),
            "S/m",
            "cold-pressed Li6PS5Cl, 0.5-2.2 mS/cm at 25 C (doi:10.1021/jacs.7b06327, doi:10.1016/j.ssi.2012.06.008); "
            "1.2 chosen. Activation energy 0.33 eV, literature 0.30-0.45",
        ),
        "electrolyte.D_e": Parameter(D_e, "m2/s", _UNUSED),
        "electrolyte.t_plus": Parameter(Constant(1.0), "-", "single-ion conductor"),
        "electrolyte.thermo_factor": Parameter(Constant(1.0), "-", _UNUSED),
        "electrolyte.c_e_init": Parameter(1000.0, "mol/m3", _UNUSED),
        "electrolyte.c_e_max": Parameter(float("inf"), "mol/m3", _UNUSED),
        "separator.thickness": Parameter(500e-6, "m", "estimate: pressed pellet of 80 mg/cm2 and 10-15 % pores"),
        "separator.layers": Parameter(16, "-", "numerical choice: layers graded from the voxel size"),
        "separator.kappa": Parameter(
            kappa,
            "S/m",
            "the electrolyte's: its conductivity was measured on pressed pellets",
            follows=("electrolyte.kappa", 1.0),
        ),
        "separator.D_e": Parameter(D_e, "m2/s", _UNUSED, follows=("electrolyte.D_e", 1.0)),
        "separator.electrolyte_fraction": Parameter(1.0, "-", _UNUSED),
        "kinetics.j0_ref": Parameter(
            Thermal(0.5, KINETICS_ENERGY, TEMPERATURE),
            "A/m2",
            "estimate: 0.5 A/m2 per true contact area of coated NMC811 at sto 0.5, 25 C (510 ohm cm2); range 0.05-3. "
            "Activation energy 45 kJ/mol: estimate",
        ),
        "kinetics.alpha_a": Parameter(0.5, "-", "convention"),
        "kinetics.alpha_c": Parameter(0.5, "-", "convention"),
        "contact.fraction": Parameter(1.0, "-", "every voxel face in contact is live until a law changes it"),
        "contact.electronic_resistance": Parameter(0.0, "ohm m2", "estimate: none; 1e-4 to 1e-2 if degraded"),
        "contact.loss_thickness": NO_LOSS,
        "film.resistance_init": Parameter(0.0, "ohm m2", "estimate: no film on the pristine coated oxide"),
        **sulfide_oxidation(),
        "anode.kind": Parameter("li_in", "-", "In + InLi two-phase counter electrode, usual with sulfides"),
        "anode.j0": Parameter(
            Thermal(R * TEMPERATURE / (F * LI_IN_AREA_RESISTANCE), KINETICS_ENERGY, TEMPERATURE),
            "A/m2",
            "estimate: 10 ohm cm2 at 25 C; j0 = R T/(F x resistance). Activation energy 45 kJ/mol: estimate",
        ),
        "anode.resistance": Parameter(0.0, "ohm m2", "contained in anode.j0"),
        "anode.potential": Parameter(LI_IN_POTENTIAL, "V", "plateau of In + InLi against Li/Li+"),
        "temperature": Parameter(TEMPERATURE, "K", "room temperature, 25 C"),
        "sto_init": Parameter(0.93, "-", "discharged end of am.sto_window: a run starts with a charge"),
        "nominal_specific_capacity": Parameter(None, "mAh/g", "from am.sto_window"),
        "voltage_limits": Parameter(
            (1.4, 3.9), "V", "safety bounds of the cell, 2.02-4.52 V vs Li; the open-circuit fit ends at 4.34 V vs Li"
        ),
    }
