r"""Salt in a binary electrolyte between two electrodes: Sand's time, steady concentration difference and voltage.

At constant current the flux of salt at both ends is $(1-t_+)i/F$, so that at the cathode
$c = c_0(1-\sqrt{t/t_S})$ with $t_S = \pi D_e[Fc_0/(2i(1-t_+))]^2$ (W. Sand, Phil. Mag. 1 (1901) 45), as long as the
other end is far; for a finite slab the series of Carslaw and Jaeger (Conduction of Heat in Solids, 1959, section 3.8)
holds.
Below $i_{lim}=2FD_ec_0/[(1-t_+)L]$ a steady state exists: $\Delta c = i(1-t_+)L/(FD_e)$ and
$\Delta\phi = iL/\kappa + (2RT/F)(1-t_+)\Theta\ln(c_+/c_-)$ (Newman and Balsara, Electrochemical Systems, 2021).
"""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.model import Cell, SolverOptions, build_cell, simulate
from simulator.protocol import CurrentStep

LENGTH, KAPPA, C_0, TEMPERATURE = 50e-6, 0.05, 1130.0, 333.15
BALANCE = 1e-9  # each solve closes every conserved sum to 1e-10 of the current


class Electrolyte(NamedTuple):
    """`D_e` [m2/s], `t_plus` [-], limiting current density [A/m2] and Sand's time [s] at twice that."""

    D_e: float
    t_plus: float
    limit: float
    sand: float


# Limiting currents and times evaluated independently of `limiting_current` and `sand_time`.
ELECTROLYTES = [Electrolyte(3e-12, 0.2, 16.354, 40.9), Electrolyte(1e-11, 0.5, 87.22, 12.27)]


def limiting_current(e: Electrolyte) -> float:
    return 2.0 * F * e.D_e * C_0 / ((1.0 - e.t_plus) * LENGTH)


def sand_time(e: Electrolyte, i: float) -> float:
    return np.pi * e.D_e * (F * C_0 / (2.0 * i * (1.0 - e.t_plus))) ** 2


def salt(e: Electrolyte, i: float, t: float, z) -> np.ndarray:
    """Salt concentration [mol/m3] at the distances `z` [m] from the lithium after `t` [s]."""
    n, x = np.arange(1, 2001, 2), np.atleast_1d(z)[:, None] / LENGTH
    modes = np.cos(n * np.pi * x) * np.exp(-((n * np.pi) ** 2) * e.D_e * t / LENGTH**2) / n**2
    profile = x[:, 0] - 0.5 + 4.0 / np.pi**2 * modes.sum(axis=1)
    return C_0 - (1.0 - e.t_plus) * i / F * LENGTH / e.D_e * profile


def build(e: Electrolyte) -> Cell:
    """The laminate cell with 50 voxels of 0.1 um and 60 graded layers, 0.1 um at the cathode to 2.9 um at the lithium.

    Fast solid diffusion (a 100th of the salt's relaxation time): the slab never limits.
    """
    electrode = Electrode.from_array(np.ones((50, 1, 1), int), voxel_size=(1e-7, 1e-6, 1e-6), labels={"am": 1})
    values = {
        "electrolyte.D_e": e.D_e,
        "electrolyte.t_plus": e.t_plus,
        "electrolyte.c_e_init": C_0,
        "electrolyte.kappa": KAPPA,
        "temperature": TEMPERATURE,
        "am.D_s": 1e-12,
        "am.sigma": 10.0,
        "separator.thickness": LENGTH,
        "separator.layers": 60,
        "sto_init": 0.3,
    }
    return build_cell(electrode, "verification", values)


def centres(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Centres, from the lithium, and thicknesses of the electrolyte's layers [m]."""
    dz = np.asarray(cell.model.grid.dz)[: cell.model.grid.separator_layers]
    return np.cumsum(dz) - 0.5 * dz, dz


class Profiles:
    """Recorder that keeps the last profiles of the electrolyte."""

    def row(self, row):
        pass

    def fields(self, time, fields, profiles, particles):
        self.time, self.phi_e, self.c_e = time, profiles["phi_e"], profiles["c_e"]

    def step_done(self, checkpoint):
        pass

    def finish(self, solution):
        pass


@pytest.fixture(scope="module", params=ELECTROLYTES, ids=["slow salt", "fast salt"])
def depletion(request):
    """Discharge at twice the limiting current until the salt is gone, and what belongs to it."""
    e = request.param
    i = 2.0 * limiting_current(e)
    end = sand_time(e, i)
    cell = build(e)
    shares = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9])
    # The first steps resolve the square root of time; rtol 1e-4 is 0.1 mol/m3 per step.
    options = SolverOptions(dt_init=0.01 * end)
    protocol = CurrentStep(-i, "A/m2", duration=2.0 * end)
    solution = simulate(cell, protocol, times=shares * end, rtol=1e-4, options=options)
    return e, i, end, cell, shares, solution


