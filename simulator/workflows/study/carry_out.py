"""The work of a study: run what is not done yet, as far as the time goes, and judge by what there is."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.errors import ConfigError, GeometryError
from simulator.io import RunResult, read_result
from simulator.io.atomic import replaced
from simulator.workflows.electrode import read_electrode
from simulator.workflows.folder import RESULT, RESUMABLE, Plan, configuration_hash, make_folder, plan
from simulator.workflows.run import run
from simulator.workflows.study.plan import Case, Finding, Study, Trend

if TYPE_CHECKING:
    from simulator.config import RunConfig

NOT_RUN = "not run"
#: ends of a run that say something about the solver and not about the cell: they decide nothing
NUMERICAL = ("newton_failed", "dt_min")


@dataclass(frozen=True)
class StudyOutcome:
    """`status`: case -> how it ended; `findings`: trend -> variant -> finding; `interrupted`: by the user; `code`: case
    -> version and commit that it was computed by."""

    folder: Path
    status: dict[str, str]
    findings: dict[str, dict[str, Finding]]
    interrupted: bool
    code: dict[str, str]


def carry_out(
    study: Study,
    configure: Callable[[Sequence[str]], "RunConfig"],
    folder: Path,
    *,
    limit: float | None = None,
    only: Sequence[str] = (),
    settings: Sequence[str] = (),
    console: Console | None = None,
) -> StudyOutcome:
    """Run the cases of `study` that the trends `only` need (all without), in folders of their own, and judge.

    What is finished is not repeated, and what was interrupted goes on: the command can be given again. Writes
    study.md, study.json and study.png in `folder`.

    **Arguments:** `configure`: settings -> configuration, as `voxelyte run` reads them; `limit` [s]: of computing; runs
    beyond it are "not run"; `settings`: for every run, on top of its own.

    **Errors:** ConfigError for an unknown trend, wrong `settings`, or a folder with other runs; GeometryError if no
    case has an electrode.
    """
    console = console or Console()
    notes = Console(stderr=True, markup=False, highlight=False)
    trends = study.chosen(only)
    cases = study.needed(trends)
    deadline = None if limit is None else time.monotonic() + limit
    configs = {
        case.name: configure([*case.words, *settings, f"output.dir={folder / case.name}", "resume=true"])
        for case in cases
    }
    make_folder(folder, "--output")
    status: dict[str, str] = {}
    results: dict[str, RunResult] = {}
    interrupted = False
    for number, case in enumerate(cases, start=1):
        left = _share(cases[number - 1 :], deadline)
        notes.print(f"[{number}/{len(cases)}] {case.name}: {case.what}")
        rung = threading.Event()  # the clock has asked this case to end, and nobody else
        try:
            found = None
            if not interrupted and left != 0.0:
                with _alarm(left, rung):
                    ended = run(configs[case.name], Console(quiet=True))
                found, interrupted = ended.result, ended.asked and not rung.is_set()
            if found is None:
                found = _earlier(configs[case.name], folder / case.name)
        except GeometryError as error:
            status[case.name] = "not possible"
            notes.print(f"{case.name} cannot be run: {error}", soft_wrap=True)
            continue
        except KeyboardInterrupt:
            interrupted, found = not rung.is_set(), _earlier(configs[case.name], folder / case.name)
        if found is None:
            status[case.name] = NOT_RUN
            continue
        status[case.name] = found.status
        if found.status in NUMERICAL or (found.status in RESUMABLE and not case.counts_in_part):
            continue
        results[case.name] = found
    if status and set(status.values()) == {"not possible"}:
        raise GeometryError("No case of this study has an electrode with these settings: see above.")
    findings = {trend.name: {name: trend.find(results, name) for name in trend.roles} for trend in trends}
    code = {name: _made_by(found.provenance) for name, found in results.items()}
    if len(set(code.values())) > 1:
        made = ", ".join(sorted(set(code.values())))
        notes.print(f"The runs were computed by different versions of the program ({made}): see study.md.")
    outcome = StudyOutcome(folder, status, findings, interrupted, code)
    console.print(table(study, trends, outcome))
    _write(study, trends, outcome, settings, results)
    return outcome


def _made_by(provenance: Mapping[str, object]) -> str:
    made = [str(provenance[name])[:12] for name in ("voxelyte", "git_commit") if provenance.get(name)]
    return " ".join(made) or "an unknown version"


def _share(cases: Sequence[Case], deadline: float | None) -> float | None:
    """Seconds for the first of `cases`; None: no limit. Those that count in part share what is left between them."""
    if deadline is None:
        return None
    left = max(deadline - time.monotonic(), 0.0)
    return left / len(cases) if cases[0].counts_in_part else left


@contextmanager
def _alarm(limit: float | None, rung: threading.Event) -> Iterator[None]:
    """Ask this process to stop after `limit` seconds, as Ctrl-C does, and set `rung`: a run then ends after its time
    step."""
    if limit is None:
        yield
        return

    def ring() -> None:
        rung.set()
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(limit, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _earlier(config: "RunConfig", folder: Path) -> RunResult | None:
    """The result of `config` that lies in `folder`, however it ended; None without one."""
    if not (folder / RESULT).exists():
        return None
    digest = configuration_hash(config, read_electrode(config.geometry))
    if plan(config, folder, digest) is Plan.start:  # killed before its first state
        return None
    return read_result(folder / RESULT)


def _rows(trends: Sequence[Trend], findings: Mapping[str, Mapping[str, Finding]]) -> Iterator[tuple[str, ...]]:
    """Trend, variant, criterion, number, verdict, text of every finding; the variants below the claim itself."""
    for trend in trends:
        for variant, finding in findings[trend.name].items():
            base = variant == "base"
            name, asked = (f"{trend.name}: {trend.claim}", trend.criterion) if base else (f"  {variant}", "")
            yield name, asked, finding.number, finding.verdict if base else f"({finding.verdict})", finding.text


def table(study: Study, trends: Sequence[Trend], outcome: StudyOutcome) -> Table:
    """Every trend with its verdict; null models in brackets."""
    shown = Table(title=Text(f"{study.title}: {outcome.folder}", style="bold"), title_justify="left")
    for name in ("trend", "accepted if", "found", "verdict"):
        shown.add_column(name)
    for name, asked, number, verdict, _ in _rows(trends, outcome.findings):
        shown.add_row(*map(Text, (name, asked, number, verdict)))
    return shown


def markdown(study: Study, trends: Sequence[Trend], outcome: StudyOutcome, settings: Sequence[str]) -> str:
    """The page of the study: trends, and how each run ended."""
    lines = [f"# {study.title}", "", f"{study.source}. Nothing is fitted. Null models in brackets.", ""]
    if settings:
        lines += [f"Settings of every run: `{' '.join(settings)}`", ""]
    lines += ["| trend | accepted if | found | verdict | details |", "| --- | --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in _rows(trends, outcome.findings)]
    lines += ["", "| run | what | ended as | computed by |", "| --- | --- | --- | --- |"]
    needed, code = study.needed(trends), outcome.code
    lines += [f"| {c.name} | {c.what} | {outcome.status[c.name]} | {code.get(c.name, '')} |" for c in needed]
    return "\n".join([*lines, "", "![curves](study.png)", ""])


def _write(
    study: Study,
    trends: Sequence[Trend],
    outcome: StudyOutcome,
    settings: Sequence[str],
    results: Mapping[str, RunResult],
) -> None:
    """study.md, study.json, study.png. **Errors:** ConfigError if the folder cannot be written to."""
    data = {
        "study": study.name,
        "settings": list(settings),
        "status": outcome.status,
        "trends": {
            name: {variant: vars(finding) for variant, finding in variants.items()}
            for name, variants in outcome.findings.items()
        },
    }
    texts = {
        "study.md": markdown(study, trends, outcome, settings),
        "study.json": json.dumps(data, indent=2, ensure_ascii=False) + "\n",
    }
    try:
        for name, text in texts.items():
            with replaced(outcome.folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot write to {outcome.folder}: {error.strerror or error}. Free some space.") from error
    study.draw(results, outcome.folder / "study.png")
