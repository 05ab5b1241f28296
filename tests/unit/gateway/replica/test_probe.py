"""The replica's own request has inputs that the route's models can answer."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import numpy as np

from gateway.http.response import Response
from gateway.inference.live_table import LiveTableHolder
from gateway.replica.probe import probe
from runtimes.manifest import Example
from tests.support.live_tables import SIGNATURE, join_live

FOUND = {"X": Example((3, 2), 0.5)}


class Endpoint:
    """Keeps the rows that it gets."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    async def respond(self, _method: str, _path: str, headers: Any, body: bytes, *_: float, **__: bool) -> Response:
        """See `InferenceEndpoint.respond`."""
        length = int(headers[b"inference-header-content-length"])
        (tensor,) = json.loads(body[:length])["inputs"]
        self.rows += np.frombuffer(body[length:], "f4").reshape(tensor["shape"]).tolist()
        return Response(200, b"", [])


def arm() -> Any:
    return SimpleNamespace(signature=SIGNATURE, unbatched_because="", run=lambda *_: [])


def rows_sent(*examples: dict[str, Example]) -> list[Any]:
    """Return the row that a probe sends to a route whose arms have these examples."""
    endpoint, holder = Endpoint(), LiveTableHolder()
    holder.current = join_live({f"arm-{number}": arm() for number in range(len(examples))})
    for live, found in zip(holder.current.routes["r"].arms, examples, strict=True):
        live.lane.executor.examples = found
    asyncio.run(probe(endpoint, holder))
    return endpoint.rows


def test_a_model_that_answers_zeros_gets_zeros():
    assert rows_sent({}) == [[0.0, 0.0]]


def test_a_model_that_does_not_answer_zeros_gets_the_example_that_was_found():
    assert rows_sent(FOUND) == [[0.5, 0.5]]


def test_an_example_of_any_arm_counts_and_the_first_arm_most():
    assert rows_sent({}, FOUND) == [[0.5, 0.5]]
    assert rows_sent({"X": Example((1, 2), 7.0)}, FOUND) == [[7.0, 7.0]]
