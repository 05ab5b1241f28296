"""The graph of an ONNX model: its own word on inputs and outputs, and every tensor and node in it.

The graph is parsed by the `onnx` package, which gives back its memory as soon as it was read: the weights are in it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import onnx

from runtimes.errors import ModelRefused

ONNX_DOMAINS = ("", "ai.onnx")
"""The two names of the domain of ONNX's own operators."""

_ORT_FORMAT = b"ORTM"
"""What begins at byte 4 of a model in ONNX Runtime's own format."""


class Value(NamedTuple):
    """An input or output as the graph describes it. `shape` is None if the graph says nothing about it.

    A dimension is a number, a name, or an empty name.
    """

    name: str
    shape: tuple[int | str, ...] | None


def parse_graph(content: bytes) -> onnx.ModelProto:
    """Read a model.

    Raises:
        ModelRefused: the bytes are not an ONNX model.
    """
    if content[4:8] == _ORT_FORMAT:
        raise ModelRefused("The file is in ONNX Runtime's own format (.ort). Publish the ONNX model it was made from.")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, which has no stable name
        raise ModelRefused(
            f"ONNX Runtime cannot load the file, which is no ONNX model or not all of it: {error}."
        ) from error
    if not model.graph.node and not model.graph.output:
        raise ModelRefused(
            "ONNX Runtime cannot load the file, which is no ONNX model or not all of it: it has no graph."
        )
    return model


def values_of(infos: Any) -> dict[str, Value]:
    """Return the inputs or outputs of a graph by name."""
    return {info.name: Value(info.name, _shape(info.type)) for info in infos}


def _shape(kind: Any) -> tuple[int | str, ...] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param
        for dim in kind.tensor_type.shape.dim
    )


def _nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        yield node
        for graph in subgraphs_of(node):
            yield from _nodes(graph.node)


def subgraphs_of(node: Any) -> Iterator[Any]:
    """Yield the graphs in a node's attributes: branches and bodies."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def inner_tensors(model: Any) -> Iterator[Any]:
    """Yield every tensor but the initializers of the main graph: those of subgraphs, of nodes, and sparse ones."""
    yield from _sparse(model.graph.sparse_initializer)
    for training in model.training_info:
        for graph in (training.initialization, training.algorithm):
            yield from graph.initializer
            yield from _sparse(graph.sparse_initializer)
            yield from _of_nodes(graph.node)
    for part in (model.graph, *model.functions):
        yield from _of_nodes(part.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in _nodes(nodes):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                yield from _sparse((attribute.sparse_tensor,))
            yield from _sparse(attribute.sparse_tensors)
        for graph in subgraphs_of(node):
            yield from graph.initializer
            yield from _sparse(graph.sparse_initializer)


def _sparse(tensors: Any) -> Iterator[Any]:
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices
