"""Programs that exist only in tests."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

#: Half the time to compile. What is computed is the same, only slower; the product's own programs keep its options.
_FEW_PASSES: dict[str, str | bool] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


def quick_jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`equinox.filter_jit` for a test that needs a large program once."""
    return eqx.filter_jit(function, compiler_options=_FEW_PASSES)  # type: ignore[call-overload]
