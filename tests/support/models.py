"""Model versions as they lie in a directory registry, and the artifacts that tests put there."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from onnx import NodeProto, ValueInfoProto, helper, numpy_helper

from loadtests.soak.models import ONNX_OF
from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, TensorSpec
from runtimes.manifest_text import manifest_to_yaml
from runtimes.runtime import Runtime


def write_version(root: Path, model: str, version: str, content: bytes, **manifest: Any) -> Manifest:
    """Write `{root}/{model}/{version}`: the artifact and its `model.yaml`. Return the manifest.

    The artifact is ONNX unless `file` is given and ends otherwise. `manifest` needs `inputs` and `outputs`.
    """
    fields = {"file": "model.onnx", "sha256": hashlib.sha256(content).hexdigest(), **manifest}
    runtime = "onnx" if fields["file"].endswith(".onnx") else "sklearn"
    written = Manifest(**{"runtime": runtime, **fields})
    folder = root / model / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / written.file).write_bytes(content)
    (folder / "model.yaml").write_text(manifest_to_yaml(written))
    return written


def load_one(content: bytes, manifest: Manifest, options: LoadOptions | None = None) -> Runtime:
    """Load a version of one file."""
    return load({manifest.file: content}, manifest, options or LoadOptions())


def onnx_content(
    nodes: Sequence[NodeProto],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    constants: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> bytes:
    """Return an ONNX model of these nodes."""
    values = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "model", list(map(_value, inputs)), list(map(_value, outputs)), values)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def _value(spec: TensorSpec) -> ValueInfoProto:
    shape = [None if size == -1 else size for size in spec.shape]
    return helper.make_tensor_value_info(spec.name, ONNX_OF[spec.datatype], shape)


def pickled(estimator: object) -> bytes:
    """Pickle an estimator together with its class: the process that loads it cannot import the tests."""
    module = sys.modules[type(estimator).__module__]
    if module.__name__ == "builtins":
        return bytes(cloudpickle.dumps(estimator))
    cloudpickle.register_pickle_by_value(module)
    try:
        content: bytes = cloudpickle.dumps(estimator)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    return content
