"""The residual and its Jacobian against a plain model: the same discrete equations in loops over voxels and faces.

The plain model shares nothing with the solver but the image, the layer thicknesses and the area weights: connectivity
by flood fill, each face current by a bracketing root finder, the anion balance as it is written in textbooks.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from chen import chen
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.geometry import AM, CBD, ELECTROLYTE, face_weights
from simulator.materials import LogLinear, Table
from simulator.model.grid import SEPARATOR
from simulator.model.newton import NewtonOptions, StageResult, solve_stage
from simulator.model.residual import History
from simulator.physics.contact import FaceCurrents

T, C_MAX, C_INIT = 333.15, 51765.0, 1130.0
PHI_S, PHI_E, STO, C_E = range(4)


class Laws(NamedTuple):
    """Material laws as plain functions of sto or c_e; `kappa` and `D_e` by phase."""

    sigma: object
    D_s: object
    kappa: dict
    D_e: dict
    t_plus: object
    theta: object


def log_linear(x, y):
    return lambda v: y[0] * (y[1] / y[0]) ** ((v - x[0]) / (x[1] - x[0]))


def scaled(function, factor):
    return lambda v: factor * function(v)


CONSTANT = Laws(
    sigma=lambda x: 0.8,
    D_s=lambda x: 1e-14,
    kappa={SEPARATOR: lambda c: 0.07, CBD: lambda c: 0.02, ELECTROLYTE: lambda c: 0.05},
    D_e={SEPARATOR: lambda c: 4e-12, CBD: lambda c: 2e-12, ELECTROLYTE: lambda c: 3e-12},
    t_plus=lambda c: 0.2,
    theta=lambda c: 1.3,
)
#: Laws that vary with the state, for the solver and for the plain model.
_KAPPA, _D_E, _SIGMA, _D_S = (
    ((100.0, 3000.0), (0.02, 0.09)),
    ((100.0, 3000.0), (6e-12, 1e-12)),
    ((0.25, 1.0), (3.0, 0.1)),
    ((0.25, 1.0), (2e-14, 3e-15)),
)
_T_PLUS, _THETA = ([0.0, 900.0, 4000.0], [0.5, 0.3, 0.1]), ((100.0, 3000.0), (0.9, 2.5))
VARYING_VALUES = {
    "am.sigma": LogLinear(*_SIGMA),
    "am.D_s": LogLinear(*_D_S),
    "electrolyte.t_plus": Table(*_T_PLUS),
    "electrolyte.thermo_factor": LogLinear(*_THETA),
    **{
        f"{phase}.kappa": LogLinear(_KAPPA[0], tuple(f * k for k in _KAPPA[1]))
        for phase, f in (("electrolyte", 1.0), ("cbd", 0.4), ("separator", 1.5))
    },
    **{
        f"{phase}.D_e": LogLinear(_D_E[0], tuple(f * k for k in _D_E[1]))
        for phase, f in (("electrolyte", 1.0), ("cbd", 0.5), ("separator", 1.2))
    },
}
VARYING = Laws(
    sigma=log_linear(*_SIGMA),
    D_s=log_linear(*_D_S),
    kappa={code: scaled(log_linear(*_KAPPA), f) for code, f in ((ELECTROLYTE, 1.0), (CBD, 0.4), (SEPARATOR, 1.5))},
    D_e={code: scaled(log_linear(*_D_E), f) for code, f in ((ELECTROLYTE, 1.0), (CBD, 0.5), (SEPARATOR, 1.2))},
    t_plus=lambda c: float(np.interp(c, *_T_PLUS)),
    theta=log_linear(*_THETA),
)


def flood(allowed, seeds):
    """Cells of `allowed` connected through faces to the `seeds` in it."""
    found = np.zeros(allowed.shape, bool)
    stack = [index for index in seeds if allowed[index]]
    for index in stack:
        found[index] = True
    while stack:
        here = stack.pop()
        for axis in range(3):
            for step in (-1, 1):
                there = list(here)
                there[axis] += step
                index = tuple(there)
                if 0 <= there[axis] < allowed.shape[axis] and allowed[index] and not found[index]:
                    found[index] = True
                    stack.append(index)
    return found


class PlainCell:
    """The discrete cell: voxels, faces, who takes part. `values`: scalar parameters by dotted name."""

    def __init__(self, image, dz_separator, voxel_size, values, laws):
        self.v, self.laws = values, laws
        layers = len(dz_separator)
        self.phase = np.concatenate([np.full((layers, *image.shape[1:]), SEPARATOR), image])
        self.shape = self.phase.shape
        self.dz = np.concatenate([dz_separator, np.full(image.shape[0], voxel_size[0])])
        self.dy, self.dx = voxel_size[1:]
        weights = face_weights(image == AM, voxel_size)
        top = self.shape[0] - 1
        lateral = list(np.ndindex(self.shape[1:]))
        self.electronic = flood(np.isin(self.phase, (AM, CBD)), [(top, *yx) for yx in lateral])
        self.ionic = flood(np.isin(self.phase, (CBD, ELECTROLYTE, SEPARATOR)), [(0, *yx) for yx in lateral])
        self.links = []  # (axis, low cell, high cell)
        self.contacts = {}  # (axis, low, high) -> weight
        for axis in range(3):
            for high in np.ndindex(self.shape):
                if high[axis] == 0:
                    continue
                low = tuple(i - (a == axis) for a, i in enumerate(high))
                self.links.append((axis, low, high))
                one, other = (low, high) if self.phase[low] == AM else (high, low)
                if self.phase[one] == AM and self.electronic[one] and self.phase[other] != AM and self.ionic[other]:
                    k = high[0] - layers
                    index = (k, *high[1:]) if axis == 0 else (low[0] - layers, *low[1:])
                    self.contacts[axis, low, high] = (one, other, weights[axis][index])
        bodies = flood(self.phase == AM, [am for am, _, _ in self.contacts.values()])
        self.reacting = bodies

    def size(self, axis, cell):
        return self.dz[cell[0]] if axis == 0 else (self.dy, self.dx)[axis - 1]

    def area(self, axis, cell):
        return (self.dy * self.dx, self.dz[cell[0]] * self.dx, self.dz[cell[0]] * self.dy)[axis]

    def volume(self, cell):
        return self.dz[cell[0]] * self.dy * self.dx

    def coupling(self, c):
        return 2 * R * T / F * (1 - self.laws.t_plus(c)) * self.laws.theta(c)

    def solid_sigma(self, u, cell):
        return self.laws.sigma(u[STO][cell]) if self.phase[cell] == AM else self.v["cbd.sigma"]

    def face_current(self, u, axis, am, ion, weight):
        """J [A m^-2 of voxel face] and the electrons [A m^-2] that the AM and the ionic voxel give."""
        v, laws = self.v, self.laws
        contact = v["contact.fraction"]
        h_am, h_ion = self.size(axis, am), self.size(axis, ion)
        x, c = u[STO][am], u[C_E][ion]
        kappa = laws.kappa[self.phase[ion]](c)
        g_am = 2 * laws.sigma(x) / h_am
        g_cbd = 0.0
        if self.phase[ion] == CBD:
            g_cbd = contact / (h_ion / (2 * v["cbd.sigma"]) + v["contact.electronic_resistance"] / weight)
        phi_cbd = u[PHI_S][ion] if g_cbd > 0 else 0.0

        def phi_face(flux):
            return (g_am * u[PHI_S][am] + g_cbd * phi_cbd - flux) / (g_am + g_cbd)

        def excess(j):
            flux = j * weight * contact
            surface = x - flux * h_am / (2 * laws.D_s(x) * F * C_MAX)
            j0 = v["kinetics.j0_ref"] * 2 * math.sqrt(surface * (1 - surface)) * math.sqrt(c / C_INIT)
            ions = u[PHI_E][ion] + flux * h_ion / (2 * kappa)
            eta = phi_face(flux) - ions - j * v["film.resistance_init"] - chen(surface)
            e = F * eta / (R * T)
            return j0 * (math.exp(v["kinetics.alpha_a"] * e) - math.exp(-v["kinetics.alpha_c"] * e)) - j

        end = math.copysign(1e-9, excess(0.0))
        while excess(end) * end > 0:
            end *= 2.0
        flux = weight * contact * brentq(excess, 0.0, end, xtol=1e-300, rtol=8.9e-16)
        face = phi_face(flux)
        return flux, g_am * (u[PHI_S][am] - face), g_cbd * (phi_cbd - face)

    def anode_current(self, u, cell):
        """Current density [A m^-2] from the counter electrode into `cell` of the first layer."""
        v, c, d = self.v, u[C_E][cell], 0.5 * self.dz[0]
        t_plus, k = self.laws.t_plus(c), self.coupling(c)
        kappa, diffusivity = self.laws.kappa[SEPARATOR](c), self.laws.D_e[SEPARATOR](c)

        def excess(i):
            wall_c = c + (1 - t_plus) * i * d / (F * diffusivity)
            wall_phi = u[PHI_E][cell] + i * d / kappa + k * math.log(wall_c / c)
            return 2 * v["anode.j0"] * math.sinh(F / (2 * R * T) * (-wall_phi - i * v["anode.resistance"])) - i

        end = math.copysign(1e-9, excess(0.0))
        while excess(end) * end > 0:
            end *= 2.0
        return brentq(excess, 0.0, end, xtol=1e-300, rtol=8.9e-16)

    def rows(self, u, known, gamma_dt, current):
        """Charge in the solid, charge in the electrolyte, lithium, anions [A, positive = leaving], and V [V]."""
        rows = np.zeros((4, *self.shape))

        def leave(row, low, high, amount):
            rows[row][low] += amount
            rows[row][high] -= amount

        for axis, low, high in self.links:
            area, d_low, d_high = self.area(axis, low), self.size(axis, low), self.size(axis, high)
            contact = self.contacts.get((axis, low, high))
            if contact is not None:
                am, ion, weight = contact
                flux, from_am, from_ion = self.face_current(u, axis, am, ion, weight)
                rows[PHI_S][am] += area * from_am
                rows[PHI_S][ion] += area * from_ion
                rows[PHI_E][ion] -= area * flux
                rows[STO][am] += area * flux
            elif self.electronic[low] and self.electronic[high]:
                series = d_low / (2 * self.solid_sigma(u, low)) + d_high / (2 * self.solid_sigma(u, high))
                leave(PHI_S, low, high, area * (u[PHI_S][low] - u[PHI_S][high]) / series)
            if self.reacting[low] and self.reacting[high]:
                series = d_low / (2 * self.laws.D_s(u[STO][low])) + d_high / (2 * self.laws.D_s(u[STO][high]))
                leave(STO, low, high, F * C_MAX * area * (u[STO][low] - u[STO][high]) / series)
            if self.ionic[low] and self.ionic[high]:
                a, b = u[C_E][low], u[C_E][high]
                law = self.laws.kappa
                series = d_low / (2 * law[self.phase[low]](a)) + d_high / (2 * law[self.phase[high]](b))
                k = 0.5 * (self.coupling(a) + self.coupling(b))
                i_e = area / series * (u[PHI_E][low] - u[PHI_E][high] - k * (math.log(a) - math.log(b)))
                leave(PHI_E, low, high, i_e)
                law = self.laws.D_e
                series = d_low / (2 * law[self.phase[low]](a)) + d_high / (2 * law[self.phase[high]](b))
                t_plus = 0.5 * (self.laws.t_plus(a) + self.laws.t_plus(b))
                leave(C_E, low, high, F * area * (a - b) / series - (1 - t_plus) * i_e)

        top = self.shape[0] - 1
        g_sum = g_phi = 0.0
        for yx in np.ndindex(self.shape[1:]):
            first, last = (0, *yx), (top, *yx)
            rows[PHI_E][first] -= self.area(0, first) * self.anode_current(u, first)
            if self.electronic[last]:
                g = 2 * self.solid_sigma(u, last) / self.dz[top] * self.area(0, last)
                g_sum, g_phi = g_sum + g, g_phi + g * u[PHI_S][last]
        voltage = (current + g_phi) / g_sum
        for yx in np.ndindex(self.shape[1:]):
            last = (top, *yx)
            if self.electronic[last]:
                g = 2 * self.solid_sigma(u, last) / self.dz[top] * self.area(0, last)
                rows[PHI_S][last] -= g * (voltage - u[PHI_S][last])

        share = {CBD: self.v["cbd.electrolyte_fraction"], SEPARATOR: self.v["separator.electrolyte_fraction"]}
        for cell in np.ndindex(self.shape):
            rate = F * self.volume(cell) / gamma_dt
            if self.reacting[cell]:
                rows[STO][cell] += rate * C_MAX * (u[STO][cell] - known[0][cell])
            if self.ionic[cell]:
                rows[C_E][cell] += rate * share.get(self.phase[cell], 1.0) * (u[C_E][cell] - known[1][cell])
        return rows, voltage

    def solver_rows(self, u, known, gamma_dt, current):
        """The same with the salt row of the solver: anions + (1 - t_plus at c_e_init) times the charge balance."""
        rows, voltage = self.rows(u, known, gamma_dt, current)
        rows[C_E] += (1 - self.laws.t_plus(C_INIT)) * rows[PHI_E]
        return rows, voltage

    def masks(self):
        return np.stack([self.electronic, self.ionic, self.reacting, self.ionic])


class Case(NamedTuple):
    cell: object
    plain: PlainCell
    u: np.ndarray
    known: np.ndarray
    current: float
    evaluation: object
    tangent: np.ndarray
    assembled: np.ndarray


GAMMA_DT = 40.0


def make_case(tiny, everything, laws, overrides):
    cell = tiny.cell(overrides)
    model = cell.model
    values = {
        name: float(cell.value(name)) for name in tiny.values if name != "am.sigma" and np.isscalar(cell.value(name))
    }
    values["anode.j0"] = float(cell.value("anode.j0"))
    layers = model.grid.separator_layers
    plain = PlainCell(tiny.phases, np.asarray(model.grid.dz)[:layers], tiny.voxel_size, values, laws)
    rng = np.random.default_rng(31)
    shape = model.shape

    def state():
        sto = rng.uniform(0.4, 0.8, shape)
        return np.stack(
            [3.85 + rng.uniform(-0.05, 0.05, shape), rng.uniform(-0.1, 0.0, shape), sto, rng.uniform(600, 1700, shape)]
        )

    u, known, current = state(), state()[2:], 0.4 * cell.one_c
    du = rng.normal(size=u.shape) * np.array([1e-3, 1e-3, 1e-2, 10.0])[:, None, None, None]
    du = np.where(model.active, du, 0.0)  # the sto of isolated AM is a constant, though its sigma may depend on it
    evaluation, tangent, assembled = everything(u, known, GAMMA_DT, tiny.drive(current), model, du)
    return Case(cell, plain, u, known, current, evaluation, np.asarray(tangent), np.asarray(assembled))


@pytest.fixture(scope="module", params=["constant", "varying"])
def case(request, tiny, everything):
    if request.param == "constant":
        return make_case(tiny, everything, CONSTANT, {})
    return make_case(tiny, everything, VARYING, VARYING_VALUES)


def test_the_image_holds_every_kind_of_isolated_voxel(case):
    p = case.plain
    am, cbd, pocket = p.phase == AM, p.phase == CBD, p.phase == ELECTROLYTE
    assert np.any(am & ~p.reacting & ~p.electronic), "AM without electrons"
    assert np.any(am & ~p.reacting & p.electronic), "AM without ions"
    assert np.any(cbd & p.electronic & ~p.ionic) and np.any(cbd & ~p.electronic & p.ionic)
    assert np.any(cbd & ~p.electronic & ~p.ionic) and np.any(pocket & ~p.ionic)


def test_unknowns_are_the_voxels_found_by_flood_fill(case):
    np.testing.assert_array_equal(case.cell.model.active, case.plain.masks())
    assert int(np.sum(case.cell.model.faces.valid)) == len(case.plain.contacts)


@pytest.mark.parametrize("row", [PHI_S, PHI_E, STO, C_E])
def test_residual_equals_the_plain_model_in_every_voxel(case, row):
    expected, _ = case.plain.solver_rows(case.u, case.known, GAMMA_DT, case.current)
    found = np.asarray(case.evaluation.rows)[row]
    # Rounding of 4 V potentials (1e-15 V) against differences of 50 mV, and of the face currents (1e-10 of them):
    # relative to the largest entry of the row.
    np.testing.assert_allclose(found, expected[row], rtol=0, atol=1e-10 * np.max(np.abs(expected[row])))
    assert np.all(found[~case.plain.masks()[row]] == 0.0)


def test_voltage_and_totals_equal_the_plain_model(case):
    _, voltage = case.plain.rows(case.u, case.known, GAMMA_DT, case.current)
    assert float(case.evaluation.total.voltage) == pytest.approx(voltage, abs=1e-13)  # rounding of 4 V
    reaction = sum(
        case.plain.area(axis, low) * case.plain.face_current(case.u, axis, am, ion, weight)[0]
        for (axis, low, _), (am, ion, weight) in case.plain.contacts.items()
    )
    stripped = sum(
        case.plain.area(0, (0, *yx)) * case.plain.anode_current(case.u, (0, *yx)) for yx in np.ndindex(case.u.shape[2:])
    )
    assert float(case.evaluation.total.flows.reaction) == pytest.approx(reaction, rel=1e-9)
    assert float(case.evaluation.total.flows.anode) == pytest.approx(stripped, rel=1e-9)


def test_imbalances_are_the_sums_of_the_rows(case):
    total = np.asarray(case.evaluation.rows).sum(axis=(1, 2, 3))
    migration = 1 - case.plain.laws.t_plus(C_INIT)
    found = np.asarray(case.evaluation.total.imbalance)
    # The inner fluxes, up to 1e3 times the sums, cancel only to rounding when the rows are added up.
    scale = np.max(np.abs(np.asarray(case.evaluation.rows)), axis=(1, 2, 3))
    assert np.all(np.abs(total - found) < 1e-11 * scale), (total, found, migration)


def test_assembled_jacobian_equals_the_derivative_of_the_residual(case):
    scale = np.max(np.abs(case.tangent), axis=(1, 2, 3), keepdims=True)
    # Both are exact derivatives: rounding only (1e-16 to 7e-15 seen), relative to the largest entry of each row.
    assert np.max(np.abs(case.assembled - case.tangent) / scale) < 1e-13


def test_jacobian_neither_reads_nor_writes_absent_unknowns(case, tiny, everything):
    model = case.cell.model
    absent = ~np.asarray(model.active)
    du = np.where(absent, 1.0, 0.0)
    _, _, moved = everything(case.u, case.known, GAMMA_DT, tiny.drive(case.current), model, du)
    assert np.all(np.asarray(moved) == 0.0)
    assert np.all(case.assembled[absent] == 0.0)


def test_solved_stage_satisfies_the_plain_model(tiny, everything):
    case = make_case(tiny, everything, CONSTANT, {})
    cell, model = case.cell, case.cell.model
    u = cell.initial_fields()
    start = FaceCurrents(jnp.zeros(model.faces.area.shape))
    options = NewtonOptions(tolerance=1e-8)
    stage = solve_stage(u, start, History(u[STO:]), GAMMA_DT, tiny.drive(case.current), model, case.current, options)
    assert stage.result is StageResult.converged
    rows, voltage = case.plain.rows(np.asarray(stage.u), np.asarray(u[STO:]), GAMMA_DT, case.current)
    # Twice the tolerance is accepted after balancing; 4 V potentials in float64 resolve about 1e-8 of the current.
    assert np.linalg.norm(rows) / case.current < 1e-7
    assert voltage == pytest.approx(float(stage.evaluation.total.voltage), abs=1e-12)
    # and the step did something: lithium left the particles
    assert float(jnp.sum(u[STO] - stage.u[STO])) > 0
