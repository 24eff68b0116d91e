"""Every kind of image file: values, axes and voxel size as stored, and one clear refusal for each defect."""

import bz2
import gzip
import zlib

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from simulator.errors import GeometryError
from simulator.geometry import load_electrode, read_image
from simulator.geometry.readers import CONTAINERS, READERS
from simulator.geometry.readers.slices import natural_key
from simulator.io import ResultWriter

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


#: every file with its writer, and whether its header holds the voxel size
FILES = {
    "s.npy": (npy, False),
    "s.npz": (npz, False),
    "s.h5": (lambda p: hdf5(p, element_size_um=SIZE_UM), True),
    "s.hdf5": (lambda p: hdf5(p, element_size_um=SIZE_UM), True),
    "s.nrrd": (nrrd, True),
    "gz.nrrd": (lambda p: nrrd(p, encoding="gzip"), True),
    "bz.nrrd": (lambda p: nrrd(p, encoding="bzip2"), True),
    "s.nhdr": (lambda p: nrrd(p, file="s.bin"), True),
    "s.mha": (metaimage, True),
    "z.mha": (lambda p: metaimage(p, compressed=True), True),
    "s.mhd": (lambda p: metaimage(p, file="s.raw"), True),
}


@pytest.mark.parametrize("name", FILES)
def test_values_axes_and_voxel_size_are_those_of_the_file(tmp_path, name):
    write, sized = FILES[name]
    path = write(tmp_path / name)
    e = load_electrode(path, None if sized else tuple(f"{h} um" for h in SIZE_UM))
    assert np.array_equal(e.phase, STACK)
    assert e.voxel_size == SIZE
    assert e.name == path.stem


@pytest.mark.parametrize("name", [name for name, (_, sized) in FILES.items() if not sized])
def test_arrays_without_voxel_size_ask_for_it_in_array_order(tmp_path, name):
    with pytest.raises(GeometryError, match=r"no voxel size\. Give it.*\(axis 0, axis 1, axis 2\)"):
        load_electrode(FILES[name][0](tmp_path / name))


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused_or_complete(tmp_path, name):
    FILES[name][0](tmp_path / name)
    # of a detached header the data are cut, else the file itself
    beside = {"s.nhdr": "s.bin", "s.mhd": "s.raw"}.get(name, name)
    data = (tmp_path / beside).read_bytes()
    refused = 0
    for cut in sorted({len(data) * k // 40 for k in range(40)}):
        (tmp_path / beside).write_bytes(data[:cut])
        try:
            e = load_electrode(tmp_path / name, voxel_size=1e-6)
        except GeometryError as error:
            refused += 1
            assert name in str(error)
        else:
            assert np.array_equal(e.phase, STACK), cut
    assert refused >= 39  # nothing but closing bytes may be missing


@pytest.mark.parametrize("suffix", sorted({*READERS, *CONTAINERS}))
def test_text_under_any_suffix_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"notes{suffix}"
    path.write_text("not an image\n")
    with pytest.raises(GeometryError, match="notes.* or is damaged"):
        load_electrode(path, voxel_size=1e-6)
    path.write_bytes(b"")
    with pytest.raises(GeometryError, match="notes.* or is damaged"):
        load_electrode(path, voxel_size=1e-6)


def test_unknown_suffix_lists_what_is_read_and_raw_files_get_a_hint(tmp_path):
    (tmp_path / "stack.raw").write_bytes(STACK.tobytes())
    with pytest.raises(GeometryError, match=r"unknown kind of file '.raw'.*\.nrrd.*MetaImage header"):
        load_electrode(tmp_path / "stack.raw")
    with pytest.raises(GeometryError, match=r"No image file .*x\.raw"):
        load_electrode(tmp_path / "x.raw")


def test_tiff_is_recognised_under_any_suffix(tmp_path):
    tifffile.imwrite(tmp_path / "stack.stk", STACK)
    assert np.array_equal(load_electrode(tmp_path / "stack.stk", 1e-6).phase, STACK)


def test_thickness_axis_turns_voxel_size_and_data_of_every_reader_alike(tmp_path):
    e = load_electrode(nrrd(tmp_path / "s.nrrd"), thickness_axis=2, separator_side="end")
    assert np.array_equal(e.phase, np.moveaxis(STACK, 2, 0)[::-1])
    assert e.voxel_size == pytest.approx((0.125e-6, 0.5e-6, 0.25e-6), rel=1e-14)


def test_dataset_is_refused_where_a_file_holds_one_array(tmp_path):
    with pytest.raises(GeometryError, match="dataset='a'.*Leave it out"):
        load_electrode(npy(tmp_path / "s.npy"), 1e-6, dataset="a")


@pytest.mark.parametrize("name", ["s.npy", "s.h5"])
@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (STACK[0], "3 axes, got 2|no 3D dataset"),
        (np.where(STACK == 0, np.nan, STACK), r"NaN or infinity in 129 of 385"),
        (STACK + 0.5, "whole numbers"),
        (np.stack([STACK] * 3, axis=-1), "3 axes, got 4|no 3D dataset"),
        (STACK.astype("S1"), "type .S1|no 3D dataset"),
    ],
)
def test_what_is_no_image_of_labels_is_refused(tmp_path, name, stack, said):
    path = {"s.npy": npy, "s.h5": hdf5}[name](tmp_path / name, stack)
    with pytest.raises(GeometryError, match=said):
        load_electrode(path)


