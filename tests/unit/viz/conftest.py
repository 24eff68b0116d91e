"""A small run with known numbers, written and read through the result file."""

import numpy as np
import pytest

from simulator.io import ResultWriter, read_result

SHAPE = (8, 6, 10)
VOXEL = (0.5e-6, 0.4e-6, 0.25e-6)
X_MIN, X_MAX = 0.3, 0.9
CURRENT = 1e-9  # [A]


@pytest.fixture
def make_run(tmp_path):
    """Charge, rest, discharge; fields at 0, 600, 1200 s. SOC at 1200 s = 0.1 + 0.1 times the layer."""

    def make(name="run.vtkhdf", parameters=None, fields=("sto", "phi_e"), columns=True, status="finished"):
        phase = np.full(SHAPE, 1, np.uint8)
        phase[:, :, 8:] = 2
        phase[:, :, 7] = 0
        specs = {"sto": ("1", "Stoichiometry"), "phi_e": ("V", "Electrolyte potential")}
        writer = ResultWriter(
            tmp_path / name,
            phase=phase,
            voxel_size=VOXEL,
            field_specs={name: specs[name] for name in fields},
            timeseries_specs={f"sto_{k}": ("1", k) for k in ("mean", "min", "max")} if columns else {},
            config={},
            parameters={"am": {"density": 4780.0, "sto_window": [X_MIN, X_MAX]}} if parameters is None else parameters,
            provenance={},
        )
        rows = [(0.0, 0, 0), (600.0, 1, 0), (1200.0, 1, 0), (1800.0, 0, 1), (2400.0, -1, 2), (3000.0, -1, 2)]
        for t, sign, step in rows:
            row = {"test_time_second": t, "voltage_volt": 3.6 + t / 1e4, "current_ampere": sign * CURRENT}
            if columns:
                row |= {"sto_mean": 0.9 - t / 1e4, "sto_min": 0.85 - t / 1e4, "sto_max": 0.95 - t / 1e4}
            writer.append_timeseries({**row, "step_count": step})
        depth = np.arange(SHAPE[0])[:, None, None] * np.ones(SHAPE)
        for t in (0.0, 600.0, 1200.0) if fields else ():
            soc = (0.1 + 0.1 * depth) * t / 1200.0
            values = {
                "sto": np.where(phase == 1, X_MAX - (X_MAX - X_MIN) * soc, np.nan),
                "phi_e": np.where(phase == 2, -1e-3 * depth, np.nan),
            }
            writer.append_fields(t, {name: values[name] for name in fields})
        writer.finish(status, {}, {}, {})
        return read_result(tmp_path / name)

    return make


@pytest.fixture
def run(make_run):
    return make_run()
