"""The sulfide set as a whole cell on a piece of the shipped electrode."""

import pytest

from simulator.geometry import load_electrode
from simulator.model import build_cell, simulate

LABELS = {"electrolyte": 0, "am": 1, "cbd": 2}


@pytest.fixture(scope="module")
def cell(tiny_stack):
    return build_cell(load_electrode(tiny_stack, labels=LABELS), "nmc811_lpscl_25c")


def test_rest_voltage_is_the_open_circuit_potential_less_that_of_indium(cell):
    fields = cell.initial_fields()
    # Open circuit at sto 0.93: 3.54393 V vs Li
    assert float(fields[0].max()) == pytest.approx(3.54393 - 0.62, abs=5e-6)
    assert not cell.model.binary


@pytest.mark.slow
def test_charge_to_a_limit_against_lithium_ends_there_with_closed_balances(cell):
    solution = simulate(cell, "Charge at C/10 until 4.2 V vs Li")
    assert solution.status == "finished"
    assert solution.voltage[-1] == pytest.approx(4.2 - 0.62, abs=1e-4)  # limits are located to 0.1 mV
    # Each stage closes its sums to 1e-10 of the current.
    assert max(solution.ledger.values()) <= 1e-9
    # Open circuit at 4.2 V leaves 172 mAh/g; the losses of C/10 cost some of it.
    assert 150 < solution.specific_capacity[-1] < 172
