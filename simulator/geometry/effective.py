r"""Effective conductivity and tortuosity factor of a voxel image, straight from the array.

Clusters that do not join the two faces are left out of the solve: they carry no current.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from simulator.choices import EFFECTIVE_SIDES
from simulator.errors import ConfigError, ConvergenceError, GeometryError
from simulator.units import parse_length

if TYPE_CHECKING:
    from simulator.numerics.conduction import Conduction

MAX_RTOL = 0.1
#: Conductors further apart than this are beyond float64: the poor one would drown in the rounding of the good one.
MAX_CONTRAST = 1e12
#: Residuals below this are rounding in float64.
_SMALLEST_RESIDUAL = 1e-14

#: What a voxel belongs to: nothing that touches a wall, a cluster at one wall only, a cluster at both.
_APART, _LOW, _HIGH, _THROUGH = 0, 1, 2, 3
_AXES = (0, 1, 2)

Lengths = float | str | Sequence[float | str]


@dataclass(frozen=True, eq=False)
class EffectiveConductivity:
    """The answer of `effective_conductivity` along one axis. Never NaN but in `potential`."""

    value: float  # effective conductivity [S/m]; 0 if nothing percolates
    tortuosity: float  # tortuosity factor mean(sigma) / value [-]; infinite if nothing percolates
    iterations: int  # of conjugate gradients; 0 if there was nothing to solve
    residual: float  # true residual, 2-norm relative to the source [-]
    error: float  # estimated relative error of `value` from ending the iterations [-]
    potential: NDArray[np.floating]  # axes of the image [V], 1 at the low face, 0 at the high; NaN where isolated
    through_fraction: float  # share of the conducting voxels in clusters that touch both faces [-]
    percolates: bool
    axis: int

    def __repr__(self) -> str:
        return (
            f"EffectiveConductivity(axis={self.axis}, value={self.value:.6g} S/m, tortuosity={self.tortuosity:.6g}, "
            f"through_fraction={self.through_fraction:.6g}, iterations={self.iterations}, "
            f"residual={self.residual:.2g}, error={self.error:.2g})"
        )


Three = tuple[EffectiveConductivity, EffectiveConductivity, EffectiveConductivity]


@overload
def effective_conductivity(
    sigma: ArrayLike,
    voxel_size: Lengths = ...,
    axis: int = ...,
    sides: str = ...,
    rtol: float | None = ...,
    residual_rtol: float | None = ...,
) -> EffectiveConductivity: ...


@overload
def effective_conductivity(
    sigma: ArrayLike,
    voxel_size: Lengths = ...,
    *,
    axis: None,
    sides: str = ...,
    rtol: float | None = ...,
    residual_rtol: float | None = ...,
) -> Three: ...


def effective_conductivity(
    sigma: ArrayLike,
    voxel_size: Lengths = (1, 1, 1),
    axis: int | None = 0,
    sides: str = "insulated",
    rtol: float | None = 1e-3,
    residual_rtol: float | None = None,
) -> EffectiveConductivity | Three:
    r"""Effective conductivity of an image of conductivities, and its tortuosity factor.

    $\nabla\cdot(\sigma\nabla\phi)=0$ with 1 V and 0 V on the two outer faces, half a voxel beyond the outermost
    centres: $\sigma_{eff}=GL/A$ with the conductance $G$, length $L$ and cross-section $A$ of the whole image, and
    $\tau=\langle\sigma\rangle/\sigma_{eff}$. For one conducting phase of fraction $\varepsilon$ that is
    $\tau=\varepsilon\sigma/\sigma_{eff}$, the tortuosity factor of TauFactor. Two-point fluxes between voxels, with
    the harmonic mean of the two conductivities. Diffusivities, permittivities and heat conductivities obey the same.

    **Arguments:** `sigma`: 3D, real (bool and whole numbers too), finite, >= 0, 0 where insulating [S/m].
    `voxel_size`: one length or three in the order of the axes, metres or with a unit ('0.4 um'); only their ratios
    count. `axis`: 0, 1 or 2, the direction of the current; None: all three. `sides`: 'insulated' or 'periodic', the
    four faces along the current. `rtol`: estimated relative error of `value` at which to end, in (0, 0.1].
    `residual_rtol`: true residual, relative to the source, at which to end, in (0, 0.1]; given together with `rtol`
    (which has a default), both hold. None switches one of them off.

    **Returns:** `EffectiveConductivity`, or a tuple of three (axes 0, 1, 2) for `axis=None`. Where no cluster
    (joined through voxel faces) touches both faces, `value` is exactly 0, `percolates` False, and a `UserWarning`
    says so. The potential is exactly 1 or 0 in clusters that touch one face only, NaN in insulating voxels and in
    isolated clusters.

    **Errors:** `GeometryError` for an image that is not 3D, empty, not real, or holds NaN, infinite or negative
    values or conductors of a contrast above 1e12; `ConfigError` for other arguments; `ConvergenceError` if the
    tolerance is not reached.

    **Source:** S. Kench, I. Squires, S. Cooper, J. Open Source Softw. 8 (2023) 5358, doi:10.21105/joss.05358
    (tortuosity factor).
    """
    image = _checked(sigma)
    spacing = _spacing(voxel_size)
    if sides not in EFFECTIVE_SIDES:
        raise ConfigError(f"sides must be 'insulated' or 'periodic', got {sides!r}.")
    tolerances = (_tolerance("rtol", rtol), _tolerance("residual_rtol", residual_rtol))
    if tolerances == (0.0, 0.0):
        raise ConfigError(
            "rtol and residual_rtol are both None: nothing would end the solve. Give one, such as rtol=1e-3."
        )
    if axis is None:
        first, second, third = (_along(image, spacing, a, sides == "periodic", tolerances) for a in _AXES)
        return first, second, third
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or axis not in _AXES:
        raise ConfigError(f"axis must be 0, 1 or 2 (an axis of the image), or None for all three, got {axis!r}.")
    return _along(image, spacing, int(axis), sides == "periodic", tolerances)


def _checked(sigma: ArrayLike) -> NDArray:
    """`sigma` as an array of a type that the solver takes, without a copy where possible."""
    image = np.asarray(sigma)
    if image.ndim != 3:
        cure = " Give a single section as sigma[None]." if image.ndim == 2 else ""
        raise GeometryError(f"sigma must be a 3D array, got shape {image.shape}.{cure}")
    if image.size == 0:
        raise GeometryError(f"sigma is empty (shape {image.shape}); every axis needs at least one voxel.")
    if image.dtype.kind not in "biuf":
        raise GeometryError(f"sigma must hold real numbers [S/m], got data of type {image.dtype}.")
    if image.dtype.kind == "f" and image.dtype.itemsize not in (4, 8):
        image = image.astype(np.float32 if image.dtype.itemsize < 4 else np.float64)
    if not image.dtype.isnative:
        image = image.astype(image.dtype.newbyteorder("="))
    lowest, highest = image.min(), image.max()
    if not (np.isfinite(lowest) and np.isfinite(highest) and lowest >= 0):
        raise GeometryError(
            f"sigma must be finite and >= 0 S/m everywhere, got values from {lowest:g} to {highest:g}. "
            "Insulating voxels are 0."
        )
    if image.dtype.kind == "f" and highest > 0:
        least = min((float(np.min(v[v > 0], initial=np.inf)) for v in image), default=np.inf)
        if float(highest) > MAX_CONTRAST * least:
            raise GeometryError(
                f"sigma holds conductors from {least:g} to {highest:g} S/m; their contrast must not exceed "
                f"{MAX_CONTRAST:g}. Set the poor one to 0."
            )
    return image


def _spacing(given: Lengths) -> tuple[float, float, float]:
    """One length or three, metres or with a unit, as three in metres."""
    entries = list(given) if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str) else [given] * 3
    if len(entries) != 3:
        raise ConfigError(f"voxel_size must be one length or three (in the order of the axes), got {given!r}.")
    sizes = [parse_length(entry, "voxel_size") for entry in entries]
    if min(sizes) <= 0:
        raise ConfigError(f"voxel_size must be positive, got {given!r}. For example '0.4 um'.")
    return sizes[0], sizes[1], sizes[2]


def _tolerance(name: str, value: float | None) -> float:
    """A tolerance as the solver takes it: 0 is off."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value <= MAX_RTOL:
        raise ConfigError(f"{name} must lie in (0, {MAX_RTOL}], got {value!r}. For example {name}=1e-3.")
    return float(value)


