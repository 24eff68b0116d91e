"""From the words of a command line to a checked `RunConfig`.

Hydra composes the groups of `conf/` and owns the override grammar. Names are checked here first, because a
mistyped one deserves the nearest right name. Three spellings are added to Hydra's:

- `cell.electrolyte.kappa=0.05` is short for `++cell.overrides.electrolyte.kappa=0.05`: it replaces one value
  of the parameter set. The long form works as well, with or without the plus signs.
- `geometry.path=stack.tif` without a choice of geometry means `geometry=file`.
- `experiment=an2023/cal` chooses geometry, cell and protocol at once (Hydra's pattern of an experiment); choices and
  values beside it, in whatever order, win over those of the preset.
- A whole mapping, `geometry.labels={am: 255, electrolyte: 0}`, replaces that of the group and is not merged
  into it.
"""

import dataclasses
import glob
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from simulator.config.schema import RunConfig
from simulator.errors import ConfigError, did_you_mean
from simulator.protocol import replace_files
from simulator.resources import PRESETS, conf_dir, config_groups

ConfigStore.instance().store(name="schema", node=RunConfig)

#: group -> key -> its type, read off the dataclasses
SCHEMA: dict[str, dict[str, Any]] = {
    group: get_type_hints(section)
    for group, section in get_type_hints(RunConfig).items()
    if dataclasses.is_dataclass(section)
}
#: keys that stand outside the groups
SWITCHES = sorted(set(get_type_hints(RunConfig)) - set(SCHEMA))
#: what a preset chooses
_PRESET_GROUPS = {"geometry", "cell", "protocol"}


def _section_type(kind: Any) -> Any:
    """The dataclass of a section of the configuration (which may be null); None if `kind` is a value."""
    return next((k for k in (kind, *get_args(kind)) if dataclasses.is_dataclass(k)), None)


def _section(kind: Any) -> Mapping[str, Any] | None:
    """Key -> type of a section of the configuration; None if `kind` is a value."""
    found = _section_type(kind)
    return None if found is None else get_type_hints(found)


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, kind in section.items():
        inner = _section(kind)
        if inner is None:
            yield f"{prefix}{name}", kind
        else:
            yield from _leaves(inner, f"{prefix}{name}.")


#: every key that takes a value, sections inside the groups included -> its type
KEYS: dict[str, Any] = dict(_leaves(get_type_hints(RunConfig), ""))
#: keys whose value is the name of a file or folder: anything may be in it
_PATHS = ("geometry.path", "geometry.particles", "geometry.dataset", "output.dir", "cell.parameter_set")
#: how a swept value may begin
_SWEEPS = ("choice(", "range(", "glob(", "interval(", "sort(", "shuffle(", "tag(")
#: an image of one's own must not get the labels of the demonstration
OWN_IMAGE = "geometry=file"
_OVERRIDES = "cell.overrides."
_SHOW_ALL = "`voxelyte run --cfg job` shows all settings."


@contextmanager
def composing() -> Iterator[None]:
    """Hydra, ready to compose files of `conf/`; also inside a job that Hydra itself has started."""
    outer, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_dir())):
            yield
    finally:
        GlobalHydra.instance().hydra = outer


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
        words.append(OWN_IMAGE)
    for override in parsed:
        word = _word(override)
        if _is_mapping(override.key_or_group) and isinstance(override.value(), dict):
            replaced.append(override)
        else:
            words.append(word)
    try:
        with composing():
            composed = compose("config", overrides=words)
        for override in replaced:
            OmegaConf.update(composed, override.key_or_group, override.value(), merge=False, force_add=True)
        return _to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from error
    except AssertionError as error:  # of OmegaConf, for a key of a section that is null
        sections = {key.rpartition(".")[0] for key in KEYS if key.count(".") > 1}
        inside = [(key, section) for key in chosen for section in sections if key.startswith(f"{section}.")]
        if not inside:
            raise
        key, section = inside[0]
        raise ConfigError(f"{key} cannot be set: {section} is null in this choice. {_SHOW_ALL}") from error


