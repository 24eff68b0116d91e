"""`voxelyte fit`: files, lines and exit codes. A formula stands in for the runs, which are tested elsewhere."""

import json
import re
import signal

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

from simulator.cli import main
from simulator.errors import RunStopped
from simulator.workflows.fit import fitting, simulation
from simulator.workflows.fit.job import NEXT, PROBLEM

TIME = np.array([0.0, 10.0, 60.0, 300.0, 600.0, 1200.0, 1800.0])
TRUTH = {"am.D_s": 3e-15, "kinetics.j0_ref": 2.0}
PROBLEM_OF_A_USER = {
    "curves": [{"file": "charge.csv", "mass": "20 mg", "sigma": "2 mV"}],
    "parameters": {
        "am.D_s": {"start": "1e-10 cm2/s", "lower": "1e-16 m2/s", "upper": "1e-12 m2/s"},
        "kinetics.j0_ref": {"start": "0.1 mA/cm2", "lower": 0.05, "upper": 20, "prior": {"mean": 2, "std": "50 %"}},
    },
    "profile": "all",
    "next": {"rest": "Rest for 10 min", "pulse": ["Charge at 1C for 30 s"]},
    "xtol": 1e-8,
    "ftol": 1e-10,
    "ctol": 0.0,
}


def voltages(params, times):
    """A voltage whose two parts are due to one parameter each, and its derivatives."""
    t = np.asarray(times)
    slow, fast = np.sqrt(t / 1800.0), 1.0 - np.exp(-t / 20.0)
    D, j0 = params["am.D_s"], params["kinetics.j0_ref"]
    voltage = 3.65 - 0.02 * np.log(D / 1e-14) * slow + 0.03 * fast / j0
    return voltage, np.stack([-0.02 * slow / D, -0.03 * fast / j0**2])


def stand_in(params, cell, protocol, outputs, *, rtol, options, tangent_rtol):
    voltage, slopes = voltages(params, outputs[0].times())
    if protocol == ["Rest for 10 min"]:
        slopes = 0.0 * slopes
    return (voltage,), (slopes,)


