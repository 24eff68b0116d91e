"""Checks of a whole protocol against the cell."""

from collections.abc import Sequence

from simulator.errors import ConfigError
from simulator.protocol.current import RestStep
from simulator.protocol.interface import Step

#: [V] by which a voltage may lie outside the bounds: the rounding of one that was given against lithium.
_ROUNDING = 1e-9


def validate_protocol(
    steps: Sequence[Step], *, voltage_window: tuple[float, float], anode_potential: float = 0.0
) -> None:
    """Check the voltages of a protocol.

    **Arguments:** `voltage_window`: safety bounds (lo, hi) [V] of the cell; `anode_potential` [V vs Li/Li+]
    turns voltages against lithium into voltages of the cell.

    **Raises:** ConfigError if a voltage lies outside the bounds, or if a step would end at once because the step before
    it (rests between them aside), a hold, a ramp or one in the other direction, leaves the cell beyond its cut-off. A
    second charge up to a lower voltage is no error: at a smaller current the voltage falls back.
    """
    low, high = voltage_window
    previous: tuple[Step, float] | None = None
    for number, step in enumerate(steps, start=1):
        for name, volts in step.voltages(anode_potential).items():
            if not low - _ROUNDING <= volts <= high + _ROUNDING:
                raise ConfigError(
                    f"Step {number}, {step.describe()!r}: the {name} is {volts:g} V of the cell, outside the "
                    f"safety limits [{low:g}, {high:g}] V. Change it or widen voltage_limits."
                )
        if isinstance(step, RestStep):
            continue
        left, limit = step.leaves(anode_potential), step.cutoff(anode_potential)
        if previous is not None and limit is not None:
            arrived = previous[0].cutoff(anode_potential) is None  # a hold or a ramp, which ends where it is asked to
            _check_order(f"Step {number}, {step.describe()!r}", step, limit, *previous, arrived)
        previous = None if left is None else (step, left)


def _check_order(where: str, step: Step, limit: float, before: Step, left: float, arrived: bool) -> None:
    """ConfigError if `step` ends at once: its cut-off `limit` [V] against where the step before it `left` the cell, or,
    unless it `arrived` there, may have left it."""
    if step.direction == -before.direction:
        charge, discharge = (limit, left) if step.direction > 0 else (left, limit)
        if charge <= discharge:
            raise ConfigError(
                f"{where}: the charge cut-off {charge:g} V must lie above the discharge cut-off {discharge:g} V of the "
                f"step next to it ({before.describe()!r}), or the step ends at once. Exchange or "
                "correct the two voltages."
            )
    elif arrived and (limit < left if step.direction > 0 else limit >= left):
        raise ConfigError(
            f"{where}: its cut-off {limit:g} V is passed already, because {before.describe()!r} before it leaves the "
            f"cell at {left:g} V. Correct one of the two voltages."
        )
