"""Commands whose words are settings `KEY=VALUE` of one dataclass, and the image."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from simulator.errors import ConfigError, did_you_mean

Settings = TypeVar("Settings")


def load_settings(
    words: Sequence[str],
    kind: type[Settings],
    command: str,
    *,
    texts: Collection[str],
    mappings: Mapping[str, str],
    example: str,
) -> Settings:
    """The settings `KEY=VALUE` of a command line as an object of the dataclass `kind`; a word without '=' is the image.

    **Arguments:** `command`: its name, for `--help`; `texts`: keys whose values are taken as they stand, paths for
    example; `mappings`: keys that take a mapping, and an example of one; `example`: a word with quotes for the shell.

    **Errors:** ConfigError, one message that names the key, the value and what would be right.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser  # 0.2 s, which --help should not cost
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    known = [f.name for f in fields(cast(Any, kind))]
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            key, text = "image", word
        if key not in known:
            raise ConfigError(f"Unknown setting {word!r}.{did_you_mean(key, known)}")
        if key in values:
            raise ConfigError(f"{key} is given twice: {values[key]!r} and {text!r}. Keep one of them.")
        if key in texts:
            values[key] = text
            continue
        try:
            override = OverridesParser.create().parse_override(word)
        except HydraException as error:
            raise ConfigError(
                f"Cannot read {word!r}. Write KEY=VALUE, with quotes for the shell around lists and mappings: "
                f"{example}."
            ) from error
        if override.is_sweep_override():
            raise ConfigError(f"{key} has several values in {word!r}. Write a list as '{key}=[a,b]'.")
        values[key] = override.value()
    for key, mapping in mappings.items():
        if not isinstance(values.get(key, {}), dict):
            raise ConfigError(f"{key} takes a mapping, got {values[key]!r}. For example '{key}={mapping}'.")
    try:
        return cast(Settings, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), values)))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "The command"
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"{key}: {reason}. See voxelyte {command} --help.") from error
