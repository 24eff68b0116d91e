"""Typed description of every key of a configuration, and the range each value must lie in.

Hydra merges the files of `conf/` and the command line into these dataclasses, so a wrong type or key fails by
name. `__post_init__` converts texts with a unit to SI and checks the ranges: an object that exists is valid.
Nothing here imports JAX.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from omegaconf import MISSING

from simulator.choices import AREAS, EFFECTIVE_SIDES, ENDS, KINDS, MAX_ROUGHNESS, MAX_SPREAD, PORE_PLACES, TEXTURES
from simulator.errors import ConfigError, did_you_mean
from simulator.units import parse_length, parse_quantity

PRECISIONS = ("mixed", "double")
SIDES = ("start", "end")
_MOST_LAYERS = 4096
#: settings that turn, cut, resample or press an electrode
_CHANGING = (
    "thickness_axis",
    "separator_side",
    "crop",
    "coarsen",
    "resample",
    "extend",
    "mirror",
    "quarter_turns",
    "trim",
    "thickness",
)
#: settings that say how pores and solid are placed
_PLACING = ("texture", "grain", "pores", "seed")
#: Fields that a run can save, by the names of the result file.
FIELDS = ("sto", "phi_s", "phi_e", "c_e", "j", "film_thickness", "decomposed_charge")
#: Keys of one value of a parameter that is given as a mapping.
VALUE_PARTS = {"value", "activation_energy", "T_ref", "valid"}


def fail(key: str, value: Any, expected: str, cure: str) -> NoReturn:
    """The error of a value out of range."""
    raise ConfigError(f"{key} must be {expected}, got {value!r}. {cure}")


def _check_choice(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{key} cannot be {value!r}.{did_you_mean(value, known)}")


def _check_range(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        fail(key, value, f"in [{low:g}, {high:g}]", "`voxelyte run --cfg job` shows all settings.")


def _size(key: str, value: Any) -> float:
    size = parse_length(value, key)
    if not 0 < size <= 1e-2:
        fail(key, value, "in (0, 0.01] m", f"Numbers are metres: write {key}=5e-6, or '{key}=5 um'.")
    return size


def voxel_lengths(key: str, value: Any, most: float = 1e-3) -> Any:
    """One voxel edge or three [m], up to `most`, or None as it is. **Errors:** ConfigError."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        if len(value) != 3:
            fail(key, value, "one length or three", "One is for cubic voxels.")
        return [_voxel_length(key, size, most) for size in value]
    return _voxel_length(key, value, most)


def _voxel_length(key: str, value: Any, most: float) -> float:
    size = parse_length(value, key)
    if not 0 < size <= most:
        allowed = "in (0, 1e-3] m" if math.isfinite(most) else "positive"
        fail(key, value, allowed, f"Numbers are metres: write {key}=0.4e-6, or '{key}=0.4 um'.")
    return size


def _seconds(key: str, value: Any) -> float:
    time = parse_quantity(value, "time", key)
    if time <= 0:
        fail(key, value, "a positive time", f"Numbers are seconds: {key}=60, or '{key}=1 min'.")
    return time


def _ranges(given: Any) -> list[list[int | None] | None]:
    """A crop as three entries, None or [start, stop]; the image checks that they lie inside it."""
    key, cure = "geometry.crop", "For example 'geometry.crop=[null, [0, 64], [0, 64]]' in voxels, axes z, y, x."
    entries = list(given) if isinstance(given, list | tuple) else []
    if len(entries) != 3:
        fail(key, given, "null or three ranges (z, y, x)", cure)
    for entry in entries:
        if entry is None:
            continue
        pair = list(entry) if isinstance(entry, list | tuple) else []
        if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, int | None) for v in pair):
            fail(key, given, "three entries, each null or [start, stop]", cure)
    return [None if entry is None else list(entry) for entry in entries]


