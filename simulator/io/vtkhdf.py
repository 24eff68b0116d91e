"""Writer of the result file: one VTKHDF ImageData time series with our own groups beside it.

Layout of `run.vtkhdf` (n = saved field steps, r = time-series rows; arrays are [z, y, x])::

    /                       attrs format, format_version, status, voxel_size_m (dz, dy, dx) [m]
    /VTKHDF                 Version, Type, WholeExtent, Origin, Spacing (x, y, z) [um], Direction, length_unit
      /CellData/<field>     (n, nz, ny, nx) f4, NaN where the field does not exist
      /CellData/phase       (1, nz, ny, nx) u1, the same for every step
      /FieldData/voltage_volt  (n,) cell voltage at each saved step, shown by ParaView
      /Steps                attr NSteps; Values (n,) [s]; offsets of every array
    /timeseries/<column>    (r,) f8
    /particles              <fact> (p, ...), <history> (n, p) f8; only if the electrode has particle labels
    /faces                  <fact> (f, ...), <history> (n, f) f4: the live faces; a chunk for each step
    /separator_profiles     z (l,) [m]; <name> (n, l) f8; only if `separator_z` was given
    /config, /parameters, /provenance, /solver, /ledger, /summary
                            json: the whole mapping as text; attrs: its scalars, nested keys joined by dots

VTK reads what lies in /VTKHDF and ignores the rest. Only gzip and shuffle filters are used: VTK drops
arrays stored with others. Format: https://docs.vtk.org/en/latest/vtk_file_formats/vtkhdf_file_format/
"""

import math
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.phases import PHASES
from simulator.io.appending import (
    FILTERS,
    cut_back,
    describe,
    plain,
    put_end,
    put_rows,
    put_step,
    refresh_voltage,
    write_mapping,
)
from simulator.io.atomic import as_os_error, new_file, replaced, reserve
from simulator.io.histories import HistoryTable

FORMAT = "voxelyte-result"
FORMAT_VERSION = 1
EXTENSION = ".vtkhdf"

#: Columns every time series has; their names are those of the Battery Data Format.
BASE_COLUMNS: dict[str, tuple[str, str]] = {
    "test_time_second": ("s", "Test time"),
    "voltage_volt": ("V", "Cell voltage"),
    "current_ampere": ("A", "Current of the simulated volume, positive when it charges the cell"),
    "step_count": ("1", "Number of the protocol step"),
}
REQUIRED_COLUMNS = ("test_time_second", "voltage_volt", "current_ampere")

#: Units of the separator profiles unless the caller gives others.
PROFILES: dict[str, tuple[str, str]] = {
    "phi_e": ("V", "Electrolyte potential"),
    "c_e": ("mol m^-3", "Salt concentration"),
}
MAPPINGS = ("config", "parameters", "provenance", "solver", "ledger", "summary")

_CHUNK = 64

Specs = Mapping[str, tuple[str, str]]


