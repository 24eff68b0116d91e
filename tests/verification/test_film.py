r"""Oxidation of the electrolyte and its film on a laminate: lithium | electrolyte | slab of active material.

The open-circuit potential is flat and the kinetics are fast, so that the potential of the oxide against the electrolyte
behind the film is U whatever flows, and each state has a closed form. Per contact area, with i the applied current
density over the contact fraction f, a = alpha F/RT, and the bare rate $j_0 = j_\mathrm{ref}e^{a(U-U_\mathrm{ox})}$:

- nothing limits it: $q = j_0 t$, $\delta = V_f q/F$, and the voltage rises by $i\,\delta/\kappa_f$;
- a film that protects: $\dot\delta = (V_f j_0/F)\,e^{-\delta/\delta^*}$, so
  $\delta = \delta^*\ln[1+V_f j_0 t/(F\delta^*)]$;
- contact that is lost as the film grows: the charge per initial contact is the integral of $e^{-\delta/\delta_l}$ over
  the thickness that the live contact has got;
- a reference potential that falls with delithiation, $U_\mathrm{ox} = U_\mathrm{ox,0}-\beta(y-y_0)$: what flows beside
  the oxidation delithiates, $\dot y = k(i - j_0 e^{b(y-y_1)})$ with $b = a\beta$, a logistic
  equation: $z = e^{-b(y-y_1)}$ obeys $\dot z = -bk(iz-j_0)$, $k = f/(F c_\mathrm{max}L)$, with $j_0$ at the y_1 of the
  start;
- without current the oxidation puts lithium back into the oxide, $\dot y = -k j_0$.
"""

import math

import numpy as np
import pytest

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.model import Cell, Solution, build_cell, simulate

SLAB, VOXELS, LAYERS, SEPARATOR = 5e-6, 6, 6, 50e-6
C_S_MAX, KAPPA, SIGMA, D_S = 51765.0, 0.05, 10.0, 1e-10
TEMPERATURE, J0_ANODE = 333.15, 10.0
U, STO, CONTACT, APPLIED = 3.9, 0.55, 0.5, 0.1  # V; start; contact fraction; A/m2 of cross-section, charging
SPAN = 20000.0  # s: the slab loses 0.08 of its lithium
TIMES = np.array([500.0, 2000.0, 7000.0, SPAN])
J_REF, U_OX, ALPHA = 0.02, 4.0, 0.5
V_F, KAPPA_F = 1e-4, 1e-7
PER_VOLT = ALPHA * F / (R * TEMPERATURE)
# Exchange current, a thousand times what flows. With ten times more Newton's method stalls now and then.
J0_REF = 200.0
J0 = J0_REF * 2 * math.sqrt(STO * (1 - STO))
ETA = 2 * R * TEMPERATURE / F * math.asinh(APPLIED / CONTACT / (2 * J0))  # 3e-5 V
REST = J_REF * math.exp(PER_VOLT * (U - U_OX))  # A/m2 of contact
BARE = J_REF * math.exp(PER_VOLT * (U + ETA - U_OX))  # 2 % of what flows
GROWTH = V_F / F
#: ETA makes 5e-4 of the rate; the intercalation's share of the current and its exchange current move by 2 % of that.
KINETIC = 2e-5
BALANCE = 1e-9  # as every run

VALUES = {
    "am.ocp": U,
    "am.D_s": D_S,
    "am.sigma": SIGMA,
    "sto_init": STO,
    "kinetics.j0_ref": J0_REF,
    "contact.fraction": CONTACT,
    "separator.layers": LAYERS,
    "separator.electrolyte_fraction": 0.8,
    "electrolyte.t_plus": 1.0,  # no gradient of the salt but that of its loss, and no voltage from it
    "decomposition.law": "delithiation",
    "decomposition.j_ref": J_REF,
    "decomposition.U_ox0": U_OX,
    "decomposition.beta": 0.0,
    "decomposition.omega": 0.3,
    "film.molar_volume": V_F,
    "film.conductivity": KAPPA_F,
}


def film_cell(**overrides) -> Cell:
    electrode = Electrode.from_array(
        np.ones((VOXELS, 1, 1), int), voxel_size=(SLAB / VOXELS, 1e-6, 1e-6), labels={"am": 1}
    )
    return build_cell(electrode, "verification", {**VALUES, **overrides})