def _along(
    image: NDArray,
    lengths: tuple[float, float, float],
    axis: int,
    periodic: bool,
    tolerances: tuple[float, float],
) -> EffectiveConductivity:
    """The answer along one axis of a checked image."""
    sigma = np.ascontiguousarray(np.moveaxis(image, axis, 0))
    sides = [h for i, h in enumerate(lengths) if i != axis]
    spacing = (lengths[axis], sides[0], sides[1])
    state, through, told = _states(sigma, axis, periodic)
    mean = float(sigma.mean(dtype=np.float64))
    if through == 0.0:
        warnings.warn(told, UserWarning, stacklevel=3)
        potential = np.full(sigma.shape, np.nan, np.float32)
        _fill(potential, state)
        back = np.moveaxis(potential, 0, axis)
        return EffectiveConductivity(0.0, math.inf, 0, 0.0, 0.0, back, 0.0, False, axis)
    if state is not None and through < 1.0:
        sigma = sigma * (state == _THROUGH)  # keeps the type; bool times bool is bool
    found, error = _solve(sigma, spacing, periodic, tolerances)
    value = found.conductance * sigma.shape[0] * spacing[0]
    value /= sigma.shape[1] * sigma.shape[2] * spacing[1] * spacing[2]
    potential = np.array(found.potential)
    _fill(potential, state)
    return EffectiveConductivity(
        value=value,
        tortuosity=mean / value,
        iterations=found.iterations,
        residual=found.relative_residual,
        error=error,
        potential=np.moveaxis(potential, 0, axis),
        through_fraction=through,
        percolates=True,
        axis=axis,
    )


