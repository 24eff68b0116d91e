"""A sweep in one figure: a line over one swept setting, maps over two, small multiples over more."""

import itertools
import math
import os
import re
import string
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simulator.errors import ConfigError
from simulator.viz.figures import BLUE, RED, STYLE, save

_MOST_PANELS = 12
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)")
_LONG = 22  # characters of a value at an axis; values with more are lettered and written out below
_MOST_NUMBERS = 12  # columns of a map with printed values
_MAP = "viridis"
_VALUE = "value"  # marks the printed values of a map

Row = Mapping[str, Any]


def plot_sweep(
    rows: Sequence[Row], path: str | os.PathLike[str], *, axes: Sequence[str], quantities: Sequence[str]
) -> Path:
    """Draw `quantities` of the runs `rows` against the swept settings `axes`.

    One setting: a line for each quantity (points if the values are no numbers). Two: a map for each quantity, the first
    setting to the right, the second upwards, values printed in the cells where they fit. More: maps of the first
    quantity for every combination of the other settings, twelve at most, on one colour scale. Runs without a value are
    hatched and say how they stand; a star marks runs that stopped early. Long texts are lettered A, B, ... and written
    out below.

    **Arguments:** `rows`: for each run the values of `axes` and `quantities` (NaN: none) and its `status`.

    **Errors:** ConfigError without any value to draw, or for an unknown extension.
    """
    if not axes or not quantities or not any(_known(row, quantities) for row in rows):
        raise ConfigError("The sweep holds no value to draw yet.")
    with mpl.rc_context({**STYLE, "hatch.linewidth": 0.5, "hatch.color": "0.6"}):
        if len(axes) == 1:
            figure = _lines(rows, axes[0], quantities)
        else:
            figure = _maps(rows, axes, quantities)
        return save(figure, path)


def values_of(rows: Sequence[Row], key: str) -> list[Any]:
    """The different values of a swept setting: numbers by size, also with a unit, other things as they come."""
    different = {_text(row.get(key)): row.get(key) for row in rows}
    found = list(different.values())
    numbers = _numbers(found)
    if numbers is None:
        return found
    return [value for _, value in sorted(zip(numbers[0], found, strict=True), key=lambda pair: pair[0])]


def _numbers(values: Sequence[Any]) -> tuple[list[float], str] | None:
    """The numbers in `values` and their common unit (or ""); None if one is no number."""
    parts = []
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            parts.append((float(value), ""))
            continue
        match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
        if match is None or re.search(r"\d|\(", match[2]):
            return None
        parts.append((float(match[1]), match[2].strip()))
    units = {unit for _, unit in parts}
    return ([number for number, _ in parts], units.pop()) if len(units) == 1 else None


def _text(value: Any) -> str:
    """A value as text, by which it is also known: the same for `1` and `1.0`."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def _numerals(numbers: Sequence[float]) -> list[str]:
    """A text for each number: four digits, or as many as tell all of them apart; whole numbers in full."""

    def texts(digits: int) -> list[str]:
        return [f"{n:.0f}" if n.is_integer() and abs(n) < 1e10 else f"{n:.{digits}g}" for n in numbers]

    different = len(set(map(_text, numbers)))
    return next((found for d in range(4, 13) if len(set(found := texts(d))) >= different), texts(12))


def _labels(values: Sequence[Any]) -> tuple[list[str], str, list[str]]:
    """A text for each value, the unit that was taken out of them, and a key to them if they are lettered."""
    numbers = _numbers(values)
    if numbers is not None:
        return _numerals(numbers[0]), numbers[1], []
    texts = [_text(value) for value in values]
    if all(len(text) <= _LONG for text in texts):
        return texts, "", []
    letters = string.ascii_uppercase
    names = list(letters[: len(texts)]) if len(texts) <= len(letters) else [str(n + 1) for n in range(len(texts))]
    return names, "", [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]


def _write_below(figure: Figure, keys: Mapping[str, Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Write what the letters of each setting stand for, and `notes`, below everything else; the figure grows for it."""
    width = max(int(figure.get_figwidth() * 17), 30)  # characters of 7 pt, on average 4.2 pt wide
    lines = [";  ".join(notes)] if notes else []
    for key, names in keys.items():
        for name in [key, *names] if names else []:
            lines += textwrap.wrap(name, width, subsequent_indent="     ")
    if lines:
        figure.set_figheight(figure.get_figheight() + 0.13 * (len(lines) - 1))
        place = {"x": 0.02, "ha": "left"} if any(keys.values()) else {}
        figure.supxlabel("\n".join(lines), fontsize=7, color="0.4", **place)


