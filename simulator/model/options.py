"""Numerical settings of a run, and what a run tells while it goes on."""

import dataclasses
from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.model.newton import NewtonOptions


@dataclass(frozen=True)
class SolverOptions:
    """Numerical settings of a run. Times in seconds.

    `newton_tol`: scaled residual at which a solve ends. `dt_init` after each change of current, `dt_min`, `dt_max`
    (None: 1/40 of the time in which the current passes the theoretical capacity, so that curves are smooth to the eye);
    `max_steps` accepted steps per run; `krylov_max` directions that may be kept for the linear systems (a run starts
    with 16, which grow where a system is hard, and up to 10 000 voxels with all); `precision` "mixed" (float32 linear
    solver) or "double"; `cycle_jump` cycles that may be jumped at once where only films grow (0: none, see
    `cycle_jump.py`), and `cycle_jump_tol` [V] the error that one jump may make.
    """

    newton_tol: float = 1e-6
    dt_init: float = 10.0
    dt_min: float = 1e-3
    dt_max: float | None = None
    max_steps: int = 5000
    krylov_max: int = 40
    precision: str = "mixed"
    cycle_jump: int = 0
    cycle_jump_tol: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("newton_tol", "dt_init", "dt_min", "dt_max", "max_steps", "krylov_max"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"solver.{name} must be > 0, got {value}.")
        if int(self.cycle_jump) != self.cycle_jump or self.cycle_jump < 0 or not self.cycle_jump_tol > 0:
            raise ConfigError(
                "solver.cycle_jump must be a whole number >= 0 (0: no jumps) and solver.cycle_jump_tol > 0 "
                f"V, got {self.cycle_jump} and {self.cycle_jump_tol}."
            )
        if self.precision not in ("mixed", "double"):
            raise ConfigError(f"solver.precision must be 'mixed' or 'double', got {self.precision!r}.")

    def numerical(self) -> "SolverOptions":
        """The settings that change numbers: all but `max_steps`."""
        return dataclasses.replace(self, max_steps=1)

    def newton(self) -> NewtonOptions:
        """The part that the stage solver needs."""
        return NewtonOptions(tolerance=self.newton_tol, krylov_max=self.krylov_max, mixed=self.precision == "mixed")


@dataclass(frozen=True)
class Progress:
    """Given to the callback after each accepted step. `fraction` of the protocol done, [0, 1]."""

    time: float
    voltage: float
    sto_mean: float
    dt: float
    step: int
    newton: int
    krylov: int
    fraction: float