@pytest.mark.parametrize("e", ELECTROLYTES, ids=["slow salt", "fast salt"])
def test_formulas_reproduce_known_values(e):
    i = limiting_current(e)
    assert i == pytest.approx(e.limit, rel=5e-5)
    assert sand_time(e, 2.0 * i) == pytest.approx(e.sand, rel=5e-4)
    # The series and Sand's law agree until the far end is felt, t << L^2/(4 D_e) = 5 t_S.
    t = 0.5 * sand_time(e, 2.0 * i)
    assert salt(e, 2.0 * i, t, LENGTH)[0] == pytest.approx(C_0 * (1.0 - np.sqrt(0.5)), abs=0.01)


def test_salt_at_the_cathode_follows_sands_law(depletion):
    e, i, end, cell, shares, s = depletion
    z, dz = centres(cell)
    index = [int(np.argmin(np.abs(s.time - share * end))) for share in shares]
    np.testing.assert_allclose(s.time[index], shares * end, rtol=1e-9)
    nearest = s.timeseries["c_e_min"][index]  # the layer at the cathode: discharge takes the salt from there
    exact = np.array([salt(e, i, share * end, z[-1])[0] for share in shares])
    # 1e-3 of c_0: 3e-4 is the grid's share (layers of 0.1 um), the rest the error in time.
    np.testing.assert_allclose(nearest, exact, rtol=0, atol=1e-3 * C_0)
    wall = nearest - (1.0 - e.t_plus) * i / (F * e.D_e) * 0.5 * dz[-1]  # the given flux, over half a layer
    # At 0.9 t_S the far end has moved the series 5e-4 of c_0 away from Sand's law.
    np.testing.assert_allclose(wall, C_0 * (1.0 - np.sqrt(shares)), rtol=0, atol=1.5e-3 * C_0)


def test_run_ends_as_depleted_at_sands_time(depletion):
    e, i, end, cell, _, s = depletion
    assert s.status == "salt_depleted", s.message
    assert 0 < s.timeseries["c_e_min"][-1] < 2e-4 * C_0
    # The salt runs out at the centre of the last layer, where c/c_0 is 2 dz/L = 0.004 higher than at the wall:
    # depletion is seen 0.8 % late.
    assert s.time[-1] == pytest.approx(end, rel=0.01)
    z, _ = centres(cell)
    seen = brentq(lambda t: salt(e, i, t, z[-1])[0], 0.5 * end, 1.5 * end)
    assert s.time[-1] == pytest.approx(seen, rel=1.5e-3)  # 3e-4 of c_0 from the grid, 1e-4 from the event: times 2


def test_charge_lithium_and_salt_are_conserved_until_depletion(depletion):
    assert max(depletion[-1].ledger.values()) <= BALANCE


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_steady_concentration_difference_and_voltage(share):
    e = ELECTROLYTES[0]
    i = share * limiting_current(e)
    cell, record = build(e), Profiles()
    # 1100 s: exp(-pi^2 D t/L^2) = 2e-6 of the transient is left; rtol 1e-3 is enough for a steady state.
    s = simulate(cell, CurrentStep(-i, "A/m2", duration=1100.0), recorder=record)
    assert s.status == "finished"
    z, dz = centres(cell)
    slope = (1.0 - e.t_plus) * i / (F * e.D_e)
    coupling = 2.0 * R * TEMPERATURE / F * (1.0 - e.t_plus)
    # From the outermost centres to the walls: the given flux and current.
    anode, cathode = record.c_e[0] + slope * 0.5 * dz[0], record.c_e[-1] - slope * 0.5 * dz[-1]
    # The steady profile is linear, which two-point fluxes meet exactly: the transient's rest and the solver's
    # tolerance of 1e-6 remain.
    assert anode - cathode == pytest.approx(slope * LENGTH, rel=2e-5)
    np.testing.assert_allclose(record.c_e, C_0 + slope * (0.5 * LENGTH - z), atol=2e-5 * slope * LENGTH)
    drop = record.phi_e[0] - record.phi_e[-1]
    drop += i * 0.5 * (dz[0] + dz[-1]) / KAPPA
    drop += coupling * (np.log(anode / record.c_e[0]) - np.log(cathode / record.c_e[-1]))
    high, low = C_0 + 0.5 * slope * LENGTH, C_0 - 0.5 * slope * LENGTH
    exact = i * LENGTH / KAPPA + coupling * np.log(high / low)
    # V; 2e-5 of Delta c is 5e-6 V in the logarithm at c_- = 0.2 c_0
    assert drop == pytest.approx(exact, abs=1e-5)
    assert max(s.ledger.values()) <= BALANCE
