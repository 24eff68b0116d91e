"""Parameter sets from BPX files (Battery Parameter eXchange, version 1.1; https://bpxstandard.com).

BPX describes cells for porous-electrode models. What it says about the positive electrode's material, the electrolyte
and the separator is taken over; electrode thickness, porosity, particle radius and the negative electrode are not: the
image gives the first three, and a half cell has no such electrode. What BPX does not know comes from a base set.

The package `bpx` checks the file's structure. Formulas are evaluated by `Expression`; code in a file is never executed.
"""

import copy
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jax.typing import ArrayLike

from simulator.constants import F
from simulator.errors import ConfigError, did_you_mean
from simulator.materials.expression import Expression
from simulator.materials.functions import EVERYWHERE, MaterialFunction, Range, Scaled, Table, as_coefficient
from simulator.materials.parameter_sets.checks import check_function, check_value
from simulator.materials.parameter_sets.schema import SPECS, Parameter
from simulator.materials.thermal import Thermal

#: Where the values come from that BPX has no field for.
BASE = "nmc811_peo_60c"

_INSTALL = "Reading BPX files needs the package bpx: pip install 'voxelyte[battery]'."
_MATRIX = " (its conductivity is that of the whole porous electrode)"
_GROUPS = {name.partition(".")[0] for name in SPECS if "." in name}


class Entropic(MaterialFunction):
    """Open-circuit potential [V] with its entropy: ocp(x) + (T - T_ref) dU/dT(x). Leaves: those of both functions."""

    ocp: MaterialFunction
    slope: MaterialFunction  # dU/dT [V/K]
    T_ref: jax.Array
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, ocp: MaterialFunction, slope: MaterialFunction, T_ref: float):
        self.ocp, self.slope, self.T_ref = ocp, slope, as_coefficient(T_ref)
        self.valid, self.valid_T = ocp.valid, ocp.valid_T

    def __repr__(self) -> str:
        return f"{self.ocp!r} + (T - {self.T_ref:g} K) x {self.slope!r}"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        return self.ocp(x, T) + (T - self.T_ref) * self.slope(x, T)


def read_bpx(path: str, load: Callable[[str], dict[str, Parameter]], base: str = BASE) -> dict[str, Parameter]:
    r"""The parameter set that the BPX file `path` describes.

    **Taken over:** positive electrode -> `am.c_s_max`, `am.D_s`, `am.ocp` (with its entropic coefficient),
    `am.sto_window`; reaction rate constant K -> `kinetics.j0_ref` = F K/2, because BPX writes
    $j_0 = F K \sqrt{(c_e/c_{e,0})\,x(1-x)}$ and this simulator $j_0 = j_{0,ref}\,2\sqrt{x(1-x)}\sqrt{c_e/c_{e,init}}$;
    electrolyte -> `electrolyte.kappa`, `D_e`, `t_plus`, `c_e_init`, with `c_e_max` = inf; separator ->
    `separator.thickness`, `kappa` and `D_e` (transport efficiency times the electrolyte's), `electrolyte_fraction`;
    activation energies at the reference temperature; ambient (or initial, or reference) temperature; initial state of
    charge -> `sto_init`.
    Entries of `User-defined` whose name is one of ours (`am.sigma`) win over everything.

    **Not taken over:** the electronic conductivity, which BPX defines as that of the whole porous electrode with its
    carbon, not of the particles; voltage cut-offs, which are those of a full cell.

    **Arguments:** `load`: from the name of a set to the set; `base`: the set that fills the rest.

    **Errors:** ConfigError, naming the file and the field.
    """
    file = Path(path).expanduser()
    found = _Reader(file.name, *_validated(file)).parameters()
    merged: dict[str, Parameter] = {}
    for name, parameter in load(base).items():
        if name in found:
            merged[name] = found[name]
        else:
            given = parameter if parameter.law is None else replace(parameter, value=parameter.law)
            note = _MATRIX if name == "am.sigma" else ""
            merged[name] = replace(given, source=f"not in {file.name}{note}, from {base}: {parameter.source}")
    for name, parameter in merged.items():
        if parameter.follows is not None:
            leader, factor = parameter.follows
            value = merged[leader].value
            value = value.at(merged["temperature"].value) if isinstance(value, Thermal) else value
            merged[name] = replace(parameter, value=value if factor == 1.0 else Scaled(value, factor))
    return merged


