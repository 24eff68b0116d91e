"""Material functions written as formulas: '1e-14*exp(-3*sto)', '5.0*exp(-(T - 333)**2/200)'.

A formula is parsed with `ast` and evaluated by this module: nothing of it is ever executed by Python. Only the
operators, functions and names listed here exist.
"""

import ast
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from simulator.constants import F, R
from simulator.errors import ConfigError, did_you_mean
from simulator.materials.functions import EVERYWHERE, MaterialFunction, Range, as_coefficient, is_traced

MAX_LENGTH = 2000  # characters of a formula
MAX_DEPTH = 100  # nested operations
MAX_STATIC_POWER = 32

_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", jnp.add),
    ast.Sub: ("-", jnp.subtract),
    ast.Mult: ("*", jnp.multiply),
    ast.Div: ("/", jnp.divide),
    ast.Pow: ("**", jnp.power),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{"exp": jnp.exp, "log": jnp.log, "log10": jnp.log10, "sqrt": jnp.sqrt, "abs": jnp.abs},
    **{"tanh": jnp.tanh, "cosh": jnp.cosh, "sinh": jnp.sinh},
    "min": lambda *values: functools.reduce(jnp.minimum, values),
    "max": lambda *values: functools.reduce(jnp.maximum, values),
}
_CONSTANTS = {"pi": math.pi, "F": F, "R": R}

#: Where a formula is evaluated at most: logarithms and roots of sto, 1 - sto and c_e stay finite. Beyond, it is held
#: (or continued along its tangent), because a Newton iterate may lie there.
_DOMAIN: dict[str, Range] = {"sto": (1e-6, 1.0 - 1e-6), "c_e": (1e-3, math.inf), "": EVERYWHERE}


class Expression(MaterialFunction):
    """A formula of the state variable and temperature.

    Its numbers are the differentiable leaf `coefficients` (n,), in reading order; whole powers up to 32 are part of
    the structure instead (so that (x - a)**2 may have a negative base). Two formulas that differ in numbers only share
    one compiled program. Static: `form` (the formula with placeholders `_0`, `_1`, ...), `axis`, `tangent`, ranges.

    Outside `valid`, or outside (0, 1) of sto and above zero of c_e, the end value is held; with `tangent` the function
    continues along its tangent (for potentials: a monotone function stays monotone).
    """

    coefficients: jax.Array
    form: str = eqx.field(static=True)
    axis: str = eqx.field(static=True)
    tangent: bool = eqx.field(static=True)
    valid: Range = eqx.field(static=True)
    valid_T: Range = eqx.field(static=True)

    def __init__(
        self,
        text: str,
        *,
        axis: str = "",
        name: str = "expression",
        valid: Range = EVERYWHERE,
        valid_T: Range = EVERYWHERE,
        tangent: bool = False,
    ):
        """`text`: the formula, in SI. `axis`: 'sto' or 'c_e', a second name of the variable beside `x`; `name` is
        used in messages only.

        **Errors:** ConfigError for syntax, unknown names and functions, and formulas too long or too deeply nested.
        """
        parser = _Parser(text, axis, name)
        self.form = parser.form()
        self.coefficients = as_coefficient(parser.numbers)
        self.axis, self.tangent = axis, tangent
        self.valid, self.valid_T = (float(valid[0]), float(valid[1])), valid_T

    @property
    def text(self) -> str:
        """The formula with its present numbers."""
        if is_traced(self.coefficients) or not isinstance(self.coefficients, jax.Array):
            return self.form
        numbers = {f"_{n}": ast.Constant(float(value)) for n, value in enumerate(self.coefficients)}
        return ast.unparse(_Rename(numbers).visit(ast.parse(self.form, mode="eval")))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, x: ArrayLike, T: ArrayLike) -> jax.Array:
        shape = jnp.broadcast_shapes(jnp.shape(x), jnp.shape(T))
        x = jnp.broadcast_to(as_coefficient(x), shape)
        body, T = _body(self.form), as_coefficient(T)
        low, high = (max(self.valid[0], _DOMAIN[self.axis][0]), min(self.valid[1], _DOMAIN[self.axis][1]))

        def formula(x: jax.Array) -> jax.Array:
            return jnp.broadcast_to(_evaluate(body, {"x": x, "T": T}, self.coefficients), shape)

        inside = jnp.clip(x, low, high)
        if not self.tangent:
            return formula(inside)
        value, slope = jax.jvp(formula, (inside,), (jnp.ones_like(x),))
        return value + slope * (x - inside)


@functools.cache
def _body(form: str) -> ast.expr:
    return ast.parse(form, mode="eval").body


