"""What a tape says of each of its entries: where it begins, what is imposed, and how long its way is."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from simulator.model.cell import STO, CellModel
from simulator.model.derivatives.course import Timetable, slope
from simulator.model.dry import refilled
from simulator.model.residual import Drive, History, SideStates
from simulator.model.tape import Entry, Stepped, Tape
from simulator.model.timestep import TAKEN
from simulator.protocol import Course, CutOff


def start_of(tape: Tape, cell: CellModel, k: int) -> tuple[Array, SideStates]:
    """Fields (4, nz, ny, nx) and side states at the begin of entry `k`, before any refilling of its own."""
    if k == 0:
        return jnp.asarray(tape.initial), tape.initial_side
    state = tape.kept.start(k)
    if state is not None:
        return state.u, state.side
    before, stage = tape.entries[k - 1], tape.stage(k - 1)
    if isinstance(before, Stepped):
        return stage.u, stage.side
    # a switch leaves the concentrations that it found, or filled
    start, side = start_of(tape, cell, k - 1)
    if before.refill > 0.0:
        start = refilled(start, cell, before.refill)
    return jnp.concatenate([stage.u[:STO], start[STO:]]), side


def known_of(tape: Tape, cell: CellModel, k: int) -> tuple[Array, SideStates, History]:
    """Fields and side states at the begin of the time step `k`, and what its second stage starts from."""
    start, side = start_of(tape, cell, k)
    middle = tape.stage(k, 0)
    fields = start[STO:] + TAKEN * (middle.u[STO:] - start[STO:])
    return start, side, History(fields, side.combine(middle.side, lambda a, b: a + TAKEN * (b - a)))


def drive_of(tape: Tape, timetable: Timetable, entry: Entry, t: float) -> Drive:
    """What is imposed `t` [s] after the begin of the part."""
    course = timetable.course(tape.parts[entry.part])
    value = course.imposed(entry.piece, t)
    return Drive.of_current(value) if course.control == "current" else Drive.of_voltage(value)


def rate_of(tape: Tape, timetable: Timetable, entry: Entry, t: float) -> float:
    """How fast [A/s or V/s] that changes."""
    if t <= 0.0:
        return 0.0
    course = timetable.course(tape.parts[entry.part])
    return slope(lambda x: course.imposed(entry.piece, x), t)


def limit_of(cutoff: CutOff) -> Callable[[Course], float]:
    """Reads the limit of the cut-off that corresponds to `cutoff` in a course; bounds that no course sets stay."""

    def read(course: Course) -> float:
        same = [c for c in course.cutoffs if (c.quantity, c.above) == (cutoff.quantity, cutoff.above)]
        return same[0].limit if same else cutoff.limit

    return read


def spans_of(tape: Tape) -> dict[int, tuple[int, float]]:
    """{entry: (first entry, length [s])} of the time steps that lead to a time that was met."""
    found: dict[int, tuple[int, float]] = {}
    way: list[int] = []
    last: Stepped | None = None
    for k, entry in enumerate(tape.entries):
        if not isinstance(entry, Stepped):
            way, last = [], None
            continue
        way = [*way, k] if last is not None and _same_way(last, entry) else [k]
        last = entry
        if entry.reached:
            first = tape.entries[way[0]]
            assert isinstance(first, Stepped)
            found |= {n: (way[0], entry.t - (first.t - first.dt)) for n in way}
            way, last = [], None
    return found


def _same_way(a: Stepped, b: Stepped) -> bool:
    return (a.part, a.piece, a.met, a.target) == (b.part, b.piece, b.met, b.target)
