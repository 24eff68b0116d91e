"""`voxelyte segment`: phases of a grey image."""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.cli.console import exit_code
from simulator.cli.settings import load_settings

if TYPE_CHECKING:
    from simulator.config import SegmentConfig

#: settings that are texts as they stand: anything may be in a path
_TEXTS = ("image", "output", "dataset")
_MAPPINGS = {
    "labels": "{pore: 0, cbd: 1, am: 2}",
    "expected": "{am: 0.9, cbd: 0.1}",
    "densities": '{am: "4.7 g/cm3", cbd: "1.9 g/cm3"}',
}


def main(arguments: Sequence[str]) -> int:
    """Segment the image that `arguments` name. Returns 0, or 3 if the random walker does not converge."""
    settings = load(_parser().parse_args(arguments).words)
    from simulator.workflows.segment import segment_file

    return exit_code(lambda: segment_file(settings))


def load(words: Sequence[str]) -> "SegmentConfig":
    """The settings of a command line. **Errors:** ConfigError."""
    from simulator.config import SegmentConfig

    # two classes have one threshold, which need not be a list
    words = [re.sub(r"^thresholds=([^\[,]+)$", r"thresholds=[\1]", word) for word in words]
    example = f"'labels={_MAPPINGS['labels']}', 'thresholds=[110,140]'"
    return load_settings(words, SegmentConfig, "segment", texts=_TEXTS, mappings=_MAPPINGS, example=example)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxelyte segment",
        description="Phases of a grey image: labels ready for voxelyte run, a picture to judge them, and the facts.",
        epilog="""settings:
  image=PATH              a grey stack, a folder of slices, or one slice to try settings on; or PATH alone
  classes=3               number of grey classes, 2 to 5
  labels={pore: 0, cbd: 1, am: 2}
                          phase -> class or classes, 0 is the darkest; default by number of classes:
                          pore, am (2); pore, cbd, am (3); pore, cbd, electrolyte, am (4)
  method=otsu             thresholds; or random_walker: no thin shells of a third phase on blurred edges
  thresholds=[110,140]    grey values of your own instead of Otsu's
  denoise=nlm             non-local means; or none, gaussian, median, tv;  strength=0.6: its width
  clip=[0.1,99.9]         percentiles of the grey scale;  drift=true: slow brightness along axis 0 taken out
  beta=10                 random_walker: larger follows edges more closely
  min_size=8              smaller clusters [voxels] take the phase around them; 0 keeps all
  fill_pores=true         pores enclosed in am become am;  majority=1: smoother boundaries
  expected={am: 0.5}      volume fractions to compare with; with densities, weight fractions of the solids
  densities={am: "4.7 g/cm3", cbd: "1.9 g/cm3"}
  voxel_size='0.4 um'     or three lengths; default: from the file
  particles=false         leave out the particle labels
  dataset=NAME            array in an HDF5 or .npz file
  output=DIR              default: outputs/segment-<name of the image>
  json=true               print JSON instead of a table

files in DIR: segmented.tif (labels), particles.tif (3D), segment.png (look at it), segment.json

examples:
  voxelyte segment stack.tif
  voxelyte segment stack.tif classes=2 'labels={electrolyte: 0, am: 1}' denoise=median
  voxelyte segment stack.tif method=random_walker 'expected={am: 0.9, cbd: 0.1}' \\
      'densities={am: "4.7 g/cm3", cbd: "1.9 g/cm3"}'

A stack needs about 70 bytes of memory a voxel, with method=random_walker 200.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="PATH KEY=VALUE", help="an image and settings, see below")
    return parser
