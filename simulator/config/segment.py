"""Settings of `voxelyte segment`. What depends on the image or on other settings is checked where it is used."""

from dataclasses import dataclass, field
from typing import Any

from simulator.config.schema import fail, voxel_lengths
from simulator.errors import ConfigError
from simulator.units import parse_quantity


@dataclass
class SegmentConfig:
    """Everything `voxelyte segment` needs: a grey image, what its classes are, and how they are found."""

    image: str = ""  # a file or a folder of slices
    voxel_size: Any = None  # one length or three in the file's axis order; null: from the file, else not known
    dataset: str | None = None  # of an HDF5 or .npz file
    classes: int | None = None  # null: as many as labels or thresholds say, else 3
    labels: dict[str, Any] = field(default_factory=dict)  # phase -> class(es), 0 the darkest; empty: usual names
    method: str = "otsu"  # or random_walker
    denoise: str = "nlm"  # none, gaussian, median, nlm, tv
    strength: float | None = None  # of denoise; null: the usual one
    clip: list[float] = field(default_factory=lambda: [0.1, 99.9])  # percentiles of the grey scale
    drift: bool = False  # slow brightness along axis 0
    thresholds: list[float] = field(default_factory=list)  # grey values; empty: multi-level Otsu
    beta: float = 10.0  # of the random walker
    min_size: int = 8  # voxels; smaller clusters are removed
    fill_pores: bool = False  # closed pores in am
    majority: int = 0  # passes of a majority filter
    expected: dict[str, Any] = field(default_factory=dict)  # phase -> volume fraction; with densities, weight fraction
    densities: dict[str, Any] = field(default_factory=dict)  # phase -> density
    particles: bool = True  # label particles too (3D)
    output: str | None = None  # folder; null: outputs/segment-<name of the image>
    json: bool = False  # print JSON instead of a table

    def __post_init__(self) -> None:
        if not self.image.strip():
            fail("image", self.image, "the path of a grey image", "For example voxelyte segment stack.tif.")
        if self.output is not None and not self.output.strip():
            fail("output", self.output, "a folder", "Leave it out for outputs/segment-<name of the image>.")
        size = voxel_lengths("voxel_size", self.voxel_size)
        self.voxel_size = size if size is None or isinstance(size, list) else [size] * 3
        if len(self.clip) != 2:
            fail("clip", self.clip, "two percentiles", "For example 'clip=[0.1,99.9]'.")
        if self.classes is None:
            self.classes = _classes(self.labels)
        for name, value in self.expected.items():
            self.expected[name] = parse_quantity(value, "number", f"expected.{name}")
        for name, value in self.densities.items():
            self.densities[name] = parse_quantity(value, "density", f"densities.{name}")
        if self.densities and not self.expected:
            raise ConfigError("densities turn weight fractions into volumes; give expected={am: 0.9, cbd: 0.1} too.")


def _classes(labels: dict[str, Any]) -> int | None:
    """How many classes `labels` names."""
    count = sum(len(given) if isinstance(given, list | tuple) else 1 for given in labels.values())
    return count or None
