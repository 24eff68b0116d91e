"""What is said before a run: the start, and whether the salt will last."""

import warnings

import numpy as np
import pytest

from simulator.constants import F
from simulator.errors import ConfigError
from simulator.geometry import Electrode
from simulator.model import build_cell, simulate
from simulator.model.estimate import salt_range, warn_if_salt_runs_out
from simulator.protocol import parse_protocol


def slab(am_layers=0, layers=40, **values):
    """`layers` of electrolyte with one column of active material in four: a dense electrode without tortuosity."""
    phase = np.full((layers, 1, 4), 3)
    phase[:, :, 0] = 1
    electrode = Electrode.from_array(phase, voxel_size=1e-6, labels={"am": 1, "electrolyte": 3})
    return build_cell(electrode, "verification", values)


def test_separator_alone_follows_the_steady_linear_profile():
    # With next to no electrode the salt falls linearly: c = c0 - i (1 - t+) L/(2 F D).
    cell = slab(layers=1)
    i = 2.0
    expected = 1130.0 - i * 0.8 * 50e-6 / (2 * F * 3e-12)
    for sign in (1, -1):
        low, high, _ = salt_range(cell, sign * i * cell.area)
        assert low == pytest.approx(expected, rel=0.05)  # the electrode is 1 of 51 um
        assert high - 1130.0 == pytest.approx(1130.0 - expected, rel=0.1)


def test_salt_of_the_profile_is_conserved():
    cell = slab()
    eps, i = 0.75, 1.0
    falls = 0.8 * i / F * np.array([50e-6 / 3e-12, 40e-6 / (2 * 3e-12 * eps**1.5)])
    for sign in (1, -1):
        low, high, _ = salt_range(cell, sign * i * cell.area)
        assert high - low == pytest.approx(falls.sum(), rel=1e-12)
        # linear in the separator, a parabola in the electrode: their mean is the initial concentration
        end = low if sign < 0 else high  # at the collector
        separator, electrode = end - sign * (falls[1] + falls[0] / 2), end - sign * falls[1] / 3
        mean = (50 * separator + eps * 40 * electrode) / (50 + eps * 40)
        assert mean == pytest.approx(1130.0, rel=1e-12)


def test_a_current_that_the_salt_cannot_carry_is_announced_with_what_it_can():
    cell = slab()
    high = parse_protocol("Discharge at 60 A/m2 for 10 h")
    with pytest.warns(UserWarning, match=r"run out of salt.*60 A/m2.*about [\d.]+ A/m2.*Lower the current"):
        warn_if_salt_runs_out(cell, high)


def test_a_current_that_saturates_the_salt_is_announced_too():
    cell = slab(**{"electrolyte.c_e_max": 1200.0})
    with pytest.warns(UserWarning, match="saturate the salt"):
        warn_if_salt_runs_out(cell, parse_protocol("Charge at 2 A/m2 for 10 h"))


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        ("Discharge at 1 A/m2 for 1 h", {}),
        ("Discharge at 60 A/m2 for 1 s", {}),  # over before the salt has moved
        ("Discharge at 60 A/m2 for 10 h", {"electrolyte.kind": "single_ion"}),
        ("Rest for 10 h", {}),
    ],
)
def test_no_false_alarm(protocol, values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_salt_runs_out(slab(**values), parse_protocol(protocol))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"sto_init": 0.05, "am.sto_window": (0.04, 0.93)}, r"sto_init = 0.05"),
        ({"voltage_limits": (4.0, 4.2)}, r"\[4, 4.2\] V"),
    ],
)
def test_a_start_outside_the_limits_is_refused_before_the_run(values, shown):
    values = {"voltage_limits": (2.0, 4.5), **values}
    with pytest.raises(ConfigError, match=f"The cell starts at.*{shown}"):
        simulate(slab(**values), "Charge at C/10 until 4.2 V")
