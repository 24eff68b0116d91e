r"""Porous electrode with linear kinetics and no concentration differences: strips one voxel wide, in closed form.

A row of active material beside a row of electrolyte, mirrored at the sides, is a one-dimensional porous electrode:
each phase fills half the volume, the area per volume is a = 1/(2h) for strips of width h, and the two half voxels
between the centres and the common face join the charge-transfer resistance. Resistance and current distribution:
Newman and Tobias, J. Electrochem. Soc. 109 (1962) 1183, doi:10.1149/1.2425269:

$\nu = L\sqrt{a R_{ct}^{-1}(1/\kappa+1/\sigma)}$,
$R = \frac{L}{\kappa+\sigma}\{1+\frac{2+(\sigma/\kappa+\kappa/\sigma)\cosh\nu}{\nu\sinh\nu}\}$,
$j/\bar j = \nu\,[\sigma\cosh\nu(1-z/L)+\kappa\cosh(\nu z/L)]/[(\kappa+\sigma)\sinh\nu]$, z from the separator.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from simulator.constants import F, R
from simulator.geometry import Electrode
from simulator.materials import ChenOCP
from simulator.model import build_cell
from simulator.model.newton import NewtonOptions
from simulator.model.residual import Drive
from simulator.model.timestep import consistent_state, resting_state

THICKNESS = 50.773e-6
KAPPA, AREA_PER_VOLUME, TEMPERATURE = 0.0186865, 3e5, 333.15  # kappa of the electrode: half of the strip's
ROWS, LAYERS = 50, 10  # the array of the single-ion laminate: both share one compiled program
LADDER = (12, 24, 48)  # voxels through the electrode
# Far inside the linear range: 1e-3 of RT/F per face gives errors of 1e-7.
CURRENT = 0.02  # A/m2

# sigma [S/m] of the electrode, j0 [A/m2] of the charge transfer with both half voxels
CASES = {"base": (4.5407, 1.0), "comparable conductivities": (0.03, 4.0), "deep": (4.5407, 12.0)}


class Strip(NamedTuple):
    """Resistance [ohm m2] and current density over its mean, from the separator on; simulated."""

    resistance: float
    distribution: np.ndarray


def modulus(sigma, j0):
    return THICKNESS * np.sqrt(AREA_PER_VOLUME * F * j0 / (R * TEMPERATURE) * (1.0 / KAPPA + 1.0 / sigma))


def exact_resistance(sigma, nu):
    """[ohm m2]"""
    ratio = sigma / KAPPA + KAPPA / sigma
    return THICKNESS / (KAPPA + sigma) * (1.0 + (2.0 + ratio * np.cosh(nu)) / (nu * np.sinh(nu)))


def exact_distribution(sigma, nu, n):
    """Mean over each of `n` voxels of the current density over its mean."""
    z = np.linspace(0.0, 1.0, n + 1)
    integral = -sigma * np.sinh(nu * (1.0 - z)) + KAPPA * np.sinh(nu * z)
    return n * np.diff(integral) / ((KAPPA + sigma) * np.sinh(nu))


def strip(n, sigma, j0) -> Strip:
    """Simulate `n` voxels. The rest of the array in front is electrolyte beside pores: a known resistance in series,
    which keeps the particle away from the separator and lets all `n` share one compiled program."""
    h, dz = 0.5 / AREA_PER_VOLUME, THICKNESS / n
    phase = np.zeros((ROWS, 2, 1), int)
    phase[:, 1] = 3
    phase[ROWS - n :, 0] = 1
    labels = {"pore": 0, "am": 1, "electrolyte": 3}
    electrode = Electrode.from_array(phase, voxel_size=(dz, h, h), labels=labels)
    half_voxels = 0.5 * h / (2.0 * KAPPA) + 0.5 * h / (2.0 * sigma)
    ocp = ChenOCP(steep_end=False)  # flat at 0 V: no concentration enters
    ocp = eqx.tree_at(lambda o: (o.offset, o.slope, o.amplitude), ocp, replace_fn=jnp.zeros_like)
    values = {
        "electrolyte.kind": "single_ion",
        "electrolyte.kappa": 2.0 * KAPPA,
        "am.sigma": 2.0 * sigma,
        "am.ocp": ocp,
        "sto_init": 0.5,  # where j0 = j0_ref and does not change with sto
        "kinetics.j0_ref": 1.0 / (1.0 / j0 - F / (R * TEMPERATURE) * half_voxels),
        # Separator and anode are made to cost nothing: together 2e-9 ohm m2 of 1e-3.
        "separator.kappa": 1e3,
        "separator.thickness": 1e-6,
        "separator.layers": LAYERS,
        "anode.j0": 1e8,
    }
    cell = build_cell(electrode, "verification", values)
    # The faces are planes, weight 1. The weights found from the image are meant for particles of several voxels; at
    # the front end of a strip one voxel wide the smoothed outline is round.
    model = eqx.tree_at(lambda m: m.faces.weight, cell.model, replace_fn=jnp.ones_like)
    current = CURRENT * cell.area
    drive = Drive(jnp.asarray(current, float), jnp.zeros(()), jnp.ones(()))
    state, stage = consistent_state(
        resting_state(cell.initial_fields(), cell.initial_side(), model), drive, model, current, NewtonOptions()
    )
    assert state is not None, stage.result
    valid = np.asarray(model.faces.valid)
    order = np.argsort(np.asarray(model.faces.am)[valid])
    j = np.asarray(state.j.total)[valid][order]
    assert j.size == n
    series = (ROWS - n) * dz / KAPPA
    return Strip(state.voltage / CURRENT - series, j / j.mean())


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request) -> tuple[float, float, dict[int, Strip]]:
    sigma, j0 = request.param
    return sigma, j0, {n: strip(n, sigma, j0) for n in LADDER}


def test_closed_form_reproduces_known_values():
    # Evaluated independently for the first case, and for the same modulus with perfect electronic conduction.
    sigma, j0 = CASES["base"]
    nu = modulus(sigma, j0)
    assert nu == pytest.approx(1.203137, abs=1e-6)
    assert exact_resistance(sigma, nu) == pytest.approx(2.718180e-3, abs=1e-9)
    assert exact_resistance(1e9, nu) == pytest.approx(2.705870e-3, abs=1e-9)
    fine = exact_distribution(1e9, nu, 5000)
    assert [fine[0], fine[-1]] == pytest.approx([1.44156, 0.79407], abs=3e-4)  # mean over L/5000, not the end itself


def test_resistance_converges_to_newmans(case):
    sigma, j0, strips = case
    nu = modulus(sigma, j0)
    exact = exact_resistance(sigma, nu)
    errors = np.array([strips[n].resistance / exact - 1.0 for n in LADDER])
    orders = np.log2(np.abs(errors[:-1] / errors[1:]))
    assert np.all((orders > 1.9) & (orders < 2.1)), (errors, orders)
    # The difference equations can be solved too: for sigma >> kappa the relative error is
    # [nu^2/8 + nu^3/(24 sinh nu cosh nu)]/n^2 <= nu^2/(6 n^2), and less where both phases share the drop.
    assert 0.0 < errors[-1] < nu**2 / (6.0 * LADDER[-1] ** 2), errors
    extrapolated = errors[-1] + (errors[-1] - errors[-2]) / 3.0
    assert abs(extrapolated) < 1e-5, errors  # Newton's tolerance 1e-6, and the fourth order of the grid


def test_current_distribution_converges_to_newmans(case):
    sigma, j0, strips = case
    nu = modulus(sigma, j0)
    differences = [strips[n].distribution - exact_distribution(sigma, nu, n) for n in LADDER]
    errors = [np.sqrt(np.mean(d**2)) for d in differences]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.all((orders > 1.9) & (orders < 2.1)), (errors, orders)
    # Worst voxel, at the steep end: the decay length of the difference equations is off by nu^2/(24 n^2), and so is
    # the value there; 20 leaves room for the next order.
    steepest = exact_distribution(sigma, nu, LADDER[-1]).max()
    assert np.max(np.abs(differences[-1])) < nu**2 / (20.0 * LADDER[-1] ** 2) * steepest
