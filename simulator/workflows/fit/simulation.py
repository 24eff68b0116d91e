"""The simulated cell as the model of a fit: measured currents in, voltages and their derivatives out."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import jax
import numpy as np

from simulator.errors import ConfigError, ConvergenceError, RunStopped, did_you_mean
from simulator.io.atomic import replaced
from simulator.model import Cell, SolverOptions, build_cell
from simulator.model.checkpoint import fingerprint
from simulator.model.derivatives import OF_THE_CELL, VoltageAt, evaluate, sensitivities
from simulator.model.simulate import facts_of
from simulator.workflows.fit.data import Data
from simulator.workflows.fit.experiment import Experiment, Followed, check_labels, follow
from simulator.workflows.fit.parameters import FitParameter

#: What a linear problem of a Jacobian may leave. Its columns are then right to 5e-4 of their largest entry and take 0.6
#: of the time of 1e-7. At the end of a fit of five parameters with a condition of 80 this moves the next step by a
#: thousandth of a standard error. With 1e-3 the columns would be right to 2e-2.
JACOBIAN_RTOL = 1e-4
#: The same of a gradient, for line searches; nothing looser was tried.
GRADIENT_RTOL = 1e-5


class Simulation:
    """A `Forward` model: `cell`, driven by the current of each of `experiments`, with fitted `parameters`.

    A parameter is named as in `evaluate`; with '@' and the label of an experiment behind it, it is one of that
    experiment alone ('sto_init@discharge').

    **Errors:** ConfigError, before anything is compiled.
    """

    def __init__(
        self,
        cell: Cell,
        experiments: Sequence[Experiment],
        parameters: Sequence[FitParameter],
        *,
        rtol: float = 1e-3,
        options: SolverOptions | None = None,
    ) -> None:
        check_labels(experiments)
        self.cell, self.rtol, self.options = cell, rtol, options or SolverOptions()
        labels = [experiment.name for experiment in experiments]
        self.names = [_split(p.name, labels) for p in parameters]
        self._refuse_overlaps(experiments)
        start = {p.name: p.start for p in parameters}
        _check_bounds(cell, parameters, self.names)
        self.curves = [follow(e, cell, self.of_curve(e.name, start)) for e in experiments]
        self._store: _Store | None = None

    def keep_in(self, folder: Path) -> None:
        """Keep evaluations in `folder`. One that is asked for again, also by a later process with the same problem, is
        read from there."""
        self._store = _Store(folder, self._identity())

    def _refuse_overlaps(self, experiments: Sequence[Experiment]) -> None:
        for experiment in experiments:
            own = [base for base, label in self.names if label in (None, experiment.name)]
            twice = [base for base in own if own.count(base) > 1 or base in experiment.values]
            if twice:
                raise ConfigError(
                    f"{twice[0]} is given twice for {experiment.name}: fitted for all curves and for this one, or "
                    "fitted and among its values. Keep one."
                )

    def of_curve(self, label: str, values: Mapping[str, float]) -> dict[str, float]:
        """Those of the fitted `values` that hold for an experiment, by their names in `evaluate`."""
        return {
            base: value for (base, own), value in zip(self.names, values.values(), strict=True) if own in (None, label)
        }

    @property
    def data(self) -> Data:
        """What was measured, all curves one after the other."""
        given = [c.experiment.sigma for c in self.curves]
        if any(s is None for s in given) and any(s is not None for s in given):
            raise ConfigError("sigma is given for some experiments and not for others. Give it for all or for none.")

        def spread(values: list) -> np.ndarray:
            return np.repeat(np.asarray(values), [c.times.size for c in self.curves])

        return Data(
            np.concatenate([c.measured for c in self.curves]),
            None if given[0] is None else spread(given),
            spread([c.experiment.weight for c in self.curves]),
            spread(list(range(len(self.curves)))),
            tuple(c.name for c in self.curves),
        )

    def rows(self, values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Voltages (m,) and their Jacobian (m, n), by forward sensitivities."""

        def run() -> dict[str, np.ndarray]:
            prediction, jacobian = self._rows(values)
            return {"prediction": prediction, "jacobian": jacobian}

        found = self.kept("rows", values, run)
        return found["prediction"], found["jacobian"]

    def kept(
        self, kind: str, values: Mapping[str, float], run: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """What `run` returns for `values`, from the folder if it is there, else written to it. `kind`: what it is."""
        if self._store is None:
            return run()
        found = self._store.read(kind, values)
        if found is None:
            with self._store.stops(kind, values):
                found = run()
            self._store.write(kind, values, **found)
        return found

    def _rows(self, values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        predictions, blocks = [], []
        for curve in self.curves:
            params = self.of_curve(curve.name, values)
            columns = [k for k, (_, own) in enumerate(self.names) if own in (None, curve.name)]
            block = np.zeros((curve.times.size, len(values)))
            outputs = [VoltageAt(curve.times)]
            with _named(curve):
                if params:
                    (voltage,), (slopes,) = sensitivities(
                        params, curve.cell, list(curve.steps), outputs, tangent_rtol=JACOBIAN_RTOL, **self._how
                    )
                    order = sorted(params)
                    for base, k in zip(params, columns, strict=True):
                        block[:, k] = slopes[order.index(base)]
                else:
                    (voltage,) = evaluate({}, curve.cell, list(curve.steps), outputs, **self._how)
            predictions.append(np.asarray(voltage))
            blocks.append(block)
        return np.concatenate(predictions), np.concatenate(blocks)

    def pull_back(
        self, values: dict[str, float], weights_fn: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Voltages (m,) and J^T w (n,), by one adjoint sweep for each curve."""
        if self._store is None:
            prediction, _, gradient = self._pull_back(values, weights_fn)
            return prediction, gradient
        kept = self._store.read("gradient", values)
        if kept is not None and np.array_equal(weights_fn(kept["prediction"]), kept["weights"]):
            return kept["prediction"], kept["gradient"]
        with self._store.stops("gradient", values):
            prediction, weights, gradient = self._pull_back(values, weights_fn)
        self._store.write("gradient", values, prediction=prediction, weights=weights, gradient=gradient)
        return prediction, gradient

    def _pull_back(
        self, values: dict[str, float], weights_fn: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        predictions, backs = [], []
        for curve in self.curves:
            outputs = [VoltageAt(curve.times)]

            def run(params: dict[str, float], curve: Followed = curve, outputs: list = outputs) -> jax.Array:
                return evaluate(
                    params, curve.cell, list(curve.steps), outputs, adjoint_rtol=GRADIENT_RTOL, **self._how
                )[0]

            with _named(curve):
                voltage, back = jax.vjp(run, self.of_curve(curve.name, values))
            predictions.append(np.asarray(voltage))
            backs.append(back)
        weights = weights_fn(np.concatenate(predictions))
        gradient, first = np.zeros(len(values)), 0
        for curve, back in zip(self.curves, backs, strict=True):
            (found,) = back(jax.numpy.asarray(weights[first : first + curve.times.size]))
            first += curve.times.size
            for k, (base, own) in enumerate(self.names):
                if own in (None, curve.name):
                    gradient[k] += float(found[base])
        return np.concatenate(predictions), weights, gradient

    @property
    def _how(self) -> dict:
        return {"rtol": self.rtol, "options": self.options}

    def _identity(self) -> str:
        """Of everything but the fitted values: whatever changes a prediction or its derivatives."""
        facts: list[object] = [
            (c.name, fingerprint(c.cell.model, (*c.steps, c.cell.basis, *facts_of(c.cell))), c.times.tobytes().hex())
            for c in self.curves
        ]
        # with the largest number of steps: a run that it stopped must not count for a larger one
        facts.append((self.names, self.rtol, self.options, JACOBIAN_RTOL, GRADIENT_RTOL, metadata.version("voxelyte")))
        return hashlib.sha256(repr(facts).encode()).hexdigest()


@contextmanager
def _named(curve: Followed) -> Iterator[None]:
    """Says which curve a run stopped in."""
    try:
        yield
    except (RunStopped, ConvergenceError) as error:  # to a fit, both are a point without a prediction
        raise RunStopped(f"{curve.name}: {error}") from error


def _split(name: str, labels: list[str]) -> tuple[str, str | None]:
    """'sto_init@charge' -> ('sto_init', 'charge')."""
    base, _, label = name.partition("@")
    if label and label not in labels:
        raise ConfigError(f"{name}: no experiment is called {label!r}." + did_you_mean(label, labels))
    return base, label or None


def _check_bounds(cell: Cell, parameters: Sequence[FitParameter], names: Sequence[tuple[str, str | None]]) -> None:
    """That the cell can be built wherever the fit may go: at both ends of each parameter."""
    for parameter, (base, _) in zip(parameters, names, strict=True):
        if base.startswith("protocol."):
            raise ConfigError(f"{base}: the current of a fit is the measured one and cannot be fitted.")
        if base.startswith("initial."):
            raise ConfigError(f"{base} is a field, and a fit has numbers. Fit sto_init or electrolyte.c_e_init.")
        if base in OF_THE_CELL:
            raise ConfigError(f"{base} belongs to the cell and cannot be fitted. Give it to build_cell.")
        for end in ("start", "lower", "upper"):
            try:
                with warnings.catch_warnings():  # a bound outside the data of a material function is no concern yet
                    warnings.simplefilter("ignore", UserWarning)
                    build_cell(cell.electrode, cell.parameters, {base: getattr(parameter, end)})
            except ConfigError as error:
                raise ConfigError(f"{parameter.name} cannot be fitted ({end}): {error}") from error


class _Store:
    """Evaluations in a folder, one file each, by problem and values; written as they come."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity
        folder.mkdir(parents=True, exist_ok=True)

    def _path(self, kind: str, values: Mapping[str, float]) -> Path:
        exact = {name: float(value).hex() for name, value in values.items()}
        return self.folder / f"{kind}-{hashlib.sha256(f'{self.identity}{exact}'.encode()).hexdigest()[:24]}.npz"

    def read(self, kind: str, values: Mapping[str, float]) -> dict[str, np.ndarray] | None:
        """What was written; RunStopped if that is what happened; None if it is not there."""
        path = self._path(kind, values)
        if not path.is_file():
            return None
        with np.load(path) as found:
            kept = dict(found)
        if "stopped" in kept:
            raise RunStopped(str(kept["stopped"]))
        return kept

    @contextmanager
    def stops(self, kind: str, values: Mapping[str, float]) -> Iterator[None]:
        """Keeps that a run stops, and why."""
        try:
            yield
        except RunStopped as stop:
            self.write(kind, values, stopped=np.asarray(str(stop)))
            raise

    def write(self, kind: str, values: Mapping[str, float], **found: np.ndarray) -> None:
        with replaced(self._path(kind, values)) as temporary, temporary.open("wb") as file:
            np.savez(file, **found)  # type: ignore[arg-type]
