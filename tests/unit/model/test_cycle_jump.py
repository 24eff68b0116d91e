"""Jumps over cycles: the extrapolation, what may be jumped, and a run with jumps against the same run without."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulator.model import SolverOptions, simulate
from simulator.model.cycle_jump import Mark, extrapolate, passed_in, propose, repeats
from simulator.model.residual import Flows, SideStates
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS
from simulator.protocol import parse_protocol
from simulator.workflows.cycles import cycle_table

#: oxidation of some 1e-4 of the current, and a film that conducts badly: it takes millivolts within fourteen cycles;
#: switched on as in the tests of the decomposition, for the same compiled program
BRANCH = {
    "decomposition.law": "delithiation",
    "decomposition.j_ref": 2e-4,
    "decomposition.U_ox0": 3.9,
    "decomposition.omega": 0.3,
    "decomposition.delta_star": 1e-6,
    "decomposition.burst_charge": 25.0,
    "decomposition.burst_j_ref": 2e-4,
    "film.conductivity": 1e-8,
    "contact.loss_thickness": 1e3,
    "carbon_oxidation.j_ref": 1e-7,
    "carbon_oxidation.U_ox0": 3.8,
    "carbon_oxidation.charge": 2.0,
    "carbon_oxidation.specific_area": 1e7,
}
#: between two voltages around the open circuit at 3.824 V, so that the lithium of a cycle closes
CYCLE = ["Charge at C/2 until 3.88 V", "Discharge at C/2 until 3.77 V"]
#: of the time steps: an error of the films in three cycles weighs ten times in what a jump of four extrapolates
RTOL = 1e-4
SALT = 1.0  # [C], more than any film consumes here


@pytest.fixture(scope="module")
def cell(tiny):
    return tiny.cell(BRANCH)


def marks(cell, thickness, burst=None, positions=(0, 2, 4), numbers=(1, 2, 3)):
    """Begins of three cycles with the same states on all faces: `thickness` [m], V_f/F per charge, `burst` left."""
    n = cell.model.faces.area.size
    growth = float(cell.model.decomposition.film.growth)
    found = []
    for k, d in enumerate(thickness):
        states = np.zeros((3, n))
        states[THICKNESS], states[CHARGE] = d, d / growth
        states[BURST_LEFT] = 1.0 if burst is None else burst[k]
        side = SideStates(jnp.asarray(states), cell.initial_side().carbon)
        found.append(Mark(numbers[k], positions[k], 1 + 2 * k, 100.0 * k, 2.0 * k, Flows(), 10 * k, side))
    return found


def test_a_parabola_is_continued_exactly(cell):
    at = [1e-9 * (3.0 * k - 0.1 * k * k) for k in range(3)]
    side, _, _ = extrapolate(marks(cell, at), 5, 1e-9, cell.model)
    assert float(side.faces[THICKNESS, 0]) == pytest.approx(1e-9 * (3.0 * 7 - 0.1 * 49), rel=1e-12)


def test_error_is_the_second_order_part_in_volts(cell):
    at, m, current = [0.0, 2e-9, 3.9e-9], 4, 1e-9
    _, volts, _ = extrapolate(marks(cell, at), m, current, cell.model)
    off = 0.5 * m * (m + 1) * 0.1e-9 / float(cell.model.decomposition.film.conductivity)  # [ohm m2]
    assert volts == pytest.approx(off * current / float(jnp.sum(cell.model.pristine_contact)), rel=1e-9)


def test_films_never_shrink_and_shares_stay_shares(cell):
    side, _, _ = extrapolate(marks(cell, [0.0, 3e-9, 3.1e-9], [1.0, 0.5, 0.1]), 9, 1e-9, cell.model)
    assert np.all(np.asarray(side.faces[THICKNESS]) >= 3.1e-9)
    left = np.asarray(side.faces[BURST_LEFT])
    assert np.all((left >= 0) & (left <= 0.1))


def test_only_steps_that_stand_there_again_are_jumped():
    block, rest = parse_protocol(CYCLE), parse_protocol("Rest for 1 min")
    assert repeats(block * 5 + rest, 4, 2) == 3
    assert repeats(block * 2 + rest + block * 4, 2, 2) == 1
    assert repeats(block * 2, 4, 2) == 0


def test_the_longest_jump_within_the_tolerance_is_proposed_and_the_last_cycle_computed(cell):
    steps, at = parse_protocol(CYCLE) * 20, [0.0, 2e-9, 3.999e-9]
    one = extrapolate(marks(cell, at), 1, 1e-9, cell.model)[1]
    jump = propose(marks(cell, at), steps, 100, 10.5 * one, 1e-9, SALT, cell.model)  # m (m + 1) / 2 = 10 for m = 4
    assert (jump.cycles, jump.steps) == (4, 8) and jump.error == pytest.approx(10 * one, rel=1e-9)
    assert propose(marks(cell, at), steps, 3, 10.5 * one, 1e-9, SALT, cell.model).cycles == 3
    assert propose(marks(cell, at), steps, 100, 1e3, 1e-9, SALT, cell.model).cycles == 17  # of the 18 to come
    assert propose(marks(cell, at), steps, 100, 0.5 * one, 1e-9, SALT, cell.model) is None


def test_a_film_that_conducts_well_is_still_held_to_a_share_of_itself(cell):
    """Second-order part m (m + 1) / 2 * 0.1 nm, film 3.9 + 1.9 m nm less that: 3.4 % for m = 2, 6.7 % for m = 3."""
    steps, at = parse_protocol(CYCLE) * 20, [0.0, 2e-9, 3.9e-9]
    assert propose(marks(cell, at), steps, 100, 1e3, 1e-9, SALT, cell.model).cycles == 2


@pytest.mark.parametrize("change", [{"numbers": (1, 3, 4)}, {"positions": (0, 3, 5)}])
def test_cycles_that_differ_are_not_extrapolated(cell, change):
    steps = parse_protocol(CYCLE) * 20
    assert propose(marks(cell, [0.0, 2e-9, 3.9e-9], **change), steps, 100, 1.0, 1e-9, SALT, cell.model) is None


def test_charges_of_a_jump_are_the_change_of_the_states(cell):
    before = marks(cell, [0.0, 2e-9, 3.95e-9], [1.0, 0.9, 0.801])
    jump = propose(before, parse_protocol(CYCLE) * 20, 3, 1e3, 1e-9, SALT, cell.model)
    area = float(jnp.sum(cell.model.pristine_contact))
    passed = passed_in(jump, before, cell.model)
    charge = float(jump.side.faces[CHARGE, 0] - before[-1].side.faces[CHARGE, 0])
    left = float(before[-1].side.faces[BURST_LEFT, 0] - jump.side.faces[BURST_LEFT, 0])
    assert passed.oxidation == pytest.approx(charge * area, rel=1e-12)
    assert passed.burst == pytest.approx(25.0 * left * area, rel=1e-9)
    assert passed.reaction == pytest.approx(passed.oxidation + passed.burst) and passed.lithium == 0.0
    assert passed.anode == -passed.reaction


@pytest.fixture(scope="module")
def slow_cell(tiny):
    """A film that costs half a per cent of the capacity in a cycle: with a faster one no cycle closes."""
    return tiny.cell(BRANCH | {"decomposition.j_ref": 2e-5, "film.conductivity": 1e-7})


def test_a_short_run_with_one_jump_balances_and_numbers_what_it_left_out(slow_cell):
    """Three cycles are computed, since the first begins elsewhere; two are jumped over, and the last is computed."""
    run = simulate(slow_cell, [CYCLE] * 6, options=SolverOptions(dt_init=20.0, cycle_jump=2))
    series = run.timeseries
    assert run.status == "finished" and run.stats["jumped_cycles"] == 2
    assert max(run.ledger.values()) <= 1e-9
    np.testing.assert_array_equal(np.unique(series["cycle_count"]), [1, 2, 3, 5, 6])
    (row,) = np.flatnonzero(series["cycle_count"] == 5)  # that of the jump: the end of its last cycle
    assert series["current_ampere"][row] == 0
    np.testing.assert_array_equal(series["step_count"][row - 1 : row + 2], [6, 10, 11])
    before, here, after = series["test_time_second"][row - 1 : row + 2]
    assert here == after and series["time_step_second"][row] == here - before > 0
    # two cycles like the last one, which grow a little less each
    for name in ("decomposed_coulomb", "film_thickness_mean"):
        second, third, fifth = (series[name][series["cycle_count"] == k][-1] for k in (2, 3, 5))
        assert 1.8 * (third - second) < fifth - third < 2.0 * (third - second), name
    np.testing.assert_array_equal(cycle_table(run)["cycle [-]"], [1, 2, 3, 6])


@pytest.fixture(scope="module")
def runs(slow_cell):
    """Fourteen cycles, all of them computed and with jumps."""
    options = {jump: SolverOptions(dt_init=20.0, cycle_jump=jump) for jump in (0, 4)}
    return {jump: simulate(slow_cell, [CYCLE] * 14, rtol=RTOL, options=o) for jump, o in options.items()}


def at_10_s(run, step):
    """Voltage [V] 10 s after the begin of `step`, where every run holds a row."""
    time, rows = run.time, run.timeseries["step_count"] == step
    (row,) = np.flatnonzero(rows & (np.abs(time - time[rows][0] - 10.0) < 1e-6))
    return float(run.voltage[row])


@pytest.mark.slow
def test_a_run_with_jumps_ends_like_one_without(runs):
    full, jumped = runs[0], runs[4]
    assert full.status == jumped.status == "finished"
    assert jumped.stats["jumped_cycles"] >= 4 and full.stats["jumped_cycles"] == 0
    assert jumped.stats["steps"] < 0.75 * full.stats["steps"]
    series = {name: (full.timeseries[name][-1], jumped.timeseries[name][-1]) for name in full.timeseries}
    assert series["cycle_count"] == (14.0, 14.0)
    # the voltage within the error that the jumps claim, and what the time steps are allowed
    claimed = jumped.stats["jump_error_volt"]
    assert 0 < claimed < 2e-3
    for step in (27, 28):
        volts = [at_10_s(run, step) for run in (full, jumped)]
        assert abs(volts[0] - volts[1]) <= claimed + 1e-5
    # each jump is held to 5 % of the film by an estimate that is far above what a smooth film does
    for name in ("decomposed_coulomb", "film_thickness_mean", "burst_coulomb", "interface_resistance_ohm_m2"):
        assert series[name][1] == pytest.approx(series[name][0], rel=2e-3), name
    # of lithium the jumped cycles keep what they had; a cycle gains or loses less than half a per cent of its charge
    assert series["sto_mean"][1] == pytest.approx(series["sto_mean"][0], abs=2e-3)


@pytest.mark.slow
def test_a_run_with_jumps_still_balances(runs):
    assert max(runs[4].ledger.values()) <= 1e-9


@pytest.mark.slow
def test_cycles_between_are_missing_from_the_series_but_numbered(runs):
    counts = np.unique(runs[4].timeseries["cycle_count"])
    assert counts[0] == 1 and counts[-1] == 14
    time = {jump: run.timeseries["test_time_second"] for jump, run in runs.items()}
    assert np.all(np.diff(time[4]) >= 0) and time[4][-1] == pytest.approx(time[0][-1], rel=0.02)
    steps = runs[4].timeseries["step_count"]
    assert np.all(np.diff(steps) >= 0) and steps[-1] == 28


@pytest.mark.slow
def test_the_cycle_table_holds_the_computed_cycles_alone(runs):
    tables = {jump: cycle_table(run) for jump, run in runs.items()}
    numbers = tables[4]["cycle [-]"].astype(int)
    assert len(numbers) == 14 - runs[4].stats["jumped_cycles"] and tables[0]["cycle [-]"].size == 14
    for name in ("discharge capacity [mAh/g AM]", "coulombic efficiency [%]"):
        assert np.all(np.isfinite(tables[4][name][1:])), name
    behind = np.diff(numbers, prepend=0) > 1  # a jump: what the current was before is not known
    np.testing.assert_array_equal(np.isnan(tables[4]["resistance 10 s into charge [ohm cm2]"]), behind)
    assert np.all(np.isfinite(tables[4]["resistance 10 s into discharge [ohm cm2]"]))
    assert np.any(behind) and np.all(np.isfinite(tables[0]["resistance 10 s into charge [ohm cm2]"]))
    full = tables[0]["discharge capacity [mAh/g AM]"][numbers - 1]
    np.testing.assert_allclose(tables[4]["discharge capacity [mAh/g AM]"], full, rtol=0.02)


def test_cycles_that_do_not_close_are_not_jumped(cell):
    """As by time or charge, where the oxidation fills the particles."""
    steps = parse_protocol(["Charge at C/2 for 2 min", "Discharge at C/2 for 2 min"]) * 24
    before = marks(cell, [0.0, 2e-9, 3.9e-9])
    kept = [m._replace(passed=Flows(lithium=-0.02 * k)) for k, m in enumerate(before)]  # 1 % of what moves
    assert propose(before, steps, 100, 1e3, 1e-9, SALT, cell.model) is not None
    assert propose(kept, steps, 100, 1.0, 1e-9, SALT, cell.model) is None


def test_lithium_that_all_cycles_of_a_jump_gain_together_bounds_its_length(cell):
    steps = parse_protocol(CYCLE) * 24
    before = marks(cell, [0.0, 2e-9, 4e-9])
    drifting = [m._replace(passed=Flows(lithium=1.9e-3 * k)) for k, m in enumerate(before)]  # 0.095 % of what moves
    assert propose(before, steps, 100, 1e3, 1e-9, SALT, cell.model).cycles == 21
    assert propose(drifting, steps, 100, 1e3, 1e-9, SALT, cell.model).cycles == 5


def test_without_side_reactions_there_is_nothing_to_jump(tiny, cell):
    before = marks(cell, [0.0, 2e-9, 3.9e-9])
    assert propose(before, parse_protocol(CYCLE) * 20, 100, 1.0, 1e-9, SALT, tiny.cell().model) is None


def test_a_jump_takes_no_more_salt_than_a_share_of_what_is_there(cell):
    before = marks(cell, [0.0, 2e-9, 4e-9])
    steps = parse_protocol(CYCLE) * 200
    states = before[-1].side.faces[CHARGE, 0] - before[-2].side.faces[CHARGE, 0]
    per_cycle = 0.3 * float(states * jnp.sum(cell.model.pristine_contact))
    jump = propose(before, steps, 100, 1e3, 1e-9, 10.1 * per_cycle / 0.05, cell.model)
    assert jump.cycles == 10


@pytest.mark.slow
def test_without_jumps_nothing_changes_but_the_switch(slow_cell, runs):
    off = simulate(slow_cell, [CYCLE] * 3, rtol=RTOL, options=SolverOptions(dt_init=20.0))
    n = off.time.size
    np.testing.assert_array_equal(off.voltage, runs[0].voltage[:n])


@pytest.mark.slow
def test_a_run_is_resumed_between_two_jumps_to_the_last_bit(slow_cell, runs):
    kept = []

    class Keep:
        def __getattr__(self, name):
            return lambda *arguments: None

        def step_done(self, checkpoint):
            kept.append(checkpoint)
            if len(kept) in (20, 45):
                saved.append(checkpoint())

    saved = []
    options = SolverOptions(dt_init=20.0, cycle_jump=4)
    simulate(slow_cell, [CYCLE] * 14, rtol=RTOL, options=options, recorder=Keep())
    for checkpoint in saved:
        again = simulate(slow_cell, [CYCLE] * 14, rtol=RTOL, options=options, checkpoint=checkpoint)
        np.testing.assert_array_equal(again.voltage, runs[4].voltage)
        assert again.stats["jumped_cycles"] == runs[4].stats["jumped_cycles"]