# --- HDF5


def test_hdf5_lists_its_candidates_and_takes_the_named_one(tmp_path):
    path = hdf5(tmp_path / "s.h5", name="scan/labels")
    with h5py.File(path, "a") as file:
        file["scan/grey"] = STACK * 50
        file["scan/energy"] = np.arange(4.0)
    with pytest.raises(GeometryError, match=r"2 3D datasets: scan/grey .*scan/labels \(5, 7, 11\) uint8.*dataset="):
        load_electrode(path, 1e-6)
    assert np.array_equal(load_electrode(path, 1e-6, dataset="scan/labels").phase, STACK)
    with pytest.raises(GeometryError, match="'scan/label' does not exist. Did you mean 'scan/labels'"):
        load_electrode(path, 1e-6, dataset="scan/label")
    with pytest.raises(GeometryError, match="'scan' is a group"):
        load_electrode(path, 1e-6, dataset="scan")


@pytest.mark.parametrize("shape", [(1, 5, 7, 11), (5, 7, 11, 1), (1, 5, 7, 11, 1)])
def test_hdf5_axes_of_length_one_are_dropped(tmp_path, shape):
    assert np.array_equal(load_electrode(hdf5(tmp_path / "s.h5", STACK.reshape(shape)), 1e-6).phase, STACK)


@pytest.mark.parametrize(
    "attributes",
    [
        {"element_size_um": SIZE_UM},
        {"element_size_um": np.float32(SIZE_UM)},
        {"voxel_size": SIZE_UM, "voxel_size_unit": "micrometer"},
        {"voxel_size": [1e-6 * h for h in SIZE_UM], "units": "m"},
        {"Spacing": [1e3 * h for h in SIZE_UM], "unit": b"nm"},
        {"pixel_size": ["0.5 um", "250 nm", "0.125 um"]},
        {"VoxelSize_nm": [1e3 * h for h in SIZE_UM]},
    ],
)
def test_hdf5_attributes_with_a_unit_give_the_voxel_size(tmp_path, attributes):
    path = hdf5(tmp_path / "s.h5", **attributes)
    # up to two roundings on the way from nm
    assert read_image(path).voxel_size == pytest.approx(tuple(1e-6 * h for h in SIZE_UM), rel=1e-14)


def test_hdf5_attribute_of_a_group_above_and_of_one_length_counts(tmp_path):
    path = hdf5(tmp_path / "s.h5", name="scan/labels")
    with h5py.File(path, "a") as file:
        file["scan"].attrs["voxel_size_um"] = 0.5
    found = read_image(path)
    assert found.voxel_size == pytest.approx((0.5e-6,) * 3, rel=1e-14)
    assert found.source == "attribute voxel_size_um of /scan"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "no attribute with the voxel size"),
        ({"spacing": SIZE_UM}, "attribute spacing of /exported_data = 0.5, 0.25, 0.125 states no unit"),
        ({"spacing": SIZE_UM, "units": "pixel"}, "is no length"),
        ({"element_size_um": (0.5, 0.25)}, "neither one length nor three"),
        ({"element_size_um": (0.0, 0.0, 0.0)}, "not positive"),
        ({"element_size_um": (np.nan, 1.0, 1.0)}, "is no length"),
    ],
)
def test_hdf5_voxel_size_that_is_not_fully_stated_is_reported_and_not_used(tmp_path, attributes, said):
    with pytest.raises(GeometryError, match=f"{said}.*voxel_size='0.398 um'"):
        load_electrode(hdf5(tmp_path / "s.h5", **attributes))


