"""Linear problems of solved stages: a kept, approximate system, and what it leaves solved for again.

The system is the assembled Jacobian with its preconditioner, in the precision of Newton's method. It serves both stages
of a time step, and every right-hand side there, with the directions that were tried on it: what it leaves out, the
difference between the stages and all rounding end up in the remainder, which the caller forms in float64 with the
derivative of the residual itself.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConvergenceError
from simulator.model.cell import CellModel
from simulator.model.jacobian import PACKED_FIELDS
from simulator.model.newton import ROOM, NewtonOptions, first_rows, preconditioned
from simulator.model.preconditioner import Preconditioner
from simulator.model.residual import Drive, History
from simulator.numerics.krylov import Space
from simulator.physics.contact import FaceCurrents

#: What all solves of a problem together are to leave. The derivative of a run is then right to about 1e-7.
TOLERANCE = 1e-8
#: What one solve is asked to leave at least; float32 gives little more.
ONE_SOLVE = 1e-4
#: The same with the system of another stage, which is no better than this.
FOREIGN_SOLVE = 1e-3
#: A solve with the system of another stage that leaves more than this asks for one of its own.
SLOW = 0.1
#: A solve that leaves more than this share was no help: it is repeated in float64, or ends the attempt.
NO_HELP = 0.5
#: A remainder that no solve makes smaller any more, but below this, is what float64 resolves.
RESOLVED = 1e-6
MOST_SOLVES = 12
#: Directions that there is room for where solutions are recycled: 16 with 4 of them would leave too few new ones.
ROWS = 24


class Point(NamedTuple):
    """A solved stage: its fields `u` (4, nz, ny, nx), face currents `j`, and what it was solved from."""

    u: Array
    j: FaceCurrents
    history: History
    gamma_dt: Array
    drive: Drive


class Task(NamedTuple):
    """One linear solve: the right-hand side `rows` (4, nz, ny, nx), what it may leave of it, and solutions of earlier
    ones to be tried `first`."""

    rows: Array
    preconditioner: Preconditioner
    cell: CellModel
    rtol: Array
    first: tuple[Array, ...]

    def directions(self) -> Array | None:
        """`first` as an empty space takes it."""
        pack = self.preconditioner.jacobian.pack
        return jnp.stack([pack(x).ravel() for x in self.first]) if self.first else None


#: `solve(task, space)`: the approximate solution (4, nz, ny, nx), iterations, the share left, and the grown space.
Solve = Callable[[Task, Space], tuple[Array, Array, Array, Space]]
#: `remainder(x, light)`: what x leaves of the right-hand side (4, nz, ny, nx), and anything else; None if it is `light`
#: and this saves time.
Remainder = Callable[[Array, bool], tuple[Array, Any]]


class Systems:
    """The approximate system in use. `krylov`: iterations of all solves so far.

    **Arguments:** `recycled`: so many solutions of earlier solves are tried first in each empty space, which then has
    more room. It pays where solves fill their space.
    """

    def __init__(self, cell: CellModel, options: NewtonOptions, solve: Solve, what: str, *, recycled: int = 0) -> None:
        self.cell, self.options, self.what = cell, options, what
        self._solve, self.krylov = solve, 0
        self._earlier: deque[Array] = deque(maxlen=recycled)
        self.forget()

    def forget(self) -> None:
        """Another time step begins."""
        self._system: Preconditioner | None = None
        self._space: Space | None = None
        self._dtype = self.options.dtype(self.cell)

    def refine(
        self, point: Point, remainder: Remainder, size: Callable[[Array], Array], rtol: float
    ) -> tuple[Array, Any]:
        """The solution x (4, nz, ny, nx) of a linear problem of the stage `point`, and what `remainder` says of it.

        **Arguments:** `remainder`: see `Remainder`; `size` of what is left; `rtol`: the size that may be left, relative
        to that of x = 0.

        **Errors:** ConvergenceError if the problem is not solved.
        """
        x = jnp.zeros_like(point.u)
        left, value = remainder(x, True)
        whole = norm = float(size(left))
        own = False
        for _ in range(MOST_SOLVES):
            if norm <= rtol * whole or not np.isfinite(norm):
                break
            if self._system is None:
                self._system, own = preconditioned(*point, self.cell, self._dtype), True
                if self._space is not None:
                    self._space = self._space.emptied()
            wanted, possible = 0.3 * rtol * whole / norm, ONE_SOLVE if own else FOREIGN_SOLVE
            # of unit size: float32 has no room for any unit of an output
            change = self._solved(left / norm, max(possible, wanted))
            trial = x + norm * change
            rest, seen = remainder(trial, wanted < possible)
            after = float(size(rest))
            helped = after <= (NO_HELP if own else SLOW) * norm
            if after < norm:
                x, left, value, norm = trial, rest, seen, after
            if helped:
                continue
            if own and (self._dtype == jnp.float64 or norm <= RESOLVED * whole):
                break
            if own:
                self._dtype, self._space = jnp.dtype(jnp.float64), None
            self._system = None
        if not norm <= max(RESOLVED, rtol) * whole:
            raise ConvergenceError(
                f"{self.what} was solved to {norm / whole:.1e} only, {max(RESOLVED, rtol):g} is needed. Try "
                "solver.precision=double or a larger solver.krylov_max."
            )
        return x, remainder(x, False)[1] if value is None else value

    def _solved(self, rows: Array, rtol: float) -> Array:
        assert self._system is not None
        unknowns, most = PACKED_FIELDS * rows[0].size, self.options.krylov_max
        if self._space is None or self._space.directions.dtype != self._dtype:
            room = first_rows(unknowns, most)
            if self._earlier.maxlen:
                room = max(room, min(ROWS, most))
            self._space = Space.empty(room, unknowns, self._dtype)
        if self._space.rows - int(self._space.used) < ROOM:
            self._space = self._space.emptied()
        task = Task(rows, self._system, self.cell, jnp.asarray(rtol), self._first(rows))
        x, iterations, left, self._space = self._solve(task, self._space)
        self.krylov += int(iterations)
        if np.isfinite(float(left)):
            self._earlier.append(x.astype(self._dtype))  # half the memory of float64
        if float(left) > SLOW and self._space.rows < most:
            self._space = None  # before there is a larger one
            self._space = Space.empty(most, unknowns, self._dtype)
        return x

    def _first(self, rows: Array) -> tuple[Array, ...]:
        """Earlier solutions, the last one first; zeros where there are none yet."""
        missing = (self._earlier.maxlen or 0) - len(self._earlier)
        found = [*reversed(self._earlier), *(jnp.zeros(rows.shape) for _ in range(missing))]
        return tuple(x.astype(self._dtype) for x in found)
