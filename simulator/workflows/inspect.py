"""Look at an image before a run: what it holds, how well it is connected, what a run of it would need."""

import dataclasses
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from simulator.errors import ConfigError, ConvergenceError, GeometryError
from simulator.geometry import (
    DEFAULT_LABELS,
    PORE,
    Compared,
    Electrode,
    Measures,
    ParticleFacts,
    RawImage,
    check_live,
    compare_values,
    label_particles,
    live_interface,
    measure_electrode,
    particle_facts,
    size_distribution,
    value_counts,
)
from simulator.protocol import RestStep, parse_protocol
from simulator.resources import image_path
from simulator.workflows.electrode import make_electrode, read_raw, source_name
from simulator.workflows.inspect_metrics import metric_rows, plain_comparison, to_plain
from simulator.workflows.inspect_page import write_sheet
from simulator.workflows.preflight import STEPS_PER_HALF_CYCLE, Device, Estimate, accelerator, estimate

if TYPE_CHECKING:
    from simulator.config import GeometryConfig, RunConfig

PICTURE = "inspect.png"
#: what the shipped parameter sets put before the electrode; `cell.separator.layers` changes it
SEPARATOR_LAYERS = 16
#: phases that a handful of values may be, in the order of a suggestion
_GUESS = {1: ("am",), 2: ("electrolyte", "am"), 3: ("pore", "am", "cbd"), 4: ("pore", "am", "cbd", "electrolyte")}
_NAMES = ("pore", "am", "cbd", "electrolyte")
_SHOWN = 12  # values listed
_GREY = 64  # more values than this are grey levels


@dataclass(frozen=True)
class ImageFacts:
    """What the file holds, before any label is given a meaning."""

    path: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    dtype: str
    lowest: float
    highest: float
    shares: Mapping[int, float] | None  # value -> share of the voxels [-]; None: too many values, or no whole numbers
    voxel_size: tuple[float, float, float] | None  # [m] in the order of the axes
    voxel_size_from: str  # where it is from, or why it is not known


@dataclass
class Inspection:
    """Everything found; what could not be had is None, and `problem` says why."""

    image: ImageFacts
    meaning: Mapping[int, str] = field(default_factory=dict)  # value -> phase
    electrode: Electrode | None = None
    particles: ParticleFacts | None = None
    particles_from: str = "am split at its necks"  # what tells the particles apart
    estimate: Estimate | None = None
    steps: int = 0  # time steps that `estimate` is for
    warnings: list[str] = field(default_factory=list)
    problem: str | None = None
    advice: str | None = None  # what to write, if the labels or the voxel size are missing
    picture: Path | None = None
    measures: Measures | None = None  # only where asked for
    metrics_picture: Path | None = None
    page: Path | None = None


@dataclass(frozen=True)
class Pair:
    """Two images looked at together."""

    first: Inspection
    second: Inspection
    compared: Mapping[str, Compared] | None  # None if one of them is no electrode


def inspect(
    config: "RunConfig", folder: Path | None, *, particles: bool = True, device: bool = False, full: bool = False
) -> Inspection:
    """Look at the image of `config.geometry` and draw it to `folder`/inspect.png (None: no picture).

    An image whose labels or voxel size are missing or wrong, or that cannot react, is described all the same, with
    `problem` set.

    **Arguments:** `particles`: find and measure the particles; `device`: estimate for the accelerator that JAX finds;
    `full`: all metrics, with `folder`/metrics.png and `folder`/inspect.html (starts JAX, seconds to minutes).

    **Errors:** GeometryError if the image cannot be read; ConfigError if the folder or the protocol is wrong.
    """
    report = _look(config, folder, particles, device)
    if full:
        _measure(report, full=True)
    if report.measures is not None and folder is not None:
        said = _said(report)
        found = write_sheet([report.measures], [report.measures.electrode.name], [report.picture], folder, said)
        report.metrics_picture, report.page = found
    return report


