"""Formulas: a metric that is computed from others, such as `click - 0.1 * latency_ms`.

A formula has names, numbers, `+ - * /` and parentheses. It is divided by numbers only, and refused if it may become too
large for double precision. So it has a value for all values of its names. It is computed in double precision and in the
order in which it is written, so every machine gets the same bits.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

from router.errors import Rejected
from router.refusals import short_repr

LATENCY_MS = "latency_ms"
"""The name that stands for the time that the decision's prediction took, in milliseconds."""

LARGEST_VALUE = 1e12
"""The largest value of a metric, and of any name in a formula."""

_LARGEST_RESULT = 1e300
_MOST_CHARACTERS = 256
_MOST_DEPTH = 64
_OPERATIONS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ALLOWED = "names of metrics, latency_ms, numbers, + - * / and parentheses"

_Compute = Callable[[Mapping[str, float]], float]


def parse_formula(text: object, what: str) -> tuple[str, ...]:
    """Check a formula and return the names in it, each once, in the order in which they come first.

    Raises:
        Rejected: if it is no formula.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_CHARACTERS:
        raise Rejected(
            f"{what} must be a formula of at most {_MOST_CHARACTERS} characters, such as click - 0.1 * latency_ms, "
            f"not {short_repr(text)}."
        )
    tree = _tree(text, what)
    try:
        _compile(tree, what, _MOST_DEPTH)
    except RecursionError as error:  # while what is refused is printed
        raise Rejected(f"{what} is nested too deeply.") from error
    if not _bound(tree) <= _LARGEST_RESULT:
        raise Rejected(f"{what} may become too large; its names may be as large as {LARGEST_VALUE:g}.")
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    named.sort(key=lambda node: (node.lineno, node.col_offset))
    if not named:
        raise Rejected(f"{what} names no metric: it has the same value for every decision.")
    return tuple(dict.fromkeys(node.id for node in named))


@lru_cache(maxsize=1024)
def formula(text: str) -> _Compute:
    """Return the function of the values of its names that a formula stands for. `parse_formula` has accepted it."""
    return _compile(_tree(text, "A formula"), "A formula", _MOST_DEPTH)


def _tree(text: str, what: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Rejected(f"{what} cannot be read: {short_repr(text)}. It may have {_ALLOWED}.") from error


def _compile(node: ast.expr, what: str, depth: int) -> _Compute:
    """Return the function for a node, or refuse what is no formula."""
    if depth == 0:
        raise Rejected(f"{what} is nested too deeply.")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        number = _number(node.value, what)
        return lambda _: number
    if isinstance(node, ast.Name):
        name = node.id
        return lambda values: values[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        negated = _compile(node.operand, what, depth - 1)
        return lambda values: -negated(values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _compile(node.left, what, depth - 1), _compile(node.right, what, depth - 1)
        if isinstance(node.op, ast.Div) and not (isinstance(node.right, ast.Constant) and node.right.value):
            raise Rejected(f"{what} may divide by a number that is not zero, and by nothing else.")
        operation = _OPERATIONS[type(node.op)]
        return lambda values: operation(left(values), right(values))
    raise Rejected(f"{what} has {short_repr(ast.unparse(node))}. It may have {_ALLOWED}.")


def _bound(node: ast.expr) -> float:
    """Return the largest magnitude of a formula and all of its parts, or infinity or NaN if it has none."""
    if isinstance(node, ast.UnaryOp):
        return _bound(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = _bound(node.left), _bound(node.right)
        return _OPERATIONS[ast.Add if isinstance(node.op, ast.Sub) else type(node.op)](left, right)
    return abs(float(node.value)) if isinstance(node, ast.Constant) else LARGEST_VALUE  # type: ignore[arg-type]  # a number


def _number(value: int | float, what: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Rejected(f"{what} has a number that is too large.")
    return number
