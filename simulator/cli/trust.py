"""`voxelyte trust`: error bars for a run."""

import argparse
from collections.abc import Sequence

from simulator.cli.console import EXIT_STOPPED, STATUS_CODES, plain_warnings


def main(arguments: Sequence[str]) -> int:
    """Run a case, the same with voxels twice as large, and its four quarters. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator import config

    settings = config.load(options.overrides)
    from simulator.workflows.trust import trust

    with plain_warnings():
        found = trust(settings)
    return STATUS_CODES.get(found.status["full"], EXIT_STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte trust",
        description=(
            "Error bars on voltage, capacity and utilisation: the case of voxelyte run, the same with voxels twice as "
            "large (discretisation), and on the four quarters of the electrode's cross-section (sampling)."
        ),
        epilog="""Takes the settings of voxelyte run, for example
  voxelyte trust geometry=ct_nmc protocol=charge_c3
Six runs; what is finished is not repeated. Leaves trust.png, trust.csv and trust.json beside their folders.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="choices and values, see voxelyte run --help")
    return parser