def inspect_pair(
    first: "RunConfig",
    second: "RunConfig",
    folder: Path | None,
    *,
    particles: bool = True,
    device: bool = False,
    full: bool = False,
) -> Pair:
    """Look at two images and compare them; files of the second go to `folder`/with-NAME, those of both to `folder`.

    Arguments and errors as of `inspect`.
    """
    beside = None if folder is None else folder / f"with-{source_name(second.geometry)}"
    pair = [_look(config, place, particles, device) for config, place in ((first, folder), (second, beside))]
    for report in pair:
        _measure(report, full=full)
    measures = [report.measures for report in pair if report.measures is not None]
    if len(measures) < 2:
        return Pair(pair[0], pair[1], None)
    compared = compare_values(measures[0].values(), measures[1].values())
    if full and folder is not None:
        names = pair_names(pair[0], pair[1])
        said = [f"{name}: {text}" for name, report in zip(names, pair, strict=True) for text in _said(report)]
        found = write_sheet(measures, names, [r.picture for r in pair], folder, said, compared)
        pair[0].metrics_picture, pair[0].page = found
    return Pair(pair[0], pair[1], compared)


def pair_names(first: Inspection, second: Inspection) -> tuple[str, str]:
    """What to call two images: the names of their files, told apart by a number if they are the same."""
    a, b = (Path(report.image.path).stem for report in (first, second))
    return (a, b) if a != b else (f"{a} (1)", f"{b} (2)")


def _said(report: Inspection) -> list[str]:
    return [*report.warnings, *([report.problem] if report.problem is not None else [])]


def _measure(report: Inspection, *, full: bool) -> None:
    """Set `measures`, if the image is an electrode."""
    if report.electrode is None:
        return
    try:
        report.measures = measure_electrode(report.electrode, full=full)
    except ConvergenceError as error:  # the rest is worth having all the same
        report.warnings.append(f"No tortuosity: {error}")
        report.measures = measure_electrode(report.electrode, full=False)


def _look(config: "RunConfig", folder: Path | None, particles: bool, device: bool) -> Inspection:
    """What `inspect` does without the metrics."""
    geometry = config.geometry
    steps = parse_protocol(config.protocol.steps)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        raw = read_raw(geometry)
        report = Inspection(_image_facts(geometry, raw))
        report.meaning = _meaning(geometry, raw)
        try:
            report.electrode = make_electrode(geometry, raw)
            check_live(report.electrode, geometry.min_live)
        except GeometryError as error:
            report.problem = str(error)
        if report.electrode is None:
            report.advice = _advice(report)
        else:
            if particles:
                if report.electrode.particle is None:
                    report.electrode = label_particles(report.electrode)
                else:  # a synthetic electrode knows its own
                    report.particles_from = "as labelled in the image"
                report.particles = particle_facts(report.electrode)
            report.steps = STEPS_PER_HALF_CYCLE * max(1, sum(not isinstance(step, RestStep) for step in steps))
            report.estimate = _estimate(config, report.electrode, report.steps, accelerator() if device else None)
        if folder is not None:
            report.picture = _draw(report, raw, folder)
    own = [w for w in caught if issubclass(w.category, UserWarning)]
    report.warnings = list(dict.fromkeys(str(w.message) for w in own))
    return report


