"""HDF5: any file with one 3D dataset, and result files of this program."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simulator.errors import ConfigError, GeometryError, did_you_mean
from simulator.geometry.phases import PHASES
from simulator.geometry.readers.raw import Lengths, RawImage, damaged
from simulator.units import is_number, parse_length

_AXES = ("axis 0", "axis 1", "axis 2")
_OWN_FORMAT = "voxelyte-result"  # attribute `format` of a result file
_OWN_PHASE = "VTKHDF/CellData/phase"
_SHOWN = 12
#: attributes that hold a voxel size, with the unit in the name or beside it
_SIZE = re.compile(r"(element_?size|voxel_?size|pixel_?size|spacing)(?:_(m|mm|um|nm|micron|microns|micrometer))?", re.I)
_UNITS = ("unit", "units", "length_unit", "length_units")


def read_hdf5(path: Path, dataset: str | None) -> RawImage:
    """The only 3D dataset of the file, or `dataset`. Further axes of length one are dropped.

    The voxel size is taken from an attribute `element_size`, `voxel_size`, `pixel_size` or `spacing` of the dataset
    or of a group above it: one length or three in the dataset's axis order (as ilastik and Fiji write
    `element_size_um`), with the unit at the end of its name (`_um`), in `<name>_unit` or in `units`. A size without a
    unit is not used. A result file of this program gives its phases, their codes and its voxel size.

    **Errors:** `GeometryError` if the file is no HDF5 file, damaged, or holds no such dataset, or several.
    """
    try:
        with h5py.File(path, "r") as file:
            own = file.attrs.get("format") == _OWN_FORMAT
            found = _find(file, path, _OWN_PHASE if own and dataset is None else dataset)
            _check_filters(found, path)
            array = found[...]
            if array.dtype.kind not in "iubf":
                raise GeometryError(f"{path}: dataset {found.name} holds {array.dtype}, not one number per voxel.")
            shape = _spatial(array.shape)
            if shape is not None:
                array = array.reshape(shape)
            if own:
                z, y, x = (float(h) for h in file.attrs["voxel_size_m"])
                labels = PHASES if dataset is None else None
                return RawImage(array, (z, y, x), "the result file", ("z", "y", "x"), labels)
            size, source = _voxel_size(found)
            return RawImage(array, size, source, _AXES)
    except (OSError, RuntimeError, KeyError) as error:
        raise damaged(path, "an HDF5 file", error) from error


def _check_filters(dataset: h5py.Dataset, path: Path) -> None:
    """**Errors:** GeometryError if the dataset needs a compression filter that is not installed."""
    creation = dataset.id.get_create_plist()
    for k in range(creation.get_nfilters()):
        code, _, _, name = creation.get_filter(k)
        if not h5py.h5z.filter_avail(code):
            raise GeometryError(
                f"{path}: {dataset.name} is compressed with filter {code} ({name.decode(errors='replace')}), which "
                "h5py cannot read alone. Store it with gzip or without compression."
            )


def _spatial(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """`shape` without leading, then trailing, axes of length one; None if not three axes remain."""
    axes = list(shape)
    while len(axes) > 3 and axes[0] == 1:
        axes.pop(0)
    while len(axes) > 3 and axes[-1] == 1:
        axes.pop()
    return (axes[0], axes[1], axes[2]) if len(axes) == 3 else None


def _find(file: h5py.File, path: Path, wanted: str | None) -> h5py.Dataset:
    """The dataset `wanted`, or the only one that is 3D. **Errors:** GeometryError with what there is."""
    held: dict[str, h5py.Dataset] = {}
    file.visititems(lambda name, item: held.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    if wanted is not None:
        item = file.get(wanted)
        if not isinstance(item, h5py.Dataset):
            what = "is a group, not a dataset" if item is not None else "does not exist"
            raise GeometryError(f"{path}: {wanted!r} {what}.{did_you_mean(wanted.strip('/'), held)}")
        return item
    solid = {n: d for n, d in held.items() if d.dtype.kind in "iubf" and d.size and _spatial(d.shape)}
    if len(solid) == 1:
        return next(iter(solid.values()))
    listed = solid or held
    shown = ", ".join(f"{name} {d.shape} {d.dtype}" for name, d in list(listed.items())[:_SHOWN]) or "none"
    if solid:
        raise GeometryError(
            f"{path} holds {len(solid)} 3D datasets: {shown}. Choose one with dataset='name' (geometry.dataset=name)."
        )
    raise GeometryError(f"{path} holds no 3D dataset of numbers. Datasets: {shown}.")


def _above(dataset: h5py.Dataset) -> Iterator[h5py.Dataset | h5py.Group]:
    """The dataset and the groups above it. VTK's own group is passed over: its Spacing runs x, y, z."""
    yield dataset
    group = dataset.parent
    while True:
        if not group.name.startswith("/VTKHDF"):
            yield group
        if group.name == "/":
            return
        group = group.parent


def _voxel_size(dataset: h5py.Dataset) -> tuple[Lengths | str, str]:
    """Voxel size [m] and the attribute it is from, or why there is none."""
    reason = ""
    for item in _above(dataset):
        attributes = item.attrs
        for name in attributes:
            match = _SIZE.fullmatch(name)
            if match is None:
                continue
            sizes = _lengths(attributes[name], match[2] or _unit(attributes, name))
            if not isinstance(sizes, str):
                return sizes, f"attribute {name} of {item.name}"
            reason = reason or f"Its attribute {name} of {item.name} {sizes}."
    return reason or "The dataset has no attribute with the voxel size (such as element_size_um).", ""


def _unit(attributes: h5py.AttributeManager, name: str) -> str:
    """The unit that attributes beside `name` state, or an empty text."""
    for key in (f"{name}_unit", f"{name}_units", *_UNITS):
        unit = attributes.get(key)
        if isinstance(unit, bytes):
            unit = unit.decode(errors="replace")
        if isinstance(unit, str):
            return unit.strip()
    return ""


def _lengths(value: Any, unit: str) -> Lengths | str:
    """One length or three [m] from an attribute, or the end of the sentence 'the attribute ...'."""
    entries = np.ravel(np.asarray(value)).tolist() if not isinstance(value, (str, bytes)) else [value]
    if np.asarray(value).dtype == np.float32:
        entries = [float(str(v)) for v in np.ravel(value)]  # 0.398, not 0.3980000019
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in entries]
    shown = ", ".join(texts)
    if len(texts) not in (1, 3):
        return f"is neither one length nor three ({shown})"
    try:
        alone = any(not is_number(text) for text in texts)  # texts that bring their unit along
        sizes = [parse_length(text if alone else f"{text} {unit}", "size") for text in texts]
    except ConfigError:
        return f"is no length ({shown} {unit})".replace(" )", ")")
    if not alone and not unit:
        return f"= {shown} states no unit"
    if not all(h > 0 for h in sizes):
        return f"= {shown} {unit} is not positive"
    z, y, x = sizes * 3 if len(sizes) == 1 else sizes
    return z, y, x
