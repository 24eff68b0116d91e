r"""Laminate cell with a closed form: lithium | 50 um electrolyte | 5 um slab of active material, all one-dimensional.

Current and flux are uniform over the slab's face, so the surface stoichiometry is that of a slab under constant flux
(Crank, The Mathematics of Diffusion, 1975, eq. 4.55), the salt at both ends that of a slab with two constant fluxes
(the same series; Carslaw and Jaeger, Conduction of Heat in Solids, 1959, section 3.8), and the voltage is the sum of
open circuit, two Butler-Volmer overpotentials, the ohmic drop and the diffusion potential of a binary electrolyte
(Doyle, Fuller, Newman, J. Electrochem. Soc. 140 (1993) 1526, doi:10.1149/1.2221597).
"""

import jax.numpy as jnp
import numpy as np
import pytest
from chen import chen
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.model import Cell, Solution, SolverOptions, build_cell, simulate
from simulator.model.cell import C_E, STO
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Drive
from simulator.model.timestep import ErrorScales, State, attempt, consistent_state, resting_state

SLAB, ELECTROLYTE = 5e-6, 50e-6
C_S_MAX, D_S, SIGMA = 51765.0, 1e-14, 10.0
C_E_INIT, D_E, KAPPA, T_PLUS = 1130.0, 3e-12, 0.05, 0.2
TEMPERATURE, J0_REF, J0_ANODE = 333.15, 1.0, 10.0
COUPLING = 2.0 * R * TEMPERATURE / F * (1.0 - T_PLUS)  # K [V]
THERMAL = 2.0 * R * TEMPERATURE / F
BALANCE = 1e-9  # each solve closes every conserved sum to 1e-10 of the current; runs reach 1e-11

# (current density [A/m2], positive on discharge; initial stoichiometry)
ROWS = [(0.5, 0.30), (1.0, 0.30), (2.0, 0.30), (-1.0, 0.90), (-2.0, 0.90)]
MOVED = np.array([0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])  # mean change of stoichiometry
# Evaluated once from the formula with perfect electronic conduction, at MOVED = 0.001, 0.1 and 0.5.
KNOWN = {
    0.5: (4.17790, 4.05913, 3.61235),
    1.0: (4.15830, 4.01621, 3.57550),
    2.0: (4.12642, 3.93998, 3.50528),
    -1.0: (3.62482, 3.71699, 4.19398),
    -2.0: (3.66169, 3.77530, 4.25466),
}


def surface_sto(i, t, sto_init):
    """Stoichiometry at the slab's face under the discharge current density `i` [A/m2] after `t` [s]."""
    n, tau = np.arange(1, 401), D_S * t / SLAB**2
    series = tau + 1.0 / 3.0 - 2.0 / np.pi**2 * np.sum(np.exp(-((n * np.pi) ** 2) * tau) / n**2)
    return sto_init + i * SLAB / (F * C_S_MAX * D_S) * series


def salt_difference(i, t):
    """Salt at the lithium minus the initial value, = initial value minus salt at the slab [mol/m3]."""
    n = np.arange(1, 801, 2)
    decay = np.exp(-((n * np.pi) ** 2) * D_E * t / ELECTROLYTE**2)
    series = 0.5 - 4.0 / np.pi**2 * np.sum(decay / n**2)
    return (1.0 - T_PLUS) * i / F * ELECTROLYTE / D_E * series


def exact_voltage(i, t, sto_init, *, binary=True, sigma=SIGMA):
    """Cell voltage [V]; `i` > 0 discharges."""
    x = surface_sto(i, t, sto_init)
    difference = salt_difference(i, t) if binary else 0.0
    cathode, anode = C_E_INIT - difference, C_E_INIT + difference
    j0 = J0_REF * 2.0 * np.sqrt(x * (1.0 - x)) * np.sqrt(cathode / C_E_INIT)
    kinetic = THERMAL * (np.arcsinh(i / (2.0 * j0)) + np.arcsinh(i / (2.0 * J0_ANODE)))
    diffusion = COUPLING * np.log(cathode / anode) if binary else 0.0
    return chen(x) - kinetic - i * (ELECTROLYTE / KAPPA + SLAB / sigma) + diffusion


def seconds(moved, i):
    """Time [s] in which `i` [A/m2] moves the mean stoichiometry by `moved`."""
    return moved * F * C_S_MAX * SLAB / abs(i)


