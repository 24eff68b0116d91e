"""`voxelyte segment` writes labels that a run can read, particles, a picture and facts."""

import json
import warnings

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from simulator.config import SegmentConfig
from simulator.errors import ConfigError, GeometryError
from simulator.geometry import label_particles, load_electrode, read_image
from simulator.resources import mesh_path
from simulator.workflows import segment as workflow
from simulator.workflows.segment import segment_file


@pytest.fixture(scope="module")
def truth():
    return np.choose(tifffile.imread(mesh_path("nmc532_film_48.tif"))[:20, :24, :28], [0, 2, 1])


@pytest.fixture(scope="module")
def grey(truth):
    clean = ndimage.gaussian_filter(np.array([60.0, 120.0, 200.0])[truth], 0.7)
    return (clean + np.random.default_rng(0).normal(0, 6, truth.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def stack(grey, tmp_path, monkeypatch):
    """`scan.tif` with its voxel size, in the working directory."""
    monkeypatch.chdir(tmp_path)
    tags = {"axes": "ZYX", "spacing": 0.5, "unit": "um"}
    tifffile.imwrite("scan.tif", grey, imagej=True, resolution=(2.5, 2.0), metadata=tags)
    tifffile.imwrite("bare.tif", grey, photometric="minisblack")
    tifffile.imwrite("flat.tif", grey[5], photometric="minisblack")
    return tmp_path


def quiet(**settings):
    """Without warnings: those of these small images are tested by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return segment_file(SegmentConfig(denoise="gaussian", **settings))


def test_the_files_make_an_electrode_with_the_voxel_size_of_the_scan(stack, truth, capsys):
    result = quiet(image="scan.tif")
    folder = stack / "outputs" / "segment-scan"
    assert {p.name for p in folder.iterdir()} == {"segmented.tif", "particles.tif", "segment.png", "segment.json"}
    assert result.command == (
        "voxelyte run geometry.path=outputs/segment-scan/segmented.tif 'geometry.labels={pore: 0, cbd: 1, am: 2}'"
    )
    assert result.command in capsys.readouterr().out
    electrode = load_electrode(folder / "segmented.tif", labels={"pore": 0, "cbd": 1, "am": 2})
    assert electrode.voxel_size == pytest.approx((0.5e-6, 0.5e-6, 0.4e-6))
    assert electrode.volume_fraction("am") == pytest.approx(result.found.fraction("am"))
    particles = read_image(folder / "particles.tif").array
    np.testing.assert_array_equal(particles, label_particles(electrode).particle)
    assert result.particles == particles.max() > 1
    assert np.mean(read_image(folder / "segmented.tif").array == truth) > 0.9  # 0.93 measured


def test_the_facts_are_plain_json(stack, capsys):
    quiet(image="scan.tif", json=True, expected={"am": "50 %"})
    told = json.loads(capsys.readouterr().out)
    stored = json.loads((stack / "outputs/segment-scan/segment.json").read_text())
    assert told == stored
    assert told["voxel_size_m"] == pytest.approx([0.5e-6, 0.5e-6, 0.4e-6])
    assert [c["phase"] for c in told["classes"]] == ["pore", "cbd", "am"]
    assert told["phases"]["am"] == pytest.approx(told["classes"][2]["fraction"])
    assert told["expected"][0]["expected"] == 0.5
    assert told["settings"]["expected"] == {"am": 0.5}
    assert len(told["thresholds"]) == len(told["contrast_to_noise"]) == 2


def test_without_a_voxel_size_the_command_says_where_to_put_it(stack, capsys):
    result = quiet(image="bare.tif")
    assert "'geometry.voxel_size=0.4 um'" in result.command
    assert "0.4 um is an example" in capsys.readouterr().out
    assert isinstance(read_image(stack / "outputs/segment-bare/segmented.tif").voxel_size, str)
    assert quiet(image="bare.tif", voxel_size="0.4 um").voxel_size == pytest.approx((0.4e-6,) * 3)


def test_a_section_is_segmented_but_not_sent_to_a_simulation(stack, capsys):
    result = quiet(image="flat.tif", output="here")
    assert result.command is None and result.particles is None
    assert not (stack / "here" / "particles.tif").exists()
    assert "a simulation needs a stack" in capsys.readouterr().out
    with pytest.raises(GeometryError, match="2D section cannot be simulated"):
        load_electrode(stack / "here" / "segmented.tif", voxel_size="0.4 um")


def test_particles_can_be_left_out(stack):
    assert quiet(image="scan.tif", particles=False).particles is None
    assert not (stack / "outputs/segment-scan/particles.tif").exists()


def test_a_wrong_recipe_is_a_warning_that_names_both_fractions(stack):
    with pytest.warns(UserWarning, match=r"am is \d\d.\d % by volume, expected are 90.0 %. Look at segment.png"):
        segment_file(SegmentConfig(image="scan.tif", denoise="none", expected={"am": 0.9}))


def test_wrong_words_are_refused_before_anything_is_computed(stack, monkeypatch):
    monkeypatch.setattr(workflow, "segment", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(ConfigError, match="expected.amm"):
        quiet(image="scan.tif", expected={"amm": 0.5})
    with pytest.raises(ConfigError, match="labels must give each"):
        quiet(image="scan.tif", classes=2, labels={"am": [0, 1, 2]})
    (stack / "file").write_text("")
    with pytest.raises(FileExistsError):
        quiet(image="scan.tif", output="file")


def test_memory_that_will_not_do_is_a_warning(stack, monkeypatch):
    monkeypatch.setattr(workflow, "available_memory", lambda: 1_000_000)
    with pytest.warns(UserWarning, match="GB of memory are needed, 0.001 GB are free"):
        segment_file(SegmentConfig(image="scan.tif", denoise="none"))
