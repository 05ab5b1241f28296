"""kserve.InferenceGRPCClient. Without `binary_in` it sends typed contents."""

from typing import Any

from kserve import InferenceGRPCClient
from kserve_shared import answer, request
from looped import made, wait
from wire import Json


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = wait(made(lambda: InferenceGRPCClient(grpc, retries=0)))

    def infer(self, ask: Json) -> Json:
        data = request({**ask, "binary_out": False}, binary_in=ask["binary_in"])
        said = wait(self._client.infer(data, headers=tuple(ask["headers"].items())))
        parameters = {
            name: getattr(value, value.WhichOneof("parameter_choice"))
            for name, value in said.parameters.items()
            if value.WhichOneof("parameter_choice") is not None
        }
        return answer(said, parameters)

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        return wait(getattr(self._client, call)(*given))
