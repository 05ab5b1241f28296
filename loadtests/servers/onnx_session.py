"""The model as every compared server runs it: the same session options, the same arrays in and out.

Servers import this module in their own environments, so it needs only NumPy and ONNX Runtime.
"""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

MODEL_FILE_VARIABLE: Final = "BENCH_MODEL_FILE"
OUTPUT_NAMES: Final = ("label", "probabilities")
DATATYPES: Final = {"label": "INT64", "probabilities": "FP32"}
NUMPY_OF: Final = {"INT64": np.int64, "FP32": np.float32}


def model_file() -> Path:
    """Return the model file that the benchmark names in the environment."""
    value = os.environ.get(MODEL_FILE_VARIABLE)
    if not value:
        raise RuntimeError(f"Set {MODEL_FILE_VARIABLE} to the ONNX file that this server is to serve.")
    return Path(value)


def open_session(path: Path) -> ort.InferenceSession:
    """Open the model with one thread, so that no server gets more of the machine than another."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, rows: np.ndarray[Any, np.dtype[np.float32]]) -> list[Any]:
    """Run the model. Return the arrays in the order of OUTPUT_NAMES."""
    return list(session.run(list(OUTPUT_NAMES), {"X": rows}))


def predict_v2(session: ort.InferenceSession, tensor: dict[str, Any]) -> dict[str, Any]:
    """Return the V2 response to a request's one tensor, for servers that do not support V2 themselves."""
    rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    outputs = [
        {"name": name, "datatype": DATATYPES[name], "shape": list(array.shape), "data": array.ravel().tolist()}
        for name, array in zip(OUTPUT_NAMES, run(session, rows), strict=True)
    ]
    return {"model_name": "cancer", "outputs": outputs}
