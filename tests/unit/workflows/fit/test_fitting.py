"""Fits of a simulated cell: a twin is found again, what is wrong is refused before anything is compiled."""

import json

import numpy as np
import pytest
from tiny import VALUES, VOXEL_SIZE, Tiny, random_phases

import simulator as sim
from simulator.errors import ConfigError, RunStopped
from simulator.workflows.fit.simulation import Simulation

TRUTH = {"kinetics.j0_ref": 2.0, "am.D_s": 3e-15}
TIGHT = {"xtol": 1e-6, "ftol": 1e-9, "ctol": 0.0}
TIME = np.array([0.0, 5.0, 30.0, 120.0, 400.0, 900.0, 901.0, 930.0, 1000.0, 1200.0])
CURRENT = np.where(TIME <= 900.0, 1.0, -0.5)


@pytest.fixture(scope="module")
def cell():
    return Tiny(random_phases(), VOXEL_SIZE, VALUES).cell()


def parameters(**changes):
    given = {"kinetics.j0_ref": (0.7, 0.1, 20.0), "am.D_s": (1e-14, 1e-16, 1e-13)} | changes
    return [sim.FitParameter(name, *numbers) for name, numbers in given.items()]


def curve(voltage, **changes):
    columns = {"time": TIME, "voltage": voltage, "current": CURRENT, "current_unit": "C", "source": "twin.csv"}
    return sim.MeasuredCurve(**(columns | changes))


@pytest.fixture(scope="module")
def twin(cell):
    """The curve of a cell with the true values."""
    flat = curve(np.full(TIME.size, 3.7))
    simulation = Simulation(cell, [sim.Experiment(flat)], parameters())
    voltage, _ = simulation.rows(TRUTH)
    return curve(np.append(3.7, voltage))


@pytest.fixture(scope="module")
def fitted(cell, twin, tmp_path_factory):
    lines, folder = [], tmp_path_factory.mktemp("fit")
    found = sim.fit(
        cell,
        [sim.Experiment(twin, sigma=1e-3)],
        parameters(),
        save_to=folder,
        report=lines.append,
        **TIGHT,
    )
    return found, lines, folder


def test_a_twin_is_found_again_from_starts_three_times_off(fitted):
    found, lines, _ = fitted
    assert found.result.status == "converged"
    for name, value in TRUTH.items():  # noise-free; the derivatives are good to 5e-4, and each step gains as much
        assert found.values[name] == pytest.approx(value, rel=1e-4)
    assert len(lines) == found.result.evaluations and "rms twin" in lines[0]


