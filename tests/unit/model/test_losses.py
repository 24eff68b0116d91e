"""The voltage losses of a cell with every term switched on: they add up, and belong to their cause."""

import numpy as np
import pytest

from simulator.model import SolverOptions, simulate
from simulator.model.losses import LOSSES

PROTOCOL = ["Charge at C/2 for 4 min", "Rest for 2 min", "Discharge at C/2 for 4 min"]


def run(cell):
    return simulate(cell, PROTOCOL, options=SolverOptions(dt_init=20.0))


@pytest.fixture(scope="module")
def base(tiny):
    return run(tiny.cell())


def losses(solution):
    return {name: solution.timeseries[f"loss_{name}_volt"] for name in LOSSES}


def test_losses_add_up_to_what_the_voltage_lacks_to_open_circuit(base):
    series = base.timeseries
    gap = np.abs(series["voltage_volt"] - series["ocv_volt"] - sum(losses(base).values()))
    flowing = series["current_ampere"] != 0
    # The identity is exact; Newton leaves 1e-6 of the current on potentials that differ by some millivolts.
    stepped = flowing & (series["time_step_second"] > 0)
    assert np.max(gap[stepped]) < 2e-8
    # The states at a change of current follow an instant of 1 ms, in which the surfaces move a little.
    assert np.max(gap[flowing]) < 2e-5


def test_no_loss_is_defined_at_rest_but_the_open_circuit_voltage_is(base):
    resting = base.timeseries["current_ampere"] == 0
    assert resting.any()
    assert all(np.isnan(values[resting]).all() for values in losses(base).values())
    assert np.isfinite(base.timeseries["ocv_volt"]).all()


def test_losses_raise_the_voltage_on_charge_and_lower_it_on_discharge(base):
    current = base.timeseries["current_ampere"]
    for name in set(LOSSES) - {"salt", "solid_diffusion"}:  # these two remember the step before
        values = losses(base)[name]
        assert np.all(values[current > 0] > 0) and np.all(values[current < 0] < 0), name


@pytest.mark.parametrize(
    ("name", "value", "grows"),
    [
        ("film.resistance_init", 4e-3, "contact"),
        ("contact.electronic_resistance", 1e-4, "contact"),
        ("kinetics.j0_ref", 0.7, "charge_transfer"),
        ("anode.resistance", 2e-3, "counter_electrode"),
        ("separator.kappa", 0.035, "separator"),
        ("cbd.sigma", 2.0, "electronic"),
    ],
)
def test_a_worse_parameter_raises_the_loss_that_it_belongs_to(tiny, base, name, value, grows):
    worse = losses(run(tiny.cell({name: value})))
    first = 1  # one step into the charge: the same state but for the parameter
    changes = {k: worse[k][first] - losses(base)[k][first] for k in LOSSES}
    assert changes[grows] > 0
    assert changes[grows] >= 0.5 * max(abs(v) for v in changes.values())