def test_result_file_gives_back_its_electrode(tmp_path):
    phase = STACK.copy()
    phase[phase == 2] = 3  # electrolyte, which the default labels do not hold
    path = tmp_path / "run.vtkhdf"
    writer = ResultWriter(
        path,
        phase=phase,
        voxel_size=(0.5e-6, 0.25e-6, 0.125e-6),
        field_specs={},
        timeseries_specs={},
        config={},
        parameters={},
        provenance={},
    )
    writer.finish("finished", {}, {}, {})
    e = load_electrode(path)
    assert np.array_equal(e.phase, phase)
    assert e.voxel_size == (0.5e-6, 0.25e-6, 0.125e-6)


def test_hdf5_with_an_unknown_filter_says_how_to_store_it(tmp_path):
    path = tmp_path / "s.h5"
    with h5py.File(path, "w") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((5, 7, 11))
        creation.set_deflate(1)
        space = h5py.h5s.create_simple((5, 7, 11))
        h5py.h5d.create(file.id, b"image", h5py.h5t.NATIVE_UINT8, space, creation)
        file["image"].id.write_direct_chunk((0, 0, 0), zlib.compress(STACK.tobytes()))
    data = path.read_bytes()
    # message of the filter pipeline, version 1: one filter, id 1 (deflate); turned into 307 (bzip2), not built in
    at = data.index(b"deflate\0") - 8
    assert data[at : at + 2] == b"\x01\x00"
    path.write_bytes(data[:at] + b"\x33\x01" + data[at + 2 :])
    with pytest.raises(GeometryError, match="/image is compressed with filter 307"):
        load_electrode(path, 1e-6)


# --- NumPy


def test_npz_takes_its_only_3d_array_or_the_named_one(tmp_path):
    path = npz(tmp_path / "s.npz", size=np.float64(0.4))
    assert np.array_equal(load_electrode(path, 1e-6).phase, STACK)
    path = npz(tmp_path / "t.npz", other=STACK[::-1])
    with pytest.raises(GeometryError, match=r"one 3D array, got 2 \(it holds image \(5, 7, 11\), other"):
        load_electrode(path, 1e-6)
    assert np.array_equal(load_electrode(path, 1e-6, dataset="other").phase, STACK[::-1])
    with pytest.raises(GeometryError, match="no array 'imag'. Did you mean 'image'"):
        load_electrode(path, 1e-6, dataset="imag")


def test_numpy_files_under_each_others_name_and_objects_are_refused(tmp_path):
    npy(tmp_path / "s.npy").rename(tmp_path / "a.npz")
    with pytest.raises(GeometryError, match="name it .npy"):
        load_electrode(tmp_path / "a.npz", 1e-6)
    npz(tmp_path / "s.npz").rename(tmp_path / "a.npy")
    with pytest.raises(GeometryError, match="name it .npz"):
        load_electrode(tmp_path / "a.npy", 1e-6)
    np.save(tmp_path / "o.npy", np.array([[["a", 1]]], dtype=object))
    with pytest.raises(GeometryError, match="o.npy is not a .npy file"):
        load_electrode(tmp_path / "o.npy", 1e-6)


# --- NRRD and MetaImage


@pytest.mark.parametrize("name", ["s.nrrd", "gz.nrrd", "s.mha", "z.mha", "s.mhd"])
def test_vtk_reads_the_same_values_in_the_same_places(tmp_path, name):
    pyvista = pytest.importorskip("pyvista")
    path = FILES[name][0](tmp_path / name)
    image = pyvista.read(path)
    ours = read_image(path)
    assert np.array_equal(np.asarray(image.active_scalars).reshape(image.dimensions[::-1]), ours.array)
    assert image.spacing == pytest.approx(SIZE_UM[::-1], rel=1e-14)  # x, y, z as written


