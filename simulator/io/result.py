"""Reading result files back, and the provenance that goes into them."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simulator.errors import ConfigError, did_you_mean
from simulator.geometry.phases import AM
from simulator.io.curve import accumulate_capacity
from simulator.io.histories import ParticleHistories, frozen, grows, read_particles
from simulator.io.vtkhdf import EXTENSION, FORMAT, FORMAT_VERSION, MAPPINGS

FACES = "faces"  # group of the live faces


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open a result file to read. **Errors:** ConfigError if it is missing, damaged or not ours."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ConfigError(f"Result file '{path}' {what}. Give the path of the '{EXTENSION}' file of a run.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if isinstance(error, PermissionError):
            cure = "Ask for permission to read it."
        elif h5py.is_hdf5(path):
            cure = "It is damaged or cut off (full disk, incomplete copy?): copy it again or repeat the run."
        else:
            cure = f"It is not an HDF5 file: give the '{EXTENSION}' file of a run."
        raise ConfigError(f"Result file '{path}' cannot be opened: {error}. {cure}") from error
    with file:
        kind, version = file.attrs.get("format"), file.attrs.get("format_version", 0)
        if kind != FORMAT:
            raise ConfigError(
                f"'{path}' is an HDF5 file but not a Voxelyte result (attribute format = {kind!r}, expected "
                f"'{FORMAT}'). Give the '{EXTENSION}' file of a run."
            )
        if version > FORMAT_VERSION:
            raise ConfigError(
                f"'{path}' has result format {version}; this program reads up to {FORMAT_VERSION}. Update it."
            )
        try:
            yield file
        except (KeyError, OSError) as error:
            raise ConfigError(f"Result file '{path}' is damaged: {error}. Copy it again or repeat the run.") from error


def _specs(group: Mapping[str, h5py.Dataset]) -> dict[str, tuple[str, str]]:
    return {name: (str(d.attrs["units"]), str(d.attrs["long_name"])) for name, d in group.items()}


@dataclass(frozen=True)
class RunResult:
    """One run, read from its file. Fields are read from disk when asked for; all else is in memory.

    Arrays are read-only, [z, y, x], SI; current is positive when it charges the cell.
    """

    path: Path
    status: str
    """"running" if the run has not ended (or died), else its final status."""
    phase: np.ndarray
    """(nz, ny, nx) uint8, canonical phase codes."""
    voxel_size: tuple[float, float, float]
    """(dz, dy, dx) [m]."""
    timeseries: dict[str, np.ndarray]
    """Column -> (rows,)."""
    timeseries_specs: dict[str, tuple[str, str]]
    """Column -> (unit, long name)."""
    field_times: np.ndarray
    """(steps,) times of the saved fields [s]."""
    field_specs: dict[str, tuple[str, str]]
    """Field -> (unit, long name)."""
    separator_z: np.ndarray | None
    """(layers,) positions on the thickness axis [m], or None."""
    separator_profiles: dict[str, np.ndarray]
    """Profile -> (steps, layers); empty without separator profiles."""
    separator_specs: dict[str, tuple[str, str]]
    """Profile -> (unit, long name)."""
    particles: ParticleHistories | None
    """Histories of every particle, or None if the electrode had no particle labels."""
    face_specs: dict[str, tuple[str, str]]
    """History of the live faces -> (unit, long name); empty if the file keeps none."""
    config: dict[str, Any]
    parameters: dict[str, Any]
    provenance: dict[str, Any]
    solver: dict[str, Any]
    ledger: dict[str, Any]
    summary: dict[str, Any]

    @property
    def area(self) -> float:
        """Cross-section [m2]."""
        return float(np.prod(np.multiply(self.phase.shape, self.voxel_size)[1:]))

    @property
    def capacity(self) -> np.ndarray:
        """(rows,) charge passed since the start [C], positive when it charged the cell."""
        series = self.timeseries
        if "charge_coulomb" in series:  # as the solver counted it
            return series["charge_coulomb"]
        charged, discharged = accumulate_capacity(
            *(series["test_time_second"], series["current_ampere"], series["step_count"]),
            charge=series.get("charge_coulomb"),
        )
        return (charged - discharged) * 3600.0

    @property
    def am_mass(self) -> float:
        """Mass of all active material [kg]: as stored, else from `am.density`; NaN if the file holds neither."""
        derived = self.parameters.get("derived")
        if isinstance(derived, Mapping) and "am_mass_kg" in derived:
            return float(derived["am_mass_kg"])
        am = self.parameters.get("am")
        density = self.parameters.get("am.density", am.get("density") if isinstance(am, Mapping) else None)
        if not isinstance(density, int | float) or density <= 0:
            return float("nan")
        return float(density * np.count_nonzero(self.phase == AM) * np.prod(self.voxel_size))

    def step_index(self, t: float) -> int:
        """Index of the saved step nearest to time `t` [s].

        **Errors:** ConfigError outside the saved times.
        """
        self._check_has_steps()
        first, last = float(self.field_times[0]), float(self.field_times[-1])
        slack = 1e-9 * max(abs(first), abs(last))  # times that were computed in another order of operations
        if not first - slack <= t <= last + slack:
            raise ConfigError(
                f"No fields were saved at t = {t:.6g} s ({t / 3600:.3g} h): the saved times span {first:.6g} to "
                f"{last:.6g} s ({last / 3600:.3g} h)."
            )
        return int(np.argmin(np.abs(self.field_times - t)))

    def field(self, name: str, index: int | None = None, *, t: float | None = None) -> np.ndarray:
        """Field `name` (nz, ny, nx) float32 of one saved step, NaN where the field does not exist.

        Choose the step by `index` (negative from the end; the last by default) or as the one nearest to
        time `t` [s] (no interpolation; `field_times[step_index(t)]` is its time).
        **Errors:** ConfigError for an unknown name, an index or time outside the saved steps.
        """
        if name not in self.field_specs:
            raise ConfigError(f"Field '{name}' is not in '{self.path.name}'.{did_you_mean(name, self.field_specs)}")
        return self._read(f"VTKHDF/CellData/{name}", index, t)

    @cached_property
    def faces(self) -> dict[str, np.ndarray]:
        """Facts of the live faces: name -> (f, ...), read when first asked for; empty if the file keeps none.

        `am` and `ionic` (f, 3): voxels [z, y, x] on either side, z = -1 of `ionic` for the separator; `axis` (f,) of
        the normal; `area` (f,) true contact area of the pristine face [m2]; `particle` (f,), only with particles.
        """
        with _open(self.path) as file:
            return {name: frozen(d[:]) for name, d in file.get(FACES, {}).items() if not grows(d)}

    def face(self, name: str, index: int | None = None, *, t: float | None = None) -> np.ndarray:
        """History `name` (f,) float32 of the live faces at one saved step, chosen as in `field`.

        **Errors:** ConfigError for a name that is not in `face_specs`, an index or time outside the saved steps.
        """
        if not self.face_specs:
            raise ConfigError(f"'{self.path.name}' keeps no faces: repeat the run with output.faces=true.")
        if name not in self.face_specs:
            raise ConfigError(
                f"'{name}' of the faces is not in '{self.path.name}'.{did_you_mean(name, self.face_specs)}"
            )
        return self._read(f"{FACES}/{name}", index, t)

    def _read(self, place: str, index: int | None, t: float | None) -> np.ndarray:
        """One saved step of the dataset `place`."""
        if index is not None and t is not None:
            raise ConfigError("Give `index` or `t`, not both.")
        self._check_has_steps()
        n = self.field_times.size
        step = self.step_index(t) if t is not None else -1 if index is None else index
        if not -n <= step < n:
            raise ConfigError(f"Step {step} is not in '{self.path.name}': it holds {n} steps, 0 to {n - 1}.")
        with _open(self.path) as file:
            return frozen(file[place][step % n])

    def _check_has_steps(self) -> None:
        if self.field_times.size == 0:
            raise ConfigError(f"'{self.path.name}' holds no fields: the run ended before its first saved step.")


def read_result(path: str | os.PathLike[str]) -> RunResult:
    """Read the result file of a run, also one that is still running or died.

    **Errors:** ConfigError if the file is missing, cut off, not HDF5, or not a result of ours.
    """
    path = Path(path)
    with _open(path) as file:
        vtk, series = file["VTKHDF"], file["timeseries"]
        rows = series["test_time_second"].shape[0]
        steps = int(vtk["Steps"].attrs["NSteps"])
        field_specs = _specs(vtk["CellData"])
        del field_specs["phase"]
        separator = file.get("separator_profiles", {})
        profiles = {name: d for name, d in separator.items() if name != "z"}
        dz, dy, dx = (float(v) for v in file.attrs["voxel_size_m"])
        return RunResult(
            path=path,
            status=str(file.attrs["status"]),
            phase=frozen(vtk["CellData/phase"][0]),
            voxel_size=(dz, dy, dx),
            timeseries={name: frozen(dataset[:rows]) for name, dataset in series.items()},
            timeseries_specs=_specs(series),
            field_times=frozen(vtk["Steps/Values"][:steps]),
            field_specs=field_specs,
            separator_z=frozen(separator["z"][:]) if separator else None,
            separator_profiles={name: frozen(dataset[:steps]) for name, dataset in profiles.items()},
            separator_specs=_specs(profiles),
            particles=read_particles(file, steps),
            face_specs=_specs({name: d for name, d in file.get(FACES, {}).items() if grows(d)}),
            **{name: json.loads(file[name]["json"].asstr()[()]) for name in MAPPINGS},
        )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command in `folder`, or None if git is absent or answers with an error."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def collect_provenance() -> dict[str, Any]:
    """Versions that made a result: voxelyte, python, numpy, jax, jaxlib, h5py, and the git commit if any.

    Holds no host or user name and no path. `git_commit` (with `git_modified`) is present only if the package
    lies directly in the checkout it belongs to; an installation inside somebody's own repository is not that.
    jax is not imported.
    """
    found: dict[str, Any] = {
        "voxelyte": _version("voxelyte"),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "jax", "jaxlib", "h5py")},
    }
    root = Path(__file__).resolve().parents[2]
    top = _git(root, "rev-parse", "--show-toplevel")
    commit = _git(root, "rev-parse", "--verify", "HEAD") if top and Path(top).resolve() == root else None
    if commit:
        found["git_commit"] = commit
        found["git_modified"] = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return found
