"""Manufactured solution of the whole coupled problem under current, in one dimension: orders in space and time, as in
test_manufactured.py."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chen import chen
from manufactured import C_MAX, constant_current, log_linear, observed_orders, sdirk2
from quick import quick_jit
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.materials import LogLinear
from simulator.model import build_cell
from simulator.model.residual import History, residual
from simulator.model.timestep import GAMMA
from simulator.physics.contact import FaceCurrents

T = 333.15
L_S, L_A = 20e-6, 6e-6  # separator, active material [m]
LAWS = {
    "kappa": ((100.0, 3000.0), (0.02, 0.09)),
    "D_e": ((100.0, 3000.0), (4e-12, 1e-12)),
    "t_plus": ((100.0, 3000.0), (0.15, 0.45)),
    "theta": ((100.0, 3000.0), (0.9, 2.5)),
    "D_s": ((0.25, 1.0), (2e-14, 8e-15)),
    "sigma": ((0.25, 1.0), (3e-3, 5e-4)),
}
KAPPA, D_SALT, T_PLUS, THETA, D_SOLID, SIGMA = (log_linear(*LAWS[name]) for name in LAWS)
J0, J0_LI, R_LI, FILM, CONTACT = 2.0, 10.0, 1e-3, 2e-3, 0.5
ALPHA_A, ALPHA_C, C_INIT = 0.4, 0.6, 1130.0
AREA = 1e-12
TIME = 240.0


def current_density(t):
    """i_z [A m^-2], positive on discharge."""
    return 3.0 * (1 + 0.4 * jnp.sin(2 * jnp.pi * t / 300.0))


def hermite(s, left, slope_left, right, slope_right):
    """Cubic on [0, 1] with given values and slopes."""
    return (
        left * (1 + 2 * s) * (1 - s) ** 2
        + slope_left * s * (1 - s) ** 2
        + right * s**2 * (3 - 2 * s)
        + slope_right * s**2 * (s - 1)
    )


def salt(z, t):
    """c_e(z, t) on [0, L_S]: anions pass neither end, -D c_z = (1 - t_plus) i / F."""
    left, right = 1250.0 + 40.0 * jnp.sin(t / 60.0), 1000.0 - 60.0 * jnp.sin(t / 80.0)

    def slope(c):
        return -(1 - T_PLUS(c)) * current_density(t) / (F * D_SALT(c)) * L_S

    s = z / L_S
    bump = 16 * s**2 * (1 - s) ** 2 * 80.0 * jnp.cos(t / 100.0)
    return hermite(s, left, slope(left), right, slope(right)) + bump


def lithium(z, t):
    """sto(z, t) on [0, L_A]: what the reaction takes at z = 0, nothing at the collector."""
    left, right = 0.62 + 0.03 * jnp.sin(t / 70.0), 0.45 - 0.02 * jnp.cos(t / 90.0)
    slope = -current_density(t) / (F * C_MAX * D_SOLID(left)) * L_A
    return hermite(z / L_A, left, slope, right, 0.0)


def salt_source(z, t):
    """c_t - d/dz (D c_z) - d/dz [(1 - t_plus) i / F], at a point."""

    def flux(z):
        c = salt(z, t)
        return -D_SALT(c) * jax.grad(salt)(z, t) - (1 - T_PLUS(c)) * current_density(t) / F

    return jax.grad(salt, argnums=1)(z, t) + jax.grad(flux)(z)


def lithium_source(z, t):
    def flux(z):
        return -D_SOLID(lithium(z, t)) * jax.grad(lithium)(z, t)

    return jax.grad(lithium, argnums=1)(z, t) + jax.grad(flux)(z)


def coupling(c):
    return 2 * R * T / F * (1 - T_PLUS(c)) * THETA(c)


def phi_e_slope(z, t):
    c = salt(z, t)
    return coupling(c) * jax.grad(salt)(z, t) / c - current_density(t) / KAPPA(c)


def phi_s_slope(z, t):
    return -current_density(t) / SIGMA(lithium(z, t))


SALT, LITHIUM, SALT_SOURCE, LITHIUM_SOURCE, PHI_E_SLOPE, PHI_S_SLOPE = (
    jax.jit(jax.vmap(f, in_axes=(0, None)))
    for f in (salt, lithium, salt_source, lithium_source, phi_e_slope, phi_s_slope)
)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def integral(slope, ends, t):
    """Integrals of a smooth `slope` from 0 to each of `ends`, by Gauss-Legendre of 24 points: exact to rounding."""
    ends = np.asarray(ends)
    z = 0.5 * ends[:, None] * (1 + NODES)
    return 0.5 * ends * (np.asarray(slope(z.ravel(), t)).reshape(z.shape) @ WEIGHTS)


def overpotential(x_surface, c, t):
    """eta of the reaction with the exchange current of the given surface stoichiometry and salt [V]."""
    j = -float(current_density(t)) / CONTACT
    j0 = J0 * 2 * np.sqrt(x_surface * (1 - x_surface)) * np.sqrt(c / C_INIT)
    return R * T / F * brentq(lambda e: j0 * (np.exp(ALPHA_A * e) - np.exp(-ALPHA_C * e)) - j, -30, 30, xtol=1e-15)


class Exact(NamedTuple):
    phi_s: np.ndarray
    phi_e: np.ndarray
    sto: np.ndarray
    c_e: np.ndarray
    voltage: float


def exact_state(separator, electrode, t):
    """All fields at the given cell centres, each measured from the beginning of its own slab, and the cell voltage."""
    i = float(current_density(t))
    wall = -i * R_LI - 2 * R * T / F * np.arcsinh(i / (2 * J0_LI))
    phi_e = wall + integral(PHI_E_SLOPE, separator, t)
    end = wall + integral(PHI_E_SLOPE, [L_S], t)[0]
    x, c = float(lithium(0.0, t)), float(salt(L_S, t))
    surface = end - i / CONTACT * FILM + chen(x) + overpotential(x, c, t)
    phi_s = surface + integral(PHI_S_SLOPE, electrode, t)
    voltage = surface + integral(PHI_S_SLOPE, [L_A], t)[0]
    sto, c_e = np.asarray(LITHIUM(electrode, t)), np.asarray(SALT(separator, t))
    return Exact(phi_s, phi_e, sto, c_e, voltage)


def edges(n, length, graded):
    s = np.linspace(0.0, 1.0, n + 1)
    return length * (s + 0.5 * np.sin(2 * np.pi * s) / (2 * np.pi) if graded else s)


@quick_jit
def newton_system(u, known, gamma_dt, current, model):
    def rows(u):
        start = FaceCurrents(jnp.zeros(model.faces.area.shape))
        evaluation = residual(u, History(known), gamma_dt, constant_current(current), model, start)
        return evaluation.rows, evaluation

    matrix, evaluation = jax.jacfwd(rows, has_aux=True)(u)
    return evaluation, matrix


class Slab:
    """n cells of separator and n of active material, without and with graded cell sizes."""

    def __init__(self, n, graded):
        self.n = n
        voxels = Electrode.from_array(np.ones((n, 1, 1), int), voxel_size=(L_A / n, 1e-6, 1e-6), labels={"am": 1})
        laws = {
            "separator.kappa": LogLinear(*LAWS["kappa"]),
            "separator.D_e": LogLinear(*LAWS["D_e"]),
            "electrolyte.t_plus": LogLinear(*LAWS["t_plus"]),
            "electrolyte.thermo_factor": LogLinear(*LAWS["theta"]),
            "am.D_s": LogLinear(*LAWS["D_s"]),
            "am.sigma": LogLinear(*LAWS["sigma"]),
        }
        values = {
            "separator.layers": n,
            "separator.thickness": L_S,
            "kinetics.j0_ref": J0,
            "kinetics.alpha_a": ALPHA_A,
            "kinetics.alpha_c": ALPHA_C,
            "contact.fraction": CONTACT,
            "film.resistance_init": FILM,
            "anode.j0": J0_LI,
            "anode.resistance": R_LI,
            "sto_init": 0.55,
        }
        cell = build_cell(voxels, "verification", {**laws, **values})
        z_s, z_a = edges(n, L_S, graded), edges(n, L_A, graded)
        self.separator, self.electrode = 0.5 * (z_s[1:] + z_s[:-1]), 0.5 * (z_a[1:] + z_a[:-1])
        dz = np.concatenate([np.diff(z_s), np.diff(z_a)])
        faces = cell.model.faces
        self.model = eqx.tree_at(
            lambda m: (m.grid.dz, m.faces.h_am, m.faces.h_ion),
            cell.model,
            (jnp.asarray(dz), jnp.full_like(faces.h_am, dz[n]), jnp.full_like(faces.h_ion, dz[n - 1])),
        )
        self.active = np.asarray(self.model.active)

    def fields(self, exact):
        """Exact values where a field exists, something harmless elsewhere."""
        u = np.empty((4, 2 * self.n, 1, 1))
        u[:] = np.array([4.0, 0.0, 0.5, 1000.0])[:, None, None, None]
        u[0, self.n :, 0, 0], u[1, : self.n, 0, 0] = exact.phi_s, exact.phi_e
        u[2, self.n :, 0, 0], u[3, : self.n, 0, 0] = exact.sto, exact.c_e
        return u

    def source(self, t):
        s = np.zeros((2, 2 * self.n, 1, 1))
        s[0, self.n :, 0, 0], s[1, : self.n, 0, 0] = LITHIUM_SOURCE(self.electrode, t), SALT_SOURCE(self.separator, t)
        return s

    def solve(self, u, known, t, gamma_dt):
        """Newton with the dense matrix of the residual, to what float64 gives."""
        u = np.array(u)
        current = -float(current_density(t)) * AREA
        for _ in range(12):
            evaluation, matrix = newton_system(u, known, jnp.asarray(gamma_dt), jnp.asarray(current), self.model)
            rows = np.asarray(evaluation.rows)
            if np.linalg.norm(rows[self.active]) < 1e-9 * abs(current):
                self.voltage = float(evaluation.total.voltage)
                return u
            dense = np.asarray(matrix).reshape(u.size, u.size)[np.ix_(self.active.ravel(), self.active.ravel())]
            u[self.active] -= np.linalg.solve(dense, rows[self.active])
        raise AssertionError(f"Newton did not converge at t = {t}")

    def march(self, steps):
        """Fields and voltage at `TIME` from the exact state at 0."""
        u, dt = self.fields(exact_state(self.separator, self.electrode, 0.0)), TIME / steps
        for k in range(steps):
            u = sdirk2(u, k * dt, dt, lambda v, known, t: self.solve(v, known, t, GAMMA * dt), self.source)
        return u, self.voltage

    def errors(self, steps):
        """Root mean square errors at `TIME`: phi_s, phi_e [V], sto, c_e [mol m^-3], voltage [V], and the voltage
        without the two places where the salt is taken at the cell centre instead of the face."""
        u, voltage = self.march(steps)
        exact = exact_state(self.separator, self.electrode, TIME)
        gap = u - self.fields(exact)
        rms = [np.sqrt(np.mean(gap[f][self.active[f]] ** 2)) for f in range(4)]
        x, face, centre = float(lithium(0.0, TIME)), float(salt(L_S, TIME)), float(salt(self.separator[-1], TIME))
        # Exact fields between the last cell centre and the face: no discrete value enters.
        diffusion = float(coupling(0.5 * (face + centre))) * np.log(face / centre)
        kinetics = overpotential(x, face, TIME) - overpotential(x, centre, TIME)
        return [*rms, abs(voltage - exact.voltage), abs(voltage + diffusion + kinetics - exact.voltage)]


NAMES = ("phi_s", "phi_e", "sto", "c_e", "voltage", "voltage with the salt at the face")


def slab_orders(sizes, graded):
    errors = np.array([Slab(n, graded).errors(n // 2) for n in sizes])
    return dict(zip(NAMES, observed_orders(errors).T, strict=True)), dict(zip(NAMES, errors.T, strict=True))


@pytest.mark.parametrize("graded", [False, True], ids=["uniform", "graded"])
def test_coupled_slab_under_current_is_of_order_two(graded):
    orders, errors = slab_orders((8, 16, 32), graded)
    for name in ("phi_e", "sto", "c_e"):
        assert np.all((orders[name] > 1.8) & (orders[name] < 2.2)), (name, errors[name], orders[name])
    # Half a voxel of diffusion in the particle adds a third-order term of opposite sign: 1.6 and 1.82 seen, rising to
    # 1.91 and, with 128 cells, 1.95.
    name = "voltage with the salt at the face"
    assert 1.5 < orders[name][0] < orders[name][1] < 2.2 and orders[name][1] > 1.75, (errors[name], orders[name])


def test_salt_at_the_cell_centre_makes_the_voltage_first_order_in_the_last_layer():
    # The face law takes c_e half a cell away from the face, by choice; everything else is of second order (above).
    orders, errors = slab_orders((8, 16, 32), False)
    for name in ("phi_s", "voltage"):
        assert np.all((orders[name] > 0.9) & (orders[name] < 1.4)), (name, errors[name], orders[name])
    assert errors["voltage"][-1] < 2.5e-4  # 0.19 mV seen with layers of 0.6 um at 4 A/m2


@pytest.mark.slow
def test_coupled_slab_under_current_stays_of_order_two_on_finer_grids():
    orders, errors = slab_orders((32, 64, 128), False)
    for name in ("phi_e", "sto", "c_e", "voltage with the salt at the face"):
        assert np.all((orders[name] > 1.9) & (orders[name] < 2.1)), (name, errors[name], orders[name])


def test_coupled_slab_is_of_order_two_in_time_alone():
    slab = Slab(8, False)
    reference, reference_voltage = slab.march(320)
    errors = []
    for steps in (20, 40, 80):
        u, voltage = slab.march(steps)
        rms = [np.sqrt(np.mean((u - reference)[f][slab.active[f]] ** 2)) for f in range(4)]
        errors.append([*rms, abs(voltage - reference_voltage)])
    orders = observed_orders(errors)
    # All four fields and the voltage, algebraic ones included: the scheme is stiffly accurate. 1.89 to 2.07 seen.
    assert np.all((orders > 1.8) & (orders < 2.2)), (np.array(errors).T, orders.T)


def test_source_closes_the_lithium_and_salt_balance_of_the_exact_fields():
    # d/dt of the content = source + what passes the ends: the sources belong to these boundary conditions.
    t = 37.0
    i = float(current_density(t))
    for field, source, length, inflow in (
        (salt, SALT_SOURCE, L_S, 0.0),  # no anions through either end
        (lithium, LITHIUM_SOURCE, L_A, i / (F * C_MAX)),
    ):
        rate = jax.jit(jax.vmap(jax.grad(field, argnums=1), in_axes=(0, None)))
        content, made = integral(rate, [length], t)[0], integral(source, [length], t)[0]
        assert content == pytest.approx(made + inflow, rel=1e-10)
