"""The models of the conformance tests in a directory registry, and the routes to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from runtimes.manifest import TensorSpec
from tests.support.models import ONNX_OF, onnx_content, write_version

DATATYPES = tuple(ONNX_OF)
SHAPES: dict[str, tuple[int, ...]] = {"list": (-1,), "scalar": (), "grid": (-1, -1), "fixed": (2, 3)}
SHAPED = ("FP32", "INT64", "BOOL", "BYTES")
"""The datatypes that exist in every shape; all others as rows of three only."""

COLOURS = ("red", "green", "blue")
WEIGHTS = {
    "1": np.array([[0.1, 0.7, -1.3], [2.1, -0.3, 0.9]], np.float32),
    "2": np.array([[-0.4, 0.2, 1.1], [0.6, 1.7, -2.2]], np.float32),
}


def rows_of(datatype: str) -> str:
    """Return the name of the route that answers rows of three as they are."""
    return f"rows-{datatype.lower()}"


def publish(root: Path) -> list[dict[str, Any]]:
    """Write every model. Return the declarations of the routes to them."""
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
    """Write a model with three inputs and five outputs, no two of which could be mistaken for each other."""
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
    _write(root, "several", "1", nodes, inputs, outputs, zero=np.array(0, np.int64))


def _same(root: Path) -> None:
    """Write a model that compares two lists of bytes. ONNX Runtime takes bytes that are no text, but cannot return
    them.
    """
    inputs = (TensorSpec("A", "BYTES", (-1,)), TensorSpec("B", "BYTES", (-1,)))
    nodes = [helper.make_node("Equal", ["A", "B"], ["Y"])]
    _write(root, "same", "1", nodes, inputs, (TensorSpec("Y", "BOOL", (-1,)),))


def _colours(root: Path) -> None:
    """Write a classifier in two versions: softmax(X W), and the index of the largest."""
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    inputs = (TensorSpec("X", "FP32", (-1, 2), ("width", "height")),)
    outputs = (TensorSpec("scores", "FP32", (-1, 3), COLOURS), TensorSpec("label", "INT64", (-1,)))
    for version, weights in WEIGHTS.items():
        _write(root, "colours", version, nodes, inputs, outputs, W=weights)
    (root / "colours" / "aliases.yaml").write_text("champion: '1'\n")


def _write(
    root: Path,
    model: str,
    version: str,
    nodes: Sequence[NodeProto],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    **constants: np.ndarray[Any, Any],
) -> None:
    content = onnx_content(nodes, inputs, outputs, constants)
    write_version(root, model, version, content, inputs=inputs, outputs=outputs)
