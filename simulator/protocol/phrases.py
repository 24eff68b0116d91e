"""Words and quantities of protocol texts: clauses, numbers, durations, voltages, rates."""

import re

from simulator.errors import ConfigError

EXAMPLES = (
    "Charge at C/10 until 4.2 V",
    "Discharge at 2 A/m2 for 3 h or until 3 V",
    "Charge at 0.1C for 30 minutes",
    "Charge at 0.23 mA/cm2 until 4.6 V vs Li",
    "Rest for 1 hour",
    "Hold at 4.2 V until C/20",
    "Ramp to 4.3 V at 0.1 mV/s",
    "GITT at C/10 for 30 min, rest 30 min, until 4.2 V",
)

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"

_DURATIONS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
#: Written unit, lower case -> (unit of CurrentStep, power of ten).
_RATES = {
    "c": ("C", 0),
    "a": ("A", 0),
    "ma": ("A", -3),
    "ua": ("A", -6),
    "na": ("A", -9),
    "pa": ("A", -12),
    "a/m2": ("A/m2", 0),
    "ma/cm2": ("mA/cm2", 0),
    "ua/cm2": ("mA/cm2", -3),
    "a/cm2": ("mA/cm2", 3),
    "ma/g": ("mA/g", 0),
    "a/g": ("mA/g", 3),
}
_VOLTAGES = {"v": 0, "mv": -3}
#: Written unit of a sweep rate, lower case -> (power of ten, seconds).
_SWEEP_RATES = {
    f"{volts}/{time}": (power, seconds)
    for volts, power in {"v": 0, "mv": -3, "uv": -6}.items()
    for time, seconds in {"s": 1.0, "min": 60.0, "h": 3600.0}.items()
}


def _shift(number: float, power: int) -> float:
    """number * 10^power, rounded once: 4600 mV is 4.6 V, while 4600 * 1e-3 is one bit more."""
    return number * 10.0**power if power >= 0 else number / 10.0**-power


def misunderstood(text: str, part: str, why: str) -> ConfigError:
    """The error for a step that cannot be read: the whole text, the part, the reason, and valid examples."""
    examples = "; ".join(repr(e) for e in EXAMPLES)
    return ConfigError(f"Step {text!r}: {part.strip()!r} is not understood: {why} Valid steps: {examples}.")


def clauses(text: str, after: str, allowed: tuple[str, ...]) -> dict[str, str]:
    """{keyword: words behind it} for the part `after` of a step `text`; each allowed keyword at most once.

    'at C/10 for 3 h or until 3 V' -> {'at': 'C/10', 'for': '3 h', 'until': '3 V'}. An 'or' (with or without a
    comma) joins two clauses; words in front of the first keyword, and keywords that the step does not take,
    are errors.
    """
    # the usual ones also where they are not allowed, so that they are named
    keywords = "|".join(dict.fromkeys(("at", "for", "until", *allowed)))
    head, *pieces = re.split(rf"\b({keywords})\b", after, flags=re.IGNORECASE)
    if head.strip():
        raise misunderstood(text, head, f"expected one of {', '.join(repr(k) for k in allowed)}.")
    found: dict[str, str] = {}
    for index in range(0, len(pieces), 2):
        key, words = pieces[index].lower(), pieces[index + 1].strip()
        if key not in allowed:
            raise misunderstood(text, f"{key} {words}", f"this step takes only {', '.join(repr(k) for k in allowed)}.")
        if key in found:
            raise misunderstood(text, f"{key} {words}", f"a second {key!r}; write one step for each.")
        if index + 2 < len(pieces):
            words = re.sub(r"(?:,|\s)\s*or$|,$", "", words, flags=re.IGNORECASE).strip()
        if not words:
            raise misunderstood(text, key, "nothing follows it.")
        found[key] = words
    return found


def duration(text: str, words: str) -> float:
    """'30 minutes' or '1 h 30 min' -> seconds, above zero."""
    if not re.fullmatch(rf"(?:{NUMBER}\s*[a-zA-Z]+[\s,]*)+", words):
        raise misunderstood(text, words, "expected a duration such as '30 min', '1 hour' or '1 h 30 min'.")
    total = 0.0
    for number, unit in re.findall(rf"({NUMBER})\s*([a-zA-Z]+)", words):
        if unit.lower() not in _DURATIONS:
            raise misunderstood(text, unit, "units of time are s, min, h, d (or seconds, minutes, hours, days).")
        if float(number) < 0:
            raise misunderstood(text, words, "a duration cannot be negative.")
        total += float(number) * _DURATIONS[unit.lower()]
    if total == 0:
        raise misunderstood(text, words, "a duration must be above zero; leave the step out instead.")
    return total


