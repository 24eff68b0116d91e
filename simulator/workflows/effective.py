"""Effective conductivities of an image file: read it, say what conducts, solve, print and save."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from simulator.errors import ConfigError, GeometryError, did_you_mean
from simulator.geometry import (
    DEFAULT_LABELS,
    EffectiveConductivity,
    RawImage,
    effective_conductivity,
    read_image,
    value_counts,
)
from simulator.geometry.labels import check_image
from simulator.io.atomic import replaced
from simulator.resources import image_path

if TYPE_CHECKING:
    from simulator.config import EffectiveConfig

_SHOWN = 12  # image values listed in a message


@dataclass(frozen=True)
class Answer:
    """One axis: what was found and how long it took."""

    found: EffectiveConductivity
    seconds: float


def effective(settings: "EffectiveConfig", console: Console | None = None) -> list[Answer]:
    """Compute, print and save what `settings` ask for.

    **Errors:** ConfigError, GeometryError, ConvergenceError. A `UserWarning` for an axis along which nothing
    percolates.
    """
    path = image_path(settings.image)
    target = None if settings.save is None else Path(settings.save).expanduser()
    if target is not None and not target.parent.is_dir():
        raise ConfigError(f"save: there is no folder {target.parent}. Make it, or choose another place.")
    raw = read_image(path, settings.dataset)
    check_image(raw.array)
    counts = value_counts(raw.array)
    values = _conductivities(settings, raw, counts)
    sigma = _mapped(raw.array, counts, values)
    size = settings.voxel_size or (raw.voxel_size if not isinstance(raw.voxel_size, str) else (1.0, 1.0, 1.0))
    answers = []
    for axis in range(3) if settings.axis == "all" else (settings.axis,):
        start = time.perf_counter()
        found = effective_conductivity(
            sigma, size, axis=axis, sides=settings.sides, rtol=settings.rtol, residual_rtol=settings.residual_rtol
        )
        answers.append(Answer(found, time.perf_counter() - start))
    conducting = sum(n for value, n in counts.items() if values.get(value, 0.0) > 0)
    fraction = conducting / raw.array.size
    console = console or Console()
    if settings.json:
        facts = _facts(settings, raw, answers, fraction)
        console.out(json.dumps(facts, indent=2, allow_nan=False), highlight=False)
    else:
        console.print(_table(settings, path, answers, fraction))
    if target is not None:
        _save(target, answers)
        if not settings.json:
            console.print(f"potential: {target}", soft_wrap=True, markup=False, highlight=False)
    return answers


def _conductivities(settings: "EffectiveConfig", raw: RawImage, counts: Mapping[int, int]) -> dict[int, float]:
    """Image value -> conductivity [S/m] of what conducts."""
    labels: Mapping[str, Any] = settings.labels or raw.labels or DEFAULT_LABELS
    wanted = settings.sigma or dict.fromkeys(settings.phase, 1.0)
    shares = ", ".join(f"{v} ({100 * n / raw.array.size:.3g} %)" for v, n in list(counts.items())[:_SHOWN])
    found: dict[int, float] = {}
    for name, conductivity in wanted.items():
        if isinstance(name, str) and name not in labels:
            raise ConfigError(
                f"Unknown phase {name!r}.{did_you_mean(name, labels)} The image holds the values {shares}; give one "
                f"of them, or names for them: 'labels={{{name}: VALUE}}'."
            )
        given = labels[name] if isinstance(name, str) else name
        codes = list(given) if isinstance(given, (list, tuple)) else [given]
        if any(isinstance(code, bool) or not isinstance(code, (int, np.integer)) for code in codes):
            raise ConfigError(f"labels.{name} must be an image value or a list of them, got {given!r}.")
        if not any(code in counts for code in codes):
            what = f"{name} = {given}" if isinstance(name, str) else f"the value {name}"
            raise GeometryError(
                f"The image holds no voxel of {what}; it holds the values {shares}. Correct labels or phase."
            )
        for code in codes:
            if found.get(code, conductivity) != conductivity:
                raise ConfigError(f"The image value {code} is given two conductivities. Keep one of them.")
            found[code] = conductivity
    return found


def _mapped(image: NDArray, counts: Mapping[int, int], values: Mapping[int, float]) -> NDArray:
    """The image as conductivities: uint8 for one phase, float32 where that is exact, else float64."""
    lowest, highest = min(counts), max(counts)
    table = np.array([values.get(v, 0.0) for v in range(lowest, highest + 1)])
    if set(table.tolist()) <= {0.0, 1.0}:
        table = table.astype(np.uint8)
    elif np.array_equal(table.astype(np.float32), table):
        table = table.astype(np.float32)
    sigma = np.empty(image.shape, table.dtype)
    for layer, out in zip(image, sigma, strict=True):
        out[...] = table[layer.astype(np.int64) - lowest]
    return sigma


def _title(settings: "EffectiveConfig") -> str:
    if settings.sigma:
        return ", ".join(f"{name} {value:g} S/m" for name, value in settings.sigma.items())
    return ", ".join(str(name) for name in settings.phase)


def _table(settings: "EffectiveConfig", path: Path, answers: list[Answer], fraction: float) -> Table:
    table = Table(title=f"{path.name}: {_title(settings)}, sides {settings.sides}", title_justify="left")
    table.add_column("")
    for answer in answers:
        table.add_column(f"axis {answer.found.axis}", justify="right")
    what = "Effective conductivity [S/m]" if settings.sigma else "Effective / own conductivity [-]"

    def row(name: str, texts: list[str]) -> None:
        table.add_row(name, *texts)

    found = [answer.found for answer in answers]
    row("Volume fraction [-]", [f"{fraction:.4f}"] * len(found))
    row("Share connecting the faces [-]", [f"{f.through_fraction:.4f}" for f in found])
    row(what, [f"{f.value:.5g}" for f in found])
    row("Tortuosity factor [-]", [f"{f.tortuosity:.5g}" for f in found])
    row("Estimated relative error [-]", [f"{f.error:.1e}" for f in found])
    row("Relative residual [-]", [f"{f.residual:.1e}" for f in found])
    row("Iterations", [str(f.iterations) for f in found])
    row("Seconds, compilation included", [f"{answer.seconds:.2f}" for answer in answers])
    return table


def _facts(settings: "EffectiveConfig", raw: RawImage, answers: list[Answer], fraction: float) -> dict[str, Any]:
    """What `json=true` prints. An infinite tortuosity is null."""
    what = {"sigma": {str(k): v for k, v in settings.sigma.items()}} if settings.sigma else {"phase": settings.phase}
    return {
        "image": settings.image,
        "shape": list(raw.array.shape),
        **what,
        "sides": settings.sides,
        "fraction": fraction,
        "results": [
            {
                "axis": answer.found.axis,
                "percolates": answer.found.percolates,
                "through_fraction": answer.found.through_fraction,
                "conductivity_S_per_m" if settings.sigma else "relative_conductivity": answer.found.value,
                "tortuosity_factor": answer.found.tortuosity if math.isfinite(answer.found.tortuosity) else None,
                "error": answer.found.error,
                "residual": answer.found.residual,
                "iterations": answer.found.iterations,
                "seconds": answer.seconds,
            }
            for answer in answers
        ],
    }


def _save(target: Path, answers: list[Answer]) -> None:
    """The potential: an array (.npy), or `potential_axis0` and so on (.npz)."""
    with replaced(target) as temporary, temporary.open("wb") as stream:
        if target.suffix.lower() == ".npy":
            np.save(stream, answers[0].found.potential)
        else:
            arrays: dict[str, Any] = {f"potential_axis{a.found.axis}": a.found.potential for a in answers}
            np.savez_compressed(stream, **arrays)
