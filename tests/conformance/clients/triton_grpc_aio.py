"""tritonclient.grpc.aio."""

import asyncio
from typing import Any

import tritonclient.grpc.aio as triton
from looped import made, wait
from triton_shared import grpc_arguments, grpc_response, streamed_arguments
from wire import Json


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = wait(made(lambda: triton.InferenceServerClient(grpc)))

    def infer(self, request: Json) -> Json:
        return grpc_response(wait(self._client.infer(**grpc_arguments(triton, request))))

    def infer_many(self, requests: list[Json]) -> list[Json]:
        """Send all requests at once."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(
                *(self._client.infer(**grpc_arguments(triton, request)) for request in requests)
            )

        return [grpc_response(each) for each in wait(gathered())]

    def infer_stream(self, requests: list[Json]) -> list[Json]:
        """Send the requests one after the other on one stream. Errors are responses too."""
        return wait(self._streamed(requests))

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        as_json = {"as_json": True} if call.startswith("get_") else {}
        return wait(getattr(self._client, call)(*given, **as_json))

    async def _streamed(self, requests: list[Json]) -> list[Json]:
        async def arguments() -> Any:
            for request in requests:
                yield streamed_arguments(triton, request)

        responses: list[Json] = []
        async for result, error in self._client.stream_infer(arguments(), headers=dict(requests[0]["headers"])):
            responses.append({"error": str(error)} if error is not None else grpc_response(result))
        return responses
