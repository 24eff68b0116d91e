"""The residual is differentiable in its parameters, and right."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.model.residual import History, residual
from simulator.physics.contact import FaceCurrents

GAMMA_DT = 40.0


def with_values(model, contact_fraction, j0_ref):
    return eqx.tree_at(lambda m: (m.contact_fraction, m.kinetics.j0_ref), model, (contact_fraction, j0_ref))


@pytest.fixture(scope="module")
def problem(tiny, everything):
    """Sum of squared residual rows, scaled per row, of (contact fractions of all faces, j0_ref)."""
    cell = tiny.cell()
    model = cell.model
    rng = np.random.default_rng(51)
    low, high = (np.array(v)[:, None, None, None] for v in ([3.82, -0.05, 0.5, 900.0], [3.84, -0.04, 0.6, 1100.0]))
    u = jnp.asarray(low + (high - low) * rng.random((4, *model.shape)))
    drive = tiny.drive(0.5 * cell.one_c)

    first = everything(u, u[2:], GAMMA_DT, drive, model)[0]
    scale = jnp.max(jnp.abs(first.rows), axis=(1, 2, 3), keepdims=True)

    def loss(contact_fraction, j0_ref):
        varied = with_values(model, contact_fraction, j0_ref)
        start = FaceCurrents(jnp.zeros(model.faces.area.shape))
        rows = residual(u, History(u[2:]), jnp.asarray(GAMMA_DT), drive, varied, start).rows
        return jnp.sum(jnp.square(rows / scale))

    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    _, gradient = both(model.contact_fraction, model.kinetics.j0_ref)
    return model, lambda *values: both(*values)[0], gradient


def test_gradients_are_finite_and_reach_every_live_face(problem):
    model, _, (by_contact, by_j0) = problem
    valid = np.asarray(model.faces.valid)
    assert np.all(np.isfinite(by_contact)) and np.isfinite(float(by_j0))
    assert np.all(np.asarray(by_contact)[valid] != 0.0) and float(by_j0) != 0.0
    assert np.all(np.asarray(by_contact)[~valid] == 0.0)


@pytest.mark.parametrize("what", ["contact_fraction", "j0_ref"])
def test_gradient_along_a_direction_matches_central_differences(problem, what):
    model, loss, (by_contact, by_j0) = problem
    contact, j0 = model.contact_fraction, model.kinetics.j0_ref
    h = 1e-4
    if what == "j0_ref":
        expected = float(by_j0)
        values = [float(loss(contact, j0 + s * h)) for s in (1, -1)]
    else:
        direction = jnp.asarray(np.random.default_rng(52).normal(size=contact.shape)) * model.faces.valid
        expected = float(jnp.vdot(by_contact, direction))
        values = [float(loss(contact + s * h * direction, j0)) for s in (1, -1)]
    numeric = (values[0] - values[1]) / (2 * h)
    # truncation h^2 = 1e-8 of a smooth function; face currents solved to 1e-10, divided by h
    assert expected == pytest.approx(numeric, rel=1e-5)


def test_taylor_remainder_is_of_second_order(problem):
    model, loss, (by_contact, by_j0) = problem
    contact, j0 = model.contact_fraction, model.kinetics.j0_ref
    direction = -0.3 * contact * model.faces.valid
    base = float(loss(contact, j0))
    slope = float(jnp.vdot(by_contact, direction)) + 0.5 * float(by_j0)
    steps = np.array([0.4, 0.2, 0.1, 0.05])
    remainders = [abs(float(loss(contact + e * direction, j0 + 0.5 * e)) - base - e * slope) for e in steps]
    orders = np.log2(np.array(remainders[:-1]) / np.array(remainders[1:]))
    assert np.all(np.abs(orders - 2) < 0.2), orders  # the third-order term fades with e


def test_halving_the_contact_fraction_equals_halving_the_area_weight(tiny, everything):
    cell = tiny.cell({"contact.electronic_resistance": 0.0})
    model = cell.model
    u = np.asarray(cell.initial_fields()).copy()
    u[0] += 0.03

    def currents(model):
        return np.asarray(everything(u, u[2:], GAMMA_DT, tiny.drive(0.0), model)[0].total.j.total)

    contact = currents(eqx.tree_at(lambda m: m.contact_fraction, model, model.contact_fraction / 2))
    weight = currents(eqx.tree_at(lambda m: m.faces.weight, model, model.faces.weight / 2))
    plain = np.asarray(model.faces.valid & ~model.faces.on_cbd)
    # Powers of two: the same numbers. (On CBD the contact also limits the electrons that come from there.)
    np.testing.assert_allclose(contact[plain], weight[plain], rtol=1e-12)
    assert np.all(contact[plain] != currents(model)[plain])
