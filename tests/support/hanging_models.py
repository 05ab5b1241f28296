"""Models that are slow or without end where a good one is quick, with the signature of `tests.support.linear`."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from runtimes.manifest import TensorSpec
from tests.support.models import onnx_content, pickled, write_version

LINEAR_INPUTS = (TensorSpec("X", "FP32", (-1, 4)),)
_PIECE_BYTES = 1 << 20
LINEAR_OUTPUTS = (TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2)))


def endless_onnx() -> bytes:
    """Return a valid model whose first run does not end: a Loop of 2^63 - 1 rounds."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["held"], ["held_on"])],
        "body",
        [
            value("round", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("held", TensorProto.FLOAT, []),
        ],
        [value("go_on", TensorProto.BOOL, []), value("held_on", TensorProto.FLOAT, [])],
    )
    nodes = [
        helper.make_node("Loop", ["rounds", "true", "zero"], ["end"], body=body),
        helper.make_node("MatMul", ["X", "W"], ["product"]),
        helper.make_node("Add", ["product", "end"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    constants = {
        "rounds": np.array(2**63 - 1),
        "true": np.array(True),
        "zero": np.array(0, "f4"),
        "W": np.ones((4, 2), "f4"),
    }
    return onnx_content(nodes, LINEAR_INPUTS, LINEAR_OUTPUTS, constants)


def publish_endless(root: Path, model: str, version: str) -> None:
    """Write a version whose warm-up does not end."""
    write_version(root, model, version, endless_onnx(), inputs=LINEAR_INPUTS, outputs=LINEAR_OUTPUTS)


class SlowToLoad:
    """An estimator that sleeps while it is read. It predicts the first feature."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Sleep, and take the state."""
        self.__dict__.update(state)
        time.sleep(self.seconds)

    def predict(self, features: Any) -> Any:
        """Return the first feature."""
        return features[:, 0]


def publish_slow(root: Path, model: str, version: str, seconds: float, **manifest: Any) -> None:
    """Write a version that takes this long each time that it is read. It is a pickle."""
    outputs = (TensorSpec("y", "FP32", (-1,)),)
    content = pickled(SlowToLoad(seconds))
    write_version(root, model, version, content, file="model.pkl", inputs=LINEAR_INPUTS, outputs=outputs, **manifest)


def skops_bomb(size_bytes: int) -> bytes:
    """Return a file of skops with a member of blanks, which are a two-hundredth of that when they are compressed."""
    import skops.io
    from sklearn.linear_model import LinearRegression

    good, blanks = skops.io.dumps(LinearRegression().fit(np.eye(4), np.ones(4))), b" " * _PIECE_BYTES
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(good)) as source,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for name in source.namelist():
            with target.open(name, "w", force_zip64=True) as member:
                member.write(source.read(name))
                for _ in range(size_bytes // _PIECE_BYTES if name == "schema.json" else 0):
                    member.write(blanks)
    return made.getvalue()


def publish_bomb(root: Path, model: str, version: str, size_bytes: int) -> None:
    """Write a version that is very much larger in memory than on the disk."""
    content, outputs = skops_bomb(size_bytes), (TensorSpec("y", "FP64", (-1,)),)
    write_version(root, model, version, content, file="model.skops", inputs=LINEAR_INPUTS, outputs=outputs)
