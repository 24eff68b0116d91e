"""Images with a text header: NRRD (.nrrd, .nhdr) and MetaImage (.mha, .mhd).

Both are read here and not by VTK, whose readers return a file that was cut as if it were whole, the rest filled
with whatever was in memory. Formats: https://teem.sourceforge.net/nrrd/format.html and
https://itk.org/Wiki/ITK/MetaIO/Documentation. File axes run x, y, z with x fastest; arrays are [z, y, x].
"""

import bz2
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError, GeometryError
from simulator.geometry.readers.raw import Lengths, RawImage, colour, damaged
from simulator.units import parse_length

_AXES = ("z", "y", "x")
_MAX_HEADER = 1 << 20  # [bytes]
_NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


def _inflate(data: bytes) -> bytes:
    """zlib or gzip data. **Errors:** zlib.error, EOFError if it is cut."""
    stream = zlib.decompressobj(wbits=47)  # 47: either header
    text = stream.decompress(data)
    if not stream.eof:
        raise EOFError("the compressed data end early")
    return text


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    **dict.fromkeys(("gzip", "gz"), _inflate),
    **dict.fromkeys(("bzip2", "bz2"), bz2.decompress),
}
_TEXT = ("ascii", "text", "txt")


def read_nrrd(path: Path) -> RawImage:
    """Array [z, y, x] of a NRRD file, data attached or in one file beside it; raw, gzip, bzip2 or text.

    The voxel size is taken from `spacings` or the lengths of the `space directions`, if `space units` or `units`
    state a unit of length.

    **Errors:** `GeometryError` if it is no NRRD file, damaged, in colour, or split over several data files.
    """
    content = path.read_bytes()
    if not content.startswith(b"NRRD000"):
        raise damaged(path, "a NRRD file", "its first bytes are not NRRD000")
    head, attached = _split_nrrd(content)
    fields: dict[str, str] = {}
    for line in head.splitlines()[1:]:
        name, colon, value = line.partition(": ")
        if colon and not line.startswith("#"):
            fields[name.lower().replace(" ", "")] = value.strip()
    try:
        sizes = [int(n) for n in fields["sizes"].split()]
        dtype = np.dtype(_NRRD_TYPES[fields["type"].lower()])
        encoding = fields["encoding"].lower()
        skip, lines = int(fields.get("byteskip", "0")), int(fields.get("lineskip", "0"))
    except (KeyError, ValueError) as error:
        raise damaged(path, "a NRRD file", f"its header lacks or misstates {error}") from error
    if encoding not in (*_DECODERS, *_TEXT):
        raise GeometryError(f"{path} has the encoding {encoding!r}. Save it raw or with gzip.")
    kinds = fields.get("kinds", "").lower().split()
    if len(sizes) == 4 and sizes[0] > 1 and (not kinds or kinds[0] not in ("space", "domain", "time")):
        raise colour(path, tuple(sizes[::-1]))
    byte_order = fields.get("endian", "little").lower()
    data = _data_file(path, fields["datafile"]) if "datafile" in fields else attached
    for _ in range(lines):
        data = data.partition(b"\n")[2]
    array = _decode(path, data, encoding, dtype.newbyteorder(">" if byte_order == "big" else "<"), sizes, skip)
    return RawImage(array, _nrrd_size(fields, len(sizes)), "the NRRD header", _AXES)


def _split_nrrd(content: bytes) -> tuple[str, bytes]:
    """Header text, and the data after the empty line that ends it."""
    ends = [(content.find(mark, 0, _MAX_HEADER), len(mark)) for mark in (b"\n\n", b"\r\n\r\n")]
    found = [end for end in ends if end[0] >= 0]
    if not found:  # a detached header may end with the file
        return content[:_MAX_HEADER].decode("latin-1"), b""
    at, length = min(found)
    return content[:at].decode("latin-1"), content[at + length :]


