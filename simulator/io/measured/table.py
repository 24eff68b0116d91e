"""What a file of measurements holds before anything is understood: headings and cells."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError


class RawTable(NamedTuple):
    """`columns`: texts or numbers, (rows,) each, under `headings`. `lines`: the line of the file that each row is in,
    (rows,). `comma`: whether texts may have decimal commas. `source`: how messages call the file."""

    source: str
    headings: tuple[str, ...]
    columns: tuple[Sequence[str] | np.ndarray, ...]
    lines: np.ndarray
    comma: bool = False

    def numbers(self, column: int) -> np.ndarray:
        """Column as float64, (rows,); empty cells are NaN. **Errors:** ConfigError for a cell that is no number."""
        cells = self.columns[column]
        if not isinstance(cells, np.ndarray):
            cells = [(cell.replace(",", ".") if self.comma else cell) or "nan" for cell in cells]
        try:
            return np.asarray(cells, dtype=float)
        except (TypeError, ValueError):
            row = next(k for k, cell in enumerate(cells) if not _is_number(cell))
        commas = "" if self.comma else " Decimals need a point where commas separate the columns."
        raise ConfigError(
            f"{self.source}, line {self.lines[row]}: {self.columns[column][row]!r} under {self.headings[column]!r} is "
            f"no number. Correct or delete the row.{commas}"
        )


def _is_number(cell) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