def _title(key: str, unit: str) -> str:
    return f"{key} [{unit}]" if unit else key


def _stopped(row: Row) -> bool:
    return row.get("status") not in (None, "finished")


def _known(row: Row, quantities: Sequence[str]) -> bool:
    return any(math.isfinite(row.get(quantity, math.nan)) for quantity in quantities)


def _lines(rows: Sequence[Row], key: str, quantities: Sequence[str]) -> Figure:
    """One panel for each quantity over a single setting."""
    values = values_of(rows, key)
    numbers = _numbers(values)
    texts, unit, letters = _labels(values)
    place = {_text(value): (numbers[0][i] if numbers else float(i)) for i, value in enumerate(values)}
    figure = Figure(figsize=(3.3 * len(quantities) + 0.3, 2.6), layout="constrained")
    for ax, quantity in zip(figure.subplots(1, len(quantities), squeeze=False)[0], quantities, strict=True):
        points = sorted((place[_text(row.get(key))], row.get(quantity, math.nan), _stopped(row)) for row in rows)
        x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points], float)
        known, early = np.isfinite(y), np.array([p[2] for p in points])
        ax.plot(x[known], y[known], ls="-" if numbers else "none", color=BLUE, lw=1.2, zorder=2)
        ax.plot(x[known & ~early], y[known & ~early], "o", color=BLUE, ms=4.5, zorder=3)
        if (known & early).any():
            stars = {"color": RED, "ms": 7, "label": "stopped early", "zorder": 4}
            ax.plot(x[known & early], y[known & early], "*", **stars)
        if (~known).any():
            ticks = {"transform": ax.get_xaxis_transform(), "color": "0.55", "clip_on": False, "label": "no result"}
            ax.plot(x[~known], np.full((~known).sum(), 0.02), "x", ms=5, **ticks)
        if not numbers:
            _name_ticks(ax, texts)
            ax.set_xlim(-0.5, len(values) - 0.5)
        elif x.min() > 0 and x.max() >= 100 * x.min() and x.size > 2:
            ax.set_xscale("log")
        ax.set(xlabel=_title(key, unit), ylabel=quantity)
        ax.margins(y=0.15)
        ax.spines[["top", "right"]].set_visible(False)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")
    _write_below(figure, {key: letters})
    return figure


def _name_ticks(ax: Axes, texts: Sequence[str]) -> None:
    wide = sum(map(len, texts)) > 30
    step = math.ceil(len(texts) / 24)  # more would run into each other
    ax.set_xticks(
        range(0, len(texts), step), texts[::step], rotation=30 if wide else 0, ha="right" if wide else "center"
    )


def _maps(rows: Sequence[Row], axes: Sequence[str], quantities: Sequence[str]) -> Figure:
    """Maps over the first two settings: of each quantity, or of the first one for each choice of the other settings."""
    x, y, *others = axes
    columns, lines = values_of(rows, x), values_of(rows, y)
    combinations = [
        choice
        for choice in itertools.product(*(values_of(rows, key) for key in others))
        if any(_matches(row, others, choice) for row in rows)
    ]
    left_out = len(combinations) - _MOST_PANELS
    combinations = combinations[:_MOST_PANELS]
    panels = [(quantities[0], choice) for choice in combinations] if others else [(name, ()) for name in quantities]
    across = min(len(panels), 3 if others else 2)
    down = math.ceil(len(panels) / across)
    width = min(max(1.1 + 0.55 * len(columns), 2.4), 6.0)
    height = min(max(0.9 + 0.36 * len(lines), 1.7), 5.0)
    figure = Figure(figsize=(across * width + 0.9, down * height + 0.3), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for ax in grid.ravel()[len(panels) :]:
        ax.set_visible(False)
    named = {key: _titles(values_of(rows, key)) for key in others}
    image, bottom = None, len(panels) - across
    for number, (ax, (quantity, choice)) in enumerate(zip(grid.ravel(), panels, strict=False)):
        picked = [row for row in rows if _matches(row, others, choice)]
        shared = rows if others else picked
        image = _map(ax, picked, (x, columns), (y, lines), quantity, _norm(shared, quantity))
        if others:
            pairs = zip(others, choice, strict=True)
            ax.set_title(", ".join(f"{_end(key, others)} = {named[key][_text(value)]}" for key, value in pairs))
        else:
            figure.colorbar(image, ax=ax, label=quantity)
        ax.label_outer()
        if number >= bottom:  # above an empty place as well
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(_title(x, _labels(columns)[1]))
    if others and image is not None:
        figure.colorbar(image, ax=grid, label=quantities[0])
    notes = ["* stopped early"] if any(_stopped(row) and _known(row, quantities) for row in rows) else []
    notes += [f"{left_out} more combinations of {', '.join(others)} are not shown"] if left_out > 0 else []
    _write_below(figure, {key: _labels(values_of(rows, key))[2] for key in axes}, notes)
    _drop_texts(figure, list(grid.ravel()[: len(panels)]), (len(lines), len(columns)))
    return figure


def _drop_texts(figure: Figure, panels: Sequence[Axes], shape: tuple[int, int]) -> None:
    """Take printed values out of maps whose cells are too small or too many for them."""
    figure.draw_without_rendering()  # only now it is known how large a cell is
    for ax in panels:
        box = ax.get_window_extent()
        height, width = box.height / shape[0], box.width / shape[1]
        sizes = {text: text.get_window_extent() for text in ax.texts}
        wide = {text for text, size in sizes.items() if size.width > 0.96 * width or size.height > height}
        numbers = {text for text in sizes if text.get_gid() == _VALUE}
        if shape[1] > _MOST_NUMBERS or wide & numbers:
            wide |= numbers  # all of them: a map with some would seem to have lost the others
        for text in wide:
            if text.get_text().endswith("*"):
                text.set_text("*")
            else:
                text.remove()


def _end(key: str, others: Sequence[str]) -> str:
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in others) > 1 else last


