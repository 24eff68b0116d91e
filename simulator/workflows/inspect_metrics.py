"""The metrics of `voxelyte inspect --full` and `--with` in words, as tables and as plain values."""

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from simulator.geometry import ChordLengths, Compared, Measures, RepresentativeVolume, SizeDistribution
from simulator.geometry.metrics import AXES, SEPARATOR_PLANE

Rows = list[tuple[str, str]]
#: unit of a metric -> (factor, unit) for reading
_SHOWN_AS = {"m": (1e6, "um"), "1/m": (1e-6, "1/um"), "m2": (1e12, "um2"), "-": (1.0, "")}
_WIDEST = (None, 16, 16, 10)  # columns of the comparison [letters]: room for the names of the quantities
_SAME = 1e-9  # relative difference below which two values are the same but for rounding


def metric_rows(measures: Measures) -> list[tuple[str, Rows]]:
    """Parts of the table of one image: title and rows."""
    order = " / ".join(AXES)
    chords = [(name, _three([1e6 * c.mean for c in along], " um")) for name, along in measures.chords.items()]
    through = [(name, _three([100 * s for s in access.through], " %")) for name, access in measures.access.items()]
    parts = [
        ("Areas per volume (as voxel faces)", _area_rows(measures)),
        (f"Connected from side to side, {order}", through),
        (f"Mean chord, {order}", chords),
    ]
    if measures.tortuosity is not None:
        solved = [(name, _three(list(along.values()), "")) for name, along in measures.tortuosity.items()]
        parts.append((f"Tortuosity factor, {order}", solved))
    if measures.representative is not None:
        parts.append(_representative_rows(measures.representative))
    return parts


def _three(values: list[float], unit: str) -> str:
    return " / ".join(number(v) for v in values) + unit


def number(value: float) -> str:
    """Three digits; a dash for what is not defined, `inf` for what has no path."""
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 or math.isinf(value) else f"{value:.0f}"


def _area_rows(measures: Measures) -> Rows:
    volume, side = measures.electrode.volume, measures.electrode.cross_section_area
    rows = []
    for (first, second), area in measures.areas.items():
        if second == SEPARATOR_PLANE:
            rows.append((f"{first} at the separator", f"{100 * area.corrected / side:.3g} % of the cross-section"))
        else:
            true, raw = (1e-6 * a / volume for a in (area.corrected, area.raw))
            rows.append((f"{first} | {second}", f"{true:.3g} 1/um ({raw:.3g})"))
    return rows


def _representative_rows(study: RepresentativeVolume) -> tuple[str, Rows]:
    rows = []
    for name, scatter in study.scatter.items():
        plain = name.partition(" [")[0].lower()
        if not math.isfinite(scatter.coefficient):
            rows.append((plain, "-"))
        elif scatter.coefficient == 0:
            rows.append((plain, "the same everywhere"))
        else:
            error, side = 100 * scatter.image, 1e6 * scatter.representative_side
            rows.append((plain, f"{error:.2g} %, {side:.3g} um"))
    title = f"Standard error here; cube for {100 * study.target:.3g} %, extrapolated"
    return title, rows


def readable(name: str, value: float) -> str:
    """A value of `Measures.values` in the unit for reading (micrometres); `name` ends with its SI unit."""
    return f"{_scale(name)[0] * value:.4g}" if math.isfinite(value) else number(value)


def reading_name(name: str) -> str:
    """The name of a metric with the unit of `readable`."""
    unit = _scale(name)[1]
    plain = name.rpartition(" [")[0]
    return f"{plain} [{unit}]" if unit else plain


def _scale(name: str) -> tuple[float, str]:
    unit = name.rpartition("[")[2].rstrip("]")
    return _SHOWN_AS.get(unit, (1.0, unit))


def differing(compared: Mapping[str, Compared]) -> dict[str, Compared]:
    """The quantities that are not the same in both images."""
    return {name: row for name, row in compared.items() if not _same(row)}


def _same(row: Compared) -> bool:
    a, b = row.first, row.second
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=_SAME)


def comparison_cells(compared: Mapping[str, Compared]) -> list[tuple[str, str, str, str, str]]:
    """Rows of the comparison: quantity, both values, second / first, second - first."""
    return [
        (
            reading_name(name),
            readable(name, row.first),
            readable(name, row.second),
            f"{row.ratio:.4g}" if math.isfinite(row.ratio) else "-",
            readable(name, row.difference) if math.isfinite(row.difference) else "-",
        )
        for name, row in differing(compared).items()
    ]


def comparison_heads(names: tuple[str, str]) -> tuple[str, str, str, str, str]:
    """Headings of `comparison_cells`."""
    return "quantity", names[0], names[1], "ratio", "difference"


def comparison_table(compared: Mapping[str, Compared], names: tuple[str, str]) -> Table:
    """Both images side by side, in micrometres; what is the same in both is left out, and differences for width."""
    shown = Table(title=Text(f"{names[0]} and {names[1]}", style="bold"), title_justify="left")
    for column, head in enumerate(comparison_heads(names)[:4]):
        shown.add_column(Text(head), justify="right" if column else "left", overflow="fold", max_width=_WIDEST[column])
    for cells in comparison_cells(compared):
        shown.add_row(*(Text(cell) for cell in cells[:4]))
    same = len(compared) - len(differing(compared))
    text = f"Ratio: second / first. {same} quantities are the same in both, or in neither."
    shown.caption = Text(text if shown.row_count else f"All {same} quantities are the same in both.")
    return shown


def to_plain(measures: Measures) -> dict[str, Any]:
    """All metrics as plain values, SI: `values` as `Measures.values`, and the distributions behind them."""
    return {
        "values": measures.values(),
        "chords": {
            name: {letter: _chords(chords) for letter, chords in zip(AXES, along, strict=True)}
            for name, along in measures.chords.items()
        },
        "particle_sizes": _sizes(measures.sizes),
        "particle_sizes_not_cut": _sizes(measures.whole_sizes),
        "coverage": None
        if measures.coverage is None
        else {
            "edges": measures.coverage.edges.tolist(),
            "particles": measures.coverage.number.tolist(),
            "area_share": measures.coverage.area_share.tolist(),
        },
        "representative_volume": _study(measures.representative),
    }


def _chords(chords: ChordLengths) -> dict[str, Any]:
    return {"length_m": chords.length.tolist(), "count": chords.count.tolist(), "cut_by_image": chords.cut}


def _sizes(sizes: SizeDistribution | None) -> dict[str, list[float]] | None:
    if sizes is None:
        return None
    return {
        "diameter_m": sizes.diameter.tolist(),
        "cumulative_volume": sizes.by_volume.tolist(),
        "cumulative_number": sizes.by_number.tolist(),
    }


def _study(study: RepresentativeVolume | None) -> dict[str, Any] | None:
    if study is None:
        return None
    rows = {
        name: {
            "sub_volumes": s.count.tolist(),
            "side_m": s.side.tolist(),
            "mean": s.mean.tolist(),
            "standard_deviation": s.std.tolist(),
            "relative": s.relative.tolist(),
            "exponent": s.exponent,
            "relative_standard_error": s.image,
            "representative_side_m": s.representative_side,
        }
        for name, s in study.scatter.items()
    }
    return {"target": study.target, "quantities": rows}


def plain_comparison(compared: Mapping[str, Compared]) -> dict[str, dict[str, float]]:
    """Name with unit -> both values, ratio and difference, SI."""
    return {
        name: {"first": c.first, "second": c.second, "ratio": c.ratio, "difference": c.difference}
        for name, c in compared.items()
    }
