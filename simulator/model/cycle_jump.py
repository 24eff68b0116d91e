r"""Jumps over cycles in which nothing changes but the slow states of the side reactions.

At the begin of every cycle the states S of faces and voxels are remembered. With the last two increments
$d_1=S_{n-1}-S_{n-2}$, $d_2=S_n-S_{n-1}$ the states m cycles later are extrapolated to second order,

$$S_{n+m} \approx S_n + m\,d_2 + \tfrac{m(m+1)}{2}(d_2-d_1),$$

and the difference to the first order, the last term, is taken as the error. For the film it is turned into volts: what
the largest current of the cycle loses in a resistance wrong by that much. m is the largest number of cycles for which
this stays below a tolerance, and below `FILM` of the film itself, which a film that conducts well would not show in
volts. Two cycles are computed before each jump, and the last cycle of a block always is.

Fields keep the values they had, so cycles must come back to them: over the whole jump the lithium must close to
`CLOSED` of what one cycle moves, which cycles between two voltages do, and cycles by time or charge do not (what is
oxidised fills their particles). What
the oxidation has consumed in between is taken from the salt, in proportion everywhere, and entered into the books, so
that charge, lithium and salt balance.

Source of the idea: extrapolation over cycles of slow internal variables, e.g. Cojocaru, Karlsson (2006),
doi:10.1016/j.ijfatigue.2006.01.010 (cycle jumps in fatigue).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from simulator.model.cell import C_E, CellModel
from simulator.model.checkpoint import restored_tree, stored_tree
from simulator.model.residual import Flows, SideStates
from simulator.model.timestep import State
from simulator.physics.decomposition.branch import BURST_LEFT, CHARGE, THICKNESS
from simulator.protocol import Step

#: Lithium that the cycles of a jump may gain or lose together, relative to what passes in one.
CLOSED = 5e-3
#: What one jump may get wrong of the film.
FILM = 0.05
#: What one jump may get wrong in shares: of what can burn, of the contact, of the salt that is there.
SHARE = 0.01
SALT = 0.05


class Mark(NamedTuple):
    """The begin of a cycle: its `number`, `position` in the list of steps, parts of steps `executed` before it, time
    `t` [s], `throughput` and `passed` [C], `rows` on record, and the `side` states."""

    number: int
    position: int
    executed: int
    t: float
    throughput: float
    passed: Flows
    rows: int
    side: SideStates


class Jump(NamedTuple):
    """`cycles` to jump, `steps` of the list and parts of them `executed` that they are, the `side` states behind them,
    and the `error` [V]."""

    cycles: int
    steps: int
    executed: int
    side: SideStates
    error: float


def repeats(steps: Sequence[Step], position: int, length: int) -> int:
    """How often the `length` steps before `position` stand again right behind it, one after the other."""
    block, count = tuple(steps[position - length : position]), 0
    while tuple(steps[position + count * length : position + (count + 1) * length]) == block:
        count += 1
    return count


def _order(first: Any, second: Any, last: Any, m: int) -> tuple[Any, Any]:
    """States m cycles behind `last`, and the part of second order in them."""
    bend = 0.5 * m * (m + 1) * ((last - second) - (second - first))
    return last + m * (last - second) + bend, bend


def extrapolate(marks: Sequence[Mark], m: int, current: float, cell: CellModel) -> tuple[SideStates, float, float]:
    """Side states `m` cycles behind the last of three `marks`; the error [V] at `current` [A], and the largest of a
    share [-], in units of what a jump may get wrong.

    Shares that are left never become negative, thickness and charge never shrink.
    """
    first, second, last = (mark.side for mark in marks[-3:])
    faces = carbon = None
    volts = shares = 0.0
    if first.faces is not None and second.faces is not None and last.faces is not None:
        states, bend = (np.array(a) for a in _order(first.faces, second.faces, last.faces, m))
        assert cell.decomposition is not None
        film, area = cell.decomposition.film, np.asarray(cell.pristine_contact)
        off = np.sum(area * np.abs(bend[THICKNESS])) / np.sum(area)
        at_work = float(np.sum(area * np.asarray(film.remaining(last.faces[THICKNESS]))))
        volts = float(off / float(film.conductivity) * current / at_work)
        shares = float(np.sum(area * np.abs(bend[BURST_LEFT])) / np.sum(area)) / SHARE
        if film.loss_thickness is not None:
            shares = max(shares, float(off / float(film.loss_thickness)) / SHARE)
        grown = np.maximum(states, np.asarray(last.faces))
        thick = np.sum(area * grown[THICKNESS]) / np.sum(area)
        if thick > 0.0:
            shares = max(shares, float(off / thick) / FILM)
        grown[BURST_LEFT] = np.clip(states[BURST_LEFT], 0.0, np.asarray(last.faces[BURST_LEFT]))
        faces = jnp.asarray(grown)
    if first.carbon is not None and second.carbon is not None and last.carbon is not None:
        left, bend = _order(first.carbon, second.carbon, last.carbon, m)
        carbon = jnp.clip(left, 0.0, last.carbon)
        shares = max(shares, float(jnp.sum(jnp.abs(bend)) / jnp.maximum(jnp.sum(cell.carbon_voxels), 1)) / SHARE)
    return SideStates(faces, carbon), volts, shares


def closes(marks: Sequence[Mark], cycles: int) -> bool:
    """Whether as many cycles like the last one bring the lithium back to where it was (`CLOSED`)."""
    moved = marks[-1].throughput - marks[-2].throughput
    return cycles * abs(marks[-1].passed.lithium - marks[-2].passed.lithium) <= CLOSED * moved


def propose(
    marks: Sequence[Mark],
    steps: Sequence[Step],
    most: int,
    tolerance: float,
    current: float,
    salt: float,
    cell: CellModel,
) -> Jump | None:
    """The longest jump over at most `most` cycles from the last of `marks` whose error stays below `tolerance` [V].

    None if three marks of successive cycles are not there, if the steps to come are others, if a cycle does not close,
    if nothing changes but fields, or if not even one cycle can be jumped. `current` [A]: the largest of the cycle;
    `salt` [C] that is there.
    """
    if cell.decomposition is None and cell.carbon is None:
        return None
    if len(marks) < 3 or any(b.number != a.number + 1 for a, b in zip(marks[-3:], marks[-2:], strict=False)):
        return None
    position, length = marks[-1].position, marks[-1].position - marks[-2].position
    if length <= 0 or marks[-2].position - marks[-3].position != length:
        return None
    available = min(most, repeats(steps, position, length) - 1)  # the last one is computed

    def within(m: int) -> bool:
        side, volts, shares = extrapolate(marks, m, current, cell)
        salted = consumed(side, marks, cell) <= SALT * salt
        return volts <= tolerance and shares <= 1.0 and closes(marks, m) and salted

    if available < 1 or not within(1):
        return None
    low, high = 1, available + 1  # within(low), and not within(high) or too many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if within(middle) else (low, middle)
    side, volts, _ = extrapolate(marks, low, current, cell)
    parts = marks[-1].executed - marks[-2].executed
    return Jump(low, low * length, low * parts, side, volts)


def consumed(side: SideStates, marks: Sequence[Mark], cell: CellModel) -> float:
    """Anions [C] that are gone when the states have become `side`."""
    before = marks[-1].side.faces
    if cell.decomposition is None or side.faces is None or before is None:
        return 0.0
    return float(cell.decomposition.omega * jnp.sum((side.faces - before)[CHARGE] * cell.pristine_contact))


def passed_in(jump: Jump, marks: Sequence[Mark], cell: CellModel) -> Flows:
    """Charges [C] that passed in the jumped cycles, by the change of the states; nothing stays in the particles."""
    before = marks[-1].side
    oxidation = burst = 0.0
    area = np.asarray(cell.pristine_contact)
    if cell.decomposition is not None and jump.side.faces is not None and before.faces is not None:
        change = np.asarray(jump.side.faces) - np.asarray(before.faces)
        oxidation = float(np.sum(change[CHARGE] * area))
        if cell.decomposition.burst is not None:
            film = cell.decomposition.film  # the share is one of the contact that is left: midway through the jump
            left = film.remaining(0.5 * (jump.side.faces + before.faces)[THICKNESS])
            burst = -float(np.sum(change[BURST_LEFT] * area * left) * float(cell.decomposition.burst.charge))
    carbon = jump.cycles * (float(marks[-1].passed.carbon) - float(marks[-2].passed.carbon))
    if cell.carbon is not None and np.isfinite(float(cell.carbon.charge)):
        assert jump.side.carbon is not None and before.carbon is not None
        used = jnp.where(cell.carbon_voxels, (before.carbon - jump.side.carbon) * cell.grid.volume, 0.0)
        carbon = float(jnp.sum(used) * cell.carbon.charge)
    through = oxidation + burst
    return Flows(through, 0.0, oxidation, burst, carbon, -(through + carbon))


def state_behind(state: State, jump: Jump, gone: float, held: float, cell: CellModel) -> State:
    """`state` at rest behind the jump, with its side states; anions `gone` [C] are taken from `held` [C] of salt."""
    u = state.u
    if gone > 0:
        factor = 1.0 - gone / held
        u = u.at[C_E].set(jnp.where(cell.active[C_E], u[C_E] * factor, u[C_E]))
    still = state.side_rate.combine(jump.side, lambda rate, _: jnp.zeros_like(rate))
    return state._replace(u=u, side=jump.side, side_rate=still, current=0.0, reach=0.0)


class CycleJumps:
    """The begins of the last cycles of a run, and the jumps it has made: `error` [V], summed over them."""

    def __init__(self, steps: Sequence[Step], most: int, tolerance: float, cell: CellModel) -> None:
        self.steps, self.most, self.tolerance, self.cell = steps, most, tolerance, cell
        self.marks: list[Mark] = []
        self.error = 0.0

    def enter(self, mark: Mark, rows: Sequence[Mapping[str, float]], salt: float) -> tuple[Jump, Flows, Mark] | None:
        """At the begin of a cycle, with the `rows` on record and the `salt` [C] there is: the jump to make, what passes
        in it, and the begin of the cycle behind it; None if there is none to make, or if this one is the end of one.

        Nothing counts as jumped before `made` says so.
        """
        if self.marks and self.marks[-1].number == mark.number:
            return None
        self.marks = [*self.marks[-2:], mark]
        if len(self.marks) < 3:
            return None
        last = self.marks[-2]
        current = max(abs(row["current_ampere"]) for row in rows[last.rows : mark.rows])
        jump = propose(self.marks, self.steps, self.most, self.tolerance, current, salt, self.cell)
        if jump is None:
            return None
        passed = passed_in(jump, self.marks, self.cell)
        behind = Mark(
            number=mark.number + jump.cycles,
            position=mark.position + jump.steps,
            executed=mark.executed + jump.executed,
            t=mark.t + jump.cycles * (mark.t - last.t),
            throughput=mark.throughput + jump.cycles * (mark.throughput - last.throughput),
            passed=Flows(*(a + b for a, b in zip(mark.passed, passed, strict=True))),
            rows=mark.rows + 1,  # the row of the jump itself
            side=jump.side,
        )
        return jump, passed, behind

    def made(self, jump: Jump, behind: Mark) -> None:
        """The jump is on record."""
        self.marks, self.error = [behind], self.error + jump.error

    def stored(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        arrays: dict[str, np.ndarray] = {}
        for k, mark in enumerate(self.marks):
            arrays |= stored_tree(f"mark{k}", mark.side)
        return arrays, {"marks": [mark[:-1] for mark in self.marks], "jump_error": self.error}

    def restore(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any], side: SideStates) -> None:
        """Take over what `stored` gave; `side` has the structure of the states."""
        self.error = float(facts["jump_error"])
        self.marks = []
        for k, (number, position, executed, t, throughput, passed, rows) in enumerate(facts["marks"]):
            states = restored_tree(f"mark{k}", side, arrays)
            self.marks.append(Mark(number, position, executed, t, throughput, Flows(*passed), rows, states))