def run(step: str = "Charge at 0.1 A/m2", *, rtol: float = 1e-3, recorder=None, **overrides) -> Solution:
    """A run of `SPAN` with rows at `TIMES`."""
    return simulate(film_cell(**overrides), f"{step} for {SPAN!r} s", times=TIMES, rtol=rtol, recorder=recorder)


def at(solution: Solution, name: str) -> np.ndarray:
    """Column at `TIMES`."""
    index = [int(np.argmin(np.abs(solution.time - t))) for t in TIMES]
    np.testing.assert_allclose(solution.time[index], TIMES, rtol=1e-9)
    return solution.timeseries[name][index]


def charge(solution: Solution) -> np.ndarray:
    """Decomposed charge at `TIMES` [C per m2 of initial contact], from the currents of the faces."""
    return at(solution, "decomposed_coulomb") / (solution.area * CONTACT)


@pytest.fixture(scope="module")
def endless() -> Solution:
    return run()


def test_film_without_limit_grows_in_proportion_to_time(endless):
    assert endless.status == "finished"
    np.testing.assert_allclose(charge(endless), BARE * TIMES, rtol=KINETIC)
    np.testing.assert_allclose(at(endless, "film_thickness_mean"), GROWTH * BARE * TIMES, rtol=KINETIC)
    np.testing.assert_array_equal(at(endless, "contact_remaining"), 1.0)


def test_voltage_rises_by_the_current_through_the_film(endless):
    i = APPLIED / CONTACT
    film = i * GROWTH * BARE * TIMES / KAPPA_F
    assert film[-1] > 0.05  # V: worth measuring
    np.testing.assert_allclose(at(endless, "loss_contact_volt"), film, rtol=KINETIC)
    ohmic = APPLIED * (SEPARATOR / KAPPA + SLAB / SIGMA)
    anode = 2 * R * TEMPERATURE / F * math.asinh(APPLIED / (2 * J0_ANODE))
    # KINETIC of the film's 0.15 V; Newton leaves 1e-6 of the current on the resistances
    np.testing.assert_allclose(at(endless, "voltage_volt"), U + ETA + ohmic + anode + film, rtol=0, atol=4e-6)


def test_oxidation_takes_the_place_of_delithiation(endless):
    delithiated = CONTACT / (F * C_S_MAX * SLAB) * (APPLIED / CONTACT - BARE) * TIMES
    np.testing.assert_allclose(STO - at(endless, "sto_mean"), delithiated, rtol=KINETIC * BARE * CONTACT / APPLIED)


def test_every_balance_closes(endless):
    assert max(endless.ledger.values()) <= BALANCE


def test_film_volume_is_that_of_the_charge(endless):
    # Volume from the states of the faces, charge from the currents of the stages: one integral, computed twice.
    volume = at(endless, "film_thickness_mean") * endless.area * CONTACT
    np.testing.assert_allclose(volume, GROWTH * at(endless, "decomposed_coulomb"), rtol=BALANCE)


class Profiles:
    """Keeps what a run saves of the separator."""

    def __init__(self):
        self.salt = []

    def row(self, row):
        pass

    def fields(self, time, fields, profiles, particles):
        self.salt.append((time, np.asarray(profiles["c_e"])))

    def step_done(self, checkpoint):
        pass

    def stopped(self, checkpoint):
        pass

    def finish(self, solution):
        pass


@pytest.mark.filterwarnings("ignore:At t = .* the film is up to")  # thick on purpose: much salt
def test_anions_lost_are_the_stated_share_of_the_charge():
    """With gradients of the applied current that are ten times the loss, and must not count."""
    kept = Profiles()
    values = {"electrolyte.t_plus": 0.2, "electrolyte.D_e": 3e-13, "decomposition.j_ref": 4 * J_REF}
    solution = run(recorder=kept, **values)
    model = film_cell(**values).model
    storage = np.asarray(model.salt_storage)[:LAYERS, 0, 0] / F  # m3 of electrolyte in each layer, 0.8 of its volume
    assert float(storage.sum()) == pytest.approx(0.8 * SEPARATOR * solution.area, rel=1e-12)
    (start, before), *_, (end, after) = kept.salt
    assert (start, end) == (0.0, SPAN)
    lost = float(np.sum(storage * (before - after)))
    expected = 0.3 * solution.timeseries["decomposed_coulomb"][-1] / F
    assert solution.timeseries["salt_lost_mole"][-1] == pytest.approx(expected, rel=1e-12)
    assert expected > 0.005 * float(np.sum(storage * before))
    # The salt balance closes to 1e-9 of the applied charge, of which the anions are 2 %.
    assert lost == pytest.approx(expected, rel=1e-7)
    assert np.ptp(after) > 5 * lost / np.sum(storage)
    assert max(solution.ledger.values()) <= BALANCE


