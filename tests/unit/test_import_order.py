"""The layers of the package: upper may import lower, siblings never import one another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "simulator"

#: Top to bottom. The package's own `__init__` (its public names) and `__main__` stand above all.
LAYERS = (
    {"__init__", "__main__"},
    {"cli"},
    {"config"},
    {"workflows"},
    {"io", "viz"},
    {"model"},
    {"physics", "materials", "protocol"},
    {"geometry"},
    {"numerics"},
    {"units", "resources", "memory", "interrupts"},
    {"choices", "constants", "errors", "types"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def unit_of(path: Path) -> str:
    """The top-level part of the package that a file belongs to: `geometry` for geometry/phases.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`, which name a type and import nothing."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from _runtime_nodes(other)
            continue
        yield child
        yield from _runtime_nodes(child)


def imported_units(source: str, package: tuple[str, ...]) -> set[str]:
    """Parts of `simulator` that `source` imports, anywhere in it. `package`: the package it lies in."""
    modules: set[tuple[str, ...]] = set()
    for node in _runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            # `from simulator import units` imports a part; `from simulator.units import x` names it already
            modules |= {(*module, alias.name) for alias in node.names}
    ours = [module[1:] for module in modules if module[0] == "simulator"]
    return {rest[0] if rest and rest[0] in RANK else "__init__" for rest in ours}


def allowed(importer: str, imported: str) -> bool:
    return importer == imported or RANK[importer] < RANK[imported]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_a_sibling_or_an_upper_layer(path: Path) -> None:
    importer = unit_of(path)
    assert importer in RANK, f"simulator/{importer} has no place in LAYERS"
    package = ("simulator", *path.relative_to(PACKAGE).parts[:-1])
    wrong = {name for name in imported_units(path.read_text(), package) if not allowed(importer, name)}
    assert not wrong, f"simulator/{importer} may not import {sorted(wrong)}"


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import simulator.model.cell", "simulator.io", {"model"}),
        ("from simulator.viz import plot", "simulator.io", {"viz"}),
        ("from simulator import units", "simulator.io", {"units"}),
        ("from simulator import load_electrode", "simulator.io", {"__init__"}),
        ("import simulator as sim", "simulator.io", {"__init__"}),
        ("from ..model import cell", "simulator.io", {"model"}),
        ("from .curve import read", "simulator.io", {"io"}),
        ("def f():\n    from simulator import cli", "simulator.io", {"cli"}),
        ("if TYPE_CHECKING:\n    from simulator.config import RunConfig", "simulator.workflows", set()),
        ("import numpy", "simulator.io", set()),
    ],
)
def test_imports_are_found_in_every_spelling(source: str, package: str, expected: set[str]) -> None:
    assert imported_units(source, tuple(package.split("."))) == expected


def test_siblings_and_upper_layers_are_refused() -> None:
    assert allowed("viz", "model")
    assert allowed("viz", "viz")
    assert not allowed("viz", "io")
    assert not allowed("model", "io")
    assert not allowed("cli", "__init__")
