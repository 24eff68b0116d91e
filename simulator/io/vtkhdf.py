"""Writer of the result file: one VTKHDF ImageData time series with our own groups beside it.

Layout of `run.vtkhdf` (n = saved field steps, r = time-series rows; arrays are [z, y, x])::

    /                       attrs format, format_version, status, voxel_size_m (dz, dy, dx) [m]
    /VTKHDF                 Version, Type, WholeExtent, Origin, Spacing (x, y, z) [um], Direction, length_unit
      /CellData/<field>     (n, nz, ny, nx) f4, NaN where the field does not exist
      /CellData/phase       (1, nz, ny, nx) u1, the same for every step
      /FieldData/voltage_volt  (n,) cell voltage at each saved step, shown by ParaView
      /Steps                attr NSteps; Values (n,) [s]; offsets of every array
    /timeseries/<column>    (r,) f8
    /separator_profiles     z (l,) [m]; <name> (n, l) f8; only if `separator_z` was given
    /config, /parameters, /provenance, /solver, /ledger, /summary
                            json: the whole mapping as text; attrs: its scalars, nested keys joined by dots

VTK reads what lies in /VTKHDF and ignores the rest. Only gzip and shuffle filters are used: VTK drops
arrays stored with others. Format: https://docs.vtk.org/en/latest/vtk_file_formats/vtkhdf_file_format/
"""

import json
import math
import os
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.phases import PHASES

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
_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_ATTR_TEXT_LIMIT = 4096  # HDF5 keeps an attribute below 64 kB; longer text is found in the JSON
_LOCK_WAIT = 2.0  # [s]

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


def plain(value: Any, name: str) -> Any:
    """`value` as plain JSON types (arrays, their scalars and tuples included); `name` is its dotted key.

    NaN and infinity are kept, as Python's json writes and reads them. **Errors:** ConfigError naming the key.
    """
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist(), name)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{name}.{k}") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, f"{name}[{i}]") for i, v in enumerate(value)]
    raise ConfigError(
        f"'{name}' is a {type(value).__name__}, but the result file stores plain values only (numbers, text, "
        "true/false, lists, mappings). Convert it, or leave it out."
    )


def _fits_attribute(value: Any) -> bool:
    if isinstance(value, str):
        # an attribute cannot hold a null character
        return len(value.encode()) <= _ATTR_TEXT_LIMIT and "\0" not in value
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)


