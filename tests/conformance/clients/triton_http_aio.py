"""tritonclient.http.aio."""

import asyncio
from typing import Any

import tritonclient.http.aio as triton
from looped import made, wait
from triton_shared import http_answer, http_arguments
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = wait(made(lambda: triton.InferenceServerClient(http)))

    def infer(self, ask: Json) -> Json:
        return http_answer(wait(self._client.infer(**http_arguments(triton, ask))))

    def infer_many(self, asks: list[Json]) -> list[Json]:
        """All at once."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(self._client.infer(**http_arguments(triton, ask)) for ask in asks))

        return [http_answer(each) for each in wait(gathered())]

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        return wait(getattr(self._client, call)(*given))
