"""Protocol texts, their errors, and the checks of a whole protocol."""

import dataclasses

import pytest

from simulator.errors import ConfigError
from simulator.protocol import (
    Course,
    CurrentStep,
    GittStep,
    HoldStep,
    RampStep,
    RestStep,
    SingleStep,
    parse_protocol,
    parse_step,
    validate_protocol,
)
from simulator.protocol.parse import PARSERS
from simulator.protocol.phrases import EXAMPLES


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("Charge at C/10 until 4.2 V", CurrentStep(0.1, "C", None, 4.2)),
        ("Discharge at C/5 until 2.8 V", CurrentStep(-0.2, "C", None, 2.8)),
        ("Discharge at 2 A/m2 for 3 h or until 3 V", CurrentStep(-2.0, "A/m2", 10800.0, 3.0)),
        ("Discharge at 2 A/m^2 until 3 V or for 3 hours", CurrentStep(-2.0, "A/m2", 10800.0, 3.0)),
        ("Charge at 0.1C for 30 minutes", CurrentStep(0.1, "C", 1800.0)),
        ("Charge at 0.23 mA/cm2 until 4.2 V", CurrentStep(0.23, "mA/cm2", None, 4.2)),
        ("Charge at 18 mA/g until 4.6 V vs Li", CurrentStep(18.0, "mA/g", None, 4.6, "Li")),
        ("Charge at C/20 until 4600 mV vs. Li/Li+", CurrentStep(0.05, "C", None, 4.6, "Li")),
        ("charge at c/10 UNTIL 4.2v", CurrentStep(0.1, "C", None, 4.2)),
        ("  Charge  at 1 C for 1 h 30 min. ", CurrentStep(1.0, "C", 5400.0)),
        ("Charge at C for 90 s", CurrentStep(1.0, "C", 90.0)),
        ("Charge at 2C/5 for 10 sec", CurrentStep(0.4, "C", 10.0)),
        ("Discharge at 5 mA for 1 min, or until 2.5 V", CurrentStep(-0.005, "A", 60.0, 2.5)),
        ("Discharge at 0.005 A for 2.5e2 seconds", CurrentStep(-0.005, "A", 250.0)),
        ("Charge at 50 µA/cm² for 1 day", CurrentStep(0.05, "mA/cm2", 86400.0)),
        ("Charge at .5C until 4.2 V", CurrentStep(0.5, "C", None, 4.2)),
        ("Rest for 1 hour", RestStep(3600.0)),
        ("Rest for 90 s", RestStep(90.0)),
        ("Hold at 4.2 V until C/20", HoldStep(4.2, None, 0.05)),
        ("Hold at 4200 mV for 2 h", HoldStep(4.2, 7200.0)),
        ("hold at 4.6 V vs Li until 10 uA/cm2, or for 2 h", HoldStep(4.6, 7200.0, 0.01, "mA/cm2", "Li")),
        ("Ramp to 4.3 V at 0.1 mV/s", RampStep(4.3, 1e-4)),
        ("Sweep from 3.0 V to 4.3 V at 6 mV/min", RampStep(4.3, 1e-4, 3.0)),
        ("Ramp from 4.3 V vs Li to 3 V vs Li at 3.6 V / h or until 2C", RampStep(3.0, 1e-3, 4.3, 2.0, "C", "Li")),
        ("GITT at C/10 for 30 min, rest 30 min, until 4.2 V", GittStep(0.1, "C", 1800.0, 1800.0, 4.2)),
        ("GITT charge at C/10 for 30 min rest 1 h until 4.2 V", GittStep(0.1, "C", 1800.0, 3600.0, 4.2)),
        (
            "gitt discharge at 1 mA/g for 10 min, rest for 2 h, until 3 V vs Li",
            GittStep(-1.0, "mA/g", 600.0, 7200.0, 3.0, "Li"),
        ),
    ],
)
def test_texts_become_steps(text, step):
    assert parse_protocol(text) == (step,)


