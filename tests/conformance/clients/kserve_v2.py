"""kserve.InferenceRESTClient, protocol V2."""

from typing import Any

from kserve import InferenceRESTClient, RESTConfig
from kserve_shared import decode_response, encode_request
from looped import made, wait
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._url = f"http://{http}"
        self._client = wait(made(lambda: InferenceRESTClient(RESTConfig(protocol="v2"))))

    def infer(self, request: Json) -> Json:
        data = encode_request(request, binary_in=request["binary_in"])
        response = wait(
            self._client.infer(self._url, data, model_name=request["route"], headers=dict(request["headers"]))
        )
        return decode_response(response, response.parameters)

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        return wait(getattr(self._client, call)(self._url, *given))
