"""`simulate` for users: the model's run loop, with its results written to a file as they come."""

import os
import time as clock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.io import (
    HistoryTable,
    ResultWriter,
    StoredCheckpoint,
    collect_provenance,
    read_checkpoint,
    read_result,
    write_checkpoint,
)
from simulator.model import COLUMNS, FIELDS, Cell, Checkpoint, Progress, Solution, SolverOptions
from simulator.model import simulate as run_model
from simulator.model.faces import FACE_FACTS, FACE_HISTORIES, face_facts, face_names
from simulator.model.observe import PARTICLE_FACTS, PARTICLE_HISTORIES, chosen_fields, particle_columns, separator_z
from simulator.model.simulate import check_arguments
from simulator.protocol import Protocol
from simulator.workflows.folder import RESUMABLE, checkpoint_path
from simulator.workflows.report import summarise

_WARNINGS = "warnings"  # among the facts of a checkpoint
_MOST_PENDING = 1 << 30  # [B] of fields kept in memory until the next write


class FileRecorder:
    """Writes a run to a `.vtkhdf` file while it goes on, with a checkpoint beside it until it has ended.

    File and checkpoint are brought up to date together, at most every `interval` seconds of computing and less often
    where writing would take more than a twentieth of the time.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        cell: Cell,
        fields: Sequence[str] | None,
        config: Mapping[str, Any] | None = None,
        *,
        provenance: Mapping[str, Any] | None = None,
        interval: float = 10.0,
        checkpoint: Checkpoint | None = None,
        warnings: Sequence[str] = (),
        faces: bool = True,
    ) -> None:
        names = chosen_fields(fields, cell)
        self._cell, self._path, self._warnings = cell, Path(path), warnings
        self._checkpoint_path = checkpoint_path(path)
        self._shortest = self._interval = interval
        self._written = clock.monotonic()
        electrode = cell.electrode
        continue_at, self._earlier = None, []
        if checkpoint is None:
            self._checkpoint_path.unlink(missing_ok=True)  # of an older run, which this one replaces
        else:
            self._earlier = list(checkpoint.facts.get(_WARNINGS, []))
            continue_at = (len(checkpoint.arrays["rows"]), len(checkpoint.facts["saved_times"]))
        self._writer = ResultWriter(
            path,
            phase=np.asarray(electrode.phase),
            voxel_size=electrode.voxel_size,
            field_specs={name: FIELDS[name] for name in names},
            config=config or {},
            parameters=describe_parameters(cell),
            provenance={**collect_provenance(), **(provenance or {})},
            timeseries_specs=dict(list(COLUMNS.items())[4:]),
            separator_z=separator_z(cell),
            tables=_tables(cell, faces),
            continue_at=continue_at,
            autoflush=False,
        )

    def row(self, row: Mapping[str, float]) -> None:
        """Append one line of the time series."""
        self._writer.append_timeseries(row)

    def fields(
        self,
        time: float,
        fields: Mapping[str, np.ndarray],
        profiles: Mapping[str, np.ndarray],
        tables: Mapping[str, Mapping[str, np.ndarray]],
    ) -> None:
        """Append fields [z, y, x], separator profiles and values per particle and face at `time` [s]."""
        kept = {name: values for name, values in tables.items() if name in self._writer.tables}
        self._writer.append_fields(time, fields, profiles, kept)
        if self._writer.pending_bytes > _MOST_PENDING:
            self._writer.flush()

    def read(self, name: str, index: int) -> np.ndarray:
        """Field `name` (nz, ny, nx) of the saved step `index`."""
        self._writer.flush()
        return read_result(self._path).field(name, index)

    def read_face(self, name: str, index: int) -> np.ndarray:
        """Value `name` (f,) of the live faces at the saved step `index`. **Errors:** ConfigError without `faces`."""
        self._writer.flush()
        return read_result(self._path).face(name, index)

    def step_done(self, checkpoint: Callable[[], Checkpoint]) -> None:
        """Bring file and checkpoint up to date if it is time to."""
        begin = clock.monotonic()
        if begin - self._written < self._interval:
            return
        self.stopped(checkpoint())
        self._written = clock.monotonic()
        if self._shortest > 0:
            self._interval = max(self._shortest, 20.0 * (self._written - begin))

    def stopped(self, checkpoint: Checkpoint) -> None:
        """Write everything, and what is needed to go on. The result first: it may be ahead of the checkpoint."""
        self._writer.flush()
        facts = {**checkpoint.facts, _WARNINGS: self._said()}
        write_checkpoint(self._checkpoint_path, StoredCheckpoint(checkpoint.arrays, facts, checkpoint.fingerprint))

    def _said(self) -> list[str]:
        """The warnings so far, those before an interruption included, each once."""
        return list(dict.fromkeys([*self._earlier, *self._warnings]))

    def finish(self, solution: Solution) -> None:
        """Write status, ledger, solver statistics and summary; the checkpoint goes unless the run can be resumed."""
        summary = {"message": solution.message, **summarise(self._cell, solution), "warnings": self._said()}
        self._writer.finish(solution.status, solution.ledger, solution.stats, summary)
        if solution.status != "interrupted":
            self._checkpoint_path.unlink(missing_ok=True)


def _tables(cell: Cell, faces: bool) -> dict[str, HistoryTable]:
    """What the result file tells of each particle, if they have labels, and of each live face, if asked for."""
    tables = {}
    particles = particle_columns(cell.electrode)
    if particles is not None:
        tables["particles"] = HistoryTable(particles, PARTICLE_FACTS | PARTICLE_HISTORIES)
    if faces:
        facts = face_facts(cell)
        specs = {name: FACE_FACTS[name] for name in facts} | {name: FACE_HISTORIES[name] for name in face_names(cell)}
        tables["faces"] = HistoryTable(facts, specs, "f4")
    return tables


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
        "contact_area_m2": cell.contact_area,
        "live_share": cell.live_share,
        "active_coverage": cell.active_coverage,
        "isolated_share": dict(cell.isolated_share),
    }
    return {**described, "sources": sources, "derived": derived}


def simulate(
    cell: Cell,
    protocol: Protocol,
    *,
    times: Sequence[float] | None = None,
    save_to: str | os.PathLike[str] | None = None,
    fields: Sequence[str] | None = None,
    faces: bool = True,
    rtol: float = 1e-3,
    callback: Callable[[Progress], None] | None = None,
    options: SolverOptions | None = None,
    snapshots: int = 20,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    checkpoint_interval: float = 10.0,
    resume: bool = False,
    warnings: Sequence[str] = (),
) -> Solution:
    """Simulate `protocol` on `cell`; the run ends with `solution.status` and all that was computed.

    **Arguments:** `protocol`: PyBaMM-like text ("Charge at C/10 until 4.2 V", "Discharge at 2 A/m2 for 3 h or until
    3 V", "Rest for 1 hour") or step objects. `times` [s]: the solution holds those it reaches. `save_to`: a `.vtkhdf`
    file, written as the run goes on. `fields`: of sto, phi_s, phi_e, c_e, j, and with a `decomposition.law`
    film_thickness, decomposed_charge; None: all of them. `faces`: whether the file keeps the state of every live face
    (a solution in memory always does). `rtol`: time-step error control, 1e-3 stands for 0.2 mV and a stoichiometry of
    1e-3. `callback`: called after each step with a `Progress`. `snapshots`:
    number of field saves per theoretical capacity passed. `config`, `provenance`: stored in the file as given.
    `warnings`: texts stored with the summary when the run ends (the sequence may grow until then).
    `checkpoint_interval` [s]: longest computing time that a kill can cost (0: none). `resume`: go on from the
    checkpoint beside `save_to` if there is one; all else must be as in the interrupted call.

    **Errors:** `ConfigError` before anything is compiled or written; nothing later.
    """
    check_arguments(cell, protocol, times, fields, rtol, snapshots)  # before an older file is replaced
    checkpoint = None
    if resume:
        if save_to is None:
            raise ConfigError("resume=True needs save_to: the file of the run that is to go on.")
        path = Path(save_to)
        if path.exists() and read_result(path).status not in RESUMABLE:
            raise ConfigError(f"'{path.name}' holds a run that has ended. Leave resume out to replace it.")
        if checkpoint_path(path).exists():
            checkpoint = Checkpoint(*read_checkpoint(checkpoint_path(path)))
    recorder = None
    if save_to is not None:
        try:
            recorder = FileRecorder(
                save_to,
                cell,
                fields,
                config,
                provenance=provenance,
                interval=checkpoint_interval,
                checkpoint=checkpoint,
                warnings=warnings,
                faces=faces,
            )
        except OSError as error:
            raise ConfigError(
                f"The result file '{Path(save_to).name}' cannot be written: {error.strerror or error}. Free "
                "some space, or choose a folder that you can write to."
            ) from error
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
        checkpoint=checkpoint,
    )
