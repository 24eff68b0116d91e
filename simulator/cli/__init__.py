"""The program `voxelyte`: a sub-command, then what it takes.

A command is one module with `main(arguments) -> int` and one line in `COMMANDS`. Modules are imported when
their command is called, so that `--help` does not wait for JAX.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

from simulator.errors import ConfigError, GeometryError, did_you_mean

#: command -> (module, what it does)
COMMANDS = {
    "run": ("simulator.cli.run", "simulate an electrode under a protocol; save fields, curve and pictures"),
    "generate": ("simulator.cli.generate", "make an electrode, or place pores and binder anew around particles"),
    "segment": ("simulator.cli.segment", "phases of a grey image, and how sure they are"),
    "inspect": ("simulator.cli.inspect", "show what an image holds, and what a run of it would need"),
    "effective": ("simulator.cli.effective", "effective conductivity and tortuosity factor of a phase of an image"),
    "sweep": ("simulator.cli.sweep", "table and pictures of a sweep of runs (voxelyte run -m)"),
    "sensitivity": ("simulator.cli.sensitivity", "where more contact would pay: capacity gained at every live face"),
    "fit": ("simulator.cli.fit", "parameters of a cell from measured curves, and how well they are known"),
    "view": ("simulator.cli.view", "pictures, movies and interactive pages of a run"),
    "report": ("simulator.cli.report", "one page with everything about a run, to read, print and share"),
    "compare": ("simulator.cli.compare", "several runs: one figure, a table, and the settings that differ"),
    "trust": ("simulator.cli.trust", "error bars: the same case on coarser voxels and on parts of the electrode"),
    "study": ("simulator.cli.study", "published trends against simulated cells: accept or reject, with numbers"),
    "completion": ("simulator.cli.completion", "complete commands and settings by Tab, in bash, zsh and fish"),
}

EXIT_FINISHED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130  # a command returns 3 if a run stops early


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 finished, 2 bad input, 3 stopped by physics or numerics,
    130 interrupted. `argv` without the program's name; by default that of the process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(_help(), file=sys.stderr)
        return EXIT_BAD_INPUT
    name, *rest = arguments
    if name in ("-h", "--help"):
        print(_help())
        return EXIT_FINISHED
    if name == "--version":
        print(f"voxelyte {_version()}")
        return EXIT_FINISHED
    if name not in COMMANDS:
        return _refuse(f"Unknown command {name!r}.{did_you_mean(name, COMMANDS)} See voxelyte --help.")
    try:
        return import_module(COMMANDS[name][0]).main(rest)
    except (ConfigError, GeometryError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("voxelyte: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough, as in `voxelyte inspect --json | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERRUPTED
    except MemoryError:
        return _refuse(
            "Not enough memory for this. Take fewer voxels (geometry.crop, geometry.coarsen, a smaller shape)."
        )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}. Free some space, or check the path and your permissions.")
    except SystemExit as stop:  # argparse ends so, after its own message
        return stop.code if isinstance(stop.code, int) else EXIT_BAD_INPUT


def _refuse(message: str) -> int:
    print(f"voxelyte: error: {message}", file=sys.stderr)
    return EXIT_BAD_INPUT


def _help() -> str:
    commands = "\n".join(f"  {name:11s} {text}" for name, (_, text) in COMMANDS.items())
    return (
        "usage: voxelyte COMMAND ...\n\n"
        "3D simulator of solid-state battery cathodes on voxel images.\n\n"
        f"commands:\n{commands}\n\n"
        "options:\n"
        "  -h, --help  this text; voxelyte COMMAND --help for one command\n"
        "  --version   the version\n\n"
        "exit codes: 0 finished, 2 bad input, 3 stopped by physics or numerics, 130 interrupted"
    )


def _version() -> str:
    try:
        return metadata.version("voxelyte")
    except metadata.PackageNotFoundError:
        return "(not installed)"
