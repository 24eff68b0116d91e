"""Tables as CSV: one heading for each column, one line for each row."""

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.io.atomic import replaced


def write_table(path: str | os.PathLike[str], columns: Mapping[str, np.ndarray]) -> Path:
    """Write `columns`, heading with its unit -> (rows,), as CSV and return the path.

    Numbers read back to the same numbers; NaN is an empty cell. **Errors:** ConfigError for columns of different
    lengths, OSError if the file cannot be written.
    """
    path = Path(path)
    lists = {name: np.asarray(values).tolist() for name, values in columns.items()}
    if len({len(values) for values in lists.values()}) > 1:
        raise ConfigError(f"Columns of a table must be equally long: { {n: len(v) for n, v in lists.items()} }.")
    with replaced(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(lists)
        writer.writerows([cell_text(value) for value in row] for row in zip(*lists.values(), strict=True))
    return path


def cell_text(value: float) -> str:
    """A number as text that reads back to it; nothing for NaN."""
    # repr of a float reads back to the same float
    return "" if math.isnan(value) else repr(value)
