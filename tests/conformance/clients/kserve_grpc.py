"""kserve.InferenceGRPCClient. Without `binary_in` it sends typed contents."""

from typing import Any

from kserve import InferenceGRPCClient
from kserve_shared import decode_response, encode_request
from looped import made, wait
from wire import Json


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = wait(made(lambda: InferenceGRPCClient(grpc, retries=0)))

    def infer(self, request: Json) -> Json:
        data = encode_request({**request, "binary_out": False}, binary_in=request["binary_in"])
        response = wait(self._client.infer(data, headers=tuple(request["headers"].items())))
        parameters = {
            name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in response.parameters.items()
            if value.WhichOneof("parameter_choice") is not None
        }
        return decode_response(response, parameters)

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        return wait(getattr(self._client, call)(*given))
