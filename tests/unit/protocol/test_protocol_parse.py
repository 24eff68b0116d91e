"""Protocol texts, their errors, and the checks of a whole protocol."""

import dataclasses

import pytest

from simulator.errors import ConfigError
from simulator.protocol import CurrentStep, RestStep, Step, parse_protocol, parse_step, validate_protocol
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


def test_every_example_in_the_error_message_is_valid():
    assert len(parse_protocol(list(EXAMPLES))) == len(EXAMPLES)


@pytest.mark.parametrize(
    ("text", "part", "why"),
    [
        ("Hold at 4.2 V until C/20", "Hold", "constant voltage is not available"),
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
        ([["Rest for 1 h"]], "Step 1 of the protocol is"),
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
    ],
)
def test_protocols_without_contradiction_pass(protocol):
    validate_protocol(parse_protocol(protocol), voltage_window=(2.0, 4.5))


@dataclasses.dataclass(frozen=True)
class PauseStep(Step):
    """A step kind from outside the package."""

    time_limit: float = 1.0
    direction: int = 0

    def cutoff(self, anode_potential=0.0):
        return None

    def current(self, *, one_c, area, am_mass):
        return 0.0

    def describe(self):
        return "Pause"


def test_a_new_kind_of_step_needs_one_registry_line(monkeypatch):
    monkeypatch.setitem(PARSERS, "pause", lambda text, after: PauseStep())
    steps = parse_protocol(["Rest for 1 s", "Pause", PauseStep(2.0)])
    assert steps == (RestStep(1.0), PauseStep(), PauseStep(2.0))
    validate_protocol(steps, voltage_window=(2.0, 4.5))
