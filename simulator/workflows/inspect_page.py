"""The sheet of `voxelyte inspect --full`: one HTML page with all tables and pictures, and the metrics as a PNG."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from simulator.errors import ConfigError
from simulator.geometry import Compared, Measures
from simulator.geometry.metrics import AXES
from simulator.workflows.html_page import document, figure, section, table
from simulator.workflows.inspect_metrics import comparison_cells, comparison_heads, readable, reading_name

METRICS_PICTURE = "metrics.png"
PAGE = "inspect.html"
#: section of the page -> what the names of its metrics begin with; the first that fits counts
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Image": ("Voxel", "Thickness", "Cross-section"),
    "Composition": ("Volume fraction", "Closed porosity"),
    "Areas": ("Coverage", "Specific area", "Area of"),
    "Connections": ("Live", "Isolated", "Share of"),
    "Particles": ("Particles", "Diameter", "Standard deviation of coverage"),
    "Chords": ("Mean chord",),
    "Tortuosity": ("Tortuosity",),
    "Representative volume": ("Relative standard error", "Representative side"),
}
_NOTES = {
    "Areas": "Areas are corrected from voxel faces to the smooth surface unless the line says otherwise.",
    "Connections": "Paths lead through voxel faces. Live: reached by electrons from the collector and by ions from the "
    "separator.",
    "Particles": "The active material is split at its necks. Diameters are those of spheres of equal volume; particles "
    "cut by a side of the image are too small, and leaving them out leans to small ones.",
    "Chords": "Runs of voxels along an axis that no side of the image cuts; 'by crossings' counts cut ones too and is "
    "not biased by the size of the image.",
    "Tortuosity": "Tortuosity factor: fraction x conductivity / effective conductivity; inf: no path leads through.",
    "Representative volume": "Extrapolated from the scatter between sub-volumes, which falls as V^-1/2 between large, "
    "independent volumes of a homogeneous material.",
}
_CAPTION_INSPECT = "Mid-planes in phase colours, and composition through the thickness."
_CAPTION_METRICS = (
    "Particle sizes, coverage, tortuosity factors; chord lengths along each axis; composition, and scatter between "
    "sub-volumes against their size."
)


def write_sheet(
    measures: Sequence[Measures],
    names: Sequence[str],
    pictures: Sequence[Path | None],
    folder: Path,
    warnings: Sequence[str] = (),
    compared: Mapping[str, Compared] | None = None,
) -> tuple[Path, Path]:
    """Write metrics.png and inspect.html of one image, or two, to `folder`; returns their paths.

    **Arguments:** `names`, `pictures`: of each image, None without picture; `warnings`: shown on top; `compared`: the
    comparison of two images.

    **Errors:** ConfigError if they cannot be written.
    """
    from simulator import viz  # matplotlib takes a second

    try:
        folder.mkdir(parents=True, exist_ok=True)
        picture = viz.plot_metrics(measures, folder / METRICS_PICTURE, names)
        text = page(measures, names, pictures, picture, warnings, compared)
        (folder / PAGE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"--output: cannot write to {folder} ({error.strerror}). Choose a folder that you can write to."
        ) from error
    return picture, folder / PAGE


def page(
    measures: Sequence[Measures],
    names: Sequence[str],
    pictures: Sequence[Path | None],
    picture: Path,
    warnings: Sequence[str] = (),
    compared: Mapping[str, Compared] | None = None,
) -> str:
    """The whole page as text."""
    title = " and ".join(names)
    parts = [f"<h1>{escape(title)}</h1>"]
    for m, name in zip(measures, names, strict=True):
        shape = " × ".join(map(str, m.electrode.shape))
        size = " × ".join(f"{1e6 * length:.4g}" for length in m.electrode.size_m)
        text = f"{name}: {shape} voxels, {size} µm (z, y, x; separator before z = 0)"
        parts.append(f'<p class="note">{escape(text)}</p>')
    parts.append(
        section("Warnings", f"<ul>{''.join(f'<li>{escape(w)}</li>' for w in warnings)}</ul>" if warnings else "")
    )
    for name, file in zip(names, pictures, strict=True):
        if file is not None:
            heading = "Slices" if len(names) == 1 else f"Slices of {name}"
            parts.append(section(heading, figure(file, _CAPTION_INSPECT)))
    parts.append(section("Distributions", figure(picture, _CAPTION_METRICS)))
    if compared is not None:
        cells = comparison_cells(compared)
        heads = comparison_heads((names[0], names[1]))
        note = '<p class="note">Ratio: second / first; difference: second - first. What is the same is left out.</p>'
        text = note + "\n" + table(cells, heads, numbers=(1, 2, 3, 4), kind="small")
        parts.append(section("Comparison", text if cells else "<p>Both images have the same metrics.</p>"))
        return document(f"{title}: Voxelyte inspect", parts)
    values = measures[0].values()
    parts += [section(name, _note(name) + _rows(rows)) if rows else "" for name, rows in grouped(values).items()]
    return document(f"{title}: Voxelyte inspect", parts)


def grouped(values: Mapping[str, float]) -> dict[str, list[tuple[str, ...]]]:
    """Section -> rows: name with unit and value; or, of metrics along every axis, name and the values along z, y, x."""
    found: dict[str, dict[str, dict[str, str]]] = {name: {} for name in SECTIONS}
    for name, value in values.items():
        place = next(s for s, beginnings in SECTIONS.items() if name.startswith(beginnings))
        text = reading_name(name)
        along = re.fullmatch(r"(.*) along ([zyx])(.*)", text)
        if along is None:
            found[place][text] = {"": readable(name, value)}
        else:
            found[place].setdefault(along[1] + along[3], {})[along[2]] = readable(name, value)
    return {place: [(text, *row.values()) for text, row in rows.items()] for place, rows in found.items()}


def _rows(rows: Sequence[tuple[str, ...]]) -> str:
    """Tables of the rows with one value and of those with one along each axis."""
    single = [row for row in rows if len(row) == 2]
    three = [row for row in rows if len(row) > 2]
    tables = (
        table(single, kind="small"),
        table(three, ("", *(f"along {axis}" for axis in AXES)), numbers=(1, 2, 3), kind="small"),
    )
    return '<div class="columns">\n' + "\n".join(text for text in tables if text) + "\n</div>"


def _note(name: str) -> str:
    return f'<p class="note">{escape(_NOTES[name])}</p>\n' if name in _NOTES else ""
