"""The voxel column against the Doyle-Fuller-Newman model: voltage curves at three resolutions.

    python -m benchmarks.column [--n 16 24 40] [--layers 16] [--rtol 1e-3]
    python -m benchmarks.column --compare-only     # the stored runs with the present reference, no solving

Five simple-cubic cells along z with one 5 um sphere each, lithium and 50 um of separator below, drawn with n voxels
per cell side (quarter cross-section, mirror sides), discharged and charged at 1, 2 and 4 A/m2. The reference for each
n is PyBaMM's homogenised model with volume fraction, conductivities and reacting area measured on the same voxels
(tests/verification/data/dfn_column.json, made by benchmarks/peers/pybamm_column.py), so that what remains is the
homogenisation of five cells and the errors of the solver.

Charges end at 4.2 V. Discharges stop at the last stored point, 20 Ah/m2: a little further the faces of the particles
fill up one after the other, on an open-circuit potential that both models extrapolate.

Writes one JSON line per run to benchmarks/results/column.jsonl and the figure docs/images/column.png.
"""

import argparse
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.peers.pybamm_column import DATA, ROOT, SIDE, STO_CHARGED, STO_DISCHARGED, V_MAX, column
from benchmarks.record import machine
from simulator.geometry import Electrode
from simulator.model import build_cell, simulate

RESULTS = ROOT / "benchmarks" / "results" / "column.jsonl"
PICTURE = ROOT / "docs" / "images" / "column.png"
CURVES = ("discharge_1", "discharge_2", "discharge_4", "charge_1", "charge_2", "charge_4")
WINDOW = (3.0, 18.0)  # [Ah/m2] where the gap is judged: away from the steep ends of the curves
COLOURS = {1: "#0072B2", 2: "#E69F00", 4: "#D55E00"}  # Okabe and Ito, by |current| [A/m2]
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "savefig.dpi": 300,
}


def run(n: int, curve: str, reference: Mapping[str, Any], layers: int, rtol: float) -> dict[str, Any]:
    """Simulate one curve on the column of `n` voxels per cell side; the reference gives current and times."""
    current = float(reference["cases"][str(n)]["curves"][curve]["current_density_A_m2"])
    rate = abs(current)
    h = SIDE / n
    electrode = Electrode.from_array(column(n), voxel_size=(h, h, h), labels={"am": 1, "cbd": 2})
    sto_init = STO_DISCHARGED if current > 0 else STO_CHARGED
    cell = build_cell(electrode, "verification", {"separator.layers": layers, "sto_init": sto_init})
    times = np.array(reference["Q_Ah_m2"]) * 3600.0 / rate
    protocol = (
        f"Charge at {rate:g} A/m2 until {V_MAX} V"
        if current > 0
        else f"Discharge at {rate:g} A/m2 for {times[-1]:.0f} s"
    )
    begin = time.perf_counter()
    with warnings.catch_warnings():
        # The reference extrapolates the open-circuit potential in the same way.
        warnings.filterwarnings("ignore", message=".*what follows is extrapolated")
        solution = simulate(cell, protocol, times=times, rtol=rtol, fields=())
    wall = time.perf_counter() - begin
    charge = np.abs(solution.capacity) / (3600.0 * solution.area)
    stats = solution.stats
    return {
        "benchmark": "column",
        "n": n,
        "curve": curve,
        "current_density_A_m2": current,
        "status": solution.status,
        "separator_layers": layers,
        "rtol": rtol,
        "curve_Q_Ah_m2": [round(float(q), 5) for q in charge],
        "curve_V": [round(float(v), 6) for v in solution.voltage],
        "salt_range_mol_m3": [
            round(float(solution.timeseries["c_e_min"].min()), 1),
            round(float(solution.timeseries["c_e_max"].max()), 1),
        ],
        "balances": {name: float(f"{value:.2e}") for name, value in solution.ledger.items()},
        "voxels": stats["voxels"],
        "live_faces": stats["live_faces"],
        "steps": stats["steps"],
        "implicit_solves": stats["implicit_solves"],
        "newton_iterations": stats["newton_iterations"],
        "krylov_iterations": stats["krylov_iterations"],
        "wall_s": round(wall, 2),
        "compile_s": round(stats["compile_s"], 2),
    }


