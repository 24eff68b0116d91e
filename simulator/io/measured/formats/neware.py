"""Binary files of Neware cyclers (.nda, .ndax), through the optional library fastnda.

Its columns carry their units: 'total_time_s', 'voltage_V', 'current_mA' (positive charges), 'step_count', 'step_type',
'aux1_temperature_degC'. https://github.com/empaeconversion/fastnda
"""

import os
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.io.measured.table import RawTable


def recognises(path: Path, head: bytes) -> bool:
    """By its name: the library asks for it too."""
    return path.suffix.lower() in (".nda", ".ndax")


def read(path: Path, asked: Collection[str]) -> RawTable:
    """**Errors:** ConfigError without the library, or for a file that it cannot read."""
    try:
        import fastnda
    except ImportError as error:
        raise ConfigError(
            f"The measured curve {path} is a file of a Neware cycler and needs fastnda: pip install 'voxelyte[cycler]' "
            "(or fastnda), or export it as CSV."
        ) from error
    # fastnda puts functions of another library into Python's own zlib, for the whole program; it does without
    usual = zlib.decompress, zlib.decompressobj
    try:
        frame = fastnda.read(os.fspath(path))
    # whatever a damaged file does to a parser of binary data: zip, struct, index and key errors have no common class
    except Exception as error:
        raise ConfigError(
            f"The measured curve {path} cannot be read as a Neware file ({type(error).__name__}: {error}). Export it "
            "as CSV."
        ) from error
    finally:
        zlib.decompress, zlib.decompressobj = usual
    columns = tuple(_cells(frame[name].to_numpy()) for name in frame.columns)
    return RawTable(f"The measured curve {path}", tuple(frame.columns), columns, np.arange(1, len(frame) + 1))


def _cells(values: np.ndarray) -> np.ndarray | tuple[str, ...]:
    """Numbers as they are; names of step types as texts."""
    return values if values.dtype.kind in "iufb" else tuple(map(str, values))