def _titles(values: Sequence[Any]) -> dict[str, str]:
    """What stands for each value in the title of a map."""
    names, unit, _ = _labels(values)
    return {_text(value): f"{name} {unit}".strip() for value, name in zip(values, names, strict=True)}


def _matches(row: Row, keys: Sequence[str], choice: Sequence[Any]) -> bool:
    return all(_text(row.get(key)) == _text(value) for key, value in zip(keys, choice, strict=True))


def _norm(rows: Sequence[Row], quantity: str) -> Normalize:
    values = [row[quantity] for row in rows if math.isfinite(row.get(quantity, math.nan))] or [0.0]
    low, high = min(values), max(values)
    spare = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else 0.05 * abs(high) or 1.0  # more than rounding
    return Normalize(low - spare, high + spare)


def _map(
    ax: Axes, rows: Sequence[Row], x: tuple[str, list[Any]], y: tuple[str, list[Any]], quantity: str, norm: Normalize
) -> Any:
    """A map with the value in each cell; cells without one are hatched and tell the status of their run."""
    (x_key, columns), (y_key, lines) = x, y
    cells = {(_text(row.get(x_key)), _text(row.get(y_key))): row for row in rows}
    data = np.full((len(lines), len(columns)), np.nan)
    size = 6.5 if len(columns) <= 8 else 5.0
    colours = mpl.colormaps[_MAP]
    for i, j in np.ndindex(data.shape):
        row = cells.get((_text(columns[j]), _text(lines[i])))
        value = math.nan if row is None else float(row.get(quantity, math.nan))
        data[i, j] = value
        if math.isfinite(value):
            red, green, blue, _ = colours(norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            star = "*" if row is not None and _stopped(row) else ""
            style: dict[str, Any] = {"fontsize": size, "color": "w" if dark else "k", "gid": _VALUE}
            ax.text(j, i, f"{value:.4g}{star}", ha="center", va="center", **style)
            continue
        ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fc="0.96", ec="0.6", lw=0, hatch="////", zorder=2))
        if row is not None:
            patch = {"fc": "0.96", "ec": "none", "pad": 1.0}
            ax.text(
                j, i, str(row["status"]), ha="center", va="center", fontsize=5.5, color="0.25", zorder=3, bbox=patch
            )
    image = ax.imshow(data, origin="lower", aspect="auto", cmap=_MAP, norm=norm)
    names, unit, _ = _labels(lines)
    step = math.ceil(len(lines) / 30)
    ax.set_yticks(range(0, len(lines), step), names[::step])
    ax.set_ylabel(_title(y_key, unit))
    names, unit, _ = _labels(columns)
    _name_ticks(ax, names)
    ax.set_xlabel(_title(x_key, unit))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(lines) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="w", lw=1.2)
    ax.tick_params(which="minor", length=0)
    return image
