"""Laws of the electrolyte's oxidation, the film and the burst; the face with two branches against a plain solver."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chen import chen
from quick import quick_jit
from scipy.optimize import brentq

from simulator.choices import DECOMPOSITION_LAWS
from simulator.constants import F, R
from simulator.materials import ChenOCP, load_parameter_set, merge_parameters
from simulator.physics.contact import FaceFields, FaceSides, Intercalation, contact_law
from simulator.physics.decomposition import LAWS, SideStart, build_carbon, build_decomposition
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS
from simulator.physics.kinetics import ButlerVolmer

T, C_MAX, C_INIT = 333.15, 51765.0, 1000.0
F_RT = F / (R * T)


def values(**overrides):
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    merged = merge_parameters(load_parameter_set("verification"), {"decomposition.law": "delithiation", **names})
    return {name: parameter.value for name, parameter in merged.items()}


def branch(**overrides):
    return build_decomposition(values(**overrides), binary=True)


def law_current(law, E, sto, thickness=0.0):
    return float(law.current(jnp.asarray(E), jnp.asarray(sto), jnp.asarray(thickness), jnp.asarray(T)))


def softplus(z):
    return math.log1p(math.exp(z)) if z < 30 else z


def test_every_law_can_be_chosen_and_only_those():
    assert set(DECOMPOSITION_LAWS) == {"none", *LAWS}


def test_base_law_is_the_written_formula():
    law = branch(decomposition__delta_star=5e-9).law
    for E, sto, thickness in ((4.1, 0.4, 2e-9), (3.7, 0.9, 0.0), (4.3, 0.69, 1e-8)):
        U = 4.3 - 1.0 * 0.01 * softplus((1 - sto - 0.3) / 0.01)
        expected = 1.4e-6 * math.exp(0.5 * F_RT * (E - U)) * math.exp(-thickness / 5e-9)
        assert law_current(law, E, sto, thickness) == pytest.approx(expected, rel=1e-12)


def test_shifted_onset_is_tafel_below_its_onset_and_linear_above():
    law = branch(decomposition__law="shifted_onset").law
    onset = 4.3 - 1.0 * (1 - 0.4 - 0.3)
    per_volt = 0.5 * F_RT
    low, high = law_current(law, onset - 0.5, 0.4), law_current(law, onset + 1.0, 0.4)
    assert low == pytest.approx(1.4e-6 * math.exp(-0.5 * per_volt), rel=1e-3)  # next term: half of e^-8.7
    assert high == pytest.approx(1.4e-6 * per_volt, rel=1e-6)  # next term: e^-17


def test_reaction_energy_opens_its_gate_where_the_reaction_turns_downhill():
    law = branch(decomposition__law="reaction_energy", decomposition__gate_width=0.005).law
    bare = 1.4e-6 * math.exp(0.5 * F_RT * (4.0 - 4.3))
    assert law_current(law, 4.0, 0.6) == pytest.approx(0.5 * bare, rel=1e-12)
    assert law_current(law, 4.0, 0.2) == pytest.approx(bare / (1 + math.exp(0.1 * (0.2 - 0.6) / 0.005)), rel=1e-12)
    assert law_current(law, 4.0, 0.9) < 0.01 * bare


@pytest.mark.parametrize("name", list(LAWS))
def test_laws_rise_with_the_potential_and_with_delithiation_and_fall_with_the_film(name):
    law = branch(decomposition__law=name, decomposition__delta_star=1e-8).law
    base = law_current(law, 4.0, 0.5)
    assert law_current(law, 4.01, 0.5) > base > 0
    assert law_current(law, 4.0, 0.4) > base
    assert law_current(law, 4.0, 0.5, 1e-8) == pytest.approx(base / math.e, rel=1e-12)


@pytest.mark.parametrize("name", list(LAWS))
def test_derivatives_of_the_laws_match_differences(name):
    law = branch(decomposition__law=name, decomposition__delta_star=1e-8).law

    def current(x):
        return law.current(x[0], x[1], x[2], jnp.asarray(T))

    at, h = jnp.array([4.05, 0.62, 4e-9]), np.array([1e-5, 1e-5, 1e-13])
    slope = jax.grad(current)(at)
    for k in range(3):
        step = np.zeros(3)
        step[k] = h[k]
        numeric = (float(current(at + step)) - float(current(at - step))) / (2 * h[k])
        # third derivatives: (alpha F/RT h)^2 / 6 = 5e-9; rounding 1e-16 / 1e-4 of the relative step
        assert float(slope[k]) == pytest.approx(numeric, rel=1e-5), k


def test_with_beta_zero_y0_changes_nothing():
    low, high = (branch(decomposition__beta=0.0, decomposition__y0=y0).law for y0 in (0.2, 0.5))
    for E, sto in ((3.8, 0.9), (4.2, 0.3), (4.3, 0.7)):
        assert law_current(low, E, sto) == law_current(high, E, sto)


def test_nothing_is_built_where_nothing_flows():
    assert build_decomposition(values(decomposition__law="none"), binary=True) is None
    assert build_decomposition(values(decomposition__j_ref=0.0), binary=True) is None
    only_burst = branch(decomposition__j_ref=0.0, decomposition__burst_charge=50.0)
    assert only_burst is not None and float(only_burst.law.j_ref) == 0.0
    assert build_carbon(values()) is None


def test_a_single_ion_conductor_loses_no_anions():
    assert float(build_decomposition(values(decomposition__omega=0.3), binary=False).omega) == 0.0


def test_carbon_is_counted_per_volume_of_binder():
    carbon = build_carbon(
        values(
            carbon_oxidation__j_ref=2e-3,
            carbon_oxidation__U_ox0=2.8,
            carbon_oxidation__charge=5.0,
            carbon_oxidation__specific_area=1e7,
        )
    )
    density, left = carbon.advance(jnp.asarray(2.9), jnp.asarray(1.0), jnp.asarray(0.0), jnp.asarray(T))
    assert float(density) == pytest.approx(2e4 * math.exp(0.5 * F_RT * 0.1), rel=1e-12) and float(left) == 1.0


def test_burst_current_is_what_its_share_loses():
    burst = branch(decomposition__burst_charge=40.0, decomposition__burst_j_ref=0.2).burst
    dt = 500.0
    j, left = (float(v) for v in burst.advance(*(jnp.asarray(v) for v in (3.8, 0.7, dt, T))))
    assert j * dt == pytest.approx(40.0 * (0.7 - left), rel=1e-12)
    assert j == pytest.approx(0.2 * math.exp(0.5 * F_RT * 0.05) * left, rel=1e-12)


def test_film_volume_is_the_integral_of_the_contact_over_the_thickness():
    film = branch(contact__loss_thickness=3e-9).film
    depth = np.linspace(0.0, 1e-8, 2001)
    remaining = np.asarray(film.remaining(jnp.asarray(depth)))
    # trapezoidal rule: relative error (h / 3 nm)^2 / 12
    assert float(film.volume(jnp.asarray(1e-8))) == pytest.approx(np.trapezoid(remaining, depth), rel=1e-6)
    assert float(branch().film.volume(jnp.asarray(1e-8))) == 1e-8


# -- the face with two branches ---------------------------------------------------------------------------------------

N = 60
CASES = {
    "endless": {},
    "self_limiting": {"decomposition__delta_star": 2e-9},
    "contact_loss": {"contact__loss_thickness": 3e-9},
    "everything": {
        "decomposition__law": "shifted_onset",
        "decomposition__delta_star": 4e-9,
        "contact__loss_thickness": 6e-9,
        "decomposition__burst_charge": 30.0,
    },
}
#: Currents and time steps so large that the film of one stage matters: tens of nanometres where nothing limits it.
GAMMA_DT = 300.0


def kinetics():
    return ButlerVolmer(*(jnp.asarray(v, float) for v in (0.8, 0.4, 0.6, C_INIT)), salt_dependent=True)


def faces():
    rng = np.random.default_rng(4)
    sto, phi_e = rng.uniform(0.3, 0.9, N), rng.uniform(-0.2, 0.0, N)
    phi_am = np.array([chen(x) for x in sto]) + phi_e + rng.uniform(-0.15, 0.25, N)
    fields = FaceFields(phi_am, phi_am + rng.normal(0, 0.005, N), phi_e, sto, rng.uniform(200.0, 2500.0, N))
    on_cbd = rng.random(N) < 0.5
    sides = FaceSides(
        weight=rng.uniform(0.5, 1.0, N),
        contact_fraction=rng.uniform(0.2, 1.0, N),
        h_am=np.full(N, 5e-7),
        h_ion=np.full(N, 4e-7),
        film_resistance=rng.uniform(0.0, 0.02, N),
        electronic_resistance=np.asarray(1e-3),
        sigma_am=rng.uniform(0.1, 2.0, N),
        sigma_cbd=np.where(on_cbd, 10.0, 0.0),
        kappa=rng.uniform(0.01, 0.1, N),
        diffusivity=np.full(N, 1e-14),
    )
    known = np.stack([rng.uniform(0.0, 5e-9, N), rng.uniform(0.0, 5.0, N), rng.uniform(0.2, 1.0, N)])
    return jax.tree.map(jnp.asarray, (fields, sides, known))


def law_of(fields, sides, known, side, guess):
    reaction = Intercalation(kinetics(), ChenOCP(steep_end=False), jnp.asarray(C_MAX), jnp.asarray(T))
    return contact_law(fields, sides, reaction, guess, side, SideStart(known, jnp.asarray(GAMMA_DT)))


solve = quick_jit(law_of)


def strong(**case):
    """A branch whose currents are comparable to the intercalation's."""
    return branch(**{"decomposition__j_ref": 0.02, "decomposition__beta": 0.5, **case})


