"""The voxel model against a homogenised one (Doyle-Fuller-Newman) on a column of five simple-cubic cells.

The reference curves were computed with PyBaMM on volume fraction, conductivities and reacting area measured on the same
voxels; see data/README.md. What is left is the homogenisation of only five cells, and the errors of the solver.

Source of the model: Doyle, Fuller, Newman (1993), doi:10.1149/1.2221597.
"""

import importlib.util
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from simulator.constants import F
from simulator.geometry import Electrode
from simulator.model import Cell, Solution, build_cell, simulate
from simulator.numerics.conduction import solve_conduction

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = json.loads((ROOT / "tests" / "verification" / "data" / "dfn_column.json").read_text(encoding="utf-8"))
PARAMETERS, GEOMETRY, CHARGE = REFERENCE["parameters"], REFERENCE["geometry"], np.array(REFERENCE["Q_Ah_m2"])
N = 16  # voxels per cell side; 24 and 40 are in benchmarks/column.py
INPUTS, CURVES = REFERENCE["cases"][str(N)]["inputs"], REFERENCE["cases"][str(N)]["curves"]
RUNS = ("discharge_2", "discharge_4", "charge_2")
VOXEL = GEOMETRY["cell_side_m"] / N
# Half the last digit that the reference stores, relative to the value, and a little for the last bits.
STORED = 0.51