def _nrrd_size(fields: dict[str, str], axes: int) -> Lengths | str:
    """Voxel size (z, y, x) [m], or why the header gives none."""
    if "spacedirections" in fields:
        vectors = [v.strip("()") for v in fields["spacedirections"].replace(", ", ",").split() if v != "none"]
        given = [math.hypot(*(_number(c) for c in vector.split(","))) for vector in vectors]
    elif "spacings" in fields:
        given = [h for h in map(_number, fields["spacings"].split()) if not math.isnan(h)]
    else:
        return "The NRRD header gives no spacing."
    units = [u.strip('"') for u in fields.get("spaceunits", fields.get("units", "")).split()]
    units = [u for u in units if u and u not in ("none", "???")]
    return _with_units(given, units, "The spacing in the NRRD header")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _with_units(given: list[float], units: list[str], what: str) -> Lengths | str:
    """Lengths x, y, z and their units to (z, y, x) [m], or a sentence on what is missing."""
    shown = ", ".join(f"{h:g}" for h in given)
    if len(given) != 3 or not all(math.isfinite(h) and h > 0 for h in given):
        return f"{what} is not three positive lengths ({shown})."
    if len(units) not in (1, 3):
        return f"{what} is {shown} (x, y, z) without a unit."
    try:
        sizes = [parse_length(f"{h!r} {u}", "spacing") for h, u in zip(given, units * (3 // len(units)), strict=True)]
    except ConfigError:
        return f"{what} is {shown} (x, y, z) in {units[0]!r}, which is no unit of length."
    return sizes[2], sizes[1], sizes[0]


def read_metaimage(path: Path) -> RawImage:
    """Array [z, y, x] of a MetaImage, data attached (LOCAL) or in one file beside it; raw, zlib or text.

    The voxel size is taken from `ElementSpacing` if `DistanceUnits` is given. ITK takes a spacing without a unit as
    millimetres, but many microscopes write micrometres there, so it is not used.

    **Errors:** `GeometryError` if it is no MetaImage, damaged, in colour, or split over several data files.
    """
    content = path.read_bytes()
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields and position < min(len(content), _MAX_HEADER):
        end = content.find(b"\n", position)
        end = len(content) if end < 0 else end
        name, equals, value = content[position:end].decode("latin-1").partition("=")
        if not equals:
            break
        fields[name.strip()] = value.strip()
        position = end + 1
    try:
        sizes = [int(n) for n in fields["DimSize"].split()]
        dtype = np.dtype(_META_TYPES[fields["ElementType"].upper()])
        name = fields["ElementDataFile"]
        channels, skip = int(fields.get("ElementNumberOfChannels", "1")), int(fields.get("HeaderSize", "0"))
    except (KeyError, ValueError) as error:
        raise damaged(path, "a MetaImage file", f"its header lacks or misstates {error}") from error
    if channels != 1:
        raise colour(path, (*sizes[::-1], channels))
    encoding = "gzip" if _true(fields, "CompressedData") else "raw" if _true(fields, "BinaryData", "True") else "ascii"
    swapped = _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB")
    data = content[position:] if name.upper() == "LOCAL" else _data_file(path, name)
    array = _decode(path, data, encoding, dtype.newbyteorder(">" if swapped else "<"), sizes, skip)
    spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
    size: Lengths | str = "The MetaImage header gives no ElementSpacing."
    if spacing is not None:
        units = [u for u in fields.get("DistanceUnits", "").split() if u != "?"]
        size = _with_units([_number(h) for h in spacing.split()], units, "The ElementSpacing in the MetaImage header")
    return RawImage(array, size, "the MetaImage header", _AXES)


def _true(fields: dict[str, str], name: str, default: str = "False") -> bool:
    return fields.get(name, default).lower() in ("true", "1")


def _data_file(path: Path, name: str) -> bytes:
    """Content of the data file that the header `path` names. **Errors:** GeometryError."""
    if name.upper().startswith("LIST") or "%" in name:
        raise GeometryError(
            f"{path} is split over several data files ({name}). Save it as one file, or give a folder of slices."
        )
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise GeometryError(
            f"{path} names the data file {name}, which cannot be read ({error.strerror}). Keep both in one folder."
        ) from error


def _decode(path: Path, data: bytes, encoding: str, dtype: np.dtype, sizes: list[int], skip: int) -> NDArray:
    """Bytes or text to an array of the reversed `sizes`; `skip` leading bytes, or -1: the data are at the end."""
    if not sizes or min(sizes) < 1:
        raise damaged(path, "a whole image", f"its sizes are {sizes}")
    count = math.prod(sizes)
    expected = count * dtype.itemsize
    try:
        if encoding in _TEXT:
            numbers = data.split()
            if len(numbers) != count:
                raise damaged(path, "a whole image", f"{count} numbers are announced, it holds {len(numbers)}")
            return np.array(numbers, dtype=dtype).reshape(sizes[::-1])
        plain = _DECODERS[encoding](data)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        if isinstance(error, GeometryError):
            raise
        raise damaged(path, "a whole image", error) from error
    start = len(plain) - expected if skip == -1 else skip
    found = len(plain) - start
    # some writers end the data with a line break
    if start < 0 or found < expected or (found > expected and plain[start + expected :].strip(b"\r\n\0")):
        raise damaged(
            path,
            "a whole image",
            f"size {' x '.join(map(str, sizes))} of {dtype.name} announces {expected} bytes, it holds {max(found, 0)}",
        )
    return np.frombuffer(plain, dtype, count, start).reshape(sizes[::-1])