def _validated(file: Path) -> tuple[Any, bool]:
    """The parts of a file that a half cell needs, checked by `bpx`; and whether the file is of version 0."""
    try:
        import bpx
        from pydantic import ValidationError
    except ImportError as error:
        raise ConfigError(_INSTALL) from error
    if not file.is_file():
        raise ConfigError(f"No file {str(file)!r}. A parameter set is a name, or the path of a BPX file.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{file.name} is not valid JSON: {error}. A BPX file is a JSON text.") from error
    except OSError as error:
        raise ConfigError(f"{file.name} cannot be read: {error.strerror}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("Parameterisation"), dict):
        raise ConfigError(f"{file.name} is not a BPX file: it has no section 'Parameterisation'.")
    try:
        half = _half_cell(content)
        return bpx.parse_bpx_obj(half), str(content["Header"]["BPX"]).strip().startswith("0")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{file.name}: {where}: {first['msg']} (got {str(first.get('input'))[:60]!r}). "
            f"{error.error_count()} field(s) are not valid BPX."
        ) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # raised by bpx itself on a wrong structure
        raise ConfigError(f"{file.name} is not valid BPX: {error}.") from error


def _half_cell(content: dict[str, Any]) -> dict[str, Any]:
    """`content` without what a half cell does not have.

    With both electrodes present, bpx would run the potentials of the file as Python code to compare voltages.
    """
    content = copy.deepcopy(content)
    header = content.get("Header")
    content["Header"] = {**header, "Model": "Partial"} if isinstance(header, dict) else header
    known = ("Cell", "Electrolyte", "Positive electrode", "Separator", "User-defined")
    sections = content["Parameterisation"]
    content["Parameterisation"] = {name: sections[name] for name in known if name in sections}
    content.pop("Validation", None)
    state = content.get("State")
    if isinstance(state, dict):
        state.pop("Degradation", None)
        conditions = state.get("Initial conditions")
        if isinstance(conditions, dict):
            for name in [name for name in conditions if "hysteresis" in name]:
                del conditions[name]
    return content