@dataclasses.dataclass(frozen=True)
class SweptRun:
    """One run of a sweep: its value of each swept setting, the words that give it, and its configuration."""

    values: dict[str, Any]
    words: list[str]
    config: RunConfig


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What the words of `voxelyte run -m` describe."""

    axes: dict[str, dict[str, str]]  # swept setting -> text of a value -> word that sets it, for Hydra
    fixed: list[str]  # words of all other settings, for Hydra
    runs: list[SweptRun]

    def words(self, kept: Mapping[str, Sequence[str]]) -> list[str]:
        """The words that make Hydra's sweeper visit the values `kept` (setting -> texts) of every swept setting."""
        swept = []
        for key, choices in self.axes.items():
            chosen = [choices[text] for text in kept[key]]
            name = chosen[0].partition("=")[0]
            swept.append(f"{name}=" + ",".join(word.partition("=")[2] for word in chosen))
        return [*self.fixed, *swept]


def load_sweep(overrides: Sequence[str], base: Path | None = None) -> Sweep:
    """Every run of a sweep, checked: `KEY=a,b`, `KEY=range(0,1,0.25)`, `GROUP=glob(ct_*)`, `PATH=glob(*.tif)`.

    The runs are in the order in which Hydra's sweeper makes them, the last setting changing fastest.

    **Arguments:** `base`: as in `load`.

    **Errors:** ConfigError for whatever is wrong in any of the runs, or if nothing is swept.
    """
    from simulator.workflows.sweep_table import value_text  # with h5py, which a single run need not wait for here

    parsed = [_parse(_several_paths(text), swept=True) for text in overrides]
    columns: dict[str, list[tuple[Any, str]]] = {}  # setting -> (value, word), one of them if it is not swept
    axes: dict[str, dict[str, str]] = {}
    for override in parsed:
        key = _setting(override)
        if override.type == OverrideType.DEL:
            raise ConfigError(
                f"{override.input_line}: a sweep cannot remove a setting. Give the whole mapping instead."
            )
        plus = "++" if _is_mapping(override.key_or_group) else ""  # Hydra adds to a mapping only so
        words = [_word(_parse(text)) for text in _choices(override)]
        words = [plus + word.lstrip("+") if plus else word for word in words]
        columns[key] = [(_parse(word).value(), word) for word in words]
        axes.pop(key, None)
        if override.is_sweep_override():
            if key in ("output.dir", "output.overwrite", "resume"):
                raise ConfigError(f"{key} takes one value in a sweep: it is about the folder of all runs.")
            axes[key] = {value_text(value): word for value, word in columns[key]}
    if not axes:
        raise ConfigError(
            "Nothing is swept: no setting has several values. Write for example cell.electrolyte.kappa=0.05,0.1,0.2, "
            "or solver.rtol=1e-3,1e-4."
        )
    own = [OWN_IMAGE] if base is None and "geometry.path" in columns and "geometry" not in columns else []
    fixed = own + [column[0][1] for key, column in columns.items() if key not in axes]
    runs = []
    for texts in itertools.product(*axes.values()):
        choice = dict(zip(axes, texts, strict=True))
        words = [axes[key][choice[key]] if key in axes else column[0][1] for key, column in columns.items()]
        values = {key: next(v for v, _ in columns[key] if value_text(v) == text) for key, text in choice.items()}
        config = load(words, base)
        if base is not None and "output.dir" not in columns:
            config.output.dir = None  # its folder is that of one run
        runs.append(SweptRun(values, words, config))
    return Sweep(axes, fixed, runs)


def swept_values(words: Sequence[str], axes: Sequence[str]) -> dict[str, Any]:
    """Of the words of one run, the values of the swept settings."""
    parsed = {_setting(override): override.value() for override in map(_parse, words)}
    return {key: parsed[key] for key in axes}


def _setting(override: Override) -> str:
    """The name of what is set, the same for all spellings."""
    key = override.get_key_element().lstrip("+~")
    return key.replace("cell.overrides.", "cell.", 1)


