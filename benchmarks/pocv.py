"""Open-circuit potential and stoichiometry window of NMC811, fitted to a measured slow charge and discharge.

    python -m benchmarks.pocv [--output FOLDER]

The positive electrode of a Tesla 4680 cell against a reference of lithium, C/46 at room temperature: Ank et al., J.
Electrochem. Soc. 170 (2023) 120536, doi:10.1149/1945-7111/ad14d0 (meshes/README.md). Simulated on a generated electrode
of spheres with liquid electrolyte. Two fits, one after the other: the published potential of another NMC811 (ChenOCP,
with its steep end), with lithium content, window, exchange current and diffusivity; and with a correction of that
potential, piecewise linear in the stoichiometry, each value with a prior of 0 +- 10 mV.

Rows between the fitted ones are compared too. Writes benchmarks/results/pocv.json and docs/images/pocv.png, and prints
the tables. Evaluations are kept in FOLDER (default: outputs/pocv), so that an interrupted fit goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import simulator as sim
from benchmarks.record import machine, significant, table
from simulator.materials.nmc811 import ChenOCP, OReganDiffusivity
from simulator.workflows.fit.simulation import Simulation

ROOT = Path(__file__).resolve().parents[1]
CURVE = ROOT / "meshes" / "nmc811_tesla4680_pocv.csv"
RESULTS = ROOT / "benchmarks" / "results" / "pocv.json"
PICTURE = ROOT / "docs" / "images" / "pocv.png"

#: of the electrode in the measuring cell [m2]: the capacity [Ah] of the file over the areal one of its authors
AREA = 0.9417e-4
#: [V] what the model may miss: temperature and the reference wire drift by about as much in four days. Such errors are
#: alike in neighbouring rows, so the intervals of the fit, which take them for noise, are too narrow.
SIGMA = 2e-3
PRIOR = 10e-3  # [V]
ROWS = 60
#: of each fit. The second one gets along a valley of exchange current and diffusivity from its sixth evaluation on, by
#: less than 0.1 mV in all; ten are enough for the potential.
MOST = {"published potential": 50, "corrected potential": 10}
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


def make_cell() -> sim.Cell:
    """Spheres of 12 um in 87 um, 29 x 8 x 8 voxels of 3 um: the measured charge then is that of a usual window. The
    correction of its potential is zero."""
    electrode = sim.generate_electrode((29, 8, 8), 3e-6, am_fraction=0.6, porosity=0.0, diameter=12e-6, seed=1)
    ocp = sim.Corrected(ChenOCP(), sim.Table(NODES, np.zeros(NODES.size)))
    return sim.build_cell(electrode, "nmc811_peo_60c", SETTINGS | {"am.ocp": ocp})


def parameters(start: dict[str, float], *, corrected: bool) -> list[sim.FitParameter]:
    """What is fitted, from the values `start` where there are some."""
    found = [
        sim.FitParameter("am.c_s_max", start.get("am.c_s_max", 49136.0), 35e3, 65e3),
        sim.FitParameter("sto_init", start.get("sto_init", 0.90), 0.80, 0.975),
        # not from the end of the first fit, which is its upper bound: the branches of the published potential leave no
        # room for it
        sim.FitParameter("kinetics.j0_ref", 1.0, 0.01, 100.0),
        sim.FitParameter("am.D_s.correction", start.get("am.D_s.correction", 2.7), 0.05, 200.0),
    ]
    if corrected:
        prior = sim.Prior(mean=0.0, std=PRIOR)
        found += [
            sim.FitParameter(f"am.ocp.correction.values[{k}]", 0.0, -0.1, 0.1, prior=prior) for k in range(NODES.size)
        ]
    return found


def others(cell: sim.Cell, fit: sim.Fit, rtol: float) -> np.ndarray:
    """Deviations [V] at the rows of the file that were not fitted."""
    (followed,), (seen,) = fit.simulation.curves, fit.curves()
    simulation = Simulation(cell, [sim.Experiment(followed.experiment.curve, rows=len(seen.whole_time))], [])
    (whole,) = simulation.curves
    (voltage,) = sim.evaluate(dict(fit.values), cell, list(whole.steps), [sim.VoltageAt(whole.times)], rtol=rtol)
    return (np.asarray(voltage) - whole.measured)[~np.isin(whole.times, seen.time)]


def summary(fit: sim.Fit, rest: np.ndarray) -> dict[str, Any]:
    """Status, deviations and values of a fit. `rest` [V]: deviations at other rows."""
    (seen,), result = fit.curves(), fit.result
    residual = seen.measured - seen.predicted
    curve = fit.simulation.curves[0].experiment.curve
    charging = np.interp(seen.time, curve.time, np.sign(curve.current)) > 0

    def rms(x: np.ndarray) -> float:
        return 1e3 * float(np.sqrt(np.mean(x**2)))

    return {
        "status": result.status,
        "evaluations": len(result.history),
        "reduced_chi2": result.reduced_chi2,
        "rms_mV": rms(residual),
        "rms_charge_mV": rms(residual[charging]),
        "rms_discharge_mV": rms(residual[~charging]),
        "largest_mV": 1e3 * float(np.abs(residual).max()),
        "rms_between_mV": rms(rest),
        "values": dict(fit.values),
        "intervals": {name: list(map(float, ends)) for name, ends in result.intervals.items()},
    }


def stoichiometry(curve: sim.MeasuredCurve, cell: sim.Cell, values: dict[str, float]) -> np.ndarray:
    """That of the whole electrode at each row."""
    built = sim.build_cell(cell.electrode, cell.parameters, values)
    low, high = built.value("am.sto_window")
    whole = built.theoretical_capacity / (high - low)  # C per unit of sto
    amperes = np.array([built.basis.amperes(value, curve.current_unit) for value in curve.current])
    passed = np.append(0.0, np.cumsum(0.5 * (amperes[1:] + amperes[:-1]) * np.diff(curve.time)))
    return values["sto_init"] - passed / whole


def branches_mean(curve: sim.MeasuredCurve, sto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stoichiometries, and the mean [V] of the voltages of charge and discharge there."""
    up, down = curve.current > 0, curve.current < 0
    grid = np.linspace(max(sto[up].min(), sto[down].min()), min(sto[up].max(), sto[down].max()), 120)[2:-2]
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
            apart = 1e3 * (found - np.asarray(published(sto, SETTINGS["temperature"])))
            ocp.plot(sto, apart, color=colour, lw=0.9, label=name)
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
    cell = make_cell()
    experiment = sim.Experiment(curve, label="pOCV", rows=ROWS, evenly="charge", sigma=SIGMA)
    fits: dict[str, sim.Fit] = {}
    summaries: dict[str, Any] = {}
    start: dict[str, float] = {}
    for name, most in MOST.items():
        fitted = parameters(start, corrected=name.startswith("corrected"))
        folder = args.output / name.split()[0]
        # deviations are systematic here: a share of the intervals is no reason to end
        how: dict[str, Any] = {"ctol": 0.0, "max_evaluations": most, "rtol": args.rtol}
        fit = sim.fit(cell, [experiment], fitted, save_to=folder, report=print, **how)
        print(fit)
        if fit.result.status in ("interrupted", "stuck"):
            raise SystemExit(f"The fit with the {name} ended as {fit.result.status}. The same command goes on.")
        fits[name], start = fit, dict(fit.values)
        summaries[name] = summary(fit, others(cell, fit, args.rtol))
    sto = stoichiometry(curve, cell, start)
    grid = np.linspace(sto.min(), sto.max(), 200)
    built = sim.build_cell(cell.electrode, cell.parameters, start)
    potentials = {
        "fitted": (grid, np.asarray(built.value("am.ocp")(grid, SETTINGS["temperature"]))),
        "mean of charge and discharge": branches_mean(curve, sto),
    }
    columns = ("status", "evaluations", "rms_mV", "rms_charge_mV", "rms_discharge_mV", "largest_mV", "rms_between_mV")
    rows = [[name, found["status"], *(f"{found[c]:.3g}" for c in columns[1:])] for name, found in summaries.items()]
    print(table(["fit", *columns], rows))
    print(f"stoichiometry at the start {sto[0]:.4f}, at the turn {sto.min():.4f}")
    facts = {"fits": summaries, "nodes": list(NODES), "window": [float(sto.min()), float(sto[0])], **machine()}
    RESULTS.write_text(json.dumps(significant(facts), indent=1) + "\n")
    print(draw(fits, curve, potentials))


if __name__ == "__main__":
    main()
