"""tritonclient.http.aio."""

import asyncio
from typing import Any

import tritonclient.http.aio as triton
from looped import made, wait
from triton_shared import http_arguments, http_response
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = wait(made(lambda: triton.InferenceServerClient(http)))

    def infer(self, request: Json) -> Json:
        return http_response(wait(self._client.infer(**http_arguments(triton, request))))

    def infer_many(self, requests: list[Json]) -> list[Json]:
        """Send all requests at once."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(
                *(self._client.infer(**http_arguments(triton, request)) for request in requests)
            )

        return [http_response(each) for each in wait(gathered())]

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        return wait(getattr(self._client, call)(*given))
