"""NMC811 in PEO-LiTFSI with carbon nanotubes against lithium at 60 C: composite cathodes as in An et al.

Composition, window and temperature: An et al., Adv. Funct. Mater. (2023), doi:10.1002/adfm.202305186
(NMC811 : PEO-LiTFSI : CNT = 80 : 15 : 5 by weight, Li | PEO-LiTFSI-LLZTO membrane, 2.8-4.2 V).
"""

from simulator.constants import F, R
from simulator.materials.functions import Constant, Scaled
from simulator.materials.parameter_sets.oxidation import NO_LOSS, polymer_oxidation
from simulator.materials.parameter_sets.oxides import nmc811
from simulator.materials.parameter_sets.schema import Parameter
from simulator.materials.peo import C_E_SATURATION, C_E_WARN, PEOConductivity
from simulator.materials.thermal import Thermal

TEMPERATURE = 333.15  # [K]
LI_AREA_RESISTANCE = 30e-4  # [ohm m^2] = 30 ohm cm^2

# Activation energies [J mol^-1]; am.D_s, am.sigma and the conductivity have a temperature dependence of their own.
KINETICS_ENERGY = 45e3
SALT_ENERGY = 38.9e3  # of the conductivity fit at 60 C and EO:Li 18:1, d ln kappa / d(1/T)
LITHIUM_ENERGY = 60e3

CBD_FACTOR = 0.76  # (1 - 7.9/46.9)^1.5: 7.9 vol% CNT beside 39.0 vol% polymer, Bruggeman
CBD_FRACTION = 0.832  # 39.0/46.9
SEPARATOR_FACTOR = 0.94  # (1 - 0.04)^1.5
SEPARATOR_FRACTION = 0.96

_AN = "An et al. 2023, doi:10.1002/adfm.202305186"


