"""KServe's side of the comparison: its model server with a custom model and one worker.

KServe reads its options from the command line: --http_port, --enable_grpc, --enable_latency_logging, ...
"""

# KServe lives in an environment of its own, where the type checker does not look.
# mypy: disable-error-code="import-not-found,misc,no-any-unimported"

from typing import Any

import uvicorn
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.protocol.rest import server as rest_server

from loadtests.servers.onnx_session import DATATYPES, OUTPUT_NAMES, model_file, open_session, run


class OnnxModel(Model):
    """Serve the benchmark's ONNX model with KServe."""

    def __init__(self) -> None:
        """Open the model."""
        super().__init__("cancer")
        self._session = open_session(model_file())
        self.ready = True

    def predict(self, payload: InferRequest, _headers: dict[str, str] | None = None) -> InferResponse:
        """Predict on KServe's own event loop."""
        arrays = run(self._session, payload.inputs[0].as_numpy())
        outputs = [
            InferOutput(name, list(array.shape), DATATYPES[name], array.ravel().tolist())
            for name, array in zip(OUTPUT_NAMES, arrays, strict=True)
        ]
        return InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=outputs)


class LoopbackConfig(uvicorn.Config):
    """uvicorn's configuration with the loopback address. KServe has no option for it and listens on all interfaces."""

    def __init__(self, app: Any, **options: Any) -> None:
        """Replace only the address."""
        super().__init__(app, **{**options, "host": "127.0.0.1"})


if __name__ == "__main__":
    rest_server.uvicorn.Config = LoopbackConfig
    ModelServer().start([OnnxModel()])
