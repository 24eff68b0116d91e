"""`voxelyte segment`: the words of the command line, and one clear line for wrong input."""

import numpy as np
import pytest
import tifffile

from simulator.cli import main
from simulator.cli.segment import load
from simulator.errors import ConfigError


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """`scan.tif`: three grey levels with little noise, in the working directory."""
    monkeypatch.chdir(tmp_path)
    levels = np.repeat(np.array([50.0, 120.0, 200.0]), [6, 4, 10])[None, :, None]
    noise = np.random.default_rng(0).normal(0, 4, (12, 20, 14))
    tifffile.imwrite("scan.tif", (levels + noise).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite("colour.tif", np.zeros((20, 20, 3), np.uint8), photometric="rgb")
    tifffile.imwrite("labels.tif", np.indices((8, 8, 8)).sum(0).astype(np.uint8) % 3, photometric="minisblack")
    return tmp_path


def test_the_table_names_classes_fractions_and_files(scan, capsys):
    assert main(["segment", "scan.tif", "denoise=median", "min_size=0"]) == 0
    told = capsys.readouterr()
    assert "voxelyte: warning" not in told.err
    for word in ("pore", "30.00", "cbd", "20.00", "am", "50.00", "outputs/segment-scan/segmented.tif", "simulate it:"):
        assert word in told.out


def test_words_become_settings():
    found = load(["a b.tif", "classes=2", "labels={electrolyte: 0, am: 1}", "thresholds=120", "output=o", "drift=true"])
    assert (found.image, found.output, found.classes, found.drift) == ("a b.tif", "o", 2, True)
    assert found.thresholds == [120.0] and found.labels == {"electrolyte": 0, "am": 1}


def test_fractions_densities_and_lengths_have_units():
    words = ["s.tif", "expected={am: 90 %, cbd: 0.1}", 'densities={am: "4.7 g/cm3", cbd: 1900}', "voxel_size=0.4 um"]
    found = load(words)
    assert found.expected == {"am": pytest.approx(0.9), "cbd": 0.1}
    assert found.densities == {"am": pytest.approx(4700.0), "cbd": 1900.0}
    assert found.voxel_size == [pytest.approx(0.4e-6)] * 3


def test_labels_say_how_many_classes_there_are():
    assert load(["s.tif", "labels={pore: 0, am: [1, 2, 3]}"]).classes == 4
    assert load(["s.tif"]).classes is None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nope.tif"], "No image file nope.tif"),
        ([], "image must be the path of a grey image"),
        (["colour.tif"], "is a colour image"),
        (["labels.tif"], "segmented already"),
        (["scan.tif", "methd=otsu"], "Unknown setting 'methd=otsu'. Did you mean 'method'"),
        (["scan.tif", "method=watershed"], "method cannot be 'watershed'"),
        (["scan.tif", "image=scan.tif"], "image is given twice"),
        (["scan.tif", "classes=two"], "classes: "),
        (["scan.tif", "labels=[0,1]"], "labels takes a mapping"),
        (["scan.tif", "labels={am: 1"], "Cannot read"),
        (["scan.tif", "clip=[1]"], "clip must be two percentiles"),
        (["scan.tif", "expected={am: lots}"], "expected.am must be a number"),
        (["scan.tif", "densities={am: 4700}"], "give expected"),
        (["scan.tif", "voxel_size=[1 um,1 um]"], "voxel_size must be one length or three"),
        (["scan.tif", "voxel_size=400"], "Numbers are metres"),
        (["scan.tif", "output="], "output must be a folder"),
        (["scan.tif", "classes=2,3"], "several values"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(scan, capsys, words, text):
    assert main(["segment", *words]) == 2
    told = capsys.readouterr().err
    assert text in told and told.startswith("voxelyte: error: ") and told.count("\n") == 1


def test_a_random_walker_that_does_not_converge_exits_3(scan, capsys, monkeypatch):
    from simulator.errors import ConvergenceError
    from simulator.workflows import segment

    def fail(*_, **__):
        raise ConvergenceError("The random walker reached a residual of 1 instead of 0.0001.")

    monkeypatch.setattr(segment, "segment", fail)
    assert main(["segment", "scan.tif", "method=random_walker"]) == 3
    assert "random walker reached" in capsys.readouterr().err


def test_help_lists_every_setting(capsys):
    from dataclasses import fields

    from simulator.config import SegmentConfig

    assert main(["segment", "--help"]) == 0
    told = capsys.readouterr().out
    assert [f.name for f in fields(SegmentConfig) if f"{f.name}=" not in told] == []


def test_a_setting_without_its_config_is_an_error():
    with pytest.raises(ConfigError, match="beta"):
        load(["s.tif", "beta=strong"])
