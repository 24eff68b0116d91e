"""The ledger of lost capacity adds up, and each entry is the one that was put in."""

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.workflows.capacity_losses import CapacityLosses, capacity_losses

Q0, WINDOW, ISOLATED = 10.0, (0.3, 0.9), 0.1  # [C]
PER_STO = Q0 * (1 - ISOLATED) / 0.6  # of the reacting material


def ocv(sto):
    return 4.5 - sto  # [V]


def half(sign, begin, end, eta, side=0.0, salt=None):
    """A charge (+1) or discharge (-1) of the mean stoichiometry from `begin` to `end`, then a rest."""
    passed = PER_STO * (begin - end) + side  # [C], signed
    n = 5
    share = np.append(np.linspace(0.0, 1.0, n), 1.0)
    sto = begin + share * (end - begin)
    series = {
        "current_ampere": np.append(np.full(n, sign * 1e-3), 0.0),
        "sto_mean": sto,
        "voltage_volt": ocv(sto) + np.append(np.full(n, sign * eta), 0.0),
        "charge_coulomb": 7.0 + share * passed,
        "loss_ionic_volt": np.append(np.full(n, sign * eta * (1 - (salt or 0.0))), np.nan),
    }
    if salt is not None:
        series["loss_salt_volt"] = np.append(np.full(n, sign * eta * salt), np.nan)
    if side:  # all that oxidises takes charge: on the active material, once there, and on carbon
        parts = {"decomposed_coulomb": 0.5, "burst_coulomb": 0.3, "carbon_coulomb": 0.2}
        series |= {name: 3.0 + share * part * side for name, part in parts.items()}
    return series


def ledger(series, **more):
    return capacity_losses(
        series, **({"theoretical_capacity": Q0, "sto_window": WINDOW, "ocv": ocv, "isolated_share": ISOLATED} | more)
    )


@pytest.mark.parametrize(
    ("series", "parts"),
    [
        # to 3.6 V at sto 0.9 exactly: only what is isolated is missing
        (half(-1, 0.3, 0.9, eta=0.0), {}),
        # 0.1 V of overpotential ends the discharge 0.1 of sto too early; it began 0.05 too late
        (half(-1, 0.35, 0.8, eta=0.1), {"start": 0.05, "polarisation": 0.1}),
        (half(-1, 0.3, 0.8, eta=0.1, salt=0.25), {"polarisation": 0.075, "salt": 0.025}),
        # the cut-off of 3.7 V lies 0.1 of sto inside the window
        (half(-1, 0.3, 0.75, eta=0.05), {"window": 0.1, "polarisation": 0.05}),
        # charge: the same from the other end, cut-off 4.2 V at sto 0.3
        (half(1, 0.88, 0.4, eta=0.1), {"start": 0.02, "polarisation": 0.1}),
        # a salt that gives voltage back takes no part in the loss
        (half(1, 0.9, 0.4, eta=0.1, salt=-0.5), {"polarisation": 0.1}),
        # charge of side reactions lacks on discharge and comes on top on charge
        (half(-1, 0.3, 0.9, eta=0.0, side=0.6), {"side_reaction": 0.6 / PER_STO}),
        (half(1, 0.9, 0.3, eta=0.0, side=0.6), {"side_reaction": -0.6 / PER_STO}),
    ],
)
def test_each_entry_is_found_and_all_add_up(series, parts):
    found = ledger(series)
    # 1e-9: the root of the open-circuit voltage is found to 1e-12 of sto
    expected = {name: PER_STO * parts.get(name, 0.0) for name in CapacityLosses._fields[3:]}
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, abs=1e-9)
    assert found.isolated == pytest.approx(1.0)
    assert sum(found[2:]) == pytest.approx(found.theoretical - found.delivered, abs=1e-12)


def test_a_run_that_ended_for_lack_of_salt_lost_it_to_the_salt():
    found = ledger(half(-1, 0.3, 0.8, eta=0.1, salt=0.25), salt_limited=True)
    assert found.polarisation == 0.0
    assert found.salt == pytest.approx(0.1 * PER_STO)


def test_a_cut_off_beyond_every_open_circuit_voltage_reaches_the_end_of_the_stoichiometry():
    # 2.8 V: nothing holds the reaction before sto = 1, 0.1 beyond the window
    found = ledger(half(-1, 0.3, 0.8, eta=0.1), cutoff=2.8)
    assert found.window == pytest.approx(-0.1 * PER_STO)
    assert found.polarisation == pytest.approx(0.2 * PER_STO)
    above = ledger(half(1, 0.9, 0.4, eta=0.1), cutoff=5.0)
    assert above.window == pytest.approx(-0.3 * PER_STO)


def test_wrong_facts_of_the_cell_show_in_the_remainder():
    found = ledger(half(-1, 0.3, 0.8, eta=0.1), isolated_share=0.2)
    assert abs(found.remainder) > 0.05 * Q0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sto_window": (0.9, 0.3)}, "sto_window"),
        ({"theoretical_capacity": 0.0}, "above 0 C"),
        ({"theoretical_capacity": float("nan")}, "above 0 C"),
        ({"isolated_share": 5.0}, "not per cent"),
    ],
)
def test_impossible_facts_are_refused(more, message):
    with pytest.raises(ConfigError, match=message):
        ledger(half(-1, 0.3, 0.8, eta=0.1), **more)


def test_rows_of_more_or_less_than_one_half_are_refused():
    series = half(-1, 0.3, 0.8, eta=0.1)
    both = {name: np.concatenate([values, values]) for name, values in series.items()}
    both["current_ampere"][6:] *= -1
    with pytest.raises(ConfigError, match="found 2"):
        ledger(both)
    series["current_ampere"] = np.zeros(6)
    with pytest.raises(ConfigError, match="found 0"):
        ledger(series)
