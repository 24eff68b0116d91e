"""Composition, names and ranges of a configuration."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from simulator.config import RunConfig, load, to_yaml
from simulator.config.compose import SCHEMA
from simulator.config.schema import CellConfig
from simulator.errors import ConfigError
from simulator.materials import parameter_set_names
from simulator.resources import PRESETS, conf_dir, config_groups, image_path

CHOICES = [(group, name) for group, names in config_groups().items() for name in names]


def test_default_run_is_the_packaged_demonstration() -> None:
    config = load()
    assert config.geometry.path == "mesh:nmc532_film_48.tif"
    assert (config.geometry.porosity, config.geometry.coverage) == (0.12, 0.6)
    assert config.cell.parameter_set == "nmc811_peo_60c"
    assert config.protocol.steps == ["Charge at C/10 until 4.2 V"]


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_shipped_choice_is_valid(group: str, name: str) -> None:
    path = ["geometry.path=stack.tif"] if (group, name) == ("geometry", "file") else []
    assert isinstance(load([f"{group}={name}", *path]), RunConfig)


def test_every_group_of_the_schema_has_a_folder_and_the_other_way_round() -> None:
    assert set(config_groups()) == {*SCHEMA, PRESETS}


@pytest.mark.parametrize("key", [f"{g}.{k}" for g, keys in SCHEMA.items() for k in keys])
def test_every_key_is_written_in_the_default_files(key: str) -> None:
    # The files of conf/ are what a user reads to learn the keys: none may be known to the code alone.
    group, name = key.split(".")
    for path in (conf_dir() / group).glob("*.yaml"):
        text = path.read_text()
        if found := re.search(r"^defaults: \[(\w+), _self_\]$", text, re.MULTILINE):  # a choice built on another one
            text += (path.parent / f"{found[1]}.yaml").read_text()
        assert f"{name}:" in text, f"{path.name} does not show {key}"


def test_bare_numbers_and_texts_with_units_give_the_same_si_values() -> None:
    bare = load(["geometry.voxel_size=[4e-7, 4e-7, 5e-7]", "solver.dt_max=300"])
    texts = load(["geometry.voxel_size=[0.4 um, 400 nm, 0.5 um]", "solver.dt_max=5 min"])
    assert texts.geometry.voxel_size == pytest.approx(bare.geometry.voxel_size, rel=1e-14)  # rounding only
    assert texts.solver.dt_max == bare.solver.dt_max


@pytest.mark.parametrize(
    "override",
    [
        "cell.electrolyte.kappa=0.05",
        "+cell.electrolyte.kappa=0.05",
        "cell.overrides.electrolyte.kappa=0.05",
        "++cell.overrides.electrolyte.kappa=0.05",
        "cell.overrides={electrolyte: {kappa: 0.05}}",
        "cell.overrides={electrolyte.kappa: 0.05}",
    ],
)
def test_all_spellings_of_a_parameter_override_mean_the_same(override: str) -> None:
    assert load([override]).cell.overrides == {"electrolyte.kappa": 0.05}


def test_overrides_of_several_parameters_add_up_and_keep_units() -> None:
    config = load(["cell.am.D_s=1e-14", "cell.temperature=60 degC", "cell=verification"])
    assert config.cell.overrides == {"am.D_s": 1e-14, "temperature": "60 degC"}
    assert config.cell.parameter_set == "verification"


def test_values_of_particles_stay_together() -> None:
    expected = {"contact.fraction": {"3": 0.5, "default": 1.0}}
    for words in (
        ["cell.contact.fraction={3: 0.5, default: 1.0}"],
        ["cell.overrides={contact: {fraction: {3: 0.5, default: 1.0}}}"],
        ["cell.contact.fraction=0.2", "cell.contact.fraction={3: 0.5, default: 1.0}"],
    ):
        assert load(words).cell.overrides == expected
    assert load(["cell.contact.fraction=[0.5, 0.6]"]).cell.overrides == {"contact.fraction": [0.5, 0.6]}


LAW = {"value": 1.0, "activation_energy": "45 kJ/mol", "T_ref": "60 degC"}


@pytest.mark.parametrize(
    "overrides",
    [
        ["cell.kinetics.j0_ref={value: 1.0, activation_energy: 45 kJ/mol, T_ref: 60 degC}"],
        ["cell.overrides={kinetics: {j0_ref: {value: 1.0, activation_energy: 45 kJ/mol, T_ref: 60 degC}}}"],
        ["cell.overrides={kinetics.j0_ref: {value: 1.0, activation_energy: 45 kJ/mol, T_ref: 60 degC}}"],
        [
            "cell.kinetics.j0_ref.value=1.0",
            "cell.kinetics.j0_ref.activation_energy=45 kJ/mol",
            "cell.kinetics.j0_ref.T_ref=60 degC",
        ],
        ["cell.kinetics.j0_ref={value: 1.0, T_ref: 60 degC}", "cell.kinetics.j0_ref.activation_energy=45 kJ/mol"],
    ],
)
def test_a_value_with_its_activation_energy_stays_one_value(overrides: list[str]) -> None:
    config = load(overrides)
    assert config.cell.overrides == {"kinetics.j0_ref": LAW}
    again = OmegaConf.to_container(OmegaConf.create(to_yaml(config)))
    assert isinstance(again, dict)
    assert CellConfig(**again["cell"]).overrides == {"kinetics.j0_ref": LAW}


def test_one_part_of_a_value_is_an_override_of_its_own() -> None:
    config = load(["cell.kinetics.j0_ref.activation_energy=0.35 eV"])
    assert config.cell.overrides == {"kinetics.j0_ref": {"activation_energy": "0.35 eV"}}


def test_a_value_given_whole_and_by_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="cell.kinetics.j0_ref is given twice.*Keep one"):
        load(["cell.overrides={kinetics.j0_ref: 2.0, kinetics: {j0_ref: {value: 1.0}}}"])


def test_formulas_and_files_reach_the_cell_as_texts() -> None:
    config = load(["cell.am.D_s='1e-14*exp(-3*sto)'", "cell.am.ocp=ocp.csv", "cell.parameter_set=my/cell.json"])
    assert config.cell.overrides == {"am.D_s": "1e-14*exp(-3*sto)", "am.ocp": "ocp.csv"}
    assert config.cell.parameter_set == "my/cell.json"


def test_every_shipped_cell_names_a_parameter_set_and_the_other_way_round() -> None:
    named = {load([f"cell={name}"]).cell.parameter_set for name in config_groups()["cell"]}
    assert named == set(parameter_set_names())


def test_a_whole_mapping_replaces_that_of_the_group() -> None:
    assert load(["geometry.labels={pore: 0, am: 255}"]).geometry.labels == {"pore": 0, "am": 255}


def test_one_label_can_be_changed_added_or_removed() -> None:
    words = ["geometry=ct_nmc_filled", "geometry.labels.am=[1, 3]", "geometry.labels.pore=4", "~geometry.labels.cbd"]
    config = load(words)
    assert config.geometry.labels == {"electrolyte": 0, "am": [1, 3], "pore": 4}


def test_yaml_of_a_configuration_holds_every_value() -> None:
    text = to_yaml(load(["solver.rtol=1e-4", "cell.electrolyte.kappa=0.05"]))
    assert "rtol: 0.0001" in text
    assert "electrolyte.kappa: 0.05" in text


@pytest.mark.parametrize(
    ("override", "named", "cure"),
    [
        ("geometry=ct_nmcc", "ct_nmcc", "'ct_nmc'"),
        ("geomtry=ct_nmc", "geomtry", "'geometry'"),
        ("solver.rtoll=1e-3", "solver.rtoll", "'solver.rtol'"),
        ("rtol=1e-3", "rtol", "'solver.rtol'"),
        ("hydra.run.dir=x", "hydra.run.dir", "Known: cell"),
        ("+new.key=1", "new.key", "Known: cell"),
        ("solver.rtol.x=1", "solver.rtol.x", "Set solver.rtol"),
        ("~solver.rtol", "solver.rtol", "leave"),
        ("solver.rtol=abc", "abc", "Float"),
        ("solver.max_steps=1.5", "1.5", "Integer"),
        ("solver.rtol=1e-3,1e-4", "solver.rtol", "[a, b]"),
        ("protocol.steps=Rest for 1 h", "protocol.steps", "[Rest for 1 h]"),
        ("rubbish", "rubbish", "KEY=VALUE"),
        ("geometry=file", "geometry.path", "geometry.path=VALUE"),
    ],
)
def test_mistakes_in_names_and_types_name_the_cure(override: str, named: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([override])
    message = str(caught.value)
    assert named in message
    assert cure in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("solver.rtol=0", "[1e-8, 0.1]"),
        ("solver.rtol=0.5", "[1e-8, 0.1]"),
        ("solver.rtol=nan", "[1e-8, 0.1]"),
        ("solver.newton_tol=-1e-6", "(0, 0.01]"),
        ("solver.dt_min=0", "positive time"),
        ("solver.dt_min=3 V", "s, min, h"),
        ("solver.dt_init=1e-6", "solver.dt_min"),
        ("solver.max_steps=0", "at least 1"),
        ("solver.krylov_max=0", "at least 1"),
        ("solver.precision=single", "double"),
        ("geometry.voxel_size=0.4", "(0, 1e-3] m"),
        ("geometry.voxel_size=0.4 parsec", "um"),
        ("geometry.voxel_size=[1e-6, 1e-6]", "one length or three"),
        ("geometry.thickness_axis=3", "0, 1 or 2"),
        ("geometry.separator_side=top", "start"),
        ("geometry.min_live=1.5", "[0, 1]"),
        ("geometry.path=''", "path"),
        ("cell.overrides={am.D_s: 1, am: {D_s: 2}}", "Keep one"),
        ("protocol.steps=[]", "at least one step"),
        ("output.fields=[sto, soc]", "'sto'"),
        ("output.fields=[phi_s]", "'sto'"),
        ("output.fields=[sto, film]", "film_thickness"),
        ("output.snapshots=0", "at least 1"),
        ("output.dir=''", "a folder"),
    ],
)
def test_values_out_of_range_name_key_value_and_range(override: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([override])
    message = str(caught.value)
    key = "cell.am.D_s" if "am.D_s" in override else override.partition("=")[0]
    assert key in message
    assert allowed in message


def test_paths_are_used_as_written_and_shipped_images_by_name() -> None:
    assert image_path("a/b.tif") == Path("a/b.tif")
    with pytest.raises(ConfigError, match="No image named 'nothing.tif' is shipped"):
        image_path("mesh:nothing.tif")


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("geometry.path=my stack (1).tif", "my stack (1).tif"),
        ("geometry.path=a=b,c.tif", "a=b,c.tif"),
        ('geometry.path="a b.tif"', "a b.tif"),
        ("geometry.path=/data/x y/$1.tif", "/data/x y/$1.tif"),
        ('geometry.path=say "hi".tif', 'say "hi".tif'),
    ],
)
def test_paths_may_hold_anything_without_more_quotes(word: str, read: str) -> None:
    assert load(["geometry=file", word]).geometry.path == read


def test_formulas_need_no_quotes_beyond_those_of_the_shell() -> None:
    overrides = load(["cell.am.D_s=1e-14*exp(-3*sto)", "cell.electrolyte.kappa='0.05*sqrt(c_e/1130)'"]).cell.overrides
    assert overrides == {"am.D_s": "1e-14*exp(-3*sto)", "electrolyte.kappa": "0.05*sqrt(c_e/1130)"}


def test_resume_is_a_switch_outside_the_groups() -> None:
    assert load().resume is False
    assert load(["resume=true"]).resume is True
    with pytest.raises(ConfigError, match="Unknown setting 'resum=true'. Did you mean 'resume'"):
        load(["resum=true"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("geometry.crop=[[0, 4]]", "three ranges"),
        ("geometry.crop=[null, [0, 1.5], null]", "[start, stop]"),
        ("geometry.crop=5", "three ranges"),
        ("geometry.coarsen=0", "[1, 64]"),
        ("output.checkpoint=-1", "a time >= 0"),
    ],
)
def test_crops_coarsening_and_checkpoints_are_checked(word: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load([word])
    assert word.partition("=")[0] in str(caught.value) and said in str(caught.value)


@pytest.mark.parametrize(
    "word", ["geometry.texture=grains", "geometry.grain=2 um", "geometry.pores=away", "geometry.seed=3"]
)
def test_a_setting_of_the_surroundings_that_would_change_nothing_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=f"{word.partition('=')[0]}=.* changes nothing"):
        load(["geometry.path=stack.tif", word])
    assert load(["geometry.path=stack.tif", word, "geometry.coverage=0.5"]).geometry.places_phases


@pytest.mark.parametrize(("word", "changed"), [("geometry.coarsen=2", True), ("geometry.min_live=0.1", False)])
def test_what_changes_a_synthetic_electrode_is_known(word: str, changed: bool) -> None:
    assert load(["geometry=generated", word]).geometry.is_changed is changed


def test_a_path_alone_means_an_image_of_ones_own_with_none_of_the_demonstrations_labels() -> None:
    assert load(["geometry.path=stack.tif"]) == load(["geometry=file", "geometry.path=stack.tif"])
    assert load(["geometry.path=stack.tif"]).geometry.labels == {}
    assert load(["geometry.path=stack.tif", "geometry=ct_nmc_filled"]).geometry.labels["electrolyte"] == 0


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The config.yaml of an earlier run, as `voxelyte run` leaves it, with its image beside it."""
    (tmp_path / "run").mkdir()
    (tmp_path / "stack.tif").touch()
    words = ["geometry.path=../stack.tif", "geometry.labels={am: 7, cbd: 8}", "cell.electrolyte.kappa=0.05"]
    text = to_yaml(load([*words, "solver.rtol=1e-4", "output.dir=."]))
    path = tmp_path / "run" / "config.yaml"
    path.write_text(text)
    return path


