"""Material functions: f(x, T) of one state variable and temperature, with differentiable coefficients.

`x` is the stoichiometry (active material) or the salt concentration [mol m^-3] (electrolyte, carbon-binder,
separator); `T` is in kelvin. Every function is elementwise in `x`, traceable, differentiable and finite, also
for the slightly unphysical arguments a Newton iterate can produce.

`valid` is the range of `x` supported by data and `valid_T` [K] the range of temperature. Outside them a
function stays finite but is an extrapolation: callers compare and warn, the function itself cannot (it runs
inside compiled code).
"""

import abc
import dataclasses
import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

import simulator.numerics  # noqa: F401  switches JAX to float64 before the first coefficient is made
from simulator.constants import R
from simulator.errors import ConfigError
from simulator.materials.csv_table import read_columns

Range = tuple[float, float]
Numbers = ArrayLike | Sequence[float]
EVERYWHERE: Range = (-math.inf, math.inf)


def as_coefficient(value: Numbers) -> jax.Array:
    """A differentiable coefficient: a float64 array leaf (tracers pass through)."""
    return jnp.asarray(value, dtype=float)


def plain(value: Any) -> str:
    """A coefficient as a short text: its numbers, or what stands in their place inside a transformation."""
    if is_traced(value):
        return "traced"
    if not isinstance(value, jax.Array | np.ndarray | float | int):  # a placeholder, e.g. of eqx.filter
        return str(value)
    found = np.ravel(value)
    if found.size > 8:
        return f"{found.size} values"
    text = ", ".join(f"{number:.6g}" for number in found)
    return text if np.ndim(value) == 0 else f"[{text}]"