@dataclass
class GenerateConfig:
    """Particles of a synthetic electrode. Lengths: metres, or texts such as `10 um`."""

    shape: list[int] = field(default_factory=lambda: [64, 64, 64])  # voxels z, y, x
    am_fraction: float = 0.53  # volume fraction of active material
    kind: str = "sphere"
    diameter: Any = 8e-6  # median by volume
    spread: float = 0.0  # standard deviation of ln(diameter)
    diameters: list[Any] | None = None  # instead of diameter and spread: sizes to draw from
    roughness: float = 0.1  # of irregular particles, relative to their radius
    ends: str = "periodic"

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or any(not 1 <= n <= _MOST_LAYERS for n in self.shape):
            cure = "For example 'geometry.generate.shape=[64, 64, 64]', axes z, y, x."
            fail("geometry.generate.shape", self.shape, f"three numbers of voxels in [1, {_MOST_LAYERS}]", cure)
        _check_range("geometry.generate.am_fraction", self.am_fraction, 0.0, 1.0)
        _check_choice("geometry.generate.kind", self.kind, KINDS)
        _check_choice("geometry.generate.ends", self.ends, ENDS)
        self.diameter = _size("geometry.generate.diameter", self.diameter)
        if self.diameters is not None:
            if not self.diameters:
                fail("geometry.generate.diameters", self.diameters, "null or a list of lengths", "null: diameter.")
            self.diameters = [_size("geometry.generate.diameters", d) for d in self.diameters]
            if self.spread:
                fail("geometry.generate.spread", self.spread, "0 with diameters", "The list is the distribution.")
        _check_range("geometry.generate.spread", self.spread, 0.0, MAX_SPREAD)
        _check_range("geometry.generate.roughness", self.roughness, 0.0, MAX_ROUGHNESS)


@dataclass
class GeometryConfig:
    """Where the electrode comes from (an image, or a recipe), and what is done to it, in this order."""

    path: str | None = MISSING  # a file, or mesh:NAME for a shipped image; null: generate
    generate: GenerateConfig | None = None  # particles of a synthetic electrode, instead of an image
    voxel_size: Any = None  # null (from the file), a length, or three lengths in the file's axis order
    labels: dict[str, Any] = field(default_factory=dict)  # phase -> code(s) in the file; empty: default
    thickness_axis: int = 0
    separator_side: str = "start"
    dataset: str | None = None  # of an HDF5 file; null: its only 3D dataset
    particles: str | None = None  # a file with the number of the particle of each voxel, 0 = none; null: by watershed
    crop: Any = None  # null, or [[z0, z1], [y0, y1], [x0, x1]] in voxels of the electrode; null in it: all
    coarsen: int = 1  # 2: blocks of 2x2x2 voxels become one
    resample: Any = None  # null, or one or three lengths: edges of new voxels
    extend: Any = None  # null, or a length: mirror images along z up to this thickness
    mirror: list[str] = field(default_factory=list)  # axes
    quarter_turns: int = 0  # about the thickness axis
    trim: bool = False  # cut off empty outer layers
    thickness: Any = None  # null, or a length: calendered to it
    porosity: float | None = None  # with one of these four, pores and solid are placed anew around the particles
    coverage: float | None = None
    cbd_fraction: float | None = None
    coating: Any = None  # null, or a length
    texture: str = "blobs"
    grain: Any = None  # null: 1.5 um
    pores: str = "random"
    seed: int = 0  # of everything random
    area: str = "smoothed"  # how voxel faces are weighted to true area
    min_live: float = 0.05  # least live share of the AM|ionic area

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.strip():
            fail("geometry.path", self.path, "the path of an image", "For example geometry.path=stack.tif.")
        if (self.path is None) == (self.generate is None):
            given = "none is" if self.path is None else "both are"
            raise ConfigError(
                f"The electrode is an image (geometry.path) or a synthetic one (geometry.generate); {given} given. "
                "Choose geometry.path=stack.tif, or geometry=generated."
            )
        if self.crop is not None:
            self.crop = _ranges(self.crop)
        if not 1 <= self.coarsen <= 64:
            fail("geometry.coarsen", self.coarsen, "a whole number in [1, 64]", "1 keeps every voxel.")
        self.voxel_size = voxel_lengths("geometry.voxel_size", self.voxel_size)
        if self.thickness_axis not in (0, 1, 2):
            fail("geometry.thickness_axis", self.thickness_axis, "0, 1 or 2", "Count the axes of the file.")
        _check_choice("geometry.separator_side", self.separator_side, SIDES)
        self.resample = voxel_lengths("geometry.resample", self.resample)
        for axis in self.mirror:
            _check_choice("geometry.mirror", axis, ("z", "y", "x"))
        for name in ("extend", "thickness", "grain", "coating"):
            if getattr(self, name) is not None:
                setattr(self, name, _size(f"geometry.{name}", getattr(self, name)))
        for name in ("porosity", "coverage", "cbd_fraction", "min_live"):
            if getattr(self, name) is not None:
                _check_range(f"geometry.{name}", getattr(self, name), 0.0, 1.0)
        if self.coating is not None and self.cbd_fraction is not None:
            raise ConfigError(
                f"geometry.coating={self.coating:g} and geometry.cbd_fraction={self.cbd_fraction:g} both say where cbd "
                "is. Keep one of them."
            )
        if self.particles is not None and self.path is None:
            raise ConfigError(
                f"geometry.particles={self.particles!r} belongs to an image, and geometry.path is null. Leave it out."
            )
        _check_choice("geometry.texture", self.texture, TEXTURES)
        _check_choice("geometry.pores", self.pores, PORE_PLACES)
        _check_choice("geometry.area", self.area, AREAS)
        if self.seed < 0:
            fail("geometry.seed", self.seed, "a whole number >= 0", "The default is 0.")
        if self.generate is not None and (self.voxel_size is None or self.porosity is None):
            name = "voxel_size" if self.voxel_size is None else "porosity"
            raise ConfigError(
                f"geometry.{name} is null, and a synthetic electrode needs it. For example "
                "geometry.voxel_size=0.5e-6 geometry.porosity=0.12."
            )

        idle = self._unusual(_PLACING)
        if idle and self.generate is None and not self.places_phases:
            name = idle[0]
            raise ConfigError(
                f"geometry.{name}={getattr(self, name)} changes nothing: pores and solid are placed anew only with "
                "geometry.porosity, coverage, cbd_fraction or coating. Add one of them, or leave it out."
            )

    @property
    def is_changed(self) -> bool:
        """Whether the electrode is turned, cut, resampled or pressed before its phases are placed."""
        return bool(self._unusual(_CHANGING))

    def _unusual(self, names: Sequence[str]) -> list[str]:
        """Those of `names` whose values are not the defaults."""
        usual = {
            f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            for f in dataclasses.fields(self)
        }
        return [name for name in names if getattr(self, name) != usual[name]]

    @property
    def places_phases(self) -> bool:
        """Whether pores and solid are placed anew around the particles."""
        return any(v is not None for v in (self.porosity, self.coverage, self.cbd_fraction, self.coating))