@pytest.mark.parametrize("compressed", [False, True])
def test_a_metaimage_written_by_vtk_is_read(tmp_path, compressed):
    pyvista = pytest.importorskip("pyvista")
    from vtkmodules.vtkIOImage import vtkMetaImageWriter

    image = pyvista.ImageData(dimensions=STACK.shape[::-1], spacing=SIZE_UM[::-1])
    image.point_data["phase"] = STACK.astype(np.int16).ravel()
    image.set_active_scalars("phase")
    writer = vtkMetaImageWriter()
    writer.SetInputData(image)
    writer.SetFileName(str(tmp_path / "vtk.mhd"))
    writer.SetCompression(compressed)
    writer.Write()
    assert np.array_equal(load_electrode(tmp_path / "vtk.mhd", 1e-6).phase, STACK)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda p: nrrd(p / "s.nrrd", more=""), r"NRRD header is 0.125, 0.25, 0.5 \(x, y, z\) without a unit"),
        (lambda p: nrrd(p / "s.nrrd", more='space units: "voxel" "voxel" "voxel"'), "which is no unit of length"),
        (lambda p: metaimage(p / "s.mha", more=""), r"MetaImage header is 0.125, 0.25, 0.5 \(x, y, z\) without a unit"),
        (lambda p: metaimage(p / "s.mha", more="DistanceUnits = ?"), "without a unit"),
    ],
)
def test_a_spacing_without_unit_is_reported_and_not_used(tmp_path, write, said):
    path = write(tmp_path)
    with pytest.raises(GeometryError, match=rf"{said}.*\(z, y, x\)"):
        load_electrode(path)
    assert load_electrode(path, voxel_size="1 um").voxel_size == (1e-6,) * 3


def test_plain_nrrd_spacings_units_text_and_byte_order(tmp_path):
    path = tmp_path / "s.nrrd"
    head = "NRRD0001\r\ntype: unsigned short\r\ndimension: 3\r\nsizes: 11 7 5\r\nencoding: {}\r\n{}\r\n\r\n"
    units = 'spacings: 125 250 500\r\nunits: "nm" "nm" "nm"'
    text = " ".join(map(str, STACK.ravel()))
    path.write_bytes((head.format("ascii", units) + text).encode())
    assert np.array_equal(load_electrode(path).phase, STACK)
    assert load_electrode(path).voxel_size == SIZE
    data = b"skip" + STACK.astype(">u2").tobytes()
    path.write_bytes(head.format("raw", units + "\r\nendian: big\r\nbyte skip: 4").encode() + data)
    assert np.array_equal(load_electrode(path).phase, STACK)
    path.write_bytes(head.format("raw", units + "\r\nendian: big\r\nbyte skip: -1").encode() + data)
    assert np.array_equal(load_electrode(path).phase, STACK)


def test_big_endian_and_text_metaimage(tmp_path):
    path = metaimage(
        tmp_path / "s.mha", kind="MET_SHORT", data=STACK.astype(">i2").tobytes(), more="ElementByteOrderMSB = True"
    )
    assert np.array_equal(load_electrode(path, 1e-6).phase, STACK)
    path = metaimage(tmp_path / "t.mha", data=" ".join(map(str, STACK.ravel())).encode())
    path.write_bytes(path.read_bytes().replace(b"BinaryData = True", b"BinaryData = False"))
    assert np.array_equal(load_electrode(path, 1e-6).phase, STACK)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda p: nrrd(p / "s.nrrd", np.stack([STACK] * 3, axis=-1)), "colour image"),
        (lambda p: metaimage(p / "s.mha", more="ElementNumberOfChannels = 3"), "colour image"),
        (lambda p: nrrd(p / "s.nrrd", encoding="hex", data=b"00"), "encoding 'hex'"),
        (lambda p: nrrd(p / "s.nrrd", STACK[:0]), "its sizes are"),
        (lambda p: nrrd(p / "s.nrrd", dtype="block"), "lacks or misstates 'block'"),
        (lambda p: nrrd(p / "s.nrrd", data=STACK.tobytes() * 2), "announces 385 bytes, it holds 770"),
        (lambda p: nrrd(p / "s.nhdr", file="s%02d.raw 1 5 1"), "several data files"),
        (lambda p: metaimage(p / "s.mhd", file="LIST"), "several data files"),
    ],
)
def test_headers_that_cannot_be_followed_are_refused(tmp_path, write, said):
    with pytest.raises(GeometryError, match=said):
        load_electrode(write(tmp_path), 1e-6)


def test_a_missing_data_file_is_named(tmp_path):
    path = metaimage(tmp_path / "s.mhd", file="s.raw")
    (tmp_path / "s.raw").unlink()
    with pytest.raises(GeometryError, match="s.mhd names the data file s.raw"):
        load_electrode(path, 1e-6)


# --- folders of slices


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
