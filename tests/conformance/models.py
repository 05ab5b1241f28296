"""The models of the conformance tests, as ONNX, in a directory registry; and the routes to them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from runtimes.manifest import Manifest, TensorSpec, manifest_to_yaml

_ONNX_OF = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}
DATATYPES = tuple(_ONNX_OF)
SHAPES: dict[str, tuple[int, ...]] = {"list": (-1,), "scalar": (), "grid": (-1, -1), "fixed": (2, 3)}
SHAPED = ("FP32", "INT64", "BOOL", "BYTES")
"""The datatypes that exist in every shape; all others as rows of three only."""

COLOURS = ("red", "green", "blue")
WEIGHTS = {
    "1": np.array([[0.1, 0.7, -1.3], [2.1, -0.3, 0.9]], np.float32),
    "2": np.array([[-0.4, 0.2, 1.1], [0.6, 1.7, -2.2]], np.float32),
}


def rows_of(datatype: str) -> str:
    """The route that answers rows of three as they are."""
    return f"rows-{datatype.lower()}"


def publish(root: Path) -> list[dict[str, Any]]:
    """Writes every model and returns the documents of the routes."""
    routes = []
    for datatype in DATATYPES:
        _identity(root, rows_of(datatype), datatype, (-1, 3))
        routes.append(rows_of(datatype))
    for shape, dimensions in SHAPES.items():
        for datatype in SHAPED:
            name = f"{shape}-{datatype.lower()}"
            _identity(root, name, datatype, dimensions)
            routes.append(name)
    _several(root)
    _same(root)
    _colours(root)
    routes += ["several", "same"]
    plain = [{"route": name, "arms": {"only": f"{name}:1"}, "split": {"only": "100%"}} for name in routes]
    colours = {
        "route": "colours",
        "arms": {"stable": "colours@champion", "canary": "colours:2"},
        "split": {"stable": "100%", "canary": "0%"},
    }
    return [*plain, colours]


def _identity(root: Path, model: str, datatype: str, shape: tuple[int, ...]) -> None:
    spec = TensorSpec("X", datatype, shape)
    _write(root, model, "1", [helper.make_node("Identity", ["X"], ["Y"])], (spec,), (TensorSpec("Y", datatype, shape),))


def _several(root: Path) -> None:
    """Three inputs; five outputs, no two of which could be taken for each other."""
    inputs = (TensorSpec("A", "FP32", (-1, 2)), TensorSpec("B", "INT64", (-1,)), TensorSpec("C", "BYTES", (-1, 1)))
    outputs = (
        TensorSpec("twice", "FP32", (-1, 2)),
        TensorSpec("negative", "INT64", (-1,)),
        TensorSpec("text", "BYTES", (-1, 1)),
        TensorSpec("positive", "BOOL", (-1,)),
        TensorSpec("double", "FP64", (-1, 2)),
    )
    nodes = [
        helper.make_node("Add", ["A", "A"], ["twice"]),
        helper.make_node("Neg", ["B"], ["negative"]),
        helper.make_node("Identity", ["C"], ["text"]),
        helper.make_node("Greater", ["B", "zero"], ["positive"]),
        helper.make_node("Cast", ["A"], ["double"], to=TensorProto.DOUBLE),
    ]
    _write(root, "several", "1", nodes, inputs, outputs, {"zero": np.array(0, np.int64)})


def _same(root: Path) -> None:
    """Whether two lists of bytes hold the same. ONNX Runtime takes bytes that are no text, but cannot answer them."""
    inputs = (TensorSpec("A", "BYTES", (-1,)), TensorSpec("B", "BYTES", (-1,)))
    nodes = [helper.make_node("Equal", ["A", "B"], ["Y"])]
    _write(root, "same", "1", nodes, inputs, (TensorSpec("Y", "BOOL", (-1,)),))


def _colours(root: Path) -> None:
    """A classifier of two versions: softmax(X W), and the index of the largest."""
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    inputs = (TensorSpec("X", "FP32", (-1, 2), ("width", "height")),)
    outputs = (TensorSpec("scores", "FP32", (-1, 3), COLOURS), TensorSpec("label", "INT64", (-1,)))
    for version, weights in WEIGHTS.items():
        _write(root, "colours", version, nodes, inputs, outputs, {"W": weights})
    (root / "colours" / "aliases.yaml").write_text("champion: '1'\n")


def _write(
    root: Path,
    model: str,
    version: str,
    nodes: Sequence[NodeProto],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
) -> None:
    values = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, model, list(map(_value, inputs)), list(map(_value, outputs)), values)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    content = made.SerializeToString()
    folder = root / model / version
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    manifest = Manifest(
        runtime="onnx",
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=inputs,
        outputs=outputs,
    )
    (folder / "model.yaml").write_text(manifest_to_yaml(manifest))


def _value(spec: TensorSpec) -> Any:
    return helper.make_tensor_value_info(
        spec.name, _ONNX_OF[spec.datatype], [None if size == -1 else size for size in spec.shape]
    )
