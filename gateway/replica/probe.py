"""The replica's question to itself: does a prediction still come out of every route? Acts."""

import asyncio
import contextlib
import time

import orjson

from gateway.errors import ERROR_HEADER
from gateway.eventloop.driver import run_in_task
from gateway.http.endpoint import InferenceEndpoint, Response
from gateway.inference.live_table import LiveRoute, LiveTableHolder
from gateway.protocols.tensor_binary import encode_tensor
from runtimes.datatypes import NAME_OF
from runtimes.runtime import example_inputs

_PATIENCE_S = 1.0


class Unhealthy(Exception):
    """The replica's own request did not come back as it should."""


async def probe(door: InferenceEndpoint, holder: LiveTableHolder) -> None:
    """Sends each route a request of zeros, through everything that a caller's goes through but the socket.

    A model that fails is not this replica's fault: another replica would run the same model. Neither is a slow one, or
    a queue before it; a loop that hangs is the watchdog's.

    Raises:
        Unhealthy: the gateway itself fails.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            for live in holder.current.routes.values():
                _require_answer(live.route.name, await _ask(door, live))


def _require_answer(route: str, response: Response) -> None:
    if response.status >= 500 and ERROR_HEADER.encode() not in dict(response.headers):
        raise Unhealthy(f"Route {route} answers {response.status} to the replica's own request.")


async def _ask(door: InferenceEndpoint, live: LiveRoute) -> Response:
    """What the door answers. Binary, which every datatype can be."""
    arrays = example_inputs(live.signature)
    contents = [bytes(encode_tensor(array)) for array in arrays.values()]
    inputs = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": NAME_OF[array.dtype],
            "parameters": {"binary_data_size": len(content)},
        }
        for (name, array), content in zip(arrays.items(), contents, strict=True)
    ]
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    headers = {b"inference-header-content-length": str(len(head)).encode()}
    path, body = f"/v2/models/{live.route.name}/infer", b"".join([head, *contents])
    return await run_in_task(door.respond("POST", path, headers, body, time.perf_counter(), probe=True))
