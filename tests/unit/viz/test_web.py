"""The interactive page carries the right voxels and values, and needs nothing from elsewhere."""

import base64
import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.viz import fields, web
from simulator.viz.web import plain_label, quantise, write_page

_VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Checks that every tag is closed in its turn, and keeps the attributes and the data element."""

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.data, self.title = [], [], "", ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag not in _VOID:
            self.open.append((tag, dict(attributes)))
        self.references += [value for name, value in attributes if name in ("src", "href", "action")]

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == ("script", {"id": "data", "type": "application/json"}):
            self.data += data
        if self.open and self.open[-1][0] == "title":
            self.title += data


def read(path):
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.references == []
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]{2,}", text.replace("=//", ""))
    return page, json.loads(page.data)


def unpack(text, count):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)[:count]


def decode(data):
    """Shown voxels (nz, ny, nx) and byte values (steps, voxels), as the page's script reads them."""
    shape = tuple(data["shape"])
    bits = unpack(data["mask"], None)
    shown = np.unpackbits(bits)[: np.prod(shape)].reshape(shape).astype(bool)
    steps = len(data["steps"])
    differences = unpack(data["values"], None).reshape(steps, shown.sum())
    return shown, np.cumsum(differences, axis=1, dtype=np.uint8)


def test_the_page_carries_every_voxel_value_of_every_step(run, tmp_path):
    page, data = read(write_page(run, tmp_path / "p.html", title="cell <1>"))
    assert page.title == "cell <1>"
    shown, values = decode(data)
    np.testing.assert_array_equal(shown, run.phase == 1)
    low, high = data["low"], data["high"]
    for row, index in zip(values, range(3), strict=True):
        soc = fields.soc_field(run, index)[shown]
        # half a level of 254
        np.testing.assert_allclose(low + (row - 1.0) / 254 * (high - low), soc, atol=0.51 * (high - low) / 254)
    assert [step["title"].split(",")[0] for step in data["steps"]] == ["t = 0 s", "t = 10.0 min", "t = 20.0 min"]
    assert data["lengths"] == pytest.approx([4.0, 2.4, 2.5])  # z, y, x [um]
    assert data["label"] == "State of charge"
    assert data["blank"] == ""
    assert len(base64.b64decode(data["table"])) == 3 * 256


def test_voxels_without_a_value_are_named(make_run, tmp_path):
    _, data = read(write_page(make_run(fields=("sto", "j")), tmp_path / "p.html", "j"))
    shown, values = decode(data)
    assert shown.sum() == 8 * 6 * 7
    assert (values == 0).any()
    assert data["blank"] == "no live interface"
    assert data["label"] == "Interface current j [A m⁻²]"


def test_large_runs_are_thinned_in_space_and_time_but_keep_the_last_step(run, tmp_path, monkeypatch):
    monkeypatch.setattr(web, "_MAX_CELLS", 5)  # 10 voxels along x: every second one
    monkeypatch.setattr(web, "_BUDGET", 2 * 4 * 3 * 4)  # two steps of the 48 voxels that are left
    _, data = read(write_page(run, tmp_path / "p.html"))
    assert data["shape"] == [4, 3, 5]
    assert data["lengths"] == pytest.approx([4.0, 2.4, 2.5])
    assert [step["t"] for step in data["steps"]] == [0.0, 1200.0]


def test_names_from_outside_cannot_break_the_page(make_run, tmp_path):
    run = make_run(fields=("sto", "film"))
    run.field_specs["film"] = ("</script><b>", "x")
    page, data = read(write_page(run, tmp_path / "p.html", "film", title="</title><script>"))
    assert page.title == "</title><script>"
    assert data["label"] == "x [</script><b>]"


def test_nan_is_zero_and_the_ends_of_the_range_are_the_first_and_the_last_colour():
    values = np.array([np.nan, -1.0, 0.0, 0.5, 1.0, 2.0])
    np.testing.assert_array_equal(quantise(values, (0.0, 1.0, "both")), [0, 1, 1, 128, 255, 255])


def test_labels_lose_the_mathematics_of_figures():
    assert plain_label(r"Electrolyte potential $\phi_e$ [mV]") == "Electrolyte potential φ_e [mV]"
    assert plain_label(r"Salt $c_e$ [mol m$^{-3}$]") == "Salt c_e [mol m⁻³]"


def test_wrong_requests_are_refused(run, tmp_path):
    for name, options, message in (
        ("p.htm5", {}, r"ends with \.html"),
        ("p.html", {"field": "phi"}, "Did you mean 'phi_e'"),
        ("p.html", {"steps": [7]}, "0 to 2"),
        ("p.html", {"steps": []}, "at least one"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_page(run, tmp_path / name, **options)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to read the script of the page")
def test_the_script_of_the_page_is_valid(run, tmp_path):
    text = write_page(run, tmp_path / "p.html").read_text(encoding="utf-8")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    (tmp_path / "page.js").write_text(script, encoding="utf-8")
    done = subprocess.run(["node", "--check", "page.js"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