def _flat_scalars(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat_scalars(value, f"{prefix}{key}.")
        elif _fits_attribute(value):
            yield prefix + key, value


def _write_mapping(file: h5py.File, name: str, mapping: Mapping[str, Any]) -> None:
    """Replace group `name` by `mapping`: JSON text plus one attribute per scalar."""
    values = plain(mapping, name)
    if name in file:
        del file[name]
    group = file.create_group(name)
    dataset = group.create_dataset("json", data=json.dumps(values), dtype=h5py.string_dtype("utf-8"))
    _describe(dataset, ("1", f"{name} as JSON text"))
    for key, value in _flat_scalars(values):
        group.attrs[key] = value


def _describe(dataset: h5py.Dataset, spec: tuple[str, str]) -> None:
    dataset.attrs["units"], dataset.attrs["long_name"] = spec


def _growing(
    group: h5py.Group, name: str, spec: tuple[str, str], dtype: str, fill: float, tail: tuple[int, ...] = ()
) -> None:
    """A small uncompressed dataset of 0 rows that grows along axis 0."""
    dataset = group.create_dataset(
        name, (0, *tail), dtype=dtype, maxshape=(None, *tail), chunks=(256, *tail), fillvalue=fill
    )
    _describe(dataset, spec)


def _put(dataset: h5py.Dataset, row: int, values: Any) -> None:
    """Set rows from `row` on, cutting off what an append that failed half-way may have left behind."""
    values = np.asarray(values)
    dataset.resize(row + values.shape[0], axis=0)
    dataset[row:] = values


def _check_names(kind: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
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
    """Result file of one run, opened and closed at every append.

    A run that dies between two appends leaves a readable file whose `status` is "running". The header is
    written under a temporary name and moved into place, so an older result of the same name is replaced
    at once or not at all.

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

    **Errors:** ConfigError for a wrong name, shape, unit or extension, before anything is written.
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
    ) -> None:
        self.path = check_extension(path)
        self._lock_wait = _LOCK_WAIT
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
        self.shape: tuple[int, int, int] = phase.shape
        self.voxel_size = (size[0], size[1], size[2])
        self.field_specs = _check_specs("Field", field_specs, ["phase"])
        extra = _check_specs("Time-series column", timeseries_specs or {}, [])
        self.timeseries_specs = {**BASE_COLUMNS, **extra}
        self.profile_specs = _check_specs("Separator profile", profile_specs or PROFILES, ["z"])
        self.separator_z = None if separator_z is None else np.asarray(separator_z, dtype=float)
        if self.separator_z is not None and (self.separator_z.ndim != 1 or self.separator_z.size == 0):
            raise ConfigError(f"separator_z must be 1D with at least one layer, got shape {self.separator_z.shape}.")

        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with h5py.File(temporary, "w") as file:
                self._write_header(file, phase)
                for name in MAPPINGS:
                    _write_mapping(file, name, {})
                for name, mapping in (
                    ("config", config),
                    ("parameters", parameters),
                    ("provenance", provenance),
                ):
                    _write_mapping(file, name, mapping)
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)

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
                **_FILTERS,
            )
            _describe(dataset, spec)
        static = cells.create_dataset("phase", data=phase[None], chunks=chunk, **_FILTERS)
        _describe(static, ("1", "Phase code"))
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

        if self.separator_z is not None:
            profiles = file.create_group("separator_profiles")
            z = profiles.create_dataset("z", data=self.separator_z)
            _describe(z, ("m", "Position on the thickness axis, 0 at the first electrode voxel"))
            for name, spec in self.profile_specs.items():
                _growing(profiles, name, spec, "f8", math.nan, tail=self.separator_z.shape)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        """Open the file to append, and close it again.

        A viewer that holds the file open for reading must not end a long run: the lock is tried for a short
        while, then the file is opened without it, and from then on at once. Only the viewer can be
        disturbed, by reading a half-written step.
        """
        deadline = clock.monotonic() + self._lock_wait
        while True:
            try:
                file = h5py.File(self.path, "r+")
                break
            except BlockingIOError:
                if clock.monotonic() < deadline:
                    clock.sleep(0.1)
                    continue
                self._lock_wait = 0.0
                file = h5py.File(self.path, "r+", locking=False)
                break
        with file:
            yield file

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
        with self._open() as file:
            series = file["timeseries"]
            done = series["test_time_second"]
            n = done.shape[0]
            previous = np.concatenate([done[n - 1 :], times]) if n else times
            if (np.diff(previous) < 0.0).any():
                raise ConfigError(f"Time-series rows must not go back in time, got {previous.tolist()} s.")
            for name, values in columns.items():
                _put(series[name], n, values)
            # last: its length is the number of valid rows
            _put(done, n, times)

    def append_fields(
        self,
        time: float,
        fields: Mapping[str, np.ndarray],
        profiles: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Append one saved step.

        **Arguments:** `time` [s], later than the step before; `fields`: name -> (nz, ny, nx), NaN where the
        field does not exist (a field of `field_specs` left out is NaN everywhere); `profiles`: name ->
        (nlayers,) in the separator, only if `separator_z` was given. **Errors:** ConfigError.
        """
        _check_names("field", fields, self.field_specs)
        for name, values in fields.items():
            if np.shape(values) != self.shape:
                raise ConfigError(
                    f"Field '{name}' must have the electrode's shape {self.shape}, got {np.shape(values)}."
                )
        profiles = dict(profiles or {})
        if profiles and self.separator_z is None:
            raise ConfigError("Separator profiles need `separator_z` when the result file is created.")
        layers = () if self.separator_z is None else self.separator_z.shape
        _check_names("separator profile", profiles, self.profile_specs)
        for name, values in profiles.items():
            if np.shape(values) != layers:
                raise ConfigError(f"Separator profile '{name}' must have shape {layers}, got {np.shape(values)}.")
        with self._open() as file:
            vtk = file["VTKHDF"]
            cells, steps = vtk["CellData"], vtk["Steps"]
            n = int(steps.attrs["NSteps"])
            last = float(steps["Values"][n - 1]) if n else -math.inf
            if not (math.isfinite(time) and time > last):
                raise ConfigError(f"Saved steps need finite, increasing times: got {time} s after {last} s.")
            for name in self.field_specs:
                dataset = cells[name]
                dataset.resize(n, axis=0)  # drops what a failed append may have left
                dataset.resize(n + 1, axis=0)
                if name in fields:
                    dataset[n] = np.asarray(fields[name], dtype=np.float32)
                _put(steps["CellDataOffsets"][name], n, [n])
            _put(steps["CellDataOffsets"]["phase"], n, [0])
            if self.separator_z is not None:
                blank = np.full(layers, math.nan)
                for name in self.profile_specs:
                    _put(file["separator_profiles"][name], n, np.asarray(profiles.get(name, blank))[None])
            _put(steps["FieldDataOffsets"]["voltage_volt"], n, [n])
            _put(steps["FieldDataSizes"]["voltage_volt"], n, [[1, 1]])
            _put(steps["Values"], n, [float(time)])
            _refresh_voltage(file)
            # last: the number of valid steps, for VTK and for us
            steps.attrs["NSteps"] = np.int64(n + 1)

    def finish(
        self, status: str, ledger: Mapping[str, Any], solver: Mapping[str, Any], summary: Mapping[str, Any]
    ) -> None:
        """Write how the run ended: `status` (such as "finished"), and three dicts of plain values."""
        groups = {"ledger": ledger, "solver": solver, "summary": summary}
        for name, mapping in groups.items():
            plain(mapping, name)
        with self._open() as file:
            for name, mapping in groups.items():
                _write_mapping(file, name, mapping)
            _refresh_voltage(file)
            file.attrs["status"] = status


def _refresh_voltage(file: h5py.File) -> None:
    """Cell voltage at every saved step, from the time series; NaN where that does not reach yet."""
    series, vtk = file["timeseries"], file["VTKHDF"]
    times = series["test_time_second"][:]
    saved = vtk["Steps"]["Values"][:]
    if times.size:
        voltage = series["voltage_volt"][: times.size]
        values = np.interp(saved, times, voltage, left=math.nan, right=math.nan)
    else:
        values = np.full(saved.shape, math.nan)
    _put(vtk["FieldData"]["voltage_volt"], 0, values)
