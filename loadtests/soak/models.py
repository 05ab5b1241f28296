"""Models of every datatype: one answers what it gets, one answers a single element very many times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from loadtests.onnx_version import write_onnx_version
from runtimes.manifest import TensorSpec

ONNX_OF: Final = {
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
"""ONNX's name of each datatype of the protocol."""

REPEATED: Final = 2_000_000
"""How often the models of large responses answer their element: 2 to 16 MB, or 4 to 20 MB of JSON."""
REPEATED_BYTES: Final = 250_000
"""The same for BYTES. ONNX Runtime keeps the memory of the most elements that a model ever answered: 700 bytes each."""


def echo(datatype: str) -> str:
    """Return the route that answers what it gets."""
    return f"echo-{datatype.lower()}"


def repeat(datatype: str) -> str:
    """Return the route that answers its element `REPEATED` times."""
    return f"repeat-{datatype.lower()}"


def publish(root: Path, datatypes: Sequence[str]) -> list[dict[str, Any]]:
    """Write the models and return the declarations of the routes to them."""
    routes = []
    for datatype in datatypes:
        _write(root, echo(datatype), datatype, [helper.make_node("Identity", ["X"], ["Y"])], [])
        count = REPEATED_BYTES if datatype == "BYTES" else REPEATED
        shape = numpy_helper.from_array(np.array([count], np.int64), "count")
        zero = helper.make_tensor("zero", TensorProto.INT32, [1], [0])
        nodes = [
            helper.make_node("ConstantOfShape", ["count"], ["at"], value=zero),
            helper.make_node("Gather", ["X", "at"], ["Y"], axis=1),
        ]
        _write(root, repeat(datatype), datatype, nodes, [shape])
        routes += [echo(datatype), repeat(datatype)]
    return [{"route": name, "arms": {"only": f"{name}:1"}, "split": {"only": "100%"}} for name in routes]


def _write(root: Path, model: str, datatype: str, nodes: list[NodeProto], constants: list[TensorProto]) -> None:
    given, got = (helper.make_tensor_value_info(name, ONNX_OF[datatype], [None, None]) for name in ("X", "Y"))
    graph = helper.make_graph(nodes, model, [given], [got], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    content: bytes = made.SerializeToString()
    write_onnx_version(
        root / model / "1",
        content,
        inputs=(TensorSpec("X", datatype, (-1, -1)),),
        outputs=(TensorSpec("Y", datatype, (-1, -1)),),
        max_batch=1,  # or else warming up takes 64 times the memory of a response
    )
