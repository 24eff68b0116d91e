"""Why a charge or discharge moved less than the active material holds: a ledger whose entries add up."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from simulator.errors import ConfigError
from simulator.protocol.half_cycles import find_half_cycles, flowing

#: Columns of what oxidation has passed [C]: of the electrolyte, of the burst, on carbon.
SIDE_CHARGES = ("decomposed_coulomb", "burst_coulomb", "carbon_coulomb")


class CapacityLosses(NamedTuple):
    """Charges [C]; all but the first two add up to `theoretical - delivered`."""

    theoretical: float
    delivered: float
    isolated: float
    start: float
    window: float
    polarisation: float
    salt: float
    side_reaction: float
    remainder: float


def capacity_losses(
    series: Mapping[str, np.ndarray],
    *,
    theoretical_capacity: float,
    sto_window: tuple[float, float],
    ocv: Callable[[float], float],
    isolated_share: float = 0.0,
    cutoff: float | None = None,
    salt_limited: bool = False,
) -> CapacityLosses:
    r"""Split what one charge or discharge lacks to the theoretical capacity $Q_0$ into its causes.

    With the window $[x_0, x_1]$ of the stoichiometry, the mean stoichiometry of the reacting material $x_a$ at the
    start and $x_b$ at the end, $Q_r = Q_0 (1-s)/(x_1-x_0)$ per unit of stoichiometry of the reacting material, the
    isolated share s, the charge $q$ of side reactions meanwhile, and $x^*$ where the open-circuit voltage equals the
    cut-off, a discharge delivers $Q = Q_r (x_b-x_a) - q$ and

    $$Q_0 - Q = \underbrace{s Q_0}_{isolated} + \underbrace{Q_r (x_a-x_0)}_{start} + \underbrace{Q_r (x_1-x^*)}_{window}
    + \underbrace{Q_r (x^*-x_b)}_{polarisation\,+\,salt} + \underbrace{q}_{side\ reaction} .$$

    A charge exchanges the ends, $Q_r (x_1-x_a)$, $Q_r (x^*-x_0)$, $Q_r (x_b-x^*)$, and $-q$: there the side reaction
    adds to the charge that passes.

    - `isolated`: active material without live faces,
    - `start`: not available, as the charge or discharge before did not end at the window,
    - `window`: between the cut-off and the end of the window at open circuit; negative if the cut-off lies beyond,
    - `polarisation`: could still be moved at the cut-off if all overpotentials vanished; the part of it that is due to
      `salt` is the share of the salt's concentration overpotential in all losses at the end, kept within 0 and 1,
    - `side_reaction`: as above,
    - `remainder`: what the columns of the run leave over, the error of its balance. Not small: wrong arguments.

    **Arguments:** `series`: columns of the rows of one charge or discharge, its rests included, from the state before
    it on; needed are `current_ampere`, `voltage_volt`, `charge_coulomb`, `sto_mean`; `loss_*_volt` and
    `SIDE_CHARGES` count as zero where they are missing. `theoretical_capacity` [C] of all active material
    through `sto_window`; `ocv`: open-circuit voltage of the cell [V] at a stoichiometry, falling; `isolated_share` of
    the active material; `cutoff` [V], by default the last voltage under current; `salt_limited`: the run ended because
    the salt was used up, so all of polarisation is due to it.

    **Errors:** ConfigError unless `series` holds exactly one charge or discharge, or for impossible arguments.
    """
    low, high = float(sto_window[0]), float(sto_window[1])
    if not 0.0 <= low < high <= 1.0:
        raise ConfigError(f"sto_window must be (x_min, x_max) with 0 <= x_min < x_max <= 1, got {sto_window}.")
    if not (math.isfinite(theoretical_capacity) and theoretical_capacity > 0.0):
        raise ConfigError(f"theoretical_capacity must be above 0 C, got {theoretical_capacity}.")
    if not 0.0 <= isolated_share < 1.0:
        raise ConfigError(f"isolated_share must lie in [0, 1), got {isolated_share}. It is a share, not per cent.")
    current, sto = series["current_ampere"], series["sto_mean"]
    directions = [half.direction for half in find_half_cycles(current)]
    if len(directions) != 1 or directions[0] == 0:
        raise ConfigError(
            f"The rows must hold one charge or one discharge, found {sum(d != 0 for d in directions)}. Take them from "
            "find_half_cycles(current), for example."
        )
    sign = directions[0]
    last = int(np.flatnonzero(flowing(current))[-1])
    stop = float(series["voltage_volt"][last]) if cutoff is None else float(cutoff)
    begin, end, reached = float(sto[0]), float(sto[last]), _stoichiometry_at(ocv, stop)
    per_sto = theoretical_capacity * (1.0 - isolated_share) / (high - low)
    # where the reaction comes from and goes to: lithium leaves on charge
    origin, target = (high, low) if sign > 0 else (low, high)
    overpotential = per_sto * sign * (end - reached)
    share = 1.0 if salt_limited else _salt_share(series, last)
    consumed = sum(_passed(series, name, last) for name in SIDE_CHARGES if name in series)
    delivered = sign * _passed(series, "charge_coulomb", last)
    losses = {
        "isolated": isolated_share * theoretical_capacity,
        "start": per_sto * sign * (origin - begin),
        "window": per_sto * sign * (reached - target),
        "polarisation": (1.0 - share) * overpotential,
        "salt": share * overpotential,
        "side_reaction": -sign * consumed,
    }
    remainder = theoretical_capacity - delivered - sum(losses.values())
    return CapacityLosses(theoretical_capacity, delivered, **losses, remainder=remainder)


def _passed(series: Mapping[str, np.ndarray], name: str, last: int) -> float:
    return float(series[name][last] - series[name][0])


def _salt_share(series: Mapping[str, np.ndarray], row: int) -> float:
    """Share of the salt's overpotential in all losses at `row`, within [0, 1]; 0 if the losses are not known."""
    losses = {name: float(values[row]) for name, values in series.items() if name.startswith("loss_")}
    total = sum(losses.values())
    if not math.isfinite(total) or total == 0.0:
        return 0.0
    return float(np.clip(losses.get("loss_salt_volt", 0.0) / total, 0.0, 1.0))


def _stoichiometry_at(ocv: Callable[[float], float], voltage: float) -> float:
    """Where `ocv` takes `voltage` [V] in [0, 1]; the nearer end if it does not."""
    full, empty = float(ocv(1.0)), float(ocv(0.0))
    if voltage <= full:
        return 1.0
    if voltage >= empty:
        return 0.0
    return float(brentq(lambda sto: float(ocv(sto)) - voltage, 0.0, 1.0, xtol=1e-12))
