"""A run that is interrupted and goes on gives the numbers of one that is not, to the last bit."""

import dataclasses
import json

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.model import Checkpoint, SolverOptions, simulate
from simulator.model.checkpoint import fingerprint
from simulator.protocol import ProfileStep

PROTOCOL = ["Charge at C/2 until 3.9 V", "Rest for 5 min", "Discharge at C/2 for 4 min"]
OPTIONS = SolverOptions(dt_init=20.0)


class Memory:
    """Keeps the last checkpoint and every row and saved time."""

    def __init__(self, before=None):
        self.rows, self.times = [], []
        if before is not None:
            rows = len(before.last.arrays["rows"])
            self.rows = before.rows[:rows]
            self.times = before.times[: len(before.last.facts["saved_times"])]
        self.last = None

    def row(self, row):
        self.rows.append(dict(row))

    def fields(self, time, fields, profiles, particles):
        self.times.append(time)

    def read(self, name, index):
        raise AssertionError("nobody asked for a field")

    def step_done(self, checkpoint):
        self.last = checkpoint()

    def stopped(self, checkpoint):
        self.last = checkpoint

    def finish(self, solution):
        pass


def go(cell, recorder, checkpoint=None, stop_after=None, options=OPTIONS, protocol=PROTOCOL):
    done = []

    def callback(progress):
        done.append(progress)
        if len(done) == stop_after:
            raise KeyboardInterrupt

    return simulate(cell, protocol, recorder=recorder, callback=callback, options=options, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def whole(tiny):
    recorder = Memory()
    return go(tiny.cell(), recorder), recorder


@pytest.fixture(scope="module")
def stopped(tiny):
    recorder = Memory()
    assert go(tiny.cell(), recorder, stop_after=5).status == "interrupted"
    return recorder


@pytest.mark.parametrize("every", [1, 3, 8])
def test_interrupted_every_few_steps_it_repeats_every_row_and_saved_time(tiny, whole, every):
    recorder, status = Memory(), "interrupted"
    checkpoint, calls = None, 0
    while status == "interrupted":
        status = go(tiny.cell(), recorder, checkpoint, stop_after=every).status
        calls += 1
        if status == "interrupted":
            checkpoint, recorder = recorder.last, Memory(recorder)
    solution, expected = whole
    assert solution.status == status == "finished"
    assert calls == -(-solution.stats["steps"] // every) + (solution.stats["steps"] % every == 0)
    assert len(recorder.rows) == len(expected.rows)
    for row, other in zip(recorder.rows, expected.rows, strict=True):
        np.testing.assert_equal(row, other)
    assert recorder.times == expected.times


def test_interrupted_anywhere_in_holds_ramps_titrations_and_profiles_it_repeats_every_row(tiny):
    protocol = [
        *(
            "Charge at C/2 for 5 s",
            "Hold at 3.845 V until C/4",
            "Ramp to 3.85 V at 0.1 mV/s",
            "Discharge at C/2 for 5 s",
        ),
        "GITT at C/2 for 30 s, rest 10 s, until 3.86 V",
        *(ProfileStep((0.0, 20.0, 30.0), (0.1, -0.3, 0.2), "C", how) for how in ("linear", "hold")),
    ]
    expected = Memory()
    whole = go(tiny.cell(), expected, protocol=protocol)
    assert whole.status == "finished" and whole.timeseries["cycle_count"][-1] == 2
    recorder, status, checkpoint = Memory(), "interrupted", None
    while status == "interrupted":
        status = go(tiny.cell(), recorder, checkpoint, stop_after=4, protocol=protocol).status
        if status == "interrupted":
            text = json.dumps(recorder.last.facts)  # as it goes through a file
            checkpoint = dataclasses.replace(recorder.last, facts=json.loads(text))
            recorder = Memory(recorder)
    assert status == "finished" and len(recorder.rows) == len(expected.rows)
    for row, other in zip(recorder.rows, expected.rows, strict=True):
        np.testing.assert_equal(row, other)


def test_another_profile_is_another_calculation(tiny):
    rows = (0.0, 60.0, 120.0), (0.1, -0.3, 0.2)
    recorder = Memory()
    go(tiny.cell(), recorder, stop_after=2, protocol=[ProfileStep(*rows, "C", path="a.csv")])
    other = [ProfileStep(rows[0], (0.1, -0.3, 0.3), "C", path="a.csv")]
    with pytest.raises(ConfigError, match="another calculation"):
        go(tiny.cell(), Memory(), recorder.last, protocol=other)
    moved = [ProfileStep(*rows, "C", path="b.csv")]
    assert go(tiny.cell(), Memory(recorder), recorder.last, protocol=moved).status == "finished"


def test_counts_and_ledger_go_on_too(tiny, whole, stopped):
    s = go(tiny.cell(), Memory(stopped), stopped.last)
    counts = ("steps", "rejected_steps", "implicit_solves", "newton_iterations", "krylov_iterations")
    assert {k: s.stats[k] for k in counts} == {k: whole[0].stats[k] for k in counts}
    assert s.ledger == whole[0].ledger
    np.testing.assert_array_equal(s.field_times, whole[0].field_times)


def test_too_few_steps_can_be_followed_by_more(tiny, whole):
    recorder = Memory()
    s = go(tiny.cell(), recorder, options=dataclasses.replace(OPTIONS, max_steps=4))
    assert s.status == "interrupted" and "max_steps = 4" in s.message
    s = go(tiny.cell(), Memory(recorder), recorder.last)
    np.testing.assert_array_equal(s.voltage, whole[0].voltage)


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({"kinetics.j0_ref": 2.0001}, {}),
        ({"sto_init": 0.601}, {}),
        ({"voltage_limits": (1.9, 5.0)}, {}),
        ({}, {"options": SolverOptions(dt_init=20.0, newton_tol=2e-6)}),
        ({}, {"protocol": PROTOCOL[:2]}),
    ],
)
def test_a_checkpoint_of_another_calculation_is_refused(tiny, stopped, values, more):
    with pytest.raises(ConfigError, match="another calculation.*start anew"):
        go(tiny.cell(values), Memory(), stopped.last, **more)