def _image_facts(geometry: "GeometryConfig", raw: RawImage) -> ImageFacts:
    array = raw.array
    numbers = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    whole = array.ndim == 3 and numbers.size == array.size > 0
    whole = whole and (array.dtype.kind in "iub" or bool((numbers == np.round(numbers)).all()))
    shares = None
    if whole:
        try:
            shares = {value: count / array.size for value, count in value_counts(array).items()}
        except GeometryError:
            pass  # values too far apart to be counted; lowest and highest tell
    size, source = raw.voxel_size, raw.source
    if geometry.voxel_size is not None:
        given = geometry.voxel_size
        size, source = tuple(given) if isinstance(given, list) else (given,) * 3, "geometry.voxel_size"
    return ImageFacts(
        path=source_name(geometry) if geometry.path is None else str(image_path(geometry.path)),
        shape=array.shape,
        axes=raw.axes if array.ndim == 3 else (),
        dtype=str(array.dtype),
        lowest=float(numbers.min()) if numbers.size else math.nan,
        highest=float(numbers.max()) if numbers.size else math.nan,
        shares=shares,
        voxel_size=None if isinstance(size, str) else size,
        voxel_size_from=size if isinstance(size, str) else source,
    )


def _meaning(geometry: "GeometryConfig", raw: RawImage) -> dict[int, str]:
    """Value -> phase, as far as the labels make sense; `make_electrode` says what does not."""
    labels: Mapping[str, Any] = geometry.labels or raw.labels or DEFAULT_LABELS
    listed = {name: given if isinstance(given, list | tuple) else [given] for name, given in labels.items()}
    return {int(v): name for name, values in listed.items() for v in values if isinstance(v, int | np.integer)}


def _advice(report: Inspection) -> str | None:
    """The settings to add, if labels or voxel size are what is missing."""
    image = report.image
    if len(image.shape) != 3:
        return None
    words = []
    note = ""
    if image.shares is None:  # no whole numbers: what is wrong has been said
        return None
    unknown = [value for value in image.shares if value not in report.meaning]
    if unknown:
        if len(image.shares) > _GREY:
            count = len(image.shares)
            return f"The image holds {count} values: grey levels. Segment it first, one number for each phase."
        # what has a meaning keeps it, the rest is guessed
        kept = {value: report.meaning[value] for value in image.shares if value in report.meaning}
        guess = _GUESS.get(len(image.shares), ()) if not kept else [n for n in _NAMES if n not in kept.values()]
        if len(guess) < len(unknown):
            words.append("'geometry.labels={pore: 0, am: [1, 2], cbd: 3}'")
            note = " Give every value to a phase; several values of one phase make a list."
        else:
            pairs = kept | dict(zip(unknown, guess, strict=False))
            listed = ", ".join(f"{pairs[value]}: {value}" for value in image.shares)
            words.append(f"'geometry.labels={{{listed}}}'")
            note = f" Which phase {_and(unknown)} is is only guessed here: {PICTURE} shows the values."
    if image.voxel_size is None:
        words.append("'geometry.voxel_size=0.4 um'")
        note += " The voxel size is an example: take yours."
    return f"Add to the command: {' '.join(words)}.{note}" if words else None


def _and(values: list[int]) -> str:
    return " and ".join(str(value) for value in values)


def _estimate(config: "RunConfig", electrode: Electrode, steps: int, device: Device | None) -> Estimate:
    layers = config.cell.overrides.get("separator.layers", SEPARATOR_LAYERS)
    nz, ny, nx = electrode.shape
    return estimate(
        (nz + (layers if isinstance(layers, int) else SEPARATOR_LAYERS), ny, nx),
        len(live_interface(electrode)),
        config.solver.krylov_max,
        config.solver.precision == "mixed",
        steps,
        device,
    )


def _draw(report: Inspection, raw: RawImage, folder: Path) -> Path | None:
    """The picture: phases if they are known, else the values of the file. **Errors:** ConfigError."""
    if raw.array.ndim != 3 or raw.array.size == 0:
        return None
    from simulator import viz  # matplotlib takes a second

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if report.electrode is not None:
            return viz.plot_electrode(report.electrode, folder / PICTURE)
        shape = " x ".join(map(str, raw.array.shape))
        title = f"{Path(report.image.path).name}: {shape} voxels ({', '.join(raw.axes)}), as in the file"
        return viz.plot_values(raw.array, raw.axes, report.image.shares, folder / PICTURE, title)
    except OSError as error:
        raise ConfigError(
            f"--output: cannot write to {folder} ({error.strerror}). Choose a folder that you can write to."
        ) from error