def _states(sigma: NDArray, axis: int, periodic: bool) -> tuple[NDArray[np.uint8] | None, float, str]:
    """State of each voxel (None: all are through), through share, and what to tell the user if that is 0.

    `sigma` has the direction of the current as its axis 0; `axis` is that of the user.
    """
    conducting = sigma > 0
    count = int(np.count_nonzero(conducting))
    if count == sigma.size:
        return None, 1.0, ""
    label, n = ndimage.label(conducting)
    del conducting
    group = np.arange(n + 1)
    if periodic and n > 1:
        ends = [np.stack([np.take(label, 0, side).ravel(), np.take(label, -1, side).ravel()]) for side in (1, 2)]
        pairs = np.unique(np.concatenate(ends, axis=1), axis=1)
        low, high = pairs[:, (pairs > 0).all(axis=0)]
        joined = coo_array((np.ones(low.size, np.int8), (low, high)), shape=(n + 1, n + 1))
        group = connected_components(joined, directed=False)[1]

    def touching(layer: NDArray) -> NDArray[np.bool_]:
        """Per label: does its cluster lie in `layer` as well?"""
        touched = np.zeros(n + 1, dtype=bool)
        touched[group[np.unique(layer)]] = True
        touched[group[0]] = False  # 0 is no cluster, and stands alone in its group
        return touched[group]

    code = (_LOW * touching(label[0]) + _HIGH * touching(label[-1])).astype(np.uint8)
    if (code == _THROUGH).any():
        state = code[label]
        return state, int(np.count_nonzero(state == _THROUGH)) / count, ""
    told = f"No cluster connects the two faces along axis {axis}: the effective conductivity is 0."
    if count == 0:
        told += " Nothing in the image conducts."
    elif not periodic:  # else the clusters are others along another axis
        sizes = np.bincount(label.ravel(), minlength=n + 1)
        others = [a for a in _AXES if a != axis]
        shares = [
            float(sizes[touching(np.take(label, 0, side)) & touching(np.take(label, -1, side))].sum() / count)
            for side in (1, 2)
        ]
        told += " Share of the conducting voxels that connect the faces along the other axes: "
        told += ", ".join(f"axis {a}: {100 * s:.3g} %" for a, s in zip(others, shares, strict=True)) + "."
    return code[label], 0.0, told


