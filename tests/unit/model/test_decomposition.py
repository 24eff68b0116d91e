"""The oxidation branch inside the coupled solve: Jacobian, order in time, balances, and its switches."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F
from simulator.model import SolverOptions, simulate
from simulator.model.interface import interface_resistance, side_columns
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Flows, SideStates
from simulator.model.timestep import consistent_state, resting_state
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS

#: the same program without any loss of contact
KEPT = {"contact.loss_thickness": 1e3}
GAMMA_DT = 30.0
LAW = {"decomposition.law": "delithiation"}


def disturbed(cell, seed):
    """Fields and side states away from equilibrium, and a direction."""
    rng, model = np.random.default_rng(seed), cell.model
    u = np.asarray(cell.initial_fields()).copy()
    u[0] += 0.02 * rng.standard_normal(u[0].shape)
    u[1] += 0.02 * rng.standard_normal(u[1].shape)
    u[2] += 0.05 * rng.standard_normal(u[2].shape)
    u[3] *= 1.0 + 0.1 * rng.standard_normal(u[3].shape)
    n = model.faces.area.size
    faces = np.stack([rng.uniform(0, 4e-9, n), rng.uniform(0, 4, n), rng.uniform(0.3, 1, n)])
    carbon = None if model.carbon is None else jnp.asarray(rng.uniform(0.3, 1.0, model.shape))
    side = SideStates(None if model.decomposition is None else jnp.asarray(faces), carbon)
    du = np.where(np.asarray(model.active), rng.standard_normal(u.shape), 0.0)
    return u, side, du


def test_jacobian_is_the_derivative_of_the_residual(tiny, everything):
    # without loss of contact: what that does to the electrons' split is left out of the Jacobian
    cell = tiny.oxidising(KEPT)
    u, side, du = disturbed(cell, 3)
    _, tangent, assembled = everything(u, u[2:], GAMMA_DT, tiny.drive(0.5 * cell.one_c), cell.model, du, side)
    size = np.sqrt(np.mean(np.square(tangent), axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(assembled / size, tangent / size, atol=1e-9)  # face currents are solved to 1e-12 V


def test_rows_add_up_to_the_conserved_sums(tiny, everything):
    """Every current that leaves one row enters another: sums of the rows are those of the outer flows."""
    cell = tiny.oxidising(KEPT)
    u, side, _ = disturbed(cell, 5)
    evaluation, *_ = everything(u, u[2:], GAMMA_DT, tiny.drive(0.5 * cell.one_c), cell.model, None, side)
    total, flows = evaluation.total, evaluation.total.flows
    sums = np.sum(np.asarray(evaluation.rows), axis=(1, 2, 3))
    np.testing.assert_allclose(sums, np.asarray(total.imbalance), atol=1e-9 * float(jnp.sum(jnp.abs(evaluation.rows))))
    assert float(flows.reaction) == pytest.approx(float(flows.lithium + flows.oxidation + flows.burst), rel=1e-12)
    assert min(float(v) for v in (flows.oxidation, flows.burst, flows.carbon)) > 0


@pytest.fixture(scope="module")
def ladder(tiny, refined):
    """With film, burst, contact loss and carbon, all moving fast."""
    cell = tiny.oxidising()
    return cell, *refined(cell)


def quantities(cell, state):
    """Numbers that summarise the side states, and the voltage."""
    area = np.asarray(cell.model.pristine_contact)
    states = np.asarray(state.side.faces)
    voxels = np.asarray(cell.model.carbon_voxels)
    return {
        "voltage": state.voltage,
        "thickness": np.sum(states[THICKNESS] * area),
        "charge": np.sum(states[CHARGE] * area),
        "burst": np.sum(states[BURST_LEFT] * area),
        "carbon": np.sum(np.asarray(state.side.carbon)[voxels]),
    }


@pytest.mark.parametrize("name", ["voltage", "thickness", "charge", "burst", "carbon"])
def test_film_burst_contact_loss_and_carbon_converge_with_order_two(ladder, name):
    cell, _, runs = ladder
    exact = quantities(cell, runs[40][0])[name]
    errors = np.array([abs(quantities(cell, runs[n][0])[name] - exact) for n in (1, 2, 4, 8)])
    orders = np.log2(errors[:-1] / errors[1:])
    # 100 s is several diffusion times of a voxel: the first pair is not asymptotic yet
    assert np.all((orders[1:] > 1.8) & (orders[1:] < 2.3)), (errors, orders)


def test_contact_is_lost_as_the_film_grows(ladder):
    cell, before, runs = ladder
    after = runs[40][0]
    grown = np.asarray(after.side.faces[THICKNESS]) > np.asarray(before.side.faces[THICKNESS])
    assert np.all(grown[np.asarray(cell.model.faces.valid)])
    remaining = np.asarray(cell.model.decomposition.film.remaining(after.side.faces[THICKNESS]))
    assert 0.2 < remaining[np.asarray(cell.model.faces.valid)].mean() < 0.9


def test_the_first_state_has_the_types_of_all_later_ones(tiny):
    """Weakly typed floats would compile every program twice."""
    cell = tiny.oxidising()
    start = (cell.initial_fields(), cell.initial_side())
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(start) if isinstance(leaf, jax.Array))


PROTOCOL = ["Charge at C/2 for 4 min", "Rest for 2 min", "Discharge at C/2 for 4 min"]


def run(cell, **more):
    return simulate(cell, PROTOCOL, options=SolverOptions(dt_init=20.0), **more)


@pytest.fixture(scope="module")
def cycled(tiny):
    cell = tiny.oxidising(KEPT)
    return cell, run(cell)


def test_every_balance_of_a_run_with_side_reactions_closes(cycled):
    _, solution = cycled
    assert solution.status == "finished"
    assert set(solution.ledger) == {"charge", "lithium", "salt", "side"}
    assert max(solution.ledger.values()) <= 1e-9
    columns = ("decomposed_coulomb", "burst_coulomb", "carbon_coulomb", "salt_lost_mole")
    for name in columns:
        values = solution.timeseries[name]
        assert values[0] == 0 and values[-1] > 0 and np.all(np.diff(values) >= 0), name
    passed = solution.timeseries
    np.testing.assert_allclose(passed["salt_lost_mole"], 0.3 * passed["decomposed_coulomb"] / F, rtol=1e-12)


def test_losses_still_add_up_to_the_voltage(cycled):
    _, solution = cycled
    series = solution.timeseries
    gap = series["voltage_volt"] - series["ocv_volt"]
    for name in series:
        gap = gap - series[name] if name.startswith("loss_") else gap
    stepped = (series["current_ampere"] != 0) & (series["time_step_second"] > 0)
    assert np.max(np.abs(gap[stepped])) < 2e-8  # Newton leaves 1e-6 of the current on some millivolts


def test_the_largest_film_is_that_of_faces_with_contact(tiny):
    """The floor of the contact keeps dead faces in the equations, where nothing slows the film down."""
    cell = tiny.oxidising({"contact.fraction": 0.5})
    faces = cell.model.faces
    thickness = np.linspace(1e-9, 2e-9, faces.area.size)
    last = int(np.flatnonzero(np.asarray(faces.valid))[-1])
    dead = eqx.tree_at(lambda m: m.contact_fraction, cell.model, cell.model.contact_fraction.at[last].set(0.0))
    initial = cell.initial_side()
    side = initial._replace(faces=initial.faces.at[THICKNESS].set(thickness))
    for model, thickest in ((cell.model, last), (dead, last - 1)):
        columns = side_columns(side, Flows(), np.asarray(model.pristine_contact), model)
        assert columns["film_thickness_max"] == thickness[thickest]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decomposition.burst_charge": 20.0}, "decomposition.burst_charge = 20 has no effect: it needs a decomp"),
        (LAW | {"decomposition.burst_charge": 20.0, "decomposition.burst_j_ref": 0.0}, "needs .*burst_j_ref > 0"),
        ({"contact.loss_thickness": 1e-8}, "contact.loss_thickness = 1e-08 has no effect: .* set .* to inf"),
        (
            LAW | {"contact.loss_thickness": 1e-8, "decomposition.j_ref": 0.0, "decomposition.burst_charge": 20.0},
            "loss_thickness .* needs a film, .* decomposition.j_ref > 0",
        ),
        ({"carbon_oxidation.j_ref": 1e-4}, "carbon_oxidation.j_ref = 0.0001 A/m2 has no effect: no cbd voxel"),
    ],
)
def test_a_side_reaction_that_would_silently_do_nothing_warns(tiny, settings, message):
    phases = np.where(tiny.phases == 2, 3, tiny.phases) if "carbon" in message else None  # electrolyte for binder
    with pytest.warns(UserWarning, match=message):
        tiny.cell(settings, phases=phases)


def test_a_law_without_current_equals_a_run_without_the_branch_to_the_last_bit(tiny):
    off, none = tiny.cell({"decomposition.law": "delithiation", "decomposition.j_ref": 0.0}), tiny.cell()
    assert off.model.decomposition is None
    a, b = run(off), run(none)
    for name in a.timeseries:
        np.testing.assert_array_equal(a.timeseries[name], b.timeseries[name], err_msg=name)


def test_a_branch_that_passes_nothing_changes_nothing(tiny):
    """The same with every branch in the program and every current zero: another program, other roundings."""
    cell, none = tiny.oxidising(KEPT), tiny.cell()
    currents = (
        lambda m: m.decomposition.law.j_ref,
        lambda m: m.decomposition.burst.j_ref,
        lambda m: m.carbon.j_ref,
    )
    model = eqx.tree_at(lambda m: [current(m) for current in currents], cell.model, [jnp.zeros(())] * 3)
    # with a type, as the others: a plain float would compile everything once more
    model = eqx.tree_at(lambda m: m.decomposition.film.conductivity, model, jnp.asarray(1e-8, float))
    a, b = run(dataclasses.replace(cell, model=model)), run(none)
    # Newton ends at 1e-6 of the current on about 30 mV of polarisation: 3e-8 V. The step size follows from an estimate
    # of the error, a small difference that feels it: the times of free steps agree to 6e-8 of them.
    for name, bounds in {
        "test_time_second": {"rtol": 2e-7},
        "voltage_volt": {"rtol": 0, "atol": 3e-8},
        "sto_mean": {"rtol": 0, "atol": 1e-7},
        "c_e_min": {"rtol": 2e-7},
        "interface_resistance_ohm_m2": {"rtol": 2e-7},
    }.items():
        np.testing.assert_allclose(a.timeseries[name], b.timeseries[name], err_msg=name, **bounds)
    assert np.all(a.timeseries["decomposed_coulomb"] == 0) and np.all(a.timeseries["film_thickness_max"] == 0)


def test_with_beta_zero_a_run_does_not_see_y0(tiny):
    a, b = (run(tiny.oxidising({"decomposition.beta": 0.0, "decomposition.y0": y0})) for y0 in (0.2, 0.5))
    for name in a.timeseries:
        np.testing.assert_array_equal(a.timeseries[name], b.timeseries[name], err_msg=name)


@pytest.mark.parametrize(("grown", "least", "most"), [(False, 1.0, 1.0), (True, 0.2, 0.9)])
def test_interface_resistance_is_the_written_sum(tiny, ladder, grown, least, most):
    """Against the sum over the faces with derivatives by differences of the written Butler-Volmer relation: right after
    a current is switched on, and with a film that has cost contact."""
    cell, _, runs = ladder
    model, current = cell.model, 0.5 * cell.one_c
    rest = resting_state(cell.initial_fields(), cell.initial_side(), model)
    fresh, _ = consistent_state(rest, tiny.drive(current), model, current, NewtonOptions())
    state = runs[40][0] if grown else fresh
    am, ion = model.gather(state.u)
    sides = model.face_sides(am, ion, state.side.faces)
    p, k, branch, faces = model.parameters, model.kinetics, model.decomposition, model.faces
    thickness = np.asarray(state.side.faces[THICKNESS])
    left = np.exp(-thickness / 8e-9)
    assert least <= left[np.asarray(faces.valid)].mean() <= most
    live = model.contact_fraction * left
    film = cell.value("film.resistance_init") + thickness / 1e-6
    j = state.j.intercalation
    surface = am[2] - sides.weight * live * sides.h_am / (2 * sides.diffusivity * F * p.c_s_max) * j
    j0 = k.exchange_current(surface, ion[3])
    f, h = F / (8.31446261815324 * 333.15), 1e-5
    eta = k.overpotential(j / j0, p.temperature)
    E = p.ocp(surface, p.temperature) + eta

    def through(shift):
        bv = j0 * (jnp.exp(0.4 * f * (eta + shift)) - jnp.exp(-0.6 * f * (eta + shift)))
        ox = branch.law.current(E + shift, surface, thickness, p.temperature)
        burst = 0.05 * jnp.exp(0.5 * f * (E + shift - 3.75)) * state.side.faces[BURST_LEFT]
        return bv + ox + burst

    g = (through(h) - through(-h)) / (2 * h)
    area = np.where(faces.valid, faces.area * faces.weight * live, 0.0)
    expected = 1.0 / np.sum(area * np.asarray(g / (1.0 + film * g)))
    # central differences: (f h)^2 / 6 = 2e-8
    assert interface_resistance(state.u, state.j, state.side, model) == pytest.approx(expected, rel=1e-6)


def test_a_run_goes_on_from_its_checkpoint_to_the_last_bit(tiny, cycled):
    cell, whole = cycled
    kept = []

    class Keep:
        def row(self, row):
            pass

        def fields(self, *arguments):
            pass

        def step_done(self, checkpoint):
            if len(kept) < 6:
                kept.append(checkpoint())

        def stopped(self, checkpoint):
            pass

        def finish(self, solution):
            pass

    run(cell, recorder=Keep())
    again = run(cell, checkpoint=kept[-1])
    for name in ("voltage_volt", "decomposed_coulomb", "burst_coulomb", "carbon_coulomb", "film_thickness_mean"):
        np.testing.assert_array_equal(again.timeseries[name], whole.timeseries[name], err_msg=name)


def test_leaves_of_the_branch_are_differentiable(tiny):
    model = tiny.oxidising().model
    names = {"law": model.decomposition.law, "film": model.decomposition.film, "carbon": model.carbon}
    for name, part in names.items():
        leaves = jax.tree.leaves(eqx.filter(part, eqx.is_inexact_array))
        assert leaves and all(leaf.dtype == jnp.float64 for leaf in leaves), name
