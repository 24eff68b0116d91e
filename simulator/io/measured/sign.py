"""Whether a positive current charges the cell, judged from the voltage; and signs from the cycler's words."""

from collections.abc import Sequence

import numpy as np

from simulator.errors import ConfigError

#: Smaller currents, against the largest, are rests; their sign is that of an offset.
REST = 0.01
#: Changes of the voltage [V] within it are noise.
_NOISE = 1e-3
#: A stretch with one sign of current is judged in so many parts of equal charge: it may hold a charge and a discharge
#: where the file has no signs.
_PARTS = 5
#: Shares of the charge: of agreeing votes that settle the sign, and of contrary ones that show that there are no signs.
_SETTLED, _CONTRARY = 0.75, 0.2
#: Correlation between jumps of current and of voltage that settles the sign.
_OHMIC = 0.5

_CURE = (
    "Pass current_sign='discharge' if a positive current in the file discharges the cell, or current_sign='charge' if "
    "the file is right as it stands (positive charges)."
)


def check_sign(source: str, time: np.ndarray, voltage: np.ndarray, current: np.ndarray) -> str | None:
    """ConfigError unless the voltage rises while the current is positive, and falls while it is negative.

    Stretches of one sign of current, rests left out, are cut into parts of equal charge. Each part votes with its
    charge, by the change of voltage from its begin to its end. If that settles nothing, jumps of current and voltage
    are compared: an ohmic resistance is positive.

    **Arguments:** `time` [s], `voltage` [V], `current` [any unit], (rows,).

    **Returns:** None, or a note that nothing could be checked because no current passes.
    """
    size = np.abs(current).max()
    if size == 0:
        return "No current passes, so its sign was not checked."
    votes = _votes(time, voltage, current, REST * size)
    if votes.size:
        # of the charge, whatever its sign, with the voltage up and down
        up, down = (votes[votes[:, 1] * way > 0, 0] for way in (1, -1))
        rising = np.abs(up).sum() / np.abs(votes[:, 0]).sum()
        one_sign = np.all(current >= -REST * size) or np.all(current <= REST * size)
        if one_sign and _CONTRARY < rising < 1 - _CONTRARY:
            raise ConfigError(
                f"{source}: the current has one sign throughout, yet the voltage rises during {100 * rising:.0f} % of "
                f"the charge and falls during {100 - 100 * rising:.0f} %: the signs are missing. If a column holds the "
                "state of the cycler (C and D, or CC_Chg and CC_DChg), pass current_sign='from_state'; else write the "
                f"signs into the file. {_CURE}"
            )
        fits = (up[up > 0].sum() - down[down < 0].sum()) / np.abs(votes[:, 0]).sum()
        if fits >= _SETTLED:
            return None
        if fits <= 1 - _SETTLED:
            raise ConfigError(
                f"{source}: where the current is positive the voltage falls, and where it is negative it rises "
                f"({100 - 100 * fits:.0f} % of the charge, rests left out). {_CURE}"
            )
    resistance = _ohmic(voltage, current, size)
    if resistance >= _OHMIC:
        return None
    if resistance <= -_OHMIC:
        raise ConfigError(
            f"{source}: where the current jumps up the voltage jumps down, as with a negative resistance (correlation "
            f"{resistance:.2f}). {_CURE}"
        )
    raise ConfigError(f"{source}: the voltage does not tell whether a positive current charges the cell. {_CURE}")


def _votes(time: np.ndarray, voltage: np.ndarray, current: np.ndarray, rest: float) -> np.ndarray:
    """(charge, change of voltage [V]) of each part whose voltage changes by more than noise, (parts, 2)."""
    way = np.where(np.abs(current) > rest, np.sign(current), 0.0)
    passed = np.concatenate([[0.0], np.cumsum(0.5 * (current[1:] + current[:-1]) * np.diff(time))])
    bounds = np.flatnonzero(np.diff(way)) + 1
    votes = []
    for first, after in zip([0, *bounds], [*bounds, current.size], strict=True):
        if way[first] == 0 or after - first < 2:
            continue
        inside = np.abs(passed[first:after] - passed[first])
        cuts = first + np.searchsorted(inside, np.linspace(0.0, inside[-1], _PARTS + 1)[1:-1])
        rows = np.unique([first, *cuts, after - 1])
        votes += [(passed[b] - passed[a], voltage[b] - voltage[a]) for a, b in zip(rows[:-1], rows[1:], strict=True)]
    found = np.array(votes).reshape(-1, 2)
    return found[np.abs(found[:, 1]) > _NOISE]


def _ohmic(voltage: np.ndarray, current: np.ndarray, size: float) -> float:
    """Correlation of the jumps of the current with those of the voltage; 0 without any."""
    jumps, changes = np.diff(current), np.diff(voltage)
    large = np.abs(jumps) > 0.05 * size
    both = np.linalg.norm(jumps[large]) * np.linalg.norm(changes[large])
    return float(jumps[large] @ changes[large] / both) if both > 0 else 0.0


def signs_of_states(source: str, states: Sequence[str], current: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """+1 (charge), -1 (discharge) or 0 for each row from words such as C, D, R (Maccor) or CC_Chg, CC_DChg, Rest.

    **Errors:** ConfigError for a row with a current and a state that is neither a charge nor a discharge.
    """
    known = {state: _sign(state) for state in set(states)}
    signs = np.array([known[state] for state in states])
    lost = np.flatnonzero((signs == 0) & (np.abs(current) > REST * np.abs(current).max()))
    if lost.size:
        k = int(lost[0])
        raise ConfigError(
            f"{source}, line {lines[k]}: a current of {current[k]:g} passes in the state {states[k]!r}, which is "
            f"neither a charge nor a discharge. The states of the file are {sorted(known)}. Choose another column with "
            "columns={'state': HEADING}, or write the signs into the file."
        )
    return signs


def _sign(state: str) -> int:
    word = state.strip().lower()
    if word == "d" or any(part in word for part in ("dchg", "dischg", "disch", "dis_chg")):
        return -1
    return 1 if word == "c" or "chg" in word or "charge" in word else 0
