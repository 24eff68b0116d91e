"""What is appended to an open result file; `simulator.io.vtkhdf` describes the layout."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from simulator.errors import ConfigError

#: How arrays are compressed. VTK drops those stored with other filters.
FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

_ATTR_TEXT_LIMIT = 4096  # HDF5 keeps an attribute below 64 kB; longer text is found in the JSON


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


def write_mapping(file: h5py.File, name: str, mapping: Mapping[str, Any]) -> None:
    """Replace group `name` by `mapping`: JSON text plus one attribute per scalar."""
    values = plain(mapping, name)
    if name in file:
        del file[name]
    group = file.create_group(name)
    dataset = group.create_dataset("json", data=json.dumps(values), dtype=h5py.string_dtype("utf-8"))
    describe(dataset, ("1", f"{name} as JSON text"))
    for key, value in _flat_scalars(values):
        group.attrs[key] = value


def describe(dataset: h5py.Dataset, spec: tuple[str, str]) -> None:
    dataset.attrs["units"], dataset.attrs["long_name"] = spec


def _put(dataset: h5py.Dataset, row: int, values: Any) -> None:
    """Set rows from `row` on, cutting off what an append that failed half-way may have left behind."""
    values = np.asarray(values)
    dataset.resize(row + values.shape[0], axis=0)
    dataset[row:] = values


def put_rows(file: h5py.File, start: int, times: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    series = file["timeseries"]
    for name, values in columns.items():
        _put(series[name], start, values)
    # last: its length is the number of valid rows
    _put(series["test_time_second"], start, times)


def put_step(
    file: h5py.File,
    n: int,
    time: float,
    fields: Mapping[str, np.ndarray],
    names: Sequence[str],
    profiles: Mapping[str, np.ndarray],
    tables: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    vtk = file["VTKHDF"]
    cells, steps = vtk["CellData"], vtk["Steps"]
    for name in names:
        dataset = cells[name]
        dataset.resize(n, axis=0)
        dataset.resize(n + 1, axis=0)
        if name in fields:
            dataset[n] = fields[name]
        _put(steps["CellDataOffsets"][name], n, [n])
    _put(steps["CellDataOffsets"]["phase"], n, [0])
    for name, values in profiles.items():
        _put(file["separator_profiles"][name], n, np.asarray(values)[None])
    for table, histories in tables.items():
        for name, values in histories.items():
            _put(file[table][name], n, values[None])
    _put(steps["FieldDataOffsets"]["voltage_volt"], n, [n])
    _put(steps["FieldDataSizes"]["voltage_volt"], n, [[1, 1]])
    _put(steps["Values"], n, [time])
    # last: the number of valid steps, for VTK and for us
    steps.attrs["NSteps"] = np.int64(n + 1)


def put_end(file: h5py.File, status: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    for name, mapping in groups.items():
        write_mapping(file, name, mapping)
    file.attrs["status"] = status


def cut_back(file: h5py.File, rows: int, steps: int, tables: Collection[str]) -> None:
    """Drop what was written after the checkpoint that a run goes on from, in all groups; `tables` are some of them."""
    for dataset in file["timeseries"].values():
        dataset.resize(rows, axis=0)
    vtk = file["VTKHDF"]
    growing = [d for name, d in vtk["CellData"].items() if name != "phase"]
    growing += [vtk["Steps/Values"], *vtk["FieldData"].values()]
    for group in ("CellDataOffsets", "FieldDataOffsets", "FieldDataSizes"):
        growing += vtk["Steps"][group].values()
    growing += [d for name, d in file.get("separator_profiles", {}).items() if name != "z"]
    growing += [d for table in tables for d in file[table].values() if d.maxshape[0] is None]
    for dataset in growing:
        dataset.resize(steps, axis=0)
    vtk["Steps"].attrs["NSteps"] = np.int64(steps)
    file.attrs["status"] = "running"


def refresh_voltage(file: h5py.File) -> None:
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
