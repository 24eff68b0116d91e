"""From the words of a sweep to its runs: every one of them is known and checked before any is started."""

import itertools
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.config import load
from simulator.config.compose import KEYS, load_sweep, quoted, swept_values
from simulator.errors import ConfigError

IMAGE = ["geometry=file", "geometry.path=a.tif", "geometry.voxel_size=1 um"]


def values(*words: str) -> list[dict]:
    return [run.values for run in load_sweep([*IMAGE, *words]).runs]


def test_every_combination_is_a_run_and_the_last_setting_changes_fastest() -> None:
    found = load_sweep([*IMAGE, "solver.rtol=1e-3,1e-4", "cell.electrolyte.kappa=0.05,0.1"])
    assert [tuple(run.values.values()) for run in found.runs] == [*itertools.product((1e-3, 1e-4), (0.05, 0.1))]
    assert [run.config.solver.rtol for run in found.runs] == [1e-3, 1e-3, 1e-4, 1e-4]
    assert [run.config.cell.overrides["electrolyte.kappa"] for run in found.runs] == [0.05, 0.1, 0.05, 0.1]


@pytest.mark.parametrize(
    ("word", "key", "expected"),
    [
        ("geometry.coarsen=range(1,4)", "geometry.coarsen", [1, 2, 3]),
        ("solver.rtol=range(0.01,0.03,0.005)", "solver.rtol", [0.01, 0.015, 0.02, 0.025]),
        ("geometry.voxel_size=0.4 um,0.5 um", "geometry.voxel_size", ["0.4 um", "0.5 um"]),
        ("geometry.crop=[null,[0,8],null],[null,null,null]", "geometry.crop", [[None, [0, 8], None], [None] * 3]),
        ("protocol=glob(charge_c*0)", "protocol", ["charge_c10"]),
        ("protocol.steps=[Rest for 1 h],[Rest for 2 h]", "protocol.steps", [["Rest for 1 h"], ["Rest for 2 h"]]),
        ("cell.am.D_s='1e-14*exp(-3*sto)',1e-14", "cell.am.D_s", ["1e-14*exp(-3*sto)", 1e-14]),
        ("geometry.labels={am: 1},{am: 2, cbd: 1}", "geometry.labels", [{"am": 1}, {"am": 2, "cbd": 1}]),
        ("++cell.overrides.am.D_s=1e-14,2e-14", "cell.am.D_s", [1e-14, 2e-14]),
        ("solver.dt_max=null,60", "solver.dt_max", [None, 60]),
        ("solver.rtol=1e-3,0.001,1e-4", "solver.rtol", [1e-3, 1e-4]),  # twice the same is one run
    ],
)
def test_ranges_lists_choices_and_mappings_can_be_swept(word: str, key: str, expected: list) -> None:
    assert values(word) == [{key: value} for value in expected]


def test_a_whole_mapping_replaces_the_one_of_the_group_in_every_run() -> None:
    found = load_sweep([*IMAGE, "geometry.labels={am: 1},{am: 2, cbd: 1}"])
    assert [run.config.geometry.labels for run in found.runs] == [{"am": 1}, {"am": 2, "cbd": 1}]


def test_images_are_swept_by_name_or_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b 2.tif", "a,1.tif"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = load_sweep(["geometry.path=glob(*.tif)"])
    assert [run.config.geometry.path for run in found.runs] == ["a,1.tif", "b 2.tif"]
    assert found.fixed == ["geometry=file"]
    assert values("geometry.path=x.tif,y z.tif") == [{"geometry.path": "x.tif"}, {"geometry.path": "y z.tif"}]
    # a comma in the name of a file that exists does not cut it in two
    assert [run.values["solver.rtol"] for run in load_sweep(["geometry.path=a,1.tif", "solver.rtol=1e-3,1e-4"]).runs]
    with pytest.raises(ConfigError, match="matches no file"):
        load_sweep(["geometry.path=glob(*.npy)"])


@settings(max_examples=40)
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip))
def test_any_name_of_a_file_survives_the_grammar(name: str) -> None:
    parsed = OverridesParser.create().parse_override(f"geometry.path={quoted(name)}")
    assert parsed.value() == name


def test_words_for_hydra_give_the_same_runs_again() -> None:
    words = ["geometry.labels={am: 1},{am: 2}", "cell.electrolyte.kappa=range(0.1,0.4,0.1)", "solver.rtol=1e-4"]
    found = load_sweep([*IMAGE, *words, "protocol.steps=[Charge at C/10 until 4.2 V, Rest for 1 h]"])
    again = load_sweep(found.words({key: list(texts) for key, texts in found.axes.items()}))
    assert [run.config for run in again.runs] == [run.config for run in found.runs]
    assert [run.values for run in again.runs] == [run.values for run in found.runs]
    for run in found.runs:
        assert load(run.words) == run.config
        assert swept_values(run.words, list(found.axes)) == run.values


def test_a_stored_configuration_can_be_swept(tmp_path: Path) -> None:
    from simulator.config import to_yaml

    stored = tmp_path / "config.yaml"
    stored.write_text(to_yaml(load([*IMAGE, "solver.dt_max=60", "solver.rtol=1e-5", "output.dir=."])))
    runs = load_sweep(["solver.rtol=1e-3,1e-4"], stored).runs
    assert [(run.config.solver.rtol, run.config.solver.dt_max) for run in runs] == [(1e-3, 60.0), (1e-4, 60.0)]
    assert runs[0].config.output.dir is None
    assert load_sweep(["solver.rtol=1e-3,1e-4", "output.dir=b"], stored).runs[0].config.output.dir == "b"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("solver.rtol=1e-3,2", "1e-8, 0.1"),
        ("solver.rtol=1e-3,fine", "'fine'"),
        ("solver.rtoll=1e-3,1e-4", "Did you mean 'solver.rtol'"),
        ("geometry=ct_nmcc,ct_nmc", "Did you mean 'ct_nmc'"),
        ("geometry=glob(zz*)", "matches no choice"),
        ("solver.rtol=glob(1*)", "glob"),
        ("solver.rtol=interval(0,1)", "range"),
        ("solver.dt_init=1,1000 s", "solver.dt_max"),  # two settings that do not go together, in one of the runs
        ("resume=true,false", "one value"),
        ("protocol.steps=Rest for 1 h,Rest for 2 h", "takes a list"),
        ("solver.rtol=1e-3", "Nothing is swept"),
        ("~geometry.labels.am", "cannot remove"),
    ],
)
def test_what_is_wrong_in_any_run_is_said_before_all(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_sweep([*IMAGE, "solver.dt_max=100", word])
    assert "\n" not in str(caught.value)


def test_keys_of_sections_inside_a_group_are_known_by_their_whole_name() -> None:
    inner = [key for key in KEYS if key.count(".") > 1]
    for key in inner:
        with pytest.raises(ConfigError, match=f"Did you mean '{key}'"):
            load([f"{key}x=1"])
        with pytest.raises(ConfigError, match="does not exist|is null in this choice"):
            load([f"{key}.deeper=1"])
