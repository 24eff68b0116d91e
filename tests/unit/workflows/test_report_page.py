"""Small things of the report page: units, warnings, words."""

from types import SimpleNamespace

import numpy as np
import pytest

from simulator.workflows import html_page, report_page
from simulator.workflows.compare import readable
from simulator.workflows.report import ADVICE


def run(**changes):
    facts = {
        "summary": {},
        "ledger": {"charge": 1e-12},
        "parameters": {"derived": {"live_share": 1.0, "isolated_share": {"a": 0.0}}},
        "timeseries": {"test_time_second": np.zeros(2)},
    }
    return SimpleNamespace(**(facts | changes))


def test_a_sound_run_has_no_warnings():
    assert report_page._warnings(run()) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"parameters": {"derived": {"live_share": 0.3}}}, "Only 30.0 %"),
        ({"parameters": {"derived": {"isolated_share": {"a": 0.02, "b": 0.05}}}}, "7.0 % of the active material"),
        ({"ledger": {"salt": 1e-3}}, "balance of salt closes only to 1.0e-03"),
        ({"summary": {"warnings": ["c_e < 1"]}}, "c_e &lt; 1"),
        ({"timeseries": {"test_time_second": np.zeros(0)}}, "no time steps"),
    ],
)
def test_what_casts_doubt_on_a_run_is_said(changes, expected):
    assert expected in report_page._warnings(run(**changes))


def test_every_status_with_advice_is_put_into_words():
    assert set(ADVICE) <= set(report_page._MEANING)


def test_units_are_split_from_names_and_sources():
    assert html_page.quantity("capacity [mAh/cm2]", 0.12345) == ("capacity", "0.1235", "mAh/cm2")
    assert html_page.quantity("balance [-]", float("nan")) == ("balance", "-", "")
    assert report_page._unit_and_source("[m2/s] A [1] b") == ("m2/s", "A [1] b")
    assert report_page._unit_and_source("measured") == ("", "measured")


def test_values_are_readable():
    assert readable([1, 2.50, None, True]) == "[1, 2.5, none, true]"
    assert readable("PEO(\n  a=f64[]\n)") == "PEO"
    assert readable("3.9 - 0.2*sto") == "3.9 - 0.2*sto"
    assert readable({"am": 1}) == "{am: 1}"
