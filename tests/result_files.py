"""Small result files with known contents."""

import numpy as np

from simulator.io import ResultWriter

SHAPE = (5, 4, 3)  # all different, so that a swapped axis shows
VOXEL = (0.5e-6, 0.398e-6, 0.25e-6)
FIELDS = {"sto": ("1", "Lithium stoichiometry"), "phi_e": ("V", "Electrolyte potential")}
PARAMETERS = {"am": {"density": 4780.0, "sto_window": [0.305, 0.93]}, "temperature": 333.15, "note": "µ"}


def phase_image():
    return np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)


def field(step, name="sto"):
    values = np.random.default_rng([step, len(name)]).random(SHAPE)
    return np.where(phase_image() == 1, values, np.nan)


def new_writer(path, **changes):
    arguments = dict(
        phase=phase_image(),
        voxel_size=VOXEL,
        field_specs=FIELDS,
        config={"cell": "nmc811", "solver": {"rtol": 1e-3, "on": True}},
        parameters=PARAMETERS,
        provenance={"numpy": np.__version__},
        timeseries_specs={"sto_mean": ("1", "Mean stoichiometry")},
        separator_z=np.array([-3e-6, -1e-6]),
    )
    return ResultWriter(path, **{**arguments, **changes})


def row(t, voltage=3.7, **more):
    return {"test_time_second": t, "voltage_volt": voltage, "current_ampere": 1e-9, "step_count": 0, **more}


def write_run(path, steps=3):
    writer = new_writer(path)
    for i in range(steps):
        writer.append_timeseries([row(10.0 * i, 3.7 + i, sto_mean=0.9 - 0.1 * i), row(10.0 * i + 5, 4.2 + i)])
        fields = {name: field(i, name) for name in FIELDS}
        writer.append_fields(10.0 * i, fields, {"phi_e": np.array([i, -i]) * 1e-3})
    return writer


def finished_run(path):
    write_run(path).finish("finished", {"charge": 1e-12}, {"newton": {"mean": 3.5}}, {"capacity": np.float64(2)})
    return path
