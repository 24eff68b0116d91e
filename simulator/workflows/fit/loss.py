r"""Losses: how much a point counts that lies z = (deviation / sigma)^2 from the prediction.

Each returns rho(z), rho'(z) and rho''(z), with rho'(0) = 1, so that all agree for small deviations; the cost of a fit
is 1/2 sum w rho(z). `linear` is the likelihood of normal noise, the others keep outliers from pulling at the fit.
"""

from collections.abc import Callable

import numpy as np

Rho = tuple[np.ndarray, np.ndarray, np.ndarray]


def linear(z: np.ndarray) -> Rho:
    """rho = z."""
    return z, np.ones_like(z), np.zeros_like(z)


def soft_l1(z: np.ndarray) -> Rho:
    """rho = 2 (sqrt(1 + z) - 1)."""
    t = 1.0 + z
    return 2.0 * (np.sqrt(t) - 1.0), t**-0.5, -0.5 * t**-1.5


def huber(z: np.ndarray) -> Rho:
    """rho = z up to z = 1, and 2 sqrt(z) - 1 beyond."""
    far = z > 1.0
    t = np.where(far, z, 1.0)
    return (
        np.where(far, 2.0 * np.sqrt(t) - 1.0, z),
        np.where(far, t**-0.5, 1.0),
        np.where(far, -0.5 * t**-1.5, 0.0),
    )


def cauchy(z: np.ndarray) -> Rho:
    """rho = ln(1 + z)."""
    t = 1.0 + z
    return np.log1p(z), 1.0 / t, -1.0 / t**2


LOSSES: dict[str, Callable[[np.ndarray], Rho]] = {
    "linear": linear,
    "soft_l1": soft_l1,
    "huber": huber,
    "cauchy": cauchy,
}


def variance_factor(z: np.ndarray, weight: np.ndarray, loss: str, free: int) -> float:
    r"""What the covariance (J^T W J / sigma^2)^{-1} is multiplied by for a robust loss and the spread that is found.

    $v = \frac{m}{m-n} \frac{\overline{\psi^2}}{\overline{\psi'}^2}$ with $\psi = r \rho'(r^2)$, for large samples and
    symmetric noise. `z` (m,), `weight` (m,), `free` = m - n > 0.

    **Source:** Huber (1973), doi:10.1214/aos/1176342503.
    """
    _, first, second = LOSSES[loss](z)
    psi2 = np.average(z * first**2, weights=weight)
    slope = np.average(first + 2.0 * z * second, weights=weight)
    return float(z.size / free * psi2 / slope**2) if slope > 0.0 else float("inf")
