"""What a parameter may be: all names with units, kinds and allowed ranges."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from simulator.choices import DECOMPOSITION_LAWS
from simulator.materials.thermal import Thermal


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter of a set: value (SI), unit, source.

    `value`: number, string, tuple of two numbers, None, or a material function, at the temperature of the set.
    `follows = (name, factor)`: unless it is overridden itself, the value is `factor` times that parameter, also when
    that one is overridden. `law`: where the value comes from if it depends on temperature by an activation energy;
    it is evaluated anew when the temperature is overridden. A set may give the law as the value.
    """

    value: Any
    unit: str
    source: str
    follows: tuple[str, float] | None = None
    law: Thermal | None = None


@dataclass(frozen=True)
class Spec:
    """What one dotted name accepts. `low` and `high` bound numbers and the values of functions."""

    kind: Literal["function", "number", "integer", "choice", "pair"]
    unit: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    cure: str = ""
    axis: Literal["sto", "c_e", ""] = ""
    choices: tuple[str, ...] = ()
    optional: bool = False  # None is allowed
    infinite: bool = False  # +inf is allowed
    thermal: Literal[0, 1, -1] = 0  # takes an activation energy: rises (1) or falls (-1) with temperature
    spread: bool = False  # may differ from place to place: a `Distribution`
    tangent: bool = False  # a formula continues along its tangent beyond the possible states

    def range_text(self) -> str:
        """Human-readable allowed range."""
        if self.choices:
            return "one of " + ", ".join(repr(c) for c in self.choices)
        left = "(" if self.open_low or math.isinf(self.low) else "["
        right = ")" if self.open_high or (math.isinf(self.high) and not self.infinite) else "]"
        unit = "" if self.unit == "-" else f" {self.unit}"
        return f"{left}{self.low:g}, {self.high:g}{right}{unit}"

    def contains(self, value: float) -> bool:
        """True if `value` is inside the range; NaN is not."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below


def _function(unit: str, axis: Literal["sto", "c_e"], cure: str, thermal: Literal[0, 1, -1] = 1) -> Spec:
    """A material function whose values must be positive."""
    return Spec("function", unit, low=0.0, open_low=True, axis=axis, cure=cure, thermal=thermal)


def _positive(unit: str, cure: str, high: float = math.inf, **more: Any) -> Spec:
    return Spec("number", unit, low=0.0, open_low=True, high=high, cure=cure, **more)


def _from_zero(unit: str, cure: str, high: float = math.inf, **more: Any) -> Spec:
    return Spec("number", unit, low=0.0, high=high, cure=cure, **more)


_CONDUCTIVITY = "Give S/m (1 mS/cm = 0.1 S/m)."
_DIFFUSIVITY = "Give m2/s (1 cm2/s = 1e-4 m2/s)."
_SHARE = "Give a share of volume, not a percentage."
_RESISTANCE = "Give ohm m2 (1 ohm cm2 = 1e-4 ohm m2); 0 switches it off."

#: Every parameter, in the order of the sets.
SPECS: dict[str, Spec] = {
    "am.c_s_max": _positive("mol/m3", "It is density / molar mass of the lithiated oxide.", 2e5),
    "am.D_s": _function("m2/s", "sto", _DIFFUSIVITY),
    "am.sigma": _function("S/m", "sto", _CONDUCTIVITY),
    "am.ocp": Spec(
        "function", "V", -1.0, 10.0, axis="sto", cure="Give the potential against Li/Li+ in volts.", tangent=True
    ),
    "am.density": _positive("kg/m3", "Give kg/m3 (1 g/cm3 = 1000 kg/m3).", 3e4),
    "am.sto_window": Spec("pair", "-", 0.0, 1.0, True, True, "Give (lo, hi) with 0 < lo < hi < 1."),
    "cbd.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "cbd.sigma": _positive("S/m", _CONDUCTIVITY, thermal=1),
    "cbd.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "cbd.electrolyte_fraction": _positive("-", _SHARE, 1.0),
    "electrolyte.kind": Spec(
        "choice",
        "-",
        choices=("binary", "single_ion"),
        cure="'binary' solves the salt concentration; 'single_ion' keeps it constant (t_plus = 1).",
    ),
    "electrolyte.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "electrolyte.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "electrolyte.t_plus": Spec("function", "-", -1.0, 1.0, axis="c_e", cure="It is the cation transference number."),
    "electrolyte.thermo_factor": _function("-", "c_e", "1 is an ideal solution: 1 + dln f/dln c.", thermal=0),
    "electrolyte.c_e_init": _positive("mol/m3", "Give mol/m3 (1 mol/L = 1000 mol/m3).", 2e4),
    "electrolyte.c_e_max": _positive("mol/m3", "It is the salt solubility; inf for no limit.", infinite=True),
    "separator.thickness": _positive("m", "It is in metres: was it given in micrometres?", 1e-2),
    "separator.layers": Spec("integer", "-", 1, 4096, cure="16 graded layers are enough for 50 um."),
    "separator.kappa": _function("S/m", "c_e", _CONDUCTIVITY),
    "separator.D_e": _function("m2/s", "c_e", _DIFFUSIVITY),
    "separator.electrolyte_fraction": _positive("-", _SHARE, 1.0),
    "kinetics.j0_ref": _positive("A/m2", "Give A/m2 of true contact area (1 mA/cm2 = 10 A/m2).", thermal=1),
    "kinetics.alpha_a": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "kinetics.alpha_c": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "contact.fraction": _from_zero(
        "-", "It is the live share inside one touching face, not the coverage of the particles.", 1.0, spread=True
    ),
    "contact.electronic_resistance": _from_zero("ohm m2", _RESISTANCE, thermal=-1),
    "contact.loss_thickness": _positive(
        "m", "It is the film thickness over which the contact falls to 1/e; inf: no contact is lost.", infinite=True
    ),
    "film.resistance_init": _from_zero("ohm m2", _RESISTANCE, thermal=-1),
    "film.molar_volume": _positive(
        "m3/mol", "It is the volume of film per mole of electrons, about 1e-4 m3/mol.", 1e-2
    ),
    "film.conductivity": _positive("S/m", "It is the ionic conductivity of the film, about 1e-8 S/m.", thermal=1),
    "decomposition.law": Spec(
        "choice", "-", choices=DECOMPOSITION_LAWS, cure="'none' switches the oxidation of the electrolyte off."
    ),
    "decomposition.j_ref": _from_zero("A/m2", "Give A/m2 of true contact area; 0 switches the law off.", thermal=1),
    "decomposition.U_ox0": Spec("number", "V", -1.0, 10.0, cure="Give volts against Li/Li+; 4.3 V is usual for PEO."),
    "decomposition.beta": _from_zero("V", "Give volts per unit of delithiation; 0 is the null model.", 20.0),
    "decomposition.y0": Spec("number", "-", 0.0, 1.0, cure="It is a delithiation 1 - sto."),
    "decomposition.alpha": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "decomposition.delta_star": _positive(
        "m", "It is the thickness at which the film has slowed its growth to 1/e; inf: never.", infinite=True
    ),
    "decomposition.omega": _from_zero("-", "It is the share of the oxidation that consumes anions.", 1.0),
    "decomposition.reaction_energy": Spec(
        "function", "V", -10.0, 10.0, axis="sto", cure="Give eV per electron, negative where downhill.", tangent=True
    ),
    "decomposition.gate_width": _positive("V", "Give eV per electron; kT is 0.029 eV at 60 C.", 1.0),
    "decomposition.burst_charge": _from_zero("C/m2", "Give C/m2 of true contact area; 0 switches the burst off."),
    "decomposition.burst_j_ref": _from_zero("A/m2", "Give A/m2 of true contact area at burst_U.", thermal=1),
    "decomposition.burst_U": Spec("number", "V", -1.0, 10.0, cure="Give volts against Li/Li+."),
    "carbon_oxidation.j_ref": _from_zero("A/m2", "Give A/m2 of carbon surface; 0 switches it off.", thermal=1),
    "carbon_oxidation.U_ox0": Spec("number", "V", -1.0, 10.0, cure="Give volts against Li/Li+."),
    "carbon_oxidation.alpha": Spec("number", "-", 0.0, 2.0, True, True, "0.5 is the usual choice."),
    "carbon_oxidation.charge": _positive(
        "C/m2", "It is the charge that can be oxidised per carbon surface; inf: no end.", infinite=True
    ),
    "carbon_oxidation.specific_area": _positive("1/m", "Give m2 of carbon per m3 of cbd (1 m2/cm3 = 1e6 1/m).", 1e10),
    "anode.kind": Spec("choice", "-", choices=("li_metal", "li_in"), cure="Choose the counter electrode."),
    "anode.j0": _positive("A/m2", "From an area resistance R: j0 = R_gas T/(F R).", thermal=1),
    "anode.resistance": _from_zero("ohm m2", _RESISTANCE, thermal=-1),
    "anode.potential": Spec("number", "V", -1.0, 3.0, cure="0 for lithium, 0.62 for indium-lithium."),
    "temperature": Spec("number", "K", 150.0, 600.0, cure="Give kelvin: 60 C is 333.15."),
    "sto_init": Spec("number", "-", 0.0, 1.0, True, True, "1 is fully lithiated; a charge starts near 0.93."),
    "nominal_specific_capacity": _positive("mAh/g", "None takes the capacity of am.sto_window.", 5e3, optional=True),
    "voltage_limits": Spec("pair", "V", -5.0, 10.0, cure="Give (lo, hi) with lo < hi, in volts of the cell."),
}
