"""Evaluations are written beside a run if its protocol has them, and removed if it has not."""

from types import SimpleNamespace

import numpy as np
import pytest

from simulator.workflows.derived import CYCLES, GITT, evaluations, plots, write_tables


def run(currents):
    """A step of 100 s for each current, with two rows."""
    current = np.repeat(np.array(currents, dtype=float), 2)
    step = np.repeat(np.arange(1.0, len(currents) + 1), 2)
    time = np.ravel([[100.0 * k, 100.0 * (k + 1)] for k in range(len(currents))])
    charge = np.cumsum(np.where(np.arange(time.size) % 2, current * 100.0, 0.0))
    volts = 3.6 + 1e-4 * charge + 0.01 * current
    series = {
        "test_time_second": time,
        "voltage_volt": volts,
        "current_ampere": current,
        "step_count": step,
        "charge_coulomb": charge,
        "sto_mean": 0.9 - 1e-4 * charge,
        "ocv_volt": volts,
    }
    return SimpleNamespace(
        timeseries=series, capacity=charge, area=1.0, am_mass=1e-3, particles=None, status="finished"
    )


@pytest.mark.parametrize(
    ("currents", "expected"),
    [
        ([1], []),
        ([0], []),
        ([1, 0], []),
        ([1, 0, -1], [CYCLES]),
        ([1, 0, -1, 0, 1, 0], [CYCLES]),  # cycles with rests are no titration
        ([1, 0, 1, 0], [GITT]),
        ([1, 0, 1, 0, -1, 0, -1, 0], [CYCLES, GITT]),
    ],
)
def test_tables_and_pictures_are_those_that_the_protocol_has(tmp_path, currents, expected):
    for name in ("cycles.csv", "cycles.png", "gitt.csv", "gitt.png", "voltage.png"):
        (tmp_path / name).write_text("of an older run")
    found = run(currents)
    assert evaluations(found) == expected
    write_tables(found, tmp_path)
    for name, plot in plots(found).items():
        plot(tmp_path / f"{name}.png")
    assert {path.name for path in tmp_path.iterdir()} == {
        "voltage.png",
        *(f"{name}{suffix}" for name in expected for suffix in (".csv", ".png")),
    }
    for name in expected:
        assert (tmp_path / f"{name}.csv").read_text().count("\n") > 1
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
