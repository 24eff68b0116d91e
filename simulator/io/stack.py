"""Images of labels as TIFF stacks that the readers of this program, and ImageJ, open without being told anything."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.io.atomic import replaced

#: ImageJ files hold less than 4 GB
_IMAGEJ_MOST = 2**32 - 2**25


def write_stack(path: Path, image: NDArray[np.integer], voxel_size: tuple[float, float, float] | None) -> Path:
    """Write labels >= 0 (2D or 3D) as a TIFF that states its voxel size (dz, dy, dx) [m], if that is known.

    The smallest type that holds them, deflate; tags of ImageJ (Fiji), or OME from 4 GB or label 65536 on.

    **Errors:** ConfigError if it cannot be written.
    """
    highest = int(image.max(initial=0))
    small = next((kind for kind in (np.uint8, np.uint16) if highest <= np.iinfo(kind).max), np.uint32)
    image = np.ascontiguousarray(image, dtype=small)
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack"}
    axes = "ZYX"[3 - image.ndim :]
    z, y, x = (1e6 * h for h in voxel_size) if voxel_size is not None else (1.0, 1.0, 1.0)
    if image.nbytes < _IMAGEJ_MOST and image.dtype in (np.uint8, np.uint16):
        tags = {"axes": axes} if voxel_size is None else {"axes": axes, "spacing": z, "unit": "um"}
        resolution = {} if voxel_size is None else {"resolution": (1.0 / x, 1.0 / y)}
        options |= {"imagej": True, "metadata": tags, **resolution}
    else:
        lengths = {} if voxel_size is None else {"PhysicalSizeZ": z, "PhysicalSizeY": y, "PhysicalSizeX": x}
        options |= {"ome": True, "bigtiff": True, "metadata": {"axes": axes, **lengths}}
    try:
        with replaced(path) as temporary, temporary.open("wb") as stream:
            tifffile.imwrite(stream, image, **options)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or choose another output."
        ) from error
    return path
