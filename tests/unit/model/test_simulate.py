"""Runs of the whole loop on the tiny electrode: what a solution holds, events, and every way to end."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import simulator.model.run as run_module
from simulator.constants import F
from simulator.errors import ConfigError
from simulator.model import COLUMNS, FIELDS, SolverOptions, simulate
from simulator.model.cell import C_E
from simulator.model.dry import is_dry, with_phi_e, with_psi
from simulator.model.observe import SIDE_FIELDS
from simulator.model.run import REFILL, Run

OPTIONS = SolverOptions(dt_init=20.0)
TIMES = [600.0, 0.0, 17.3, 17.30001, 17.3, 333.3, 599.999]
STATUSES = {
    "finished",
    "voltage_limit",
    "salt_depleted",
    "salt_saturated",
    "newton_failed",
    "dt_min",
    "interrupted",
}


class Recorder:
    """Keeps what it is given, as a result file would."""

    def __init__(self):
        self.rows, self.times, self.ends, self.checkpoints = [], [], [], []
        self.saved = {name: [] for name in FIELDS}
        self.faces = []

    def row(self, row):
        self.rows.append(dict(row))

    def fields(self, time, fields, profiles, tables):
        self.times.append(time)
        for name, values in fields.items():
            self.saved[name].append(values)
        self.faces.append(tables["faces"])
        self.shapes = {name: values.shape for name, values in fields.items()}
        self.profiles = {name: values.shape for name, values in profiles.items()}

    def read(self, name, index):
        return self.saved[name][index]

    def read_face(self, name, index):
        return self.faces[index][name]

    def step_done(self, checkpoint):
        self.checkpoints.append(checkpoint())

    def stopped(self, checkpoint):
        self.checkpoints.append(checkpoint)

    def finish(self, solution):
        self.ends.append(solution.status)


@pytest.fixture(scope="module")
def charge(tiny):
    """10 minutes at C/2, with everything recorded."""
    cell, recorder, progress = tiny.cell(), Recorder(), []
    solution = simulate(
        cell,
        "Charge at C/2 for 10 min",
        times=TIMES,
        recorder=recorder,
        callback=progress.append,
        options=OPTIONS,
        snapshots=50,
    )
    return cell, solution, recorder, progress


def short(cell, protocol="Charge at C/2 for 2 min", **more):
    return simulate(cell, protocol, **{"options": OPTIONS, **more})


# -- what a solution holds ------------------------------------------------------------------------------------------


def test_time_series_has_all_columns_and_ends_with_the_protocol(charge):
    _, s, _, _ = charge
    assert s.status == "finished"
    assert set(s.timeseries) == set(COLUMNS)
    assert {len(column) for column in s.timeseries.values()} == {len(s.time)}
    assert s.time[0] == 0.0 and s.time[-1] == 600.0 and np.all(np.diff(s.time) > 0)
    assert all(np.all(np.isfinite(column)) for column in s.timeseries.values())


def test_requested_times_are_all_present(charge):
    _, s, _, _ = charge
    assert all(np.min(np.abs(s.time - t)) <= 1e-9 for t in TIMES)


def test_accessors_agree_with_each_other(charge):
    cell, s, _, _ = charge
    np.testing.assert_allclose(s.current, 0.5 * cell.one_c, rtol=1e-15)
    np.testing.assert_allclose(s.current_density, s.current / cell.area, rtol=1e-15)
    np.testing.assert_allclose(s.capacity, s.current * s.time, rtol=1e-12, atol=1e-30)  # sum of the steps
    np.testing.assert_allclose(s.specific_capacity, s.capacity / 3600 * 1e3 / (cell.am_mass * 1e3), rtol=1e-14)
    assert s.voltage is s.timeseries["voltage_volt"]


def test_charging_raises_the_voltage_and_lowers_the_stoichiometry(charge):
    _, s, _, _ = charge
    assert np.all(np.diff(s.voltage) > 0)
    assert np.all(np.diff(s.timeseries["sto_mean"]) < 0)


def test_ledger_closes_and_is_the_largest_of_the_recorded_imbalances(charge):
    _, s, _, _ = charge
    for name in ("charge", "lithium", "salt"):
        assert s.ledger[name] == np.max(s.timeseries[f"balance_{name}"])
        assert s.ledger[name] <= 1e-9  # each stage is closed to 1e-10 of its current


def test_lithium_missing_from_the_saved_field_is_the_charge_that_passed(charge):
    cell, s, _, _ = charge
    sto = s.field("sto").astype(float)
    lost = F * 51765.0 * np.prod(cell.electrode.voxel_size) * np.nansum(0.6 - sto)
    # saved in float32: 3e-8 per voxel of 0.6, against a mean change of 0.05
    assert lost == pytest.approx(s.capacity[-1], rel=1e-6)


def test_isolated_particles_keep_their_lithium_and_take_no_part(charge, tiny):
    cell, s, _, _ = charge
    active = np.asarray(cell.model.active)[:, 4:]
    am = tiny.phases == 1
    isolated = am & ~active[2]
    assert isolated.sum() == 8
    sto = s.field("sto")
    assert np.all(sto[isolated] == np.float32(0.6)) and np.all(sto[am & ~isolated] < np.float32(0.6))
    assert np.all(np.isnan(s.field("j")[isolated]))


def test_fields_are_nan_exactly_where_they_do_not_exist(charge, tiny):
    cell, s, _, _ = charge
    active = np.asarray(cell.model.active)[:, 4:]
    expected = {"sto": tiny.phases == 1, "phi_s": active[0], "phi_e": active[1], "c_e": active[1]}
    for name, where in expected.items():
        np.testing.assert_array_equal(np.isfinite(s.field(name)), where)
        assert s.field(name).shape == tiny.phases.shape
    with_face = np.zeros(cell.model.shape, bool).ravel()
    with_face[np.asarray(cell.model.faces.am)[np.asarray(cell.model.faces.valid)]] = True
    np.testing.assert_array_equal(np.isfinite(s.field("j")), with_face.reshape(cell.model.shape)[4:])


def test_mean_current_density_of_the_particle_voxels_adds_up_to_the_current(charge):
    cell, s, _, _ = charge
    faces = cell.model.faces
    contact = np.where(faces.valid, faces.area * faces.weight * 0.7, 0.0)
    per_voxel = np.bincount(np.asarray(faces.am), weights=contact, minlength=int(np.prod(cell.model.shape)))
    total = np.nansum(s.field("j") * per_voxel.reshape(cell.model.shape)[4:])
    assert total == pytest.approx(s.current[-1], rel=1e-6)  # saved in float32


def test_field_is_taken_at_the_nearest_saved_time(charge):
    _, s, _, _ = charge
    times = s.field_times
    assert times[0] == 0.0 and times[-1] == 600.0 and len(times) > 3
    np.testing.assert_array_equal(s.field("sto", t=0.0)[np.isfinite(s.field("sto"))], np.float32(0.6))
    np.testing.assert_array_equal(s.field("c_e", t=times[1] + 1e-3), s.field("c_e", t=times[1]))
    np.testing.assert_array_equal(s.field("sto"), s.field("sto", t=600.0))
    with pytest.raises(ConfigError, match="outside the saved times"):
        s.field("sto", t=601.0)
    with pytest.raises(ConfigError, match="was not saved.*c_e"):
        s.field("c_s")


def test_recorder_gets_every_row_and_field_while_the_run_goes_on(charge, tiny):
    _, s, recorder, _ = charge
    np.testing.assert_array_equal([row["test_time_second"] for row in recorder.rows], s.time)
    np.testing.assert_array_equal([row["voltage_volt"] for row in recorder.rows], s.voltage)
    assert recorder.times == list(s.field_times) and recorder.ends == ["finished"]
    assert recorder.shapes == {name: tiny.phases.shape for name in FIELDS if name not in SIDE_FIELDS}
    assert recorder.profiles == {"phi_e": (4,), "c_e": (4,)}


def test_of_the_faces_a_run_without_side_reactions_keeps_the_currents_which_add_up(charge):
    cell, s, _, _ = charge
    assert s.face_names == ("current_density",)
    assert s.field_names == tuple(name for name in FIELDS if name not in SIDE_FIELDS)
    for t in s.field_times:
        # saved in float32
        assert np.sum(s.face("current_density", t) * s.faces["area"]) == pytest.approx(s.current[0], rel=1e-6)
    with pytest.raises(ConfigError, match="no 'film_thickness', only current_density"):
        s.face("film_thickness")
    with pytest.raises(ConfigError, match="outside the saved times"):
        s.face("current_density", t=1e6)


def test_callback_sees_every_accepted_step_and_the_done_fraction_rises_to_one(charge):
    _, s, _, progress = charge
    np.testing.assert_array_equal([p.time for p in progress], s.time[1:])
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions) and 0 < fractions[0] and fractions[-1] == pytest.approx(1.0)
    assert [p.step for p in progress] == list(range(1, len(progress) + 1))


def test_stats_count_what_was_done(charge):
    _, s, _, _ = charge
    assert s.stats["steps"] == len(s.time) - 1
    attempts = s.stats["steps"] + s.stats["rejected_steps"]
    assert s.stats["implicit_solves"] <= 2 * attempts + 1  # one for the potentials at the start
    assert s.stats["newton_iterations"] == s.timeseries["newton_iterations"].sum()
    assert s.stats["voxels"] == 11 * 36 and s.stats["live_faces"] == 87


# -- steps and events -----------------------------------------------------------------------------------------------


def test_steps_follow_one_another_and_charge_that_goes_in_comes_out(tiny):
    s = short(tiny.cell(), ["Charge at C/2 for 5 min", "Rest for 5 min", "Discharge at C/2 for 5 min"])
    assert s.status == "finished" and s.time[-1] == 900.0 and np.all(np.diff(s.time) >= 0)
    assert list(np.unique(s.timeseries["step_count"])) == [1.0, 2.0, 3.0]
    assert [set(np.sign(s.current[s.timeseries["step_count"] == n])) for n in (1, 2, 3)] == [{1.0}, {0.0}, {-1.0}]
    assert abs(s.capacity[-1]) < 1e-12 * np.max(s.capacity)
    # the ledger also knows it: the mean is back where it began
    assert s.timeseries["sto_mean"][-1] == pytest.approx(0.6, abs=1e-10)
    assert max(s.ledger.values()) <= 1e-9
    rest = s.timeseries["step_count"] == 2
    assert np.all(np.diff(s.voltage[rest]) < 0), "the overpotential must relax"
    assert np.all(np.diff(s.timeseries["sto_std"][rest]) < 0)


def test_cut_off_that_is_reached_already_ends_the_step_at_once_with_a_warning(tiny):
    with pytest.warns(UserWarning, match="Step 1 .*did nothing"):
        s = short(tiny.cell(), ["Charge at C/2 until 3.0 V", "Discharge at C/2 for 60 s"])
    assert s.status == "finished"
    first = s.timeseries["step_count"] == 1
    assert np.count_nonzero(first) == 1 and s.time[first] == 0.0
    assert s.time[-1] == 60.0


def test_step_ends_on_its_cut_off_and_not_beyond(tiny, charge):
    _, full, _, _ = charge
    cutoff = float(np.round(0.5 * (full.voltage[1] + full.voltage[-1]), 4))
    s = short(tiny.cell(), f"Charge at C/2 until {cutoff} V")
    assert s.status == "finished"
    assert s.voltage[-1] == pytest.approx(cutoff, abs=1e-5)  # accuracy of a located limit
    # and at the time at which the run without a cut-off passes it: 0.2 mV per step at the default tolerance
    assert s.time[-1] == pytest.approx(np.interp(cutoff, full.voltage, full.time), rel=0.02)


def test_safety_limit_ends_the_run_by_name(tiny, charge):
    _, full, _, _ = charge
    limit = float(np.round(0.5 * (full.voltage[1] + full.voltage[-1]), 4))
    s = short(tiny.cell({"voltage_limits": (2.0, limit)}), ["Charge at C/2 for 10 min", "Rest for 1 min"])
    assert s.status == "voltage_limit" and f"{limit:g} V" in s.message
    assert s.voltage[-1] == pytest.approx(limit, abs=1e-5) and np.all(s.timeseries["step_count"] == 1)
    # Open circuit (3.824 V) lies inside these limits, the first voltage under current beyond.
    at_once = short(tiny.cell({"voltage_limits": (2.0, 3.83)}))
    assert at_once.status == "voltage_limit" and list(at_once.time) == [0.0]


def test_salt_that_passes_its_solubility_is_named(tiny):
    s = short(tiny.cell({"electrolyte.c_e_max": 1131.0}), "Charge at 1C for 10 min")
    assert s.status == "salt_saturated" and "1131" in s.message
    # located to 1e-4 of the initial concentration
    assert s.timeseries["c_e_max"][-1] == pytest.approx(1131.0, abs=0.12)


def test_salt_that_runs_out_is_named(tiny):
    slow = {f"{phase}.D_e": 3e-15 for phase in ("separator", "cbd", "electrolyte")}
    s = short(tiny.cell(slow), "Discharge at 1C for 1 h")
    assert s.status == "salt_depleted"
    assert 0 < s.timeseries["c_e_min"][-1] < 1e-3 * 1130.0
    assert max(s.ledger.values()) <= 1e-9


def test_a_discharge_goes_on_to_its_cut_off_past_places_without_salt(tiny):
    slow = {f"{phase}.D_e": 1e-14 for phase in ("separator", "cbd", "electrolyte")}
    with pytest.warns(UserWarning, match="will probably run out of salt"):
        s = simulate(tiny.cell(slow), ["Discharge at C/2 until 2.8 V", "Rest for 10 min", "Charge at C/2 until 3.8 V"])
    # and the current can be switched off there: the potentials jump by far more than Newton finds at once
    assert s.status == "finished" and s.voltage[-1] == pytest.approx(3.8, abs=1e-5)
    assert s.voltage[s.timeseries["step_count"] == 1][-1] == pytest.approx(2.8, abs=1e-5)
    # every place loses salt by itself, without holding up the steps: some ln c below what any measured range covers
    assert 0 < s.timeseries["c_e_min"].min() < 1e-5 * 1130.0
    assert s.stats["steps"] < 70 and max(s.ledger.values()) <= 1e-9


def test_a_charge_fills_the_places_that_a_discharge_has_left_dry(tiny):
    """Within seconds the salt there grows by orders of magnitude, and the potential follows its logarithm."""
    slow = {f"{phase}.D_e": 1e-14 for phase in ("separator", "cbd", "electrolyte")}
    with pytest.warns(UserWarning, match="will probably run out of salt"):
        s = simulate(tiny.cell(slow), ["Discharge at C/2 until 2.8 V", "Charge at C/2 until 3.8 V"])
    series = s.timeseries
    assert s.status == "finished" and s.voltage[-1] == pytest.approx(3.8, abs=1e-5)
    assert series["c_e_min"][series["step_count"] == 1][-1] < 1e-3 and series["c_e_min"][-1] > 100.0
    assert s.stats["steps"] < 50
    assert max(s.ledger.values()) <= 1e-9


@pytest.mark.parametrize(("refill", "status"), [(REFILL, "finished"), (0.0, "newton_failed")])
def test_a_trace_of_salt_is_given_where_newton_finds_no_first_step(tiny, monkeypatch, refill, status):
    """Larger electrodes end a discharge with 1e-11 of the salt; here the dry places are made as dry."""

    def drier(run, leg, piece, since, **changes):
        if run.now.number == 2 and piece == 0:
            u, model = run.now.state.u, run.cell.model
            c_e = jnp.where(is_dry(u[C_E], model), 1e-9 * u[C_E], u[C_E])
            u = with_phi_e(with_psi(u, model).at[C_E].set(c_e), model)
            run.now = dataclasses.replace(run.now, state=run.now.state._replace(u=u))
        return switch(run, leg, piece, since, **changes)

    switch = Run._switch
    monkeypatch.setattr(Run, "_switch", drier)
    monkeypatch.setattr(run_module, "REFILL", refill)
    slow = {f"{phase}.D_e": 1e-14 for phase in ("separator", "cbd", "electrolyte")}
    with pytest.warns(UserWarning, match="will probably run out of salt"):
        s = simulate(tiny.cell(slow), ["Discharge at C/2 until 2.8 V", "Charge at C/2 until 3.8 V"])
    assert s.status == status
    # the salt balance knows of what this test has taken away
    assert max(s.ledger["charge"], s.ledger["lithium"]) <= 1e-9


@pytest.mark.parametrize(
    ("times", "present"), [([30.0, 1e4], [30.0]), ([0.0], [0.0]), ([1e-4, 120.0], [1e-4, 120.0]), ([], [])]
)
def test_times_inside_the_run_are_met_and_later_ones_ignored(tiny, times, present):
    s = short(tiny.cell(), times=times)
    assert s.status == "finished" and s.time[-1] == 120.0
    assert all(np.min(np.abs(s.time - t)) <= 1e-9 for t in present)


def test_tighter_tolerance_takes_more_steps_to_the_same_curve(tiny, charge):
    _, loose, _, _ = charge
    tight = short(tiny.cell(), "Charge at C/2 for 10 min", times=[600.0], rtol=1e-4)
    assert tight.stats["steps"] > loose.stats["steps"]
    # 0.2 mV per step is the error control at 1e-3; the errors of successive steps are damped, not summed
    assert abs(tight.voltage[-1] - loose.voltage[-1]) < 4e-4


# -- refusals before anything is compiled ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "more", "text"),
    [
        ("Charge at C/2 for 0 s", {}, "0"),
        ("Charge at C/2", {}, "never ends|limit|until"),
        ([], {}, "protocol|step"),
        ("Charge at C/2 for 1 min", {"times": [-1.0]}, "times must be finite"),
        ("Charge at C/2 for 1 min", {"times": [np.nan]}, "times must be finite"),
        ("Charge at C/2 for 1 min", {"rtol": 0.5}, "rtol must lie"),
        ("Charge at C/2 for 1 min", {"snapshots": 0}, "snapshots"),
        ("Charge at C/2 for 1 min", {"fields": ("soc",)}, "Unknown field 'soc'"),
        ("Charge at C/2 for 1 min", {"fields": ("film_thickness",)}, r"needs oxidation .*output\.fields"),
        ("Charge at C/2 for 1 min", {"fields": "sto"}, "tuple of names"),
        ("Charge at C/2 until 9 V", {}, "9"),
    ],
)
def test_impossible_requests_are_refused(tiny, protocol, more, text):
    with pytest.raises(ConfigError, match=text):
        simulate(tiny.cell(), protocol, **more)


@pytest.mark.parametrize(
    "setting",
    [{"newton_tol": 0.0}, {"dt_init": -1.0}, {"dt_min": 0.0}, {"max_steps": 0}, {"dt_max": float("nan")}],
)
def test_impossible_solver_settings_are_refused(setting):
    with pytest.raises(ConfigError, match=f"solver.{next(iter(setting))} must be > 0"):
        SolverOptions(**setting)


def test_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="mixed.*double"):
        SolverOptions(precision="single")


# -- every way to fail ----------------------------------------------------------------------------------------------


NAN_LEAVES = {
    "kinetics.j0_ref": lambda m: m.kinetics.j0_ref,
    "temperature": lambda m: m.parameters.temperature,
    "am.D_s": lambda m: m.parameters.D_s.value,
    "separator thickness": lambda m: m.grid.dz,
    "one contact fraction": lambda m: m.contact_fraction,
}


@pytest.mark.parametrize("name", NAN_LEAVES)
def test_nan_in_a_parameter_ends_as_newton_failed_and_never_as_finished(tiny, name):
    cell = tiny.cell()
    where = NAN_LEAVES[name]
    value = np.array(where(cell.model), float)
    value[(0,) * value.ndim] = np.nan
    recorder = Recorder()
    s = short(tiny.with_leaf(cell, where, value), recorder=recorder)
    assert s.status == "newton_failed" and "not finite" in s.message
    assert recorder.ends == ["newton_failed"]


@pytest.mark.filterwarnings("ignore:At t = .* Newton stalled:UserWarning")  # a second try in float64
def test_impossible_current_ends_with_a_named_status(tiny):
    s = short(tiny.cell(), "Discharge at 1e7 A/m2 for 10 s")
    assert s.status in STATUSES - {"finished", "interrupted"} and s.message


def test_current_beyond_the_lithium_in_the_particles_ends_by_name_with_a_warning_and_data_kept(tiny):
    cell = tiny.cell({"voltage_limits": (-4.0, 9.0), "sto_init": 0.93})
    with pytest.warns(UserWarning, match="beyond the data of am.ocp"):
        s = short(cell, "Discharge at 2C for 1 h", options=SolverOptions(dt_init=10.0, dt_min=1.0))
    assert s.status == "newton_failed" and "full of lithium: set a cut-off" in s.message
    assert len(s.time) > 1 and np.all(np.isfinite(s.voltage))
    assert np.all((s.timeseries["sto_min"] > 0) & (s.timeseries["sto_max"] < 1))
    assert max(s.ledger.values()) <= 1e-9


def test_steps_below_the_smallest_allowed_are_named(tiny):
    s = short(tiny.cell(), options=SolverOptions(dt_init=60.0, dt_min=50.0), rtol=1e-7)
    assert s.status == "dt_min" and "dt_min" in s.message
    assert list(s.time) == [0.0]


def test_too_few_steps_are_named_and_the_data_kept(tiny):
    s = short(tiny.cell(), options=SolverOptions(dt_init=1.0, max_steps=3))
    assert s.status == "interrupted" and "max_steps = 3" in s.message
    assert len(s.time) == 4 and s.stats["steps"] == 3


def test_keyboard_interrupt_keeps_everything_computed_so_far(tiny):
    recorder = Recorder()

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    s = short(tiny.cell(), "Charge at C/2 for 10 min", callback=stop, recorder=recorder, snapshots=1000)
    assert s.status == "interrupted" and f"{s.time[-1]:.6g}" in s.message
    assert len(s.time) == 4 and len(recorder.rows) == 4 and recorder.ends == ["interrupted"]
    assert s.field("sto").shape == tiny.phases.shape and s.ledger["charge"] <= 1e-9


def test_errors_of_the_callback_are_not_swallowed(tiny):
    def broken(progress):
        raise ZeroDivisionError("of the user")

    with pytest.raises(ZeroDivisionError, match="of the user"):
        short(tiny.cell(), callback=broken)
