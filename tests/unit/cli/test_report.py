"""`voxelyte report`: one file, complete, escaped, with nothing from elsewhere."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image

from simulator.cli import main

pytestmark = pytest.mark.usefixtures("no_opengl")
_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that every tag is closed in its turn; keeps texts, pictures and references."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.pictures, self.references, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in _VOID:
            self.open.append(tag)
        values = dict(attributes)
        if tag == "img":
            assert values["alt"]
            self.pictures.append(values["src"])
        self.references += [values[name] for name in ("href", "action", "srcset") if name in values]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data + " "


def report(folder, *options):
    assert main(["report", str(folder), *options]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(make_result, capsys):
    folder = make_result()
    text = report(folder)
    assert capsys.readouterr().out.split() == [str(folder / "report.html")]
    page = Page(text)
    assert page.references == []
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", text)
    for picture in page.pictures:
        kind, _, data = picture.partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(BytesIO(base64.b64decode(data))).size[0] > 500
    assert len(page.pictures) == 4  # voltage, losses, state of charge, slices


def test_the_numbers_of_the_run_stand_on_the_page(make_result):
    text = " ".join(Page(report(make_result())).text.split())
    # 1 pA for one hour into 2e-14 kg: 1e-9 mAh in 2e-11 g
    assert "capacity 50 mAh/g AM" in text
    # 3.6e-9 C of 1e-8 C
    assert "utilisation 36 %" in text
    assert "final voltage 3.96 V" in text
    assert "resistance of step 1 42 ohm cm2" in text  # what the run itself reported
    assert "charge transfer 30 mV" in text
    assert "total 50 mV" in text
    assert "lithium 2.0e-11" in text
    assert "Charge at C/10 until 4.2 V" in text
    assert "am.density 4780 kg/m3" in text
    assert "electrolyte.t_plus Constant" in text
    assert "voxelyte 1.2.3" in text


def test_text_from_files_is_escaped(make_result):
    text = report(make_result(status="salt_depleted"))
    assert "stack &lt;a&amp;b&gt;.tif" in text
    assert "crystal &lt;density&gt;" in text
    assert "It ended &lt;so&gt;." in text


def test_a_run_that_stopped_early_gets_its_reason_and_advice(make_result):
    text = Page(report(make_result(status="salt_depleted"))).text
    assert "salt_depleted" in text
    assert "the salt was used up" in text
    assert "What to try: " in text
    assert "All steps of the protocol were completed" not in text


def test_a_run_without_rows_still_has_a_page_that_says_so(make_result):
    page = Page(report(make_result(rows=False, status="running")))
    assert "no time steps" in page.text
    assert page.pictures == []
    assert "has not ended yet" in page.text


def test_output_elsewhere_and_wrong_output(make_result, tmp_path, capsys):
    folder = make_result()
    assert main(["report", str(folder), "--output", str(tmp_path / "a.html")]) == 0
    assert (tmp_path / "a.html").is_file()
    assert not (folder / "report.html").exists()
    for output, expected in (("a.pdf", "ends with .html"), (str(tmp_path / "no" / "a.html"), "cannot be written")):
        assert main(["report", str(folder), "--output", output]) == 2
        assert expected in capsys.readouterr().err
