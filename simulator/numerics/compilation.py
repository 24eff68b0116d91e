"""How the programs of the solver are compiled."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
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
    Programs of few numbers go without XLA's newer fusion emitters: they compile a quarter faster and run 5 % slower.
    """

    if function is None:
        return functools.partial(compiled, donate=donate)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _program(function, donate, _largest(args, kwargs) <= SMALL)(*args, **kwargs)

    return call


def _largest(*trees: Any) -> int:
    """Numbers in the largest array of the arguments of a call."""
    return max((leaf.size for leaf in jax.tree.leaves(trees) if isinstance(leaf, jax.Array)), default=0)


@functools.cache
def _program(function: Callable[..., Any], donate: str, small: bool) -> Callable[..., Any]:
    return eqx.filter_jit(function, donate=donate, compiler_options=_options(small))  # type: ignore[call-overload]


@functools.cache
def _options(small: bool) -> dict[str, str | bool]:
    """Options of the compiler, without those that the installed XLA does not know."""
    if jax.default_backend() != "cpu":
        return {}
    known: dict[str, str | bool] = {}
    for name, value in (_CPU_OPTIONS | (_SMALL_CPU_OPTIONS if small else {})).items():
        try:
            jax.jit(lambda x: x + 1.0).lower(0.0).compile(compiler_options={name: value})
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" not in str(error):
                raise
        else:
            known[name] = value
    return known


_CPU_OPTIONS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
_SMALL_CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_use_fusion_emitters": False}
#: Numbers in the largest array up to which compiling counts for more than running: the fields of 28^3 voxels.
SMALL = 4 * 28**3

#: Share of the memory maps of a process beyond which compiled programs are let go.
FULL = 0.7
_kept = [-math.inf]
_MAPS, _MOST_MAPS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def make_room_for_programs() -> bool:
    """Forget all compiled programs if they have used up much of what Linux allows; returns whether it did.

    XLA's CPU backend takes some hundred memory maps for a program, a simulation some 3000, and where the limit of a
    process (65 530 as a rule) is reached LLVM aborts it without a word: after twenty electrodes of different shapes in
    one session. Programs still needed come back from the compilation cache on disk. Call it before work begins on
    another electrode, not between its steps: it takes milliseconds.
    """
    try:
        used = _count_maps()
        most = int(_MOST_MAPS.read_text())
    except OSError:  # not Linux: no such limit is known
        return False
    if used < max(FULL * most, _kept[0] + 0.1 * most):
        return False
    jax.clear_caches()
    _kept[0] = _count_maps()  # what others hold must not make every call forget everything
    return True


def _count_maps() -> int:
    with _MAPS.open("rb") as maps:
        return sum(1 for _ in maps)


def settle(tree: Any) -> Any:
    """Compute `tree` here and keep it as real arrays: nothing before is fused into anything after."""
    return jax.lax.optimization_barrier(tree)


_seconds = [0.0]


def _count(event: str, duration_secs: float, **_: str | int) -> None:
    if event.startswith("/jax/core/compile"):
        _seconds[0] += duration_secs


jax.monitoring.register_event_duration_secs_listener(_count)


def seconds_compiling() -> float:
    """What this process has spent on compiling so far [s], tracing and lowering included."""
    return _seconds[0]