def check_extension(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. **Errors:** ConfigError unless it ends with `.vtkhdf` (viewers go by it)."""
    path = Path(path)
    if path.suffix != EXTENSION:
        raise ConfigError(
            f"The result file must end with '{EXTENSION}', got '{path.name}'. ParaView and PyVista choose "
            f"their reader by the extension: use '{path.with_suffix(EXTENSION).name}'."
        )
    return path


def _growing(
    group: h5py.Group, name: str, spec: tuple[str, str], dtype: str, fill: float, tail: tuple[int, ...] = ()
) -> None:
    """A small uncompressed dataset of 0 rows that grows along axis 0."""
    dataset = group.create_dataset(
        name, (0, *tail), dtype=dtype, maxshape=(None, *tail), chunks=(256, *tail), fillvalue=fill
    )
    describe(dataset, spec)


def _check_names(kind: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"Unknown {kind} '{name}'.{did_you_mean(name, known)}")


def _check_specs(kind: str, specs: Specs, reserved: Sequence[str]) -> dict[str, tuple[str, str]]:
    for name, spec in specs.items():
        if not name.isidentifier() or name in reserved:
            raise ConfigError(
                f"{kind} name '{name}' cannot be used: names are letters, digits and underscores, and not "
                f"one of {list(reserved)}. Rename it."
            )
        if len(spec) != 2 or not all(isinstance(text, str) for text in spec):
            raise ConfigError(f"{kind} '{name}' needs (unit, long name), got {spec!r}.")
    return {name: (spec[0], spec[1]) for name, spec in specs.items()}


class ResultWriter:
    """Result file of one run. Appends are collected and written by `flush`, by default after each of them.

    A flush appends to a copy that then takes the place of the file: whenever a run is killed, the file is complete up
    to the last flush, with the `status` "running". Readers never see a half-written step.

    **Arguments:**

    - `path`: ends with `.vtkhdf`; the folder exists.
    - `phase`: uint8 (nz, ny, nx), canonical codes (pore 0, am 1, cbd 2, electrolyte 3) of the electrode.
    - `voxel_size`: (dz, dy, dx) [m].
    - `field_specs`: field name -> (unit, long name).
    - `config`, `parameters`, `provenance`: nested dicts of plain values.
    - `timeseries_specs`: further time-series columns, name -> (unit, long name).
    - `separator_z`: (nlayers,) positions of the separator layers [m] on the electrode's thickness axis
      (negative: before the first voxel), or None without separator profiles.
    - `profile_specs`: separator profile name -> (unit, long name); phi_e [V] and c_e [mol m^-3] by default.
    - `tables`: group -> `HistoryTable` of facts and histories, such as "particles".
    - `continue_at`: (rows, saved steps): go on with the existing file, cut back to those; None: a new file, which
      replaces an older one of the same name at once or not at all.
    - `autoflush`: write after each append.

    **Errors:** ConfigError for a wrong name, shape, unit or extension, before anything is written; OSError if the
    disk is full or fails.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        phase: np.ndarray,
        voxel_size: Sequence[float],
        field_specs: Specs,
        config: Mapping[str, Any],
        parameters: Mapping[str, Any],
        provenance: Mapping[str, Any],
        timeseries_specs: Specs | None = None,
        separator_z: np.ndarray | None = None,
        profile_specs: Specs | None = None,
        tables: Mapping[str, HistoryTable] | None = None,
        continue_at: tuple[int, int] | None = None,
        autoflush: bool = True,
    ) -> None:
        self.path = check_extension(path)
        self._autoflush = autoflush
        self._pending: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._pending_bytes = 0
        if not self.path.parent.is_dir():
            raise ConfigError(f"The folder of the result file does not exist: '{self.path.parent}'. Create it first.")
        phase = np.asarray(phase)
        codes = sorted(PHASES.values())
        if phase.ndim != 3 or phase.size == 0 or phase.dtype != np.uint8 or not np.isin(phase, codes).all():
            raise ConfigError(
                f"phase must be a uint8 array (nz, ny, nx) with the codes {PHASES}, got {phase.dtype} "
                f"{phase.shape} with values {np.unique(phase)[:8].tolist()}. Map the labels first."
            )
        size = [float(v) for v in voxel_size]
        if len(size) != 3 or not all(0.0 < v <= 1e-3 for v in size):
            raise ConfigError(
                f"voxel_size must be three numbers (dz, dy, dx) in (0, 1e-3] m, got {size}. Was it in micrometres?"
            )
        self.phase = phase
        self.shape: tuple[int, int, int] = phase.shape
        self.voxel_size = (size[0], size[1], size[2])
        self.field_specs = _check_specs("Field", field_specs, ["phase"])
        extra = _check_specs("Time-series column", timeseries_specs or {}, [])
        self.timeseries_specs = {**BASE_COLUMNS, **extra}
        self.profile_specs = _check_specs("Separator profile", profile_specs or PROFILES, ["z"])
        self.separator_z = None if separator_z is None else np.asarray(separator_z, dtype=float)
        if self.separator_z is not None and (self.separator_z.ndim != 1 or self.separator_z.size == 0):
            raise ConfigError(f"separator_z must be 1D with at least one layer, got shape {self.separator_z.shape}.")

        self.tables = dict(tables or {})
        for name, table in self.tables.items():
            table.check(name)
            _check_specs(f"Value in '{name}'", table.specs, [])
        self._rows = self._steps = 0
        self._last_time = self._last_step = -math.inf
        self._mappings: dict[str, Mapping[str, Any]] = {
            "config": config,
            "parameters": parameters,
            "provenance": provenance,
        }
        if continue_at is None:
            self._create()
        else:
            self._reopen(*continue_at)

    def _create(self) -> None:
        with as_os_error(self.path), replaced(self.path) as temporary:
            new_file(temporary, self.phase.nbytes)
            with h5py.File(temporary, "r+") as file:
                self._write_header(file, self.phase)
                for name in MAPPINGS:
                    write_mapping(file, name, self._mappings.get(name, {}))

    def _reopen(self, rows: int, steps: int) -> None:
        with h5py.File(self.path, "r") as file:
            have = file["timeseries/test_time_second"].shape[0], int(file["VTKHDF/Steps"].attrs["NSteps"])
            same = set(file["timeseries"]) == set(self.timeseries_specs)
            same &= set(file["VTKHDF/CellData"]) == {"phase", *self.field_specs}
            same &= all(set(file.get(name, ())) == set(table.specs) for name, table in self.tables.items())
            times = file["timeseries/test_time_second"][:rows]
            saved = file["VTKHDF/Steps/Values"][:steps]
        if have[0] < rows or have[1] < steps or not same:
            raise ConfigError(
                f"'{self.path.name}' does not belong to the checkpoint beside it ({have[0]} rows and {have[1]} saved "
                f"steps, {rows} and {steps} expected). Start anew: overwrite it, or choose another folder."
            )
        self._rows, self._steps = rows, steps
        self._last_time = float(times[-1]) if rows else -math.inf
        self._last_step = float(saved[-1]) if steps else -math.inf
        self._add(cut_back, (rows, steps, list(self.tables)), 0)

    def _write_header(self, file: h5py.File, phase: np.ndarray) -> None:
        nz, ny, nx = self.shape
        dz, dy, dx = self.voxel_size
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "status": "running"})
        file.attrs["voxel_size_m"] = np.array(self.voxel_size)

        vtk = file.create_group("VTKHDF")
        vtk.attrs["Version"] = np.array([2, 0], dtype="i8")
        vtk.attrs["Type"] = np.bytes_("ImageData")  # VTK wants fixed-length ASCII
        vtk.attrs["WholeExtent"] = np.array([0, nx, 0, ny, 0, nz], dtype="i8")
        vtk.attrs["Origin"] = np.zeros(3)
        # micrometres: with metres every axis label of a viewer reads 0.0
        vtk.attrs["Spacing"] = np.round(np.array([dx, dy, dz]) * 1e6, 12)
        vtk.attrs["Direction"] = np.eye(3).ravel()
        vtk.attrs["length_unit"] = "um"

        chunk = (1, min(nz, _CHUNK), min(ny, _CHUNK), min(nx, _CHUNK))
        cells = vtk.create_group("CellData")
        steps = vtk.create_group("Steps")
        steps.attrs["NSteps"] = np.int64(0)
        _growing(steps, "Values", ("s", "Time of the saved step"), "f8", math.nan)
        offset = ("1", "Row of the array that belongs to the step")
        offsets = steps.create_group("CellDataOffsets")
        for name, spec in self.field_specs.items():
            dataset = cells.create_dataset(
                name,
                (0, nz, ny, nx),
                "f4",
                maxshape=(None, nz, ny, nx),
                chunks=chunk,
                fillvalue=np.nan,
                **FILTERS,
            )
            describe(dataset, spec)
        static = cells.create_dataset("phase", data=phase[None], chunks=chunk, **FILTERS)
        describe(static, ("1", "Phase code"))
        static.attrs.update({name: np.uint8(code) for name, code in PHASES.items()})
        for name in [*self.field_specs, "phase"]:
            _growing(offsets, name, offset, "i8", 0)

        volts = "voltage_volt"
        _growing(vtk.create_group("FieldData"), volts, BASE_COLUMNS[volts], "f8", math.nan)
        _growing(steps.create_group("FieldDataOffsets"), volts, offset, "i8", 0)
        sizes = ("1", "Components and rows that belong to the step")
        _growing(steps.create_group("FieldDataSizes"), volts, sizes, "i8", 1, tail=(2,))

        series = file.create_group("timeseries")
        for name, spec in self.timeseries_specs.items():
            _growing(series, name, spec, "f8", math.nan)

        for name, table in self.tables.items():
            table.create(file.create_group(name))

        if self.separator_z is not None:
            profiles = file.create_group("separator_profiles")
            z = profiles.create_dataset("z", data=self.separator_z)
            describe(z, ("m", "Position on the thickness axis, 0 at the first electrode voxel"))
            for name, spec in self.profile_specs.items():
                _growing(profiles, name, spec, "f8", math.nan, tail=self.separator_z.shape)

    def _add(self, write: Callable[..., None], arguments: tuple[Any, ...], size: int) -> None:
        self._pending.append((write, arguments))
        self._pending_bytes += size
        if self._autoflush:
            self.flush()

    @property
    def pending_bytes(self) -> int:
        """Bytes of arrays that wait for the next flush."""
        return self._pending_bytes

    def flush(self) -> None:
        """Write everything appended so far. **Errors:** OSError; the file then stays as it was, nothing is lost."""
        if not self._pending:
            return
        with as_os_error(self.path), replaced(self.path) as temporary:
            shutil.copyfile(self.path, temporary)
            # 1.05: what cannot be compressed grows a little
            reserve(temporary, self.path.stat().st_size + int(1.05 * self._pending_bytes))
            with h5py.File(temporary, "r+") as file:
                for write, arguments in self._pending:
                    write(file, *arguments)
                refresh_voltage(file)
        self._pending, self._pending_bytes = [], 0

    def append_timeseries(self, rows: Mapping[str, float] | Sequence[Mapping[str, float]]) -> None:
        """Append one row or a list of rows: column -> value (SI; current positive when it charges).

        Time, voltage and current are needed in every row; other columns may be missing (stored as NaN).
        Times never decrease; a repeated time is legal (current steps). **Errors:** ConfigError.
        """
        rows = [rows] if isinstance(rows, Mapping) else list(rows)
        if not rows:
            return
        for row in rows:
            _check_names("time-series column", row, self.timeseries_specs)
            for name in REQUIRED_COLUMNS:
                if name not in row or not math.isfinite(row[name]):
                    raise ConfigError(f"Each time-series row needs a finite '{name}', got {dict(row)}.")
        columns = {name: np.array([float(row.get(name, math.nan)) for row in rows]) for name in self.timeseries_specs}
        times = columns.pop("test_time_second")
        previous = np.concatenate([[self._last_time], times])
        if (np.diff(previous) < 0.0).any():
            raise ConfigError(f"Time-series rows must not go back in time, got {previous.tolist()} s.")
        start, self._rows, self._last_time = self._rows, self._rows + len(rows), float(times[-1])
        self._add(put_rows, (start, times, columns), 0)

    def append_fields(
        self,
        time: float,
        fields: Mapping[str, np.ndarray],
        profiles: Mapping[str, np.ndarray] | None = None,
        tables: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        """Append one saved step.

        **Arguments:** `time` [s], later than the step before; `fields`: name -> (nz, ny, nx), NaN where the
        field does not exist (a field of `field_specs` left out is NaN everywhere); `profiles`: name ->
        (nlayers,) in the separator, only if `separator_z` was given; `tables`: group -> history -> (n,).
        **Errors:** ConfigError.
        """
        _check_names("field", fields, self.field_specs)
        stored = {}
        for name, values in fields.items():
            if np.shape(values) != self.shape:
                raise ConfigError(
                    f"Field '{name}' must have the electrode's shape {self.shape}, got {np.shape(values)}."
                )
            stored[name] = np.array(values, dtype=np.float32)
        profiles = dict(profiles or {})
        if profiles and self.separator_z is None:
            raise ConfigError("Separator profiles need `separator_z` when the result file is created.")
        layers = () if self.separator_z is None else self.separator_z.shape
        _check_names("separator profile", profiles, self.profile_specs)
        for name, values in profiles.items():
            if np.shape(values) != layers:
                raise ConfigError(f"Separator profile '{name}' must have shape {layers}, got {np.shape(values)}.")
        tables = dict(tables or {})
        _check_names("table", tables, self.tables)
        for name, given in tables.items():
            _check_names(f"history of '{name}'", given, self.tables[name].histories)
            for history, values in given.items():
                if np.shape(values) != (self.tables[name].count,):
                    raise ConfigError(
                        f"History '{history}' of '{name}' must have one value for each of the "
                        f"{self.tables[name].count} entries, got {np.shape(values)}."
                    )
        if not (math.isfinite(time) and time > self._last_step):
            raise ConfigError(f"Saved steps need finite, increasing times: got {time} s after {self._last_step} s.")
        blank = np.full(layers, math.nan)
        along = {} if self.separator_z is None else {name: profiles.get(name, blank) for name in self.profile_specs}
        rows = {name: table.complete(tables.get(name, {})) for name, table in self.tables.items()}
        size = sum(a.nbytes for arrays in (stored, *rows.values()) for a in arrays.values())
        n, self._steps, self._last_step = self._steps, self._steps + 1, float(time)
        self._add(put_step, (n, float(time), stored, list(self.field_specs), along, rows), size)

    def finish(
        self, status: str, ledger: Mapping[str, Any], solver: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> None:
        """Write how the run ended: `status` (such as "finished"), and three dicts of plain values."""
        groups = {"ledger": ledger, "solver": solver, "summary": summary}
        for name, mapping in groups.items():
            plain(mapping, name)
        self._pending.append((put_end, (status, groups)))
        self.flush()
