"""Two columns of numbers from a CSV file, units of the header converted."""

import csv
import re
from pathlib import Path

from simulator.errors import ConfigError
from simulator.units import Unit, accepted_units, is_number, known_unit

#: SI unit of the first column, by what a material function depends on.
_AXIS_UNIT = {"sto": "-", "c_e": "mol/m3"}
_DIMENSIONLESS = ("", "-", "1")


def read_columns(
    path: str | Path, *, name: str, unit: str | None = None, axis: str = ""
) -> tuple[list[float], list[float]]:
    """The first two columns of a CSV file: x (increasing) and y, in SI.

    Columns are separated by commas, semicolons or tabs; decimals have a point. Lines that begin with # and empty
    ones are skipped. A header (first row that does not begin with a number) may carry units, `kappa [mS/cm]`,
    `U (V)` or `Voltage / V`: they are converted. Rows in strictly decreasing x are turned round.

    **Arguments:** `name`: of the parameter, for messages; `unit`: its SI unit; `axis`: 'sto' or 'c_e', what x is.
    Without `unit` and `axis` headers are not read.

    **Errors:** ConfigError, naming the row, for a missing or unreadable file, a row without two numbers, a unit
    that is not understood, and a first column that is a state of charge.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigError(f"{name}: no file {str(path)!r}. Give the path of a CSV file with columns x, y.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: {path.name} is not a UTF-8 text file. Save it as CSV (UTF-8).") from error
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path.name} ({error.strerror}).") from error
    rows = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    if not rows:
        raise ConfigError(f"{name}: {path.name} holds no rows. Give columns x, y.")
    delimiter = next((d for d in "\t;" if d in rows[0][1]), ",")
    x_unit, y_unit = Unit(), Unit()
    # without a header "0,1,3,9" may be two numbers with decimal commas as well as four columns
    headless = is_number(rows[0][1].split(delimiter)[0])
    x: list[float] = []
    y: list[float] = []
    for number, line in rows:
        row = next(csv.reader([line], delimiter=delimiter))
        if number == rows[0][0] and not is_number(row[0]):
            if unit is not None and len(row) > 1:
                x_unit = _unit(row[0], _AXIS_UNIT[axis], f"{name}: column 1 of {path.name}")
                y_unit = _unit(row[1], unit, f"{name}: column 2 of {path.name}")
                _refuse_soc(row[0], axis, name)
            continue
        if headless and delimiter == "," and len(row) > 2:
            raise ConfigError(
                f"{name}: row {number} of {path.name}, {line.strip()[:60]!r}, has {len(row)} columns without a header. "
                "Decimals need a point; or give two columns, or a header."
            )
        try:
            pair = float(row[0]), float(row[1])
        except (ValueError, IndexError) as error:
            raise ConfigError(
                f"{name}: row {number} of {path.name}, {line.strip()[:60]!r}, does not begin with two numbers. Columns "
                "are x, y, separated by a comma (or ; or a tab), with a decimal point."
            ) from error
        x.append(x_unit.to_si(pair[0]))
        y.append(y_unit.to_si(pair[1]))
    if all(later < earlier for earlier, later in zip(x, x[1:], strict=False)):
        x.reverse()
        y.reverse()
    return x, y


def _unit(header: str, si: str, where: str) -> Unit:
    """The unit written in a column's header, of the dimension of `si`; SI if there is none."""
    match = re.search(r"\[([^\]]*)\]\s*$", header) or re.search(r"\(([^()]*)\)\s*$|\s/\s+(.+?)\s*$", header)
    text = "" if match is None else next(group for group in match.groups() if group is not None).strip()
    if match is None or text in _DIMENSIONLESS and si in ("-", ""):
        return Unit()
    unit = known_unit(text, si)
    if unit is None:
        raise ConfigError(
            f"{where}, {header.strip()!r}: unit {text!r} is not understood. Accepted: {accepted_units(si)}; "
            f"without a unit numbers are {'dimensionless' if si == '-' else si}."
        )
    return unit


def _refuse_soc(header: str, axis: str, name: str) -> None:
    if axis == "sto" and re.search(r"\bSOC\b|state.of.charge", header, re.IGNORECASE):
        raise ConfigError(
            f"{name}: the first column is {header.strip()!r}, but x is the lithium content sto (1 is fully lithiated), "
            "which falls while the state of charge rises. Convert it: sto = x_max - SOC (x_max - x_min)."
        )
