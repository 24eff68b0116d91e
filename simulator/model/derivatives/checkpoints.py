r"""Stages that are not kept but computed again, from states that are, by the binomial schedule.

With s states (the first one included) the reversal of l entries takes

$$t(l, s) = r\,l - \beta(s+1, r-1),\qquad \beta(s, r) = \binom{s+r}{s},\qquad \beta(s, r-1) < l \le \beta(s, r)$$

steps on the way to the entries, the least possible, and one more at each entry: Griewank, Walther, ACM TOMS 26 (2000)
19, doi:10.1145/347837.347846. How many entries a run will have is not known before its end, so it leaves states at
equal distances, doubled whenever there is no room for another; between them the schedule is the binomial one. Where few
states stand too far towards the end they are thinned out first.

An entry is taken again from all that it was taken from, its guess included, so that it comes out to the last bit on a
device that repeats its sums in the same order.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConvergenceError
from simulator.model.build import Cell
from simulator.model.leg import Leg
from simulator.model.newton import NewtonOptions, Workspace
from simulator.model.residual import Totals
from simulator.model.stages import Arrays, Packing, Place, Stages, size_of
from simulator.model.tape import Entry, Part, Stepped, Switched
from simulator.model.timestep import GAMMA, ErrorScales, State, attempt, consistent_state
from simulator.protocol import Step

_SCALES = ErrorScales(1.0, 1.0, 1.0, 1.0)  # the step was accepted already


def beta(states: int, times: int) -> int:
    """Most entries that `states` states reverse with each entry taken at most `times` times on the way."""
    return math.comb(states + times, states) if times >= 0 else 0


def repetition(entries: int, states: int) -> int:
    """The r of the formula."""
    times = 0
    while beta(states, times) < entries:
        times += 1
    return times


def steps_taken(entries: int, states: int) -> int:
    """t(l, s): the least number of steps on the way to the entries."""
    times = repetition(entries, states)
    return times * entries - beta(states + 1, times - 1)


def ahead(entries: int, states: int) -> int:
    """How far ahead of the last state the next one is best put, of l > 1 entries from there on."""
    times = repetition(entries, states)
    return min(beta(states, times - 1), entries - beta(states - 1, times - 1))


def remaining(starts: Sequence[int], entries: int, most: int) -> int:
    """How many entries are computed again in the reversal of `entries`, with states before those in `starts` (the
    first is 0) and room for `most` beside the first."""
    lengths = [end - start for start, end in itertools.pairwise([*starts, entries])]
    return sum(steps_taken(n, most + 1 - i) + n for i, n in enumerate(lengths) if n)


@dataclasses.dataclass(frozen=True)
class Again:
    """Takes entries of a run of `cell` again, with the `steps` of its protocol and its `options`."""

    cell: Cell
    steps: Sequence[Step]
    options: NewtonOptions

    def take(
        self, part: Part, entry: Entry, state: State, work: Workspace
    ) -> tuple[State, tuple[tuple[Array, Totals], ...]]:
        """The state behind `entry`, and its stages, from the `state` before. **Errors:** ConvergenceError."""
        step = self.steps[part.position].part(part.number, part.stopped)
        assert step is not None
        leg, model = Leg.of(step, self.cell, part.voltage), self.cell.model
        options = dataclasses.replace(self.options, mixed=entry.mixed)
        if isinstance(entry, Switched):
            drive = leg.drive(entry.piece, entry.since)
            scale = leg.scale(state.current, drive)
            after, stage = consistent_state(state, drive, model, scale, options, work, entry.refill)
            if after is None:
                raise _failed(entry, stage.result.value)
            return after, ((stage.u, stage.evaluation.total),)
        drives = tuple(leg.drive(entry.piece, entry.since + share * entry.dt) for share in (GAMMA, 1.0))
        scale = leg.scale(state.current, *drives)
        taken = attempt(state, entry.dt, drives, model, scale, options, _SCALES, work)  # type: ignore[arg-type]
        if taken.state is None or taken.both is None:
            raise _failed(entry, taken.result.value)
        return taken.state, taken.both


def _failed(entry: Entry, why: str) -> ConvergenceError:
    return ConvergenceError(
        f"The entry at {entry.t:.6g} s of the run could not be computed again ({why}). Keep the stages: give a "
        "tape_folder, or no checkpoints."
    )


class _Held(NamedTuple):
    """An entry at hand: number, the state before it, its stages, and where it is wanted the state behind it."""

    k: int
    start: State
    stages: tuple[Arrays, ...]
    after: State | None = None


class Checkpoints(Stages):
    """At most `most` states beside the first, or as many as `room` [B] allows, on the host: as large as the stages of
    a time step. Stages at the `times` [s] that outputs look at, and those of the last entry, are kept.

    `taken`: entries that were computed again so far; `largest`: the most states that there were at once.
    """

    def __init__(
        self, again: Again, packing: Packing, most: int | None, room: float = 0.0, times: Sequence[float] = ()
    ) -> None:
        self.most, self.taken, self.largest = most or 0, 0, 0
        self._room = room if most is None else None
        self._again, self._packing, self._times = again, packing, times
        self._entries: list[tuple[Part, Entry]] = []
        self._states: dict[int, State] = {}  # packed, by the entry that they are before; 0 is the first
        self._seen: dict[int, tuple[Arrays, ...]] = {}
        self._distance = 1
        self._held: _Held | None = None

    def add(self, stages: tuple[Arrays, ...], place: Place) -> None:
        """Keep the state before the entry if it is due."""
        k = len(self._entries)
        if k == 0:
            self._keep(k, place.start)
            if self._room is not None:
                self.most = max(1, int(self._room / size_of(self._states[0])))
        elif self.most and k % self._distance == 0:
            if len(self._states) > self.most:
                self._distance *= 2
                self._states = {i: state for i, state in self._states.items() if i % self._distance == 0}
            if k % self._distance == 0:
                self._keep(k, place.start)
        self._entries.append((place.part, place.entry))
        self._held = _Held(k, place.start, stages)
        if self._looked_at(k, place.entry):
            self._seen[k] = stages

    def _looked_at(self, k: int, entry: Entry) -> bool:
        at_end = isinstance(entry, Stepped) or k == 0
        return at_end and any(abs(entry.t - t) <= 1e-9 * max(t, 1.0) for t in self._times)

    def load(self, k: int) -> tuple[Arrays, ...]:
        """Kept or computed again."""
        return self._seen[k] if k in self._seen else self._at(k).stages

    def start(self, k: int) -> State | None:
        """Likewise."""
        return self._at(k).start

    def rewind(self, k: int) -> None:
        """Compute entry `k`, and leave states on the way for those before it."""
        self._states = {i: state for i, state in self._states.items() if i <= k}
        if self._held is not None and self._held.k == k:
            self._thin(k)
            return
        self._held = None
        at, work = max(self._states), Workspace()
        state = self._unpacked(self._states[at])
        while at < k:
            goal = at + ahead(k + 1 - at, self.most + 2 - len(self._states))
            state = self._onwards(at, goal, state, work)
            if goal < k:
                self._keep(goal, state)
            at = goal
        self._held = self._take(k, state, work)._replace(after=None)

    def _thin(self, entries: int) -> None:
        """Keep of the states that the run left every one, every second, every fourth, or none: what costs least."""
        ways, distance = [], self._distance
        while True:
            ways.append([i for i in sorted(self._states) if i % distance == 0])
            if len(ways[-1]) == 1:
                break
            distance *= 2
        best = min(ways, key=lambda starts: remaining(starts, entries, self.most))
        self._states = {i: self._states[i] for i in best}

    def _at(self, k: int) -> _Held:
        """Entry `k`, without an idea of what comes next: from the nearest state before it."""
        held = self._held
        if held is None or held.k != k:
            at = max(i for i in self._states if i <= k)
            if held is not None and held.after is not None and at <= held.k + 1 <= k:
                at, state = held.k + 1, held.after
            else:
                state = self._unpacked(self._states[at])
            self._held, work = None, Workspace()
            held = self._held = self._take(k, self._onwards(at, k, state, work), work)
        return held

    def _onwards(self, at: int, goal: int, state: State, work: Workspace) -> State:
        for k in range(at, goal):
            state, _ = self._again.take(*self._entries[k], state, work)
            self.taken += 1
        return state

    def _take(self, k: int, state: State, work: Workspace) -> _Held:
        after, both = self._again.take(*self._entries[k], state, work)
        self.taken += 1
        stages = tuple(
            Arrays(self._packing.pack(u), *jax.tree.map(np.asarray, (total.j, total.side))) for u, total in both
        )
        return _Held(k, state, stages, after)

    def _keep(self, k: int, state: State) -> None:
        self._states[k] = _moved(state, self._packing.pack(state.u), self._packing.pack(state.rate), np.asarray)
        self.largest = max(self.largest, len(self._states) - 1)

    def _unpacked(self, state: State) -> State:
        u, rate = np.asarray(state.u), np.asarray(state.rate)
        nothing = np.zeros((4, 1, 1, 1))
        return _moved(state, self._packing.unpack(u), self._packing.unpack(rate, nothing), jnp.asarray)


def _moved(state: State, u: Any, rate: Any, move: Callable[[Any], Any]) -> State:
    """The state with these fields, and its other arrays moved to the host or back."""
    j, side, side_rate = jax.tree.map(move, (state.j, state.side, state.side_rate))
    return state._replace(u=u, rate=rate, j=j, side=side, side_rate=side_rate)
