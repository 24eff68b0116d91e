"""The pages of the documentation do what they say: commands and Python blocks run, promised files appear."""

import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import tifffile

from simulator import cli
from simulator.model import Solution, leg, run
from simulator.resources import mesh_path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
#: pages whose commands and Python blocks are run
RUN = [
    README,
    *sorted((ROOT / "docs").glob("tutorial_*.md")),
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("input", "electrodes", "segmentation", "decomposition", "gradients", "measured_curves", "fitting")
    ),
]
MARK = "<!-- not run by the tests: "
#: page -> blocks that carry that mark; a new one is meant to be noticed here
NOT_RUN = {"tutorial_image_to_figure.md": 1, "fitting.md": 1}
PROMISED = re.compile(r"`([\w./-]+\.(?:png|html|gif|csv|vtkhdf|yaml|json))`")


class Block(NamedTuple):
    language: str
    text: str
    run: bool


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of a page, in order."""
    lines = iter(page.read_text(encoding="utf-8").splitlines())
    before = ""
    for line in lines:
        if line.startswith("```"):
            body = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                body.append(inner)
            yield Block(line[3:], "\n".join(body) + "\n", not before.startswith(MARK))
        before = line


def commands(page: Path) -> list[list[str]]:
    """Arguments of each `voxelyte ...` line, a backslash at its end joining the next."""
    found = []
    for block in blocks(page):
        if block.language == "sh" and block.run:
            joined = block.text.replace("\\\n", " ").splitlines()
            found += [shlex.split(line)[1:] for line in joined if line.startswith("voxelyte ")]
    return found


def python(page: Path) -> list[str]:
    return [block.text for block in blocks(page) if block.language == "python" and block.run]


def write_files(page: Path, folder: Path) -> None:
    """Blocks whose first line names a file, as in "yaml fit.yaml"."""
    for block in blocks(page):
        _, _, name = block.language.partition(" ")
        if name:
            (folder / name).write_text(block.text)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `stack.tif`: 12 x 13 x 11 voxels of the shipped electrode, three particles.

    Of the size of `tiny_stack`, so that no solver is compiled for this file alone, but from a place where the
    electrode also works with empty pores, as in the README.
    """
    voxels = tifffile.imread(mesh_path("nmc532_film_48.tif"))[30:42, 34:47, 11:22]
    per_um = 1 / 0.398
    tags = {"spacing": 0.398, "unit": "um"}
    tifffile.imwrite(tmp_path / "stack.tif", voxels, imagej=True, resolution=(per_um, per_um), metadata=tags)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _long_time_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the usual time steps. Here it counts that the lines run; their accuracy is tested elsewhere."""
    monkeypatch.setattr(leg, "POINTS_PER_CAPACITY", 5)
    usual = run.ErrorScales
    monkeypatch.setattr(run, "ErrorScales", lambda **scales: usual(**{name: 50 * v for name, v in scales.items()}))


def option(arguments: list[str], prefix: str) -> str | None:
    return next((word.removeprefix(prefix) for word in arguments if word.startswith(prefix)), None)


@pytest.mark.parametrize("page", [page for page in RUN if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_succeed_and_leave_the_promised_files(
    page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(page, workplace)
    drawn = page.name != "tutorial_image_to_figure.md"  # pictures of the first run of that page only: they take seconds
    for arguments in commands(page):
        quiet = []
        if arguments[0] == "run" and "--cfg" not in arguments:
            quiet = ["output.pictures=false"] if drawn else []
            drawn = True
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # the program prints its warnings; they are no errors of the page
            code = cli.main([*arguments, *quiet])
        told = capsys.readouterr()
        assert code == 0, f"{shlex.join(arguments)}\n{told.out}{told.err}"
        if "--output" in arguments:
            assert Path(arguments[arguments.index("--output") + 1]).stat().st_size > 0
        folder = option(arguments, "output.dir=")
        if folder is not None:
            assert {"run.vtkhdf", "curve.bdf.csv", "config.yaml"} <= {path.name for path in Path(folder).iterdir()}
    if page.name.startswith("tutorial_"):
        assert missing(page, workplace) == []


def missing(page: Path, workplace: Path) -> list[str]:
    """Files named in the text that are neither in the working directory nor in the folder of a run."""
    places = [workplace, *(folder for folder in (workplace / "outputs").glob("*") if folder.is_dir())]
    promised = PROMISED.findall(page.read_text(encoding="utf-8"))
    assert promised
    return sorted({name for name in promised if not any((place / name).exists() for place in places)})


@pytest.mark.parametrize("page", [page for page in RUN if python(page)], ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_in_order(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_files(page, workplace)
    namespace: dict[str, object] = {}
    with warnings.catch_warnings(), mpl.rc_context():  # a page may choose a style
        warnings.simplefilter("default")
        for number, text in enumerate(python(page), start=1):
            exec(compile(text, f"{page.name}, Python block {number}", "exec"), namespace)
    plt.close("all")
    solutions = {name: value for name, value in namespace.items() if isinstance(value, Solution)}
    status = {name: solution.status for name, solution in solutions.items()}
    assert status == {name: "interrupted" if name == "first" else "finished" for name in solutions}
    for place in re.findall(r'(?:save_to=|savefig\()"([^"]*)"', "".join(python(page))):
        assert (workplace / place).stat().st_size > 0
    if page.name == "tutorial_python.md":
        said = capsys.readouterr().out
        assert "the same voxels: True" in said and "same numbers: True" in said
        remainder = re.search(r"largest remainder: (\S+) V", said)
        assert remainder is not None
        # the losses are an exact decomposition; Newton ends at 1e-6 of the current, microvolts of 30 mV
        assert float(remainder[1]) < 1e-5
        assert "Did you mean 'electrolyte.kappa'" in said


def test_blocks_that_are_not_run_say_why_and_are_counted() -> None:
    found = {page.name: sum(not block.run for block in blocks(page)) for page in RUN}
    assert {name: count for name, count in found.items() if count} == NOT_RUN
    for page in RUN:
        for reason in re.findall(rf"^{re.escape(MARK)}(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert len(reason) > 20 and reason.endswith("-->")


def anchors(page: Path) -> set[str]:
    """Names that a link can point to, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def test_pictures_of_the_tutorials_are_small_and_shown() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").glob("tutorial_*.png"):
        assert picture.stat().st_size < 300_000, picture.name
        assert f"images/{picture.name}" in text, f"{picture.name} is not shown"


def test_index_names_every_page_and_every_command() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index
    assert sorted(re.findall(r"`voxelyte (\w+)`", index)) == sorted(cli.COMMANDS)


@pytest.mark.parametrize(
    "name",
    [
        "index",
        "input",
        "outputs",
        "decomposition",
        "fitting",
        "gradients",
        "measured_curves",
        "tutorial_image_to_figure",
        "tutorial_python",
    ],
)
def test_prose_fits_the_line_length(name: str) -> None:
    lines = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []
