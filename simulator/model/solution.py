"""The result of a simulation, on the host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.model.checkpoint import Checkpoint
from simulator.model.interface import SIDE_COLUMNS
from simulator.model.losses import LOSSES

#: Columns of the time series: name -> (unit, long name). The first four follow the Battery Data Format.
COLUMNS: dict[str, tuple[str, str]] = {
    "test_time_second": ("s", "Test time"),
    "voltage_volt": ("V", "Cell voltage"),
    "current_ampere": ("A", "Current of the simulated volume, positive when it charges the cell"),
    "step_count": ("1", "Number of the protocol step"),
    "cycle_count": ("1", "Number of the cycle"),
    "charge_coulomb": ("C", "Charge passed since the start, positive on charge"),
    "throughput_coulomb": ("C", "Charge passed since the start in either direction"),
    "sto_mean": ("1", "Mean stoichiometry of the reacting active material"),
    "sto_std": ("1", "Standard deviation of the stoichiometry"),
    "sto_min": ("1", "Lowest stoichiometry"),
    "sto_max": ("1", "Highest stoichiometry"),
    "sto_p10": ("1", "10 % quantile of the stoichiometry"),
    "sto_p90": ("1", "90 % quantile of the stoichiometry"),
    "c_e_min": ("mol m^-3", "Lowest salt concentration"),
    "c_e_max": ("mol m^-3", "Highest salt concentration"),
    "ocv_volt": ("V", "Open-circuit voltage at the mean stoichiometry"),
    **{f"loss_{name}_volt": ("V", text) for name, text in LOSSES.items()},
    **SIDE_COLUMNS,
    "time_step_second": ("s", "Time step that ended here"),
    "step_error": ("1", "Error estimate of the step in units of the tolerance"),
    "newton_iterations": ("1", "Newton iterations of the step"),
    "krylov_iterations": ("1", "Krylov iterations of the step"),
    "balance_charge": ("1", "Charge imbalance since the start, relative"),
    "balance_lithium": ("1", "Lithium imbalance since the start, relative"),
    "balance_salt": ("1", "Salt imbalance since the start, relative"),
    "balance_side": ("1", "Imbalance of film, burst and oxidised carbon electrolyte since the start, relative"),
}


class Recorder(Protocol):
    """Receives a run while it goes on; what it has been given must survive whatever happens next."""

    def row(self, row: Mapping[str, float]) -> None:
        """One line of the time series (`COLUMNS`)."""

    def fields(
        self,
        time: float,
        fields: Mapping[str, np.ndarray],
        profiles: Mapping[str, np.ndarray],
        tables: Mapping[str, Mapping[str, np.ndarray]],
    ) -> None:
        """Fields on the electrode's voxels, separator profiles, and a table for "faces" and "particles" (if the
        electrode has labels) with the values of each of them, at `time` [s]."""

    def read(self, name: str, index: int) -> np.ndarray:
        """Field `name` (nz, ny, nx) of the saved step `index`."""

    def read_face(self, name: str, index: int) -> np.ndarray:
        """Value `name` (f,) of the live faces at the saved step `index`."""

    def step_done(self, checkpoint: Callable[[], Checkpoint]) -> None:
        """A time step is complete; `checkpoint()` is what would be needed to go on from here."""

    def stopped(self, checkpoint: Checkpoint) -> None:
        """The run ends before its protocol does and may be resumed from `checkpoint`."""

    def finish(self, solution: "Solution") -> None:
        """The run has ended with `solution.status`."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Everything a run computed. Positive current charges.

    `status`: finished, voltage_limit, salt_depleted, salt_saturated, newton_failed, dt_min or interrupted; `message`
    says more. `timeseries`: `COLUMNS`, one value per accepted step. `ledger`: largest relative imbalance of charge,
    lithium, salt and side reactions. `stats`: counts and times of the solver. `field_names`, `face_names`: what `field`
    and `face` give at the `field_times` [s]. `faces`: name -> (f,) or (f, 3), where the live faces lie and their area,
    see `simulator.model.faces.FACE_FACTS`.
    """

    status: str
    message: str
    timeseries: dict[str, np.ndarray]
    ledger: dict[str, float]
    stats: dict[str, Any]
    area: float
    am_mass: float
    field_times: np.ndarray
    field_names: tuple[str, ...]
    faces: dict[str, np.ndarray] = field(repr=False)
    face_names: tuple[str, ...]
    _read: Callable[[str, int], np.ndarray] = field(repr=False)
    _read_face: Callable[[str, int], np.ndarray] = field(repr=False)

    @property
    def time(self) -> np.ndarray:
        """Time [s]."""
        return self.timeseries["test_time_second"]

    @property
    def voltage(self) -> np.ndarray:
        """Cell voltage [V]."""
        return self.timeseries["voltage_volt"]

    @property
    def current(self) -> np.ndarray:
        """Current of the simulated volume [A]."""
        return self.timeseries["current_ampere"]

    @property
    def current_density(self) -> np.ndarray:
        """Current per cross-section [A/m2]."""
        return self.current / self.area

    @property
    def capacity(self) -> np.ndarray:
        """Charge passed since the start [C], positive on charge."""
        return self.timeseries["charge_coulomb"]

    @property
    def specific_capacity(self) -> np.ndarray:
        """Charge passed since the start per mass of active material [mAh/g]."""
        return self.capacity / 3.6 / (1e3 * self.am_mass)

    def field(self, name: str, t: float | None = None) -> np.ndarray:
        """Field `name` (nz, ny, nx) at the saved time nearest to `t` [s] (None: the last); NaN where it does not exist.

        **Errors:** `ConfigError` for a field that was not saved, or `t` outside the saved times.
        """
        if name not in self.field_names:
            raise ConfigError(f"Field {name!r} was not saved." + did_you_mean(name, self.field_names))
        return self._read(name, self._nearest(t))

    def face(self, name: str, t: float | None = None) -> np.ndarray:
        """Value `name` (f,) of the live faces, in the order of `faces`, at the saved time nearest to `t` [s] (None: the
        last): current_density [A/m2 of contact], and with a decomposition oxidation_current_density [A/m2],
        film_thickness [m], decomposed_charge [C/m2 of pristine contact], contact_remaining [-].

        **Errors:** `ConfigError` for a name that does not exist in this cell, or `t` outside the saved times.
        """
        if name not in self.face_names:
            hint = did_you_mean(name, self.face_names)
            raise ConfigError(f"The faces of this run have no {name!r}, only {', '.join(self.face_names)}.{hint}")
        return self._read_face(name, self._nearest(t))

    def _nearest(self, t: float | None) -> int:
        """Index of the saved time nearest to `t` [s], None: of the last."""
        times = self.field_times
        if not times.size:
            raise ConfigError("No fields were saved: the run ended before its first state.")
        if t is None:
            return int(times.size) - 1
        if not times[0] <= t <= times[-1]:
            raise ConfigError(f"t = {t} s lies outside the saved times, {times[0]:g} to {times[-1]:g} s.")
        return int(np.argmin(np.abs(times - t)))
