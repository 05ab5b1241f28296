"""Ray Serve as its documentation composes models: FastAPI ingress, model deployment by handle, Serve's proxy. Acts.

`--tuned` lets the deployments take as many requests at once as the load has connections, where the default is five.
"""

import signal
import sys
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from loadtests.servers.onnx_session import model_file, open_session, predict_v2

_TUNED_ONGOING_REQUESTS = 100

application = FastAPI()


@serve.deployment
class Cancer:
    """The model, in a replica of its own."""

    def __init__(self) -> None:
        """Open the model."""
        self._session = open_session(model_file())

    async def predict(self, tensor: dict[str, Any]) -> dict[str, Any]:
        """Predict on the replica's event loop."""
        return predict_v2(self._session, tensor)


@serve.deployment
@serve.ingress(application)
class Ingress:
    """What Serve's proxy hands requests to."""

    def __init__(self, model: DeploymentHandle[Any]) -> None:
        """Remember the model's handle."""
        self._model = model

    @application.get("/v2/health/ready")
    async def ready(self) -> dict[str, bool]:
        """Answer once this replica runs."""
        return {"ready": True}

    @application.post("/v2/models/cancer/infer")
    async def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the model."""
        answer: dict[str, Any] = await self._model.predict.remote(request["inputs"][0])
        return answer


def main(port: int, tuned: bool) -> None:
    """Start a cluster of this machine's own, serve on it, and end it when asked to."""
    ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        log_to_driver=False,
        num_gpus=0,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    options = {"max_ongoing_requests": _TUNED_ONGOING_REQUESTS} if tuned else {}
    model: Any = Cancer.options(**options)  # type: ignore[attr-defined]  # Serve's decorator hides its type
    ingress: Any = Ingress.options(**options)  # type: ignore[attr-defined]  # as above
    serve.run(ingress.bind(model.bind()), name="composition", route_prefix="/")
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(int(sys.argv[1]), "--tuned" in sys.argv)
