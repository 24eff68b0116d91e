"""The face problem against a bracketing root finder, its derivatives, signs and limits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chen import chen
from scipy.optimize import brentq

from simulator.constants import F, R
from simulator.materials import ChenOCP
from simulator.physics.contact import CONTACT_FLOOR, FaceFields, FaceSides, Intercalation, contact_law
from simulator.physics.kinetics import EDGE, ButlerVolmer

N = 240
T, C_S_MAX, C_E_INIT = 333.15, 51765.0, 1000.0
OCP = ChenOCP(steep_end=False)
FIELDS = ("phi_am", "phi_cbd", "phi_e", "sto", "c_e")


def kinetics(alpha_a=0.3, alpha_c=0.7):
    values = (jnp.asarray(v, float) for v in (0.8, alpha_a, alpha_c, C_E_INIT))
    return ButlerVolmer(*values, salt_dependent=True)


def faces(seed, *, overpotential, sto, conducts=None):
    """Random faces: transport over decades; `overpotential` [V] and `sto` are ranges."""
    rng = np.random.default_rng(seed)

    def decades(low, high):
        return 10.0 ** rng.uniform(low, high, N)

    x = rng.uniform(*sto, N)
    phi_e = rng.uniform(-0.3, 0.1, N)
    phi_am = phi_e + chen(x) + rng.uniform(*overpotential, N)
    on_cbd = rng.random(N) < 0.5 if conducts is None else np.full(N, conducts)
    fields = {
        "phi_am": phi_am,
        "phi_cbd": phi_am + rng.normal(0.0, 0.01, N),
        "phi_e": phi_e,
        "sto": x,
        "c_e": rng.uniform(5.0, 3000.0, N),
    }
    sides = FaceSides(
        weight=rng.uniform(0.3, 1.0, N),
        contact_fraction=decades(-2, 0),
        h_am=decades(-7, -5.5),
        h_ion=decades(-7, -5.5),
        film_resistance=np.where(rng.random(N) < 0.5, 0.0, decades(-4, -1)),
        electronic_resistance=np.asarray(1e-3),
        sigma_am=decades(-3, 2),
        sigma_cbd=np.where(on_cbd, decades(0, 3), 0.0),
        kappa=decades(-3, 0),
        diffusivity=decades(-16, -13),
    )
    return fields, sides


@eqx.filter_jit
def solve(fields, sides, k, ocp, c_s_max, temperature, start):
    at = FaceFields(**{name: fields[name] for name in FIELDS})
    return contact_law(at, sides, Intercalation(k, ocp, c_s_max, temperature), start).currents.total


def current(fields, sides, k=None, start=None):
    start = np.zeros(N) if start is None else start
    return np.asarray(solve(fields, sides, k or kinetics(), OCP, np.asarray(C_S_MAX), np.asarray(T), start))


def surface(fields, sides, j):
    """Surface stoichiometry, half a voxel from the centre."""
    flux = j * sides.weight * np.maximum(sides.contact_fraction, CONTACT_FLOOR)
    return fields["sto"] - flux * sides.h_am / (2 * sides.diffusivity * F * C_S_MAX)


def by_bisection(fields, sides, alpha_a, alpha_c):
    """Each face alone: j = j0 [exp - exp] with every loss written out, bracketed and bisected in plain floats."""
    out = []
    for i in range(N):
        f = {name: float(fields[name][i]) for name in FIELDS}
        s = {name: float(np.broadcast_to(getattr(sides, name), N)[i]) for name in sides.__dataclass_fields__}

        def excess(j, f=f, s=s):
            flux = j * s["weight"] * s["contact_fraction"]  # per voxel face area
            g_am = 2 * s["sigma_am"] / s["h_am"]
            if s["sigma_cbd"] > 0:
                half = s["h_ion"] / (2 * s["sigma_cbd"]) + s["electronic_resistance"] / s["weight"]
                g_cbd = s["contact_fraction"] / half
                phi_face = (g_am * f["phi_am"] + g_cbd * f["phi_cbd"] - flux) / (g_am + g_cbd)
            else:
                phi_face = f["phi_am"] - flux / g_am
            ions = f["phi_e"] + flux * s["h_ion"] / (2 * s["kappa"])
            x = f["sto"] - flux * s["h_am"] / (2 * s["diffusivity"] * F * C_S_MAX)
            inside = min(max(x, 0.0), 1.0)
            bounded = min(max(x, EDGE), 1 - EDGE)
            j0 = 0.8 * 2 * np.sqrt(bounded * (1 - bounded)) * np.sqrt(f["c_e"] / C_E_INIT)
            e = F / (R * T) * (phi_face - ions - j * s["film_resistance"] - chen(inside))
            e = min(max(e, -300.0), 300.0)  # the bracket may reach far; its sign is all that counts there
            rate = j0 * (np.expm1(alpha_a * e) - np.expm1(-alpha_c * e))
            return rate - j

        end = np.copysign(1e-12, excess(0.0))
        while excess(end) * end > 0:
            end *= 4.0
        out.append(brentq(excess, 0.0, end, xtol=1e-300, rtol=8.9e-16, maxiter=500))
    return np.array(out)


CASES = {
    "moderate": {"overpotential": (-0.15, 0.15), "sto": (0.25, 0.95)},
    "extreme overpotential": {"overpotential": (-3.0, 3.0), "sto": (0.25, 0.95)},
    "nearly empty": {"overpotential": (-1.0, 1.0), "sto": (1e-5, 1e-2)},
    "nearly full": {"overpotential": (-1.0, 1.0), "sto": (0.99, 1 - 1e-5)},
    "near equilibrium": {"overpotential": (-1e-8, 1e-8), "sto": (0.25, 0.95)},
}


@pytest.mark.parametrize("alphas", [(0.5, 0.5), (0.3, 0.7)])
@pytest.mark.parametrize("case", CASES)
def test_current_is_the_root_of_the_scalar_equation(case, alphas):
    fields, sides = faces(11, **CASES[case])
    j = current(fields, sides, kinetics(*alphas))
    expected = by_bisection(fields, sides, *alphas)
    # The solver stops at 1e-12 V (and takes one more Newton step); 4 V potentials round at 1e-15 V. Divided by RT/F
    # = 0.03 V that is 1e-10 of j, or of j0 (about 1 A/m2) near equilibrium.
    np.testing.assert_allclose(j, expected, rtol=1e-9, atol=1e-12)


def test_start_does_not_change_the_root():
    fields, sides = faces(12, **CASES["extreme overpotential"])
    near = current(fields, sides)
    for start in (1e3, -1e3, 1e-9):
        np.testing.assert_allclose(current(fields, sides, start=np.full(N, start)), near, rtol=1e-10, atol=1e-12)


def test_positive_current_takes_lithium_out_of_the_particle():
    fields, sides = faces(13, **CASES["moderate"])
    fields["phi_cbd"] = fields["phi_am"]
    eta = fields["phi_am"] - fields["phi_e"] - chen(fields["sto"])
    j = current(fields, sides)
    assert np.all(np.sign(j) == np.sign(eta))
    assert np.all(np.sign(surface(fields, sides, j) - fields["sto"]) == -np.sign(j))


def test_losses_never_exceed_what_drives_them():
    fields, sides = faces(13, **CASES["moderate"], conducts=False)
    eta = fields["phi_am"] - fields["phi_e"] - chen(fields["sto"])
    flux = current(fields, sides) * sides.weight * sides.contact_fraction
    ohmic = flux * (sides.h_am / (2 * sides.sigma_am) + sides.h_ion / (2 * sides.kappa))
    assert np.all(np.abs(ohmic) < np.abs(eta))


def test_potential_of_the_neighbour_counts_only_where_it_conducts_electrons():
    fields, sides = faces(14, **CASES["moderate"])
    moved = {**fields, "phi_cbd": fields["phi_cbd"] + 0.05}
    change = current(moved, sides) - current(fields, sides)
    assert np.all(change[sides.sigma_cbd == 0] == 0.0)
    assert np.all(change[sides.sigma_cbd > 0] > 0.0)


def test_share_of_a_non_conducting_neighbour_is_exactly_one():
    _, sides = faces(14, **CASES["moderate"])
    share = np.asarray(sides.am_share())
    assert np.all(share[sides.sigma_cbd == 0] == 1.0)
    inside = share[sides.sigma_cbd > 0]
    assert np.all((inside > 0) & (inside < 1))


def test_extra_resistance_is_what_the_contact_adds_to_two_half_cells():
    _, sides = faces(15, **CASES["moderate"])
    sides = eqx.tree_at(lambda s: s.electronic_resistance, sides, np.asarray(2e-3))
    extra = np.asarray(sides.extra_resistance())
    half = sides.h_ion / (2 * np.where(sides.sigma_cbd > 0, sides.sigma_cbd, 1.0))
    expected = np.where(sides.sigma_cbd > 0, (half + 2e-3 / sides.weight) / sides.contact_fraction - half, 0.0)
    # the half cell is subtracted from the sum: rounding of the sum, up to 1 ohm m2 of it
    np.testing.assert_allclose(extra, expected, rtol=1e-12, atol=1e-15)


def test_contact_fraction_has_a_floor_below_which_nothing_changes():
    fields, sides = faces(16, **CASES["moderate"])
    floor = eqx.tree_at(lambda s: s.contact_fraction, sides, np.full(N, CONTACT_FLOOR))
    zero = eqx.tree_at(lambda s: s.contact_fraction, sides, np.zeros(N))
    j = current(fields, zero)
    np.testing.assert_array_equal(j, current(fields, floor))
    assert np.all(np.isfinite(j)) and np.all(j != 0.0)


def test_halving_the_contact_equals_halving_area_weight_and_the_neighbours_conductance():
    # a_f limits ions, lithium and the electrons from the CBD alike; w limits the reaction only.
    fields, sides = faces(17, **CASES["moderate"])
    sides = eqx.tree_at(lambda s: s.electronic_resistance, sides, np.asarray(0.0))
    contact = eqx.tree_at(lambda s: s.contact_fraction, sides, sides.contact_fraction / 2)
    weight = eqx.tree_at(lambda s: (s.weight, s.sigma_cbd), sides, (sides.weight / 2, sides.sigma_cbd))
    no_cbd = sides.sigma_cbd == 0
    j_contact, j_weight = current(fields, contact), current(fields, weight)
    # Powers of two are exact: the two problems differ by nothing but the order of operations.
    np.testing.assert_allclose(j_contact[no_cbd], j_weight[no_cbd], rtol=1e-12, atol=1e-14)
    weaker = eqx.tree_at(lambda s: (s.weight, s.sigma_cbd), sides, (sides.weight / 2, sides.sigma_cbd / 2))
    np.testing.assert_allclose(j_contact, current(fields, weaker), rtol=1e-12, atol=1e-14)


# -- derivatives --------------------------------------------------------------------------------------------------


def smooth_faces():
    """Faces away from the clips of the surface stoichiometry, where the law has kinks by design."""
    fields, sides = faces(18, overpotential=(-0.12, 0.12), sto=(0.3, 0.9))
    return fields, eqx.tree_at(lambda s: s.diffusivity, sides, 10.0 ** np.linspace(-14, -13, N))


def arguments():
    fields, sides = smooth_faces()
    return jax.tree.map(jnp.asarray, (fields, sides, kinetics(), OCP, C_S_MAX, T))


def law(args):
    return solve(*args, np.zeros(N))


LEAVES = {
    **{name: (lambda a, name=name: a[0][name]) for name in FIELDS},
    **{name: (lambda a, name=name: getattr(a[1], name)) for name in FaceSides.__dataclass_fields__},
    **{name: (lambda a, name=name: getattr(a[2], name)) for name in ("j0_ref", "alpha_a", "alpha_c", "c_e_init")},
    "ocp.offset": lambda a: a[3].offset,
    "ocp.steepness": lambda a: a[3].steepness,
    "c_s_max": lambda a: a[4],
    "temperature": lambda a: a[5],
}


@eqx.filter_jit
def pushed(args, tangents):
    numbers, rest = eqx.partition(args, eqx.is_inexact_array)
    return jax.jvp(lambda numbers: law(eqx.combine(numbers, rest)), (numbers,), (tangents,))[1]


compiled_law = eqx.filter_jit(law)


@eqx.filter_jit
def pulled(args, weights):
    numbers, rest = eqx.partition(args, eqx.is_inexact_array)
    return jax.grad(lambda numbers: jnp.vdot(weights, law(eqx.combine(numbers, rest))))(numbers)


def direction(args, name):
    """A change of one argument by its own size (an absolute 0.1 V for potentials, 1e-3 ohm m2 for resistances)."""
    numbers, _ = eqx.partition(args, eqx.is_inexact_array)
    zero = jax.tree.map(lambda leaf: np.zeros(np.shape(leaf)), numbers)
    value = np.asarray(LEAVES[name](numbers), float)
    rng = np.random.default_rng(19)
    size = 0.1 if name.startswith("phi") else 1e-3 if "resistance" in name else 0.1 * value
    return eqx.tree_at(LEAVES[name], zero, size * rng.uniform(0.5, 1.0, value.shape))


@pytest.mark.parametrize("name", LEAVES)
def test_derivative_by_every_argument_matches_central_differences(name):
    args = arguments()
    numbers, rest = eqx.partition(args, eqx.is_inexact_array)
    tangent = direction(args, name)
    exact = np.asarray(pushed(args, tangent))

    def at(h):
        return np.asarray(compiled_law(eqx.combine(jax.tree.map(lambda a, t: a + h * t, numbers, tangent), rest)))

    h = 1e-4
    # Fourth-order differences: truncation h^4, rounding 1e-12 V / (h 0.03 V) = 3e-7 of j at worst, 1e-8 typically.
    numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    scale = np.abs(np.asarray(compiled_law(args))) + 0.1
    assert np.max(np.abs(exact)) > 0, "this argument has no influence: the comparison would be empty"
    np.testing.assert_array_less(np.abs(exact - numeric) / (np.abs(exact) + scale), 1e-6)


def test_reverse_mode_is_the_transpose_of_forward_mode():
    args = arguments()
    weights = np.random.default_rng(20).normal(size=N)
    gradient = pulled(args, weights)
    for name in LEAVES:
        tangent = direction(args, name)
        forward = float(weights @ np.asarray(pushed(args, tangent)))
        parts = jax.tree.map(lambda g, t: float(np.vdot(g, t)), gradient, tangent)
        backward = sum(jax.tree.leaves(parts))
        size = float(np.abs(weights) @ np.abs(np.asarray(pushed(args, tangent))))
        assert abs(forward - backward) <= 1e-13 * size, name  # rounding of a sum over 240 faces


def test_start_has_no_derivative():
    args = arguments()
    slope = jax.jit(jax.grad(lambda s: jnp.sum(solve(*args, s))))(jnp.full(N, 0.1))
    assert np.all(np.asarray(slope) == 0.0)
