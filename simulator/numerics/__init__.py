"""Grid operators and solvers that know nothing of batteries.

Importing this package switches JAX to 64-bit floats (states, residuals and Krylov scalars are float64;
`JAX_ENABLE_X64` wins when the user sets it) and turns on JAX's persistent compilation cache
(`JAX_COMPILATION_CACHE_DIR` wins).
"""

import os
from pathlib import Path

import jax


def _configure_jax() -> None:
    if "JAX_ENABLE_X64" not in os.environ:
        jax.config.update("jax_enable_x64", True)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(base / "voxelyte" / "jax"))
        # The coupled step takes seconds to compile; the many small programs around it add up as well.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


_configure_jax()
