"""A sphere that takes part of the current of a cell through a polar cap: finite volumes in two coordinates.

    python tests/verification/data/covered_sphere.py            # writes covered_sphere.json beside it, half a minute
    python tests/verification/data/covered_sphere.py --check    # on a finer grid with shorter steps: what moves?

Needs numpy and scipy only and shares nothing with the simulator: radius and polar angle instead of voxels, its own time
steps, its own Newton iteration.

Diffusion with constant $D_s$ in $r<R$ (Crank, The Mathematics of Diffusion, 1975, section 1.4). On the cap
$\\theta<\\theta_0$, the share f of the surface, the electrolyte has one potential and every point obeys Butler-Volmer

$$E = U(x_s) + \\frac{2RT}{F}\\operatorname{asinh}\\frac{j}{2 j_0},\\quad j_0 = 2 j_{00}\\sqrt{x_s(1-x_s)},\\quad
  \\int j\\,dA = I .$$

The rest of the surface is insulating. U: Chen et al. 2020, doi:10.1149/1945-7111/ab9050.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import splu

FARADAY, GAS, TEMPERATURE = 96485.33212331001, 8.31446261815324, 333.15
RADIUS, C_S_MAX, J00 = 7.5e-6, 51765.0, 1.0  # m, mol/m3, A/m2
STO_INIT, WINDOW, HOURS = 0.93, 0.63, 10.0  # the current moves WINDOW in HOURS
DIFFUSIVITIES, COVERED = (1e-14, 5e-15), (1.0, 0.9, 0.5, 0.25, 0.1, 0.05)
VOLTS = (4.0, 4.2)  # where profiles are stored; the charge ends at the last
EARLY, HALF = 0.08, 0.50  # mean 1 - x where E, and where E and profile are stored
GRID, FINE = (70, 110), (110, 170)  # cells along radius and angle
BLOCKS, STEPS = 5, 48  # the time step doubles after every STEPS, BLOCKS - 1 times
GAMMA = 1.0 - 1.0 / np.sqrt(2.0)  # SDIRK2, Alexander 1977, doi:10.1137/0714068
OUTPUT = Path(__file__).with_name("covered_sphere.json")


class Curve(NamedTuple):
    """One value per instant: mean of y = 1 - x over the sphere, E [V], y as mean over the cap, at its pole and at the
    opposite end (on the surface)."""

    mean: np.ndarray
    volts: np.ndarray
    contact: np.ndarray
    pole: np.ndarray
    antipode: np.ndarray

    def at(self, mean: float) -> dict[str, float]:
        """All of it at a mean y."""
        return {name: float(CubicSpline(self.mean, values)(mean)) for name, values in self._asdict().items()}

    def mean_at(self, volts: float) -> float:
        """Mean y when E reaches `volts`; E rises all the time."""
        return float(CubicSpline(self.volts, self.mean)(volts))


def ocp(x):
    """U [V] and dU/dx."""
    value, slope = 4.4875 - 0.8090 * x, np.full_like(x, -0.8090)
    for height, steep, centre in ((-0.0428, 18.5138, 0.5542), (-17.7326, 15.7890, 0.3117), (17.5842, 15.9308, 0.3120)):
        t = np.tanh(steep * (x - centre))
        value, slope = value + height * t, slope + height * steep * (1.0 - t**2)
    return value, slope


def edges_of_angle(covered: float, cells: int) -> tuple[np.ndarray, int]:
    """Edges of the angle from 0 to pi, finer towards the rim of the cap, and how many cells the cap has."""
    rim = np.arccos(1.0 - 2.0 * covered)
    if covered >= 1.0:
        return np.linspace(0.0, np.pi, cells + 1), cells
    on_cap = min(max(round(cells * np.sqrt(rim / np.pi)), 12), cells - 12)

    def graded(n):
        return 1.0 - (1.0 - np.linspace(0.0, 1.0, n + 1)) ** 1.5  # fine at the end

    cap, rest = rim * graded(on_cap), np.pi - (np.pi - rim) * graded(cells - on_cap)[::-1]
    return np.concatenate([cap, rest[1:]]), on_cap


class Sphere:
    """Finite volumes of the unit sphere: `volume` (n,), rate = `laplacian` @ x + `inflow` @ (dx/dr on the cap)."""

    def __init__(self, covered: float, grid: tuple[int, int]) -> None:
        radial, angular = grid
        r = 1.0 - (1.0 - np.linspace(0.0, 1.0, radial + 1)) ** 1.6  # fine at the surface
        theta, self.on_cap = edges_of_angle(covered, angular)
        r_mid, theta_mid = 0.5 * (r[1:] + r[:-1]), 0.5 * (theta[1:] + theta[:-1])
        belt = -np.diff(np.cos(theta))  # solid angle of each belt / 2 pi
        self.volume = np.outer(np.diff(r**3) / 3.0, belt).ravel()
        number = np.arange(radial * angular).reshape(radial, angular)
        outward = np.outer(r[1:-1] ** 2 / np.diff(r_mid), belt)
        along = np.outer(np.diff(r), np.sin(theta[1:-1]) / np.diff(theta_mid))
        links = [(number[:-1], number[1:], outward), (number[:, :-1], number[:, 1:], along)]
        rows, columns, values = [], [], []
        for one, other, conductance in links:
            one, other, g = one.ravel(), other.ravel(), conductance.ravel()
            rows += [one, other, one, other]
            columns += [other, one, one, other]
            values += [g, g, -g, -g]
        size = number.size
        rate = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (size, size))
        self.laplacian = rate.multiply(1.0 / self.volume[:, None]).tocsc()
        self.surface = number[-1]  # cells at the surface, from the pole to the antipode
        self.area = belt[: self.on_cap]
        self.half = 1.0 - r_mid[-1]
        self.inflow = np.zeros((size, self.on_cap))
        self.inflow[self.surface[: self.on_cap], np.arange(self.on_cap)] = (
            self.area / self.volume[self.surface[: self.on_cap]]
        )


def charge(covered: float, diffusivity: float, grid: tuple[int, int] = GRID, steps: int = STEPS) -> Curve:
    """Charge from rest at the constant current until `VOLTS[-1]`, at the latest after `HOURS`."""
    sphere = Sphere(covered, grid)
    cap = sphere.surface[: sphere.on_cap]
    unit_time = RADIUS**2 / diffusivity
    unit_current = FARADAY * C_S_MAX * diffusivity / RADIUS  # j [A/m2] that belongs to dx/dr = -1
    duration = HOURS * 3600.0 / unit_time
    total = WINDOW / duration * sphere.volume.sum()  # of dx/dr over the cap
    thermal = 2.0 * GAS * TEMPERATURE / FARADAY
    shortest = duration / (steps * (2**BLOCKS - 1))  # at first, when profiles grow with the root of time
    x = np.full(sphere.volume.size, STO_INIT)
    slope = np.full(sphere.on_cap, -total / sphere.area.sum())  # dx/dr at the surface of the cap
    volts = float(ocp(np.array(STO_INIT))[0])
    rows = []

    def stage(known, slope, volts):
        """Implicit stage from `known`: the field is linear in the slopes, so iterate on these alone."""
        base = factor.solve(known)
        for _ in range(60):
            s = np.clip(base[cap] + at_surface @ slope, 1e-6, 1.0 - 1e-6)
            value, d_value = ocp(s)
            j0, d_j0 = 2.0 * J00 * np.sqrt(s * (1.0 - s)), J00 * (1.0 - 2.0 * s) / np.sqrt(s * (1.0 - s))
            ratio = -unit_current * slope / (2.0 * j0)
            root = np.sqrt(1.0 + ratio**2)
            mismatch = np.append(volts - value - thermal * np.arcsinh(ratio), 1e3 * (sphere.area @ slope + total))
            by_s = -d_value + thermal * ratio / root * d_j0 / j0
            jacobian = np.zeros((cap.size + 1, cap.size + 1))
            jacobian[:-1, :-1] = by_s[:, None] * at_surface + np.diag(thermal / root * unit_current / (2.0 * j0))
            jacobian[:-1, -1] = 1.0
            jacobian[-1, :-1] = 1e3 * sphere.area
            change = np.linalg.solve(jacobian, -mismatch)
            slope, volts = slope + change[:-1], volts + change[-1]
            if np.max(np.abs(mismatch)) < 1e-11:
                field = base + response @ slope
                return field, slope, volts, base[cap] + at_surface @ slope
        raise RuntimeError(f"No convergence for f = {covered}, D = {diffusivity}.")

    for step in range(BLOCKS * steps):
        if step % steps == 0:
            tau = GAMMA * shortest * 2 ** (step // steps)
            factor = splu((identity(x.size, format="csc") - tau * sphere.laplacian).tocsc())
            response = tau * factor.solve(sphere.inflow)
            at_surface = response[cap] + sphere.half * np.eye(sphere.on_cap)  # half a cell beyond the centres
        first, slope, volts, _ = stage(x, slope, volts)
        known = x + (1.0 - GAMMA) / GAMMA * (first - x)
        x, slope, volts, on_surface = stage(known, slope, volts)
        far = x[sphere.surface[-1]] if covered < 1.0 else on_surface[-1]  # insulating: no gradient to the surface
        contact = sphere.area @ on_surface / sphere.area.sum()
        mean = sphere.volume @ x / sphere.volume.sum()
        rows.append((1.0 - mean, volts, 1.0 - contact, 1.0 - on_surface[0], 1.0 - far))
        if volts > VOLTS[-1]:
            break
    return Curve(*np.array(rows).T)


def summary(curve: Curve) -> dict:
    """What is stored of one curve."""
    ends = {f"{volts:.1f}": curve.at(curve.mean_at(volts)) for volts in VOLTS}
    capacity = (ends[f"{VOLTS[-1]:.1f}"]["mean"] - (1.0 - STO_INIT)) / WINDOW
    half = curve.at(HALF) if curve.mean[-1] > HALF else None
    return {"E_early": curve.at(EARLY)["volts"], "at_volts": ends, "at_half": half, "capacity": capacity}


def rounded(value, digits: int = 5):
    """`value` with every number in it rounded."""
    if isinstance(value, dict):
        return {key: rounded(v, digits) for key, v in value.items()}
    return value if value is None else round(value, digits)


def largest_change(one, other) -> float:
    """Largest difference between the numbers of two summaries, V and y alike."""
    if isinstance(one, dict):
        return max(largest_change(one[key], other[key]) for key in one if one[key] is not None)
    return abs(one - other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="finer grid, shorter steps; writes nothing")
    check = parser.parse_args().check
    cases = {}
    for diffusivity in DIFFUSIVITIES:
        for covered in COVERED:
            found = summary(charge(covered, diffusivity, FINE))
            cases[f"{diffusivity:g} {covered:g}"] = rounded(found)
            print(diffusivity, covered, rounded(found, 4), flush=True)
            if check:
                for name, grid, steps in (("coarser grid", GRID, STEPS), ("shorter steps", FINE, 2 * STEPS)):
                    other = summary(charge(covered, diffusivity, grid, steps))
                    print(f"    {name}: {largest_change(found, other):.5f}", flush=True)
    if not check:
        facts = {"grid": FINE, "steps": STEPS, "radius_m": RADIUS, "c_s_max_mol_m3": C_S_MAX, "j00_A_m2": J00}
        facts |= {"sto_init": STO_INIT, "window": WINDOW, "hours": HOURS, "temperature_K": TEMPERATURE}
        OUTPUT.write_text(json.dumps({**facts, "cases": cases}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
