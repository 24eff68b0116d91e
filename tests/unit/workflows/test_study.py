"""Studies: what is judged how, from results whose answers are known, and one of them carried out."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from simulator.cli import main
from simulator.config import load
from simulator.errors import ConfigError, GeometryError
from simulator.io import ResultWriter, RunResult, read_result
from simulator.workflows.study import an2023, measures
from simulator.workflows.study.an2023 import STUDY
from simulator.workflows.study.carry_out import StudyOutcome, carry_out, markdown
from simulator.workflows.study.plan import Case, Finding, Study, Trend

MASS = 1e-9  # [kg]
GAIN = 3.6 * 1e3 * MASS  # [C] in one mAh/g
COLUMNS = {"charge_coulomb": "C", "ocv_volt": "V", "cycle_count": "1", "interface_resistance_ohm_m2": "ohm m^2"}
COLUMNS |= {"c_e_min": "mol m^-3"}


def result(
    folder: Path, rows: list[dict[str, float]], status: str = "finished", coverage: float = 0.0, sto: Any = None
) -> RunResult:
    """A result of `rows`; `sto`: saved at the time of the last of them in 8^3 voxels, all of them active material."""
    folder.mkdir(parents=True)
    fields = {} if sto is None else {"sto": ("-", "Stoichiometry")}
    writer = ResultWriter(
        folder / "run.vtkhdf",
        phase=np.ones((8, 8, 8), np.uint8),
        voxel_size=(1e-6,) * 3,
        field_specs=fields,
        config={},
        parameters={"derived": {"am_mass_kg": MASS}},
        provenance={},
        timeseries_specs={name: (unit, name) for name, unit in COLUMNS.items()},
    )
    for row in rows:
        writer.append_timeseries({**dict.fromkeys(COLUMNS, 0.0), **row})
    if sto is not None:
        writer.append_fields(rows[-1]["test_time_second"], {"sto": sto})
    writer.finish(status, {}, {}, {"active coverage of the AM surface [%]": coverage})
    return read_result(folder / "run.vtkhdf")


def row(t: float, volts: float, current: float, step: float, q: float, cycle: float = 1, **more: float) -> dict:
    """One row of the time series; `q` [mAh/g] passed since the start."""
    facts = {"test_time_second": t, "voltage_volt": volts, "current_ampere": current, "step_count": step}
    return {**facts, "charge_coulomb": q * GAIN, "cycle_count": cycle, **more}


def cycled(folder: Path, capacities: dict[int, float], status: str = "finished", salt: float = 1.0) -> RunResult:
    """A charge and a discharge of `capacities` [mAh/g] in each of these cycles, down to a share of the `salt`."""
    rows = []
    for k, (cycle, q) in enumerate(capacities.items()):
        t, step = 1e4 * k, 2 * k
        rows += [row(t, 3.6, 1.0, step, 0.0, cycle), row(t + 3e3, 4.2, 1.0, step, q, cycle)]
        rows += [row(t + 3e3, 4.1, -1.0, step + 1, q, cycle), row(t + 6e3, 2.8, -1.0, step + 1, 0.0, cycle)]
    for one in rows:
        one["c_e_min"] = 1000.0
    rows[-1]["c_e_min"] = 1000.0 * salt
    return result(folder, rows, status)


def charged(folder: Path, volts: Any, resistance: Any, sto: Any = None) -> RunResult:
    """A first charge of equal steps to 100 mAh/g."""
    q = np.linspace(0.0, 100.0, len(volts))
    rows = [
        row(36.0 * x, v, 1.0, 1, x, ocv_volt=3.5, interface_resistance_ohm_m2=r)
        for x, v, r in zip(q, volts, resistance, strict=True)
    ]
    return result(folder, rows, sto=sto)


def titrated(folder: Path, levels: tuple[float, float]) -> RunResult:
    """Two cycles of five charge pulses, D1 of the first and second as in `levels`, each cycle with a discharge."""
    rows, t, step = [row(0.0, 3.5, 0.0, 0, 0.0, 1)], 0.0, 0
    for cycle, level in enumerate(levels, start=1):
        for k in range(5):
            before, rise = 3.5 + 0.1 * k, 0.1 / np.sqrt(level)
            step += 1
            rows += [row(t, before, 1.0, step, k, cycle), row(t + 1, before + rise, 1.0, step, k + 1, cycle)]
            step += 1
            rows += [
                row(t + 1, before + rise, 0.0, step, k + 1, cycle),
                row(t + 2, before + 0.1, 0.0, step, k + 1, cycle),
            ]
            t += 2.0
        step += 1
        rows += [row(t, 3.9, -1.0, step, 5, cycle), row(t + 5, 2.8, -1.0, step, 0, cycle)]
        step += 1
        rows += [row(t + 5, 2.9, 0.0, step, 0, cycle), row(t + 6, 3.5, 0.0, step, 0, cycle)]
        t += 6.0
    return result(folder, rows)


def test_capacities_leave_out_the_cycle_in_which_a_run_was_cut_short(tmp_path: Path) -> None:
    cycles = {1: 160.0, 2: 152.0, 3: 40.0}
    whole = cycled(tmp_path / "a", cycles)
    np.testing.assert_allclose(measures.discharge_capacities(whole)[1], [160.0, 152.0, 40.0])
    cut = cycled(tmp_path / "b", cycles, "interrupted")
    np.testing.assert_allclose(measures.retention(cut)[1], [1.0, 0.95])  # rounding
    with pytest.raises(ConfigError, match="two complete cycles: c has 0"):
        measures.retention(cycled(tmp_path / "c", {1: 160.0}, "interrupted"))


def test_life_is_found_between_computed_cycles_when_others_were_jumped(tmp_path: Path) -> None:
    run = cycled(tmp_path / "a", {1: 100.0, 2: 98.0, 12: 78.0, 22: 58.0})
    assert measures.cycles_to(run, 0.78) == pytest.approx(12.0)
    assert measures.cycles_to(run, 0.675) == pytest.approx(17.25)  # 2 % a cycle
    assert measures.cycles_to(run, 0.5) is None


@pytest.mark.parametrize(
    ("last", "left", "verdict"),
    [(50, 67.0, "accept"), (24, 67.0, "reject"), (101, 66.0, "reject"), (99, 80.0, "not run"), (100, 80.0, "reject")],
)
def test_life_within_a_factor_of_two_is_accepted(tmp_path: Path, last: int, left: float, verdict: str) -> None:
    # Retention of 67.5 % is stated after 50 cycles; the second to last cycle still keeps nearly all.
    run = cycled(tmp_path / "hot", {1: 100.0, last - 1: 99.0, last: left})
    found = an2023.judge_life({"hot_cal": run})
    assert found.verdict == verdict, found


def test_a_cell_that_stops_before_its_time_is_rejected(tmp_path: Path) -> None:
    run = cycled(tmp_path / "hot", {1: 100.0, 2: 99.0, 3: 98.0, 4: 50.0}, "voltage_limit")
    found = an2023.judge_life({"hot_cal": run})
    assert (found.verdict, found.number) == ("reject", "stopped after 3 cycles (voltage_limit)")


@pytest.mark.parametrize(("last", "verdict"), [(15, "reject"), (16, "accept"), (64, "accept"), (65, "reject")])
def test_a_cell_that_cannot_go_on_is_dead_where_death_is_stated(tmp_path: Path, last: int, verdict: str) -> None:
    run = cycled(tmp_path / "cal", {1: 100.0, 9: 60.0, last + 1: 10.0}, "salt_depleted")  # Cal: dead after 32 cycles
    assert an2023.judge_life({"cal": run}).verdict == verdict


def test_fading_cells_are_ordered_after_the_cycles_that_all_have(tmp_path: Path) -> None:
    names = ("cal", "hot_cal", "pca")
    data = ({1: 100.0, 16: 90.0, 17: 20.0}, {1: 100.0, 16: 95.0}, {1: 100.0, 21: 96.0})  # pca: 97 % in cycle 16
    runs = {n: cycled(tmp_path / n, cycles) for n, cycles in zip(names, data, strict=True)}
    found = an2023.judge_life_order(runs)
    told = "left after 16 cycles; judged from 16 on"
    assert found == Finding("accept", "Cal 90.00, Hot-Cal 95.00, PCA 97.00 %", told)
    slowest = an2023.judge_slowest({"pca": runs["pca"], "pegda": runs["hot_cal"], "peo_acn": runs["cal"]})
    assert slowest.verdict == "accept"
    assert an2023.judge_slowest({"pca": runs["hot_cal"], "pegda": runs["pca"]}).verdict == "reject"
    runs["pca"] = cycled(tmp_path / "few", {1: 100.0, 15: 99.0})
    assert an2023.judge_life_order(runs).verdict == "not run"


@pytest.mark.parametrize(
    ("capacity", "verdict"), [(143.0, "reject"), (145.0, "accept"), (192.0, "accept"), (193.0, "reject")]
)
def test_capacity_is_accepted_within_a_tenth_of_the_published_range(tmp_path: Path, capacity, verdict) -> None:
    assert an2023.judge_capacity({"pca": cycled(tmp_path / "a", {1: capacity})}).verdict == verdict


@pytest.mark.parametrize(
    ("capacity", "salt", "verdict"), [(165.0, 5e-4, "accept"), (150.0, 5e-4, "reject"), (165.0, 0.02, "reject")]
)
def test_the_thick_cell_must_work_and_run_out_of_salt_with_plain_transport(tmp_path, capacity, salt, verdict) -> None:
    runs = {"pca": cycled(tmp_path / "a", {1: capacity}), "peo": cycled(tmp_path / "b", {1: 60.0}, salt=salt)}
    found = an2023.judge_thick(runs)
    assert found.verdict == verdict
    assert found.text == f"with PEO: finished, 60.0 mAh/g at most, down to {100.0 * salt:.2g} % of the salt"


@pytest.mark.parametrize(
    ("growths", "verdict"),
    [((3.1e-3, 1e-3), "accept"), ((2.9e-3, 1e-3), "reject"), ((1e-3, -1e-3), "accept"), ((-1e-3, -4e-3), "reject")],
)
def test_resistance_must_grow_three_times_as_much(tmp_path: Path, growths, verdict: str) -> None:
    runs = {
        role: charged(tmp_path / role, [3.6, 3.9, 4.2], [5e-3, 5e-3, 5e-3 + growth])
        for role, growth in zip(("cal", "hot_cal"), growths, strict=True)
    }
    assert an2023.judge_growth(runs).verdict == verdict


@pytest.mark.parametrize(
    ("second", "verdict"), [((0.40, 0.48), "accept"), ((0.47, 0.48), "reject"), ((0.6, 0.5), "reject")]
)
def test_diffusivity_must_fall_twice_as_much(tmp_path: Path, second, verdict: str) -> None:
    runs = {role: titrated(tmp_path / role, (0.5, d1)) for role, d1 in zip(("cal", "hot_cal"), second, strict=True)}
    assert measures.diffusion_change(runs["cal"]) == pytest.approx(second[0] / 0.5 - 1.0)  # rounding
    assert an2023.judge_diffusion(runs).verdict == verdict


def test_spread_within_the_largest_particle_is_that_of_its_regions(tmp_path: Path) -> None:
    # One particle of 8 layers along z; four regions of two layers differ by 6/8 of the whole gradient.
    sto = np.broadcast_to(np.linspace(0.6, 0.46, 8)[:, None, None], (8, 8, 8))
    run = charged(tmp_path / "cal", [3.6, 3.8, 4.0], [1.0] * 3, sto)
    spread = measures.delithiation_spread(run, measures.moment_at(run, 4.0))
    assert spread.regions == pytest.approx(0.12, abs=1e-6)  # float32 of the file
    assert spread.voxels == pytest.approx(0.14, abs=1e-6)
    flat = charged(tmp_path / "hot", [3.6, 3.8, 4.0], [1.0] * 3, np.full((8, 8, 8), 0.5) + 0.1 * (sto - 0.5))
    assert an2023.judge_spread({"cal": run, "hot_cal": flat}).verdict == "accept"
    assert an2023.judge_spread({"cal": run, "hot_cal": run}).verdict == "reject"


def test_fields_far_from_the_wanted_voltage_are_not_taken_for_it(tmp_path: Path) -> None:
    run = charged(tmp_path / "a", [3.6, 4.0, 4.2], [1.0] * 3, np.full((8, 8, 8), 0.5))
    with pytest.raises(ConfigError, match="(?i)no fields were saved"):
        measures.moment_at(run, 4.0)
    with pytest.raises(ConfigError, match="ends below 4.3 V"):
        measures.moment_at(run, 4.3)


def test_an_early_hump_is_seen_and_a_rising_voltage_has_none(tmp_path: Path) -> None:
    q = np.linspace(0.0, 1.0, 41)
    rising = 3.6 + 0.6 * q
    humped = rising + 0.1 * np.exp(-(((q - 0.1) / 0.04) ** 2))
    found = measures.hump(charged(tmp_path / "a", humped, q))
    assert found.fall > 0.04 and found.voltage == pytest.approx(3.76, abs=1e-6)
    plain = measures.hump(charged(tmp_path / "b", rising, q))
    assert plain.fall == 0.0 and np.isnan(plain.voltage)
    runs = {"cal": read_result(tmp_path / "a" / "run.vtkhdf"), "hot_cal": read_result(tmp_path / "b" / "run.vtkhdf")}
    assert an2023.report_hump(runs).verdict == "reported"


# -- the study as a whole -------------------------------------------------------------------------------------------


def test_every_trend_is_judged_by_cases_of_the_study_and_every_case_is_needed() -> None:
    names = [case.name for case in STUDY.cases]
    assert len(set(names)) == len(names)
    assert [case.name for case in STUDY.needed(STUDY.trends)] == names
    assert {trend.name.partition(" ")[0] for trend in STUDY.trends} == {f"T{n}" for n in range(1, 10)}
    assert all("base" in trend.roles for trend in STUDY.trends)


@pytest.mark.parametrize("case", STUDY.cases, ids=lambda case: case.name)
def test_every_case_is_a_configuration(case: Case) -> None:
    config = load(case.words)
    assert config.geometry.porosity is not None and config.cell.overrides["nominal_specific_capacity"] == 180


def test_trends_are_chosen_by_their_number_or_name() -> None:
    assert [trend.name for trend in STUDY.chosen(["T1"])] == ["T1 coverage", "T1 capacity", "T1 life"]
    assert [trend.name for trend in STUDY.chosen(["t7 pca", "T2"])] == ["T2", "T7 PCA"]
    with pytest.raises(ConfigError, match="no trend 'T99'"):
        STUDY.chosen(["T99"])


def test_what_is_missing_or_cannot_be_judged_is_not_run(tmp_path: Path) -> None:
    (trend,) = STUDY.chosen(["T2"])
    assert trend.find({}, "base") == Finding("not run", "-", "needs pca-first")
    cut = cycled(tmp_path / "pca-first", {1: 160.0}, "voltage_limit")
    found = trend.find({"pca-first": cut}, "base")
    assert found == Finding(
        "reject", "stopped", "pca-first ended as voltage_limit after 160.0 mAh/g of charge and 160.0 of discharge"
    )
    halted = cycled(tmp_path / "halted", {1: 160.0}, "interrupted")
    assert trend.find({"pca-first": halted}, "base") == Finding("not run", "-", "no complete cycle: halted has 0")


SETTINGS = ["geometry.min_live=0.01"]


@pytest.fixture
def little(tiny_stack: Path) -> Study:
    """Two short charges, and one of an electrode that cannot be made."""
    labels = "geometry.labels={electrolyte: 0, am: 1, cbd: 2}"
    charge = ("geometry=file", f"geometry.path={tiny_stack}", labels, "output.pictures=false")
    cases = [
        Case("a-first", (*charge, "protocol.steps=[Charge at C/2 for 5 min]"), "short"),
        Case("b-first", (*charge, "protocol.steps=[Charge at C/2 for 10 min]"), "longer"),
        Case("no", (*charge, "geometry.porosity=0.9"), "impossible"),
    ]
    longer = Trend("L", "longer", "more charge", {"base": {"a": "a-first", "b": "b-first"}}, _longer)
    never = Trend("N", "never", "-", {"base": {"no": "no"}}, _longer)
    return Study("little", "A little study", "nobody", cases, [longer, never], an2023.draw)


def _longer(runs: Any) -> Finding:
    a, b = (float(runs[role].capacity[-1]) for role in "ab")
    return Finding("accept" if b > a else "reject", f"{b / a:.2f}")


def test_a_study_runs_its_cases_once_and_leaves_table_and_picture(little: Study, tmp_path: Path) -> None:
    folder, quiet = tmp_path / "out", Console(quiet=True)
    nothing = carry_out(little, load, folder, limit=0.0, settings=SETTINGS, console=quiet)
    assert nothing.findings["L"]["base"].verdict == "not run" and not nothing.interrupted
    done = carry_out(little, load, folder, settings=SETTINGS, console=quiet)
    assert done.status == {"a-first": "finished", "b-first": "finished", "no": "not possible"}
    assert done.findings["L"]["base"] == Finding("accept", "2.00")
    assert done.findings["N"]["base"] == Finding("not run", "-", "needs no")
    page = (folder / "study.md").read_text()
    assert "| L: longer | more charge | 2.00 | accept |" in page and "geometry.min_live=0.01" in page
    assert json.loads((folder / "study.json").read_text())["trends"]["L"]["base"]["verdict"] == "accept"
    assert (folder / "study.png").stat().st_size > 0
    stamp = (folder / "b-first" / "run.vtkhdf").stat().st_mtime_ns
    again = carry_out(little, load, folder, limit=0.0, only=["L"], settings=SETTINGS, console=quiet)
    assert again.findings["L"] == done.findings["L"]
    assert (folder / "b-first" / "run.vtkhdf").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="results of another run.*rtol"):  # other settings do not mix with these runs
        carry_out(little, load, folder, only=["L"], settings=["solver.rtol=2e-3"], limit=0.0, console=quiet)


def test_a_study_without_a_single_electrode_is_an_error(little: Study, tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="No case of this study"):
        carry_out(little, load, tmp_path, only=["N"], settings=SETTINGS, console=Console(quiet=True))


def test_null_models_stand_below_the_claim_in_brackets(tmp_path: Path) -> None:
    (trend,) = STUDY.chosen(["T5"])
    findings = {"T5": {variant: trend.find({}, variant) for variant in trend.roles}}
    status = {case.name: "not run" for case in STUDY.needed([trend])}
    page = markdown(STUDY, [trend], StudyOutcome(tmp_path, status, findings, False, {}), [])
    assert "| not run | needs cal-first, hot_cal-first |" in page
    assert "| no oxidation |  | - | (not run) | needs cal-first-nooxidation" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["an2032"], "Did you mean 'an2023'"),
        (["an2023", "--only", "T0"], "no trend 'T0'"),
        (["an2023", "--time-limit", "2 parsec"], "--time-limit"),
        (["an2023", "--time-limit=-1"], ">= 0"),
        (["an2023", "solver.rtol=7"], "solver.rtol must be in"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_run(words, said, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
