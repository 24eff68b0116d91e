"""`voxelyte run`: the main job."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.console import EXIT_STOPPED, STATUS_CODES, plain_warnings
from simulator.errors import ConfigError
from simulator.resources import config_groups


def main(arguments: Sequence[str]) -> int:
    """Simulate with the overrides in `arguments`, or print the configuration. Returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    if options.multirun:
        if options.cfg:
            raise ConfigError("--cfg prints the configuration of one run. Leave out -m, and give one value each.")
        from simulator.cli.sweep import multirun

        return multirun(options.overrides, options.config)
    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    settings = config.load(options.overrides, options.config)
    if options.cfg:
        print(config.to_yaml(settings), end="")
        return 0
    from simulator.workflows.run import run

    with plain_warnings():
        return STATUS_CODES.get(run(settings).status, EXIT_STOPPED)


def _parser() -> argparse.ArgumentParser:
    choices = "\n".join(f"  {group}={'|'.join(names)}" for group, names in config_groups().items() if names)
    parser = argparse.ArgumentParser(
        prog="voxelyte run",
        description="Simulate an electrode under a protocol. Without overrides: the shipped demonstration.",
        epilog=f"""choices:
{choices}

values (bare numbers are SI):
  solver.rtol=1e-4 output.dir=results/a
  cell.electrolyte.kappa=0.05               replaces one value of the parameter set
  'protocol.steps=[Charge at C/10 until 4.2 V, Rest for 1 hour]'
  geometry.path=stack.tif 'geometry.labels={{pore: 0, am: 1, cbd: 2}}'

The output folder gets run.vtkhdf (fields), curve.bdf.csv, pictures and config.yaml. Its name holds a hash of
the configuration: the same command again finds the finished run, and resume=true goes on with an
interrupted one (Ctrl-C, a kill, a full disk).

sweeps, one run for every combination:
  voxelyte run -m cell.electrolyte.kappa=0.05,0.1 'geometry.coarsen=range(1,4)' output.dir=outputs/grid
  ... hydra/launcher=local_cpu|slurm_cpu|slurm_gpu   in parallel, or on a cluster
The folder gets one sub-folder for each run, sweep.csv and sweep.png. The same command again goes on, and more values
of a setting add runs. voxelyte sweep DIR shows the table and draws any number of it.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="choices and values, see below")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="start from the config.yaml of an earlier run (its folder included)"
    )
    parser.add_argument("--cfg", choices=["job"], help="print the configuration and stop")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="a sweep: settings may have several values, KEY=a,b,c"
    )
    return parser