def diameters(particles: ParticleFacts) -> tuple[float, float, float]:
    """d10, d50, d90 [m]: 10, 50, 90 % of the volume is in particles up to this equivalent diameter."""
    sizes = size_distribution(particles)
    return sizes.percentile(10), sizes.percentile(50), sizes.percentile(90)


def to_json(report: Inspection) -> dict[str, Any]:
    """The facts as plain values, lengths in metres, shares in [0, 1], None for what is not known or not a number."""
    facts: dict[str, Any] = {
        "image": dataclasses.asdict(report.image),
        "labels": {str(value): name for value, name in report.meaning.items()},
        "electrode": None if report.electrode is None else report.electrode.summary(),
        "particles": None,
        "estimate": None,
        "warnings": report.warnings,
        "problem": report.problem,
        "advice": report.advice,
        "picture": None if report.picture is None else str(report.picture),
    }
    if report.measures is not None:
        facts["metrics"] = to_plain(report.measures)
        facts["metrics_picture"] = None if report.metrics_picture is None else str(report.metrics_picture)
        facts["page"] = None if report.page is None else str(report.page)
    facts["image"]["voxel_size_m"] = facts["image"].pop("voxel_size")
    if report.image.shares is not None:
        facts["image"]["shares"] = {str(v): s for v, s in report.image.shares.items()}
    if report.particles is not None:
        found = report.particles
        d10, d50, d90 = diameters(found)
        facts["particles"] = {
            "count": len(found),
            "count_at_image_sides": int(found.touches_boundary.sum()),
            "count_without_live_area": int((found.live_area == 0).sum()),
            "d10_m": d10,
            "d50_m": d50,
            "d90_m": d90,
        }
    if report.estimate is not None:
        facts["estimate"] = {**dataclasses.asdict(report.estimate), "steps": report.steps}
    return _finite(facts)


def pair_to_json(pair: Pair) -> dict[str, Any]:
    """Both images as `to_json`, and `comparison`: name with unit -> values, ratio and difference."""
    compared = None if pair.compared is None else plain_comparison(pair.compared)
    return {"first": to_json(pair.first), "second": to_json(pair.second), "comparison": _finite(compared)}