def plain_face(k, fields, sides, known, side):
    """Intercalation and oxidation current of face `k`, by nested bracketing over plain floats."""
    f, s = (
        tuple(float(np.asarray(a)[k]) if np.ndim(a) else float(a) for a in part) for part in (fields, vars_of(sides))
    )
    phi_am, phi_cbd, phi_e, sto, c_e = f
    w, a0, h_am, h_ion, R0, rho, sigma_am, sigma_cbd, kappa, D = s
    delta0, _, burst0 = (float(v) for v in known[:, k])
    growth, kappa_f = float(side.film.growth), float(side.film.conductivity)
    loss = None if side.film.loss_thickness is None else float(side.film.loss_thickness)

    def inverse(ratio):
        def excess(e):
            return math.exp(0.4 * F_RT * e) - math.exp(-0.6 * F_RT * e) - ratio

        return brentq(excess, -3, 3, xtol=1e-15, rtol=1e-14)

    def at(j_ct, thickness):
        a = a0 * (1.0 if loss is None else math.exp(-thickness / loss))
        x = min(max(sto - w * a * h_am / (2 * D * F * C_MAX) * j_ct, 0.0), 1.0)
        xc = min(max(x, 1e-6), 1 - 1e-6)
        E = chen(x) + inverse(j_ct / (0.8 * 2 * math.sqrt(xc * (1 - xc)) * math.sqrt(c_e / C_INIT)))
        return a, x, E

    def side_currents(j_ct):
        def excess(thickness):
            _, x, E = at(j_ct, thickness)
            return thickness - delta0 - GAMMA_DT * growth * law_current(side.law, E, x, thickness)

        top = delta0 + 1e-9
        while excess(top) < 0:
            top = delta0 + 2 * (top - delta0)
        thickness = brentq(excess, delta0, top, xtol=1e-22, rtol=1e-14)
        a, x, E = at(j_ct, thickness)
        burst = 0.0
        if side.burst is not None:
            rate = float(side.burst.j_ref) * math.exp(float(side.burst.alpha) * F_RT * (E - float(side.burst.U_ref)))
            burst = rate * burst0 / (1 + GAMMA_DT * rate / float(side.burst.charge))
        return a, E, thickness, law_current(side.law, E, x, thickness), burst

    def mismatch(j_ct):
        a, E, thickness, j_ox, burst = side_currents(j_ct)
        g_am, g_cbd = 2 * sigma_am / h_am, 0.0
        if sigma_cbd > 0:
            g_cbd = a / (h_ion / (2 * sigma_cbd) + rho / w)
        share = g_am / (g_am + g_cbd)
        half = 1 / (g_am + g_cbd) + h_ion / (2 * kappa)
        resistance = w * a * half + R0 + thickness / kappa_f
        return share * phi_am + (1 - share) * phi_cbd - phi_e - resistance * (j_ct + j_ox + burst) - E

    j_ct = brentq(mismatch, -40.0, 40.0, xtol=1e-13, rtol=1e-13)
    return j_ct, *side_currents(j_ct)


