"""Two published trends of composite cathodes against synthetic electrodes, judged with the criteria stated below.

    python -m benchmarks.composite [--size 96] [--seeds 2]

Conduction: ionic conductivity of a polymer electrolyte with inert glass spheres in place of active material, coarse and
small ones, at the measured porosities: Froboese, van der Sichel, Loellhoeffel, Helmers, Kwade, J. Electrochem. Soc. 166
(2019) A318, doi:10.1149/2.0601902jes, as summarised by Sun et al., Mater. Futures 1 (2022) 012101. Up to 60 % by
volume the measured values follow exp(-5.7 phi) (coarse) and exp(-9.2 phi) (small). Accepted if ln(kappa/kappa_0) agrees
to 0.7.

Utilisation: share of the active material in touch with electrolyte that reaches the separator, against lambda =
particle diameter / grain diameter of a sulfide electrolyte: Shi, Tu, Tian, Xiao, Miara, Kononova, Ceder, Adv. Energy
Mater. 10 (2020) 1902881, doi:10.1002/aenm.201902881, via the same review: 80 % by weight 30 -> 60 % for lambda 1 -> 3,
85 % 16 -> 20 % for 1 -> 8. Accepted if within 15 points at lambda >= 2. Contact rule here: a particle counts if at
least one of its voxel faces touches an electrolyte voxel that is joined to the separator through voxel faces.

Writes benchmarks/results/composite.json and docs/images/composite.png, and prints the tables.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.record import table
from simulator.geometry import Electrode, connectivity, effective_conductivity, generate_electrode
from simulator.geometry.phases import IONIC

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "composite.json"
PICTURE = ROOT / "docs" / "images" / "composite.png"

VOXEL = 0.5e-6
#: of the spheres: slope of ln(kappa/kappa_0) against their fraction of the solids, and porosity at 30 and 60 %
SPHERES = {"coarse": (5.7, (0.0, 0.153)), "small": (9.2, (0.099, 0.197))}
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
TEXTURES = {"blobs 2 um": ("blobs", 2e-6), "grains 4 um": ("grains", 4e-6)}
#: of the inert spheres, the same for both kinds: conduction in a continuum knows no length, so coarse and small ones
#: differ by their measured porosity alone
DIAMETER = 8e-6
LN_TOLERANCE = 0.7

DENSITY_AM, DENSITY_ELECTROLYTE = 4780.0, 1880.0  # NMC811; 75 Li2S - 25 P2S5 glass [kg/m3]
#: weight fraction -> lambda -> measured or published utilisation [%]
PUBLISHED = {0.80: {1.0: 30.0, 3.0: 60.0}, 0.85: {1.0: 16.0, 8.0: 20.0}}
LAMBDAS = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)
VOIDS = (0.1, 0.2, 0.3, 0.4)
PARTICLE = 5e-6
POINTS_TOLERANCE = 15.0
_GRAIN_VOXELS = 2.0  # least size of a grain


def porosity(kind: str, fraction: float) -> float:
    """Measured porosity of a composite with this fraction of spheres among its solids, interpolated linearly."""
    half, full = SPHERES[kind][1]
    return float(np.interp(fraction, [0.0, 0.3, 0.6], [0.0, half, full]))


def conductivity(electrode: Electrode) -> float:
    """Effective ionic conductivity relative to that of the electrolyte, mean of the three axes [-]."""
    ionic = np.isin(electrode.phase, IONIC).astype(np.float32)
    return float(np.mean([found.value for found in effective_conductivity(ionic, axis=None)]))


def utilisation(electrode: Electrode) -> float:
    """Volume share of the particles that touch electrolyte joined to the separator [-]."""
    surface, ionic = electrode.free_surface, connectivity(electrode).ionic.reshape(-1)
    assert electrode.particle is not None
    inner = ~surface.to_separator
    touched = surface.am[inner][ionic[surface.other[inner]]]
    labels = electrode.particle.reshape(-1)
    volume = np.bincount(labels)
    volume[0] = 0
    found = np.unique(labels[touched])
    return float(volume[found].sum() / volume.sum())


def conduction_cases(size: int, seeds: int) -> list[dict[str, Any]]:
    """One row a kind, texture and fraction: measured and simulated ln(kappa/kappa_0)."""
    rows = []
    for kind, (slope, _) in SPHERES.items():
        for name, (texture, grain) in TEXTURES.items():
            for fraction in FRACTIONS:
                pores = porosity(kind, fraction)
                values = [
                    conductivity(
                        generate_electrode(
                            (size, size, size),
                            VOXEL,
                            fraction * (1.0 - pores),
                            pores,
                            diameter=DIAMETER,
                            texture=texture,
                            grain=grain,
                            cbd_fraction=0.0,
                            seed=seed,
                        )
                    )
                    for seed in range(seeds)
                ]
                found, measured = float(np.mean(np.log(values))), -slope * fraction
                rows.append(
                    {
                        "kind": kind,
                        "texture": name,
                        "fraction": fraction,
                        "porosity": pores,
                        "ln_measured": measured,
                        "ln_simulated": found,
                        "scatter": float(np.std(np.log(values))),
                        "accepted": abs(found - measured) <= LN_TOLERANCE,
                    }
                )
    return rows


def utilisation_cases(size: int, seeds: int) -> list[dict[str, Any]]:
    """One row a weight fraction, void share and lambda: published and simulated utilisation [%]."""
    rows = []
    for weight, published in PUBLISHED.items():
        solid = weight / DENSITY_AM / (weight / DENSITY_AM + (1.0 - weight) / DENSITY_ELECTROLYTE)
        for void in VOIDS:
            for ratio in LAMBDAS:
                # voxels fine enough for the grains, and a box of the same length as far as memory goes
                voxel = min(VOXEL, PARTICLE / ratio / _GRAIN_VOXELS)
                layers = min(round(size * VOXEL / voxel / 1.5), round(1.25 * size))
                values = [
                    100.0
                    * utilisation(
                        generate_electrode(
                            (layers, layers, layers),
                            voxel,
                            solid * (1.0 - void),
                            void,
                            diameter=PARTICLE,
                            texture="grains",
                            grain=PARTICLE / ratio,
                            cbd_fraction=0.0,
                            seed=seed,
                        )
                    )
                    for seed in range(seeds)
                ]
                goal = published.get(ratio)
                rows.append(
                    {
                        "weight_fraction": weight,
                        "void": void,
                        "lambda": ratio,
                        "voxels": layers,
                        "published_percent": goal,
                        "simulated_percent": float(np.mean(values)),
                        "scatter": float(np.std(values)),
                        "accepted": None
                        if goal is None or ratio < 2
                        else abs(float(np.mean(values)) - goal) <= POINTS_TOLERANCE,
                    }
                )
    return rows


def tables(results: dict[str, list[dict[str, Any]]]) -> str:
    """Both tables as Markdown."""
    verdict = {True: "accept", False: "reject", None: "-"}
    first = table(
        ("spheres", "between them", "fraction", "porosity", "ln measured", "ln simulated", "verdict"),
        [
            (
                row["kind"],
                row["texture"],
                f"{row['fraction']:.1f}",
                f"{row['porosity']:.3f}",
                f"{row['ln_measured']:.2f}",
                f"{row['ln_simulated']:.2f} +- {row['scatter']:.2f}",
                verdict[row["accepted"]],
            )
            for row in results["conduction"]
        ],
    )
    second = table(
        ("am by weight", "voids", "lambda", "published %", "simulated %", "verdict"),
        [
            (
                f"{row['weight_fraction']:.2f}",
                f"{row['void']:.1f}",
                f"{row['lambda']:g}",
                "-" if row["published_percent"] is None else f"{row['published_percent']:.0f}",
                f"{row['simulated_percent']:.0f} +- {row['scatter']:.0f}",
                verdict[row["accepted"]],
            )
            for row in results["utilisation"]
        ],
    )
    return f"{first}\n\n{second}"


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Both trends beside each other."""
    colours = {"coarse": "#0072b2", "small": "#d55e00"}
    with mpl.rc_context({"font.size": 8, "legend.frameon": False, "legend.fontsize": 7}):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for kind, (slope, _) in SPHERES.items():
            phi = np.array([0.0, 0.6])
            left.plot(phi, -slope * phi, color=colours[kind], lw=1.0, label=f"{kind}, measured")
            left.fill_between(
                phi, -slope * phi - LN_TOLERANCE, -slope * phi + LN_TOLERANCE, color=colours[kind], alpha=0.12, lw=0
            )
            for name, marker in zip(TEXTURES, "os", strict=True):
                rows = [r for r in results["conduction"] if r["kind"] == kind and r["texture"] == name]
                left.plot(
                    [r["fraction"] for r in rows],
                    [r["ln_simulated"] for r in rows],
                    marker,
                    ms=3.5,
                    ls=(0, (3, 2)),
                    lw=0.7,
                    color=colours[kind],
                    mfc="white",
                    label=f"{kind}, simulated, {name}",
                )
        left.set(xlabel="inert spheres / solids [-]", ylabel="ln(κ / κ₀) [-]", title="Ionic conduction")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        shades = {0.1: "#009e73", 0.2: "#0072b2", 0.3: "#cc79a7", 0.4: "#d55e00"}
        for weight, style in zip(PUBLISHED, ("-", (0, (3, 2))), strict=True):
            for void in VOIDS:
                rows = [r for r in results["utilisation"] if r["weight_fraction"] == weight and r["void"] == void]
                right.plot(
                    [r["lambda"] for r in rows],
                    [r["simulated_percent"] for r in rows],
                    "o",
                    ms=3,
                    ls=style,
                    lw=0.9,
                    color=shades[void],
                    label=f"{100 * weight:.0f} wt%, {100 * void:.0f} % voids",
                )
            goal = PUBLISHED[weight]
            right.plot(
                list(goal),
                list(goal.values()),
                "k",
                marker="D",
                ms=4,
                ls=style,
                lw=0.9,
                label=f"{100 * weight:.0f} wt%, published",
            )
        right.set_xscale("log")
        right.set_xticks(LAMBDAS, [f"{ratio:g}" for ratio in LAMBDAS])
        right.minorticks_off()
        right.set(
            xlabel="λ = particle / grain diameter [-]",
            ylabel="utilisation [%]",
            title="Particles in touch with electrolyte",
            ylim=(0, 105),
        )
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        figure.savefig(path, dpi=160)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composite", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=96, help="voxels per side (default 96)")
    parser.add_argument("--seeds", type=int, default=2, help="electrodes per case (default 2)")
    options = parser.parse_args(arguments)
    if options.size < math.ceil(3 * DIAMETER / VOXEL) or options.seeds < 1:
        parser.error("--size must be at least 48, --seeds at least 1")
    results = {
        "conduction": conduction_cases(options.size, options.seeds),
        "utilisation": utilisation_cases(options.size, options.seeds),
    }
    RESULTS.write_text(json.dumps({"size": options.size, "seeds": options.seeds, **results}, indent=1) + "\n")
    draw(results, PICTURE)
    print(tables(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
