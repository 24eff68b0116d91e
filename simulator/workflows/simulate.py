"""`simulate` for users: the model's run loop, with its results written to a file as they come."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.io import ResultWriter, collect_provenance
from simulator.model import COLUMNS, FIELDS, Cell, Progress, Solution, SolverOptions
from simulator.model import simulate as run_model
from simulator.model.observe import Observer, check_fields
from simulator.model.simulate import check_arguments
from simulator.protocol import Step


class FileRecorder:
    """Writes rows and fields of a run to a `.vtkhdf` file while it goes on."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        cell: Cell,
        fields: tuple[str, ...],
        config: Mapping[str, Any] | None = None,
    ) -> None:
        check_fields(fields)
        electrode = cell.electrode
        self._writer = ResultWriter(
            path,
            phase=np.asarray(electrode.phase),
            voxel_size=electrode.voxel_size,
            field_specs={name: FIELDS[name] for name in fields},
            config=config or {},
            parameters=describe_parameters(cell),
            provenance=collect_provenance(),
            timeseries_specs=dict(list(COLUMNS.items())[4:]),
            separator_z=Observer(cell).separator_z(),
        )

    def row(self, row: Mapping[str, float]) -> None:
        """Append one line of the time series."""
        self._writer.append_timeseries(row)

    def fields(self, time: float, fields: Mapping[str, np.ndarray], profiles: Mapping[str, np.ndarray]) -> None:
        """Append fields [z, y, x] and separator profiles at `time` [s]."""
        self._writer.append_fields(time, fields, profiles)

    def finish(self, solution: Solution) -> None:
        """Write status, ledger and solver statistics."""
        summary = {
            "message": solution.message,
            "specific_capacity_mAh_per_g": float(solution.specific_capacity[-1]) if solution.time.size else 0.0,
        }
        self._writer.finish(solution.status, solution.ledger, solution.stats, summary)


def describe_parameters(cell: Cell) -> dict[str, Any]:
    """Parameters as plain values for the result file: {dotted name: {value, unit, source}} and derived facts."""
    described: dict[str, Any] = {}
    for name, parameter in cell.parameters.items():
        value = parameter.value
        plain = value if value is None or isinstance(value, (str, int, float, tuple)) else repr(value)
        described[name] = plain
    sources = {name: f"[{p.unit}] {p.source}" for name, p in cell.parameters.items()}
    derived = {
        "cross_section_area_m2": cell.area,
        "am_mass_kg": cell.am_mass,
        "one_c_A": cell.one_c,
        "theoretical_capacity_C": cell.theoretical_capacity,
        "live_share": cell.live_share,
        "isolated_share": dict(cell.isolated_share),
    }
    return {**described, "sources": sources, "derived": derived}


def simulate(
    cell: Cell,
    protocol: str | Step | Sequence[str | Step],
    *,
    times: Sequence[float] | None = None,
    save_to: str | os.PathLike[str] | None = None,
    fields: tuple[str, ...] = ("sto", "phi_s", "phi_e", "c_e", "j"),
    rtol: float = 1e-3,
    callback: Callable[[Progress], None] | None = None,
    options: SolverOptions | None = None,
    snapshots: int = 20,
    config: Mapping[str, Any] | None = None,
) -> Solution:
    """Simulate `protocol` on `cell`; the run ends with `solution.status` and all that was computed.

    **Arguments:** `protocol`: PyBaMM-like text ("Charge at C/10 until 4.2 V", "Discharge at 2 A/m2 for 3 h or until
    3 V", "Rest for 1 hour") or step objects. `times` [s]: the solution holds those it reaches. `save_to`: a `.vtkhdf`
    file, written as the run goes on. `fields`: of sto, phi_s, phi_e, c_e, j. `rtol`: time-step error control, 1e-3
    stands for 0.2 mV and a stoichiometry of 1e-3. `callback`: called after each step with a `Progress`. `snapshots`:
    number of field saves per theoretical capacity passed. `config`: stored in the file as given.

    **Errors:** `ConfigError` before anything is compiled or written; nothing later.
    """
    check_arguments(cell, protocol, times, fields, rtol, snapshots)  # before an older file is replaced
    recorder = None if save_to is None else FileRecorder(save_to, cell, fields, config)
    return run_model(
        cell,
        protocol,
        times=times,
        recorder=recorder,
        fields=fields,
        rtol=rtol,
        callback=callback,
        options=options,
        snapshots=snapshots,
    )
