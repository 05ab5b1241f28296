"""tritonclient.http, the synchronous client."""

from typing import Any

import tritonclient.http as triton
from triton_shared import http_answer, http_arguments
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = triton.InferenceServerClient(http, concurrency=4)

    def infer(self, ask: Json) -> Json:
        return http_answer(self._client.infer(**http_arguments(triton, ask)))

    def infer_many(self, asks: list[Json]) -> list[Json]:
        """All at once, through `async_infer`."""
        waiting = [self._client.async_infer(**http_arguments(triton, ask)) for ask in asks]
        return [http_answer(each.get_result()) for each in waiting]

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        return getattr(self._client, call)(*given)