def laminate(sto_init, n=50, layers=60, width=1, **overrides) -> Cell:
    """`n` voxels through the slab; `layers` graded ones in the electrolyte, of the voxel's size at the slab."""
    electrode = Electrode.from_array(np.ones((n, width, 1), int), voxel_size=(SLAB / n, 1e-6, 1e-6), labels={"am": 1})
    # 10 S/m costs i L/sigma = 1e-6 V at most (it is in the closed form) and leaves potentials of 4 V resolvable.
    values = {"separator.layers": layers, "sto_init": sto_init, "am.sigma": SIGMA, **overrides}
    return build_cell(electrode, "verification", values)


def text(i, t):
    return f"{'Discharge' if i > 0 else 'Charge'} at {abs(i)} A/m2 for {t!r} s"


def voltages_at(solution: Solution, times) -> np.ndarray:
    """Voltages of the steps that end at `times`; no interpolation."""
    index = np.array([int(np.argmin(np.abs(solution.time - t))) for t in times])
    np.testing.assert_allclose(solution.time[index], times, rtol=1e-9)
    return solution.voltage[index]


@pytest.fixture(scope="module")
def solutions() -> dict[float, Solution]:
    # rtol 1e-4 (0.02 mV per step) keeps the error in time below the 0.08 mV that 50 voxels leave.
    out = {}
    for i, sto_init in ROWS:
        times = seconds(MOVED, i)
        out[i] = simulate(laminate(sto_init), text(i, float(times[-1])), times=times, rtol=1e-4)
    return out


@pytest.fixture(scope="module")
def charge_and_rest() -> Solution:
    # Four hours: more than five relaxation times L^2/D_s (2500 s) of the slab, exp(-5.8 pi^2) of it is left.
    return simulate(laminate(0.9), ["Charge at 1 A/m2 until 4.0 V", "Rest for 4 h"], rtol=1e-4)


@pytest.mark.parametrize(("i", "sto_init"), ROWS)
def test_closed_form_reproduces_known_values(i, sto_init):
    known = KNOWN[i]
    own = [exact_voltage(i, seconds(m, i), sto_init, sigma=np.inf) for m in (0.001, 0.1, 0.5)]
    np.testing.assert_allclose(own, known, rtol=0, atol=6e-6)  # they are printed to 1e-5 V


@pytest.mark.parametrize(("i", "sto_init"), ROWS)
def test_voltage_equals_the_closed_form(solutions, i, sto_init):
    times = seconds(MOVED, i)
    exact = [exact_voltage(i, t, sto_init) for t in times]
    assert solutions[i].status == "finished"
    # 0.2 mV is the requirement at 50 voxels; 0.08 mV is reached. With the cell-centre stoichiometry in place of the
    # face value it would be 3 mV.
    np.testing.assert_allclose(voltages_at(solutions[i], times), exact, rtol=0, atol=0.2e-3)


