"""The floor of the comparison: a plain ASGI application that only decodes, predicts and encodes.

It has no routing, logging, validation or metrics. The model runs on the event loop, since switching to a thread would
cost more than this model does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
import orjson

from loadtests.servers.onnx_session import DATATYPES, OUTPUT_NAMES, model_file, open_session, run

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_SESSION = open_session(model_file())
_JSON = (b"content-type", b"application/json")


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Respond to POST with a prediction, and to any other method (a health check) with 200 and an empty body."""
    if scope["method"] == "POST":
        await _reply(send, predict(await _read(receive)))
    else:
        await _reply(send, b"")


def predict(body: bytes) -> bytes:
    """Turn the bytes of a V2 request into the bytes of a V2 response."""
    (tensor,) = orjson.loads(body)["inputs"]
    rows = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
    arrays = run(_SESSION, rows)
    outputs = [
        {"name": name, "datatype": DATATYPES[name], "shape": array.shape, "data": array.ravel()}
        for name, array in zip(OUTPUT_NAMES, arrays, strict=True)
    ]
    return orjson.dumps({"model_name": "cancer", "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


async def _reply(send: Send, body: bytes) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
