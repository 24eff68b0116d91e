"""Manufactured solutions in space and time: the observed order of diffusion and conduction.

An exact field is chosen, the source that makes it a solution comes from automatic differentiation of that field, and
the source enters through the known part of each implicit stage: (u - known)/(gamma dt) with known + gamma dt S is
u_t = ... + S. Judged is the error of the solution, never the truncation error: at walls half a cell away the latter is
of order zero while the solution is of order two.

Orders are accepted in [1.8, 2.2]: on ladders of a factor two the next term of the error still shows at the coarse end.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from manufactured import C_MAX, LABELS, STO, constant_current, log_linear, observed_orders, sdirk2

from simulator.constants import F
from simulator.geometry import Electrode
from simulator.materials import LogLinear
from simulator.model import build_cell
from simulator.model.build import padded_length
from simulator.model.newton import NewtonOptions, StageResult, solve_stage
from simulator.model.residual import History
from simulator.model.timestep import GAMMA
from simulator.numerics.conduction import solve_conduction
from simulator.physics.contact import FaceCurrents

# -- three dimensions: nonlinear diffusion in both phases, a jump of the diffusivity ---------------------------------

SIZE = (8e-6, 6e-6, 10e-6)  # z, y, x of either block [m]
D_S = ((0.25, 1.0), (2e-14, 4e-15))
D_E = ((100.0, 3000.0), (4e-14, 1e-14))
JUMP, STORAGE = 0.1, 0.6  # of the second half of the ionic block: diffusivity, and share that stores salt
DURATION = 800.0


def exact_sto(z, y, x, t):
    """Stoichiometry in the AM block; no flux through its six sides."""
    shape = jnp.cos(jnp.pi * z / SIZE[0]) * jnp.cos(jnp.pi * y / SIZE[1]) * jnp.cos(jnp.pi * x / SIZE[2])
    return 0.55 + 0.2 * shape * jnp.exp(-t / 900.0) * (1 + 0.3 * jnp.sin(t / 300.0))


def exact_salt(second, z, y, x, t):
    """Salt in the first or the second half of the ionic block.

    The flux -D dc/dz is sin(pi z/L) times a function of x, y, t in both halves, so it is continuous at the jump.
    """
    wave = jnp.cos(jnp.pi * z / SIZE[0])
    profile = jnp.where(second, -1.0 + wave / JUMP, wave - 1.0) / jnp.pi
    lateral = jnp.cos(jnp.pi * y / SIZE[1]) * jnp.cos(jnp.pi * x / SIZE[2])
    return 1000.0 + 150.0 * lateral * profile * (1 + 0.5 * jnp.sin(t / 400.0))


def source_of(field, diffusivity, storage):
    """S = u_t - div(D(u) grad u)/storage of an exact `field`(z, y, x, t), at points."""

    def flux(axis):
        return lambda *p: diffusivity(field(*p)) * jax.grad(field, argnums=axis)(*p)

    def at_point(*p):
        divergence = sum(jax.grad(flux(axis), argnums=axis)(*p) for axis in range(3))
        return jax.grad(field, argnums=3)(*p) - divergence / storage

    return jax.vmap(at_point, in_axes=(0, 0, 0, None))


def with_face_list_of(model, length):
    """`model` with its list of contact faces padded to `length`, as the builder pads to rounder numbers."""
    beyond = sum(int(np.prod([n + (a == axis) for a, n in enumerate(model.shape)])) for axis in range(3))
    fill = {"face": beyond, "weight": 1.0, "h_am": 1e-6, "h_ion": 1e-6}  # the rest: index, area and flags zero

    def padded(name, values):
        more = jnp.full(length - values.size, fill.get(name, 0)).astype(values.dtype)
        return jnp.concatenate([values, more])

    faces = type(model.faces)(**{name: padded(name, getattr(model.faces, name)) for name in vars(model.faces)})
    numbers = (padded("weight", model.contact_fraction), padded("", model.film_resistance))
    return eqx.tree_at(lambda m: (m.faces, m.contact_fraction, m.film_resistance), model, (faces, *numbers))


class Blocks(NamedTuple):
    """A cell whose arrays have one shape at any resolution, where its two blocks lie, and their coordinates."""

    cell: object
    model: object
    am: np.ndarray
    ionic: np.ndarray
    second: np.ndarray  # beyond the jump
    z_am: np.ndarray  # cell centres [m], from the beginning of the block
    z_ionic: np.ndarray
    y: np.ndarray
    x: np.ndarray


def blocks(n, most):
    """Blocks of n^3 cells in a grid for `most`^3, so that all resolutions share one compiled program.

    Along z: one separator layer that lets no salt through, electrolyte, CBD, AM, and CBD up to the collector; pores
    around. The open-circuit potential is constant: without current nothing reacts, and both fields diffuse alone.
    """
    h = tuple(size / n for size in SIZE)
    phase = np.zeros((2 * most, most, most), np.uint8)
    start = 0
    for name, count in (("electrolyte", n // 2), ("cbd", n // 2), ("am", n), ("cbd", 2 * (most - n))):
        phase[start : start + count, :n, :n] = LABELS[name]
        start += count
    electrode = Electrode.from_array(phase, voxel_size=h, labels=LABELS)
    cell = build_cell(
        electrode,
        "verification",
        {
            "separator.layers": 1,
            "separator.thickness": h[0],
            "separator.D_e": 1e-25,
            "electrolyte.D_e": LogLinear(*D_E),
            "cbd.D_e": LogLinear(D_E[0], tuple(JUMP * d for d in D_E[1])),
            "cbd.electrolyte_fraction": STORAGE,
            "electrolyte.thermo_factor": 1e-12,  # no diffusion potential: the salt drives no current
            "am.D_s": LogLinear(*D_S),
            "am.ocp": 4.0,
            "sto_init": 0.55,
        },
    )
    index = np.indices(cell.model.shape)
    lateral = (index[1] < n) & (index[2] < n)
    centre = [(i + 0.5) * size for i, size in zip(index, h, strict=True)]
    z_ionic = centre[0] - h[0]
    return Blocks(
        cell=cell,
        model=with_face_list_of(cell.model, padded_length(most * most)),
        am=lateral & (index[0] > n) & (index[0] <= 2 * n),
        ionic=lateral & (index[0] >= 1) & (index[0] <= n),
        second=z_ionic > SIZE[0] / 2,
        z_am=z_ionic - SIZE[0],
        z_ionic=z_ionic,
        y=centre[1],
        x=centre[2],
    )


@jax.jit
def block_exact(second, z_am, z_ionic, y, x, t):
    """Exact (sto, c_e) on the whole grid; outside the blocks of no meaning."""
    return jnp.stack([exact_sto(z_am, y, x, t), exact_salt(second, z_ionic, y, x, t)])


@jax.jit
def block_source(second, z_am, z_ionic, y, x, t):
    sto = source_of(exact_sto, log_linear(*D_S), 1.0)(z_am.ravel(), y.ravel(), x.ravel(), t)
    first, other = (
        source_of(lambda *p, s=s: exact_salt(s, *p), lambda c, f=f: f * log_linear(*D_E)(c), storage)(
            z_ionic.ravel(), y.ravel(), x.ravel(), t
        )
        for s, f, storage in ((False, 1.0, 1.0), (True, JUMP, STORAGE))
    )
    return jnp.stack([sto, jnp.where(second.ravel(), other, first)]).reshape(2, *y.shape)


def block_errors(n, most):
    """Root mean square errors of sto and c_e at the end, with time steps proportional to the cell size."""
    b = blocks(n, most)
    where, inside = (b.second, b.z_am, b.z_ionic, b.y, b.x), np.stack([b.am, b.ionic])
    u = b.cell.initial_fields()
    u = u.at[STO:].set(jnp.where(inside, block_exact(*where, 0.0), u[STO:]))
    # Scale: the current that carries all lithium of the block out in the duration; the tolerance is 1e-6 of it.
    scale = F * C_MAX * np.prod(SIZE) / DURATION
    start = FaceCurrents(jnp.zeros(b.model.faces.area.shape))
    # The demand on the closed sums cannot be met: a source is no exchange with the electrodes.
    steps, options = n // 2, NewtonOptions(balance=1e3)

    def solve(guess, known, t):
        gamma_dt = GAMMA * DURATION / steps
        stage = solve_stage(guess, start, History(known), gamma_dt, constant_current(0.0), b.model, scale, options)
        assert stage.result is StageResult.converged, (stage.result, stage.norm)
        return stage.u

    def source(t):
        return jnp.where(inside, block_source(*where, t), 0.0)

    for k in range(steps):
        u = sdirk2(u, k * DURATION / steps, DURATION / steps, solve, source)
    gap = np.asarray(u[STO:] - block_exact(*where, DURATION))
    return [np.sqrt(np.mean(gap[f][inside[f]] ** 2)) for f in range(2)]


def test_exact_salt_has_a_continuous_value_and_flux_at_the_jump():
    at = (SIZE[0] / 2, 1e-6, 2e-6, 100.0)
    first, second = (float(exact_salt(s, *at)) for s in (False, True))
    assert first == pytest.approx(second, rel=1e-14)
    slopes = [float(jax.grad(exact_salt, argnums=1)(s, *at)) for s in (False, True)]
    assert slopes[0] == pytest.approx(JUMP * slopes[1], rel=1e-12)


@pytest.mark.slow
def test_nonlinear_diffusion_with_a_jump_is_of_order_two_in_three_dimensions():
    errors = np.array([block_errors(n, 16) for n in (4, 8, 16)])
    for name, column in zip(("sto", "c_e"), errors.T, strict=True):
        orders = observed_orders(column)
        assert np.all((orders > 1.8) & (orders < 2.2)), (name, column, orders)


@pytest.mark.slow
def test_nonlinear_diffusion_with_a_jump_stays_of_order_two_on_finer_grids():
    errors = np.array([block_errors(n, 32) for n in (8, 16, 32)])
    for name, column in zip(("sto", "c_e"), errors.T, strict=True):
        orders = observed_orders(column)
        assert np.all((orders > 1.9) & (orders < 2.1)), (name, column, orders)


# -- steady conduction -----------------------------------------------------------------------------------------------


def test_conduction_through_a_smooth_medium_is_of_order_two():
    # 1/sigma = exp(2 z): resistance (e^2 - 1)/2. (A periodic sigma would be integrated exactly by the midpoint rule.)
    errors, resistance = [], np.expm1(2.0) / 2
    for n in (8, 16, 32):
        z = (np.arange(n) + 0.5) / n
        found = solve_conduction(np.exp(-2 * z)[:, None, None], (1.0 / n, 1.0, 1.0))
        gap = found.potential[:, 0, 0] - (1.0 - np.expm1(2 * z) / 2 / resistance)
        errors.append([abs(found.conductance - 1 / resistance), np.sqrt(np.mean(gap**2))])
    orders = observed_orders(errors)
    assert np.all((orders > 1.8) & (orders < 2.2)), (errors, orders)