@dataclass
class CellConfig:
    """A named parameter set, and values that replace some of its own."""

    parameter_set: str = MISSING
    overrides: dict[str, Any] = field(default_factory=dict)  # nested or dotted names

    def __post_init__(self) -> None:
        self.overrides = _flat(self.overrides)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value: `{electrolyte: {kappa: 0.05}}` and `{electrolyte.kappa: 0.05}` alike.

    A mapping of the parts of one value, `{value: 1.0, activation_energy: 45 kJ/mol, T_ref: 60 degC}`, stays whole, and
    so does one of particle labels, `{3: 0.5, default: 1.0}`.

    **Errors:** ConfigError if a name is given twice.
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        labels = isinstance(value, dict) and all(str(k).isdecimal() or k == "default" for k in value)
        if labels:
            value = {str(k): part for k, part in value.items()}  # one kind of keys, so that they can be sorted
        whole = isinstance(value, dict) and value and (labels or value.keys() <= VALUE_PARTS)
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
            fail("protocol.steps", self.steps, "at least one step", cure)


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
    cycle_jump: int = 0  # cycles that may be jumped at once where only films grow; 0: every cycle is computed
    cycle_jump_tol: Any = 1e-3  # [V] error that one jump may make

    def __post_init__(self) -> None:
        if not 1e-8 <= self.rtol <= 0.1:
            fail("solver.rtol", self.rtol, "in [1e-8, 0.1]", "The default is 1e-3; 1e-4 is stricter.")
        if not 0 < self.newton_tol <= 1e-2:
            fail("solver.newton_tol", self.newton_tol, "in (0, 0.01]", "The default is 1e-6.")
        for name in ("dt_init", "dt_min", "dt_max"):
            if getattr(self, name) is not None or name != "dt_max":
                setattr(self, name, _seconds(f"solver.{name}", getattr(self, name)))
        longest = math.inf if self.dt_max is None else self.dt_max
        if not self.dt_min <= self.dt_init <= longest:
            allowed = f"between solver.dt_min = {self.dt_min:g} s and solver.dt_max = {longest:g} s"
            fail("solver.dt_init", self.dt_init, allowed, "Change one of the three.")
        for name in ("max_steps", "krylov_max"):
            if getattr(self, name) < 1:
                fail(f"solver.{name}", getattr(self, name), "at least 1", "Leave it out for the default.")
        if not 0 <= self.cycle_jump <= 1000:
            fail("solver.cycle_jump", self.cycle_jump, "in [0, 1000]", "0 computes every cycle, 10 is a good start.")
        self.cycle_jump_tol = parse_quantity(self.cycle_jump_tol, "voltage", "solver.cycle_jump_tol")
        if not 0 < self.cycle_jump_tol <= 0.1:
            fail("solver.cycle_jump_tol", self.cycle_jump_tol, "in (0, 0.1] V", "1 mV is the default.")
        _check_choice("solver.precision", self.precision, PRECISIONS)


