"""Small results on disk, for the commands that read them."""

import numpy as np
import pytest

from simulator.io import ResultWriter

SHAPE = (4, 5, 6)


@pytest.fixture
def make_result(tmp_path):
    """Writes a run folder with a charge of one hour, and returns it."""

    def make(name="demo", *, status="finished", kappa=0.05, steps=("Charge at C/10 until 4.2 V",), rows=True):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        phase = np.full(SHAPE, 1, np.uint8)
        phase[:, :, 4:] = 2
        losses = {"ionic": 1e-3 / kappa, "charge_transfer": 0.03}
        writer = ResultWriter(
            folder / "run.vtkhdf",
            phase=phase,
            voxel_size=(4e-7, 4e-7, 4e-7),
            field_specs={"sto": ("1", "Stoichiometry"), "phi_e": ("V", "Electrolyte potential")},
            config={
                "geometry": {"path": "stack <a&b>.tif"},
                "cell": {"parameter_set": "nmc811_peo_60c", "overrides": {"electrolyte.kappa": kappa}},
                "protocol": {"steps": list(steps)},
                "output": {"dir": name},
            },
            parameters={
                "am.density": 4780.0,
                "am.sto_window": [0.3, 0.9],
                "electrolyte.kappa": kappa,
                "electrolyte.t_plus": "Constant(\n  value=f64[]\n)",
                "sources": {"am.density": "[kg/m3] crystal <density>", "am.sto_window": "[-] chosen"},
                "derived": {
                    "am_mass_kg": 2e-14,
                    "theoretical_capacity_C": 1e-8,
                    "live_share": 0.9,
                    "isolated_share": {"no electronic path": 0.01},
                },
            },
            provenance={"voxelyte": "1.2.3"},
            timeseries_specs={"sto_mean": ("1", "mean"), "ocv_volt": ("V", "OCV")}
            | {f"loss_{cause}_volt": ("V", cause) for cause in losses},
        )
        for t in (0.0, 1800.0, 3600.0) if rows else ():
            row = {"test_time_second": t, "voltage_volt": 3.6 + t / 1e4, "current_ampere": 1e-12, "step_count": 0}
            row |= {"sto_mean": 0.9 - t / 1e4, "ocv_volt": row["voltage_volt"] - sum(losses.values())}
            writer.append_timeseries(row | {f"loss_{cause}_volt": value for cause, value in losses.items()})
            soc = np.linspace(0.0, 1.0, 4)[:, None, None] * np.ones(SHAPE) * t / 3600.0
            sto = np.where(phase == 1, 0.9 - 0.6 * soc, np.nan)
            writer.append_fields(t, {"sto": sto, "phi_e": np.where(phase == 2, 1e-3 * soc, np.nan)})
        if status != "running":
            writer.finish(
                status,
                {"charge": 1e-12, "lithium": 2e-11},
                {"steps": 3, "wall_s": 1.5},
                {"message": "It ended <so>." if status != "finished" else "", "resistance of step 1 [ohm cm2]": 42.0},
            )
        return folder

    return make


@pytest.fixture
def no_opengl(monkeypatch):
    """3D pictures are replaced by slices, which are drawn faster."""
    from simulator.viz import movie, scene

    for module in (scene, movie):
        monkeypatch.setattr(module, "can_render", lambda: (False, "No OpenGL in this test."))