def vars_of(sides):
    names = ("weight", "contact_fraction", "h_am", "h_ion", "film_resistance", "electronic_resistance", "sigma_am")
    return tuple(getattr(sides, name) for name in (*names, "sigma_cbd", "kappa", "diffusivity"))


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_two_branches_equal_a_nested_bracketing_solution(case):
    side = strong(**CASES[case])
    fields, sides, known = faces()
    law = solve(fields, sides, known, side, jnp.zeros(N))
    assert float(jnp.max(law.currents.oxidation / jnp.abs(law.currents.intercalation))) > 0.1  # the branch matters
    for k in range(0, N, 7):
        j_ct, a, _, thickness, j_ox, burst = plain_face(k, fields, sides, np.asarray(known), side)
        # the mismatch is solved to 1e-12 V; some 10 ohm m2 of film at the least conducting face
        assert float(law.currents.intercalation[k]) == pytest.approx(j_ct, rel=1e-8, abs=1e-10), k
        assert float(law.currents.oxidation[k]) == pytest.approx(j_ox, rel=1e-8)
        assert float(law.currents.burst[k]) == pytest.approx(burst, rel=1e-8)
        assert float(law.states[THICKNESS, k]) == pytest.approx(thickness, rel=1e-9)
        assert float(law.sides.contact_fraction[k]) == pytest.approx(a, rel=1e-9)