def parameters() -> dict[str, Parameter]:
    """The set; see `simulator.materials.parameter_sets.schema.SPECS` for units and allowed ranges."""
    kappa = PEOConductivity()
    D_e = Constant(2.5e-12, valid=(0.0, C_E_WARN))
    cbd_transport = (
        "estimate: 7.9 vol% CNT in 39.0 vol% polymer (80:15:5 by weight), Bruggeman exponent 1.5; pores "
        "below the voxel size lower it further (factor 0.3-1)"
    )
    membrane = (
        "estimate: 15 wt% LLZTO is 4 vol% of inert filler (5.5 and 1.22 g/cm3), Bruggeman exponent 1.5; "
        "plausible 0.9-1.0 times PEO, some reported recipes 3 times lower"
    )
    return {
        **nmc811((0.305, 0.93), "open-circuit 4.2 V; 0.93 limited by kinetics at 2.8 V: 172 mAh/g"),
        "cbd.kappa": Parameter(
            Scaled(kappa, CBD_FACTOR), "S/m", cbd_transport, follows=("electrolyte.kappa", CBD_FACTOR)
        ),
        "cbd.sigma": Parameter(
            10.0, "S/m", "estimate: 5 wt% CNT network, 0.1-100; not limiting above 1 S/m at these rates"
        ),
        "cbd.D_e": Parameter(Scaled(D_e, CBD_FACTOR), "m2/s", cbd_transport, follows=("electrolyte.D_e", CBD_FACTOR)),
        "cbd.electrolyte_fraction": Parameter(CBD_FRACTION, "-", "volume budget of 80:15:5 by weight, " + _AN),
        "electrolyte.kind": Parameter("binary", "-", "PEO-LiTFSI: both ions move"),
        "electrolyte.kappa": Parameter(
            kappa,
            "S/m",
            "fit to Bradford et al. 2023, doi:10.1021/acscentsci.2c01123 (PEO-LiTFSI, 100 kg/mol)",
        ),
        "electrolyte.D_e": Parameter(
            Thermal(D_e, SALT_ENERGY, TEMPERATURE),
            "m2/s",
            "estimate: 5.2e-12 at 85 C (Edman et al. 2000, J. Phys. Chem. B 104, 3476) scaled with the "
            "conductivity to 60 C gives 2.2e-12; range 1.5-5e-12. Activation energy 38.9 kJ/mol: the apparent one of "
            "the conductivity at 60 C (estimate: both follow the motion of the chains)",
        ),
        "electrolyte.t_plus": Parameter(
            Constant(0.2, valid=(0.0, C_E_WARN)),
            "-",
            "estimate: 0.1-0.3 around Edman et al. 2000 (0.28 at 1130 mol/m3, 85 C); others find <= 0 at "
            "high concentration",
        ),
        "electrolyte.thermo_factor": Parameter(
            Constant(1.0, valid=(0.0, C_E_WARN)), "-", "estimate: ideal solution; 0.8-3, rising with c_e"
        ),
        "electrolyte.c_e_init": Parameter(1130.0, "mol/m3", "EO:Li = 18:1, " + _AN + "; density estimate, +-4 %"),
        "electrolyte.c_e_max": Parameter(C_E_SATURATION, "mol/m3", "[Li]/[EO] = 0.5, solubility of LiTFSI in PEO"),
        "separator.thickness": Parameter(50e-6, "m", "estimate: thickness of a hot-pressed PEO-LLZTO membrane"),
        "separator.layers": Parameter(16, "-", "numerical choice: layers graded from the voxel size"),
        "separator.kappa": Parameter(
            Scaled(kappa, SEPARATOR_FACTOR), "S/m", membrane, follows=("electrolyte.kappa", SEPARATOR_FACTOR)
        ),
        "separator.D_e": Parameter(
            Scaled(D_e, SEPARATOR_FACTOR), "m2/s", membrane, follows=("electrolyte.D_e", SEPARATOR_FACTOR)
        ),
        "separator.electrolyte_fraction": Parameter(SEPARATOR_FRACTION, "-", "15 wt% LLZTO = 4 vol%, " + _AN),
        "kinetics.j0_ref": Parameter(
            Thermal(1.0, KINETICS_ENERGY, TEMPERATURE),
            "A/m2",
            "estimate: 1 A/m2 per true contact area at sto 0.5, c_e_init, 60 C; range 0.1-5. Activation energy "
            "45 kJ/mol: estimate",
        ),
        "kinetics.alpha_a": Parameter(0.5, "-", "convention"),
        "kinetics.alpha_c": Parameter(0.5, "-", "convention"),
        "contact.fraction": Parameter(1.0, "-", "every voxel face in contact is live until a law changes it"),
        "contact.electronic_resistance": Parameter(0.0, "ohm m2", "estimate: none; 1e-4 to 1e-2 if degraded"),
        "contact.loss_thickness": NO_LOSS,
        "film.resistance_init": Parameter(0.0, "ohm m2", "estimate: no film on the pristine oxide"),
        **polymer_oxidation(),
        "anode.kind": Parameter("li_metal", "-", _AN),
        "anode.j0": Parameter(
            Thermal(R * TEMPERATURE / (F * LI_AREA_RESISTANCE), LITHIUM_ENERGY, TEMPERATURE),
            "A/m2",
            "estimate: 30 ohm cm2 at 60 C, within 20-70 (J. Power Sources 94 (2001) 201: 67 ohm cm2 after "
            "30 d at 80 C); j0 = R T/(F x resistance). Activation energy 60 kJ/mol: estimate, usual for Li/PEO",
        ),
        "anode.resistance": Parameter(0.0, "ohm m2", "contained in anode.j0"),
        "anode.potential": Parameter(0.0, "V", "Li/Li+ is the reference"),
        "temperature": Parameter(TEMPERATURE, "K", "60 C, " + _AN),
        "sto_init": Parameter(0.93, "-", "discharged end of am.sto_window: a run starts with a charge"),
        "nominal_specific_capacity": Parameter(None, "mAh/g", "from am.sto_window; An et al.: 180 (estimate)"),
        "voltage_limits": Parameter(
            (2.0, 4.5), "V", "safety bounds around 2.8-4.2 V; the open-circuit fit ends at 4.34 V"
        ),
    }
