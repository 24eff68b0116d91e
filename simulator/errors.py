"""Exceptions of Voxelyte. Each message names the value, the allowed range and the cure."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A parameter, protocol or setting is wrong. Raised before anything is compiled."""


class GeometryError(ValueError):
    """An image or electrode cannot be simulated as given. Raised before anything is compiled."""


class ConvergenceError(RuntimeError):
    """An iteration ended before the accuracy asked for was reached. The message holds what was reached."""


class RunStopped(RuntimeError):
    """A run ended, by physics or numerics, before what was asked of it. The message says where and why."""


class TransformError(TypeError):
    """A transformation of JAX that a function does not support. The message names what to use."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'a' or 'b'?` for a mistyped `name`, or the list of all `known` names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return " Did you mean " + " or ".join(repr(n) for n in near) + "?"
    return " Known: " + ", ".join(names) + "."
