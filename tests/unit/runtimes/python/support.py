"""Versions that are Python code."""

import hashlib
import sys
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

from runtimes.load import load
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest, PinnedFile, TensorSpec
from runtimes.runtime import Runtime

ALLOWED = LoadOptions(allow_code=True)
X = (TensorSpec("x", "FP32", (-1, 2)),)
SUM = (TensorSpec("sum", "FP32", (-1,)),)

ADDS = """
    class Model:
        inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        outputs = [{"name": "sum", "datatype": "FP32", "shape": [-1]}]

        def __init__(self, folder):
            self.folder = folder

        def predict(self, inputs):
            return {"sum": inputs["x"].sum(axis=1)}
"""


def files_of(source: str, more: Mapping[str, bytes] | None = None, file: str = "model.py") -> dict[str, bytes]:
    return {file: dedent(source).encode(), **(more or {})}


def manifest_of(files: Mapping[str, bytes], file: str = "model.py", **change: Any) -> Manifest:
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    fields: dict[str, Any] = {
        "runtime": "python",
        "file": file,
        "sha256": digests[file],
        "files": tuple(PinnedFile(path, digest) for path, digest in digests.items() if path != file),
        "inputs": X,
        "outputs": SUM,
        "placement": "process",
        **change,
    }
    return Manifest(**fields)


def load_python(
    source: str, more: Mapping[str, bytes] | None = None, options: LoadOptions = ALLOWED, **change: Any
) -> Runtime:
    """Load a version in this process. What it put into `sys` is taken out again."""
    files = files_of(source, more, change.get("file", "model.py"))
    path, modules = list(sys.path), set(sys.modules)
    try:
        return load(files, manifest_of(files, **change), options)
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name not in modules and name.split(".")[0] in MODULES]:
            del sys.modules[name]


MODULES = ("model", "helper", "pack", "pointsman_model_model")
