"""Which parameters, and which combinations of them, the data determine; in numbers and in plain words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.workflows.fit.information import UNSEEN, Information
from simulator.workflows.fit.parameters import FitParameter
from simulator.workflows.fit.result import FitResult, quantile

#: A parameter is not known if its 95 % interval reaches further than this factor up and down, on a logarithmic scale,
FACTOR = 2.0
#: or this share of the width of its bounds up and down, on a linear one.
SHARE = 0.25
#: Least share of a parameter in a direction (unit vector in units of the two limits above) for it to be named with it.
MEMBER = 0.1
#: a * b^q is called a product for q = 1 and a ratio for q = -1 within this.
EXPONENT = 0.02
#: Beyond this factor a combination is called not known at all.
NOTHING = 1e6


@dataclass(frozen=True)
class Group:
    """Parameters that the data do not separate.

    `loose`: the combination that is known least, as coefficients (g,) in the fitted scale, the largest +-1, and
    `loose_std` its standard deviation; `tight`, `tight_std`: the one that is known best. `text`: both in words.
    """

    names: tuple[str, ...]
    tight: np.ndarray
    tight_std: float
    loose: np.ndarray
    loose_std: float
    text: str


@dataclass(frozen=True)
class Identifiability:
    """What data say of the parameters around one point.

    Arrays in the fitted scale, in the order of `names`: `fisher`, `covariance`, `correlation` (n, n) and `std` (n,),
    inf where nothing limits a parameter; `eigenvalues` (n,) and `eigenvectors` (n, n, columns) of the Fisher matrix in
    units of the bounds; `condition`: ratio of the first to the last of the eigenvalues. `well_known`: parameters within
    `FACTOR` or `SHARE`; `insensitive`: those that the data do not determine even if all others are held; `groups`:
    those that they do not separate. `sentences` say it all.
    """

    names: tuple[str, ...]
    fisher: np.ndarray
    covariance: np.ndarray
    correlation: np.ndarray
    std: np.ndarray
    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    condition: float
    well_known: tuple[str, ...]
    insensitive: tuple[str, ...]
    groups: tuple[Group, ...]
    sentences: tuple[str, ...]


def identifiability(result: FitResult) -> Identifiability | None:
    """Of a fit, with its priors; None if its derivatives are not known."""
    if result.information is None:
        return None
    return describe(result.information, result.parameters, result.values, quantile(result.dof))


def describe(
    known: Information, parameters: Sequence[FitParameter], values: dict[str, float], q: float = quantile(math.inf)
) -> Identifiability:
    """Numbers and sentences of `known` at natural `values`. `q`: half width of a 95 % interval in standard deviations.

    The limits are `FACTOR` and `SHARE`. Directions are eigenvectors of the Fisher matrix in units of these limits, so
    that logarithmic and linear parameters can be compared; combinations within a group are judged with all other
    parameters free.
    """
    names = tuple(p.name for p in parameters)
    unit = _limits(parameters)
    half = q * known.std
    size = np.linalg.norm(known.rows, axis=0)
    silent = size * known.reach <= UNSEEN
    insensitive = silent | (q > size * unit)
    loose = ~(half <= unit) & ~insensitive
    active = [k for k in range(len(names)) if not silent[k]]
    groups = [
        _group(known, parameters, members, active, q)
        for members in _members(known, unit, loose, active, insensitive, q)
    ]
    dull = [k for k in range(len(names)) if insensitive[k]]
    sentences = [f"Nothing in the data depends on {names[k]}." for k in dull if silent[k]]
    sentences += [
        f"The data hardly depend on {names[k]}: with all others held it is still {_known(parameters[k], q / size[k])}."
        for k in dull
        if not silent[k]
    ]
    sentences += [group.text for group in groups]
    well = [k for k in range(len(names)) if half[k] <= unit[k]]
    sentences += [f"{names[k]} is {_known(parameters[k], half[k])}." for k in well]
    strongest, weakest = known.eigenvalues[0], known.eigenvalues[-1]
    return Identifiability(
        names=names,
        fisher=known.fisher,
        covariance=known.covariance,
        correlation=known.correlation,
        std=known.std,
        eigenvalues=known.eigenvalues,
        eigenvectors=known.eigenvectors,
        condition=float(strongest / weakest) if weakest > 0.0 and known.rank == len(names) else math.inf,
        well_known=tuple(names[k] for k in well),
        insensitive=tuple(names[k] for k in dull),
        groups=tuple(groups),
        sentences=tuple(sentences),
    )


def _limits(parameters: Sequence[FitParameter]) -> np.ndarray:
    """Half widths (n,) in the fitted scale from which a parameter is not known."""
    return np.array([math.log(FACTOR) if p.log else SHARE for p in parameters])


def _members(
    known: Information, unit: np.ndarray, loose: np.ndarray, active: list[int], insensitive: np.ndarray, q: float
) -> list[list[int]]:
    """Groups of parameters that share directions which are not known."""
    if not loose.any():
        return []
    sensitive = [k for k in active if not insensitive[k]]
    rows = known.rows[:, active] * unit[active]
    _, s, vt = np.linalg.svd(np.vstack([rows, np.zeros((len(active), len(active)))]), full_matrices=False)
    groups: list[set[int]] = []
    for weight, vector in zip(s, np.abs(vt), strict=True):
        if q <= weight:
            continue  # known
        share = {k: float(v) for k, v in zip(active, vector, strict=True) if k in sensitive}
        members = {k for k, v in share.items() if loose[k] and v > MEMBER}
        if not members:
            continue  # the direction of one that is insensitive
        if len(members) == 1:  # its partner is known well enough by itself, and yet what it is confused with
            members |= set(sorted(share, key=lambda k: -share[k])[:2])
        for other in [g for g in groups if g & members]:
            members |= other
            groups.remove(other)
        groups.append(members)
    # Several directions that are each just known may add up to one parameter that is not.
    for k in np.flatnonzero(loose):
        if not any(int(k) in g for g in groups):
            partners = np.abs(known.correlation[k])
            partners[[j for j in range(len(unit)) if j == k or j not in sensitive]] = -1.0
            groups.append({int(k), int(np.argmax(partners))})
    return [sorted(g) for g in groups]


def _group(
    known: Information, parameters: Sequence[FitParameter], members: list[int], active: list[int], q: float
) -> Group:
    among = Information(known.rows[:, active], known.reach[active]).marginal([active.index(k) for k in members])
    chosen = [parameters[k] for k in members]
    unit = _limits(chosen)
    rows = np.vstack([among.rows * unit, np.zeros((len(members), len(members)))])
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    # In units of the limits a combination c has the variance |sum_k (c v_k)^2 / s_k^2|: along v_k just 1 / s_k^2.
    unseen = max(UNSEEN * float(np.max(unit / among.reach)), 1e-8 * s[0])
    tight, tight_std = _combination(vt[0] / unit, s[0])
    loose, loose_std = _combination(vt[-1] / unit, s[-1] if s[-1] > unseen else 0.0)
    open_directions = int(np.sum(s < q))
    text = _words(chosen, tight, q * tight_std, loose, q * loose_std, open_directions)
    return Group(tuple(p.name for p in chosen), tight, tight_std, loose, loose_std, text)


def _combination(vector: np.ndarray, weight: float) -> tuple[np.ndarray, float]:
    """Coefficients by u with the largest 1, and their standard deviation; `vector`: the same in any multiple, of which
    the standard deviation is 1 / weight."""
    largest = vector[np.argmax(np.abs(vector))]
    return vector / largest, 1.0 / abs(weight * largest) if weight > 0.0 else math.inf


def _words(
    chosen: list[FitParameter], tight: np.ndarray, tight_half: float, loose: np.ndarray, loose_half: float, opened: int
) -> str:
    names = [p.name for p in chosen]
    listed = " and ".join([", ".join(names[:-1]), names[-1]])
    if not all(p.log for p in chosen):
        return (
            f"{listed} are not known separately: {opened} of {len(names)} combinations are open. "
            f"The least known one is {_sum(chosen, loose)}."
        )
    far = "not at all" if not math.exp(min(loose_half, 700.0)) < NOTHING else f"a factor {math.exp(loose_half):.2g}"
    if opened >= len(names):
        best = "even the best known combination only within a factor"
        return f"{listed} are not known: {best} {math.exp(min(tight_half, 700.0)):.2g}, the least known {far}."
    if len(names) > 2:
        return (
            f"{listed} are not known separately, only {len(names) - opened} of {len(names)} combinations: best "
            f"{_power(names, tight)} ({_percent(tight_half)}), least {_power(names, loose)} ({far})."
        )
    kind, other = _pair(tight), _pair(loose)
    first = f"only their {kind} is known" if kind else f"only {_power(names, tight)} is known"
    second = f"their {other}" if other else _power(names, loose)
    return f"{listed}: {first} ({_percent(tight_half)}); {second} is not ({far})."


def _pair(coefficients: np.ndarray) -> str:
    a, b = coefficients
    if abs(abs(a) - abs(b)) > EXPONENT:
        return ""
    return "product" if a * b > 0 else "ratio"


def _power(names: list[str], coefficients: np.ndarray) -> str:
    """a * b^-0.5 of logarithmic parameters, without those of hardly any share."""
    parts = [
        name if abs(c - 1.0) < EXPONENT else f"{name}^{c:.2g}"
        for name, c in zip(names, coefficients, strict=True)
        if abs(c) > EXPONENT
    ]
    return " * ".join(parts)


def _sum(chosen: list[FitParameter], coefficients: np.ndarray) -> str:
    parts = [
        f"{c:+.2g} {f'ln({p.name})' if p.log else f'{p.name}/{p.width:.3g}'}"
        for p, c in zip(chosen, coefficients, strict=True)
        if abs(c) > EXPONENT
    ]
    return " ".join(parts)


def _percent(half: float) -> str:
    """Half width of an interval of a logarithm, in words."""
    return f"\u00b1{100.0 * half:.2g} %" if half < 0.2 else f"within a factor {math.exp(min(half, 700.0)):.3g}"


def _known(parameter: FitParameter, half: float) -> str:
    """Half width of an interval in the fitted scale, in words."""
    if not parameter.log:
        return f"known to \u00b1{half * parameter.width:.2g}"
    return f"known to {_percent(half)}" if half < 0.2 else f"known {_percent(half)}"
