"""Active materials: the `am.*` part of a parameter set."""

from simulator.materials.nmc811 import C_S_MAX, DENSITY, ChenOCP, OReganDiffusivity, electronic_conductivity
from simulator.materials.parameter_sets.schema import Parameter


def nmc811(sto_window: tuple[float, float], why: str) -> dict[str, Parameter]:
    """NMC811 used between the two stoichiometries of `sto_window`; `why` is the source of that window."""
    return {
        "am.c_s_max": Parameter(C_S_MAX, "mol/m3", "crystal density 4780 kg/m3 / 97.28 g/mol"),
        "am.D_s": Parameter(
            OReganDiffusivity(),
            "m2/s",
            # Preferred to a constant 1e-14 m2/s: measured on this oxide, with its own temperature dependence.
            # At 60 C it spans 4.7e-15 to 1.7e-14 over the window, 9e-15 on average: close to that constant.
            "O'Regan et al. 2022, doi:10.1016/j.electacta.2022.140700 (GITT at 25 C in liquid electrolyte); falls by "
            "another decade or two above sto 0.9 in nickel-rich oxides without liquid",
        ),
        "am.sigma": Parameter(
            electronic_conductivity(),
            "S/m",
            "estimate: shape of Amin and Chiang 2016, doi:10.1149/2.0131608jes (NMC333, NMC523), raised for "
            "nickel-rich; 3 to 0.1 S/m at 25 C, 30 kJ/mol",
        ),
        "am.ocp": Parameter(
            ChenOCP(steep_end=True),
            "V",
            "Chen et al. 2020, doi:10.1149/1945-7111/ab9050, against Li/Li+; steep end above sto 0.96: estimate",
        ),
        "am.density": Parameter(DENSITY, "kg/m3", "crystal density of NMC811, 4700-4870 in the literature"),
        "am.sto_window": Parameter(sto_window, "-", why),
    }
