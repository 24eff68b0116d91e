r"""Diffusion in the particle under constant flux, through the full solver: slab and sphere.

With $u=(x-x_0)\,F c_{max} D/(jR)$ and $\tau=Dt/R^2$ (Crank, The Mathematics of Diffusion, 1975, eq. 4.55 and 6.45):

- slab of thickness R, flux at $\xi=1$, sealed at 0:
  $u=\tau+\frac{3\xi^2-1}{6}-\frac{2}{\pi^2}\sum_n\frac{(-1)^n}{n^2}e^{-n^2\pi^2\tau}\cos n\pi\xi$,
- sphere, $\tan\lambda_n=\lambda_n$:
  $u=3\tau+\frac{\rho^2}{2}-\frac{3}{10}-\frac{2}{\rho}\sum_n
  \frac{\sin\lambda_n\rho}{\lambda_n^2\sin\lambda_n}e^{-\lambda_n^2\tau}$.

The open-circuit potential is flat and the stoichiometry stays near 0.5, where the exchange current does not change:
the current is the same on every face.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from simulator.constants import F
from simulator.geometry import Electrode
from simulator.materials import ChenOCP
from simulator.model import Cell, Solution, build_cell, simulate
from simulator.protocol import CurrentStep

D_S, C_S_MAX, STO_INIT = 1e-14, 51765.0, 0.5
BALANCE = 1e-9  # each solve closes every conserved sum to 1e-10 of the current

# Evaluated independently: tau -> u at the surface and at the back or centre.
SLAB_KNOWN = {0.01: (0.112838, 0.0), 0.1: (0.356826, 0.007885), 0.5: (0.831876, 0.334791)}
SPHERE_KNOWN = {0.02: (0.181923, 1e-6), 0.1: (0.486762, 0.059878), 0.5: (1.699996, 1.200019)}
EIGENVALUES = np.array(
    [brentq(lambda x: np.sin(x) - x * np.cos(x), k * np.pi, (k + 0.5) * np.pi) for k in range(1, 60)]  # tan x = x
)


def slab_profile(xi, tau):
    n, xi = np.arange(1, 401), np.atleast_1d(xi)[:, None]
    modes = (-1.0) ** n * np.exp(-((n * np.pi) ** 2) * tau) * np.cos(n * np.pi * xi) / n**2
    return tau + (3.0 * xi[:, 0] ** 2 - 1.0) / 6.0 - 2.0 / np.pi**2 * modes.sum(axis=1)


def sphere_profile(rho, tau):
    lam, rho = EIGENVALUES, np.maximum(np.atleast_1d(rho), 1e-6)[:, None]
    modes = np.sin(lam * rho) / (lam**2 * np.sin(lam)) * np.exp(-(lam**2) * tau)
    return 3.0 * tau + rho[:, 0] ** 2 / 2.0 - 0.3 - 2.0 / rho[:, 0] * modes.sum(axis=1)


def flat_ocp(level):
    """A constant potential of the class that the other laminate cells use, so that they share a compiled program."""
    ocp = ChenOCP(steep_end=False)
    flat = (jnp.full_like(ocp.offset, level), jnp.zeros_like(ocp.slope), jnp.zeros_like(ocp.amplitude))
    return eqx.tree_at(lambda o: (o.offset, o.slope, o.amplitude), ocp, flat)


def run(cell: Cell, current: float, unit: str, times, rtol: float) -> Solution:
    """One protocol step per time, as the fields are saved at the end of each."""
    durations = np.diff(np.concatenate([[0.0], times]))
    steps = [CurrentStep(current, unit, duration=float(d)) for d in durations]
    return simulate(cell, steps, rtol=rtol, fields=("sto", "j"))


@pytest.mark.parametrize("tau", SLAB_KNOWN)
def test_slab_formula_reproduces_known_values(tau):
    assert slab_profile([1.0, 0.0], tau) == pytest.approx(SLAB_KNOWN[tau], abs=1e-6)  # as printed


@pytest.mark.parametrize("tau", SPHERE_KNOWN)
def test_sphere_formula_reproduces_known_values(tau):
    assert sphere_profile([1.0, 0.0], tau) == pytest.approx(SPHERE_KNOWN[tau], abs=1e-6)


def test_slab_profiles_equal_cranks():
    thickness, n, current = 5e-6, 50, 1.0
    electrode = Electrode.from_array(np.ones((n, 1, 1), int), voxel_size=(thickness / n, 1e-6, 1e-6), labels={"am": 1})
    values = {
        "separator.layers": 60,
        "sto_init": STO_INIT,
        "am.sigma": 10.0,
        "am.D_s": D_S,
        "am.c_s_max": C_S_MAX,
        "am.ocp": flat_ocp(3.9),
    }
    cell = build_cell(electrode, "verification", values)
    taus = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
    times = taus * thickness**2 / D_S
    s = run(cell, -current, "A/m2", times, rtol=1e-5)  # 1e-4 of u per step
    assert s.status == "finished"
    assert max(s.ledger.values()) <= BALANCE
    unit = current * thickness / (D_S * C_S_MAX * F)  # 0.1 in stoichiometry
    xi = 1.0 - (np.arange(n) + 0.5) / n
    for tau, t in zip(taus, times, strict=True):
        u = (s.field("sto", t)[:, 0, 0].astype(float) - STO_INIT) / unit
        exact = slab_profile(xi, tau)
        # Parabolas through the two outermost centres with the known slopes 1 and 0.
        surface, back = (9.0 * u[0] - u[1] + 3.0 / n) / 8.0, (9.0 * u[-1] - u[-2]) / 8.0
        # 1.6e-4 is reached: voxels of 0.02 against diffusion lengths >= 0.1 (1e-4), and the error in time (1e-4).
        np.testing.assert_allclose(u, exact, rtol=0, atol=3e-4)
        assert surface == pytest.approx(slab_profile(1.0, tau)[0], abs=3e-4)
        assert back == pytest.approx(slab_profile(0.0, tau)[0], abs=3e-4)


class SphereErrors(NamedTuple):
    """One value per time, in units of the exact surface value: mean over the surface, centre, root mean square of
    the profile; `uneven`: largest deviation of the current density from its mean; `area`: weighted over true."""

    surface: np.ndarray
    centre: np.ndarray
    profile: np.ndarray
    uneven: float
    area: float
    ledger: dict[str, float]


TAUS = np.array([0.02, 0.05, 0.1, 0.2, 0.5])


def sphere(radius: int) -> SphereErrors:
    """An octant of a sphere of `radius` voxels, centred where collector and two mirror sides meet, in electrolyte."""
    h, layers, n = 8e-6 / radius, 2, radius + 2
    z, y, x = np.meshgrid(np.arange(n)[::-1] + 0.5, np.arange(n) + 0.5, np.arange(n) + 0.5, indexing="ij")
    distance = np.sqrt(z**2 + y**2 + x**2)
    inside = distance <= radius
    electrode = Electrode.from_array(np.where(inside, 1, 3), voxel_size=(h, h, h), labels={"am": 1, "electrolyte": 3})
    values = {
        "electrolyte.kind": "single_ion",  # no salt, and 10 S/m against 20 S/m2 of charge transfer: equipotential
        "electrolyte.kappa": 10.0,
        "am.sigma": 10.0,
        "am.D_s": D_S,
        "am.c_s_max": C_S_MAX,
        "am.ocp": flat_ocp(0.0),
        "sto_init": STO_INIT,
        "separator.layers": layers,
        "separator.thickness": layers * h,
        "anode.j0": 1e3,
        "voltage_limits": (-5.0, 5.0),
    }
    cell = build_cell(electrode, "verification", values)
    # Radius of equal volume: the voxel count is a few parts in a thousand off, which is not what is tested.
    true_radius = h * (6.0 * np.count_nonzero(inside) / np.pi) ** (1.0 / 3.0)
    contact = np.asarray(cell.model.pristine_contact)
    area = float(contact.sum())
    unit = 0.05  # u in stoichiometry; between sto 0.5 and 0.59 j0 falls by 1.6 %, evenly on most of the surface
    j = unit * D_S * F * C_S_MAX / true_radius
    times = TAUS * true_radius**2 / D_S
    s = run(cell, -j * area, "A", times, rtol=1e-4)  # the voltage, which is flat, adds no accuracy
    assert s.status == "finished"

    valid = np.asarray(cell.model.faces.valid)
    am = np.asarray(cell.model.faces.am)[valid] - layers * n * n
    contact, weight = contact[valid], np.asarray(cell.model.faces.weight)[valid]
    surface, centre, profile, uneven = [], [], [], 0.0
    for tau, t in zip(TAUS, times, strict=True):
        u = (s.field("sto", t).astype(float) - STO_INIT) / unit
        density = -s.field("j", t).astype(float).ravel()[am] / j
        uneven = max(uneven, float(np.max(np.abs(density - 1.0))))
        at_face = u.ravel()[am] + density * weight * 0.5 * h / true_radius  # half a voxel of diffusion
        exact = sphere_profile(1.0, tau)[0]
        surface.append(float(np.sum(at_face * contact) / area) / exact - 1.0)
        centre.append((u[-1, 0, 0] - sphere_profile(0.5 * np.sqrt(3.0) * h / true_radius, tau)[0]) / exact)
        difference = u[inside] - sphere_profile(distance[inside] * h / true_radius, tau)
        profile.append(float(np.sqrt(np.mean(difference**2))) / exact)
    return SphereErrors(
        np.array(surface),
        np.array(centre),
        np.array(profile),
        uneven,
        area / (0.5 * np.pi * true_radius**2),
        s.ledger,
    )


def check_sphere(errors: SphereErrors, tolerance: float) -> None:
    assert errors.uneven < 2e-3  # the premise of the closed form; j0 of faces in corners differs by 0.1 %
    assert max(errors.ledger.values()) <= BALANCE
    assert errors.area == pytest.approx(1.0, abs=tolerance)
    assert np.all(np.abs(errors.surface) < tolerance), errors
    assert np.all(np.abs(errors.centre) < tolerance), errors
    # Voxels at the surface sit on stairs: their scatter adds to the profile at the first times.
    assert np.all(errors.profile < tolerance), errors


@pytest.mark.slow  # caps of a sphere of 15 voxels go through the same series in test_partial_coverage.py
def test_sphere_of_16_voxels_equals_cranks():
    # Staircase: 0.4 % at the surface and 0.6 % over the profile at tau = 0.02, when the diffusion layer is two voxels
    # thick; 0.1 % from tau = 0.1 on.
    check_sphere(sphere(16), 0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("radius", "tolerance"), [(8, 0.03), (24, 0.01)])
def test_sphere_of_other_sizes_equals_cranks(radius, tolerance):
    # Reached at tau = 0.02: 1.5 % at the surface and 2.6 % over the profile with 8 voxels; 0.3 % and 0.3 % with 24.
    check_sphere(sphere(radius), tolerance)
