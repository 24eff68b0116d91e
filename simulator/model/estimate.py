r"""What can be said before a run: does the cell start inside its limits, and will the salt last?

Steady salt profile for a uniform reaction rate. With the current density $i$, separator (s) and electrode (c) of
thickness $L$, electrolyte share $\varepsilon$ and effective salt diffusivity $D$:

$$\Delta_s = \frac{i(1-t_+)L_s}{F D_s},\quad \Delta_c = \frac{i(1-t_+)L_c}{2F D_c},\quad
  s=\varepsilon_s L_s,\; p=\varepsilon_c L_c$$

linear in the separator, a parabola in the electrode. On discharge the salt is lowest at the collector, on charge at the
counter electrode; conservation of salt gives $c_e$ there:
$c_0 - [\Delta_s s/2 + \Delta_c(s+p/3)]/(s+p)$ and $c_0 - [\Delta_s (p+s/2) + \Delta_c\,2p/3]/(s+p)$; at the other end
it is higher by as much as the other of the two.

Source: steady state of the salt balance of Doyle, Fuller, Newman (1993), doi:10.1149/1.2221597.
"""

import math
import warnings
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from simulator.constants import F
from simulator.errors import ConfigError
from simulator.model.build import Cell
from simulator.model.cell import C_E, IONIC_CODES
from simulator.model.grid import SEPARATOR
from simulator.protocol import Step

#: Effective over bulk diffusivity of an ionic share eps of the volume is taken as eps^1.5 (Bruggeman).
BRUGGEMAN = 1.5


def check_start(cell: Cell) -> None:
    """**Errors:** `ConfigError` if the open-circuit voltage at `sto_init` lies outside the cell's safety limits."""
    low, high = cell.value("voltage_limits")
    sto = float(cell.value("sto_init"))
    p = cell.model.parameters
    start = float(p.ocp(jnp.asarray(sto, float), p.temperature)) - float(cell.value("anode.potential"))
    if not low <= start <= high:
        raise ConfigError(
            f"The cell starts at {start:.4g} V (open circuit at sto_init = {sto:g}), outside the safety limits "
            f"voltage_limits = [{low:g}, {high:g}] V. Change sto_init, or widen voltage_limits."
        )


def salt_range(cell: Cell, current: float) -> tuple[float, float, float]:
    """Steady lowest and highest c_e [mol/m3] under `current` [A], and the time [s] it takes to get there.

    A lowest value below zero means that the salt runs out.

    An estimate: uniform reaction, coefficients at the initial concentration, Bruggeman tortuosity.
    """
    model, p = cell.model, cell.model.parameters
    c0 = float(p.c_e_init)
    i = abs(current) / cell.area
    migration = 1.0 - float(model.t_plus_ref)
    n = model.grid.separator_layers
    dz = np.asarray(model.grid.dz)
    thick_s, thick_c = float(dz[:n].sum()), float(dz[n:].sum())
    phase = np.asarray(model.phase[n:])
    reached = np.asarray(model.active[C_E, n:])
    at = (jnp.asarray(c0, float), p.temperature)
    diffusivity = {code: float(p.D_e[code](*at)) for code in IONIC_CODES}
    shares = {code: float(np.mean((phase == code) & reached)) for code in IONIC_CODES if code != SEPARATOR}
    ionic = sum(shares.values())
    if ionic == 0.0 or migration <= 0.0:
        return c0, c0, math.inf
    mean = sum(share * diffusivity[code] for code, share in shares.items()) / ionic
    d_s, d_c = diffusivity[SEPARATOR], mean * ionic**BRUGGEMAN
    stored = {code: float(fraction) for code, fraction in p.electrolyte_fraction.items()}
    s = stored[SEPARATOR] * thick_s
    eps = sum(share * stored[code] for code, share in shares.items())
    pore = eps * thick_c
    fall_s = i * migration * thick_s / (F * d_s)
    fall_c = i * migration * thick_c / (2.0 * F * d_c)
    at_collector = (fall_s * s / 2 + fall_c * (s + pore / 3)) / (s + pore)
    at_anode = (fall_s * (pore + s / 2) + fall_c * 2 * pore / 3) / (s + pore)
    low, high = (c0 - at_collector, c0 + at_anode) if current < 0 else (c0 - at_anode, c0 + at_collector)
    settles = thick_s**2 * stored[SEPARATOR] / d_s + thick_c**2 * eps / d_c
    return low, high, settles


def warn_if_salt_runs_out(cell: Cell, steps: Sequence[Step]) -> None:
    """A `UserWarning` for the first step whose current depletes or saturates the salt before the step is over."""
    if not cell.model.binary:
        return
    c_max = float(cell.value("electrolyte.c_e_max"))
    for number, step in enumerate(steps, start=1):
        first = step.part(0, False)
        course = None if first is None else first.course(cell.basis, math.nan)
        if course is None or course.control != "current" or len(course.ends) > 1:
            continue  # nothing is known of its current before the run
        current = course.imposed(0, 0.0)
        if current == 0.0:
            continue
        low, high, settles = salt_range(cell, current)
        lasts = min(course.ends[0], cell.theoretical_capacity / abs(current))
        depletes, saturates = low <= 0.0, high >= c_max
        if (depletes or saturates) and lasts > 0.2 * settles:
            c0, i = float(cell.model.parameters.c_e_init), abs(current) / cell.area
            bearable = i * min(c0 / (c0 - low), (c_max - c0) / (high - c0))
            fate = "run out of salt" if depletes else "saturate the salt"
            warnings.warn(
                f"Step {number} ({step.describe()}) will probably {fate}: it draws {i:.3g} A/m2, and the electrolyte "
                f"carries about {bearable:.2g} A/m2 for long (estimate). Lower the current, or raise D_e, t_plus or "
                "the share of electrolyte.",
                UserWarning,
                stacklevel=3,
            )
            return
