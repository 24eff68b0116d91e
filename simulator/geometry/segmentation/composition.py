"""Fractions of a segmentation against what the recipe says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import ConfigError, did_you_mean

_SUM = 0.02  # by which given fractions may miss 1
#: difference of a fraction from the one expected from which on a warning is given
FAR = 0.05


@dataclass(frozen=True)
class Expected:
    """One phase: volume fractions found and expected [-], of the whole image or of the phases named."""

    name: str
    found: float
    expected: float
    of: str  # what the fractions are shares of


def compare(
    found: Mapping[str, float], expected: Mapping[str, float], densities: Mapping[str, float] | None = None
) -> list[Expected]:
    r"""Fractions found beside those expected.

    **Arguments:** `found`: name -> volume fraction of the image; `expected`: name -> volume fraction of the image, or,
    with `densities` [kg/m3] of the same phases, weight fraction $w$ of the electrode: volume fractions among the phases
    named are then $(w_i/\rho_i)/\sum_j w_j/\rho_j$, which says nothing about the pores.

    **Errors:** `ConfigError` for unknown names, fractions outside [0, 1] or with a wrong sum, and densities of other
    phases.
    """
    for key, mapping in (("expected", expected), ("densities", densities or {})):
        for name in mapping:
            if name not in found:
                raise ConfigError(f"{key}.{name}: there is no such phase.{did_you_mean(str(name), found)}")
    for name, value in expected.items():
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            raise ConfigError(f"expected.{name} must be a fraction in [0, 1], got {value!r}. Write 0.9, or '90 %'.")
    total = sum(expected.values())
    if densities is None:
        whole = set(expected) == set(found)
        if total > 1.0 + _SUM or (whole and total < 1.0 - _SUM):
            raise ConfigError(
                f"expected: the volume fractions add up to {total:.4g} instead of 1. Correct them, or give densities "
                "if they are weight fractions."
            )
        return [Expected(name, found[name], value, "image") for name, value in expected.items()]
    if set(densities) != set(expected):
        raise ConfigError(
            f"densities must name the phases of expected ({', '.join(expected)}), got {', '.join(densities)}."
        )
    if abs(total - 1.0) > _SUM:
        raise ConfigError(f"expected: the weight fractions add up to {total:.4g} instead of 1. Name every solid phase.")
    for name, value in densities.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"densities.{name} must be positive, got {value!r}. For example '4.7 g/cm3'.")
    volumes = {name: weight / densities[name] for name, weight in expected.items()}
    solid = sum(found[name] for name in expected)
    among = " + ".join(expected)
    return [
        Expected(name, found[name] / solid if solid > 0 else 0.0, volume / sum(volumes.values()), among)
        for name, volume in volumes.items()
    ]
