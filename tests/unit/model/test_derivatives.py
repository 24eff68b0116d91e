"""Derivatives of whole runs against differences of fourth order, and backwards against forwards."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.errors import ConfigError, RunStopped, TransformError
from simulator.model import SolverOptions
from simulator.model.derivatives import (
    CapacityAt,
    DecomposedCharge,
    FieldAt,
    FilmThickness,
    MeanSto,
    StoSpread,
    TimeAt,
    VoltageAt,
    evaluate,
    sensitivities,
)
from simulator.model.derivatives.course import slope
from simulator.model.derivatives.differentiate import Leaves, prepare, pull_back, push_forward, read, record, replay
from simulator.model.tape import Stepped

#: charge to a cut-off, constant voltage to another, rest, discharge, and a ramp from where that ends
STEPS = [
    "Charge at C/2 until 3.9 V",
    "Hold at 3.9 V until C/10",
    "Rest for 2 min",
    "Discharge at C/2 until 3.82 V",
    "Ramp to 3.84 V at 0.5 mV/s",
]
OUTPUTS = [
    VoltageAt([10.0, 100.0]),
    CapacityAt(1),
    TimeAt(2),
    CapacityAt(4),
    TimeAt(5),
    MeanSto(100.0),
    StoSpread(100.0),
]
#: Newton about as far as float64 goes, and linear problems beyond
TIGHT = {"rtol": 1e-3, "options": SolverOptions(newton_tol=1e-12), "adjoint_rtol": 1e-12}
PROTOCOL = {
    "protocol.1.value": 0.5,
    "protocol.1.voltage_limit": 3.9,
    "protocol.2.current_limit": 0.1,
    "protocol.3.duration": 120.0,
    "protocol.5.rate": 5e-4,
}


def flat(outputs):
    return np.concatenate([np.ravel(x) for x in outputs])


def merged(tape):
    """The last steps before a cut-off as one of a minute: the run aims close to it, so that the last one may be so
    short that differences would make it negative."""
    entries = []
    for entry in tape.entries:
        if isinstance(entry, Stepped) and entry.cutoff is not None:
            while entry.dt < 60.0 and isinstance(entries[-1], Stepped) and not entries[-1].reached:
                entry = dataclasses.replace(entry, dt=entry.dt + entries.pop().dt)
        entries.append(entry)
    tape.entries = entries
    return tape


class Case:
    """A run with parameters, replayed tightly; everything by name."""

    def __init__(self, cell, params, steps=STEPS, outputs=OUTPUTS):
        self.cell, self.steps, self.outputs = cell, steps, outputs
        self.params = {name: jnp.asarray(value, float) for name, value in sorted(params.items())}
        self.problem, self.leaves = self.prepared(self.params)
        self.tape = replay(self.problem, merged(record(self.problem, self.leaves)), self.leaves)
        self.values = read(self.problem, self.tape, self.leaves)

    def prepared(self, params) -> tuple:
        return prepare(params, self.cell, self.steps, self.outputs, **TIGHT)

    def leaves_of(self, params) -> Leaves:
        return self.prepared(params)[1]

    def forwards(self, names):
        """(names, outputs): relative changes of the parameters."""
        moved = []
        for name in names:
            direction = {n: v if n == name else jnp.zeros_like(v) for n, v in self.params.items()}
            moved.append(jax.jvp(self.leaves_of, (self.params,), (direction,))[1])
        found = push_forward(self.problem, self.tape, self.leaves, moved)
        return np.concatenate([np.asarray(x).reshape(len(names), -1) for x in found], axis=1)

    def backwards(self, bars):
        """{name: cotangent times the parameter}."""
        _, back = jax.vjp(self.leaves_of, self.params)
        (found,) = back(pull_back(self.problem, self.tape, self.leaves, bars))
        return {name: np.asarray(found[name] * self.params[name]) for name in self.params}

    def differences(self, name, h):
        """Fourth order, for a relative change of one parameter."""

        def at(e):
            problem, leaves = self.prepared(self.params | {name: self.params[name] * (1.0 + e)})
            return flat(read(problem, replay(problem, self.tape, leaves), leaves))

        near, far = at(h) - at(-h), at(2.0 * h) - at(-2.0 * h)
        return (8.0 * near - far) / (12.0 * h)


#: Poor conductors: 4 V in float64 do not resolve the small currents of a rest beside 8 S/m to 1e-6 (see `Response`).
POOR = {"am.sigma": 0.02, "cbd.sigma": 0.02}


@pytest.fixture(scope="module")
def case(tiny):
    cell = tiny.cell(POOR)
    contact = 0.8 + 0.1 * np.random.default_rng(3).random(int(np.count_nonzero(cell.model.faces.valid)))
    params = {name: float(cell.value(name)) for name in ("kinetics.j0_ref", "sto_init", "am.c_s_max")}
    return Case(cell, params | PROTOCOL | {"contact.fraction": contact})


@pytest.fixture(scope="module")
def forwards(case):
    return dict(zip(case.params, case.forwards(list(case.params)), strict=True))


#: relative steps of the differences: large, because a replayed run is only exact to some 1e-11, and as large as the
#: last step before a cut-off allows
STEP = {"sto_init": 5e-4, "am.c_s_max": 3e-3, "protocol.1.value": 3e-3, "protocol.1.voltage_limit": 1e-4}
FAST = ("kinetics.j0_ref", "protocol.2.current_limit")
MORE = ("contact.fraction", "sto_init", "am.c_s_max", *(name for name in PROTOCOL if name not in FAST))


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_derivative_along_a_parameter_is_that_of_the_replayed_run(case, forwards, name):
    expected = case.differences(name, STEP.get(name, 0.02))
    largest = np.max(np.abs(np.array(list(forwards.values()))), axis=0)
    np.testing.assert_array_less(np.abs(forwards[name] - expected), 1e-6 * largest + 1e-300)


def test_backwards_is_the_transpose_of_forwards(case, forwards):
    rng = np.random.default_rng(11)
    scale = np.max(np.abs(np.array(list(forwards.values()))), axis=0)
    weights = rng.standard_normal(scale.size) / scale
    parts = np.split(weights, np.cumsum([np.size(v) for v in case.values])[:-1])
    bars = tuple(jnp.asarray(w.reshape(np.shape(v))) for w, v in zip(parts, case.values, strict=True))
    found = case.backwards(bars)
    for name, tangents in forwards.items():
        assert np.sum(found[name]) == pytest.approx(tangents @ weights, rel=1e-9, abs=1e-9), name


def test_gradient_of_a_run_is_finite_for_every_live_face_and_has_the_sign_of_physics(case):
    by_capacity = case.backwards(tuple(jnp.ones_like(v) * (k == 1) for k, v in enumerate(case.values)))
    contact = by_capacity["contact.fraction"]
    assert np.all(np.isfinite(contact)) and np.all(contact != 0.0)
    assert np.sum(contact) > 0.0 and by_capacity["kinetics.j0_ref"] > 0.0  # less is lost before 3.9 V


def test_a_part_that_ends_at_its_switch_hands_on_its_voltage(tiny):
    """The cell is beyond the first cut-off already; the ramp begins where the switch has left it."""
    cell, steps, outputs = tiny.cell(), ["Charge at C/5 until 3.8 V", "Ramp to 4.0 V at 1 mV/s"], [TimeAt(2)]
    params = {"kinetics.j0_ref": float(cell.value("kinetics.j0_ref")), "protocol.1.value": 0.2}
    with pytest.warns(UserWarning, match="did nothing"):
        _, (forwards,) = sensitivities(params, cell, steps, outputs)
        backwards = jax.grad(lambda p: evaluate(p, cell, steps, outputs)[0])(params)
    for k, name in enumerate(sorted(params)):
        assert float(forwards[k]) == pytest.approx(float(backwards[name]), rel=1e-6)
        assert abs(float(forwards[k])) > 1.0  # s per unit: the higher the switch goes, the shorter the ramp


def test_outputs_of_a_step_that_did_not_end_are_refused(tiny):
    cell, steps, few = tiny.cell(), ["Discharge at C/2 until 3.5 V"], SolverOptions(max_steps=6)
    for output in (CapacityAt(1), TimeAt(1), MeanSto()):
        with pytest.raises(RunStopped, match="did not come to"):
            evaluate({}, cell, steps, [output], options=few)


def test_a_time_asked_for_where_a_pulse_is_read_stays(tiny):
    """10 s into a constant current the run stops anyhow; asked for, it is a time of the run and not of the part."""
    cell, steps = tiny.cell(), ["Rest for 2 min", "Charge at C/2 until 3.9 V"]
    _, (rows,) = sensitivities({"protocol.1.duration": 120.0}, cell, steps, [VoltageAt([130.0, 131.0])])
    assert float(rows[0, 0]) == pytest.approx(float(rows[0, 1]), rel=0.1)  # a later charge: a lower voltage
    assert float(rows[0, 0]) < 0.0


def test_parameters_of_the_cell_are_refused(tiny):
    for name, value in (("anode.potential", 0.3), ("separator.thickness", 1e-5), ("nominal_specific_capacity", 180.0)):
        with pytest.raises(ConfigError, match=f"{name} belongs to the cell"):
            evaluate({name: value}, tiny.cell(), ["Rest for 1 min"], [VoltageAt(60.0)])


def test_grad_of_evaluate_and_sensitivities_agree(tiny):
    cell, steps, outputs = tiny.cell(), STEPS[:2], [VoltageAt(60.0), TimeAt(2)]
    params = {"kinetics.j0_ref": float(cell.value("kinetics.j0_ref")), "protocol.2.current_limit": 0.1}
    values, rows = sensitivities(params, cell, steps, outputs)
    np.testing.assert_array_equal(flat(values), flat(evaluate(params, cell, steps, outputs)))
    gradient = jax.grad(lambda p: evaluate(p, cell, steps, outputs)[1])(params)
    for k, name in enumerate(sorted(params)):
        assert float(gradient[name]) == pytest.approx(float(rows[1][k]), rel=1e-6)


def test_a_field_of_initial_stoichiometries_is_a_parameter(tiny):
    cell = tiny.cell()
    start = {"initial.sto": np.full(cell.electrode.shape, 0.6)}
    steps, outputs = ["Rest for 1 min"], [MeanSto(), FieldAt(name="sto")]
    assert float(evaluate(start, cell, steps, outputs)[0]) == pytest.approx(0.6, abs=1e-9)
    gradient = jax.grad(lambda p: evaluate(p, cell, steps, outputs)[0])(start)["initial.sto"]
    reacting = np.asarray(cell.model.active[2])[cell.model.grid.separator_layers :]
    np.testing.assert_allclose(gradient, reacting / np.count_nonzero(reacting), rtol=1e-5)  # lithium is conserved


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["decomposition.j_ref", "decomposition.beta", "film.conductivity", "contact.loss_thickness", "sto_init"]
)
def test_derivatives_hold_with_film_burst_lost_contact_and_carbon(oxidising_case, name):
    case, forwards = oxidising_case
    expected = case.differences(name, 1e-3)
    largest = np.max(np.abs(np.array(list(forwards.values()))), axis=0)
    np.testing.assert_array_less(np.abs(forwards[name] - expected), 2e-6 * largest + 1e-300)


@pytest.fixture(scope="module")
def oxidising_case(tiny):
    cell = tiny.oxidising(POOR)
    names = ("decomposition.j_ref", "decomposition.beta", "film.conductivity", "contact.loss_thickness", "sto_init")
    outputs = [VoltageAt(100.0), CapacityAt(1), DecomposedCharge(), FilmThickness()]
    case = Case(cell, {name: float(cell.value(name)) for name in names}, STEPS[:4], outputs)
    return case, dict(zip(case.params, case.forwards(list(case.params)), strict=True))


def test_differences_shrink_until_a_kink_is_left_behind():
    assert slope(lambda x: min(3.0 * x, 6.0), 2.0 - 1e-5) == pytest.approx(3.0, rel=1e-9)
    assert slope(lambda x: x**3, 0.7) == pytest.approx(3.0 * 0.49, rel=1e-9)


# -- refusals ---------------------------------------------------------------------------------------------------------


def one(params, cell, outputs=None, **more):
    return evaluate(params, cell, ["Rest for 1 min"], [TimeAt(1)] if outputs is None else outputs, **more)[0]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda f: jax.jit(f)(0.6), "cannot be compiled.*sim.sensitivities"),
        (lambda f: jax.vmap(f)(jnp.array([0.6, 0.61])), "cannot be mapped.*sim.sensitivities"),
        (lambda f: jax.jvp(f, (0.6,), (1.0,)), "has no jvp.*sim.sensitivities"),
        (lambda f: jax.jacfwd(f)(0.6), "sim.sensitivities"),
        (lambda f: jax.hessian(f)(0.6), "sim.sensitivities"),
    ],
)
def test_other_transformations_are_refused_by_name(tiny, transform, message):
    cell = tiny.cell()
    with pytest.raises(TransformError, match=message):
        transform(lambda x: one({"sto_init": x}, cell))


@pytest.mark.parametrize(
    ("params", "more", "message"),
    [
        ({"kinetics.j0": 1.0}, {}, "kinetics.j0_ref"),
        ({"protocol.2.value": 1.0}, {}, "'protocol.N.FIELD' with N from 1 to 1, for example 'protocol.1.duration'"),
        ({"protocol.1.value": 1.0}, {}, "Step 1 .Rest for 1 min. has no number 'value'.*duration"),
        ({"initial.salt": 1.0}, {}, "Unknown initial field 'initial.salt'.*initial.c_e"),
        ({"initial.sto": np.zeros(3)}, {}, "must be one number or of the shape"),
        ({}, {"outputs": ()}, "outputs is empty"),
        ({}, {"outputs": ("voltage",)}, "outputs must be like VoltageAt"),
        ({}, {"outputs": (VoltageAt([-1.0]),)}, "finite times >= 0 s"),
        ({}, {"options": SolverOptions(cycle_jump=2)}, "solver.cycle_jump = 2.*Set it to 0"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_compiled(tiny, params, more, message):
    with pytest.raises(ConfigError, match=message):
        one(params, tiny.cell(), **more)


def test_fields_that_do_not_exist_are_refused():
    with pytest.raises(ConfigError, match=r"FieldAt.name = 'salt' must be one of phi_s, phi_e, sto, c_e"):
        FieldAt(name="salt")


def test_an_output_beyond_the_end_of_a_run_is_told(tiny):
    with pytest.raises(RunStopped, match="ended at 60 s, before the 90 s"):
        one({}, tiny.cell(), outputs=(VoltageAt(90.0),))


def test_directions_must_belong_to_the_parameters(tiny):
    arguments = ({"sto_init": 0.6}, tiny.cell(), ["Rest for 1 min"], [TimeAt(1)])
    with pytest.raises(ConfigError, match="Unknown parameter 'sto' of a direction.*sto_init"):
        sensitivities(*arguments, directions=[{"sto": 1.0}])
    with pytest.raises(ConfigError, match="directions is empty"):
        sensitivities(*arguments, directions=[])
    with pytest.raises(ConfigError, match="say along which directions"):
        sensitivities({"contact.fraction": np.ones(3)}, *arguments[1:])