def _fill(potential: NDArray, state: NDArray[np.uint8] | None) -> None:
    """Write what needs no solve into the potential: NaN, and the voltage of the one wall that a cluster touches."""
    if state is None:
        return
    for code, volt in ((_APART, np.nan), (_LOW, 1.0), (_HIGH, 0.0)):
        np.copyto(potential, volt, where=state == code)


def _solve(
    sigma: NDArray, spacing: tuple[float, float, float], periodic: bool, tolerances: tuple[float, float]
) -> tuple["Conduction", float]:
    """The solve and its estimated relative error; every tolerance that is not 0 holds.

    Potentials lie between 0 and 1, so that the energy is hardly wrong by more than the sum of |r|, at most the root of
    the number of voxels times the 2-norm of the residual r. Where iterations end before their energy steps can be
    extrapolated (an image that is solved at once), this is the estimate. Rounding comes on top: the conductance is a
    small difference of what the wall would carry at 1 V and at the potentials behind it. It averages out over the
    voxels at the wall unless they are all alike, as in images that are solved at once.
    """
    from simulator.numerics.compilation import make_room_for_programs  # JAX takes a second to import
    from simulator.numerics.conduction import solve_conduction

    make_room_for_programs()
    rtol, residual_rtol = tolerances
    wall = 2 * spacing[1] * spacing[2] / spacing[0] * sigma[0].astype(np.float64)
    per_residual = math.sqrt(sigma.size) * float(np.linalg.norm(wall))
    total, touching = float(wall.sum()), int(np.count_nonzero(wall))

    def solve(rtol: float, residual_rtol: float) -> tuple["Conduction", float]:
        found = solve_conduction(sigma, spacing, rtol=rtol, residual_rtol=residual_rtol, periodic=periodic)
        if not found.conductance > 0:
            return found, math.inf
        bound = found.relative_residual * per_residual / found.conductance
        rounding = 0.5 * float(np.finfo(found.potential.dtype).eps) * total / found.conductance
        # Without rtol the solver has not looked whether the currents of all planes agree, which the estimate needs.
        if rtol > 0 and math.isfinite(found.error):
            return found, min(found.error, bound) + rounding / math.sqrt(touching)
        return found, bound + rounding

    def good(found: "Conduction", error: float) -> bool:
        return (
            found.conductance > 0
            and math.isfinite(found.conductance)
            and (residual_rtol == 0 or found.relative_residual <= residual_rtol)
            and (rtol == 0 or error <= rtol)
        )

    # The solver ends at the first tolerance it reaches. The residual comes later: if it is wanted, ask for it alone.
    found, error = solve(0.0, residual_rtol) if residual_rtol > 0 else solve(rtol, 0.0)
    if not good(found, error) and rtol > 0:
        target = rtol * found.conductance / per_residual if found.conductance > 0 else _SMALLEST_RESIDUAL
        limits = [t for t in (target, residual_rtol) if t > 0]
        found, error = solve(0.0, max(min(limits), _SMALLEST_RESIDUAL))
    if not good(found, error):
        raise ConvergenceError(
            f"The effective conductivity did not converge: after {found.iterations} iterations the relative residual "
            f"is {found.relative_residual:.2g} and the estimated relative error {error:.2g}, asked for are "
            f"rtol={rtol or None}, residual_rtol={residual_rtol or None}. Ask for less (a larger rtol or "
            "residual_rtol), or set conductivities far below the others to 0."
        )
    return found, error
