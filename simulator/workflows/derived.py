"""Tables and pictures that are written beside a run only if its protocol gives them something to tell."""

from collections.abc import Callable
from pathlib import Path

from simulator.io import RunResult, write_table
from simulator.workflows.cycles import cycle_table, has_cycles
from simulator.workflows.gitt import gitt, is_titration

CYCLES, GITT = "cycles", "gitt"


def evaluations(run: RunResult) -> list[str]:
    """Which of `CYCLES` (more than one charge or discharge) and `GITT` (pulses with rests) `run` has."""
    return [name for name, applies in ((CYCLES, has_cycles), (GITT, is_titration)) if applies(run)]


def write_tables(run: RunResult, folder: Path) -> None:
    """`cycles.csv` and `gitt.csv` in `folder`, as far as they apply; older ones that do not are deleted.

    **Errors:** OSError if a file cannot be written.
    """
    applies = evaluations(run)
    for name in (CYCLES, GITT):
        if name not in applies:
            for suffix in (".csv", ".png"):
                (folder / f"{name}{suffix}").unlink(missing_ok=True)
            continue
        write_table(folder / f"{name}.csv", cycle_table(run) if name == CYCLES else gitt(run).columns())


def plots(run: RunResult) -> dict[str, Callable[[Path], Path]]:
    """Evaluation -> function that draws it to a file."""
    from simulator import viz  # matplotlib takes a second

    series = run.timeseries
    draw: dict[str, Callable[[Path], Path]] = {
        CYCLES: lambda file: viz.plot_cycles(cycle_table(run), file, status=run.status),
        GITT: lambda file: viz.plot_gitt(gitt(run), series["test_time_second"], series["voltage_volt"], file),
    }
    return {name: draw[name] for name in evaluations(run)}
