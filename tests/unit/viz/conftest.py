"""A small run with known numbers, written and read through the result file."""

import dataclasses
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from simulator.io import ResultWriter, read_result

SHAPE = (8, 6, 10)
VOXEL = (0.5e-6, 0.4e-6, 0.25e-6)
X_MIN, X_MAX = 0.3, 0.9
CURRENT = 1e-9  # [A]
#: [V] while current flows, positive on charge; the salt gives back
LOSSES = {"charge_transfer": 0.030, "ionic": 0.020, "separator": 0.010, "salt": -0.005, "contact": 0.0}
SPECS = {
    "sto": ("1", "Stoichiometry"),
    "phi_e": ("V", "Electrolyte potential"),
    "phi_s": ("V", "Electronic potential"),
    "c_e": ("mol m^-3", "Salt concentration"),
    "j": ("A m^-2", "Interfacial current density"),
    "film": ("m", "Film thickness"),
    "film_thickness": ("m", "Film thickness"),
    "decomposed_charge": ("C m^-2", "Decomposed charge"),
}


@pytest.fixture
def make_run(tmp_path):
    """Charge, rest, discharge; fields at 0, 600, 1200 s. SOC at 1200 s = 0.1 + 0.1 times the layer."""

    def make(
        name="run.vtkhdf", parameters=None, fields=("sto", "phi_e"), columns=True, status="finished", losses=False
    ):
        phase = np.full(SHAPE, 1, np.uint8)
        phase[:, :, 8:] = 2
        phase[:, :, 7] = 0
        series = {f"sto_{k}": ("1", k) for k in ("mean", "min", "max")} if columns else {}
        if losses:
            series |= {"ocv_volt": ("V", "OCV")} | {f"loss_{k}_volt": ("V", k) for k in LOSSES}
        writer = ResultWriter(
            tmp_path / name,
            phase=phase,
            voxel_size=VOXEL,
            field_specs={name: SPECS[name] for name in fields},
            timeseries_specs=series,
            config={},
            parameters={"am": {"density": 4780.0, "sto_window": [X_MIN, X_MAX]}} if parameters is None else parameters,
            provenance={},
        )
        rows = [(0.0, 0, 0), (600.0, 1, 0), (1200.0, 1, 0), (1800.0, 0, 1), (2400.0, -1, 2), (3000.0, -1, 2)]
        for t, sign, step in rows:
            row = {"test_time_second": t, "voltage_volt": 3.6 + t / 1e4, "current_ampere": sign * CURRENT}
            if columns:
                row |= {"sto_mean": 0.9 - t / 1e4, "sto_min": 0.85 - t / 1e4, "sto_max": 0.95 - t / 1e4}
            if losses:
                row |= {f"loss_{k}_volt": sign * v if sign else np.nan for k, v in LOSSES.items()}
                row["ocv_volt"] = row["voltage_volt"] - sign * sum(LOSSES.values())
            writer.append_timeseries({**row, "step_count": step})
        depth = np.arange(SHAPE[0])[:, None, None] * np.ones(SHAPE)
        for t in (0.0, 600.0, 1200.0) if fields else ():
            soc = (0.1 + 0.1 * depth) * t / 1200.0
            values = {
                "sto": np.where(phase == 1, X_MAX - (X_MAX - X_MIN) * soc, np.nan),
                "phi_e": np.where(phase == 2, -1e-3 * depth, np.nan),
                # 3.9 V at the collector, 2 mV less in each layer before it
                "phi_s": np.where(phase != 0, 3.9 - 2e-3 * (SHAPE[0] - 1 - depth), np.nan),
                "c_e": np.where(phase == 2, 1000.0 + 10.0 * depth, np.nan),
                # only in the voxels beside the pore: x = 6
                "j": np.where(
                    (np.arange(SHAPE[2]) == 6) & (phase == 1), (0.1 + 0.1 * depth) * (t / 600.0 - 1.0), np.nan
                ),
                "film": np.where(phase == 1, 1e-9 * (1.0 + depth), np.nan),
                "film_thickness": np.where(np.arange(SHAPE[2]) == 6, 1e-9 * (1.0 + depth), np.nan),
                "decomposed_charge": np.where(np.arange(SHAPE[2]) == 6, 2.0 * (1.0 + depth), np.nan),
            }
            writer.append_fields(t, {name: values[name] for name in fields})
        writer.finish(status, {}, {}, {})
        return read_result(tmp_path / name)

    return make


@pytest.fixture
def run(make_run):
    return make_run()


@pytest.fixture
def with_particles():
    """The run with a stand-in for the histories of four particles; the last is cut by the image."""

    def add(run):
        count = run.field_times.size
        # sto falls from X_MAX by 0.1 ... 0.4 times the share of the time
        share = np.linspace(0.0, 1.0, count)[:, None]
        particles = SimpleNamespace(
            volume=np.array([1.0, 2.0, 3.0, 4.0]) * 1e-18,
            diameter=np.array([1.2, 1.6, 1.8, 2.0]) * 1e-6,
            coverage=np.array([0.1, 0.4, 0.7, 1.0]),
            boundary=np.array([False, False, False, True]),
            sto=X_MAX - share * np.array([0.1, 0.2, 0.3, 0.4]),
            current=np.zeros((count, 4)),
            active_coverage=np.tile([0.1, 0.4, 0.7, 1.0], (count, 1)),
        )
        return dataclasses.replace(run, particles=particles)

    return add


@pytest.fixture
def drawn(monkeypatch):
    """Figures that were saved, to look into."""
    kept = []
    save = Figure.savefig

    def keep(figure, *arguments, **options):
        kept.append(figure)
        return save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


@pytest.fixture
def picture():
    """Reads a picture (rows, columns, 3) and refuses an empty one."""

    def read(path):
        image = matplotlib.image.imread(path)[..., :3]
        assert image.std() > 0.01  # an empty page has one colour
        return image

    return read
