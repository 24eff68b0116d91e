"""The sign of a measured current against its voltage, and signs from the cycler's words."""

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.io.measured import read_curve
from simulator.io.measured.sign import check_sign

DATA = Path(__file__).parent / "data"


def cell(current, dt=60.0, capacity=3600.0, resistance=0.05, sto=0.1, noise=0.0):
    """(time, voltage) of a cell whose open-circuit voltage is straight in its charge; `current` > 0 charges."""
    current = np.asarray(current, dtype=float)
    time = dt * np.arange(current.size)
    charge = sto + np.append(0, np.cumsum(current[1:] * dt)) / capacity
    hiss = noise * np.random.default_rng(1).standard_normal(current.size)
    return time, 3.5 + 0.7 * charge + resistance * current + hiss


CASES = {
    "charge": [0] * 5 + [1] * 50 + [0] * 20,
    "discharge": [0] * 5 + [-1] * 5 + [0] * 20,
    "cycle": [1] * 40 + [-1] * 40,
    "cycle with rests": [0] * 9 + [1] * 40 + [0] * 9 + [-0.5] * 80 + [0] * 9,
    "constant voltage after constant current": [*[1] * 30, *np.exp(-np.arange(40) / 10), *[0] * 5],
    "pulses": ([0] * 10 + [1] * 3) * 8,
    "pulses of one row": ([0] * 10 + [1]) * 8,
    "drive cycle": np.random.default_rng(2).normal(-0.2, 1.0, 300),
}


@pytest.mark.parametrize("noise", [0.0, 5e-4])
@pytest.mark.parametrize("name", CASES)
def test_the_right_sign_passes_and_the_wrong_one_asks_for_current_sign(name, noise):
    current = np.asarray(CASES[name], dtype=float)
    time, voltage = cell(current, noise=noise)
    assert check_sign("file", time, voltage, current) is None
    with pytest.raises(ConfigError, match=r"file: where the current .*current_sign='discharge'.*current_sign='charge'"):
        check_sign("file", time, voltage, -current)


def test_rest_offsets_do_not_vote():
    current = np.array([0.0] * 500 + [1.0] * 20 + [0.0] * 500)
    time, voltage = cell(current)
    voltage[520:] -= np.linspace(0, 0.2, 500)  # a long relaxation
    assert check_sign("file", time, voltage, np.where(current == 0, 0.002, current)) is None


@pytest.mark.parametrize("name", ["cycle", "cycle with rests"])
def test_a_file_without_signs_is_recognised(name):
    current = np.asarray(CASES[name], dtype=float)
    time, voltage = cell(current)
    for unsigned in (np.abs(current), -np.abs(current)):
        with pytest.raises(ConfigError, match="one sign throughout.*rises during [3-6]. %.*'from_state'"):
            check_sign("file", time, voltage, unsigned)


def test_what_the_voltage_does_not_tell_is_asked():
    time, current = np.arange(20.0), np.ones(20)
    with pytest.raises(ConfigError, match="does not tell.*current_sign="):
        check_sign("file", time, np.full(20, 4.2), current)
    assert "No current passes" in check_sign("file", time, np.full(20, 4.2), 0 * current)


@pytest.fixture
def maccor(tmp_path):
    """Function that writes a cycle with magnitudes of the current and a state; the true current comes with it."""

    def write(charge="C", discharge="D", rest="R", heading="State"):
        current = np.array([0] * 3 + [1] * 20 + [0] * 3 + [-1] * 20, dtype=float)
        time, voltage = cell(current)
        words = {1: charge, -1: discharge, 0: rest}
        rows = [f"{t},{v},{abs(i)},{words[int(i)]}" for t, v, i in zip(time, voltage, current, strict=True)]
        path = tmp_path / "maccor.csv"
        path.write_text("\n".join([f"Test Time (sec),Voltage,Current,{heading}", *rows]), encoding="utf-8")
        return path, current

    return write


UNITS = {"voltage": "V", "current": "A"}


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"heading": "MD"},
        {"charge": "CC_Chg", "discharge": "CC_DChg", "rest": "Rest", "heading": "Status"},
        {"charge": "CCCV Charge", "discharge": "CC Discharge", "rest": "P", "heading": "Step Type"},
    ],
)
def test_signs_come_from_the_state_only_when_asked(maccor, words):
    path, current = maccor(**words)
    with pytest.raises(ConfigError, match="one sign throughout"):
        read_curve(path, units=UNITS)
    assert read_curve(path, units=UNITS, current_sign="from_state").current.tolist() == current.tolist()


def test_states_that_are_neither_are_refused(maccor):
    path, _ = maccor(discharge="X7")
    with pytest.raises(ConfigError, match=r"line 28: a current of 1 passes in the state 'X7'.*\['C', 'R', 'X7'\]"):
        read_curve(path, units=UNITS, current_sign="from_state")
    path, _ = maccor(heading="Words")
    with pytest.raises(ConfigError, match="no column for the state"):
        read_curve(path, units=UNITS, current_sign="from_state")
    path, current = maccor(heading="Words")
    named = read_curve(path, units=UNITS, current_sign="from_state", columns={"state": "Words"})
    assert named.current.tolist() == current.tolist()


def test_a_given_sign_is_applied_without_a_check(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time_s,voltage_V,current_A\n0,4.0,0\n60,3.9,1\n120,3.8,1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="where it is negative it rises"):
        read_curve(path)
    turned = read_curve(path, current_sign="discharge").current
    assert turned.tolist() == [0, -1, -1] and not np.signbit(turned[0])
    assert read_curve(path, current_sign="charge").current.tolist() == [0, 1, 1]


def test_a_real_file_passes_and_turned_round_is_refused(tmp_path):
    curve = read_curve(DATA / "lgm50t_thinned.csv")
    with pytest.raises(ConfigError, match=r"rises \(9. % of the charge|rises \(100 %"):
        check_sign("file", curve.time, curve.voltage, -curve.current)
