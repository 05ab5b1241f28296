"""The replica's own health check: it sends a prediction to every route."""

import asyncio
import contextlib
import time

import orjson

from gateway.errors import ERROR_HEADER
from gateway.eventloop.driver import run_in_task
from gateway.http.endpoint import InferenceEndpoint
from gateway.http.response import Response
from gateway.inference.live_table import LiveRoute, LiveTableHolder
from gateway.protocols.tensor_binary import encode_tensor
from runtimes.datatypes import NAME_OF
from runtimes.manifest import Example, Signature
from runtimes.runtime import example_inputs, with_examples

_PATIENCE_S = 1.0


class Unhealthy(Exception):
    """The replica's own request did not come back as it should."""


async def probe(endpoint: InferenceEndpoint, holder: LiveTableHolder) -> None:
    """Send each route a request, through everything but the socket that a client's request goes through.

    It has zeros, or the examples of models that cannot answer zeros.
    A model that fails does not make the replica unhealthy, for another replica would run the same model. Neither does a
    slow model or a full queue. A hanging event loop is the watchdog's concern.

    Raises:
        Unhealthy: the gateway itself fails.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            for live in holder.current.routes.values():
                _require_no_fault(live.route.name, await _send(endpoint, live))


def _require_no_fault(route: str, response: Response) -> None:
    if response.status >= 500 and ERROR_HEADER.encode() not in dict(response.headers):
        raise Unhealthy(f"Route {route} answers {response.status} to the replica's own request.")


def _signature_of(live: LiveRoute) -> Signature:
    """Return the route's signature with an example for each input that an arm cannot take as zeros."""
    examples: dict[str, Example] = {}
    for arm in reversed(live.arms):  # the first one counts most: others may answer its examples as well
        examples |= {spec.name: spec.example for spec in arm.signature.inputs if spec.example is not None}
        examples |= arm.lane.executor.examples
    return with_examples(live.signature, examples)


async def _send(endpoint: InferenceEndpoint, live: LiveRoute) -> Response:
    """Send the request and return the response. It is binary, the one encoding that every datatype has."""
    arrays = example_inputs(_signature_of(live))
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
    return await run_in_task(endpoint.respond("POST", path, headers, body, time.perf_counter(), probe=True))
