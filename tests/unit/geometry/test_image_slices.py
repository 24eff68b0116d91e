"""Folders of slices and single sections."""

import numpy as np
import pytest
import tifffile
from image_files import SIZE, STACK, slices
from PIL import Image

from simulator.errors import GeometryError
from simulator.geometry import load_electrode, read_image
from simulator.geometry.readers.slices import natural_key


def test_names_are_sorted_by_their_numbers():
    names = ["s10.tif", "s2.tif", "S1.tif", "s2b10.tif", "s2b9.tif"]
    assert sorted(names, key=natural_key) == ["S1.tif", "s2.tif", "s2b9.tif", "s2b10.tif", "s10.tif"]


@pytest.mark.parametrize("pattern", ["slice_{}.tif", "slice_{}.png", "{:03d}.TIFF", "a1_z{}_b2.tif"])
def test_slices_are_stacked_in_natural_order(tmp_path, pattern):
    stack = np.concatenate([STACK] * 3)  # 15 slices: 8, 9, 10, 11, ...
    folder = slices(tmp_path / "scan", stack, pattern, first=8)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("voxel 0.4 um")
    e = load_electrode(folder, voxel_size=("0.5 um", "0.25 um", "0.25 um"))
    assert np.array_equal(e.phase, stack)
    assert e.name == "scan"


def test_slices_counted_beside_a_position_are_stacked(tmp_path):
    # as focused ion beams number them: slice_00002_z=0.0400um
    folder = slices(tmp_path / "scan", pattern="slice_{0}_z={0}.5um.tif", first=8)
    assert np.array_equal(load_electrode(folder, 1e-6).phase, STACK)


def test_palette_png_gives_its_indices(tmp_path):
    folder = slices(tmp_path / "scan", pattern="s{}.png")
    for k, page in enumerate(STACK):
        picture = Image.fromarray(page).convert("P")
        picture.putdata(page.ravel().tolist())
        picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        picture.save(folder / f"s{k}.png")
    assert np.array_equal(load_electrode(folder, 1e-6).phase, STACK)


def test_imagej_slices_bring_their_voxel_size(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    for k, page in enumerate(STACK):
        tags = {"spacing": 0.5, "unit": "um"}
        tifffile.imwrite(folder / f"s{k}.tif", page, imagej=True, resolution=(8, 4), metadata=tags)
    assert load_electrode(folder).voxel_size == SIZE


def test_a_missing_slice_is_warned_of(tmp_path):
    folder = slices(tmp_path / "scan")
    (folder / "slice_2.tif").unlink()
    with pytest.warns(UserWarning, match="missing between slice_1 and slice_3"):
        e = load_electrode(folder, 1e-6)
    assert e.shape == (4, 7, 11)


def test_every_second_slice_is_no_gap(tmp_path, recwarn):
    folder = slices(tmp_path / "scan")
    for k in (1, 3):
        (folder / f"slice_{k}.tif").unlink()
    assert load_electrode(folder, 1e-6).shape == (3, 7, 11)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: [p.unlink() for p in f.iterdir()], "is a folder without TIFF or PNG slices. It is empty"),
        (lambda f: [p.rename(p.with_suffix(".jpg")) for p in list(f.iterdir())], "It holds slice_0.jpg"),
        (lambda f: Image.fromarray(STACK[0]).save(f / "slice_9.png"), "TIFF and PNG"),
        (lambda f: tifffile.imwrite(f / "overview.tif", STACK[0]), "several series, such as overview, slice_0"),
        (
            lambda f: tifffile.imwrite(f / "slice_05.tif", STACK[0]) or (f / "slice_5.tif").write_bytes(b""),
            "not counted",
        ),
        (lambda f: tifffile.imwrite(f / "slice_5.tif", STACK[0, :3]), r"slice_5.tif has \(3, 11\)"),
        (lambda f: tifffile.imwrite(f / "slice_5.tif", STACK[0].astype(np.uint16)), "uint16"),
        (lambda f: tifffile.imwrite(f / "slice_5.tif", STACK), "every file is one 2D slice"),
        (lambda f: tifffile.imwrite(f / "slice_5.tif", np.zeros((7, 11, 3), np.uint8), photometric="rgb"), "colour"),
        (lambda f: (f / "slice_5.tif").write_bytes(b"II*\0"), "slice_5.tif is not a TIFF file or is damaged"),
        (lambda f: [(f / f"slice_{k}.tif").unlink() for k in range(1, 5)], "a single image, slice_0.tif"),
    ],
)
def test_folders_that_are_no_stack_are_refused(tmp_path, change, said):
    folder = slices(tmp_path / "scan")
    change(folder)
    with pytest.raises(GeometryError, match=said):
        load_electrode(folder, 1e-6)


def test_cut_and_coloured_png_slices_are_refused(tmp_path):
    folder = slices(tmp_path / "scan", np.random.default_rng(0).integers(0, 3, (3, 40, 40), np.uint8), "s{}.png")
    whole = load_electrode(folder, 1e-6)
    data = (folder / "s1.png").read_bytes()
    refused = 0
    for cut in range(0, len(data), 20):
        (folder / "s1.png").write_bytes(data[:cut])
        try:
            e = load_electrode(folder, 1e-6)
        except GeometryError as error:
            refused += 1
            assert "s1.png is not a PNG file or is damaged" in str(error)
        else:
            assert np.array_equal(e.phase, whole.phase), cut
    assert refused > 0.9 * len(data) / 20  # the end holds check sums alone
    Image.new("RGB", (40, 40)).save(folder / "s1.png")
    with pytest.raises(GeometryError, match="colour image"):
        load_electrode(folder, 1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_single_png_is_a_section(tmp_path, dtype):
    page = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 7)).astype(dtype)
    Image.fromarray(page).save(tmp_path / "s.png")
    raw = read_image(tmp_path / "s.png")
    np.testing.assert_array_equal(raw.array, page)
    assert raw.voxel_size == "A PNG file holds no voxel size."
    with pytest.raises(GeometryError, match="2D section cannot be simulated"):
        load_electrode(tmp_path / "s.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_grey_sections_and_stacks_are_read_in_their_type(tmp_path, dtype):
    grey = (1000 * np.random.default_rng(0).random((3, 9, 7))).astype(dtype)
    for name, array in (("section.tif", grey[0]), ("stack.tif", grey)):
        tifffile.imwrite(tmp_path / name, array, photometric="minisblack")
        found = read_image(tmp_path / name).array
        np.testing.assert_array_equal(found, array)
        assert found.dtype == dtype
