"""`voxelyte fit`: parameters of a cell from measured curves."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from simulator.cli.console import EXIT_STOPPED, exit_code
from simulator.errors import ConfigError

#: status of a fit -> exit code; every other: EXIT_STOPPED
_CODES = {"converged": 0, "checked": 0, "interrupted": 130}


def main(arguments: Sequence[str]) -> int:
    """Fit as the words in `arguments` say. Returns 0, 3 if a run stops or the fit does not converge, 130 if it was
    interrupted."""
    options = _parser().parse_intermixed_args(arguments)
    files = [word for word in options.overrides if "=" not in word and not word.startswith("~")]
    overrides = [word for word in options.overrides if word not in files]
    if len(files) != 1:
        given = f"got {' and '.join(files)}" if files else "got none"
        raise ConfigError(
            f"A fit takes one YAML file, {given}. Write voxelyte fit FIT.yaml; settings of the cell are KEY=VALUE."
        )
    driven = next((word for word in overrides if word.lstrip("+~").startswith(("protocol", "resume"))), None)
    if driven is not None:
        raise ConfigError(
            f"{driven!r} has no meaning here: the curves give the current, and a fit goes on by itself. Leave it out."
        )
    from simulator import config  # Hydra takes 0.2 s, which --help should not cost

    problem = config.load_fit(Path(files[0]))
    settings = config.load(overrides, options.config)
    if options.config is not None and not any(word.startswith("output.dir=") for word in overrides):
        settings.output.dir = None  # that of another run
    from simulator.workflows.fit.job import fit_job

    status = ""

    def job() -> None:
        nonlocal status
        status = fit_job(problem, settings, Path(files[0]).stem, options.output, check=options.check)

    return exit_code(job) or _CODES.get(status, EXIT_STOPPED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte fit",
        description="Fit parameters of a cell to measured curves: values, error bars, what the data leave open.",
        epilog="""FIT.yaml:
  curves:                         measured files; see docs/measured_curves.md
    - file: charge_c10.csv        relative to the folder of FIT.yaml
      area: 1.13 cm2              or capacity: 5 mAh, or mass: 12 mg of active material (current in A)
      sigma: 2 mV                 noise of the voltage; left out: estimated
  parameters:
    am.D_s: {start: 1e-14 m2/s, lower: 1e-16 m2/s, upper: 1e-12 m2/s}
    kinetics.j0_ref: {start: 1 A/m2, lower: 0.05 A/m2, upper: 20 A/m2, prior: {mean: 2 A/m2, std: 50 %}}
    sto_init@charge_c10: {start: 0.9, lower: 0.85, upper: 0.95}         of this curve alone
  profile: [am.D_s]               profile likelihoods afterwards; or all
  next:                           experiments to be ranked by what they would tell
    pulse: [Charge at 1C for 30 s, Rest for 10 min]
keys of a curve: file, label, area, capacity, mass, rows, evenly, sigma, weight, columns, units, current_sign, begin,
  end, tolerance, values; of a parameter: start, lower, upper, log, prior; others: method, loss, max_evaluations, xtol,
  ftol, ctol. docs/fitting.md explains all.

examples:
  voxelyte fit FIT.yaml geometry.path=stack.tif --check
  voxelyte fit FIT.yaml geometry=ct_nmc_coarse cell.temperature=333.15 solver.rtol=1e-2 --output fits/a

The folder gets fit.txt, fit.json, fit.png, curve_LABEL.csv, profile_NAME.csv, profiles.png, next_experiments.csv,
config.yaml and problem.yaml, and every evaluation as it comes: the same command goes on from there. Ctrl-C (or
SIGTERM) ends with the best so far.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="FIT.yaml KEY=VALUE", help="the file, and settings as of voxelyte run"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="start from the config.yaml of an earlier run")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder of the files (default: outputs/fit-<name>-<hash>)"
    )
    parser.add_argument("--check", action="store_true", help="read and check everything, show it, and stop")
    return parser
