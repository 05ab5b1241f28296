"""Ray Serve as its documentation composes models: Serve's proxy, a FastAPI ingress, and a model called by handle.

With `--tuned` each replica accepts 100 ongoing requests instead of the default of five.
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
    """The deployment that gets requests from Serve's proxy."""

    def __init__(self, model: DeploymentHandle[Any]) -> None:
        """Keep the model's handle."""
        self._model = model

    @application.get("/v2/health/ready")
    async def ready(self) -> dict[str, bool]:
        """Report that this replica runs."""
        return {"ready": True}

    @application.post("/v2/models/cancer/infer")
    async def infer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Call the model."""
        response: dict[str, Any] = await self._model.predict.remote(request["inputs"][0])
        return response


def main(port: int, tuned: bool) -> None:
    """Start a local cluster, serve on it, and stop it on SIGINT or SIGTERM."""
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
