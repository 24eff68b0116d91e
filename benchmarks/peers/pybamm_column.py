"""Reference curves for the column verification case: PyBaMM's DFN half-cell on voxel-measured inputs.

The case is a column of five simple-cubic cells along z, one sphere of 5 um in the middle of each, drawn on
n voxels per cell side. A homogenised model can only be compared with a voxel model when both see the same
structure, so everything the Doyle-Fuller-Newman model needs (active fraction, effective conductivities,
reacting area) is measured here on the very voxels that the simulator is given.

Two steps, because the two halves need different environments::

    python benchmarks/peers/pybamm_column.py measure      # environment of the simulator
    python benchmarks/peers/pybamm_column.py solve        # environment of benchmarks/peers/pybamm.txt
    python benchmarks/peers/pybamm_column.py check        # same: PyBaMM on the smooth spheres, mesh, radius

`measure` writes the inputs and `solve` the curves into tests/verification/data/dfn_column.json; `check`
fails if PyBaMM does not reproduce an earlier, separate set-up of the smooth spheres, and prints how far the
mesh, the choice of particle radius and the faces on the separator plane move the result.

How the measured area enters PyBaMM: its DFN has no area of its own, a = 3 eps_s / R always. We keep the
particle radius at R (the diffusion length of the sphere) and multiply the exchange current density by
a_s R / (3 eps_s). PyBaMM's j is then the current per true area times that same factor, so j/j0 (the kinetics)
and a j (all balances) are exactly those of an electrode with area a_s.

Sign: positive current charges the cell in the stored file; PyBaMM's own sign is the opposite.

Sources: Doyle, Fuller, Newman (1993), doi:10.1149/1.2221597; Sulzer et al. (2021), doi:10.5334/jors.309;
open-circuit potential of Chen et al. (2020), doi:10.1149/1945-7111/ab9050; maximum concentration of
O'Regan et al. (2022), doi:10.1016/j.electacta.2022.140700.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")  # before pybamm is imported

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "verification" / "data" / "dfn_column.json"

F = 96485.33212331001  # [C mol^-1], exact (2019 SI)
RADIUS = 5e-6  # sphere [m]
CELLS = 5
SIDE = (4 * np.pi / (3 * 0.5)) ** (1 / 3) * RADIUS  # cell side that gives an active fraction of 0.5 [m]
RESOLUTIONS = (16, 24, 40)  # voxels per cell side

PARAMETERS = {
    "separator_thickness_m": 50e-6,
    "kappa_S_m": 0.05,
    "D_e_m2_s": 3e-12,
    "t_plus": 0.2,
    "thermo_factor": 1.0,
    "c_e_init_mol_m3": 1130.0,
    "temperature_K": 333.15,
    "sigma_cbd_S_m": 10.0,
    "sigma_am_S_m": 1.0,
    "c_s_max_mol_m3": 51765.0,
    "D_s_m2_s": 1e-14,
    "j0_ref_A_m2": 1.0,
    "j0_anode_A_m2": 10.0,
    "particle_radius_m": RADIUS,
}
SINGLE_ION = {"kappa_S_m": 0.2, "t_plus": 1.0, "temperature_K": 298.15}

# Smooth spheres: active fraction 0.5, conductivities of the simple-cubic lattice with spheres that are
# insulating / a tenth as conducting as the matrix (multipole solution after McPhedran and McKenzie (1978),
# Proc. R. Soc. Lond. A 359, 45), area 3 eps_s / R.
SMOOTH = {"am_fraction": 0.5, "kappa_ratio": 0.37373, "sigma_eff_S_m": 4.5407, "a_s_1_m": 3e5}

Q_POINTS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)  # [Ah m^-2]
STO_CHARGED, STO_DISCHARGED = 0.30, 0.93
V_MIN, V_MAX = 2.8, 4.2
MESH = (40, 40, 60)  # points in separator, electrode, particle

# name -> (current density [A m^-2], positive charges; single-ion electrolyte?)
CURVES: dict[str, tuple[float, bool]] = {
    "discharge_1": (-1.0, False),
    "discharge_2": (-2.0, False),
    "discharge_4": (-4.0, False),
    "charge_1": (1.0, False),
    "charge_2": (2.0, False),
    "charge_4": (4.0, False),
    "single_ion_discharge_5": (-5.0, True),
}

# An earlier, separate set-up of PyBaMM 26.10 on the smooth spheres, {curve: {Q [Ah m^-2]: V}}, to 0.1 mV.
PRINTED: dict[str, dict[float, float]] = {
    "discharge_1": {0.5: 4.1752, 2: 4.1489, 6: 3.9886, 10: 3.8264, 14: 3.7136, 20: 3.5746},
    "discharge_2": {0.5: 4.1599, 2: 4.1278, 6: 3.9688, 10: 3.8064, 14: 3.6941, 20: 3.5541},
    "discharge_4": {0.5: 4.1338, 2: 4.0842, 6: 3.9238, 10: 3.7617, 14: 3.6500, 20: 3.5063},
    "charge_1": {0.5: 3.5747, 2: 3.6091, 6: 3.7005, 10: 3.7951, 14: 3.9459, 20: 4.1812},
    "charge_2": {0.5: 3.5920, 2: 3.6283, 6: 3.7192, 10: 3.8139, 14: 3.9653, 20: 4.2000},
    "charge_4": {0.5: 3.6218, 2: 3.6672, 6: 3.7588, 10: 3.8537, 14: 4.0063, 18: 4.1553},
    "single_ion_discharge_5": {0.5: 4.1654, 2: 4.1371, 4: 4.0497, 8: 3.9012, 12: 3.7515, 20: 3.5612},
}
PRINTED_TOLERANCE = 3e-4  # [V]: 0.05 mV of print rounding, 0.2 mV of PyBaMM's own mesh dependence


# --- measured inputs (environment of the simulator) -----------------------------------------------


def column(n: int) -> np.ndarray:
    """Phase codes of a quarter of the column, shape [5 n, n/2, n/2]; 1 = active material, 2 = CBD.

    Lateral index 0 lies next to the axis through the sphere centres; all four side walls are mirrors. A voxel
    is active material if its centre lies within the radius.
    """
    if n < 2 or n % 2:
        raise ValueError(f"n must be an even number of voxels per cell side, got {n}")
    h = SIDE / n
    z = (np.arange(n) + 0.5) * h - SIDE / 2
    r = (np.arange(n // 2) + 0.5) * h
    inside = z[:, None, None] ** 2 + r[None, :, None] ** 2 + r[None, None, :] ** 2 <= RADIUS**2
    return np.tile(np.where(inside, 1, 2).astype(np.uint8), (CELLS, 1, 1))


def effective_conductivity_z(sigma: np.ndarray) -> float:
    """Effective conductivity along axis 0 in the unit of `sigma` [z, y, x]; 0 = insulating.

    Two-point fluxes with harmonic face means, potentials 1 and 0 on the two outer planes (half-cell walls),
    insulated sides. Independent of the simulator: scipy's conjugate gradients on the assembled matrix.
    """
    import scipy.sparse as sp
    from scipy.sparse.linalg import cg

    index = np.full(sigma.shape, -1)
    live = sigma > 0
    index[live] = np.arange(live.sum())
    rows, cols, conductances = [], [], []
    for axis in range(3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = live[low] & live[high]
        s, t = sigma[low][both], sigma[high][both]
        rows.append(index[low][both])
        cols.append(index[high][both])
        conductances.append(2 * s * t / (s + t))
    i, j, g = (np.concatenate(part) for part in (rows, cols, conductances))
    size = int(live.sum())
    adjacency = sp.coo_matrix((g, (i, j)), shape=(size, size))
    adjacency = (adjacency + adjacency.T).tocsr()
    diagonal = np.asarray(adjacency.sum(axis=1)).ravel()
    wall_in, wall_out = (np.zeros(sigma.shape) for _ in range(2))
    wall_in[0], wall_out[-1] = 2 * sigma[0], 2 * sigma[-1]
    wall_in, wall_out = wall_in[live], wall_out[live]
    matrix = sp.diags(diagonal + wall_in + wall_out) - adjacency
    jacobi = sp.diags(1 / matrix.diagonal())
    # 1e-11 keeps the flux balance below 1e-8, far under the digits that are stored
    u, info = cg(matrix, wall_in, rtol=1e-11, maxiter=20000, M=jacobi)
    flux_in, flux_out = float(wall_in @ (1 - u)), float(wall_out @ u)
    if info != 0 or abs(flux_in - flux_out) > 1e-8 * abs(flux_in):
        raise RuntimeError(f"conjugate gradients did not converge: in {flux_in}, out {flux_out}, info {info}")
    nz, ny, nx = sigma.shape
    return flux_in * nz / (ny * nx)


def measure(n: int) -> dict[str, Any]:
    """Everything the DFN needs, from the voxels of `column(n)`; SI, areas per volume of electrode."""
    from simulator.geometry.area import face_weights

    phase, h = column(n), SIDE / n
    am = phase == 1
    # The voxel spheres touch: one disc of each lies in the separator plane and the sphere next to it. Only
    # AM|CBD faces count here; wz[0], AM against the separator, is reported apart.
    wz, wy, wx = face_weights(am, (h, h, h))
    volume = phase.size * h**3
    area_cbd = (wz[1:].sum() + wy.sum() + wx.sum()) * h**2
    return {
        "voxel_size_m": float(f"{h:.9g}"),
        "shape_quarter": list(phase.shape),
        "am_fraction": round(float(am.mean()), 7),
        "kappa_ratio": round(effective_conductivity_z(np.where(am, 0.0, 1.0)), 6),
        "sigma_eff_S_m": round(
            effective_conductivity_z(np.where(am, PARAMETERS["sigma_am_S_m"], PARAMETERS["sigma_cbd_S_m"])),
            5,
        ),
        "a_s_1_m": round(float(area_cbd / volume), 1),
        "a_s_separator_plane_1_m": round(float(wz[0].sum() * h**2 / volume), 1),
        "capacity_Ah_m2": round(capacity(float(am.mean())), 4),
    }


def capacity(am_fraction: float) -> float:
    """Theoretical capacity, stoichiometry 0 to 1 [Ah m^-2]."""
    return am_fraction * CELLS * SIDE * PARAMETERS["c_s_max_mol_m3"] * F / 3600


# --- PyBaMM (environment of pybamm.txt) -----------------------------------------------------------


def nmc811_ocp(sto):
    """Open-circuit potential [V] of NMC811 against lithium (Chen et al. 2020); accepts PyBaMM symbols."""
    import pybamm

    return (
        4.4875
        - 0.8090 * sto
        - 0.0428 * pybamm.tanh(18.5138 * (sto - 0.5542))
        - 17.7326 * pybamm.tanh(15.7890 * (sto - 0.3117))
        + 17.5842 * pybamm.tanh(15.9308 * (sto - 0.3120))
    )


def parameter_values(inputs: dict[str, float], current: float, single_ion: bool, particle_radius: float = RADIUS):
    """PyBaMM parameters of one run on 1 m^2.

    `inputs` holds am_fraction [-], kappa_ratio [-], sigma_eff_S_m [S m^-1], a_s_1_m [m^-1]; `current`
    [A m^-2], positive charges.
    """
    import pybamm

    p = PARAMETERS | (SINGLE_ION if single_ion else {})
    eps_s = inputs["am_fraction"]
    c_max, c_ref = p["c_s_max_mol_m3"], p["c_e_init_mol_m3"]
    area_ratio = inputs["a_s_1_m"] * particle_radius / (3 * eps_s)

    def j0(c_e, c_s_surf, c_s_max, T):
        shape = 2 * (c_s_surf / c_max) ** 0.5 * ((c_s_max - c_s_surf) / c_max) ** 0.5
        return area_ratio * p["j0_ref_A_m2"] * (c_e / c_ref) ** 0.5 * shape

    sto = STO_DISCHARGED if current > 0 else STO_CHARGED
    values = {
        "chemistry": "lithium_ion",
        "Electrode height [m]": 1.0,
        "Electrode width [m]": 1.0,
        "Number of electrodes connected in parallel to make a cell": 1.0,
        "Number of cells connected in series to make a battery": 1.0,
        "Nominal cell capacity [A.h]": capacity(eps_s),
        "Current function [A]": -current,  # PyBaMM: positive discharges
        "Contact resistance [Ohm]": 0.0,
        "Ambient temperature [K]": p["temperature_K"],
        "Reference temperature [K]": p["temperature_K"],
        "Initial temperature [K]": p["temperature_K"],
        # only the limit that this run is meant to meet
        "Lower voltage cut-off [V]": 1.0 if current > 0 else V_MIN,
        "Upper voltage cut-off [V]": V_MAX if current > 0 else 5.0,
        # lithium foil (its own resistance is 1e-10 Ohm m^2)
        "Negative electrode thickness [m]": 1e-4,
        "Negative electrode conductivity [S.m-1]": 1e7,
        "Negative electrode OCP [V]": 0.0,
        "Negative electrode OCP entropic change [V.K-1]": 0.0,
        "Negative electrode charge transfer coefficient": 0.5,
        "Negative electrode double-layer capacity [F.m-2]": 0.2,
        "Lithium metal partial molar volume [m3.mol-1]": 1.3e-5,
        "Exchange-current density for lithium metal electrode [A.m-2]": p["j0_anode_A_m2"],
        # separator and electrolyte
        "Separator thickness [m]": p["separator_thickness_m"],
        "Separator porosity": 1.0,
        "Separator Bruggeman coefficient (electrolyte)": 1.0,
        "Initial concentration in electrolyte [mol.m-3]": c_ref,
        "Cation transference number": p["t_plus"],
        "Thermodynamic factor": p["thermo_factor"],
        "Electrolyte diffusivity [m2.s-1]": p["D_e_m2_s"],
        "Electrolyte conductivity [S.m-1]": p["kappa_S_m"],
        # electrode: exponents that return the measured conductivities
        "Positive electrode thickness [m]": CELLS * SIDE,
        "Positive electrode porosity": 1 - eps_s,
        "Positive electrode active material volume fraction": eps_s,
        "Positive electrode Bruggeman coefficient (electrolyte)": np.log(inputs["kappa_ratio"]) / np.log(1 - eps_s),
        "Positive electrode Bruggeman coefficient (electrode)": 0.0,
        "Positive electrode conductivity [S.m-1]": inputs["sigma_eff_S_m"],
        "Positive particle radius [m]": particle_radius,
        "Positive particle diffusivity [m2.s-1]": p["D_s_m2_s"],
        "Maximum concentration in positive electrode [mol.m-3]": c_max,
        "Initial concentration in positive electrode [mol.m-3]": sto * c_max,
        "Positive electrode OCP [V]": nmc811_ocp,
        "Positive electrode OCP entropic change [V.K-1]": 0.0,
        "Positive electrode charge transfer coefficient": 0.5,
        "Positive electrode exchange-current density [A.m-2]": j0,
        "Positive electrode double-layer capacity [F.m-2]": 0.2,
    }
    return pybamm.ParameterValues(values)


def run_curve(
    inputs: dict[str, float],
    current: float,
    single_ion: bool,
    mesh: tuple[int, int, int] = MESH,
    particle_radius: float = RADIUS,
) -> dict[str, Any]:
    """Voltage [V] at Q_POINTS (None past the end), capacity [Ah m^-2] and the reason of the end."""
    import pybamm

    parameters = parameter_values(inputs, current, single_ion, particle_radius)
    model = pybamm.lithium_ion.DFN({"working electrode": "positive"})
    simulation = pybamm.Simulation(
        model,
        parameter_values=parameters,
        var_pts=model.default_var_pts | {"x_s": mesh[0], "x_p": mesh[1], "r_p": mesh[2]},
        solver=pybamm.IDAKLUSolver(rtol=1e-7, atol=1e-9),
    )
    seconds_per_q = 3600 / abs(current)
    t_end = parameters["Nominal cell capacity [A.h]"] * seconds_per_q
    points = np.array(Q_POINTS) * seconds_per_q
    solution = simulation.solve([0.0, t_end], t_interp=np.concatenate([[0.0], points, [t_end]]))
    t_last = float(solution.t[-1])
    reached = points <= t_last
    voltage = np.full(points.shape, np.nan)
    voltage[reached] = solution["Voltage [V]"](t=points[reached])
    salt = solution["Electrolyte concentration [mol.m-3]"].entries
    return {
        "current_density_A_m2": current,
        "V": [round(float(v), 5) if np.isfinite(v) else None for v in voltage],
        "end_capacity_Ah_m2": round(t_last / seconds_per_q, 4),
        "end": str(solution.termination),
        "salt_range_mol_m3": [round(float(salt.min()), 1), round(float(salt.max()), 1)],
    }


# --- file and command line ------------------------------------------------------------------------


def write(document: dict[str, Any]) -> None:
    """Indented JSON with each list on one line."""
    text = json.dumps(document, indent=1)
    text = re.sub(r"\[[^\[\]]*\]", lambda m: re.sub(r"\s+", " ", m.group(0)), text)
    DATA.parent.mkdir(parents=True, exist_ok=True)
    DATA.write_text(text + "\n", encoding="utf-8")


def command_measure() -> None:
    """Write the file afresh with the measured inputs and no curves."""
    cases = {"smooth": {"inputs": SMOOTH | {"capacity_Ah_m2": round(capacity(0.5), 4)}, "curves": {}}}
    for n in RESOLUTIONS:
        cases[str(n)] = {"inputs": measure(n), "curves": {}}
        print(n, cases[str(n)]["inputs"], flush=True)
    write(
        {
            "what": "DFN half-cell (lithium | separator | composite cathode) on inputs measured on the voxel "
            "column of five simple-cubic cells; V at Q, null past the end of the run",
            "script": "benchmarks/peers/pybamm_column.py",
            "pybamm": None,
            "date": datetime.date.today().isoformat(),
            "sign": "current_density_A_m2 > 0 charges the cell (lithium leaves the oxide)",
            "solver": {
                "name": "IDAKLU",
                "rtol": 1e-7,
                "atol": 1e-9,
                "points_separator_electrode_particle": MESH,
            },
            "geometry": {"cells": CELLS, "cell_side_m": SIDE, "sphere_radius_m": RADIUS},
            "parameters": PARAMETERS,
            "single_ion_parameters": SINGLE_ION,
            "ocp": "Chen et al. (2020) NMC811, doi:10.1149/1945-7111/ab9050, no term added near sto = 1",
            "start_sto": {"discharge": STO_CHARGED, "charge": STO_DISCHARGED},
            "limits_V": {"discharge": V_MIN, "charge": V_MAX},
            "Q_Ah_m2": Q_POINTS,
            "cases": cases,
        }
    )


def command_solve() -> None:
    """Add the curves of every case to the file that `measure` wrote."""
    import pybamm

    document = json.loads(DATA.read_text(encoding="utf-8"))
    document["pybamm"] = pybamm.__version__
    for name, case in document["cases"].items():
        for curve, (current, single_ion) in CURVES.items():
            case["curves"][curve] = run_curve(case["inputs"], current, single_ion)
            print(name, curve, case["curves"][curve]["end_capacity_Ah_m2"], flush=True)
    write(document)


def largest_difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Largest |V_a - V_b| [mV] over the points that both runs reached."""
    pairs = [(x, y) for x, y in zip(a["V"], b["V"], strict=True) if x is not None and y is not None]
    return 1e3 * max(abs(x - y) for x, y in pairs)