@pytest.fixture
def words(tiny_stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(simulation, "sensitivities", stand_in)
    monkeypatch.setattr(fitting, "sensitivities", stand_in)
    monkeypatch.setattr(fitting, "evaluate", lambda *a, **how: (np.float64(600.0),))
    for draw in ("plot_fit", "plot_profiles"):  # a second each; tested with the pictures
        monkeypatch.setattr(fitting, draw, lambda path, *shown: path.write_bytes(b"picture"))
    noise = np.random.default_rng(1).normal(0.0, 1e-3, TIME.size)
    rows = zip(TIME, voltages(TRUTH, TIME)[0] + noise, np.where(TIME > 0, 0.5, 0.0), strict=True)
    lines = ["Test Time / s,Voltage / V,Current / mA", *(f"{t},{v},{i}" for t, v, i in rows)]
    (tmp_path / "charge.csv").write_text("\n".join(lines))
    write(PROBLEM_OF_A_USER)
    return ["fit", "fit.yaml", "geometry=file", f"geometry.path={tiny_stack}", "geometry.labels={am: 1, cbd: [0, 2]}"]


def write(problem, **changes):
    with open("fit.yaml", "w") as file:
        yaml.safe_dump(problem | changes, file)


def test_a_fit_from_the_command_line(words, tmp_path, capsys, monkeypatch):
    assert main([*words, "--output", "here"]) == 0
    told = capsys.readouterr()
    folder = tmp_path / "here"
    facts = json.loads((folder / "fit.json").read_text())["parameters"]
    for name, value in TRUTH.items():  # 1 mV of noise against 20 mV and 15 mV for a factor e
        assert facts[name]["value"] == pytest.approx(value, rel=0.3)
        assert f"Profile likelihood of {name}" in told.err and f"{name}: 95 % from" in told.out
    files = {path.name for path in folder.iterdir()}
    assert {"fit.txt", "fit.png", "curve_charge.csv", "profiles.png", "profile_am.D_s.csv", NEXT, PROBLEM} < files
    assert told.out.index("pulse") < told.out.index("rest")  # the ranking: a rest tells nothing
    assert re.search(r"am.D_s \S+, kinetics.j0_ref \S+", told.err.partition("Profile likelihood of am.D_s")[2])
    assert "to run with it: cell.am.D_s=" in told.err
    assert "rms charge" in told.err and "[" not in told.out and "files: here" in told.out
    rows = np.genfromtxt(folder / "profile_am.D_s.csv", delimiter=",", names=True)
    assert np.nanmin(rows["chi2_above_minimum"]) == pytest.approx(0.0, abs=1e-3)  # the refits end earlier

    # what was saved is the same problem again, and the same command finds all evaluations
    before = sorted((folder / "evaluations").iterdir())
    for name in ("sensitivities", "evaluate"):
        monkeypatch.setattr(fitting, name, None)
        monkeypatch.setattr(simulation, name, None)
    assert main(["fit", f"here/{PROBLEM}", "--config", "here/config.yaml", "--output", "here"]) == 0
    assert sorted((folder / "evaluations").iterdir()) == before
    assert f"{len(before)} evaluations are kept" in capsys.readouterr().err


def test_a_fit_ends_near_the_best_if_asked_to(words, capsys):
    write(PROBLEM_OF_A_USER, ctol=0.3, profile=[], next={})
    assert main([*words, "--output", "here"]) == 0
    assert "expected within 30 % of the radius of the confidence region" in capsys.readouterr().out
    write(PROBLEM_OF_A_USER, profile=[], next={})
    assert main([*words, "--output", "here"]) == 0
    assert "confidence region" not in capsys.readouterr().out


def test_a_curve_that_is_left_out_is_compared_all_the_same(words, tmp_path, capsys):
    (tmp_path / "other.csv").write_text((tmp_path / "charge.csv").read_text())
    curves = [*PROBLEM_OF_A_USER["curves"], {**PROBLEM_OF_A_USER["curves"][0], "file": "other.csv", "weight": 0}]
    write(PROBLEM_OF_A_USER, curves=curves, profile=[], next={})
    assert main([*words, "--output", "here"]) == 0
    rms = json.loads((tmp_path / "here" / "fit.json").read_text())["rms"]
    assert rms["other"] == rms["charge"]  # the same rows
    assert re.search(r"other +\S+ +0$", capsys.readouterr().out, re.MULTILINE)  # none of its points counts


def test_gradients_are_kept_as_well(words, capsys, monkeypatch):
    def differentiable(params, cell, protocol, outputs, **how):
        t = outputs[0].times()
        slow, fast = np.sqrt(np.asarray(t) / 1800.0), 1.0 - np.exp(-np.asarray(t) / 20.0)
        return (3.65 - 0.02 * jnp.log(params["am.D_s"] / 1e-14) * slow + 0.03 * fast / params["kinetics.j0_ref"],)

    write(PROBLEM_OF_A_USER, method="l-bfgs-b", profile=[], next={})
    monkeypatch.setattr(simulation, "evaluate", differentiable)
    assert main([*words, "--output", "here"]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(simulation, "evaluate", None)
    assert main([*words, "--output", "here"]) == 0
    assert capsys.readouterr().out == first


def test_check_computes_and_writes_nothing(words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(simulation, "sensitivities", None)
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, "--check"]) == 0
    told = capsys.readouterr()
    assert told.out == "" and sorted(tmp_path.rglob("*")) == before
    assert re.search(r"kinetics.j0_ref +A/m2 +1 +0.05", told.err)  # the start, in SI
    # 0.5 mA by 20 mg for half an hour, the first ramp of 10 s counted half
    assert f"{25.0 * (1800 - 5) / 3600:.4g}" in told.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C, and a scheduler's last warning
def test_an_interrupted_fit_ends_with_the_best_and_code_130(words, tmp_path, capsys, monkeypatch, number):
    calls = []

    def interrupted(*arguments, **how):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(number)
        return stand_in(*arguments, **how)

    monkeypatch.setattr(simulation, "sensitivities", interrupted)
    assert main([*words, "--output", "here"]) == 130
    told = capsys.readouterr()
    assert "Interrupted; this is the best so far" in told.out and "The same command goes on" in told.err
    assert (tmp_path / "here" / "fit.json").exists() and not (tmp_path / "here" / "profiles.png").exists()
    assert main([*words, "--output", "here"]) == 0
    assert "2 evaluations are kept" in capsys.readouterr().err


def test_too_few_evaluations_end_with_code_3_and_no_profiles(words, tmp_path, capsys):
    write(PROBLEM_OF_A_USER, max_evaluations=2)
    assert main([*words, "output.dir=here"]) == 3
    assert "Raise max_evaluations" in capsys.readouterr().err
    assert not (tmp_path / "here" / "profiles.png").exists()


def test_a_start_that_stops_ends_with_code_3(words, capsys, monkeypatch):
    def stops(*arguments, **how):
        raise RunStopped("voltage_limit at 60 s.")

    monkeypatch.setattr(simulation, "sensitivities", stops)
    assert main(words) == 3
    assert "start values" in capsys.readouterr().err.splitlines()[-1]


def test_the_folder_is_that_of_the_problem_whatever_its_tolerances(words, tmp_path):
    assert main(words) == 0
    write(PROBLEM_OF_A_USER, xtol=1e-6, ctol=0.1, profile=[])
    assert main([*words, "protocl=a"]) == 2  # not even a mistake makes another
    assert main(words) == 0
    assert len(list((tmp_path / "outputs").iterdir())) == 1
    write(PROBLEM_OF_A_USER, curves=[{"file": "charge.csv", "mass": "21 mg", "sigma": "2 mV"}])
    assert main(words) == 0
    assert len(list((tmp_path / "outputs").iterdir())) == 2


CURVE = PROBLEM_OF_A_USER["curves"][0]


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"curves": [{**CURVE, "file": "charg.csv"}]}, [], "charg.csv"),
        (
            {"curves": [{"file": "charge.csv", "sigma": 1e-3}]},
            [],
            "curves.1: the current of charge.csv is that of a whole cell",
        ),
        ({"curves": [{**CURVE, "units": {"voltage": "mV"}}]}, [], "curves.1: "),
        ({"curves": [{**CURVE, "columns": {"volt": "U"}}]}, [], "curves.1: "),
        ({"curves": [{**CURVE, "begin": "1 h"}]}, [], "curves.1: "),
        ({"curves": [CURVE, CURVE]}, [], "Give each a label"),
        ({"curves": [{**CURVE, "values": {"am.D": 1}}]}, [], "'am.D' is not a parameter"),
        ({"parameters": {"am.Ds": PROBLEM_OF_A_USER["parameters"]["am.D_s"]}, "profile": []}, [], "'am.D_s'"),
        ({"parameters": {"am.D_s": {"start": "1e-14 S/m", "lower": 1e-16, "upper": 1}}, "profile": []}, [], "m2/s"),
        ({"parameters": {"am.D_s": {"start": 1e-13, "lower": 1e-16, "upper": 1e-14}}, "profile": []}, [], "exclude"),
        ({"parameters": {"decomposition.law": {"start": 1, "lower": 0, "upper": 2}}, "profile": []}, [], "real number"),
        ({"next": {"pulse": ["Charge at 1C until 9 V"]}}, [], "next.pulse: "),
        ({"next": {"pulse": ["Charge quickly"]}}, [], "fit.yaml: next.pulse: "),
        ({}, ["protocol=charge_c3"], "'protocol=charge_c3' has no meaning here"),
        ({}, ["resume=true"], "a fit goes on by itself"),
        ({}, ["cell.am.D=1"], "'am.D' is not a parameter"),
        ({}, ["solver.cycle_jump=2"], "solver.cycle_jump must be 0"),
        ({}, ["other.yaml"], "one YAML file, got fit.yaml and other.yaml"),
        ({}, ["--outptu", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_input_ends_with_code_2_and_writes_nothing(words, tmp_path, capsys, changes, more, message):
    write(PROBLEM_OF_A_USER, **changes)
    before = sorted(tmp_path.rglob("*"))
    assert main([*words, *more]) == 2
    said = capsys.readouterr().err.splitlines()
    errors = [line for line in said if "error: " in line]
    assert len(errors) == 1 and message in errors[0], said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_fit_without_a_file_is_refused(capsys):
    assert main(["fit", "geometry=ct_nmc"]) == 2
    assert "one YAML file, got none" in capsys.readouterr().err
    assert main(["fit", "nothing.yaml"]) == 2
    assert "No file nothing.yaml" in capsys.readouterr().err


def test_help_names_keys_and_files(capsys):
    assert main(["fit", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("curves:", "--check", "sto_init@", NEXT, PROBLEM, "evenly"))
