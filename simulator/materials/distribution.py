"""A parameter that differs from place to place of an electrode: what a user may give, checked and stored.

Nothing here knows the electrode: whether lengths, shapes and particle labels fit is seen where the cell is built.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulator.errors import ConfigError, GeometryError
from simulator.geometry.readers import CONTAINERS, READERS, read_image
from simulator.materials.csv_table import read_columns
from simulator.materials.functions import is_traced

#: the key of a mapping that stands for all particles without a key of their own
DEFAULT = "default"
#: suffixes of the files that a distribution is read from
FILES = (".csv", *READERS, *CONTAINERS)
_FORMS = (
    "Give one number; a number for each particle, in the order of particle_facts(electrode); an image (nz, ny, nx) of "
    "numbers; or {label: number, default: number}."
)

#: (name, value) -> the number, checked for its range; a tracer passes
Check = Callable[[str, Any], Any]


class Distribution(eqx.Module):
    """Values of one parameter over an electrode.

    `values`: (n,), one for each particle or each live face; (nz, ny, nx), one for each voxel; or, with `labels`, (n,),
    one for each of these particles. `default`: the value of the particles that `labels` leaves out, or None. Both are
    differentiable leaves. An image may hold anything where no value is needed, so it is checked with the cell.
    """

    values: Float[Array, "..."]
    default: Float[Array, ""] | None = None
    labels: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def __repr__(self) -> str:
        """Kind, range and a hash of all values on one line: this is what result files store."""
        shape = "x".join(map(str, self.values.shape))
        kind = f"image {shape}" if self.values.ndim == 3 else f"{shape} values"
        kind = kind if self.labels is None else f"{shape} particle labels"
        if not all(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(self)):
            return f"Distribution({kind})"  # placeholders, e.g. of eqx.filter
        if is_traced(self):
            return f"Distribution({kind}, traced)"
        values = np.asarray(self.values)
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes() + repr(self.labels).encode())
        text = ""
        if self.default is not None:
            digest.update(np.asarray(self.default).tobytes())
            text = f", default {float(self.default):g}"
        finite = values[np.isfinite(values)]
        span = f"{finite.min():.6g} to {finite.max():.6g}" if finite.size else "no numbers"
        return f"Distribution({kind}, {span}{text}, sha256 {digest.hexdigest()[:16]})"


def is_distribution(value: Any) -> bool:
    """Whether `value` is meant as more than one number: an array, a list, a mapping, or the name of a file."""
    if isinstance(value, str | Path):
        return Path(value).suffix.lower() in FILES
    return isinstance(value, Distribution | Mapping | Sequence) or np.ndim(value) > 0


def as_distribution(name: str, value: Any, check: Check) -> Distribution:
    """What a user gives for a parameter that may differ from place to place.

    **Arguments:** `value`: an array or list (n,), an array (nz, ny, nx), a mapping {particle label: number, "default":
    number}, or the path of a CSV file (columns label, value), a NumPy file (one of these arrays) or an image; `check`
    (name, value): returns the number, or raises if it is not in the range of the parameter.

    **Errors:** ConfigError with the place, the value and the cure; GeometryError for an image that cannot be read.
    """
    if isinstance(value, Distribution):
        return value
    if isinstance(value, str | Path):
        path = Path(value).expanduser()
        if not path.is_file():
            raise ConfigError(f"{name}: no file {str(path)!r}. {_FORMS}")
        if path.suffix.lower() == ".csv":
            labels, numbers = read_columns(path, name=name)
            return _labelled(name, list(zip(labels, numbers, strict=True)), check)
        try:
            return _array(f"{name} ({path.name})", read_image(path).array, check)
        except GeometryError as error:
            raise GeometryError(f"{name}: {error}") from error
    if isinstance(value, Mapping):
        return _labelled(name, list(value.items()), check)
    return _array(name, value, check)


def _array(name: str, given: Any, check: Check) -> Distribution:
    try:
        values = jnp.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} = {given!r} must hold nothing but numbers. {_FORMS}") from error
    if values.ndim not in (1, 3) or values.size == 0:
        raise ConfigError(f"{name} has the shape {values.shape}, and must be 1D or 3D and not empty. {_FORMS}")
    if values.ndim == 1 and not is_traced(values):
        numbers = np.asarray(values)
        for place in (int(numbers.argmin()), int(numbers.argmax())):  # the place of a NaN, if there is one
            check(f"{name}[{place}]", float(numbers[place]))
    return Distribution(values)


def _labelled(name: str, given: Sequence[tuple[Any, Any]], check: Check) -> Distribution:
    """Pairs of label and value."""
    numbers: dict[int, Any] = {}
    default = None
    for key, value in given:
        if key == DEFAULT:
            default = jnp.asarray(check(f"{name}[{DEFAULT}]", value), dtype=float)
            continue
        label = _label(name, key)
        if label in numbers:
            raise ConfigError(f"{name} gives label {label} more than once. Keep one of them.")
        numbers[label] = check(f"{name}[{label}]", value)
    if not numbers:
        raise ConfigError(f"{name} = {dict(given)} names no particle. {_FORMS}")
    values = jnp.stack([jnp.asarray(number, dtype=float) for number in numbers.values()])
    return Distribution(values, default, tuple(numbers))


def _label(name: str, key: Any) -> int:
    """A key as a particle label: 3, 3.0 and '3' alike."""
    try:
        label = float(key)
    except (TypeError, ValueError):
        label = -1.0
    if isinstance(key, bool) or not (1 <= label < math.inf and label == int(label)):
        raise ConfigError(
            f"{name}: {key!r} is no particle label. Labels are whole numbers from 1; {DEFAULT!r} stands for all others."
        )
    return int(label)