@pytest.mark.parametrize(
    "step",
    [
        CurrentStep(0.1, "C", None, 4.2),
        CurrentStep(-1 / 3, "C", 10800.0, 2.8),
        CurrentStep(0.23, "mA/cm2", 1234.5, 4.6, "Li"),
        CurrentStep(-1.5e-6, "A", 45 * 60.0),
        CurrentStep(-18.0, "mA/g", 5400.0),
        RestStep(0.125),
        RestStep(7200.0),
        HoldStep(4.2, None, 1 / 30),
        HoldStep(3.98, 5400.0, 0.5, "mA/g", "Li"),
        HoldStep(4.2, 1.5),
        RampStep(4.3, 1e-4),
        RampStep(3.0, 1 / 3600, 4.3, 0.2, "A/m2", "Li"),
        GittStep(0.1, "C", 1800.0, 7200.0, 4.2),
        GittStep(-1 / 7, "mA/cm2", 100.0, 3.0, 2.5, "Li"),
    ],
)
def test_description_of_a_step_reads_back_as_the_step(step):
    again = parse_step(step.describe())
    for name, value in dataclasses.asdict(step).items():
        # describe() writes 12 digits
        assert getattr(again, name) == (pytest.approx(value, rel=1e-11) if isinstance(value, float) else value)


def test_protocol_takes_lists_step_objects_line_breaks_and_repetition():
    charge, rest = CurrentStep(0.1, "C", None, 4.2), RestStep(3600.0)
    assert parse_protocol(rest) == (rest,)
    assert parse_protocol(["Charge at C/10 until 4.2 V", rest]) == (charge, rest)
    assert parse_protocol("Charge at C/10 until 4.2 V; Rest for 1 h\nRest for 60 min\n") == (
        charge,
        rest,
        rest,
    )
    assert parse_protocol(("Charge at C/10 until 4.2 V", "Rest for 1 h") * 3) == (charge, rest) * 3
    assert parse_protocol([("Charge at C/10 until 4.2 V", rest)] * 3) == (charge, rest) * 3
    assert parse_protocol([["Rest for 1 h", (rest, "Rest for 1 h; Rest for 1 h")]]) == (rest,) * 4


def test_every_example_in_the_error_message_is_valid():
    assert len(parse_protocol(list(EXAMPLES))) == len(EXAMPLES)