def _finite(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(report: Inspection) -> Table:
    """The facts for reading: micrometres, per cent, gigabytes, minutes."""
    shown = Table(show_header=False, title=Text(report.image.path, style="bold"), title_justify="left")
    shown.add_column(justify="left")
    shown.add_column(justify="right")
    parts = [("Image", _image_rows(report))]
    if report.electrode is not None:
        facts = report.electrode.summary()
        parts += [
            ("Electrode", _electrode_rows(report.electrode, facts)),
            ("Connections", _connection_rows(report.electrode, facts)),
        ]
    if report.particles is not None:
        parts.append((f"Particles ({report.particles_from})", _particle_rows(report.particles)))
    if report.measures is not None:
        parts += metric_rows(report.measures)
    if report.estimate is not None:
        parts.append(("A run (estimate)", _estimate_rows(report.estimate, report.steps)))
    for title, rows in parts:
        shown.add_row(Text(title, style="bold"), "")
        for name, value in rows:
            shown.add_row(Text(f"  {name}"), Text(value))
        shown.add_section()
    return shown


def _lengths(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{1e6 * h:.4g}" for h in sizes) + " um"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.3g} %"


def _image_rows(report: Inspection) -> list[tuple[str, str]]:
    image = report.image
    axes = f" ({', '.join(image.axes)})" if image.axes else ""
    rows = [(f"voxels{axes}", " x ".join(map(str, image.shape))), ("type", image.dtype)]
    if image.shares is None or len(image.shares) > _GREY:
        count = "" if image.shares is None else f", {len(image.shares)} values"
        rows.append(("values", f"{image.lowest:.6g} to {image.highest:.6g}{count}"))
    else:
        for value, share in list(image.shares.items())[:_SHOWN]:
            name = report.meaning.get(value, "no label")
            rows.append((f"value {value}: {name}", _percent(share)))
        if len(image.shares) > _SHOWN:
            rows.append((f"and {len(image.shares) - _SHOWN} more values", ""))
    known = image.voxel_size is not None
    rows.append(("voxel size", _lengths(image.voxel_size) if image.voxel_size is not None else "not known"))
    rows.append(("  from" if known else "  because", image.voxel_size_from))
    return rows


def _electrode_rows(electrode: Electrode, facts: Mapping[str, float | str]) -> list[tuple[str, str]]:
    names = {"pore": "pore", "am": "active material (am)", "cbd": "binder (cbd)", "electrolyte": "electrolyte"}
    rows = [
        ("voxels (z, y, x)", " x ".join(map(str, electrode.shape))),
        ("voxel size (z, y, x)", _lengths(electrode.voxel_size)),
        ("size (z = thickness, y, x)", _lengths(electrode.size_m)),
    ]
    rows += [(text, _percent(electrode.volume_fraction(name))) for name, text in names.items()]
    by = "" if electrode.area == "smoothed" else f" ({electrode.area})"
    rows.append((f"am surface per volume{by}", _per_um(facts["Specific area [1/m]"])))
    rows.append(("  as voxel faces", _per_um(facts["Specific area, voxel faces [1/m]"])))
    rows.append(("coverage (by cbd, electrolyte)", _percent(electrode.coverage)))
    return rows


def _per_um(area: float | str) -> str:
    return f"{1e-6 * float(area):.3g} 1/um"


def _connection_rows(electrode: Electrode, facts: Mapping[str, float | str]) -> list[tuple[str, str]]:
    named = {
        "am|ionic area that reacts": "Live share of AM|ionic area [-]",
        "am connected to reacting area": "Live share of AM [-]",
        "am without electronic path": "Isolated share of AM, no electronic path [-]",
        "am without ionic contact": "Isolated share of AM, no ionic contact [-]",
        "cbd, electrolyte cut off from separator": (
            "Isolated share of cbd and electrolyte, no path to the separator [-]"
        ),
        "cbd cut off from collector": "Isolated share of cbd, no path to the collector [-]",
    }
    if PORE in electrode.labels.values():
        named["pore connected to the separator"] = "Share of pore connected to the separator [-]"
        named["pore connected to the collector"] = "Share of pore connected to the collector [-]"
        named["closed pores, per volume of the image"] = "Closed porosity [-]"
    return [(text, _percent(float(facts[key]))) for text, key in named.items()]


def _particle_rows(particles: ParticleFacts) -> list[tuple[str, str]]:
    d10, d50, d90 = (1e6 * d for d in diameters(particles))
    return [
        ("number", str(len(particles))),
        ("cut by a side of the image", str(int(particles.touches_boundary.sum()))),
        ("without reacting area", str(int((particles.live_area == 0).sum()))),
        ("diameter d10 / d50 / d90, by volume", f"{d10:.3g} / {d50:.3g} / {d90:.3g} um"),
    ]


def _estimate_rows(needs: Estimate, steps: int) -> list[tuple[str, str]]:
    available = "not known" if needs.available_bytes is None else f"{1e-9 * needs.available_bytes:.3g} GB"
    verdict = {None: "", True: "", False: "  TOO LITTLE"}[needs.fits]
    rows = [("memory needed", f"{1e-9 * needs.memory_bytes:.2g} GB"), ("memory available", available + verdict)]
    if needs.seconds is None:
        rows.append((f"time on {needs.device}", "not measured yet"))
    else:
        rows.append((f"time, about {steps} time steps", f"{_duration(needs.seconds)}, right to a factor 3"))
    return rows


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"
