"""The numbers that answer the user's question, and the table that shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.table import Table
from rich.text import Text

from simulator.workflows.analysis import pulse_resistance

#: What to try when a run stops early.
ADVICE = {
    "voltage_limit": "The cell left its safe voltage window. Lower the current, or set a cut-off.",
    "salt_depleted": "Salt ran out somewhere in the electrolyte. Lower the current, or raise D_e.",
    "salt_saturated": "The salt reached its solubility somewhere. Lower the current, or raise D_e.",
    "newton_failed": "Newton's method did not converge. Try solver.dt_max=60 or solver.precision=double.",
    "dt_min": "The time step fell below solver.dt_min. Raise solver.rtol, or lower solver.dt_min.",
    "interrupted": "The same command with resume=true goes on from the last checkpoint. Free some space if the disk "
    "is full.",
}
#: A run with more changes of current than this keeps their resistances out of its table: see `pulse_resistance`.
MOST_RESISTANCES = 12

#: Columns of the time series with the charges of side reactions [C] -> what the table calls them.
SIDE_CHARGES = {
    "decomposed_coulomb": "decomposed charge",
    "burst_coulomb": "charge of the burst",
    "carbon_coulomb": "charge oxidised on carbon",
}


class CellFacts(Protocol):
    """What the summary needs of a cell."""

    @property
    def area(self) -> float: ...  # cross-section [m2]
    @property
    def contact_area(self) -> float: ...  # of all live faces before anything was lost [m2]
    @property
    def am_mass(self) -> float: ...  # [kg], isolated parts included
    @property
    def theoretical_capacity(self) -> float: ...  # of all active material through its sto_window [C]
    @property
    def live_share(self) -> float: ...
    @property
    def active_coverage(self) -> float: ...
    @property
    def isolated_share(self) -> Mapping[str, float]: ...


class RunFacts(Protocol):
    """What the summary needs of a solution."""

    @property
    def status(self) -> str: ...
    @property
    def time(self) -> np.ndarray: ...  # [s]
    @property
    def voltage(self) -> np.ndarray: ...  # [V]
    @property
    def timeseries(self) -> Mapping[str, np.ndarray]: ...
    @property
    def area(self) -> float: ...  # cross-section [m2]
    @property
    def capacity(self) -> np.ndarray: ...  # charge passed since the start [C], positive on charge
    @property
    def ledger(self) -> Mapping[str, float]: ...
    @property
    def stats(self) -> Mapping[str, Any]: ...


def summarise(cell: CellFacts, solution: RunFacts) -> dict[str, float]:
    """Name with unit -> value.

    Capacity is the largest charge between any two states of the run: of a charge or a discharge its end
    value, of a cycle the larger of both. Utilisation is its share of what all active material holds in
    `sto_window`.
    """
    passed = np.append(solution.capacity, 0.0)
    charge = float(np.max(passed) - np.min(passed))
    mah = charge / 3.6
    values = {
        "capacity [mAh/g AM]": mah / (1e3 * cell.am_mass),
        "capacity [mAh/cm2]": mah / (1e4 * cell.area),
        "utilisation [%]": 100 * charge / cell.theoretical_capacity,
        "live share of the AM surface [%]": 100 * cell.live_share,
        "active coverage of the AM surface [%]": 100 * cell.active_coverage,
        "isolated share of the AM [%]": 100 * sum(cell.isolated_share.values()),
        # A run that failed or was interrupted before its first state has no rows.
        "final voltage [V]": float(solution.voltage[-1]) if solution.voltage.size else float("nan"),
        "simulated time [h]": float(solution.time[-1]) / 3600 if solution.time.size else 0.0,
    }
    values |= _losses(solution) | _interface(cell, solution)
    pulses = pulse_resistance(solution) if solution.time.size else []
    for pulse in pulses if len(pulses) <= MOST_RESISTANCES else ():
        values[f"resistance 10 s into step {pulse.step} [ohm cm2]"] = 1e4 * pulse.resistance
    values |= {f"balance error, {name} [-]": error for name, error in solution.ledger.items()}
    return values | _speed(solution.stats)


def _losses(solution: RunFacts) -> dict[str, float]:
    """Mean of each voltage loss [mV] over the charge passed under current, in magnitude."""
    series = solution.timeseries
    charge = np.abs(np.diff(series["charge_coulomb"], prepend=0.0))
    if not charge.sum() > 0:
        return {}
    flowing = (charge > 0) & (series["current_ampere"] != 0)  # a profile may end at zero, where no loss is defined
    share = charge[flowing] / charge[flowing].sum()
    sign = np.sign(series["current_ampere"][flowing])
    names = [name for name in series if name.startswith("loss_")]
    means = {name: 1e3 * float(np.sum(share * sign * series[name][flowing])) for name in names}
    return {f"mean loss, {name[5:-5].replace('_', ' ')} [mV]": value for name, value in means.items()}


def _interface(cell: CellFacts, solution: RunFacts) -> dict[str, float]:
    """Resistance of the interface at the end, and what side reactions have done, if there are any."""
    series = solution.timeseries
    last = {name: float(values[-1]) for name, values in series.items() if values.size}
    if "interface_resistance_ohm_m2" not in last:
        return {}
    values = {"interface resistance at the end [ohm cm2]": 1e4 * last["interface_resistance_ohm_m2"]}
    for name, text in SIDE_CHARGES.items():
        if last[name] > 0 and last["throughput_coulomb"] > 0:  # at rest the oxide takes up the lithium
            values[f"{text} [% of throughput]"] = 100 * last[name] / last["throughput_coulomb"]
    if last["decomposed_coulomb"] > 0:
        values |= {
            "decomposed charge [C/m2 of contact]": last["decomposed_coulomb"] / cell.contact_area,
            "mean film thickness [nm]": 1e9 * last["film_thickness_mean"],
            "largest film thickness [nm]": 1e9 * last["film_thickness_max"],
            "contact remaining [%]": 100 * last["contact_remaining"],
        }
    return values


def stored_summary(summary: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a result's summary, as `summarise` made them."""
    return {name: float(v) for name, v in summary.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _speed(stats: Mapping[str, Any]) -> dict[str, float]:
    """Wall time, the share of it spent compiling, and solved voxels per second of the rest."""
    wall, compiling = float(stats["wall_s"]), float(stats.get("compile_s") or 0.0)
    values = {"solver wall time [s]": wall}
    if compiling:
        values["compiling, of that [%]"] = 100 * compiling / wall
    if wall > compiling:
        values["voxel-solves per second"] = stats["voxels"] * stats["implicit_solves"] / (wall - compiling)
    return values


def table(values: Mapping[str, float], stats: Mapping[str, Any], status: str, folder: Path) -> Table:
    """The closing table of a run."""
    title = Text(f"{status}: {folder}", style="bold")
    shown = Table(show_header=False, title=title, title_justify="left")
    shown.add_column(justify="left")
    shown.add_column(justify="right")
    for name, value in values.items():
        shown.add_row(Text(name), _number(name, value))  # Text: [mAh] is a unit, not a style
    counts = ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations")
    for name in counts:
        if name in stats:  # a run that was killed has none
            shown.add_row(name.replace("_", " "), str(stats[name]))
    return shown


def _number(name: str, value: float) -> str:
    return f"{value:.1e}" if name.startswith(("balance", "voxel-solves")) else f"{value:.4g}"
