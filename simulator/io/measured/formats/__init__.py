"""Files of measurements. A format is one file here and one line in `FORMATS`."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from simulator.errors import ConfigError
from simulator.io.measured.formats import biologic, delimited, neware
from simulator.io.measured.table import RawTable


class Format(NamedTuple):
    """`recognises(path, head)`: whether a file that begins with the bytes `head` is of this kind. `read(path, asked)`:
    its table; `asked`: headings that the caller named."""

    recognises: Callable[[Path, bytes], bool]
    read: Callable[[Path, Collection[str]], RawTable]


#: The first that recognises a file reads it.
FORMATS = (
    Format(neware.recognises, neware.read),
    Format(biologic.recognises, biologic.read),
    Format(delimited.recognises, delimited.read),
)

#: What to do with files that are not read.
_EXPORTS = {
    ".mpr": "In EC-Lab export it as text (.mpt).",
    ".res": "Export it as CSV from Arbin's software.",
    ".xlsx": "Save the sheet as CSV.",
    ".xls": "Save the sheet as CSV.",
    ".parquet": "Save the table as CSV.",
}


def read_table(path: Path, asked: Collection[str] = ()) -> RawTable:
    """The table in a file of any of the `FORMATS`. **Errors:** ConfigError for a missing, unreadable or unknown one."""
    if not path.is_file():
        raise ConfigError(f"The measured curve {str(path)!r} does not exist (working directory {Path.cwd()}).")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        for form in FORMATS:
            if form.recognises(path, head):
                return form.read(path, asked)
    except OSError as error:
        raise ConfigError(f"The measured curve {path} cannot be read ({error}).") from error
    cure = _EXPORTS.get(path.suffix.lower(), "Export it as CSV with units in the headings.")
    raise ConfigError(
        f"The measured curve {path} is of no known kind: CSV or other text with headings, EC-Lab .mpt, Neware .nda or "
        f".ndax. {cure}"
    )
