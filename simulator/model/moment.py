"""Where a run stands, how it is stored, and how it ends early."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.model.checkpoint import restored_tree, stored_tree
from simulator.model.leg import Cycle
from simulator.model.residual import Flows
from simulator.model.timestep import State

#: Of the arrays of a checkpoint: those of the state, by their place in it.
_STATE = "state"


class Stop(Exception):
    """Ends the run with a status; caught by `simulate`."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Moment:
    """Everything that a time step changes. Replaced as a whole, so that an interrupt never finds half a step.

    `t` [s]; `charge` passed, signed, `throughput`, unsigned, and what has `passed` by the stage fluxes [C];
    `position` in the list of steps, `part` of that step, whether one before `stopped` at a cut-off, and `sto_begin` of
    the step; `number` of the part since the start of the run (1 is the first), `begun` or not, its `begin`, `end` [s],
    the `voltage_begin` [V] just before it, and the `piece` of its course; the `cycle`; `dt` [s] proposed; `rows` on
    record; `saved_charge` [C] and `saved_at` [s] of the last saved fields.
    """

    state: State
    t: float = 0.0
    charge: float = 0.0
    throughput: float = 0.0
    passed: Flows = Flows()
    position: int = 0
    part: int = 0
    stopped: bool = False
    sto_begin: float = math.nan
    number: int = 1
    begun: bool = False
    begin: float = 0.0
    end: float = math.inf
    voltage_begin: float = math.nan
    piece: int = 0
    cycle: Cycle = Cycle()
    dt: float = math.nan
    rows: int = 0
    saved_charge: float = math.nan
    saved_at: float = math.nan

    def stored(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The arrays of the state, and everything else as plain facts."""
        facts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != _STATE}
        return stored_tree(_STATE, self.state), facts

    def restored(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> "Moment":
        """What `stored` took apart; this one tells the structure of the state."""
        state = restored_tree(_STATE, self.state, arrays)
        return Moment(state, **{**facts, "passed": Flows(*facts["passed"]), "cycle": Cycle(*facts["cycle"])})
