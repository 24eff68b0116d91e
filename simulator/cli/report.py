"""`voxelyte report`: one page about a run."""

import argparse
from collections.abc import Sequence

from simulator.cli.console import plain_warnings


def main(arguments: Sequence[str]) -> int:
    """Write the page of the run named in `arguments`. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator.workflows.report_page import write_report  # reads HDF5, which --help should not wait for

    with plain_warnings():
        write_report(options.path, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte report",
        description="Write one HTML page about a run: status and advice, key numbers, figures, balances,\n"
        "configuration, parameters with their sources, versions. It needs no network and no scripts, and prints well.",
        epilog="""examples:
  voxelyte report outputs/demo                     writes outputs/demo/report.html
  voxelyte report outputs/demo --output demo.html""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", metavar="PATH", help="folder of a run, or its .vtkhdf file")
    parser.add_argument("--output", metavar="FILE.html", help="the page (default: report.html beside the result)")
    return parser
