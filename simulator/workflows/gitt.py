"""Galvanostatic intermittent titration: diffusivity and quasi-open-circuit voltage from pulses with rests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.protocol.half_cycles import flowing
from simulator.units import parse_length
from simulator.workflows.analysis import Curve, jumped_rows

_STEADY = 1e-6  # relative change of the current within a pulse; a hold at constant voltage is none


@dataclass(frozen=True, eq=False)
class Titration:
    """One entry for each pulse, in order; arrays (pulses,). `radius`: the R of `diffusivity` [m], NaN if not known."""

    step: np.ndarray  # number of the protocol step
    time: np.ndarray  # at which the pulse begins [s]
    duration: np.ndarray  # of the pulse [s]
    current: np.ndarray  # [A], positive on charge
    sto: np.ndarray  # mean of the stoichiometries at the ends of the rests before and after: where D belongs
    sto_rest: np.ndarray  # mean stoichiometry at the end of the rest after the pulse
    voltage_rest: np.ndarray  # [V] there: the quasi-open-circuit voltage at `sto_rest`
    dE_s: np.ndarray  # change of the voltage between the ends of the two rests [V]
    dE_tau: np.ndarray  # change of the voltage during the pulse, without the jump at its start [V]
    jump: np.ndarray  # of the voltage at the start of the pulse [V]
    D1: np.ndarray  # (dE_s/dE_tau)^2
    diffusivity: np.ndarray  # [m2/s], NaN without a radius
    radius: float

    def columns(self) -> dict[str, np.ndarray]:
        """Heading with unit -> (pulses,), as in `gitt.csv`."""
        return {f"{heading} [{unit}]": getattr(self, name) for name, (heading, unit) in _HEADINGS.items()}


_HEADINGS = {
    "step": ("step", "-"),
    "time": ("time", "s"),
    "duration": ("duration", "s"),
    "current": ("current", "A"),
    "sto": ("stoichiometry", "-"),
    "sto_rest": ("stoichiometry after the rest", "-"),
    "voltage_rest": ("voltage after the rest", "V"),
    "dE_s": ("dE_s", "V"),
    "dE_tau": ("dE_tau", "V"),
    "jump": ("jump", "V"),
    "D1": ("D1", "-"),
    "diffusivity": ("diffusivity", "m2/s"),
}


def gitt(run: Curve, particle_radius: float | str | None = None) -> Titration:
    r"""Evaluate every pulse of constant current that stands between two rests (or between open circuit and a rest).

    $$D_1 = (\Delta E_s/\Delta E_\tau)^2, \qquad D = \frac{4}{\pi\tau}\left(\frac{R}{3}\right)^2 D_1$$

    $\Delta E_s$ is the change of the voltage from the end of the rest before to the end of the rest after. $\Delta
    E_\tau$ is the change during the pulse from its first row to its last: runs hold the state right after each change
    of current, so the jump that is left out (ohmic drops and charge transfer, which follow the current at once) is read
    off and not extrapolated. $\tau$ is the duration of the pulse and R/3 the volume of a sphere over its surface.

    The law holds for particles that behave alike, $D\tau/R^2 = 0.14\,D_1 \ll 1$, and a voltage that follows the surface
    of the particles alone. For one sphere it gives D too low by about $\sqrt{\pi D\tau}/R$ of its value (a fifth at
    D1 = 0.1). Salt that polarises during the pulse adds to $\Delta E_\tau$, and rests that end before the particles are
    even change $\Delta E_s$: as in a measurement, the result is an apparent diffusivity.

    **Arguments:** `particle_radius` R [m], or text with a unit; by default the mean radius of the particles of a result
    file, weighted by volume (of spheres of equal volume). Without either the diffusivity is NaN, as a solution in
    memory knows no particles.

    **Errors:** ConfigError without any such pulse, or for a radius that is no positive length.

    **Source:** Weppner, Huggins (1977), doi:10.1149/1.2133112; $D_1$ as in An et al. (2023),
    doi:10.1002/adfm.202305186.
    """
    radius = _mean_radius(run) if particle_radius is None else parse_length(particle_radius, "particle_radius")
    if radius <= 0.0:
        raise ConfigError(f"particle_radius must be above 0 m, got {particle_radius!r}. Bare numbers are metres.")
    pulses = list(_pulses(run.timeseries))
    if not pulses:
        raise ConfigError(
            "The run holds no pulse of constant current between two rests. A titration alternates both: "
            "'Charge at C/10 for 30 min', 'Rest for 30 min', and so on."
        )
    columns = {name: np.array([getattr(pulse, name) for pulse in pulses]) for name in _Pulse._fields}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(columns["dE_tau"] != 0.0, columns["dE_s"] / columns["dE_tau"], np.nan)
    d1 = np.square(ratio)
    diffusivity = 4.0 / (np.pi * columns["duration"]) * (radius / 3.0) ** 2 * d1
    return Titration(**columns, D1=d1, diffusivity=diffusivity, radius=radius)


def is_titration(run: Curve) -> bool:
    """Whether two pulses with rests follow one another in the same direction: more than a cycle with rests."""
    return any(a.current * b.current > 0 for a, b in pairwise(_pulses(run.timeseries)))


class _Pulse(NamedTuple):
    """The part of `Titration` that is read off the curve."""

    step: int
    time: float
    duration: float
    current: float
    sto: float
    sto_rest: float
    voltage_rest: float
    dE_s: float
    dE_tau: float
    jump: float


def _pulses(series: Mapping[str, np.ndarray]) -> Iterator[_Pulse]:
    time, volts, current = (series[n] for n in ("test_time_second", "voltage_volt", "current_ampere"))
    number, unknown = series["step_count"], np.full(time.size, np.nan)
    sto, ocv = series.get("sto_mean", unknown), series.get("ocv_volt", unknown)  # not in files of earlier versions
    if time.size == 0:
        return
    starts = np.flatnonzero(np.diff(number, prepend=np.nan) != 0).tolist()
    steps = list(pairwise([*starts, time.size]))
    moving = flowing(current) != 0
    rests = ~moving & ~jumped_rows(series)  # in cycles jumped over there was a current
    for k, (a, b) in enumerate(steps[:-1]):
        constant = moving[a:b].all() and np.ptp(current[a:b]) <= _STEADY * abs(current[a])
        rests_after = rests[slice(*steps[k + 1])].all()
        rests_before = k == 0 or rests[slice(*steps[k - 1])].all()
        if not (constant and rests_after and rests_before):
            continue
        # before the first row: open circuit at the stoichiometry of the start
        volts_before, sto_before = (volts[a - 1], sto[a - 1]) if k else (ocv[0], sto[0])
        end = steps[k + 1][1] - 1
        yield _Pulse(
            step=int(number[a]),
            time=float(time[a]),
            duration=float(time[b - 1] - time[a]),
            current=float(current[a]),
            sto=float(0.5 * (sto_before + sto[end])),
            sto_rest=float(sto[end]),
            voltage_rest=float(volts[end]),
            dE_s=float(volts[end] - volts_before),
            dE_tau=float(volts[b - 1] - volts[a]),
            jump=float(volts[a] - volts_before),
        )


def _mean_radius(run: Any) -> float:
    """Mean radius [m] of the particles of a result, weighted by volume; NaN if it knows none."""
    particles = getattr(run, "particles", None)
    if particles is None or np.sum(particles.volume) == 0:
        return float("nan")
    return float(np.average(0.5 * particles.diameter, weights=particles.volume))
