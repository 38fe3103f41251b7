"""What SEMANTICS.md §5 forbids on decision paths, read from the sources; and who may make an alert."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[2] / "gateway"
CORE = sorted((PACKAGE / "core").rglob("*.py"))
IMPURE = {"time", "random", "secrets", "uuid", "os", "pathlib", "io", "socket", "asyncio", "threading", "subprocess"}
IMPURE |= {"multiprocessing", "concurrent", "sqlite3", "requests", "urllib", "ctypes", "scipy"}
VARYING = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "power"}
VARYING |= {"float_power", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos"}
VARYING |= {"arctan", "arctan2", "asin", "acos", "atan", "atan2", "hypot", "logaddexp", "logaddexp2"}
VARYING |= {"cbrt", "sinc", "matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum"}
VARYING |= {"kron", "linalg", "inv", "cholesky", "solve", "convolve", "correlate", "polyfit", "interp"}
VARYING |= {"argpartition", "median", "percentile", "quantile", "fft"}
SORTS = {"sort", "argsort"}
SUMS = {
    "sum",
    "nansum",
    "mean",
    "nanmean",
    "average",
    "std",
    "var",
    "cumsum",
    "nancumsum",
    "prod",
    "cumprod",
    "trapezoid",
}
ADDING = {"add", "subtract", "multiply"}
REDUCING = {"reduce", "reduceat", "accumulate"}


def findings(tree: ast.Module, name: str) -> Iterator[str]:
    """`line: what`, for everything that may differ between machines or is no pure function."""
    for node in ast.walk(tree):
        if found := _found(node, name):
            yield f"{getattr(node, 'lineno', 0)}: {found}"


def _found(node: ast.AST, name: str) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        if modules == ["scipy.optimize"] and name == "track_pairs.py":  # loaded only where cameras track (DESIGN)
            return ""
        return next((f"import {module}" for module in modules if module.split(".")[0] in IMPURE), "")
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return _operator(node)
    if isinstance(node, ast.Attribute):
        return _attribute(node, name)
    return _call(node, name) if isinstance(node, ast.Call) else ""


def _operator(node: ast.BinOp | ast.AugAssign) -> str:
    if isinstance(node.op, ast.MatMult):
        return "@ is BLAS"
    if isinstance(node.op, ast.Pow):
        constant = isinstance(node, ast.BinOp) and all(isinstance(s, ast.Constant) for s in (node.left, node.right))
        return "" if constant else "** of what is not constant is pow"
    return ""


def _attribute(node: ast.Attribute, name: str) -> str:
    if node.attr in VARYING or (
        node.attr == "partition" and isinstance(node.value, ast.Name) and node.value.id == "np"
    ):
        return f".{node.attr} differs between machines"
    if node.attr in SUMS and name != "exact.py":
        return f".{node.attr} adds in an order of numpy's own: use gateway.core.exact"
    adds = isinstance(node.value, ast.Attribute) and node.value.attr in ADDING
    if node.attr in REDUCING and adds and name != "exact.py":
        return f".{node.attr} adds in an order of numpy's own: use gateway.core.exact"
    if node.attr in {"now", "utcnow", "today"}:
        return f".{node.attr} reads a clock"
    return ""


def _call(node: ast.Call, name: str) -> str:
    called = node.func
    if isinstance(called, ast.Name) and called.id in {"sum", "fsum", "pow", "open", "input", "print", "exec", "eval"}:
        return f"{called.id}()" if name != "exact.py" or called.id != "sum" else ""
    if isinstance(called, ast.Attribute) and called.attr in SORTS:
        kinds = [word.value for word in node.keywords if word.arg == "kind"]
        of_a_list = any(word.arg == "key" for word in node.keywords)  # Python's own is stable
        stable = of_a_list or any(isinstance(kind, ast.Constant) and kind.value == "stable" for kind in kinds)
        return "" if stable else f'.{called.attr} without kind="stable"'
    return ""


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_of_the_core_is_pure_and_the_same_on_every_machine(path: Path) -> None:
    assert not list(findings(ast.parse(path.read_text(encoding="utf-8")), path.name))


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from os import path",
        "x = np.exp(a)",
        "x = math.sin(a)",
        "x = a @ b",
        "x = a.dot(b)",
        "x = np.linalg.inv(a)",
        "x = np.argsort(a)",
        "x = a.argsort(kind='quicksort')",
        "x = sum(a)",
        "x = a.sum()",
        "x = np.mean(a)",
        "x = np.add.reduceat(a, b)",
        "x = np.cumsum(a)",
        "x = a**0.5",
        "x = np.einsum('ij,jk', a, b)",
        "x = datetime.now()",
    ],
)
def test_the_lint_notices(line: str) -> None:
    assert list(findings(ast.parse(line), "rule.py"))


def test_only_the_core_makes_alerts() -> None:
    """Everything else hands a Health to the door, and the core's `health` rule raises the alert."""
    makers: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        from_events = any(
            isinstance(node, ast.ImportFrom)
            and node.module == "gateway.events"
            and any(alias.name == "AlertRow" for alias in node.names)
            for node in ast.walk(tree)
        )
        called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        by_name = from_events and any(isinstance(one, ast.Name) and one.id == "AlertRow" for one in called)
        by_module = any(isinstance(one, ast.Attribute) and one.attr == "AlertRow" for one in called)
        if by_name or by_module:
            makers.append(str(path.relative_to(PACKAGE)))

    assert makers == ["core/alerts.py"]