def voltage(text: str, words: str) -> tuple[float, str | None]:
    """'4.2 V', '4200 mV', '4.6 V vs Li' -> (volts, None or 'Li')."""
    match = re.fullmatch(rf"({NUMBER})\s*([a-zA-Z]+)(?:\s+vs\.?\s+(.+))?", words, flags=re.IGNORECASE)
    if match is None or match[2].lower() not in _VOLTAGES:
        raise misunderstood(
            text,
            words,
            "expected a voltage such as '4.2 V', '4200 mV' or '4.6 V vs Li' (no other cut-off exists).",
        )
    reference = match[3]
    if reference is not None and reference.lower() not in ("li", "li/li+", "li+/li"):
        raise misunderstood(text, reference, "the only reference is Li; a voltage of the cell has none.")
    return _shift(float(match[1]), _VOLTAGES[match[2].lower()]), None if reference is None else "Li"


def rate(
    text: str,
    words: str,
    *,
    none: str = "use 'Rest for ...' for no current.",
    sign: str = "'Charge' or 'Discharge' gives its direction.",
) -> tuple[float, str]:
    """'C/10', '0.1C', '2 A/m2', '5 mA' -> (magnitude above zero, unit of CurrentStep).

    `none`, `sign`: the cure if it is zero or negative.
    """
    compact = words.replace("^", "").replace("²", "2").replace("µ", "u").replace("μ", "u")
    fraction = re.fullmatch(rf"({NUMBER})?\s*C\s*/\s*({NUMBER})", compact, flags=re.IGNORECASE)
    simple = re.fullmatch(rf"({NUMBER})?\s*([a-zA-Z]+(?:\s*/\s*[a-zA-Z]+2?)?)", compact)
    if fraction:
        divisor = float(fraction[2])
        if divisor == 0:
            raise misunderstood(text, words, f"division by zero; {none}")
        value, unit = float(fraction[1] or 1.0) / divisor, "C"
    elif simple and re.sub(r"\s", "", simple[2]).lower() in _RATES:
        unit, power = _RATES[re.sub(r"\s", "", simple[2]).lower()]
        if simple[1] is None and unit != "C":
            raise misunderstood(text, words, "the number is missing.")
        value = _shift(float(simple[1] or 1.0), power)
    else:
        raise misunderstood(
            text,
            words,
            "expected a rate such as 'C/10', '0.1C', '2 A/m2', '0.2 mA/cm2', '18 mA/g', '5 nA' or '1 A'"
            + (", and 'until' before the voltage." if re.search(r"\bto\b", words) else ".")
            + (" A constant voltage is 'Hold at 4.2 V until C/20'." if _is_voltage(words) else ""),
        )
    if value == 0:
        raise misunderstood(text, words, f"a rate must be above zero; {none}")
    if value < 0:
        raise misunderstood(text, words, f"a rate is positive; {sign}")
    return value, unit


def _is_voltage(words: str) -> bool:
    return re.match(rf"{NUMBER}\s*m?V\b", words, flags=re.IGNORECASE) is not None


def current_limit(text: str, words: str) -> tuple[float, str]:
    """'C/20', '10 uA', '0.02 mA/cm2' behind 'until' -> (magnitude above zero, unit of CurrentStep)."""
    if _is_voltage(words):
        raise misunderstood(text, words, "this step ends at a current such as 'C/20' or '10 uA/cm2', or by time.")
    return rate(text, words, none="the current falls towards zero for ever.", sign="it is compared with the magnitude.")


def sweep_rate(text: str, words: str) -> float:
    """'0.1 mV/s', '1 V/h' -> V/s, above zero."""
    match = re.fullmatch(rf"({NUMBER})\s*([a-zA-Z]+\s*/\s*[a-zA-Z]+)", words.replace("µ", "u").replace("μ", "u"))
    unit = "" if match is None else re.sub(r"\s", "", match[2]).lower()
    if match is None or unit not in _SWEEP_RATES:
        raise misunderstood(text, words, "expected a rate such as '0.1 mV/s', '6 mV/min' or '0.36 V/h'.")
    power, seconds = _SWEEP_RATES[unit]
    value = _shift(float(match[1]), power) / seconds
    if value <= 0:
        raise misunderstood(
            text, words, "a rate of voltage is above zero; the two voltages say whether it goes up or down."
        )
    return value
