"""Contact and chemistry of polymer cathodes: the trends of An et al. (2023) against the presets `an2023/...`.

An et al., Adv. Funct. Mater. (2023), doi:10.1002/adfm.202305186, compare NMC811 cathodes of one composition that differ
in contact (Cal: poor, Hot-Cal: good) and in chemistry (PCA: a polymer made in place that resists oxidation). Nothing
here is fitted to them: the presets say where each value comes from, and what is an estimate.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from simulator.errors import ConfigError
from simulator.io import RunResult
from simulator.workflows.folder import RESUMABLE
from simulator.workflows.study import measures
from simulator.workflows.study.plan import Case, Finding, Results, Study, Trend, Verdict

CELLS = {"cal": "Cal", "hot_cal": "Hot-Cal", "pca": "PCA", "pegda": "PEGDA", "peo_acn": "PEO-ACN"}
#: variant of the model -> settings. The current density with beta = 0 is chosen to decompose about as much charge as
#: the base model in the first cycle of Cal.
VARIANTS: dict[str, tuple[str, ...]] = {
    "base": (),
    "beta 0": ("cell.decomposition.beta=0", "cell.decomposition.j_ref=1.9e-4"),
    "burst": ("cell.decomposition.burst_charge=80",),
    "beta 0, burst": (
        "cell.decomposition.beta=0",
        "cell.decomposition.j_ref=1.9e-4",
        "cell.decomposition.burst_charge=80",
    ),
    "no oxidation": ("cell.decomposition.law=none",),
}
_LIGHT = ("output.pictures=false", "output.fields=[sto]")  # many runs: curves and one field are enough
#: 4 V is where the published particles were looked at: a step of its own saves the fields there
_FIRST = "protocol.steps=[Charge at C/10 until 4.0 V, Charge at C/10 until 4.2 V, Discharge at C/10 until 2.8 V]"
_GITT = (
    'protocol.steps=[Repeat 2 times, "GITT at C/10 for 30 min, rest 30 min, until 4.2 V", '
    "Discharge at C/10 until 2.8 V, Rest for 30 min, End repeat]"
)
#: in cycles that differ by the films alone, most need not be computed; as far as the error stays below 1 mV
_JUMP = ("solver.cycle_jump=20", "solver.max_steps=1000000")
#: cell -> (stated retention, cycle at which it was reached)
LIFE = {"cal": (0.0, 32), "hot_cal": (0.675, 50), "pca": (0.70, 500)}
_FACTOR = 2.0  # between stated and simulated number of cycles, either way
_DEPLETED = 0.01  # share of the initial salt below which a place counts as depleted
_NOTHING_LEFT = 0.02  # retention that counts as none
_ENOUGH = 16  # cycles, half the life stated for Cal, before which an order of what is left says nothing about life
#: cycles that are run: those that can still decide, and as many as the slowest of them for the other two chemistries
CYCLES = {"cal": 64, "hot_cal": 100, "pca": 1000, "pegda": 500, "peo_acn": 500}


def _words(cell: str, *more: str) -> tuple[str, ...]:
    return (f"experiment=an2023/{cell}", *_LIGHT, *more)


def _first(cell: str, variant: str = "base") -> str:
    return f"{cell}-first" + ("" if variant == "base" else "-" + variant.replace(", ", "-").replace(" ", ""))


def _cases() -> list[Case]:
    """First cycles, first charges of the null models, the thick electrodes, titrations, and at last many cycles."""
    cases = [Case(_first(c), _words(c, _FIRST), f"{CELLS[c]}, first cycle") for c in ("cal", "hot_cal", "pca")]
    for variant, settings in list(VARIANTS.items())[1:]:
        for cell in ("cal", "hot_cal"):
            words = _words(cell, _FIRST, *settings)
            cases.append(Case(_first(cell, variant), words, f"{CELLS[cell]}, first cycle, {variant}"))
    cases.append(Case("pca_thick", _words("pca_thick"), "PCA, 28.4 mg/cm2, C/5"))
    cases.append(Case("pca_thick_peo", _words("pca_thick_peo"), "the same with the ion transport of PEO"))
    cases += [
        Case(f"{c}-gitt", _words(c, _GITT, "output.snapshots=1"), f"{CELLS[c]}, titration of two cycles")
        for c in ("cal", "hot_cal")
    ]
    for cell, number in CYCLES.items():
        steps = f"[Repeat {number} times, Charge at C/10 until 4.2 V, Discharge at C/10 until 2.8 V, End repeat]"
        words = _words(cell, f"protocol.steps={steps}", "output.snapshots=1", "output.particles=false", *_JUMP)
        cases.append(Case(f"{cell}-cycles", words, f"{CELLS[cell]}, up to {number} cycles", counts_in_part=True))
    return cases


def _accept(holds: bool) -> Verdict:
    return "accept" if holds else "reject"


def _rising(values: list[float]) -> bool:
    return all(a < b for a, b in zip(values, values[1:], strict=False))


def _listed(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{CELLS.get(role, role)} {value:{form}}" for role, value in values.items())


def judge_coverage(runs: Results) -> Finding:
    """Order of the share of the particle surface that reacts."""
    found = {role: float(run.summary["active coverage of the AM surface [%]"]) for role, run in runs.items()}
    return Finding(_accept(_rising(list(found.values()))), _listed(found, ".1f") + " %", "an input, but for isolation")


def judge_capacity_order(runs: Results) -> Finding:
    """Order of the first discharge capacities."""
    found = {role: measures.discharge_capacity(run) for role, run in runs.items()}
    return Finding(_accept(_rising(list(found.values()))), _listed(found, ".1f") + " mAh/g", "first discharge, C/10")


def _retentions(runs: Results) -> tuple[int, dict[str, float]]:
    """Cycles that all runs have, and the retention of each after them [%]."""
    kept = {role: measures.retention(run) for role, run in runs.items()}
    common = min(float(number[-1]) for number, _ in kept.values())
    # linear between computed cycles: some were jumped
    return int(common), {role: 100.0 * float(np.interp(common, *pair)) for role, pair in kept.items()}


def judge_life_order(runs: Results) -> Finding:
    """Order of what is left after as many cycles as all have, the first of `runs` fading fastest."""
    cycles, found = _retentions(runs)
    return _of_life(_rising(list(found.values())), cycles, found)


def judge_slowest(runs: Results) -> Finding:
    """PCA keeps more than each of the others after as many cycles as all have."""
    cycles, found = _retentions(runs)
    holds = all(found["pca"] > value for role, value in found.items() if role != "pca")
    return _of_life(holds, cycles, found)


def _of_life(holds: bool, cycles: int, found: Mapping[str, float]) -> Finding:
    """The finding about what is left [%] after `cycles`: no verdict before `_ENOUGH` of them."""
    verdict = _accept(holds) if cycles >= _ENOUGH else "not run"
    return Finding(verdict, _listed(found, ".2f") + " %", f"left after {cycles} cycles; judged from {_ENOUGH} on")


def judge_capacity(runs: Results) -> Finding:
    """First discharge of PCA within 10 % of 160 to 175 mAh/g."""
    found = measures.discharge_capacity(runs["pca"])
    return Finding(_accept(0.9 * 160.0 <= found <= 1.1 * 175.0), f"{found:.1f} mAh/g")


def judge_thick(runs: Results) -> Finding:
    """Capacity of the thick electrode within 10 % of 169.6 mAh/g, and no salt left with the transport of PEO."""
    peo = runs["peo"]
    reached = float(np.max(measures.specific(peo), initial=0.0))
    salt = peo.timeseries["c_e_min"]
    left = float(np.min(salt) / salt[0])
    text = f"with PEO: {peo.status}, {reached:.1f} mAh/g at most, down to {100.0 * left:.2g} % of the salt"
    if runs["pca"].status != "finished":
        return Finding("reject", runs["pca"].status, text)
    found = measures.discharge_capacity(runs["pca"])
    holds = abs(found / 169.6 - 1.0) <= 0.1 and left < _DEPLETED
    return Finding(_accept(holds), f"{found:.1f} mAh/g", text)


def judge_spread(runs: Results) -> Finding:
    """Range of the delithiation within the largest particle as the charge reaches 4 V, as projected regions show it."""
    found = {role: measures.delithiation_spread(run, measures.moment_at(run, 4.0)) for role, run in runs.items()}
    cal, hot = found["cal"].regions, found["hot_cal"].regions
    holds = 0.06 <= cal <= 0.24 and hot <= 0.06 and cal >= 3.0 * hot
    voxels = _listed({role: spread.voxels for role, spread in found.items()}, ".3f")
    ratio = f", ratio {cal / hot:.1f}" if hot > 0 else ""
    return Finding(_accept(holds), f"Cal {cal:.3f}, Hot-Cal {hot:.3f}{ratio}", f"5 to 95 % of its voxels: {voxels}")


def judge_growth(runs: Results) -> Finding:
    """Growth of the interface resistance over the first charge."""
    found = {role: measures.resistance_growth(run) for role, run in runs.items()}
    cal, hot = found["cal"].whole, found["hot_cal"].whole
    growth = _listed({role: 1e4 * g.whole for role, g in found.items()}, "+.1f")
    late = _listed({role: 1e4 * g.late for role, g in found.items()}, "+.1f")
    begin = _listed({role: 1e4 * g.start for role, g in found.items()}, ".1f")
    text = f"at the start {begin}; from the lowest value {late}"
    return Finding(_accept(cal > 0.0 and cal >= 3.0 * hot), f"{growth} ohm cm2", text)


def judge_diffusion(runs: Results) -> Finding:
    """Relative change of D1 from cycle 1 to 2."""
    found = {role: measures.diffusion_change(run) for role, run in runs.items()}
    cal, hot = found["cal"], found["hot_cal"]
    holds = cal < 0.0 and abs(cal) >= 2.0 * abs(hot)
    return Finding(_accept(holds), _listed({role: 100.0 * v for role, v in found.items()}, "+.2f") + " %")


def judge_life(runs: Results) -> Finding:
    """Cycles to the stated retention, within a factor."""
    ((cell, run),) = runs.items()
    kept, stated = LIFE[cell]
    number, left = measures.retention(run)
    cycle = measures.cycles_to(run, max(kept, _NOTHING_LEFT))
    if cycle is not None:
        holds = stated / _FACTOR <= cycle <= stated * _FACTOR
        return Finding(_accept(holds), f"{cycle:.0f} cycles", f"stated: {stated}")
    text = f"{100.0 * left[-1]:.2f} % left after {number[-1]:.0f} cycles; stated: {100.0 * kept:g} % after {stated}"
    if run.status not in ("finished", *RESUMABLE):
        # where death is what was stated, a cell that cannot go on is dead
        lasted = run.timeseries["cycle_count"][-1] - 1  # those jumped over too
        timely = kept <= _NOTHING_LEFT and stated / _FACTOR <= lasted <= stated * _FACTOR
        return Finding(_accept(timely), f"stopped after {lasted:.0f} cycles ({run.status})", text)
    decided = number[-1] >= stated * _FACTOR
    return Finding("reject" if decided else "not run", f"more than {number[-1]:.0f} cycles", text)


def report_hump(runs: Results) -> Finding:
    """What the voltage does early in the first charge. Nothing is claimed."""
    found = {role: measures.hump(run) for role, run in runs.items()}
    excess = _listed({role: 1e3 * h.excess for role, h in found.items()}, "+.1f")
    falls = ", ".join(
        f"{CELLS[role]} " + ("none" if math.isnan(h.voltage) else f"{1e3 * h.fall:.1f} mV behind {h.voltage:.3f} V")
        for role, h in found.items()
    )
    return Finding("reported", f"V - OCV above that at 30 %: {excess} mV", f"fall of the voltage: {falls}")


def _pair(suffix: str) -> dict[str, str]:
    return {cell: f"{cell}-{suffix}" for cell in ("cal", "hot_cal")}


def _variants() -> dict[str, dict[str, str]]:
    return {name: {cell: _first(cell, name) for cell in ("cal", "hot_cal")} for name in VARIANTS}


def _trends() -> list[Trend]:
    three = ("cal", "hot_cal", "pca")
    first = {"base": {cell: _first(cell) for cell in three}}
    cycled = {"base": {cell: f"{cell}-cycles" for cell in three}}
    slow = {"base": {cell: f"{cell}-cycles" for cell in ("pca", "pegda", "peo_acn")}}
    thick = {"base": {"pca": "pca_thick", "peo": "pca_thick_peo"}}
    order = "Cal < Hot-Cal < PCA"
    trends = [
        Trend("T1 coverage", "share of the surface that reacts", order, first, judge_coverage),
        Trend("T1 capacity", "capacity at C/10", order, first, judge_capacity_order),
        Trend("T1 life", "capacity kept", order, cycled, judge_life_order),
        Trend(
            "T2", "capacity of PCA at C/10", "160 to 175 mAh/g, 10 %", {"base": {"pca": _first("pca")}}, judge_capacity
        ),
        Trend("T3", "28 mg/cm2 at C/5", "169.6 mAh/g, 10 %, and depletion with PEO", thick, judge_thick),
        Trend(
            "T4",
            "spread within a particle at 4 V",
            "Cal 0.06 to 0.24, Hot-Cal up to 0.06, ratio 3 or more",
            _variants(),
            judge_spread,
        ),
        Trend(
            "T5",
            "growth of the interface resistance, first charge",
            "Cal at least 3 x Hot-Cal",
            _variants(),
            judge_growth,
        ),
        Trend("T6", "change of D1 after one cycle", "Cal falls, 2 x Hot-Cal", {"base": _pair("gitt")}, judge_diffusion),
    ]
    for cell in three:
        kept, stated = LIFE[cell]
        claim = f"{CELLS[cell]}: cycles to {100 * kept:g} %"
        trend = Trend(f"T7 {CELLS[cell]}", claim, f"{stated}, factor 2", {"base": {cell: f"{cell}-cycles"}}, judge_life)
        trends.append(trend)
    trends.append(Trend("T8", "PCA fades slowest", "slower than PEGDA and PEO-ACN", slow, judge_slowest))
    trends.append(Trend("T9", "hump near 3.8 V early in the first charge", "only reported", _variants(), report_hump))
    return trends


def draw(results: Mapping[str, RunResult], path: Path) -> Path:
    """First charges, interface resistance, null models, and the capacity over the cycles, as far as they were run."""
    from simulator import viz  # matplotlib takes a second

    charges, resistance, models, life = {}, {}, {}, {}
    variants = {_first("cal", variant): variant for variant in VARIANTS}
    for name, run in results.items():
        cell, _, kind = name.partition("-")
        label = CELLS.get(cell, cell)
        if kind == "cycles":
            with suppress(ConfigError):  # a run that was stopped before any current flowed
                life[label] = measures.discharge_capacities(run)
            continue
        if not kind.startswith("first"):
            continue
        rows = measures.first_charge(run)
        passed, volts = measures.specific(run)[rows], run.timeseries["voltage_volt"][rows]
        if kind != "first":
            if cell == "cal":
                models[variants[name]] = (passed, volts)
            continue
        charges[label] = (passed, volts)
        resistance[label] = (passed, 1e4 * run.timeseries["interface_resistance_ohm_m2"][rows])
    if "Cal" in charges:
        models = {"base": charges["Cal"], **models}
    charge = r"First charge [mAh g$^{-1}$]"
    panels = [
        viz.Panel(charge, "Cell voltage [V]", charges),
        viz.Panel(charge, r"Interface resistance [$\Omega$ cm$^2$]", resistance),
        viz.Panel(charge, "Cell voltage of Cal [V]", models),
        viz.Panel("Cycle", r"Discharge capacity [mAh g$^{-1}$]", life),
    ]
    return viz.plot_panels(panels, path)


STUDY = Study(
    name="an2023",
    title="Contact and chemistry of polymer cathodes",
    source="An et al., Adv. Funct. Mater. (2023), doi:10.1002/adfm.202305186",
    cases=_cases(),
    trends=_trends(),
    draw=draw,
)
