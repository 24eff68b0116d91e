"""From the words of a command line to a checked `RunConfig`.

Hydra composes the groups of `conf/` and owns the override grammar. Names are checked here first, because a
mistyped one deserves the nearest right name. Three spellings are added to Hydra's:

- `cell.electrolyte.kappa=0.05` is short for `++cell.overrides.electrolyte.kappa=0.05`: it replaces one value
  of the parameter set. The long form works as well, with or without the plus signs.
- `geometry.path=stack.tif` without a choice of geometry means `geometry=file`.
- A whole mapping, `geometry.labels={am: 255, electrolyte: 0}`, replaces that of the group and is not merged
  into it.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from simulator.config.schema import RunConfig
from simulator.errors import ConfigError, did_you_mean
from simulator.resources import conf_dir, config_groups

ConfigStore.instance().store(name="schema", node=RunConfig)

#: group -> key -> its type, read off the dataclasses
SCHEMA: dict[str, dict[str, Any]] = {
    group: get_type_hints(section)
    for group, section in get_type_hints(RunConfig).items()
    if dataclasses.is_dataclass(section)
}
#: keys that stand outside the groups
SWITCHES = sorted(set(get_type_hints(RunConfig)) - set(SCHEMA))
_KEYS = [*(f"{group}.{key}" for group, keys in SCHEMA.items() for key in keys), *SWITCHES]
#: keys whose value is the name of a file or folder: anything may be in it
_PATHS = ("geometry.path", "geometry.dataset", "output.dir", "cell.parameter_set")
_SHOW_ALL = "`voxelyte run --cfg job` shows all settings."


def load(overrides: Sequence[str] = (), base: Path | None = None) -> RunConfig:
    """The configuration that `voxelyte run OVERRIDES` uses.

    **Arguments:** `base`: the `config.yaml` of an earlier run, in whose place the choices and values of `overrides`
    step; paths in it are relative to its folder.

    **Errors:** ConfigError, one message that names the key, the value and what would be right.
    """
    words: list[str] = []
    replaced: list[Override] = []
    parsed = [_parse(text) for text in overrides]
    chosen = {override.key_or_group for override in parsed}
    if base is not None:
        return _load_again(parsed, base, chosen)
    if "geometry.path" in chosen and "geometry" not in chosen:
        words.append("geometry=file")  # an image of one's own must not get the labels of the demonstration
    for override in parsed:
        word = _word(override)
        if _is_mapping(override.key_or_group) and isinstance(override.value(), dict):
            replaced.append(override)
        else:
            words.append(word)
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            composed = compose("config", overrides=words)
        for override in replaced:
            OmegaConf.update(composed, override.key_or_group, override.value(), merge=False, force_add=True)
        return _to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from error


def _load_again(parsed: Sequence[Override], base: Path, chosen: set[str]) -> RunConfig:
    """`parsed` on top of the stored configuration `base`."""
    try:
        stored = OmegaConf.to_container(OmegaConf.load(base))
    except FileNotFoundError as error:
        raise ConfigError(f"No file {base}: give the config.yaml in the folder of a run.") from error
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{base} cannot be read as a configuration ({str(error).splitlines()[0]}).") from error
    if not isinstance(stored, dict) or not set(stored) <= {*SCHEMA, *SWITCHES}:
        raise ConfigError(
            f"{base} is not the config.yaml of a run: its keys must be {', '.join([*SCHEMA, *SWITCHES])}."
        )
    choices = [_word(override) for override in parsed if override.key_or_group in SCHEMA]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            composed = compose("config", overrides=["geometry=file", *choices])
        for group, values in _relocated(stored, base.parent).items():
            if group in chosen:
                continue  # another choice takes the place of the stored one
            for key, value in values.items() if isinstance(values, dict) else ():
                OmegaConf.update(composed, f"{group}.{key}", value, merge=False)
        for override in parsed:
            if override.key_or_group in SCHEMA:
                continue
            key = _word(override).partition("=")[0].lstrip("+~")
            if override.type == OverrideType.DEL:
                parent, _, last = key.rpartition(".")
                node = OmegaConf.select(composed, parent)
                with open_dict(node):
                    node.pop(last, None)
            else:
                OmegaConf.update(composed, key, override.value(), merge=False, force_add=True)
        return _to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from error


def _relocated(value: Any, folder: Path) -> Any:
    """A stored configuration with the paths that are relative to its `folder` made usable from here."""
    if isinstance(value, dict):
        moved = {key: _relocated(part, folder) for key, part in value.items()}
        return moved | ({"dir": str(folder)} if moved.get("dir") == "." else {})
    if isinstance(value, str) and Path(value).suffix and (folder / value).exists():
        return str(folder / value)
    return value


def to_yaml(config: RunConfig) -> str:
    """`config` as YAML, groups in their usual order."""
    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def _to_object(composed: DictConfig) -> RunConfig:
    config = OmegaConf.to_object(composed)
    if not isinstance(config, RunConfig):
        raise ConfigError(f"{conf_dir() / 'config.yaml'} must name `schema` first in its defaults list.")
    return config


def _is_mapping(key: str) -> bool:
    group, _, name = key.partition(".")
    return get_origin(SCHEMA.get(group, {}).get(name)) is dict


def _quoted(text: str) -> str:
    """KEY=VALUE with the value of a path or of a formula in quotes, as Hydra's grammar wants it.

    What has quotes, or is a list or a mapping, stays as it is.
    """
    key, equals, value = text.partition("=")
    plain = not value.startswith(('"', "'", "[", "{"))
    formula = key.lstrip("+").startswith("cell.") and "(" in value
    if equals and plain and (formula or key in _PATHS) and re.search(r"[^\w./:-]", value):
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{key}{equals}{value}"


def _parse(text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(_quoted(text))
    except HydraException as error:
        if "=" not in text:
            hint = f"geometry.path={text}" if Path(text).suffix else "for example solver.rtol=1e-4"
            raise ConfigError(f"{text!r} is no setting. Write KEY=VALUE: {hint}.") from error
        reason = next((line.strip() for line in str(error).splitlines() if "parsing" not in line), "")
        raise ConfigError(
            f"Cannot read {text!r} ({reason}). Write KEY=VALUE, for example solver.rtol=1e-4. Text with special "
            """characters inside a list or a mapping needs double quotes: '{value: "1e-14*exp(-3*sto)"}'."""
        ) from error
    if override.is_sweep_override():
        raise ConfigError(
            f"{override.key_or_group} has several values in {text!r}, and a run takes one. "
            "Write a list as [a, b]; quote a text that holds a comma."
        )
    return override


def _all_keys() -> list[str]:
    """Every key, parameters included."""
    from simulator.workflows.completion import parameter_names  # without JAX

    return [*_KEYS, *(f"cell.{name}" for name in parameter_names())]


def _word(override: Override) -> str:
    """The override as Hydra shall see it, its name checked.

    **Errors:** ConfigError for an unknown group, option or key, or a deletion that leaves a hole.
    """
    text, key = str(override.input_line), override.key_or_group
    group, *rest = key.split(".")
    delete = override.type == OverrideType.DEL
    if key in SWITCHES and not delete:
        return text
    if group not in SCHEMA or override.package is not None:
        full = [known for known in _all_keys() if known.endswith(f".{key}")]
        hint = f" Did you mean {' or '.join(map(repr, full))}?" if full else did_you_mean(group, [*SCHEMA, *SWITCHES])
        raise ConfigError(f"Unknown setting {text!r}.{hint}")
    if not rest:
        option, options = override.value(), config_groups()[group]
        if option not in options:
            raise ConfigError(f"Unknown {group} {option!r}.{did_you_mean(str(option), options)}")
        return f"{group}={option}"
    if group == "cell" and rest[0] not in SCHEMA["cell"]:
        rest = ["overrides", *rest]
    name, *parts = rest
    if name not in SCHEMA[group]:
        known = [f"{group}.{k}" for k in SCHEMA[group]]
        raise ConfigError(f"Unknown setting {text!r}.{did_you_mean(key, known)}")
    kind = get_origin(SCHEMA[group][name])
    if parts and kind not in (dict, list):
        raise ConfigError(f"{group}.{name} is a single value, so {key!r} does not exist. Set {group}.{name}.")
    if delete and not (parts and kind is dict):
        raise ConfigError(f"{key} cannot be removed. Set it to another value, or leave {text!r} out.")
    if kind is list and not parts and not isinstance(override.value(), list):
        raise ConfigError(f"{key} takes a list, got {override.value()!r}. Write '{key}=[{override.value()}]'.")
    prefix = "~" if delete else "++" if parts and kind is dict else ""
    _, equals, value = text.partition("=")
    return f"{prefix}{'.'.join([group, *rest])}{equals}{value}"


def _explain(error: Exception) -> str:
    """What Hydra or OmegaConf found wrong, on one line, with the key it was found at."""
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None) or "The configuration"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value. Give one: {key}=VALUE. {_SHOW_ALL}"
    return f"{key}: {str(cause).splitlines()[0].rstrip('.')}. {_SHOW_ALL}"
