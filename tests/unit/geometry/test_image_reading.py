"""TIFF stacks: voxel size from the tags, orientation, and clear refusals of what cannot be read."""

import importlib.util
import struct

import numpy as np
import pytest
import tifffile

from simulator.errors import ConfigError, GeometryError
from simulator.geometry import load_electrode

STACK = (np.arange(5 * 7 * 11).reshape(5, 7, 11) % 3).astype(np.uint8)


def imagej(path, stack=STACK, spacing=0.4, unit="micron", resolution=(2.5, 2.5), **options):
    metadata = {"axes": "ZYX", "unit": unit}
    if spacing is not None:
        metadata["spacing"] = spacing
    tifffile.imwrite(path, stack, imagej=True, resolution=resolution, metadata=metadata, **options)
    return path


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej_tags_give_the_voxel_size_in_file_order(tmp_path, compression):
    path = imagej(tmp_path / "stack.tif", spacing=0.5, resolution=(4.0, 2.0), compression=compression)
    e = load_electrode(path)
    # resolution is (x, y) in pixels per micron
    assert e.voxel_size == (0.5e-6, 0.5e-6, 0.25e-6)
    assert np.array_equal(e.phase, STACK)
    assert e.name == "stack"


@pytest.mark.parametrize(
    ("unit", "metres"), [("um", 1e-6), ("\\u00B5m", 1e-6), ("nm", 1e-9), ("mm", 1e-3), ("microns", 1e-6)]
)
def test_imagej_units_are_understood(tmp_path, unit, metres):
    spacing = 4e-7 / metres
    # tags hold rationals of 32-bit integers, about nine digits
    path = imagej(tmp_path / "s.tif", spacing=spacing, unit=unit, resolution=(1 / spacing, 1 / spacing))
    assert load_electrode(path).voxel_size == pytest.approx((4e-7,) * 3, rel=1e-8)


def test_ome_metadata_give_the_voxel_size(tmp_path):
    path = tmp_path / "s.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 500}
    metadata |= {"PhysicalSizeXUnit": "\u00b5m", "PhysicalSizeYUnit": "\u00b5m", "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(path, STACK, ome=True, metadata=metadata)
    e = load_electrode(path)
    # one multiplication
    assert e.voxel_size == pytest.approx((0.5e-6, 0.3e-6, 0.2e-6), rel=1e-14)
    assert np.array_equal(e.phase, STACK)


def test_given_voxel_size_wins_over_the_tags(tmp_path):
    path = imagej(tmp_path / "s.tif")
    assert load_electrode(path, voxel_size="1 um").voxel_size == (1e-6,) * 3
    assert load_electrode(path, voxel_size=(1e-6, 2e-6, "3 um")).voxel_size == (1e-6, 2e-6, 3e-6)


def test_axes_and_voxel_size_are_permuted_together(tmp_path):
    path = imagej(tmp_path / "s.tif", spacing=0.5, resolution=(4.0, 2.0))
    e = load_electrode(path, thickness_axis=2, separator_side="end")
    assert e.shape == (11, 5, 7)
    assert e.voxel_size == (0.25e-6, 0.5e-6, 0.5e-6)
    assert np.array_equal(e.phase, np.moveaxis(STACK, 2, 0)[::-1])


def test_labels_are_mapped(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK * 85)
    e = load_electrode(path, "0.39 um", labels={"electrolyte": 0, "am": 85, "cbd": 170})
    assert e.labels == {"am": 1, "cbd": 2, "electrolyte": 3}
    with pytest.raises(GeometryError, match=r"without a label: 85 \(.*170 \("):
        load_electrode(path, "0.39 um")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spacing": None}, "spacing None"),
        ({"unit": ""}, "unit 'missing'"),
        ({"unit": "pixel"}, "unit 'pixel'"),
        ({"resolution": ((0, 1), (0, 1))}, "pixels per unit None along rows"),
    ],
)
def test_incomplete_imagej_tags_ask_for_the_voxel_size(tmp_path, change, said):
    path = imagej(tmp_path / "s.tif", **change)
    with pytest.raises(GeometryError, match=f"{said}.*voxel_size='0.398 um'"):
        load_electrode(path)


def test_file_without_tags_asks_for_the_voxel_size(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK)
    with pytest.raises(GeometryError, match="no voxel size.*voxel_size='0.398 um'"):
        load_electrode(path)


def test_pixel_size_without_page_spacing_is_reported_but_not_assumed(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK, resolution=(25125.628, 25125.628), resolutionunit="CENTIMETER")
    with pytest.raises(GeometryError, match="no spacing between its pages.*0.398 um per row"):
        load_electrode(path)


def test_voxel_size_out_of_range_or_without_unit_is_refused(tmp_path):
    path = imagej(tmp_path / "s.tif")
    with pytest.raises(GeometryError, match="were micrometres given as metres"):
        load_electrode(path, voxel_size=0.398)
    with pytest.raises(ConfigError, match="voxel_size"):
        load_electrode(path, voxel_size="0.398 pixel")


