"""A registry of tiny ONNX models whose answers are known: the input times a matrix."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from runtimes.manifest import TensorSpec
from tests.support.models import onnx_content, write_version

WEIGHTS = {"1": np.arange(8, dtype="f4").reshape(4, 2) / 8, "2": -np.arange(8, dtype="f4").reshape(4, 2) / 8}
"""Those of the versions of model `linear`."""


def publish(root: Path, model: str, version: str, weights: np.ndarray[Any, Any]) -> None:
    """Write `scores = X @ weights` and `label = argmax(scores)` as a version of a directory registry."""
    nodes = [
        helper.make_node("MatMul", ["X", "W"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    inputs = (TensorSpec("X", "FP32", (-1, weights.shape[0])),)
    outputs = (TensorSpec("label", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2)))
    content = onnx_content(nodes, inputs, outputs, {"W": weights})
    write_version(root, model, version, content, inputs=inputs, outputs=outputs)


def fill(root: Path) -> Path:
    """Write models linear (versions 1 and 2, aliases), wide (another signature) and damaged (cannot be loaded)."""
    for version, weights in WEIGHTS.items():
        publish(root, "linear", version, weights)
    (root / "linear" / "aliases.yaml").write_text("champion: '1'\nchallenger: '2'\n")
    publish(root, "wide", "1", np.ones((5, 2), "f4"))
    publish(root, "damaged", "1", WEIGHTS["1"])
    (root / "damaged" / "1" / "model.onnx").write_bytes(b"not what the manifest pins")
    return root