@pytest.mark.parametrize(
    ("text", "part", "why"),
    [
        ("Charg at C/10 until 4.2 V", "Charg", "begins with 'Charge', 'Discharge', 'Rest'"),
        ("10 minutes rest", "10", "begins with"),
        ("Charge until 4.2 V", "until 4.2 V", "rate is missing"),
        ("Charge", "Charge", "rate is missing"),
        ("Charge slowly at C/10 until 4.2 V", "slowly", "expected one of 'at', 'for', 'until'"),
        ("Charge at C/10", "at C/10", "end is missing"),
        ("Charge at until 4.2 V", "at", "nothing follows"),
        ("Charge at C/10 until", "until", "nothing follows"),
        ("Charge at C/0 until 4.2 V", "C/0", "division by zero"),
        ("Charge at 0 A until 4.2 V", "0 A", "above zero"),
        ("Charge at -0.1C until 4.2 V", "-0.1C", "gives its direction"),
        ("Discharge at C/-5 until 3 V", "C/-5", "gives its direction"),
        ("Charge at A until 4.2 V", "A", "number is missing"),
        ("Charge at 5 W until 4.2 V", "5 W", "expected a rate"),
        ("Charge at 0.1 until 4.2 V", "0.1", "expected a rate"),
        ("Charge at C/10 (5 minute period) until 4.2 V", "C/10 (5 minute period)", "expected a rate"),
        ("Charge at C/10 for 0 h", "0 h", "above zero"),
        ("Charge at C/10 for -3 h", "-3 h", "negative"),
        ("Charge at C/10 for 3", "3", "expected a duration"),
        ("Charge at C/10 for 3 weeks", "weeks", "units of time"),
        ("Charge at C/10 for 3 h or 3 V", "3 h or 3 V", "expected a duration"),
        ("Charge at C/10 for 3 h and until 4.2 V", "3 h and", "expected a duration"),
        ("Charge at C/10 until C/50", "C/50", "expected a voltage"),
        ("Charge at C/10 until 50 mA", "50 mA", "expected a voltage"),
        ("Charge at C/10 until 4.2", "4.2", "expected a voltage"),
        ("Charge at C/10 until 4.2 V vs Na", "Na", "only reference is Li"),
        ("Charge at C/10 until 4.2 V until 4.3 V", "until 4.3 V", "second 'until'"),
        ("Rest", "Rest", "duration is missing"),
        ("Rest until 3 V", "until 3 V", "takes only 'for'"),
        ("Rest for a while", "a while", "expected a duration"),
        ("Charge at 4.2 V until C/20", "4.2 V", "constant voltage is 'Hold at 4.2 V until C/20'"),
        ("Hold at 4.2 V", "at 4.2 V", "end is missing"),
        ("Hold until C/20", "until C/20", "voltage is missing"),
        ("Hold at C/20 until 4.2 V", "C/20", "expected a voltage"),
        ("Hold at 4.2 V until 3 V", "3 V", "ends at a current"),
        ("Hold at 4.2 V until 5 W", "5 W", "expected a rate"),
        ("Hold at 4.2 V until 0 mA", "0 mA", "falls towards zero for ever"),
        ("Hold at 4.2 V until -1 mA", "-1 mA", "compared with the magnitude"),
        ("Hold at 4.2 V for 0 s", "0 s", "above zero"),
        ("Ramp", "Ramp", "voltage at its end is missing"),
        ("Ramp at 1 mV/s", "at 1 mV/s", "voltage at its end is missing"),
        ("Ramp to 4.3 V", "to 4.3 V", "rate is missing"),
        ("Ramp to 4.3 V at C/10", "C/10", "expected a rate such as '0.1 mV/s'"),
        ("Ramp to 4.3 V at 0.1 mV", "0.1 mV", "expected a rate such as '0.1 mV/s'"),
        ("Ramp to 4.3 V at 0 mV/s", "0 mV/s", "above zero"),
        ("Ramp to 3 V at -1 mV/s", "-1 mV/s", "two voltages say"),
        ("Ramp from 3 V vs Li to 4 V at 1 mV/s", "from 3 V vs Li to 4 V at 1 mV/s", "both voltages 'vs Li'"),
        ("Ramp to 4.3 V at 1 mV/s until 4 V", "4 V", "ends at a current"),
        ("GITT for 30 min", "for 30 min", "rate is missing"),
        ("GITT at C/10 until 4.2 V", "at C/10 until 4.2 V", "duration of a pulse is missing"),
        ("GITT at C/10 for 3 h until 4.2 V", "at C/10 for 3 h until 4.2 V", "rest after each pulse is missing"),
        ("GITT at C/10 for 3 h, rest 1 h", "at C/10 for 3 h, rest 1 h", "cut-off is missing"),
        ("Drive", "Drive", "file is missing"),
    ],
)
def test_a_text_that_is_not_understood_is_quoted_with_the_part_the_reason_and_examples(text, part, why):
    with pytest.raises(ConfigError) as caught:
        parse_protocol([text])
    message = str(caught.value)
    assert repr(text) in message and f"{part!r} is not understood" in message and why in message
    assert "'Charge at C/10 until 4.2 V'" in message


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ([], "no step"),
        ("  ; ", "no step"),
        (3.0, "got float"),
        (["Rest for 1 h", 3.0], "Step 2 of the protocol is 3.0"),
        ([["Rest for 1 h", None]], "Step 2 of the protocol is None"),
        ([[], ()], "no step"),
    ],
)
def test_what_is_no_protocol_is_refused(protocol, text):
    with pytest.raises(ConfigError, match=text):
        parse_protocol(protocol)


def test_cutoffs_at_the_safety_limits_are_legal_and_beyond_them_are_not():
    steps = parse_protocol(["Charge at C/10 until 4.2 V", "Discharge at C/10 until 2.8 V"])
    validate_protocol(steps, voltage_window=(2.8, 4.2))
    with pytest.raises(ConfigError, match=r"Step 1, 'Charge at 0.1 C until 4.2 V'.*\[2.8, 4.1\] V.*voltage_limits"):
        validate_protocol(steps, voltage_window=(2.8, 4.1))
    with pytest.raises(ConfigError, match=r"Step 2.*\[3, 4.2\] V"):
        validate_protocol(steps, voltage_window=(3.0, 4.2))


def test_cutoffs_against_lithium_are_checked_as_cell_voltages():
    steps = parse_protocol("Charge at C/10 until 4.6 V vs Li")
    validate_protocol(steps, voltage_window=(1.4, 4.0), anode_potential=0.62)
    with pytest.raises(ConfigError, match="4.6 V of the cell"):
        validate_protocol(steps, voltage_window=(1.4, 4.0))


