"""`voxelyte study`: published trends against simulated cells."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from simulator.cli.console import EXIT_STOPPED, plain_warnings
from simulator.errors import ConfigError, did_you_mean
from simulator.units import parse_quantity
from simulator.workflows.study import STUDIES

_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run a study and print its table. Returns the exit code: a rejected trend is a result, not a failure."""
    options = _parser().parse_intermixed_args(arguments)
    if options.name not in STUDIES:
        raise ConfigError(f"Unknown study {options.name!r}.{did_you_mean(options.name, STUDIES)}")
    limit = None if options.time_limit is None else parse_quantity(options.time_limit, "time", "--time-limit")
    if limit is not None and limit < 0:
        raise ConfigError(f"--time-limit must be a time >= 0, got {options.time_limit!r}. 0 judges what is there.")
    only = [] if options.only is None else [name.strip() for name in options.only.split(",") if name.strip()]
    from simulator import config
    from simulator.workflows.study.carry_out import NUMERICAL, carry_out

    study = import_module(STUDIES[options.name]).STUDY
    folder = (options.output or Path("outputs") / options.name).expanduser()
    with plain_warnings():
        found = carry_out(study, config.load, folder, limit=limit, only=only, settings=options.overrides)
    if found.interrupted:
        return _INTERRUPTED
    return EXIT_STOPPED if any(status in NUMERICAL for status in found.status.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte study",
        description="Run the cases of a study and hold them against published trends: accept, reject, or not run.",
        epilog=f"""studies: {", ".join(STUDIES)}

examples:
  voxelyte study an2023 --time-limit 2h
  voxelyte study an2023 --only T4,T5 --output outputs/first_charges
  voxelyte study an2023 --only T5 cell.film.conductivity=1e-9     settings of voxelyte run, for every case

Each case is a run in a folder of its own. What is finished is not repeated, and what the time limit (or Ctrl-C) stopped
goes on when the command is given again. The folder gets study.md and study.json with all verdicts, and study.png.
docs/studies.md says what is asked and what was found.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="STUDY", help="name of the study")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings for every run")
    parser.add_argument(
        "--time-limit", metavar="TIME", help="of computing, '2h' or '90 min'; what it does not reach is not run"
    )
    parser.add_argument("--only", metavar="T1,T2", help="trends to judge, by name; only their cases are run")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the study (default: outputs/<study>)")
    return parser
