"""The benchmark's own model, `wide`: a megabyte in, one number out.

It does next to nothing with its input, so a measurement shows how fast the bytes reach the model.
"""

import hashlib
from pathlib import Path
from typing import Final

from runtimes.manifest import MANIFEST, Manifest, TensorSpec
from runtimes.manifest_text import manifest_to_yaml

WIDE: Final = "wide"
WIDE_COLUMNS: Final = 262_144
"""FP32 numbers that make one megabyte (2^20 bytes)."""

_OPSET: Final = 17
_IR_VERSION: Final = 8


def write_wide(models: Path) -> Path:
    """Write version 1 of the model into a registry folder, unless it exists, and return its file.

    The manifest is written last, because it makes the version complete.
    """
    folder = models / WIDE / "1"
    file = folder / "model.onnx"
    if (folder / MANIFEST).exists():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    content = wide_model()
    file.write_bytes(content)
    manifest = Manifest(
        runtime="onnx",
        file=file.name,
        sha256=hashlib.sha256(content).hexdigest(),
        inputs=(TensorSpec("X", "FP32", (-1, WIDE_COLUMNS)),),
        outputs=(TensorSpec("mean", "FP32", (-1, 1)),),
        description="mean of each row; made to measure large requests",
    )
    (folder / MANIFEST).write_text(manifest_to_yaml(manifest))
    return file


def wide_model() -> bytes:
    """Return the ONNX model, which computes the mean of each row."""
    from onnx import TensorProto, helper  # slow to import, and only needed on the first run

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["X"], ["mean"], axes=[1], keepdims=1)],
        WIDE,
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, WIDE_COLUMNS])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
