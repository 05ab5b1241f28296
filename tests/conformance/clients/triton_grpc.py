"""tritonclient.grpc, the synchronous client."""

import queue
from typing import Any

import tritonclient.grpc as triton
from triton_shared import grpc_arguments, grpc_response, streamed_arguments
from wire import Json

_WAIT_S = 30


class Client:
    def __init__(self, _http: str, grpc: str) -> None:
        self._client = triton.InferenceServerClient(grpc)

    def infer(self, request: Json) -> Json:
        return grpc_response(self._client.infer(**grpc_arguments(triton, request)))

    def infer_many(self, requests: list[Json]) -> list[Json]:
        """Send all requests at once, through `async_infer`."""
        results: queue.Queue[tuple[int, Any, Any]] = queue.Queue()
        for place, request in enumerate(requests):

            def arrived(result: Any, error: Any, place: int = place) -> None:
                results.put((place, result, error))

            self._client.async_infer(callback=arrived, **grpc_arguments(triton, request))
        done = sorted((results.get(timeout=_WAIT_S) for _ in requests), key=lambda each: each[0])
        return [_response(result, error) for _, result, error in done]

    def infer_stream(self, requests: list[Json]) -> list[Json]:
        """Send the requests one after the other on one stream. Errors are responses too."""
        results: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client.start_stream(
            lambda result, error: results.put((result, error)), headers=dict(requests[0]["headers"])
        )
        try:
            for request in requests:
                self._client.async_stream_infer(**streamed_arguments(triton, request))
            done = [results.get(timeout=_WAIT_S) for _ in requests]
        finally:
            self._client.stop_stream()
        return [{"error": str(error)} if error is not None else grpc_response(result) for result, error in done]

    def describe(self, call: str, given: list[Any]) -> Any:
        """Make a call that describes the server."""
        as_json = {"as_json": True} if call.startswith("get_") else {}
        return getattr(self._client, call)(*given, **as_json)


def _response(result: Any, error: Any) -> Json:
    if error is not None:
        raise error
    return grpc_response(result)
