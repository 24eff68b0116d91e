"""What tests with manufactured solutions share: orders, the time scheme with a source, laws."""

import jax.numpy as jnp
import numpy as np

from simulator.model.residual import Drive
from simulator.model.timestep import GAMMA

STO = 2
C_MAX = 51765.0
LABELS = {"pore": 0, "am": 1, "cbd": 2, "electrolyte": 3}


def observed_orders(errors, ratio=2.0):
    e = np.asarray(errors)
    return np.log(e[:-1] / e[1:]) / np.log(ratio)


def constant_current(current):
    return Drive(jnp.asarray(current, float), jnp.zeros(()), jnp.ones(()))


def sdirk2(u, t, dt, solve, source):
    """One step of the scheme of Alexander (1977): `solve(u, known, t)` is one implicit stage, `source(t)` is S."""
    y1 = solve(u, u[STO:] + GAMMA * dt * source(t + GAMMA * dt), t + GAMMA * dt)
    known = u[STO:] + (1 - GAMMA) / GAMMA * (y1[STO:] - u[STO:])
    return solve(y1, known + GAMMA * dt * source(t + dt), t + dt)


def log_linear(points, values):
    return lambda v: values[0] * (values[1] / values[0]) ** ((v - points[0]) / (points[1] - points[0]))
