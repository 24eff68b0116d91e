"""Why no further time step is possible."""

from simulator.model.build import Cell
from simulator.model.events import NEARLY_DEPLETED
from simulator.model.moment import Stop
from simulator.model.newton import StageResult
from simulator.model.observe import Extremes

#: Stoichiometry beyond which a surface counts as full (empty: one minus this) when no step is possible any more.
SATURATED = 0.98


def nearly_depleted(cell: Cell, x: Extremes) -> bool:
    """Whether some place has next to no salt: what goes wrong then has its reason there, as a rule."""
    return cell.model.binary and x.c_e_min < NEARLY_DEPLETED * float(cell.value("electrolyte.c_e_init"))


def no_step(cell: Cell, t: float, x: Extremes, result: StageResult) -> Stop:
    """The end of a run at `t` [s] whose smallest step ended with `result`."""
    full = "full" if x.sto_max > SATURATED else "empty" if x.sto_min < 1.0 - SATURATED else ""
    why = f" Particle surfaces run {full} of lithium: set a cut-off, or lower the current." if full else ""
    if nearly_depleted(cell, x):
        low = f"The salt is down to {x.c_e_min:.3g} mol/m3: no further step is possible."
        return Stop("salt_depleted", low + why)
    if result is not StageResult.converged:
        return Stop("newton_failed", f"At t = {t:.6g} s: {result.value}, down to solver.dt_min.{why}")
    return Stop("dt_min", f"At t = {t:.6g} s the error control asks for steps below solver.dt_min.")
