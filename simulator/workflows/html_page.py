"""Pieces of the self-contained HTML pages: one style, tables, pictures; no scripts and no links to elsewhere."""

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

STYLE = """
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1a1a1a; background: #fff;
  max-width: 62rem; margin: 1.5rem auto; padding: 0 1.2rem }
h1 { font-size: 1.6rem; margin: 0 0 .3rem }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; border-bottom: 1px solid #bbb }
.status { border-left: .45rem solid #0072b2; padding: .4rem .9rem; background: #f3f7fa; margin: .8rem 0 }
.status.early { border-color: #d55e00; background: #fdf4ee }
.status b { font-size: 1.05rem }
table { border-collapse: collapse; margin: .4rem 0 }
tr { border-bottom: 1px solid #e4e4e4 }
th { font-weight: 600 }
td, th { padding: .18rem .9rem .18rem 0; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start }
.small td, .small th { font-size: .85rem; padding-right: .7rem }
.small td:first-child, .small td:nth-child(3) { white-space: nowrap }
.parameters td:nth-child(2) { min-width: 15rem; overflow-wrap: anywhere }
figure { margin: .8rem 0; break-inside: avoid }
img { max-width: 100%; height: auto; display: block }
figcaption, .note { color: #444; font-size: .9rem; max-width: 48rem }
pre { background: #f6f6f6; padding: .7rem 1rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt }
  h2 { break-after: avoid } tr, .status { break-inside: avoid }
  .status, pre { background: none; border: 1px solid #999 }
  img { width: auto !important; max-height: 10.5cm }
}
"""


def document(title: str, parts: Iterable[str]) -> str:
    """The whole page from its parts, which are HTML already; empty ones are left out."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def figure(file: Path, caption: str, width: str = "62rem") -> str:
    """The PNG at `file` within the page, with its caption."""
    picture = base64.b64encode(file.read_bytes()).decode()
    return (
        f'<figure><img style="width:{width}" alt="{escape(caption)}" '
        f'src="data:image/png;base64,{picture}">\n<figcaption>{escape(caption)}</figcaption></figure>'
    )


def section(title: str, content: str) -> str:
    """A heading and its content; nothing without content."""
    return f"<h2>{escape(title)}</h2>\n{content}" if content else ""


def table(
    rows: Iterable[Sequence[str]], heads: Sequence[str] = (), *, numbers: Sequence[int] = (1,), kind: str = ""
) -> str:
    """Rows of plain texts, escaped here; `numbers`: columns that hold numbers."""
    cells = [
        "<tr>"
        + "".join(
            f'<td class="number">{escape(text)}</td>' if column in numbers else f"<td>{escape(text)}</td>"
            for column, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    ]
    if not cells:
        return ""
    head = f"<tr>{''.join(f'<th>{escape(text)}</th>' for text in heads)}</tr>\n" if heads else ""
    opening = f'<table class="{kind}">' if kind else "<table>"
    return f"{opening}\n{head}" + "\n".join(cells) + "\n</table>"


def quantity(name: str, value: float) -> tuple[str, str, str]:
    """Name, value and unit of "name [unit]"."""
    match = re.fullmatch(r"(.*?)\s*\[(.*)\]", name)
    name, unit = (match[1], match[2]) if match else (name, "")
    return name, f"{value:.4g}" if np.isfinite(value) else "-", "" if unit == "-" else unit
