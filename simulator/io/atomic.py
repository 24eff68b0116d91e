"""Files that are whole at any moment: written beside their place, synced, and moved into it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

SPARE = 1 << 20  # [B] for metadata and texts, beside the arrays that are counted


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place, synced to disk, when the block ends well.

    However the process ends, `path` holds its old content or the new one, never a part. **Errors:** OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb") as done:
            os.fsync(done.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def as_os_error(path: Path) -> Iterator[None]:
    """What h5py raises on a full or failing disk, as one OSError: it is a RuntimeError or has no errno at times."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = str(error)
        full = f"errno = {errno.ENOSPC}" in text
        raise OSError(*(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else (errno.EIO, text), str(path)) from error


def reserve(path: Path, size: int) -> None:
    """Make the HDF5 file `path` at least `size` + `SPARE` bytes long, on the disk and not only in name.

    HDF5 does not survive a write that fails: it ends the process. So the room is taken before it writes; it cuts the
    file to its true length when it closes it. **Errors:** OSError (disk full, quota, limit on the size of files).
    """
    with path.open("ab") as stream:
        os.posix_fallocate(stream.fileno(), 0, size + SPARE)


def new_file(path: Path, size: int) -> None:
    """An empty HDF5 file with room for `size` bytes. **Errors:** OSError."""
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, SPARE)  # before HDF5 writes its first bytes
    with h5py.File(path, "w"):
        pass
    reserve(path, size)