def test_what_is_saved_is_what_was_found(fitted):
    found, _, folder = fitted
    facts = json.loads((folder / "fit.json").read_text())
    assert facts["parameters"]["am.D_s"]["value"] == found.values["am.D_s"]
    assert facts["identifiability"] and "am.D_s" in (folder / "fit.txt").read_text()
    rows = np.genfromtxt(folder / "curve_twin.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(rows["Test_Time__s"], TIME[1:])
    assert (folder / "fit.png").stat().st_size > 10_000


def test_the_same_call_goes_on_from_what_was_kept(fitted, cell, twin, monkeypatch):
    """Not one run is made again, and the result is the same."""
    found, _, folder = fitted

    def refuse(*args, **kwargs):
        raise AssertionError("a run that was kept is made again")

    monkeypatch.setattr("simulator.workflows.fit.simulation.sensitivities", refuse)
    again = sim.fit(cell, [sim.Experiment(twin, sigma=1e-3)], parameters(), save_to=folder, **TIGHT)
    assert again.values == found.values


def test_what_was_kept_of_another_cell_is_not_taken(fitted, twin, monkeypatch):
    _, _, folder = fitted
    other = Tiny(random_phases(), VOXEL_SIZE, VALUES).cell({"sto_init": 0.55})
    made = []

    def run(*args, **kwargs):
        made.append(args)
        raise RunStopped("made again")

    monkeypatch.setattr("simulator.workflows.fit.simulation.sensitivities", run)
    with pytest.raises(RunStopped, match="made again"):
        sim.fit(other, [sim.Experiment(twin, sigma=1e-3)], parameters(), save_to=folder, **TIGHT)
    assert made


def test_gradient_of_the_adjoint_is_that_of_the_jacobian(cell, twin):
    simulation = Simulation(cell, [sim.Experiment(twin)], parameters())
    values = {p.name: p.start for p in parameters()}
    prediction, jacobian = simulation.rows(values)
    weights = np.random.default_rng(0).standard_normal(prediction.size)
    again, gradient = simulation.pull_back(values, lambda _: weights)
    np.testing.assert_array_equal(again, prediction)
    np.testing.assert_allclose(gradient, jacobian.T @ weights, rtol=1e-3)  # to 1e-5 and 1e-4 of a stage


def test_parameters_of_one_curve_alone(cell, twin):
    """Two curves, each with a stoichiometry of its own and one diffusivity: zero where they do not belong."""
    experiments = [sim.Experiment(twin, label="a"), sim.Experiment(twin, label="b", rows=5)]
    simulation = Simulation(
        cell, experiments, parameters(**{"sto_init@a": (0.6, 0.5, 0.7), "sto_init@b": (0.55, 0.5, 0.7)})
    )
    prediction, jacobian = simulation.rows({**TRUTH, "sto_init@a": 0.6, "sto_init@b": 0.55})
    assert simulation.data.labels == ("a", "b") and prediction.size == 9 + 4
    np.testing.assert_allclose(prediction[:9], twin.voltage[1:], atol=1e-9)
    assert np.all(jacobian[:9, 3] == 0.0) and np.all(jacobian[9:, 2] == 0.0)
    assert np.all(jacobian[:9, 2] < 0.0) and np.all(jacobian[9:, 3] < 0.0)  # U falls with sto


def test_the_next_experiment_is_the_one_that_tells_most(fitted):
    """A rest tells nothing of either parameter."""
    found, *_ = fitted
    ranked = found.next_experiments({"rest": ["Rest for 10 min"], "pulse": ["Charge at 1C for 2 min"]}, points=3)
    assert [r.name for r in ranked] == ["pulse", "rest"]
    assert ranked[0].gain > 0.0 and ranked[1].gain == pytest.approx(0.0, abs=1e-3)


def refused(cell, message, measured, given=None, **experiment):
    with pytest.raises(ConfigError, match=message):
        sim.fit(cell, [sim.Experiment(measured, **experiment)], parameters() if given is None else given)


def test_wrong_problems_are_refused(cell, twin):
    flat = twin.voltage
    refused(cell, "current of twin is that of a whole cell", curve(flat, current_unit="A"))
    refused(cell, "outside the safety limits", curve(flat + 2.0))
    refused(cell, "charge has taken the active material from sto", curve(flat, current=10.0 * CURRENT))
    refused(cell, "Did you mean 'kinetics.j0_ref'", twin, [sim.FitParameter("kinetics.j0ref", 1.0, 0.1, 10.0)])
    refused(cell, "the measured one and cannot be fitted", twin, [sim.FitParameter("protocol.1.value", 1.0, 0.5, 2.0)])
    refused(cell, "cannot be fitted .lower", twin, [sim.FitParameter("contact.fraction", 0.5, -0.1, 1.0)])
    refused(cell, "no experiment is called 'tvin'", twin, [sim.FitParameter("sto_init@tvin", 0.6, 0.5, 0.7)])
    refused(cell, "given twice", twin, parameters(**{"am.D_s@twin": (1e-14, 1e-15, 1e-13)}))
    refused(cell, "given twice", twin, values={"am.D_s": 1e-14})
    with pytest.raises(ConfigError, match="name of several"):
        sim.fit(cell, [sim.Experiment(twin)] * 2, parameters())
    with pytest.raises(ConfigError, match="experiments is empty"):
        sim.fit(cell, [], parameters())
    with pytest.raises(ConfigError, match="some experiments and not for others"):
        sim.fit(cell, [sim.Experiment(twin, sigma=1e-3, label="a"), sim.Experiment(twin, label="b")], parameters())


def test_another_temperature_warns(cell, twin):
    warm = curve(twin.voltage, temperature=np.full(TIME.size, 298.15))
    with pytest.warns(UserWarning, match="measured at 25.0 degC, the cell is at"):
        Simulation(cell, [sim.Experiment(warm)], parameters())


def test_a_start_that_stops_says_where(twin):
    """With slow kinetics the voltage leaves the safety limits."""
    narrow = {"voltage_limits": (2.0, float(np.max(twin.voltage)) + 0.02)}
    cell = Tiny(random_phases(), VOXEL_SIZE, VALUES).cell(narrow)
    slow = [sim.FitParameter("kinetics.j0_ref", 0.1, 0.05, 10.0)]
    with pytest.raises(RunStopped, match="start values .* stops before the end of the data: twin: "):
        sim.fit(cell, [sim.Experiment(twin)], slow)
