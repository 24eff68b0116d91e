"""TIFF: multi-page stacks, ImageJ and OME files."""

import logging
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from simulator.errors import ConfigError, GeometryError
from simulator.geometry.readers.raw import Lengths, RawImage, colour
from simulator.units import parse_length

#: what reading a damaged TIFF has been seen to raise, from tifffile, zlib or the offsets it holds;
#: RuntimeError is the base of the errors of imagecodecs, which tifffile uses where it is installed
_DAMAGE = (
    tifffile.TiffFileError,
    struct.error,
    zlib.error,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_RESOLUTION_UNITS = {2: 0.0254, 3: 0.01}  # TIFF ResolutionUnit: inch, centimetre [m]


class _Complaints(logging.Handler):
    """Collects what tifffile logs instead of raising: a cut page chain only shortens the stack."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.first: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # an unreadable vendor tag loses no pixel
        if self.first is None and "TiffTag" not in text:
            self.first = text


def read_tiff(path: Path) -> RawImage:
    """Pixels (page, row, column) and the voxel size of the ImageJ or OME metadata.

    **Errors:** `GeometryError` if the file is no TIFF, damaged, in colour, or holds images of different kinds.
    """
    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    try:
        with tifffile.TiffFile(path) as tiff:
            if len(tiff.series) != 1:
                shapes = ", ".join(str(s.shape) for s in tiff.series)
                raise GeometryError(
                    f"{path} holds {len(tiff.series)} images of different kinds (shapes {shapes}); save the "
                    "stack alone, with all pages of one size and type."
                )
            series = tiff.series[0]
            if "S" in series.axes:
                raise colour(path, series.shape)
            image = series.asarray()
            tagged = _tagged_voxel_size(tiff)
            source = "OME metadata" if tiff.is_ome else "ImageJ tags"
            announced = _announced_pages(tiff)
    except FileNotFoundError as error:
        raise GeometryError(f"No image file {path}: check the path.") from error
    except OSError as error:
        raise GeometryError(f"{path} cannot be read: {error.strerror or error}.") from error
    except GeometryError:
        raise
    except _DAMAGE as error:
        if "imagecodecs" in str(error):  # a missing codec comes as KeyError or ValueError
            raise GeometryError(
                f"{path} uses a compression that tifffile cannot read alone ({error}). Install the codecs "
                "with `pip install voxelyte[image]`, or save the stack uncompressed or with deflate."
            ) from error
        raise GeometryError(
            f"{path} is not a TIFF file or is damaged ({error}). Copy or export it again as a TIFF stack."
        ) from error
    finally:
        logger.removeHandler(complaints)
    if complaints.first is not None:
        raise GeometryError(f"{path} is truncated or damaged ({complaints.first}). Copy or export it again.")
    pages = image.shape[0] if image.ndim == 3 else 1
    if announced is not None and announced != pages and image.ndim <= 3:
        raise GeometryError(
            f"{path} is truncated or damaged: its header announces {announced} slices, the file holds "
            f"{pages}. Copy or export it again."
        )
    return RawImage(np.asarray(image), tagged, source)


def _announced_pages(tiff: tifffile.TiffFile) -> int | None:
    """Number of slices that the ImageJ header promises."""
    images = (tiff.imagej_metadata or {}).get("images")
    return images if isinstance(images, int) else None


def _tagged_voxel_size(tiff: tifffile.TiffFile) -> Lengths | str:
    """Voxel size (page, row, column) [m] from ImageJ or OME metadata, or a sentence on what is missing."""
    if tiff.is_ome:
        return _ome_voxel_size(tiff.ome_metadata or "")
    page = tiff.pages.first
    per_x, per_y = (_pixels_per_unit(page, tag) for tag in ("XResolution", "YResolution"))
    meta = tiff.imagej_metadata
    if meta is None:
        resolution_unit = page.tags.get("ResolutionUnit")
        unit_m = _RESOLUTION_UNITS.get(int(resolution_unit.value)) if resolution_unit else None
        text = "The file holds no voxel size."
        if unit_m and per_x and per_y:
            text = (
                f"The file gives no spacing between its pages; its resolution tags say "
                f"{1e6 * unit_m / per_y:.4g} um per row and {1e6 * unit_m / per_x:.4g} um per column."
            )
        return text
    unit = str(meta.get("unit", "")).strip()
    if "\\u" in unit:  # ImageJ writes the micro sign as an escape
        unit = unit.encode("ascii", "backslashreplace").decode("unicode_escape")
    try:
        unit_m = parse_length(f"1 {unit}", "unit") if unit else None
    except ConfigError:
        unit_m = None
    spacing = meta.get("spacing")
    if unit_m is None or not isinstance(spacing, (int, float)) or not per_x or not per_y:
        return (
            f"The ImageJ tags give no full voxel size (unit {unit or 'missing'!r}, spacing {spacing}, "
            f"pixels per unit {per_x} along rows and {per_y} along columns)."
        )
    # the tags carry at most nine digits; rounding undoes the last-bit noise of the divisions
    z, y, x = (float(f"{h:.12g}") for h in (abs(spacing) * unit_m, unit_m / per_y, unit_m / per_x))
    return z, y, x


def _pixels_per_unit(page: tifffile.TiffPage, tag: str) -> float | None:
    """Value of XResolution or YResolution, None if absent or zero."""
    found = page.tags.get(tag)
    if found is None:
        return None
    numerator, denominator = found.value
    return numerator / denominator if numerator and denominator else None


def _ome_voxel_size(xml: str) -> Lengths | str:
    """PhysicalSizeZ, Y, X of the first Pixels element (default unit: um)."""
    missing = "The OME metadata give no full PhysicalSizeZ, Y, X."
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return missing
    if pixels is None:
        return missing
    size = []
    for axis in "ZYX":
        value, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "um")
        if value is None:
            return missing
        try:
            size.append(parse_length(f"{value} {unit}", f"PhysicalSize{axis}"))
        except ConfigError:
            return missing
    return size[0], size[1], size[2]