def test_missing_file_folder_and_foreign_file_are_refused(tmp_path):
    with pytest.raises(GeometryError, match="No image file .*nothing.tif"):
        load_electrode(tmp_path / "nothing.tif")
    with pytest.raises(GeometryError, match="is a folder"):
        load_electrode(tmp_path)
    other = tmp_path / "notes.tif"
    other.write_text("not an image")
    with pytest.raises(GeometryError, match="not a TIFF file or is damaged"):
        load_electrode(other)
    other.write_bytes(b"")
    with pytest.raises(GeometryError, match="not a TIFF file or is damaged"):
        load_electrode(other)


def page_offsets(path):
    with tifffile.TiffFile(path) as tiff:
        return [page.offset for page in tiff.pages]


@pytest.mark.parametrize("kind", ["imagej", "imagej deflate", "plain", "plain deflate", "pages", "ome"])
def test_a_file_cut_anywhere_is_refused_or_complete(tmp_path, kind):
    path = tmp_path / "whole.tif"
    compression = "zlib" if "deflate" in kind else None
    if kind.startswith("imagej"):
        imagej(path, compression=compression)
    elif kind == "ome":
        tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "ZYX"})
    elif kind == "pages":
        with tifffile.TiffWriter(path) as writer:
            for page in STACK:
                writer.write(page, metadata=None, contiguous=False)
    else:
        tifffile.imwrite(path, STACK, compression=compression, metadata=None)
    data = path.read_bytes()
    # even steps, and every page header: there the rest still is a well-formed shorter stack
    cuts = {int(len(data) * k / 40) for k in range(40)} | set(page_offsets(path))
    refused = 0
    for cut in sorted(cuts):
        part = tmp_path / "part.tif"
        part.write_bytes(data[:cut])
        try:
            e = load_electrode(part, voxel_size=1e-6)
        except GeometryError as error:
            refused += 1
            assert "part.tif" in str(error)
        else:
            assert np.array_equal(e.phase, STACK), cut
    assert refused > 20


def test_stack_with_fewer_pages_than_announced_is_refused(tmp_path):
    path = tmp_path / "s.tif"
    said = "ImageJ=1.11a\nimages=9\nslices=9\nspacing=0.4\nunit=micron\n"
    tifffile.imwrite(path, STACK, description=said, metadata=None, compression="zlib", resolution=(2.5, 2.5))
    with pytest.raises(GeometryError, match="truncated or damaged"):
        load_electrode(path)
    said = said.replace("9", "5")
    tifffile.imwrite(path, STACK, description=said, metadata=None, compression="zlib", resolution=(2.5, 2.5))
    assert np.array_equal(load_electrode(path).phase, STACK)


def test_sections_colour_images_and_mixed_pages_are_refused(tmp_path):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK[0])
    with pytest.raises(GeometryError, match="3 axes, got 2"):
        load_electrode(path, voxel_size=1e-6)
    tifffile.imwrite(path, np.zeros((7, 11, 3), np.uint8), photometric="rgb")
    with pytest.raises(GeometryError, match="colour image"):
        load_electrode(path, voxel_size=1e-6)
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK)
        writer.write(STACK[:, :4, :4])
    with pytest.raises(GeometryError, match="2 images of different kinds"):
        load_electrode(path, voxel_size=1e-6)


def lzw(data):
    """LZW as TIFF wants it, without compression: a clear code before every 200 literals keeps 9-bit codes."""
    codes = []
    for k, byte in enumerate(data):
        if k % 200 == 0:
            codes.append(256)
        codes.append(byte)
    codes.append(257)
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def write_lzw(path, stack):
    """Minimal little-endian multi-page TIFF with LZW strips, one per page."""
    nz, ny, nx = stack.shape
    out = bytearray(b"II*\0")
    out += struct.pack("<I", 8)
    for k, page in enumerate(stack):
        strip = lzw(page.tobytes())
        strip += b"\0" * (len(strip) % 2)
        entries = [(256, nx), (257, ny), (258, 8), (259, 5), (262, 1), (273, 0), (277, 1), (278, ny)]
        entries.append((279, len(strip)))
        header = 2 + 12 * len(entries) + 4
        start = len(out) + header
        following = 0 if k == nz - 1 else start + len(strip)
        out += struct.pack("<H", len(entries))
        for tag, value in entries:
            out += struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value)
        out += struct.pack("<I", following) + strip
    path.write_bytes(bytes(out))


def test_lzw_is_read_with_imagecodecs_and_names_the_extra_without(tmp_path):
    path = tmp_path / "lzw.tif"
    write_lzw(path, STACK)
    if importlib.util.find_spec("imagecodecs") is not None:
        assert np.array_equal(load_electrode(path, voxel_size=1e-6).phase, STACK)
    else:
        with pytest.raises(GeometryError, match=r"pip install voxelyte\[image\]"):
            load_electrode(path, voxel_size=1e-6)
