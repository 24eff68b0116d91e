"""What may stand at the end of an unfinished command line. Standard library only: it runs at every Tab.

Settings are read off the files of `conf/`, which show every key, options off the source of the commands, and the
names of parameters off that of their table: importing argparse, the typed schema or JAX would take longer than a
reader of the prompt waits.
"""

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from simulator.resources import MESH_PREFIX, PRESETS, conf_dir, config_groups, mesh_names

_PACKAGE = Path(__file__).resolve().parents[1]
#: Stands alone in the answer: the shell shall complete names of files.
FILES = ":files"
#: option -> words that may follow it; other options that take a value: file names
_VALUES: dict[str, tuple[str, ...]] = {
    "--cfg": ("job",),
    "--field": ("sto", "phi_s", "phi_e", "c_e", "j", "film_thickness", "decomposed_charge"),
    "--fps": (),
    "--frames": (),
    "--range": (),
    "--step": (),
    "--time": (),
    "--time-limit": (),
    "--only": (),
    "--output": (FILES,),
    "--plot": (),
    "--x": (),
    "--y": (),
}
SHELLS = ("bash", "fish", "zsh")
_KEY = re.compile(r"( *)(\w+):\s*(.*)")
_OPTION = re.compile(r'add_argument\(\s*(?:"-\w",\s*)?"(--[a-z][a-z-]*)"')
#: in the source of commands whose words are settings `group.key=value`; those of all others are files
_SETTINGS = '"overrides"'
#: in the source of those that begin with a file
_FILE_FIRST = '"FIT.yaml KEY=VALUE"'
_SWITCH = ("true", "false")


def candidates(words: Sequence[str], commands: Mapping[str, tuple[str, str]]) -> list[str]:
    """Completions of the last of `words` (what follows the program's name; the last may be empty).

    `commands`: name -> (module, what it does). Settings end with `.` or `=` where more must follow. `[FILES]`
    asks for names of files.
    """
    if len(words) < 2:
        return _starting([*commands, "--help", "--version"], words[0] if words else "")
    command, *before, word = words
    if command not in commands:
        return []
    if before and before[-1] in _VALUES:
        values = _VALUES[before[-1]]
        return [FILES] if values == (FILES,) else _starting(values, word)
    if command == "completion":
        return _starting([*SHELLS, "--help"], word)
    source = _source("cli", commands[command][0].rpartition(".")[2])
    if word.startswith("-"):
        return _starting(command_options(source), word)
    file_missing = _FILE_FIRST in source and all("=" in w or w.startswith("-") for w in before)
    if _SETTINGS not in source or (file_missing and "=" not in word):
        return [FILES]
    swept = {"-m", "--multirun"} & {*before}
    return sorted({*_settings(word), *(_launchers(word) if swept else ())})


def _source(*place: str) -> str:
    """Text of a module of this package. By path: `importlib.resources` would import the packages on the way."""
    return (_PACKAGE.joinpath(*place).with_suffix(".py")).read_text(encoding="utf-8")


def command_options(source: str) -> list[str]:
    """Long options in the source of a command."""
    return sorted({"--help", *_OPTION.findall(source)})


def _launchers(word: str) -> list[str]:
    """Of a sweep: where its runs are carried out, and the options of that."""
    files = sorted((conf_dir() / "hydra" / "launcher").glob("*.yaml"))
    names = sorted({*(file.stem for file in files), "basic", "joblib", "submitit_local", "submitit_slurm"})
    options = {key for file in files for key in _keys_of(file)}
    if not word.startswith(("hydra/launcher=", "hydra.launcher.")):
        return _starting(["hydra/launcher=", "hydra.launcher."], word)
    return _starting([*(f"hydra/launcher={name}" for name in names), *(f"hydra.launcher.{o}=" for o in options)], word)


def _settings(word: str) -> list[str]:
    groups = {group: names for group, names in config_groups().items() if names}
    key, equals, value = word.partition("=")
    if equals:
        if key in groups:
            return _starting((f"{key}={name}" for name in groups[key]), word)
        if key == "geometry.path" and MESH_PREFIX.startswith(value[: len(MESH_PREFIX)]) and value:
            return _starting((f"{key}={MESH_PREFIX}{name}" for name in mesh_names()), word)
        if setting_values().get(key) in _SWITCH:
            return _starting((f"{key}={text}" for text in _SWITCH), word)
        return [FILES] if key.endswith((".path", ".dir", ".particles")) else []
    names = [*(f"{group}=" for group in groups), *(f"{group}." for group in groups if group != PRESETS)]
    if "." not in word:
        found = [f"{name}=" for name in setting_values() if "." not in name]
        return _starting([*names, *found], word)
    keys = [f"{name}=" for name in setting_values() if "." in name]
    keys += [f"cell.{name}=" for name in parameter_names()]
    return _starting(keys, word)


def _starting(names: Iterable[str], word: str) -> list[str]:
    return sorted({name for name in names if name.startswith(word)})


def setting_values() -> dict[str, str]:
    """Every key of the configuration, as `group.key` or outside the groups as `key`, with a text of its value."""
    root = conf_dir()
    found: dict[str, str] = {}
    for file in sorted(root.glob("*/*.yaml")):
        found |= {f"{file.parent.name}.{key}": value for key, value in _keys_of(file).items()}
    found |= _keys_of(root / "config.yaml")
    # a section that is null in one file and filled in another is not itself a value
    return {key: value for key, value in found.items() if not any(k.startswith(f"{key}.") for k in found)}


def _keys_of(file: Path) -> dict[str, str]:
    """Dotted name -> text of its value, for the keys of a YAML file of plain values and sections of them."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []  # indentation and name of the sections that a line lies in
    for line in file.read_text(encoding="utf-8").splitlines():
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match[1])
        while above and above[-1][0] >= indent:
            above.pop()
        value = match[3].partition("#")[0].strip()
        name = ".".join([*(part for _, part in above), match[2]])
        if name != "defaults":  # Hydra's own
            found[name] = value
        if not value:  # a section, or a list
            above.append((indent, match[2]))
    return found


def parameter_names() -> list[str]:
    """The names of all parameters, read off the source of the table `SPECS` without importing it."""
    for node in ast.parse(_source("materials", "parameter_sets", "schema")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SPECS":
            keys = node.value.keys if isinstance(node.value, ast.Dict) else []
            return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return []
