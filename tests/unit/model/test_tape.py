"""What a run keeps for its gradient: in memory, on disk, or states from which the rest is computed again."""

import errno
import gc
import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.errors import ConfigError, RunStopped
from simulator.model.derivatives import FieldAt, MeanSto, TimeAt, VoltageAt, evaluate, sensitivities
from simulator.model.derivatives import keeping as keeping_module
from simulator.model.derivatives.checkpoints import Checkpoints, ahead, beta, steps_taken
from simulator.model.derivatives.differentiate import prepare, pull_back, push_forward, read, record
from simulator.model.derivatives.keeping import Keeping
from simulator.model.derivatives.refinement import TOLERANCE
from simulator.model.options import SolverOptions
from simulator.model.residual import SideStates
from simulator.model.stages import Arrays, OnDisk, Place, size_of
from simulator.model.timestep import State

STEPS = ["Charge at C/2 for 1 min", "Hold at 3.85 V until C/5"]
OUTPUTS = [VoltageAt([30.0]), TimeAt(2), MeanSto(30.0), FieldAt(name="sto")]


class Case:
    """A run of the tiny cell, kept in several ways, and its gradient."""

    def __init__(self, cell):
        self.cell = cell
        self.params = {"kinetics.j0_ref": jnp.asarray(2.0), "protocol.2.current_limit": jnp.asarray(0.1)}
        self.problem, self.leaves = self.prepared(self.params)
        self.tape = record(self.problem, self.leaves)
        self.values = read(self.problem, self.tape, self.leaves)
        self.gradient = self.of(self.tape)
        self.size = self.tape.kept.memory.size

    def prepared(self, params):
        options = SolverOptions()
        return prepare(params, self.cell, STEPS, OUTPUTS, rtol=1e-2, options=options, adjoint_rtol=TOLERANCE)

    def leaves_of(self, params):
        return self.prepared(params)[1]

    def of(self, tape):
        """Everything that a sweep backwards gives, for all outputs at once."""
        bars = tuple(jnp.ones_like(value) for value in self.values)
        return jax.tree.leaves(pull_back(self.problem, tape, self.leaves, bars))

    def kept(self, **how):
        """A tape kept in another way, with the same values."""
        tape = record(self.problem, self.leaves, Keeping(**how))
        for here, there in zip(read(self.problem, tape, self.leaves), self.values, strict=True):
            np.testing.assert_array_equal(here, there)
        return tape

    def same(self, gradient):
        for here, there in zip(gradient, self.gradient, strict=True):
            np.testing.assert_array_equal(here, there)


@pytest.fixture(scope="module")
def case(tiny):
    return Case(tiny.cell())


def test_gradient_from_disk_is_the_same_to_the_last_bit(case, tmp_path):
    tape = case.kept(limit=0.4 * case.size, folder=tmp_path)
    assert 0 < tape.kept.count < len(tape.entries) and tape.kept.rest.size > 0.5 * case.size
    case.same(case.of(tape))


@pytest.mark.parametrize("how", [{"checkpoints": 2}, {"limit": 0.4}])
def test_gradient_from_computed_stages_is_the_same_to_the_last_bit(case, how):
    tape = case.kept(**{name: value * (case.size if name == "limit" else 1) for name, value in how.items()})
    assert (tape.kept.count > 0) == ("limit" in how)
    case.same(case.of(tape))
    assert 0 < tape.kept.rest.largest <= tape.kept.rest.most
    if "limit" not in how:
        case.same(case.of(tape))  # a second one, for which no states are left


@pytest.mark.slow
def test_so_it_is_with_every_side_reaction(tiny, tmp_path):
    case = Case(tiny.oxidising())
    for how in ({"limit": 0.0, "folder": tmp_path}, {"checkpoints": 2}):
        case.same(case.of(case.kept(**how)))


def test_a_run_that_fits_is_kept_in_memory_alone(case):
    assert case.tape.kept.rest is None and case.tape.kept.count == len(case.tape.entries)


def test_sensitivities_are_the_same_if_nothing_is_kept(case):
    values, rows = sensitivities(case.params, case.cell, STEPS, OUTPUTS, rtol=1e-2, tape_limit=0.0)
    directions = [{name: float(name == only) for name in sorted(case.params)} for only in sorted(case.params)]
    moved = [
        jax.jvp(case.leaves_of, (case.params,), ({n: jnp.asarray(v) for n, v in d.items()},))[1] for d in directions
    ]
    expected = push_forward(case.problem, case.tape, case.leaves, moved)
    for here, there in zip((*values, *rows), (*case.values, *expected), strict=True):
        np.testing.assert_array_equal(here, there)


# -- schedule ----------------------------------------------------------------------------------------------------------


def test_the_schedule_is_the_best_there_is():
    best = {(1, s): 0 for s in range(1, 7)}
    for entries, s in itertools.product(range(2, 60), range(1, 7)):
        if s == 1:
            best[entries, s] = entries * (entries - 1) // 2
        else:
            ways = [i + best[entries - i, s - 1] + best[i, s] for i in range(1, entries)]
            best[entries, s] = min(ways)
            assert ways[ahead(entries, s) - 1] == best[entries, s]
        assert steps_taken(entries, s) == best[entries, s]
    assert beta(3, 2) == 10 and steps_taken(10, 3) == 15