def compare(line: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """`line` of a run with its differences from the reference: at each stored point, the largest, and at the end."""
    case = reference["cases"][str(line["n"])]
    dfn = case["curves"][line["curve"]]
    points = np.array(reference["Q_Ah_m2"])
    expected = np.array([np.nan if v is None else v for v in dfn["V"]])
    # The stored points are among the times of the run, so that this only picks them out.
    voltage = np.interp(points, line["curve_Q_Ah_m2"], line["curve_V"], right=np.nan)
    gap = 1e3 * (voltage - expected)
    inside = (points >= WINDOW[0]) & (points <= WINDOW[1]) & np.isfinite(gap)
    found = {
        **line,
        "reference_date": reference["date"],
        "reference_a_s_1_m": case["inputs"]["a_s_1_m"],
        "Q_Ah_m2": points.tolist(),
        "gap_mV": [round(float(g), 3) if np.isfinite(g) else None for g in gap],
        "max_gap_mV": round(float(np.max(np.abs(gap[inside]))), 3),
        "max_gap_window_Ah_m2": list(WINDOW),
    }
    if line["current_density_A_m2"] > 0:
        found["end_capacity_Ah_m2"] = line["curve_Q_Ah_m2"][-1]
        found["end_capacity_dfn_Ah_m2"] = dfn["end_capacity_Ah_m2"]
    return found


def write(lines: Sequence[Mapping[str, Any]]) -> None:
    """One JSON line per run into `RESULTS`."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: largest gap [mV] per resolution and curve."""
    rows = [
        f"Largest |V(voxels) - V(DFN)| [mV] for {WINDOW[0]:g} to {WINDOW[1]:g} Ah/m2",
        "",
        "| n | " + " | ".join(name.replace("_", " ") for name in CURVES) + " |",
        "| --- |" + " --- |" * len(CURVES),
    ]
    for n in sorted({line["n"] for line in lines}):
        found = {line["curve"]: line["max_gap_mV"] for line in lines if line["n"] == n}
        rows.append(f"| {n} | " + " | ".join(f"{found[c]:.2f}" if c in found else "-" for c in CURVES) + " |")
    return "\n".join(rows)


def plot(lines: Sequence[Mapping[str, Any]], reference: Mapping[str, Any], path: Path) -> None:
    """Curves at the finest resolution with the reference as symbols, and the gap in mV for every resolution."""
    resolutions = sorted({line["n"] for line in lines})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.5), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=(1.0, 1.25), wspace=0.02)
        ax = left.subplots()
        _curves(ax, [line for line in lines if line["n"] == resolutions[-1]], reference)
        ax.set_title(f"(a) n = {resolutions[-1]}", loc="left")
        panels = right.subplots(2, len(resolutions), sharex=True, sharey=True, squeeze=False)
        for row, direction in zip(panels, ("discharge", "charge"), strict=True):
            for ax, n in zip(row, resolutions, strict=True):
                chosen = [x for x in lines if x["n"] == n and x["curve"].startswith(direction)]
                _gaps(ax, chosen)
            row[-1].annotate(
                direction, (1.0, 0.5), (5, 0), "axes fraction", textcoords="offset points", rotation=-90, va="center"
            )
        for letter, ax, n in zip("bcdefgh", panels[0], resolutions, strict=False):
            ax.set_title(f"({letter}) n = {n}", loc="left")
        right.supylabel("Voxels \N{MINUS SIGN} DFN [mV]", fontsize=STYLE["axes.labelsize"])
        right.supxlabel("Charge passed [Ah m$^{-2}$]", fontsize=STYLE["axes.labelsize"])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _curves(ax: Axes, lines: Sequence[Mapping[str, Any]], reference: Mapping[str, Any]) -> None:
    for line in lines:
        colour = COLOURS[round(abs(line["current_density_A_m2"]))]
        dfn = reference["cases"][str(line["n"])]["curves"][line["curve"]]
        ax.plot(line["curve_Q_Ah_m2"], line["curve_V"], color=colour)
        expected = [np.nan if v is None else v for v in dfn["V"]]
        ax.plot(reference["Q_Ah_m2"], expected, "o", ms=3.2, mfc="none", mec=colour, mew=0.8)
    # The curves cross in the middle and leave room on both sides.
    currents = [Line2D([], [], color=colour, label=f"{rate} A m$^{{-2}}$") for rate, colour in COLOURS.items()]
    first = ax.legend(handles=currents, loc="center left", bbox_to_anchor=(0.0, 0.47), handlelength=1.4)
    ax.add_artist(first)
    kinds = [
        Line2D([], [], color="0.3", label="voxels"),
        Line2D([], [], color="0.3", ls="", marker="o", ms=3.2, mfc="none", mew=0.8, label="DFN"),
    ]
    ax.legend(handles=kinds, loc="center right", bbox_to_anchor=(1.0, 0.52), handlelength=1.4)
    ax.text(4.8, 4.08, "discharge", color="0.25")
    ax.text(4.8, 3.61, "charge", color="0.25")
    ax.set(xlabel="Charge passed [Ah m$^{-2}$]", ylabel="Cell voltage [V]", xlim=(0, 21.5))
    ax.set_xticks([0, 5, 10, 15, 20])


def _gaps(ax: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    ax.axvspan(*WINDOW, color="0.94", lw=0)
    ax.axhline(0, color="0.5", lw=0.6)
    for line in lines:
        gap = [np.nan if g is None else g for g in line["gap_mV"]]
        colour = COLOURS[round(abs(line["current_density_A_m2"]))]
        ax.plot(line["Q_Ah_m2"], gap, "o-", ms=2.2, color=colour, lw=0.9)
    ax.set_xlim(0, 21.5)
    ax.set_ylim(-1.0, 1.0)
    ax.set_yticks([-1.0, -0.5, 0.0, 0.5, 1.0])


def main() -> None:
    """Run, write the lines, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[16, 24, 40], help="voxels per cell side")
    parser.add_argument("--layers", type=int, default=16, help="separator layers")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--compare-only", action="store_true", help="stored runs with the present reference")
    arguments = parser.parse_args()
    reference = json.loads(DATA.read_text(encoding="utf-8"))
    if arguments.compare_only:
        stored = [json.loads(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]
        lines = [compare(line, reference) for line in stored]
    else:
        unknown = sorted(n for n in set(arguments.n) if str(n) not in reference["cases"])
        if unknown:
            raise SystemExit(f"No reference for n = {unknown}; {DATA.name} holds {sorted(reference['cases'])}.")
        where = machine()
        lines = []
        for n in arguments.n:
            for curve in CURVES:
                done = run(n, curve, reference, arguments.layers, arguments.rtol)
                lines.append({**compare(done, reference), "machine": where})
                write(lines)  # after each run: an interrupted benchmark keeps what it has
                shown = lines[-1]
                print(f"n = {n} {curve}: {shown['status']}, {shown['max_gap_mV']} mV, {shown['wall_s']} s", flush=True)
    write(lines)
    print(table(lines))
    plot(lines, reference, PICTURE)


if __name__ == "__main__":
    main()
