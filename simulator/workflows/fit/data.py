"""What is fitted to: measured points, and the model that predicts them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.errors import ConfigError


class Forward(Protocol):
    """A model of the measured points, as a function of the natural values of the fitted parameters.

    Derivatives are in natural units; the order of `values` is that of their columns. Both methods may raise RunStopped:
    no prediction there.
    """

    def rows(self, values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Prediction (m,) and its Jacobian (m, n)."""
        ...

    def pull_back(
        self, values: dict[str, float], weights_fn: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prediction (m,) and J^T w (n,), with w = weights_fn(prediction) (m,). Only `method="l-bfgs-b"` needs it."""
        ...


@dataclass(frozen=True)
class Data:
    """Measured points of all curves, one after the other.

    **Arguments:** `measured` (m,); `sigma`: standard deviation of its noise, one number or (m,), in the same unit, or
    None if it is not known: one for all points is then estimated from the residuals; `weight` (m,): how many
    independent measurements a point counts for, 0 leaves it out; `curve` (m,): index of the curve it belongs to;
    `labels`: names of the curves.

    **Errors:** ConfigError.
    """

    measured: np.ndarray
    sigma: np.ndarray | float | None = None
    weight: np.ndarray | float = 1.0
    curve: np.ndarray | int = 0
    labels: tuple[str, ...] = ("data",)

    def __post_init__(self) -> None:
        measured = np.asarray(self.measured, float)
        if measured.ndim != 1 or measured.size == 0 or not np.isfinite(measured).all():
            raise ConfigError(
                f"measured must be a row of finite numbers, got the shape {measured.shape} with "
                f"{int((~np.isfinite(measured)).sum())} that are not finite. Leave such points out."
            )
        self._set("measured", measured)
        for key in ("weight", "curve") if self.sigma is None else ("sigma", "weight", "curve"):
            given = np.asarray(getattr(self, key))
            if given.shape not in ((), measured.shape):
                raise ConfigError(f"{key} must be one number or {measured.size} as measured, got {given.shape}.")
            self._set(key, np.broadcast_to(given.astype(int if key == "curve" else float), measured.shape))
        if self.sigma is not None and not (np.isfinite(self.sigma) & (np.asarray(self.sigma) > 0.0)).all():
            raise ConfigError(
                f"sigma must be finite and > 0, got values down to {np.min(self.sigma):g}. Give the noise of the "
                "measurement, or None if it is not known."
            )
        weight = np.asarray(self.weight)
        if not (np.isfinite(weight) & (weight >= 0.0)).all() or not weight.any():
            raise ConfigError(
                f"weight must be finite and >= 0, and not 0 for all points, got {weight.min():g} to {weight.max():g}."
            )
        curve = np.asarray(self.curve)
        if curve.min() < 0 or curve.max() >= len(self.labels):
            raise ConfigError(
                f"curve must lie in [0, {len(self.labels) - 1}], the positions of the labels, "
                f"got {curve.min()} to {curve.max()}."
            )

    def _set(self, key: str, value: np.ndarray) -> None:
        object.__setattr__(self, key, value)

    @property
    def used(self) -> np.ndarray:
        """Whether a point counts (m,)."""
        return np.asarray(self.weight) > 0.0

    @property
    def count(self) -> int:
        """Number of points that count."""
        return int(self.used.sum())

    def accuracy(self) -> np.ndarray:
        """sqrt(weight) / sigma (m,): multiplies a deviation, or the row of a Jacobian, to count in standard deviations.

        **Errors:** ConfigError if the noise is not known.
        """
        if self.sigma is None:
            raise ConfigError("The noise of the data is not known. Give sigma.")
        return np.sqrt(self.weight) / np.asarray(self.sigma)

    def rms(self, residuals: np.ndarray) -> dict[str, float]:
        """Root mean square of `residuals` (m,), by curve, over the points that count; over all of a curve without
        such, which is there to see whether it is predicted."""
        found = {}
        for k, label in enumerate(self.labels):
            own = np.broadcast_to(np.asarray(self.curve) == k, residuals.shape)
            chosen = residuals[own & self.used] if (own & self.used).any() else residuals[own]
            found[label] = float(np.sqrt(np.mean(chosen**2))) if chosen.size else float("nan")
        return found