class Counting:
    """Entries that are numbers: taking entry k from the state k gives the state k + 1."""

    def __init__(self):
        self.taken = 0

    def take(self, part, entry, state, work):
        assert float(state.u[0]) == entry.k
        self.taken += 1
        total = SimpleNamespace(j=np.zeros(1), side=SideStates())
        return state_of(entry.k + 1), ((np.full(1, float(entry.k)), total),)


def state_of(k):
    return State(np.full(1, float(k)), np.zeros(1), np.zeros(1), SideStates(), SideStates(), 0.0, 0.0, 0.0, 0.0, 0.0)


def filled(entries, most):
    again, plain = Counting(), SimpleNamespace(pack=np.asarray, unpack=lambda u, outside=None: np.asarray(u))
    kept = Checkpoints(again, plain, most)
    for k in range(entries):
        stages = (Arrays(np.full(1, float(k)), np.zeros(1), SideStates()),)
        kept.add(stages, Place(None, SimpleNamespace(k=k), state_of(k)))
    return kept, again


def swept(kept, again, entries):
    before = again.taken
    for k in range(entries - 1, -1, -1):
        kept.rewind(k)
        assert float(kept.start(k).u[0]) == k and float(kept.load(k)[0].fields[0]) == k
    return again.taken - before


@pytest.mark.parametrize("entries", [1, 2, 9, 10, 57, 300])
@pytest.mark.parametrize("most", [1, 2, 5, 12, 400])
def test_as_many_entries_are_computed_again_as_the_binomial_formula_says(entries, most):
    kept, again = filled(entries, most)
    kept.rewind(entries - 1)  # at hand from the run, which has left states before
    lengths = np.diff([*sorted(kept._states), entries - 1])
    expected = sum(steps_taken(n, most + 1 - i) + n for i, n in enumerate(lengths) if n)
    assert again.taken == 0 and swept(kept, again, entries) == expected
    assert kept.largest <= most
    # a second sweep finds the first state alone
    anew = steps_taken(entries, most + 1) + entries if entries > 1 else 0
    assert swept(kept, again, entries) == anew and kept.largest <= most
    assert expected <= anew


def test_entries_are_reached_forwards_one_by_one():
    kept, again = filled(40, 3)
    for k in range(40):
        assert float(kept.load(k)[0].fields[0]) == k
    assert again.taken == 40


def test_states_take_half_of_the_limit_if_their_number_is_not_given():
    again, plain = Counting(), SimpleNamespace(pack=np.asarray, unpack=lambda u, outside=None: u)
    kept = Checkpoints(again, plain, None, room=5.5 * size_of(state_of(0)))
    kept.add((), Place(None, SimpleNamespace(k=0), state_of(0)))
    assert kept.most == 5


# -- disk --------------------------------------------------------------------------------------------------------------


def test_the_file_of_a_tape_is_gone_with_the_gradient_and_with_a_run_that_fails(case, tmp_path, monkeypatch):
    made = []

    class Watched(OnDisk):
        def __init__(self, folder):
            super().__init__(folder)
            made.append(self._file)

    monkeypatch.setattr(keeping_module, "OnDisk", Watched)
    arguments = (case.cell, ["Rest for 1 min"])
    kept = {"tape_limit": 0.0, "tape_folder": tmp_path}
    jax.grad(lambda x: evaluate({"sto_init": x}, *arguments, [MeanSto()], **kept)[0])(0.6)
    with pytest.raises(RunStopped):
        evaluate({"sto_init": 0.6}, *arguments, [VoltageAt(90.0)], **kept)
    gc.collect()
    assert len(made) >= 2 and all(file.closed for file in made)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_in_one_line(tmp_path):
    def full(content):
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = OnDisk(tmp_path)
    stages = (Arrays(np.ones((3, 2, 2, 2)), np.ones(4), SideStates()),)
    kept.add(stages, Place(None, None, state_of(0)))
    kept._file = SimpleNamespace(seek=lambda at: at, write=full)
    with pytest.raises(RunStopped, match=r"do not fit into tape_folder = .*No space left.*1 entries took.*checkpoints"):
        kept.add(stages, Place(None, None, state_of(1)))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"tape_folder": "nowhere/at/all"}, "tape_folder = .*nowhere.*No such file.*existing folder"),
        ({"tape_folder": ".", "checkpoints": 3}, "give one of them"),
        ({"checkpoints": 0}, "checkpoints = 0 must be an integer >= 1"),
        ({"tape_limit": -1.0}, "tape_limit = -1.0 must be a number of bytes >= 0"),
    ],
)
def test_wrong_storage_is_refused_before_the_run(tiny, how, message):
    with pytest.raises(ConfigError, match=message):
        evaluate({}, tiny.cell(), ["Rest for 1 min"], [TimeAt(1)], **how)
