"""What the pictures need of a run, and how each of its fields is shown: label, unit, colours, phases.

SOC = (x_max - sto) / (x_max - x_min) with the window `am.sto_window`: 0 discharged, 1 charged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.phases import AM, ELECTRONIC, IONIC

SOC_MAP, POTENTIAL_MAP = "viridis", "plasma"
#: Sequential maps and one with a neutral middle; all of them keep their order for colour-blind readers.
CONCENTRATION_MAP, CURRENT_MAP, SIGNED_MAP = "inferno", "magma", "PuOr_r"
#: Greys of what carries no colour: pore, other solid phases, cells left out of the calculation.
PORE_GREY, SOLID_GREY, EXCLUDED_GREY = 0.96, 0.82, 0.55

Limits = tuple[float, float, str]
"""(low, high, extend) of a colour bar; `extend` is matplotlib's word for values beyond the ends."""


class Image(Protocol):
    """The electrode behind a picture."""

    @property
    def phase(self) -> np.ndarray: ...  # (nz, ny, nx)
    @property
    def voxel_size(self) -> tuple[float, float, float]: ...  # [m]


class Run(Protocol):
    """What the figures need of a run; `simulator.io.RunResult` has it."""

    @property
    def timeseries(self) -> Mapping[str, np.ndarray]: ...
    @property
    def field_times(self) -> np.ndarray: ...
    @property
    def field_specs(self) -> Mapping[str, tuple[str, str]]: ...
    @property
    def phase(self) -> np.ndarray: ...
    @property
    def voxel_size(self) -> tuple[float, float, float]: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def status(self) -> str: ...
    @property
    def capacity(self) -> np.ndarray: ...  # charge passed since the start [C]
    @property
    def am_mass(self) -> float: ...  # [kg], NaN if not known
    def field(self, name: str, index: int | None = None) -> np.ndarray: ...


def parameter(run: Run, name: str) -> Any:
    """Parameter `name` ("am.density"), stored under the dotted key or nested; None if it is not there."""
    if name in run.parameters:
        return run.parameters[name]
    node: Any = run.parameters
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def to_soc(run: Run, sto: np.ndarray) -> np.ndarray:
    """SOC of stoichiometries `sto`, NaN kept. **Errors:** ConfigError without a usable `am.sto_window`."""
    window = parameter(run, "am.sto_window")
    if window is None or len(window) != 2 or not float(window[0]) < float(window[1]):
        raise ConfigError(
            f"SOC needs the parameter 'am.sto_window' = (x_min, x_max) with x_min < x_max, got {window}. "
            "Give it with the cell parameters."
        )
    x_min, x_max = float(window[0]), float(window[1])
    return (x_max - np.asarray(sto, dtype=float)) / (x_max - x_min)


def soc_field(run: Run, index: int) -> np.ndarray:
    """SOC in the particles (nz, ny, nx) at one saved step, NaN elsewhere. **Errors:** ConfigError."""
    return np.where(run.phase == AM, to_soc(run, run.field("sto", index)), np.nan)