def _choices(override: Override) -> list[str]:
    """KEY=VALUE for every value of an override, one if it is not swept."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [str(override.input_line)]
    pattern = override.value()
    if isinstance(pattern, Glob):
        group = override.key_or_group
        if group not in (*SCHEMA, PRESETS):
            raise ConfigError(
                f"glob() finds choices of {', '.join((*SCHEMA, PRESETS))}, and files for {', '.join(_PATHS)}; "
                f"not {key}."
            )
        found = pattern.filter(config_groups()[group])
        if not found:
            raise ConfigError(f"{override.input_line} matches no choice. Known: {', '.join(config_groups()[group])}.")
        return [f"{key}={name}" for name in sorted(found)]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line}: a sweep takes single values. Write KEY=a,b or KEY=range(FROM,TO,STEP)."
        )
    texts = list(override.sweep_string_iterator())
    if override.is_range_sweep():  # without the rounding errors of its sums, 0.15000000000000002
        texts = [f"{float(text):.12g}" for text in texts]
    return [f"{key}={text}" for text in texts]


def _several_paths(text: str) -> str:
    """KEY=a.tif,b.tif and KEY=glob(*.tif) as Hydra reads them, for settings that name a file; `text` otherwise."""
    key, _, value = text.partition("=")
    if key not in _PATHS or key == "output.dir" or value.startswith(('"', "'")) or Path(value).exists():
        return text
    if value.startswith("glob(") and value.endswith(")"):
        names = sorted(glob.glob(value[5:-1].strip("'\"")))
        if not names:
            raise ConfigError(f"{text} matches no file.")
    else:
        names = value.split(",")
    return f"{key}=" + ",".join(map(quoted, names))


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
    groups = (*SCHEMA, PRESETS)
    choices = [_word(override) for override in parsed if override.key_or_group in groups]
    if PRESETS in chosen:
        chosen = chosen | _PRESET_GROUPS
    try:
        with composing():
            composed = compose("config", overrides=choices if "geometry" in chosen else [OWN_IMAGE, *choices])
        for group, values in relocated(stored, base.parent).items():
            if group in chosen:
                continue  # another choice takes the place of the stored one
            for key, value in values.items() if isinstance(values, dict) else ():
                section = _section_type(SCHEMA[group].get(key))
                if isinstance(value, dict) and section is not None:  # so that it keeps its type
                    value = OmegaConf.merge(OmegaConf.structured(section), value)
                OmegaConf.update(composed, f"{group}.{key}", value, merge=False)
        for override in parsed:
            if override.key_or_group in groups:
                continue
            key = _word(override).partition("=")[0].lstrip("+~")
            if override.type == OverrideType.DEL:
                parent, _, last = key.rpartition(".")
                node = OmegaConf.select(composed, parent)
                with open_dict(node):
                    node.pop(last, None)
            else:
                if key.startswith(_OVERRIDES):  # stored by its dotted name, which the new value replaces
                    name, node = key.removeprefix(_OVERRIDES), composed.cell.overrides
                    with open_dict(node):
                        for old in [k for k in node if k == name or str(k).startswith(f"{name}.")]:
                            node.pop(old)
                OmegaConf.update(composed, key, override.value(), merge=False, force_add=True)
        return _to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error)) from error


def relocated(value: Any, folder: Path) -> Any:
    """A stored configuration with the paths that are relative to its `folder` made usable from here."""
    if isinstance(value, dict):
        moved = {key: relocated(part, folder) for key, part in value.items()}
        return moved | ({"dir": str(folder)} if moved.get("dir") == "." else {})
    if isinstance(value, list):
        return [relocated(part, folder) for part in value]
    if isinstance(value, str) and Path(value).suffix and (folder / value).exists():
        return str(folder / value)
    if isinstance(value, str):  # of a protocol
        return replace_files(value, lambda name: str(folder / name) if (folder / name).exists() else name)
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
    return get_origin(KEYS.get(key)) is dict


def quoted(text: str) -> str:
    """`text` in double quotes as Hydra's grammar wants it: a backslash is only special in front of a quote."""
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'


def _quoted(text: str) -> str:
    """KEY=VALUE with the value of a path or of a formula in quotes, as Hydra's grammar wants it.

    What has quotes, or is a list or a mapping, stays as it is.
    """
    key, equals, value = text.partition("=")
    plain = not value.startswith(('"', "'", "[", "{", *_SWEEPS))
    formula = key.lstrip("+").startswith("cell.") and "(" in value
    if equals and plain and (formula or key in _PATHS) and re.search(r"[^\w./:-]", value):
        value = quoted(value)
    return f"{key}{equals}{value}"


