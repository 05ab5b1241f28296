"""MLflow's own scoring server, on ports of its own, with models that the tests send."""

import base64
import pickle
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import requests
import uvicorn
from mlflow.models import ModelSignature
from mlflow.pyfunc import load_model, scoring_server
from mlflow.types import ColSpec, Schema, TensorSpec

_START_S = 60


class Client:
    def __init__(self, _http: str, _grpc: str) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._urls: dict[str, str] = {}

    def serve(self, name: str, flavour: str, content: str, columns: list[list[str]], tensors: list[list[Any]]) -> None:
        """Save a model in MLflow's format, and serve it."""
        specs = [ColSpec(kind, column) for column, kind in columns] + [
            TensorSpec(np.dtype(kind), tuple(shape), tensor) for tensor, kind, shape in tensors
        ]
        path, artifact = str(self._folder / name), base64.b64decode(content)
        signature = ModelSignature(inputs=Schema(specs))
        if flavour == "onnx":
            mlflow.onnx.save_model(onnx.load_from_string(artifact), path, signature=signature)
        else:
            estimator = pickle.loads(artifact)  # noqa: S301  # the tests made it
            mlflow.sklearn.save_model(estimator, path, signature=signature, serialization_format="cloudpickle")
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(scoring_server.init(load_model(path)), port=port, log_level="error"))
        threading.Thread(target=server.run, daemon=True).start()
        until_s = time.monotonic() + _START_S
        while not server.started and time.monotonic() < until_s:
            time.sleep(0.01)
        self._urls[name] = f"http://127.0.0.1:{port}"

    def ask(self, name: str, method: str, path: str, content: str, kind: str) -> list[Any]:
        """Send a request. Return the status and the text of the response."""
        body = base64.b64decode(content) if method == "POST" else None
        response = requests.request(
            method, self._urls[name] + path, data=body, headers={"content-type": kind}, timeout=60
        )
        return [response.status_code, response.text]
