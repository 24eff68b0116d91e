"""Open-circuit potential and stoichiometry window of NMC811, fitted to a measured slow charge and discharge.

    python -m benchmarks.pocv [--output FOLDER]

The positive electrode of a Tesla 4680 cell against a reference of lithium, C/46 at room temperature: Ank et al., J.
Electrochem. Soc. 170 (2023) 120536, doi:10.1149/1945-7111/ad14d0 (meshes/README.md). Simulated on a generated electrode
of spheres with liquid electrolyte. Two fits, one after the other: the published potential of another NMC811 as it is
(ChenOCP), with lithium content, window, exchange current and diffusivity; and with a correction of that potential,
piecewise linear in the stoichiometry, each value with a prior of 0 +- 10 mV.

Rows that were not fitted are compared too. Writes benchmarks/results/pocv.json and docs/images/pocv.png, and prints the
tables. Evaluations are kept in FOLDER (default: outputs/pocv), so that an interrupted fit goes on.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import simulator as sim
from benchmarks.record import machine, table
from simulator.materials.nmc811 import ChenOCP, OReganDiffusivity
from simulator.workflows.fit.simulation import Simulation

ROOT = Path(__file__).resolve().parents[1]
CURVE = ROOT / "meshes" / "nmc811_tesla4680_pocv.csv"
RESULTS = ROOT / "benchmarks" / "results" / "pocv.json"
PICTURE = ROOT / "docs" / "images" / "pocv.png"

#: of the electrode in the measuring cell [m2]: the capacity [Ah] of the file over the areal one of its authors
AREA = 0.9417e-4
#: [V] what the model may miss: temperature and the reference wire drift by about as much in four days
SIGMA = 2e-3
PRIOR = 10e-3  # [V]
ROWS = 60
#: stoichiometries of the correction
NODES = np.round(np.linspace(0.22, 0.96, 14), 4)
#: the measured potential is that of the electrode alone: a lithium electrode without any loss, in liquid electrolyte
#: (LiPF6 in carbonates, 25 degC: about 0.9 S/m, 3e-10 m2/s, 0.26)
SETTINGS: dict[str, Any] = {
    "temperature": 298.15,
    "anode.j0": 1e6,
    "electrolyte.kappa": 0.9,
    "electrolyte.D_e": 3e-10,
    "electrolyte.t_plus": 0.26,
    "electrolyte.c_e_init": 1000.0,
    "am.D_s": OReganDiffusivity(),
    "voltage_limits": (2.5, 4.6),
}


def cell_of(correction: np.ndarray) -> sim.Cell:
    """Spheres of 12 um in 87 um, 29 x 8 x 8 voxels of 3 um: the measured charge then is that of a usual window."""
    electrode = sim.generate_electrode((29, 8, 8), 3e-6, am_fraction=0.6, porosity=0.0, diameter=12e-6, seed=1)
    ocp = sim.Corrected(ChenOCP(), sim.Table(NODES, correction))
    return sim.build_cell(electrode, "nmc811_peo_60c", SETTINGS | {"am.ocp": ocp})


def parameters(start: dict[str, float], *, corrected: bool) -> list[sim.FitParameter]:
    """What is fitted, from the values `start` where there are some."""
    found = [
        sim.FitParameter("am.c_s_max", start.get("am.c_s_max", 49136.0), 35e3, 65e3),
        sim.FitParameter("sto_init", start.get("sto_init", 0.90), 0.80, 0.975),
        sim.FitParameter("kinetics.j0_ref", start.get("kinetics.j0_ref", 1.0), 0.01, 100.0),
        sim.FitParameter("am.D_s.correction", start.get("am.D_s.correction", 2.7), 0.05, 200.0),
    ]
    if corrected:
        prior = sim.Prior(mean=0.0, std=PRIOR)
        found += [
            sim.FitParameter(f"am.ocp.correction.values[{k}]", 0.0, -0.1, 0.1, prior=prior) for k in range(NODES.size)
        ]
    return found


def others(cell: sim.Cell, curve: sim.MeasuredCurve, values: dict[str, float], fitted: np.ndarray) -> np.ndarray:
    """Deviations [V] at the rows of the file that were not fitted."""
    simulation = Simulation(cell, [sim.Experiment(curve, rows=len(curve))], [])
    (followed,) = simulation.curves
    (voltage,) = sim.evaluate(values, cell, list(followed.steps), [sim.VoltageAt(followed.times)])
    apart = ~np.isin(np.round(followed.times, 3), np.round(fitted, 3))
    return (np.asarray(voltage) - followed.measured)[apart]


def summary(fit: sim.Fit, rest: np.ndarray, seconds: float) -> dict[str, Any]:
    (curve,) = fit.curves
    residual = curve.measured - curve.predicted
    charging = curve.times <= turn(curve.times, curve.measured)
    result = fit.result

    def rms(x: np.ndarray) -> float:
        return 1e3 * float(np.sqrt(np.mean(x**2)))

    return {
        "status": result.status,
        "evaluations": len(result.history),
        "seconds": seconds,
        "reduced_chi2": result.reduced_chi2,
        "rms_mV": rms(residual),
        "rms_charge_mV": rms(residual[charging]),
        "rms_discharge_mV": rms(residual[~charging]),
        "largest_mV": 1e3 * float(np.abs(residual).max()),
        "rms_other_rows_mV": rms(rest),
        "other_rows": int(rest.size),
        "values": dict(fit.values),
        "intervals": {k: list(map(float, v)) for k, v in result.intervals.items()},
    }


def turn(times: np.ndarray, voltage: np.ndarray) -> float:
    """When the discharge begins [s]."""
    return float(times[int(np.argmax(voltage))])


def branches_mean(curve: sim.MeasuredCurve, cell: sim.Cell, values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Stoichiometry of the electrode as a whole, and the mean [V] of the voltages of charge and discharge there."""
    built = sim.build_cell(cell.electrode, cell.parameters, values)
    low, high = built.value("am.sto_window")
    whole = built.theoretical_capacity / (high - low)  # C per unit of sto
    amperes = np.array([built.basis.amperes(value, curve.current_unit) for value in curve.current])
    passed = np.append(0.0, np.cumsum(0.5 * (amperes[1:] + amperes[:-1]) * np.diff(curve.time)))
    sto = values["sto_init"] - passed / whole
    up, down = np.diff(sto, prepend=sto[0]) < 0, np.diff(sto, prepend=sto[0]) > 0
    grid = np.linspace(sto[down].min(), min(sto[down].max(), sto[up].max()), 120)[1:-1]
    charge = np.interp(grid, sto[up][::-1], curve.voltage[up][::-1])
    return grid, 0.5 * (charge + np.interp(grid, sto[down], curve.voltage[down]))


