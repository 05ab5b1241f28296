"""kserve.InferenceRESTClient, protocol V1."""

from typing import Any

from kserve import InferenceRESTClient, RESTConfig
from looped import made, wait
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._url = f"http://{http}"
        self._client = wait(made(lambda: InferenceRESTClient(RESTConfig(protocol="v1"))))

    def predict(self, route: str, body: Json, headers: Json) -> Any:
        return wait(self._client.infer(self._url, body, model_name=route, headers=headers))

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        return wait(getattr(self._client, call)(self._url, *given))
