"""Text files of BioLogic's EC-Lab (.mpt): 'EC-Lab ASCII FILE', 'Nb header lines : N', then a table with tabs.

The last of the header lines holds the headings: 'time/s', 'Ewe/V' or 'Ecell/V', '<I>/mA' or 'I/mA', 'Ns'. The file is
Latin-1; decimal commas follow the settings of the computer. A positive current oxidises the working electrode.
"""

import re
from collections.abc import Collection
from pathlib import Path

from simulator.errors import ConfigError
from simulator.io.measured.formats import delimited
from simulator.io.measured.table import RawTable

_MARKS = (b"EC-Lab ASCII FILE", b"BT-Lab ASCII FILE")


def recognises(path: Path, head: bytes) -> bool:
    """By its first line."""
    return head.lstrip().removeprefix(b"\xef\xbb\xbf").startswith(_MARKS)


def read(path: Path, asked: Collection[str]) -> RawTable:
    """**Errors:** ConfigError for a file without its number of header lines, or that ends before the table."""
    lines = delimited.decoded(path).splitlines()
    count = next((match for line in lines[:5] if (match := re.match(r"Nb header lines\s*:\s*(\d+)", line))), None)
    if count is None or not 2 <= int(count[1]) <= len(lines):
        raise ConfigError(
            f"The measured curve {path} is cut off: an EC-Lab text says 'Nb header lines : N' in its second line and "
            "has more lines than that. Export it again."
        )
    return delimited.table(f"The measured curve {path}", lines, int(count[1]) - 1, "\t")
