"""Image files with known values and voxel size, written in each format that is read."""

import bz2
import gzip
import zlib

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

STACK = (np.arange(5 * 7 * 11).reshape(5, 7, 11) % 3).astype(np.uint8)
SIZE_UM = (0.5, 0.25, 0.125)  # z, y, x; binary fractions, so that texts and products are exact
SIZE = pytest.approx(tuple(1e-6 * h for h in SIZE_UM), rel=1e-14)  # one multiplication


def nrrd(path, stack=STACK, encoding="raw", data=None, more='space units: "um" "um" "um"', file=None, dtype="uint8"):
    """A NRRD file written by hand: sizes and directions run x, y, z."""
    z, y, x = SIZE_UM
    lines = ["NRRD0004", "# comment", f"type: {dtype}", f"dimension: {stack.ndim}"]
    lines += [f"sizes: {' '.join(map(str, stack.shape[::-1]))}", f"encoding: {encoding}", "endian: little"]
    lines += ["space dimension: 3", f"space directions: ({x},0,0) (0,{y},0) (0,0,{z})", "key:=value", more]
    if file is not None:
        lines.append(f"data file: {file}")
    packers = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}
    if data is None:
        data = packers[encoding](stack.tobytes())
    head = "\n".join(line for line in lines if line) + "\n\n"
    path.write_bytes(head.encode() + (b"" if file else data))
    if file is not None:
        (path.parent / file).write_bytes(data)
    return path


def metaimage(path, stack=STACK, compressed=False, data=None, more="DistanceUnits = um", file=None, kind="MET_UCHAR"):
    z, y, x = SIZE_UM
    name = "LOCAL" if file is None else file
    if data is None:
        data = zlib.compress(stack.tobytes()) if compressed else stack.tobytes()
    lines = ["ObjectType = Image", "NDims = 3", f"CompressedData = {compressed}", "BinaryData = True"]
    if compressed:
        lines.append(f"CompressedDataSize = {len(data)}")  # VTK cannot do without
    lines += [f"DimSize = {' '.join(map(str, stack.shape[::-1]))}", f"ElementSpacing = {x} {y} {z}", more]
    lines += [f"ElementType = {kind}", f"ElementDataFile = {name}"]
    head = "\n".join(line for line in lines if line) + "\n"
    path.write_bytes(head.encode() + (data if file is None else b""))
    if file is not None:
        (path.parent / file).write_bytes(data)
    return path


def hdf5(path, stack=STACK, name="exported_data", **attributes):
    with h5py.File(path, "w") as file:
        file[name] = stack
        file[name].attrs.update(attributes)
    return path


def slices(folder, stack=STACK, pattern="slice_{}.tif", first=0):
    folder.mkdir()
    for k, page in enumerate(stack, start=first):
        file = folder / pattern.format(k)
        if file.suffix == ".png":
            Image.fromarray(page).save(file)
        else:
            tifffile.imwrite(file, page)
    return folder


def npy(path, stack=STACK):
    np.save(path, stack)
    return path


def npz(path, stack=STACK, **more):
    np.savez_compressed(path, image=stack, **more)
    return path
