"""What a run leaves behind for its derivatives: every switch and every accepted time step, in order.

The tape holds numbers of each entry, and how the length of each time step came about: it was free, it ended on a
cut-off, or it is a share of the way to a time that had to be met. Fields of the stages lie where `stages` keeps them.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.model.cell import CellModel
from simulator.model.leg import Leg
from simulator.model.moment import Moment
from simulator.model.newton import Stage
from simulator.model.residual import Flows, SideStates, Totals
from simulator.model.stages import Arrays, InMemory, Packing, Place, Stages
from simulator.model.timestep import State, Step, resting_state
from simulator.physics.contact import FaceCurrents
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
    """The numbers of a solved stage: `flows`, `current` [A] and `voltage` [V]."""

    flows: Flows
    current: float
    voltage: float


class Fields(NamedTuple):
    """The rest of it: `u` (4, nz, ny, nx) [V, V, -, mol/m3], face currents `j` and `side` states."""

    u: Array
    j: FaceCurrents
    side: SideStates


@dataclass(frozen=True)
class Switched:
    """Potentials were found for a new drive, `since` [s] after the begin of the `part`; `refill`: the share of the
    initial salt that dry places were given first. `charge` passed so far [C], `t` [s]. `mixed`: see `NewtonOptions`."""

    part: int
    piece: int
    since: float
    refill: float
    t: float
    charge: float
    passed: Flows
    mixed: bool
    stage: Solved


@dataclass(frozen=True)
class Stepped:
    """A time step of `dt` [s] from `since` [s] after the begin of the `part`. It went towards a time that is `met`, at
    `target` [s] of the run, and `reached` it, or ended on `cutoff`. `t`, `charge`, `passed` at its end.
    `mixed`: see `NewtonOptions`."""

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
    mixed: bool
    first: Solved
    second: Solved

    @property
    def stage(self) -> Solved:
        """The stage at the end of the step."""
        return self.second


Entry = Switched | Stepped


#: How a time step came about: `met`, `target`, `reached`, `cutoff` of `Stepped`.
_Way = tuple[Met, float, bool, CutOff | None]


@jax.tree_util.register_static  # it may be handed through JAX as it is
class Tape:
    """The entries of a run, in order, and its `parts`; `initial` (4, nz, ny, nx) and `initial_side`: fields and states
    of the side reactions that it began with; `kept`: where the stages of the entries are; `done`: steps of the protocol
    that came to their end; `ended`: why the run did not, or empty."""

    def __init__(self, initial: Array, side: SideStates, cell: CellModel, kept: Stages | None = None) -> None:
        self.initial, self.initial_side = np.asarray(initial), side
        self.kept = InMemory() if kept is None else kept
        self._packing = Packing(initial, cell)
        self._state: State | None = resting_state(jnp.asarray(initial), side, cell)  # before the next entry
        self.parts: list[Part] = []
        self.entries: list[Entry] = []
        self.ended, self.done = "", 0

    def switch(self, now: Moment, since: float, refill: float, stage: Stage, mixed: bool) -> None:
        """Potentials were found for what is imposed from `now` on."""
        part, total = len(self.parts) - 1, stage.evaluation.total
        entry = Switched(part, now.piece, since, refill, now.t, now.charge, now.passed, mixed, _numbers(total))
        self._append(entry, (self.arrays(stage.u, total),), now.state)

    def step(
        self,
        before: Moment,
        after: Moment,
        leg: Leg,
        dt: float,
        target: float,
        cutoff: CutOff | None,
        step: Step,
        mixed: bool,
        asked: bool,
    ) -> None:
        """A time step was accepted, on the way to `target` [s], perhaps a time `asked` for; `cutoff`: what it ended
        on."""
        since = before.t - before.begin
        if target == before.begin + leg.course.ends[before.piece]:
            met = Met.piece
        else:
            # a time asked for stays where it is, also where a pulse happens to be
            pulse = not asked and target == before.begin + leg.target(before.piece, since)
            met = Met.pulse if pulse else Met.asked
        reached = cutoff is None and after.t == target
        self._stepped(before, after, dt, (met, target, reached, cutoff), step, mixed)

    def repeat(self, before: Moment, after: Moment, dt: float, old: Stepped, step: Step, mixed: bool) -> None:
        """The time step `old` of another run was taken again."""
        self._stepped(before, after, dt, (old.met, old.target, old.reached, old.cutoff), step, mixed)

    def _stepped(self, before: Moment, after: Moment, dt: float, way: _Way, step: Step, mixed: bool) -> None:
        assert step.both is not None
        part, since = len(self.parts) - 1, before.t - before.begin
        passed = (after.t, after.charge, after.passed, mixed)
        first, second = (_numbers(total) for _, total in step.both)
        entry = Stepped(part, before.piece, since, dt, *way, *passed, first, second)
        self._append(entry, tuple(self.arrays(*stage) for stage in step.both), after.state)

    def _append(self, entry: Entry, stages: tuple[Arrays, ...], after: State) -> None:
        assert self._state is not None
        self.kept.add(stages, Place(self.parts[entry.part], entry, self._state))
        self.entries.append(entry)
        self._state = after

    def end(self, why: str = "") -> None:
        """The run is over."""
        self._state, self.ended = None, why

    def arrays(self, u: Array, total: Totals) -> Arrays:
        """A stage as it is kept."""
        return Arrays(self._packing.pack(u), *jax.tree.map(np.asarray, (total.j, total.side)))

    def stage(self, k: int, number: int = -1) -> Fields:
        """A stage of entry `k`: the last one, or that of this `number`."""
        fields, j, side = self.kept.load(k)[number]
        return Fields(self._packing.unpack(fields), *jax.tree.map(jnp.asarray, (j, side)))


def _numbers(total: Totals) -> Solved:
    return Solved(Flows(*map(float, total.flows)), float(total.current), float(total.voltage))