def test_states_hold_what_the_currents_have_passed():
    side = strong(**CASES["everything"])
    fields, sides, known = faces()
    law = solve(fields, sides, known, side, jnp.zeros(N))
    gained = np.asarray(law.states - known)
    remaining = np.asarray(law.sides.contact / sides.contact)
    passed = GAMMA_DT * np.asarray(law.currents.oxidation)
    np.testing.assert_allclose(gained[THICKNESS], float(side.film.growth) * passed, rtol=1e-7)  # differences of nm
    np.testing.assert_allclose(gained[CHARGE], remaining * passed, rtol=1e-9)
    np.testing.assert_allclose(-30.0 * gained[BURST_LEFT], GAMMA_DT * np.asarray(law.currents.burst), rtol=1e-9)


@pytest.mark.parametrize("case", ["endless", "everything"])
def test_derivatives_of_the_face_match_differences(case):
    side = strong(**CASES[case])
    fields, sides, known = faces()

    def currents(shift):
        moved = fields._replace(
            phi_am=fields.phi_am + shift[0], sto=fields.sto + shift[1], c_e=fields.c_e * (1 + shift[2])
        )
        law = solve(moved, sides, known, side, jnp.zeros(N))
        return jnp.stack([law.currents.total, law.currents.intercalation, law.states[THICKNESS] * 1e8])

    h = 1e-5
    for k in range(3):
        unit = jnp.zeros(3).at[k].set(1.0)
        _, slope = jax.jvp(currents, (jnp.zeros(3),), (unit,))
        numeric = (currents(h * unit) - currents(-h * unit)) / (2 * h)
        size = np.max(np.abs(slope), axis=1, keepdims=True)
        # truncation (F/RT h)^2 = 1e-7 of exponentials; the inner solution to 1e-12 V over h
        np.testing.assert_allclose(np.asarray(numeric) / size, np.asarray(slope) / size, atol=1e-5)


def test_the_solution_does_not_depend_on_the_guess():
    side = strong()
    fields, sides, known = faces()
    a, b = (solve(fields, sides, known, side, jnp.full(N, g)).currents.total for g in (-5.0, 8.0))
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-8, atol=1e-10)


def test_a_film_that_does_not_belong_to_its_current_is_told(monkeypatch):
    """Newton's steps for the thickness are counted: what they have not reached must not pass as a solution."""
    side = strong(**CASES["everything"])
    fields, sides, known = faces()

    def law():  # compiled anew: the number of steps is part of the program
        return quick_jit(lambda *args: law_of(*args))(fields, sides, known, side, jnp.zeros(N))

    enough = law()
    assert np.all(enough.settled)
    monkeypatch.setattr("simulator.physics.decomposition.branch._STEPS", 0)
    few = law()
    settled = np.asarray(few.settled)
    thickness, exact = np.asarray(few.states[THICKNESS]), np.asarray(enough.states[THICKNESS])
    np.testing.assert_allclose(thickness[settled], exact[settled], rtol=1e-5)
    assert not np.all(settled)


@pytest.mark.parametrize("case", ["endless", "everything"])
def test_reverse_mode_is_the_transpose_of_forward_mode(case):
    """By fields and by every parameter of the branch: adjoints go through the film and its states."""
    side = strong(**CASES[case])
    fields, sides, known = faces()
    rng = np.random.default_rng(2)

    def outputs(fields, known, side):
        law = law_of(fields, sides, known, side, jnp.zeros(N))
        return law.currents, law.states

    @quick_jit
    def forward_of(inputs, moved):
        return jax.jvp(outputs, inputs, moved)

    @quick_jit
    def backward_of(inputs, weights):
        return jax.vjp(outputs, *inputs)[1](weights)

    inputs = (fields, known, side)

    def direction(leaf):
        """A relative change; delta* = inf cannot be moved, its derivative is zero."""
        scale = np.where(np.isfinite(leaf), leaf, 0.0)
        return jnp.asarray(1e-3 * scale * rng.standard_normal(leaf.shape))

    moved = jax.tree.map(direction, inputs)
    found, forward = forward_of(inputs, moved)
    weights = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), found)
    backward = backward_of(inputs, weights)

    def dot(a, b):
        return sum(float(jnp.sum(x * y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))

    # forward and backward sum the same products in another order
    assert dot(forward, weights) == pytest.approx(dot(moved, backward), rel=1e-9)
