"""What a study is made of: cases that are run, and trends that are judged by their results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulator.errors import ConfigError, did_you_mean
from simulator.io import RunResult

Verdict = Literal["accept", "reject", "reported", "not run"]
#: role in a trend -> result
Results = Mapping[str, RunResult]


class CellStopped(ConfigError):
    """The simulated cell stopped (salt, voltage) before it did what the measured one did."""


@dataclass(frozen=True)
class Case:
    """One run. `words`: its settings, as of `voxelyte run`; `what`: what it is, in a few words.

    `counts_in_part`: what an interrupted run has reached can be judged, as of many cycles.
    """

    name: str
    words: tuple[str, ...]
    what: str
    counts_in_part: bool = False


@dataclass(frozen=True)
class Finding:
    """What became of a trend: `number` for the table, `text` with what it rests on."""

    verdict: Verdict
    number: str
    text: str = ""


@dataclass(frozen=True)
class Trend:
    """A published trend. `criterion`: when it is accepted; `judge`: results by role -> finding.

    `roles`: variant of the model -> role -> name of the case that plays it. The variant "base" is the claim itself,
    the others are null models beside it.
    """

    name: str
    claim: str
    criterion: str
    roles: Mapping[str, Mapping[str, str]]
    judge: Callable[[Results], Finding]

    def find(self, results: Mapping[str, RunResult], variant: str) -> Finding:
        """The finding from the `results` of cases: "not run" if one that it needs is missing or tells too little.

        A cell that stops where the measured one went on is a reason to reject.
        """
        roles = self.roles[variant]
        missing = [case for case in roles.values() if case not in results]
        if missing:
            return Finding("not run", "-", f"needs {', '.join(missing)}")
        try:
            return self.judge({role: results[case] for role, case in roles.items()})
        except CellStopped as error:
            return Finding("reject", "stopped", str(error))
        except ConfigError as error:
            return Finding("not run", "-", str(error))


@dataclass(frozen=True)
class Study:
    """`cases` in the order in which they are run, short ones first. `draw`: results by case -> picture in a file."""

    name: str
    title: str
    source: str
    cases: Sequence[Case]
    trends: Sequence[Trend]
    draw: Callable[[Mapping[str, RunResult], Path], Path]

    def chosen(self, names: Sequence[str]) -> list[Trend]:
        """The trends called `names`, or that begin so (T1: T1 coverage, T1 life); all without names.

        **Errors:** ConfigError for an unknown name.
        """
        if not names:
            return list(self.trends)
        for name in names:
            if not any(_called(trend, name) for trend in self.trends):
                known = [trend.name for trend in self.trends]
                raise ConfigError(f"Study {self.name} has no trend {name!r}.{did_you_mean(name, known)}")
        return [trend for trend in self.trends if any(_called(trend, name) for name in names)]

    def needed(self, trends: Sequence[Trend]) -> list[Case]:
        """The cases that `trends` are judged by, in the order of the study."""
        names = {case for trend in trends for roles in trend.roles.values() for case in roles.values()}
        return [case for case in self.cases if case.name in names]


def _called(trend: Trend, name: str) -> bool:
    return name.casefold() in (trend.name.casefold(), trend.name.partition(" ")[0].casefold())
