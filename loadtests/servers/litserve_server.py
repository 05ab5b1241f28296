"""LitServe's side of the comparison: its API class on V2's path, with one worker and no batching.

LitServe predicts in a worker process; `fast_queue` (ZeroMQ instead of a multiprocessing queue) is its documented
setting for speed.
"""

# LitServe lives in an environment of its own, where the type checker does not look.
# mypy: disable-error-code="import-not-found,misc,no-any-unimported"

import sys
from typing import Any

import litserve

from loadtests.servers.onnx_session import model_file, open_session, predict_v2


class OnnxApi(litserve.LitAPI):
    """Serve the benchmark's ONNX model with LitServe."""

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe passes it by name
        """Open the model, in the worker process."""
        self._session: Any = open_session(model_file())

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the one tensor of a V2 request."""
        tensor: dict[str, Any] = request["inputs"][0]
        return tensor

    def predict(self, tensor: dict[str, Any]) -> dict[str, Any]:
        """Run the model."""
        return predict_v2(self._session, tensor)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the V2 response unchanged."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        OnnxApi(api_path="/v2/models/cancer/infer"),
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=True,
        healthcheck_path="/v2/health/ready",
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
