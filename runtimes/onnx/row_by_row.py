"""What the graph says against merging requests: operators whose answer to a row depends on the other rows.

Rules. A value depends on the inputs, or on their shapes alone, or on neither. Only an operator on the first kind can
mix rows. It does if it always works on the whole tensor (dynamic quantization takes one scale for all rows), if it
works along axis 0, or if it draws random numbers. Axis 0 need not be the batch; a model that is not merged is only
slower. An axis counted from the end is taken for another one: a graph seldom says the rank. What this does not see,
such as a product of a batch with itself, is left to the trial (`runtimes.batching.why_unbatched`).

Bodies and branches see the values around them; their own inputs depend on the inputs if one of the node's does. A
function is looked into wherever it is called.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from onnx import numpy_helper

from runtimes.onnx.graph import ONNX_DOMAINS, subgraphs_of

_OVER_ALL_ROWS = frozenset({
    "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "NonZero", "Unique", "NonMaxSuppression",
    "StringSplit", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch",
})  # fmt: skip
"""Always: one scale for all rows, or as many elements in the answer as the rows have together."""

_RANDOM = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial",
})  # fmt: skip
_REDUCTIONS = frozenset({
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
})  # fmt: skip
_AXIS_DEFAULT: Mapping[str, int | None] = {
    "ArgMax": 0, "ArgMin": 0, "Softmax": -1, "LogSoftmax": -1, "Hardmax": -1, "LayerNormalization": -1,
    "RMSNormalization": -1, "LpNormalization": -1, "TopK": -1, "Compress": None,
}  # fmt: skip
"""Operators along one axis, and which one without the attribute: None for all elements."""

_SHAPE_ONLY = frozenset({"Shape", "Size"})
_MOST_NESTED_CALLS = 32
_MOST_NODES = 1_000_000
"""A function of ten calls to a function of ten calls, and so on, is small in the file only."""


class _Scope(NamedTuple):
    """What is known of values inside one graph or function: those that depend on the inputs, and constants."""

    depends: set[str]
    constants: dict[str, Any]
    functions: Mapping[tuple[str, str], Any]
    attributes: Mapping[str, Any]
    """The attributes of the call, inside a function."""
    visited: Counter[str]
    """How many nodes were looked at, those of functions once for each call."""
    depth: int = 0


def why_rows_mix(model: Any) -> str:
    """Return why a model does not answer row by row, as a clause. An empty text means that no operator says so."""
    initial = {tensor.name: tensor for tensor in model.graph.initializer}
    scope = _Scope(
        depends={each.name for each in model.graph.input} - initial.keys(),
        constants=dict(initial),
        functions={(each.domain, each.name): each for each in model.functions},
        attributes={},
        visited=Counter(),
    )
    return _first_mixing(model.graph.node, scope)


def _first_mixing(nodes: Any, scope: _Scope) -> str:
    for node in nodes:
        scope.visited["nodes"] += 1
        if scope.visited["nodes"] > _MOST_NODES:
            return "its graph is too large to look into"
        if node.op_type == "Constant" and node.domain in ONNX_DOMAINS:
            scope.constants.update(_constant(node))
            continue
        clause = _mixing(node, scope)
        if clause:
            return clause
    return ""


def _mixing(node: Any, scope: _Scope) -> str:
    """Return why a node mixes rows, and note which of its outputs depend on the inputs."""
    inner = list(subgraphs_of(node))
    depends = any(name in scope.depends for name in node.input)
    if node.op_type in _RANDOM and (depends or not node.input):
        return f"the operator {node.op_type} draws random numbers"
    function = scope.functions.get((node.domain, node.op_type))
    if function is not None:
        return _in_function(node, function, scope)
    clause = ""
    for graph in inner:
        clause = clause or _in_subgraph(node, graph, scope, depends)
        depends = depends or any(each.name in scope.depends for each in graph.output)
    if depends and node.op_type not in _SHAPE_ONLY:
        scope.depends.update(name for name in node.output if name)
        clause = clause or _own_clause(node, scope)
    return clause


def _in_subgraph(node: Any, graph: Any, scope: _Scope, depends: bool) -> str:
    scope.constants.update({tensor.name: tensor for tensor in graph.initializer})
    if depends and node.op_type != "If":
        scope.depends.update(each.name for each in graph.input)
    return _first_mixing(graph.node, scope)


def _in_function(node: Any, function: Any, scope: _Scope) -> str:
    if scope.depth > _MOST_NESTED_CALLS:
        return f"its functions call each other too deeply to look into {node.op_type}"
    pairs = list(zip(function.input, node.input, strict=False))
    inside = scope._replace(
        depends={formal for formal, actual in pairs if actual in scope.depends},
        constants={formal: scope.constants[actual] for formal, actual in pairs if actual in scope.constants},
        attributes={each.name: each for each in (*function.attribute_proto, *node.attribute)},
        depth=scope.depth + 1,
    )
    clause = _first_mixing(function.node, inside)
    scope.depends.update(
        actual for formal, actual in zip(function.output, node.output, strict=False) if formal in inside.depends
    )
    return clause


def _own_clause(node: Any, scope: _Scope) -> str:
    """Return why a node on values that depend on the inputs mixes rows."""
    kind = node.op_type
    if kind in _OVER_ALL_ROWS:
        return f"the operator {kind} works on all rows together"
    if kind == "StringNormalizer" and _attribute(node, "stopwords", scope) is not None:
        return "the operator StringNormalizer leaves rows out"
    if kind == "MeanVarianceNormalization" and 0 in (_attribute(node, "axes", scope) or (0, 2, 3)):
        return f"the operator {kind} takes its mean over all rows"
    if kind == "BatchNormalization" and _attribute(node, "training_mode", scope):
        return f"the operator {kind} takes its statistics from the rows themselves (training_mode is 1)"
    if kind == "Dropout" and len(node.input) > 2 and node.input[2] and _is_true(node.input[2], scope):
        return "the operator Dropout is in training mode"
    if kind in _REDUCTIONS and _reduces_rows(node, scope):
        return f"the operator {kind} works along the first dimension"
    if kind in _AXIS_DEFAULT and _attribute(node, "axis", scope, _AXIS_DEFAULT[kind]) in (0, None):
        return f"the operator {kind} works along the first dimension"
    if kind == "CumSum" and _is_axis_0(node, 1, scope):
        return "the operator CumSum works along the first dimension"
    return ""


def _reduces_rows(node: Any, scope: _Scope) -> bool:
    axes = _attribute(node, "axes", scope)
    if axes is None and len(node.input) > 1 and node.input[1]:
        value = _value(node.input[1], scope)
        return value is None or 0 in value or not (value or _attribute(node, "noop_with_empty_axes", scope))
    return 0 in axes if axes else not _attribute(node, "noop_with_empty_axes", scope)


def _is_axis_0(node: Any, position: int, scope: _Scope) -> bool:
    value = _value(node.input[position], scope)
    return value is None or 0 in value


def _is_true(name: str, scope: _Scope) -> bool:
    value = _value(name, scope)
    return value is None or any(value)


def _value(name: str, scope: _Scope) -> list[Any] | None:
    """Return the elements of a constant, or None if it is none, or lies in another file."""
    found = scope.constants.get(name)
    if found is None or isinstance(found, list):
        return found
    if found.external_data:
        return None
    elements: list[Any] = numpy_helper.to_array(found).ravel().tolist()
    return elements


def _constant(node: Any) -> dict[str, Any]:
    for each in node.attribute:
        if each.name == "value":
            return {node.output[0]: each.t}
        if each.name in ("value_int", "value_float"):
            return {node.output[0]: [each.i if each.name == "value_int" else each.f]}
        if each.name in ("value_ints", "value_floats"):
            return {node.output[0]: list(each.ints or each.floats)}
    return {}


def _attribute(node: Any, name: str, scope: _Scope, default: Any = None) -> Any:
    """Return an attribute's value. Inside a function it may be one of the call."""
    for each in node.attribute:
        if each.name == name:
            given = scope.attributes.get(each.ref_attr_name) if each.ref_attr_name else each
            if given is None:
                return default
            return list(given.ints or given.strings) if given.type in (7, 8) else given.i
    return default
