"""Typed description of every key of a configuration, and the range each value must lie in.

Hydra merges the files of `conf/` and the command line into these dataclasses, so a wrong type or key fails by
name. `__post_init__` converts texts with a unit to SI and checks the ranges: an object that exists is valid.
Nothing here imports JAX.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from omegaconf import MISSING

from simulator.errors import ConfigError, did_you_mean
from simulator.units import parse_length, parse_quantity

PRECISIONS = ("mixed", "double")
SIDES = ("start", "end")
#: of an effective conductivity: what the sides along the current are
EFFECTIVE_SIDES = ("insulated", "periodic")
#: Fields that a run can save, by the names of the result file.
FIELDS = ("sto", "phi_s", "phi_e", "c_e", "j")
#: Keys of one value of a parameter that is given as a mapping.
VALUE_PARTS = {"value", "activation_energy", "T_ref", "valid"}


def _fail(key: str, value: Any, expected: str, cure: str) -> NoReturn:
    raise ConfigError(f"{key} must be {expected}, got {value!r}. {cure}")


def _check_choice(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{key} cannot be {value!r}.{did_you_mean(value, known)}")


def _length(value: Any) -> float:
    key = "geometry.voxel_size"
    size = parse_length(value, key)
    if not 0 < size <= 1e-3:
        _fail(key, value, "in (0, 1e-3] m", f"Numbers are metres: write {key}=0.4e-6, or '{key}=0.4 um'.")
    return size


def _seconds(key: str, value: Any) -> float:
    time = parse_quantity(value, "time", key)
    if time <= 0:
        _fail(key, value, "a positive time", f"Numbers are seconds: {key}=60, or '{key}=1 min'.")
    return time


def _ranges(given: Any) -> list[list[int | None] | None]:
    """A crop as three entries, None or [start, stop]; the image checks that they lie inside it."""
    key, cure = "geometry.crop", "For example 'geometry.crop=[null, [0, 64], [0, 64]]' in voxels, axes z, y, x."
    entries = list(given) if isinstance(given, list | tuple) else []
    if len(entries) != 3:
        _fail(key, given, "null or three ranges (z, y, x)", cure)
    for entry in entries:
        if entry is None:
            continue
        pair = list(entry) if isinstance(entry, list | tuple) else []
        if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int | None) for v in pair):
            _fail(key, given, "three entries, each null or [start, stop]", cure)
    return [None if entry is None else list(entry) for entry in entries]


@dataclass
class GeometryConfig:
    """The image and how to read it."""

    path: str = MISSING  # a file, or mesh:NAME for a shipped image
    voxel_size: Any = None  # null (from the file), a length, or three lengths in the file's axis order
    labels: dict[str, Any] = field(default_factory=dict)  # phase -> code(s) in the file; empty: default
    thickness_axis: int = 0
    separator_side: str = "start"
    dataset: str | None = None  # of an HDF5 file; null: its only 3D dataset
    crop: Any = None  # null, or [[z0, z1], [y0, y1], [x0, x1]] in voxels of the electrode; null in it: all
    coarsen: int = 1  # 2: blocks of 2x2x2 voxels become one
    min_live: float = 0.05  # least live share of the AM|ionic area

    def __post_init__(self) -> None:
        if not self.path.strip():
            _fail("geometry.path", self.path, "the path of an image", "For example geometry.path=stack.tif.")
        if self.crop is not None:
            self.crop = _ranges(self.crop)
        if not 1 <= self.coarsen <= 64:
            _fail("geometry.coarsen", self.coarsen, "a whole number in [1, 64]", "1 keeps every voxel.")
        if isinstance(self.voxel_size, list | tuple):
            if len(self.voxel_size) != 3:
                _fail("geometry.voxel_size", self.voxel_size, "one length or three", "One is for cubic voxels.")
            self.voxel_size = [_length(size) for size in self.voxel_size]
        elif self.voxel_size is not None:
            self.voxel_size = _length(self.voxel_size)
        if self.thickness_axis not in (0, 1, 2):
            _fail("geometry.thickness_axis", self.thickness_axis, "0, 1 or 2", "Count the axes of the file.")
        _check_choice("geometry.separator_side", self.separator_side, SIDES)
        if not 0 <= self.min_live <= 1:
            _fail("geometry.min_live", self.min_live, "a share in [0, 1]", "The default is 0.05.")


@dataclass
class CellConfig:
    """A named parameter set, and values that replace some of its own."""

    parameter_set: str = MISSING
    overrides: dict[str, Any] = field(default_factory=dict)  # nested or dotted names

    def __post_init__(self) -> None:
        self.overrides = _flat(self.overrides)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value: `{electrolyte: {kappa: 0.05}}` and `{electrolyte.kappa: 0.05}` alike.

    A mapping of the parts of one value, `{value: 1.0, activation_energy: 45 kJ/mol, T_ref: 60 degC}`, stays whole.

    **Errors:** ConfigError if a name is given twice.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        whole = isinstance(value, dict) and value and value.keys() <= VALUE_PARTS
        found = _flat(value, f"{name}.") if isinstance(value, dict) and not whole else {name: value}
        for twice in flat.keys() & found.keys():
            raise ConfigError(f"cell.{twice} is given twice: {flat[twice]!r} and {found[twice]!r}. Keep one of them.")
        flat |= found
    return flat


@dataclass
class ProtocolConfig:
    """Steps in plain words, one after the other."""

    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.steps:
            cure = "For example 'protocol.steps=[Charge at C/10 until 4.2 V, Rest for 1 hour]'."
            _fail("protocol.steps", self.steps, "at least one step", cure)


@dataclass
class SolverConfig:
    """Accuracy and limits of the time integration. Times: seconds, or texts such as `5 min`."""

    rtol: float = 1e-3  # time step error; 1e-3 stands for 0.2 mV and a stoichiometry of 1e-3
    newton_tol: float = 1e-6  # scaled residual at which a solve ends; 1 is the applied current
    dt_init: Any = 10.0
    dt_min: Any = 1e-3
    dt_max: Any = None  # null: 1/40 of the time in which the current passes the theoretical capacity
    max_steps: int = 5000
    krylov_max: int = 40  # directions kept for the linear systems, at most; each stores two vectors
    precision: str = "mixed"

    def __post_init__(self) -> None:
        if not 1e-8 <= self.rtol <= 0.1:
            _fail("solver.rtol", self.rtol, "in [1e-8, 0.1]", "The default is 1e-3; 1e-4 is stricter.")
        if not 0 < self.newton_tol <= 1e-2:
            _fail("solver.newton_tol", self.newton_tol, "in (0, 0.01]", "The default is 1e-6.")
        for name in ("dt_init", "dt_min", "dt_max"):
            if getattr(self, name) is not None or name != "dt_max":
                setattr(self, name, _seconds(f"solver.{name}", getattr(self, name)))
        longest = math.inf if self.dt_max is None else self.dt_max
        if not self.dt_min <= self.dt_init <= longest:
            allowed = f"between solver.dt_min = {self.dt_min:g} s and solver.dt_max = {longest:g} s"
            _fail("solver.dt_init", self.dt_init, allowed, "Change one of the three.")
        for name in ("max_steps", "krylov_max"):
            if getattr(self, name) < 1:
                _fail(f"solver.{name}", getattr(self, name), "at least 1", "Leave it out for the default.")
        _check_choice("solver.precision", self.precision, PRECISIONS)


@dataclass
class OutputConfig:
    """What a run leaves behind, and where."""

    dir: str | None = None  # null: outputs/<names>-<hash of the configuration>
    overwrite: bool = False  # replace the results of an earlier run in `dir`
    fields: list[str] = field(default_factory=lambda: list(FIELDS))
    snapshots: int = 20  # saves of the fields per theoretical capacity passed, or per rest
    particles: bool = True  # histories of every particle (watershed labels)
    checkpoint: Any = 10.0  # longest time of computing that a kill can cost [s]; 0: save after each time step
    pictures: bool = True

    def __post_init__(self) -> None:
        if self.dir is not None and not self.dir.strip():
            _fail("output.dir", self.dir, "a folder, or null", "null: a folder in outputs/ named by the configuration.")
        for name in self.fields:
            _check_choice("output.fields", name, FIELDS)
        self.checkpoint = parse_quantity(self.checkpoint, "time", "output.checkpoint")
        if self.checkpoint < 0:
            _fail("output.checkpoint", self.checkpoint, "a time >= 0", "0 saves after every time step.")
        if self.snapshots < 1:
            _fail("output.snapshots", self.snapshots, "at least 1", "The default is 20.")
        if self.pictures and "sto" not in self.fields:
            cure = "Add sto, or set output.pictures=false."
            _fail("output.fields", self.fields, "a list with 'sto' when pictures are drawn", cure)


@dataclass
class RunConfig:
    """Everything `voxelyte run` needs: five groups, and what to do with a folder that holds part of this run."""

    geometry: GeometryConfig = MISSING
    cell: CellConfig = MISSING
    protocol: ProtocolConfig = MISSING
    solver: SolverConfig = field(default_factory=SolverConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    resume: bool = False  # go on where an interrupted run of the same configuration stopped


@dataclass
class EffectiveConfig:
    """Everything `voxelyte effective` needs: an image, what conducts in it, and how it is solved."""

    image: str = ""  # a file, a folder of slices, or mesh:NAME for a shipped image
    phase: Any = None  # name of a label, image value, or a list of them: conducts 1 S/m, all else nothing
    sigma: dict[Any, Any] = field(default_factory=dict)  # name or image value -> conductivity; instead of phase
    labels: dict[str, Any] = field(default_factory=dict)  # name -> image value(s); empty: as geometry.labels
    voxel_size: Any = None  # as geometry.voxel_size; null: from the file, else cubic voxels
    dataset: str | None = None
    axis: Any = 0  # 0, 1, 2, or all
    sides: str = "insulated"
    rtol: float = 1e-3  # estimated relative error of the value
    residual_rtol: float | None = None  # true residual, beside rtol
    save: str | None = None  # .npy or .npz for the potential
    json: bool = False

    def __post_init__(self) -> None:
        if not self.image.strip():
            _fail("image", self.image, "the path of an image", "For example image=stack.tif.")
        if (self.phase is None) == (not self.sigma):
            cure = "Give one of them: phase=cbd, 'phase=[cbd,electrolyte]', or 'sigma={am: 0.1, cbd: 1}' in S/m."
            given = "neither" if self.phase is None else "both"
            raise ConfigError(f"phase and sigma say what conducts; {given} is given. {cure}")
        phases = self.phase if isinstance(self.phase, list) else [self.phase]
        if self.phase is not None:
            if not phases or any(isinstance(p, bool) or not isinstance(p, str | int) for p in phases):
                _fail("phase", self.phase, "a label, an image value, or a list of them", "For example phase=cbd.")
            self.phase = phases
        for name, value in self.sigma.items():
            conductivity = parse_quantity(value, "conductivity", f"sigma.{name}")
            if conductivity < 0:
                _fail(f"sigma.{name}", value, "a conductivity >= 0 S/m", "0 insulates.")
            self.sigma[name] = conductivity
        if self.sigma and not any(self.sigma.values()):
            raise ConfigError("sigma insulates everywhere. Give at least one conductivity above 0 S/m.")
        if isinstance(self.voxel_size, list | tuple):
            if len(self.voxel_size) != 3:
                _fail("voxel_size", self.voxel_size, "one length or three", "One is for cubic voxels.")
            self.voxel_size = [_positive_length(size) for size in self.voxel_size]
        elif self.voxel_size is not None:
            self.voxel_size = [_positive_length(self.voxel_size)] * 3
        if isinstance(self.axis, bool) or self.axis not in (0, 1, 2, "all"):
            _fail("axis", self.axis, "0, 1, 2 or all", "Count the axes of the file.")
        _check_choice("sides", self.sides, EFFECTIVE_SIDES)
        for name in ("rtol", "residual_rtol"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 0.1:
                _fail(name, value, "in (0, 0.1]", f"For example {name}=1e-3.")
        if self.save is not None and not self.save.lower().endswith((".npy", ".npz")):
            _fail("save", self.save, "a path that ends with .npy or .npz", "It gets the potential.")
        if self.save is not None and self.save.lower().endswith(".npy") and self.axis == "all":
            _fail("save", self.save, "a .npz file for axis=all", "It holds three arrays.")


def _positive_length(value: Any) -> float:
    size = parse_length(value, "voxel_size")
    if size <= 0:
        _fail("voxel_size", value, "positive", "For example 'voxel_size=0.4 um'.")
    return size
