"""Segment an image file: read it, find its phases, and write labels, particles, a picture and the facts."""

import dataclasses
import json
import shlex
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.geometry import RawImage, label_particles, read_image
from simulator.geometry.segmentation import (
    FAR,
    UNSURE,
    USUAL_CLASSES,
    Expected,
    Segmentation,
    class_names,
    compare,
    segment,
)
from simulator.io.atomic import replaced
from simulator.io.stack import write_stack
from simulator.memory import available_memory
from simulator.resources import image_path

if TYPE_CHECKING:
    from simulator.config import SegmentConfig

LABELS, PARTICLES, PICTURE, FACTS = "segmented.tif", "particles.tif", "segment.png", "segment.json"
#: Peak memory that grows with the image [B per voxel], and that does not [B]; measured at 64^3 and 128^3.
VOXEL_BYTES: Mapping[str, float] = {"otsu": 70.0, "random_walker": 200.0}
BASE_BYTES = 3.5e8


@dataclass
class Segmented:
    """What was found and written."""

    found: Segmentation
    voxel_size: tuple[float, float, float] | None  # [m] in the order of the file's axes; None: not known
    expected: list[Expected]
    particles: int | None  # None: not asked for, 2D, or no am
    seconds: float
    command: str | None  # that simulates it; None: 2D, or no am
    files: dict[str, Path] = field(default_factory=dict)


def segment_file(settings: "SegmentConfig", console: Console | None = None) -> Segmented:
    """Segment the image that `settings` name, write the files and print a table (or JSON).

    **Errors:** ConfigError, GeometryError, ConvergenceError. `UserWarning` where classes overlap, fractions are far
    from those expected, or memory will not do.
    """
    path = image_path(settings.image)
    raw = read_image(path, settings.dataset)
    folder = Path(settings.output).expanduser() if settings.output else Path("outputs") / f"segment-{path.stem}"
    size = _voxel_size(settings, raw)
    # Before minutes of computing: what was said wrongly, and a folder that cannot be made.
    count = settings.classes or (len(settings.thresholds) + 1 if settings.thresholds else USUAL_CLASSES)
    names = class_names(settings.labels or None, count)
    compare(dict.fromkeys(names, 0.0), settings.expected, settings.densities or None)
    folder.mkdir(parents=True, exist_ok=True)
    _check_memory(raw.array.size, settings.method)
    begin = time.perf_counter()
    found = segment(
        raw.array,
        settings.classes,
        labels=settings.labels or None,
        method=settings.method,
        denoise=settings.denoise,
        strength=settings.strength,
        clip=(settings.clip[0], settings.clip[1]),
        drift=settings.drift,
        thresholds=settings.thresholds or None,
        beta=settings.beta,
        min_size=settings.min_size,
        fill_pores=settings.fill_pores,
        majority=settings.majority,
        voxel_size=1.0 if size is None else size[3 - raw.array.ndim :],
    )
    seconds = time.perf_counter() - begin
    result = Segmented(found, size, _compared(found, settings), None, seconds, None)
    _write(result, raw, settings, folder)
    facts = _facts(result, settings, raw)
    target = folder / FACTS
    with replaced(target) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    result.files["facts"] = target
    console = console or Console()
    if settings.json:
        console.out(json.dumps(facts, indent=2, allow_nan=False), highlight=False)
    else:
        _print(console, result, raw, path)
    return result


def _voxel_size(settings: "SegmentConfig", raw: RawImage) -> tuple[float, float, float] | None:
    if settings.voxel_size is not None:
        z, y, x = settings.voxel_size
        return z, y, x
    return None if isinstance(raw.voxel_size, str) else raw.voxel_size


def _check_memory(voxels: int, method: str) -> None:
    needed, free = BASE_BYTES + VOXEL_BYTES.get(method, 0.0) * voxels, available_memory()
    if free is not None and needed > free:
        cure = "use method=otsu, or " if method != "otsu" else ""
        warnings.warn(
            f"About {1e-9 * needed:.2g} GB of memory are needed, {1e-9 * free:.2g} GB are free. If this is killed, "
            f"{cure}cut the image into parts.",
            UserWarning,
            stacklevel=3,
        )


def _compared(found: Segmentation, settings: "SegmentConfig") -> list[Expected]:
    """Fractions beside those expected; a warning for those far off."""
    fractions = {name: found.fraction(name) for name in found.names}
    rows = compare(fractions, settings.expected, settings.densities or None)
    for row in rows:
        if abs(row.found - row.expected) > FAR:
            of = "" if row.of == "image" else f" of {row.of}"
            warnings.warn(
                f"{row.name} is {100 * row.found:.1f} % by volume{of}, expected are {100 * row.expected:.1f} %. "
                f"Look at {PICTURE}: thresholds, classes or labels may be wrong.",
                UserWarning,
                stacklevel=3,
            )
    return rows


