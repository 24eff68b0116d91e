"""Every kind of image file: values, axes and voxel size as stored, and one clear refusal for each defect."""

import zlib

import h5py
import numpy as np
import pytest
import tifffile
from image_files import SIZE, SIZE_UM, STACK, hdf5, metaimage, npy, npz, nrrd

from simulator.errors import GeometryError
from simulator.geometry import load_electrode, read_image
from simulator.geometry.readers import CONTAINERS, READERS
from simulator.io import ResultWriter

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
