"""Measure, keep a history, compare: `python -m benchmarks effective | coupled | compare | list`."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import effective, history, structures
from benchmarks.coupled import SIZES as COUPLED_SIZES
from benchmarks.record import (
    BUSY,
    HISTORY,
    append,
    available_threads,
    busy_cores,
    number,
    run_child,
    significant,
    table,
)
from simulator.errors import ConfigError, GeometryError, did_you_mean

DEFAULT_STRUCTURES, DEFAULT_SIZES, DEFAULT_COUPLED = ("spheres", "blobs"), (64,), (48,)


def _threads(threads: int) -> None:
    available = available_threads()
    if not 1 <= threads <= available:
        raise ConfigError(f"--threads must lie in 1 to {available} (cores this process may use), got {threads}.")


def _keep(line: dict[str, Any], path: Path) -> bool:
    """Print a line, and keep it if it holds a measurement."""
    print(json.dumps(significant(line)), flush=True)
    measured = line.get("wall_s") is not None
    if measured:
        append(significant(line), path)
    return measured


def _busy_note(lines: Sequence[dict[str, Any]]) -> list[str]:
    """A warning if other programs were computing before one of the measurements."""
    most = max((line["busy_cores"] or 0.0 for line in lines), default=0.0)
    if most <= BUSY:
        return []
    return [f"Other programs were using up to {most:g} cores: do not quote these times and ratios, measure again."]


def run_effective(arguments: argparse.Namespace) -> int:
    """Our solver and the chosen programs on each structure and size, one process at a time."""
    peers = effective.choose_peers(arguments.peers)
    _threads(arguments.threads)
    if arguments.repeats < 1:
        raise ConfigError(f"--repeats must be at least 1, got {arguments.repeats}.")
    for name in arguments.structures:
        for size in arguments.sizes:
            structures.check(name, size)
    tolerances = list(effective.TOLERANCES) if arguments.tolerance == "both" else [arguments.tolerance]
    lines: list[dict[str, Any]] = []
    notes, failed = [], False
    for name in arguments.structures:
        for size in arguments.sizes:
            with tempfile.TemporaryDirectory() as folder:
                image, reference = Path(folder) / "sigma.npy", None
                np.save(image, structures.make(name, size))
                for tolerance in tolerances:
                    case = {"structure": name, "size": size, "tolerance": tolerance, "image": str(image)}
                    case |= {"threads": arguments.threads, "repeats": arguments.repeats, "reference": reference}
                    busy = busy_cores()
                    own = run_child("benchmarks.effective", case) | {"busy_cores": busy}
                    if not _keep({key: own[key] for key in own if key != "image"}, arguments.history):
                        notes.append(f"{name} {size}^3 {tolerance}: failed: {own['error']}")
                        failed = True
                        continue
                    failed |= not own["converged"]
                    reference = own["reference"]
                    lines.append(own)
                    for peer in peers:
                        busy = busy_cores()
                        line = effective.measure_peer(peer, image, own) | {"busy_cores": busy}
                        if _keep(line, arguments.history):
                            lines.append(line)
                            continue
                        why = f"skipped: {line['skipped']}" if "skipped" in line else f"failed: {line['error']}"
                        notes.append(f"{name} {size}^3 {tolerance}, {peer}: {why}")
    if lines:
        print("\n" + effective.result_table(lines))
        notes += _busy_note(lines)
    print("".join(f"\n{note}" for note in dict.fromkeys(notes)))
    return int(failed)


def run_coupled(arguments: argparse.Namespace) -> int:
    """One implicit step of the cell on each size."""
    _threads(arguments.threads)
    low, high = COUPLED_SIZES
    for size in arguments.sizes:
        if not low <= size <= high:
            raise ConfigError(f"--sizes must lie in {low} to {high} (crops of the {high}^3 image), got {size}.")
    rows: list[tuple[str, ...]] = []
    lines: list[dict[str, Any]] = []
    failed = False
    for size in arguments.sizes:
        busy = busy_cores()
        line = run_child("benchmarks.coupled", {"size": size, "threads": arguments.threads}) | {"busy_cores": busy}
        if not _keep(line, arguments.history):
            failed = True
            continue
        lines.append(line)
        keys = ("wall_s", "newton_per_solve", "krylov_per_solve", "voxel_solves_per_s", "bytes_per_voxel")
        rows.append((f"{size}^3", *(number(line[key]) for key in keys)))
    if rows:
        header = ("crop", "wall s per solve", "Newton per solve", "Krylov per solve", "voxel-solves/s", "B/voxel")
        print("\n" + table(header, rows))
        print("".join(f"\n{note}" for note in _busy_note(lines)))
    return int(failed)


def run_compare(arguments: argparse.Namespace) -> int:
    """Ratios of two states of the history; 1 if one is beyond the limit."""
    if not arguments.limit > 0:
        raise ConfigError(f"--limit must be above 0 (1.15: 15 % more), got {arguments.limit:g}.")
    lines = history.read(arguments.history)
    found = history.compare(history.select(lines, arguments.old), history.select(lines, arguments.new))
    print(history.comparison_table(found, arguments.limit))
    worse = sum(item.worse(arguments.limit) for item in found)
    print(f"\n{worse} of {len(found)} cases need more than {arguments.limit:g} times the time or memory.")
    return int(worse > 0)


def run_list(arguments: argparse.Namespace) -> int:
    """Structures, programs, and what the history holds."""
    print("Structures")
    for name, structure in structures.STRUCTURES.items():
        limit = f" (up to {structure.largest}^3)" if structure.largest else ""
        print(f"  {name:13} {structure.about}{limit}")
    print("\nOther programs")
    for peer in effective.peer_names():
        found = "ready" if effective.interpreter(peer).exists() else effective.cure(peer)
        print(f"  {peer:13} {found}")
    print("\nHistory")
    own = [line for line in history.read(arguments.history) if line.get("solver") == history.OWN]
    for name in dict.fromkeys(history.state(line) for line in own):
        there = [line for line in own if history.state(line) == name]
        dates = [line.get("date", "?")[:10] for line in there]
        print(f"  {name:13} {len(there)} measurements, {dates[0]} to {dates[-1]}")
    if not own:
        print("  nothing measured yet")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--history", type=Path, default=HISTORY, help="file of the history (default: %(default)s)")
    cores = argparse.ArgumentParser(add_help=False)
    cores.add_argument("--threads", type=int, default=min(2, available_threads()), help="cores (default: %(default)s)")

    command = commands.add_parser("effective", parents=[common, cores], help="conductivity of structures")
    command.add_argument("--structures", nargs="+", default=list(DEFAULT_STRUCTURES), metavar="NAME")
    command.add_argument("--sizes", type=int, nargs="+", default=list(DEFAULT_SIZES), metavar="N", help="voxels a side")
    command.add_argument("--tolerance", choices=("keff", "residual", "both"), default="keff")
    command.add_argument("--repeats", type=int, default=3, help="warm solves, of which the median counts")
    command.add_argument("--peers", default="none", help="none, all, or names with commas: amgcl,taufactor")
    command.set_defaults(run=run_effective)

    command = commands.add_parser("coupled", parents=[common, cores], help="an implicit step of the whole cell")
    command.add_argument("--sizes", type=int, nargs="+", default=list(DEFAULT_COUPLED), metavar="N")
    command.set_defaults(run=run_coupled)

    command = commands.add_parser("compare", parents=[common], help="two commits of the history")
    command.add_argument("old", help="first digits of a commit, + behind them for changed code; or line:N")
    command.add_argument("new", help="likewise")
    command.add_argument("--limit", type=float, default=history.LIMIT, help="ratio new / old (default: %(default)s)")
    command.set_defaults(run=run_compare)

    commands.add_parser("list", parents=[common], help="structures, programs, history").set_defaults(run=run_list)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 1 if something failed or got slower, 2 for wrong arguments."""
    given = list(sys.argv[1:] if argv is None else argv)
    known = ("effective", "coupled", "compare", "list")
    try:
        if given and not given[0].startswith("-") and given[0] not in known:
            raise ConfigError(f"There is no command {given[0]!r}.{did_you_mean(given[0], known)}")
        arguments = _parser().parse_args(given)
        return arguments.run(arguments)
    except (ConfigError, GeometryError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
