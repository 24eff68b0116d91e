"""Repeated blocks of a protocol."""

import pytest

from simulator.errors import ConfigError
from simulator.protocol import RestStep, parse_protocol, step_texts
from simulator.protocol.blocks import MOST_STEPS


def rests(*seconds):
    return tuple(RestStep(float(s)) for s in seconds)


@pytest.mark.parametrize(
    "protocol",
    [
        "Rest for 9 s; Repeat 2 times: Rest for 1 s; Rest for 2 s; End repeat; Rest for 8 s",
        "Rest for 9 s\nrepeat 2x:\n  Rest for 1 s\n  Rest for 2 s\nEND REPEAT\nRest for 8 s",
        ["Rest for 9 s", "Repeat 2 times", "Rest for 1 s", "Rest for 2 s", "End repeat", "Rest for 8 s"],
        ["Rest for 9 s; Repeat 2 times: Rest for 1 s", RestStep(2.0), "End repeat.", "Rest for 8 s"],
        ["Rest for 9 s", ["Repeat 2 times:", ("Rest for 1 s", "Rest for 2 s")], "End repeat", "Rest for 8 s"],
    ],
)
def test_blocks_are_written_out_whatever_their_layout(protocol):
    assert parse_protocol(protocol) == rests(9, 1, 2, 1, 2, 8)


def test_blocks_lie_inside_blocks():
    text = "Repeat 2 times: Repeat 3 times: Rest for 1 s; End repeat; Rest for 2 s; End repeat"
    assert parse_protocol(text) == rests(1, 1, 1, 2, 1, 1, 1, 2)
    assert step_texts([text]) == ["Rest for 1 s", "Rest for 1 s", "Rest for 1 s", "Rest for 2 s"] * 2
    assert parse_protocol("Repeat 1 time: Rest for 1 s; End repeat") == rests(1)


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("Repeat 0 times: Rest for 1 s; End repeat", "'0 times'.*whole number from 1 on"),
        ("Repeat -3 times: Rest for 1 s; End repeat", "'-3 times'.*whole number from 1 on"),
        ("Repeat 2.5 times: Rest for 1 s; End repeat", "'2.5 times'.*whole number from 1 on"),
        ("Repeat Rest for 1 s; End repeat", "begins with 'Repeat 3 times'"),
        ("Repeat times: Rest for 1 s; End repeat", "begins with 'Repeat 3 times'"),
        ("Repeat 2 times: Rest for 1 s", "'Repeat 2 times: Rest for 1 s' has no end"),
        ("Repeat 2 times: Repeat 3 times; Rest for 1 s; End repeat", "'Repeat 2 times: Repeat 3 times' has no end"),
        ("Rest for 1 s; End repeat", "'End repeat' without a 'Repeat'"),
        ("Repeat 2 times; End repeat", "has no steps"),
        ("Repeat 2 times: Rest for ever; End repeat", "'ever' is not understood"),
    ],
)
def test_impossible_blocks_are_refused(protocol, text):
    with pytest.raises(ConfigError, match=text):
        parse_protocol(protocol)


def test_a_protocol_of_years_is_refused_before_it_fills_the_memory():
    nested = "Repeat 9999 times: " * 5 + "Rest for 1 s" + "; End repeat" * 5
    with pytest.raises(ConfigError, match=f"more than {MOST_STEPS} steps"):
        parse_protocol(nested)