def test_a_current_per_mass_changes_with_the_density(tiny):
    recorder, protocol = Memory(), ["Charge at 20 mA/g for 4 min"]
    go(tiny.cell(), recorder, stop_after=3, protocol=protocol)
    with pytest.raises(ConfigError, match="another calculation"):
        go(tiny.cell({"am.density": 4000.0}), Memory(), recorder.last, protocol=protocol)


def test_plain_functions_count_by_their_code_and_not_by_their_place_in_memory(tiny):
    def marks(function):
        return fingerprint(tiny.cell({"am.ocp": function}).model, ())

    def make(offset):
        return lambda sto, T: 4.0 - sto

    assert marks(make(0)) == marks(make(1))  # two objects, one code
    assert marks(lambda sto, T: 4.0 - sto) != marks(lambda sto, T: 4.1 - sto)


def test_a_changed_voxel_is_another_calculation(tiny, stopped):
    phases = tiny.phases.copy()
    phases[tuple(np.argwhere(phases == 3)[-1])] = 2  # electrolyte to binder
    with pytest.raises(ConfigError, match="another calculation"):
        go(tiny.cell(phases=phases), Memory(), stopped.last)


def test_a_recorder_that_cannot_write_ends_the_run_with_what_it_has(tiny):
    class Full(Memory):
        def step_done(self, checkpoint):
            if len(self.rows) > 4:
                raise OSError(28, "No space left on device")

    s = go(tiny.cell(), Full())
    assert s.status == "interrupted" and "No space left" in s.message
    assert len(s.time) == 5


def test_arrays_are_float64(stopped):
    assert isinstance(stopped.last, Checkpoint)
    assert {a.dtype for a in stopped.last.arrays.values()} == {np.dtype("float64")}
