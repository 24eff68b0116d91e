"""From an image file to an `Electrode`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.errors import GeometryError
from simulator.geometry.electrode import Electrode, VoxelSize
from simulator.geometry.labels import DEFAULT_LABELS, check_image
from simulator.geometry.readers import RawImage, read_image


def load_electrode(
    path: str | os.PathLike[str],
    voxel_size: VoxelSize | None = None,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    thickness_axis: int = 0,
    separator_side: str = "start",
    dataset: str | None = None,
) -> Electrode:
    """Electrode from a segmented 3D image.

    Read are, by their suffix: TIFF stacks (.tif, .tiff, ImageJ and OME included); a folder of TIFF or PNG slices, in
    the natural order of their names; HDF5 (.h5, .hdf5, .hdf, .nxs) and result files of this program (.vtkhdf);
    NumPy (.npy, .npz); NRRD (.nrrd, .nhdr); MetaImage (.mha, .mhd).

    A voxel size is taken from the file only if it states all three lengths and their unit: the tags of ImageJ, OME
    metadata, HDF5 attributes such as `element_size_um`, NRRD with `space units`, MetaImage with `DistanceUnits`.
    A spacing without a unit (MetaImage means millimetres by convention, microscopes often micrometres) is reported
    and not used: `voxel_size` must then be given.

    **Arguments:** `voxel_size`: one length or three in the order of the array's axes, metres or with a unit
    ('0.398 um'); None takes it from the file. That order is (page, row, column) for stacks and slices, the
    dataset's for HDF5 and NumPy, and (z, y, x) for NRRD and MetaImage. `labels`: as in `Electrode.from_array`, which
    explains the rest too; None means {'pore': 0, 'am': 1, 'cbd': 2}, and for a result file its own codes.
    `dataset`: name of the array in an HDF5 or .npz file; None takes its only 3D one.

    **Returns:** `Electrode`, named after the file.

    **Errors:** `GeometryError` if the file is missing, of an unknown kind, damaged, compressed in a way that needs
    the `image` extra, in colour, not one 3D image, or holds no voxel size and none is given; and those of
    `from_array`.
    """
    return to_electrode(read_image(Path(path), dataset), path, voxel_size, labels, thickness_axis, separator_side)


def to_electrode(
    image: RawImage,
    path: str | os.PathLike[str],
    voxel_size: VoxelSize | None = None,
    labels: Mapping[str, int | Sequence[int]] | None = None,
    thickness_axis: int = 0,
    separator_side: str = "start",
) -> Electrode:
    """The electrode in an image that has been read; arguments and errors as in `load_electrode`."""
    if voxel_size is None:
        check_image(image.array)  # what is no image of labels needs no voxel size
        if isinstance(image.voxel_size, str):
            raise GeometryError(
                f"{path}: {image.voxel_size} Give it, such as voxel_size='0.398 um' (on the command line "
                f"'geometry.voxel_size=0.398 um'), or three lengths in the file's "
                f"axis order ({', '.join(image.axes)})."
            )
        voxel_size = image.voxel_size
    return Electrode.from_array(
        image.array,
        voxel_size=voxel_size,
        labels=labels if labels is not None else image.labels or DEFAULT_LABELS,
        thickness_axis=thickness_axis,
        separator_side=separator_side,
        particle=image.particle,
        name=Path(path).stem,
    )
