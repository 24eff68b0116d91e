"""Twins: curves of a simulated cell with known parameters, fitted from starts three times off."""

import time

import numpy as np
import pytest

import simulator as sim
from simulator.geometry import Electrode
from simulator.resources import mesh_path
from simulator.workflows.fit.simulation import Simulation

#: Chosen so that all five matter: each changes the curve by 15 to 40 mV for a factor e, all in another way.
TRUTH = {
    "kinetics.j0_ref": 2.0,
    "am.D_s": 8e-15,
    "electrolyte.kappa": 0.05,
    "electrolyte.D_e": 2e-11,
    "electrolyte.t_plus": 0.25,
}
FACTOR = {
    "kinetics.j0_ref": 3.0,
    "am.D_s": 1 / 3,
    "electrolyte.kappa": 3.0,
    "electrolyte.D_e": 3.0,
    "electrolyte.t_plus": 3.0,
}
#: Duration [s] and C-rate: charge, relaxation, a pulse that leaves the linear range of the kinetics, and on.
PARTS = ((1200.0, 0.33), (600.0, 0.0), (60.0, -1.5), (300.0, 0.0), (1200.0, 0.2))
AFTER = (1.0, 20.0, 200.0, 600.0)  # [s] after each change of the current, and at the end of each part
NOISE = 2e-3  # [V]


def cell_of(size, **values):
    """Real particles in a binder that fills the rest, `size`^3 voxels of 1 um."""
    stack = sim.load_electrode(mesh_path("nmc532_film_64.tif"), labels={"pore": 0, "am": 1, "cbd": 2}, voxel_size=1e-6)
    electrode = Electrode(stack.phase[:size, :size, :size], stack.voxel_size)
    return sim.build_cell(electrode, "nmc811_peo_60c", {"separator.layers": 8, "sto_init": 0.8} | values)


def curve_of(cell, truth):
    """The voltage of `cell` with the parameters `truth`, at 22 times."""
    ends = np.cumsum([0.0, *(length for length, _ in PARTS)])
    after = [begin + t for begin, (length, _) in zip(ends, PARTS, strict=False) for t in AFTER if t < length]
    times = np.unique([*ends, *after])
    part = np.minimum(np.searchsorted(ends, times, side="left") - 1, len(PARTS) - 1).clip(0)
    current = np.array([rate for _, rate in PARTS])[part]

    def curve(voltage):
        return sim.MeasuredCurve(times, voltage, current, "C", step=part, source="twin.csv")

    simulation = Simulation(cell, [sim.Experiment(curve(np.full(times.size, 3.7)))], start_values(truth, 1.0))
    voltage, _ = simulation.rows(truth)
    return curve, np.append(voltage[0], voltage)


def start_values(truth, off):
    bounds = {"electrolyte.t_plus": (0.02, 0.9), "contact.fraction": (0.01, 1.0)}
    found = []
    for name, value in truth.items():
        low, high = bounds.get(name, (value / 30, value * 30))
        found.append(sim.FitParameter(name, value * (FACTOR.get(name, 3.0) if off else 1.0), low, high))
    return found


@pytest.fixture(scope="module")
def twin():
    cell = cell_of(32)
    return cell, *curve_of(cell, TRUTH)


def fitted(cell, curve, truth, sigma, **more):
    begin = time.perf_counter()
    found = sim.fit(cell, [sim.Experiment(curve, sigma=sigma)], start_values(truth, True), report=print, **more)
    print(f"{time.perf_counter() - begin:.0f} s\n{found}")
    return found


@pytest.mark.slow
def test_five_parameters_are_found_without_noise(twin):
    cell, curve, voltage = twin
    found = fitted(cell, curve(voltage), TRUTH, 1e-4)
    for name, value in TRUTH.items():
        assert found.values[name] == pytest.approx(value, rel=0.01)


@pytest.mark.slow
def test_five_parameters_lie_in_their_intervals_with_noise(twin):
    cell, curve, voltage = twin
    noise = NOISE * np.random.default_rng(2026).standard_normal(voltage.size)
    found = fitted(cell, curve(voltage + noise), TRUTH, NOISE)
    for name, value in TRUTH.items():
        low, high = found.result.intervals[name]
        assert low < value < high


@pytest.mark.slow
def test_what_cannot_be_told_apart_is_named():
    """Exchange current and contact enter the reaction as their product alone where ions find their way anyhow."""
    truth = {"kinetics.j0_ref": 2.0, "contact.fraction": 0.3, "am.D_s": 3e-14}
    ions = {name: value for name, value in TRUTH.items() if name.startswith("electrolyte")}
    cell = cell_of(12, **ions)
    curve, voltage = curve_of(cell, truth)
    noise = NOISE * np.random.default_rng(2026).standard_normal(voltage.size)
    found = fitted(cell, curve(voltage + noise), truth, NOISE)
    known = found.identifiability()
    assert [set(group.names) for group in known.groups] == [{"kinetics.j0_ref", "contact.fraction"}]
    product = found.values["kinetics.j0_ref"] * found.values["contact.fraction"]
    assert product == pytest.approx(0.6, rel=0.1)
