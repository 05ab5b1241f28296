"""The signature of a loaded ONNX model: the graph's word, where it is certain, for the tensors that the manifest names.

ONNX Runtime rejects inputs whose rank or fixed dimensions differ from the graph, so the graph's word on inputs is
certain. It answers whatever comes, so the graph's word on the shape of outputs is not: the manifest's is taken, and the
warm-up holds it against real answers.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from runtimes.adapted import difference
from runtimes.errors import ModelRefused
from runtimes.manifest import Signature, TensorSpec
from runtimes.onnx.graph import Value
from runtimes.onnx.node_types import node_type


def own_signature(seen: Signature, session: Any, graph: Mapping[str, Value]) -> Signature:
    """Return the model's own signature, with the names that callers see. `graph` has the inputs by name.

    Raises:
        ModelRefused: the manifest names a tensor that the model does not have, or not one that the model needs; or the
            model cannot answer the callers of `seen`.
    """
    inputs = _by_name("input", seen.inputs, session.get_inputs(), session.get_overridable_initializers())
    outputs = _by_name("output", seen.outputs, session.get_outputs())
    taken = tuple(_taken(spec, inputs[spec.own_name], graph.get(spec.own_name)) for spec in seen.inputs)
    takes_one = seen.takes_several and not Signature(taken, seen.outputs, seen.batch).takes_several
    given = tuple(_given(spec, outputs[spec.own_name], takes_one=takes_one) for spec in seen.outputs)
    own = Signature(taken, given, seen.batch)
    clause = difference(own, seen)
    if clause:
        raise ModelRefused(f"The model is not what model.yaml says: {clause}.")
    return own


def _by_name(kind: str, specs: tuple[TensorSpec, ...], needed: Any, further: Any = ()) -> dict[str, Any]:
    """Return the model's inputs or outputs by name. Outputs may be left out."""
    nodes = {node.name: node for node in (*needed, *further)}
    named = {spec.own_name for spec in specs}
    unknown = [spec.own_name for spec in specs if spec.own_name not in nodes]
    missing = {node.name for node in needed} - named if kind == "input" else set()
    if unknown or missing:
        raise ModelRefused(
            f"model.yaml declares the {kind}s {', '.join(spec.own_name for spec in specs)}; "
            f"the model has {', '.join(nodes)}. "
            "(A tensor that has another name for callers has its name in the model as `source`.)"
        )
    return nodes


def _datatype(kind: str, spec: TensorSpec, node: Any) -> str:
    found = node_type(node.type)
    if found is None or (kind == "input" and found.kind != "tensor"):
        raise ModelRefused(
            f"The {kind} {spec.own_name} is {node.type}, which cannot be a tensor."
            + " Leave it out of model.yaml." * (kind == "output")
        )
    return found.datatype


def _taken(spec: TensorSpec, node: Any, value: Value | None) -> TensorSpec:
    """Return an input as the model takes it: a fixed dimension is the graph's, another one what the manifest says."""
    shape = spec.shape
    if value is not None and value.shape is not None:
        graph = value.shape
        if len(graph) == len(shape):
            # A dimension behind the first may vary for callers though the graph has a number: the model then refuses
            # the requests, if it does at all.
            shape = tuple(
                size if position == 0 and isinstance(size, int) and size > 0 else _meet(said, size)
                for position, (said, size) in enumerate(zip(shape, graph, strict=True))
            )
        else:
            shape = tuple(size if isinstance(size, int) else -1 for size in graph)
    return msgspec.structs.replace(spec, datatype=_datatype("input", spec, node), shape=shape)


def _meet(said: int, graph: int | str) -> int:
    return graph if isinstance(graph, int) and graph > 0 and said != -1 else said


def _given(spec: TensorSpec, node: Any, *, takes_one: bool) -> TensorSpec:
    """Return an output as the model gives it. A model that takes one instance at a time answers one."""
    shape = (1, *spec.shape[1:]) if takes_one and spec.shape[:1] == (-1,) else spec.shape
    return msgspec.structs.replace(spec, datatype=_datatype("output", spec, node), shape=shape)
