"""What a run leaves behind for its derivatives: every switch and every accepted time step, in order.

The tape holds the solved fields of each stage on the host (packed as three fields of float64, 24 bytes a voxel and
stage), and how the length of each time step came about: it was free, it ended on a cut-off, or it is a share of the way
to a time that had to be met.
"""

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.leg import Leg
from simulator.model.moment import Moment
from simulator.model.newton import Stage
from simulator.model.residual import Flows, SideStates, Totals
from simulator.model.timestep import Step
from simulator.protocol import CutOff


class Met(enum.Enum):
    """What a time is that a step had to meet."""

    asked = "a time asked for"
    piece = "the end of a piece of the course"
    pulse = "so long after the begin of a part of a step"


class Part(NamedTuple):
    """A part of a step of the protocol: `position` in the list of steps, `number` of the part in its step, whether one
    before `stopped` at a cut-off, and the `voltage` [V] just before it."""

    position: int
    number: int
    stopped: bool
    voltage: float


class Solved(NamedTuple):
    """A solved stage on the host: `fields` (3, nz, ny, nx), phi_s, phi_e, and sto or c_e, which never share a voxel;
    face currents `j` and `side` states; `flows`, `current` [A] and `voltage` [V]."""

    fields: np.ndarray
    j: Any
    side: SideStates
    flows: Flows
    current: float
    voltage: float


@dataclass(frozen=True)
class Switched:
    """Potentials were found for a new drive, `since` [s] after the begin of the `part`; `refill`: the share of the
    initial salt that dry places were given first. `charge` passed so far [C], `t` [s]."""

    part: int
    piece: int
    since: float
    refill: float
    t: float
    charge: float
    passed: Flows
    stage: Solved


@dataclass(frozen=True)
class Stepped:
    """A time step of `dt` [s] from `since` [s] after the begin of the `part`. It went towards a time that is `met`, at
    `target` [s] of the run, and `reached` it, or ended on `cutoff`. `t`, `charge`, `passed` at its end."""

    part: int
    piece: int
    since: float
    dt: float
    met: Met
    target: float
    reached: bool
    cutoff: CutOff | None
    t: float
    charge: float
    passed: Flows
    first: Solved
    second: Solved

    @property
    def stage(self) -> Solved:
        """The stage at the end of the step."""
        return self.second


Entry = Switched | Stepped


@jax.tree_util.register_static  # it may be handed through JAX as it is
class Tape:
    """The entries of a run, in order, and its `parts`; `initial` (4, nz, ny, nx) and `initial_side`: fields and states
    of the side reactions that it began with."""

    def __init__(self, initial: Array, side: SideStates, cell: CellModel) -> None:
        self.initial, self.initial_side = np.asarray(initial), side
        self._sto, self._salt = np.asarray(cell.active[STO]), np.asarray(cell.active[C_E])
        self.parts: list[Part] = []
        self.entries: list[Entry] = []
        self.ended = ""

    def switch(self, now: Moment, since: float, refill: float, stage: Stage) -> None:
        """Potentials were found for what is imposed from `now` on."""
        solved = self.solved(stage.u, stage.evaluation.total)
        part = len(self.parts) - 1
        self.entries.append(Switched(part, now.piece, since, refill, now.t, now.charge, now.passed, solved))

    def step(
        self, before: Moment, after: Moment, leg: Leg, dt: float, target: float, cutoff: CutOff | None, step: Step
    ) -> None:
        """A time step was accepted, on the way to `target` [s]; `cutoff`: what it ended on."""
        since = before.t - before.begin
        if target == before.begin + leg.course.ends[before.piece]:
            met = Met.piece
        else:
            met = Met.pulse if target == before.begin + leg.target(before.piece, since) else Met.asked
        reached = cutoff is None and after.t == target
        self._append(before, after, dt, met, target, reached, cutoff, step)

    def repeat(self, before: Moment, after: Moment, dt: float, old: Stepped, step: Step) -> None:
        """The time step `old` of another run was taken again."""
        self._append(before, after, dt, old.met, old.target, old.reached, old.cutoff, step)

    def _append(
        self,
        before: Moment,
        after: Moment,
        dt: float,
        met: Met,
        target: float,
        reached: bool,
        cutoff: CutOff | None,
        step: Step,
    ) -> None:
        assert step.both is not None
        part, since = len(self.parts) - 1, before.t - before.begin
        way = (met, target, reached, cutoff)
        passed = (after.t, after.charge, after.passed)
        first, second = (self.solved(*stage) for stage in step.both)
        self.entries.append(Stepped(part, before.piece, since, dt, *way, *passed, first, second))

    def solved(self, u: Array, total: Totals) -> Solved:
        """A stage as it is kept."""
        host = np.asarray(u)
        return Solved(
            np.stack([host[PHI_S], host[PHI_E], np.where(self._sto, host[STO], host[C_E])]),
            jax.tree.map(np.asarray, total.j),
            jax.tree.map(np.asarray, total.side),
            Flows(*map(float, total.flows)),
            float(total.current),
            float(total.voltage),
        )

    def fields(self, stage: Solved) -> Array:
        """Fields (4, nz, ny, nx) of a kept stage: those that never change are as they were at the begin."""
        phi_s, phi_e, both = stage.fields
        sto = np.where(self._sto, both, self.initial[STO])
        return jnp.asarray(np.stack([phi_s, phi_e, sto, np.where(self._salt, both, self.initial[C_E])]))
