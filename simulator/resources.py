"""Files that ship with the program: the configuration groups and the demonstration images.

In an installed wheel they lie inside the package (`simulator/conf`, `simulator/meshes`); in a checkout, which
is what an editable install points at, at the top of the repository.
"""

from importlib import resources
from pathlib import Path

from simulator.errors import ConfigError, did_you_mean

#: folder of `conf/` that is Hydra's own: how sweeps are launched, not what a run is
HYDRA = "hydra"
#: the group whose choices are whole cases: each chooses geometry, cell and protocol, and has no keys of its own
PRESETS = "experiment"
#: `mesh:NAME` in a configuration means the shipped image NAME.
MESH_PREFIX = "mesh:"


def _shipped(folder: str) -> Path:
    """The folder of shipped files: inside the package if it is there, else at the top of the repository."""
    packaged = Path(str(resources.files("simulator"))) / folder
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[1] / folder


def conf_dir() -> Path:
    """Folder of the configuration groups (`config.yaml`, `geometry/`, `cell/`, ...)."""
    return _shipped("conf")


def config_groups() -> dict[str, list[str]]:
    """Group -> names that can be chosen for it, for example geometry -> [ct_nmc, ...], all sorted.

    Files in a folder inside the group are named with it: experiment -> [an2023/cal, ...].
    """
    folders = sorted(path for path in conf_dir().iterdir() if path.is_dir() and path.name != HYDRA)
    return {
        folder.name: sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
        for folder in folders
    }


def mesh_names() -> list[str]:
    """File names of the shipped images, sorted. A wheel leaves out the grey slice that a checkout has."""
    return sorted(p.name for p in _shipped("meshes").glob("*.tif"))


def mesh_path(name: str) -> Path:
    """Path of the shipped image `name`, for example `nmc532_film_48.tif`.

    **Errors:** ConfigError if no image of that name is shipped.
    """
    names = mesh_names()
    if name not in names:
        raise ConfigError(
            f"No image named {name!r} is shipped with this installation.{did_you_mean(name, names)} "
            "For an image of your own give its path, without 'mesh:'."
        )
    return _shipped("meshes") / name


def image_path(path: str) -> Path:
    """The file that `path` of a configuration means: `mesh:NAME` a shipped image, else a path as written."""
    if path.startswith(MESH_PREFIX):
        return mesh_path(path.removeprefix(MESH_PREFIX))
    return Path(path).expanduser()
