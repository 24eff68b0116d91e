"""What can be read off a run and differentiated. A kind of output is one class here."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from simulator.errors import ConfigError, RunStopped
from simulator.model.cell import C_E, PHI_E, PHI_S, STO, CellModel
from simulator.model.residual import Flows, SideStates
from simulator.model.tape import Stepped, Tape
from simulator.physics.decomposition.branch import THICKNESS


class View(NamedTuple):
    """A moment of a run: `t` [s], `charge` [C] since the start, what has `passed` [C], `voltage` [V], `current` [A],
    and where an output asks for them the fields `u` (4, nz, ny, nx) and `side` states."""

    t: Any
    charge: Any
    passed: Flows
    voltage: Any
    current: Any
    u: Array | None = None
    side: SideStates | None = None


class Output(abc.ABC):
    """What `evaluate` returns. `fields`: whether it looks at fields, which takes memory."""

    fields = False

    def times(self) -> tuple[float, ...]:
        """Times [s] that the run must meet exactly."""
        return ()

    @abc.abstractmethod
    def moments(self, tape: Tape) -> list[int]:
        """The entries of the tape that it looks at. **Errors:** RunStopped if the run did not get there."""

    @abc.abstractmethod
    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """Its value from those moments; traced."""


def at_time(tape: Tape, t: float) -> int:
    """The entry at `t` [s]: the end of the time step that met it, or the first switch at the start."""
    if t == 0.0:
        return 0
    for k, entry in enumerate(tape.entries):
        if isinstance(entry, Stepped) and abs(entry.t - t) <= 1e-9 * max(t, 1.0):
            return k
    last = tape.entries[-1].t if tape.entries else 0.0
    raise RunStopped(f"The run ended at {last:.6g} s, before the {t:.6g} s that an output asks for. Ask for less.")


def ends_of_step(tape: Tape, position: int) -> int:
    """The last entry of the step at `position`."""
    found = [k for k, entry in enumerate(tape.entries) if tape.parts[entry.part].position == position]
    if not found or position >= tape.done:
        raise RunStopped(f"The run did not come to the end of step {position + 1}, which an output asks for.")
    return found[-1]


def _checked_times(times: Any) -> tuple[float, ...]:
    found = np.atleast_1d(np.asarray(times, float))
    if found.ndim != 1 or found.size == 0 or not np.all(np.isfinite(found)) or np.any(found < 0.0):
        raise ConfigError(f"times must be a list of finite times >= 0 s, got {times!r}.")
    return tuple(found.tolist())


@dataclass(frozen=True)
class VoltageAt(Output):
    """Voltage [V] of the cell at `t` [s], one time or several: (times,). At the end of a step it is that before the
    change of current, at 0 s that right after it."""

    t: Any

    def times(self) -> tuple[float, ...]:
        """Those of the voltages."""
        return _checked_times(self.t)

    def moments(self, tape: Tape) -> list[int]:
        """One for each time."""
        return [at_time(tape, t) for t in self.times()]

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """(times,) [V]."""
        return jnp.stack([view.voltage for view in views])


@dataclass(frozen=True)
class CapacityAt(Output):
    """Charge [C] that step number `step` of the protocol (from 1) passes until it ends; positive on charge."""

    step: int = 1

    def moments(self, tape: Tape) -> list[int]:
        """The last before the step, if there is one, and its end."""
        end = ends_of_step(tape, self.step - 1)
        first = next(k for k, e in enumerate(tape.entries) if tape.parts[e.part].position == self.step - 1)
        return [first, end]

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[C]."""
        return jnp.asarray(views[1].charge - views[0].charge)


@dataclass(frozen=True)
class TimeAt(Output):
    """Time [s] at which step number `step` of the protocol (from 1) ends."""

    step: int = 1

    def moments(self, tape: Tape) -> list[int]:
        """Its end."""
        return [ends_of_step(tape, self.step - 1)]

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[s]."""
        return jnp.asarray(views[0].t)


@dataclass(frozen=True)
class _Moment(Output):
    """At `t` [s], or at the end of the run."""

    t: float | None = None

    def times(self) -> tuple[float, ...]:
        """The time, if there is one."""
        return () if self.t is None else _checked_times(self.t)

    def moments(self, tape: Tape) -> list[int]:
        """The one moment."""
        if self.t is not None:
            return [at_time(tape, self.times()[0])]
        if tape.ended:
            raise RunStopped("The run did not come to its end, which an output asks for. Give it a time.")
        return [len(tape.entries) - 1]


@dataclass(frozen=True)
class MeanSto(_Moment):
    """Mean stoichiometry of the reacting active material, at `t` [s] or at the end."""

    fields = True

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[-]."""
        assert views[0].u is not None
        return _mean(views[0].u[STO], model)


@dataclass(frozen=True)
class StoSpread(_Moment):
    """Standard deviation of the stoichiometry over the reacting active material, at `t` [s] or at the end."""

    fields = True

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[-]."""
        assert views[0].u is not None
        sto = views[0].u[STO]
        return jnp.sqrt(_mean(jnp.square(sto - _mean(sto, model)), model))


@dataclass(frozen=True)
class DecomposedCharge(_Moment):
    """Charge [C] of the electrolyte oxidised on the active material since the start, the burst excluded."""

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[C]."""
        return jnp.asarray(views[0].passed.oxidation)


@dataclass(frozen=True)
class FilmThickness(_Moment):
    """Thickness [m] of the film, mean over the contact of the pristine cell, at `t` [s] or at the end."""

    fields = True

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """[m]."""
        side = views[0].side
        if side is None or side.faces is None:
            raise ConfigError("FilmThickness needs a decomposition.law; this cell has none, and no film.")
        area = model.pristine_contact
        return jnp.sum(side.faces[THICKNESS] * area) / jnp.sum(area)


_FIELDS = {"phi_s": PHI_S, "phi_e": PHI_E, "sto": STO, "c_e": C_E}


@dataclass(frozen=True)
class FieldAt(_Moment):
    """A field (nz, ny, nx) of the electrode, separator excluded: `name` is phi_s, phi_e [V], sto [-] or c_e [mol/m3].
    Zero where it does not exist."""

    name: str = "sto"
    fields = True

    def __post_init__(self) -> None:
        if self.name not in _FIELDS:
            raise ConfigError(f"FieldAt.name = {self.name!r} must be one of {', '.join(_FIELDS)}.")

    def read(self, views: Sequence[View], model: CellModel) -> Array:
        """(nz, ny, nx)."""
        assert views[0].u is not None
        index, layers = _FIELDS[self.name], model.grid.separator_layers
        return jnp.where(model.active[index], views[0].u[index], 0.0)[layers:]


def _mean(values: Array, model: CellModel) -> Array:
    volume = jnp.where(model.active[STO], jnp.broadcast_to(model.grid.volume, model.shape), 0.0)
    return jnp.sum(values * volume) / jnp.sum(volume)
