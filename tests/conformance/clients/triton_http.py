"""tritonclient.http, the synchronous client."""

from typing import Any

import tritonclient.http as triton
from triton_shared import http_arguments, http_response
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = triton.InferenceServerClient(http, concurrency=4)

    def infer(self, request: Json) -> Json:
        return http_response(self._client.infer(**http_arguments(triton, request)))

    def infer_many(self, requests: list[Json]) -> list[Json]:
        """Send all requests at once, through `async_infer`."""
        waiting = [self._client.async_infer(**http_arguments(triton, request)) for request in requests]
        return [http_response(each.get_result()) for each in waiting]

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        return getattr(self._client, call)(*given)