class _Reader:
    """From the fields of a checked BPX object to parameters."""

    def __init__(self, name: str, model: Any, legacy: bool):
        self.name, self.legacy = name, legacy
        sections = model.parameterisation
        self.cell, self.electrolyte = sections.cell, sections.electrolyte
        self.positive, self.separator = sections.positive_electrode, sections.separator
        self.user = {} if sections.user_defined is None else dict(sections.user_defined.model_extra or {})
        state = model.state
        self.initial = getattr(state, "initial_conditions", None)
        self.thermal = getattr(state, "thermal_environment", None)
        self.found: dict[str, Parameter] = {}

    def parameters(self) -> dict[str, Parameter]:
        """Every parameter that the file determines."""
        if self.positive is None:
            raise ConfigError(f"{self.name}: Positive electrode is missing: it is the electrode of the image.")
        if getattr(self.positive, "particle", None):
            raise ConfigError(
                f"{self.name}: Positive electrode.Particle: a blend of materials is not supported. Give one active "
                "material, as a single electrode."
            )
        self.temperature()
        self.active_material()
        if self.electrolyte is not None:
            self.salt()
        if self.separator is not None:
            self.membrane()
        self.user_defined()
        return self.found

    def put(self, name: str, value: Any, field: str, note: str = "", follows: tuple[str, float] | None = None) -> None:
        """Check and store one parameter; `field` is where BPX has it."""
        try:
            checked = check_value(name, value)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {field}: {error}") from error
        bare = value.value if isinstance(value, Thermal) else value
        if isinstance(bare, Expression) and bare.valid != EVERYWHERE:
            note = f"impossible beyond {bare.valid[0]:g} to {bare.valid[1]:g}, held there"
        source = f"{self.name}: {field}" + (f"; {note}" if note else "")
        self.found[name] = Parameter(checked, SPECS[name].unit, source, follows)

    def function(self, name: str, value: Any, field: str, known: Range) -> Any:
        """A number, a formula of x or a table {x, y} as a material function.

        BPX states no range of a formula. One that is impossible somewhere (a polynomial beyond its data) counts for
        `known` only.
        """
        spec = SPECS[name]
        try:
            if isinstance(value, str):
                formula = Expression(str(value), axis=spec.axis, name=name, tangent=spec.tangent)
                try:
                    check_function(name, formula, self.found_temperature(), math.inf)
                except ConfigError:
                    return Expression(str(value), axis=spec.axis, name=name, tangent=spec.tangent, valid=known)
                return formula
            if hasattr(value, "x"):
                return Table(value.x, value.y, name=name)
            return check_value(name, value)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {field}: {error}") from error

    def with_energy(self, name: str, value: Any, energy: float | None, section: str, field: str) -> Any:
        """`value` at the reference temperature, with its activation energy if the file gives one."""
        if not energy:
            return value
        T_ref = None if self.cell is None else self.cell.reference_temperature
        if T_ref is None:
            raise ConfigError(
                f"{self.name}: Cell.Reference temperature [K] is missing, but {section} has an activation energy "
                f"({field}). Add the temperature at which the values hold."
            )
        return Thermal(value, energy, T_ref)

    def temperature(self) -> None:
        """Of the surroundings, else of the start, else the reference."""
        places = [
            (getattr(self.thermal, "ambient_temperature", None), "State.Thermal environment.Ambient temperature [K]"),
            (getattr(self.initial, "initial_temperature", None), "State.Initial conditions.Initial temperature [K]"),
            (getattr(self.cell, "reference_temperature", None), "Cell.Reference temperature [K]"),
        ]
        for value, field in places:
            if value is not None:
                return self.put("temperature", value, field)

    def active_material(self) -> None:
        """Diffusivity, potential, window, kinetics."""
        part, section = self.positive, "Positive electrode"
        self.put("am.c_s_max", part.maximum_concentration, f"{section}.Maximum concentration [mol.m-3]")
        field = f"{section}.Diffusivity [m2.s-1]"
        low, high = part.minimum_stoichiometry, part.maximum_stoichiometry
        self.put("am.sto_window", (low, high), f"{section}.Minimum/Maximum stoichiometry")
        D_s = self.function("am.D_s", part.diffusivity, field, (low, high))
        self.put("am.D_s", self.with_energy("am.D_s", D_s, part.diffusivity_activation_energy, section, field), field)
        field = f"{section}.OCP [V]"
        ocp = self.function("am.ocp", part.ocp, field, (low, high))
        T_ref = getattr(self.cell, "reference_temperature", None)
        if part.dudt is not None and T_ref is not None:
            entropic = f"{section}.Entropic change coefficient [V.K-1]"
            ocp = Entropic(ocp, self.slope(part.dudt, entropic), T_ref)
        self.put("am.ocp", ocp, field)
        self.initial_state(low, high)
        field = f"{section}.Reaction rate constant [mol.m-2.s-1]"
        j0_ref = F * part.reaction_rate_constant / 2.0
        energy = part.reaction_rate_constant_activation_energy
        self.put("kinetics.j0_ref", self.with_energy("kinetics.j0_ref", j0_ref, energy, section, field), field, "F K/2")
        self.voltage_limits(ocp, low, high)

    def slope(self, value: Any, field: str) -> MaterialFunction:
        """dU/dT [V/K]; of either sign, so not held to the range of a parameter."""
        try:
            if hasattr(value, "x"):
                return Table(value.x, value.y, name=field)
            return Expression(str(value), axis="sto", name=field)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: {error}") from error

    def initial_state(self, low: float, high: float) -> None:
        """From the state of charge, or discharged."""
        soc = getattr(self.initial, "initial_soc", None)
        field = "State.Initial conditions.Initial state-of-charge"
        if soc is None or self.legacy:  # bpx makes version 0 start charged: not what the file says
            self.put("sto_init", high, "Positive electrode.Maximum stoichiometry", "discharged")
        elif not 0.0 <= soc <= 1.0:
            raise ConfigError(f"{self.name}: {field} = {soc} must lie in [0, 1].")
        else:
            self.put("sto_init", high - soc * (high - low), field)

    def voltage_limits(self, ocp: Any, low: float, high: float) -> None:
        """Safety bounds around the open-circuit potential: the cut-offs of BPX are those of a full cell."""
        charged, discharged = (float(ocp(sto, self.found_temperature())) for sto in (low, high))
        limits = (round(discharged - 1.0, 1), round(charged + 0.3, 1))
        self.put("voltage_limits", limits, "Positive electrode.OCP [V]", "1.0 V below to 0.3 V above its window")

    def found_temperature(self) -> float:
        found = self.found.get("temperature")
        return 298.15 if found is None else found.value

    def salt(self) -> None:
        """A binary electrolyte."""
        part, section = self.electrolyte, "Electrolyte"
        self.put("electrolyte.kind", "binary", section)
        c_e = getattr(self.initial, "initial_electrolyte_concentration", None)
        if c_e is not None:
            field = "State.Initial conditions.Initial electrolyte concentration [mol.m-3]"
            self.put("electrolyte.c_e_init", c_e, field)
        for name, value, energy, field in (
            ("electrolyte.kappa", part.conductivity, part.conductivity_activation_energy, "Conductivity [S.m-1]"),
            ("electrolyte.D_e", part.diffusivity, part.diffusivity_activation_energy, "Diffusivity [m2.s-1]"),
        ):
            where = f"{section}.{field}"
            function = self.function(name, value, where, (0.0, 2.0 * (c_e or 1000.0)))
            self.put(name, self.with_energy(name, function, energy, section, where), where)
        self.put("electrolyte.t_plus", part.cation_transference_number, f"{section}.Cation transference number")
        self.put("electrolyte.c_e_max", float("inf"), section, "BPX has no solubility limit")
        self.put("electrolyte.thermo_factor", 1.0, section, "BPX has none: ideal solution")

    def membrane(self) -> None:
        """The separator: homogeneous, its transport a share of the electrolyte's."""
        part, section = self.separator, "Separator"
        self.put("separator.thickness", part.thickness, f"{section}.Thickness [m]")
        self.put("separator.electrolyte_fraction", part.porosity, f"{section}.Porosity")
        share, field = part.transport_efficiency, f"{section}.Transport efficiency"
        if not 0.0 < share <= 1.0:
            raise ConfigError(f"{self.name}: {field} = {share} must lie in (0, 1].")
        if self.electrolyte is None:
            return
        for name in ("kappa", "D_e"):
            leader = f"electrolyte.{name}"
            value = self.found[leader].value  # scaled when all leaders are known
            self.put(f"separator.{name}", value, field, f"{share:g} x {leader}", (leader, float(share)))

    def user_defined(self) -> None:
        """Our own names; those of other programs are left alone."""
        for name, value in self.user.items():
            group = name.partition(".")[0]
            if name not in SPECS and not (group in _GROUPS and "." in name):
                continue
            field = f"User-defined.{name}"
            if name not in SPECS:
                raise ConfigError(f"{self.name}: {field} is not a parameter.{did_you_mean(name, SPECS)}")
            if isinstance(value, str | int | float):
                self.put(name, str(value) if isinstance(value, str) else value, field)
            elif isinstance(value, Mapping):
                self.put(name, {key: str(v) if isinstance(v, str) else v for key, v in value.items()}, field)
            else:
                self.put(name, Table(value.x, value.y, name=f"{self.name}: {field}"), field)
