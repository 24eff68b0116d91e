"""`voxelyte effective`: effective conductivity and tortuosity factor of an image."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from simulator.cli.console import EXIT_STOPPED, plain_warnings
from simulator.errors import ConfigError, ConvergenceError, did_you_mean

if TYPE_CHECKING:
    from simulator.config import EffectiveConfig

#: settings that are texts as they stand: anything may be in a path
_TEXTS = ("image", "save", "dataset")


def main(arguments: Sequence[str]) -> int:
    """Compute what `arguments` ask for and print it. Returns 0, or 3 if the iterations do not converge."""
    settings = load(_parser().parse_args(arguments).words)
    from simulator.workflows.effective import effective

    try:
        with plain_warnings():
            effective(settings)
    except ConvergenceError as error:
        print(f"voxelyte: error: {error}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


def load(words: Sequence[str]) -> "EffectiveConfig":
    """The settings `KEY=VALUE` of a command line; a word without '=' is the image.

    **Errors:** ConfigError, one message that names the key, the value and what would be right.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser  # 0.2 s, which --help should not cost
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from simulator.config import EffectiveConfig

    known = [f.name for f in fields(EffectiveConfig)]
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            key, text = "image", word
        if key not in known:
            raise ConfigError(f"Unknown setting {word!r}.{did_you_mean(key, known)}")
        if key in values:
            raise ConfigError(f"{key} is given twice: {values[key]!r} and {text!r}. Keep one of them.")
        if key in _TEXTS:
            values[key] = text
            continue
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            raise ConfigError(
                f"Cannot read {word!r}. Write KEY=VALUE, with quotes for the shell around lists and mappings: "
                "'phase=[cbd,electrolyte]', 'sigma={am: 0.1, cbd: 1}'."
            ) from error
        if override.is_sweep_override():
            raise ConfigError(f"{key} has several values in {word!r}. Write a list as '{key}=[a,b]'.")
        values[key] = override.value()
    for key in ("labels", "sigma"):
        if not isinstance(values.get(key, {}), dict):
            raise ConfigError(f"{key} takes a mapping, got {values[key]!r}. For example '{key}={{am: 1, cbd: 2}}'.")
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EffectiveConfig), values))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "The command"
        raise ConfigError(f"{key}: {str(error).splitlines()[0].rstrip('.')}. See voxelyte effective --help.") from error
    return cast(EffectiveConfig, settings)


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