def colour_range(values: np.ndarray, digits: int, span: float, slack: float = 1e-6) -> tuple[float, float, str]:
    """(low, high, extend) of a colour bar: 1 to 99 % of the finite values, rounded outward to `digits`.

    At least `span` wide, so that a uniform field looks uniform. `extend` is matplotlib's word for values
    beyond the ends. Slices and 3D pictures of one step share the range, as it is taken from all voxels.
    `slack`: part of the last digit that does not count.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ConfigError("Nothing to draw: the field is not finite anywhere at this step.")
    low, high = np.percentile(finite, [1.0, 99.0])
    if high - low < span:
        low, high = 0.5 * (low + high - span), 0.5 * (low + high + span)
    unit = 10.0**-digits
    # a value on a multiple of the unit stays there in spite of rounding
    low = float(np.floor(low / unit + slack) * unit)
    high = float(np.ceil(high / unit - slack) * unit)
    below, above = finite.min() < low - slack * unit, finite.max() > high + slack * unit
    return low, high, _extend(below, above)


def _extend(below: bool, above: bool) -> str:
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[int(below), int(above)]


def check_fields(run: Run, name: str) -> None:
    """**Errors:** ConfigError if the run saved no field `name`, or no step at all."""
    if name not in run.field_specs:
        raise ConfigError(f"The run saved no field '{name}'.{did_you_mean(name, run.field_specs)}")
    if run.field_times.size == 0:
        raise ConfigError("The run holds no saved fields: it ended before the first saved step.")


def check_step(run: Run, index: int) -> int:
    """`index` (negative from the end) as a number from 0. **Errors:** ConfigError for an unknown step."""
    n = run.field_times.size
    if not -n <= index < n:
        raise ConfigError(f"Step {index} is not in the run: it holds {n} saved steps, 0 to {n - 1}.")
    return index % n


def _round_range(values: np.ndarray, rounding: tuple[int | None, float], slack: float = 1e-6) -> Limits:
    """`colour_range` by `rounding` = (digits, least width); digits None: about twenty roundings over the range."""
    digits, least = rounding
    finite = values[np.isfinite(values)]
    if digits is None and finite.size:
        low, high = np.percentile(finite, [1.0, 99.0])
        digits = -int(np.floor(np.log10(max(high - low, least) / 10.0)))
    return colour_range(finite, digits or 0, least, slack)


@dataclass(frozen=True)
class Shown:
    """One field at one saved step, ready to be drawn.

    `values` (nz, ny, nx) in the unit of `label`, NaN where there is none; `where` (nz, ny, nx) bool: voxels
    that are drawn, in colour or, where the value is NaN, in the grey `blank`, which means `blank_label`.
    `rounding`: digits and least width of the colour range (digits None: as the values ask for).
    """

    label: str
    cmap: str
    values: np.ndarray
    where: np.ndarray
    rounding: tuple[int | None, float]
    limits: Limits = (0.0, 1.0, "neither")
    blank: float = EXCLUDED_GREY
    blank_label: str = "not connected, left out"

    @property
    def has_blank(self) -> bool:
        """Whether some of the voxels that are drawn have no value."""
        return bool(np.isnan(self.values[self.where]).any())


def _soc(run: Run, index: int) -> Shown:
    soc = soc_field(run, index)
    return Shown("State of charge", SOC_MAP, soc, run.phase == AM, (2, 0.02))


def _ionic_potential(run: Run, index: int) -> Shown:
    where = np.isin(run.phase, IONIC)
    values = np.where(where, 1e3 * run.field("phi_e", index), np.nan)
    label = r"Electrolyte potential $\phi_e$ [mV]"
    return Shown(label, POTENTIAL_MAP, values, where, (1, 0.2))


def _electronic_potential(run: Run, index: int) -> Shown:
    """Against its mean over the last layer that has one: the drop matters, not the 3 to 4 V beneath it."""
    where = np.isin(run.phase, ELECTRONIC)
    potential = np.where(where, run.field("phi_s", index).astype(float), np.nan)
    layers = np.flatnonzero(np.isfinite(potential).any(axis=(1, 2)))
    if layers.size:
        potential = 1e3 * (potential - np.nanmean(potential[layers[-1]]))
    label = r"$\phi_s - \phi_s$(collector) [mV]"
    return Shown(label, POTENTIAL_MAP, potential, where, (None, 1e-3))


def _salt(run: Run, index: int) -> Shown:
    where = np.isin(run.phase, IONIC)
    values = np.where(where, run.field("c_e", index), np.nan)
    return Shown(r"Salt $c_e$ [mol m$^{-3}$]", CONCENTRATION_MAP, values, where, (None, 2.0))


def _on_interface(run: Run, label: str, cmap: str, values: np.ndarray, least: float) -> Shown:
    """`values` that particle voxels with a live face have; `least`: width of a colour range."""
    # a particle's inside has no interface, and is no loss of contact
    blank: dict[str, Any] = {"blank": SOLID_GREY, "blank_label": "no live interface"}
    return Shown(label, cmap, values.astype(float), run.phase == AM, (None, least), **blank)


def _current(run: Run, index: int) -> Shown:
    return _on_interface(run, r"Interface current $j$ [A m$^{-2}$]", CURRENT_MAP, run.field("j", index), 1e-6)


def _film(run: Run, index: int) -> Shown:
    values = 1e9 * run.field("film_thickness", index)
    return _on_interface(run, "Film thickness [nm]", CONCENTRATION_MAP, values, 0.1)  # less than an atom is nothing


def _decomposed(run: Run, index: int) -> Shown:
    values = run.field("decomposed_charge", index)
    return _on_interface(run, r"Decomposed charge [C m$^{-2}$]", CONCENTRATION_MAP, values, 0.01)


_FIELDS: dict[str, Callable[[Run, int], Shown]] = {
    "sto": _soc,
    "phi_e": _ionic_potential,
    "phi_s": _electronic_potential,
    "c_e": _salt,
    "j": _current,
    "film_thickness": _film,
    "decomposed_charge": _decomposed,
}


def show_field(run: Run, name: str, index: int, colours: tuple[Limits, str] | None = None) -> Shown:
    """Field `name` at saved step `index` as it is drawn: sto as SOC, potentials in millivolts.

    A field that is not known here gets its own unit and long name. `colours` (range, map) replaces those that
    suit this step alone.

    **Errors:** ConfigError if the run has no such field or step, or it is not finite anywhere.
    """
    shown = _read(run, name, index)
    limits, cmap = colours or _colours(shown, _round_range(shown.values, shown.rounding))
    return replace(shown, limits=limits, cmap=cmap)


def _read(run: Run, name: str, index: int) -> Shown:
    check_fields(run, name)
    index = check_step(run, index)
    if name in _FIELDS:
        return _FIELDS[name](run, index)
    unit, long_name = run.field_specs[name]
    values = np.asarray(run.field(name, index), dtype=float)
    label = long_name if unit in ("", "1", "-") else f"{long_name} [{unit}]"
    return Shown(label, CONCENTRATION_MAP, values, np.isfinite(values), (None, 1e-9))


def signed_colours(values: np.ndarray, least: float) -> tuple[Limits, str]:
    """Range and map of `values` that may have both signs: 1 to 99 %, symmetric about zero with a neutral middle where
    both signs are among them. `least`: width of a range."""
    shown = Shown("", CURRENT_MAP, values, np.isfinite(values), (None, least))
    return _colours(shown, _round_range(values, shown.rounding))


def _colours(shown: Shown, limits: Limits) -> tuple[Limits, str]:
    """Range and map. Interface currents of both signs get a map with a neutral middle at zero."""
    low, high, extend = limits
    if shown.cmap != CURRENT_MAP:
        return limits, shown.cmap
    if low < 0.0 < high:
        bound = max(-low, high)
        return (-bound, bound, extend), SIGNED_MAP
    # strong currents are bright, whatever their sign
    return limits, f"{CURRENT_MAP}_r" if high <= 0.0 else CURRENT_MAP


def common_range(run: Run, name: str, steps: Iterable[int]) -> tuple[Limits, str]:
    """One colour range, and the colour map, for field `name` at all `steps`: for movies and comparisons.

    From the lowest 1 % to the highest 99 % of any step. Steps without a finite value (no current yet) are left
    out. **Errors:** ConfigError if none is left.
    """
    ends: list[np.ndarray] = []
    shown: Shown | None = None
    for index in steps:
        found = _read(run, name, index)
        finite = found.values[np.isfinite(found.values)]
        if finite.size:
            shown = found
            ends.append(np.percentile(finite, [0.0, 1.0, 99.0, 100.0]))
    if shown is None:
        raise ConfigError(f"Nothing to draw: the field '{name}' is not finite at any of the chosen steps.")
    lowest, highest = np.min(ends, axis=0), np.max(ends, axis=0)
    inner = np.array([lowest[1], highest[2]])
    # as many copies of either end as keep it when 1 % is cut off
    # 1e-4: a run that starts at SOC 0 in single precision starts at 0
    low, high, _ = _round_range(np.repeat(inner, 100), shown.rounding, slack=1e-4)
    slack = 1e-6 * (high - low)
    return _colours(shown, (low, high, _extend(bool(lowest[0] < low - slack), bool(highest[3] > high + slack))))


def asked_range(run: Run, name: str, steps: Sequence[int], low: float, high: float) -> tuple[Limits, str]:
    """`common_range` with the ends that a user asks for, in the unit of the colour bar.

    **Errors:** ConfigError unless low < high.
    """
    if not low < high:
        raise ConfigError(f"The colour range must increase, got {low:g} to {high:g}. Give the lower end first.")
    (least, most, extend), cmap = common_range(run, name, steps)
    below = least < low or (extend in ("min", "both") and least <= low)
    above = most > high or (extend in ("max", "both") and most >= high)
    return (low, high, _extend(below, above)), cmap