def test_a_stored_configuration_is_read_back_with_its_folder(stored: Path) -> None:
    again = load([], base=stored)
    assert again.geometry.labels == {"am": 7, "cbd": 8} and again.solver.rtol == 1e-4
    assert again.cell.overrides == {"electrolyte.kappa": 0.05}
    assert Path(again.geometry.path).resolve() == (stored.parent / "../stack.tif").resolve()
    assert again.output.dir == str(stored.parent)


def test_words_take_the_place_of_what_is_stored(stored: Path) -> None:
    words = ["solver.rtol=2e-4", "cell.am.D_s=1e-14*exp(-sto)", "geometry.labels.pore=9", "~geometry.labels.cbd"]
    again = load([*words, "output.dir=b", "resume=true", "protocol=charge_c3"], base=stored)
    assert again.solver.rtol == 2e-4 and again.output.dir == "b" and again.resume
    assert again.cell.overrides == {"electrolyte.kappa": 0.05, "am.D_s": "1e-14*exp(-sto)"}
    assert again.geometry.labels == {"am": 7, "pore": 9}
    assert again.protocol.steps == ["Charge at C/3 until 4.2 V"]


def test_a_stored_parameter_can_be_changed(stored: Path) -> None:
    assert load(["cell.electrolyte.kappa=0.3"], base=stored).cell.overrides == {"electrolyte.kappa": 0.3}
    inner = {"value": 1.0, "activation_energy": "0.4 eV"}
    again = load(["cell.electrolyte.kappa={value: 1.0, activation_energy: 0.4 eV}"], base=stored)
    assert again.cell.overrides == {"electrolyte.kappa": inner}


def test_the_stored_configuration_of_a_synthetic_electrode_is_read_back(tmp_path: Path) -> None:
    words = ["geometry=generated", "geometry.generate.am_fraction=0.4", "geometry.generate.diameter=5 um"]
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(load(words)))
    again = load(["geometry.generate.spread=0.2"], base=path)
    assert again.geometry.path is None and again.geometry.generate is not None
    assert (again.geometry.generate.am_fraction, again.geometry.generate.diameter) == (0.4, 5e-6)
    assert again.geometry.generate.spread == 0.2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No file"),
        ("a: 1", "its keys must be"),
        ("- 1", "its keys must be"),
        ("solver: {rtol: 7}", "[1e-8, 0.1]"),
    ],
)
def test_a_wrong_stored_configuration_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(["geometry.path=a.tif"], base=path)
    assert said in str(caught.value)