def _phase() -> np.ndarray:
    """The voxels of the reference, drawn by the script that made it: 1 active material, 2 carbon-binder."""
    path = ROOT / "benchmarks" / "peers" / "pybamm_column.py"
    spec = importlib.util.spec_from_file_location("pybamm_column", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.column(N)


@pytest.fixture(scope="module")
def phase() -> np.ndarray:
    return _phase()


def _cell(phase: np.ndarray, sto_init: float) -> Cell:
    electrode = Electrode.from_array(phase, voxel_size=(VOXEL, VOXEL, VOXEL), labels={"am": 1, "cbd": 2})
    # 16 layers: with 32 no voltage from 0.5 to 20 Ah/m2 moves by more than 0.02 mV.
    return build_cell(electrode, "verification", {"separator.layers": 16, "sto_init": sto_init})


@pytest.fixture(scope="module")
def runs(phase: np.ndarray) -> dict[str, tuple[Cell, Solution]]:
    done = {}
    for name in RUNS:
        current = CURVES[name]["current_density_A_m2"]
        direction = "charge" if current > 0 else "discharge"
        cell = _cell(phase, REFERENCE["start_sto"]["discharge" if current < 0 else "charge"])
        times = CHARGE * 3600.0 / abs(current)
        if current > 0:
            protocol = f"Charge at {current:g} A/m2 until {REFERENCE['limits_V'][direction]:g} V"
        else:
            protocol = f"Discharge at {-current:g} A/m2 for {times[-1]:.0f} s"
        with warnings.catch_warnings():
            # The reference extrapolates the open-circuit potential in the same way.
            warnings.filterwarnings("ignore", message=".*what follows is extrapolated")
            done[name] = cell, simulate(cell, protocol, times=times, fields=())
    return done


def _passed(solution: Solution) -> np.ndarray:
    """Charge passed [Ah/m2], positive in both directions."""
    return np.abs(solution.capacity) / (3600.0 * solution.area)


def _tolerance(current: float) -> float:
    """Allowed difference of the voltages [V] at `current` [A/m2].

    Homogenisation neglects what varies within one of only five cells; its measure is the ohmic drop over half a cell,
    `i a / 2 kappa_eff`. Added are the 0.2 mV to which a run with the default rtol controls its time steps. This gives
    0.8 and 1.4 mV at 2 and 4 A/m2; found were 0.17 and 0.64 mV. At 4 A/m2 the same homogenised electrode from ten and
    from twenty cells (spheres of half and a quarter of the size, diffusivity and kinetics scaled) moves the last points
    by 0.8 and another 0.2 mV, so that what is found there is indeed the number of cells.

    What the tolerance detects at 4 A/m2: faces counted without weights (1.5 times the area) are worth 4 to 6 mV, 7 % of
    the salt diffusivity 4 to 5 mV; not detected is 7 % of the conductivity, 0.5 mV.
    """
    kappa = INPUTS["kappa_ratio"] * PARAMETERS["kappa_S_m"]
    return abs(current) * GEOMETRY["cell_side_m"] / (2.0 * kappa) + 2e-4


def _round_trip(value: float, stored: float, digits: int) -> None:
    assert abs(value - stored) <= STORED * 10.0**-digits


def test_inputs_of_the_reference_belong_to_these_voxels(phase):
    am = phase == 1
    assert phase.shape == tuple(INPUTS["shape_quarter"])
    _round_trip(am.mean(), INPUTS["am_fraction"], 7)
    for sigma, stored, digits in (
        (np.where(am, 0.0, 1.0), INPUTS["kappa_ratio"], 6),
        (
            np.where(am, PARAMETERS["sigma_am_S_m"], PARAMETERS["sigma_cbd_S_m"]),
            INPUTS["sigma_eff_S_m"],
            5,
        ),
    ):
        # The stored value came from another solver (assembled matrix, scipy), so this also checks that one against us.
        found = solve_conduction(sigma, (1.0, 1.0, 1.0)).conductance
        nz, ny, nx = phase.shape
        _round_trip(found * nz / (ny * nx), stored, digits)


def test_reacting_area_of_the_cell_is_the_one_of_the_reference(phase):
    cell = _cell(phase, 0.5)
    faces = cell.model.faces
    area = np.asarray(faces.area * faces.weight)[np.asarray(faces.valid)]
    on_cbd = np.asarray(faces.on_cbd)[np.asarray(faces.valid)]
    volume = phase.size * VOXEL**3
    assert cell.live_share == 1.0
    # stored to 0.1 1/m; the voxel size to nine digits, worth 0.0003 1/m
    _round_trip(area[on_cbd].sum() / volume, INPUTS["a_s_1_m"], 1)
    _round_trip(area[~on_cbd].sum() / volume, INPUTS["a_s_separator_plane_1_m"], 1)
    theoretical = F * cell.value("am.c_s_max") * cell.am_volume / (3600.0 * cell.area)
    _round_trip(theoretical, INPUTS["capacity_Ah_m2"], 4)


@pytest.mark.parametrize("name", RUNS)
def test_voltage_follows_the_homogenised_model(runs, name):
    _, solution = runs[name]
    assert solution.status == "finished"
    expected = np.array([np.nan if v is None else v for v in CURVES[name]["V"]])
    reached = np.isfinite(expected) & (CHARGE <= _passed(solution)[-1])
    assert CHARGE[reached][-1] >= 18.0
    voltage = np.interp(CHARGE[reached], _passed(solution), solution.voltage)
    gap = np.abs(voltage - expected[reached])
    assert np.max(gap) <= _tolerance(CURVES[name]["current_density_A_m2"]), dict(zip(CHARGE[reached], gap, strict=True))


def test_charge_ends_at_the_capacity_of_the_homogenised_model(runs):
    _, solution = runs["charge_2"]
    charge, voltage = _passed(solution), solution.voltage
    # The event is located to 0.01 mV; a shift of the curve by the tolerance moves its end by that over the slope.
    slope = (voltage[-1] - voltage[-2]) / (charge[-1] - charge[-2])
    allowed = _tolerance(CURVES["charge_2"]["current_density_A_m2"]) / slope
    assert abs(charge[-1] - CURVES["charge_2"]["end_capacity_Ah_m2"]) <= allowed


def test_salt_range_on_charge_is_that_of_the_homogenised_model(runs):
    _, solution = runs["charge_2"]
    low, high = CURVES["charge_2"]["salt_range_mol_m3"]
    current = CURVES["charge_2"]["current_density_A_m2"]
    flux = current * (1.0 - PARAMETERS["t_plus"]) / F  # [mol/m2/s] of salt that diffuses towards the lithium
    diffusivity = PARAMETERS["D_e_m2_s"]
    # The salt is lowest at the wall of the lithium. The reference holds the first of its points in the separator; as
    # anions stand still there, the gradient between wall and point is known.
    point = 0.5 * PARAMETERS["separator_thickness_m"] / REFERENCE["solver"]["points_separator_electrode_particle"][0]
    low -= flux / diffusivity * point
    # Allowed: what the salt varies within the last half cell before the collector, where the ionic current fades out
    # linearly, i.e. 1/100 of the variation over the electrode. 4.0 mol/m3; 0.7 and 1.1 mol/m3 were found.
    thickness = GEOMETRY["cells"] * GEOMETRY["cell_side_m"]
    over_electrode = flux * thickness / (2.0 * INPUTS["kappa_ratio"] * diffusivity)
    allowed = over_electrode * (0.5 / GEOMETRY["cells"]) ** 2
    assert abs(solution.timeseries["c_e_min"].min() - low) <= allowed
    assert abs(solution.timeseries["c_e_max"].max() - high) <= allowed


@pytest.mark.parametrize("name", RUNS)
def test_charge_lithium_and_salt_balance(runs, name):
    # 1e-9 of the charge passed: inventories against integrals of the stage fluxes, each solve closed to 1e-10.
    assert all(value <= 1e-9 for value in runs[name][1].ledger.values()), runs[name][1].ledger