@dataclass
class OutputConfig:
    """What a run leaves behind, and where."""

    dir: str | None = None  # null: outputs/<names>-<hash of the configuration>
    overwrite: bool = False  # replace the results of an earlier run in `dir`
    fields: list[str] | None = None  # of FIELDS; null: all that exist in the cell
    snapshots: int = 20  # saves of the fields per theoretical capacity passed, or per rest
    particles: bool = True  # histories of every particle (watershed labels)
    faces: bool = True  # histories of every live face
    checkpoint: Any = 10.0  # longest time of computing that a kill can cost [s]; 0: save after each time step
    pictures: bool = True

    def __post_init__(self) -> None:
        if self.dir is not None and not self.dir.strip():
            fail("output.dir", self.dir, "a folder, or null", "null: a folder in outputs/ named by the configuration.")
        for name in self.fields or ():
            _check_choice("output.fields", name, FIELDS)
        self.checkpoint = parse_quantity(self.checkpoint, "time", "output.checkpoint")
        if self.checkpoint < 0:
            fail("output.checkpoint", self.checkpoint, "a time >= 0", "0 saves after every time step.")
        if self.snapshots < 1:
            fail("output.snapshots", self.snapshots, "at least 1", "The default is 20.")
        if self.pictures and self.fields is not None and "sto" not in self.fields:
            cure = "Add sto, or set output.pictures=false."
            fail("output.fields", self.fields, "a list with 'sto' when pictures are drawn", cure)


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
            fail("image", self.image, "the path of an image", "For example image=stack.tif.")
        if (self.phase is None) == (not self.sigma):
            cure = "Give one of them: phase=cbd, 'phase=[cbd,electrolyte]', or 'sigma={am: 0.1, cbd: 1}' in S/m."
            given = "neither" if self.phase is None else "both"
            raise ConfigError(f"phase and sigma say what conducts; {given} is given. {cure}")
        phases = self.phase if isinstance(self.phase, list) else [self.phase]
        if self.phase is not None:
            if not phases or any(isinstance(p, bool) or not isinstance(p, str | int) for p in phases):
                fail("phase", self.phase, "a label, an image value, or a list of them", "For example phase=cbd.")
            self.phase = phases
        for name, value in self.sigma.items():
            conductivity = parse_quantity(value, "conductivity", f"sigma.{name}")
            if conductivity < 0:
                fail(f"sigma.{name}", value, "a conductivity >= 0 S/m", "0 insulates.")
            self.sigma[name] = conductivity
        if self.sigma and not any(self.sigma.values()):
            raise ConfigError("sigma insulates everywhere. Give at least one conductivity above 0 S/m.")
        size = voxel_lengths("voxel_size", self.voxel_size, math.inf)  # only their ratios count
        self.voxel_size = size if size is None or isinstance(size, list) else [size] * 3
        if isinstance(self.axis, bool) or self.axis not in (0, 1, 2, "all"):
            fail("axis", self.axis, "0, 1, 2 or all", "Count the axes of the file.")
        _check_choice("sides", self.sides, EFFECTIVE_SIDES)
        for name in ("rtol", "residual_rtol"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 0.1:
                fail(name, value, "in (0, 0.1]", f"For example {name}=1e-3.")
        if self.save is not None and not self.save.lower().endswith((".npy", ".npz")):
            fail("save", self.save, "a path that ends with .npy or .npz", "It gets the potential.")
        if self.save is not None and self.save.lower().endswith(".npy") and self.axis == "all":
            fail("save", self.save, "a .npz file for axis=all", "It holds three arrays.")
