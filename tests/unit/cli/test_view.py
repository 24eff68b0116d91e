"""`voxelyte view`: the pictures land where they are asked for; wrong words get one helpful line."""

import pytest

from simulator.cli import main

pytestmark = pytest.mark.usefixtures("no_opengl")


def test_without_options_the_usual_pictures_lie_beside_the_run(make_result, capsys):
    folder = make_result()
    assert main(["view", str(folder)]) == 0
    captured = capsys.readouterr()
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {"voltage.png", "losses.png", "soc_3d.png", "slices.png", "fields.png"}
    assert set(captured.out.split()) == {str(folder / name) for name in drawn}
    assert "particles.png was not drawn" in captured.err
    assert "voxelyte: warning: Drawing slices instead" in captured.err


def test_one_field_at_one_time_from_the_result_file(make_result, capsys):
    folder = make_result()
    assert main(["view", str(folder / "run.vtkhdf"), "--field", "phi_e", "--time", "0.5h", "--slices"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "phi_e_slices.png")]


@pytest.mark.parametrize(
    "options",
    [
        ["--output", "a.png", "--step", "-1"],
        ["--output", "a.png", "--range", "0", "1", "--slices"],
        ["--output", "a.gif", "--fps", "4", "--frames", "2", "--slices"],
        ["--output", "a.html", "--field", "phi_e"],
        ["--output", "a.html", "--time", "3600"],
    ],
)
def test_the_extension_chooses_what_is_written(make_result, tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    folder = make_result()
    assert main(["view", str(folder), *options]) == 0
    assert capsys.readouterr().out.split() == [options[1]]
    assert (tmp_path / options[1]).stat().st_size > 1000
    assert not list(folder.glob("*.png"))


def test_nickel_of_a_particle_as_picture_and_table(make_result, tmp_path, monkeypatch, capsys):
    folder = make_result()
    assert main(["view", str(folder), "--nickel", "largest", "--direction", "z", "--spot", "0.1um"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "nickel_1.png"), str(folder / "nickel_1.csv")]
    head, *rows = (folder / "nickel_1.csv").read_text().splitlines()
    assert head.startswith("position [m],Ni4+/Ni3+ [-]") and len(rows) == 4
    monkeypatch.chdir(tmp_path)
    words = ["--nickel", "1", "--regions", "2", "--time", "0.5h", "--output", "n.pdf"]
    assert main(["view", str(folder), *words]) == 0
    assert capsys.readouterr().out.split() == ["n.pdf", "n.csv"]
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--nickel", "5"], "no particle 5: give a number from 1 to 1"),
        (["--nickel", "big"], "or 'largest'"),
        (["--nickel", "1", "--direction", "up"], "invalid choice"),
        (["--nickel", "1", "--length", "2 kg"], "length has the unknown length unit"),
        (["--nickel", "1", "--regions", "90"], "shorter than a voxel"),
        (["--nickel", "1", "--field", "sto"], "leave --field"),
        (["--nickel", "1", "--output", "a.html"], "a profile is a picture"),
        (["--spot", "1um"], "add --nickel PARTICLE"),
        (["--regions", "3"], "add --nickel PARTICLE"),
        (["--field", "phi"], "Did you mean 'phi_e'"),
        (["--time", "2 h"], "0 to 3600 s (1 h)"),
        (["--time", "soon"], "must be a time"),
        (["--step", "3"], "0 to 2"),
        (["--output", "a.bmp"], "must be one of .png"),
        (["--output", "nowhere/a.png"], "folder does not exist"),
        (["--fps", "5"], "needs a movie"),
        (["--output", "a.gif", "--fps", "0"], "[0.1, 60]"),
        (["--output", "a.gif", "--frames", "1"], "at least 2"),
        (["--output", "a.gif", "--step", "1"], "shows the whole run"),
        (["--output", "a.html", "--slices"], "its own cuts"),
        (["--range", "0", "1"], "add --field"),
        (["--field", "sto", "--range", "1", "0"], "must increase"),
        (["--step", "1", "--time", "1"], "not allowed with"),
    ],
)
def test_wrong_words_end_with_code_2_and_write_nothing(make_result, tmp_path, monkeypatch, capsys, options, expected):
    monkeypatch.chdir(tmp_path)
    folder = make_result()
    assert main(["view", str(folder), *options]) == 2
    captured = capsys.readouterr()
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert [path.name for path in folder.iterdir()] == ["run.vtkhdf"]


def test_a_folder_without_a_result_names_the_runs_below_it(make_result, tmp_path, capsys):
    folder = make_result()
    assert main(["view", str(tmp_path)]) == 2
    assert str(folder) in capsys.readouterr().err
    assert main(["view", str(tmp_path / "nothing")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_run_that_died_before_its_first_step_says_so(make_result, capsys):
    assert main(["view", str(make_result(rows=False, status="running"))]) == 2
    assert "Nothing could be drawn" in capsys.readouterr().err


def test_help_shows_examples_of_every_kind(capsys):
    assert main(["view", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (".gif", ".html", "--field", "--time", "--range"))
