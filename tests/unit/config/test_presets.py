"""Presets: one word chooses geometry, cell and protocol, and everything can still be changed."""

from pathlib import Path

import pytest

from simulator.cli.run import _parser
from simulator.config import load, to_yaml
from simulator.config.compose import load_sweep
from simulator.errors import ConfigError
from simulator.resources import PRESETS, config_groups
from simulator.workflows.electrode import read_electrode

NAMES = config_groups()[PRESETS]


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_is_an_electrode_with_the_porosity_and_coverage_that_it_names(name: str) -> None:
    config = load([f"experiment={name}"])
    electrode = read_electrode(config.geometry)
    assert electrode.shape[1:] == (40, 40) and electrode.voxel_size == pytest.approx((1.2e-6,) * 3)
    assert electrode.porosity == pytest.approx(config.geometry.porosity, abs=1e-5)  # to one of 64000 voxels
    assert electrode.coverage == pytest.approx(config.geometry.coverage, abs=0.01)
    # nearly all that is covered reacts: what the porous cathodes lose, they lose by coverage
    assert electrode.summary()["Live share of AM|ionic area [-]"] > 0.98


def test_loadings_are_those_that_the_files_state() -> None:
    for name, stated in (("an2023/cal", 12.3), ("an2023/pca_thick", 28.4)):  # mg/cm2, three digits
        electrode = read_electrode(load([f"experiment={name}"]).geometry)
        loading = 4780.0 * (electrode.phase == 1).mean() * electrode.size_m[0] * 100.0
        assert loading == pytest.approx(stated, abs=0.05)


def test_cold_and_hot_pressed_differ_in_nothing_but_their_pores() -> None:
    cal, hot = (load([f"experiment=an2023/{name}"]) for name in ("cal", "hot_cal"))
    assert (cal.geometry.porosity, cal.geometry.coverage) != (hot.geometry.porosity, hot.geometry.coverage)
    hot.geometry.porosity, hot.geometry.coverage = cal.geometry.porosity, cal.geometry.coverage
    assert hot == cal
    assert cal.geometry.porosity / 0.122 == pytest.approx(load(["experiment=an2023/pca"]).geometry.porosity / 0.010)


def test_contact_and_chemistry_are_combined_one_by_one() -> None:
    cal, pca, pegda, acn = (load([f"experiment=an2023/{name}"]) for name in ("cal", "pca", "pegda", "peo_acn"))
    rate = "decomposition.j_ref"
    assert pegda.geometry == pca.geometry and acn.geometry == cal.geometry
    assert pegda.cell.overrides[rate] == cal.cell.overrides[rate]
    assert acn.cell.overrides[rate] == pca.cell.overrides[rate] == pytest.approx(0.1 * cal.cell.overrides[rate])


def test_other_choices_and_values_win_over_those_of_a_preset_wherever_they_stand() -> None:
    word, more = "experiment=an2023/hot_cal", ["solver.rtol=2e-3", "geometry.coverage=0.8", "cell.decomposition.beta=0"]
    found = load([*more, word, "protocol=charge_c3"])
    assert found == load([word, "protocol=charge_c3", *more])
    assert found.solver.rtol == 2e-3 and found.geometry.coverage == 0.8 and found.geometry.porosity == 0.074
    assert (
        found.cell.overrides["decomposition.beta"] == 0 and found.cell.overrides["decomposition.law"] == "delithiation"
    )
    assert found.protocol.steps == ["Charge at C/3 until 4.2 V"]


def test_a_preset_takes_an_image_of_ones_own_with_its_porosity() -> None:
    found = load(["experiment=an2023/cal", "geometry.path=stack.tif"]).geometry
    assert (found.path, found.crop, found.resample, found.porosity) == ("stack.tif", None, None, 0.122)


def test_presets_are_swept() -> None:
    listed = load_sweep(["experiment=an2023/cal,an2023/hot_cal", "solver.rtol=1e-3,2e-3"])
    assert [run.config.geometry.porosity for run in listed.runs] == [0.122, 0.122, 0.074, 0.074]
    matched = load_sweep(["experiment=glob(an2023/p*)"])
    assert [run.values for run in matched.runs] == [{"experiment": n} for n in NAMES if n.startswith("an2023/p")]


def test_the_stored_configuration_of_a_preset_is_read_back_and_can_be_replaced_by_another(tmp_path: Path) -> None:
    stored = tmp_path / "config.yaml"
    stored.write_text(to_yaml(load(["experiment=an2023/cal", "solver.rtol=2e-3"])))
    assert load([], base=stored) == load(["experiment=an2023/cal", "solver.rtol=2e-3"])
    other = load(["experiment=an2023/pca", "geometry.coverage=0.98"], base=stored)
    assert other == load(["experiment=an2023/pca", "solver.rtol=2e-3", "geometry.coverage=0.98"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("experiment=an2023/call", "Did you mean 'an2023/cal'"),
        ("experimen=an2023/cal", "Did you mean 'experiment'"),
        ("experiment.coverage=1", "chosen as a whole.*an2023/hot_cal"),
        ("~experiment", "chosen as a whole"),
    ],
)
def test_mistakes_name_the_presets(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load([word])


def test_the_help_of_run_lists_the_presets() -> None:
    text = _parser().format_help()
    assert "experiment=an2023/cal|an2023/hot_cal" in text