def is_traced(value: Any) -> bool:
    """True if a leaf of `value` is a JAX tracer, so that host-side checks on it are impossible."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(value))


class MaterialFunction(eqx.Module):
    """Interface of all material functions; see the module docstring. Never instantiated itself."""

    valid: eqx.AbstractVar[Range]
    valid_T: eqx.AbstractVar[Range]

    def __repr__(self) -> str:
        """Name and coefficients on one line: this is what result files store."""
        leaves = [field.name for field in dataclasses.fields(self) if not field.metadata.get("static")]
        return f"{type(self).__name__}({', '.join(f'{name}={plain(getattr(self, name))}' for name in leaves)})"

    @abc.abstractmethod
    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        """Value at `x` and `T` [K], with the broadcast shape of the two."""


class Constant(MaterialFunction):
    """The same value everywhere. Leaf: `value`. Static: the ranges."""

    value: jax.Array
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, value: ArrayLike, *, valid: Range = EVERYWHERE, valid_T: Range = EVERYWHERE):
        self.value = as_coefficient(value)
        self.valid = valid
        self.valid_T = valid_T

    def __repr__(self) -> str:
        return f"Constant({plain(self.value)})"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        return jnp.broadcast_to(self.value, jnp.broadcast_shapes(jnp.shape(x), jnp.shape(T)))


class Table(MaterialFunction):
    """Piecewise-linear interpolation of points (x, y); temperature is ignored.

    Linear, not cubic: it never overshoots the data, its derivative with respect to `y` is the hat function,
    and its error on a smooth curve is h^2 max|f''|/8 for a point spacing h. The derivative with respect to
    `x` jumps at the points, which Newton's method tolerates if the table is fine. Outside the table the end
    value is held (finite, derivative zero); `valid` is the range of the table, so that callers can warn.

    Leaves: `points`, `values`. Static: the ranges, taken from the points at construction.
    """

    points: jax.Array
    values: jax.Array
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, x: Numbers, y: Numbers, *, valid_T: Range = EVERYWHERE, name: str = "table"):
        """`x` [n] strictly increasing, `y` [n]; n >= 2. `name` is used in messages only.

        Raises ConfigError for unequal lengths, values that are not finite, or `x` that does not increase.
        """
        if is_traced(x):
            raise ConfigError(f"{name}: the x values of a table must be numbers known before tracing; y may be traced.")
        points = np.asarray(x, dtype=float)
        if points.ndim != 1 or points.size < 2 or np.shape(y) != points.shape:
            raise ConfigError(
                f"{name}: a table needs two equally long lists of at least 2 numbers, got shapes "
                f"{points.shape} and {np.shape(y)}. Give (x values, y values)."
            )
        finite_y = is_traced(y) or bool(np.all(np.isfinite(np.asarray(y, dtype=float))))
        if not (np.all(np.isfinite(points)) and finite_y):
            raise ConfigError(f"{name}: a table may hold finite numbers only. Remove the rows with nan or inf.")
        steps = np.diff(points)
        if np.any(steps <= 0):
            at = int(np.argmax(steps <= 0))
            raise ConfigError(
                f"{name}: x of a table must increase strictly, but {points[at]:g} is followed by "
                f"{points[at + 1]:g} (row {at + 2}). Sort the rows by x and remove duplicates."
            )
        self.points = as_coefficient(points)
        self.values = as_coefficient(y)
        self.valid = (float(points[0]), float(points[-1]))
        self.valid_T = valid_T

    @classmethod
    def from_csv(cls, path: str | Path, *, name: str = "table", unit: str | None = None, axis: str = "") -> "Table":
        """A table from the first two columns of a CSV file; see `simulator.materials.csv_table.read_columns`."""
        x, y = read_columns(path, name=name, unit=unit, axis=axis)
        return cls(x, y, name=name)

    def __repr__(self) -> str:
        return f"Table({plain(self.values)} at x = {self.valid[0]:g} to {self.valid[1]:g})"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        shape = jnp.broadcast_shapes(jnp.shape(x), jnp.shape(T))
        x = jnp.broadcast_to(as_coefficient(x), shape)
        left = jnp.clip(jnp.searchsorted(self.points, x, side="right") - 1, 0, self.points.size - 2)
        x0, x1 = self.points[left], self.points[left + 1]
        y0, y1 = self.values[left], self.values[left + 1]
        fraction = jnp.clip((x - x0) / (x1 - x0), 0.0, 1.0)
        return y0 + fraction * (y1 - y0)


class LogLinear(MaterialFunction):
    """ln y linear in x through two points: y = y0 (y1/y0)^[(x - x0)/(x1 - x0)]. Leaf: `values` (y0, y1)."""

    values: jax.Array
    ends: Range = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, x: Range, y: Numbers, *, valid_T: Range = EVERYWHERE):
        """`x`: the two abscissae, increasing; `y`: the two positive values. The data range is `x`."""
        self.values = as_coefficient(y)
        self.ends = (float(x[0]), float(x[1]))
        self.valid = self.ends
        self.valid_T = valid_T

    def __repr__(self) -> str:
        return f"LogLinear({plain(self.values)} at x = {self.ends[0]:g}, {self.ends[1]:g})"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        shape = jnp.broadcast_shapes(jnp.shape(x), jnp.shape(T))
        x = jnp.broadcast_to(as_coefficient(x), shape)
        low, high = jnp.log(self.values[0]), jnp.log(self.values[1])
        return jnp.exp(low + (x - self.ends[0]) / (self.ends[1] - self.ends[0]) * (high - low))


class Scaled(MaterialFunction):
    """factor * function(x, T). Leaves: `factor` and those of `function`."""

    function: MaterialFunction
    factor: jax.Array
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, function: MaterialFunction, factor: ArrayLike):
        self.function = function
        self.factor = as_coefficient(factor)
        self.valid = function.valid
        self.valid_T = getattr(function, "valid_T", EVERYWHERE)

    def __repr__(self) -> str:
        return f"{plain(self.factor)} x {self.function!r}"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        return self.factor * self.function(x, T)


class Corrected(MaterialFunction):
    """function(x, T) + correction(x, T), for example a published open-circuit potential and a `Table` of what a
    measurement adds to it. Leaves: those of both. The ranges are those of `function`."""

    function: MaterialFunction
    correction: MaterialFunction
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, function: MaterialFunction, correction: MaterialFunction):
        self.function, self.correction = function, correction
        self.valid, self.valid_T = function.valid, function.valid_T

    def __repr__(self) -> str:
        return f"{self.function!r} + {self.correction!r}"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        return self.function(x, T) + self.correction(x, T)


class Arrhenius(MaterialFunction):
    """function(x, T_ref) * exp[E_a/R (1/T_ref - 1/T)]: `function` holds at `T_ref`, the factor carries T.

    Leaves: `activation_energy` [J mol^-1] and those of `function`. Static: `T_ref` [K] (it only says where
    `function` was measured) and the ranges.
    """

    function: MaterialFunction
    activation_energy: jax.Array
    T_ref: float = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(
        self,
        function: MaterialFunction,
        activation_energy: ArrayLike,
        T_ref: float = 298.15,
        *,
        valid_T: Range = EVERYWHERE,
    ):
        self.function = function
        self.activation_energy = as_coefficient(activation_energy)
        self.T_ref = float(T_ref)
        self.valid = function.valid
        self.valid_T = valid_T

    def __repr__(self) -> str:
        return f"{self.function!r} at {self.T_ref:g} K, activation energy {plain(self.activation_energy)} J/mol"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        T = as_coefficient(T)
        factor = jnp.exp(self.activation_energy / R * (1.0 / self.T_ref - 1.0 / T))
        return self.function(x, self.T_ref) * factor


class Opaque(MaterialFunction):
    """A plain Python function f(x, T), which must be traceable (written with jax.numpy).

    It has no coefficients, so gradients do not reach inside; the derivative with respect to `x` is still
    taken by JAX. `fn` is static and compared by identity: define it once, since a new lambda compiles the
    solver anew.
    """

    fn: Callable[[Any, Any], Any] = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(self, fn: Callable[[Any, Any], Any], *, valid: Range = EVERYWHERE, valid_T: Range = EVERYWHERE):
        self.fn = fn
        self.valid = valid
        self.valid_T = valid_T

    def __repr__(self) -> str:
        return f"Opaque({getattr(self.fn, '__qualname__', type(self.fn).__name__)})"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        x, T = as_coefficient(x), as_coefficient(T)
        shape = jnp.broadcast_shapes(x.shape, T.shape)
        return jnp.broadcast_to(as_coefficient(self.fn(x, T)), shape)


ACCEPTED = (
    "a number, a (x values, y values) table, the path of a CSV file with columns x, y, a material function "
    "(an equinox Module called with (x, T)), or a plain function f(x, T) written with jax.numpy"
)


def as_material(value: Any, name: str) -> MaterialFunction:
    """Turn what a user may give for the material function `name` into a module f(x, T).

    **Arguments:** `value`: a finite number (also a 0-d array or tracer) -> `Constant`; a pair (x values, y
    values) or the path of a `.csv` file -> `Table`; an equinox Module with `valid` -> itself; any other
    callable -> `Opaque`.

    **Raises:** ConfigError, naming the parameter and what is accepted.
    """
    if isinstance(value, eqx.Module):
        return _checked_module(value, name)
    if isinstance(value, bool) or value is None:
        raise ConfigError(f"{name} = {value!r} is not a material function. Give {ACCEPTED}.")
    if isinstance(value, numbers.Real) or (isinstance(value, jax.Array | np.ndarray) and value.ndim == 0):
        if not is_traced(value) and not math.isfinite(float(value)):
            raise ConfigError(f"{name} = {float(value)} must be finite. Give a number, a table or a function.")
        return Constant(value if isinstance(value, jax.Array) else float(value))
    if isinstance(value, str | Path):
        if str(value).lower().endswith(".csv"):
            return Table.from_csv(value, name=name)
        raise ConfigError(f"{name} = {str(value)!r} is not a material function. Give {ACCEPTED}.")
    if isinstance(value, Sequence) and len(value) == 2 and all(np.ndim(part) == 1 for part in value):
        x, y = (part if isinstance(part, jax.Array) else np.asarray(part, dtype=float) for part in value)
        return Table(x, y, name=name)
    if callable(value):
        return _checked_opaque(value, name)
    raise ConfigError(f"{name}: cannot make a material function of {value!r}. Give {ACCEPTED}.")


def _checked_module(module: eqx.Module, name: str) -> Any:
    if not callable(module):
        raise ConfigError(f"{name}: {type(module).__name__} has no __call__(x, T). Give {ACCEPTED}.")
    valid = getattr(module, "valid", None)
    if not (isinstance(valid, tuple) and len(valid) == 2 and valid[0] < valid[1]):
        raise ConfigError(
            f"{name}: {type(module).__name__}.valid is {valid!r}, but every material function "
            "states the range of x supported by its data. Add the field "
            "`valid: tuple[float, float] = eqx.field(static=True, default=(lo, hi))`."
        )
    if not isinstance(module, MaterialFunction):  # those of the library are elementwise and traceable
        _probe(module, name)
    return module


def _checked_opaque(fn: Callable[..., Any], name: str) -> Opaque:
    try:
        signature = inspect.signature(fn)
    except ValueError:  # builtins without a signature: the probe below decides
        signature = None
    if signature is not None:
        try:
            signature.bind(0.5, 300.0)
        except TypeError as error:
            raise ConfigError(
                f"{name}: {getattr(fn, '__name__', fn)!r} takes {signature}, but a material function "
                "is called with two positional arguments, f(x, T), T in kelvin."
            ) from error
    _probe(fn, name)
    return Opaque(fn)


def _probe(fn: Callable[..., Any], name: str) -> None:
    """Trace `fn` on abstract arrays: it must accept tracers and be elementwise."""
    scalar = jax.ShapeDtypeStruct((), jnp.dtype(float))
    for shape in ((), (2, 3)):
        try:
            result = jax.eval_shape(
                lambda x, T: jnp.asarray(fn(x, T)), jax.ShapeDtypeStruct(shape, jnp.dtype(float)), scalar
            )
        except jax.errors.JAXTypeError as error:  # numpy or math or a Python `if` on a traced value
            raise ConfigError(
                f"{name}: the function cannot be traced by JAX ({type(error).__name__}). Use jax.numpy "
                "instead of numpy or math, and jnp.where instead of `if` on values; or give a table (x, y)."
            ) from error
        if result.shape not in ((), shape):
            raise ConfigError(
                f"{name}: the function returned shape {result.shape} for x of shape {shape}; it must be elementwise."
            )