def _parse(text: str, swept: bool = False) -> Override:
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
    if override.is_sweep_override() and not swept:
        raise ConfigError(
            f"{override.key_or_group} has several values in {text!r}, and a run takes one. `voxelyte run -m` takes "
            "them all. Write a list as [a, b]; quote a text that holds a comma."
        )
    return override


def _all_keys() -> list[str]:
    """Every key, parameters included."""
    from simulator.workflows.completion import parameter_names  # without JAX

    return [*KEYS, *(f"cell.{name}" for name in parameter_names())]


def _word(override: Override) -> str:
    """The override as Hydra shall see it, its name checked.

    **Errors:** ConfigError for an unknown group, option or key, or a deletion that leaves a hole.
    """
    text, key = str(override.input_line), override.key_or_group
    group, *rest = key.split(".")
    delete = override.type == OverrideType.DEL
    if key in SWITCHES and not delete:
        return text
    if group == PRESETS and (rest or delete):
        known = ", ".join(config_groups()[PRESETS])
        raise ConfigError(f"{text!r}: a preset is chosen as a whole, {PRESETS}=NAME. Known: {known}.")
    if group not in (*SCHEMA, PRESETS) or override.package is not None:
        full = [known for known in _all_keys() if known.endswith(f".{key}")]
        names = [*SCHEMA, PRESETS, *SWITCHES]
        hint = f" Did you mean {' or '.join(map(repr, full))}?" if full else did_you_mean(group, names)
        raise ConfigError(f"Unknown setting {text!r}.{hint}")
    if not rest:
        option, options = override.value(), config_groups()[group]
        if option not in options:
            raise ConfigError(f"Unknown {group} {option!r}.{did_you_mean(str(option), options)}")
        return f"{group}={option}"
    if group == "cell" and rest[0] not in SCHEMA["cell"]:
        rest = ["overrides", *rest]
    depth, type_ = _place(group, rest, text)
    name, parts, kind = ".".join([group, *rest[:depth]]), rest[depth:], get_origin(type_)
    if _section(type_) is not None and not delete and not isinstance(override.value(), dict | None):
        raise ConfigError(
            f"{name} is a section, not a value. Set {name}.{next(iter(_section(type_) or ''))} or another."
        )
    if parts and kind not in (dict, list):
        raise ConfigError(f"{name} is a single value, so {key!r} does not exist. Set {name}.")
    if delete and not (parts and kind is dict):
        raise ConfigError(f"{key} cannot be removed. Set it to another value, or leave {text!r} out.")
    if kind is list and not parts and not isinstance(override.value(), list):
        raise ConfigError(f"{key} takes a list, got {override.value()!r}. Write '{key}=[{override.value()}]'.")
    prefix = "~" if delete else "++" if parts and kind is dict else ""
    _, equals, value = text.partition("=")
    return f"{prefix}{'.'.join([group, *rest])}{equals}{value}"


def _place(group: str, rest: Sequence[str], text: str) -> tuple[int, Any]:
    """How many parts of `rest` name a key or section of `group`, and its type.

    **Errors:** ConfigError for a name that is not there.
    """
    section: Mapping[str, Any] = SCHEMA[group]
    for depth, name in enumerate(rest, start=1):
        if name not in section:
            known = [key for key in KEYS if key.startswith(f"{group}.")]
            raise ConfigError(f"Unknown setting {text!r}.{did_you_mean('.'.join([group, *rest]), known)}")
        inner = _section(section[name])
        if inner is None or depth == len(rest):
            return depth, section[name]
        section = inner
    raise AssertionError("a setting inside a group has a name")


def _explain(error: Exception) -> str:
    """What Hydra or OmegaConf found wrong, on one line, with the key it was found at."""
    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None) or "The configuration"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} has no value. Give one: {key}=VALUE. {_SHOW_ALL}"
    return f"{key}: {str(cause).splitlines()[0].rstrip('.')}. {_SHOW_ALL}"