def _write(result: Segmented, raw: RawImage, settings: "SegmentConfig", folder: Path) -> None:
    """Labels, particles and picture."""
    found = result.found
    result.files["labels"] = write_stack(folder / LABELS, found.labels, result.voxel_size)
    labels = ", ".join(
        f"{name}: {classes[0] if len(classes) == 1 else list(classes)}" for name, classes in found.names.items()
    )
    if found.labels.ndim == 3 and "am" in found.names and found.fraction("am") > 0:
        words = [f"geometry.path={folder / LABELS}", f"geometry.labels={{{labels}}}"]
        if result.voxel_size is None:
            words.append("geometry.voxel_size=0.4 um")
        result.command = "voxelyte run " + " ".join(shlex.quote(word) for word in words)
        if settings.particles:
            # the shape of voxels matters to particles, not their size
            electrode = label_particles(found.electrode(result.voxel_size or 1e-6))
            assert electrode.particle is not None
            result.particles = int(electrode.particle.max())
            result.files["particles"] = write_stack(folder / PARTICLES, electrode.particle, result.voxel_size)
    from simulator import viz  # matplotlib takes a second

    axes = raw.axes[3 - raw.array.ndim :]
    size = None if result.voxel_size is None else result.voxel_size[3 - raw.array.ndim :]
    shape = " x ".join(map(str, raw.array.shape))
    title = f"{Path(settings.image).name}: {shape} {'voxels' if raw.array.ndim == 3 else 'pixels'}"
    result.files["picture"] = viz.plot_segmentation(
        raw.array, found, folder / PICTURE, axes=axes, voxel_size=size, expected=result.expected, title=title
    )


def _facts(result: Segmented, settings: "SegmentConfig", raw: RawImage) -> dict[str, Any]:
    """What `segment.json` holds: lengths in metres, shares in [0, 1], grey values of the file."""
    found = result.found
    return {
        "image": settings.image,
        "shape": list(raw.array.shape),
        "voxel_size_m": None if result.voxel_size is None else list(result.voxel_size),
        "settings": dataclasses.asdict(settings),
        "steps": list(found.steps),
        "classes": [
            {
                "class": c,
                "phase": _phase(found, c),
                "fraction": found.fractions[c],
                "mean_grey": found.means[c],
                "noise_grey": found.spreads[c],
            }
            for c in range(len(found.fractions))
        ],
        "thresholds": list(found.thresholds),
        "contrast_to_noise": list(found.contrast),
        "phases": {name: found.fraction(name) for name in found.names},
        "unsure": found.unsure,
        "expected": [dataclasses.asdict(row) for row in result.expected],
        "particles": result.particles,
        "warnings": list(found.warnings),
        "seconds": result.seconds,
        "files": {name: str(path) for name, path in result.files.items()},
        "command": result.command,
    }


def _phase(found: Segmentation, c: int) -> str:
    return next(name for name, classes in found.names.items() if c in classes)


def _print(console: Console, result: Segmented, raw: RawImage, path: Path) -> None:
    found = result.found
    title = Text(f"{path.name}: {' x '.join(map(str, raw.array.shape))}", style="bold")
    table = Table(title=title, title_justify="left")
    for heading in ("Class", "Phase", "Grey values", "Mean", "Noise", "Share [%]", "Contrast"):
        table.add_column(heading, justify="left" if heading == "Phase" else "right")
    for c, share in enumerate(found.fractions):
        contrast = f"{found.contrast[c]:.2g}" if c < len(found.contrast) else ""
        greys = (_span(found.thresholds, c), _short(found.means[c]), _short(found.spreads[c]))
        table.add_row(str(c), _phase(found, c), *greys, f"{100 * share:.2f}", contrast)
    console.print(table)

    def line(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    for text in found.steps:
        line(text)
    for row in result.expected:
        of = "" if row.of == "image" else f" of {row.of}"
        line(f"{row.name}{of}: {100 * row.found:.1f} % by volume, expected {100 * row.expected:.1f} %")
    line("contrast: to the next class, difference of the means over the noise inside the classes")
    line(f"unsure voxels (probability below {UNSURE:g}): {100 * found.unsure:.1f} %;  time {result.seconds:.1f} s")
    if result.particles is not None:
        line(f"particles: {result.particles}")
    for file in result.files.values():
        line(str(file))
    if result.command is not None:
        line(f"simulate it: {result.command}")
        if result.voxel_size is None:
            line("The voxel size is not known: 0.4 um is an example, put yours.")
    elif raw.array.ndim == 2:
        line("A 2D section is for trying settings; a simulation needs a stack.")


def _span(thresholds: Sequence[float], c: int) -> str:
    """The grey values of a class."""
    if not thresholds:
        return ""
    if c == 0:
        return f"to {_short(thresholds[0])}"
    last = c == len(thresholds)
    return f"from {_short(thresholds[-1])}" if last else f"{_short(thresholds[c - 1])} to {_short(thresholds[c])}"


def _short(value: float) -> str:
    """Four digits, without an exponent for usual grey values."""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:.4g}"
