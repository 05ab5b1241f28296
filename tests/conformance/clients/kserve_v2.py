"""kserve.InferenceRESTClient, protocol V2."""

from typing import Any

from kserve import InferenceRESTClient, RESTConfig
from kserve_shared import answer, request
from looped import made, wait
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._url = f"http://{http}"
        self._client = wait(made(lambda: InferenceRESTClient(RESTConfig(protocol="v2"))))

    def infer(self, ask: Json) -> Json:
        data = request(ask, binary_in=ask["binary_in"])
        said = wait(self._client.infer(self._url, data, model_name=ask["route"], headers=dict(ask["headers"])))
        return answer(said, said.parameters)

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        return wait(getattr(self._client, call)(self._url, *given))
