"""The transposed Jacobian and preconditioner, written by hand, against those that JAX makes by transposing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick_jit

from simulator.materials import Table
from simulator.model.jacobian import linearise
from simulator.model.preconditioner import precondition
from simulator.model.residual import Drive, History, residual
from simulator.model.timestep import no_currents

#: Every term of the Jacobian: electrons whose conductivity follows the lithium, and ions whose transference number
#: follows the salt.
VARYING = {
    "am.sigma": Table([0.0, 1.0], [1.2, 0.4]),
    "electrolyte.t_plus": Table([0.0, 4000.0], [0.2, 0.3]),
}


@quick_jit
def transposes(u, history, drive, model, x, y):
    """Products <y, A x> and <A^T y, x>, and A^T y by hand and by JAX, for the Jacobian and the preconditioner."""
    gamma_dt = jnp.asarray(30.0)
    total = residual(u, history, gamma_dt, drive, model, no_currents(history.side, model)).total
    jacobian = linearise(u, total, history, gamma_dt, drive, model, jnp.dtype(jnp.float64))
    preconditioner = precondition(jacobian, model, jnp.dtype(jnp.float64))
    found = []
    for linear in (jacobian, preconditioner):
        by_hand, [by_jax] = linear.apply_transposed(y), jax.linear_transpose(linear.apply, x)(y)
        found.append((jnp.vdot(y, linear.apply(x)), jnp.vdot(by_hand, x), by_hand, by_jax))
    return found


@pytest.mark.parametrize("held", [False, True], ids=["current", "voltage"])
def test_transposes_by_hand_are_those_of_the_operators(tiny, held):
    """On a grid that is coarsened, with every side reaction."""
    cell = dataclasses.replace(tiny, phases=np.tile(tiny.phases, (2, 2, 2))).oxidising(VARYING)
    assert cell.model.grid.plan and cell.model.sigma_varies and cell.model.t_plus_varies
    rng = np.random.default_rng(2)
    start = cell.initial_fields()
    u = start.at[:2].add(0.01 * rng.standard_normal(start[:2].shape))
    u = u.at[3].multiply(1.0 + 0.1 * rng.standard_normal(start[3].shape))
    drive = Drive(jnp.zeros(()), jnp.asarray(3.9), jnp.zeros(())) if held else tiny.drive(0.5 * cell.one_c)
    x, y = (jnp.asarray(rng.standard_normal((3, *cell.model.shape))) for _ in range(2))
    for forwards, backwards, by_hand, by_jax in transposes(
        u, History(start[2:], cell.initial_side()), drive, cell.model, x, y
    ):
        assert float(forwards) == pytest.approx(float(backwards), rel=1e-10)
        size = np.max(np.abs(by_jax), axis=(1, 2, 3), keepdims=True)
        np.testing.assert_allclose(by_hand / size, by_jax / size, atol=1e-12)