@pytest.mark.parametrize(
    "protocol",
    [
        ["Charge at C/10 until 3 V", "Discharge at C/10 until 3.5 V"],
        ["Charge at C/10 until 3 V", "Rest for 1 h", "Discharge at C/10 until 3 V"],
        ["Discharge at C/10 until 3.5 V", "Charge at C/10 for 1 h or until 3.4 V"],
        ["GITT at C/10 for 1 h, rest 1 h, until 3 V", "Discharge at C/10 until 3.5 V"],
        ["Ramp from 2.5 V to 3 V at 1 mV/s", "Discharge at C/10 until 3.5 V"],
        "Repeat 2 times: Discharge at C/10 until 3.9 V; Charge at C/10 until 3.8 V; End repeat",
    ],
)
def test_charge_cutoff_must_lie_above_the_discharge_cutoff_next_to_it(protocol):
    with pytest.raises(ConfigError, match="must lie above the discharge cut-off"):
        validate_protocol(parse_protocol(protocol), voltage_window=(2.0, 4.5))


@pytest.mark.parametrize(
    "protocol",
    [
        # A charge in two stages, then a discharge that ends above the first stage.
        ["Charge at C/5 until 3.8 V", "Charge at C/10 until 4.2 V", "Discharge at C/10 until 3.9 V"],
        ["Charge at C/10 for 1 h", "Discharge at C/10 until 3.9 V", "Rest for 1 h"],
        ["Rest for 1 h"],
        # A hold at another voltage than the cut-off before it; what follows is measured against the hold.
        ["Charge at C/10 until 4.2 V", "Hold at 4.4 V for 1 h", "Discharge at C/10 until 4.3 V"],
        ["Charge at C/10 until 4.2 V", "Hold at 4.2 V until C/50", "Charge at C/5 until 4.2 V"],
        ["Charge at C/10 until 4.2 V", "Ramp to 3 V at 1 mV/s", "Charge at C/10 until 3.5 V"],
        # the current may end the ramp at any voltage before 4.2 V
        ["Ramp to 4.2 V at 1 mV/s or until C/2", "Charge at C/10 until 4.0 V"],
        ["Charge at C/10 until 4.2 V", "Ramp to 4.4 V at 1 mV/s or until C/2", "Discharge at C/10 until 4.3 V"],
    ],
)
def test_protocols_without_contradiction_pass(protocol):
    validate_protocol(parse_protocol(protocol), voltage_window=(2.0, 4.5))


@pytest.mark.parametrize(
    "protocol",
    [
        ["Hold at 4 V until C/20", "Rest for 1 h", "Discharge at C/10 until 4 V"],
        ["Hold at 4 V until C/20", "Charge at C/10 until 3.9 V"],
        ["Ramp to 4 V at 1 mV/s", "Charge at C/10 until 3.9 V"],
        ["Ramp from 3 V to 4 V at 1 mV/s", "Charge at C/10 until 3.9 V"],
        ["Ramp from 4.2 V to 4 V at 1 mV/s", "Discharge at C/10 until 4.1 V"],
    ],
)
def test_cutoff_must_not_be_passed_by_the_hold_or_ramp_before_it(protocol):
    with pytest.raises(ConfigError, match=r"is passed already, because '(Hold|Ramp) .*leaves the cell at 4 V"):
        validate_protocol(parse_protocol(protocol), voltage_window=(2.0, 4.5))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hold at 4.6 V until C/20", "held voltage is 4.6 V"),
        ("Hold at 1.9 V for 1 s", "held voltage is 1.9 V"),
        ("Ramp to 4.6 V at 1 mV/s", "end of the ramp is 4.6 V"),
        ("Ramp from 1.9 V to 3 V at 1 mV/s", "start of the ramp is 1.9 V"),
        ("GITT at C/10 for 1 h, rest 1 h, until 4.6 V", "cut-off is 4.6 V"),
    ],
)
def test_every_voltage_of_a_step_must_lie_inside_the_safety_limits(text, name):
    steps = parse_protocol(text)
    with pytest.raises(ConfigError, match=rf"Step 1.*{name} of the cell, outside the safety limits \[2, 4.5\] V"):
        validate_protocol(steps, voltage_window=(2.0, 4.5))


@dataclasses.dataclass(frozen=True)
class PauseStep(SingleStep):
    """A step kind from outside the package."""

    duration: float = 1.0

    def course(self, basis, voltage):
        return Course.constant("current", 0.0, self.duration)

    def describe(self):
        return "Pause"


def test_a_new_kind_of_step_needs_one_registry_line(monkeypatch):
    monkeypatch.setitem(PARSERS, "Pause", lambda text, after: PauseStep())
    steps = parse_protocol(["Rest for 1 s", "Pause", PauseStep(2.0)])
    assert steps == (RestStep(1.0), PauseStep(), PauseStep(2.0))
    validate_protocol(steps, voltage_window=(2.0, 4.5))
