"""tritonclient.grpc, the synchronous client."""

import queue
from typing import Any

import tritonclient.grpc as triton
from triton_shared import grpc_answer, grpc_arguments, streamed_arguments
from wire import Json

_WAIT_S = 30


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = triton.InferenceServerClient(grpc)

    def infer(self, ask: Json) -> Json:
        return grpc_answer(self._client.infer(**grpc_arguments(triton, ask)))

    def infer_many(self, asks: list[Json]) -> list[Json]:
        """All at once, through `async_infer`."""
        results: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
        for place, ask in enumerate(asks):

            def told(result: Any, error: Any, place: int = place) -> None:
                results.put((place, result, error))

            self._client.async_infer(callback=told, **grpc_arguments(triton, ask))
        done = sorted((results.get(timeout=_WAIT_S) for _ in asks), key=lambda each: each[0])
        return [_answer(result, error) for _, result, error in done]

    def infer_stream(self, asks: list[Json]) -> list[Json]:
        """One after the other on one stream; errors are answers too."""
        results: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client.start_stream(lambda result, error: results.put((result, error)), headers=dict(asks[0]["headers"]))
        try:
            for ask in asks:
                self._client.async_stream_infer(**streamed_arguments(triton, ask))
            done = [results.get(timeout=_WAIT_S) for _ in asks]
        finally:
            self._client.stop_stream()
        return [{"error": str(error)} if error is not None else grpc_answer(result) for result, error in done]

    def tell(self, call: str, given: list[Any]) -> Any:
        """Any call that describes the server."""
        as_json = {"as_json": True} if call.startswith("get_") else {}
        return getattr(self._client, call)(*given, **as_json)


def _answer(result: Any, error: Any) -> Json:
    if error is not None:
        raise error
    return grpc_answer(result)
