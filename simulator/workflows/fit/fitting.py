"""`sim.fit`: parameters of a cell from measured curves, and what can be trusted of them."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError
from simulator.io import write_table
from simulator.io.atomic import replaced
from simulator.model import Cell, SolverOptions
from simulator.model.checkpoint import fingerprint
from simulator.model.derivatives import TimeAt, VoltageAt, evaluate, sensitivities
from simulator.model.simulate import facts_of
from simulator.protocol import Protocol, parse_protocol
from simulator.viz.fit import FittedCurve, ProfileCurve, plot_fit, plot_profiles
from simulator.workflows.fit.data import Data
from simulator.workflows.fit.design import Candidate, Ranked, rank_experiments
from simulator.workflows.fit.engine import minimise
from simulator.workflows.fit.experiment import Experiment
from simulator.workflows.fit.identifiability import Identifiability, identifiability
from simulator.workflows.fit.parameters import FitParameter, check_parameters
from simulator.workflows.fit.profile import Profile, profile_likelihood
from simulator.workflows.fit.result import Evaluation, FitResult
from simulator.workflows.fit.simulation import JACOBIAN_RTOL, Simulation

#: Seconds between two pictures of a fit under way.
DRAW_EVERY = 20.0
#: Up to this share of its duration the voltage of a next experiment is read.
LAST = 0.99
#: Folder of kept evaluations, within that of the fit.
EVALUATIONS = "evaluations"


@dataclass(frozen=True)
class Fit:
    """A finished fit: the `result`, and the `simulation` that it was made with."""

    result: FitResult
    simulation: Simulation

    @property
    def values(self) -> dict[str, float]:
        """The fitted values, by name."""
        return self.result.values

    def __str__(self) -> str:
        known = self.identifiability()
        return "\n".join([self.result.table(), *(() if known is None else ("", *known.sentences))])

    def identifiability(self) -> Identifiability | None:
        """Which parameters and combinations the data determine, in words; None without derivatives."""
        return identifiability(self.result)

    def profile(self, name: str, **how: Any) -> Profile:
        """The profile likelihood of one parameter; arguments as in `profile_likelihood`. **Errors:** ConfigError."""
        return profile_likelihood(self.simulation, self.result, name, **how)

    def next_experiments(
        self, protocols: Mapping[str, Protocol], *, points: int = 40, sigma: float | None = None
    ) -> list[Ranked]:
        """Protocols {name: protocol} by how much they would add to what is known (D-optimality), best first.

        Each is run at the fitted values and its voltage read at `points` times, evenly over the run, with the noise
        `sigma` [V]; None: that of the data. Parameters of single curves ('name@label') do not belong to it: it has
        values of its own, which are taken as known. Runs are kept where those of the fit are.

        **Errors:** ConfigError; RunStopped if a protocol cannot be run.
        """
        if self.result.information is None:
            raise ConfigError("The fit ended before its derivatives were known. Fit again, with more evaluations.")
        noise = float(np.mean(np.asarray(self.result.data.sigma))) if sigma is None else sigma
        # position among the fitted parameters, by the name in `evaluate`
        shared = {base: k for k, (base, own) in enumerate(self.simulation.names) if own is None}
        params = {base: self.values[self.result.parameters[k].name] for base, k in shared.items()}
        cell, found = self.simulation.cell, []
        rtol, options = self.simulation.rtol, self.simulation.options
        for label, protocol in protocols.items():

            def run(protocol: Protocol = protocol) -> dict[str, np.ndarray]:
                last = TimeAt(len(parse_protocol(protocol)))
                (end,) = evaluate(params, cell, protocol, [last], rtol=rtol, options=options)
                # not to the very end, which the times that are met on the way may shift a little
                times = np.linspace(0.0, LAST * float(end), points + 1)[1:]
                _, (slopes,) = sensitivities(
                    params,
                    cell,
                    protocol,
                    [VoltageAt(times)],
                    rtol=rtol,
                    options=options,
                    tangent_rtol=JACOBIAN_RTOL,
                )
                return {"slopes": np.asarray(slopes)}

            facts = (*parse_protocol(protocol), points, cell.basis, *facts_of(cell))
            kind = f"next-{fingerprint(cell.model, facts)[:16]}"
            slopes = self.simulation.kept(kind, params, run)["slopes"]
            jacobian = np.zeros((points, len(self.result.parameters)))
            for base, row in zip(sorted(params), slopes, strict=True):
                jacobian[:, shared[base]] = row
            found.append(Candidate(label, jacobian, noise))
        return rank_experiments(self.result.information, self.result.parameters, self.values, found)

    def curves(self) -> list[FittedCurve]:
        """Measured and simulated voltages of each experiment."""
        return _curves(self.simulation, self.result.data, self.result.prediction)

    def plot(self, path: str | Path) -> Path:
        """Curves, residuals, and the way of the fit, as a picture."""
        return plot_fit(path, self.curves(), _way(self.result.history))

    def save_profiles(self, folder: str | Path, profiles: Sequence[Profile]) -> Path:
        """`profile_NAME.csv` of each of `profiles`, and all of them as the picture `profiles.png`, in `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        scales = {p.name: bool(p.log) for p in self.result.parameters}
        curves = []
        for profile in profiles:
            excess = profile.chi2 - self.result.chi2
            others = [name for name in self.values if name != profile.name]
            columns = {name: np.array([o.get(name, np.nan) for o in profile.others]) for name in others}
            write_table(
                folder / f"profile_{_file_name(profile.name)}.csv",
                {profile.name: profile.grid, "chi2": profile.chi2, "chi2 above minimum": excess, **columns},
            )
            closed = (profile.lower_end == "crossed", profile.upper_end == "crossed")
            curves.append(
                ProfileCurve(
                    profile.name,
                    profile.grid,
                    excess,
                    profile.threshold - self.result.chi2,
                    profile.lower,
                    profile.upper,
                    closed,
                    self.values[profile.name],
                    scales[profile.name],
                )
            )
        if curves:
            plot_profiles(folder / "profiles.png", curves)
        return folder

    def save(self, folder: str | Path) -> Path:
        """`fit.json`, `fit.txt`, `fit.png` and a CSV table of each curve, in `folder`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        known = self.identifiability()
        facts = self.result.to_dict() | {"identifiability": [] if known is None else list(known.sentences)}
        for name, text in (("fit.json", json.dumps(facts, indent=1)), ("fit.txt", str(self) + "\n")):
            with replaced(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        for curve in self.curves():
            write_table(
                folder / f"curve_{_file_name(curve.name)}.csv",
                {
                    "Test Time / s": curve.time,
                    "Measured Voltage / V": curve.measured,
                    "Simulated Voltage / V": curve.predicted,
                    "Residual / V": curve.measured - curve.predicted,
                },
            )
        self.plot(folder / "fit.png")
        return folder


def fit(
    cell: Cell,
    experiments: Sequence[Experiment],
    parameters: Sequence[FitParameter],
    *,
    method: str = "least_squares",
    loss: str = "linear",
    max_evaluations: int = 50,
    xtol: float = 1e-4,
    ftol: float = 1e-4,
    ctol: float = 0.05,
    rtol: float = 1e-3,
    options: SolverOptions | None = None,
    save_to: str | Path | None = None,
    report: Callable[[str], None] | None = None,
    callback: Callable[[Evaluation], None] | None = None,
) -> Fit:
    """Fit `parameters` of `cell` to measured curves.

    Each curve is simulated with its measured current, from the stoichiometry `sto_init`, and compared by its voltage.

    **Arguments:** `parameters`: named as in `evaluate`; 'name@label' for one of a single experiment; `method`, `loss`,
    `max_evaluations`, `xtol`, `ftol`, `ctol`, `callback`: see `minimise`; `rtol`, `options`: of the simulations;
    `save_to`: folder for what `Fit.save` writes, and for every evaluation as it comes, so the same call goes on;
    `report`: gets a line of text for each evaluation.

    **Errors:** ConfigError, before anything is compiled; RunStopped if the run at the start values stops.
    """
    parameters = check_parameters(parameters)
    simulation = Simulation(cell, experiments, parameters, rtol=rtol, options=options)
    return fit_simulation(
        simulation,
        parameters,
        method=method,
        loss=loss,
        max_evaluations=max_evaluations,
        xtol=xtol,
        ftol=ftol,
        ctol=ctol,
        folder=None if save_to is None else Path(save_to),
        report=report,
        callback=callback,
    )


def fit_simulation(
    simulation: Simulation,
    parameters: Sequence[FitParameter],
    *,
    method: str,
    loss: str,
    max_evaluations: int,
    xtol: float,
    ftol: float,
    ctol: float,
    folder: Path | None = None,
    report: Callable[[str], None] | None = None,
    callback: Callable[[Evaluation], None] | None = None,
) -> Fit:
    """The fit of `simulation`, which was made with `parameters`; all else as in `fit`."""
    data, history, drawn = simulation.data, [], -math.inf
    if folder is not None:
        simulation.keep_in(folder / EVALUATIONS)

    def after(evaluation: Evaluation) -> None:
        nonlocal drawn
        history.append(evaluation)
        if report is not None:
            report(line_of(evaluation))
        if folder is not None and evaluation.best and method == "least_squares":
            now = time.monotonic()
            if now - drawn >= DRAW_EVERY:
                drawn, prediction = now, simulation.rows(evaluation.values)[0]  # kept, not run again
                plot_fit(folder / "fit.png", _curves(simulation, data, prediction), _way(history))
        if callback is not None:
            callback(evaluation)

    result = minimise(
        simulation,
        parameters,
        data,
        method=method,
        loss=loss,
        max_evaluations=max_evaluations,
        xtol=xtol,
        ftol=ftol,
        ctol=ctol,
        callback=after,
    )
    done = Fit(result, simulation)
    if folder is not None:
        done.save(folder)
    return done


def line_of(evaluation: Evaluation) -> str:
    """An evaluation as a line for a terminal."""
    values = ", ".join(f"{name} {value:.4g}" for name, value in evaluation.values.items())
    if evaluation.stopped:
        return f"{evaluation.number:3d}  {evaluation.seconds:6.0f} s  stopped: {evaluation.stopped}  {values}"
    rms = ", ".join(f"{label} {1e3 * value:.3g} mV" for label, value in evaluation.rms.items())
    return f"{evaluation.number:3d}  {evaluation.seconds:6.0f} s  rms {rms}  {values}{'  *' if evaluation.best else ''}"


def _curves(simulation: Simulation, data: Data, prediction: np.ndarray) -> list[FittedCurve]:
    found, index = [], np.asarray(data.curve)
    for k, curve in enumerate(simulation.curves):
        whole = curve.experiment.curve
        found.append(
            FittedCurve(
                curve.name,
                curve.times,
                data.measured[index == k],
                prediction[index == k],
                whole.time - whole.time[0],
                whole.voltage,
            )
        )
    return found


def _way(history: Sequence[Evaluation]) -> dict[str, np.ndarray]:
    """Root mean square [V] over all curves and the values, one number for each evaluation; NaN where it stopped."""
    names = list(history[0].values)
    rms = [np.sqrt(np.mean(np.square(list(e.rms.values())))) if e.rms else np.nan for e in history]
    return {"rms": np.array(rms)} | {name: np.array([e.values[name] for e in history]) for name in names}


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label)