def _evaluate(node: ast.expr, variables: Mapping[str, Any], coefficients: jax.Array) -> Any:
    """Value of a checked tree; traced by JAX, so it runs once for each compilation."""

    def value(part: ast.expr) -> Any:
        return _evaluate(part, variables, coefficients)

    match node:
        case ast.Constant(value=int(power)):  # a whole power
            return power
        case ast.Name(id=name):
            if name in variables:
                return variables[name]
            return _CONSTANTS[name] if name in _CONSTANTS else coefficients[int(name[1:])]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)][1](value(left), value(right))
        case ast.Call(func=ast.Name(id=function), args=args):
            return _FUNCTIONS[function](*map(value, args))
    raise TypeError(f"{type(node).__name__} cannot be in a checked formula.")


class _Rename(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, replacements: Mapping[str, ast.expr]):
        self.replacements = replacements

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.replacements.get(node.id, node)


class _Parser:
    """Checks a formula and takes its numbers out."""

    def __init__(self, text: str, axis: str, name: str):
        self.text, self.name = text, name
        self.axis = axis
        self.numbers: list[float] = []

    def form(self) -> str:
        """The formula with placeholders; fills `numbers`."""
        if len(self.text) > MAX_LENGTH:
            raise ConfigError(
                f"{self.name}: a formula of {len(self.text)} characters is too long, {MAX_LENGTH} are allowed. Give a "
                "table (x, y) or a CSV file instead."
            )
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:
            raise self.error(f"it cannot be read ({getattr(error, 'msg', None) or error})") from error
        except (RecursionError, MemoryError) as error:  # of Python's own parser
            raise self.error("it is nested too deeply") from error
        return ast.unparse(self.checked(tree.body, 0))

    def error(self, why: str) -> ConfigError:
        shown = self.text if len(self.text) <= 120 else self.text[:117] + "..."
        variable = f"{self.axis} (or x)" if self.axis else "x"
        why += "" if why.endswith("?") else "."
        return ConfigError(
            f"{self.name} = {shown!r}: {why} A formula holds numbers (SI), {variable} and T [K], + - * / **, "
            f"parentheses, {', '.join(_FUNCTIONS)}, {', '.join(_CONSTANTS)}; for example '1e-14*exp(-3*x)'."
        )

    def checked(self, node: ast.expr, depth: int) -> ast.expr:
        if depth > MAX_DEPTH:
            raise self.error(f"it is nested more than {MAX_DEPTH} deep")
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self.coefficient(value)
            case ast.Name(id=name):
                return self.variable(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return ast.UnaryOp(ast.USub(), self.checked(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.checked(operand, depth + 1)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                power = _whole_power(right) if isinstance(op, ast.Pow) else None
                new_left = self.checked(left, depth + 1)
                new_right = self.checked(right, depth + 1) if power is None else power
                return ast.BinOp(new_left, op, new_right)
            case ast.BinOp(op=ast.BitXor()):
                raise self.error("a power is written **, not ^")
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return self.call(name, args, keywords, depth)
            case ast.Attribute() | ast.Call(func=ast.Attribute()):
                raise self.error(f"{ast.unparse(node)!r} takes an attribute, and a formula has none")
            case ast.Tuple():
                raise self.error("a comma does not belong in a number (write decimals with a point)")
        raise self.error(f"{ast.unparse(node)[:40]!r} is not allowed in a formula")

    def coefficient(self, value: float) -> ast.expr:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error("it holds a number that is not finite")
        self.numbers.append(number)
        return ast.Name(f"_{len(self.numbers) - 1}", ast.Load())

    def variable(self, name: str) -> ast.expr:
        if name in ("x", self.axis):
            return ast.Name("x", ast.Load())
        if name != "T" and name not in _CONSTANTS:
            if name in _FUNCTIONS:
                raise self.error(f"the function {name} needs its argument in parentheses")
            known = [*([self.axis] if self.axis else []), "x", "T", *_CONSTANTS]
            raise self.error(f"unknown name {name!r}.{did_you_mean(name, known)}".rstrip("."))
        return ast.Name(name, ast.Load())

    def call(self, name: str, args: list[ast.expr], keywords: list[ast.keyword], depth: int) -> ast.expr:
        if name not in _FUNCTIONS:
            raise self.error(f"unknown function {name!r}.{did_you_mean(name, _FUNCTIONS)}".rstrip("."))
        several = name in ("min", "max")
        if keywords or (len(args) < 2 if several else len(args) != 1) or any(isinstance(a, ast.Starred) for a in args):
            raise self.error(f"{name} takes {'two or more arguments' if several else 'one argument'}")
        return ast.Call(ast.Name(name, ast.Load()), [self.checked(arg, depth + 1) for arg in args], [])


def _whole_power(node: ast.expr) -> ast.expr | None:
    """The exponent if it is a whole number within +-32, which then belongs to the structure of a formula."""
    sign, digits = 1, node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, digits = -1, node.operand
    value = digits.value if isinstance(digits, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if abs(value) > MAX_STATIC_POWER or value != int(value):
        return None
    power = ast.Constant(int(value))
    return power if sign > 0 else ast.UnaryOp(ast.USub(), power)