@pytest.mark.parametrize(("i", "sto_init"), ROWS)
def test_every_voltage_loss_equals_its_term_of_the_closed_form(solutions, i, sto_init):
    s, times = solutions[i], seconds(MOVED, i)
    index = [int(np.argmin(np.abs(s.time - t))) for t in times]
    loss = {name[5:-5]: s.timeseries[name][index] for name in s.timeseries if name.startswith("loss_")}
    x = np.array([surface_sto(i, t, sto_init) for t in times])
    mean = sto_init + np.sign(i) * MOVED
    difference = np.array([salt_difference(i, t) for t in times])
    cathode, anode = C_E_INIT - difference, C_E_INIT + difference
    j0 = J0_REF * 2.0 * np.sqrt(x * (1.0 - x)) * np.sqrt(cathode / C_E_INIT)
    # Ohm's law is met to the tolerance of Newton (1e-6 of the current) times the potentials that it resolves (4 V).
    # The electrolyte lies in the separator but for the half layer at the slab, which belongs to the face.
    ohmic = loss["separator"] + loss["ionic"]
    np.testing.assert_allclose(ohmic, -i * ELECTROLYTE / KAPPA, rtol=0, atol=1e-6)
    np.testing.assert_allclose(loss["electronic"], -i * SLAB / SIGMA, rtol=0, atol=1e-6)
    np.testing.assert_allclose(loss["counter_electrode"], -THERMAL * np.arcsinh(i / (2 * J0_ANODE)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(loss["contact"], 0.0, atol=0)
    # As for the whole voltage: 0.08 mV is what 50 voxels leave of the profiles.
    np.testing.assert_allclose(loss["charge_transfer"], -THERMAL * np.arcsinh(i / (2 * j0)), rtol=0, atol=0.1e-3)
    np.testing.assert_allclose(loss["salt"], COUPLING * np.log(cathode / anode), rtol=0, atol=0.1e-3)
    np.testing.assert_allclose(loss["solid_diffusion"], chen(x) - chen(mean), rtol=0, atol=0.2e-3)
    np.testing.assert_allclose(s.timeseries["ocv_volt"][index], chen(mean), rtol=0, atol=1e-6)


@pytest.mark.parametrize("i", [i for i, _ in ROWS])
def test_charge_lithium_and_salt_are_conserved(solutions, i):
    assert max(solutions[i].ledger.values()) <= BALANCE
    passed = solutions[i].capacity[-1]
    expected = -np.sign(i) * MOVED[-1] * F * C_S_MAX * SLAB * 1e-12  # cross-section 1 um2
    assert passed == pytest.approx(expected, rel=1e-12)  # the current is constant: only rounding


def test_cut_off_is_met_in_voltage_and_time(charge_and_rest):
    s = charge_and_rest
    end = int(np.flatnonzero(s.timeseries["step_count"] == 1)[-1])
    assert s.status == "finished"
    assert s.voltage[end] == pytest.approx(4.0, abs=2e-5)  # an event is located to 1e-5 V
    exact = brentq(lambda t: exact_voltage(-1.0, t, 0.9) - 4.0, 100.0, 1e4)
    slope = (exact_voltage(-1.0, exact + 1.0, 0.9) - exact_voltage(-1.0, exact - 1.0, 0.9)) / 2.0
    assert s.time[end] == pytest.approx(exact, abs=0.2e-3 / slope)  # the 0.2 mV of the voltage, as a time


def test_rest_relaxes_to_open_circuit_of_the_mean(charge_and_rest):
    s = charge_and_rest
    charged = s.time[s.timeseries["step_count"] == 1][-1]
    mean = 0.9 - charged / seconds(1.0, 1.0)
    assert s.timeseries["sto_mean"][-1] == pytest.approx(mean, abs=1e-9)  # conservation, of a change of 0.37
    # Nothing is left but what Newton's tolerance of 1e-6 of a 1C/100 current drives through about 0.1 ohm m2.
    assert s.voltage[-1] == pytest.approx(chen(mean), abs=1e-6)
    assert s.timeseries["sto_std"][-1] < 1e-6
    assert s.timeseries["c_e_max"][-1] - s.timeseries["c_e_min"][-1] < 1e-3  # mol/m3, of differences of 47
    assert max(s.ledger.values()) <= BALANCE


@pytest.mark.parametrize(("i", "sto_init"), [(2.0, 0.30), (-2.0, 0.90)])
def test_single_ion_electrolyte_has_no_concentration_terms(i, sto_init):
    # Ten layers suffice: the potential is linear in the electrolyte. Two voxels wide, so that this case and the
    # porous-electrode strip share one compiled program.
    cell = laminate(sto_init, layers=10, width=2, **{"electrolyte.kind": "single_ion"})
    times = seconds(MOVED, i)
    s = simulate(cell, text(i, float(times[-1])), times=times, rtol=1e-4)
    exact = [exact_voltage(i, t, sto_init, binary=False) for t in times]
    assert s.status == "finished"
    np.testing.assert_allclose(voltages_at(s, times), exact, rtol=0, atol=0.2e-3)  # as for the binary electrolyte
    assert max(s.ledger.values()) <= BALANCE
    sto = s.field("sto")[:, :, 0]
    np.testing.assert_allclose(sto[:, 0], sto[:, 1], atol=1e-6)  # nothing varies sideways


def fixed_steps(state: State, cell: Cell, drive: Drive, total: float, n: int) -> State:
    # Newton is solved to 1e-8, so that its error (V, sto: < 1e-9) stays far below the error in time (> 5e-7).
    for _ in range(n):
        step = attempt(
            state,
            total / n,
            (drive, drive),
            cell.model,
            _scale(drive),
            NewtonOptions(tolerance=1e-8),
            ErrorScales(1, 1, 1, 1),
        )
        assert step.state is not None, step.result
        state = step.state
    return state


def _scale(drive: Drive) -> float:
    return abs(float(drive.current))


def test_second_order_in_time():
    # Discharge at 2 A/m2, from 30 s (after the square-root singularity of the start) to 270 s, while the salt profile
    # and the slab's profile build up: all fields move.
    cell = laminate(0.3)
    drive = Drive(jnp.asarray(-2.0 * cell.area, float), jnp.zeros(()), jnp.ones(()))
    begin, _ = consistent_state(
        resting_state(cell.initial_fields(), cell.initial_side(), cell.model),
        drive,
        cell.model,
        _scale(drive),
        NewtonOptions(tolerance=1e-8),
    )
    assert begin is not None
    for size in np.diff(np.geomspace(1.0, 31.0, 16) - 1.0):
        begin = fixed_steps(begin, cell, drive, float(size), 1)

    counts = (4, 8, 16, 32)
    ends = {n: fixed_steps(begin, cell, drive, 240.0, n) for n in counts}
    fine, coarse = ends[32], ends[16]
    # Extrapolated for order 2; what remains is of order 3 and less than 1 % of the error at n = 16.
    voltage = fine.voltage + (fine.voltage - coarse.voltage) / 3.0
    fields = np.asarray(fine.u + (fine.u - coarse.u) / 3.0)
    errors = {"voltage": [abs(ends[n].voltage - voltage) for n in counts[:3]]}
    for name, row in (("sto", STO), ("c_e", C_E)):
        errors[name] = [float(np.max(np.abs(np.asarray(ends[n].u[row]) - fields[row]))) for n in counts[:3]]
    for name, error in errors.items():
        orders = np.log2(np.array(error[:-1]) / np.array(error[1:]))
        # The method has order 2; next-order terms show as +0.03 at these step sizes.
        assert np.all((orders > 1.8) & (orders < 2.2)), (name, error, orders)
    assert errors["voltage"][0] < 0.2e-3  # V, with steps of 60 s


@pytest.mark.slow
@pytest.mark.parametrize(("i", "sto_init"), [(2.0, 0.30), (-2.0, 0.90)])
def test_second_order_in_space(i, sto_init):
    # The contact law takes the salt concentration at the centre of the electrolyte voxel instead of its face, half a
    # voxel further. That leaves an error of first order, small (0.02 mV at n = 50) and known exactly; it is taken out
    # here, and what remains must be of second order.
    times = seconds(MOVED[2:], i)  # from 0.05 on: before, the diffusion layer is only a few voxels thick
    exact = np.array([exact_voltage(i, t, sto_init) for t in times])
    voxels, errors = (12, 25, 50, 100), []
    for n in voxels:
        cell = laminate(sto_init, n=n, layers=6 * n // 5 if n > 12 else 15)
        # The smallest rtol that the error in time (< 1e-6 V) needs; the start asks for small steps then.
        options = SolverOptions(dt_init=0.1, dt_min=1e-5)
        s = simulate(cell, text(i, float(times[-1])), times=times, rtol=1e-7, options=options)
        wall = C_E_INIT - np.array([salt_difference(i, t) for t in times])
        centre = wall + (1.0 - T_PLUS) * i / (F * D_E) * 0.5 * SLAB / n
        x = np.array([surface_sto(i, t, sto_init) for t in times])
        j0 = J0_REF * 2.0 * np.sqrt(x * (1.0 - x))
        kinetic = [np.arcsinh(i / (2.0 * j0 * np.sqrt(c / C_E_INIT))) for c in (centre, wall)]
        known = -COUPLING * np.log(wall / centre) - THERMAL * (kinetic[0] - kinetic[1])
        errors.append(np.sqrt(np.mean((voltages_at(s, times) - exact - known) ** 2)))
    orders = np.log(np.array(errors[:-1]) / np.array(errors[1:])) / np.log(np.array(voxels[1:]) / np.array(voxels[:-1]))
    assert np.all((orders > 1.85) & (orders < 2.15)), (errors, orders)
    assert errors[2] < 0.02e-3  # V at n = 50