#: Film that protects and film that costs contact are both switched on in both cases, so that they share one program: a
#: kilometre is endless.
DELTA_STAR, LOSS, ENDLESS = 10e-9, 50e-9, 1e3


def test_film_that_protects_grows_with_the_logarithm_of_time():
    solution = run(rtol=1e-5, **{"decomposition.delta_star": DELTA_STAR, "contact.loss_thickness": ENDLESS})
    expected = DELTA_STAR * np.log1p(GROWTH * BARE * TIMES / DELTA_STAR)
    assert expected[-1] > 2 * DELTA_STAR
    thickness = at(solution, "film_thickness_mean")
    # A step may be off by 10 rtol of the charge that has passed, 1e-4; some ten steps add up before the film slows.
    np.testing.assert_allclose(thickness, expected, rtol=1e-3)
    np.testing.assert_allclose(thickness, GROWTH * charge(solution), rtol=BALANCE)
    film = APPLIED / CONTACT * thickness / KAPPA_F
    np.testing.assert_allclose(at(solution, "loss_contact_volt"), film, rtol=BALANCE)


def test_contact_is_lost_with_the_film_and_its_charge_is_the_integral_over_the_contact():
    solution = run(rtol=1e-5, **{"contact.loss_thickness": LOSS, "decomposition.delta_star": ENDLESS})
    thickness = GROWTH * BARE * TIMES  # per live contact, whose potential is U: as without the loss
    remaining = np.exp(-thickness / LOSS)
    assert remaining[-1] < 0.25
    # Four times the current on a quarter of the contact: eta and its 5e-4 of the rate rise by as much.
    tolerance = 1e-3
    np.testing.assert_allclose(at(solution, "film_thickness_mean"), thickness, rtol=tolerance)
    np.testing.assert_allclose(at(solution, "contact_remaining"), remaining, rtol=tolerance * thickness[-1] / LOSS)
    passed = LOSS * (1.0 - remaining) / GROWTH
    np.testing.assert_allclose(charge(solution), passed, rtol=tolerance)
    film = APPLIED / CONTACT / remaining * thickness / KAPPA_F
    np.testing.assert_allclose(at(solution, "loss_contact_volt"), film, rtol=3 * tolerance)
    assert max(solution.ledger.values()) <= BALANCE


def test_oxidation_that_rises_with_delithiation_follows_the_logistic_equation():
    beta, y0 = 1.0, 0.25
    b, k, i = PER_VOLT * beta, CONTACT / (F * C_S_MAX * SLAB), APPLIED / CONTACT
    first = BARE  # at the start, 20 corner widths beyond y0: the corner's rounding is e^-20 there
    onset = U_OX + beta * (1.0 - STO - y0)
    solution = run(rtol=1e-5, **{"decomposition.beta": beta, "decomposition.y0": y0, "decomposition.U_ox0": onset})
    z = first / i + (1.0 - first / i) * np.exp(-b * k * i * TIMES)
    delithiated = -np.log(z) / b
    passed = i * TIMES - delithiated / k
    assert passed[-1] > 2 * first * SPAN  # which it would be with the stoichiometry of the start
    np.testing.assert_allclose(charge(solution), passed, rtol=1e-3)
    np.testing.assert_allclose(at(solution, "film_thickness_mean"), GROWTH * passed, rtol=1e-3)
    np.testing.assert_allclose(STO - at(solution, "sto_mean"), delithiated, rtol=1e-3 * float(passed[-1] / (i * SPAN)))


def test_at_rest_the_oxidation_puts_lithium_back_into_the_oxide():
    solution = run("Rest")
    gained = CONTACT / (F * C_S_MAX * SLAB) * REST * TIMES
    assert np.all(solution.current == 0.0)
    np.testing.assert_allclose(at(solution, "sto_mean") - STO, gained, rtol=KINETIC)
    np.testing.assert_allclose(charge(solution), REST * TIMES, rtol=KINETIC)
    # What oxidises and what enters cancel: nothing flows through film, electrolyte and counter electrode.
    np.testing.assert_allclose(at(solution, "voltage_volt"), U, rtol=0, atol=1e-6)
    assert np.all(np.diff(at(solution, "film_thickness_mean")) > 0)