def draw(
    fits: dict[str, sim.Fit], curve: sim.MeasuredCurve, potentials: dict[str, tuple[np.ndarray, np.ndarray]]
) -> Path:
    """Voltages, residuals of both fits, and the fitted potential relative to the published one."""
    from simulator.viz.figures import BLACK, BLUE, ORANGE, RED, STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 6.2), layout="constrained")
        voltage, residual, ocp = figure.subplots(3, 1, height_ratios=(3, 2, 2))
        voltage.plot(curve.time / 3600, curve.voltage, color=BLACK, lw=2.6, alpha=0.3, label="measured")
        for (name, fit), colour in zip(fits.items(), (ORANGE, BLUE), strict=True):
            (seen,) = fit.curves()
            voltage.plot(seen.time / 3600, seen.predicted, color=colour, lw=0.9, label=name)
            difference = 1e3 * (seen.measured - seen.predicted)
            residual.plot(seen.time / 3600, difference, color=colour, lw=0.9, marker="o", ms=2.0, label=name)
        voltage.set(xlabel="Time [h]", ylabel="Potential vs Li/Li$^+$ [V]")
        residual.set(xlabel="Time [h]", ylabel="Measured - simulated [mV]")
        residual.axhline(0.0, color=BLACK, lw=0.6)
        published = ChenOCP()
        for (name, (sto, found)), colour in zip(potentials.items(), (BLUE, RED), strict=True):
            ocp.plot(sto, 1e3 * (found - np.asarray(published(sto, 298.15))), color=colour, lw=0.9, label=name)
        ocp.axhline(0.0, color=BLACK, lw=0.6)
        ocp.set(xlabel="Stoichiometry [-]", ylabel="Potential - published [mV]")
        for axes in (voltage, residual, ocp):
            axes.legend(loc="best")
        figure.savefig(PICTURE, dpi=160)
    return PICTURE


def main() -> None:
    """Both fits, their tables, the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "pocv")
    parser.add_argument("--rtol", type=float, default=1e-3, help="of the simulations")
    args = parser.parse_args()
    curve = sim.read_curve(CURVE).scaled(area=AREA)
    cell = cell_of(np.zeros(NODES.size))
    experiment = sim.Experiment(curve, label="pOCV", rows=ROWS, evenly="charge", sigma=SIGMA)
    fits: dict[str, sim.Fit] = {}
    summaries: dict[str, Any] = {}
    start: dict[str, float] = {}
    for name, corrected in (("published potential", False), ("corrected potential", True)):
        begin = time.perf_counter()
        folder = args.output / name.split()[0]
        fit = sim.fit(
            cell, [experiment], parameters(start, corrected=corrected), rtol=args.rtol, save_to=folder, report=print
        )
        seconds = time.perf_counter() - begin
        print(fit)
        fits[name], start = fit, dict(fit.values)
        rest = others(cell, curve, fit.values, fit.curves()[0].time)
        summaries[name] = summary(fit, rest, seconds)
    values = dict(fits["corrected potential"].values)
    grid = np.linspace(NODES[0], NODES[-1], 200)
    built = sim.build_cell(cell.electrode, cell.parameters, values)
    potentials = {
        "fitted": (grid, np.asarray(built.value("am.ocp")(grid, 298.15))),
        "mean of charge and discharge": branches_mean(curve, cell, values),
    }
    columns = ("evaluations", "seconds", "reduced_chi2", "rms_mV", "rms_charge_mV", "rms_discharge_mV", "largest_mV")
    columns = (*columns, "rms_other_rows_mV")
    print(table(["fit", *columns], [[name, *(f"{s[c]:.3g}" for c in columns)] for name, s in summaries.items()]))
    RESULTS.write_text(json.dumps({"fits": summaries, "nodes": list(NODES), **machine()}, indent=1) + "\n")
    print(draw(fits, curve, potentials))


if __name__ == "__main__":
    main()
