"""tritonclient.grpc.aio."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import tritonclient.grpc.aio as triton
from looped import made, wait
from triton_shared import grpc_answer, grpc_arguments, streamed_arguments
from wire import Json


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = wait(made(lambda: triton.InferenceServerClient(grpc)))

    def infer(self, ask: Json) -> Json:
        return grpc_answer(wait(self._client.infer(**grpc_arguments(triton, ask))))

    def infer_many(self, asks: list[Json]) -> list[Json]:
        """All at once."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(self._client.infer(**grpc_arguments(triton, ask)) for ask in asks))

        return [grpc_answer(each) for each in wait(gathered())]

    def infer_stream(self, asks: list[Json]) -> list[Json]:
        """One after the other on one stream; errors are answers too."""
        return wait(self._streamed(asks))

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        as_json = {"as_json": True} if call.startswith("get_") else {}
        return wait(getattr(self._client, call)(*given, **as_json))

    async def _streamed(self, asks: list[Json]) -> list[Json]:
        async def requests() -> AsyncIterator[Json]:
            for ask in asks:
                yield streamed_arguments(triton, ask)

        answers = []
        async for result, error in self._client.stream_infer(requests(), headers=dict(asks[0]["headers"])):
            answers.append({"error": str(error)} if error is not None else grpc_answer(result))
        return answers
