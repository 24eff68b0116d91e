"""`voxelyte effective`: effective conductivity and tortuosity factor of an image."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.cli.console import exit_code
from simulator.cli.settings import load_settings

if TYPE_CHECKING:
    from simulator.config import EffectiveConfig

#: settings that are texts as they stand: anything may be in a path
_TEXTS = ("image", "save", "dataset")


def main(arguments: Sequence[str]) -> int:
    """Compute what `arguments` ask for and print it. Returns 0, or 3 if the iterations do not converge."""
    settings = load(_parser().parse_args(arguments).words)
    from simulator.workflows.effective import effective

    return exit_code(lambda: effective(settings))


def load(words: Sequence[str]) -> "EffectiveConfig":
    """The settings of a command line. **Errors:** ConfigError."""
    from simulator.config import EffectiveConfig

    mappings = {"labels": "{am: 1, cbd: 2}", "sigma": "{am: 1, cbd: 2}"}
    example = "'phase=[cbd,electrolyte]', 'sigma={am: 0.1, cbd: 1}'"
    return load_settings(words, EffectiveConfig, "effective", texts=_TEXTS, mappings=mappings, example=example)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte effective",
        description="Effective conductivity and tortuosity factor of one or several phases of a segmented image.",
        epilog="""settings:
  image=PATH              a file, a folder of slices, or mesh:NAME (as voxelyte inspect)
  phase=cbd               what conducts: a label, an image value, or a list '[cbd,electrolyte]'
  sigma={am: 0.1, cbd: 1} instead of phase: conductivities [S/m] by label or image value; all else insulates
  labels={am: 1, cbd: 2}  name -> image value(s); default: pore 0, am 1, cbd 2
  voxel_size='0.4 um'     or three lengths; default: from the file, else cubic voxels
  axis=0                  direction of the current: an axis of the file, or all
  sides=insulated         or periodic
  rtol=1e-3               estimated relative error of the value; residual_rtol=1e-8: the true residual as well
  save=PATH.npz           potential: 1 V at the low face, 0 V at the high, NaN where isolated (.npy: one axis)
  dataset=NAME            array in an HDF5 or .npz file
  json=true               JSON instead of a table

examples:
  voxelyte effective image=stack.tif phase=cbd axis=all
  voxelyte effective image=stack.tif 'labels={pore: 0, am: 85, cbd: 170}' 'sigma={am: 0.1, cbd: 1}'""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings, see below")
    return parser
