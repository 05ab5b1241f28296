"""Triton's side of the comparison: a model of its Python backend.

`loadtests/targets/triton.py` copies this file and `onnx_session.py` into Triton's model repository, where the backend
looks for modules.
"""

# Triton's modules exist only inside its Python backend, where the type checker does not look.
# mypy: disable-error-code="import-not-found,misc,no-any-unimported"

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as backend
from onnx_session import open_session


class TritonPythonModel:
    """Serve an ONNX model with Triton. The backend requires this class name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model that the configuration names."""
        config = json.loads(args["model_config"])
        self._session: Any = open_session(Path(config["parameters"]["file"]["string_value"]))
        self._outputs = [output["name"] for output in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Predict for each request of a group from Triton."""
        return [self._predict(request) for request in requests]

    def _predict(self, request: Any) -> Any:
        rows = backend.get_input_tensor_by_name(request, "X").as_numpy()
        arrays = self._session.run(self._outputs, {"X": rows})
        tensors = [backend.Tensor(name, array) for name, array in zip(self._outputs, arrays, strict=True)]
        return backend.InferenceResponse(tensors)
