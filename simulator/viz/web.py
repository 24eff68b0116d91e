"""A web page in one file: the field in 3D, to turn, zoom, cut and play. Needs neither packages nor the network.

The page draws voxel faces with WebGL 2 from the values it carries: one byte for each voxel and saved step,
neighbours as differences, deflated (RFC 1950) and written as base64.
"""

import base64
import html
import json
import os
import re
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from simulator.errors import ConfigError
from simulator.viz.fields import Limits, Run, check_fields, check_step, common_range, show_field
from simulator.viz.figures import COLLECTOR_COLOUR, SEPARATOR_COLOUR, lengths_um, step_title, ticks, writing

_MAX_CELLS = 128  # per axis; a larger image is drawn with every second (third, ...) voxel
_BUDGET = 8_000_000  # voxel values of all steps: about as many bytes, some 3 MB of page
_CURVE = 400  # points of the voltage curve
_LEVELS = 254  # colours; 0 stands for no value


def write_page(
    run: Run,
    path: str | os.PathLike[str],
    field: str = "sto",
    *,
    steps: Sequence[int] | None = None,
    colours: tuple[Limits, str] | None = None,
    title: str = "",
) -> Path:
    """An interactive page of one field over the saved `steps` (all by default), in one colour range.

    Images above 128 voxels along an axis are thinned; of many steps as many are kept, evenly spread, as make
    a page of a few megabytes. The last step is shown first.

    **Errors:** ConfigError for another extension than `.html`, an unknown field or step.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise ConfigError(f"An interactive page ends with .html, got '{path.name}'.")
    check_fields(run, field)
    chosen = list(range(run.field_times.size)) if steps is None else [check_step(run, int(i)) for i in steps]
    if not chosen:
        raise ConfigError("The page needs at least one saved step.")
    thin = (slice(None, None, -(-max(run.phase.shape) // _MAX_CELLS)),) * 3
    colours = colours or common_range(run, field, chosen)
    last = show_field(run, field, chosen[-1], colours)
    where = last.where[thin]
    affordable = max(1, _BUDGET // max(1, int(where.sum())))
    if len(chosen) > affordable:
        # the last one is what the page shows first
        chosen = [chosen[i] for i in np.unique(np.linspace(len(chosen) - 1, 0, affordable).round().astype(int))]
    packed = [quantise(show_field(run, field, index, colours).values[thin][where], colours[0]) for index in chosen]
    table = np.concatenate([[[last.blank] * 3], mpl.colormaps[colours[1]](np.linspace(0, 1, _LEVELS + 1))[:, :3]])
    low, high, extend = colours[0]
    lengths = lengths_um(run)
    unit, factor = ("h", 3600.0) if run.field_times[chosen[-1]] >= 3600.0 else ("s", 1.0)
    data: dict[str, Any] = {
        "shape": where.shape,
        "lengths": lengths,
        "ticks": [ticks(length) for length in reversed(lengths)],  # x, y, z
        "mask": _packed(np.packbits(where)),
        "values": _packed(np.concatenate([np.diff(row, prepend=np.uint8(0)) for row in packed])),
        "table": base64.b64encode((255.0 * table).round().astype(np.uint8).tobytes()).decode(),
        "low": low,
        "high": high,
        "bar": _bar_ticks(low, high, extend),
        "label": plain_label(last.label),
        "blank": last.blank_label if any((row == 0).any() for row in packed) else "",
        "separator": to_rgb(SEPARATOR_COLOUR),
        "collector": to_rgb(COLLECTOR_COLOUR),
        "steps": [{"t": float(run.field_times[index]) / factor, "title": step_title(run, index)} for index in chosen],
        "curve": _curve(run, unit, factor),
    }
    # "</" would end the script element that carries the data
    text = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    name = html.escape(title or f"{plain_label(last.label)} in 3D")
    template = resources.files("simulator.viz").joinpath("page.html").read_text(encoding="utf-8")
    with writing(path):
        path.write_text(template.replace("__TITLE__", name).replace("__DATA__", text), encoding="utf-8")
    return path


def quantise(values: np.ndarray, limits: Limits) -> np.ndarray:
    """`values` as uint8: 0 for NaN, 1 to 255 from the low to the high end of the colour range."""
    low, high, _ = limits
    share = np.clip((np.asarray(values, dtype=float) - low) / (high - low), 0.0, 1.0)
    return np.where(np.isfinite(share), 1.0 + np.round(_LEVELS * np.nan_to_num(share)), 0.0).astype(np.uint8)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def plain_label(label: str) -> str:
    """A label of a figure without the mathematics that only matplotlib reads: `$\\phi_e$` becomes `phi_e`."""
    text = label.replace(r"\phi", "φ").replace("m$^{-2}$", "m⁻²").replace("m$^{-3}$", "m⁻³")
    return re.sub(r"[$\\{}]", "", text)


def _bar_ticks(low: float, high: float, extend: str) -> list[tuple[float, str]]:
    """(value, text) of the colour bar's ticks; values beyond an end are announced there."""
    places = [float(v) for v in MaxNLocator(nbins=6).tick_values(low, high) if low - 1e-12 <= v <= high + 1e-12]
    inner = [(value, f"{value:g}") for value in places if 0.06 < (value - low) / (high - low) < 0.94]
    first, last = f"{low:g}", f"{high:g}"
    below, above = extend in ("min", "both"), extend in ("max", "both")
    return [(low, f"≤ {first}" if below else first), *inner, (high, f"≥ {last}" if above else last)]


def _curve(run: Run, unit: str, factor: float) -> dict[str, Any]:
    """Cell voltage over time, thinned."""
    times, voltage = run.timeseries["test_time_second"], run.timeseries["voltage_volt"]
    keep = np.unique(np.linspace(0, max(times.size - 1, 0), min(times.size, _CURVE)).astype(int))
    keep = keep[np.isfinite(voltage[keep])] if times.size else keep[:0]
    return {
        "t": [round(float(t) / factor, 6) for t in times[keep]],
        "v": [round(float(v), 5) for v in voltage[keep]],
        "label": f"cell voltage over time [{unit}]",
    }
