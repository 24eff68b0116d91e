"""`voxelyte sensitivity`: where more contact would pay."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.console import exit_code


def main(arguments: Sequence[str]) -> int:
    """Map the run that `arguments` describe. Returns 0, or 3 if the run stops before the step has ended."""
    options = _parser().parse_intermixed_args(arguments)
    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    settings = config.load(options.overrides, options.config)
    from simulator.workflows.sensitivity import sensitivity

    return exit_code(lambda: sensitivity(settings, options.output, options.step))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte sensitivity",
        description="Where more contact between particles and electrolyte would pay: derivatives of the capacity of\n"
        "one charge or discharge, and of the charge of decomposed electrolyte, by the contact of every live face.",
        epilog="""examples:
  voxelyte sensitivity geometry=ct_nmc_coarse protocol=charge_c3
  voxelyte sensitivity geometry.path=stack.tif cell.decomposition.law=delithiation --output maps/stack
  voxelyte sensitivity 'protocol.steps=[Charge at C/3 until 4.2 V, Discharge at C/3 until 3 V]' --step 1

Settings are those of voxelyte run. The step must be a charge or discharge at constant current until a voltage; the
run ends with it. It takes several times as long as such a run, with all its states in memory.

The folder gets sensitivity_map.png (the picture), sensitivity_particles.csv (sums of every particle) and
sensitivity_map.vtkhdf (every face, and fields for ParaView and voxelyte view).""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="choices and values, as of voxelyte run")
    parser.add_argument("--config", type=Path, metavar="FILE", help="start from the config.yaml of an earlier run")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the files (default: outputs/sensitivity-<image>-<parameter set>-<hash>)",
    )
    parser.add_argument(
        "--step", type=int, metavar="N", help="number of the charge or discharge (default: the last of the protocol)"
    )
    return parser