def command_check() -> None:
    """Compare with the earlier set-up; print the effect of mesh, particle radius and separator faces."""
    worst = 0.0
    for curve, row in PRINTED.items():
        voltages = dict(zip(Q_POINTS, run_curve(SMOOTH, *CURVES[curve])["V"], strict=True))
        difference = max(abs(voltages[q] - v) for q, v in row.items())
        worst = max(worst, difference)
        print(f"smooth {curve}: {1e3 * difference:.2f} mV from the earlier run")
    cases = json.loads(DATA.read_text(encoding="utf-8"))["cases"]
    for n in RESOLUTIONS:
        inputs = cases[str(n)]["inputs"]
        for curve in ("discharge_4", "charge_4"):
            base = run_curve(inputs, *CURVES[curve])
            fine = run_curve(inputs, *CURVES[curve], mesh=(80, 80, 120))
            effective_radius = 3 * inputs["am_fraction"] / inputs["a_s_1_m"]
            other = run_curve(inputs, *CURVES[curve], particle_radius=effective_radius)
            total_area = inputs["a_s_1_m"] + inputs["a_s_separator_plane_1_m"]
            more = run_curve(inputs | {"a_s_1_m": total_area}, *CURVES[curve])
            print(f"n = {n} {curve}, largest change over the stored points [mV]:")
            print(f"  mesh 80/80/120: {largest_difference(base, fine):.2f}")
            print(f"  particle radius 3 eps_s / a_s: {largest_difference(base, other):.2f}")
            print(f"  faces on the separator plane counted: {largest_difference(base, more):.2f}")
    if worst > PRINTED_TOLERANCE:
        raise SystemExit(f"PyBaMM differs by {1e3 * worst:.2f} mV, allowed {1e3 * PRINTED_TOLERANCE:.2f} mV")


def main() -> None:
    parser = argparse.ArgumentParser(description="Reference curves for the column verification case.")
    parser.add_argument("step", choices=("measure", "solve", "check"))
    commands = {"measure": command_measure, "solve": command_solve, "check": command_check}
    commands[parser.parse_args().step]()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
