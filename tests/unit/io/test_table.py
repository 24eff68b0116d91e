"""Tables as CSV."""

import csv

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.io import write_table


def test_numbers_read_back_to_the_last_bit_and_nan_is_empty(tmp_path):
    values = np.array([1 / 3, np.nan, -2e-17])
    path = write_table(tmp_path / "a.csv", {"cycle [-]": np.arange(3), "b, c [V]": values})
    with path.open() as stream:
        head, *rows = csv.reader(stream)
    assert head == ["cycle [-]", "b, c [V]"]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert [float(row[1] or "nan") for row in rows] == pytest.approx(values.tolist(), abs=0, rel=0, nan_ok=True)


def test_columns_of_different_lengths_are_refused_before_a_file_exists(tmp_path):
    with pytest.raises(ConfigError, match="equally long"):
        write_table(tmp_path / "a.csv", {"a": np.zeros(2), "b": np.zeros(3)})
    assert not list(tmp_path.iterdir())
