"""How the programs of the solver are compiled."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function | None = None, *, donate: str = "none") -> Any:
    """`equinox.filter_jit` with the options the stencils need; for functions that the host calls, not for nested ones.

    `donate`: as in `filter_jit`, whose arrays the result may overwrite ("all-except-first": those of the arguments
    after the first).

    XLA's CPU backend removes `optimization_barrier` before it fuses loops. Chains of sweeps are then fused into one
    another and earlier sweeps recomputed inside later ones: a multigrid cycle takes three to seven times longer
    (docs/performance.md). Leaving that pass out keeps the barriers, and with them the shape of the program as written.
    """

    if function is None:
        return functools.partial(compiled, donate=donate)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _program(function, donate)(*args, **kwargs)

    return call


@functools.cache
def _program(function: Callable[..., Any], donate: str) -> Callable[..., Any]:
    options = {"xla_disable_hlo_passes": "cse_barrier_expander"} if jax.default_backend() == "cpu" else {}
    return eqx.filter_jit(function, donate=donate, compiler_options=options)  # type: ignore[call-overload]


def settle(tree: Any) -> Any:
    """Compute `tree` here and keep it as real arrays: nothing before is fused into anything after."""
    return jax.lax.optimization_barrier(tree)
