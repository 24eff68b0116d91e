"""`voxelyte compare`: several runs in one figure and one table."""

import argparse
from collections.abc import Sequence

from simulator.cli.console import plain_warnings


def main(arguments: Sequence[str]) -> int:
    """Compare the runs named in `arguments`. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator.workflows.compare import compare  # reads HDF5, which --help should not wait for

    with plain_warnings():
        compare(options.paths, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte compare",
        description="Compare runs: curves and losses in one figure, key numbers and differing settings as tables.",
        epilog="""examples:
  voxelyte compare outputs/a outputs/b
  voxelyte compare outputs/* --output sweep.pdf

The runs may have different electrodes and protocols. Those that did not finish are shown with their status.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="+", metavar="RUN", help="folders of runs, or their .vtkhdf files; two or more")
    parser.add_argument("--output", default="compare.png", metavar="FILE", help="the figure (default compare.png)")
    return parser
